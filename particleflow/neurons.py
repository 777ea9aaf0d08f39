"""How many distinct neurons a cloud has: clusters of particles, by what they contribute to the function.

Where σ is homogeneous of degree k, a σ(⟨w, x⟩) = a‖w‖^k σ(⟨w/‖w‖, x⟩): neurons of one direction act as one, whose mass
is the sum of theirs.
"""

from dataclasses import dataclass

import numpy as np

from particleflow.errors import InvalidInput, require_exchangeable
from particleflow.values import is_real

MOST_PARTICLES = 10_000


@dataclass(frozen=True)
class Neurons:
    """The distinct neurons of a cloud.

    Attributes
    ----------
    count : int
        Number of clusters.
    labels : ndarray of int, shape (m,)
        The cluster of each particle, from 0; −1 for those whose mass does not count.
    masses : ndarray, shape (count,)
        What each adds to the network: (1/m) Σ a‖w‖^k by direction, its share of the particles by distance.
    criterion : str
        "direction" or "distance".
    tolerance : float
        Neighbours are closer than this.
    """

    count: int
    labels: np.ndarray
    masses: np.ndarray
    criterion: str
    tolerance: float


def effective_neurons(measure, model=None, *, tolerance=1e-2):
    """Count the distinct neurons of a cloud: connected components of particles closer than a tolerance.

    For two-layer networks with a homogeneous σ the distance is |w/‖w‖ − w'/‖w'‖| (of lines, not directions, where σ is
    even or odd), and the particles with the smallest |a|‖w‖^k that carry together no more than the fraction `tolerance`
    of it are left out. Otherwise it is that of the particles, geodesic on a torus.

    Parameters
    ----------
    measure : EmpiricalMeasure
        The cloud, of at most 10000 particles (memory 4 m² bytes and more).
    model : Model, optional
        Its network, as in ``trajectory.model``.
    tolerance : float
        Above 0; components are those of single linkage.

    Returns
    -------
    Neurons

    Raises
    ------
    InvalidInput
        If the tolerance is not positive, there are too many particles, or those of the model are not exchangeable.

    Examples
    --------
    >>> import numpy as np, particleflow as pf
    >>> model = pf.TwoLayer("relu")
    >>> particles = np.array([[1.0, 2.0, 0.0], [3.0, 1.0, 0.0], [1.0, 0.0, 1.0]])  # (a, w)
    >>> pf.effective_neurons(pf.EmpiricalMeasure(particles, model.layout(2)), model).masses
    array([1.66666667, 0.33333333])
    """
    if not (is_real(tolerance) and tolerance > 0):
        raise InvalidInput(f"tolerance = {tolerance!r}: valid are finite numbers above 0")
    if measure.m > MOST_PARTICLES:
        raise InvalidInput(
            f"{measure.m} particles have too many pairs, valid are up to {MOST_PARTICLES} particles: take a subsample"
        )
    if model is not None:
        require_exchangeable(model, "the number of distinct neurons")
    degree = None if model is None or model.kind != "two-layer" else model.activation.homogeneity
    if degree is None:
        labels = _components(_pair_distances(measure.particles, measure.layout.period), measure.m, tolerance)
        masses, criterion = np.full(measure.m, 1 / measure.m), "distance"
    else:
        labels, masses = _by_direction(measure, model.activation, tolerance)
        criterion = "direction"
    kept = labels >= 0
    count = int(labels.max(initial=-1)) + 1
    return Neurons(count, labels, np.bincount(labels[kept], masses[kept], count), criterion, float(tolerance))


def _by_direction(measure, activation, tolerance):
    if tolerance >= 1:
        raise InvalidInput(f"tolerance = {tolerance!r}: valid for directions are numbers between 0 and 1")
    norms = np.linalg.norm(measure["w"], axis=1)
    masses = measure["a"] * norms**activation.homogeneity / measure.m
    order = np.argsort(np.abs(masses), kind="stable")
    carried = np.cumsum(np.abs(masses[order]))
    kept = np.sort(order[carried > tolerance * carried[-1]])
    labels = np.full(measure.m, -1)
    if len(kept):
        directions = measure["w"][kept] / norms[kept, None]
        parity = float(activation.value(-1.0) / activation.value(1.0))  # σ(−z) = ± σ(z), or 0: neither
        labels[kept] = _components(_pair_distances(directions, symmetric=parity != 0), len(kept), tolerance)
        if parity == -1:  # a σ(⟨w, x⟩) = −a σ(⟨−w, x⟩): masses along the first direction of the cluster
            first = directions[np.unique(labels[kept], return_index=True)[1]][labels[kept]]
            masses[kept] *= np.where(np.sum(directions * first, axis=1) < 0, -1.0, 1.0)
    return labels, masses


def _components(distances, count, tolerance):
    """Return the labels of the components, from 0 in the order of the particles."""
    from scipy.cluster.hierarchy import fcluster, linkage

    if count == 1:
        return np.zeros(1, dtype=int)
    found = fcluster(linkage(distances, "single"), tolerance, "distance")
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _pair_distances(points, period=None, symmetric=False):
    """Return the distances of all pairs, condensed as in `scipy.spatial.distance.pdist`."""
    from scipy.spatial.distance import cdist, pdist, squareform

    if period is not None:
        columns = (pdist(column[:, None]) % period for column in points.T)
        return np.sqrt(sum(np.minimum(gap, period - gap) ** 2 for gap in columns))
    distances = pdist(points)
    if symmetric:
        opposite = cdist(points, -points)
        np.fill_diagonal(opposite, 0.0)
        distances = np.minimum(distances, squareform(opposite, checks=False))
    return distances
