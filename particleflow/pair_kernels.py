"""Interacting particles with any field F and interaction K, as two compiled functions with their gradients.

    L[μ] = C − 2∫F dμ + ∬K dμ dμ,   θ̇_i = ∇F(θ_i) − (1/m) Σ_j ∇₁K(θ_i, θ_j)

A field is ``field(x, parameters, gradient) -> F(x)`` and an interaction ``interaction(x, y, parameters, gradient) ->
K(x, y)``: each returns the value and fills ``gradient`` (d,) with ∇F or ∇₁K. They are compiled for one signature and
called through it, so that the loop over the pairs is compiled once for all kernels and cached.
"""

import math
from functools import cache

import numpy as np
from numba import njit, types

from particleflow.errors import InvalidInput
from particleflow.jit import jit

_VECTOR = types.float64[::1]
_FIELD = types.FunctionType(types.float64(_VECTOR, _VECTOR, _VECTOR))
_INTERACTION = types.FunctionType(types.float64(_VECTOR, _VECTOR, _VECTOR, _VECTOR))
_CLOUD = types.float64[:, ::1]


class PairKernel:
    """A field F and an interaction K on R^d.

    Parameters
    ----------
    field, interaction : numba-compiled functions
        ``field(x, parameters, gradient)`` and ``interaction(x, y, parameters, gradient)``; see the module.
    parameters : array_like, shape (k,)
        Handed to both functions.
    constant : float
        C.
    singular : bool
        Whether K is infinite at coincidence: a particle then does not act on itself, and both sums over pairs leave out
        i = j.

    Raises
    ------
    InvalidInput
        If a function is not compiled by numba.
    """

    def __init__(self, field, interaction, *, parameters=(), constant=0.0, singular=False):
        for name, function in (("field", field), ("interaction", interaction)):
            if not hasattr(function, "py_func"):
                raise InvalidInput(f"{name} = {function!r}: valid is a function compiled by numba.njit")
        self.field, self.interaction, self.singular = field, interaction, bool(singular)
        self.parameters, self.constant = np.array(parameters, dtype=np.float64, ndmin=1), float(constant)

    def F(self, theta):
        """Return F(θ_i), shape (m,), for particles of shape (m, d)."""
        return self._fields(theta)[0]

    def grad_F(self, theta):
        """Return ∇F(θ_i), shape (m, d)."""
        return self._fields(theta)[1]

    def K(self, theta, other):
        """Return K(θ_i, θ'_j), shape (m, m'), for particles of shapes (m, d) and (m', d)."""
        return self._pairs(theta, other)[0]

    def grad_K(self, theta, other):
        """Return ∇₁K(θ_i, θ'_j), the gradient in the first argument, shape (m, m', d)."""
        return self._pairs(theta, other)[1]

    def _fields(self, theta):
        theta = np.ascontiguousarray(theta, dtype=np.float64)
        values, gradients = np.empty(len(theta)), np.empty_like(theta)
        for i, x in enumerate(theta):
            values[i] = self.field(x, self.parameters, gradients[i])
        return values, gradients

    def _pairs(self, theta, other):
        theta, other = (np.ascontiguousarray(cloud, dtype=np.float64) for cloud in (theta, other))
        values, gradients = np.empty((len(theta), len(other))), np.empty((len(theta), *other.shape))
        for i, j in np.ndindex(values.shape):
            values[i, j] = self.interaction(theta[i], other[j], self.parameters, gradients[i, j])
        return values, gradients


def check_kernel(kernel, d, *, points=None, tolerance=1e-5):
    """Compare the gradients of a `PairKernel` with finite differences, and K(x, y) with K(y, x).

    Parameters
    ----------
    kernel : PairKernel
        What to check.
    d : int
        Dimension of the particles.
    points : array_like, shape (n, d), optional
        Where; by default eight points from N(0, I_d).
    tolerance : float
        Tolerated difference, relative to the larger of 1 and the value.

    Raises
    ------
    InvalidInput
        Naming the function, the points and both values, at the first difference or value that is not finite.
    """
    points = np.random.default_rng(0).standard_normal((8, d)) if points is None else np.array(points, dtype=np.float64)
    steps = 1e-6 * np.eye(d)
    for i, x in enumerate(points):
        around = (kernel.F(x + steps) - kernel.F(x - steps)) / 2e-6
        _compare("the gradient of the field", x, kernel.grad_F(x[None])[0], around, tolerance)
        for y in np.delete(points, i, axis=0):
            there, back = kernel.K(x[None], y[None])[0, 0], kernel.K(y[None], x[None])[0, 0]
            _compare(f"the interaction with {y} there and back", x, there, back, tolerance)
            around = (kernel.K(x + steps, y[None]) - kernel.K(x - steps, y[None]))[:, 0] / 2e-6
            _compare(
                f"the gradient of the interaction with {y}", x, kernel.grad_K(x[None], y[None])[0, 0], around, tolerance
            )


def _compare(what, x, found, expected, tolerance):
    found, expected = np.atleast_1d(found), np.atleast_1d(expected)
    if not (np.isfinite(found).all() and np.isfinite(expected).all()):
        raise InvalidInput(f"{what} at x = {x} is not finite: {found}")
    if (np.abs(found - expected) > tolerance * np.maximum(1.0, np.abs(expected))).any():
        raise InvalidInput(f"{what} at x = {x} is {found}, expected {expected}")


def make_pair_velocity(kernel, m, d):
    """Return ``velocity(theta, out) -> parts`` for m particles in R^d; its parts are "field" and "interaction"."""
    gradient, total = np.empty(d), np.empty(d)
    compiled = _compiled_pair_velocity()

    def velocity(theta, out):
        field, interaction = compiled(
            theta, kernel.field, kernel.interaction, kernel.parameters, kernel.singular, gradient, total, out
        )
        return {"field": kernel.constant - 2 * field, "interaction": interaction}

    return velocity


def _pair_velocity(theta, field, interaction, parameters, singular, gradient, total, out):
    m, d = theta.shape
    fields = 0.0
    interactions = 0.0
    for i in range(m):
        total[:] = 0.0
        for j in range(m):
            if singular and i == j:
                continue
            interactions += interaction(theta[i], theta[j], parameters, gradient)
            for k in range(d):
                total[k] += gradient[k]
        fields += field(theta[i], parameters, gradient)
        for k in range(d):
            out[i, k] = gradient[k] - total[k] / m
    return fields / m, interactions / (m * m)


@cache
def _compiled_pair_velocity():
    signature = types.UniTuple(types.float64, 2)(
        _CLOUD, _FIELD, _INTERACTION, _VECTOR, types.boolean, _VECTOR, _VECTOR, _CLOUD
    )
    return njit(signature, cache=True, nogil=True, error_model="numpy")(_pair_velocity)


# --- built-in kernels -------------------------------------------------------------------------------------------------


@jit
def _no_field(x, parameters, gradient):
    gradient[:] = 0.0
    return 0.0


@jit
def _harmonic_field(x, parameters, gradient):
    """Return −½λ‖x‖² with λ = parameters[0]."""
    total = 0.0
    for k in range(x.size):
        total += x[k] * x[k]
        gradient[k] = -parameters[0] * x[k]
    return -0.5 * parameters[0] * total


@jit
def _quadratic(x, y, parameters, gradient):
    """Return ½κ‖x − y‖² with κ = parameters[1]."""
    total = 0.0
    for k in range(x.size):
        difference = x[k] - y[k]
        total += difference * difference
        gradient[k] = parameters[1] * difference
    return 0.5 * parameters[1] * total


@jit
def _logarithmic(x, y, parameters, gradient):
    """Return −g log‖x − y‖ with g = parameters[1]."""
    total = 0.0
    for k in range(x.size):
        total += (x[k] - y[k]) ** 2
    for k in range(x.size):
        gradient[k] = -parameters[1] * (x[k] - y[k]) / total
    return -0.5 * parameters[1] * math.log(total)


@jit
def _uniform_field(x, parameters, gradient):
    """Return −E|x − Y| for Y uniform on [0, 1]."""
    if 0.0 <= x[0] <= 1.0:
        gradient[0] = 1.0 - 2.0 * x[0]
        return -(x[0] * x[0] - x[0] + 0.5)
    gradient[0] = -1.0 if x[0] > 1.0 else 1.0
    return -abs(x[0] - 0.5)


@jit
def _minus_distance(x, y, parameters, gradient):
    """Return −‖x − y‖."""
    total = 0.0
    for k in range(x.size):
        total += (x[k] - y[k]) ** 2
    distance = math.sqrt(total)
    for k in range(x.size):
        gradient[k] = -(x[k] - y[k]) / distance if distance > 0.0 else 0.0
    return -distance


@jit
def _cosine(x, y, parameters, gradient):
    """Return −κ cos(x − y) with κ = parameters[0]."""
    gradient[0] = parameters[0] * math.sin(x[0] - y[0])
    return -parameters[0] * math.cos(x[0] - y[0])


def quadratic_aggregation(attraction, confinement=0.0):
    """Return K = ½κ‖x − y‖² and F = −½λ‖x‖², for attraction κ and confinement λ, in any dimension."""
    return PairKernel(_harmonic_field, _quadratic, parameters=(confinement, attraction))


def log_gas(repulsion, confinement):
    """Return K = −g log|x − y| and F = −½λx², for repulsion g and confinement λ.

    On the line its equilibrium is √(g/(λm)) times the zeros of the Hermite polynomial H_m (Stieltjes 1885).
    """
    return PairKernel(_harmonic_field, _logarithmic, parameters=(confinement, repulsion), singular=True)


def newtonian(charge, confinement):
    """Return K = −(c/2π) log‖x − y‖ and F = −½λ‖x‖² in the plane; for m → ∞ a uniform disk, R² = c/(2πλ)."""
    return log_gas(charge / (2 * math.pi), confinement)


def energy_distance_to_uniform():
    """Return the energy distance of a measure on the line to U[0, 1]: K = −|x − y|, F = −E|x − Y|, C = −E|Y − Y'|."""
    return PairKernel(_uniform_field, _minus_distance, constant=-1 / 3)


def kuramoto(coupling):
    """Return K = −κ cos(x − y) for phases x ∈ R/2πZ; not positive definite, so the energy is not convex."""
    return PairKernel(_no_field, _cosine, parameters=(coupling,))
