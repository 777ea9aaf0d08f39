"""Which surfaces a step has crossed that its cloud may have to stay on (see `particleflow.models.deep_sliding`).

One forward pass for each of three clouds: before the step, after it, and where the velocity before it led.
"""

import numpy as np

from particleflow.jit import jit
from particleflow.models.edges import read
from particleflow.models.jumps import contains, coordinate_jump
from particleflow.models.products import multiply
from particleflow.models.surfaces import along, find_normal, neuron
from particleflow.regularizers import PATH_NORM, SCALED_SQUARED_NORM


class Crossings:
    """A list of crossed surfaces.

    Parameters
    ----------
    room : int
        How many it can hold.
    """

    def __init__(self, room):
        self._surfaces = tuple(np.empty(room, dtype=np.int64) for _ in range(3))
        self._times, self._active = np.empty(room), np.empty(room, dtype=np.bool_)
        self.clear()

    def clear(self):
        """Forget all."""
        self._count = np.zeros(1, dtype=np.int64)

    @property
    def arrays(self):
        """What compiled kernels append to."""
        return self._count, self._surfaces, self._times, self._active

    def found(self):
        """Return the surfaces, the shares of the step before the crossings, and if they were left on the positive side."""
        stop = self._count[0]
        return tuple(part[:stop] for part in self._surfaces), self._times[:stop], self._active[:stop]


@jit
def cross_coordinates(before, ahead, theta, velocity, network, pulls, held, found):
    """Append the coordinates a_i and u_ik whose sign has changed and that may stay at 0."""
    supports = network[0]
    bends = pulls[1] in (PATH_NORM, SCALED_SQUARED_NORM)
    for i in range(theta.shape[0]):
        for place in range(-1 if bends else 0, supports.shape[1]):
            here, there = before[i, 1 + place], theta[i, 1 + place]
            beyond = there if here * there < 0.0 else ahead[i, 1 + place]
            if here * beyond < 0.0 and (place < 0 or supports[i, place] >= 0):
                jump = coordinate_jump(theta, network, pulls, i, place, np.arange(held[0].size), held)
                if _may_stay(velocity[i, 1 + place], jump, 1.0, there > 0.0):
                    _append(found, i, place, -1, here / (here - beyond), there > 0.0)


@jit
def cross_inputs(clouds, velocity, network, pulls, columns, held, rows, found):
    """Append the surfaces of the data that were crossed, first layer and second, and that may hold the cloud.

    `clouds` are before the step, after it and ahead; `columns` the transposed inputs, of which `rows` are taken at once.
    """
    supports, own, inputs = network[:3]
    m, s = supports.shape
    (g, d), units = inputs.shape, m * own
    z, q, h = np.empty((3, units * rows)), np.empty((3, m * rows)), np.empty(units * rows)
    for first in range(0, g, rows):
        count = min(rows, g - first)
        x = np.ascontiguousarray(columns[:, first : first + count])
        for t, cloud in enumerate(clouds):
            W = np.ascontiguousarray(cloud[:, 1 + s :]).reshape(units, d)
            u = np.ascontiguousarray(cloud[:, 1 : 1 + s]).reshape(-1)
            multiply(W, x, z[t, : units * count].reshape(units, count))
            for e in range(units * count):
                h[e] = max(z[t, e], 0.0)
            read(u, h[: units * count].reshape(units, count), network[3:], q[t, : m * count].reshape(m, count))
        outputs = q[1, : m * count].reshape(m, count)
        for unit in range(units):
            part = z[:, unit * count : (unit + 1) * count]
            if _crossed(part):
                _cross_first(part, unit, first, outputs, clouds[1], velocity, network, pulls, held, found)
        for i in range(m):
            part = q[:, i * count : (i + 1) * count]
            if _crossed(part):
                _cross_second(part, i, first, clouds[1], velocity, network, pulls, held, found)


@jit
def _crossed(values):
    """Return whether an entry changes sides between values[0] and the others."""
    total = 0
    for j in range(values.shape[1]):
        active = values[0, j] > 0.0
        total += (active != (values[1, j] > 0.0)) | (active != (values[2, j] > 0.0))
    return total > 0


@jit
def _cross_first(z, unit, first, outputs, theta, velocity, network, pulls, held, found):
    supports, own, inputs = network[:3]
    s = supports.shape[1]
    of_unit, cluster, slot = network[6:]
    row, place = unit // own, unit % own
    pull, all_held = neuron(velocity, s, own, unit, inputs.shape[1]), np.arange(held[0].size)
    for local in range(z.shape[1]):
        before, after, ahead = z[:, local]
        if (before > 0.0) == (after > 0.0) and (before > 0.0) == (ahead > 0.0):
            continue
        j = first + local
        jump = 0.0  # at most
        for e in range(of_unit[unit], of_unit[unit + 1]):
            i = cluster[e]
            share = theta[i, 0] * theta[i, 1 + slot[e] - i * s] * pulls[0][j]
            if share > 0.0 and (outputs[i, local] >= 0.0 or contains(all_held, held, i, -1, j)):
                jump += share
        square = np.sum(inputs[j] * inputs[j])
        if _may_stay(np.sum(pull * inputs[j]), jump, square, after > 0.0) and not contains(
            all_held, held, row, place, j
        ):
            beyond = after if (before > 0.0) != (after > 0.0) else ahead
            _append(found, row, place, j, before / (before - beyond), after > 0.0)


@jit
def _cross_second(values, i, first, theta, velocity, network, pulls, held, found):
    s = network[0].shape[1]
    outer, unit, inner = np.empty(1 + s), np.empty(s, dtype=np.int64), np.empty(s)
    all_held = np.arange(held[0].size)
    for local in range(values.shape[1]):
        before, after, ahead = values[:, local]
        beyond = after if before * after < 0.0 else ahead
        # 0 exactly is a cluster with no active neuron: that surface is one of the first layer
        if not before * beyond < 0.0 or after == 0.0:
            continue
        j = first + local
        jump = theta[i, 0] * pulls[0][j]
        if jump <= 0.0 or contains(all_held, held, i, -1, j):
            continue
        find_normal(theta, network, i, -1, j, outer, unit, inner)
        if np.sum(unit >= 0) < 2:  # that surface is u_ik = 0
            continue
        square = np.sum(outer * outer) + np.sum(inner * inner) * np.sum(network[2][j] ** 2)
        if _may_stay(along(velocity, network, i, j, outer, unit, inner), jump, square, after > 0.0):
            _append(found, i, -1, j, before / (before - beyond), after > 0.0)


@jit
def _may_stay(pull, jump, square, active):
    """Return whether a velocity with ⟨N, v⟩ = pull on one side points back on the other, for ‖N‖² = square."""
    if active:
        return -jump * square < pull < 0.0
    return 0.0 < pull < jump * square


@jit
def _append(found, row, place, datum, time, active):
    """Append one surface, if there is room (one that is missed is crossed again)."""
    count, surfaces, times, sides = found
    c = count[0]
    if c < times.size:
        surfaces[0][c] = row
        surfaces[1][c] = place
        surfaces[2][c] = datum
        times[c] = time
        sides[c] = active
        count[0] += 1
