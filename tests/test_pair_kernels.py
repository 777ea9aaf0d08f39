"""Interacting particles with user kernels and built-in ones, against exact solutions and finite differences."""

import numpy as np
import pytest
from numba import njit

import particleflow as pf
from validation import exact_solutions

BUILT_IN = {
    "quadratic": (pf.quadratic_aggregation(1.3, 0.4), 3),
    "log gas": (pf.log_gas(0.7, 0.5), 1),
    "newtonian": (pf.newtonian(2.0, 0.3), 2),
    "energy distance": (pf.energy_distance_to_uniform(), 1),
    "kuramoto": (pf.kuramoto(0.8), 1),
}


@pytest.mark.parametrize("name", exact_solutions.SOLUTIONS)
def test_exact_solution(name):
    assert exact_solutions.error(name) <= exact_solutions.SOLUTIONS[name][1]


@pytest.mark.parametrize(("kernel", "d"), BUILT_IN.values(), ids=BUILT_IN)
def test_built_in_kernels_pass_their_own_check(kernel, d):
    pf.check_kernel(kernel, d)


@pytest.mark.parametrize(("kernel", "d"), BUILT_IN.values(), ids=BUILT_IN)
def test_velocity_against_finite_differences_of_the_energy(kernel, d):
    energy = pf.KernelEnergy(kernel, d)
    theta = np.random.default_rng(0).uniform(0.05, 0.95, size=(7, d))
    velocity, out = energy.make_velocity(7), np.empty((7, d))

    def value(theta):
        return sum(velocity(theta, np.empty_like(theta)).values())

    velocity(theta, out)
    h = 1e-6
    for i, k in np.ndindex(theta.shape):
        step = np.zeros_like(theta)
        step[i, k] = h
        slope = (value(theta + step) - value(theta - step)) / (2 * h)
        assert out[i, k] == pytest.approx(-7 / 2 * slope, abs=2e-6)


@pytest.mark.parametrize("name", ["quadratic", "kuramoto", "energy distance"])
def test_velocity_equals_the_pairwise_reference(name):
    kernel, d = BUILT_IN[name]
    theta = np.random.default_rng(0).normal(size=(7, d))
    out = np.empty_like(theta)
    parts = pf.KernelEnergy(kernel, d).make_velocity(7)(theta, out)
    np.testing.assert_allclose(out, pf.pairwise_velocity(kernel, theta), atol=1e-13)
    assert sum(parts.values()) == pytest.approx(pf.pairwise_energy(kernel, theta), rel=1e-13)


@pytest.mark.parametrize("name", ["quadratic", "log gas", "newtonian", "kuramoto"])
def test_energy_balance_and_file(name, tmp_path):
    kernel, d = BUILT_IN[name]
    energy = pf.KernelEnergy(kernel, d)
    start = pf.EmpiricalMeasure(np.random.default_rng(1).normal(size=(20, d)), energy.layout)
    result = pf.solve(energy, start, 2.0, rtol=1e-10, frames=4, file=tmp_path / "run.h5")
    assert np.abs(result.observables["balance"]).max() < 1e-8
    with pf.open(tmp_path / "run.h5") as trajectory:
        np.testing.assert_array_equal(trajectory.particles(-1)["x"], result.measure["x"])


@njit
def lopsided(x, y, parameters, gradient):
    gradient[0] = y[0] ** 2
    return x[0] * y[0] ** 2


@njit
def wrong_gradient(x, y, parameters, gradient):
    gradient[0] = 2 * y[0]
    return x[0] * y[0]


@njit
def not_a_number(x, y, parameters, gradient):
    gradient[0] = np.nan
    return np.nan


@njit
def flat(x, parameters, gradient):
    gradient[:] = 0.0
    return 0.0


@pytest.mark.parametrize(
    ("interaction", "words"),
    [
        (lopsided, "there and back"),
        (wrong_gradient, "the gradient of the interaction"),
        (not_a_number, "is not finite"),
    ],
)
def test_wrong_kernels_are_found(interaction, words):
    with pytest.raises(pf.InvalidInput, match=words):
        pf.check_kernel(pf.PairKernel(flat, interaction), 1)


def test_plain_python_functions_are_refused():
    with pytest.raises(pf.InvalidInput, match=r"interaction = .*numba\.njit"):
        pf.PairKernel(flat, lambda x, y, parameters, gradient: 0.0)


def test_coincident_particles_under_a_singular_kernel():
    energy = pf.KernelEnergy(pf.log_gas(1.0, 1.0), 1)
    with pytest.raises(pf.InvalidInput, match="NaN or infinite"):
        pf.solve(energy, pf.EmpiricalMeasure([[0.5], [0.5]], energy.layout), 1.0)


def test_wrong_dimension():
    energy = pf.KernelEnergy(pf.kuramoto(1.0), 1)
    with pytest.raises(pf.InvalidInput, match="the particles have 3 numbers each"):
        pf.solve(energy, pf.sphere(4, 2, rng=0), 1.0)
    with pytest.raises(pf.InvalidInput, match="d = 0"):
        pf.KernelEnergy(pf.kuramoto(1.0), 0)
