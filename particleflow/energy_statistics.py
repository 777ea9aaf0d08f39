"""The energy distance between two empirical measures, exactly.

    D² = 2E|X − Y| − E|X − X'| − E|Y − Y'|,   X, X' ~ μ and Y, Y' ~ ν independent,

is the squared L² distance of the characteristic functions for a weight of theirs, so D is a metric (Székely & Rizzo
2013, *Energy statistics*, J. Stat. Plan. Inference 143). Between m samples and their law it is of the order m^(−1/2) in
every dimension, where W2 is slower.
"""

import math

import numpy as np

from particleflow.errors import InvalidInput
from particleflow.jit import jit
from particleflow.measure import EmpiricalMeasure
from particleflow.transport import _clouds as checked_clouds


def energy_distance(A, B):
    """Return the energy distance D(A, B) ≥ 0 of two empirical measures in R^p.

    Parameters
    ----------
    A, B : EmpiricalMeasure or array_like, shape (m, p) or (m,)
        Particles; m may differ.

    Returns
    -------
    float
        Exactly 0 for two clouds of the same particles.

    Raises
    ------
    InvalidInput
        If a cloud is empty, not finite, of another dimension, or on a torus.

    Examples
    --------
    >>> import particleflow as pf
    >>> pf.energy_distance([0.0, 0.0], [2.0])
    2.0
    """
    for cloud in (A, B):
        if isinstance(cloud, EmpiricalMeasure) and cloud.layout.period is not None:
            raise InvalidInput("the energy distance is for clouds in R^p: these particles are on a torus")
    A, B = (np.ascontiguousarray(cloud) for cloud in checked_clouds(A, B))
    squared = 2 * _mean_distance(A, B) - _mean_distance(A, A) - _mean_distance(B, B)
    if not math.isfinite(squared):
        raise InvalidInput("the particles are too large: their distances are infinite")
    return math.sqrt(max(0.0, squared))


@jit
def _mean_distance(A, B):
    """Return the mean of |x − y| over the particles x of A and y of B."""
    total = 0.0
    for i in range(len(A)):
        row = 0.0
        for j in range(len(B)):
            square = 0.0
            for k in range(A.shape[1]):
                square += (A[i, k] - B[j, k]) ** 2
            row += math.sqrt(square)
        total += row / len(B)
    return total / len(A)
