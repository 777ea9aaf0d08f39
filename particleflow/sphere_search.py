"""The sup of |Σ_j q_j σ(⟨w, x_j⟩)| over the unit sphere of any dimension: `sup` chooses the road.

For relu and d = 3 to 5 that is branch and bound. The sphere is cut into the 2d faces of a cube, a face into boxes, and
a box lies in the cap of angular radius r around its centre c. On the cap every z = ⟨w, x_j⟩ lies between two numbers
z₋ ≤ z₊. Where z₋ ≥ 0 the datum is active, where z₊ ≤ 0 it is not; otherwise it is ambiguous, and with s = z₊/(z₊ − z₋)

    s z ≤ max(z, 0) ≤ s (z − z₋),

the chord above and a line through 0 below. So both signs of the sum are at most ⟨±u, w⟩ + t± with one vector u, and on
the cap ⟨u, w⟩ ≤ ‖u‖ cos(angle(u, c) − r)₊. What this gives away is of order r²: boxes are halved until none can hold
more than (1 + tolerance) times the largest value found. For d > 5 ascents from many starts give a lower bound, and
nothing from above.
"""

import math
import time
from itertools import product

import numpy as np

from particleflow.jit import jit
from particleflow.sphere_sup import Sup, allowance, attained, scaled, sup_circle, sup_line, sup_linear

LARGEST = 5
"""The largest dimension that is bounded from above for relu."""
_STARTS, _ASCENTS = 64, 60
_CHUNK, _MOST_BOXES = 2048, 2_000_000


def sup(q, X, *, linear=False, tolerance=1e-4, seconds=10.0, starts=None, rng=0):
    """Bound h(q) = sup over ‖w‖ = 1 of |Σ_j q_j σ(⟨w, x_j⟩)| from both sides.

    Parameters
    ----------
    q : ndarray, shape (n,)
        Weights of the data.
    X : ndarray, shape (n, d)
        Data.
    linear : bool
        Whether σ is linear; otherwise it is relu.
    tolerance : float
        Branch and bound (d = 3 to 5) ends where upper ≤ (1 + tolerance) lower,
    seconds : float
        or when this time is used up: then the upper bound is larger, but still one.
    starts : ndarray, shape (k, d), optional
        Further directions to start ascents from.
    rng : int or numpy.random.Generator
        Of the starts of ascents.

    Returns
    -------
    Sup
        upper is infinite for relu in d > 5.
    """
    d = X.shape[1]
    if linear:
        return sup_linear(q, X)
    if d <= 2:
        return sup_line(q, X) if d == 1 else sup_circle(q, X)
    end = time.monotonic() + seconds
    q, X, unit, S = scaled(q, X)
    rounding = allowance(len(q)) * S
    if S == 0.0:
        return Sup(0.0, 0.0, np.eye(d)[0])
    keep = (q != 0.0) & (X != 0.0).any(axis=1)
    X, datum = np.unique(X[keep], axis=0, return_inverse=True)  # equal data are one
    q = np.bincount(datum.reshape(-1), weights=q[keep])
    lower, w = _ascend(q, X, starts, np.random.default_rng(rng), end)
    upper = math.inf
    if d <= LARGEST:
        lower, upper, w = _branch_and_bound(q, X, lower, w, tolerance, rounding, end)
    return Sup(lower * unit, float(upper * unit), w)


# --- from below -------------------------------------------------------------------------------------------------------


def _ascend(q, X, starts, rng, end):
    """Return the best value and direction of projected ascents from many starts."""
    d = X.shape[1]
    strongest = np.argsort(-np.abs(q) * np.linalg.norm(X, axis=1), kind="stable")[: _STARTS // 4]
    pools = [rng.standard_normal((_STARTS, d)), X[strongest], -X[strongest]]
    if starts is not None:
        pools.append(np.asarray(starts, dtype=np.float64))
    W = np.vstack(pools)
    sizes = np.linalg.norm(W, axis=1, keepdims=True)
    W = W[sizes[:, 0] > 0] / sizes[sizes[:, 0] > 0]
    values, slopes = _values_and_slopes(q, X, W)
    steps = np.ones(len(W))
    for _ in range(_ASCENTS):
        if time.monotonic() > end:
            break
        sizes = np.linalg.norm(slopes, axis=1, keepdims=True)
        trial = (1 - steps[:, None]) * W + steps[:, None] * np.divide(slopes, sizes, out=W.copy(), where=sizes > 0)
        sizes = np.linalg.norm(trial, axis=1, keepdims=True)
        trial = np.divide(trial, sizes, out=W.copy(), where=sizes > 0)
        new, new_slopes = _values_and_slopes(q, X, trial)
        better = new > values
        W[better], values[better], slopes[better] = trial[better], new[better], new_slopes[better]
        steps = np.where(better, np.minimum(2 * steps, 1.0), steps / 2)
    best = int(np.argmax(values))
    return attained(q, X, W[best]), W[best]


def _values_and_slopes(q, X, W):
    """Return |Σ_j q_j relu(⟨w, x_j⟩)| and its gradient for each row w of W."""
    Z = W @ X.T
    sums = np.maximum(Z, 0.0) @ q
    slopes = ((Z > 0.0) * q) @ X
    return np.abs(sums), np.sign(sums)[:, None] * slopes


# --- from above -------------------------------------------------------------------------------------------------------


def _branch_and_bound(q, X, lower, w, tolerance, rounding, end):
    """Return (lower, upper, direction); upper ≤ (1 + tolerance) lower + 2 rounding unless time or boxes run out."""
    d = X.shape[1]
    norms = np.linalg.norm(X, axis=1)
    faces = np.arange(2 * d)
    low, high = np.full((2 * d, d - 1), -1.0), np.ones((2 * d, d - 1))
    bounds = np.full(2 * d, np.abs(q) @ norms)
    while len(faces):
        centres = np.empty((len(faces), d))
        values = np.zeros(len(faces))
        done = 0
        while done < len(faces) and time.monotonic() < end:
            part = slice(done, done + _CHUNK)
            _bound_boxes(q, X, norms, faces[part], low[part], high[part], centres[part], values[part], bounds[part])
            done = min(done + _CHUNK, len(faces))
        best = int(np.argmax(values))
        if values[best] > lower:
            lower, w = _polish(q, X, centres[best])
        enough = (1 + tolerance) * lower + rounding
        keep = bounds > enough
        if done < len(faces) or keep.sum() * 2 ** (d - 1) > _MOST_BOXES:
            return lower, max(float(bounds.max()), enough) + rounding, w
        faces, low, high, bounds = _split(faces[keep], low[keep], high[keep], bounds[keep])
    return lower, enough + rounding, w


def _polish(q, X, w):
    """Return the value and the direction that an ascent from w reaches."""
    value, slope = _values_and_slopes(q, X, w[None])
    for _ in range(_ASCENTS):
        size = np.linalg.norm(slope)
        trial = slope / size if size > 0 else w[None]
        new, slope = _values_and_slopes(q, X, trial)
        if not new[0] > value[0]:
            break
        value, w = new, trial[0]
    return attained(q, X, w), w


def _split(faces, low, high, bounds):
    """Return the halves of every box in each of its directions; they inherit its bound."""
    middle = 0.5 * (low + high)
    lows, highs = [], []
    for upper_half in product((False, True), repeat=low.shape[1]):
        lows.append(np.where(upper_half, middle, low))
        highs.append(np.where(upper_half, high, middle))
    return np.tile(faces, len(lows)), np.vstack(lows), np.vstack(highs), np.tile(bounds, len(lows))


@jit
def _bound_boxes(q, X, norms, faces, low, high, centres, values, bounds):
    """Fill, for each box, its centre, the value there and lower its bound to an upper bound of |Σ| on the box."""
    n, d = X.shape
    u = np.empty(d)
    for b in range(len(faces)):
        c = centres[b]
        r = _cap(faces[b], low[b], high[b], c)
        sine, cosine = math.sin(r), math.cos(r)
        u[:] = 0.0
        above, below, value = 0.0, 0.0, 0.0
        for j in range(n):
            z = 0.0
            for k in range(d):
                z += c[k] * X[j, k]
            value += q[j] * max(z, 0.0)
            if z <= -norms[j] * sine:
                continue
            s = 1.0
            if z < norms[j] * sine:
                across = math.sqrt(max(norms[j] * norms[j] - z * z, 0.0)) * sine
                most = z * cosine + across if z < norms[j] * cosine else norms[j]
                least = z * cosine - across if z > -norms[j] * cosine else -norms[j]
                s = min(max(most / (most - least), 0.0), 1.0)
                excess = -q[j] * s * least
                above += max(excess, 0.0)
                below += max(-excess, 0.0)
            for k in range(d):
                u[k] += s * q[j] * X[j, k]
        along, size = 0.0, 0.0
        for k in range(d):
            along += u[k] * c[k]
            size += u[k] * u[k]
        size = math.sqrt(size)
        across = math.sqrt(max(size * size - along * along, 0.0)) * sine
        plus = size if along >= size * cosine else along * cosine + across
        minus = size if -along >= size * cosine else -along * cosine + across
        values[b] = abs(value)
        bounds[b] = min(bounds[b], max(plus + above, minus + below))


@jit
def _cap(face, low, high, c):
    """Fill c with the centre of a box on a face of the cube; return the angular radius of a cap that holds the box."""
    d = len(c)
    axis, sign = face // 2, 1.0 - 2.0 * (face % 2)
    size = 0.0
    for k in range(d):
        i = k if k < axis else k - 1
        c[k] = sign if k == axis else 0.5 * (low[i] + high[i])
        size += c[k] * c[k]
    for k in range(d):
        c[k] /= math.sqrt(size)
    widest = 0.0
    for corner in range(1 << (d - 1)):
        size = 1.0
        for i in range(d - 1):
            entry = high[i] if (corner >> i) & 1 else low[i]
            size += entry * entry
        chord = 0.0
        for k in range(d):
            i = k if k < axis else k - 1
            entry = sign if k == axis else high[i] if (corner >> i) & 1 else low[i]
            chord += (entry / math.sqrt(size) - c[k]) ** 2
        widest = max(widest, chord)
    return 2.0 * math.asin(min(0.5 * math.sqrt(widest), 1.0)) + 1e-15
