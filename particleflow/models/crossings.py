"""Which surfaces a step has crossed that its cloud may have to stay on (see `particleflow.models.deep_sliding`).

One forward pass for each of three clouds: before the step, after it, and where the velocity before it led.
"""

import math

import numpy as np

from particleflow.jit import jit
from particleflow.models.edges import read
from particleflow.models.products import multiply
from particleflow.models.surfaces import along, find_normal, neuron
from particleflow.regularizers import PATH_NORM, SCALED_SQUARED_NORM


class Crossings:
    """A list of crossed surfaces: their numbers, the jump across them, when they were crossed, and on which side.

    Attributes
    ----------
    surfaces : tuple of three ndarrays of int
        Row, place and datum, as in `particleflow.models.surfaces`.
    jumps, times : ndarray
        What the velocity loses along the normal, and the share of the step before the crossing.
    active : ndarray of bool
        Whether the left-hand side is positive after the step.
    """

    def __init__(self, room):
        self._surfaces = tuple(np.empty(room, dtype=np.int64) for _ in range(3))
        self._numbers = np.empty(room), np.empty(room), np.empty(room, dtype=np.bool_)
        self.clear()

    def clear(self):
        """Forget all."""
        self._count = np.zeros(1, dtype=np.int64)

    @property
    def arrays(self):
        """What compiled kernels append to."""
        return self._count, self._surfaces, self._numbers

    def found(self):
        """Return the surfaces, jumps, times and sides."""
        stop = self._count[0]
        return tuple(part[:stop] for part in self._surfaces), *(part[:stop] for part in self._numbers)


@jit
def regularizer_jump(theta, network, row, place, regularizer, weight):
    """Return by how much V lowers the velocity of a_i (place −1) or u_ik where it gets positive, for λ/2 = weight."""
    supports, own, inputs = network
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
def lone_jump(theta, network, row, place, residuals):
    """Return by how much the data lower the velocity of u_ik where it gets positive, Σ a_i r_j σ(z_k).

    The sum is over the data for which neuron k is the only active one: there σ(q_i) = σ(u_ik) σ(z_k).
    """
    supports, own, inputs = network
    s = supports.shape[1]
    total = 0.0
    for j in range(inputs.shape[0]):
        z = np.sum(neuron(theta, s, own, supports[row, place], inputs.shape[1]) * inputs[j])
        k = 0 if z > 0.0 else s
        while k < s:
            q = supports[row, k]
            if k != place and q >= 0 and np.sum(neuron(theta, s, own, q, inputs.shape[1]) * inputs[j]) > 0.0:
                break
            k += 1
        if z > 0.0 and k == s:
            total += residuals[j] * z
    return theta[row, 0] * total


@jit
def cross_coordinates(before, ahead, theta, velocity, network, regularizer, weight, residuals, found):
    """Append the coordinates a_i and u_ik whose sign has changed and that may stay at 0."""
    supports, _, inputs = network
    bends = regularizer in (PATH_NORM, SCALED_SQUARED_NORM)
    for i in range(theta.shape[0]):
        for place in range(-1 if bends else 0, supports.shape[1]):
            here, there = before[i, 1 + place], theta[i, 1 + place]
            beyond = there if here * there < 0.0 else ahead[i, 1 + place]
            if here * beyond < 0.0 and (place < 0 or supports[i, place] >= 0):
                jump = regularizer_jump(theta, network, i, place, regularizer, weight)
                if place >= 0:
                    jump += lone_jump(theta, network, i, place, residuals)
                if _may_stay(velocity[i, 1 + place], jump, 1.0, there > 0.0):
                    _append(found, i, place, -1, jump, here / (here - beyond), there > 0.0)


@jit
def cross_inputs(clouds, velocity, network, graph, columns, squares, residuals, held, rows, found):
    """Append the surfaces of the data that were crossed, first layer and second, and that may hold the cloud.

    `clouds` are the three of this module, `columns` the transposed inputs, `squares` their norms squared.
    """
    supports, own, inputs = network
    m, s = supports.shape
    (g, d), units = inputs.shape, m * own
    shape = 3, units * rows
    z, q, h = np.empty(shape), np.empty((3, m * rows)), np.empty(units * rows)
    for first in range(0, g, rows):
        count = min(rows, g - first)
        x = np.ascontiguousarray(columns[:, first : first + count])
        for t, cloud in enumerate(clouds):
            W = np.ascontiguousarray(cloud[:, 1 + s :]).reshape(units, d)
            u = np.ascontiguousarray(cloud[:, 1 : 1 + s]).reshape(-1)
            multiply(W, x, z[t, : units * count].reshape(units, count))
            for e in range(units * count):
                h[e] = max(z[t, e], 0.0)
            read(u, h[: units * count].reshape(units, count), graph, q[t, : m * count].reshape(m, count))
        for unit in range(units):
            part = slice(unit * count, (unit + 1) * count)
            if _crossings(z[0, part], z[1, part], z[2, part], 0.0) > 0:
                outputs = q[1, : m * count].reshape(m, count)
                _cross_first(
                    z[0, part],
                    z[1, part],
                    z[2, part],
                    unit,
                    first,
                    outputs,
                    clouds[1],
                    velocity,
                    network,
                    graph,
                    squares,
                    residuals,
                    held,
                    found,
                )
        for i in range(m):
            part = slice(i * count, (i + 1) * count)
            if _crossings(q[0, part], q[1, part], q[2, part], 0.0) > 0:
                _cross_second(
                    q[0, part], q[1, part], q[2, part], i, first, clouds[1], velocity, network, residuals, held, found
                )


@jit
def _crossings(before, after, ahead, zero):
    """Return how many entries change sides."""
    total = 0
    for j in range(before.size):
        active = before[j] > zero
        total += (active != (after[j] > zero)) | (active != (ahead[j] > zero))
    return total


@jit
def _cross_first(
    before, after, ahead, unit, first, outputs, theta, velocity, network, graph, squares, residuals, held, found
):
    supports, own, inputs = network
    s = supports.shape[1]
    _, _, _, of_unit, cluster, slot = graph
    for local in range(before.size):
        active = before[local] > 0.0
        if active == (after[local] > 0.0) and active == (ahead[local] > 0.0):
            continue
        j = first + local
        jump = 0.0
        for e in range(of_unit[unit], of_unit[unit + 1]):
            i = cluster[e]
            u = theta[i, 1 + slot[e] - i * s]
            # on the active side; 0 exactly is a cluster with no active neuron
            if outputs[i, local] > 0.0 or (outputs[i, local] == 0.0 and u > 0.0):
                jump += theta[i, 0] * u * residuals[j]
        pull = np.sum(neuron(velocity, s, own, unit, inputs.shape[1]) * inputs[j])
        if not _may_stay(pull, jump, squares[j], after[local] > 0.0):
            continue
        row, place = unit // own, unit % own
        beyond = after[local] if active != (after[local] > 0.0) else ahead[local]
        if not _contains(held, row, place, j):
            _append(found, row, place, j, jump, before[local] / (before[local] - beyond), after[local] > 0.0)


@jit
def _cross_second(before, after, ahead, i, first, theta, velocity, network, residuals, held, found):
    s = network[0].shape[1]
    outer, unit, inner = np.empty(1 + s), np.empty(s, dtype=np.int64), np.empty(s)
    for local in range(before.size):
        beyond = after[local] if before[local] * after[local] < 0.0 else ahead[local]
        # 0 exactly is a cluster with no active neuron: that surface is one of the first layer
        if not before[local] * beyond < 0.0 or after[local] == 0.0:
            continue
        j = first + local
        jump = theta[i, 0] * residuals[j]
        if jump <= 0.0 or _contains(held, i, -1, j):
            continue
        find_normal(theta, network, i, -1, j, outer, unit, inner)
        if np.sum(unit >= 0) < 2:  # that surface is u_ik = 0
            continue
        square = np.sum(outer * outer) + np.sum(inner * inner) * np.sum(network[2][j] ** 2)
        if _may_stay(along(velocity, network, i, j, outer, unit, inner), jump, square, after[local] > 0.0):
            _append(found, i, -1, j, jump, before[local] / (before[local] - beyond), after[local] > 0.0)


@jit
def _may_stay(pull, jump, square, active):
    """Return whether a velocity with ⟨N, v⟩ = pull on one side points back on the other, for ‖N‖² = square."""
    if active:
        return -jump * square < pull < 0.0
    return 0.0 < pull < jump * square


@jit
def _contains(held, row, place, datum):
    found = False
    for c in range(held[0].size):
        found = found or (held[0][c] == row and held[1][c] == place and held[2][c] == datum)
    return found


@jit
def _append(found, row, place, datum, jump, time, active):
    """Append one surface, if there is room (one that is missed is crossed again)."""
    count, surfaces, (jumps, times, sides) = found
    c = count[0]
    if c < jumps.size:
        surfaces[0][c] = row
        surfaces[1][c] = place
        surfaces[2][c] = datum
        jumps[c] = jump
        times[c] = time
        sides[c] = active
        count[0] += 1
