"""Regularisers V(θ) of one particle, entering the energy as λ∫V dμ and the potential as (λ/2)V.

- path norm: |a|‖w‖ for two layers, |a| Σ_k |u_k|‖W_k‖ for more: homogeneous in every block (Lazarus 2022, §2.2.1;
  Chizat & Bach 2018)
- norm: ‖θ‖ (Lazarus 2022, §2.2.1)
- squared norm: ‖θ‖², weight decay
- scaled squared norm: |a|‖w‖² for two layers, |a|(‖u‖² + ‖W‖²) for more (Lazarus 2022, listing in §2.5.2)
- none: 0

At a kink the gradient is 0: |·|'(0) = 0 and w/‖w‖ = 0 at w = 0.
"""

import math
from dataclasses import dataclass

import numpy as np

from particleflow.errors import lookup
from particleflow.jit import jit

NONE, PATH_NORM, NORM, SQUARED_NORM, SCALED_SQUARED_NORM = range(5)
SMOOTH = NONE, SQUARED_NORM
"""Those without kinks."""


@dataclass(frozen=True)
class Regularizer:
    """A regulariser V: Θ → [0, ∞).

    The methods here are for two-layer particles θ = (a, w); a model's `regularizer_value` is for its own particles.

    Attributes
    ----------
    name : str
        The name used in configurations.
    code : int
        What the compiled kernels switch on.
    formula : str
        V of a two-layer particle as a formula (Matplotlib's mathtext).
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
        Regularizer("scaled-squared-norm", SCALED_SQUARED_NORM, r"|a|\,\|w\|^2"),
        Regularizer("none", NONE, r"0"),
    )
}


def get_regularizer(name):
    """Return the regulariser of that name (or a `Regularizer` as it is); see `particleflow.errors.lookup`."""
    return lookup("regularizer", name, REGULARIZERS)


@jit
def add_regularizer(code, theta, scale, value, gradient):
    """Fill `value` (m,) with V(θ_i) and add scale·∇V(θ_i) to `gradient` (m, p), for θ = (a, w)."""
    m, p = theta.shape
    for i in range(m):
        square = 0.0
        for k in range(1, p):
            square += theta[i, k] * theta[i, k]
        value[i], along_a, along_w = pull(code, theta[i, 0], square, scale)
        gradient[i, 0] += along_a
        for k in range(1, p):
            gradient[i, k] += along_w * theta[i, k]


@jit
def pull(code, a, square, scale):
    """Return V(a, w) with ‖w‖² = square, and scale·∇V: its entry at a, and what times w it is at w."""
    sign = 1.0 * (a > 0.0) - 1.0 * (a < 0.0)
    if code == PATH_NORM:
        norm = math.sqrt(square)
        return abs(a) * norm, scale * norm * sign, scale * abs(a) / norm if norm > 0.0 else 0.0
    if code == NORM:
        norm = math.sqrt(a * a + square)
        along = scale / norm if norm > 0.0 else 0.0
        return norm, along * a, along
    if code == SQUARED_NORM:
        return a * a + square, 2.0 * scale * a, 2.0 * scale
    if code == SCALED_SQUARED_NORM:
        return abs(a) * square, scale * square * sign, 2.0 * scale * abs(a)
    return 0.0, 0.0, 0.0


@jit
def add_support_regularizer(code, supports, own, theta, scale, value, gradient):
    """Do as `add_regularizer` for particles with two hidden layers, path norm and scaled squared norm only.

    V_i = |a_i| Σ_k |u_ik|‖W_q‖ or |a_i| Σ_k (u_ik² + ‖W_q‖²) with q = supports[i, k], left out where that is negative.
    Each row θ_i = (a_i, u_i, …) ends with `own` of the first-layer neurons W_q ∈ R^d. The gradient is that of Σ_i V_i.
    """
    m, s = supports.shape
    d = (theta.shape[1] - 1 - s) // own
    norms = np.empty(m * own)
    pull = np.zeros(m * own)  # of ‖W_q‖, or of ‖W_q‖²
    for q in range(m * own):
        start = 1 + s + (q % own) * d
        norms[q] = math.sqrt(np.sum(theta[q // own, start : start + d] ** 2))
    for i in range(m):
        a = theta[i, 0]
        total = 0.0
        for k in range(s):
            q, u = supports[i, k], theta[i, 1 + k]
            if q >= 0:
                if code == PATH_NORM:
                    total += abs(u) * norms[q]
                    gradient[i, 1 + k] += scale * abs(a) * np.sign(u) * norms[q]
                    pull[q] += abs(a) * abs(u)
                else:
                    total += u * u + norms[q] * norms[q]
                    gradient[i, 1 + k] += 2.0 * scale * abs(a) * u
                    pull[q] += abs(a)
        value[i] = abs(a) * total
        gradient[i, 0] += scale * np.sign(a) * total
    for q in range(m * own):
        per_w = 2.0 * scale * pull[q]
        if code == PATH_NORM:
            per_w = scale * pull[q] / norms[q] if norms[q] > 0.0 else 0.0
        start = 1 + s + (q % own) * d
        for k in range(start, start + d):
            gradient[q // own, k] += per_w * theta[q // own, k]
