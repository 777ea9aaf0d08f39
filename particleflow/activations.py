"""Activations σ with their derivatives and degrees of homogeneity.

At a kink the derivative is 0: σ'(0) = 0 for relu.
"""

import math
from dataclasses import dataclass

import numpy as np

from particleflow.errors import lookup
from particleflow.jit import jit

RELU, ERF, TANH, SIGMOID, SQUARE, LINEAR = range(6)
_TWO_OVER_SQRT_2PI = math.sqrt(2.0 / math.pi)


@dataclass(frozen=True)
class Activation:
    """An activation function σ: R → R.

    Attributes
    ----------
    name : str
        The name used in configurations.
    code : int
        What the compiled kernels switch on.
    homogeneity : int or None
        k with σ(cz) = c^k σ(z) for every c > 0, or None.
    smooth : bool
        Whether σ is infinitely differentiable.
    formula : str
        σ as a formula (Matplotlib's mathtext).
    """

    name: str
    code: int
    homogeneity: int | None
    smooth: bool
    formula: str

    def value(self, z):
        """Return σ(z), elementwise, as a float64 array of the shape of z."""
        return self._evaluate(z)[0]

    def derivative(self, z):
        """Return σ'(z), elementwise, as a float64 array of the shape of z."""
        return self._evaluate(z)[1]

    def _evaluate(self, z):
        value = np.array(z, dtype=np.float64, ndmin=1, order="C")
        derivative = np.empty_like(value)
        activate(self.code, value.reshape(-1), derivative.reshape(-1))
        return value.reshape(np.shape(z)), derivative.reshape(np.shape(z))


ACTIVATIONS = {
    activation.name: activation
    for activation in (
        Activation("relu", RELU, 1, False, r"\max(z,0)"),
        Activation("erf", ERF, None, True, r"\mathrm{erf}(z/\sqrt{2})"),
        Activation("tanh", TANH, None, True, r"\tanh z"),
        Activation("sigmoid", SIGMOID, None, True, r"1/(1+e^{-z})"),
        Activation("square", SQUARE, 2, True, r"z^2"),
        Activation("linear", LINEAR, 1, True, r"z"),
    )
}


def get_activation(name):
    """Return the activation of that name (or a `Activation` as it is); see `particleflow.errors.lookup`."""
    return lookup("activation", name, ACTIVATIONS)


@jit
def activate(code, z, derivative):
    """Replace the 1-D array z by σ(z) and fill `derivative` with σ'(z)."""
    if code == RELU:
        for i in range(z.size):
            # written so that NaN stays NaN: a poisoned cloud must not look healthy
            derivative[i] = 1.0 if z[i] > 0.0 else 0.0
            z[i] = 0.0 if z[i] <= 0.0 else z[i]
    elif code == ERF:
        for i in range(z.size):
            derivative[i] = _TWO_OVER_SQRT_2PI * math.exp(-0.5 * z[i] * z[i])
            z[i] = math.erf(z[i] * math.sqrt(0.5))
    elif code == TANH:
        for i in range(z.size):
            decay = math.exp(-2.0 * abs(z[i]))  # 1 − tanh² would lose its digits
            derivative[i] = 4.0 * decay / ((1.0 + decay) * (1.0 + decay))
            z[i] = math.tanh(z[i])
    elif code == SIGMOID:
        for i in range(z.size):
            decay = math.exp(-abs(z[i]))  # never overflows
            small = decay / (1.0 + decay)
            derivative[i] = small / (1.0 + decay)
            z[i] = 1.0 - small if z[i] >= 0.0 else small
    elif code == SQUARE:
        for i in range(z.size):
            derivative[i] = 2.0 * z[i]
            z[i] = z[i] * z[i]
    else:
        for i in range(z.size):
            derivative[i] = 1.0
