"""Butcher tableaus of explicit Runge–Kutta methods, as data that check their own order conditions.

References
----------
Hairer, Nørsett, Wanner 1993, Solving Ordinary Differential Equations I, §II.1–II.5 (trees and order conditions);
Bogacki, Shampine 1989, Applied Mathematics Letters 2 (BS23);
Dormand, Prince 1980, Journal of Computational and Applied Mathematics 6 (DOPRI5).
"""

from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement
from math import prod

import numpy as np

from particleflow.errors import lookup

_TOLERANCE = 1e-14


@dataclass(frozen=True)
class Tableau:
    """An explicit Runge–Kutta method; creating one that misses its order conditions raises ValueError.

    Attributes
    ----------
    name : str
        The name used in configurations.
    order : int
        Order of the solution that is propagated.
    stages : tuple of tuple of float
        Row i holds a_i0 … a_i,i−1; the strictly lower triangle of A.
    weights : tuple of float
        b, the weights of the propagated solution.
    embedded_order : int or None
        Order of the embedded solution that estimates the error; None for a method of fixed step.
    embedded_weights : tuple of float or None
        Its weights.
    """

    name: str
    order: int
    stages: tuple
    weights: tuple
    embedded_order: int | None = None
    embedded_weights: tuple | None = None

    def __post_init__(self):
        if any(len(row) != i for i, row in enumerate(self.stages)) or len(self.weights) != len(self.stages):
            raise ValueError(f"tableau {self.name}: row i of the stages must have i entries, and b one per stage")
        _check_order(self.name, self.matrix, np.array(self.weights), self.order)
        if self.adaptive:
            _check_order(self.name, self.matrix, np.array(self.embedded_weights), self.embedded_order)

    @property
    def adaptive(self):
        """Whether the method estimates its error."""
        return self.embedded_order is not None

    @property
    def matrix(self):
        """A, shape (s, s), strictly lower triangular."""
        matrix = np.zeros((len(self.stages), len(self.stages)))
        for i, row in enumerate(self.stages):
            matrix[i, :i] = row
        return matrix

    @property
    def error_weights(self):
        """The weights b − b̂ of the error estimate of an adaptive method, shape (s,)."""
        return np.array(self.weights) - np.array(self.embedded_weights)

    @property
    def first_same_as_last(self):
        """Whether the last stage is taken at the new solution, so that it is the first one of the next step."""
        return len(self.stages) > 1 and (*self.stages[-1], 0.0) == self.weights


@cache
def rooted_trees(order):
    """Return all rooted trees with that many vertices, each as the sorted tuple of its root's subtrees."""
    trees = set()
    for sizes in _partitions(order - 1):
        trees |= set(_forests(sizes))
    return tuple(sorted(trees))


def elementary_weight(tree, matrix):
    """Return Φ(tree), shape (s,), the vector with b·Φ = 1/γ as the order condition."""
    return prod((matrix @ elementary_weight(branch, matrix) for branch in tree), start=np.ones(len(matrix)))


def density(tree):
    """Return γ(tree)."""
    return _vertices(tree) * prod(density(branch) for branch in tree)


def _vertices(tree):
    return 1 + sum(_vertices(branch) for branch in tree)


def _partitions(total, largest=None):
    if total == 0:
        yield ()
    for first in range(min(total, largest or total), 0, -1):
        for rest in _partitions(total - first, first):
            yield (first, *rest)


def _forests(sizes):
    if not sizes:
        return [()]
    count = sizes.count(sizes[0])
    rest = _forests(sizes[count:])
    groups = combinations_with_replacement(rooted_trees(sizes[0]), count)
    return [tuple(sorted((*group, *other))) for group in groups for other in rest]


def _check_order(name, matrix, weights, order):
    for vertices in range(1, order + 1):
        for tree in rooted_trees(vertices):
            defect = weights @ elementary_weight(tree, matrix) - 1 / density(tree)
            if abs(defect) > _TOLERANCE:
                raise ValueError(f"tableau {name} misses a condition of order {vertices} by {defect:.2e}")


EULER = Tableau("euler", 1, ((),), (1.0,))
HEUN = Tableau("heun", 2, ((), (1.0,)), (0.5, 0.5))
RK4 = Tableau("rk4", 4, ((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6))
BS23 = Tableau(
    "bs23",
    3,
    ((), (1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
    (2 / 9, 1 / 3, 4 / 9, 0.0),
    2,
    (7 / 24, 1 / 4, 1 / 3, 1 / 8),
)
DOPRI5 = Tableau(
    "dopri5",
    5,
    (
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0),
    4,
    (5179 / 57600, 0.0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40),
)

TABLEAUS = {tableau.name: tableau for tableau in (EULER, HEUN, RK4, BS23, DOPRI5)}
"""The Runge–Kutta methods by name, as `particleflow.solve` takes them; a `Tableau` of one's own will do as well."""


def get_tableau(name):
    """Return the tableau of that name (or a `Tableau` as it is); see `particleflow.errors.lookup`."""
    return lookup("flow.method", name, TABLEAUS)
