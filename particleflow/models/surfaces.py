"""The surfaces across which the velocity of a network with two hidden layers jumps: normals, and the way back to them.

`particleflow.models.deep_sliding` says what they are for. A surface is three integers (row, place, datum):

    (i, −1, −1)    a_i = 0
    (i,  k, −1)    u_ik = 0
    (r,  l,  j)    ⟨W_q, x_j⟩ = 0 for the first-layer neuron q = r·own + l that row r holds
    (i, −1,  j)    q_i(x_j) = Σ_k u_ik σ(⟨W_S(i,k), x_j⟩) = 0

The normal N is the gradient of the left-hand side, kept as 1 + 2s numbers: those along (a_i, u_i), and what multiplies
x_j along the neurons (the one neuron, or those that cluster i reads).

A network is the tuple (supports, own, inputs, first, readers): the supports (m, s), the number of first-layer neurons
in a row, the inputs (g, d), and for each neuron q the pairs readers[first[q]:first[q + 1]] = (i, k) with S(i, k) = q.
"""

import math

import numpy as np

from particleflow.jit import jit
from particleflow.models.kinks import solve_free
from particleflow.models.products import dot

# A cloud in contact is put this far on one side, relative to the terms of the left-hand side, beyond rounding.
OFFSET = 1e-12
# What is smaller than this counts as 0.
NOTHING = 1e-50
# Normals count as independent of the others down to this sine, squared.
_INDEPENDENT = 1e-8
# Newton's steps back onto the surfaces.
_STEPS = 8


@jit
def neuron(theta, network, q):
    """Return the part of theta (or of a velocity) that belongs to the first-layer neuron q."""
    supports, own, inputs, _, _ = network
    d = inputs.shape[1]
    start = 1 + supports.shape[1] + (q % own) * d
    return theta[q // own, start : start + d]


@jit
def output(theta, network, q, j):
    """Return ⟨W_q, x_j⟩, 0 for a neuron at rest (see `particleflow.models.cones`)."""
    z = dot(neuron(theta, network, q), network[2][j])
    return z if abs(z) > NOTHING else 0.0


@jit
def find_normal(theta, network, surface, normal):
    """Fill the normal of a surface; return its left-hand side and the size of the terms in it."""
    supports, own, inputs, _, _ = network
    s = supports.shape[1]
    row, place, j = surface
    normal[:] = 0.0
    if j < 0:
        normal[1 + place] = 1.0
        return theta[row, 1 + place], 1.0
    if place >= 0:
        normal[1 + s] = 1.0
        W = neuron(theta, network, row * own + place)
        return dot(W, inputs[j]), math.sqrt(dot(W, W) * dot(inputs[j], inputs[j]))
    value = 0.0
    size = 0.0
    for k in range(s):
        if supports[row, k] >= 0:
            z = output(theta, network, supports[row, k], j)
            if z > 0.0:
                u = theta[row, 1 + k]
                normal[1 + k] = z
                normal[1 + s + k] = u
                value += u * z
                size += abs(u) * z
    return value, size


@jit
def active_neurons(normal, s):
    """Return how many neurons of a cluster are active at q_i(x_j) = 0, and for how many of them u_ik is not 0."""
    active = 0
    moving = 0
    for k in range(s):
        active += normal[1 + k] > 0.0
        moving += normal[1 + k] > 0.0 and normal[1 + s + k] != 0.0
    return active, moving


@jit
def is_lone(surface, normal, s):
    """Return whether it is a surface of a cluster with one active neuron at most: then it is another one, u_ik = 0."""
    return surface[2] >= 0 and surface[1] < 0 and active_neurons(normal, s)[0] < 2


@jit
def is_corner(surface, normal, s):
    """Return whether it is one of those that meet where several u_ik are 0: there it pulls, but needs not be held."""
    active, moving = active_neurons(normal, s)
    return surface[2] >= 0 and surface[1] < 0 and active > 1 and moving == 0


@jit
def unit_of(network, surface, k):
    """Return the neuron along which the k-th coefficient of x_j goes, −1 for none."""
    supports, own, _, _, _ = network
    row, place, j = surface
    if j < 0:
        return -1
    if place < 0:
        return supports[row, k]
    return row * own + place if k == 0 else -1


@jit
def touch(network, one, other):
    """Return whether the normals of two surfaces may overlap, or the jump across one depends on the other."""
    supports, own, _, _, _ = network
    if (one[1] < 0 and one[2] < 0) or (other[1] < 0 and other[2] < 0):  # a_i = 0 stands alone
        return False
    first, second = one[1] >= 0 and one[2] >= 0, other[1] >= 0 and other[2] >= 0
    if first and second:
        return one[2] == other[2] or (one[0] == other[0] and one[1] == other[1])
    found = False
    for k in range(1 if first else supports.shape[1]):
        unit = one[0] * own + one[1] if first else supports[one[0], k]
        for e in range(1 if second else supports.shape[1]):
            reached = other[0] * own + other[1] if second else supports[other[0], e]
            found = found or (unit >= 0 and unit == reached)
    return found


@jit
def along(v, network, surface, normal):
    """Return ⟨N, v⟩ for a velocity v (m, p)."""
    s = network[0].shape[1]
    total = dot(normal[: 1 + s], v[surface[0]])
    for k in range(s):
        if normal[1 + s + k] != 0.0:
            total += normal[1 + s + k] * output(v, network, unit_of(network, surface, k), surface[2])
    return total


@jit
def add_normal(v, scale, network, surface, normal):
    """Add scale·N to v (m, p)."""
    s = network[0].shape[1]
    for k in range(1 + s):
        if normal[k] != 0.0:
            v[surface[0], k] += scale * normal[k]
    for k in range(s):
        if normal[1 + s + k] != 0.0:
            part = neuron(v, network, unit_of(network, surface, k))
            for c in range(part.size):
                part[c] += scale * normal[1 + s + k] * network[2][surface[2], c]


@jit
def unit_gram(chosen, network, surfaces, normals):
    """Return the Gram matrix of the chosen normals, scaled to length 1, and their lengths (1 for a normal 0)."""
    supports, own, inputs, _, _ = network
    s, count = supports.shape[1], chosen.size
    gram, size = np.empty((count, count)), np.empty(count)
    spread = np.zeros(len(supports) * own)  # one normal's coefficients, by neuron
    for p in range(count):
        one = chosen[p]
        for k in range(s):
            if normals[one, 1 + s + k] != 0.0:
                spread[unit_of(network, surfaces[one], k)] = normals[one, 1 + s + k]
        for q in range(p + 1):
            other = chosen[q]
            total = 0.0
            for k in range(s):
                if normals[other, 1 + s + k] != 0.0:
                    total += normals[other, 1 + s + k] * spread[unit_of(network, surfaces[other], k)]
            if total != 0.0:
                total *= dot(inputs[surfaces[one, 2]], inputs[surfaces[other, 2]])
            if surfaces[one, 0] == surfaces[other, 0]:
                total += dot(normals[one, : 1 + s], normals[other])
            gram[p, q] = gram[q, p] = total
        for k in range(s):
            if normals[one, 1 + s + k] != 0.0:
                spread[unit_of(network, surfaces[one], k)] = 0.0
        size[p] = math.sqrt(gram[p, p]) if gram[p, p] > 0.0 else 1.0
    for q in range(count):
        for p in range(count):
            gram[p, q] /= size[p] * size[q]
        gram[q, q] = 1.0
    return gram, size


@jit
def independent(chosen, network, surfaces, normals):
    """Return whether the last of the chosen normals is independent of the others."""
    last = chosen.size - 1
    gram, _ = unit_gram(chosen, network, surfaces, normals)
    free = np.ones(chosen.size, dtype=np.bool_)
    free[last] = False
    weights = solve_free(gram, gram[last], np.zeros(chosen.size), free)
    return 1.0 - dot(weights, gram[last]) > _INDEPENDENT


@jit
def project(theta, chosen, side, network, surfaces, normals):
    """Move theta to the chosen surfaces, side·offset beyond each, along their normals; return whether it got there.

    Newton's method; coordinates are put on 0 exactly. The normals are left as they are where theta has come to.
    """
    rest = np.empty(chosen.size)
    away = 0.0
    for _ in range(_STEPS):
        away = 0.0
        for q in range(chosen.size):
            c = chosen[q]
            value, scale = find_normal(theta, network, surfaces[c], normals[c])
            rest[q] = (side[q] * OFFSET * scale if surfaces[c, 2] >= 0 else 0.0) - value
            away = max(away, abs(rest[q]) / scale if scale > 0.0 else np.inf)
        if away <= 0.5 * OFFSET:
            return True
        gram, size = unit_gram(chosen, network, surfaces, normals)
        for q in range(chosen.size):
            rest[q] /= size[q]
        move = solve_free(gram, rest, rest, np.ones(chosen.size, dtype=np.bool_))
        for q in range(chosen.size):
            c = chosen[q]
            add_normal(theta, move[q] / size[q], network, surfaces[c], normals[c])
        for c in chosen:
            if surfaces[c, 2] < 0:
                theta[surfaces[c, 0], 1 + surfaces[c, 1]] = 0.0
    return away <= 1e-9
