"""Discrete optimisers on L(θ_1, …, θ_m): stochastic gradient descent and Adam.

Their gradients are those of an ordinary training loop, ∂L/∂θ_i = (2/m) ∇G(θ_i). A step of gradient descent with
learning rate η advances the flow by the time 2η/m. Adam keeps that clock, though its steps follow no gradient flow.
"""

import math
from dataclasses import replace

import numpy as np

from particleflow.integrators.langevin import stream
from particleflow.integrators.state import Integrator, NotFiniteError, State, mean_square
from particleflow.jit import jit

BETAS, EPSILON = (0.9, 0.999), 1e-8
"""Adam's decay rates and regularisation, as Kingma & Ba (2015) and PyTorch have them."""


class Batches:
    """Mini-batches of row numbers: each epoch goes through the data in a new order, batch after batch.

    What is left over at the end of an epoch (fewer rows than a batch) is left out. A batch is a function of the seed
    and the number of the step alone.

    Parameters
    ----------
    n, size : int
        Rows of the data and of a batch, size ≤ n.
    seed : int
        Of the orders.
    """

    def __init__(self, n, size, seed):
        self.n, self.size, self.seed = n, size, seed
        self._epoch = None

    def __call__(self, step):
        """Return the rows of a step, shape (size,)."""
        epoch, position = divmod(step, self.n // self.size)
        if epoch != self._epoch:
            self._order = np.random.Generator(stream(self.seed, epoch)).permutation(self.n)
            self._epoch = epoch
        return self._order[position * self.size : (position + 1) * self.size]


class SGD(Integrator):
    """Gradient descent with a constant learning rate, on all data or on mini-batches (Robbins & Monro 1951).

    Parameters
    ----------
    controller : FixedStep
        The step 2η/m in flow time.
    velocity : callable
        ``velocity(theta, out) -> parts``.
    batches : Batches, optional
        Which rows each step takes; all data if there is none.
    batch_velocity : callable, optional
        ``batch_velocity(rows, theta, out) -> parts`` on the rows of a batch.
    """

    def __init__(self, controller, velocity, batches=None, batch_velocity=None):
        self.controller, self.velocity = controller, velocity
        self.batches, self.batch_velocity = batches, batch_velocity
        self._slope = None
        self._sloped = None  # the cloud at which the slope on all data was taken

    def start(self, theta, t_end):
        """Return the state at time 0."""
        theta = np.array(theta, dtype=np.float64, order="C")
        parts, speed = self._take_slope(theta)
        moments = self._first_moments(theta)
        return State(
            0.0, theta, parts, speed, 0.0, step=self.controller.step, error=1.0, moments=moments, evaluations=1
        )

    def step(self, state, t_stop):
        """Return the state after one step.

        Energy and speed belong to all data where the step ends at t_stop. In between mini-batches spare that
        evaluation: there they are the estimates of the batch, at the start of the step.

        Raises
        ------
        NotFiniteError
            If the step leads to NaN or infinity.
        """
        t, h = self.controller.advance(state, t_stop)
        if self.batches is not None:
            parts = self.batch_velocity(self.batches(state.steps), state.theta, self._slope)
            speed, evaluations = float(mean_square(self._slope)), state.evaluations + 1
            self._sloped = None
        elif self._sloped is not state.theta:
            self._take_slope(state.theta)
        theta = state.theta.copy()
        moments = self._update(theta, state.moments, state.steps + 1, h)
        estimated = self.batches is not None and t < t_stop
        if not estimated:
            parts, speed = self._take_slope(theta)
            evaluations = state.evaluations + (1 if self.batches is None else 2)
        new = replace(
            state,
            t=t,
            theta=theta,
            parts=parts,
            speed=speed,
            estimated=estimated,
            moments=moments,
            steps=state.steps + 1,
            evaluations=evaluations,
        )
        if not new.finite:
            raise NotFiniteError
        return new

    def evaluate(self, state):
        """Return the state with energy and speed on all data, where they were the estimates of a batch.

        This is a measurement: it does not count among the evaluations of the flow.
        """
        parts, speed = self._take_slope(state.theta)
        return replace(state, parts=parts, speed=speed, estimated=False)

    def _first_moments(self, theta):
        """Return the moments at time 0; there are none."""

    def _update(self, theta, moments, step, h):
        """Take a step in place; return the moments after it."""
        theta += h * self._slope

    def _take_slope(self, theta):
        if self._slope is None:
            self._slope = np.empty_like(theta)
        parts = self.velocity(theta, self._slope)
        self._sloped = theta
        return parts, float(mean_square(self._slope))


class Adam(SGD):
    """Adam (Kingma & Ba 2015), with PyTorch's defaults; parameters as for `SGD`."""

    def _first_moments(self, theta):
        return np.zeros((2, *theta.shape))

    def _update(self, theta, moments, step, h):
        m, moments = len(theta), moments.copy()
        adam_step(theta, *moments, self._slope, -2.0 / m, 0.5 * m * h, *BETAS, EPSILON, step)
        return moments


@jit
def adam_step(theta, first, second, slope, scale, rate, beta1, beta2, epsilon, step):
    """Update particles and moments in place; the gradient is scale·slope, the learning rate `rate`."""
    size = rate / (1.0 - beta1**step)
    root = math.sqrt(1.0 - beta2**step)
    for i in range(theta.shape[0]):
        for k in range(theta.shape[1]):
            gradient = scale * slope[i, k]
            first[i, k] += (1.0 - beta1) * (gradient - first[i, k])
            second[i, k] = beta2 * second[i, k] + (1.0 - beta2) * gradient * gradient
            theta[i, k] -= size * first[i, k] / (math.sqrt(second[i, k]) / root + epsilon)
