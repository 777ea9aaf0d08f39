"""How far a probability measure is from the least energy, by convexity alone: the Frank–Wolfe gap.

Where L is convex along mixtures of probability measures (networks with a convex loss; pair kernels whose interaction
is positive semidefinite on measures of mass 0), it lies above its tangent, the first variation 2G: for ν on a domain D

    L[ν] ≥ L[μ] + 2∫G(·, μ) d(ν − μ),   so   L[μ] − inf L ≤ 2(∫G(·, μ) dμ − min over D of G(·, μ))

(Frank & Wolfe 1956; Jaggi 2013, §2.2). The bound holds for measures on D only. No homogeneity is asked for, unlike in
`particleflow.certificate`; the price is that the minimum of G over D is searched, not proved.
"""

import time
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize
from scipy.stats import qmc

from particleflow.errors import InvalidInput
from particleflow.values import is_integer

_REFINED = 8  # of the best points are followed to a minimum
_CHECKED = 200  # points at most on which positivity is looked at
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class FrankWolfeGap:
    """How far a measure is from the infimum of L over the probability measures on a box, at most.

    Attributes
    ----------
    energy : float
        L[μ].
    lower_bound : float
        About: inf L is at least this, if `worst` is where G is least.
    gap : float
        L[μ] − lower_bound = 2(∫G dμ − min G).
    verdict : str
        "estimate": the minimum of G was searched from many points.
    domain : tuple of two ndarrays, shape (p,)
        The lower and upper corners of the box D.
    worst : ndarray, shape (p,)
        Where G is least: where a new particle would help most.
    seconds : float
        Wall time.
    """

    energy: float
    lower_bound: float
    gap: float
    verdict: str
    domain: tuple
    worst: np.ndarray = field(repr=False)
    seconds: float


def frank_wolfe_gap(energy, measure, low=None, high=None, *, points=4096):
    """Bound L[μ] − inf L over the probability measures on a box.

    Parameters
    ----------
    energy : EmpiricalEnergy, PopulationEnergy or KernelEnergy
        L; of a network or of points, not of weighted points.
    measure : EmpiricalMeasure
        μ, inside the box.
    low, high : float or array_like, shape (p,), optional
        Corners of the box; on a torus the whole of it by default.
    points : int
        Where G is looked at first: particles, and so many points of a Sobol sequence.

    Returns
    -------
    FrankWolfeGap

    Raises
    ------
    InvalidInput
        If a particle lies outside the box, the box is empty or not given, the particles share parameters, or L is not
        convex: its interaction is not positive semidefinite on measures of mass 0.

    Examples
    --------
    >>> import particleflow as pf
    >>> energy = pf.KernelEnergy(pf.gaussian_mmd([0.0, 1.0], 0.5), 1)
    >>> start = pf.uniform(20, energy.layout, low=-1.0, high=2.0, rng=0)
    >>> end = pf.solve(energy, start, 200.0).measure
    >>> bool(pf.frank_wolfe_gap(energy, end, -1.0, 2.0).gap < 1e-3)
    True
    """
    begin = time.perf_counter()
    low, high = _box(energy, measure, low, high)
    if not is_integer(points):
        raise InvalidInput(f"points = {points!r}: valid are integers from 1")
    if not getattr(getattr(energy, "model", None), "exchangeable", True) or "r" in measure.layout.names:
        raise InvalidInput("the Frank–Wolfe gap is for probability measures of particles: not shared or weighted ones")
    theta = np.array(measure.particles, order="C")  # velocities want writable ones
    sobol = qmc.Sobol(len(low), seed=0).random_base2(int(np.ceil(np.log2(points))))
    candidates = np.concatenate([theta, low + (high - low) * sobol])
    _check_convex(energy, candidates)
    values = energy.potential(candidates, measure)

    def potential(x):
        return float(energy.potential(x[None], measure)[0])

    worst, least = candidates[np.argmin(values)], float(values.min())
    for start in candidates[np.argsort(values, kind="stable")[:_REFINED]]:
        found = minimize(potential, start, method="L-BFGS-B", bounds=list(zip(low, high, strict=True)))
        if found.fun < least:
            worst, least = found.x, float(found.fun)
    value = sum(energy.make_velocity(measure.m)(theta, np.empty_like(theta)).values())
    gap = 2.0 * max(0.0, float(values[: measure.m].mean()) - least)
    return FrankWolfeGap(value, value - gap, gap, "estimate", (low, high), worst, time.perf_counter() - begin)


def _box(energy, measure, low, high):
    if measure.layout != energy.layout:
        raise InvalidInput("the measure does not fit the energy: its particles have another layout")
    period, p = measure.layout.period, measure.layout.size
    low, high = (0.0, period) if low is None and high is None and period is not None else (low, high)
    try:
        low, high = (np.broadcast_to(np.asarray(corner, dtype=np.float64), p).copy() for corner in (low, high))
    except (TypeError, ValueError):
        low = high = np.full(p, np.nan)
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise InvalidInput(f"low and high must be finite corners of a box in R^{p}, low below high")
    theta = measure.wrapped().particles
    if not ((theta >= low).all() and (theta <= high).all()):
        raise InvalidInput("a particle lies outside the box: the bound is for measures inside")
    return low, high


def _check_convex(energy, candidates):
    """Refuse a pair kernel whose interaction is not positive semidefinite on differences of probability measures."""
    kernel = getattr(energy, "kernel", None)
    if not hasattr(kernel, "K"):
        return  # networks: the loss is convex, f linear in μ
    points = candidates[np.linspace(0, len(candidates) - 1, min(_CHECKED, len(candidates))).astype(int)]
    gram = kernel.K(points, points)
    if np.isfinite(gram).all():
        centred = gram - gram.mean(axis=0) - gram.mean(axis=1, keepdims=True) + gram.mean()
        if np.linalg.eigvalsh(centred)[0] >= -_TOLERANCE * max(1.0, np.abs(centred).max() * len(points)):
            return
    raise InvalidInput(
        "the interaction is not positive semidefinite on measures of mass 0: L is not convex, and no gap bounds it"
    )
