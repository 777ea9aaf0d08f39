"""Activations, losses and derivatives in plain Python, for tests that need their own truth."""

import numpy as np
from scipy.special import erf

SIGMA = {
    "relu": lambda z: np.maximum(z, 0.0),
    "erf": lambda z: erf(z / np.sqrt(2)),
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "square": lambda z: z**2,
    "linear": lambda z: z,
}
LOSS = {
    "squared": lambda f, y: (f - y) ** 2,
    "logistic": lambda f, y: np.log(1 + np.exp(-y * f)),
    "huber": lambda f, y: 0.5 * (f - y) ** 2 if abs(f - y) <= 1 else abs(f - y) - 0.5,
}


def mean_loss(loss, f, y):
    return sum(LOSS[loss](*pair) for pair in zip(f, y, strict=True)) / len(y)


def difference_quotients(value, theta, h=1e-6):
    """Return (value(θ + h e) − value(θ − h e)) / 2h for every entry."""
    gradient = np.empty_like(theta)
    for index in np.ndindex(theta.shape):
        step = np.zeros_like(theta)
        step[index] = h
        gradient[index] = (value(theta + step) - value(theta - step)) / (2 * h)
    return gradient
