"""The covering radius of points on the unit sphere: the largest angle from any direction to the nearest of them.

It is the arc cosine of the least value of the support function max_i ⟨u, w_i⟩ over unit vectors u. If 0 lies inside the
convex hull of the points, that is the distance from 0 to the nearest facet; otherwise the points lie in a half-sphere.
"""

import math
from itertools import pairwise

import numpy as np

LARGEST = 4
"""The largest dimension in which the convex hull is computed: its facets grow as m^⌊d/2⌋."""
_STARTS, _STEPS = 512, 60


def covering_radius(points):
    """Return the covering radius of unit vectors, or a lower bound of it.

    Parameters
    ----------
    points : ndarray, shape (m, d)
        Unit vectors, m ≥ 1.

    Returns
    -------
    radius : float
        In radians. It is above π/2 exactly if the points lie in an open half-sphere.
    exact : bool
        Whether this is the radius, up to rounding, rather than a lower bound: so for d ≤ 2, and for d ≤ 4 unless the
        points lie in a half-sphere.
    """
    d = points.shape[1]
    if d == 1:
        return (0.0 if len(np.unique(np.sign(points))) == 2 else math.pi), True
    if d == 2:
        angles = np.unique(np.arctan2(points[:, 1], points[:, 0]))
        gaps = [after - before for before, after in pairwise([*angles, angles[0] + 2 * math.pi])]
        return 0.5 * max(gaps), True
    centre = _half_sphere(points)
    if centre is not None:
        return max(_angle(points, centre), _by_descents(points)), False
    if d <= LARGEST:
        return _by_hull(points)
    return _by_descents(points), False


def _angle(points, centres):
    """Return the angle of unit vectors, shape (k, d) or (d,), to the nearest point; the largest if they are many."""
    return float(np.arccos(np.clip(np.max(points @ centres.T, axis=0), -1.0, 1.0)).max())


def _half_sphere(points):
    """Return a unit vector u with ⟨u, w_i⟩ < 0 for all points, by a linear program; None if there is none."""
    from scipy.optimize import linprog

    m, d = points.shape
    cost = np.append(np.zeros(d), 1.0)
    rows = np.column_stack([points, -np.ones(m)])
    found = linprog(cost, A_ub=rows, b_ub=np.zeros(m), bounds=[(-1, 1)] * d + [(None, None)])
    u = found.x[:d]
    return u / np.linalg.norm(u) if found.x[d] < -1e-9 and np.max(points @ u) < 0 else None


def _by_hull(points):
    from scipy.spatial import ConvexHull, QhullError

    try:
        offsets = ConvexHull(points).equations[:, -1]
    except QhullError:  # all points in one plane through 0
        return 0.5 * math.pi, False
    return math.acos(min(max(float(np.min(-offsets)), 0.0), 1.0)), True


def _by_descents(points):
    """Return the largest angle that descents of the support function find from random directions."""
    u = np.random.default_rng(0).standard_normal((_STARTS, points.shape[1]))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    best = _angle(points, u)
    for step in np.geomspace(0.5, 0.01, _STEPS):
        u -= step * points[np.argmax(points @ u.T, axis=0)]
        u /= np.linalg.norm(u, axis=1, keepdims=True)
        best = max(best, _angle(points, u))
    return best
