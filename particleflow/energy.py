"""The energy L[μ], its potential G and the velocity −∇G of the flow.

    L[μ] = E_ν[ℓ(f_μ(x), y)] + λ∫V dμ,
    G(θ, μ) = ½ δL/δμ(θ) = E_ν[½ℓ'(f_μ(x), y) φ(θ, x)] + (λ/2) V(θ),
    θ̇_i = −∇G(θ_i, μ_m),   ∂_t μ = div(μ ∇G(·, μ)),   dL/dt = −2∫|∇G|² dμ

(Lazarus 2022, §2.2.2, with the signs and factors of `docs/mathematics.md`). One time scale everywhere: since
∂L/∂θ_i = (2/m) ∇G(θ_i), a gradient step of size η on L advances the flow by the time 2η/m.
"""

from types import SimpleNamespace
from typing import Protocol

import numpy as np

from particleflow.datasets import Dataset, dataset_from_arrays
from particleflow.errors import InvalidInput, require_exchangeable
from particleflow.kernels import PopulationKernel
from particleflow.losses import get_loss
from particleflow.measure import EmpiricalMeasure, Layout
from particleflow.metrics import ConicMetric, NeuronsVelocity, points_velocity
from particleflow.models.population import make_population_velocity
from particleflow.pair_kernels import check_start, make_forces, make_pair_velocity
from particleflow.regularizers import get_regularizer
from particleflow.values import is_real


class Energy(Protocol):
    """What the flow asks of an energy; particles are arrays theta of shape (m, p)."""

    @property
    def layout(self):
        """The `particleflow.measure.Layout` of a particle."""

    def check(self, measure):
        """Raise `InvalidInput` unless a flow can start from this measure."""

    def make_velocity(self, m):
        """Return ``velocity(theta, out) -> parts`` for m particles.

        It fills out (m, p) with −∇G(θ_i, μ_m) and returns the parts of L[μ_m], a dict of name → float. Where the
        velocity jumps it may offer `contacts`, `hold`, `release` and `settle`, as `particleflow.models.sliding` does;
        in another metric than the Euclidean it offers `speed(theta, slope)`, as `particleflow.metrics` does.
        """

    def potential(self, theta, measure):
        """Return G(θ_i, μ), shape (m,)."""

    def conserved(self, theta):
        """Return what the exact flow conserves, a dict of name → array (possibly empty)."""

    def describe(self):
        """Return the [model] and [energy] tables of a configuration."""


class _NetworkEnergy:
    """What all energies of networks share: E[ℓ(f, y)] + λ∫V dμ, with everything but the average over the data."""

    def __init__(self, model, regularizer, strength):
        self.model = model
        self.regularizer = get_regularizer(regularizer)
        if not (is_real(strength) and strength >= 0):
            raise InvalidInput(f"energy.strength = {strength!r}: valid are finite numbers from 0")
        self.strength = float(strength)

    @property
    def layout(self):
        """The layout of a particle."""
        return self.model.layout(self.d)

    def check(self, measure):
        """Raise `InvalidInput` unless the model has a place for each of the particles."""
        self.model.admissible(measure.particles)

    def value(self, theta):
        """Return L[μ_m] for particles of shape (m, p)."""
        theta = np.ascontiguousarray(theta, dtype=np.float64)
        return sum(self.make_velocity(len(theta))(theta, np.empty_like(theta)).values())

    def velocity(self, theta):
        """Return −∇G(θ_i, μ_m), shape (m, p)."""
        theta = np.ascontiguousarray(theta, dtype=np.float64)
        out = np.empty_like(theta)
        self.make_velocity(len(theta))(theta, out)
        return out

    def conserved(self, theta):
        """Return what the exact flow conserves, a dict of name → array (possibly empty)."""
        return self.model.conserved(theta, self.regularizer if self.strength else get_regularizer("none"))

    def describe(self):
        """Return the [model] and [energy] tables of a configuration."""
        return {
            "model": self.model.describe(),
            "energy": {
                "loss": self.loss.name,
                "regularizer": self.regularizer.name,
                "strength": self.strength,
                "kernel": self.kernel,
            },
        }


class EmpiricalEnergy(_NetworkEnergy):
    """The regularised risk of a network on data.

    Parameters
    ----------
    model : Model
        For example ``TwoLayer("relu")``.
    data : Dataset or (X, y)
        ν: inputs (n, d) and targets (n,).
    loss : str or Loss
        "squared", "logistic" or "huber".
    regularizer : str or Regularizer
        "path-norm", "norm", "squared-norm", "scaled-squared-norm" or "none".
    strength : float
        λ ≥ 0.
    synchronization : Synchronization, optional
        The penalty γ·D that makes a three-layer network a soft synchronised one.
    metric : ConicMetric, optional
        The rates of norms and directions of two-layer neurons; by default those of −∇G, α = ½ and β = 1.

    Raises
    ------
    InvalidInput
        If a name is unknown, λ is negative or not finite, the data are unusable, the loss is not defined for the
        targets, or the penalty or the metric not for the model.
    """

    kernel = "empirical"

    def __init__(
        self,
        model,
        data,
        *,
        loss="squared",
        regularizer="path-norm",
        strength=0.0,
        synchronization=None,
        metric=None,
    ):
        super().__init__(model, regularizer, strength)
        if metric is not None and model.kind != "two-layer":
            raise InvalidInput(f"energy.metric is not defined for the {model.kind} model; valid: two-layer")
        self.metric = metric
        if synchronization is not None:
            synchronization.check(model.kind, getattr(model, "s", 0))
        self.synchronization = synchronization
        self.data = data if isinstance(data, Dataset) else dataset_from_arrays(*data)
        self.loss = get_loss(loss)
        self.loss.check_targets(self.data.y)

    @property
    def d(self):
        """The dimension of the inputs."""
        return self.data.d

    def make_velocity(self, m):
        """Return the velocity −∇G of m particles; its parts are "risk", "regularization" and "synchronization"."""
        velocity = self.model.make_velocity(self.data, self.loss, self.regularizer, self.strength, m)
        velocity = self._penalized(velocity)
        return velocity if self.metric is None else NeuronsVelocity(velocity, self.metric, m, self.layout.size)

    def make_batch_velocity(self, m, size):
        """Return ``velocity(rows, theta, out) -> parts``: velocity and energy on `size` rows of the data only."""
        batch = SimpleNamespace(X=np.empty((size, self.d)), y=np.empty(size))
        velocity = self.model.make_velocity(batch, self.loss, self.regularizer, self.strength, m, sliding=False)
        velocity = self._penalized(velocity)

        def on_batch(rows, theta, out):
            np.take(self.data.X, rows, axis=0, out=batch.X)
            np.take(self.data.y, rows, out=batch.y)
            return velocity(theta, out)

        return on_batch

    def potential(self, theta, measure):
        """Return G(θ_i, μ) for particles theta of shape (m', p) in the field of a measure, shape (m',).

        Raises
        ------
        InvalidInput
            If the particles of the model are not exchangeable.
        """
        require_exchangeable(self.model, "the potential G(θ, μ)")
        f = self.model.predict(measure.particles, self.data.X)
        r = self.loss.half_derivative(f, self.data.y) / self.data.n
        V = self.model.regularizer_value(self.regularizer, theta)
        potential = self.model.features(theta, self.data.X) @ r + 0.5 * self.strength * V
        if self.synchronization is not None:
            potential += self.synchronization.potential(self.layout, theta, measure)
        return potential

    def conserved(self, theta):
        """Return what the exact flow conserves, a dict of name → array (possibly empty)."""
        if self.synchronization is not None and self.synchronization.strength > 0:
            return {}
        return super().conserved(theta)

    def describe(self):
        """Return the [model] and [energy] tables of a configuration."""
        tables = super().describe()
        if self.synchronization is not None:
            tables["energy"]["synchronization"] = self.synchronization.describe()
        if self.metric is not None:
            tables["energy"]["metric"] = self.metric.describe()
        return tables

    def _penalized(self, velocity):
        if self.synchronization is None:
            return velocity
        add_penalty = self.synchronization.make_velocity(self.layout)
        slides = hasattr(velocity, "contacts")
        plain = velocity.plain if slides else velocity

        def penalized(theta, out):
            parts = plain(theta, out)
            return {**parts, "synchronization": add_penalty(theta, out)}

        if not slides:
            return penalized
        velocity.plain = penalized  # what slides is the whole
        return velocity

    def __repr__(self):
        return (
            f"EmpiricalEnergy({self.model!r}, {self.data!r}, loss={self.loss.name!r}, "
            f"regularizer={self.regularizer.name!r}, strength={self.strength:g})"
        )


class PopulationEnergy(_NetworkEnergy):
    """The regularised risk of a two-layer network in the limit of infinitely many Gaussian data, squared loss.

    No data at all: inputs x ~ N(0, I_d) and targets y = f*(x) of a teacher enter by closed forms, streamed in tiles.

    Parameters
    ----------
    model : TwoLayer
        Activation "relu", "erf", "square" or "linear".
    teacher : array_like, shape (m_t, 1 + d)
        The teacher's particles (a*, w*): f* = (1/m_t) Σ_k a*_k σ(⟨w*_k, ·⟩), with the activation of the model.
    regularizer : str or Regularizer
        "path-norm", "norm", "squared-norm", "scaled-squared-norm" or "none".
    strength : float
        λ ≥ 0.

    Raises
    ------
    InvalidInput
        If the model is not a two-layer one, σ has no closed form, the teacher is not a finite (m_t, 1 + d) array, or λ
        is negative or not finite.
    """

    kernel = "population"

    def __init__(self, model, teacher, *, regularizer="path-norm", strength=0.0):
        super().__init__(model, regularizer, strength)
        if model.kind != "two-layer":
            raise InvalidInput(f'energy.kernel = "population" has no closed form for the {model.kind} model')
        self.loss = get_loss("squared")
        self.pairs = PopulationKernel(model.activation, teacher, self.regularizer, self.strength)
        self.teacher = self.pairs.teacher

    @property
    def d(self):
        """The dimension of the inputs."""
        return self.teacher.shape[1] - 1

    def make_velocity(self, m):
        """Return the velocity −∇G of m particles; its parts are "risk" and "regularization"."""
        return make_population_velocity(self.pairs, m)

    def potential(self, theta, measure):
        """Return G(θ_i, μ) for particles theta of shape (m', p) in the field of a measure, shape (m',)."""
        return np.mean(self.pairs.K(theta, measure.particles), axis=1) - self.pairs.F(theta)

    def __repr__(self):
        return (
            f"PopulationEnergy({self.model!r}, teacher {self.teacher.shape}, "
            f"regularizer={self.regularizer.name!r}, strength={self.strength:g})"
        )


class KernelEnergy:
    """The energy of particles in R^d or on a torus with a field F and an interaction K, L = C − 2∫F dμ + ∬K dμ dμ.

    Parameters
    ----------
    kernel : PairKernel
        F, K and C.
    d : int
        Dimension of the particles; their one block is called "x".

    Raises
    ------
    InvalidInput
        If d is not a positive integer, or the kernel is not made for it.
    """

    def __init__(self, kernel, d):
        kernel.check_dimension(d)
        self.kernel, self.d = kernel, int(d)

    @property
    def layout(self):
        """The layout of a particle, with the period of the kernel."""
        return Layout((("x", (("coordinate", self.d),)),), self.kernel.period)

    def check(self, measure):
        """Raise `InvalidInput`, naming the particles, unless a flow can start here.

        It cannot from two particles at the same place under a singular kernel, a velocity or an energy that is not
        finite, or an interaction that is not symmetric (`particleflow.pair_kernels.check_start`).
        """
        check_start(self.kernel, measure)

    def make_velocity(self, m):
        """Return the velocity −∇G of m particles; its parts are "field" = C − 2∫F dμ and "interaction" = ∬K dμ dμ."""
        return make_pair_velocity(self.kernel, m, self.d)

    def potential(self, theta, measure):
        """Return G(θ_i, μ) = ∫K(θ_i, θ') μ(dθ') − F(θ_i) for particles theta of shape (m', d), shape (m',).

        Of a singular kernel, particles of μ at θ_i are left out: at a particle this is the potential that moves it.
        """
        return np.mean(self.kernel.K(theta, measure.particles), axis=1) - self.kernel.F(theta)

    def conserved(self, theta):
        """Return what the exact flow conserves: nothing in general."""
        return {}

    def describe(self):
        """Return the [model] and [energy] tables of a configuration."""
        return {"model": {"kind": "particles", "d": self.d}, "energy": self.kernel.describe()}

    def __repr__(self):
        return f"KernelEnergy({self.kernel.field.__name__}, {self.kernel.interaction.__name__}, d={self.d})"


class ConicEnergy:
    """The energy of weighted points in R^d or on a torus, L = C − 2∫F dν + ∬K dν dν + λ|ν|, in the conic metric.

    A particle is θ = (r, x) and ν = (1/m) Σ_i r_i|r_i| δ_{x_i}: r² is its mass and the sign of r that of its mass. With
    g(x) = ±(∫K(x, x') ν(dx') − F(x)) + λ/2, ± that sign, the flow is ṙ = −2α r g(x) and ẋ = −β∇g(x). This is the
    problem and the dynamics of Chizat (2022) for a squared loss, L being twice the objective there with penalty λ/2.

    Parameters
    ----------
    kernel : PairKernel
        F, K and C. On a torus the points move on R^d; `numpy.mod` by `kernel.period` gives their places.
    d : int
        Dimension of the points; their blocks are called "r" and "x".
    strength : float
        λ ≥ 0.
    metric : ConicMetric
        α and β.

    Raises
    ------
    InvalidInput
        If d is not a positive integer, the kernel is not made for it, or λ is negative or not finite.

    References
    ----------
    Chizat 2022, *Sparse optimization on measures with over-parameterized gradient descent*, Math. Program. 194, §2.
    """

    def __init__(self, kernel, d, *, strength=0.0, metric=None):
        self.points = KernelEnergy(kernel, d)
        if not (is_real(strength) and strength >= 0):
            raise InvalidInput(f"energy.strength = {strength!r}: valid are finite numbers from 0")
        self.kernel, self.d, self.strength = kernel, self.points.d, float(strength)
        self.metric = ConicMetric() if metric is None else metric

    @property
    def layout(self):
        """The layout of a particle."""
        return Layout((("r", ()), ("x", (("coordinate", self.d),))))

    def check(self, measure):
        """Raise `InvalidInput` unless a flow of the points alone can start from their places (`KernelEnergy.check`)."""
        self.points.check(EmpiricalMeasure(measure["x"], self.points.layout))

    def make_velocity(self, m):
        """Return the velocity of m particles; its parts are "field", "interaction" and "regularization" = λ|ν|."""
        return points_velocity(make_forces(self.kernel, self.d), self.strength, self.metric, m)

    def potential(self, theta, measure):
        """Return G(θ_i, ν) = r_i² g(x_i) for particles theta of shape (m', 1 + d), shape (m',)."""
        r, weights = theta[:, 0], measure["r"] * np.abs(measure["r"])
        pull = self.kernel.K(theta[:, 1:], measure["x"]) @ weights / measure.m - self.kernel.F(theta[:, 1:])
        return r * np.abs(r) * pull + 0.5 * self.strength * r * r

    def conserved(self, theta):
        """Return what the exact flow conserves: nothing in general."""
        return {}

    def describe(self):
        """Return the [model] and [energy] tables of a configuration."""
        tables = self.points.describe()
        return {**tables, "energy": {**tables["energy"], "strength": self.strength, "metric": self.metric.describe()}}

    def __repr__(self):
        return (
            f"ConicEnergy({self.kernel.field.__name__}, {self.kernel.interaction.__name__}, d={self.d}, "
            f"strength={self.strength:g}, metric={self.metric})"
        )
