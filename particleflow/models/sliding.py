"""Sliding along kinks: the exact flow where the velocity jumps.

Kinks make the velocity of a two-layer particle θ = (a, w) jump: those of the activation, ⟨w, x_j⟩ = 0 for relu, where it
jumps by −a r_j x_j with r_j = ½ℓ'_j / n; those of the regulariser, a = 0 for the path norm and θ = 0 for the norm; and
w = 0 for both. Where the potential is convex across a kink (a r_j > 0; always, for the regulariser) and the velocities
on both sides point to the kink, the particle stays on it. An explicit scheme would chatter there: its particles jump from
side to side for ever, its steps stay small, and the dissipation it adds up is that of the zigzag. The solution, in the
sense of Filippov (1988), slides along the kink with the velocity of least norm among the mixtures of both sides (the
minimal element of the subdifferential, as for every gradient flow: Brezis 1973; Ambrosio, Gigli, Savaré 2008, §1.4).

A *contact* is a pair (particle, kink) that slides. Contacts are made and released between steps, by `settle`; within a
step they are fixed, and `slide` replaces the velocities of the particles in contact by those of least norm.
"""

import math

import numpy as np

from particleflow.jit import jit
from particleflow.models.products import multiply
from particleflow.regularizers import NORM, PATH_NORM

# A particle in contact is kept this far on the inactive side (relative to ‖w‖‖x‖), so that its sign is beyond rounding.
_OFFSET = 1e-12
# Putting a particle back on its kink by less than this leaves its velocity as it is.
_NOTICEABLE = 1e-10
_SWEEPS = 5000
# In the place of the number of a datum: the kink of the regulariser, and w = 0.
_REST, _ORIGIN = -1, -2
# A particle held at w = 0 keeps its direction, at this length relative to |a|; before it leaves it turns so many times.
_TINY, _TURNS = 1e-12, 200
NO_CONTACTS = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)


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
        room = m * max(1, X.shape[1] - 1)
        self._found = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
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
        count, changed = find_contacts(
            before,
            ahead,
            theta,
            velocity,
            self._kinks,
            self._transposed,
            self._squares,
            self._jumps,
            *self._regularizer,
            self._at_origin,
            *self.contacts,
            self._fractions,
            self._free,
            *self._found,
        )
        if changed:
            self.hold(tuple(found[:count].copy() for found in self._found))
        return changed

    def hold(self, contacts):
        """Take these contacts for the steps to come."""
        self.contacts = contacts
        self._fractions = np.zeros(len(contacts[0]))

    def _gather(self):
        if len(self._kinks):
            self._jumps[:] = np.bincount(self._kink_of, self._residuals, len(self._kinks))


@jit
def _least_norm(u, a, kinks, squares, jumps, chosen, count, fraction):
    """Subtract a r_j s_j x_j from u for the chosen kinks, with the s_j ∈ [0, 1] that make ‖u‖ least.

    Coordinate descent, exact after one sweep for one kink; kinks that are not convex (a r_j ≤ 0) are left alone.
    """
    fraction[:count] = 0.0
    for _ in range(_SWEEPS):
        moved = 0.0
        for q in range(count):
            j = chosen[q]
            jump = a * jumps[j]
            if jump <= 0.0:
                continue
            slope = 0.0
            for k in range(u.size):
                slope += u[k] * kinks[j, k]
            s = min(1.0, max(0.0, fraction[q] + slope / (jump * squares[j])))
            change = (s - fraction[q]) * jump
            fraction[q] = s
            for k in range(u.size):
                u[k] -= change * kinks[j, k]
            moved = max(moved, abs(change) * math.sqrt(squares[j]))
        if count <= 1 or moved <= 1e-14 * math.sqrt(np.sum(u * u)):
            break


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
        if kink[first] == _REST:
            _slide_regularizer(theta[i], out[i], regularizer, weight)
            first = last
            continue
        if kink[first] == _ORIGIN:
            free[i] = out[i]
            out[i] = 0.0
            first = last
            continue
        u[:] = out[i, 1:]
        for q in range(first, last):
            j = kink[q]
            z = 0.0
            for k in range(d):
                z += theta[i, 1 + k] * kinks[j, k]
            if z > 0.0 and theta[i, 0] * jumps[j] > 0.0:  # the plain velocity holds its full share
                for k in range(d):
                    u[k] += theta[i, 0] * jumps[j] * kinks[j, k]
        _least_norm(u, theta[i, 0], kinks, squares, jumps, kink[first:last], last - first, fraction[first:last])
        out[i, 1:] = u
        first = last


@jit
def _slide_regularizer(theta, velocity, regularizer, weight):
    """Subtract from the velocity of a particle at rest on the kink of V the share that makes it least."""
    if regularizer == PATH_NORM and theta[0] == 0.0:
        share = weight * math.sqrt(np.sum(theta[1:] ** 2))
        velocity[0] = math.copysign(max(0.0, abs(velocity[0]) - share), velocity[0])
    elif regularizer == NORM and np.sum(theta * theta) == 0.0:
        size = math.sqrt(np.sum(velocity * velocity))
        velocity *= max(0.0, 1.0 - weight / size) if size > 0.0 else 0.0


@jit
def _meets_rest(before, ahead, theta, regularizer):
    """Return whether the kink of V lies between `before` and where the step led, or where it set out to."""
    if regularizer == PATH_NORM:
        return before[0] * theta[0] < 0.0 or before[0] * ahead[0] < 0.0
    if regularizer == NORM:
        return np.sum(before * theta) < 0.0 or np.sum(before * ahead) < 0.0
    return False


@jit
def _comes_to_rest(theta, velocity, regularizer, weight):
    """Move the particle onto the kink of V if it cannot leave it; return whether it does not."""
    if regularizer == PATH_NORM:
        share = weight * math.sqrt(np.sum(theta[1:] ** 2))
        rests = abs(velocity[0] + share * np.sign(theta[0])) < share
        if rests:
            theta[0] = 0.0
    else:
        size = math.sqrt(np.sum(theta * theta))
        free = velocity + (weight / size if size > 0.0 else 0.0) * theta
        rests = np.sum(free * free) < weight * weight
        if rests:
            theta[:] = 0.0
    return rests


@jit
def _meets_origin(before, ahead, theta, velocity):
    """Return whether w ran through 0, or set out to, and is driven back."""
    back = np.sum(before[1:] * theta[1:]) < 0.0 or np.sum(before[1:] * ahead[1:]) < 0.0
    return back and theta[0] != 0.0 and np.sum(velocity[1:] * theta[1:]) < 0.0


@jit
def _hold_at_origin(theta, direction):
    """Put w at 0, but for its direction."""
    theta[1:] = (_TINY * abs(theta[0]) / math.sqrt(np.sum(direction * direction))) * direction


@jit
def _stays_at_origin(theta, free, kinks, jumps, share):
    """Return whether no way down leads away from w = 0 in the direction of w; turn that direction downhill.

    Near w = 0 the direction moves infinitely fast, to a minimum of the potential on the sphere. It is followed by a
    small turn a step; when the way out goes down, the direction is turned until it is the steepest one nearby.
    """
    direction = theta[1:] / math.sqrt(np.sum(theta[1:] ** 2))
    velocity = free[1:].copy()
    leaves = np.sum(velocity * direction) > 0.0
    base = velocity + share * abs(theta[0]) * direction - _share_of_kinks(direction, theta[0], kinks, jumps)
    for turn in range(_TURNS if leaves else 1):
        along = velocity - np.sum(velocity * direction) * direction
        size = math.sqrt(np.sum(velocity * velocity))
        if size == 0.0:
            break
        direction += (0.1 / (1.0 + 0.1 * turn) / size) * along
        direction /= math.sqrt(np.sum(direction * direction))
        if leaves:
            velocity = base + _share_of_kinks(direction, theta[0], kinks, jumps) - share * abs(theta[0]) * direction
    _hold_at_origin(theta, direction)
    return not leaves


@jit
def _share_of_kinks(direction, a, kinks, jumps):
    """Return −a Σ r_j x_j over the data that are active in a direction."""
    total = np.zeros(direction.size)
    for j in range(kinks.shape[0]):
        if np.sum(direction * kinks[j]) > 0.0:
            total -= a * jumps[j] * kinks[j]
    return total


@jit
def _project(w, basis, rank, kinks, squares, chosen, count, side):
    """Move w to ⟨w, x_j⟩ = side·offset for the chosen kinks, along their span."""
    for _ in range(3 if count > 1 else 1):  # repeated against rounding
        for b in range(rank):
            along = 0.0
            for k in range(w.size):
                along += w[k] * basis[b, k]
            for k in range(w.size):
                w[k] -= along * basis[b, k]
    size = math.sqrt(np.sum(w * w))
    for q in range(count):
        j = chosen[q]
        for k in range(w.size):
            w[k] += side[q] * _OFFSET * size / math.sqrt(squares[j]) * kinks[j, k]


@jit
def _distance(w, kinks, squares, chosen, count, side):
    """Return how far w is from where `_project` would put it, relative to ‖w‖."""
    size = math.sqrt(np.sum(w * w))
    largest = 0.0
    for q in range(count):
        z = np.sum(w * kinks[chosen[q]]) / math.sqrt(squares[chosen[q]])
        largest = max(largest, abs(z - side[q] * _OFFSET * size))
    return largest / size if size > 0.0 else 0.0


@jit
def _extend(basis, rank, x):
    """Add the direction of x to the orthonormal rows of basis; return the new rank (the old one if it is dependent)."""
    row = basis[rank]
    row[:] = x
    for _ in range(2):
        for b in range(rank):
            along = np.sum(row * basis[b])
            row -= along * basis[b]
    norm = math.sqrt(np.sum(row * row))
    if norm <= 1e-9 * math.sqrt(np.sum(x * x)):
        return rank
    row /= norm
    return rank + 1


@jit
def find_contacts(
    before,
    ahead,
    theta,
    velocity,
    kinks,
    transposed,
    squares,
    jumps,
    regularizer,
    weight,
    at_origin,
    owner,
    kink,
    fraction,
    free,
    new_owner,
    new_kink,
):
    """Fill new_owner and new_kink with the contacts after a step; return their number and whether anything changed."""
    m = theta.shape[0]
    g, d = kinks.shape
    rows = 16
    z_before = np.empty((rows, g))
    z_ahead = np.empty((rows, g))
    z_after = np.empty((rows, g))
    found = 0
    changed = False
    position = 0
    for start in range(0, m, rows):
        count = min(rows, m - start)
        multiply(np.ascontiguousarray(before[start : start + count, 1:]), transposed, z_before[:count])
        multiply(np.ascontiguousarray(ahead[start : start + count, 1:]), transposed, z_ahead[:count])
        multiply(np.ascontiguousarray(theta[start : start + count, 1:]), transposed, z_after[:count])
        for local in range(count):
            i = start + local
            first = position
            while position < owner.size and owner[position] == i:
                position += 1
            if position > first and kink[first] == _REST:
                if np.sum(velocity[i] * velocity[i]) == 0.0 or (regularizer == PATH_NORM and velocity[i, 0] == 0.0):
                    new_owner[found] = i
                    new_kink[found] = _REST
                    found += 1
                    continue
                first = position
                changed = True
            elif position > first and kink[first] == _ORIGIN:
                if _stays_at_origin(theta[i], free[i], kinks, jumps, weight if regularizer == PATH_NORM else 0.0):
                    new_owner[found] = i
                    new_kink[found] = _ORIGIN
                    found += 1
                else:
                    changed = True
                continue
            elif _meets_rest(before[i], ahead[i], theta[i], regularizer) and _comes_to_rest(
                theta[i], velocity[i], regularizer, weight
            ):
                new_owner[found] = i
                new_kink[found] = _REST
                found += 1
                changed = True
                continue
            elif at_origin and _meets_origin(before[i], ahead[i], theta[i], velocity[i]):
                _hold_at_origin(theta[i], before[i, 1:])
                new_owner[found] = i
                new_kink[found] = _ORIGIN
                found += 1
                changed = True
                continue
            crossings = 0
            for j in range(g):
                active = z_before[local, j] > 0.0
                crossings += (active != (z_after[local, j] > 0.0)) | (active != (z_ahead[local, j] > 0.0))
            if crossings == 0 and position == first:
                continue
            added, moved = _settle_one(
                theta[i],
                velocity[i],
                z_before[local],
                z_ahead[local],
                z_after[local],
                crossings,
                kinks,
                squares,
                jumps,
                kink[first:position],
                fraction[first:position],
                new_kink[found : found + d - 1],
            )
            new_owner[found : found + added] = i
            found += added
            changed = changed or moved
    return found, changed


@jit
def _settle_one(
    theta, velocity, z_before, z_ahead, z_after, crossings, kinks, squares, jumps, held, fraction, contacts
):
    """Fill `contacts` with the kinks one particle slides along after a step; return their number and if it changed."""
    d = kinks.shape[1]
    a = theta[0]
    w = theta[1:].copy()
    u = velocity[1:].copy()  # kept as the velocity without the share of the kinks in `contacts`
    chosen = np.empty(d + 1, dtype=np.int64)
    basis = np.empty((d + 1, d))
    shares = np.empty(d + 1)
    count = 0
    rank = 0
    moved = False
    for q in range(held.size):
        j = held[q]
        if a * jumps[j] > 0.0:
            u += fraction[q] * a * jumps[j] * kinks[j]
            chosen[count] = j
            count += 1
            rank = _extend(basis, rank, kinks[j])
        else:
            moved = True
    crossed = np.empty(crossings, dtype=np.int64)
    when = np.empty(crossings)
    q = 0
    for j in range(z_before.size):
        active = z_before[j] > 0.0
        if (active != (z_after[j] > 0.0)) | (active != (z_ahead[j] > 0.0)):
            beyond = z_after[j] if active != (z_after[j] > 0.0) else z_ahead[j]
            crossed[q] = -1 if _contains(held, j) else j
            when[q] = z_before[j] / (z_before[j] - beyond)
            q += 1
    for q in np.argsort(when, kind="mergesort"):
        j = crossed[q]
        if j < 0:
            continue
        active = z_after[j] > 0.0  # the side whose share u holds
        jump = a * jumps[j]
        z = 0.0
        for k in range(d):
            z += w[k] * kinks[j, k]
        if (z > 0.0) != active:  # put back on an earlier kink, the particle does not get here
            u += (jump if active else -jump) * kinks[j]
            continue
        if jump <= 0.0 or rank >= d - 1:
            continue
        free = u + (jump if active else 0.0) * kinks[j]
        chosen[count] = j
        trial = free.copy()
        _least_norm(trial, a, kinks, squares, jumps, chosen, count + 1, shares)
        if 0.0 < shares[count] < 1.0:
            grown = _extend(basis, rank, kinks[j])
            if grown > rank:
                rank = grown
                count += 1
                u = free
                side = -np.ones(count)
                _project(w, basis, rank, kinks, squares, chosen, count, side)
                moved = True
    _least_norm(u, a, kinks, squares, jumps, chosen, count, shares)
    # sort out who stays: kept ones, ones released a moment ago (to be put on the right side), and ones that have left
    side = np.empty(count)
    kept = 0
    on_kink = 0
    rank = 0
    for q in range(count):
        j = chosen[q]
        stays = 0.0 < shares[q] < 1.0
        if stays:
            contacts[kept] = j
            kept += 1
        else:
            moved = True
            if abs(np.sum(w * kinks[j])) > _NOTICEABLE * math.sqrt(np.sum(w * w) * squares[j]):
                continue
        side[on_kink] = 1.0 if shares[q] >= 1.0 else -1.0
        chosen[on_kink] = j
        on_kink += 1
        rank = _extend(basis, rank, kinks[j])
    away = _distance(w, kinks, squares, chosen, on_kink, side)
    if away > 0.5 * _OFFSET:
        _project(w, basis, rank, kinks, squares, chosen, on_kink, side)
        moved = moved or away > _NOTICEABLE
    theta[1:] = w
    return kept, moved


@jit
def _contains(items, value):
    found = False
    for item in items:
        found = found or item == value
    return found
