"""Trajectories in notebooks: a card in HTML with a small plot of the energy; the observables as a table of pandas."""

import math
from html import escape

import numpy as np

from particleflow import wording
from particleflow.errors import MissingPackage, TrajectoryError
from particleflow.hdf5 import TROUBLE

_LONGEST = 300  # letters of a text from the file
_WIDTH, _HEIGHT, _POINTS = 260, 110, 200
_DECADES = 1.5  # an axis over so many powers of ten is logarithmic
_CARD = (
    '<div style="display:flex;flex-wrap:wrap;gap:.6em 1.6em;align-items:flex-start;font-size:13px;line-height:1.45;'
    "border:1px solid rgba(128,128,128,.4);border-radius:6px;padding:.7em 1em;margin:.3em 0;"
    'max-width:52em;overflow-wrap:anywhere">'
    '<div style="flex:1 1 20em;min-width:0">{title}<div style="display:grid;grid-template-columns:max-content '
    'minmax(0,1fr);gap:.1em .9em;margin-top:.4em">{rows}</div></div>{plot}</div>'
)


def observables_table(trajectory):
    """Return the observables of a trajectory as a DataFrame: `Trajectory.to_pandas`."""
    try:
        import pandas
    except ImportError:
        raise MissingPackage('tables need pandas: pip install "particleflow[pandas]"') from None
    columns = dict(trajectory.observables)
    if "time" not in columns:
        raise TrajectoryError(f"{trajectory.path.name!r} is damaged: its observables have no time")
    return pandas.DataFrame(columns, index=pandas.Index(columns.pop("time"), name="time"))


def card(trajectory):
    """Return what a notebook shows of a trajectory, as HTML; what the file does not tell, or not rightly, is left out.

    Everything in it that comes from the file is escaped and short. The colours are those of the notebook.
    """
    title = (
        f'<b style="font-size:14px">{_text(trajectory.path.name)}</b> '
        f'<span style="opacity:.75">{_text(trajectory.status)}</span>'
    )
    lines = [(label, _told(content, trajectory)) for label, content in _ROWS]
    rows = "".join(
        f'<span style="opacity:.65">{label}</span><span>{_text(line)}</span>' for label, line in lines if line
    )
    return _CARD.format(title=title, rows=rows, plot=_told(_energy_plot, trajectory) or "")


def _told(content, trajectory):
    """Return a part of the card, or None: a notebook prints every error at length, and files may hold anything."""
    try:
        with np.errstate(all="ignore"):
            return content(trajectory)
    except (*TROUBLE, ArithmeticError):
        return None


def _text(value):
    """Return a text of the file, which may hold anything, as short HTML."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(value)[: _LONGEST + 1])
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return escape(text)


# --- what it says -----------------------------------------------------------------------------------------------------


def _frames(trajectory):
    count, last = len(trajectory), trajectory.time[-1]
    return f"{count} of {trajectory.m} particles, t = 0 … {last:g} (planned: {trajectory.t_end:g})"


def _energies(trajectory):
    energy = trajectory.observables["energy"]
    return f"{_number(energy[0])} → {_number(energy[-1])}"


def _gap(trajectory):
    """Return the last certificate that was stored on the way, if there is one."""
    gap, share = (trajectory.observables[name][-1] for name in ("gap", "relative_gap"))
    return f"at most {_number(gap)} above the global minimum ({_number(share)} of L)" if math.isfinite(gap) else None


def _number(value):
    return wording.number(value if math.isfinite(value) else None)


_ROWS = (
    ("model", lambda trajectory: wording.model(trajectory.config["model"], trajectory.m)),
    ("energy", lambda trajectory: wording.energy(trajectory.config["energy"])),
    ("method", lambda trajectory: trajectory.config["flow"]["method"]),
    ("status", lambda trajectory: trajectory.message),
    ("frames", _frames),
    ("L", _energies),
    ("certificate", _gap),
    ("wall time", lambda trajectory: f"{trajectory.seconds:.3g} s"),
)


# --- the plot ---------------------------------------------------------------------------------------------------------


def _energy_plot(trajectory):
    """Return the energy against flow time as an <svg> element in the colour of the text around it; None for a point."""
    t, energy = trajectory.observables["time"], trajectory.observables["energy"]
    shown = np.isfinite(t) & np.isfinite(energy)
    t, energy = np.asarray(t[shown], dtype=float), np.asarray(energy[shown], dtype=float)
    later = t > 0
    if np.sum(later) > 1 and np.ptp(np.log10(t[later])) > _DECADES:  # frames are dense at the start
        logarithmic, t, energy = True, t[later], energy[later]
    else:
        logarithmic = False
    if len(t) < 2 or np.ptp(t) == 0:
        return None
    levels = np.log10(energy) if energy.min() > 0 and np.ptp(np.log10(energy)) > _DECADES else energy
    x, y = _between(np.log10(t) if logarithmic else t, 0, _WIDTH), _between(levels, _HEIGHT, 0)
    kept = np.unique(np.linspace(0, len(t) - 1, _POINTS).astype(int))
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[kept], y[kept], strict=True))
    scale = (" (log)" if logarithmic else "", " (log)" if levels is not energy else "")
    letters = 'fill="currentColor" opacity=".75"'
    return (
        f'<svg viewBox="-4 -20 {_WIDTH + 8} {_HEIGHT + 40}" width="{_WIDTH + 8}" height="{_HEIGHT + 40}" role="img" '
        'aria-label="energy against flow time" style="flex:0 1 auto;max-width:100%" font-size="11" '
        'font-family="sans-serif">'
        f'<path d="M0,0V{_HEIGHT}H{_WIDTH}" fill="none" stroke="currentColor" opacity=".45"/>'
        f'<polyline points="{path}" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linejoin="round"/>'
        f'<text x="0" y="-8" {letters}>L{scale[1]}, {energy.min():.4g} to {energy.max():.4g}</text>'
        f'<text x="0" y="{_HEIGHT + 15}" {letters}>{t[0]:.3g}</text>'
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT + 15}" text-anchor="middle" {letters}>t{scale[0]}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + 15}" text-anchor="end" {letters}>{t[-1]:.3g}</text></svg>'
    )


def _between(values, start, end):
    values = values / max(np.abs(values).max(), 1e-300)  # differences of huge numbers overflow
    low, high = values.min(), values.max()
    share = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    return start + share * (end - start)
