"""The Frank–Wolfe gap: above the true suboptimality for any measure, 0 at a minimum, refused where L is not convex."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import particleflow as pf


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), m=st.integers(1, 12))
def test_the_gap_is_above_the_distance_to_the_known_minimum(seed, m):
    """MMD to points of the box and energy distance to U[0, 1]: inf L = 0."""
    rng = np.random.default_rng(seed)
    mmd = pf.KernelEnergy(pf.gaussian_mmd(rng.random((3, 2)), 0.4), 2)
    line = pf.KernelEnergy(pf.energy_distance_to_uniform(), 1)
    for energy in (mmd, line):
        measure = pf.uniform(m, energy.layout, low=0.0, high=1.0, rng=rng)
        found = pf.frank_wolfe_gap(energy, measure, 0.0, 1.0, points=256)
        assert found.gap >= found.energy - 1e-12
        assert found.lower_bound <= 1e-12


def test_at_the_minimum_the_gap_is_zero():
    targets = np.array([[0.2, 0.3], [0.7, 0.9]])
    energy = pf.KernelEnergy(pf.gaussian_mmd(targets, 0.4), 2)
    found = pf.frank_wolfe_gap(energy, pf.EmpiricalMeasure(targets, energy.layout), 0.0, 1.0)
    assert abs(found.energy) < 1e-14
    assert found.gap < 1e-12


def test_the_worst_place_is_that_of_a_fine_grid():
    energy = pf.KernelEnergy(pf.gaussian_mmd([0.1, 0.8], 0.1), 1)
    measure = pf.EmpiricalMeasure(np.array([[0.1], [0.12]]), energy.layout)
    found = pf.frank_wolfe_gap(energy, measure, 0.0, 1.0, points=64)
    grid = np.linspace(0, 1, 100_001)[:, None]
    values = energy.potential(grid, measure)
    assert abs(found.worst[0] - grid[np.argmin(values), 0]) < 1e-4
    assert found.gap == pytest.approx(
        2 * (energy.potential(measure.particles, measure).mean() - values.min()), rel=1e-6
    )


def test_networks_with_smooth_activations():
    """Against the definition on a fine sample; a flow makes it small."""
    rng = np.random.default_rng(0)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("tanh"), (rng.normal(size=(10, 1)), rng.normal(size=10)), strength=0.05)
    start = pf.gaussian(30, 1, rng=1)
    before, after = (
        pf.frank_wolfe_gap(energy, measure, -6.0, 6.0) for measure in (start, pf.solve(energy, start, 300.0).measure)
    )
    sample = rng.uniform(-6, 6, size=(20_000, 2))
    assert before.gap >= 2 * (energy.potential(start.particles, start).mean() - energy.potential(sample, start).min())
    assert after.gap < 0.1 * before.gap


def test_on_a_torus_the_box_is_all_of_it():
    energy = pf.KernelEnergy(pf.dirichlet(2, [0.2], [1.0]), 1)
    found = pf.frank_wolfe_gap(energy, pf.uniform(6, energy.layout, rng=0))
    assert found.domain[1][0] == energy.layout.period
    assert found.gap > 0


@pytest.mark.parametrize(
    ("energy", "box", "words"),
    [
        (pf.KernelEnergy(pf.kuramoto(1.0), 1), (), "not positive semidefinite"),
        (pf.KernelEnergy(pf.gaussian_mmd([0.5], 1.0), 1), (0.0, 0.01), "outside the box"),
        (pf.KernelEnergy(pf.gaussian_mmd([0.5], 1.0), 1), (1.0, 0.0), "low below high"),
        (pf.KernelEnergy(pf.gaussian_mmd([0.5], 1.0), 1), (), "low and high"),
    ],
)
def test_where_there_is_none(energy, box, words):
    with pytest.raises(pf.InvalidInput, match=words):
        pf.frank_wolfe_gap(energy, pf.uniform(5, energy.layout, rng=0), *box)
