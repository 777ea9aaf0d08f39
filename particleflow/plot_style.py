"""How figures look, and small helpers that all of them share.

Figures are built without pyplot, under a style of their own: no window opens and no setting of matplotlib changes.
Colours are those of Okabe and Ito, which colour-blind readers tell apart. The same file gives the same pictures.
"""

from functools import wraps
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib import cycler, style
from matplotlib.figure import Figure

from particleflow.errors import InvalidInput

POSITIVE, NEGATIVE = "#D55E00", "#0072B2"
"""The colours of the particles with a ≥ 0 and a < 0."""

_METADATA = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
STYLE = {
    "font.family": ["STIXGeneral", "DejaVu Sans"],
    "mathtext.fontset": "stix",
    "font.size": 9,
    "text.hinting": "no_hinting",
    "axes.titlesize": "medium",
    "legend.fontsize": "small",
    "xtick.labelsize": "small",
    "ytick.labelsize": "small",
    "axes.prop_cycle": cycler(color=["black", "#0072B2", "#E69F00", "#009E73", "#CC79A7"]),
    "axes.linewidth": 0.6,
    "axes.formatter.min_exponent": 2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,
    "svg.hashsalt": "particleflow",
}


def styled(draw):
    """Return a function that draws in the style of this room and leaves matplotlib's settings as they were."""

    @wraps(draw)
    def drawn(*arguments, **options):
        with style.context(STYLE, after_reset=True):
            return draw(*arguments, **options)

    return drawn


class PaperFigure(Figure):
    """A figure that is saved in the style it was drawn in."""

    savefig = styled(Figure.savefig)


class NotApplicable(InvalidInput):
    """The trajectory does not hold what a figure shows."""


def require(condition, trajectory, what):
    """Raise `NotApplicable`, the file's name and what is wrong with it, unless a condition holds."""
    if not condition:
        raise NotApplicable(f"{trajectory.path.name!r} {what}")


def snapshots(trajectory, count):
    """Return at most `count` frames: first, last, and those where the energy is closest to equal shares of its fall."""
    shares, last = np.linspace(0, 1, count), len(trajectory) - 1
    energy = trajectory.observables.get("energy", np.empty(0))[: last + 1]
    if len(energy) <= last:
        return sorted({round(share * last) for share in shares})
    levels = energy[0] + shares[1:-1] * (energy[last] - energy[0])
    return sorted({0, *(int(np.abs(energy - level).argmin()) for level in levels), last})


def write_figures(figures, folder, formats):
    """Write figures, a dict by name, as ``<name>.<format>`` for each format, and return the paths.

    Raises
    ------
    InvalidInput
        If a format is unknown or the folder cannot be written to.
    """
    check_formats(formats)
    folder, written = Path(folder), []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            for kind in formats:
                picture = BytesIO()
                figure.savefig(picture, format=kind, metadata=_METADATA[kind])
                written.append(write_whole(folder / f"{name}.{kind}", picture.getvalue()))
    except OSError as error:
        raise InvalidInput(f"figures cannot be written to {str(folder)!r}: {error.strerror}") from None
    return written


def check_formats(formats):
    """Raise `InvalidInput` unless figures can be written in all of these formats."""
    for kind in formats:
        if kind not in _METADATA:
            raise InvalidInput(f"figure format {kind!r} is unknown; valid: {', '.join(_METADATA)}")


def write_whole(path, content):
    """Write bytes to a file that takes its name when it is complete, and return its path."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(content)
        return part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def time_label(t):
    """Return "t = …" for a title."""
    if t == 0 or 1e-2 <= t < 1e4:
        return f"$t = {t:.0f}$" if t >= 100 else f"$t = {t:.3g}$"
    mantissa, exponent = f"{t:.1e}".split("e")
    factor = "" if mantissa == "1.0" else rf"{mantissa}\times "
    return rf"$t = {factor}10^{{{int(exponent)}}}$"


def scale_masses(axes, masses):
    """Give signed masses that spread over orders of magnitude an axis that is linear only around 0."""
    typical, largest = np.median(np.abs(masses)), np.max(np.abs(masses))
    if largest > 20 * typical > 0:
        linear = 10 ** np.floor(np.log10(typical))
        axes.set_yscale("symlog", linthresh=linear)
        axes.set_yticks([sign * 10.0**k for sign in (-1, 1) for k in _decades(linear, largest)] + [0])
        axes.minorticks_off()
        low, high = min(0.0, 1.5 * np.min(masses)), max(0.0, 1.5 * np.max(masses))
        axes.set_ylim(low - 0.3 * linear, high + 0.3 * linear)


def _decades(linear, largest):
    """Return the exponents of at most four powers of ten from `linear` to `largest`."""
    first, last = round(np.log10(linear)), int(np.floor(np.log10(largest)))
    return range(first, last + 1, 1 + (last - first) // 4)


def log_scale(axes, *series):
    """Make both axes logarithmic, the vertical one only if it can be."""
    axes.set_xscale("log")
    if all(np.all(values >= 0) and np.any(values > 0) for values in series):
        axes.set_yscale("log", nonpositive="mask")


def plain(name):
    """Return a name from the data, shortened, as text that is not taken for mathematics."""
    return (name if len(name) <= 30 else f"{name[:29]}…").replace("$", r"\$")
