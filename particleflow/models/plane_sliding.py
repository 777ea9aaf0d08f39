"""Sliding along kinks in the plane: contacts are found from the cells of `particleflow.models.plane`.

`particleflow.models.sliding` says what sliding is; contacts and rules are the same here. But the kinks that a particle
has crossed are those between its cells before, after and ahead: few, and side by side.
"""

import math

import numpy as np

from particleflow.jit import jit
from particleflow.models.plane import PlaneVelocity
from particleflow.models.plane_kinks import cell_of, signed_product
from particleflow.models.resting import may_rest
from particleflow.models.sliding import SlidingVelocity, distinct, particle_pieces, settle_particle
from particleflow.prefetching import AHEAD, prefetch

# Particles that a thread looks at, at least.
_LEAST = 1 << 9
# A kink that holds no particle on its way is told from one that may by this much more than rounding.
_SURE = 1e-6
_ROUNDING = 1e-12
# So many kinks are looked at one by one.
_FEW = 4


def plane_velocity(X, y, loss, regularizer, weight, m):
    """Return the velocity of relu networks in the plane; see `PlaneVelocity` for the parameters."""
    return PlaneSlidingVelocity(PlaneVelocity(X, y, loss, regularizer, weight, m), X, regularizer, weight, m)


class PlaneSlidingVelocity(SlidingVelocity):
    """The velocity of relu networks in the plane that may slide along kinks.

    Parameters
    ----------
    velocity : PlaneVelocity
        The plain velocity.
    X : ndarray, shape (n, 2)
        Its inputs.
    regularizer, weight, m
        As in `particleflow.models.sliding.SlidingVelocity`.
    """

    def __init__(self, velocity, X, regularizer, weight, m):
        super().__init__(velocity, X, velocity.residuals, regularizer, weight, m)
        self._sums = velocity.sums
        self._kink_of = self._kink_of[self._sums.circle.order]
        self._own_squares = self._squares[self._kink_of]
        self._own_lengths = np.hypot(*self._kinks[self._kink_of].T)
        self._settled = self._sums.cells.copy()
        self._pieces = particle_pieces(m, _LEAST)

    def _find(self, clouds, first, last):
        circle = self._sums.circle
        places = circle.table, circle.owner, circle.guide
        kinks = places, self._kink_of, self._barriers, self._highest
        cells = self._sums.cells, self._settled
        return find_contacts(clouds, kinks, *cells, *self._circumstances(first, last), first, last)

    def _prepare(self, clouds):
        jumps = self._jumps[self._kink_of]
        self._barriers = jumps * self._own_squares
        self._highest = np.max(np.abs(jumps) * self._own_lengths, initial=0.0)


@jit
def find_contacts(clouds, circle, cells, settled, field, rules, held, found, begin, end):
    """Do as `particleflow.models.sliding.find_contacts`, with cells.

    `circle` is (table, owner and guide of the circle; the numbers of the kinks of its inputs; the barriers r|x|² there,
    and the highest r|x|). The `cells` tell where to look for those of theta; those that were `settled` tell it for
    `before`, and become those of theta.
    """
    before, ahead, theta, velocity = clouds
    places, kink_of, barriers, highest = circle
    kinks = field[0]
    owner, kink = held[:2]
    names = np.empty(places[0].shape[0] + 2, dtype=np.int64)
    z = np.empty((3, names.size))
    total, changed = 0, False
    last = np.searchsorted(owner, begin)
    for i in range(begin, end):
        prefetch(places[0], cells[i + AHEAD])
        prefetch(places[0], cells[i + AHEAD] + 1)
        first = last
        while last < owner.size and owner[last] == i:
            last += 1
        row, length = _crossed(places, cells, settled, before, ahead, theta, i)
        count = 0
        if (last > first and kink[first] >= 0) or _may_stay(places, barriers, highest, row, length, theta, velocity, i):
            count = _names(places, kink_of, row, length, kink[first:last], names)
            for q in range(count):
                x0, x1 = kinks[names[q], 0], kinks[names[q], 1]
                z[0, q] = before[i, 1] * x0 + before[i, 2] * x1
                z[1, q] = ahead[i, 1] * x0 + ahead[i, 2] * x1
                z[2, q] = theta[i, 1] * x0 + theta[i, 2] * x1
        if count > 0 or last > first or may_rest(before, ahead, theta, i):
            total, moved = settle_particle(i, first, last, clouds, names[:count], z, field, rules, held, found, total)
            changed = changed or moved
    return total, changed


@jit
def _crossed(places, cells, settled, before, ahead, theta, i):
    """Return the first of the kinks between the cells of a particle, and how many there are, around the circle."""
    table, owner, guide = places
    count = table.shape[0] - 2
    after = cell_of(table, owner, guide, cells[i], theta[i, 1], theta[i, 2])
    was = cell_of(table, owner, guide, settled[i], before[i, 1], before[i, 2])
    beyond = cell_of(table, owner, guide, after, ahead[i, 1], ahead[i, 2])
    settled[i] = after
    if after == was and after == beyond:
        return after, 0
    if max(after, was, beyond) == count:  # w = 0 has no place on the circle
        return 0, count
    forward, backward = 0, 0
    for cell in (was, beyond):
        way = cell - after if cell >= after else cell - after + count
        if 2 * way <= count:  # half a turn at most: no input is met twice
            forward = max(forward, way)
        else:
            backward = max(backward, count - way)
    return (after + 1 - backward) % count, forward + backward


@jit
def _may_stay(places, barriers, highest, first, length, theta, velocity, i):
    """Return whether there is a kink among those crossed to which a particle is drawn from both sides."""
    table, owner, _ = places
    a, u0, u1 = theta[i, 0], velocity[i, 1], velocity[i, 2]
    count = table.shape[0] - 2
    # drawn from both sides: the jump a r|x|² exceeds |⟨u, x⟩|
    if length > _FEW and exceeds(table, first, (first + length - 1) % count, u0, u1, (1.0 + _SURE) * abs(a) * highest):
        return False
    found = False
    for row in range(first, first + length):
        row = row if row < count else row - count
        side = 1.0 if owner[row] >= 0 else -1.0
        jump = a * barriers[owner[row] if owner[row] >= 0 else ~owner[row]]
        active = side * signed_product(table, row, theta[i, 1], theta[i, 2]) > 0.0
        drift = side * (u0 * table[row, 0] + u1 * table[row, 1]) + (jump if active else 0.0)
        found |= (jump > 0.0) & (drift > -_SURE * jump) & (drift < (1.0 + _SURE) * jump)
    return found


@jit
def exceeds(table, first, last, u0, u1, bound):
    """Return whether |⟨u, x⟩| > bound |x| at all rows from the first to the last; it may miss that.

    Along less than half a turn without a zero, the cosine of the angle with u is smallest at an end.
    """
    x0, x1, y0, y1 = table[first, 0], table[first, 1], table[last, 0], table[last, 1]
    x, y = math.hypot(x0, x1), math.hypot(y0, y1)
    x0, x1, y0, y1 = x0 / x, x1 / x, y0 / y, y1 / y
    here, there = u0 * x0 + u1 * x1, u0 * y0 + u1 * y1
    least = bound + _ROUNDING * (abs(u0) + abs(u1))
    return x0 * y1 - x1 * y0 > _SURE and here * there > 0.0 and min(abs(here), abs(there)) > least


@jit
def _names(places, kink_of, first, length, held, names):
    """Fill `names` with the kinks crossed and held, in ascending order and each once; return their number."""
    _, owner, _ = places
    total = owner.size - 2
    count = 0
    for j in held:
        if j >= 0:
            names[count] = j
            count += 1
    for row in range(first, first + length):
        j = owner[row if row < total else row - total]
        names[count] = kink_of[j if j >= 0 else ~j]
        count += 1
    return distinct(names, count)
