"""Is it the global minimum? A duality gap that bounds L − min L, from one measure.

For a two-layer network whose σ is homogeneous of degree one, under the path norm, the least energy over all measures is
that of a convex problem over signed measures ν on the unit sphere,

    min over ν of (1/n) Σ_j ℓ(f_j, y_j) + λ|ν|,  f_j = ∫ σ(⟨w, x_j⟩) ν(dw).

Its dual, by Fenchel's inequality ℓ(f, y) ≥ s f − ℓ*(s) at s = −n q_j: for every q

    D(q) = −(1/n) Σ_j ℓ*_j(−n q_j) ≤ min L  where  h(q) = sup over ‖w‖ = 1 of |Σ_j q_j σ(⟨w, x_j⟩)| ≤ λ.

At the minimum q = −ℓ'(f, y)/n. So q₀ = −ℓ'(f, y)/n is taken from the measure in hand and scaled by the best ρ with
ρ h(q₀) ≤ λ: L − D(ρ q₀) is a gap. It is a proof if h is bounded from above, which `particleflow.sphere_search` does for
relu in d ≤ 5 and for linear σ; beyond, the value is an estimate. docs/mathematics.md has the details.
"""

import math
import time
from dataclasses import dataclass, field, replace

import numpy as np

from particleflow.energy import EmpiricalEnergy
from particleflow.errors import InvalidInput
from particleflow.losses import HUBER, LOGISTIC, SQUARED
from particleflow.measure import EmpiricalMeasure
from particleflow.observers import Observer, Stop
from particleflow.sphere_search import sup

PROOF, ESTIMATE = "proof", "estimate"
_SCOPE = (
    "the duality gap is for two-layer networks on data with relu or linear activation, the path norm and λ > 0 "
    "(a proof for linear, and for relu up to d = 5), but {found}"
)


@dataclass(frozen=True)
class Certificate:
    """How far a measure is from the global minimum of the energy, at most.

    Attributes
    ----------
    energy : float
        L[μ].
    lower_bound : float
        min L is at least this (of an estimate: about).
    gap, relative_gap : float
        L − lower_bound ≥ L − min L ≥ 0, and that over L.
    verdict : str
        "proof", or "estimate" where h is known from below only.
    time : float or None
        The flow time of the measure, if it is a frame of a trajectory.
    worst_direction : ndarray, shape (d,)
        The unit vector w where |Σ_j q_j σ(⟨w, x_j⟩)| is largest: where a new neuron would help most.
    seconds : float
        Wall time.
    h : float
        The upper bound of h(q₀) that was used; λ at the minimum.
    scaling : float
        ρ.
    """

    energy: float
    lower_bound: float
    gap: float
    relative_gap: float
    verdict: str
    time: float | None
    worst_direction: np.ndarray = field(repr=False)
    seconds: float
    h: float
    scaling: float

    def to_dict(self):
        """Return what ``particleflow certify --json`` prints: plain values by name."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**values, "worst_direction": self.worst_direction.tolist()}

    def to_text(self):
        """Return what ``particleflow certify`` prints."""
        at = "" if self.time is None else f" at flow time {self.time:g}"
        sure = "proved" if self.verdict == PROOF else "estimated, not proved"
        direction = ", ".join(f"{entry:.6g}" for entry in self.worst_direction)
        return (
            f"energy L{at}: {self.energy:.10g}\n"
            f"global minimum: at least {self.lower_bound:.10g} ({sure})\n"
            f"gap: {self.gap:.3e}, a fraction {self.relative_gap:.3e} of L\n"
            f"verdict: {self.verdict}\n"
            f"worst direction: ({direction})"
        )


def certify(energy, measure, *, tolerance=1e-3, seconds=10.0, rng=0):
    """Bound how far a measure is from the global minimum: gap ≥ L[μ] − min L.

    Parameters
    ----------
    energy : EmpiricalEnergy
        Of a two-layer network with activation "relu" or "linear", under the path norm with λ > 0; any loss.
    measure : EmpiricalMeasure
        μ.
    tolerance : float
        What the search for the worst direction (relu, d = 3 to 5) may add to the relative gap.
    seconds : float
        After which that search ends with the bound it has; it is still a bound.
    rng : int or numpy.random.Generator
        Of the directions the search starts from.

    Returns
    -------
    Certificate
        With the verdict "proof", or "estimate" for relu in d > 5 (a bias counts as a feature).

    Raises
    ------
    InvalidInput
        If there is no certificate for this energy, or the measure does not fit it.

    References
    ----------
    Bach 2017, *Breaking the curse of dimensionality with convex neural networks*; Chizat & Bach 2018.

    Examples
    --------
    >>> import particleflow as pf
    >>> energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), ([[-1.0], [1.0]], [1.0, 1.0]), strength=0.1)
    >>> result = pf.solve(energy, pf.sphere(10, 1, rng=0), t_end=50.0)
    >>> certificate = pf.certify(energy, result.measure)
    >>> certificate.verdict, certificate.relative_gap < 1e-4
    ('proof', True)
    """
    begin = time.perf_counter()
    check_scope(energy, measure)
    for name, value in (("tolerance", tolerance), ("seconds", seconds)):
        if not (math.isfinite(value) and value > 0):
            raise InvalidInput(f"{name} = {value!r}: valid are finite numbers above 0")
    theta, X, y, loss = measure.particles, energy.data.X, energy.data.y, energy.loss
    L, q = _primal(energy, theta)
    found = sup(
        q,
        X,
        linear=energy.model.activation.name == "linear",
        tolerance=tolerance / 8,
        seconds=seconds,
        starts=theta[:, 1:],
        rng=rng,
    )
    verdict = PROOF if math.isfinite(found.upper) else ESTIMATE
    h = found.upper if verdict == PROOF else found.lower
    scaling = _best_scaling(loss.code, q, y, energy.strength / h * (1 - _rounding(0)) if h > 0 else math.inf)
    lower_bound = max(_dual(loss.code, scaling * q, y), 0.0)  # ℓ ≥ 0
    gap = max(L - lower_bound, 0.0)
    return Certificate(
        energy=L,
        lower_bound=lower_bound,
        gap=gap,
        relative_gap=gap / L if L > 0 else 0.0,
        verdict=verdict,
        time=None,
        worst_direction=found.direction,
        seconds=time.perf_counter() - begin,
        h=h,
        scaling=scaling,
    )


def certify_frame(trajectory, frame=-1, **options):
    """Certify a frame of a stored flow, with the model, data and energy of the file.

    Parameters
    ----------
    trajectory : Trajectory
        An open file.
    frame : int
        Which frame; negative numbers count from the end.
    **options
        Those of `certify`.

    Returns
    -------
    Certificate

    Raises
    ------
    InvalidInput
        If the file does not hold its data, there is no such frame, or no certificate for its energy.
    """
    measure = trajectory.particles(frame)
    certificate = certify(stored_energy(trajectory), measure, **options)
    return replace(certificate, time=float(trajectory.time[frame]))


def stored_energy(trajectory):
    """Return the energy of a stored flow; `InvalidInput` if the file does not hold it, or it has no certificate."""
    table = trajectory.config.get("energy", {})
    kernel = table.get("kernel", "empirical")
    if kernel != "empirical":
        raise InvalidInput(_SCOPE.format(found=f'energy.kernel = "{kernel}"'))
    if "synchronization" in table:
        raise InvalidInput(_SCOPE.format(found="the energy has a synchronisation penalty"))
    if trajectory.model is None or trajectory.data is None:
        raise InvalidInput(f"{trajectory.path.name!r} does not hold its model and data, which a certificate needs")
    terms = {name: table[name] for name in ("loss", "regularizer", "strength") if name in table}
    return EmpiricalEnergy(trajectory.model, trajectory.data, **terms)


def check_scope(energy, measure):
    """Raise `InvalidInput` unless there is a certificate for the energy, and the measure is one of its particles."""
    if not isinstance(energy, EmpiricalEnergy):
        raise InvalidInput(_SCOPE.format(found=f"this is a {type(energy).__name__}"))
    model = energy.model
    if model.kind != "two-layer":
        found = f"this is the {model.kind} model"
    elif model.activation.homogeneity != 1:
        found = f'the activation is "{model.activation.name}"'
    elif energy.regularizer.name != "path-norm":
        found = f'the regularizer is "{energy.regularizer.name}"'
    elif energy.strength == 0:
        found = "λ = 0"
    elif energy.synchronization is not None:
        found = "the energy has a synchronisation penalty"
    elif measure.layout != energy.layout:
        sizes = measure.layout.size, energy.layout.size
        raise InvalidInput("the particles have {} numbers each and the energy expects {}".format(*sizes))
    else:
        return
    raise InvalidInput(_SCOPE.format(found=found))


class CertifiedGap(Observer):
    """The certified gap along a flow, as the observables `gap` and `relative_gap`; it may stop the flow.

    For problems whose gap is exact and cheap: linear σ, and relu in d ≤ 2. Looked at in every frame, and, if it may
    stop the flow, in every 50th step.

    Parameters
    ----------
    tolerance : float, optional
        The relative gap at which to stop, with the status "certified"; by default the flow goes on.
    """

    every = 50

    def __init__(self, tolerance=None):
        if tolerance is not None and not (math.isfinite(tolerance) and tolerance > 0):
            raise InvalidInput(f"stop.gap = {tolerance!r}: valid are finite numbers above 0")
        self.tolerance = tolerance

    def start(self, info):
        """Take the energy; `InvalidInput` unless its gap is cheap."""
        check_scope(info.energy, info.measure)
        if info.energy.model.activation.name == "relu" and info.energy.d > 2:
            raise InvalidInput(
                f"the gap along a flow is for relu in d ≤ 2 or linear networks, found d = {info.energy.d} (a bias "
                "counts as a feature): use certify on the frames instead"
            )
        self._energy, self._layout = info.energy, info.measure.layout
        self._steps, self._close = 0 if info.past is None else info.past.memory["steps"], False

    def measure(self, state):
        """Return gap and relative_gap."""
        certificate = self._certify(state)
        self._steps = state.steps
        self._close = self.tolerance is not None and certificate.relative_gap <= self.tolerance
        return {"gap": certificate.gap, "relative_gap": certificate.relative_gap}

    def watch(self, state):
        """Stop on a small relative gap."""
        if self.tolerance is None or not (self._close or state.steps - self._steps >= self.every):
            return None
        self._steps = state.steps
        found = self._certify(state).relative_gap
        if found > self.tolerance:
            return None
        return Stop("certified", f"the energy is proved to be within a fraction {found:.2e} of the global minimum")

    def _certify(self, state):
        return certify(self._energy, EmpiricalMeasure(state.theta, self._layout))


# --- the two sides ----------------------------------------------------------------------------------------------------


def _primal(energy, theta):
    """Return L[μ] and q₀ = −ℓ'(f, y)/n."""
    y, loss = energy.data.y, energy.loss
    with np.errstate(over="ignore", invalid="ignore"):
        f = energy.model.predict(theta, energy.data.X)
        L = np.mean(loss.value(f, y)) + energy.strength * np.mean(energy.regularizer.value(theta))
    if not np.isfinite(L):
        raise InvalidInput("the energy of this measure is NaN or infinite")
    return float(L), -2.0 * loss.half_derivative(f, y) / len(y)


def _dual(code, q, y):
    """Return D(q) = −(1/n) Σ_j ℓ*_j(−n q_j), rounded downwards; −∞ outside the domain of ℓ*.

    squared: Σ_j q_j y_j − (n/4) q_j²; huber: Σ_j q_j y_j − (n/2) q_j² where n|q_j| ≤ 1; logistic: the mean of
    −p log p − (1 − p) log(1 − p), with p_j = n q_j y_j in [0, 1].
    """
    n = len(y)
    if code == LOGISTIC:
        p = n * q * y
        if p.min() < 0.0 or p.max() > 1.0:
            return -math.inf
        value = float(np.mean(_entropy(p)))
        return value - _rounding(n) * abs(value)
    if code == HUBER and n * np.abs(q).max() > 1.0:
        return -math.inf
    curvature = {SQUARED: 0.25, HUBER: 0.5}[code]
    first, second = q * y, curvature * n * q * q
    return float(np.sum(first) - np.sum(second) - _rounding(n) * (np.sum(np.abs(first)) + np.sum(second)))


def _best_scaling(code, q, y, most):
    """Return the ρ in [0, most] that maximises D(ρ q), or nearly: every ρ in the domain of D gives a bound."""
    n = len(y)
    largest = float(np.abs(q).max())
    if not largest > 1e-200:  # nothing is left of the residuals
        return 0.0
    q = q / largest
    most = most * largest if code == SQUARED else min(most * largest, (1 - _rounding(0)) / n)
    if code == LOGISTIC:
        best = _root_of_slope(n * q * y, most)
    else:
        best = float(q @ y) / ({SQUARED: 0.5, HUBER: 1.0}[code] * n * float(q @ q))
    return min(max(best, 0.0), most) / largest


def _root_of_slope(p, most):
    """Return the ρ in [0, most] where the concave mean entropy of ρ p stops to rise, by bisection."""
    low, high = 0.0, most
    if _slope(p, high) >= 0.0:
        return high
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _slope(p, middle) >= 0.0 else (low, middle)
    return low


def _slope(p, scale):
    inside = p > 0.0
    scaled = scale * p[inside]
    return float(np.sum(p[inside] * (np.log1p(-scaled) - np.log(scaled))))


def _entropy(p):
    value = np.zeros_like(p)
    inside = (p > 0.0) & (p < 1.0)
    p = p[inside]
    value[inside] = -p * np.log(p) - (1.0 - p) * np.log1p(-p)
    return value


def _rounding(n):
    return (64 + n) * np.finfo(np.float64).eps
