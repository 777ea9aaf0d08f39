"""Sliding along kinks in the plane: contacts are found from the ranges of `particleflow.models.plane`.

`particleflow.models.sliding` says what sliding is; contacts are the same here, and so are the rules. But the inputs that
a particle has crossed are those by which its ranges before, after and ahead differ. They are few, and beside each
other in the sorted inputs.
"""

import numpy as np

from particleflow.jit import jit
from particleflow.models.plane import PlaneVelocity, find_range, is_active, is_range
from particleflow.models.sliding import SlidingVelocity, settle_particle

# A kink that holds no particle on its way is told from one that may by this much more than rounding.
_SURE = 1e-6


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
    regularizer : int
        The code of V.
    weight : float
        λ/2.
    m : int
        Number of particles.
    """

    def __init__(self, velocity, X, regularizer, weight, m):
        super().__init__(velocity, X, velocity.residuals, regularizer, weight, m)
        self._plane, self._ranges = velocity.plane, velocity.ranges
        order = self._plane.order
        self._kink_of = np.where(order >= 0, self._kink_of[order], -1)

    def _find(self, clouds):
        plane = self._plane
        return find_contacts(clouds, (plane.table, plane.axes, self._kink_of), self._ranges, *self._circumstances())


@jit
def find_contacts(clouds, plane, ranges, field, rules, held, found):
    """Do as `particleflow.models.sliding.find_contacts`; `plane` is (table, axes, kinks of the sorted inputs)."""
    before, ahead, theta, velocity = clouds
    table, axes, kink_of = plane
    kinks, _, jumps = field
    owner, kink = held[:2]
    jump_of = np.zeros(kink_of.size)
    for row in range(kink_of.size):
        if kink_of[row] >= 0:
            jump_of[row] = jumps[kink_of[row]]
    parts = np.empty((7, 2), dtype=np.int64)
    names = np.empty(kink_of.size + 1, dtype=np.int64)
    z = np.empty((3, names.size))
    total = 0
    changed = False
    last = 0
    for i in range(theta.shape[0]):
        first = last
        while last < owner.size and owner[last] == i:
            last += 1
        crossed = _crossed(table, axes, ranges, before[i], ahead[i], theta[i], i, parts)
        count = 0
        slides = last > first and kink[first] >= 0
        if slides or _may_stay(table, jump_of, crossed, theta[i], velocity[i]):
            count = _names(kink_of, crossed, kink[first:last], names)
            for q in range(count):
                x0, x1 = kinks[names[q], 0], kinks[names[q], 1]
                z[0, q] = before[i, 2] * x1 + before[i, 1] * x0
                z[1, q] = ahead[i, 2] * x1 + ahead[i, 1] * x0
                z[2, q] = theta[i, 2] * x1 + theta[i, 1] * x0
        total, moved = settle_particle(i, first, last, clouds, names[:count], z, field, rules, held, found, total)
        changed = changed or moved
    return total, changed


@jit
def _crossed(table, axes, ranges, before, ahead, after, i, parts):
    """Return the stretches of rows that a particle crossed, (k, 2): where its three active ranges differ."""
    begin0, end0 = _range(table, axes, ranges, i, after)
    begin1, end1 = _range(table, axes, ranges, i, before)
    begin2, end2 = _range(table, axes, ranges, i, ahead)
    if begin0 == begin1 == begin2 and end0 == end1 == end2:
        return parts[:0]
    cuts = np.array([0, begin0, end0, begin1, end1, begin2, end2, axes[4]])
    cuts.sort()
    count = 0
    for k in range(7):
        row = cuts[k]
        active = _contains(begin0, end0, row)
        if row < cuts[k + 1] and (active != _contains(begin1, end1, row) or active != _contains(begin2, end2, row)):
            parts[count, 0] = row
            parts[count, 1] = cuts[k + 1]
            count += 1
    return parts[:count]


@jit
def _range(table, axes, ranges, i, particle):
    """Return the active range of particle i, when it is here."""
    begin, end = np.int64(ranges[0, i]), np.int64(ranges[1, i])
    if is_range(table, axes[4], begin, end, particle[1], particle[2]):
        return begin, end
    return find_range(table, axes, begin, end, particle[1], particle[2])


@jit
def _contains(begin, end, row):
    if begin <= end:
        return begin <= row < end
    return row >= begin or row < end


@jit
def _may_stay(table, jumps, crossed, theta, velocity):
    """Return whether there is a kink among those crossed to which a particle is drawn from both sides."""
    a = theta[0]
    for c in range(crossed.shape[0]):
        for row in range(crossed[c, 0], crossed[c, 1]):
            x0, x1 = table[row, 0], table[row, 1]
            jump = a * jumps[row] * (x0 * x0 + x1 * x1)
            if jump > 0.0:
                pull = velocity[1] * x0 + velocity[2] * x1
                if is_active(table, row, theta[1], theta[2]):
                    pull += jump
                if -_SURE * jump < pull < (1.0 + _SURE) * jump:
                    return True
    return False


@jit
def _names(kink_of, crossed, held, names):
    """Fill `names` with the kinks crossed and held, in ascending order and each once; return their number."""
    count = 0
    for j in held:
        if j >= 0:
            names[count] = j
            count += 1
    for c in range(crossed.shape[0]):
        for row in range(crossed[c, 0], crossed[c, 1]):
            if kink_of[row] >= 0:
                names[count] = kink_of[row]
                count += 1
    names[:count].sort()
    distinct = min(count, 1)
    for q in range(1, count):
        if names[q] != names[q - 1]:
            names[distinct] = names[q]
            distinct += 1
    return distinct
