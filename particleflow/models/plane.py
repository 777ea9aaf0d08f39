"""Two-layer relu networks on inputs of the plane (d = 2, or numbers with a bias): a step in O(n + m), and exact.

Neurons in one cell between kinks (`particleflow.models.plane_kinks`) have the same active inputs, so that the sums over
pairs (particle, datum) become sums over cells. The particles active at x are in the cells between the kink where they
enter its half-plane and that where they leave it: in f(x) = ⟨x, (1/m) Σ a w⟩ the sum is a difference of prefix sums, over
the cells, of what a w is in each. And v = Σ r x over the active inputs, which gives the gradient (⟨w, v⟩, a v) of a
particle, changes by r x from a cell to the next: a prefix sum over the kinks.

The cells of the last call tell where to look: two products show whether a particle is still there, and if not it is
searched from where a table of angles points. Nothing but speed depends on the calls before.

Large problems are cut into pieces, which do not depend on how many threads there are. A prefix sum begins anew in every
piece of the circle; its base, the sum of all pieces before, is added where it is used.
"""

import numpy as np

from particleflow.jit import jit
from particleflow.losses import half_derivatives, loss_values
from particleflow.models.plane_kinks import KinkCircle, find_cell, is_cell, part_of
from particleflow.models.relu_products import aligned
from particleflow.prefetching import AHEAD, prefetch
from particleflow.regularizers import pull
from particleflow.threads import pieces, share

_BLOCK = 256
# Kinks, particles and data of a piece; of what is not more than one piece, a step is one call.
_SHIFT = 15
_KINKS, _PARTICLES, _DATA = 1 << _SHIFT, 1 << 14, 1 << 14
# Most tables of sums that particles are added to, each in a piece of its own.
_TABLES = 16
# From so many kinks on, rows are asked for in advance: they are beyond the caches that are near.
_FAR = 20_000


class PlaneSums:
    """Where m particles are among the kinks of n inputs, and the sums of a w that make their outputs.

    Parameters
    ----------
    X : ndarray, shape (n, 2)
        The inputs.
    m : int
        Number of particles.

    Attributes
    ----------
    circle : KinkCircle
        The kinks.
    cells : ndarray, shape (≥ m,)
        The cells of the particles at the last call, and some more that may be looked at but do not count.
    sums : ndarray, shape (tables, count + 1, 2)
        0 between two calls: what particles of one piece add to a cell.
    values, bases : ndarray, shapes (count + 2,) and (pieces + 1, 2)
        Prefix sums of a w: their products with the rows, and those of all pieces before.
    """

    def __init__(self, X, m):
        self.circle = KinkCircle(X)
        count = self.circle.count
        self.cells = np.zeros(m + AHEAD, dtype=np.uint32)
        # several tables if they are not much larger than what is added to them
        tables = min(_TABLES, max(1, -(-2 * m // max(2 * _PARTICLES, len(X)))))
        self.particles = pieces(m, -(-m // tables))
        self.sums = aligned((tables, count + 1, 2))
        self.kinks = pieces(count, _KINKS) or [(0, 0)]
        self.values, self.bases = np.zeros(count + 2), np.zeros((len(self.kinks) + 1, 2))

    def add_up(self, theta):
        """Take the particles (m, 3) and fill values and bases."""
        places = self.places()
        share(
            lambda table, first, last: scatter(*places, theta, first, last, self.sums[table]),
            numbered(self.particles),
        )
        share(
            lambda piece, first, last: sweep(
                self.circle.table, self.sums, first, last, self.values, self.bases[piece + 1]
            ),
            numbered(self.kinks),
        )
        accumulate(self.bases)

    def places(self):
        """Return how kernels look for particles: table, owner and guide of the circle, and the cells."""
        return self.circle.table, self.circle.owner, self.circle.guide, self.cells

    def outputs(self):
        """Return how kernels find the outputs: table of the circle, its rows of the inputs, values and bases."""
        return self.circle.table, self.circle.enters, self.circle.leaves, self.values, self.bases


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
    sums : PlaneSums
        Inputs and particles.
    residuals : ndarray, shape (n,)
        ½ℓ'_j / n of the last call in the order of the circle.
    """

    def __init__(self, X, y, loss, regularizer, weight, m):
        self.sums = PlaneSums(X, m)
        circle = self.sums.circle
        self._loss, self._regularizer = loss, (regularizer, weight)
        self.residuals, self._targets = np.zeros(len(y)), y[circle.order]
        self._slopes, self._bases = aligned((circle.count + 1, 2)), np.zeros(self.sums.bases.shape)
        self._data, self._particles = pieces(len(y), _DATA), pieces(m, _PARTICLES)
        self._risks, self._means = np.zeros((len(self._data), 3)), np.zeros((len(self._particles), 1))
        self._alone = max(len(self.sums.kinks), len(self._data), len(self._particles)) == 1

    def __call__(self, theta, out):
        """Fill out (m, 3) with −∇G(θ_i); return the parts of the energy."""
        risk, total = (self._step if self._alone else self._share)(theta, out)
        return {"risk": risk, "regularization": 2.0 * self._regularizer[1] * total / len(theta)}

    def _step(self, theta, out):
        sums = self.sums
        data = self._targets, self.residuals
        slopes = self._slopes, self._bases
        places, outputs = sums.places(), sums.outputs()[1:]
        return step(self._loss, *self._regularizer, *places, sums.sums, *outputs, *data, *slopes, theta, out)

    def _share(self, theta, out):
        sums, m = self.sums, len(theta)
        circle = sums.circle
        sums.add_up(theta)
        outputs = sums.outputs()
        share(
            lambda piece, first, last: fill_residuals(
                self._loss, *outputs, 1.0 / m, self._targets, self.residuals, first, last, self._risks[piece]
            ),
            numbered(self._data),
        )
        share(
            lambda piece, first, last: integrate(
                circle.table, circle.owner, self.residuals, first, last, self._slopes, self._bases[piece + 1]
            ),
            numbered(sums.kinks),
        )
        close(self._risks, self._slopes, self._bases)
        share(
            lambda piece, first, last: gather(
                *self._regularizer, self._slopes, self._bases, sums.cells, theta, out, first, last, self._means[piece]
            ),
            numbered(self._particles),
        )
        return float(self._risks[:, 0].sum()), float(self._means.sum())


def predict(theta, X):
    """Return f(x_j) = (1/m) Σ_i a_i max(⟨w_i, x_j⟩, 0) for particles (m, 3) and inputs (n, 2), shape (n,)."""
    sums, f, sorted_f = PlaneSums(X, len(theta)), np.empty(len(X)), np.empty(len(X))
    sums.add_up(theta)
    fill_outputs(*sums.outputs(), 1.0 / len(theta), 0, sorted_f)
    f[sums.circle.order] = sorted_f
    return f


def numbered(some):
    """Return pieces with their numbers before them."""
    return [(number, *piece) for number, piece in enumerate(some)]


@jit
def step(
    loss, regularizer, weight, table, owner, guide, cells, sums, enters, leaves, values, bases, targets, residuals,
    slopes, slope_bases, theta, out,
):  # fmt: skip
    """Do all that a step does, in one piece; return the risk and Σ V. See `PlaneVelocity`."""
    m, n, count = theta.shape[0], targets.size, table.shape[0] - 2
    risks, mean = np.empty((1, 3)), np.empty(1)
    scatter(table, owner, guide, cells, theta, 0, m, sums[0])
    sweep(table, sums, 0, count, values, bases[1])
    fill_residuals(loss, table, enters, leaves, values, bases, 1.0 / m, targets, residuals, 0, n, risks[0])
    integrate(table, owner, residuals, 0, count, slopes, slope_bases[1])
    close(risks, slopes, slope_bases)
    gather(regularizer, weight, slopes, slope_bases, cells, theta, out, 0, m, mean)
    return risks[0, 0], mean[0]


@jit
def scatter(table, owner, guide, cells, theta, first, last, sums):
    """Bring the cells of the particles first, …, last − 1 up to date and add a w to them in `sums`."""
    far = table.shape[0] >= _FAR
    moved, rows = np.empty(_BLOCK, dtype=np.int64), np.empty(_BLOCK, dtype=np.int64)
    for start in range(first, last, _BLOCK):
        stop = min(start + _BLOCK, last)
        count = 0
        for i in range(start, stop):
            if far:
                ahead = cells[i + AHEAD]
                prefetch(table, ahead)
                prefetch(table, ahead + 1)
                prefetch(sums, ahead)
            moved[count] = i
            count += 0 if is_cell(table, cells[i], theta[i, 1], theta[i, 2]) else 1
        if count > 0:
            _find(table, owner, guide, cells, theta, moved[:count], rows)
        for i in range(start, stop):
            cell, a = cells[i], theta[i, 0]
            sums[cell, 0] += a * theta[i, 1]
            sums[cell, 1] += a * theta[i, 2]


@jit
def _find(table, owner, guide, cells, theta, moved, rows):
    """Find the cells of the particles that moved; each of the three accesses is asked for while others wait."""
    far = table.shape[0] >= _FAR
    for k in range(moved.size):
        rows[k] = part_of(guide, theta[moved[k], 1], theta[moved[k], 2])
        if far:
            prefetch(guide, rows[k])
    for k in range(moved.size):
        rows[k] = guide[rows[k]]
        if far:
            prefetch(table, rows[k])
            prefetch(table, rows[k] - 1)
    for k in range(moved.size):
        i = moved[k]
        cells[i] = find_cell(table, owner, guide, rows[k], theta[i, 1], theta[i, 2])


@jit
def sweep(table, sums, first, last, values, total):
    """Fill values with the products of rows and prefix sums of `sums`, which is used up; total (2,) with all of it."""
    sum0, sum1 = 0.0, 0.0
    for start in range(first, last, _BLOCK):
        stop = min(start + _BLOCK, last)
        for k in range(1, sums.shape[0]):
            for row in range(start, stop):
                for i in range(2):
                    sums[0, row, i] += sums[k, row, i]
                    sums[k, row, i] = 0.0
        # from the sum before the block on: that keeps the rounding errors of long sums small
        part0, part1 = 0.0, 0.0
        for row in range(start, stop):
            values[row] = (sum0 + part0) * table[row, 0] + (sum1 + part1) * table[row, 1]
            part0 += sums[0, row, 0]
            part1 += sums[0, row, 1]
            sums[0, row, 0] = 0.0
            sums[0, row, 1] = 0.0
        sum0 += part0
        sum1 += part1
    total[0], total[1] = sum0, sum1


@jit
def accumulate(bases):
    """Turn the sums of pieces, behind a first row, into the sums of all before."""
    for piece in range(1, bases.shape[0]):
        bases[piece, 0] += bases[piece - 1, 0]
        bases[piece, 1] += bases[piece - 1, 1]


@jit
def fill_outputs(table, enters, leaves, values, bases, scale, first, f):
    """Fill f with the outputs at the data first, first + 1, …, in the order of the circle."""
    whole0, whole1 = bases[-1, 0], bases[-1, 1]
    for i in range(f.size):
        enter, leave = enters[first + i], leaves[first + i]
        before, behind = enter >> _SHIFT, leave >> _SHIFT
        around = 1.0 if leave < enter else 0.0
        base0 = bases[behind, 0] - bases[before, 0] + around * whole0
        base1 = bases[behind, 1] - bases[before, 1] + around * whole1
        own = base0 * table[enter, 0] + base1 * table[enter, 1]
        f[i] = (own - (values[leave] + values[enter])) * scale


@jit
def fill_residuals(loss, table, enters, leaves, values, bases, scale, targets, residuals, first, last, parts):
    """Fill residuals with ½ℓ'_j / n; parts (3,) with the share in the risk, and in Σ r x over what is active in cell 0."""
    f = np.empty(_BLOCK)
    share = 1.0 / targets.size
    risk, slope0, slope1 = 0.0, 0.0, 0.0
    for start in range(first, last, _BLOCK):
        count = min(_BLOCK, last - start)
        r, y = residuals[start : start + count], targets[start : start + count]
        fill_outputs(table, enters, leaves, values, bases, scale, start, f[:count])
        loss_values(loss, f[:count], y, r)
        part, part0, part1 = 0.0, 0.0, 0.0
        for i in range(count):
            part += r[i]
        half_derivatives(loss, f[:count], y, r)
        for i in range(count):
            r[i] *= share
            enter = enters[start + i]
            around = r[i] if leaves[start + i] < enter else 0.0
            part0 += around * table[enter, 0]
            part1 += around * table[enter, 1]
        risk += share * part
        slope0 += part0
        slope1 += part1
    parts[0], parts[1], parts[2] = risk, slope0, slope1


@jit
def integrate(table, owner, residuals, first, last, slopes, total):
    """Fill slopes with the prefix sums of r x, behind the kinks first, …, last − 1; total (2,) with all of it."""
    sum0, sum1 = 0.0, 0.0
    for start in range(first, last, _BLOCK):
        part0, part1 = 0.0, 0.0
        for row in range(start, min(start + _BLOCK, last)):
            j = owner[row]
            r = residuals[j if j >= 0 else ~j]
            part0 += r * table[row, 0]
            part1 += r * table[row, 1]
            slopes[row, 0] = sum0 + part0
            slopes[row, 1] = sum1 + part1
        sum0 += part0
        sum1 += part1
    total[0], total[1] = sum0, sum1


@jit
def close(risks, slopes, bases):
    """Finish what pieces of the data and of the circle have found: v in cell 0 is the first base, 0 is v of w = 0."""
    bases[0, 0], bases[0, 1] = 0.0, 0.0
    for piece in range(risks.shape[0]):
        bases[0, 0] += risks[piece, 1]
        bases[0, 1] += risks[piece, 2]
    # cell 0 lies behind the kink 0, by which the data active on both sides of the first axis are told
    accumulate(bases)
    nowhere = slopes.shape[0] - 1
    for k in range(2):
        slopes[nowhere, k] = -bases[nowhere >> _SHIFT, k]


@jit
def gather(regularizer, weight, slopes, bases, cells, theta, out, first, last, mean):
    """Fill out with −(⟨w, v⟩, a v) − λ/2 ∇V for the particles first, …, last − 1; mean (1,) with the sum of their V."""
    far = slopes.shape[0] >= _FAR
    total = 0.0
    for i in range(first, last):
        if far:
            prefetch(slopes, cells[i + AHEAD])
        cell = cells[i]
        piece = cell >> _SHIFT
        out[i, 1] = slopes[cell, 0] + bases[piece, 0]
        out[i, 2] = slopes[cell, 1] + bases[piece, 1]
    for i in range(first, last):
        a, w0, w1, v0, v1 = theta[i, 0], theta[i, 1], theta[i, 2], out[i, 1], out[i, 2]
        value, along_a, along_w = pull(regularizer, a, w0 * w0 + w1 * w1, weight)
        out[i, 0] = -(w0 * v0 + w1 * v1) - along_a
        out[i, 1] = -a * v0 - along_w * w0
        out[i, 2] = -a * v1 - along_w * w1
        total += value
    mean[0] = total
