"""Regularisers V(θ) of one particle, entering the energy as λ∫V dμ and the potential as (λ/2)V.

For a two-layer particle θ = (a, w):

- path norm: |a|‖w‖, positively homogeneous of degree 2 (Lazarus 2022, §2.2.1; Chizat & Bach 2018)
- norm: ‖θ‖ (Lazarus 2022, §2.2.1)
- squared norm: ‖θ‖², weight decay
- none: 0

At a kink the gradient is 0: |·|'(0) = 0 and w/‖w‖ = 0 at w = 0.
"""

import math
from dataclasses import dataclass

import numpy as np

from particleflow.errors import lookup
from particleflow.jit import jit

NONE, PATH_NORM, NORM, SQUARED_NORM = range(4)


@dataclass(frozen=True)
class Regularizer:
    """A regulariser V: Θ → [0, ∞) of two-layer particles θ = (a, w).

    Attributes
    ----------
    name : str
        The name used in configurations.
    code : int
        What the compiled kernels switch on.
    formula : str
        V as a formula (Matplotlib's mathtext).
    """

    name: str
    code: int
    formula: str

    def value(self, theta):
        """Return V(θ_i) for particles of shape (m, 1 + d), as an array of shape (m,)."""
        return self._evaluate(theta)[0]

    def gradient(self, theta):
        """Return ∇V(θ_i) for particles of shape (m, 1 + d), in the same shape."""
        return self._evaluate(theta)[1]

    def _evaluate(self, theta):
        theta = np.ascontiguousarray(theta, dtype=np.float64)
        value, gradient = np.empty(len(theta)), np.zeros(theta.shape)
        add_regularizer(self.code, theta, 1.0, value, gradient)
        return value, gradient


REGULARIZERS = {
    regularizer.name: regularizer
    for regularizer in (
        Regularizer("path-norm", PATH_NORM, r"|a|\,\|w\|"),
        Regularizer("norm", NORM, r"\|\theta\|"),
        Regularizer("squared-norm", SQUARED_NORM, r"\|\theta\|^2"),
        Regularizer("none", NONE, r"0"),
    )
}


def get_regularizer(name):
    """Return the regulariser of that name (or a `Regularizer` as it is); see `particleflow.errors.lookup`."""
    return lookup("regularizer", name, REGULARIZERS)


@jit
def add_regularizer(code, theta, scale, value, gradient):
    """Fill `value` (m,) with V(θ_i) and add scale·∇V(θ_i) to `gradient` (m, p)."""
    m, p = theta.shape
    for i in range(m):
        a = theta[i, 0]
        square = 0.0
        for k in range(1, p):
            square += theta[i, k] * theta[i, k]
        if code == PATH_NORM:
            norm = math.sqrt(square)
            value[i] = abs(a) * norm
            gradient[i, 0] += scale * norm * (a > 0.0) - scale * norm * (a < 0.0)
            per_w = scale * abs(a) / norm if norm > 0.0 else 0.0
        elif code == NORM:
            norm = math.sqrt(a * a + square)
            value[i] = norm
            per_w = scale / norm if norm > 0.0 else 0.0
            gradient[i, 0] += per_w * a
        elif code == SQUARED_NORM:
            value[i] = a * a + square
            per_w = 2.0 * scale
            gradient[i, 0] += per_w * a
        else:
            value[i] = 0.0
            per_w = 0.0
        for k in range(1, p):
            gradient[i, k] += per_w * theta[i, k]
