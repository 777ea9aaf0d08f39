"""The kinks ⟨w, x_j⟩ = 0 of a relu network, for one particle: which of them it slides along, and how fast.

`particleflow.models.sliding` says what sliding is. Everything here is small compiled geometry: a kink is a hyperplane
through the origin of w-space, x_j its normal, and jumps[j] = r_j = ½ℓ'_j / n; a r_j > 0 makes it convex.
"""

import math

import numpy as np

from particleflow.jit import jit

# A particle in contact is kept this far on the inactive side (relative to ‖w‖‖x‖), so that its sign is beyond rounding.
_OFFSET = 1e-12
# Putting a particle back on its kink by less than this leaves its velocity as it is.
_NOTICEABLE = 1e-10
_SWEEPS = 5000


@jit
def least_norm(u, a, kinks, squares, jumps, chosen, count, fraction):
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
def settle_on_kinks(
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
        least_norm(trial, a, kinks, squares, jumps, chosen, count + 1, shares)
        if 0.0 < shares[count] < 1.0:
            grown = _extend(basis, rank, kinks[j])
            if grown > rank:
                rank = grown
                count += 1
                u = free
                side = -np.ones(count)
                _project(w, basis, rank, kinks, squares, chosen, count, side)
                moved = True
    least_norm(u, a, kinks, squares, jumps, chosen, count, shares)
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
    """Return how far w is from where `project` would put it, relative to ‖w‖."""
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
def _contains(items, value):
    found = False
    for item in items:
        found = found or item == value
    return found
