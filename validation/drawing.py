"""How the figures of the claims look: white, small type, half a page wide; and as SVG that stands on its own."""

from contextlib import contextmanager

from matplotlib import cycler, rc_context
from matplotlib.figure import Figure

import particleflow as pf

WIDTH, HEIGHT = 4.1, 2.7
STYLE = {
    "font.family": ["STIXGeneral", "DejaVu Sans"],
    "mathtext.fontset": "stix",
    "font.size": 9,
    "legend.fontsize": "small",
    "xtick.labelsize": "small",
    "ytick.labelsize": "small",
    "axes.prop_cycle": cycler(color=["black", "#0072B2", "#D55E00", "#009E73", "#CC79A7"]),
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "particleflow",
}


@contextmanager
def paper_style():
    """Draw in this style inside a with statement."""
    with rc_context(STYLE):
        yield


def half_page(xlabel, ylabel, *, log=False):
    """Return a figure with one pair of labelled axes, logarithmic on request."""
    figure = Figure(figsize=(WIDTH, HEIGHT), facecolor="white")
    axes = figure.subplots()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    if log:
        axes.set(xscale="log", yscale="log")
    return figure, axes


def to_svg(figure, name):
    """Return a figure as an <svg> element in this style; see `particleflow.figure_svg`."""
    with paper_style():
        return pf.figure_svg(figure, name)
