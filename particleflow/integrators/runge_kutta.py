"""Explicit Runge–Kutta steps for a cloud of particles, with any tableau.

The integrator is handed ``velocity(theta, out) -> parts`` and returns immutable states. The mean square velocity
∫|∇G|² dμ is integrated beside the particles as one more component of the same scheme, which makes the energy balance a
check of the very steps that were taken.
"""

import math
from dataclasses import replace

import numpy as np

from particleflow.integrators.state import Integrator, NotFiniteError, State, StepTooSmallError, mean_square
from particleflow.integrators.step_size import FixedStep
from particleflow.jit import jit

# The largest error of a single particle may exceed the tolerance by this factor while the root mean square holds it.
_OUTLIER = 30.0
# Energies that differ by this share of their parts are equal but for rounding.
_ROUNDING = 1e-14
# The error of the dissipated energy may be rtol times this multiple of what a step dissipates, and of the energy.
_BALANCE_SHARE, _BALANCE_FLOOR = 10.0, 1e-2


class RungeKutta(Integrator):
    """An explicit Runge–Kutta method for one velocity.

    Parameters
    ----------
    tableau : Tableau
        The method.
    controller : FixedStep or PIController
        The step size; a PIController needs an adaptive tableau.
    velocity : callable
        ``velocity(theta, out) -> parts``; one in another metric than the Euclidean offers ``speed(theta, slope)``, the
        mean square speed in it.
    shape : tuple of int
        (m, p).
    monotone : bool
        Halve a step of fixed size while the energy rises (with an adaptive method it has no effect).
    """

    def __init__(self, tableau, controller, velocity, shape, *, monotone=False):
        self.tableau, self.controller, self.velocity, self.monotone = tableau, controller, velocity, monotone
        self._slopes = np.empty((len(tableau.stages), *shape))
        self._speeds = np.empty(len(tableau.stages))
        self._stages = tableau.matrix
        self._weights = np.array(tableau.weights)
        self._first = np.eye(1, len(tableau.stages))[0]
        self._errors = tableau.error_weights if tableau.adaptive else None
        self._order = tableau.embedded_order + 1 if tableau.adaptive else None
        self._stage = np.empty(shape)
        self._sloped = None  # the cloud at which slope 0 was taken
        self._contacts = hasattr(velocity, "contacts")
        self._mean_square = getattr(velocity, "speed", lambda _, slope: mean_square(slope))

    def start(self, theta, t_end):
        """Return the state at time 0; an adaptive method chooses its first step (Hairer et al. 1993, §II.4)."""
        theta = np.array(theta, dtype=np.float64, order="C")
        parts, speed = self._take_slope(theta)
        contacts = self.velocity.contacts if self._contacts else None
        state = State(0.0, theta, parts, speed, 0.0, step=0.0, error=1.0, contacts=contacts, evaluations=1)
        if isinstance(self.controller, FixedStep):
            return replace(state, step=self.controller.step)
        if not state.finite:
            return state
        speed, size = math.sqrt(state.speed), math.sqrt(mean_square(theta))
        scale = self.controller.atol + self.controller.rtol * size
        first = min(0.01 * size / speed, t_end) if min(size, speed) > 1e-12 else 1e-6 * t_end
        combine(theta, self._slopes, self._first, first, self._stage)
        ahead = np.empty_like(theta)
        self.velocity(self._stage, ahead)
        curvature = math.sqrt(mean_square(ahead - self._slopes[0])) / first / scale
        largest = max(speed / scale, curvature)
        second = (0.01 / largest) ** (1 / self._order) if largest > 1e-15 else t_end
        return replace(state, step=min(100 * first, second, t_end), evaluations=2)

    def resume(self, theta, memory):
        """Return the state with these particles (m, p) and the `State.memory` it had."""
        if self._contacts:
            if memory["contacts"] is None:  # written when this velocity knew no kinks
                memory = memory | {"contacts": self.velocity.contacts}
            self.velocity.hold(memory["contacts"])
        return super().resume(theta, memory)

    def step(self, state, t_stop):
        """Return the state after one accepted step that ends at t_stop or before.

        Raises
        ------
        StepTooSmallError
            If an adaptive method cannot meet its tolerance.
        NotFiniteError
            If a step of fixed size leads to NaN or infinity.
        """
        if self._sloped is not state.theta:
            self._return_to(state)
        return (self._adaptive if self.adaptive else self._fixed)(state, t_stop)

    @property
    def adaptive(self):
        """Whether steps end wherever they are asked to."""
        return not isinstance(self.controller, FixedStep)

    def relocate(self, state, theta, moved):
        """Return the state whose cloud is theta, where the particles `moved`, shape (k,), were put elsewhere."""
        if self._contacts:
            self.velocity.release(moved)
        parts, speed = self._take_slope(theta)
        contacts = self.velocity.contacts if self._contacts else None
        evaluations = state.evaluations + 1
        return replace(state, theta=theta, parts=parts, speed=speed, contacts=contacts, evaluations=evaluations)

    def _fixed(self, state, t_stop):
        if self.monotone:
            return self._descend(state, t_stop)
        t, h = self.controller.advance(state, t_stop)
        theta, dissipated = self._try(state, h)
        new = self._accept(state, t, theta, dissipated)
        if not new.finite:
            raise NotFiniteError
        return new

    def _descend(self, state, t_stop):
        """Take a step that does not raise the energy: halve it until it does not, and double it again afterwards."""
        size, rejected, evaluations = state.step, state.rejected, state.evaluations
        tolerance = _ROUNDING * sum(abs(part) for part in state.parts.values())
        while True:
            last = state.t + size >= t_stop - 1e-9 * size
            h = t_stop - state.t if last else size
            theta, dissipated = self._try(state, h)
            new = self._accept(
                replace(state, evaluations=evaluations), t_stop if last else state.t + h, theta, dissipated
            )
            if new.finite and new.energy <= state.energy + tolerance:
                grown = size if rejected > state.rejected else min(2 * size, self.controller.step)
                return replace(new, step=grown, rejected=rejected)
            rejected, evaluations, size = rejected + 1, new.evaluations, h / 2
            self._return_to(state)
            if size <= 8 * np.spacing(state.t):
                raise StepTooSmallError

    def _adaptive(self, state, t_stop):
        step, rejected, evaluations = state.step, state.rejected, state.evaluations
        while True:
            last = state.t + step >= t_stop - 1e-12 * t_stop
            h = t_stop - state.t if last else step
            if not last and h <= 8 * np.spacing(state.t):
                raise StepTooSmallError
            theta, dissipated = self._try(state, h)
            evaluations += len(self._speeds) - 1
            error = self._error(state, theta, dissipated, h)
            if error <= 1:
                grown, memory = self.controller.accepted(h, error, state.error, self._order)
                grown = max(grown, step) if last else grown  # a step cut short says nothing against the planned one
                state = replace(state, rejected=rejected, evaluations=evaluations, step=grown, error=memory)
                new = self._accept(state, t_stop if last else state.t + h, theta, dissipated)
                if new.finite:
                    return new
                error = math.inf
                self._return_to(state)
            step = self.controller.rejected(h, error, self._order)
            rejected += 1

    def _try(self, state, h):
        """Take all stages of one step of size h; return the new cloud and the new dissipated integral."""
        theta = np.empty_like(state.theta)
        last = len(self._slopes) - 1
        for i in range(1, last + 1):
            stage = theta if i == last and self.tableau.first_same_as_last else self._stage
            combine(state.theta, self._slopes, self._stages[i], h, stage)
            self._last_parts = self.velocity(stage, self._slopes[i])
            self._speeds[i] = self._mean_square(stage, self._slopes[i])
        if not self.tableau.first_same_as_last:
            combine(state.theta, self._slopes, self._weights, h, theta)
        return theta, state.dissipated + h * float(self._weights @ self._speeds)

    def _error(self, state, theta, dissipated, h):
        """Return the error of the step in units of the tolerance, whatever the number of particles."""
        atol, rtol = self.controller.atol, self.controller.rtol
        rms, worst = error_norms(state.theta, theta, self._slopes, self._errors, h, atol, rtol)
        balance = 2 * h * abs(float(self._errors @ self._speeds))
        if balance > 0:
            # allowed in proportion to what the step dissipates, so that the sum over all steps stays small beside L(0)
            share = _BALANCE_SHARE * 2 * (dissipated - state.dissipated)
            floor = _BALANCE_FLOOR * max(abs(state.energy), 2 * dissipated)
            balance /= atol + rtol * (share + floor)
        return max(rms, worst / _OUTLIER, balance) if math.isfinite(rms + balance) else math.inf

    def _accept(self, state, t, theta, dissipated):
        """Return the state at the new cloud, whose slope is now slope 0."""
        evaluations = state.evaluations
        slides = self._contacts and self.adaptive
        if slides:
            combine(state.theta, self._slopes, self._first, t - state.t, self._stage)
        if self.tableau.first_same_as_last:
            self._slopes[0], self._speeds[0] = self._slopes[-1], self._speeds[-1]
            self._sloped, parts = theta, self._last_parts
        else:
            parts, _ = self._take_slope(theta)
            evaluations += len(self._speeds)
        if slides and self.velocity.settle(state.theta, self._stage, theta, self._slopes[0]):
            parts, _ = self._take_slope(theta)
            evaluations += 1
        return replace(
            state,
            t=t,
            theta=theta,
            parts=parts,
            speed=float(self._speeds[0]),
            dissipated=dissipated,
            contacts=self.velocity.contacts if self._contacts else None,
            steps=state.steps + 1,
            evaluations=evaluations,
        )

    def _return_to(self, state):
        if self._contacts:
            self.velocity.hold(state.contacts)
        self._take_slope(state.theta)

    def _take_slope(self, theta):
        parts = self.velocity(theta, self._slopes[0])
        self._speeds[0] = self._mean_square(theta, self._slopes[0])
        self._sloped = theta
        return parts, float(self._speeds[0])


@jit
def combine(theta, slopes, weights, h, out):
    """Fill out (m, p) with theta + h Σ_i weights_i slopes_i."""
    m, p = theta.shape
    for i in range(m):
        for k in range(p):
            out[i, k] = theta[i, k]
    for s in range(slopes.shape[0]):
        weight = h * weights[s]
        if weight != 0.0:
            for i in range(m):
                for k in range(p):
                    out[i, k] += weight * slopes[s, i, k]


@jit
def error_norms(theta, new, slopes, weights, h, atol, rtol):
    """Return the root mean square and the largest error of a particle, each relative to its tolerance."""
    m, p = theta.shape
    cloud = math.sqrt(max(mean_square(theta), mean_square(new)))
    total = 0.0
    worst = 0.0
    for i in range(m):
        error = 0.0
        size = 0.0
        for k in range(p):
            e = 0.0
            for s in range(slopes.shape[0]):
                e += weights[s] * slopes[s, i, k]
            error += e * e
            size += new[i, k] * new[i, k]
        scale = atol + rtol * max(cloud, math.sqrt(size))
        ratio = h * h * error / (scale * scale)
        total += ratio
        worst = max(worst, ratio)
    return math.sqrt(total / m), math.sqrt(worst)
