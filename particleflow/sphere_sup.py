"""How large h(q) = sup over ‖w‖ = 1 of |Σ_j q_j σ(⟨w, x_j⟩)| is, for σ = relu or linear, bounded from both sides.

In closed form for linear σ and for d = 1, and exactly for d = 2 by the arcs of the circle.

Rounding. S = Σ_j |q_j|‖x_j‖ bounds h, and it bounds what goes wrong: every upper bound here carries an allowance of
16 ε S (ε = 2^−52), and n 2^−61 S for sums in fixed point or n ε S for plain ones. That is more than the sum of all
rounding errors: the bounds hold in exact arithmetic too.
"""

from dataclasses import dataclass
from math import fsum

import numpy as np

_EPSILON = np.finfo(np.float64).eps
_ALLOWANCE = 16 * _EPSILON  # of S, and of an angle
_BITS = 61  # of a sum in fixed point: |Σ| ≤ 2^61 leaves a bit below the sign


@dataclass(frozen=True)
class Sup:
    """Bounds of h(q) = sup over ‖w‖ = 1 of |Σ_j q_j σ(⟨w, x_j⟩)|.

    Attributes
    ----------
    lower : float
        What `direction` attains, up to rounding.
    upper : float
        h(q) is at most this; infinite where nothing is proved.
    direction : ndarray, shape (d,)
        A unit vector.
    """

    lower: float
    upper: float
    direction: np.ndarray


def allowance(n):
    """Return what the rounding of plain sums of n terms can amount to, relative to S."""
    return _ALLOWANCE + n * _EPSILON


def attained(q, X, w, *, linear=False):
    """Return |Σ_j q_j σ(⟨w, x_j⟩)| for one w, shape (d,)."""
    z = X @ w
    return float(abs(q @ (z if linear else np.maximum(z, 0.0))))


def sup_linear(q, X):
    """Return h(q) for linear σ, any d: ‖Σ_j q_j x_j‖; arguments and result as for `sup_circle`."""
    q, X, unit, S = scaled(q, X)
    if S == 0.0:
        return Sup(0.0, 0.0, _first(X.shape[1]))
    v = np.array([fsum(q * column) for column in X.T])
    norm = float(np.linalg.norm(v))
    w = v / norm if norm > 0.0 else _first(X.shape[1])
    return Sup(attained(q, X, w, linear=True) * unit, float((norm + _ALLOWANCE * S) * unit), w)


def sup_line(q, X):
    """Return h(q) for relu and d = 1: the larger of two values; arguments and result as for `sup_circle`."""
    q, X, unit, S = scaled(q, X)
    values = [abs(fsum(q * np.maximum(sign * X[:, 0], 0.0))) for sign in (1.0, -1.0)]
    best = int(values[1] > values[0])
    return Sup(values[best] * unit, (values[best] + _ALLOWANCE * S) * unit, np.array([1.0 - 2.0 * best]))


def sup_circle(q, X):
    """Return h(q) for relu and d = 2, exactly, in O(n log n).

    The 2n angles where some ⟨w, x_j⟩ = 0 cut the circle into arcs. On an arc the active set is fixed and the sum is
    ⟨w, v⟩ with v = Σ_active q_j x_j: its absolute value has the sup ‖v‖ if v/‖v‖ or −v/‖v‖ lies in the arc, else the
    larger of the values at the ends. The running sums v are taken in fixed point, in which addition is exact: nothing
    drifts however many data there are. Data whose angle is rounded across an end add at most |q_j|‖x_j‖ε there.

    Parameters
    ----------
    q : ndarray, shape (n,)
        Weights of the data.
    X : ndarray, shape (n, 2)
        Data.

    Returns
    -------
    Sup
        With upper − lower a few times 16 ε S.
    """
    q, X, unit, S = scaled(q, X)
    keep = (q != 0.0) & (X != 0.0).any(axis=1)
    q, X = q[keep], X[keep]
    if len(q) == 0:
        return Sup(0.0, 0.0, _first(2))
    on, off = np.arctan2(-X[:, 0], X[:, 1]), np.arctan2(X[:, 0], -X[:, 1])  # active from φ_j − π/2 to φ_j + π/2
    angles = np.concatenate([on, off])
    order = np.argsort(angles, kind="stable")
    ends = np.concatenate([[-np.pi], angles[order], [np.pi]])
    grain = 2.0**_BITS / S
    jumps = np.rint(q[:, None] * X * grain).astype(np.int64)
    signed = np.concatenate([jumps, -jumps])[order]
    v = np.vstack([jumps[on > off].sum(axis=0), signed])
    v = np.cumsum(v, axis=0) / grain  # one row for each arc from ends[k] to ends[k + 1]

    best, angle = _on_arcs(v, ends[:-1], ends[1:])
    w = np.array([np.cos(angle), np.sin(angle)])
    rounding = _ALLOWANCE + len(q) * 2.0**-_BITS
    return Sup(attained(q, X, w) * unit, float((best + rounding * S) * unit), w)


def _on_arcs(v, left, right):
    """Return the largest |⟨w, v_k⟩| over all arcs k, and the angle of w; an arc is widened by its rounding."""
    at_left = np.abs(np.cos(left) * v[:, 0] + np.sin(left) * v[:, 1])
    at_right = np.abs(np.cos(right) * v[:, 0] + np.sin(right) * v[:, 1])
    values, where = np.maximum(at_left, at_right), np.where(at_left >= at_right, left, right)
    along = np.arctan2(v[:, 1], v[:, 0])
    opposite = along - np.copysign(np.pi, along)
    for peak in (along, opposite):
        inside = (peak >= left - _ALLOWANCE) & (peak <= right + _ALLOWANCE)
        norms = np.where(inside, np.hypot(v[:, 0], v[:, 1]), 0.0)
        where = np.where(norms > values, peak, where)
        values = np.maximum(norms, values)
    best = int(np.argmax(values))
    return float(values[best]), float(where[best])


def scaled(q, X):
    """Return q and X with entries up to 1, the unit in which h is to be read, and S = Σ|q_j|‖x_j‖ in that unit."""
    q, X = np.asarray(q, dtype=np.float64), np.asarray(X, dtype=np.float64)
    of_q, of_X = np.abs(q).max(initial=0.0), np.abs(X).max(initial=0.0)
    if not (of_q > 0.0 and of_X > 0.0):
        return np.zeros_like(q), np.zeros_like(X), 0.0, 0.0
    # powers of two: exact
    of_q, of_X = (2.0 ** np.floor(np.log2(size)) for size in (of_q, of_X))
    q, X = q / of_q, X / of_X
    return q, X, float(of_q * of_X), float(np.abs(q) @ np.linalg.norm(X, axis=1)) * (1 + len(q) * _EPSILON)


def _first(d):
    return np.eye(d)[0]
