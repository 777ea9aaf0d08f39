"""Steps and step sizes, against exact solutions and their order of convergence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm

import particleflow as pf
from particleflow.integrators.runge_kutta import combine, error_norms
from particleflow.integrators.state import StepTooSmallError, mean_square
from particleflow.integrators.tableaus import TABLEAUS


def fitted_order(steps, errors):
    return np.polyfit(np.log(steps), np.log(errors), 1)[0]


def advance(method, velocity, theta, t_end, step):
    """Take fixed steps with any tableau, outside of `solve`."""
    solver = pf.RungeKutta(TABLEAUS[method], pf.FixedStep(step), velocity, theta.shape)
    state = solver.start(theta, t_end)
    while state.t < t_end:
        state = solver.step(state, t_end)
    return state


def erf_problem():
    """Small weights that grow exponentially: the leading term of the error shows, which relaxation would hide."""
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(20, 2)), rng.normal(scale=3, size=20)
    return pf.EmpiricalEnergy(pf.TwoLayer("erf"), (X, y)), pf.gaussian(4, 2, radius=0.05, rng=1)


STEPS = {"euler": 4000, "heun": 200, "rk4": 16, "bs23": 40, "dopri5": 8}


@pytest.mark.parametrize("method", TABLEAUS)
def test_order_of_convergence_on_a_smooth_flow(method):
    """Particles and energy balance alike: the dissipation is one more component of the scheme."""
    energy, measure = erf_problem()
    exact = pf.solve(energy, measure, 2.0, rtol=1e-13, frames=1).measure.particles
    steps = 2.0 / (STEPS[method] * np.array([1, 1.5, 2, 3]))
    states = [advance(method, energy.make_velocity(4), measure.particles, 2.0, step) for step in steps]
    order = TABLEAUS[method].order
    assert abs(fitted_order(steps, [np.abs(state.theta - exact).max() for state in states]) - order) < 0.15
    initial = energy.value(measure.particles)
    balance = [abs(state.energy + 2 * state.dissipated - initial) for state in states]
    assert fitted_order(steps, balance) > order - 0.15


@pytest.mark.parametrize("method", TABLEAUS)
def test_invariants_of_relu_drift_at_the_order_of_the_scheme(method):
    """a² − ‖w‖² is quadratic, so it drifts; as long as no particle meets a kink, at the full order."""
    rng = np.random.default_rng(0)
    X, y = np.array([[1.0, 0.2], [0.9, -0.2], [1.1, 0.0]]), np.array([2.0, -1.0, 1.5])
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y), strength=0.1)
    theta = np.column_stack([rng.choice([-1, 1], 6) * rng.uniform(1.0, 1.5, 6), rng.uniform(1, 2, 6), np.zeros(6)])

    def invariant(theta):
        return theta[:, 0] ** 2 - np.sum(theta[:, 1:] ** 2, axis=1)

    steps = 1.0 / (STEPS[method] / 2 * np.array([1, 2, 4, 8]))
    drifts = []
    for step in steps:
        state = advance(method, energy.make_velocity(6), theta, 1.0, step)
        assert (state.theta[:, 1:] @ X.T > 0).all()
        drifts.append(np.abs(invariant(state.theta) - invariant(theta)).max())
    assert fitted_order(steps, drifts) > TABLEAUS[method].order - 0.15


def linear_velocity(matrix):
    """Return θ̇ = θ A for every particle, as a velocity with an energy part of 0."""

    def velocity(theta, out):
        np.matmul(theta, matrix, out=out)
        return {"nothing": 0.0}

    return velocity


@pytest.mark.parametrize("method", ["bs23", "dopri5"])
@pytest.mark.parametrize("rtol", [1e-4, 1e-7, 1e-10])
def test_adaptive_steps_hold_the_tolerance(method, rtol):
    matrix = np.array([[0.0, 2.0], [-2.0, -0.1]])
    theta = np.random.default_rng(0).normal(size=(50, 2))
    solver = pf.RungeKutta(TABLEAUS[method], pf.PIController(rtol, 1e-12), linear_velocity(matrix), theta.shape)
    state = solver.start(theta, 5.0)
    while state.t < 5.0:
        state = solver.step(state, 5.0)
    assert state.t == 5.0
    error = np.linalg.norm(state.theta - theta @ expm(5.0 * matrix)) / np.linalg.norm(theta)
    assert error < 30 * rtol
    speeds = [np.mean(np.sum((theta @ expm(s * matrix) @ matrix) ** 2, axis=1)) for s in np.linspace(0, 5, 2001)]
    assert abs(state.dissipated - np.trapezoid(speeds, dx=5 / 2000)) < 1e-5 + 300 * rtol


def test_steps_do_not_depend_on_the_number_of_particles():
    matrix, theta = np.array([[0.0, 1.0], [-1.0, 0.0]]), np.random.default_rng(0).normal(size=(4, 2))
    counts = []
    for copies in (1, 50):
        cloud = np.tile(theta, (copies, 1))
        solver = pf.RungeKutta(TABLEAUS["dopri5"], pf.PIController(1e-6, 1e-12), linear_velocity(matrix), cloud.shape)
        state = solver.start(cloud, 10.0)
        while state.t < 10.0:
            state = solver.step(state, 10.0)
        counts.append(state.steps)
    assert counts[0] == counts[1]


def test_scaling_the_cloud_changes_no_step():
    """Tolerances are relative to the cloud."""
    matrix, theta = np.array([[0.0, 1.0], [-1.0, 0.0]]), np.random.default_rng(0).normal(size=(4, 2))
    counts = []
    for scale in (1.0, 1e4):
        solver = pf.RungeKutta(TABLEAUS["bs23"], pf.PIController(1e-5, 0.0), linear_velocity(matrix), theta.shape)
        state = solver.start(scale * theta, 10.0)
        while state.t < 10.0:
            state = solver.step(state, 10.0)
        counts.append(state.steps)
    assert counts[0] == counts[1]


def test_velocity_that_turns_nan_is_a_rejected_step_and_then_too_small():
    def velocity(theta, out):
        out[:] = 1.0 if theta[0, 0] < 1.0 else np.nan
        return {"nothing": 0.0}

    solver = pf.RungeKutta(TABLEAUS["dopri5"], pf.PIController(1e-6, 1e-12), velocity, (1, 1))
    state = solver.start(np.zeros((1, 1)), 2.0)
    with pytest.raises(StepTooSmallError):
        while state.t < 2.0:
            state = solver.step(state, 2.0)
    assert abs(state.t - 1.0) < 1e-9
    assert abs(state.theta[0, 0] - 1.0) < 1e-9
    assert state.finite


def test_cloud_at_rest_at_the_origin():
    solver = pf.RungeKutta(TABLEAUS["dopri5"], pf.PIController(1e-6, 1e-12), linear_velocity(np.eye(2)), (3, 2))
    state = solver.start(np.zeros((3, 2)), 7.0)
    while state.t < 7.0:
        state = solver.step(state, 7.0)
    assert (state.theta == 0).all()
    assert state.steps < 100


def test_states_are_not_changed_in_place():
    energy, measure = erf_problem()
    solver = pf.RungeKutta(TABLEAUS["rk4"], pf.FixedStep(0.1), energy.make_velocity(4), (4, 3))
    first = solver.start(measure.particles, 1.0)
    kept = first.theta.copy()
    second = solver.step(first, 1.0)
    third = solver.step(second, 1.0)
    again = solver.step(solver.step(first, 1.0), 1.0)
    np.testing.assert_array_equal(first.theta, kept)
    np.testing.assert_array_equal(third.theta, again.theta)


@given(s=st.integers(1, 7), m=st.integers(1, 40), p=st.integers(1, 5), seed=st.integers(0, 99))
def test_compiled_reductions_against_numpy(s, m, p, seed):
    rng = np.random.default_rng(seed)
    theta, new, slopes, weights = (
        rng.normal(size=(m, p)),
        rng.normal(size=(m, p)),
        rng.normal(size=(s, m, p)),
        rng.normal(size=s),
    )
    out = np.empty_like(theta)
    combine(theta, slopes, weights, 0.3, out)
    np.testing.assert_allclose(out, theta + 0.3 * np.tensordot(weights, slopes, 1), atol=1e-13)
    np.testing.assert_allclose(mean_square(theta), np.mean(np.sum(theta**2, axis=1)), rtol=1e-13)
    cloud = np.sqrt(max(np.mean(np.sum(theta**2, axis=1)), np.mean(np.sum(new**2, axis=1))))
    scale = 1e-3 + 1e-2 * np.maximum(cloud, np.linalg.norm(new, axis=1))
    ratio = 0.3 * np.linalg.norm(np.tensordot(weights, slopes, 1), axis=1) / scale
    expected = np.sqrt(np.mean(ratio**2)), ratio.max()
    np.testing.assert_allclose(error_norms(theta, new, slopes, weights, 0.3, 1e-3, 1e-2), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: pf.FixedStep(0.0), "flow.step = 0.0"),
        (lambda: pf.FixedStep(np.nan), "flow.step = nan"),
        (lambda: pf.PIController(0.0, 1e-9), "flow.rtol = 0.0"),
        (lambda: pf.PIController(1e-6, -1.0), "flow.atol = -1.0"),
    ],
)
def test_bad_steps(make, words):
    with pytest.raises(pf.InvalidInput, match=words):
        make()
