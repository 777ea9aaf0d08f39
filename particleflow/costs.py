"""Squared distances between two clouds, as the costs of optimal transport.

On a torus |x − y| is the geodesic distance.
"""

import numpy as np

from particleflow.errors import TransportFailed
from particleflow.jit import jit

SMALLEST_SPREAD = 1e-280  # below, squares lose digits
TOO_LARGE = "the squared distances overflow: give the particles in a larger unit of length"
FEW_COORDINATES = 8  # up to here costs are sums of squared differences; beyond, an expanded square (one matrix product)


def centred(A, a, B, b, period):
    """Return the clouds with their means moved to 0, which changes no optimal plan in R^p; as they are on a torus."""
    if period is not None:
        return A, B
    A, B = A - A[0], B - B[0]  # first exactly: a common shift leaves no trace in the means
    return A - a @ A, B - b @ B


def independent_cost(X, a, Y, b, period):
    """Return the cost of coupling centred clouds independently, on a torus that of uniform ones."""
    with np.errstate(over="ignore"):
        if period is None:
            spread = float(a @ np.sum(X * X, axis=1) + b @ np.sum(Y * Y, axis=1))
        else:
            spread = X.shape[1] * period * period / 12
        if not np.isfinite(4 * max(len(X), len(Y)) * spread):
            raise TransportFailed(TOO_LARGE)
    if 0 < spread < SMALLEST_SPREAD:
        raise TransportFailed("the squared distances underflow: give the particles in a smaller unit of length")
    return spread


def finite(costs):
    """Return costs; no solver may see an infinite one or NaN, which only overflow makes of finite particles."""
    if not np.isfinite(costs.max()):
        raise TransportFailed(TOO_LARGE)
    return costs


def costs_between(X, Y, period):
    """Return |x_i − y_j|², shape (m, m'), exact up to rounding in units of the largest |x|² + |y|²."""
    costs = np.empty((len(X), len(Y)))
    if X.shape[1] <= FEW_COORDINATES or period is not None:
        _squared_distances(X, np.ascontiguousarray(Y.T), period or 0.0, costs)
    else:  # −2⟨x, y⟩ + |x|² · 1 + 1 · |y|² as one product
        ones = np.ones((max(len(X), len(Y)), 1))
        left = np.hstack([-2 * X, np.sum(X * X, axis=1)[:, None], ones[: len(X)]])
        right = np.hstack([Y, ones[: len(Y)], np.sum(Y * Y, axis=1)[:, None]])
        np.matmul(left, right.T, out=costs)
    return finite(costs)


@jit
def _squared_distances(X, columns, period, costs):
    """Fill costs with sums of squared differences; columns is Yᵀ (p, m'); period 0 is R^p."""
    for i in range(X.shape[0]):
        for k in range(X.shape[1]):
            for j in range(columns.shape[1]):
                before = 0.0 if k == 0 else costs[i, j]
                difference = X[i, k] - columns[k, j]
                if period != 0.0:
                    difference -= period * np.rint(difference / period)
                costs[i, j] = before + difference * difference


def squares(A, B, period):
    """Return |x_i − y_i|² of pairs, each accurate to rounding, shape (m,)."""
    differences = A - B
    if period is not None:
        differences -= period * np.rint(differences / period)
    return np.sum(differences * differences, axis=1)
