"""Mean-field Langevin dynamics by the Euler–Maruyama scheme.

    dθ_i = −∇G(θ_i, μ) dt + √(2T(t)) dB_i,   the flow of ½L[μ] + T ∫ μ log μ at a constant temperature T = 1/β

(Mei, Montanari, Nguyen 2018; Hu, Ren, Šiška, Szpruch 2021; Chizat 2022, Mean-field Langevin dynamics: exponential
convergence and annealing). A step of size h is weakly of order one: an Ornstein–Uhlenbeck process with rate λ comes to
rest at the variance T / (λ(1 − λh/2)) rather than T/λ. The noise of a step is a function of the seed and the number of
the step alone, so that a state says completely how a flow goes on.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from particleflow.errors import InvalidInput
from particleflow.integrators.state import Integrator, NotFiniteError, State, mean_square
from particleflow.values import is_real

_COOLING = {
    "constant": lambda s: 1.0,
    "exponential": lambda s: math.exp(-s),
    "power": lambda s: 1 / (1 + s),
    "logarithmic": lambda s: 1 / math.log(math.e + s),
}
COOLING_LAWS = tuple(_COOLING)


@dataclass(frozen=True)
class Temperature:
    """A temperature T(t), constant or annealed.

    Attributes
    ----------
    initial : float
        T(0) ≥ 0, in units of energy: 1/β.
    law : str
        With s = t/time: "constant", "exponential" T(0)e^{−s}, "power" T(0)/(1 + s), or "logarithmic"
        T(0)/log(e + s), the slow one of the convergence theorems (Chizat 2022, §4).
    time : float
        The time scale of the annealing, > 0.

    Raises
    ------
    InvalidInput
        If a value cannot be used.
    """

    initial: float
    law: str = "constant"
    time: float = 1.0

    def __post_init__(self):
        if not (is_real(self.initial) and self.initial >= 0):
            raise InvalidInput(f"flow.temperature = {self.initial!r}: valid are finite numbers from 0")
        if not (isinstance(self.law, str) and self.law in _COOLING):
            raise InvalidInput(f"flow.temperature.law = {self.law!r} is unknown; valid: {', '.join(_COOLING)}")
        if not (is_real(self.time) and self.time > 0):
            raise InvalidInput(f"flow.temperature.time = {self.time!r}: valid are finite numbers above 0")

    def __call__(self, t):
        """Return T(t)."""
        return self.initial * _COOLING[self.law](t / self.time)


class Langevin(Integrator):
    """The Euler–Maruyama scheme for one velocity.

    Parameters
    ----------
    controller : FixedStep
        The step size.
    temperature : Temperature
        T(t).
    velocity : callable
        ``velocity(theta, out) -> parts``.
    seed : int
        Of the noise.
    admissible : callable, optional
        Sets the entries of an array (m, p) that no noise shall reach to 0.
    """

    def __init__(self, controller, temperature, velocity, seed, admissible=None):
        self.controller, self.temperature, self.velocity, self.seed = controller, temperature, velocity, seed
        self._admissible = admissible or (lambda theta: theta)
        self._sloped = None  # the cloud at which the slope was taken

    def start(self, theta, t_end):
        """Return the state at time 0."""
        theta = np.array(theta, dtype=np.float64, order="C")
        parts, speed = self._take_slope(theta)
        return State(0.0, theta, parts, speed, 0.0, step=self.controller.step, error=1.0, evaluations=1)

    def step(self, state, t_stop):
        """Return the state after one step, shortened to end at t_stop if need be.

        Raises
        ------
        NotFiniteError
            If the step leads to NaN or infinity.
        """
        if self._sloped is not state.theta:
            self._take_slope(state.theta)
        t, h = self.controller.advance(state, t_stop)
        theta = state.theta + h * self._slope
        amplitude = math.sqrt(2 * self.temperature(state.t) * h)
        if amplitude > 0:
            theta += amplitude * self._admissible(noise(self.seed, state.steps, theta.shape))
        parts, speed = self._take_slope(theta)
        new = replace(
            state,
            t=t,
            theta=theta,
            parts=parts,
            speed=speed,
            dissipated=state.dissipated + h * state.speed,
            steps=state.steps + 1,
            evaluations=state.evaluations + 1,
        )
        if not new.finite:
            raise NotFiniteError
        return new

    def _take_slope(self, theta):
        self._slope = np.empty_like(theta)
        parts = self.velocity(theta, self._slope)
        self._sloped = theta
        return parts, float(mean_square(self._slope))


def noise(seed, step, shape):
    """Return independent N(0, 1) numbers that depend on the seed and the number of the step alone."""
    return np.random.Generator(stream(seed, step)).standard_normal(shape)


def stream(seed, number):
    """Return the bit generator with that number of a seed (Salmon et al. 2011: a counter instead of a state)."""
    return np.random.Philox(key=seed, counter=[0, 0, 0, number])
