"""Sliding along kinks: the exact flow where the velocity jumps.

Kinks make the velocity of a two-layer particle θ = (a, w) jump: those of the activation, ⟨w, x_j⟩ = 0 for relu, where
it jumps by −a r_j x_j with r_j = ½ℓ'_j / n; those of the regulariser, a = 0 for the path norm and the scaled squared
norm, θ = 0 for the norm; and w = 0 for relu and the path norm. Where the potential is convex across a kink (a r_j > 0;
always, for the regulariser) and the velocities on both sides point to the kink, the particle stays on it. An explicit
scheme would chatter there: its particles jump from side to side for ever, its steps stay small, and the dissipation it
adds up is that of the zigzag. The solution, in the sense of Filippov (1988), slides along the kink with the velocity of
least norm among the mixtures of both sides (the minimal element of the subdifferential, as for every gradient flow:
Brezis 1973; Ambrosio, Gigli, Savaré 2008, §1.4).

A *contact* is a pair (particle, kink) that slides. Contacts are made and released between steps, by `settle`; within a
step they are fixed, and `slide` replaces the velocities of the particles in contact by those of least norm.
"""

import numpy as np

from particleflow.jit import jit
from particleflow.models.kinks import contains, least_norm, settle_on_kinks
from particleflow.models.products import add_multiple, copy, dot, multiply
from particleflow.models.resting import NOWHERE, ORIGIN, REST, resting_place, slide_at_rest
from particleflow.regularizers import PATH_NORM
from particleflow.threads import pieces, share

NO_CONTACTS = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
# Of the particles that are looked at for contacts, what a thread takes at once: see `particle_pieces`.
_LEAST_WORK, _SHARES, _MOST = 2e5, 8, 1 << 14


class SlidingVelocity:
    """The velocity −∇G of two-layer particles θ = (a, w) that may slide along kinks.

    Without contacts it is the plain velocity, with the derivative 0 at every kink.

    Parameters
    ----------
    velocity : callable
        The plain velocity, ``velocity(theta, out) -> parts``.
    X : ndarray, shape (n, d)
        The inputs whose kinks ⟨w, x_j⟩ = 0 count; n = 0 for a smooth activation.
    residuals : ndarray, shape (n,)
        Where the plain velocity leaves ½ℓ'_j / n.
    regularizer : int
        The code of V.
    weight : float
        λ/2.
    m : int
        Number of particles.

    Attributes
    ----------
    contacts : tuple of two ndarrays, shape (k,)
        Particles and kinks in contact, sorted by particle; never changed in place.
    """

    def __init__(self, velocity, X, residuals, regularizer, weight, m):
        self._velocity, self._residuals = velocity, residuals
        self._regularizer = regularizer, weight
        # equal inputs have one kink
        self._kinks, self._kink_of = np.unique(X, axis=0, return_inverse=True)
        self._kink_of = self._kink_of.reshape(-1)
        self._transposed = np.ascontiguousarray(self._kinks.T)
        self._squares = np.sum(self._kinks**2, axis=1)
        self._jumps = np.empty(len(self._kinks))
        self._fractions = np.empty(0)
        self._free = np.empty((m, 1 + X.shape[1]))  # the plain velocities of particles held at w = 0
        self._at_origin = len(X) > 0 or regularizer == PATH_NORM
        self._room = max(1, X.shape[1] - 1)  # for the contacts of a particle
        self._found = tuple(np.empty(m * self._room, dtype=np.int64) for _ in range(2))
        self._pieces = particle_pieces(m, int(_LEAST_WORK / max(1, len(X))))
        self.contacts = NO_CONTACTS

    def __call__(self, theta, out):
        """Fill out (m, p) with the velocity; return the parts of the energy."""
        parts = self._velocity(theta, out)
        if len(self.contacts[0]):
            self._gather()
            kinks = self._kinks, self._squares, self._jumps
            slide(theta, out, *kinks, *self._regularizer, *self.contacts, self._fractions, self._free)
        return parts

    def settle(self, before, ahead, theta, velocity):
        """Make and release contacts after a step from `before` to `theta`, where `velocity` was just evaluated.

        `ahead` is where the velocity at `before` alone would have led: a particle that meets a kink it cannot leave is
        beyond the kink there, even if the step as a whole bounced back. Such particles are put on the kink, in place.

        Returns
        -------
        bool
            Whether particles or contacts changed, so that the velocity has to be evaluated anew.
        """
        self._gather()
        clouds, counts, changes = (before, ahead, theta, velocity), [], []

        def look(first, last):
            count, changed = self._find(clouds, first, last)
            counts.append((first, count))
            changes.append(changed)

        self._prepare(clouds)
        share(look, self._pieces)
        changed = any(changes)
        if changed:
            parts = [slice(first * self._room, first * self._room + count) for first, count in sorted(counts)]
            self.hold(tuple(np.concatenate([found[part] for part in parts]) for found in self._found))
        return changed

    def hold(self, contacts):
        """Take these contacts for the steps to come."""
        self.contacts = contacts
        self._fractions = np.zeros(len(contacts[0]))

    def release(self, particles):
        """End the contacts of these particles."""
        stay = ~np.isin(self.contacts[0], particles)
        self.hold(tuple(numbers[stay] for numbers in self.contacts))

    def _prepare(self, clouds):
        """Compute what `_find` needs of all particles."""

    def _find(self, clouds, first, last):
        """Look for the contacts of the particles first, …, last − 1; return what `find_contacts` does."""
        return find_contacts(clouds, self._transposed, *self._circumstances(first, last), first, last)

    def _circumstances(self, first, last):
        """Return what `find_contacts` and `settle_particle` call field, rules, held and found."""
        field = self._kinks, self._squares, self._jumps
        held = *self.contacts, self._fractions, self._free
        found = tuple(numbers[first * self._room : last * self._room] for numbers in self._found)
        return field, (*self._regularizer, self._at_origin), held, found

    def _gather(self):
        add_jumps(self._kink_of, self._residuals, self._jumps)


def particle_pieces(m, least):
    """Return pieces of m particles, of so many at least: an eighth of them, or as many as a signal may wait for."""
    return pieces(m, min(max(1, least, -(-m // _SHARES)), _MOST))


@jit
def slide(theta, out, kinks, squares, jumps, regularizer, weight, owner, kink, fraction, free):
    """Replace the velocities of particles in contact by those of least norm; record the fractions s_j.

    The plain velocities of particles held at w = 0 are kept in `free` (m, p).
    """
    d = kinks.shape[1]
    u = np.empty(d)
    first = 0
    while first < owner.size:
        i = owner[first]
        last = first
        while last < owner.size and owner[last] == i:
            last += 1
        if kink[first] == REST:
            slide_at_rest(theta[i], out[i], regularizer, weight)
            first = last
            continue
        if kink[first] == ORIGIN:
            copy(out[i], free[i])
            out[i] = 0.0
            first = last
            continue
        copy(out[i, 1:], u)
        for q in range(first, last):
            j = kink[q]
            jump = theta[i, 0] * jumps[j]
            if jump > 0.0 and dot(theta[i, 1:], kinks[j]) > 0.0:  # the plain velocity holds its full share
                add_multiple(jump, kinks[j], u)
        least_norm(u, theta[i, 0], kinks, squares, jumps, kink[first:last], last - first, fraction[first:last])
        copy(u, out[i, 1:])
        first = last


@jit
def find_contacts(clouds, transposed, field, rules, held, found, begin, end):
    """Fill `found` with the contacts of the particles begin, …, end − 1 after a step.

    It returns their number and whether anything changed.

    The tuples: clouds (before, ahead, theta, velocity); field (kinks, squares, jumps); rules (code of V, λ/2, whether
    particles may rest at w = 0); held (owner, kink, fraction, free); found (owner, kink).
    """
    before, ahead, theta, _ = clouds
    owner, kink = held[:2]
    g = transposed.shape[1]
    rows = 16
    tiles = np.empty((3, rows, g))
    names = np.empty(g, dtype=np.int64)
    z = np.empty((3, g))
    total = 0
    changed = False
    last = np.searchsorted(owner, begin)
    for start in range(begin, end, rows):
        count = min(rows, end - start)
        multiply(np.ascontiguousarray(before[start : start + count, 1:]), transposed, tiles[0, :count])
        multiply(np.ascontiguousarray(ahead[start : start + count, 1:]), transposed, tiles[1, :count])
        multiply(np.ascontiguousarray(theta[start : start + count, 1:]), transposed, tiles[2, :count])
        for local in range(count):
            i = start + local
            first = last
            while last < owner.size and owner[last] == i:
                last += 1
            involved = last - first
            for j in range(g):
                involved += crossed(tiles[0, local, j], tiles[1, local, j], tiles[2, local, j])
            q = 0
            for j in range(g if involved > 0 else 0):
                sides = tiles[0, local, j], tiles[1, local, j], tiles[2, local, j]
                if crossed(*sides) or contains(kink[first:last], j):
                    names[q] = j
                    for t in range(3):
                        z[t, q] = sides[t]
                    q += 1
            total, moved = settle_particle(i, first, last, clouds, names[:q], z, field, rules, held, found, total)
            changed = changed or moved
    return total, changed


@jit
def crossed(before, ahead, after):
    """Return whether a product changes its side on the way, or on the way that the velocity set out on."""
    active = before > 0.0
    return (active != (after > 0.0)) | (active != (ahead > 0.0))


@jit
def distinct(names, count):
    """Sort the first names and leave each of them once; return how many remain."""
    names[:count].sort()
    last = min(count, 1)
    for q in range(1, count):
        if names[q] != names[q - 1]:
            names[last] = names[q]
            last += 1
    return last


@jit
def settle_particle(i, first, last, clouds, names, z, field, rules, held, found, total):
    """Append the contacts of particle i after a step to `found`; return their new number and if its own changed.

    It was held by the contacts first..last−1. `names` are the kinks it crossed and those it slides along, in ascending
    order, and z[:, :names.size] its products with them before, ahead and after. The tuples: see `find_contacts`.
    """
    before, ahead, theta, velocity = clouds
    kinks, squares, jumps = field
    _, kink, fraction, free = held
    new_owner, new_kink = found
    was = kink[first] if last > first and kink[first] < 0 else NOWHERE
    rest = resting_place(was, before[i], ahead[i], theta[i], velocity[i], free[i], kinks, jumps, *rules)
    if rest != NOWHERE:
        new_owner[total] = i
        new_kink[total] = rest
        return total + 1, rest != was
    if was == ORIGIN or names.size == 0:
        return total, rest != was
    if was == REST:
        first = last
    place = np.empty(last - first, dtype=np.int64)
    near = np.empty((names.size, kinks.shape[1]))
    measures = np.empty((2, names.size))
    for p in range(names.size):
        copy(kinks[names[p]], near[p])
        measures[0, p], measures[1, p] = squares[names[p]], jumps[names[p]]
        for q in range(first, last):
            if kink[q] == names[p]:
                place[q - first] = p
    room = new_kink[total : total + kinks.shape[1] - 1]
    added, moved = settle_on_kinks(
        theta[i],
        velocity[i],
        z[0, : names.size],
        z[1, : names.size],
        z[2, : names.size],
        near,
        measures[0],
        measures[1],
        place,
        fraction[first:last],
        room,
    )
    for q in range(added):
        new_owner[total + q] = i
        room[q] = names[room[q]]
    return total + added, moved or rest != was


@jit
def add_jumps(kink_of, residuals, jumps):
    """Fill `jumps` with the sums of the residuals at each kink; −1 stands for no kink."""
    jumps[:] = 0.0
    for j in range(residuals.size):
        if kink_of[j] >= 0:
            jumps[kink_of[j]] += residuals[j]
