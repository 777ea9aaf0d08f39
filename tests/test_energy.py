"""The energy, its velocity, and the explicit kernels, against each other and against finite differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import particleflow as pf
from particleflow.activations import ACTIVATIONS
from particleflow.losses import LOSSES
from particleflow.regularizers import REGULARIZERS


def problem(activation="relu", *, n=23, d=3, m=9, seed=0, **options):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, d)), rng.choice([-1.0, 1.0], size=n)
    energy = pf.EmpiricalEnergy(pf.TwoLayer(activation), (X, y), **options)
    return energy, rng.normal(size=(m, 1 + d)), X, y


def energy_by_hand(energy, theta, X, y):
    """L in plain numpy."""
    sigma = energy.model.activation.value
    f = sum(row[0] * sigma(X @ row[1:]) for row in theta) / len(theta)
    return energy.loss.value(f, y).mean() + energy.strength * energy.regularizer.value(theta).mean()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("regularizer", REGULARIZERS)
def test_velocity_against_finite_differences(activation, loss, regularizer):
    energy, theta, X, y = problem(activation, loss=loss, regularizer=regularizer, strength=0.3)
    m, h = len(theta), 1e-6
    gradient = np.empty_like(theta)
    for i, k in np.ndindex(theta.shape):
        step = np.zeros_like(theta)
        step[i, k] = h
        gradient[i, k] = (energy_by_hand(energy, theta + step, X, y) - energy_by_hand(energy, theta - step, X, y)) / (
            2 * h
        )
    # ∂L/∂θ_i = (2/m) ∇G(θ_i), and the velocity is −∇G
    np.testing.assert_allclose(energy.velocity(theta), -m / 2 * gradient, atol=1e-6)
    np.testing.assert_allclose(energy.value(theta), energy_by_hand(energy, theta, X, y), rtol=1e-13)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", LOSSES)
def test_potential_is_half_the_first_variation(activation, loss):
    """Moving a mass ε from a particle to θ changes L by 2ε (G(θ) − G(particle)) + O(ε²)."""
    energy, theta, X, y = problem(activation, loss=loss, strength=0.2)
    measure = pf.EmpiricalMeasure(theta, energy.layout)
    other = np.random.default_rng(5).normal(size=(1, theta.shape[1]))
    weights = np.full(len(theta) + 1, 1 / len(theta))
    weights[-1] = 0

    def mixed(epsilon):
        w = weights.copy()
        w[-1] += epsilon
        w[0] -= epsilon
        every = np.concatenate([theta, other])
        f = w @ energy.model.features(every, X)
        return energy.loss.value(f, y).mean() + energy.strength * w @ energy.regularizer.value(every)

    h = 1e-5
    slope = (mixed(h) - mixed(-h)) / (2 * h)
    potentials = energy.potential(np.concatenate([other, theta[:1]]), measure)
    assert abs(slope - 2 * (potentials[0] - potentials[1])) < 1e-8


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("d", [1, 2, 8, 9, 30])
def test_factorised_velocity_equals_the_pairwise_one(activation, d):
    energy, theta, X, y = problem(activation, n=37, d=d, m=11, strength=0.1)
    theta /= np.sqrt(d)
    kernel = pf.EmpiricalKernel(energy.model, X, y, "path-norm", 0.1)
    pairwise = pf.pairwise_velocity(kernel, theta)
    np.testing.assert_allclose(energy.velocity(theta), pairwise, rtol=0, atol=1e-12)
    np.testing.assert_allclose(energy.value(theta), pf.pairwise_energy(kernel, theta), rtol=1e-12)


@pytest.mark.parametrize("activation", ["erf", "square"])
def test_gradients_of_the_kernels(activation):
    energy, theta, X, y = problem(activation, m=4)
    kernel = pf.EmpiricalKernel(energy.model, X, y, "path-norm", 0.1)
    other, h = np.random.default_rng(1).normal(size=(3, 4)), 1e-6
    for k in range(4):
        step = h * np.eye(4)[k]
        slope = (kernel.K(theta + step, other) - kernel.K(theta - step, other)) / (2 * h)
        np.testing.assert_allclose(kernel.grad_K(theta, other)[:, :, k], slope, atol=1e-7)
        slope = (kernel.F(theta + step) - kernel.F(theta - step)) / (2 * h)
        np.testing.assert_allclose(kernel.grad_F(theta)[:, k], slope, atol=1e-7)
    K = kernel.K(theta, theta)
    np.testing.assert_allclose(K, K.T, rtol=1e-14)
    assert np.linalg.eigvalsh(K).min() > -1e-12


@given(seed=st.integers(0, 99), m=st.integers(1, 12), d=st.sampled_from([1, 2, 5, 12]))
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_permuting_and_duplicating_particles_changes_nothing(activation, seed, m, d):
    energy, theta, *_ = problem(activation, d=d, m=m, seed=seed, strength=0.1)
    order = np.random.default_rng(seed).permutation(m)
    scale = np.abs(energy.velocity(theta)).max() + 1
    np.testing.assert_allclose(energy.velocity(theta[order]), energy.velocity(theta)[order], atol=1e-13 * scale)
    np.testing.assert_allclose(
        energy.velocity(np.repeat(theta, 2, axis=0))[::2], energy.velocity(theta), atol=1e-13 * scale
    )
    np.testing.assert_allclose(energy.value(np.repeat(theta, 3, axis=0)), energy.value(theta), rtol=1e-13)


@pytest.mark.parametrize("n", [1, 7, 8, 9, 255, 256, 257, 700])
@pytest.mark.parametrize("d", [2, 9])
def test_tiles_of_data_leave_no_row_out(n, d):
    energy, theta, X, y = problem("tanh", n=n, d=d, m=5)
    by_rows = np.mean([problem_of_one(X[j : j + 1], y[j], theta, n) for j in range(n)], axis=0)
    np.testing.assert_allclose(energy.velocity(theta), by_rows, atol=1e-13)


def problem_of_one(x, y, theta, n):
    f = np.mean(theta[:, 0] * np.tanh(theta[:, 1:] @ x[0]))
    z = theta[:, 1:] @ x[0]
    return -(f - y) * np.column_stack([np.tanh(z), (theta[:, 0] / np.cosh(z) ** 2)[:, None] * x])


def test_many_rounds_and_parts_equal_one(monkeypatch):
    """The pauses between rounds, where signals are seen, and sums in parts change nothing but the order of a sum."""
    energy, theta, *_ = problem("tanh", n=3000, d=4, m=6)
    monkeypatch.setattr("particleflow.threads._MOST_PARTS", 1)
    whole = energy.velocity(theta)
    monkeypatch.setattr("particleflow.threads._MOST_PARTS", 3)
    monkeypatch.setattr("particleflow.threads._PART_FLOPS", 1)
    monkeypatch.setattr("particleflow.threads._PIECE_FLOPS", 1)
    np.testing.assert_allclose(energy.velocity(theta), whole, rtol=1e-13)


def test_kinks_have_slope_zero():
    """σ'(0) = 0, |·|'(0) = 0 and w/‖w‖ = 0: dead particles stay where they are, without NaN."""
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (np.eye(2), [1.0, -1.0]), strength=0.5)
    theta = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    np.testing.assert_array_equal(energy.velocity(theta), np.zeros((3, 3)))
    on_kink = np.array([[1.0, 0.0, -1.0]])  # ⟨w, e1⟩ = 0: the datum e1 has no share
    np.testing.assert_allclose(energy.velocity(on_kink), [[-0.25, 0.0, 0.25]], atol=1e-16)


def test_minimum_of_a_population_problem_is_stationary():
    """A teacher that fits the data exactly, λ = 0: energy and velocity vanish there."""
    rng = np.random.default_rng(0)
    teacher, X = rng.normal(size=(4, 4)), rng.normal(size=(50, 3))
    y = pf.TwoLayer("relu").predict(teacher, X)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y))
    assert energy.value(teacher) < 1e-30
    assert np.abs(energy.velocity(teacher)).max() < 1e-15


@pytest.mark.parametrize("strength", [-1e-3, np.nan, np.inf])
def test_bad_strength(strength):
    with pytest.raises(pf.InvalidInput, match=r"energy.strength = .*valid are finite numbers from 0"):
        problem(strength=strength)
