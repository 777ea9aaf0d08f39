"""Blocks of a network with two hidden layers at rest at 0, where all their kinks meet: W_q = 0 and u_i = 0.

`particleflow.models.resting` treats w = 0 of a two-layer particle, and this is the same for W_q among the kinks
⟨W_q, x_j⟩ = 0, and for u_i among the kinks ⟨u_i, h_j⟩ = 0 with h_jk = σ(⟨W_S(i,k), x_j⟩): the block is held at 0 but
for its direction, in which it leaves when that leads down. A cone is a pair (row, place): place −1 for u_i, l for the
neuron r·own + l.
"""

import math

import numpy as np

from particleflow.jit import jit
from particleflow.models.jumps import first_jump
from particleflow.models.products import add_multiple, copy, dot
from particleflow.models.resting import stays_at_origin
from particleflow.models.surfaces import NOTHING, neuron, output
from particleflow.regularizers import PATH_NORM

# How far a direction turns in a step, and the length of a block at rest: none of its products with data is noticed.
_TURN, _LENGTH = 0.1, NOTHING**2


@jit
def freeze(out, network, cones, free):
    """Stop the blocks at rest, and keep their velocity in `free` (k, max(s, d))."""
    for c in range(len(cones)):
        row, place = cones[c]
        _take(out, network, row, place, free[c])
        _put(out, network, row, place, np.zeros(free.shape[1]))


@jit
def settle_cones(before, ahead, theta, velocity, network, pulls, surfaces, cones, free, found):
    """Fill `found` with the cones where blocks rest after a step; return their number and whether that changed."""
    own, size = network[1], free.shape[1]
    here, start, beyond, speed = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    count = 0
    held = 0
    changed = False
    for row in range(len(theta)):
        for place in range(-1, own):
            _take(theta, network, row, place, here)
            if held < len(cones) and cones[held, 0] == row and cones[held, 1] == place:
                rests = _turns(theta, network, pulls, surfaces, row, place, here, free[held])
                held += 1
                changed = changed or not rests
            else:
                _take(before, network, row, place, start)
                _take(ahead, network, row, place, beyond)
                _take(velocity, network, row, place, speed)
                rests = dot(start, here) < 0.0 or dot(start, beyond) < 0.0
                rests = rests and dot(speed, here) < 0.0 and _is_corner(start, place)
                changed = changed or rests
                if rests:
                    here[:] = 0.0
                    add_multiple(_LENGTH / math.sqrt(dot(start, start)), start, here)
                    _put(theta, network, row, place, here)
            if rests and count < len(found):
                found[count, 0] = row
                found[count, 1] = place
                count += 1
    return count, changed


@jit
def _is_corner(block, place):
    """Return whether 0 is more than the kink of one coordinate."""
    moving = 0
    for k in range(block.size):
        moving += block[k] != 0.0
    return place >= 0 or moving > 1


@jit
def _turns(theta, network, pulls, surfaces, row, place, block, free):
    """Turn the direction of a block at rest downhill; return whether it stays at rest."""
    length = math.sqrt(dot(block, block))
    size = math.sqrt(dot(free, free))
    outward = dot(free, block) / length
    stays = outward <= 0.0
    if not stays:
        stays = _leave(theta, network, pulls, surfaces, row, place, block, free)
    elif size > 0.0:
        for k in range(block.size):
            block[k] += _TURN / size * (length * free[k] - outward * block[k])
    if stays:
        block *= _LENGTH / math.sqrt(dot(block, block))
    _put(theta, network, row, place, block)
    return stays


@jit
def _leave(theta, network, pulls, surfaces, row, place, block, free):
    """Turn a block that moves away from 0 to the steepest direction nearby; return whether it stays after all."""
    supports, own, inputs, first, readers = network
    residuals, code, weight = pulls
    g, size = len(residuals), block.size
    kinks, jumps = np.zeros((g + size, size)), np.zeros(g + size)
    pull = 0.0
    every = np.arange(len(surfaces))
    if place >= 0:
        q = row * own + place
        for j in range(g):
            copy(inputs[j], kinks[j])
            jumps[j] = residuals[j] * first_jump(theta, network, surfaces, every, q, j)
        if code == PATH_NORM:
            for e in range(first[q], first[q + 1]):
                pull += weight * abs(theta[readers[e, 0], 0] * theta[readers[e, 0], 1 + readers[e, 1]])
    else:
        for k in range(supports.shape[1]):
            q = supports[row, k]
            if q >= 0:
                for j in range(g):
                    kinks[j, k] = max(0.0, output(theta, network, q, j))
                kinks[g + k, k] = 1.0
                if code == PATH_NORM:
                    W = neuron(theta, network, q)
                    jumps[g + k] = 2.0 * weight * abs(theta[row, 0]) * math.sqrt(dot(W, W))
        for j in range(g):
            jumps[j] = theta[row, 0] * residuals[j]
    particle, speed = np.ones(1 + size), np.zeros(1 + size)
    copy(block, particle[1:])
    copy(free, speed[1:])
    stays = stays_at_origin(particle, speed, kinks, jumps, pull)
    copy(particle[1:], block)
    return stays


@jit
def _take(theta, network, row, place, block):
    """Fill a block of theta (or of a velocity); entries that are no parameters are 0."""
    supports, own, _, _, _ = network
    block[:] = 0.0
    if place >= 0:
        W = neuron(theta, network, row * own + place)
        copy(W, block)
    else:
        for k in range(supports.shape[1]):
            if supports[row, k] >= 0:
                block[k] = theta[row, 1 + k]


@jit
def _put(theta, network, row, place, block):
    supports, own, _, _, _ = network
    if place >= 0:
        W = neuron(theta, network, row * own + place)
        copy(block[: W.size], W)
    else:
        for k in range(supports.shape[1]):
            if supports[row, k] >= 0:
                theta[row, 1 + k] = block[k]
