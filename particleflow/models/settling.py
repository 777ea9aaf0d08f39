"""Which surfaces hold a cloud after a step, and the way onto them (see `particleflow.models.deep_sliding`).

The functions share a tuple, the world: the cloud, its velocity with the shares of all surfaces in contact, network and
pulls, and by surface the triples, normals, jumps and shares.
"""

import numpy as np

from particleflow.jit import jit
from particleflow.models.jumps import coordinate_jump, find_jumps, least_shares
from particleflow.models.kinks import contains
from particleflow.models.products import copy, marked
from particleflow.models.surfaces import (
    OFFSET,
    add_normal,
    dot,
    find_normal,
    independent,
    is_corner,
    is_lone,
    neuron,
    project,
    touch,
)

# A cloud that is released is on its surface still if it is this near.
_NOTICEABLE = 1e-10


@jit
def settle_on_surfaces(before, ahead, theta, velocity, network, pulls, surfaces, starts, normals, shares, active, kept):
    """Decide which surfaces hold the cloud from now on and put it there; return whether cloud or contacts changed.

    Surfaces come by component, held ones first (`kept`, replaced by the decision), then by the time of crossing.
    `active` says which of the crossed ones the velocity takes on their positive side; `shares` are those of the others.
    """
    current, jumps = velocity.copy(), np.empty(kept.size)
    world = theta, current, network, pulls, surfaces, normals, jumps, shares
    changed = False
    for start in range(starts.size - 1):
        chosen = np.arange(starts[start], starts[start + 1])
        joined = False
        if _some_new(chosen, kept) and _has_left(chosen, theta, surfaces, kept):
            # a coordinate may have left 0 because another surface was crossed: it is put back first
            asked, given, there, taken = kept.copy(), shares.copy(), theta.copy(), current.copy()
            _put_back(chosen, world, kept)
            count, joined, _ = _choose(chosen, before, ahead, world, active, kept)
            if not joined:
                copy(asked, kept)
                copy(given, shares)
                for i in range(len(theta)):
                    copy(there[i], theta[i])
                    copy(taken[i], current[i])
        if not joined:
            chosen = np.arange(starts[start], starts[start + 1])
            count, joined, left = _choose(chosen, before, ahead, world, active, kept)
            changed = changed or left
        changed = changed or joined
        if count:
            moved = _release(chosen[:count], world, kept)
            changed = changed or moved
    return changed


@jit
def _some_new(chosen, kept):
    """Return whether some surfaces were not held before."""
    some = False
    for c in chosen:
        some = some or not kept[c]
    return some


@jit
def _has_left(chosen, theta, surfaces, kept):
    """Return whether a coordinate in contact has left 0."""
    left = False
    for c in chosen:
        row, place, j = surfaces[c]
        left = left or (kept[c] and j < 0 and theta[row, 1 + place] != 0.0)
    return left


@jit
def _put_back(chosen, world, kept):
    """Put the coordinates in contact that have left 0 back on it; their shares are those of the side they were on."""
    theta, _, network, pulls, surfaces, _, _, shares = world
    held, count = np.empty(chosen.size, dtype=np.int64), 0
    for c in chosen:
        if kept[c]:
            held[count] = c
            count += 1
    held = held[:count]
    for c in held:
        row, place, j = surfaces[c]
        if j < 0 and theta[row, 1 + place] != 0.0:
            jump = coordinate_jump(theta, network, pulls, surfaces, held, row, place)
            shares[c] = jump if theta[row, 1 + place] > 0.0 else 0.0
            theta[row, 1 + place] = 0.0


@jit
def _choose(chosen, before, ahead, world, active, kept):
    """Put the surfaces that hold the cloud first; return their number, and whether some are new and some are lost."""
    count = 0
    joined = False
    left = False
    for c in chosen.copy():
        chosen[count] = c
        if kept[c]:
            kept[c] = _still_there(c, world)
            count += kept[c]
            left = left or not kept[c]
        else:
            count = _join(chosen, count, before, ahead, world, active[c], kept)
            joined = joined or kept[c]
    return count, joined, left


@jit
def _still_there(c, world):
    """Return whether a surface that was held exists where theta is now; if not, its share leaves the velocity."""
    theta, current, network, _, surfaces, normals, _, shares = world
    value, _ = find_normal(theta, network, surfaces[c], normals[c])
    if surfaces[c, 2] < 0 and value != 0.0:
        return False
    lone = is_lone(surfaces[c], normals[c], network[0].shape[1])
    if lone:
        add_normal(current, shares[c], network, surfaces[c], normals[c])
    return not lone


@jit
def _join(chosen, count, before, ahead, world, active, kept):
    """Put the cloud on one more surface beside the chosen ones if that holds it; return how many are chosen then.

    The surface is chosen[count]. Only shares of surfaces that touch it are found anew.
    """
    theta, current, network, pulls, surfaces, normals, jumps, shares = world
    c = chosen[count]
    value, _ = find_normal(theta, network, surfaces[c], normals[c])
    find_jumps(theta, network, pulls, surfaces, chosen[count : count + 1], chosen[: count + 1], jumps)
    if (value > 0.0) != active:  # put back on an earlier surface, the cloud does not get here
        add_normal(current, -jumps[c] if value > 0.0 else jumps[c], network, surfaces[c], normals[c])
        return count
    ring, size = np.empty(count + 1, dtype=np.int64), 0
    for other in chosen[:count]:
        if touch(network, surfaces[c], surfaces[other]):
            ring[size] = other
            size += 1
    ring[size] = c
    ring = ring[: size + 1]
    shares[c] = jumps[c] if active else 0.0
    old = shares.copy()
    for o in ring:
        add_normal(current, shares[o], network, surfaces[o], normals[o])
    together = _put_on(ring, chosen[: count + 1], before, ahead, world)
    if together.size == 0:
        for o in ring:
            shares[o] = old[o]
            add_normal(current, -shares[o], network, surfaces[o], normals[o])
        return count
    for o in ring:
        kept[o] = False
    for o in together:
        kept[o] = True
        add_normal(current, -shares[o], network, surfaces[o], normals[o])
    left = 0
    for q in range(count + 1):
        if kept[chosen[q]]:
            chosen[left] = chosen[q]
            left += 1
    return left


@jit
def _put_on(ring, chosen, before, ahead, world):
    """Put the cloud on the surfaces of the ring if the last of them holds it there, else leave it.

    Returns those surfaces without the ones that end where the last one is met; none if the cloud stays where it was.
    """
    theta, current, network, pulls, surfaces, normals, jumps, shares = world
    rows, s = _rows(ring, network, surfaces), network[0].shape[1]
    start, together = np.empty((rows.size, theta.shape[1])), ring
    for q in range(rows.size):
        copy(theta[rows[q]], start[q])
    while True:
        proper = _without_corners(together, surfaces, normals, s)
        if (
            independent(proper, network, surfaces, normals)
            and project(theta, proper, np.full(proper.size, -1.0), network, surfaces, normals)
            and _is_near(rows, start, before, ahead, theta)
        ):
            lists = surfaces, normals, together, chosen, jumps, shares
            fraction = least_shares(theta, current, network, pulls, *lists)
            if 0.0 < fraction[-1] < 1.0:
                return together
        ended = np.empty(together.size, dtype=np.bool_)
        for q in range(together.size):
            ended[q] = is_lone(surfaces[together[q]], normals[together[q]], s)
        for q in range(rows.size):
            copy(start[q], theta[rows[q]])
        for c in ring:
            find_normal(theta, network, surfaces[c], normals[c])
        if ended[-1] or not contains(ended, True):
            return together[:0]
        others, count = np.empty(together.size, dtype=np.int64), 0
        for q in range(together.size):
            c = together[q]
            if ended[q]:
                _end(theta, network, surfaces[c], normals[c], surfaces[ring[-1]])
            else:
                others[count] = c
                count += 1
        together = others[:count]


@jit
def _without_corners(chosen, surfaces, normals, s):
    """Return the chosen surfaces that are no corners."""
    proper, count = np.empty(chosen.size, dtype=np.int64), 0
    for c in chosen:
        if not is_corner(surfaces[c], normals[c], s):
            proper[count] = c
            count += 1
    return proper[:count]


@jit
def _end(theta, network, surface, normal, meeting):
    """Move theta to the end of a surface q_i(x_j) = 0 at u_ik = 0: neurons other than k get inactive there."""
    supports, _, inputs, _, _ = network
    row, _, j = surface
    if meeting[2] >= 0 or meeting[0] != row:
        return
    x = inputs[j]
    for k in range(supports.shape[1]):
        if normal[1 + k] > 0.0 and k != meeting[1]:
            W = neuron(theta, network, supports[row, k])
            move = (normal[1 + k] + OFFSET * np.sqrt(dot(W, W) * dot(x, x))) / dot(x, x)
            for c in range(x.size):
                W[c] -= move * x[c]


@jit
def _rows(chosen, network, surfaces):
    """Return the rows of the cloud that a move onto the chosen surfaces may change."""
    supports, own, _, _, _ = network
    touched = np.zeros(len(supports), dtype=np.bool_)
    for c in chosen:
        row, place, j = surfaces[c]
        touched[row] = True
        for k in range(supports.shape[1]):
            if (j < 0) != (place < 0) and supports[row, k] >= 0:
                touched[supports[row, k] // own] = True
    return marked(touched)


@jit
def _is_near(rows, start, before, ahead, theta):
    """Return whether theta is not farther from `start` than the step was long, for the rows that differ."""
    moved = 0.0
    step = 0.0
    for q in range(rows.size):
        i = rows[q]
        distance = 0.0
        length = 0.0
        for k in range(theta.shape[1]):
            distance += (theta[i, k] - start[q, k]) ** 2
            length += (start[q, k] - before[i, k]) ** 2 + (ahead[i, k] - before[i, k]) ** 2
        moved += distance
        step += length if distance > 0.0 else 0.0
    return moved <= 4.0 * step


@jit
def _release(chosen, world, kept):
    """Release the chosen surfaces that the velocity leaves, put the cloud on the others; return if anything changed."""
    theta, current, network, pulls, surfaces, normals, jumps, shares = world
    for c in chosen:
        find_normal(theta, network, surfaces[c], normals[c])
        add_normal(current, shares[c], network, surfaces[c], normals[c])
    fraction = least_shares(theta, current, network, pulls, surfaces, normals, chosen, chosen, jumps, shares)
    side = np.empty(chosen.size)
    count = 0
    away = 0.0
    changed = False
    for q in range(chosen.size):
        c = chosen[q]
        value, scale = find_normal(theta, network, surfaces[c], normals[c])
        coordinate = surfaces[c, 2] < 0  # one that leaves 0 is released when it has left
        corner = is_corner(surfaces[c], normals[c], network[0].shape[1])
        kept[c] = coordinate or corner or 0.0 < fraction[q] < 1.0
        changed = changed or not kept[c]
        if not corner and (kept[c] or abs(value) <= _NOTICEABLE * scale):
            side[count] = 1.0 if fraction[q] >= 1.0 else -1.0
            chosen[count] = c
            if not coordinate and scale > 0.0:
                away = max(away, abs(value / scale - side[count] * OFFSET))
            count += 1
    if away > 0.5 * OFFSET:
        project(theta, chosen[:count], side[:count], network, surfaces, normals)
        changed = True  # however little: a resumed flow evaluates the velocity here
    return changed
