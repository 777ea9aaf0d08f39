"""Sliding along kinks: least norms by another optimiser, paths by a brute-force scheme, balances by theory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

import particleflow as pf
from particleflow.models.kinks import least_norm
from particleflow.models.resting import ORIGIN, REST, TINY


def noisy_sine(n=200, seed=0):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(-1, 1, n))
    return pf.dataset_from_arrays(x, np.sin(5 * x) + 0.1 * rng.standard_normal(n), bias=True)


def balance_error(result):
    return np.abs(result.observables["balance"]).max() / result.observables["energy"][0]


@given(
    d=st.integers(2, 30),
    share=st.floats(0.1, 1),
    correlation=st.sampled_from([0.0, 0.9, 0.99, 0.999]),
    seed=st.integers(0, 10**6),
)
def test_least_norm_against_bounded_least_squares(d, share, correlation, seed):
    rng = np.random.default_rng(seed)
    count = max(1, round(share * (d - 1)))
    kinks = correlation * rng.normal(size=d) + np.sqrt(1 - correlation**2) * rng.normal(size=(count, d))
    u, jumps = rng.normal(size=d), rng.uniform(-0.2, 1, count)
    a, shares = 1.5, np.empty(count)
    mixed = u.copy()
    least_norm(mixed, a, kinks, np.sum(kinks**2, axis=1), jumps, np.arange(count), count, shares)
    assert ((shares >= 0) & (shares <= 1)).all()
    assert (shares[jumps <= 0] == 0).all()
    np.testing.assert_allclose(mixed, u - (a * jumps * shares) @ kinks, atol=1e-12)
    convex = jumps > 0
    if convex.any():
        columns = (a * jumps[convex, None] * kinks[convex]).T
        truth = lsq_linear(columns, u, (0, 1), method="bvls", tol=1e-15)
        assert np.sum(mixed**2) <= 2 * truth.cost * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize("start", ["sphere", "gaussian"])
def test_path_against_tiny_euler_steps(start):
    """Gradient descent with tiny steps zigzags around the kinks: its path is that of the sliding flow to O(step)."""
    data = noisy_sine(30)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), data, strength=0.05)
    measure = getattr(pf, start)(6, 2, rng=1)
    sliding = pf.solve(energy, measure, 30.0, rtol=1e-8)
    assert sliding.observables["sliding"].max() > 0
    errors = []
    for step in (4e-3, 1e-3):
        euler = pf.solve(energy, measure, 30.0, method="euler", step=step, frames=1)
        errors.append(np.abs(euler.measure.particles - sliding.measure.particles).max())
    assert errors[1] < 5e-3
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize("start", ["sphere", "gaussian"])
@pytest.mark.parametrize("regularizer", ["path-norm", "norm", "scaled-squared-norm", "none"])
def test_energy_balance_falls_with_the_tolerance(start, regularizer):
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), noisy_sine(), regularizer=regularizer, strength=1e-2)
    measure = getattr(pf, start)(200, 2, rng=0)
    coarse, fine = (pf.solve(energy, measure, 100.0, rtol=rtol) for rtol in (1e-4, 1e-7))
    assert balance_error(fine) < 1e-4
    assert balance_error(fine) < 0.3 * balance_error(coarse)
    assert fine.observables["energy"][-1] == pytest.approx(coarse.observables["energy"][-1], rel=1e-2)


def test_balance_at_the_default_tolerance():
    """n = 200 noisy sine, m = 200, t = 200: without sliding, the zigzag adds 3e-4 L(0) whatever the tolerance."""
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), noisy_sine(), strength=1e-3)
    result = pf.solve(energy, pf.sphere(200, 2, rng=0), 200.0)
    assert result.observables["sliding"].max() > 0.2
    assert balance_error(result) < 1e-4
    assert (np.diff(result.observables["energy"]) < 1e-9).all()


class Watch(pf.Observer):
    """Keeps what every step did to the contacts."""

    def __init__(self, energy):
        self.energy, self.held, self.largest = energy, [], 0.0

    def watch(self, state):
        particles, kinks = state.contacts
        self.held.append(set(zip(particles.tolist(), kinks.tolist(), strict=True)))
        unique = np.unique(self.energy.data.X, axis=0)
        for i, j in self.held[-1]:
            if j == REST:
                assert state.theta[i, 0] == 0
            elif j == ORIGIN:
                assert np.linalg.norm(state.theta[i, 1:]) < 1.01 * TINY * abs(state.theta[i, 0])
            else:
                w = state.theta[i, 1:]
                offset = abs(w @ unique[j]) / (np.linalg.norm(w) * np.linalg.norm(unique[j]))
                self.largest = max(self.largest, offset)


@pytest.mark.parametrize("start", ["sphere", "gaussian"])
@pytest.mark.parametrize("d", [2, 4])
def test_contacts_stay_on_their_kinks_and_are_released(start, d):
    rng = np.random.default_rng(5)
    X = np.column_stack([rng.normal(size=(40, d - 1)), np.ones(40)])
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, rng.normal(size=40)), strength=0.02)
    watch = Watch(energy)
    pf.solve(energy, getattr(pf, start)(60, d, rng=0), 60.0, observers=[watch])
    made = set().union(*watch.held)
    assert len(made) > 10
    assert len(made) > len(watch.held[-1])  # some were released on the way
    assert watch.largest < 1e-11


def test_a_flow_that_ends_on_kinks_becomes_stationary():
    """One datum decides where the kink is: a zigzag would never slow down."""
    data = noisy_sine(20, seed=3)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), data, strength=0.05)
    result = pf.solve(energy, pf.sphere(20, 2, rng=0), 1e5, observers=[pf.Stationary(1e-7)])
    assert result.status == "stationary"
    assert result.observables["sliding"][-1] > 0
    # mixing any other neuron in cannot lower L to first order where its potential is not negative
    angles = np.linspace(0, 2 * np.pi, 10001)
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    for sign in (1, -1):
        theta = np.column_stack([np.full(len(angles), sign), circle])
        assert energy.potential(theta, result.measure).min() > -0.1 * energy.strength


def test_equal_inputs_share_a_kink():
    """Twelve inputs, many targets each: the jump at a kink is the sum of theirs."""
    rng = np.random.default_rng(0)
    x = rng.integers(1, 13, 200) / 6.5 - 1
    data = pf.dataset_from_arrays(x, np.sin(3 * x) + 0.3 * rng.standard_normal(200), bias=True)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), data, strength=1e-3)
    result = pf.solve(energy, pf.sphere(100, 2, rng=0), 100.0, rtol=1e-7)
    assert balance_error(result) < 1e-4


def test_fixed_steps_do_not_slide():
    """Euler's method is gradient descent, zigzag and all."""
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), noisy_sine(), strength=1e-2)
    result = pf.solve(energy, pf.sphere(20, 2, rng=0), 20.0, method="euler", step=0.05)
    assert (result.observables["sliding"] == 0).all()


def test_sliding_is_the_same_whatever_the_order_of_particles_and_data():
    data = noisy_sine(60)
    order, shuffle = np.random.default_rng(1).permutation(60), np.random.default_rng(2).permutation(40)
    shuffled = pf.dataset_from_arrays(data.X[order, 0], data.y[order], bias=True)
    measure = pf.sphere(40, 2, rng=0)
    other = pf.EmpiricalMeasure(measure.particles[shuffle], measure.layout)
    model = pf.TwoLayer("relu")
    first = pf.solve(pf.EmpiricalEnergy(model, data, strength=0.01), measure, 20.0, rtol=1e-8)
    second = pf.solve(pf.EmpiricalEnergy(model, shuffled, strength=0.01), other, 20.0, rtol=1e-8)
    np.testing.assert_allclose(second.measure.particles, first.measure.particles[shuffle], atol=1e-5)
