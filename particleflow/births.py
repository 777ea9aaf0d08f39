"""Birth: the lightest particles move to where the certificate says that a neuron would help most.

A flow that stands still above the global minimum has no particle near the direction w where |Σ_j q_j σ(⟨w, x_j⟩)|,
q = −ℓ'(f, y)/n, exceeds λ, and no way to bring one there: particles only move downhill. A light particle is of no use
where it is; as a neuron in that direction it lowers the energy at the rate h(q) − λ per mass. It gets the mass that
lowers the energy most, and keeps a² − ‖w‖², which the flow conserves. That is a step of the conditional gradient
between two stretches of the flow: the energy falls by an amount that is recorded, never rises, and nothing is random.
"""

import math
from dataclasses import replace

import numpy as np

from particleflow.certificate import check_scope
from particleflow.errors import InvalidInput
from particleflow.measure import EmpiricalMeasure
from particleflow.observers import Observer
from particleflow.sphere_search import sup
from particleflow.values import is_integer, is_real

_SEARCH = {"tolerance": 0.1, "seconds": math.inf}
"""Of the worst direction in d ≥ 3: no proof is asked for, and the clock has no say."""


def birth(energy, measure, *, particles=1):
    """Move the lightest particles, one after the other, to the worst direction that the others leave.

    Parameters
    ----------
    energy : EmpiricalEnergy
        Of a two-layer network with activation "relu" or "linear", under the path norm with λ > 0; any loss.
    measure : EmpiricalMeasure
        μ.
    particles : int
        How many may move, at most; a particle moves only if the energy falls.

    Returns
    -------
    EmpiricalMeasure
        The energy is that of μ or less.

    Raises
    ------
    InvalidInput
        If the energy has no certificate, the measure does not fit it, or there are not so many particles.

    Examples
    --------
    >>> import particleflow as pf
    >>> energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), ([[-1.0], [1.0]], [-1.0, 1.0]), strength=0.1)
    >>> stuck = pf.solve(energy, pf.one_signed(10, 1, rng=0), t_end=50.0).measure  # no a can become negative
    >>> bool(energy.value(pf.birth(energy, stuck).particles) < 0.5 * energy.value(stuck.particles))
    True
    """
    _check(energy, measure, particles)
    theta, _, _ = reborn(energy, measure.particles, particles)
    return EmpiricalMeasure(theta, measure.layout)


def reborn(energy, theta, count):
    """Return the particles after a birth, which of them moved, and by how much the energy fell."""
    theta, m, y = theta.copy(), len(theta), energy.data.y
    lightest = np.argsort(energy.regularizer.value(theta), kind="stable")[:count]
    features, f, total = energy.model.features, energy.model.predict(theta, energy.data.X), 0.0
    moved = []
    for i in lightest:
        old = theta[i : i + 1]
        rest = f - features(old, energy.data.X)[0] / m
        w, response = _worst_direction(energy, rest)
        mass = _best_mass(energy, rest, response)
        before, after = (np.mean(energy.loss.value(values, y)) for values in (f, rest + mass * response))
        fall = before - after + energy.strength * (energy.regularizer.value(old)[0] / m - mass)
        if not (mass > 0.0 and fall > 0.0):
            break
        theta[i], f, total = _particle(old[0], m * mass, w), rest + mass * response, total + fall
        moved.append(i)
    return theta, np.array(moved, dtype=np.int64), float(total)


def _worst_direction(energy, f):
    """Return the unit vector w of the neuron that lowers the energy fastest, and ±σ(⟨w, x_j⟩), with its sign, (n,)."""
    X, y, activation = energy.data.X, energy.data.y, energy.model.activation
    q = -2.0 * energy.loss.half_derivative(f, y) / len(y)
    w = sup(q, X, linear=activation.name == "linear", **_SEARCH).direction
    response = activation.value(X @ w)
    sign = math.copysign(1.0, float(q @ response))
    return np.append(sign, w), sign * response


def _best_mass(energy, f, response):
    """Return the c ≥ 0 that minimises (1/n) Σ ℓ(f_j + c φ_j, y_j) + λc."""

    def slope(c):
        return 2.0 * float(np.mean(energy.loss.half_derivative(f + c * response, energy.data.y) * response))

    if slope(0.0) + energy.strength >= 0.0:
        return 0.0
    low, high = 0.0, 1.0
    while slope(high) + energy.strength < 0.0:
        low, high = high, 2.0 * high
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if slope(middle) + energy.strength < 0.0 else (low, middle)
    return low


def _particle(old, size, direction):
    """Return (a, w) with |a|‖w‖ = size and the a² − ‖w‖² of the old particle; direction is (sign of a, w/‖w‖)."""
    excess = old[0] ** 2 - float(np.sum(old[1:] ** 2))
    larger = 0.5 * abs(excess) + math.hypot(0.5 * excess, size)
    smaller = size * size / larger if larger > 0.0 else 0.0
    squares = (larger, smaller) if excess > 0.0 else (smaller, larger)
    a, norm = (math.sqrt(square) for square in squares)
    return np.append(a * direction[0], norm * direction[1:])


def _check(energy, measure, particles):
    check_scope(energy, measure)
    if not is_integer(particles, 1, measure.m):
        raise InvalidInput(f"birth.particles = {particles!r}: valid are integers from 1 to the {measure.m} particles")


# --- along a flow -----------------------------------------------------------------------------------------------------


class Births(Observer):
    """Births at the times every, 2 every, …: makes an integrator that takes them, and observes them.

    Parameters
    ----------
    energy : EmpiricalEnergy
        As for `birth`.
    measure : EmpiricalMeasure
        Where the flow starts.
    every : float
        Flow time between births, > 0; steps of fixed size are not cut: there a birth follows the step that reaches it.
    particles : int
        How many may move at a time; default: 1.
    """

    def __init__(self, energy, measure, *, every, particles=1):
        if not (is_real(every) and every > 0):
            raise InvalidInput(f"birth.every = {every!r}: valid are finite numbers above 0")
        _check(energy, measure, particles)
        self.energy, self.every, self.particles = energy, float(every), int(particles)

    def measure(self, state):
        """Return births, how many particles have moved, and birth_fall, by how much L fell in these moves."""
        return {"births": state.births, "birth_fall": state.fallen}

    def along(self, integrator, t_end):
        """Return an integrator that lets particles be born between the steps of another, before t_end."""
        return _WithBirths(integrator, self, t_end)


class _WithBirths:
    """An integrator whose states jump at births; the same state gives the same next state."""

    def __init__(self, integrator, births, t_end):
        self._integrator, self._births, self._t_end = integrator, births, t_end
        self.start, self.resume = integrator.start, integrator.resume

    def step(self, state, t_stop):
        every = self._births.every
        due = every * (math.floor(state.t / every * (1 + 1e-12)) + 1)  # a birth that was is not due again
        new = self._integrator.step(state, min(t_stop, due) if self._integrator.adaptive else t_stop)
        if new.t < due * (1 - 1e-12) or new.t >= self._t_end:
            return new
        theta, moved, fall = reborn(self._births.energy, new.theta, self._births.particles)
        if len(moved) == 0:
            return new
        new = self._integrator.relocate(new, theta, moved)
        return replace(new, births=new.births + len(moved), fallen=new.fallen + fall)
