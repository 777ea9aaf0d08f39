"""By how much the velocity jumps across a surface of `particleflow.models.surfaces`, and the least norm of a mixture.

Pulls are the tuple (r, code of V, λ/2) with r_j = ½ℓ'_j / n.
"""

import math

import numpy as np

from particleflow.jit import jit
from particleflow.models.kinks import bounded_least_squares
from particleflow.models.surfaces import along, dot, is_corner, neuron, output, unit_gram
from particleflow.regularizers import PATH_NORM, SCALED_SQUARED_NORM

# How often the bounds of surfaces that share a datum are set anew.
_ROUNDS = 6


@jit
def contains(surfaces, chosen, row, place, j):
    """Return whether a surface is among the chosen ones."""
    found = False
    for c in chosen:
        found = found or (surfaces[c, 0] == row and surfaces[c, 1] == place and surfaces[c, 2] == j)
    return found


@jit
def regularizer_jump(theta, network, pulls, row, place):
    """Return by how much V lowers the velocity of a_i (place −1) or u_ik where it gets positive."""
    supports = network[0]
    _, code, weight = pulls
    total = 0.0
    for k in range(supports.shape[1]):
        if supports[row, k] >= 0 and (place < 0 or place == k):
            W = neuron(theta, network, supports[row, k])
            u = theta[row, 1 + k]
            if code == PATH_NORM:
                total += abs(u if place < 0 else theta[row, 0]) * math.sqrt(dot(W, W))
            elif code == SCALED_SQUARED_NORM and place < 0:
                total += u * u + dot(W, W)
    return 2.0 * weight * total


@jit
def coordinate_jump(theta, network, pulls, surfaces, chosen, row, place):
    """Return the jump across a_i = 0 or u_ik = 0: of V, and of the data for which neuron k alone is active.

    For those σ(q_i) = σ(u_ik) σ(z_k).
    """
    total = 0.0
    if place >= 0:
        for j in range(pulls[0].size):
            total += pulls[0][j] * _lone_output(theta, network, surfaces, chosen, row, place, j)
    return regularizer_jump(theta, network, pulls, row, place) + theta[row, 0] * total


@jit
def _lone_output(theta, network, surfaces, chosen, row, place, j):
    """Return σ(z_k), k = place, if no other neuron of the cluster is active for that datum, else 0.

    Neurons on their own surface of that datum are not.
    """
    supports, own, _, _, _ = network
    z = output(theta, network, supports[row, place], j)
    if z <= 0.0:
        return 0.0
    for k in range(supports.shape[1]):
        q = supports[row, k]
        active = k != place and q >= 0 and output(theta, network, q, j) > 0.0
        if active and not contains(surfaces, chosen, q // own, q % own, j):
            return 0.0
    return z


@jit
def find_jumps(theta, network, pulls, surfaces, which, chosen, jumps):
    """Fill the jumps across some surfaces (`which`) when all the `chosen` ones are in contact.

    That across a surface of the first layer leaves out clusters whose own surface is chosen for the same datum.
    """
    for c in which:
        row, place, j = surfaces[c]
        if j < 0:
            jumps[c] = coordinate_jump(theta, network, pulls, surfaces, chosen, row, place)
        elif place < 0:
            jumps[c] = theta[row, 0] * pulls[0][j]
        else:
            jumps[c] = pulls[0][j] * first_jump(theta, network, surfaces, chosen, row * network[1] + place, j)


@jit
def first_jump(theta, network, surfaces, chosen, q, j):
    """Return Σ a_i u_ik σ'(q_i) over the readers of neuron q."""
    _, _, _, first, readers = network
    total = 0.0
    for e in range(first[q], first[q + 1]):
        i, k = readers[e]
        if not contains(surfaces, chosen, i, -1, j):
            u = theta[i, 1 + k]
            value = _cluster_output(theta, network, surfaces, chosen, i, q, j)
            if value > 0.0 or (value == 0.0 and u > 0.0):  # 0 exactly: the cluster is active where the neuron is
                total += theta[i, 0] * u
    return total


@jit
def _cluster_output(theta, network, surfaces, chosen, i, q, j):
    """Return q_i(x_j), where other neurons than q that lie on their own surface of that datum give 0."""
    supports, own, _, _, _ = network
    total = 0.0
    for k in range(supports.shape[1]):
        other = supports[i, k]
        if other >= 0:
            z = output(theta, network, other, j)
            if z > 0.0 and (other == q or not contains(surfaces, chosen, other // own, other % own, j)):
                total += theta[i, 1 + k] * z
    return total


@jit
def least_shares(theta, v, network, pulls, surfaces, normals, which, chosen, jumps, shares):
    """Find the y_c that make the norm of v − Σ y_c N_c least, 0 ≤ y_c ≤ jump_c over some surfaces.

    Fills their jumps and shares y_c; those of the other `chosen` ones stay. Returns the fractions s_c = y_c / jump_c, 0
    where that is not positive. Where two surfaces share a datum the jump across the one in the first layer grows with
    the fraction of the other, as σ'(q_i) does, of which it is a mixture.
    """
    count = which.size
    find_jumps(theta, network, pulls, surfaces, which, chosen, jumps)
    gram, size = unit_gram(which, network, surfaces, normals)
    target, own, upper, fraction = np.empty(count), np.empty(count), np.empty(count), np.zeros(count)
    inside = np.ones(count, dtype=np.bool_)
    for q in range(count):
        c = which[q]
        target[q] = along(v, network, surfaces[c], normals[c]) / size[q]
        own[q] = jumps[c]
        inside[q] = not is_corner(surfaces[c], normals[c], network[0].shape[1])
        shares[c] = max(0.0, jumps[c])
    for _ in range(_ROUNDS):
        tied = False
        for q in range(count):
            c = which[q]
            added = _tied_jump(theta, network, pulls[0], surfaces, normals, chosen, shares, c)
            tied = tied or added != 0.0
            jumps[c] = own[q] + added
            upper[q] = max(0.0, jumps[c]) * size[q]
        y = bounded_least_squares(gram, target, upper, inside)
        moved = False
        for q in range(count):
            c = which[q]
            moved = moved or shares[c] != y[q] / size[q]
            shares[c] = y[q] / size[q]
            # at a bound exactly, so that it counts as no contact
            fraction[q] = 0.0 if y[q] <= 0.0 else 1.0 if y[q] >= upper[q] else y[q] / upper[q]
        if not (tied and moved):
            break
    return fraction


@jit
def _tied_jump(theta, network, residuals, surfaces, normals, chosen, shares, c):
    """Return what the jump across a surface of the first layer gets from clusters between active and not.

    These are the clusters that read the neuron and lie on their own surface of the same datum, σ'(q_i) = y / (a_i r_j),
    or at u_ik = 0 for a neuron k that is active alone, σ'(q_i) ≤ y / (a_i r_j σ(z_k)); only the lack is added there.
    """
    supports, own, _, _, _ = network
    s = supports.shape[1]
    row, place, j = surfaces[c]
    if j < 0 or place < 0:
        return 0.0
    total = 0.0
    for other in chosen:
        i, k, datum = surfaces[other]
        if (datum == j and k < 0) or (datum < 0 and k >= 0):
            for edge in range(s):
                if supports[i, edge] == row * own + place:
                    u = theta[i, 1 + edge]
                    if datum == j and normals[other, 1 + edge] == 0.0:
                        total += u * shares[other]
                    elif datum < 0 and edge != k and u > 0.0 and theta[i, 1 + k] == 0.0:
                        z = _lone_output(theta, network, surfaces, chosen, i, k, j)
                        full = theta[i, 0] * residuals[j]
                        if z > 0.0 and full > 0.0:
                            total += u * (min(shares[other] / z, full) - full)
    return total


@jit
def find_corner(theta, network, pulls, row, found):
    """Fill `found` with the data j for which all active neurons of a cluster, two or more, have u_ik = 0.

    Returns their number; none if there are more than `found` has room for.
    """
    supports = network[0]
    count = 0
    for j in range(pulls[0].size):
        active = 0
        moving = 0
        for k in range(supports.shape[1]):
            if moving == 0 and supports[row, k] >= 0 and output(theta, network, supports[row, k], j) > 0.0:
                active += 1
                moving += theta[row, 1 + k] != 0.0
        if active > 1 and moving == 0 and theta[row, 0] * pulls[0][j] > 0.0:
            if count == found.size:
                return 0
            found[count] = j
            count += 1
    return count
