"""Two-layer relu networks on inputs of the plane (d = 2, or numbers with a bias): a step in O(n + m), and exact.

Sorted by angle, the inputs with ⟨w, x⟩ > 0 are a circular range [begin, end): they fill an open half-plane. The sums
over pairs (particle, datum) become sums over ranges. Of f(x) = ⟨x, (1/m) Σ a w⟩ over the particles active at x, the
vector Σ a w changes by a w where a range begins and by −a w where it ends: one sweep over the data. And v = Σ r x over
the range of a particle is the difference of two prefix sums; it gives the gradient (⟨w, v⟩, a v).

What is active is decided by the sign of the computed product, as in the plain sums. The ranges of the last call tell
where to look: two products at each end show whether it is still there, and if not it is searched from there, in growing
steps and then by bisection. The four axes are among the sorted directions, as inputs without weight. They bound each
search to a quadrant, in which the sign changes once, and every range but that of w = 0 has two ends, however
one-sided the inputs are.

A row of the table holds an input and what the ranges that begin or end there add to the sum of a w; the prefix sums of
r x up to an input, without it, lie beside the table. Zero inputs come last, outside the circle.
"""

import numpy as np

from particleflow.jit import jit
from particleflow.losses import half_derivatives, loss_values
from particleflow.models.relu_products import aligned
from particleflow.prefetching import AHEAD, prefetch
from particleflow.regularizers import add_regularizer

_CHANGE = 2  # where in a row of the table the changes are; the input comes first
_BLOCK = 256
# From so many inputs on, rows of the table are asked for in advance: they are beyond the caches that are near.
_FAR = 20_000


class SortedPlane:
    """Inputs sorted by angle, with the four axes among them.

    Parameters
    ----------
    X : ndarray, shape (n, 2)
        The inputs.

    Attributes
    ----------
    order : ndarray, shape (4 + n,)
        Numbers of the sorted inputs; −1 for the axes.
    table : ndarray, shape (4 + n, 4)
        The sorted inputs, and 0 beside them for the kernels to use.
    prefix : ndarray, shape (4 + n, 2)
        For the kernels to use.
    axes : ndarray, shape (5,)
        Positions of the axes, the first one twice: before and behind the circle.
    """

    def __init__(self, X):
        size = np.abs(X).max(initial=0.0)
        axes = (size if size > 0.0 else 1.0) * np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
        zero = ~X.any(axis=1)
        rows = np.concatenate([np.arange(4), 4 + np.flatnonzero(~zero)])  # of equal angles the axis comes first
        candidates = np.concatenate([axes, X])
        rows = rows[angular_order(candidates[rows])]
        circle = len(rows)
        rows = np.concatenate([rows, 4 + np.flatnonzero(zero)])
        self.order = np.maximum(rows - 4, -1)
        self.axes = np.append(np.flatnonzero(rows < 4), circle)
        self.table, self.prefix = aligned((len(rows), 4)), aligned((len(rows), 2))
        self.table[:, :_CHANGE] = candidates[rows]

    def empty_ranges(self, m):
        """Return the empty range of m particles, and some more that may be looked at but do not count."""
        return np.zeros((2, m + AHEAD), dtype=np.uint32)


class PlaneVelocity:
    """The plain velocity −∇G of m particles, ``velocity(theta, out) -> parts``.

    Parameters
    ----------
    X, y : ndarray, shapes (n, 2) and (n,)
        The data; they are copied.
    loss, regularizer : int
        The codes of ℓ and V.
    weight : float
        λ/2.
    m : int
        Number of particles.

    Attributes
    ----------
    plane : SortedPlane
        The inputs.
    ranges : ndarray, shape (2, ≥ m)
        Begin and end of the active range of each particle at the last call; nothing but speed depends on them.
    residuals : ndarray, shape (4 + n,)
        ½ℓ'_j / n of the last call in the order of the plane, 0 for the axes.
    """

    def __init__(self, X, y, loss, regularizer, weight, m):
        self.plane = SortedPlane(X)
        real = self.plane.order >= 0
        self.ranges = self.plane.empty_ranges(m)
        self.residuals = np.zeros(len(real))
        self._targets = np.where(real, y[self.plane.order], 0.0)
        self._shares = np.where(real, 1.0 / len(y), 0.0)
        self._codes, self._weight = (loss, regularizer), weight

    def __call__(self, theta, out):
        """Fill out (m, 3) with −∇G(θ_i); return the parts of the energy."""
        plane = self.plane
        data = self._targets, self._shares, self.residuals
        risk, mean = step(
            *self._codes, plane.table, plane.prefix, plane.axes, *self.ranges, *data, self._weight, theta, out
        )
        return {"risk": risk, "regularization": 2.0 * self._weight * mean}


def predict(theta, X):
    """Return f(x_j) = (1/m) Σ_i a_i max(⟨w_i, x_j⟩, 0) for particles (m, 3) and inputs (n, 2), shape (n,)."""
    plane = SortedPlane(X)
    sorted_values, f = np.empty(len(plane.order)), np.empty(len(X))
    outputs(plane.table, plane.axes, *plane.empty_ranges(len(theta)), theta, sorted_values)
    real = plane.order >= 0
    f[plane.order[real]] = sorted_values[real]
    return f


def angular_order(X):
    """Return the order of directions (n, 2), none of them 0, by angle from the first axis on; equal angles as they are.

    Angles are compared by quotients within each octant, so that they keep their digits near every axis.
    """
    x, y = X.T
    quadrant = np.select([(x > 0) & (y >= 0), (x <= 0) & (y > 0), (x < 0) & (y <= 0)], [0, 1, 2], 3)
    along, across = (np.choose(quadrant, parts) for parts in ((x, y, -x, -y), (y, -x, -y, x)))
    steep = across > along
    quotient = np.where(steep, -along, across) / np.where(steep, across, along)
    return np.lexsort((quotient, 2 * quadrant + steep))


@jit
def step(loss, regularizer, table, prefix, axes, begins, ends, targets, shares, residuals, weight, theta, out):
    """Fill out (m, 3) with −∇G and residuals with ½ℓ'_j / n; return the risk and the mean of V."""
    m = theta.shape[0]
    base = _scatter(table, axes, begins, ends, theta)
    whole = np.zeros(2)
    f = np.empty(_BLOCK)
    risk = 0.0
    for first in range(0, table.shape[0], _BLOCK):
        count = min(_BLOCK, table.shape[0] - first)
        r = residuals[first : first + count]
        _outputs(table, first, count, base, 1.0 / m, f)
        loss_values(loss, f[:count], targets[first : first + count], r)
        for i in range(count):
            risk += shares[first + i] * r[i]
        half_derivatives(loss, f[:count], targets[first : first + count], r)
        for i in range(count):
            r[i] *= shares[first + i]
        _add_up(table, prefix, first, r, whole)
    value = np.empty(_BLOCK)
    total = 0.0
    for first in range(0, m, _BLOCK):
        block = out[first : first + _BLOCK]
        _gather(prefix, begins, ends, theta, first, whole, block)
        count = block.shape[0]
        add_regularizer(regularizer, theta[first : first + count], weight, value[:count], block)
        for i in range(count):
            total += value[i]
            for k in range(3):
                block[i, k] = -block[i, k]
    return risk, total / m


@jit
def outputs(table, axes, begins, ends, theta, f):
    """Fill f (4 + n,) with the outputs of a network, in the order of the plane."""
    base = _scatter(table, axes, begins, ends, theta)
    for first in range(0, table.shape[0], _BLOCK):
        count = min(_BLOCK, table.shape[0] - first)
        _outputs(table, first, count, base, 1.0 / theta.shape[0], f[first : first + count])


@jit
def _scatter(table, axes, begins, ends, theta):
    """Bring the ranges up to date and note the changes of Σ a w at their ends; return the sum at the first row."""
    base = np.zeros(2)
    far = table.shape[0] >= _FAR
    for i in range(theta.shape[0]):
        if far:
            for edge in (begins[i + AHEAD], ends[i + AHEAD]):
                prefetch(table, edge)
                prefetch(table, edge - 1)
        a, w0, w1 = theta[i, 0], theta[i, 1], theta[i, 2]
        if not is_range(table, axes[4], begins[i], ends[i], w0, w1):
            begins[i], ends[i] = find_range(table, axes, begins[i], ends[i], w0, w1)
        begin, end = begins[i], ends[i]
        table[begin, _CHANGE] += a * w0
        table[begin, _CHANGE + 1] += a * w1
        table[end, _CHANGE] -= a * w0
        table[end, _CHANGE + 1] -= a * w1
        share = a if end < begin else 0.0  # a range that contains the first row
        base[0] += share * w0
        base[1] += share * w1
    return base


@jit
def _outputs(table, first, count, base, scale, f):
    """Fill f[:count] with the outputs in rows of the table, whose changes are used up; `base` moves on behind them."""
    # from the base of the block on: that keeps the rounding errors of long sums small
    sum0, sum1 = 0.0, 0.0
    for i in range(count):
        row = first + i
        sum0 += table[row, _CHANGE]
        sum1 += table[row, _CHANGE + 1]
        table[row, _CHANGE] = 0.0
        table[row, _CHANGE + 1] = 0.0
        f[i] = ((base[0] + sum0) * table[row, 0] + (base[1] + sum1) * table[row, 1]) * scale
    base[0] += sum0
    base[1] += sum1


@jit
def _add_up(table, prefix, first, r, whole):
    """Note the prefix sums of r x from row `first` on; `whole` moves on behind them."""
    sum0, sum1 = 0.0, 0.0
    for i in range(r.size):
        row = first + i
        prefix[row, 0] = whole[0] + sum0
        prefix[row, 1] = whole[1] + sum1
        sum0 += r[i] * table[row, 0]
        sum1 += r[i] * table[row, 1]
    whole[0] += sum0
    whole[1] += sum1


@jit
def _gather(prefix, begins, ends, theta, first, whole, out):
    """Fill out with the gradients (⟨w, v⟩, a v) of the particles from `first` on."""
    far = prefix.shape[0] >= _FAR
    for i in range(out.shape[0]):
        j = first + i
        if far:
            prefetch(prefix, begins[j + AHEAD])
            prefetch(prefix, ends[j + AHEAD])
        begin, end = begins[j], ends[j]
        a, w0, w1 = theta[j, 0], theta[j, 1], theta[j, 2]
        around = 1.0 if end < begin else 0.0
        v0 = prefix[end, 0] - prefix[begin, 0] + around * whole[0]
        v1 = prefix[end, 1] - prefix[begin, 1] + around * whole[1]
        out[i, 0] = w0 * v0 + w1 * v1
        out[i, 1] = a * v0
        out[i, 2] = a * v1


@jit
def is_active(table, row, w0, w1):
    """Return whether ⟨w, x⟩ > 0 as the plain sums compute it: the order decides which product is fused with the sum."""
    return w0 * table[row, 0] + w1 * table[row, 1] > 0.0


@jit
def is_range(table, circle, begin, end, w0, w1):
    """Return whether [begin, end) is the active range of a particle, which is not empty."""
    before_begin = (begin if begin > 0 else circle) - 1
    before_end = (end if end > 0 else circle) - 1
    begins = is_active(table, begin, w0, w1) & (not is_active(table, before_begin, w0, w1))
    return begins & is_active(table, before_end, w0, w1) & (not is_active(table, end, w0, w1))


@jit
def find_range(table, axes, begin, end, w0, w1):
    """Return the active range of a particle, searched from [begin, end) on; (0, 0) if it is empty."""
    begin, end = np.int64(begin), np.int64(end)
    active = (w0 > 0.0, w1 > 0.0, w0 < 0.0, w1 < 0.0, w0 > 0.0)  # of the axes
    first, last = 0, 0
    for k in range(4):
        if active[k + 1] and not active[k]:
            first = _search(table, axes[k], axes[k + 1], begin, True, w0, w1)
        elif active[k] and not active[k + 1]:
            last = _search(table, axes[k], axes[k + 1], end, False, w0, w1)
    return first % axes[4], last % axes[4]


@jit
def _search(table, low, high, start, sought, w0, w1):
    """Return the first position in (low, high] that is active or not, as sought: as at high, and not at low."""
    if start == 0 and low > 0:  # the first position comes again behind the last one
        start = high
    probe = min(max(start, low + 1), high - 1)
    reach = 1
    lowered, raised = False, False
    while high - low > 1:
        if is_active(table, probe, w0, w1) == sought:
            high = probe
            lowered = True
        else:
            low = probe
            raised = True
        if lowered and raised:
            probe = (low + high) // 2
        else:
            probe = max(low + 1, high - reach) if lowered else min(high - 1, low + reach)
            reach *= 2
    return high
