"""The circle of directions of relu neurons in the plane, cut where a datum is switched on or off.

Between two neighbouring cuts the set of active data is fixed, so that w → Σ_j q_j σ(⟨w, x_j⟩) = ⟨w, v⟩ is linear there,
v = Σ_active q_j x_j: on an arc it is a sinusoid whose maximum lies at v/‖v‖ or at a cut.
"""

import numpy as np


class Circle:
    """The arcs into which the data cut the circle.

    Parameters
    ----------
    X : ndarray, shape (n, 2)
        Inputs, not all of them zero.

    Attributes
    ----------
    cuts : ndarray, shape (s,)
        The angles, sorted, in [0, 2π), of the directions w with ⟨w, x_j⟩ = 0 for some x_j ≠ 0. Arc i starts at cut i.
    """

    def __init__(self, X):
        self.X = X
        angles = np.arctan2(X[:, 1], X[:, 0])
        self._turning = np.flatnonzero(X.any(axis=1))
        on, off = (wrap(angles[self._turning] + turn) for turn in (-0.5 * np.pi, 0.5 * np.pi))
        self.cuts, index = np.unique(np.concatenate([on, off]), return_inverse=True)
        self._on, self._off = index.reshape(2, -1)
        self.lengths = np.mod(np.roll(self.cuts, -1) - self.cuts, 2.0 * np.pi)

    def arc_sums(self, q):
        """Return v = Σ_active q_j x_j for every arc, shape (s, 2), by running sums."""
        weighted = q[self._turning, None] * self.X[self._turning]
        steps = np.zeros((len(self.cuts), 2))
        np.add.at(steps, self._on, weighted)
        np.subtract.at(steps, self._off, weighted)
        return weighted[self._on > self._off].sum(axis=0) + np.cumsum(steps, axis=0)

    def local_maxima(self, q):
        """Return the angles and values of the local maxima above 0 of w → Σ_j q_j σ(⟨w, x_j⟩) on the circle."""
        v = self.arc_sums(q)
        peak = wrap(np.arctan2(v[:, 1], v[:, 0]))
        height = np.hypot(v[:, 0], v[:, 1])
        inside = wrap(peak - self.cuts)
        inside = (inside > 0.0) & (inside < self.lengths) & (height > 0.0)
        w = directions(self.cuts)
        tangent = np.column_stack([-w[:, 1], w[:, 0]])
        slope_after, slope_before = np.sum(v * tangent, axis=1), np.sum(np.roll(v, 1, axis=0) * tangent, axis=1)
        value = np.sum(v * w, axis=1)
        slack = 8.0 * np.finfo(np.float64).eps * float(np.abs(q) @ np.hypot(self.X[:, 0], self.X[:, 1]))
        cusp = (slope_before >= -slack) & (slope_after <= slack) & (value > 0.0)  # a peak at a cut must not be lost
        return np.concatenate([peak[inside], self.cuts[cusp]]), np.concatenate([height[inside], value[cusp]])

    def arc_of(self, angle):
        """Return the arc that an angle in [0, 2π) lies in, and whether it is the cut that the arc starts at."""
        arc = int(np.searchsorted(self.cuts, angle, side="right")) - 1
        return arc % len(self.cuts), bool(arc >= 0 and self.cuts[arc] == angle)

    def closed_arcs(self, angle):
        """Return the arcs, ends included, that an angle lies in."""
        arc, is_cut = self.arc_of(angle)
        return {arc, (arc - 1) % len(self.cuts)} if is_cut else {arc}

    def active(self, arc):
        """Return which data are active on an arc, a boolean array of shape (n,)."""
        return self.X @ directions(self.cuts[arc] + 0.5 * self.lengths[arc]) > 0.0

    def nearest_in_arc(self, angle, arc):
        """Return the angle of a closed arc that is nearest to an angle; at its ends exactly the cut."""
        offset = float(wrap(angle - self.cuts[arc]))
        if 0.0 < offset < self.lengths[arc]:
            return float(wrap(angle))
        to_end, to_start = offset - self.lengths[arc], 2.0 * np.pi - offset
        return float(self.cuts[(arc + 1) % len(self.cuts) if offset and to_end <= to_start else arc])


def directions(angles):
    """Return the unit vectors of angles of any shape (...), in the shape (..., 2)."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def wrap(angles):
    """Return angles modulo 2π, in [0, 2π)."""
    wrapped = np.mod(angles, 2.0 * np.pi)
    return np.where(wrapped == 2.0 * np.pi, 0.0, wrapped)
