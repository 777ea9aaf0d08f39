"""The state of a flow, shared by all integrators.

An integrator is handed ``velocity(theta, out) -> parts`` and has three moments: ``start(theta, t_end)`` returns the
state at time 0, ``resume(theta, memory)`` that of a checkpoint, and ``step(state, t_stop)`` the one after a step that
ends at t_stop or before. States are immutable.
"""

import math
from dataclasses import dataclass

import numpy as np

from particleflow.jit import jit


class StepTooSmallError(Exception):
    """The step size fell to the resolution of the time: the tolerance cannot be met."""


class NotFiniteError(Exception):
    """A step of fixed size led to NaN or infinity."""


COUNTS = ("t", "dissipated", "step", "error", "steps", "rejected", "evaluations", "births", "fallen")
ARRAYS = ("contacts", "moments")
"""What a checkpoint keeps of a state beside the particles: numbers, and arrays or None."""


@dataclass(frozen=True)
class State:
    """Where a flow stands.

    Attributes
    ----------
    t : float
        Flow time.
    theta : ndarray, shape (m, p)
        Particles; never changed in place.
    parts : dict of str → float
        The parts of the energy L at theta.
    speed : float
        ∫|∇G|² dμ at theta, the mean square velocity, in the metric of the velocity.
    dissipated : float
        ∫₀ᵗ ∫|∇G|² dμ ds.
    step, error : float
        The controller's memory: next step size, last error.
    contacts : object
        What the velocity holds fixed within a step, None for most (see `particleflow.models.sliding`).
    moments : ndarray or None, shape (2, m, p)
        What an optimiser remembers of past gradients; never changed in place.
    estimated : bool
        Whether parts and speed are the estimates of a mini-batch rather than those at theta.
    steps, rejected, evaluations : int
        Counts of accepted steps, rejected steps and velocity evaluations.
    births : int
        How many particles were put elsewhere between steps (see `particleflow.births`).
    fallen : float
        By how much that lowered the energy.
    """

    t: float
    theta: np.ndarray
    parts: dict
    speed: float
    dissipated: float
    step: float
    error: float
    contacts: object = None
    moments: np.ndarray | None = None
    estimated: bool = False
    steps: int = 0
    rejected: int = 0
    evaluations: int = 0
    births: int = 0
    fallen: float = 0.0

    @property
    def memory(self):
        """What a checkpoint keeps beside the particles, a dict; the rest of the state follows from both."""
        return {name: getattr(self, name) for name in (*COUNTS, *ARRAYS)}

    @property
    def energy(self):
        """L, the sum of its parts."""
        return sum(self.parts.values())

    @property
    def finite(self):
        """Whether particles, energy and velocity are free of NaN and infinity."""
        return bool(math.isfinite(self.energy) and math.isfinite(self.speed) and np.isfinite(self.theta).all())


@jit
def mean_square(slope):
    """Return (1/m) Σ_i ‖slope_i‖²."""
    m, p = slope.shape
    total = 0.0
    for i in range(m):
        for k in range(p):
            total += slope[i, k] * slope[i, k]
    return total / m


class Integrator:
    """What all integrators share: how they go on from a checkpoint.

    Subclasses have ``_take_slope(theta) -> (parts, speed)``, which evaluates the velocity and keeps it.
    """

    def resume(self, theta, memory):
        """Return the state with these particles (m, p) and the `State.memory` it had."""
        theta = np.array(theta, dtype=np.float64, order="C")
        parts, speed = self._take_slope(theta)
        return State(theta=theta, parts=parts, speed=speed, **memory)
