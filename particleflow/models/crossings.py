"""Which surfaces a step has crossed that its cloud may have to stay on (see `particleflow.models.deep_sliding`).

One forward pass for each of three clouds: before the step, after it, and where the velocity before it led.
"""

import numpy as np

from particleflow.jit import jit
from particleflow.models.edges import read
from particleflow.models.jumps import contains, coordinate_jump
from particleflow.models.products import multiply
from particleflow.models.surfaces import along, dot, find_normal, is_lone, neuron
from particleflow.regularizers import PATH_NORM, SCALED_SQUARED_NORM


@jit
def cross_coordinates(before, ahead, theta, velocity, network, pulls, held, found):
    """Append the coordinates a_i and u_ik whose sign has changed and that may stay at 0 (see `append`)."""
    supports = network[0]
    bends = pulls[1] in (PATH_NORM, SCALED_SQUARED_NORM)
    for i in range(theta.shape[0]):
        for place in range(-1 if bends else 0, supports.shape[1]):
            here, there = before[i, 1 + place], theta[i, 1 + place]
            beyond = there if here * there < 0.0 else ahead[i, 1 + place]
            if here * beyond < 0.0 and (place < 0 or supports[i, place] >= 0):
                jump = coordinate_jump(theta, network, pulls, held, np.arange(len(held)), i, place)
                if _may_stay(velocity[i, 1 + place], jump, there > 0.0):
                    append(found, i, place, -1, here / (here - beyond), there > 0.0)


@jit
def cross_inputs(start, stop, clouds, velocity, network, graph, pulls, columns, held, rows, found):
    """Append the surfaces of some data that were crossed, first layer and second, and that may hold the cloud.

    `clouds` are before the step, after it and ahead; `columns` the transposed inputs, `rows` of them taken at once.
    """
    supports, own, inputs, _, _ = network
    m, s = supports.shape
    d, units = inputs.shape[1], m * own
    z, q, h = np.empty((3, units * rows)), np.empty((3, m * rows)), np.empty(units * rows)
    unsure = np.zeros(m, dtype=np.bool_)  # clusters whose sign may differ where a surface was crossed
    for c in range(len(held)):
        unsure[held[c, 0]] |= held[c, 1] < 0 or held[c, 2] < 0
    for first in range(start, stop, rows):
        count = min(rows, stop - first)
        x = np.ascontiguousarray(columns[:, first : first + count])
        for t, cloud in enumerate(clouds):
            W = np.ascontiguousarray(cloud[:, 1 + s :]).reshape(units, d)
            u = np.ascontiguousarray(cloud[:, 1 : 1 + s]).reshape(-1)
            multiply(W, x, z[t, : units * count].reshape(units, count))
            for e in range(units * count):
                h[e] = max(z[t, e], 0.0)
            read(u, h[: units * count].reshape(units, count), graph, q[t, : m * count].reshape(m, count))
        outputs = q[1, : m * count].reshape(m, count)
        for unit in range(units):
            part = z[:, unit * count : (unit + 1) * count]
            if _crossed(part):
                _cross_first(part, unit, first, outputs, clouds[1], velocity, network, pulls, held, unsure, found)
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
def _cross_first(z, unit, first, outputs, theta, velocity, network, pulls, held, unsure, found):
    _, own, inputs, starts, readers = network
    pull = neuron(velocity, network, unit)
    for local in range(z.shape[1]):
        before, after, ahead = z[0, local], z[1, local], z[2, local]
        if (before > 0.0) == (after > 0.0) and (before > 0.0) == (ahead > 0.0):
            continue
        j = first + local
        jump = 0.0  # at most
        for e in range(starts[unit], starts[unit + 1]):
            i, k = readers[e]
            share = theta[i, 0] * theta[i, 1 + k] * pulls[0][j]
            if share > 0.0 and (outputs[i, local] >= 0.0 or unsure[i]):
                jump += share
        row, place = unit // own, unit % own
        most = jump * dot(inputs[j], inputs[j])
        if _may_stay(dot(pull, inputs[j]), most, after > 0.0) and not contains(
            held, np.arange(len(held)), row, place, j
        ):
            beyond = after if (before > 0.0) != (after > 0.0) else ahead
            append(found, row, place, j, before / (before - beyond), after > 0.0)


@jit
def _cross_second(values, i, first, theta, velocity, network, pulls, held, found):
    s = network[0].shape[1]
    normal = np.empty(1 + 2 * s)
    surface = np.array([i, -1, -1])
    for local in range(values.shape[1]):
        before, after, ahead = values[0, local], values[1, local], values[2, local]
        beyond = after if before * after < 0.0 else ahead
        # 0 exactly is a cluster with no active neuron: that surface is one of the first layer
        if not before * beyond < 0.0 or after == 0.0:
            continue
        j = surface[2] = first + local
        jump = theta[i, 0] * pulls[0][j]
        if jump <= 0.0 or contains(held, np.arange(len(held)), i, -1, j):
            continue
        find_normal(theta, network, surface, normal)
        if is_lone(surface, normal, s):
            continue
        inner = normal[1 + s :]
        most = jump * (dot(normal[: 1 + s], normal) + dot(inner, inner) * dot(network[2][j], network[2][j]))
        if _may_stay(along(velocity, network, surface, normal), most, after > 0.0):
            append(found, i, -1, j, before / (before - beyond), after > 0.0)


@jit
def _may_stay(pull, most, active):
    """Return whether a velocity with ⟨N, v⟩ = pull on one side may point back on the other, which differs by `most`."""
    if active:
        return -most < pull < 0.0
    return 0.0 < pull < most


@jit
def append(found, row, place, datum, time, active):
    """Append one surface, when it was crossed, and if that left the cloud on its positive side."""
    count, surfaces, marks = found
    c = count[0]
    if c < len(surfaces):
        surfaces[c, 0] = row
        surfaces[c, 1] = place
        surfaces[c, 2] = datum
        marks[c, 0] = time
        marks[c, 1] = active
        count[0] += 1
