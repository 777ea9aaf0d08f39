"""The kinks ⟨w, x_j⟩ = 0 of a relu network, for one particle: which of them it slides along, and how fast.

`particleflow.models.sliding` says what sliding is. Everything here is small compiled geometry: a kink is a hyperplane
through the origin of w-space, x_j its normal, and jumps[j] = r_j = ½ℓ'_j / n; a r_j > 0 makes it convex.
"""

import math

import numpy as np

from particleflow.jit import jit
from particleflow.models.products import add_multiple, copy, dot, marked

# A particle in contact is kept this far on the inactive side (relative to ‖w‖‖x‖), so that its sign is beyond rounding.
_OFFSET = 1e-12
# A particle that is released is on its kink still if it is this near.
_NOTICEABLE = 1e-10


@jit
def least_norm(u, a, kinks, squares, jumps, chosen, count, fraction):
    """Subtract a r_j s_j x_j from u for the chosen kinks, with the s_j ∈ [0, 1] that make ‖u‖ least.

    Kinks that are not convex (a r_j ≤ 0) are left alone, with s_j = 0. Exact up to rounding: one kink in closed form,
    several by an active set.
    """
    fraction[:count] = 0.0
    if count == 0:
        return
    if count == 1:
        j = chosen[0]
        jump = a * jumps[j]
        if jump > 0.0:
            fraction[0] = min(1.0, max(0.0, dot(u, kinks[j]) / (jump * squares[j])))
            add_multiple(-fraction[0] * jump, kinks[j], u)
        return
    # in units of the share y_j = s_j a r_j ‖x_j‖ along the unit normals, 0 ≤ y_j ≤ upper_j
    gram = np.empty((count, count))
    target = np.empty(count)
    upper = np.empty(count)
    for q in range(count):
        size = math.sqrt(squares[chosen[q]])
        upper[q] = max(0.0, a * jumps[chosen[q]]) * size
        target[q] = dot(u, kinks[chosen[q]]) / size
        for p in range(q + 1):
            product = dot(kinks[chosen[p]], kinks[chosen[q]]) / (size * math.sqrt(squares[chosen[p]]))
            gram[p, q] = gram[q, p] = product
    share = bounded_least_squares(gram, target, upper, np.ones(count, dtype=np.bool_))
    for q in range(count):
        if upper[q] > 0.0:
            # at a bound exactly, so that it counts as no contact
            fraction[q] = 1.0 if share[q] >= upper[q] else share[q] / upper[q]
            add_multiple(-fraction[q] * a * jumps[chosen[q]], kinks[chosen[q]], u)


@jit
def bounded_least_squares(gram, target, upper, inside):
    """Return the y with 0 ≤ y ≤ upper that makes ½ yᵀ gram y − target·y least; gram has a unit diagonal.

    An active set (Stark & Parker 1995), which starts with the entries `inside` between their bounds.
    """
    count = target.size
    free = np.empty(count, dtype=np.bool_)
    y = np.zeros(count)
    scale = 0.0
    for q in range(count):
        free[q] = inside[q] and upper[q] > 0.0
        if free[q]:
            y[q] = 0.5 * upper[q]
        scale = max(scale, 1e-13 * abs(target[q]))
    for _ in range(10 * count + 1):
        while contains(free, True):
            trial = solve_free(gram, target, y, free)
            # go towards the solution until the first bound
            reach = 1.0
            for q in range(count):
                if free[q]:
                    if trial[q] < 0.0:
                        reach = min(reach, y[q] / (y[q] - trial[q]))
                    elif trial[q] > upper[q]:
                        reach = min(reach, (upper[q] - y[q]) / (trial[q] - y[q]))
            stuck = True
            for q in range(count):
                if free[q]:
                    aim = trial[q]
                    y[q] += reach * (aim - y[q])
                    if reach < 1.0 and (aim < 0.0 or aim > upper[q]):
                        bound = 0.0 if aim < 0.0 else upper[q]
                        if abs(y[q] - bound) <= 1e-12 * upper[q]:
                            y[q] = bound
                            free[q] = False
                            stuck = False
            if reach >= 1.0 or stuck:
                break
        # free the bound that pulls inside the most
        entering = -1
        strongest = scale
        for q in range(count):
            if not free[q] and upper[q] > 0.0:
                pull = target[q] - dot(gram[q], y)
                pull = pull if y[q] == 0.0 else -pull
                if pull > strongest:
                    strongest = pull
                    entering = q
        if entering < 0:
            break
        free[entering] = True
    return y


@jit
def solve_free(gram, target, y, free):
    """Return y with the free entries replaced by the solution of their normal equations (Cholesky)."""
    index = marked(free)
    count = index.size
    factor = np.zeros((count, count))
    x = np.empty(count)
    for p in range(count):
        value = target[index[p]]
        for j in range(y.size):
            if not free[j]:
                value -= gram[index[p], j] * y[j]
        for q in range(p + 1):
            entry = gram[index[p], index[q]]
            for k in range(q):
                entry -= factor[p, k] * factor[q, k]
            # a dependent normal gets a tiny pivot instead of none
            factor[p, q] = math.sqrt(max(entry, 1e-14)) if p == q else entry / factor[q, q]
        for k in range(p):
            value -= factor[p, k] * x[k]
        x[p] = value / factor[p, p]
    for p in range(count - 1, -1, -1):
        for k in range(p + 1, count):
            x[p] -= factor[k, p] * x[k]
        x[p] /= factor[p, p]
    solution = y.copy()
    for p in range(count):
        solution[index[p]] = x[p]
    return solution


@jit
def settle_on_kinks(theta, velocity, z_before, z_ahead, z_after, kinks, squares, jumps, held, fraction, contacts):
    """Fill `contacts` with the kinks one particle slides along after a step; return their number and if it changed.

    The kinks must be all those that it crossed and those it is held at.
    """
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
            add_multiple(fraction[q] * a * jumps[j], kinks[j], u)
            chosen[count] = j
            count += 1
            rank = _extend(basis, rank, kinks[j])
        else:
            moved = True
    crossed = np.empty(z_before.size, dtype=np.int64)
    when = np.empty(z_before.size)
    passed = 0
    for j in range(z_before.size):
        active = z_before[j] > 0.0
        if (active != (z_after[j] > 0.0)) | (active != (z_ahead[j] > 0.0)):
            beyond = z_after[j] if active != (z_after[j] > 0.0) else z_ahead[j]
            crossed[passed] = -1 if contains(held, j) else j
            when[passed] = z_before[j] / (z_before[j] - beyond)
            passed += 1
    for q in _order(when[:passed]):
        j = crossed[q]
        if j < 0:
            continue
        active = z_after[j] > 0.0  # the side whose share u holds
        jump = a * jumps[j]
        if (dot(w, kinks[j]) > 0.0) != active:  # put back on an earlier kink, the particle does not get here
            add_multiple(jump if active else -jump, kinks[j], u)
            continue
        if jump <= 0.0 or rank >= d - 1:
            continue
        free = u.copy()
        add_multiple(jump if active else 0.0, kinks[j], free)
        chosen[count] = j
        trial = free.copy()
        least_norm(trial, a, kinks, squares, jumps, chosen, count + 1, shares)
        if 0.0 < shares[count] < 1.0:
            grown = _extend(basis, rank, kinks[j])
            if grown > rank:
                rank = grown
                count += 1
                u = free
                side = np.empty(count)
                side[:] = -1.0
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
            if abs(dot(w, kinks[j])) > _NOTICEABLE * math.sqrt(dot(w, w) * squares[j]):
                continue
        side[on_kink] = 1.0 if shares[q] >= 1.0 else -1.0
        chosen[on_kink] = j
        on_kink += 1
        rank = _extend(basis, rank, kinks[j])
    away = _distance(w, kinks, squares, chosen, on_kink, side)
    if away > 0.5 * _OFFSET:
        _project(w, basis, rank, kinks, squares, chosen, on_kink, side)
        moved = True  # however little: a resumed flow evaluates the velocity here
    copy(w, theta[1:])
    return kept, moved


@jit
def _order(values):
    """Return the indices that sort values, equal ones in their order: Shell's method, which is little to compile."""
    index = np.empty(values.size, dtype=np.int64)
    for q in range(values.size):
        index[q] = q
    gap = values.size // 2
    while gap > 0:
        for q in range(gap, values.size):
            item, p = index[q], q
            while p >= gap and _is_later(values, index[p - gap], item):
                index[p] = index[p - gap]
                p -= gap
            index[p] = item
        gap //= 2
    return index


@jit
def _is_later(values, p, q):
    """Return whether q comes before p in the order of the values."""
    return values[p] > values[q] or (values[p] == values[q] and p > q)


@jit
def _project(w, basis, rank, kinks, squares, chosen, count, side):
    """Move w to ⟨w, x_j⟩ = side·offset for the chosen kinks, along their span."""
    for _ in range(3 if count > 1 else 1):  # repeated against rounding
        for b in range(rank):
            add_multiple(-dot(w, basis[b]), basis[b], w)
    size = math.sqrt(dot(w, w))
    for q in range(count):
        add_multiple(side[q] * _OFFSET * size / math.sqrt(squares[chosen[q]]), kinks[chosen[q]], w)


@jit
def _distance(w, kinks, squares, chosen, count, side):
    """Return how far w is from where `project` would put it, relative to ‖w‖."""
    size = math.sqrt(dot(w, w))
    largest = 0.0
    for q in range(count):
        z = dot(w, kinks[chosen[q]]) / math.sqrt(squares[chosen[q]])
        largest = max(largest, abs(z - side[q] * _OFFSET * size))
    return largest / size if size > 0.0 else 0.0


@jit
def _extend(basis, rank, x):
    """Add the direction of x to the orthonormal rows of basis; return the new rank (the old one if it is dependent)."""
    row = basis[rank]
    copy(x, row)
    for _ in range(2):
        for b in range(rank):
            add_multiple(-dot(row, basis[b]), basis[b], row)
    norm = math.sqrt(dot(row, row))
    if norm <= 1e-9 * math.sqrt(dot(x, x)):
        return rank
    for k in range(x.size):
        row[k] /= norm
    return rank + 1


@jit
def contains(items, value):
    """Return whether a value is among some numbers."""
    found = False
    for item in items:
        found = found or item == value
    return found
