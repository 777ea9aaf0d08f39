"""What the convergence theorem of Chizat & Bach (2018) asks for, checked one by one for an energy and a start.

The theorem (Lazarus 2022, §2.2.2; docs/mathematics.md): let φ and V be homogeneous of degree two and regular, the risk
convex and smooth, and the support of μ_0 lie in [−r0, r0]×Θ and separate {−r0}×Θ from {r0}×Θ. If the flow converges in
Wasserstein distance, its limit is a global minimiser. Finitely many particles separate nothing in d ≥ 2: what can be
said is how large the holes are that they leave, as covering radii of the directions w for each sign of a.
"""

import math
from dataclasses import dataclass
from html import escape

import numpy as np

from particleflow.energy import EmpiricalEnergy, PopulationEnergy
from particleflow.errors import InvalidInput
from particleflow.losses import LOGISTIC
from particleflow.regularizers import NONE, PATH_NORM, SMOOTH, SQUARED_NORM
from particleflow.spherical_covering import covering_radius

HOLDS, VIOLATED, UNDECIDED = "holds", "violated", "cannot be decided numerically"
_SAMPLE = 64


@dataclass(frozen=True)
class Hypothesis:
    """One hypothesis, its verdict ("holds", "violated" or "cannot be decided numerically") and why, in one sentence."""

    name: str
    verdict: str
    evidence: str


@dataclass(frozen=True)
class Hypotheses:
    """The hypotheses of the theorem, in its order; ``table[name]`` is one of them."""

    rows: tuple

    def __iter__(self):
        return iter(self.rows)

    def __getitem__(self, name):
        return {row.name: row for row in self.rows}[name]

    def to_dict(self):
        """Return what ``particleflow hypotheses --json`` prints: verdict and evidence by name."""
        return {row.name: {"verdict": row.verdict, "evidence": row.evidence} for row in self}

    def __str__(self):
        names, verdicts = (max(len(getattr(row, key)) for row in self) for key in ("name", "verdict"))
        return "\n".join(f"{row.name:{names}}  {row.verdict:{verdicts}}  {row.evidence}" for row in self)

    def _repr_html_(self):
        lines = ((row.name, f"<b>{row.verdict}</b>" if row.verdict == VIOLATED else row.verdict, row) for row in self)
        body = "".join(
            f"<tr><td>{escape(name)}</td><td>{verdict}</td><td>{escape(row.evidence)}</td></tr>"
            for name, verdict, row in lines
        )
        return f"<table><tr><th>hypothesis</th><th>verdict</th><th>evidence</th></tr>{body}</table>"


def check_hypotheses(energy, measure):
    """Check the hypotheses of the theorem of Chizat & Bach (2018) for a network and an initial measure.

    Parameters
    ----------
    energy : EmpiricalEnergy or PopulationEnergy
        L. For networks with two hidden layers the table has what can be said of them.
    measure : EmpiricalMeasure
        μ_0.

    Returns
    -------
    Hypotheses
        One row each: name, verdict and evidence.

    Raises
    ------
    InvalidInput
        If the energy is not that of a network, or the particles are not its own.

    References
    ----------
    Chizat & Bach 2018, *On the global convergence of gradient descent for over-parameterized models using optimal
    transport*, §3; Lazarus 2022, §2.2.2.

    Examples
    --------
    >>> import particleflow as pf
    >>> energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), ([[-1.0], [1.0]], [1.0, 1.0]), strength=0.1)
    >>> pf.check_hypotheses(energy, pf.one_signed(10, 1, rng=0))["separation"].verdict
    'violated'
    """
    if not isinstance(energy, (EmpiricalEnergy, PopulationEnergy)):
        raise InvalidInput(f"the hypotheses are about the energy of a network, found a {type(energy).__name__}")
    if measure.layout != energy.layout:
        raise InvalidInput(
            f"the particles have {measure.layout.size} numbers each and the energy expects {energy.layout.size}"
        )
    rows = [_form(energy)]
    if energy.model.exchangeable:
        rows += [*_homogeneity(energy), _convexity(energy.loss), _smoothness(energy.loss)]
        rows += [_phi_differentiable(energy.model.activation), _V_differentiable(energy), _regular_values(energy)]
        a = measure["a"]
        rows += [Hypothesis("bounded support", HOLDS, f"|a| ≤ r0 = {np.abs(a).max():.6g} for all {len(a)} particles")]
        rows += [_separation(a, measure["w"]) if energy.model.kind == "two-layer" else _signs(a)]
    return Hypotheses(tuple(rows))


# --- the energy -------------------------------------------------------------------------------------------------------


def _form(energy):
    name, penalty = "risk of ∫φ dμ plus λ∫V dμ", getattr(energy, "synchronization", None)
    if not energy.model.exchangeable:
        found = "the clusters share one first layer, so that the network is no ∫φ dμ: the theorem says nothing about it"
        return Hypothesis(name, VIOLATED, found)
    if penalty is not None and penalty.strength > 0:
        return Hypothesis(name, VIOLATED, "the synchronisation penalty is not linear in μ")
    return Hypothesis(name, HOLDS, f"the {energy.model.kind} network f = ∫φ dμ, with the {energy.loss.name} loss")


def _homogeneity(energy):
    """Return the rows on φ and V: their degree by formula, and its error where φ and V are evaluated."""
    model, regularizer, d = energy.model, energy.regularizer, energy.d
    rng = np.random.default_rng(0)
    theta, X = rng.standard_normal((_SAMPLE, energy.layout.size)), rng.standard_normal((_SAMPLE, d))
    two, k = model.kind == "two-layer", model.activation.homogeneity
    sigma = f"σ = {model.activation.name}"
    if k is None:
        other = "; φ = aϕ(w) with bounded ϕ is the other case of the theorem" if two else ""
        phi = Hypothesis("φ of degree 2", VIOLATED, f"{sigma} is not homogeneous{other}")
    else:
        degree = 1 + k if two else 1 + k * (1 + k)
        phi = _degree("φ", degree, lambda scaled: model.features(scaled, X), theta, f"{sigma} has degree {k}")
    V = Hypothesis("V of degree 2", HOLDS, "there is no regulariser: V = 0")
    if energy.strength > 0 and regularizer.code != NONE:
        layers = 2 if two else 3
        degree = {"path-norm": layers, "norm": 1, "squared-norm": 2, "scaled-squared-norm": 3}[regularizer.name]

        def value(scaled):
            return model.regularizer_value(regularizer, np.ascontiguousarray(scaled))

        V = _degree("V", degree, value, theta, f"the {regularizer.name}")
    return phi, V


def _degree(name, degree, function, theta, why):
    value = function(theta)
    errors = [np.abs(function(c * theta) / c**degree - value).max() for c in (0.5, 2.0, 3.0)]
    error = float(max(errors) / np.abs(value).max())
    verdict = HOLDS if degree == 2 and error <= 1e-12 else VIOLATED
    found = f"{why}: {name}(cθ) = c^{degree} {name}(θ), to {error:.0e} at {len(theta)} random particles"
    return Hypothesis(f"{name} of degree 2", verdict, found)


def _slopes(loss):
    """Return predictions (k,) and ℓ' at them for each of some targets, shape (targets, k)."""
    f = np.linspace(-10, 10, 4001)
    targets = (-1.0, 1.0) if loss.code == LOGISTIC else (-1.0, 0.0, 2.0)
    return f, np.array([2 * loss.half_derivative(f, np.full_like(f, y)) for y in targets])


def _convexity(loss):
    _, slopes = _slopes(loss)
    least = float(np.diff(slopes).min())
    verdict = HOLDS if least >= -1e-12 else VIOLATED
    found = f"{loss.name}: ℓ' does not fall anywhere on a grid" if verdict == HOLDS else f"{loss.name}: ℓ' falls"
    return Hypothesis("loss convex", verdict, found)


def _smoothness(loss):
    f, slopes = _slopes(loss)
    steepest = float((np.diff(slopes) / np.diff(f)).max())
    known = {"squared": 2.0, "logistic": 0.25, "huber": 1.0}[loss.name]
    verdict = HOLDS if steepest <= known * (1 + 1e-9) else VIOLATED
    below = "|ℓ'|² = 4ℓ is bounded on sublevel sets" if loss.name == "squared" else "|ℓ'| ≤ 1"
    found = f"{loss.name}: ℓ' has the Lipschitz constant {known:g} (on a grid {steepest:.6g}), and {below}"
    return Hypothesis("loss smooth", verdict, found)


def _phi_differentiable(activation):
    if activation.smooth:
        return Hypothesis("φ differentiable", HOLDS, f"σ = {activation.name} is smooth")
    h = 1e-6
    left, right = (abs(float(activation.value(s * h) - activation.value(0.0))) / h for s in (-1.0, 1.0))
    kink = f"σ = {activation.name} has the slopes {left:g} and {right:g} at 0"
    found = f"{kink}: φ has kinks where ⟨w, x⟩ = 0, which the flow meets"
    return Hypothesis("φ differentiable", VIOLATED, found)


def _V_differentiable(energy):
    name, regularizer = "V differentiable", energy.regularizer
    if energy.strength == 0 or regularizer.code in SMOOTH:
        return Hypothesis(name, HOLDS, "V is smooth" if energy.strength > 0 else "λ = 0: no regulariser")
    places = {
        "path-norm": "where a = 0 (of |a|Ṽ(w) the theorem allows that) and where w = 0",
        "norm": "at θ = 0",
        "scaled-squared-norm": "where a = 0, which the theorem allows of |a|Ṽ(w)",
    }
    if energy.model.kind != "two-layer":
        places["path-norm"] = "where a, a u_k or a W_k is 0"
    verdict = HOLDS if regularizer.name == "scaled-squared-norm" else VIOLATED
    return Hypothesis(name, verdict, f"the {regularizer.name} has kinks {places[regularizer.name]}")


def _regular_values(energy):
    name, regularizer = "regular values dense", energy.regularizer
    two = energy.model.kind == "two-layer"
    flat = energy.strength == 0 or regularizer.code in (NONE, PATH_NORM, SQUARED_NORM)
    if two and energy.kernel == "empirical" and energy.model.activation.homogeneity == 1 and flat:
        found = (
            f"on the sphere the data leave finitely many cells; in each G is a⟨w, v⟩ + (λ/2)V with one v, which has "
            f"finitely many critical values ({energy.data.n} data)"
        )
        return Hypothesis(name, HOLDS, found)
    if energy.model.activation.smooth and (energy.strength == 0 or regularizer.code in SMOOTH):
        return Hypothesis(name, HOLDS, "φ and V are smooth: Sard's theorem")
    return Hypothesis(
        name, UNDECIDED, "it asks about the potential of every f, kinks included, and Sard's theorem needs smooth ones"
    )


# --- the start --------------------------------------------------------------------------------------------------------


def _signs(a):
    for sign, side in ((">", a >= 0), ("<", a <= 0)):
        if not side.any():
            return Hypothesis("separation", VIOLATED, f"no particle has a {sign} 0")
    found = "both signs of a are there; directions of (u, W) are not examined"
    return Hypothesis("separation", UNDECIDED, found)


def _separation(a, w):
    """Return the row on separation; a particle at a = 0 may take either sign, one at w = 0 has no direction."""
    norms = np.linalg.norm(w, axis=1)
    found, verdict = [], HOLDS if w.shape[1] == 1 else UNDECIDED
    for sign, side in ((">", a >= 0), ("<", a <= 0)):
        side = side & (norms > 0)
        if not side.any():
            return Hypothesis("separation", VIOLATED, f"no particle has a {sign} 0")
        radius, exact = covering_radius(w[side] / norms[side, None])
        degrees = f"{'' if exact else 'at least '}{math.degrees(radius):.4g}°"
        found.append(f"{degrees} for a {sign} 0")
        if radius > 0.5 * math.pi:
            inside = f"the {side.sum()} directions w with a {sign} 0 lie in an open half-sphere"
            return Hypothesis("separation", VIOLATED, f"{inside}: covering radius {degrees}")
    radii = f"covering radius of the directions w: {', '.join(found)}"
    if verdict == HOLDS:
        return Hypothesis("separation", HOLDS, f"{radii}: both directions with both signs")
    return Hypothesis("separation", UNDECIDED, f"{radii}; finitely many particles cannot separate, only for m → ∞")
