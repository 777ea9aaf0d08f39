"""Three drawings of synchronised networks: the hard model, its sub-neurons, and the graph that joins them.

First-layer neuron j is read by cluster j + o_k (mod m) through its row k; see `circulant_graph`. For any m, s and
offsets they show what figures 1 to 3 of Lazarus 2022, §2.5.1, show for two rows.
"""

from itertools import combinations

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse

from particleflow.errors import InvalidInput
from particleflow.plot_style import PaperFigure, styled
from particleflow.synchronization import circulant_graph, default_offsets
from particleflow.values import is_integer

ROW_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
LARGEST_DRAWING = 12
"""The most clusters that stay legible at half the width of a page."""
WIDTH, HEIGHT = 4.1, 2.0
FIRST, SECOND = 0.0, 2.4
"""Where the first layer and the clusters stand; neurons of a layer are 1 apart."""


@styled
def hard_model_figure(m=6, s=2, *, offsets=None):
    """Draw the hard model: each cluster of the second layer reads exactly s neurons of the first layer.

    Parameters
    ----------
    m : int
        Number of clusters and of first-layer neurons, from s to 12.
    s : int
        Rows of a cluster, from 2 to 6.
    offsets : sequence of int, optional
        o_1, …, o_s, distinct modulo m; by default (0, 1, −1, 2, −2, …).

    Returns
    -------
    PaperFigure

    Raises
    ------
    InvalidInput
        If m, s or the offsets are invalid.
    """
    readers, _ = _graph(m, s, offsets)
    figure, axes = _layers(m)
    for j, k in np.ndindex(readers.shape):
        _edge(axes, (j, FIRST), (readers[j, k], SECOND), ROW_COLORS[k], _style(m, j, readers[j, k]))
    for i in range(m):
        _neuron(axes, (i, SECOND), "0.8", i + 1, size=13)
    _legend(figure, s)
    return figure


@styled
def sub_neuron_figure(m=6, s=2, *, offsets=None):
    """Draw every cluster split into s sub-neurons, each of which reads one neuron; arguments as `hard_model_figure`."""
    readers, order = _graph(m, s, offsets)
    figure, axes = _layers(m)
    spots = (np.argsort(order) - (s - 1) / 2) * 0.72 / s
    for j, k in np.ndindex(readers.shape):
        spot = (readers[j, k] + spots[k], SECOND)
        _edge(axes, (j, FIRST), spot, ROW_COLORS[k], _style(m, j, readers[j, k]))
        _neuron(axes, spot, ROW_COLORS[k], size=min(8, 26 / s * 6 / m))
    for i in range(m):
        axes.add_patch(Ellipse((i, SECOND), 0.88, 0.62, facecolor="0.92", edgecolor="0.5", linewidth=0.6, zorder=0))
        axes.text(i, SECOND + 0.42, i + 1, ha="center", va="bottom", fontsize="small")
    _legend(figure, s)
    return figure


@styled
def synchronization_graph_figure(m=6, s=2, *, offsets=None):
    """Draw the graph that joins the sub-neurons of one first-layer neuron; arguments as `hard_model_figure`."""
    readers, order = _graph(m, s, offsets)
    figure = PaperFigure(figsize=(WIDTH, WIDTH))
    length = min(0.5, 2.8 / m)  # of a cluster along the circle of radius 1
    label = 1.08 + 0.6 * length
    axes = _canvas(figure, (-label - 0.08, label + 0.08), (-label - 0.08, label + 0.08))
    spots = _ring(m, np.argsort(order), 0.36 * length)
    for line in readers:
        for j, k in combinations(range(s), 2):
            _edge(axes, spots[line[j], j], spots[line[k], k], "0.35")
    for i, k in np.ndindex(readers.shape):
        _neuron(axes, spots[i, k], ROW_COLORS[k], size=min(8, 50 * length / s))
    for i, angle in enumerate(_angles(m)):
        centre, out = spots[i].mean(axis=0), np.array([np.cos(angle), np.sin(angle)])
        shape = {"width": length, "height": (0.5 if s == 2 else 0.8) * length, "angle": np.degrees(angle) - 90}
        axes.add_patch(Ellipse(centre, **shape, facecolor="0.92", edgecolor="0.5", linewidth=0.6, zorder=0))
        axes.text(*(label * out), i + 1, ha="center", va="center", fontsize="small")
    _legend(figure, s)
    return figure


# --- helpers ----------------------------------------------------------------------------------------------------------


def _graph(m, s, offsets):
    """Return the readers of each neuron, and the rows in the order of the neurons they read: fewer lines cross."""
    if not is_integer(s, 2, len(ROW_COLORS)):
        raise InvalidInput(f"s = {s!r}: valid in a drawing are integers from 2 to {len(ROW_COLORS)}")
    if not is_integer(m, s, LARGEST_DRAWING):
        raise InvalidInput(f"m = {m!r}: valid in a drawing of s = {s} are integers from {s} to {LARGEST_DRAWING}")
    offsets = default_offsets(s) if offsets is None else tuple(offsets)
    if len(offsets) != s:
        raise InvalidInput(f"offsets = {offsets}: valid are {s} of them, one for each row")
    return circulant_graph(m, offsets), np.argsort(-np.array(offsets))


def _canvas(figure, x, y):
    axes = figure.add_subplot(xlim=x, ylim=y)
    axes.set_axis_off()
    return axes


def _layers(m):
    """Return a figure with the neurons of the first layer and the names of both layers."""
    figure = PaperFigure(figsize=(WIDTH, HEIGHT))
    axes = _canvas(figure, (-0.18 * m - 0.4, m - 0.4), (-0.5, 3.2))
    for height, name in ((FIRST, "first\nlayer"), (SECOND, "clusters")):
        axes.text(-0.18 * m - 0.4, height, name, ha="left", va="center")
    for j in range(m):
        _neuron(axes, (j, FIRST), "white", j + 1, size=13)
    return figure, axes


def _ring(m, ranks, radius):
    """Return where sub-neuron k of cluster i is, shape (m, s, 2): on an arc that bulges away from the centre."""
    turns = np.pi * (1 - ranks / (len(ranks) - 1))
    along, outwards = radius * np.cos(turns), 0.9 * radius * np.sin(turns)
    angles = _angles(m)[:, None]
    radial, tangent = np.stack([np.cos(angles), np.sin(angles)]), np.stack([np.sin(angles), -np.cos(angles)])
    return np.moveaxis((1 + outwards) * radial + along * tangent, 0, -1)


def _angles(m):
    """Return the angles of the clusters on the circle: clockwise from the top."""
    return np.pi / 2 - 2 * np.pi * np.arange(m) / m


def _edge(axes, start, stop, color, style="-"):
    axes.plot(*zip(start, stop, strict=True), color=color, linestyle=style, linewidth=0.9, zorder=1)


def _style(m, j, i):
    """Return the style of a line from neuron j to cluster i: dashed if it goes around the end."""
    return "--" if 2 * abs(j - i) > m else "-"


def _neuron(axes, place, color, label="", size=8):
    axes.plot(*place, "o", color=color, markeredgecolor="black", markeredgewidth=0.6, markersize=size, zorder=2)
    axes.text(*place, label, ha="center", va="center_baseline", fontsize="small", zorder=3)


def _legend(figure, s):
    looks = {"linestyle": "", "marker": "o", "markeredgecolor": "black", "markeredgewidth": 0.6, "markersize": 6}
    handles = [Line2D([], [], color=ROW_COLORS[k], label=f"row {k + 1}", **looks) for k in range(s)]
    figure.legend(handles=handles, loc="outside upper center", ncols=s, handlelength=0.6, columnspacing=1.2)
