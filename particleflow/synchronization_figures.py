"""Three drawings of synchronised networks: the hard model, its sub-neurons, and the graph that joins them.

First-layer neuron j is read by cluster j + o_k (mod m) through its row k; see `circulant_graph`. They show for any m, s
and offsets what figures 1 to 3 of Lazarus 2022, §2.5.1, show for two rows.
"""

from itertools import combinations

import numpy as np
from matplotlib.patches import Ellipse

from particleflow.errors import InvalidInput
from particleflow.plot_style import PaperFigure, styled
from particleflow.synchronization import circulant_graph, default_offsets

ROW_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
WIDTH = 4.1
LARGEST_DRAWING = 12
"""The most clusters that stay legible at this width, in inches."""


@styled
def hard_model_figure(m=6, s=2, *, offsets=None):
    """Draw the hard model: each cluster of the second layer reads exactly s neurons of the first layer.

    Parameters
    ----------
    m : int
        Number of clusters and of first-layer neurons, from s to 12.
    s : int
        Rows of each cluster, from 2 to 6.
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
    readers = _readers(m, s, offsets)
    figure, axes = _layers(m, "cluster")
    for j, k in np.ndindex(readers.shape):
        _connect(axes, (0, j), (2, readers[j, k]), k)
    _neurons(axes, [(0, j) for j in range(m)], "white")
    _neurons(axes, [(2, i) for i in range(m)], "0.8")
    _legend(axes, s)
    return figure
