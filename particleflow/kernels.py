"""Interaction kernels K and external fields F: neurons as interacting particles.

With the squared loss the energy of a mean-field network is that of a system of interacting particles,

    L[μ] = C − 2∫F dμ + ∬K dμ dμ,   G(θ, μ) = ∫K(θ, θ') μ(dθ') − F(θ)

(Lazarus 2022, §2.2.2, in the sign convention of this project). Everything here is explicit and pairwise, at a cost of
m² evaluations: the road to check the factorised drift by, and the form in which other kernels enter.
"""

import numpy as np

from particleflow.regularizers import get_regularizer


class EmpiricalKernel:
    """F and K of a network on data, ν = (1/n) Σ δ_{(x_j, y_j)}, squared loss.

    - K(θ, θ') = (1/n) Σ_j φ(θ, x_j) φ(θ', x_j)
    - F(θ) = (1/n) Σ_j φ(θ, x_j) y_j − (λ/2) V(θ)
    - C = (1/n) Σ_j y_j²

    Parameters
    ----------
    model : Model
        Provides φ and ∇φ.
    X : array_like, shape (n, d)
        Inputs.
    y : array_like, shape (n,)
        Targets.
    regularizer : str or Regularizer
        V.
    strength : float
        λ ≥ 0.
    """

    def __init__(self, model, X, y, regularizer="none", strength=0.0):
        self.model = model
        self.X, self.y = np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64)
        self.regularizer, self.strength = get_regularizer(regularizer), float(strength)

    @property
    def constant(self):
        """C = ‖f*‖²_ν."""
        return float(np.mean(self.y**2))

    def F(self, theta):
        """Return F(θ_i), shape (m,), for particles of shape (m, p)."""
        return self.model.features(theta, self.X) @ self.y / len(self.y) - 0.5 * self.strength * self.regularizer.value(
            theta
        )

    def K(self, theta, other):
        """Return K(θ_i, θ'_j), shape (m, m'), for particles of shapes (m, p) and (m', p)."""
        return self.model.features(theta, self.X) @ self.model.features(other, self.X).T / len(self.y)

    def grad_F(self, theta):
        """Return ∇F(θ_i), shape (m, p)."""
        data = np.einsum("inp,n->ip", self.model.feature_gradients(theta, self.X), self.y) / len(self.y)
        return data - 0.5 * self.strength * self.regularizer.gradient(theta)

    def grad_K(self, theta, other):
        """Return ∇₁K(θ_i, θ'_j), the gradient in the first argument, shape (m, m', p)."""
        gradients, features = self.model.feature_gradients(theta, self.X), self.model.features(other, self.X)
        return np.einsum("inp,jn->ijp", gradients, features) / len(self.y)


def pairwise_energy(kernel, theta):
    """Return L = C − 2∫F dμ + ∬K dμ dμ for particles of shape (m, p), from all m² pairs."""
    return kernel.constant - 2 * np.mean(kernel.F(theta)) + np.mean(kernel.K(theta, theta))


def pairwise_velocity(kernel, theta):
    """Return θ̇_i = ∇F(θ_i) − (1/m) Σ_j ∇₁K(θ_i, θ_j), shape (m, p), from all m² pairs."""
    return kernel.grad_F(theta) - np.mean(kernel.grad_K(theta, theta), axis=1)
