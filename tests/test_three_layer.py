"""Three-layer networks, against loops in plain numpy, finite differences, two-layer networks and the exact flow."""

import numpy as np
import pytest
from scipy.special import erf

import particleflow as pf
from particleflow.activations import ACTIVATIONS
from particleflow.losses import LOSSES
from particleflow.regularizers import REGULARIZERS

SIGMA = {
    "relu": lambda z: max(z, 0.0),
    "erf": lambda z: erf(z / np.sqrt(2)),
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "square": lambda z: z**2,
    "linear": lambda z: z,
}
PENALTY = {
    "path-norm": lambda a, u, W: abs(a) * np.abs(u) @ np.linalg.norm(W, axis=1),
    "norm": lambda a, u, W: np.sqrt(a**2 + np.sum(u**2) + np.sum(W**2)),
    "squared-norm": lambda a, u, W: a**2 + np.sum(u**2) + np.sum(W**2),
    "scaled-squared-norm": lambda a, u, W: abs(a) * (np.sum(u**2) + np.sum(W**2)),
    "none": lambda a, u, W: 0.0,
}
LOSS = {
    "squared": lambda f, y: (f - y) ** 2,
    "logistic": lambda f, y: np.log(1 + np.exp(-y * f)),
    "huber": lambda f, y: 0.5 * (f - y) ** 2 if abs(f - y) <= 1 else abs(f - y) - 0.5,
}
S = 3


def problem(activation="relu", *, n=13, d=2, m=4, s=S, seed=0, **options):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, d)), rng.choice([-1.0, 1.0], size=n)
    energy = pf.EmpiricalEnergy(pf.ThreeLayer(s, activation), (X, y), **options)
    return energy, rng.normal(scale=0.8, size=(m, 1 + s + s * d)), X, y


def blocks(theta, s=S):
    """Split one particle."""
    return theta[0], theta[1 : 1 + s], theta[1 + s :].reshape(s, -1)


def feature(activation, particle, x, s=S):
    sigma, (a, u, W) = SIGMA[activation], blocks(particle, s)
    return a * sigma(sum(u[k] * sigma(W[k] @ x) for k in range(s)))


def energy_by_hand(activation, loss, regularizer, strength, theta, X, y, s=S):
    f = [sum(feature(activation, particle, x, s) for particle in theta) / len(theta) for x in X]
    risk = sum(LOSS[loss](*pair) for pair in zip(f, y, strict=True)) / len(y)
    return risk + strength * sum(PENALTY[regularizer](*blocks(particle, s)) for particle in theta) / len(theta)


def test_the_tables_above_are_complete():
    assert set(LOSS) == set(LOSSES)
    assert set(SIGMA) == set(ACTIVATIONS)
    assert set(PENALTY) == set(REGULARIZERS)


@pytest.mark.parametrize("activation", SIGMA)
@pytest.mark.parametrize("loss", LOSS)
@pytest.mark.parametrize("regularizer", PENALTY)
def test_velocity_against_finite_differences(activation, loss, regularizer):
    energy, theta, X, y = problem(activation, loss=loss, regularizer=regularizer, strength=0.3, n=7, m=2)
    hand = activation, loss, regularizer, 0.3
    gradient, h = np.empty_like(theta), 1e-6
    for i, k in np.ndindex(theta.shape):
        step = np.zeros_like(theta)
        step[i, k] = h
        gradient[i, k] = energy_by_hand(*hand, theta + step, X, y) - energy_by_hand(*hand, theta - step, X, y)
    np.testing.assert_allclose(energy.velocity(theta), -len(theta) / 2 * gradient / (2 * h), atol=1e-6)
    np.testing.assert_allclose(energy.value(theta), energy_by_hand(*hand, theta, X, y), rtol=1e-13)
