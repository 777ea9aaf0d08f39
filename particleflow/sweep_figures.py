"""Figures of a sweep: values against a swept parameter, with bands over the seeds and the power laws they follow."""

import numpy as np

from particleflow.plot_style import PaperFigure, check_formats, plain, styled, write_figures
from particleflow.sweep_summary import TO_WIDEST, WIDTH
from particleflow.sweep_text import FITTED, VALUES, numeric_keys, power_laws

_SIZE = (4.1, 3.0)
_LABELS = {
    "energy": r"energy $\mathcal{L}$",
    "gap": r"certified gap $\geq \mathcal{L} - \min \mathcal{L}$",
    "relative_gap": "certified relative gap",
    "test_error": "test error",
    TO_WIDEST: "$W_2$ to the widest run",
    WIDTH: "particles $m$",
    "energy.strength": r"strength $\lambda$",
}
_SYMBOLS = {WIDTH: "m", "energy.strength": r"\lambda"}
_MOST_CURVES, _MOST_TICKS = 5, 8


def sweep_figures(sweep):
    """Return the figures of a sweep that can be drawn, a function for each, by name: value-parameter."""
    names = [name for name in VALUES if name in sweep.names and name != "relative_gap"]
    pairs = [(name, key) for key in numeric_keys(sweep) for name in names if name != TO_WIDEST or key == WIDTH]
    return {
        f"{name}-{key.replace('.', '-')}": (lambda name=name, key=key: value_figure(sweep, name, key))
        for name, key in pairs
        if sweep.curves(name, key)
    }


@styled
def value_figure(sweep, name, against):
    """Draw a value against a swept parameter: medians, bands from the 16th to the 84th percentile, power laws.

    Of many curves, one for each choice of the other parameters, some are drawn: the first, the last, and between them.
    """
    curves = sweep.curves(name, against)
    chosen = [curves[k] for k in np.unique(np.linspace(0, len(curves) - 1, _MOST_CURVES).round().astype(int))]
    laws = {str(law.at): law for law in power_laws(sweep, name, against)} if name in FITTED else {}
    figure = PaperFigure(figsize=_SIZE)
    axes = figure.subplots()
    for number, curve in enumerate(chosen):
        label = ", ".join(f"{_symbol(key)} = {_short(value)}" for key, value in curve.at.items())
        color = f"C{number % 5}"
        axes.plot(curve.x, curve.median, "o-", ms=3.5, color=color, label=label or None)
        if curve.count.max() > 1:
            axes.fill_between(curve.x, curve.low, curve.high, color=color, alpha=0.2, lw=0)
        if law := laws.get(str(curve.at)):
            x = np.array([law.x_low, law.x_high])
            symbol = _SYMBOLS.get(against, "x")
            interval = f"[{law.low:.2f}, {law.high:.2f}]".replace("-", "−")
            axes.plot(x, law(x), "--", lw=1, color=color, label=rf"${symbol}^{{{law.exponent:.2f}}}$, {interval}")
    axes.set(xlabel=_LABELS.get(against, plain(against)), ylabel=_LABELS.get(name, plain(name.replace("_", " "))))
    _scale(axes, chosen)
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside upper center", ncols=2)
    return figure


def save_sweep_figures(sweep, folder, *, format="png"):
    """Write the figures of a sweep and return their paths.

    Parameters
    ----------
    sweep : Sweep
        The sweep.
    folder : str or Path
        Where; made if need be.
    format : {"png", "pdf", "svg"}
        Of the files.

    Raises
    ------
    InvalidInput
        If the format is unknown, or they cannot be written.
    """
    check_formats([format])
    return write_figures({name: draw() for name, draw in sweep_figures(sweep).items()}, folder, [format])


def _scale(axes, curves):
    """Make axes logarithmic whose values are positive and spread over more than a factor of five."""
    x, y = (np.concatenate([getattr(curve, name) for curve in curves]) for name in ("x", "median"))
    if x.min() > 0 and x.max() > 5 * x.min():
        axes.set_xscale("log")
        if len(places := np.unique(x)) <= _MOST_TICKS and not np.any(places % 1):
            axes.set_xticks(places, [f"{place:g}" for place in places])
            axes.minorticks_off()
    if y.min() > 0 and y.max() > 2 * y.min():
        axes.set_yscale("log")


def _symbol(key):
    return f"${_SYMBOLS[key]}$" if key in _SYMBOLS else plain(key)


def _short(value):
    return f"{value:.3g}" if isinstance(value, float) else plain(str(value))
