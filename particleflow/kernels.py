"""Interaction kernels K and external fields F: neurons as interacting particles.

With the squared loss the energy of a mean-field network is that of a system of interacting particles,

    L[μ] = C − 2∫F dμ + ∬K dμ dμ,   G(θ, μ) = ∫K(θ, θ') μ(dθ') − F(θ)

(Lazarus 2022, §2.2.2, in the sign convention of this project). Everything here is explicit and pairwise, at a cost of
m² evaluations: the road to check the factorised drift by, and the form in which other kernels enter.
"""

import numpy as np

from particleflow.activations import ACTIVATIONS, get_activation
from particleflow.errors import InvalidInput, require_exchangeable
from particleflow.gaussian_kernels import CLOSED_FORMS, pair_matrices
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

    Raises
    ------
    InvalidInput
        If the particles of the model are not exchangeable.
    """

    def __init__(self, model, X, y, regularizer="none", strength=0.0):
        require_exchangeable(model, "the kernel K(θ, θ')")
        self.model = model
        self.X, self.y = np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64)
        self.regularizer, self.strength = get_regularizer(regularizer), float(strength)

    @property
    def constant(self):
        """C = ‖f*‖²_ν."""
        return float(np.mean(self.y**2))

    def F(self, theta):
        """Return F(θ_i), shape (m,), for particles of shape (m, p)."""
        V = self.model.regularizer_value(self.regularizer, theta)
        return self.model.features(theta, self.X) @ self.y / len(self.y) - 0.5 * self.strength * V

    def K(self, theta, other):
        """Return K(θ_i, θ'_j), shape (m, m'), for particles of shapes (m, p) and (m', p)."""
        return self.model.features(theta, self.X) @ self.model.features(other, self.X).T / len(self.y)

    def grad_F(self, theta):
        """Return ∇F(θ_i), shape (m, p)."""
        theta = np.ascontiguousarray(theta, dtype=np.float64)
        gradient = np.einsum("inp,n->ip", self.model.feature_gradients(theta, self.X), self.y) / len(self.y)
        self.model.add_regularizer(self.regularizer, theta, -0.5 * self.strength, np.empty(len(theta)), gradient)
        return gradient

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


class PopulationKernel:
    """F and K of two-layer networks in the limit of infinitely many data, x ~ N(0, I_d) and y = f*(x), squared loss.

    With κ(w, v) = E[σ(⟨w, x⟩) σ(⟨v, x⟩)] (`particleflow.gaussian_kernels`) and a teacher
    f* = (1/m_t) Σ_k a*_k σ(⟨w*_k, ·⟩):

    - K(θ, θ') = a a' κ(w, w')
    - F(θ) = (a/m_t) Σ_k a*_k κ(w, w*_k) − (λ/2) V(θ)
    - C = (1/m_t²) Σ_kl a*_k a*_l κ(w*_k, w*_l)

    Parameters
    ----------
    activation : str or Activation
        σ: "relu", "erf", "square" or "linear".
    teacher : array_like, shape (m_t, 1 + d)
        The teacher's particles (a*, w*).
    regularizer : str or Regularizer
        V.
    strength : float
        λ ≥ 0.

    Raises
    ------
    InvalidInput
        If σ has no closed form, or the teacher is not a finite (m_t, 1 + d) array.
    """

    def __init__(self, activation, teacher, regularizer="none", strength=0.0):
        self.activation = get_activation(activation)
        if self.activation.code not in CLOSED_FORMS:
            valid = ", ".join(a.name for a in ACTIVATIONS.values() if a.code in CLOSED_FORMS)
            raise InvalidInput(
                f'energy.kernel = "population" has no closed form for {self.activation.name}; valid: {valid}'
            )
        self.teacher = np.array(teacher, dtype=np.float64, ndmin=2, order="C")
        if self.teacher.ndim != 2 or 0 in self.teacher.shape or self.teacher.shape[1] < 2:
            raise InvalidInput(f"teacher has shape {self.teacher.shape}; valid: (m_t, 1 + d) with m_t and d from 1")
        if not np.isfinite(self.teacher).all():
            raise InvalidInput("teacher has a value that is NaN or infinite")
        self.regularizer, self.strength = get_regularizer(regularizer), float(strength)

    @property
    def constant(self):
        """C = ‖f*‖²_ν."""
        return float(np.mean(self.K(self.teacher, self.teacher)))

    def F(self, theta):
        """Return F(θ_i), shape (m,), for particles of shape (m, 1 + d)."""
        return np.mean(self.K(theta, self.teacher), axis=1) - 0.5 * self.strength * self.regularizer.value(theta)

    def K(self, theta, other):
        """Return K(θ_i, θ'_j), shape (m, m'), for particles of shapes (m, 1 + d) and (m', 1 + d)."""
        return np.outer(theta[:, 0], other[:, 0]) * self._pairs(theta, other)[0]

    def grad_F(self, theta):
        """Return ∇F(θ_i), shape (m, 1 + d)."""
        pull = np.mean(self.grad_K(theta, self.teacher), axis=1)
        return pull - 0.5 * self.strength * self.regularizer.gradient(theta)

    def grad_K(self, theta, other):
        """Return ∇₁K(θ_i, θ'_j), the gradient in the first argument, shape (m, m', 1 + d)."""
        value, along_w, along_v = self._pairs(theta, other)
        weight = theta[:, :1] * other[:, 0]
        w = (weight * along_w)[:, :, None] * theta[:, None, 1:] + (weight * along_v)[:, :, None] * other[None, :, 1:]
        return np.concatenate([(other[:, 0] * value)[:, :, None], w], axis=2)

    def _pairs(self, theta, other):
        matrices = np.empty((3, len(theta), len(other)))
        W, V = (np.ascontiguousarray(cloud[:, 1:], dtype=np.float64) for cloud in (theta, other))
        pair_matrices(self.activation.code, W, V, *matrices)
        return matrices
