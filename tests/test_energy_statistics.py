"""The energy distance against sums by hand and against distribution functions on the line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import particleflow as pf


def by_hand(A, B):
    def mean(X, Y):
        return np.mean([np.linalg.norm(x - y) for x in X for y in Y])

    return np.sqrt(2 * mean(A, B) - mean(A, A) - mean(B, B))


@pytest.mark.parametrize(("m", "n", "p"), [(1, 1, 1), (5, 3, 2), (7, 12, 3), (20, 20, 5)])
def test_by_hand(m, n, p):
    rng = np.random.default_rng(m)
    A, B = rng.normal(size=(m, p)), 1 + rng.normal(size=(n, p))
    assert pf.energy_distance(A, B) == pytest.approx(by_hand(A, B), rel=1e-12)
    assert pf.energy_distance(A, A[rng.permutation(m)]) < 1e-7
    assert pf.energy_distance(A, A) == 0


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=8), st.lists(st.integers(-50, 50), min_size=1, max_size=8))
def test_on_the_line_it_is_that_of_distribution_functions(x, y):
    """D² = 2∫(F − G)² dx (Székely & Rizzo 2013, §2)."""
    places = np.arange(-50, 50)
    F, G = (np.mean(np.array(values)[:, None] <= places, axis=0) for values in (x, y))
    assert pf.energy_distance(x, y) ** 2 == pytest.approx(2 * np.sum((F - G) ** 2), abs=1e-10)


def test_what_has_none():
    energy = pf.KernelEnergy(pf.kuramoto(1.0), 1)
    phases = pf.uniform(4, energy.layout, low=0.0, high=1.0, rng=0)
    for A, B, reason in (
        (np.zeros((2, 2)), np.zeros((2, 3)), "must agree"),
        ([np.nan], [0.0], "finite"),
        ([], [0.0], "not empty"),
        ([1e308], [-1e308], "too large"),
        (phases, phases, "torus"),
    ):
        with pytest.raises(pf.InvalidInput, match=reason):
            pf.energy_distance(A, B)
