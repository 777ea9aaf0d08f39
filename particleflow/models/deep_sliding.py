"""Sliding along kinks in networks with two hidden layers (see `particleflow.models.sliding` for what sliding is).

Where a cloud runs through a surface c of `particleflow.models.surfaces` from its negative to its positive side, the
velocity changes by −κ_c N_c: N_c the normal, κ_c the jump

    a_i = 0            λ ∂V_i/∂|a_i|                           path norm, scaled squared norm
    u_ik = 0           λ |a_i| ‖W_S(i,k)‖                      path norm
                       Σ_j a_i r_j σ(z_k), no other z > 0      relu
    ⟨W_q, x_j⟩ = 0     Σ a_i u_ik r_j σ'(q_i) over readers     relu
    q_i(x_j) = 0       a_i r_j                                 relu

With κ_c > 0 the energy is convex across it and the cloud may have to stay. With the surfaces C in contact the velocity
is v − Σ_C y_c N_c, where v is that of their negative sides, with the 0 ≤ y_c ≤ κ_c that make it least. Contacts are
fixed within a step; normals follow the cloud, so that left-hand sides stay constant to the order of the method, and
`settle` puts the cloud back on its surfaces after it.
"""

import numpy as np

from particleflow.jit import jit
from particleflow.models.cones import freeze, settle_cones
from particleflow.models.crossings import cross_coordinates, cross_inputs
from particleflow.models.jumps import find_corner, least_shares, regularizer_jump
from particleflow.models.settling import settle_on_surfaces
from particleflow.models.surfaces import add_normal, find_normal
from particleflow.regularizers import PATH_NORM
from particleflow.threads import rounds, share

NO_CONTACTS = np.empty((0, 3), dtype=np.int64)
# In the place of the datum: a block at rest (see `particleflow.models.cones`).
_CONE = -2
# So many surfaces that meet at u_ik = 0 for several k are looked at.
_MOST = 50
# Numbers in the buffers of a pass over the data.
_TILE = 2**17


class DeepSlidingVelocity:
    """The velocity −∇G of a network with two hidden layers, which may slide along kinks.

    Parameters
    ----------
    plain : callable
        ``velocity(theta, out) -> parts`` with derivative 0 at kinks; may be replaced by one with further terms.
    drift : object
        Where `plain` takes the part of the data: its X, residuals ½ℓ'_j / n, graph, and the kinks it is told to hide.
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
    contacts : tuple of three ndarrays of int, shape (k,)
        Rows, places and data of the surfaces in contact; never changed in place.
    """

    def __init__(self, plain, drift, kinked, supports, own, regularizer, strength):
        self.plain, self._drift, self._regularizer = plain, drift, (regularizer, 0.5 * strength)
        (m, s), X = supports.shape, drift.X if kinked else drift.X[:0]
        inputs, self._input_of = np.unique(X, axis=0, return_inverse=True)  # equal inputs have one kink
        self._input_of = self._input_of.reshape(-1)
        self._by_input = np.argsort(self._input_of, kind="stable")
        self._copies = np.bincount(self._input_of, minlength=len(inputs))
        _, _, _, first, cluster, slot = drift.graph
        self._network = np.array(supports), own, inputs, first, np.column_stack([cluster, slot - cluster * s])
        self._columns, self._rows = np.ascontiguousarray(inputs.T), max(16, min(256, _TILE // (m * own)))
        room, flops = 4 * m * (1 + s + own * X.shape[1]), 6.0 * m * own * X.shape[1]
        self._rounds = rounds(len(inputs), self._rows, flops, 40.0 * room)  # none without kinks
        self._found = [
            (np.zeros(1, dtype=np.int64), np.empty((room, 3), dtype=np.int64), np.empty((room, 2)))
            for _ in range(max((len(some) for some in self._rounds), default=1))
        ]
        self._corners = kinked or regularizer == PATH_NORM
        self._hold(NO_CONTACTS, NO_CONTACTS[:, :2].copy())

    def __call__(self, theta, out):
        """Fill out (m, p) with the velocity; return the parts of the energy."""
        parts = self.plain(theta, out)
        if len(self._cones):
            freeze(out, self._network, self._cones, self._free)
        if len(self._surfaces):
            lists = self._surfaces, self._starts, self._normals, self._jumps, self._shares
            slide(theta, out, self._network, self._pulls(), *lists)
        return parts

    def settle(self, before, ahead, theta, velocity):
        """Make and release contacts after a step from `before` to `theta`, where `velocity` was just evaluated.

        Parameters and result are those of `particleflow.models.sliding.SlidingVelocity.settle`.
        """
        network, pulls = self._network, self._pulls()
        cones, moved = self._cones, False
        if self._corners:
            found = np.empty((len(theta) * (1 + network[1]), 2), dtype=np.int64)
            args = network, pulls, self._surfaces, self._cones, self._free, found
            resting, moved = settle_cones(before, ahead, theta, velocity, *args)
            cones = found[:resting].copy()
        crossed, marks = self._cross((before, theta, ahead), velocity, network, pulls)
        new = len(crossed)
        at_rest = {(row, place) for row, place in cones.tolist()}
        free = np.array([j < 0 or (row, place) not in at_rest for row, place, j in self._surfaces.tolist()], dtype=bool)
        held, moved = np.count_nonzero(free), moved or not free.all()
        if held + new == 0 and not moved:
            return False
        surfaces = np.concatenate([self._surfaces[free], crossed])
        times, active = np.full(held + new, -1.0), np.zeros(held + new, dtype=bool)
        times[held:], active[held:] = marks.T
        order, starts = _in_components(surfaces, times, network)
        surfaces, kept, shares = surfaces[order], order < held, np.append(self._shares[free], np.zeros(new))[order]
        lists = surfaces, starts, self._make_normals(surfaces), shares, active[order], kept
        changed = settle_on_surfaces(before, ahead, theta, velocity, network, pulls, *lists)
        if changed or moved:
            self._hold(self._with_corners(theta, surfaces[kept]), cones)
        return changed or moved

    def _cross(self, clouds, velocity, network, pulls):
        """Return the surfaces that were crossed and may hold the cloud, (new, 3), and their marks, (new, 2)."""
        for count, _, _ in self._found:
            count[0] = 0
        before, theta, ahead = clouds
        cross_coordinates(before, ahead, theta, velocity, network, pulls, self._surfaces, self._found[0])
        lists = self._drift.graph, pulls, self._columns, self._surfaces, self._rows

        def add(part, first, last):
            cross_inputs(first, last, clouds, velocity, network, *lists, self._found[part])

        for some in self._rounds:
            share(add, some)
        return (np.concatenate([found[k][: found[0][0]] for found in self._found]) for k in (1, 2))

    def _with_corners(self, theta, surfaces):
        """Return the surfaces and those that meet where several weights of a cluster are 0."""
        places, inputs = surfaces[(surfaces[:, 2] < 0) & (surfaces[:, 1] >= 0)], np.empty(_MOST, dtype=np.int64)
        rows, counts = np.unique(places[:, 0], return_counts=True)
        for row in rows[counts > 1]:
            count = find_corner(theta, self._network, self._pulls(), row, inputs)
            corners = np.column_stack([np.full(count, row), np.full(count, -1), inputs[:count]])
            surfaces = np.unique(np.concatenate([surfaces, corners]), axis=0)
        return surfaces

    def hold(self, contacts):
        """Take these contacts for the steps to come."""
        contacts = np.stack(contacts, axis=1)
        surfaces, cones = contacts[contacts[:, 2] != _CONE], contacts[contacts[:, 2] == _CONE, :2]
        self._hold(np.ascontiguousarray(surfaces), np.ascontiguousarray(cones))

    def _hold(self, surfaces, cones):
        self._cones, self._free = cones, np.zeros((len(cones), max(self._network[0].shape[1], len(self._columns))))
        order, self._starts = _in_components(surfaces, np.zeros(len(surfaces)), self._network)
        self._surfaces = surfaces[order]
        self._normals = self._make_normals(surfaces)
        self._jumps, self._shares = np.zeros(len(surfaces)), np.zeros(len(surfaces))
        row, place, j = self._surfaces.T
        corners = np.column_stack([cones, np.full(len(cones), _CONE)])
        self.contacts = tuple(np.concatenate([self._surfaces, corners]).T.copy())
        (first, first_data), (second, second_data) = (
            self._data_of(np.flatnonzero((j >= 0) & (layer == (place >= 0)))) for layer in (True, False)
        )
        self._drift.hide((row[first] * self._network[1] + place[first], first_data), (row[second], second_data))

    def _data_of(self, chosen):
        """Return pairs (contact, datum) for all data of the chosen contacts."""
        inputs = self._surfaces[chosen, 2]
        ends, copies = np.cumsum(self._copies)[inputs], self._copies[inputs]
        data = [self._by_input[end - count : end] for end, count in zip(ends, copies, strict=True)]
        return np.repeat(chosen, copies), np.concatenate([NO_CONTACTS[:, 0], *data])

    def _make_normals(self, surfaces):
        return np.empty((len(surfaces), 1 + 2 * self._network[0].shape[1]))

    def _pulls(self):
        residuals = self._drift.residuals[: len(self._input_of)]
        return np.bincount(self._input_of, residuals, len(self._copies)), *self._regularizer


def _in_components(surfaces, times, network):
    """Return the order of the surfaces by connected component and time, and where components start (and the end)."""
    component = components(surfaces, network)
    order = np.lexsort((times, component))
    return order, np.flatnonzero(np.diff(component[order], prepend=-1, append=-1))


@jit
def components(surfaces, network):
    """Return a number for each surface, equal where normals or jumps may depend on each other (union–find)."""
    supports, own, _, first, readers = network
    m, s = supports.shape
    parent = np.arange(m + m * own)
    for c in range(len(surfaces)):
        row, place, j = surfaces[c]
        if (j < 0) != (place < 0):  # u_ik = 0 and q_i(x_j) = 0: with all neurons of the cluster
            for k in range(s):
                if supports[row, k] >= 0:
                    parent[_root(parent, m + supports[row, k])] = _root(parent, row)
        elif j >= 0:  # with other neurons of the same datum and cluster
            q = row * own + place
            for e in range(first[q], first[q + 1]):
                for other in range(c):
                    unit = surfaces[other, 0] * own + surfaces[other, 1]
                    if surfaces[other, 2] == j and surfaces[other, 1] >= 0:
                        for k in range(s):
                            if supports[readers[e, 0], k] == unit:
                                parent[_root(parent, m + unit)] = _root(parent, m + q)
    number = np.empty(len(surfaces), dtype=np.int64)
    for c in range(len(surfaces)):
        row, place, j = surfaces[c]
        number[c] = _root(parent, m + row * own + place if j >= 0 and place >= 0 else row)
    return number


@jit
def _root(parent, node):
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@jit
def slide(theta, out, network, pulls, surfaces, starts, normals, jumps, shares):
    """Replace the velocity by that of least norm; record the jumps κ_c and the shares y_c."""
    there = np.ones(len(surfaces), dtype=np.bool_)
    for c in range(len(surfaces)):
        value, _ = find_normal(theta, network, surfaces[c], normals[c])
        row, place, j = surfaces[c]
        if j < 0:
            there[c] = value == 0.0
            if there[c]:  # the plain velocity is that in the middle for V, on the negative side for the data
                out[row, 1 + place] += 0.5 * regularizer_jump(theta, network, pulls, row, place)
    for start in range(starts.size - 1):
        chosen = np.arange(starts[start], starts[start + 1])
        chosen = chosen[there[chosen]]
        if chosen.size == 0:
            continue
        fraction = least_shares(theta, out, network, pulls, surfaces, normals, chosen, chosen, jumps, shares)
        for c in chosen:
            add_normal(out, -shares[c], network, surfaces[c], normals[c])
        for q in range(chosen.size):
            row, place, j = surfaces[chosen[q]]
            if j < 0 and 0.0 < fraction[q] < 1.0:
                out[row, 1 + place] = 0.0
