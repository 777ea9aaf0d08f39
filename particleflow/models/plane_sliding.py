"""Sliding along kinks in the plane: contacts are found from the ranges of `particleflow.models.plane`.

`particleflow.models.sliding` says what sliding is; contacts and rules are the same here. But the inputs that a particle
has crossed are those by which its ranges before, after and ahead differ: few, and side by side among the sorted inputs.
"""

import numpy as np

from particleflow.jit import jit
from particleflow.models.plane import PlaneVelocity, find_range, is_range
from particleflow.models.resting import may_rest
from particleflow.models.sliding import SlidingVelocity, distinct, settle_particle

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
        self._settled = self._plane.empty_ranges(m)

    def _find(self, clouds):
        plane = self._plane.table, self._plane.axes, self._kink_of
        return find_contacts(clouds, plane, self._ranges, self._settled, *self._circumstances())


@jit
def find_contacts(clouds, plane, ranges, settled, field, rules, held, found):
    """Do as `particleflow.models.sliding.find_contacts`, with ranges.

    `plane` is (table, axes, kinks of the sorted inputs). The ranges tell where to look for those of theta; those that
    were `settled` tell it for `before`, and become those of theta.
    """
    before, ahead, theta, velocity = clouds
    table, axes, kink_of = plane
    kinks, squares, jumps = field
    owner, kink = held[:2]
    barriers = np.zeros(kink_of.size)
    for row in range(kink_of.size):
        if kink_of[row] >= 0:
            barriers[row] = jumps[kink_of[row]] * squares[kink_of[row]]
    cuts = np.empty(8, dtype=np.int64)
    parts = np.empty((7, 3), dtype=np.int64)
    names = np.empty(kink_of.size + 1, dtype=np.int64)
    z = np.empty((3, names.size))
    total = 0
    changed = False
    last = 0
    for i in range(theta.shape[0]):
        first = last
        while last < owner.size and owner[last] == i:
            last += 1
        crossed = _crossed(table, axes, ranges, settled, before, ahead, theta, i, cuts, parts)
        count = 0
        if (last > first and kink[first] >= 0) or _may_stay(table, barriers, parts[:crossed], theta, velocity, i):
            count = _names(kink_of, parts[:crossed], kink[first:last], names)
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
def _crossed(table, axes, ranges, settled, before, ahead, theta, i, cuts, parts):
    """Fill `parts` with the stretches of rows where the active ranges of a particle differ; return their number.

    A stretch is where it begins, where it ends, and whether theta is active there.
    """
    begin0, end0 = _range(table, axes, ranges[0, i], ranges[1, i], theta, i)
    begin1, end1 = _range(table, axes, settled[0, i], settled[1, i], before, i)
    begin2, end2 = _range(table, axes, begin0, end0, ahead, i)
    settled[0, i], settled[1, i] = begin0, end0
    if begin0 == begin1 and begin0 == begin2 and end0 == end1 and end0 == end2:
        return 0
    cuts[0] = 0
    size = 1
    for cut in (begin0, end0, begin1, end1, begin2, end2, axes[4]):
        place = size
        while cuts[place - 1] > cut:
            cuts[place] = cuts[place - 1]
            place -= 1
        cuts[place] = cut
        size += 1
    count = 0
    for k in range(7):
        row = cuts[k]
        if row < cuts[k + 1]:
            active = _contains(begin0, end0, row)
            if active != _contains(begin1, end1, row) or active != _contains(begin2, end2, row):
                parts[count, 0], parts[count, 1], parts[count, 2] = row, cuts[k + 1], 1 if active else 0
                count += 1
    return count


@jit
def _range(table, axes, begin, end, cloud, i):
    """Return the active range of particle i of a cloud, searched from [begin, end) on."""
    if is_range(table, axes[4], begin, end, cloud[i, 1], cloud[i, 2]):
        return np.int64(begin), np.int64(end)
    return find_range(table, axes, begin, end, cloud[i, 1], cloud[i, 2])


@jit
def _contains(begin, end, row):
    if begin <= end:
        return begin <= row < end
    return row >= begin or row < end


@jit
def _may_stay(table, barriers, crossed, theta, velocity, i):
    """Return whether there is a kink among those crossed to which a particle is drawn from both sides."""
    a, u0, u1 = theta[i, 0], velocity[i, 1], velocity[i, 2]
    found = False
    for c in range(crossed.shape[0]):
        full = float(crossed[c, 2])
        for row in range(crossed[c, 0], crossed[c, 1]):
            jump = a * barriers[row]
            pull = u0 * table[row, 0] + u1 * table[row, 1] + full * jump
            found |= (jump > 0.0) & (pull > -_SURE * jump) & (pull < (1.0 + _SURE) * jump)
    return found


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
    return distinct(names, count)
