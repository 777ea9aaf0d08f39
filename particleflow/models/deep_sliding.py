"""Sliding along kinks in networks with two hidden layers (see `particleflow.models.sliding` for what sliding is).

Where a cloud runs through a surface c of `particleflow.models.surfaces` from its negative to its positive side, the
velocity changes by −κ_c N_c: N_c the normal, κ_c the jump

    a_i = 0            λ ∂V_i/∂|a_i|                       path norm, scaled squared norm
    u_ik = 0           λ |a_i| ‖W_S(i,k)‖                  path norm
                       Σ a_i r_j σ(z_k), z_k alone > 0     relu
    ⟨W_q, x_j⟩ = 0     Σ over readers a_i u_ik r_j σ'(q_i)  relu
    q_i(x_j) = 0       a_i r_j                             relu

With κ_c > 0 the energy is convex across it and the cloud may have to stay. With the surfaces in contact C the velocity is
v − Σ_C s_c κ_c N_c with the s_c ∈ [0, 1] that make it least, where v is that of their negative side. Contacts are
fixed within a step; normals follow the cloud, so that left-hand sides stay constant to the order of the method, and
`settle` puts the cloud back on its surfaces after it.
"""

import numpy as np

from particleflow.jit import jit
from particleflow.models.crossings import Crossings, cross_coordinates, cross_inputs, lone_jump, regularizer_jump
from particleflow.models.surfaces import (
    OFFSET,
    add_normal,
    find_normal,
    independent,
    least_share,
    project,
)

NO_CONTACTS = tuple(np.empty(0, dtype=np.int64) for _ in range(3))
# Putting a cloud back on a surface by less than this leaves its velocity as it is.
_NOTICEABLE = 1e-10
# Numbers in the buffers of a pass over the data.
_TILE = 2**17


class DeepSlidingVelocity:
    """The velocity −∇G of a network with two hidden layers, which may slide along kinks.

    Parameters
    ----------
    plain : callable
        ``velocity(theta, out) -> parts`` with derivative 0 at kinks; may be replaced by one with further terms.
    drift : object
        Where `plain` takes the part of the data: its X, its residuals ½ℓ'_j / n, and the kinks that it is told to hide.
    kinked : bool
        Whether σ is relu; else only V has kinks.
    supports : ndarray of int, shape (m, s)
        The neurons that each cluster reads.
    own : int
        Number of first-layer neurons in a row.
    regularizer : int
        The code of V.
    strength : float
        λ.

    Attributes
    ----------
    contacts : tuple of three ndarrays of int
        Surfaces in contact; never changed in place.
    """

    def __init__(self, plain, drift, kinked, supports, own, regularizer, strength):
        self.plain, self._drift, self._regularizer = plain, drift, (regularizer, 0.5 * strength)
        X = drift.X if kinked else drift.X[:0]
        inputs, self._input_of = np.unique(X, axis=0, return_inverse=True)  # equal inputs have one kink
        self._input_of = self._input_of.reshape(-1)
        self._by_input = np.argsort(self._input_of, kind="stable")
        self._copies = np.bincount(self._input_of, minlength=len(inputs))
        self._network = np.ascontiguousarray(supports), own, inputs
        self._columns, self._squares = np.ascontiguousarray(inputs.T), np.sum(inputs**2, axis=1)
        self._rows = max(16, _TILE // (7 * len(supports) * own))
        self._found = Crossings(4 * len(supports) * (1 + supports.shape[1] + own * X.shape[1]))
        self.hold(NO_CONTACTS)

    def __call__(self, theta, out):
        """Fill out (m, p) with the velocity; return the parts of the energy."""
        parts = self.plain(theta, out)
        if len(self.contacts[0]):
            hidden = np.bincount(self._owners, self._drift.jumps_of_hidden(), len(self._jumps))
            args = self._network, self.contacts, self._starts, self._normals
            slide(theta, out, *args, self._residuals(), hidden, *self._regularizer, self._jumps, self._shares)
        return parts

    def settle(self, before, ahead, theta, velocity):
        """Make and release contacts after a step from `before` to `theta`, where `velocity` was just evaluated.

        Parameters and result are those of `particleflow.models.sliding.SlidingVelocity.settle`.
        """
        self._found.clear()
        found, residuals = self._found.arrays, self._residuals()
        cross_coordinates(before, ahead, theta, velocity, self._network, *self._regularizer, residuals, found)
        if len(self._squares):
            clouds, data = (before, theta, ahead), (self._columns, self._squares, residuals)
            cross_inputs(clouds, velocity, self._network, self._drift.graph, *data, self.contacts, self._rows, found)
        crossed, jumps, times, active = self._found.found()
        held = len(self.contacts[0])
        if held + len(jumps) == 0:
            return False
        surfaces = tuple(np.concatenate(pair) for pair in zip(self.contacts, crossed, strict=True))
        order, starts = _in_components(surfaces, np.append(np.full(held, -1.0), times), *self._network[:2])
        surfaces = tuple(part[order] for part in surfaces)
        kept = order < held
        jumps, active = np.append(self._jumps, jumps)[order], np.append(np.zeros(held, dtype=bool), active)[order]
        shares = np.append(self._shares, np.zeros(len(order) - held))[order]
        args = self._network, surfaces, starts, _make_normals(surfaces, self._network[0].shape[1])
        changed = settle_on_surfaces(before, ahead, theta, velocity, *args, jumps, shares, active, kept)
        if changed:
            self.hold(tuple(part[kept] for part in surfaces))
        return changed

    def hold(self, contacts):
        """Take these contacts for the steps to come."""
        supports, own, _ = self._network
        order, self._starts = _in_components(contacts, np.zeros(len(contacts[0])), supports, own)
        self.contacts = row, place, datum = tuple(part[order] for part in contacts)
        self._normals = _make_normals(self.contacts, supports.shape[1])
        self._jumps, self._shares = np.zeros(len(row)), np.zeros(len(row))
        first, second = np.flatnonzero((datum >= 0) & (place >= 0)), np.flatnonzero((datum >= 0) & (place < 0))
        self._owners, first_data = self._data_of(first)
        clusters, second_data = self._data_of(second)
        owners = self._owners
        self._drift.hide((row[owners] * own + place[owners], first_data), (row[clusters], second_data))

    def _data_of(self, chosen):
        """Return pairs (contact, datum) for all data of the chosen contacts."""
        inputs = self.contacts[2][chosen]
        ends = np.cumsum(self._copies)[inputs]
        data = [self._by_input[end - copies : end] for end, copies in zip(ends, self._copies[inputs], strict=True)]
        return np.repeat(chosen, self._copies[inputs]), np.concatenate([NO_CONTACTS[0], *data])

    def _residuals(self):
        return np.bincount(self._input_of, self._drift.residuals[: len(self._input_of)], len(self._copies))


def _make_normals(surfaces, s):
    count = len(surfaces[0])
    return np.empty((count, 1 + s)), np.empty((count, s), dtype=np.int64), np.empty((count, s))


def _in_components(surfaces, times, supports, own):
    """Return the order of the surfaces by connected component and time, and where components start (and the end)."""
    component = components(surfaces, supports, own)
    order = np.lexsort((times, component))
    ordered = component[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(order) else order
    return order, np.append(starts, len(order))


@jit
def components(surfaces, supports, own):
    """Return a number for each surface, the same for surfaces whose normals may overlap (union–find)."""
    row, place, datum = surfaces
    m, s = supports.shape
    parent = np.arange(m + m * own)
    for c in range(row.size):
        if datum[c] >= 0 and place[c] < 0:
            for k in range(s):
                if supports[row[c], k] >= 0:
                    parent[_root(parent, m + supports[row[c], k])] = _root(parent, row[c])
    number = np.empty(row.size, dtype=np.int64)
    for c in range(row.size):
        node = m + row[c] * own + place[c] if datum[c] >= 0 and place[c] >= 0 else row[c]
        number[c] = _root(parent, node)
    return number


@jit
def _root(parent, node):
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@jit
def slide(theta, out, network, surfaces, starts, normals, residuals, hidden, regularizer, weight, jumps, shares):
    """Replace the velocity by that of least norm; record the jumps κ_c and the fractions s_c.

    `hidden` has the jumps of surfaces of the first layer, by contact.
    """
    row, place, datum = surfaces
    outer, unit, inner = normals
    for c in range(row.size):
        value, _ = find_normal(theta, network, row[c], place[c], datum[c], outer[c], unit[c], inner[c])
        if datum[c] >= 0:
            jumps[c] = hidden[c] if place[c] >= 0 else theta[row[c], 0] * residuals[datum[c]]
        elif value == 0.0:  # the plain velocity is that in the middle for V, on the negative side for the data
            jumps[c] = regularizer_jump(theta, network, row[c], place[c], regularizer, weight)
            out[row[c], 1 + place[c]] += 0.5 * jumps[c]
            if place[c] >= 0:
                jumps[c] += lone_jump(theta, network, row[c], place[c], residuals)
        else:
            jumps[c] = 0.0
    for first, stop in zip(starts[:-1], starts[1:]):
        chosen = np.arange(first, stop)
        inside = np.ones(chosen.size, dtype=np.bool_)
        shares[first:stop] = least_share(out, jumps, chosen, network, surfaces, normals, inside)
        for c in chosen:
            add_normal(out, -shares[c] * jumps[c], network, row[c], datum[c], outer[c], unit[c], inner[c])
        for c in chosen:
            if datum[c] < 0 and 0.0 < shares[c] < 1.0:
                out[row[c], 1 + place[c]] = 0.0


@jit
def settle_on_surfaces(before, ahead, theta, velocity, network, surfaces, starts, normals, jumps, shares, active, kept):
    """Decide which surfaces, held and crossed, hold the cloud from now on, and put it there; return if all is as before.

    Surfaces come by component, held ones first (`kept`, replaced by the decision), then by the time of crossing.
    `active` says which of the crossed ones the velocity takes on their positive side.
    """
    free = velocity.copy()  # without the share of the chosen surfaces
    changed = False
    for first, stop in zip(starts[:-1], starts[1:]):
        chosen = np.empty(stop - first, dtype=np.int64)
        count = 0
        for c in range(first, stop):
            count, moved = _consider(
                c, chosen, count, before, ahead, theta, free, network, surfaces, normals, jumps, shares, active, kept
            )
            changed = changed or moved
        if count:
            moved = _keep(chosen[:count], theta, free, network, surfaces, normals, jumps, kept)
            changed = changed or moved
    return changed


@jit
def _consider(c, chosen, count, before, ahead, theta, free, network, surfaces, normals, jumps, shares, active, kept):
    """Choose surface c or leave it; return the number of chosen ones and whether contacts or the cloud changed."""
    row, place, datum = surfaces
    outer, unit, inner = normals
    value, _ = find_normal(theta, network, row[c], place[c], datum[c], outer[c], unit[c], inner[c])
    jump = jumps[c]
    if kept[c]:
        lone = datum[c] >= 0 and place[c] < 0 and np.sum(unit[c] >= 0) < 2
        if jump <= 0.0 or lone or (datum[c] < 0 and value != 0.0):
            kept[c] = False
            return count, True
        add_normal(free, shares[c] * jump, network, row[c], datum[c], outer[c], unit[c], inner[c])
        chosen[count] = c
        return count + 1, False
    if (value > 0.0) != active[c]:  # put back on an earlier surface, the cloud does not get here
        add_normal(free, -jump if value > 0.0 else jump, network, row[c], datum[c], outer[c], unit[c], inner[c])
        return count, False
    share = jump if active[c] else 0.0
    add_normal(free, share, network, row[c], datum[c], outer[c], unit[c], inner[c])
    chosen[count] = c
    if _stays(chosen[: count + 1], before, ahead, theta, free, network, surfaces, normals, jumps):
        kept[c] = True
        return count + 1, True
    add_normal(free, -share, network, row[c], datum[c], outer[c], unit[c], inner[c])
    return count, False


@jit
def _stays(chosen, before, ahead, theta, free, network, surfaces, normals, jumps):
    """Put the cloud on all chosen surfaces if the last of them holds it too; return whether it does."""
    row, place, datum = surfaces
    outer, unit, inner = normals
    inside = np.ones(chosen.size, dtype=np.bool_)
    share = least_share(free, jumps, chosen, network, surfaces, normals, inside)[-1]
    if not 0.0 < share < 1.0 or not independent(chosen, network, surfaces, normals):
        return False
    start = theta.copy()
    there = project(theta, chosen, np.full(chosen.size, -1.0), network, surfaces, normals)
    if there and _is_near(start, before, ahead, theta):
        return True
    theta[:] = start
    for c in chosen:
        find_normal(theta, network, row[c], place[c], datum[c], outer[c], unit[c], inner[c])
    return False


@jit
def _is_near(start, before, ahead, theta):
    """Return whether theta is not farther from `start` than the step was long, for the rows that differ."""
    moved = 0.0
    step = 0.0
    for i in range(theta.shape[0]):
        distance = np.sum((theta[i] - start[i]) ** 2)
        if distance > 0.0:
            moved += distance
            step += np.sum((start[i] - before[i]) ** 2) + np.sum((ahead[i] - before[i]) ** 2)
    return moved <= 4.0 * step


@jit
def _keep(chosen, theta, free, network, surfaces, normals, jumps, kept):
    """Release the chosen surfaces that the velocity leaves, put the cloud on the others; return if anything changed."""
    row, place, datum = surfaces
    outer, unit, inner = normals
    shares = least_share(free, jumps, chosen, network, surfaces, normals, np.ones(chosen.size, dtype=np.bool_))
    side = np.empty(chosen.size)
    count = 0
    away = 0.0
    changed = False
    for q in range(chosen.size):
        c = chosen[q]
        value, scale = find_normal(theta, network, row[c], place[c], datum[c], outer[c], unit[c], inner[c])
        kept[c] = 0.0 < shares[q] < 1.0 or datum[c] < 0  # a coordinate that leaves 0 is released when it has left
        if not kept[c]:
            changed = True
            if abs(value) > _NOTICEABLE * scale:
                continue
        side[count] = 1.0 if shares[q] >= 1.0 else -1.0
        chosen[count] = c
        count += 1
        if datum[c] >= 0:
            away = max(away, abs(value / scale - side[count - 1] * OFFSET) if scale > 0.0 else 0.0)
    if away > 0.5 * OFFSET:
        project(theta, chosen[:count], side[:count], network, surfaces, normals)
        changed = changed or away > _NOTICEABLE
    return changed
