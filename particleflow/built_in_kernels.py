"""Pair kernels that come with the package, and their names in a configuration.

Formulas, exact solutions and references: docs/kernels.md. Everywhere θ̇_i = ∇F(θ_i) − (1/m) Σ_j ∇₁K(θ_i, θ_j), so that K
repels where it falls with the distance.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, signature

import numpy as np

from particleflow import pair_functions as functions
from particleflow.errors import InvalidInput, lookup
from particleflow.pair_kernels import PairKernel
from particleflow.values import is_integer, is_real

# --- the kernels ------------------------------------------------------------------------------------------------------


def quadratic_aggregation(attraction, confinement=0.0):
    """Return K = ½κ‖x − y‖² and F = −½λ‖x‖², for attraction κ and confinement λ, in any dimension."""
    given = _finite(attraction=attraction, confinement=confinement)
    return _built(
        "quadratic", given, functions.harmonic_field, functions.quadratic, parameters=(confinement, attraction)
    )


def riesz(repulsion, exponent, confinement):
    """Return K = (c/s)‖x − y‖^{−s} and F = −½λ‖x‖², for repulsion c, exponent s > 0 and confinement λ.

    In any dimension d. Up to a constant, s → 0 is the log gas; s = d − 2 is the Coulomb gas. For s < d the mean-field
    limit has finite energy; for s ≥ d the nearest neighbours dominate, and the energy of a given density grows with m
    (Borodachov, Hardin, Saff 2019, *Discrete Energy on Rectifiable Sets*).
    """
    given = _finite(repulsion=repulsion, exponent=_positive("exponent", exponent), confinement=confinement)
    parameters = (confinement, repulsion, exponent)
    return _built("riesz", given, functions.harmonic_field, functions.power, parameters=parameters, singular=True)


def log_gas(repulsion, confinement):
    """Return K = −g log‖x − y‖ and F = −½λ‖x‖², for repulsion g and confinement λ, in any dimension.

    On the line its equilibrium is √(g/(λm)) times the zeros of the Hermite polynomial H_m (Stieltjes 1885).
    """
    given = _finite(repulsion=repulsion, confinement=confinement)
    return _built(
        "log-gas",
        given,
        functions.harmonic_field,
        functions.logarithmic,
        parameters=(confinement, repulsion),
        singular=True,
    )


def newtonian(charge, confinement):
    """Return K = −(c/2π) log‖x − y‖ and F = −½λ‖x‖² in the plane; for m → ∞ a uniform disk, R² = c/(2πλ)."""
    given = _finite(charge=charge, confinement=confinement)
    parameters = (confinement, charge / (2 * math.pi))
    return _built(
        "newtonian", given, functions.harmonic_field, functions.logarithmic, parameters=parameters, singular=True
    )


def energy_distance_to_uniform():
    """Return the energy distance of a measure on the line to U[0, 1]: K = −|x − y|, F = −E|x − Y|, C = −E|Y − Y'|."""
    return _built("energy-distance", {}, functions.uniform_field, functions.minus_distance, constant=-1 / 3)


def kuramoto(coupling):
    """Return K = −κ cos(x − y) for phases x ∈ R/2πZ; not positive definite, so the energy is not convex."""
    given = _finite(coupling=coupling)
    return _built("kuramoto", given, functions.no_field, functions.cosine, parameters=(coupling,))


def gaussian_mmd(targets, bandwidth, weights=None):
    """Return the squared maximum mean discrepancy to ρ = Σ_j ρ_j δ_{y_j} for the Gaussian kernel of bandwidth h.

    K = exp(−‖x − y‖²/2h²), F = ∫K(x, y) ρ(dy) and C = ∬K dρ dρ, so that L[μ] = ∬K d(μ − ρ) d(μ − ρ) = MMD²(μ, ρ) ≥ 0.
    (Gretton et al. 2012; as a flow, Arbel et al. 2019.)

    Parameters
    ----------
    targets : array_like, shape (n, d) or, on the line, (n,)
        y_j.
    bandwidth : float
        h > 0.
    weights : array_like, shape (n,), optional
        Not negative; ρ_j are these, divided by their sum. By default 1/n each.

    Returns
    -------
    PairKernel

    Raises
    ------
    InvalidInput
        If a value is not of that kind.
    """
    points = _array("targets", targets, (1, 2))
    points = points.reshape(len(points), -1)
    given = {"targets": points.tolist(), **_finite(bandwidth=_positive("bandwidth", bandwidth))}
    masses = np.ones(len(points)) if weights is None else _array("weights", weights, (1,), len(points))
    if not ((masses >= 0).all() and masses.sum() > 0):
        raise InvalidInput("weights: valid are numbers from 0 that are not all 0")
    if weights is not None:
        given["weights"] = masses.tolist()
    masses = masses / masses.sum()
    kernel = _built(
        "gaussian-mmd",
        given,
        functions.bells_field,
        functions.bell,
        parameters=np.concatenate([[bandwidth, len(points)], masses, points.ravel()]),
        dimension=points.shape[1],
    )
    kernel.constant = float(masses @ kernel.F(points))
    if not is_real(kernel.constant):
        raise InvalidInput(f"bandwidth = {bandwidth!r}: its square is 0 or infinite; valid are about 1e-150 to 1e150")
    return kernel


def dirichlet(order, targets, masses=None, strength=0.0):
    """Return ‖D_n∗(μ − ρ)‖² in L²(R/Z), plus λ, for spikes ρ = Σ_j b_j δ_{y_j} seen through a low-pass filter.

    The Dirichlet kernel D_n(x) = 1 + 2 Σ_{k=1}^n cos 2πkx = sin((2n + 1)πx)/sin(πx) keeps the Fourier coefficients up
    to n, so D_n∗D_n = D_n. With K = D_n(x − y), F = Σ_j b_j D_n(x − y_j) − λ/2 and C = Σ_ij b_i b_j D_n(y_i − y_j)

        L[μ] = ∬D_n d(μ − ρ) d(μ − ρ) + λ μ(R/Z) = Σ_{|k| ≤ n} |μ̂_k − ρ̂_k|² + λ.

    It is twice the objective of sparse deconvolution with penalty λ/2 (Chizat 2022, *Sparse optimization on measures
    with over-parameterized gradient descent*, Math. Program. 194), among measures of mass one: every particle has the
    mass 1/m, so that λ moves no particle. Masses that change, of both signs: `ConicEnergy`, with its own λ.

    Parameters
    ----------
    order : int
        n ≥ 1; D_n(0) = 2n + 1.
    targets : array_like, shape (n_t,)
        y_j, the places of the spikes on R/Z.
    masses : array_like, shape (n_t,), optional
        b_j, of any sign; by default 1/n_t each.
    strength : float
        λ.

    Returns
    -------
    PairKernel

    Raises
    ------
    InvalidInput
        If a value is not of that kind.
    """
    if not is_integer(order):
        raise InvalidInput(f"order = {order!r}: valid are integers from 1")
    places = _array("targets", targets, (1,))
    given = {"order": int(order), "targets": places.tolist()}
    if masses is not None:
        given["masses"] = _array("masses", masses, (1,), len(places)).tolist()
    given |= _finite(strength=strength)
    b = np.array(given.get("masses", np.full(len(places), 1 / len(places))))
    parameters = np.concatenate([[order, strength, len(places)], b, places])
    kernel = _built("dirichlet", given, functions.low_pass_field, functions.low_pass_interaction, parameters=parameters)
    kernel.constant = float(b @ (kernel.F(places[:, None]) + 0.5 * strength))
    return kernel


# --- by name ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BuiltIn:
    """A kernel that a configuration can name.

    Attributes
    ----------
    build : callable
        From its parameters, numbers or lists of them, to the `PairKernel`.
    dimension : int or None
        The only d it is made for; None for any d (of gaussian-mmd: that of its targets).
    period : float or None
        The period of the torus its particles live on.
    """

    build: Callable
    dimension: int | None = None
    period: float | None = None

    @property
    def parameters(self):
        """The names of the parameters, each with whether it is required."""
        known = signature(self.build).parameters.values()
        return {parameter.name: parameter.default is Parameter.empty for parameter in known}


PAIR_KERNELS = {
    "quadratic": BuiltIn(quadratic_aggregation),
    "energy-distance": BuiltIn(energy_distance_to_uniform, dimension=1),
    "riesz": BuiltIn(riesz),
    "newtonian": BuiltIn(newtonian, dimension=2),
    "log-gas": BuiltIn(log_gas),
    "kuramoto": BuiltIn(kuramoto, dimension=1, period=2 * math.pi),
    "gaussian-mmd": BuiltIn(gaussian_mmd),
    "dirichlet": BuiltIn(dirichlet, dimension=1, period=1.0),
}
"""The pair kernels by name, as `particleflow.build_kernel` and configurations take them."""


def build_kernel(name, parameters, d):
    """Build a kernel by its name.

    Parameters
    ----------
    name : str
        One of `PAIR_KERNELS`.
    parameters : dict of str → number or list
        The arguments of its builder: the table [energy.parameters] of a configuration.
    d : int
        Dimension of the particles.

    Returns
    -------
    PairKernel

    Raises
    ------
    InvalidInput
        If the name or a parameter is unknown, a parameter is missing or not valid, or the kernel is not made for d.
    """
    entry = lookup("energy.kernel", name, PAIR_KERNELS)
    known = entry.parameters
    valid = f"{name} takes {', '.join(known) or 'none'}"
    for key in parameters:
        if key not in known:
            raise InvalidInput(f"energy.parameters.{key} is unknown: {valid}")
    for key, required in known.items():
        if required and key not in parameters:
            raise InvalidInput(f"energy.parameters.{key} is missing: {valid}")
    try:
        kernel = entry.build(**parameters)
    except InvalidInput as error:  # it begins with the name of the parameter
        raise InvalidInput(f"energy.parameters.{error}") from None
    kernel.check_dimension(d)
    return kernel


def _built(name, given, field, interaction, **options):
    entry = PAIR_KERNELS[name]
    options = {"dimension": entry.dimension, "period": entry.period, **options}
    return PairKernel(field, interaction, description={"kernel": name, "parameters": given}, **options)


def _finite(**numbers):
    """Return the numbers as floats, by name."""
    for name, value in numbers.items():
        if not is_real(value):
            raise InvalidInput(f"{name} = {value!r}: valid are finite numbers")
    return {name: float(value) for name, value in numbers.items()}


def _positive(name, value):
    if not _finite(**{name: value})[name] > 0:
        raise InvalidInput(f"{name} = {value!r}: valid are finite numbers above 0")
    return value


def _array(name, values, dimensions, length=None):
    """Return finite numbers as an array with one of the numbers of axes, not empty, and of that length."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInput(f"{name}: valid are finite numbers in a list, or in lists of one length") from None
    if array.ndim not in dimensions or array.size == 0:
        raise InvalidInput(
            f"{name} has shape {array.shape}: valid are {' or '.join(map(str, dimensions))} axes, not empty"
        )
    if length is not None and len(array) != length:
        raise InvalidInput(f"{name} has {len(array)} numbers: valid are {length}, as many as targets")
    if not np.isfinite(array).all():
        raise InvalidInput(f"{name} holds a value that is NaN or infinite")
    return array
