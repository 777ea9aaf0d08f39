"""The differential entropy of a law from a sample of it, by nearest neighbours."""

import math

import numpy as np

from particleflow.errors import InvalidInput
from particleflow.values import is_integer


def differential_entropy(points, *, neighbours=3, period=None):
    """Estimate the differential entropy H = −∫ μ log μ of the law that points were drawn from.

        H ≈ ψ(m) − ψ(k) + log c_p + (p/m) Σ_i log r_i

    with r_i the distance of point i to its k-th nearest neighbour, c_p the volume of the unit ball and ψ the digamma
    function (Kozachenko & Leonenko 1987; Kraskov, Stögbauer, Grassberger 2004). Consistent for independent points from
    a smooth density; its bias falls about as m^(−2/p), so beyond a few dimensions it is large.

    Parameters
    ----------
    points : array_like, shape (m, p)
        The sample, m > k.
    neighbours : int
        k; larger means less variance and more bias.
    period : float, optional
        The period of every coordinate, for points on a torus.

    Returns
    -------
    float
        In nats; −inf if k + 1 points coincide.

    Raises
    ------
    InvalidInput
        If there are too few points or the arguments cannot be used.
    """
    from scipy.spatial import cKDTree
    from scipy.special import digamma, gammaln

    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or not np.isfinite(points).all():
        raise InvalidInput(f"points have shape {points.shape}; valid are finite arrays of shape (m, p)")
    m, p = points.shape
    if not is_integer(neighbours, 1, m - 1):
        raise InvalidInput(f"neighbours = {neighbours!r}: valid are integers from 1 to below the {m} points")
    tree = cKDTree(points if period is None else points % period % period, boxsize=period)
    distances = tree.query(tree.data, neighbours + 1)[0][:, -1]
    volume = 0.5 * p * math.log(math.pi) - gammaln(0.5 * p + 1)
    with np.errstate(divide="ignore"):
        return float(digamma(m) - digamma(neighbours) + volume + p * np.mean(np.log(distances)))
