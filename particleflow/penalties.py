"""Soft synchronisation: a penalty γ·D(μ) on three-layer particles, with its gradient at the optimal matching.

    D            D_S = W2²(μ¹, μ²)                                 s = 2
    sum-w2       Σ_{k<l} W2²(μ^k, μ^l), the report's surrogate     any s
    B            W2²(μ^(1,3), μ^(2,1)) + W2²(μ², μ³)               s = 3

μ^k is the law of the k-th rows, μ^(k,l) the joint law of two (Lazarus 2022, §2.5.3–2.5.5). Each is a sum of optimal
transports between laws of m rows, which an optimal matching π attains. Its gradient is that of the matched pairs with
π held fixed (envelope theorem): with ∇G = (m/2) ∂L/∂θ, a pair (u_i^(k), u_π(i)^(l)) adds γ(u_i^(k) − u_π(i)^(l)) to ∇G
for the first and its opposite for the second. Where two matchings tie, D is the lesser of two smooth functions: it is
continuous but has a ridge, from which the flow goes down on either side; the matching that the solver returns decides.
"""

import math
from itertools import combinations

import numpy as np

from particleflow.errors import InvalidInput
from particleflow.transport import Matcher, coupling
from particleflow.values import integers, is_real

TERMS = ("sum-w2", "D", "B")
ROWS = ("W", "uW")
_OFFSETS = {"D": (0, 1), "B": (0, 1, -1)}


class Synchronization:
    """The penalty γ·D of a soft synchronised network.

    Parameters
    ----------
    term : {"sum-w2", "D", "B"}
        Which D; see the module.
    strength : float
        γ ≥ 0.
    rows : {"W", "uW"}
        What a row is: W_k ∈ R^d, or (u_k, W_k) ∈ R^{1+d}.
    offsets : sequence of int, optional
        The circulant graph that D belongs to: first-layer neuron q is read by cluster q + o_k through its row k. The
        terms D and B are those of (0, 1) and (0, 1, −1); sum-w2 is the same for all.

    Raises
    ------
    InvalidInput
        If a value cannot be used.
    """

    def __init__(self, term="sum-w2", *, strength, rows="W", offsets=None):
        if term not in TERMS:
            raise InvalidInput(f"energy.synchronization.term = {term!r} is unknown; valid: {', '.join(TERMS)}")
        if rows not in ROWS:
            raise InvalidInput(f"energy.synchronization.rows = {rows!r} is unknown; valid: {', '.join(ROWS)}")
        if not (is_real(strength) and strength >= 0):
            raise InvalidInput(f"energy.synchronization.strength = {strength!r}: valid are finite numbers from 0")
        self.offsets = None if offsets is None else integers("energy.synchronization.offsets", offsets)
        if self.offsets is not None and self.offsets != _OFFSETS.get(term, self.offsets):
            raise InvalidInput(
                f"energy.synchronization.offsets = {list(self.offsets)}: the term {term} is that of "
                f"{list(_OFFSETS[term])}"
            )
        self.term, self.strength, self.rows = term, float(strength), rows

    def check(self, kind, s):
        """Raise `InvalidInput` unless the term exists for the particles of a kind of model with s rows."""
        if kind != "three-layer":
            raise InvalidInput(f"model.kind = {kind!r}: energy.synchronization needs the three-layer model")
        needed = len(_OFFSETS[self.term]) if self.term in _OFFSETS else max(2, s)
        if s != needed:
            valid = "2 and more" if self.term == "sum-w2" else needed
            raise InvalidInput(f"model.s = {s}: energy.synchronization.term = {self.term!r} needs s = {valid}")
        if self.offsets is not None and len(set(self.offsets)) != s:
            raise InvalidInput(
                f"energy.synchronization.offsets = {list(self.offsets)}: valid are {s} different integers"
            )

    def transports(self, s):
        """Return the pairs of joint laws whose W2² is summed, as pairs of tuples of rows (counted from 0)."""
        if self.term == "B":
            return [((0, 2), (1, 0)), ((1,), (2,))]
        return [((k,), (other,)) for k, other in combinations(range(s), 2)]

    def make_velocity(self, layout):
        """Return ``add_velocity(theta, out) -> γ·D``, which adds −∇(the penalty's part of G) to out (m, p).

        Matchings are solved anew at each call, from the prices of the one before.
        """
        s = self._rows(layout, np.empty((1, layout.size))).shape[1]
        matchers = [(pair, Matcher()) for pair in self.transports(s)]

        def add_velocity(theta, out):
            rows = self._rows(layout, theta)
            with np.errstate(over="ignore", invalid="ignore"):
                size = 4 * len(rows) * float(np.sum(rows * rows))
            if not math.isfinite(size):  # a stage that went too far: the step will be rejected
                out.fill(np.nan)
                return math.nan
            pull, total, squares = np.zeros_like(rows), 0.0, _SquaredDistances(rows)
            for (left, right), matcher in matchers:
                target = matcher.match_costs(*squares(left, right))
                difference = rows[:, left] - rows[target[:, None], right]
                total += float(np.sum(difference * difference))
                for place, (k, other) in enumerate(zip(left, right, strict=True)):
                    pull[:, k] -= difference[:, place]
                    pull[target, other] += difference[:, place]
            self._scatter(layout, self.strength * pull, out)
            return self.strength * total / len(rows)

        return add_velocity

    def potential(self, layout, theta, measure):
        """Return the penalty's part of G, ½γ δD/δμ, at particles theta (m', p) in the field of a measure, shape (m',).

        D is convex in μ and not differentiable where its Kantorovich potentials are not unique, as between clouds of
        equal size: this is one subgradient. Potentials are carried off the support by their c-transforms; a particle
        brings mass to both laws, which may be coupled with each other.
        """
        rows, support = self._rows(layout, theta), self._rows(layout, measure.particles)
        total = np.zeros(len(theta))
        for sides in self.transports(support.shape[1]):
            points = [rows[:, side].reshape(len(rows), -1) for side in sides]
            clouds = [support[:, side].reshape(len(support), -1) for side in sides]
            u, v = coupling(*clouds).potentials
            apart = _transform(points[0], clouds[1], v) + _transform(points[1], clouds[0], u)
            total += np.minimum(apart, np.sum((points[0] - points[1]) ** 2, axis=1))
        return 0.5 * self.strength * total

    def describe(self):
        """Return the [energy.synchronization] table of a configuration."""
        table = {"term": self.term, "strength": self.strength, "rows": self.rows}
        return table if self.offsets is None else {**table, "offsets": list(self.offsets)}

    def _rows(self, layout, theta):
        """Return the rows of particles, shape (m, s, d) or (m, s, 1 + d)."""
        blocks = layout.split(theta)
        if self.rows == "W":
            return blocks["W"]
        return np.concatenate([blocks["u"][:, :, None], blocks["W"]], axis=2)

    def _scatter(self, layout, pull, out):
        blocks = layout.split(out)
        if self.rows == "uW":
            blocks["u"] += pull[:, :, 0]
            pull = pull[:, :, 1:]
        blocks["W"] += pull

    def __repr__(self):
        return f"Synchronization({self.term!r}, strength={self.strength:g}, rows={self.rows!r})"


class _SquaredDistances:
    """Costs of matching rows with rows: norms are taken once for all pairs, of rows whose means are moved to 0."""

    def __init__(self, rows):
        centred = rows - rows[0]  # first exactly: a common shift leaves no trace in the means
        self._rows = centred - centred.mean(axis=0)
        self._squares = np.sum(self._rows**2, axis=2)

    def __call__(self, left, right):
        """Return |x_i − y_j|² of the joint rows, shape (m, m), and the sum of their mean squares."""
        m = len(self._rows)
        here, there = (self._squares[:, side].sum(axis=1) for side in (left, right))
        costs = self._rows[:, left].reshape(m, -1) @ (-2.0 * self._rows[:, right].reshape(m, -1).T)
        costs += here[:, None]
        costs += there
        return np.maximum(costs, 0.0, out=costs), float(here.mean() + there.mean())


def _transform(points, cloud, prices):
    """Return the c-transform min_j |x − y_j|² − v_j of prices v, shape (len(points),)."""
    return np.min(np.sum((points[:, None] - cloud) ** 2, axis=2) - prices, axis=1)
