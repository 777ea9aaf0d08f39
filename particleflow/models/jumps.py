"""By how much the velocity jumps across a surface of `particleflow.models.surfaces`, and the least norm between both sides.

A network is the tuple (supports, own, inputs, …): the supports (m, s), the number of first-layer neurons in a row, the
inputs (g, d), and the edges of `particleflow.models.edges`. Pulls are the tuple (r, code of V, λ/2), r_j = ½ℓ'_j / n.
"""

import math

import numpy as np

from particleflow.jit import jit
from particleflow.models.kinks import bounded_least_squares
from particleflow.models.surfaces import along, neuron, unit_gram
from particleflow.regularizers import PATH_NORM, SCALED_SQUARED_NORM

# How often the bounds of surfaces that share a datum are set anew.
_ROUNDS = 6


@jit
def regularizer_jump(theta, network, row, place, regularizer, weight):
    """Return by how much V lowers the velocity of a_i (place −1) or u_ik where it gets positive."""
    supports, own, inputs = network[:3]
    s = supports.shape[1]
    total = 0.0
    for k in range(s):
        q = supports[row, k]
        if q >= 0 and (place < 0 or place == k):
            W = neuron(theta, s, own, q, inputs.shape[1])
            square = np.sum(W * W)
            u = theta[row, 1 + k]
            if regularizer == PATH_NORM:
                total += (abs(u) if place < 0 else abs(theta[row, 0])) * math.sqrt(square)
            elif regularizer == SCALED_SQUARED_NORM and place < 0:
                total += u * u + square
    return 2.0 * weight * total


@jit
def lone_output(theta, network, row, place, datum, chosen, surfaces):
    """Return σ(z_k), k = place, if no other neuron of the cluster is active for that datum, else 0.

    Neurons whose own surface of that datum is chosen are not.
    """
    supports, own, inputs = network[:3]
    s = supports.shape[1]
    z = np.sum(neuron(theta, s, own, supports[row, place], inputs.shape[1]) * inputs[datum])
    if z <= 0.0:
        return 0.0
    for k in range(s):
        q = supports[row, k]
        if k != place and q >= 0:
            active = np.sum(neuron(theta, s, own, q, inputs.shape[1]) * inputs[datum]) > 0.0
            if active and not contains(chosen, surfaces, q // own, q % own, datum):
                return 0.0
    return z


@jit
def contains(chosen, surfaces, row, place, datum):
    """Return whether a surface is among the chosen ones."""
    found = False
    for c in chosen:
        found = found or (surfaces[0][c] == row and surfaces[1][c] == place and surfaces[2][c] == datum)
    return found


@jit
def coordinate_jump(theta, network, pulls, row, place, chosen, surfaces):
    """Return the jump across a_i = 0 or u_ik = 0: of V, and of the data for which neuron k alone is active.

    For those σ(q_i) = σ(u_ik) σ(z_k).
    """
    residuals, regularizer, weight = pulls
    total = 0.0
    if place >= 0:
        for j in range(residuals.size):
            total += residuals[j] * lone_output(theta, network, row, place, j, chosen, surfaces)
    return regularizer_jump(theta, network, row, place, regularizer, weight) + theta[row, 0] * total


@jit
def find_jumps(theta, chosen, network, pulls, surfaces, jumps):
    """Fill the jumps across the chosen surfaces.

    That across a surface of the first layer leaves out clusters whose own surface is chosen for the same datum.
    """
    row, place, datum = surfaces
    for c in chosen:
        if datum[c] < 0:
            jumps[c] = coordinate_jump(theta, network, pulls, row[c], place[c], chosen, surfaces)
        elif place[c] < 0:
            jumps[c] = theta[row[c], 0] * pulls[0][datum[c]]
        else:
            jumps[c] = _first_jump(theta, c, chosen, network, pulls[0], surfaces)


@jit
def _first_jump(theta, c, chosen, network, residuals, surfaces):
    row, place, datum = surfaces
    supports, own, of_unit, cluster, slot = network[0], network[1], network[6], network[7], network[8]
    q, j = row[c] * own + place[c], datum[c]
    total = 0.0
    for e in range(of_unit[q], of_unit[q + 1]):
        i = cluster[e]
        if not contains(chosen, surfaces, i, -1, j):
            u = theta[i, 1 + slot[e] - i * supports.shape[1]]
            value = _output(theta, network, i, j, q, chosen, surfaces)
            if value > 0.0 or (value == 0.0 and u > 0.0):  # 0 exactly: the cluster is active where the neuron is
                total += theta[i, 0] * u * residuals[j]
    return total


@jit
def _output(theta, network, i, j, q, chosen, surfaces):
    """Return q_i(x_j), where other neurons than q that lie on their own surface of that datum give 0."""
    supports, own, inputs = network[:3]
    s = supports.shape[1]
    total = 0.0
    for k in range(s):
        other = supports[i, k]
        if other >= 0:
            z = np.sum(neuron(theta, s, own, other, inputs.shape[1]) * inputs[j])
            if z > 0.0 and (other == q or not contains(chosen, surfaces, other // own, other % own, j)):
                total += theta[i, 1 + k] * z
    return total


@jit
def least_shares(theta, v, chosen, network, pulls, surfaces, normals, jumps, shares):
    """Find the y_c that make the norm of v − Σ y_c N_c least, 0 ≤ y_c ≤ jump_c over the chosen surfaces.

    Fills the jumps and the shares y_c, and returns the fractions s_c = y_c / jump_c; 0 where that is not positive.
    Where two surfaces share a datum the jump across the one in the first layer grows with the fraction of the other, as
    σ'(q_i) does, of which it is a mixture.
    """
    row, _, datum = surfaces
    outer, unit, inner = normals
    count = chosen.size
    find_jumps(theta, chosen, network, pulls, surfaces, jumps)
    gram, size = unit_gram(chosen, network, surfaces, normals)
    target = np.empty(count)
    own = np.empty(count)
    for q in range(count):
        c = chosen[q]
        target[q] = along(v, network, row[c], datum[c], outer[c], unit[c], inner[c]) / size[q]
        own[q] = jumps[c]
        shares[c] = max(0.0, jumps[c])
    fraction = np.zeros(count)
    for _ in range(_ROUNDS):
        tied = False
        for q in range(count):
            added = _tied_jump(theta, chosen[q], chosen, network, pulls[0], surfaces, unit, shares)
            tied = tied or added != 0.0
            jumps[chosen[q]] = own[q] + added
        upper = np.maximum(0.0, jumps[chosen]) * size
        y = bounded_least_squares(gram, target, upper, np.ones(count, dtype=np.bool_))
        moved = 0.0
        for q in range(count):
            c = chosen[q]
            moved = max(moved, abs(y[q] / size[q] - shares[c]))
            shares[c] = y[q] / size[q]
            # at a bound exactly, so that it counts as no contact
            fraction[q] = 0.0 if y[q] <= 0.0 else 1.0 if y[q] >= upper[q] else y[q] / upper[q]
        if not tied or moved == 0.0:
            break
    return fraction


@jit
def _tied_jump(theta, c, chosen, network, residuals, surfaces, unit, shares):
    """Return what the jump across a surface of the first layer gets from clusters between active and not.

    These are the clusters that read the neuron and lie on their own surface of the same datum, σ'(q_i) = y / (a_i r_j),
    or at u_ik = 0 for a neuron k that is active alone, σ'(q_i) ≤ y / (a_i r_j σ(z_k)); only the lack is added there.
    """
    row, place, datum = surfaces
    supports, own = network[0], network[1]
    if datum[c] < 0 or place[c] < 0:
        return 0.0
    q, j = row[c] * own + place[c], datum[c]
    total = 0.0
    for other in chosen:
        i, k = row[other], place[other]
        if not (datum[other] == j and k < 0) and not (datum[other] < 0 and k >= 0):
            continue
        for edge in range(supports.shape[1]):
            if supports[i, edge] != q:
                continue
            u = theta[i, 1 + edge]
            if datum[other] == j:
                if unit[other, edge] < 0:
                    total += u * shares[other]
            elif edge != k and u > 0.0 and theta[i, 1 + k] == 0.0:
                z = lone_output(theta, network, i, k, j, chosen, surfaces)
                full = theta[i, 0] * residuals[j]
                if z > 0.0 and full > 0.0:
                    total += u * (min(shares[other] / z, full) - full)
    return total
