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
from particleflow.models.crossings import Crossings, cross_coordinates, cross_inputs
from particleflow.models.jumps import find_jumps, least_shares, regularizer_jump
from particleflow.models.surfaces import OFFSET, add_normal, find_normal, independent, project

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
        self._network = np.array(supports), own, inputs, *drift.graph
        self._columns = np.ascontiguousarray(inputs.T)
        self._rows = max(16, _TILE // (7 * len(supports) * own))
        self._found = Crossings(4 * len(supports) * (1 + supports.shape[1] + own * X.shape[1]))
        self.hold(NO_CONTACTS)

    def __call__(self, theta, out):
        """Fill out (m, p) with the velocity; return the parts of the energy."""
        parts = self.plain(theta, out)
        if len(self.contacts[0]):
            args = self._network, self._pulls(), self.contacts, self._starts, self._normals
            slide(theta, out, *args, self._jumps, self._shares)
        return parts

    def settle(self, before, ahead, theta, velocity):
        """Make and release contacts after a step from `before` to `theta`, where `velocity` was just evaluated.

        Parameters and result are those of `particleflow.models.sliding.SlidingVelocity.settle`.
        """
        self._found.clear()
        network, pulls, found = self._network, self._pulls(), self._found.arrays
        cross_coordinates(before, ahead, theta, velocity, network, pulls, self.contacts, found)
        if len(network[2]):
            clouds = before, theta, ahead
            cross_inputs(clouds, velocity, network, pulls, self._columns, self.contacts, self._rows, found)
        crossed, times, active = self._found.found()
        held = len(self.contacts[0])
        if held + len(times) == 0:
            return False
        surfaces = tuple(np.concatenate(pair) for pair in zip(self.contacts, crossed, strict=True))
        order, starts = _in_components(surfaces, np.append(np.full(held, -1.0), times), network)
        surfaces = tuple(part[order] for part in surfaces)
        kept, active = order < held, np.append(np.zeros(held, dtype=bool), active)[order]
        shares = np.append(self._shares, np.zeros(len(times)))[order]
        args = network, pulls, surfaces, starts, _make_normals(surfaces, network[0].shape[1])
        changed = settle_on_surfaces(before, ahead, theta, velocity, *args, shares, active, kept)
        if changed:
            self.hold(tuple(part[kept] for part in surfaces))
        return changed

    def hold(self, contacts):
        """Take these contacts for the steps to come."""
        supports, own = self._network[:2]
        order, self._starts = _in_components(contacts, np.zeros(len(contacts[0])), self._network)
        self.contacts = row, place, datum = tuple(part[order] for part in contacts)
        self._normals = _make_normals(self.contacts, supports.shape[1])
        self._jumps, self._shares = np.zeros(len(row)), np.zeros(len(row))
        first, second = np.flatnonzero((datum >= 0) & (place >= 0)), np.flatnonzero((datum >= 0) & (place < 0))
        (neurons, first_data), (clusters, second_data) = self._data_of(first), self._data_of(second)
        self._drift.hide((row[neurons] * own + place[neurons], first_data), (row[clusters], second_data))

    def _data_of(self, chosen):
        """Return pairs (contact, datum) for all data of the chosen contacts."""
        inputs = self.contacts[2][chosen]
        ends = np.cumsum(self._copies)[inputs]
        data = [self._by_input[end - copies : end] for end, copies in zip(ends, self._copies[inputs], strict=True)]
        return np.repeat(chosen, self._copies[inputs]), np.concatenate([NO_CONTACTS[0], *data])

    def _pulls(self):
        residuals = self._drift.residuals[: len(self._input_of)]
        return np.bincount(self._input_of, residuals, len(self._copies)), *self._regularizer


def _make_normals(surfaces, s):
    count = len(surfaces[0])
    return np.empty((count, 1 + s)), np.empty((count, s), dtype=np.int64), np.empty((count, s))


def _in_components(surfaces, times, network):
    """Return the order of the surfaces by connected component and time, and where components start (and the end)."""
    component = components(surfaces, *network[:2], *network[6:8])
    order = np.lexsort((times, component))
    ordered = component[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(order) else order
    return order, np.append(starts, len(order))


@jit
def components(surfaces, supports, own, of_unit, cluster):
    """Return a number for each surface, the same for those whose normals or jumps may depend on each other (union–find)."""
    row, place, datum = surfaces
    m, s = supports.shape
    parent = np.arange(m + m * own)
    for c in range(row.size):
        if (datum[c] < 0) != (place[c] < 0):  # u_ik = 0 and q_i(x_j) = 0: with all neurons of the cluster
            for k in range(s):
                if supports[row[c], k] >= 0:
                    parent[_root(parent, m + supports[row[c], k])] = _root(parent, row[c])
        elif datum[c] >= 0:  # with other neurons of the same datum and cluster
            q = row[c] * own + place[c]
            for other in range(c):
                if datum[other] == datum[c] and place[other] >= 0:
                    unit = row[other] * own + place[other]
                    for e in range(of_unit[q], of_unit[q + 1]):
                        if np.any(supports[cluster[e]] == unit):
                            parent[_root(parent, m + unit)] = _root(parent, m + q)
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
def slide(theta, out, network, pulls, surfaces, starts, normals, jumps, shares):
    """Replace the velocity by that of least norm; record the jumps κ_c and the shares s_c κ_c."""
    row, place, datum = surfaces
    outer, unit, inner = normals
    _, regularizer, weight = pulls
    left = np.zeros(row.size, dtype=np.bool_)
    for c in range(row.size):
        value, _ = find_normal(theta, network, row[c], place[c], datum[c], outer[c], unit[c], inner[c])
        if datum[c] < 0:
            left[c] = value != 0.0
            if not left[c]:  # the plain velocity is that in the middle for V, on the negative side for the data
                jump = regularizer_jump(theta, network, row[c], place[c], regularizer, weight)
                out[row[c], 1 + place[c]] += 0.5 * jump
    for start in range(starts.size - 1):
        chosen = np.arange(starts[start], starts[start + 1])
        chosen = chosen[~left[chosen]]
        if chosen.size == 0:
            continue
        fraction = least_shares(theta, out, chosen, network, pulls, surfaces, normals, jumps, shares)
        for c in chosen:
            add_normal(out, -shares[c], network, row[c], datum[c], outer[c], unit[c], inner[c])
        for q in range(chosen.size):
            c = chosen[q]
            if datum[c] < 0 and 0.0 < fraction[q] < 1.0:
                out[row[c], 1 + place[c]] = 0.0


@jit
def settle_on_surfaces(before, ahead, theta, velocity, network, pulls, surfaces, starts, normals, shares, active, kept):
    """Decide which surfaces hold the cloud from now on and put it there; return whether cloud or contacts changed.

    Surfaces come by component, held ones first (`kept`, replaced by the decision), then by the time of crossing.
    `active` says which of the crossed ones the velocity takes on their positive side, `shares` what it has of the others.
    """
    free = velocity.copy()  # without the share of the chosen surfaces
    jumps = np.empty(kept.size)
    world = network, pulls, surfaces, normals
    changed = False
    for start in range(starts.size - 1):
        first, stop = starts[start], starts[start + 1]
        chosen = np.empty(stop - first, dtype=np.int64)
        count = 0
        for c in range(first, stop):
            if kept[c]:
                kept[c] = _still_there(c, theta, free, world, shares)
                changed = changed or not kept[c]
                if kept[c]:
                    chosen[count] = c
                    count += 1
            else:
                chosen[count] = c
                count = _join(chosen, count, before, ahead, theta, free, world, jumps, active, kept)
                changed = changed or kept[c]
        if count:
            moved = _release(chosen[:count], theta, free, world, jumps, kept)
            changed = changed or moved
    return changed


@jit
def _still_there(c, theta, free, world, shares):
    """Return whether a surface that was held exists where theta is now; take its share out of the velocity."""
    network, _, surfaces, (outer, unit, inner) = world
    row, place, datum = surfaces
    value, _ = find_normal(theta, network, row[c], place[c], datum[c], outer[c], unit[c], inner[c])
    if datum[c] < 0 and value != 0.0:
        return False
    add_normal(free, shares[c], network, row[c], datum[c], outer[c], unit[c], inner[c])
    return not _is_lone(c, surfaces, unit)


@jit
def _is_lone(c, surfaces, unit):
    """Return whether it is a surface of a cluster with one active neuron at most: then it is another one, u_ik = 0."""
    return surfaces[2][c] >= 0 and surfaces[1][c] < 0 and np.sum(unit[c] >= 0) < 2


@jit
def _join(chosen, count, before, ahead, theta, free, world, jumps, active, kept):
    """Put the cloud on one more surface beside the chosen ones if that holds it; return how many are chosen then.

    The surface is chosen[count]. Keeps `free` the velocity without the shares of the chosen surfaces.
    """
    network, pulls, surfaces, (outer, unit, inner) = world
    row, place, datum = surfaces
    c = chosen[count]
    value, _ = find_normal(theta, network, row[c], place[c], datum[c], outer[c], unit[c], inner[c])
    find_jumps(theta, chosen[: count + 1], network, pulls, surfaces, jumps)
    share = jumps[c]
    if (value > 0.0) != active[c]:  # put back on an earlier surface, the cloud does not get here
        share = -share if value > 0.0 else share
        add_normal(free, share, network, row[c], datum[c], outer[c], unit[c], inner[c])
        return count
    share = share if active[c] else 0.0
    normal = outer[c].copy(), unit[c].copy(), inner[c].copy()
    add_normal(free, share, network, row[c], datum[c], *normal)
    together = _put_on(chosen[: count + 1], before, ahead, theta, free, world, jumps)
    if together.size and together[-1] == c:
        for other in chosen[:count]:
            kept[other] = np.any(together == other)
        kept[c] = True
        chosen[: together.size] = together
        return together.size
    add_normal(free, -share, network, row[c], datum[c], *normal)
    return count


@jit
def _put_on(chosen, before, ahead, theta, free, world, jumps):
    """Put the cloud on the chosen surfaces if the last of them holds it there, else leave it; return those that are left.

    Surfaces that end where the last one is met are left out. None are left if the cloud stays where it was.
    """
    network, pulls, surfaces, normals = world
    row, place, datum = surfaces
    outer, unit, inner = normals
    start = theta.copy()
    together = chosen.copy()
    while together.size and together[-1] == chosen[-1]:
        if (
            independent(together, network, surfaces, normals)
            and project(theta, together, np.full(together.size, -1.0), network, surfaces, normals)
            and _is_near(start, before, ahead, theta)
        ):
            shares = np.empty(jumps.size)
            fraction = least_shares(theta, free, together, network, pulls, surfaces, normals, jumps, shares)
            if 0.0 < fraction[-1] < 1.0:
                return together
        remaining = np.array([c for c in together if not _is_lone(c, surfaces, unit)])
        theta[:] = start
        for c in chosen:
            find_normal(theta, network, row[c], place[c], datum[c], outer[c], unit[c], inner[c])
        if remaining.size == together.size:
            break
        together = remaining
    return together[:0]


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
def _release(chosen, theta, free, world, jumps, kept):
    """Release the chosen surfaces that the velocity leaves, put the cloud on the others; return if anything changed."""
    network, pulls, surfaces, normals = world
    row, place, datum = surfaces
    outer, unit, inner = normals
    fraction = least_shares(theta, free, chosen, network, pulls, surfaces, normals, jumps, np.zeros(jumps.size))
    side = np.empty(chosen.size)
    count = 0
    away = 0.0
    changed = False
    for q in range(chosen.size):
        c = chosen[q]
        value, scale = find_normal(theta, network, row[c], place[c], datum[c], outer[c], unit[c], inner[c])
        kept[c] = 0.0 < fraction[q] < 1.0 or datum[c] < 0  # a coordinate that leaves 0 is released when it has left
        if not kept[c]:
            changed = True
            if abs(value) > _NOTICEABLE * scale:
                continue
        side[count] = 1.0 if fraction[q] >= 1.0 else -1.0
        chosen[count] = c
        count += 1
        if datum[c] >= 0:
            away = max(away, abs(value / scale - side[count - 1] * OFFSET) if scale > 0.0 else 0.0)
    if away > 0.5 * OFFSET:
        project(theta, chosen[:count], side[:count], network, surfaces, normals)
        changed = changed or away > _NOTICEABLE
    return changed
