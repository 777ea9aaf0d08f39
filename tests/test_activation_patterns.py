"""The convex program over activation patterns: patterns against random directions, minima against other roads."""

import importlib.util
import sys
import warnings

import numpy as np
import pytest
from scipy.optimize import linprog

import particleflow as pf
from particleflow.reference.activation_patterns import activation_patterns

needs_cvxpy = pytest.mark.skipif(importlib.util.find_spec("cvxpy") is None, reason="needs CVXPY")
RNG = np.random.default_rng(0)


def seen(X, count=100_000):
    """Return the patterns of random directions."""
    W = np.random.default_rng(1).normal(size=(count, X.shape[1]))
    return set(map(tuple, np.unique(W @ X.T > 0, axis=0).tolist()))


def exists(pattern, X):
    """Return whether some direction has the pattern, by a linear program."""
    rows = np.where(pattern, 1.0, -1.0)[:, None] * X
    rows = np.column_stack([-rows, np.ones(len(X))])[X.any(axis=1)]
    cost = np.append(np.zeros(X.shape[1]), -1.0)
    found = linprog(cost, A_ub=rows, b_ub=np.zeros(len(rows)), bounds=[(-1, 1)] * X.shape[1] + [(None, 1)])
    return found.x[-1] > 1e-9


# --- the patterns -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", (1, 2, 3, 10, 30))
def test_the_number_of_cells_in_general_position(n):
    """2 Σ_{k<d} C(n − 1, k) (Cover 1965)."""
    assert len(activation_patterns(RNG.normal(size=(n, 1)))) == 2
    assert len(activation_patterns(RNG.normal(size=(n, 2)))) == 2 * n
    if n > 1:
        assert len(activation_patterns(RNG.normal(size=(n, 3)))) == n * n - n + 2


GRID = np.array([(x, y, 1.0) for x in (-1, 0, 1) for y in (-1, 0, 1)])
DEGENERATE = {
    "plane": RNG.normal(size=(9, 2)),
    "space": RNG.normal(size=(8, 3)),
    "grid": GRID,
    "opposite and equal data": np.vstack([GRID[:3], -GRID[:3], 2 * GRID[:3], GRID[4:6]]),
    "a datum 0": np.vstack([RNG.normal(size=(5, 3)), np.zeros((1, 3))]),
    "a plane in space": RNG.normal(size=(7, 2)) @ RNG.normal(size=(2, 3)),
    "a line in space": np.outer([1.0, -2.0, 3.0], [1.0, 2.0, 2.0]),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_all_patterns_are_found_and_all_that_are_found_exist(name):
    X = DEGENERATE[name]
    patterns = activation_patterns(X)
    found, random = set(map(tuple, patterns.tolist())), seen(X)
    assert len(found) == len(patterns) and random <= found
    assert all(exists(pattern, X) for pattern in found - random)


def test_data_that_are_all_zero_have_one_pattern():
    assert activation_patterns(np.zeros((3, 2))).tolist() == [[False] * 3]


# --- the program ------------------------------------------------------------------------------------------------------


@needs_cvxpy
@pytest.mark.parametrize("x, y, strength", [([2.0], 3.0, 0.5), ([0.6, 0.8], -2.0, 1.0), ([0.0, 2.0, 1.0], 1.0, 0.3)])
def test_one_datum(x, y, strength):
    """min_c (c‖x‖ − |y|)² + λc, at c‖x‖ = |y| − λ/2‖x‖."""
    size = np.linalg.norm(x)
    exact = (0.5 * strength / size) ** 2 + strength * (abs(y) / size - 0.5 * strength / size**2)
    found = pf.pattern_program(([x], [y]), strength=strength)
    assert found.energy == pytest.approx(exact, rel=1e-8) and found.value == pytest.approx(exact, rel=1e-8)
    assert np.sign(found.masses).tolist() == [np.sign(y)]


@needs_cvxpy
@pytest.mark.parametrize("loss", ("squared", "logistic", "huber"))
@pytest.mark.parametrize("strength", (1e-2, 1e-1))
def test_the_minimum_of_the_conditional_gradient_in_the_plane(loss, strength):
    X = RNG.normal(size=(15, 2))
    y = np.sign(X[:, 0] * X[:, 1])
    other = pf.global_minimum((X, y), strength=strength, loss=loss)
    assert pf.pattern_program((X, y), strength=strength, loss=loss).energy == pytest.approx(other.energy, rel=1e-6)


@needs_cvxpy
def test_between_the_certified_bounds_in_space():
    X, y = RNG.normal(size=(12, 3)), RNG.normal(size=12)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y), strength=1e-2)
    found = pf.pattern_program((X, y), strength=1e-2)
    other = pf.certify(energy, pf.sphere(40, 3, rng=0))
    assert other.verdict == "proof" and other.lower_bound <= found.energy <= other.energy
    size = np.sqrt(np.abs(found.masses) * len(found.masses))
    blocks = {"a": np.sign(found.masses) * size, "w": size[:, None] * found.directions}
    own = pf.certify(energy, pf.EmpiricalMeasure.from_blocks(energy.layout, **blocks))
    assert own.verdict == "proof" and own.energy == pytest.approx(found.energy, rel=1e-12)
    assert own.lower_bound <= found.energy and own.relative_gap < 1e-3  # the tolerance of the search


@needs_cvxpy
@pytest.mark.parametrize(
    "settings, words",
    [
        ({"tol_gap_rel": 1e-3, "tol_gap_abs": 1e-3, "tol_feas": 1e-3}, "claims the energy|violates|status"),
        ({"max_iter": 4}, 'the status "user_limit"'),
    ],
)
def test_answers_of_a_solver_are_not_believed(settings, words):
    X, y = np.random.default_rng(0).normal(size=(20, 3)), np.random.default_rng(1).normal(size=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(pf.SolverFailed, match=words):
            pf.pattern_program((X, y), strength=0.01, **settings)


def test_a_missing_package_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    with pytest.raises(pf.MissingPackage, match=r'pip install "particleflow\[convex\]"'):
        pf.pattern_program(([[1.0]], [1.0]), strength=1.0)


@pytest.mark.parametrize(
    "X, strength, words",
    [
        (np.ones((2, 4)), 1.0, "d = 4: activation patterns are enumerated for d ≤ 3"),
        (np.ones((31, 3)), 1.0, "n = 31: the convex program takes up to 30 data for d = 3"),
        (np.ones((2, 2)), 0.0, "strength = 0.0: the convex program needs"),
    ],
)
def test_what_it_is_not_for(X, strength, words):
    with pytest.raises(pf.InvalidInput, match=words):
        pf.pattern_program((X, np.ones(len(X))), strength=strength)
