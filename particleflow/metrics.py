"""The conic metric: how fast masses grow beside how fast positions move (Chizat 2022, §2).

A particle of mass r² at x has the squared speed ṙ²/α + r²|ẋ|²/β. In this metric the flow of an energy of the measure
ν = (1/m) Σ_i ±r_i² δ_{x_i}, whose potential is G(r, x) = r² g(x), is

    ṙ = −2α r g(x),   ẋ = −β ∇g(x),   ∂_t ν = β div(ν ∇g) − 4α g ν,   dL/dt = −2 ∫ (4αg² + β|∇g|²) d|ν|,

a Wasserstein–Fisher–Rao flow. Balanced particles (a, w) of a relu network, |a| = ‖w‖ = r, follow it in the Euclidean
metric, with α = ½ and β = 1.
"""

from dataclasses import dataclass

import numpy as np

from particleflow.errors import InvalidInput
from particleflow.values import is_real


@dataclass(frozen=True)
class ConicMetric:
    """The rates of masses and positions.

    Attributes
    ----------
    masses : float
        α ≥ 0: a mass grows as e^{−4αgt}; 0 keeps all masses.
    positions : float
        β ≥ 0: ẋ = −β∇g; 0 keeps all positions.
    """

    masses: float = 1.0
    positions: float = 1.0

    def __post_init__(self):
        for name in ("masses", "positions"):
            value = getattr(self, name)
            if not (is_real(value) and value >= 0):
                raise InvalidInput(f"energy.metric.{name} = {value!r}: valid are finite numbers from 0")
        if self.masses == self.positions == 0:
            raise InvalidInput("energy.metric.masses and energy.metric.positions are both 0: nothing would move")

    def describe(self):
        """Return the table energy.metric of a configuration."""
        return {"masses": float(self.masses), "positions": float(self.positions)}

    def square(self, growth, motion):
        """Return growth/α + motion/β, where a rate of 0 admits neither."""
        parts = ((growth, self.masses), (motion, self.positions))
        return sum(square / rate for square, rate in parts if rate > 0)


def points_velocity(forces, strength, metric, m):
    """Return the velocity of weighted points θ = (r, x) whose measure is ν = (1/m) Σ_i r_i|r_i| δ_{x_i}.

    Parameters
    ----------
    forces : callable
        ``forces(x, weights, potential, out) -> parts`` of `particleflow.pair_kernels.make_forces`.
    strength : float
        λ of the total mass |ν|.
    metric : ConicMetric
        α and β.
    m : int
        Number of points.
    """
    potential = np.empty(m)

    def velocity(theta, out):
        r, force = theta[:, 0], np.empty((m, theta.shape[1] - 1))
        parts = forces(np.ascontiguousarray(theta[:, 1:]), r * np.abs(r), potential, force)
        out[:, 0] = -2 * metric.masses * r * (np.sign(r) * potential + 0.5 * strength)
        out[:, 1:] = metric.positions * np.sign(r)[:, None] * force
        return {**parts, "regularization": strength * float(np.mean(r * r))}

    def speed(theta, slope):
        motion = theta[:, 0] ** 2 * np.sum(slope[:, 1:] ** 2, axis=1)
        return float(np.mean(metric.square(slope[:, 0] ** 2, motion)))

    velocity.speed = speed
    return velocity


class NeuronsVelocity:
    """A velocity of two-layer particles θ = (a, w) at the rates of a conic metric.

    It is −∇G in the metric (da² + d‖w‖²)/2α + ‖w‖²|dŵ|²/β, ŵ = w/‖w‖. Particles that slide along kinks do so in every
    such metric: the kinks ⟨w, x_j⟩ = 0 are cones, so that there the velocities to choose from have one part along w in
    common, and what is across w is scaled as a whole.

    Parameters
    ----------
    velocity : callable
        The plain velocity, ``velocity(theta, out) -> parts``.
    metric : ConicMetric
        α and β; ½ and 1 make it the Euclidean one.
    m, p : int
        Number of particles, and of numbers in each.
    """

    def __init__(self, velocity, metric, m, p):
        self._velocity, self._metric = velocity, metric
        self._plain = np.empty((m, p))

    def __call__(self, theta, out):
        """Fill out (m, p) with the velocity; return the parts of the energy."""
        parts = self._velocity(theta, out)
        self._plain[...] = out
        alpha, beta = 2 * self._metric.masses, self._metric.positions
        along, _ = self._split(theta, out)
        out[:, 0] *= alpha
        out[:, 1:] = beta * out[:, 1:] + (alpha - beta) * along
        return parts

    def speed(self, theta, slope):
        """Return the mean square speed in the metric."""
        along, across = self._split(theta, slope)
        growth = 0.5 * (slope[:, 0] ** 2 + np.sum(along**2, axis=1))
        return float(np.mean(self._metric.square(growth, np.sum(across**2, axis=1))))

    @property
    def contacts(self):
        """What slides, if the plain velocity may slide; else there is no such attribute."""
        return self._velocity.contacts

    def hold(self, contacts):
        """Take these contacts for the steps to come."""
        self._velocity.hold(contacts)

    def settle(self, before, ahead, theta, velocity):
        """Make and release contacts by the plain velocity; see `particleflow.models.sliding.SlidingVelocity.settle`."""
        return self._velocity.settle(before, ahead, theta, self._plain)

    @staticmethod
    def _split(theta, slope):
        """Return the parts of ẇ along w and across it; at w = 0 all of it is along."""
        w, change = theta[:, 1:], slope[:, 1:]
        squares = np.sum(w * w, axis=1, keepdims=True)
        share = np.divide(
            np.sum(w * change, axis=1, keepdims=True), squares, where=squares > 0, out=np.zeros_like(squares)
        )
        along = np.where(squares > 0, share * w, change)
        return along, change - along
