"""Two-layer relu networks on inputs of the plane (d = 2, or numbers with a bias): a step in O(n + m), and exact.

Neurons in one cell between kinks (`particleflow.models.plane_kinks`) have the same active inputs, so that the sums over
pairs (particle, datum) become sums over cells. The particles active at x are in the cells between the kink where they
enter its half-plane and that where they leave it: in f(x) = ⟨x, (1/m) Σ a w⟩ the sum is a difference of prefix sums,
over the cells, of what a w is in each. And v = Σ r x over the active inputs, which gives the gradient (⟨w, v⟩, a v) of
a particle, changes by r x from a cell to the next: a prefix sum over the kinks.

The cells of the last call tell where to look: two products show whether a particle is still there, and if not it is
searched from where a table of angles points. Nothing but speed depends on the calls before.

Large problems are cut into pieces, which do not depend on how many threads there are. A prefix sum begins anew in every
piece of the circle; its base, the sum of all pieces before, is added where it is used.
"""

import numpy as np

from particleflow.jit import jit
from particleflow.lanes import aligned
from particleflow.losses import half_derivatives, loss_values
from particleflow.models.plane_kinks import KinkCircle, find_cell, is_between, part_of
from particleflow.prefetching import AHEAD, prefetch
from particleflow.regularizers import pull
from particleflow.threads import pieces, share

_BLOCK = 256
# Kinks of a piece of the circle, and most particles or data of a piece.
_SHIFT = 14
_KINKS, _MOST = 1 << _SHIFT, 1 << 15
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
    borders : ndarray, shape (m, 2, 2)
        Copies of the two rows of the circle's table between which they are: to look here is quicker.
    sums : ndarray, shape (tables, count + 1, 2)
        0 between two calls: what particles of one piece add to a cell.
    values, bases : ndarray, shapes (count + 2,) and (pieces + 1, 2)
        Prefix sums of a w: their products with the rows, and those of all pieces before.
    """

    def __init__(self, X, m):
        self.circle = KinkCircle(X)
        count = self.circle.count
        self.cells, self.borders = np.zeros(m + AHEAD, dtype=np.uint32), np.zeros((m, 2, 2))
        # several tables if they are not much larger than what is added to them
        tables = min(_TABLES, max(1, -(-2 * m // max(2 * _MOST, len(X)))))
        self.particles = pieces(m, -(-m // tables))
        self.sums = aligned((tables, count + 1, 2))
        self.kinks = pieces(count, _KINKS) or [(0, 0)]
        self.values, self.bases = np.zeros(count + 2), np.zeros((len(self.kinks) + 1, 2))

    def add_up(self, theta):
        """Take the particles (m, 3) and fill values and bases."""
        table, owner, guide, cells, borders = self.places()

        def scatter_piece(number, first, last):
            particles = cells[first : last + AHEAD], borders[first:last], theta[first:last]
            scatter(table, owner, guide, *particles, self.sums[number])

        def sweep_piece(number, first, last):
            sweep(table[first:last], self.sums[:, first:last], self.values[first:last], self.bases[number + 1])

        share(scatter_piece, numbered(self.particles))
        share(sweep_piece, numbered(self.kinks))
        accumulate(self.bases)

    def places(self):
        """Return how kernels look for particles: table, owner and guide of the circle, and the last cells."""
        return self.circle.table, self.circle.owner, self.circle.guide, self.cells, self.borders

    def outputs(self):
        """Return how kernels find outputs: table of the circle, values and bases."""
        return self.circle.table, self.values, self.bases


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
        self._data = np.stack([y[circle.order], np.zeros(len(y))])
        self.residuals = self._data[1]
        self._slopes, self._bases = aligned((circle.count + 1, 2)), np.zeros((2, len(self.sums.kinks) + 1, 2))
        self._inputs, self._particles = even_pieces(len(y), _MOST), even_pieces(m, _MOST)
        self._risks, self._values = np.zeros((len(self._inputs), 3)), np.zeros(len(self._particles))
        self._whole = None
        if max(len(self.sums.kinks), len(self._inputs), len(self._particles)) == 1:
            # as few arrays as possible: each costs a tenth of a microsecond
            arrays = self.sums.sums, self.sums.values, self._bases, circle.rows, self._data, self._slopes
            self._whole = loss, *self._regularizer, *self.sums.places(), *arrays

    def __call__(self, theta, out):
        """Fill out (m, 3) with −∇G(θ_i); return the parts of the energy."""
        risk, total = step(*self._whole, theta, out) if self._whole else self._share(theta, out)
        return {"risk": risk, "regularization": 2.0 * self._regularizer[1] * total / len(theta)}

    def _share(self, theta, out):
        sums, circle, (targets, residuals) = self.sums, self.sums.circle, self._data
        (enters, leaves), bases, m, n = circle.rows, self._bases[1], len(theta), len(targets)

        def residuals_piece(number, first, last):
            some = enters[first:last], leaves[first:last], m, n, targets[first:last], residuals[first:last]
            fill_residuals(self._loss, *sums.outputs(), *some, self._risks[number])

        def slopes_piece(number, first, last):
            rows = circle.table[first:last], circle.owner[first:last]
            integrate(*rows, residuals, self._slopes[first:last], bases[number + 1])

        def gather_piece(number, first, last):
            particles = sums.cells[first : last + AHEAD], theta[first:last], out[first:last]
            self._values[number] = gather(*self._regularizer, self._slopes, bases, *particles)

        sums.add_up(theta)
        share(residuals_piece, numbered(self._inputs))
        share(slopes_piece, numbered(sums.kinks))
        close(self._risks, self._slopes, bases)
        share(gather_piece, numbered(self._particles))
        return float(self._risks[:, 0].sum()), float(self._values.sum())


def predict(theta, X):
    """Return f(x_j) = (1/m) Σ_i a_i max(⟨w_i, x_j⟩, 0) for particles (m, 3) and inputs (n, 2), shape (n,)."""
    sums, f, sorted_f = PlaneSums(X, len(theta)), np.empty(len(X)), np.empty(len(X))
    circle = sums.circle
    sums.add_up(theta)
    fill_outputs(*sums.outputs(), *circle.rows, 1.0 / len(theta), sorted_f)
    f[circle.order] = sorted_f
    return f


def even_pieces(count, most):
    """Return an even number of pieces of about equal size, or all at once if that is not more than `most`."""
    return pieces(count, count if count <= most else -(-count // (2 * -(-count // (2 * most)))))


def numbered(some):
    """Return pieces with their numbers before them."""
    return [(number, *piece) for number, piece in enumerate(some)]


@jit
def step(
    loss, regularizer, weight, table, owner, guide, cells, borders, sums, values, bases, rows, data, slopes, theta, out
):  # fmt: skip
    """Do all that a step does, in one piece; return the risk and Σ V. See `PlaneVelocity`."""
    m, n, count = theta.shape[0], data.shape[1], table.shape[0] - 2
    risks = np.empty((1, 3))
    scatter(table, owner, guide, cells, borders, theta, sums[0])
    sweep(table, sums, values[:count], bases[0, 1])
    fill_residuals(loss, table, values, bases[0], rows[0], rows[1], m, n, data[0], data[1], risks[0])
    integrate(table, owner, data[1], slopes[:count], bases[1, 1])
    close(risks, slopes, bases[1])
    return risks[0, 0], gather(regularizer, weight, slopes, bases[1], cells, theta, out)


@jit
def scatter(table, owner, guide, cells, borders, theta, sums):
    """Bring the cells of particles and their borders up to date and add a w to `sums` there."""
    far = table.shape[0] >= _FAR
    moved, parts = np.empty(_BLOCK, dtype=np.int64), np.empty(_BLOCK, dtype=np.int64)
    for start in range(0, theta.shape[0], _BLOCK):
        block, rows = theta[start : start + _BLOCK], borders[start : start + _BLOCK]
        at = cells[start : start + _BLOCK + AHEAD]
        count = 0
        for i in range(block.shape[0]):
            if far:
                prefetch(sums, at[i + AHEAD])
            moved[count] = i
            count += 0 if is_between(rows[i], 0, 1, block[i, 1], block[i, 2]) else 1
        if count > 0:
            _find(table, owner, guide, at, rows, block, moved[:count], parts)
        for i in range(block.shape[0]):
            cell, a = at[i], block[i, 0]
            sums[cell, 0] += a * block[i, 1]
            sums[cell, 1] += a * block[i, 2]


@jit
def _find(table, owner, guide, cells, borders, theta, moved, parts):
    """Find the cells of the particles that moved; what they need is asked for while others are on their way."""
    far = table.shape[0] >= _FAR
    for k in range(moved.size):
        parts[k] = part_of(guide, theta[moved[k], 1], theta[moved[k], 2])
        if far:
            prefetch(guide, parts[k])
    for k in range(moved.size):
        row = guide[parts[k]]
        if far:
            prefetch(table, row + 1)
            prefetch(table, row - 1)
    for k in range(moved.size):
        i = moved[k]
        cells[i] = find_cell(table, owner, guide, parts[k], theta[i, 1], theta[i, 2])
        for q in range(2):
            for axis in range(2):
                borders[i, q, axis] = table[cells[i] + q, axis]


@jit
def sweep(table, sums, values, total):
    """Fill values with the products of rows and prefix sums of `sums`, which is used up; total (2,) with all of it."""
    whole0, whole1 = 0.0, 0.0
    for start in range(0, values.size, _BLOCK):
        rows, products = table[start : start + _BLOCK], values[start : start + _BLOCK]
        own = sums[0, start : start + _BLOCK]
        for k in range(1, sums.shape[0]):
            others = sums[k, start : start + _BLOCK]
            for i in range(products.size):
                own[i, 0] += others[i, 0]
                own[i, 1] += others[i, 1]
                others[i, 0] = 0.0
                others[i, 1] = 0.0
        # from the sum before the block on: that keeps the rounding errors of long sums small
        sum0, sum1 = 0.0, 0.0
        for i in range(products.size):
            products[i] = (whole0 + sum0) * rows[i, 0] + (whole1 + sum1) * rows[i, 1]
            sum0 += own[i, 0]
            sum1 += own[i, 1]
            own[i, 0] = 0.0
            own[i, 1] = 0.0
        whole0 += sum0
        whole1 += sum1
    total[0], total[1] = whole0, whole1


@jit
def accumulate(bases):
    """Turn the sums of pieces, behind a first row, into the sums of all before."""
    for piece in range(1, bases.shape[0]):
        bases[piece, 0] += bases[piece - 1, 0]
        bases[piece, 1] += bases[piece - 1, 1]


@jit
def fill_outputs(table, values, bases, enters, leaves, scale, f):
    """Fill f with the outputs at inputs of which these are the rows."""
    whole0, whole1 = bases[-1, 0], bases[-1, 1]
    for j in range(f.size):
        enter, leave = enters[j], leaves[j]
        before, behind = enter >> _SHIFT, leave >> _SHIFT
        around = 1.0 if leave < enter else 0.0
        base0 = bases[behind, 0] - bases[before, 0] + around * whole0
        base1 = bases[behind, 1] - bases[before, 1] + around * whole1
        f[j] = (base0 * table[enter, 0] + base1 * table[enter, 1] - (values[leave] + values[enter])) * scale


@jit
def fill_residuals(loss, table, values, bases, enters, leaves, m, n, targets, residuals, parts):
    """Fill residuals with ½ℓ'_j / n; parts (3,) with their share in the risk, and in v before the first row."""
    f, share = np.empty(_BLOCK), 1.0 / n
    parts[:] = 0.0
    for start in range(0, targets.size, _BLOCK):
        some = slice(start, start + _BLOCK)
        r, y, entering, leaving = residuals[some], targets[some], enters[some], leaves[some]
        outputs = f[: r.size]
        fill_outputs(table, values, bases, entering, leaving, 1.0 / m, outputs)
        loss_values(loss, outputs, y, r)
        risk, v0, v1 = 0.0, 0.0, 0.0
        for j in range(r.size):
            risk += r[j]
        half_derivatives(loss, outputs, y, r)
        for j in range(r.size):
            r[j] *= share
            active = r[j] if leaving[j] < entering[j] else 0.0
            v0 += active * table[entering[j], 0]
            v1 += active * table[entering[j], 1]
        parts[0] += share * risk
        parts[1] += v0
        parts[2] += v1


@jit
def integrate(table, owner, residuals, slopes, total):
    """Fill slopes with the prefix sums of r x, each row with its own; total (2,) with all of it."""
    whole0, whole1 = 0.0, 0.0
    for start in range(0, slopes.shape[0], _BLOCK):
        rows, owners = table[start : start + _BLOCK], owner[start : start + _BLOCK]
        block = slopes[start : start + _BLOCK]
        sum0, sum1 = 0.0, 0.0
        for i in range(block.shape[0]):
            r = residuals[np.uint32(owners[i] ^ (owners[i] >> 31))]
            sum0 += r * rows[i, 0]
            sum1 += r * rows[i, 1]
            block[i, 0] = whole0 + sum0
            block[i, 1] = whole1 + sum1
        whole0 += sum0
        whole1 += sum1
    total[0], total[1] = whole0, whole1


@jit
def close(risks, slopes, bases):
    """Put together what pieces of the data and of the circle have found: bases of v, and v = 0 where w = 0."""
    bases[0, 0], bases[0, 1] = 0.0, 0.0
    for piece in range(risks.shape[0]):
        bases[0, 0] += risks[piece, 1]
        bases[0, 1] += risks[piece, 2]
    accumulate(bases)
    nowhere = slopes.shape[0] - 1
    for k in range(2):
        slopes[nowhere, k] = -bases[nowhere >> _SHIFT, k]


@jit
def gather(regularizer, weight, slopes, bases, cells, theta, out):
    """Fill out with −(⟨w, v⟩, a v) − λ/2 ∇V; return Σ V."""
    far = slopes.shape[0] >= _FAR
    total = 0.0
    for start in range(0, theta.shape[0], _BLOCK):
        cloud, block = theta[start : start + _BLOCK], out[start : start + _BLOCK]
        at = cells[start : start + _BLOCK + AHEAD]
        for i in range(cloud.shape[0]):
            if far:
                prefetch(slopes, at[i + AHEAD])
            piece = at[i] >> _SHIFT
            block[i, 1] = slopes[at[i], 0] + bases[piece, 0]
            block[i, 2] = slopes[at[i], 1] + bases[piece, 1]
        for i in range(cloud.shape[0]):
            a, w0, w1, v0, v1 = cloud[i, 0], cloud[i, 1], cloud[i, 2], block[i, 1], block[i, 2]
            value, along_a, along_w = pull(regularizer, a, w0 * w0 + w1 * w1, weight)
            block[i, 0] = -(w0 * v0 + w1 * v1) - along_a
            block[i, 1] = -a * v0 - along_w * w0
            block[i, 2] = -a * v1 - along_w * w1
            total += value
    return total
