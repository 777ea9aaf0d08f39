"""Interacting particles with kernels of the user: what is checked, and what is refused in one sentence."""

import numpy as np
import pytest
from numba import njit

import particleflow as pf
from validation import exact_solutions


@pytest.mark.parametrize("name", exact_solutions.SOLUTIONS)
def test_exact_solution(name):
    assert exact_solutions.error(name) <= exact_solutions.SOLUTIONS[name][1]


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


@njit
def infinite_at_coincidence(x, y, parameters, gradient):
    gradient[0] = -np.sign(x[0] - y[0]) / (x[0] - y[0]) ** 2
    return 1 / abs(x[0] - y[0])


@njit
def in_the_plane(x, parameters, gradient):
    gradient[:] = 0.0
    return x[0] * x[1]


@njit
def wave(x, y, parameters, gradient):
    gradient[0] = -np.sin(x[0] - y[0])
    return np.cos(x[0] - y[0])


@njit
def slope(x, parameters, gradient):
    gradient[0] = 1.0
    return x[0]


def test_a_kernel_that_is_infinite_at_coincidence_must_say_so():
    with pytest.raises(pf.InvalidInput, match=r"at x = y = .* needs singular=True"):
        pf.check_kernel(pf.PairKernel(flat, infinite_at_coincidence), 1)
    pf.check_kernel(pf.PairKernel(flat, infinite_at_coincidence, singular=True), 1)


def test_functions_that_read_beyond_the_dimension_are_refused():
    kernel = pf.PairKernel(in_the_plane, wave)
    for attempt in (pf.check_kernel, pf.KernelEnergy):
        with pytest.raises(pf.InvalidInput, match=r"^in_the_plane reads beyond its arguments for d = 1: index 1"):
            attempt(kernel, 1)
    with pytest.raises(pf.InvalidInput, match=r"^d = 3: valid is 2, the dimension of the pair kernel"):
        pf.KernelEnergy(pf.PairKernel(in_the_plane, wave, dimension=2), 3)


@pytest.mark.parametrize("period", [0.0, -1.0, np.inf])
def test_a_period_is_positive(period):
    with pytest.raises(pf.InvalidInput, match=r"^period = .*: valid are finite numbers above 0$"):
        pf.PairKernel(flat, wave, period=period)


def test_functions_on_a_torus_are_periodic():
    pf.check_kernel(pf.PairKernel(flat, wave, period=2 * np.pi), 1)
    pf.check_kernel(pf.PairKernel(flat, wave, period=4 * np.pi), 1)
    with pytest.raises(pf.InvalidInput, match=r"^the interaction with .* one period further in coordinate 0 at x = "):
        pf.check_kernel(pf.PairKernel(flat, wave, period=1.0), 1)
    with pytest.raises(pf.InvalidInput, match=r"^the field one period further in coordinate 0 at x = "):
        pf.check_kernel(pf.PairKernel(slope, wave, period=2 * np.pi), 1)


# --- where a flow starts ----------------------------------------------------------------------------------------------


def start(kernel, particles):
    energy = pf.KernelEnergy(kernel, np.shape(particles)[1])
    energy.check(pf.EmpiricalMeasure(particles, energy.layout))


def test_coincident_particles_under_a_singular_kernel_are_named():
    sentence = r"^particles 1 and 3 coincide at x = \[0\.5\], where the interaction is infinite: move one of them$"
    with pytest.raises(pf.InvalidInput, match=sentence):
        start(pf.log_gas(1.0, 1.0), [[0.1], [0.5], [0.7], [0.5]])
    start(pf.log_gas(1.0, 1.0), [[0.1], [0.5], [0.7], [np.nextafter(0.5, 1)]])
    start(pf.log_gas(1.0, 1.0), [[0.5]])
    energy = pf.KernelEnergy(pf.log_gas(1.0, 1.0), 1)
    with pytest.raises(pf.InvalidInput, match=r"coincide|NaN or infinite"):
        pf.solve(energy, pf.EmpiricalMeasure([[0.5], [0.5]], energy.layout), 1.0)


@njit
def circular_log_gas(x, y, parameters, gradient):
    half = np.pi * (x[0] - y[0])
    gradient[0] = -np.pi / np.tan(half)
    return -np.log(abs(np.sin(half)))


def test_coincidence_on_a_torus_is_modulo_the_period():
    kernel = pf.PairKernel(flat, circular_log_gas, singular=True, period=1.0)
    pf.check_kernel(kernel, 1)
    start(kernel, [[0.1], [0.2], [5.3]])
    for twin in (5.1, -0.9, 0.1):
        with pytest.raises(pf.InvalidInput, match=r"^particles 0 and 2 coincide at .* modulo the period 1, where"):
            start(kernel, [[0.1], [0.2], [twin]])


def test_a_velocity_that_is_not_finite_names_its_particle():
    with pytest.raises(pf.InvalidInput, match=r"^the velocity of particle 0 at x = \[0\.1\] is NaN or infinite"):
        start(pf.PairKernel(flat, not_a_number), [[0.1], [0.2]])


@njit
def divides_by_zero(x, y, parameters, gradient):
    gradient[0] = 1 / (x[0] - y[0])
    return x[0] * y[0]


def test_a_function_that_divides_by_zero_is_found():
    kernel = pf.PairKernel(flat, divides_by_zero)
    with pytest.raises(
        pf.InvalidInput, match=r"^the field or the interaction divides by zero at the initial particles$"
    ):
        start(kernel, [[0.1], [0.2]])
    with pytest.raises(pf.InvalidInput, match=r"needs singular=True$"):
        pf.check_kernel(kernel, 1)


def test_an_interaction_without_symmetry_names_two_particles():
    with pytest.raises(pf.InvalidInput, match=r"^the interaction of particles 0 and 1 is .* there and .* back"):
        start(pf.PairKernel(flat, lopsided), [[0.1], [0.2]])


def test_the_potential_at_a_particle_is_the_one_that_moves_it():
    energy = pf.KernelEnergy(pf.riesz(0.7, 1.2, 0.4), 2)
    measure = pf.gaussian(6, energy.layout, rng=0)
    theta, h, out = measure.particles, 1e-6, np.empty((6, 2))
    energy.make_velocity(6)(theta.copy(), out)
    assert np.isfinite(energy.potential(theta, measure)).all()
    for i in range(6):
        others = theta[np.arange(6) != i]

        def potential(x, others=others):
            return energy.kernel.K(x, others).sum(axis=1) / 6 - energy.kernel.F(x)

        assert potential(theta[i : i + 1]) == pytest.approx(energy.potential(theta[i : i + 1], measure), rel=1e-13)
        steps = h * np.eye(2)
        slopes = (potential(theta[i] + steps) - potential(theta[i] - steps)) / (2 * h)
        np.testing.assert_allclose(out[i], -slopes, rtol=1e-6)


def test_wrong_dimension():
    energy = pf.KernelEnergy(pf.kuramoto(1.0), 1)
    with pytest.raises(pf.InvalidInput, match="the particles have 3 numbers each"):
        pf.solve(energy, pf.sphere(4, 2, rng=0), 1.0)
    for d in (0, True, 1.0):
        with pytest.raises(pf.InvalidInput, match=f"d = {d}: valid are integers from 1"):
            pf.KernelEnergy(pf.quadratic_aggregation(1.0), d)


# --- on a torus -------------------------------------------------------------------------------------------------------


def test_wrapped_positions_are_in_the_fundamental_cell():
    layout = pf.Layout((("x", (("coordinate", 1),)),), 2.0)
    measure = pf.EmpiricalMeasure([[-1e-20], [-0.5], [2.0], [5.0]], layout)
    np.testing.assert_array_equal(measure.wrapped()["x"][:, 0], [0.0, 1.5, 0.0, 1.0])
    assert measure.wrapped().layout == layout
    flat_space = pf.EmpiricalMeasure([[-0.5]], pf.Layout(layout.blocks))
    assert flat_space.wrapped() is flat_space


def test_uniform_particles():
    line, torus = pf.KernelEnergy(pf.riesz(1.0, 1.0, 1.0), 3).layout, pf.KernelEnergy(pf.kuramoto(1.0), 1).layout
    for layout, options, low, high in [
        (line, {}, 0, 1),
        (line, {"low": -2.0, "high": 3.0}, -2, 3),
        (torus, {}, 0, 2 * np.pi),
        (torus, {"low": -np.pi}, -np.pi, np.pi),
    ]:
        particles = pf.uniform(4000, layout, rng=0, **options).particles
        assert particles.shape == (4000, layout.size)
        assert low <= particles.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < particles.max() <= high
        np.testing.assert_array_equal(particles, pf.uniform(4000, layout, rng=0, **options).particles)
    with pytest.raises(pf.InvalidInput, match=r"^low = 1\.0, high = 0\.0: valid are finite numbers with low < high$"):
        pf.uniform(3, line, low=1.0, high=0.0, rng=0)
    with pytest.raises(pf.InvalidInput, match="particles = 0"):
        pf.uniform(0, line, rng=0)
