"""Sliding along kinks of relu networks: contacts are found from the signs of `particleflow.models.relu_products`.

`particleflow.models.sliding` says what sliding is; contacts and rules are the same here. But which inputs a particle
has crossed is told by bits: those of the cloud after a step are there, since the velocity has just been evaluated;
those before it are those after the last step, except of particles that were put on a kink; only those ahead are new.
"""

import numpy as np

from particleflow.jit import jit
from particleflow.models.products import dot
from particleflow.models.relu_products import MOST_BITS, PANEL
from particleflow.models.resting import may_rest
from particleflow.models.sliding import SlidingVelocity, distinct, settle_particle


class PanelSlidingVelocity(SlidingVelocity):
    """The velocity of relu networks that may slide along kinks.

    Parameters
    ----------
    velocity : callable
        The plain velocity, ``velocity(theta, out) -> parts``.
    drift : particleflow.models.relu_products.ReluDrift
        Where it takes the part of the data.
    X : ndarray, shape (n, d)
        The inputs.
    regularizer, weight, m
        As in `particleflow.models.sliding.SlidingVelocity`.
    """

    def __init__(self, velocity, drift, X, regularizer, weight, m):
        super().__init__(velocity, X, drift.residuals, regularizer, weight, m)
        self._drift = drift
        self._last = None  # the cloud at which contacts were last looked for
        self._short = 3 * m * drift.bits.shape[1] > MOST_BITS  # of memory for all signs

    def _prepare(self, clouds):
        before, ahead, theta, _ = clouds
        if self._short:
            return
        if self._last is None:  # not before: a velocity alone needs none of this memory
            self._last = np.full_like(theta, np.nan)
            self._signs, self._ahead = (np.empty_like(self._drift.bits) for _ in range(2))
        moved = np.flatnonzero((before != self._last).any(axis=1))
        if len(moved):
            signs = np.empty((len(moved), self._signs.shape[1]), dtype=np.uint8)
            self._drift.mark((before[moved],), signs)
            self._signs[moved] = signs
        self._drift.mark((ahead,), self._ahead)
        self._last[...] = theta

    def _find(self, clouds, first, last):
        if self._short:
            return super()._find(clouds, first, last)
        signs = self._signs, self._ahead, self._drift.bits
        found = find_contacts(clouds, signs, self._kink_of, *self._circumstances(first, last), first, last)
        self._signs[first:last] = self._drift.bits[first:last]
        return found


@jit
def find_contacts(clouds, signs, kink_of, field, rules, held, found, begin, end):
    """Do as `particleflow.models.sliding.find_contacts`, with the signs (m, panels) before, ahead and after.

    `kink_of` (n,) are the kinks of the inputs.
    """
    before, ahead, theta, _ = clouds
    kinks = field[0]
    owner, kink = held[:2]
    names = np.empty(kink_of.size + kinks.shape[1], dtype=np.int64)
    z = np.empty((3, names.size))
    total = 0
    changed = False
    last = np.searchsorted(owner, begin)
    for i in range(begin, end):
        first = last
        while last < owner.size and owner[last] == i:
            last += 1
        count = 0
        for j in kink[first:last]:
            if j >= 0:
                names[count] = j
                count += 1
        count = distinct(names, _add_crossed(signs, kink_of, i, names, count))
        for q in range(count):
            x = kinks[names[q]]
            z[0, q], z[1, q], z[2, q] = dot(before[i, 1:], x), dot(ahead[i, 1:], x), dot(theta[i, 1:], x)
        if count > 0 or last > first or may_rest(before, ahead, theta, i):
            total, moved = settle_particle(i, first, last, clouds, names[:count], z, field, rules, held, found, total)
            changed = changed or moved
    return total, changed


@jit
def _add_crossed(signs, kink_of, i, names, count):
    """Append the kinks of the inputs whose signs differ for particle i; return how many names there are."""
    before, ahead, after = signs
    for p in range(before.shape[1]):
        differ = (before[i, p] ^ ahead[i, p]) | (before[i, p] ^ after[i, p])
        if differ != 0:
            for q in range(PANEL):
                if differ >> q & 1:
                    names[count] = kink_of[PANEL * p + q]
                    count += 1
    return count
