"""Observers: what is measured along a flow, and what may stop it.

An observer has four moments. `measure` returns numbers to record at every frame; `record` sees what all observers
measured there; `watch` is asked after every accepted step and may stop the flow; `finish` comes on every exit.
States handed to observers are read-only.
"""

import math
import sys
import time
from dataclasses import dataclass

import numpy as np

from particleflow.entropy import differential_entropy
from particleflow.errors import InvalidInput
from particleflow.order_parameters import alignments, check_teacher, projections

_NEURONS = 10  # of a teacher are followed


@dataclass(frozen=True)
class Stop:
    """A reason to stop: the status the flow ends with and a sentence."""

    status: str
    message: str


class Observer:
    """Base class; every moment does nothing unless overridden."""

    def start(self, info):
        """Prepare; `info` is the `particleflow.flow.RunInfo` of the flow about to start."""

    def measure(self, state):
        """Return what to record at a frame: a mapping of name → float."""
        return {}

    def record(self, state, observables):
        """Take note of a frame and of all that was measured there."""

    def watch(self, state):
        """Return a `Stop` to end the flow after this step, or None."""

    def finish(self, result):
        """Clean up; called on every exit with the `particleflow.flow.FlowResult`."""


# --- what is measured -------------------------------------------------------------------------------------------------


class EnergyParts(Observer):
    """The energy L, its parts and the dissipation 2∫|∇G|² dμ."""

    def measure(self, state):
        """Return energy, its parts and dissipation."""
        return {"energy": state.energy, **state.parts, "dissipation": 2 * state.speed}


class EnergyBalance(EnergyParts):
    """The energy L, its parts, the dissipation and the balance L(t) + 2∫₀ᵗ∫|∇G|² dμ ds − L(0).

    The balance is zero for the exact flow (dL/dt = −2∫|∇G|² dμ): what is left is the error of the integration. Where
    particles were put elsewhere, what that took from the energy is added.
    """

    def __init__(self):
        self._initial = None

    def start(self, info):
        """Remember L(0), where the flow has a past."""
        if info.past is not None:
            self._initial = info.past.observables["energy"][0]

    def measure(self, state):
        """Return energy, its parts, dissipation, dissipated and balance."""
        if self._initial is None:
            self._initial = state.energy
        return {
            **super().measure(state),
            "dissipated": 2 * state.dissipated,
            "balance": state.energy + 2 * state.dissipated + state.fallen - self._initial,
        }


class FreeEnergy(Observer):
    """The free energy ½L[μ] + T∫ μ log μ of a noisy flow, with the entropy estimated by nearest neighbours.

    The estimate (`particleflow.entropy`, third neighbours) needs room between the particles and is biased in
    high dimension: it is made for particles of at most 8 numbers, and at least 20 of them. Particles that share
    parameters have no law, and no entropy.

    Parameters
    ----------
    temperature : callable
        T(t).
    """

    def __init__(self, temperature):
        self.temperature = temperature

    def start(self, info):
        """Decide whether the entropy can be estimated."""
        m, p = info.measure.particles.shape
        exchangeable = getattr(getattr(info.energy, "model", None), "exchangeable", True)
        self._estimable, self._period = exchangeable and m >= 20 and p <= 8, info.measure.layout.period

    def measure(self, state):
        """Return the temperature and, where it can be estimated, entropy and free energy."""
        T = self.temperature(state.t)
        if not self._estimable:
            return {"temperature": T}
        H = differential_entropy(state.theta, period=self._period)
        return {"temperature": T, "entropy": H, "free_energy": 0.5 * state.energy - (T * H if T > 0 else 0.0)}


class StepCount(Observer):
    """How many steps a training loop has taken."""

    def measure(self, state):
        """Return the number of steps."""
        return {"steps": state.steps}


class Invariants(Observer):
    """The largest change, over the particles, of what the exact flow conserves (a² − ‖w‖² for relu networks)."""

    def start(self, info):
        """Remember the initial values."""
        self._conserved = info.energy.conserved
        self._initial = self._conserved(info.measure.particles)

    def measure(self, state):
        """Return the drift of each conserved quantity."""
        now = self._conserved(state.theta)
        return {f"{name}_drift": float(np.abs(now[name] - self._initial[name]).max()) for name in now}


class Norms(Observer):
    """The root mean square of each block of the particles: ∫‖block‖² dμ, square root."""

    def start(self, info):
        """Remember the layout."""
        self._layout = info.measure.layout

    def measure(self, state):
        """Return the norm of each block."""
        blocks = self._layout.split(state.theta).items()
        return {f"rms_{name}": math.sqrt(np.sum(block**2) / len(block)) for name, block in blocks}


class Sliding(Observer):
    """The share of particles that slide along a kink or rest on one (see `particleflow.models.sliding`)."""

    def measure(self, state):
        """Return the share, where the velocity knows kinks."""
        if state.contacts is None:
            return {}
        return {"sliding": len(np.unique(state.contacts[0])) / len(state.theta)}


class TestError(Observer):
    """The relative error ‖f − f*‖² / ‖f*‖² on data held out (Lazarus 2022, §2.5.2).

    Parameters
    ----------
    model : Model
        Gives f.
    X, y : array_like, shapes (n, d) and (n,)
        Inputs and the values of f* there.
    """

    __test__ = False  # not a test case, whatever its name

    def __init__(self, model, X, y):
        self.model, self.X, self.y = model, np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64)
        self._scale = float(np.sum(self.y**2))
        if not self._scale > 0:
            raise InvalidInput("the test error ‖f − f*‖²/‖f*‖² needs test targets that are not all zero")

    def measure(self, state):
        """Return the test error."""
        return {"test_error": float(np.sum((self.model.predict(state.theta, self.X) - self.y) ** 2)) / self._scale}


class PopulationError(Observer):
    """The relative error ‖f − f*‖² / ‖f*‖² over the whole population, in closed form: the risk, relative to C = ‖f*‖².

    Parameters
    ----------
    constant : float
        C.
    """

    def __init__(self, constant):
        self._constant = constant

    def measure(self, state):
        """Return the test error."""
        return {"test_error": state.parts["risk"] / self._constant} if self._constant > 0 else {}


class Overlaps(Observer):
    """How far the particles of a two-layer network have found each neuron of its teacher (Saad & Solla 1995).

    For the teacher's neurons k = 1, …, at most 10: `overlap_k` = ∫ a ⟨w, w*_k⟩/‖w*_k‖ dμ, the first moment of μ along
    w*_k, and `alignment_k`, the largest cosine of a particle's w with w*_k. The matrices themselves: `pf.overlaps`.

    Parameters
    ----------
    teacher : array_like, shape (m_t, 1 + d), optional
        The teacher's particles (a*, w*); by default those of the energy (`PopulationEnergy`).
    """

    def __init__(self, teacher=None):
        self._teacher = teacher

    def start(self, info):
        """Take the directions of the teacher; `InvalidInput` if there is none, or it does not fit the particles."""
        teacher = getattr(info.energy, "teacher", None) if self._teacher is None else self._teacher
        if teacher is None:
            raise InvalidInput("the overlaps need a teacher: Overlaps(teacher), or a population energy, which has one")
        w = check_teacher(info.measure.layout, teacher)[:_NEURONS, 1:]
        norms = np.linalg.norm(w, axis=1, keepdims=True)
        self._directions = np.divide(w, norms, out=np.zeros_like(w), where=norms > 0)

    def measure(self, state):
        """Return overlap_k and alignment_k."""
        found = {}
        for name, values in (("overlap", projections), ("alignment", alignments)):
            for k, value in enumerate(values(state.theta, self._directions), start=1):
                found[f"{name}_{k}"] = float(value)
        return found


# --- what may stop a flow ---------------------------------------------------------------------------------------------


class Stationary(Observer):
    """Stop when the root mean square velocity (∫|∇G|² dμ)^½ falls to a tolerance > 0.

    With mini-batches it is known, and looked at, at frames only.
    """

    def __init__(self, tolerance):
        self.tolerance = _positive("stop.stationary", tolerance)

    def watch(self, state):
        """Stop on a small velocity; a velocity that is NaN is never small."""
        if not state.estimated and math.sqrt(state.speed) <= self.tolerance:
            return Stop("stationary", f"the root mean square velocity fell to {math.sqrt(state.speed):.2e}")
        return None


class EnergyBelow(Observer):
    """Stop when the energy L falls to a given value; with mini-batches it is known, and looked at, at frames only."""

    def __init__(self, value):
        self.value = float(value)
        if not math.isfinite(self.value):
            raise InvalidInput(f"stop.energy = {value!r}: valid are finite numbers")

    def watch(self, state):
        """Stop on a low energy."""
        if not state.estimated and state.energy <= self.value:
            return Stop("finished", f"the energy fell to {state.energy:.6g}, below stop.energy = {self.value:g}")
        return None


class WallClock(Observer):
    """Stop after a number of seconds > 0, counted from the end of the first step (which may have to compile)."""

    def __init__(self, seconds):
        self.seconds = _positive("stop.wall_clock", seconds)

    def start(self, info):
        """Reset the clock."""
        self._end = None

    def watch(self, state):
        """Stop when the time is used up."""
        if self._end is None:
            self._end = time.monotonic() + self.seconds
        if time.monotonic() >= self._end:
            return Stop("budget", f"stop.wall_clock = {self.seconds:g} s are used up; raise it to go further")
        return None


STOP_RULES = {"stationary": Stationary, "wall_clock": WallClock, "energy": EnergyBelow}


def _positive(name, value):
    if not (math.isfinite(value) and value > 0):
        raise InvalidInput(f"{name} = {value!r}: valid are finite numbers above 0")
    return float(value)


# --- what a person sees -----------------------------------------------------------------------------------------------


class Progress(Observer):
    """A progress bar on standard error: flow time, energy, steps and the time left; quiet when not a terminal.

    The time left extrapolates the pace of the last seconds: steps grow along a flow, so the average would mislead.
    """

    def start(self, info):
        """Draw the bar."""
        from tqdm import tqdm

        self._shown = 0.0
        self._bar = tqdm(
            total=info.t_end,
            initial=0.0 if info.past is None else info.past.memory["t"],
            disable=not sys.stderr.isatty(),
            file=sys.stderr,
            smoothing=0.3,
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}%|{bar}| t = {n:.4g}/{total:g}, {postfix}, {elapsed}, {remaining} left",
        )

    def watch(self, state):
        """Move the bar a few times a second."""
        if not self._bar.disable and time.monotonic() - self._shown > 0.2:
            self._show(state)

    def record(self, state, observables):
        """Move the bar."""
        if not self._bar.disable:
            self._show(state)

    def finish(self, result):
        """Leave the bar where it ended."""
        self._bar.close()

    def _show(self, state):
        self._shown = time.monotonic()
        self._bar.set_postfix_str(f"L = {state.energy:.6g}, {state.steps} steps", refresh=False)
        self._bar.update(state.t - self._bar.n)
