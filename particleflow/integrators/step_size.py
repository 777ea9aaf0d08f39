"""Step sizes: fixed, or chosen by a PI controller (Hairer, Nørsett, Wanner 1993, §II.4; Gustafsson 1991).

A controller answers two questions: how large is the next step, and is a step with this error accepted. Its memory is a
tuple of floats carried by the state of the integrator, so that the state alone says how a run goes on.
"""

import math
from dataclasses import dataclass

from particleflow.errors import InvalidInput
from particleflow.values import is_real

_SAFETY = 0.9
_SHRINK, _GROW = 0.2, 5.0
_ERROR_FLOOR = 1e-4
_MOST_STEPS = 1e15  # beyond, the number of a step is not exact as a float


@dataclass(frozen=True)
class FixedStep:
    """Steps of one size: the k-th step starts at the time k·h, computed as that product.

    Attributes
    ----------
    step : float
        h > 0, in flow time.
    """

    step: float

    def __post_init__(self):
        if not (is_real(self.step) and self.step > 0):
            raise InvalidInput(f"flow.step = {self.step!r}: valid are finite numbers above 0")

    def grid(self, times, t_end):
        """Return times (any iterable) moved to the ends of steps, each once."""
        if not t_end / self.step <= _MOST_STEPS:
            raise InvalidInput(f"flow.step = {self.step!r}: to t_end = {t_end:g} it takes more than 1e15 steps")
        indices = sorted({max(1, round(t / self.step)) for t in times})
        snapped = [index * self.step for index in indices if index * self.step < t_end * (1 - 1e-12)]
        return [*snapped, t_end]

    def advance(self, state, t_stop):
        """Return the time at which the next step ends, t_stop at the latest, and the size of that step."""
        t, h = (state.steps + 1) * self.step, self.step
        if t > t_stop + 1e-9 * h:
            h = t_stop - state.t
        return (t if t < t_stop - 1e-9 * self.step else t_stop), h


@dataclass(frozen=True)
class PIController:
    """Step sizes from the last two error estimates, in units of the tolerance.

    Attributes
    ----------
    rtol : float
        Tolerated error of one particle per step, relative to the larger of its norm and the cloud's.
    atol : float
        The same, absolute.
    """

    rtol: float
    atol: float

    def __post_init__(self):
        if not (is_real(self.rtol) and self.rtol > 0):
            raise InvalidInput(f"flow.rtol = {self.rtol!r}: valid are finite numbers above 0")
        if not (is_real(self.atol) and self.atol >= 0):
            raise InvalidInput(f"flow.atol = {self.atol!r}: valid are finite numbers from 0")

    def grid(self, times, t_end):
        """Return the times as they are: adaptive steps end wherever asked."""
        return [*(t for t in times if t < t_end), t_end]

    def accepted(self, step, error, previous, order):
        """Return the next step size and the error to remember, after a step was accepted with that error."""
        error = max(error, _ERROR_FLOOR)
        factor = _SAFETY * error ** (-0.7 / order) * previous ** (0.4 / order)
        return step * min(_GROW, max(_SHRINK, factor)), error

    def rejected(self, step, error, order):
        """Return the step size to try instead; an error that is not finite asks for the strongest cut."""
        if not math.isfinite(error):
            return step * _SHRINK
        return step * max(_SHRINK, _SAFETY * error ** (-1 / order))
