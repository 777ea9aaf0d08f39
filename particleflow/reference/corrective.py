"""The fully corrective step: the best masses of finitely many atoms, min_{c ≥ 0} (1/n) Σ_j ℓ((Φc)_j, y_j) + λ Σ c.

For the squared loss this is nonnegative least squares with a linear cost, solved by an active set (Lawson & Hanson
1974). The huber loss is one too, with the residuals beyond its corners as more unknowns,
huber(r) = min_s ½(r − s)² + |s|. The logistic loss is a sequence of them, by Newton's method.
"""

import numpy as np

from particleflow.losses import LOGISTIC, SQUARED
from particleflow.reference.duality import curvature

_NEWTON_STEPS = 60
_EPSILON = np.finfo(np.float64).eps


def best_masses(loss, features, y, strength, masses):
    """Return the best masses of the atoms.

    Parameters
    ----------
    loss : Loss
        ℓ.
    features : ndarray, shape (n, k)
        Φ, one column per atom.
    y : ndarray, shape (n,)
        Targets.
    strength : float
        λ > 0.
    masses : ndarray, shape (k,)
        Where to start, c ≥ 0.

    Returns
    -------
    ndarray, shape (k,)
    """
    n, k = features.shape
    if loss.code == SQUARED:
        scale = np.sqrt(2.0 / n)
        return nonnegative_least_squares(scale * features, scale * y, np.full(k, strength), masses)
    if loss.code == LOGISTIC:
        return _logistic_masses(loss, features, y, strength, masses)
    scale = np.sqrt(1.0 / n)
    columns = scale * np.hstack([features, np.eye(n), -np.eye(n)])
    costs = np.concatenate([np.full(k, strength), np.full(2 * n, 1.0 / n)])
    beyond = y - features @ masses
    beyond -= np.clip(beyond, -1.0, 1.0)
    start = np.concatenate([masses, np.maximum(beyond, 0.0), np.maximum(-beyond, 0.0)])
    return nonnegative_least_squares(columns, scale * y, costs, start)[:k]


def _logistic_masses(loss, features, y, strength, masses):
    n, k = features.shape

    def objective(c):
        return float(np.mean(loss.value(features @ c, y))) + strength * float(c.sum())

    value = objective(masses)
    for _ in range(_NEWTON_STEPS):
        f = features @ masses
        weight = np.sqrt(np.maximum(curvature(loss, f, y), 1e-8) / n)
        target = weight * f - 2.0 * loss.half_derivative(f, y) / (n * weight)
        step = nonnegative_least_squares(weight[:, None] * features, target, np.full(k, strength), masses) - masses
        size = 1.0
        while (new := objective(masses + size * step)) > value + 1e-15 * abs(value) and size > 1e-6:
            size *= 0.5
        masses = masses + size * step
        done = np.abs(size * step).max() <= 1e-13 * max(1.0, masses.max()) or size <= 1e-6
        value = new
        if done:
            break
    return masses


def nonnegative_least_squares(A, b, costs, start):
    """Return the minimiser of ½‖Ac − b‖² + ⟨costs, c⟩ over c ≥ 0.

    Parameters
    ----------
    A, b : ndarray, shape (n, k) and (n,)
        The least-squares problem.
    costs : ndarray, shape (k,)
        Positive.
    start : ndarray, shape (k,)
        Where to start, c ≥ 0.

    Returns
    -------
    ndarray, shape (k,)
    """
    c = start.astype(float)
    gram = A.T @ A
    ridge = 1e-14 * max(float(np.trace(gram)) / max(len(c), 1), 1e-300)
    sizes = np.abs(A)
    tolerance = 0.5 * _EPSILON * float((sizes.T @ (np.abs(b) + sizes @ c) + costs).max())
    passive = c > 0.0
    barred = np.zeros(len(c), dtype=bool)
    _descend(A, b, costs, gram, ridge, c, passive, tolerance)
    for _ in range(3 * len(c) + 50):
        pull = A.T @ (b - A @ c) - costs
        pull[passive | barred] = -np.inf
        entering = int(np.argmax(pull))
        if pull[entering] <= tolerance:
            break
        before = c.copy()
        passive[entering] = True
        _descend(A, b, costs, gram, ridge, c, passive, tolerance)
        if not passive[entering] and np.array_equal(before, c):
            barred[entering] = True  # it would enter for ever, by rounding
        else:
            barred[:] = False
    return c


def _descend(A, b, costs, gram, ridge, c, passive, tolerance):
    """Change c to the minimiser over its passive set, which shrinks where an entry falls to 0.

    Steps start from the residual, so that repeating them refines what rounding did to the first one.
    """
    last = np.inf
    for _ in range(2 * len(c) + 20):
        P = np.flatnonzero(passive)
        if P.size == 0:
            return
        pull = A[:, P].T @ (b - A @ c) - costs[P]
        size = float(np.abs(pull).max())
        if size <= tolerance or size >= 0.5 * last:
            return
        step = np.linalg.solve(gram[np.ix_(P, P)] + ridge * np.eye(P.size), pull)
        falling = step < 0.0
        limits = np.where(falling, c[P] / np.where(falling, -step, 1.0), np.inf)
        if limits.min() < 1.0:
            c[P] = np.maximum(c[P] + limits.min() * step, 0.0)
            gone = P[limits <= limits.min()]
            c[gone] = 0.0
            passive[gone] = False
            last = np.inf
        else:
            c[P] += step
            last = size
