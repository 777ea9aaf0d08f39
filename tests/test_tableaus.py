import math
from itertools import product

import numpy as np
import pytest

import particleflow as pf
from particleflow.integrators.tableaus import TABLEAUS, Tableau, density, elementary_weight, rooted_trees

# Hairer, Nørsett, Wanner 1993, table II.2.3
TREES_OF_ORDER = {1: 1, 2: 1, 3: 2, 4: 4, 5: 9, 6: 20, 7: 48}


@pytest.mark.parametrize(("order", "count"), TREES_OF_ORDER.items())
def test_number_of_rooted_trees(order, count):
    assert len(rooted_trees(order)) == count


def test_densities_of_the_bushy_and_the_tall_tree():
    tall = bushy = ()
    for order in range(2, 7):
        tall, bushy = (tall,), (*bushy, ())
        assert density(tall) == math.factorial(order)
        assert density(bushy) == order


@pytest.mark.parametrize("tableau", TABLEAUS.values(), ids=TABLEAUS)
def test_order_conditions_written_out(tableau):
    """The conditions up to order 3 as they stand in the textbooks, and quadrature to the full order."""
    A, b = tableau.matrix, np.array(tableau.weights)
    c = A.sum(axis=1)
    conditions = [(b.sum(), 1), (b @ c, 1 / 2), (b @ c**2, 1 / 3), (b @ A @ c, 1 / 6)]
    for value, truth in conditions[: (1, 2, 4, 4, 4)[tableau.order - 1]]:
        assert abs(value - truth) < 1e-14
    for k in range(tableau.order):
        assert abs(b @ c**k - 1 / (k + 1)) < 1e-14


@pytest.mark.parametrize("tableau", TABLEAUS.values(), ids=TABLEAUS)
def test_order_is_not_understated(tableau):
    A, b = tableau.matrix, np.array(tableau.weights)
    missed = [abs(b @ elementary_weight(tree, A) - 1 / density(tree)) for tree in rooted_trees(tableau.order + 1)]
    assert max(missed) > 1e-5


@pytest.mark.parametrize("tableau", TABLEAUS.values(), ids=TABLEAUS)
def test_any_changed_coefficient_is_noticed(tableau):
    for i, j in product(range(len(tableau.stages)), repeat=2):
        if j < i:
            stages = [list(row) for row in tableau.stages]
            stages[i][j] += 1e-3
            if tableau.order > 1 and (np.delete(tableau.weights, range(i)) != 0).any():
                with pytest.raises(ValueError, match="misses a condition"):
                    Tableau("wrong", tableau.order, tuple(map(tuple, stages)), tableau.weights)
    for i in range(len(tableau.weights)):
        weights = list(tableau.weights)
        weights[i] += 1e-3
        with pytest.raises(ValueError, match="misses a condition of order 1"):
            Tableau("wrong", tableau.order, tableau.stages, tuple(weights))


def test_malformed_tableau():
    with pytest.raises(ValueError, match="row i of the stages must have i entries"):
        Tableau("wrong", 1, ((), ()), (0.5, 0.5))


def test_unknown_method_lists_the_valid_ones():
    with pytest.raises(pf.InvalidInput, match="'rk5' is unknown; valid: euler, heun, rk4, bs23, dopri5"):
        pf.solve(*small_problem(), 1.0, method="rk5")


def small_problem():
    energy = pf.EmpiricalEnergy(pf.TwoLayer("erf"), ([[0.3], [1.0]], [1.0, 0.0]))
    return energy, pf.sphere(2, 1, rng=0)
