"""Interacting particles with any field F and interaction K, as two compiled functions with their gradients.

    L[μ] = C − 2∫F dμ + ∬K dμ dμ,   θ̇_i = ∇F(θ_i) − (1/m) Σ_j ∇₁K(θ_i, θ_j)

A field is ``field(x, parameters, gradient) -> F(x)`` and an interaction ``interaction(x, y, parameters, gradient) ->
K(x, y)``: each returns the value and fills ``gradient`` (d,) with ∇F or ∇₁K. They are compiled for one signature and
called through it, so that the loop over the pairs is compiled once for all kernels and cached.

On a torus F and K are periodic functions; the particles move on R^d, its universal cover. Kernels that come with the
package: `particleflow.built_in_kernels`.
"""

from functools import cache

import numpy as np
from numba import njit, types

from particleflow.errors import InvalidInput
from particleflow.values import is_integer

_VECTOR = types.float64[::1]
_FIELD = types.FunctionType(types.float64(_VECTOR, _VECTOR, _VECTOR))
_INTERACTION = types.FunctionType(types.float64(_VECTOR, _VECTOR, _VECTOR, _VECTOR))
_CLOUD = types.float64[:, ::1]


class PairKernel:
    """A field F and an interaction K on R^d or on a torus.

    Parameters
    ----------
    field, interaction : numba-compiled functions
        ``field(x, parameters, gradient)`` and ``interaction(x, y, parameters, gradient)``; see the module.
    parameters : array_like, k numbers
        Handed to both functions as one array of shape (k,).
    constant : float
        C.
    singular : bool
        Whether K is infinite at coincidence: a particle then does not act on itself, and both sums over pairs leave out
        i = j.
    period : float, optional
        The period > 0 of F and K in every coordinate, for particles on the torus (R/period)^d.
    dimension : int, optional
        The only d the two functions are made for; by default they work in any.
    description : dict, optional
        The [energy] table of a configuration that gives this kernel; by default the names of the two functions.

    Raises
    ------
    InvalidInput
        If a function is not compiled by numba, or the period is not a finite number above 0.
    """

    def __init__(
        self,
        field,
        interaction,
        *,
        parameters=(),
        constant=0.0,
        singular=False,
        period=None,
        dimension=None,
        description=None,
    ):
        for name, function in (("field", field), ("interaction", interaction)):
            if not hasattr(function, "py_func"):
                raise InvalidInput(f"{name} = {function!r}: valid is a function compiled by numba.njit")
        if period is not None and not (np.isfinite(period) and period > 0):
            raise InvalidInput(f"period = {period!r}: valid are finite numbers above 0")
        self.field, self.interaction, self.singular = field, interaction, bool(singular)
        self.parameters, self.constant = np.array(parameters, dtype=np.float64).ravel(), float(constant)
        self.period, self.dimension = None if period is None else float(period), dimension
        self._description = description

    def describe(self):
        """Return the [energy] table of a configuration."""
        if self._description is not None:
            return self._description
        table = {"kernel": "pair", "field": self.field.__name__, "interaction": self.interaction.__name__}
        table["parameters"] = self.parameters.tolist()
        return table if self.period is None else {**table, "period": self.period}

    def check_dimension(self, d):
        """Raise `InvalidInput` unless d is a positive integer and both functions work on particles in R^d.

        Compiled functions do not notice that they read beyond the end of an array, so they are tried out uncompiled.
        """
        if not is_integer(d):
            raise InvalidInput(f"d = {d!r}: valid are integers from 1")
        if self.dimension not in (None, d):
            name = self.describe()["kernel"]
            raise InvalidInput(f"d = {d}: valid is {self.dimension}, the dimension of the {name} kernel")
        x, y = np.linspace(0.2, 0.4, d), np.linspace(0.7, 0.8, d)
        for function, points in ((self.field, (x,)), (self.interaction, (x, y))):
            try:
                with np.errstate(all="ignore"):
                    function.py_func(*points, self.parameters, np.empty(d))
            except IndexError as error:
                name = function.__name__
                raise InvalidInput(f"{name} reads beyond its arguments for d = {d}: {error}") from None
            except Exception:  # whatever else goes wrong at a point made up here says nothing
                continue

    def F(self, theta):
        """Return F(θ_i), shape (m,), for particles of shape (m, d)."""
        return self._fields(theta)[0]

    def grad_F(self, theta):
        """Return ∇F(θ_i), shape (m, d)."""
        return self._fields(theta)[1]

    def K(self, theta, other):
        """Return K(θ_i, θ'_j), shape (m, m'), for particles of shapes (m, d) and (m', d).

        Of a singular kernel, pairs at the same place are left out: 0.
        """
        return self._pairs(theta, other)[0]

    def grad_K(self, theta, other):
        """Return ∇₁K(θ_i, θ'_j), the gradient in the first argument, shape (m, m', d); pairs left out as in `K`."""
        return self._pairs(theta, other)[1]

    def _fields(self, theta):
        theta = np.ascontiguousarray(theta, dtype=np.float64)
        values, gradients = np.empty(len(theta)), np.empty_like(theta)
        for i, x in enumerate(theta):
            values[i] = self.field(x, self.parameters, gradients[i])
        return values, gradients

    def _pairs(self, theta, other):
        theta, other = (np.ascontiguousarray(cloud, dtype=np.float64) for cloud in (theta, other))
        values, gradients = np.zeros((len(theta), len(other))), np.zeros((len(theta), *other.shape))
        for i, x in enumerate(theta):
            acting = ~_coincide(x, other, self.period) if self.singular else np.ones(len(other), dtype=bool)
            for j in np.flatnonzero(acting):
                values[i, j] = self.interaction(x, other[j], self.parameters, gradients[i, j])
        return values, gradients


def _coincide(x, cloud, period):
    """Return which particles of a cloud (m, d) are at x, on a torus up to the rounding of a period, shape (m,)."""
    gaps = np.abs(cloud - x)
    if period is None:
        return (gaps == 0).all(axis=1)
    return (np.abs(gaps - period * np.rint(gaps / period)) <= _resolution(cloud, period)).all(axis=1)


def _resolution(cloud, period):
    """Return up to which distance on the torus two particles are at the same place."""
    return 4 * np.finfo(float).eps * max(period, np.abs(cloud).max())


# --- checks -----------------------------------------------------------------------------------------------------------


def check_kernel(kernel, d, *, points=None, tolerance=1e-5):
    """Compare the gradients of a `PairKernel` with finite differences, K(x, y) with K(y, x), and all with its period.

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
        Naming the function, the points and both values, at the first difference or value that is not finite; or if a
        function reads beyond its arguments, or is infinite at coincidence and not called singular.
    """
    points = np.random.default_rng(0).standard_normal((8, d)) if points is None else np.array(points, dtype=np.float64)
    kernel.check_dimension(d)
    try:
        for i, x in enumerate(points):
            _check_field(kernel, x, tolerance)
            if not kernel.singular:
                _check_coincidence(kernel, x)
            for y in np.delete(points, i, axis=0):
                _check_interaction(kernel, x, y, tolerance)
    except ZeroDivisionError:
        raise InvalidInput("the field or the interaction divides by zero at the points of the check") from None


def _check_field(kernel, x, tolerance):
    steps = 1e-6 * np.eye(len(x))
    value, gradient = kernel.F(x[None]), kernel.grad_F(x[None])[0]
    around = (kernel.F(x + steps) - kernel.F(x - steps)) / 2e-6
    _compare("the gradient of the field", x, gradient, around, tolerance)
    if kernel.period is not None:
        for k, shifted in enumerate(x + kernel.period * np.eye(len(x))):
            what = f"the field one period further in coordinate {k}"
            _compare(what, x, kernel.F(shifted[None]), value, tolerance)
            _compare(f"the gradient of {what}", x, kernel.grad_F(shifted[None])[0], gradient, tolerance)


def _check_coincidence(kernel, x):
    try:
        finite = np.isfinite(kernel.K(x[None], x[None])).all() and np.isfinite(kernel.grad_K(x[None], x[None])).all()
    except ZeroDivisionError:
        finite = False
    if not finite:
        raise InvalidInput(f"the interaction at x = y = {x} is not finite: a kernel infinite there needs singular=True")


def _check_interaction(kernel, x, y, tolerance):
    steps = 1e-6 * np.eye(len(x))
    there, back = kernel.K(x[None], y[None]), kernel.K(y[None], x[None])
    gradient = kernel.grad_K(x[None], y[None])[0, 0]
    _compare(f"the interaction with {y} there and back", x, there, back, tolerance)
    around = (kernel.K(x + steps, y[None]) - kernel.K(x - steps, y[None]))[:, 0] / 2e-6
    _compare(f"the gradient of the interaction with {y}", x, gradient, around, tolerance)
    if kernel.period is not None:
        for k, shifted in enumerate(x + kernel.period * np.eye(len(x))):
            what = f"the interaction with {y} one period further in coordinate {k}"
            _compare(what, x, kernel.K(shifted[None], y[None]), there, tolerance)
            _compare(f"the gradient of {what}", x, kernel.grad_K(shifted[None], y[None])[0, 0], gradient, tolerance)


def _compare(what, x, found, expected, tolerance):
    found, expected = np.ravel(found), np.ravel(expected)
    if not (np.isfinite(found).all() and np.isfinite(expected).all()):
        raise InvalidInput(f"{what} at x = {x} is not finite: {found}")
    if (np.abs(found - expected) > tolerance * np.maximum(1.0, np.abs(expected))).any():
        raise InvalidInput(f"{what} at x = {x} is {found}, expected {expected}")


def check_start(kernel, measure):
    """Check that a flow can start from a measure.

    Parameters
    ----------
    kernel : PairKernel
        F and K.
    measure : EmpiricalMeasure
        The particles, in R^d or on the torus.

    Raises
    ------
    InvalidInput
        If two particles coincide and K is singular, the velocity of a particle or the energy is not finite, or K is not
        symmetric at the first eight particles. The message names the particles.
    """
    if kernel.singular and measure.m > 1:
        _refuse_coincidence(measure)
    theta = measure.particles.copy()  # compiled functions want arrays that can be written to
    out = np.empty_like(theta)
    try:
        parts = make_pair_velocity(kernel, *theta.shape)(theta, out)
    except ZeroDivisionError:
        raise InvalidInput("the field or the interaction divides by zero at the initial particles") from None
    for i in np.flatnonzero(~np.isfinite(out).all(axis=1))[:1]:
        raise InvalidInput(f"the velocity of particle {i} at x = {theta[i]} is NaN or infinite: try check_kernel")
    if not np.isfinite(list(parts.values())).all():
        raise InvalidInput(f"the energy of the initial measure is NaN or infinite: {parts}; try check_kernel")
    K = kernel.K(theta[:8], theta[:8])
    for i, j in np.argwhere(np.abs(K - K.T) > 1e-8 * np.maximum(1.0, np.abs(K)))[:1]:
        raise InvalidInput(
            f"the interaction of particles {i} and {j} is {K[i, j]:g} there and {K[j, i]:g} back: without symmetry "
            "there is no energy"
        )


def _refuse_coincidence(measure):
    from scipy.spatial import cKDTree

    period = measure.layout.period
    cloud = measure.wrapped().particles
    resolution = 0.0 if period is None else _resolution(measure.particles, period)
    distances, nearest = cKDTree(cloud, boxsize=period).query(cloud, k=2)
    for i in np.flatnonzero(distances[:, 1] <= resolution)[:1]:
        j = nearest[i, 0] if nearest[i, 0] != i else nearest[i, 1]
        where = "" if period is None else f" modulo the period {period:g}"
        raise InvalidInput(
            f"particles {min(i, j)} and {max(i, j)} coincide at x = {cloud[i]}{where}, where the interaction is "
            "infinite: move one of them"
        )


# --- the velocity -----------------------------------------------------------------------------------------------------


def make_pair_velocity(kernel, m, d):
    """Return ``velocity(theta, out) -> parts`` for m particles in R^d; its parts are "field" and "interaction"."""
    forces, weights, potential = make_forces(kernel, d), np.ones(m), np.empty(m)

    def velocity(theta, out):
        return forces(theta, weights, potential, out)

    return velocity


def make_forces(kernel, d):
    """Return ``forces(theta, weights, potential, out) -> parts`` for points in R^d with weights q_i of any sign.

    Of the measure ν = (1/m) Σ_i q_i δ_{θ_i} it fills potential (m,) with P = ∫K(θ_i, θ') ν(dθ') − F(θ_i) and out (m, d)
    with −∇P(θ_i), and returns the parts of C − 2∫F dν + ∬K dν dν, "field" and "interaction".
    """
    gradient, total = np.empty(d), np.empty(d)
    compiled = _compiled_forces()

    def forces(theta, weights, potential, out):
        field, interaction = compiled(
            theta,
            weights,
            kernel.field,
            kernel.interaction,
            kernel.parameters,
            kernel.singular,
            gradient,
            total,
            potential,
            out,
        )
        return {"field": kernel.constant - 2 * field, "interaction": interaction}

    return forces


def _forces(theta, weights, field, interaction, parameters, singular, gradient, total, potential, out):
    m, d = theta.shape
    fields = 0.0
    interactions = 0.0
    for i in range(m):
        total[:] = 0.0
        pull = 0.0
        for j in range(m):
            if singular and i == j:
                continue
            pull += weights[j] * interaction(theta[i], theta[j], parameters, gradient)
            for k in range(d):
                total[k] += weights[j] * gradient[k]
        interactions += weights[i] * pull
        own = field(theta[i], parameters, gradient)
        fields += weights[i] * own
        potential[i] = pull / m - own
        for k in range(d):
            out[i, k] = gradient[k] - total[k] / m
    return fields / m, interactions / (m * m)


@cache
def _compiled_forces():
    signature = types.UniTuple(types.float64, 2)(
        _CLOUD,
        _VECTOR,
        _FIELD,
        _INTERACTION,
        _VECTOR,
        types.boolean,
        _VECTOR,
        _VECTOR,
        _VECTOR,
        _CLOUD,
    )
    return njit(signature, cache=True, nogil=True, error_model="numpy")(_forces)
