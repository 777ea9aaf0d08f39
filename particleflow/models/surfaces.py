"""The surfaces across which the velocity of a network with two hidden layers jumps: normals, and the way back onto them.

`particleflow.models.deep_sliding` says what they are for. A surface is a triple (row, place, datum):

    (i, −1, −1)    a_i = 0
    (i,  k, −1)    u_ik = 0
    (r,  l,  j)    ⟨W_q, x_j⟩ = 0 for the first-layer neuron q = r·own + l that row r holds
    (i, −1,  j)    q_i(x_j) = Σ_k u_ik σ(⟨W_S(i,k), x_j⟩) = 0

The normal of each of them is the gradient of its left-hand side, a vector `outer` along (a_i, u_i) of its row, and a
coefficient `inner` times x_j along each of at most s neurons `unit` (−1 for none).
"""

import math

import numpy as np

from particleflow.jit import jit
from particleflow.models.kinks import solve_free

# A cloud in contact is put this far on one side, relative to the terms of the left-hand side, beyond rounding.
OFFSET = 1e-12
# Normals count as independent of the others down to this sine, squared.
_INDEPENDENT = 1e-8


@jit
def find_normal(theta, network, row, place, datum, outer, unit, inner):
    """Fill the normal of a surface; return its left-hand side and the size of the terms in it."""
    supports, own, inputs = network[:3]
    s = supports.shape[1]
    outer[:] = 0.0
    unit[:] = -1
    inner[:] = 0.0
    if datum < 0:
        outer[1 + place] = 1.0
        return theta[row, 1 + place], 1.0
    if place >= 0:
        unit[0] = row * own + place
        inner[0] = 1.0
        W = neuron(theta, s, own, unit[0], inputs.shape[1])
        return np.sum(W * inputs[datum]), math.sqrt(np.sum(W * W) * np.sum(inputs[datum] ** 2))
    value = 0.0
    size = 0.0
    for k in range(s):
        q = supports[row, k]
        if q >= 0:
            z = np.sum(neuron(theta, s, own, q, inputs.shape[1]) * inputs[datum])
            if z > 0.0:
                u = theta[row, 1 + k]
                outer[1 + k] = z
                unit[k] = q
                inner[k] = u
                value += u * z
                size += abs(u) * z
    return value, size


@jit
def neuron(theta, s, own, q, d):
    """Return the part of theta (or of a velocity) that belongs to the first-layer neuron q."""
    start = 1 + s + (q % own) * d
    return theta[q // own, start : start + d]


@jit
def along(v, network, row, datum, outer, unit, inner):
    """Return ⟨N, v⟩ for a normal and a velocity (m, p)."""
    supports, own, inputs = network[:3]
    s = supports.shape[1]
    total = 0.0
    for k in range(1 + s):
        total += outer[k] * v[row, k]
    for k in range(s):
        if unit[k] >= 0:
            total += inner[k] * np.sum(neuron(v, s, own, unit[k], inputs.shape[1]) * inputs[datum])
    return total


@jit
def add_normal(v, scale, network, row, datum, outer, unit, inner):
    """Add scale·N to v (m, p)."""
    supports, own, inputs = network[:3]
    s = supports.shape[1]
    for k in range(1 + s):
        if outer[k] != 0.0:
            v[row, k] += scale * outer[k]
    for k in range(s):
        if unit[k] >= 0:
            part = neuron(v, s, own, unit[k], inputs.shape[1])
            for c in range(part.size):
                part[c] += scale * inner[k] * inputs[datum, c]


@jit
def _product(p, q, network, surfaces, normals):
    """Return ⟨N_p, N_q⟩."""
    row, _, datum = surfaces
    outer, unit, inner = normals
    inputs = network[2]
    total = np.sum(outer[p] * outer[q]) if row[p] == row[q] else 0.0
    shared = 0.0
    for k in range(unit.shape[1]):
        if unit[p, k] >= 0:
            for other in range(unit.shape[1]):
                if unit[p, k] == unit[q, other]:
                    shared += inner[p, k] * inner[q, other]
    if shared != 0.0:
        total += shared * np.sum(inputs[datum[p]] * inputs[datum[q]])
    return total


@jit
def unit_gram(chosen, network, surfaces, normals):
    """Return the Gram matrix of the chosen normals, scaled to length 1, and their lengths (1 for a normal 0)."""
    count = chosen.size
    gram = np.empty((count, count))
    size = np.empty(count)
    for q in range(count):
        for p in range(q + 1):
            gram[p, q] = gram[q, p] = _product(chosen[p], chosen[q], network, surfaces, normals)
        size[q] = math.sqrt(gram[q, q]) if gram[q, q] > 0.0 else 1.0
    for q in range(count):
        for p in range(count):
            gram[p, q] /= size[p] * size[q]
        gram[q, q] = 1.0
    return gram, size


@jit
def project(theta, chosen, side, network, surfaces, normals):
    """Move theta to the chosen surfaces, side·offset beyond each, along their normals; return whether it got there.

    Newton's method; coordinates are put on 0 exactly. The normals are left as they are where theta has come to.
    """
    row, place, datum = surfaces
    outer, unit, inner = normals
    rest = np.empty(chosen.size)
    away = 0.0
    for _ in range(8):
        away = 0.0
        for q in range(chosen.size):
            c = chosen[q]
            value, scale = find_normal(theta, network, row[c], place[c], datum[c], outer[c], unit[c], inner[c])
            rest[q] = (side[q] * OFFSET * scale if datum[c] >= 0 else 0.0) - value
            away = max(away, abs(rest[q]) / scale if scale > 0.0 else np.inf)
        if away <= 0.5 * OFFSET:
            return True
        gram, size = unit_gram(chosen, network, surfaces, normals)
        move = solve_free(gram, rest / size, rest, np.ones(chosen.size, dtype=np.bool_))
        for q in range(chosen.size):
            c = chosen[q]
            add_normal(theta, move[q] / size[q], network, row[c], datum[c], outer[c], unit[c], inner[c])
        for c in chosen:
            if datum[c] < 0:
                theta[row[c], 1 + place[c]] = 0.0
    return away <= 1e-9


@jit
def independent(chosen, network, surfaces, normals):
    """Return whether the last of the chosen normals is independent of the others."""
    count = chosen.size
    gram = unit_gram(chosen, network, surfaces, normals)[0]
    weights = solve_free(gram, gram[-1], np.zeros(count), np.arange(count) < count - 1)
    rest = 1.0
    for q in range(count - 1):
        rest -= weights[q] * gram[-1, q]
    return rest > _INDEPENDENT
