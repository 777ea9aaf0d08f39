"""The flow: step the transport equation ∂_t μ = div(μ ∇G(·, μ)) from an initial measure, watched by observers.

The loop stays in Python, so that clock, signals and observers do; velocity and steps are compiled. A state replaces the
one before it in a single assignment, and Ctrl-C is let in only while a step is under way: whatever interrupts it, the
last complete state is there to be stored.
"""

import math
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from particleflow.errors import InvalidInput, NoFrame
from particleflow.integrators.state import NotFiniteError, StepTooSmallError
from particleflow.interruption import Interruption
from particleflow.measure import EmpiricalMeasure
from particleflow.methods import plan
from particleflow.observers import (
    Norms,
    Observer,
    Overlaps,
    PopulationError,
    Progress,
    Sliding,
    Stop,
    TestError,
)
from particleflow.values import is_integer

FIRST_FRAME = 1e-4
"""Log-spaced frames begin at this fraction of t_end."""


@dataclass(frozen=True)
class RunInfo:
    """What observers are told before the first step.

    Attributes
    ----------
    energy : Energy
        The energy.
    measure : EmpiricalMeasure
        The initial measure.
    t_end : float
        Where the flow ends, in flow time.
    settings : dict
        The [flow] table of a configuration.
    seed : int
        Of noise and mini-batches.
    past : particleflow.checkpoint.Past or None
        What was before, if the flow is resumed.
    """

    energy: object
    measure: EmpiricalMeasure
    t_end: float
    settings: dict
    seed: int = 0
    past: object = None


@dataclass(frozen=True)
class FlowResult:
    """How a flow ended.

    Attributes
    ----------
    status : str
        "finished", "stationary", "certified", "budget", "interrupted", "diverged" or "step_too_small"; observers and
        files also see "failed" when an exception ends a flow.
    message : str
        What that means and what to do about it.
    t : float
        The flow time reached.
    measure : EmpiricalMeasure
        The last measure: complete and finite, whatever the status.
    observables : dict of str → ndarray
        Everything measured, one value per frame; "time" holds their flow times.
    steps, rejected, evaluations : int
        Counts of accepted steps, rejected steps and velocity evaluations.
    seconds : float
        Wall time.
    """

    status: str
    message: str
    t: float
    measure: EmpiricalMeasure
    observables: dict = field(repr=False)
    steps: int
    rejected: int
    evaluations: int
    seconds: float

    @property
    def ok(self):
        """Whether the flow ended as planned rather than in trouble or by interruption."""
        return self.status in ("finished", "stationary", "certified", "budget")


def log_spaced(t_end, count, first=FIRST_FRAME):
    """Return `count` increasing times, log-spaced from first·t_end to t_end, shape (count,); one alone is t_end."""
    return np.geomspace(t_end, first * t_end, count)[::-1]


def flow_time(learning_rate, steps, m):
    """Return the flow time 2ηk/m that k gradient-descent steps of size η on L(θ_1, …, θ_m) advance."""
    return 2 * learning_rate * steps / m


def single_threaded_blas():
    """Return a context in which matrix products take one thread: their bits depend on the number of threads."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1, user_api="blas")


def solve(
    energy,
    measure,
    t_end=None,
    *,
    method="dopri5",
    frames=100,
    observers=(),
    file=None,
    overwrite=False,
    resume=False,
    progress=False,
    config=None,
    seed=0,
    **settings,
):
    """Solve θ̇_i = −∇G(θ_i, μ_m), the transport equation ∂_t μ = div(μ ∇G(·, μ)) for an empirical measure.

    Parameters
    ----------
    energy : Energy
        The energy L whose Wasserstein gradient flow this is.
    measure : EmpiricalMeasure
        μ_m at time 0.
    t_end : float
        Flow time to reach, > 0. Gradient descent with step η on L(θ_1, …, θ_m) advances by 2η/m a step. Not for "sgd"
        and "adam", which count steps.
    method : str
        Each takes the settings named here, as further keywords:

        - "dopri5", "bs23": adaptive steps. `rtol`, `atol`: tolerated error per step and particle (root mean square
          over the particles), relative to the larger of the particle's and the cloud's norm, and absolute; by default
          1e-6 and 1e-12.
        - "euler", "heun", "rk4": fixed steps. `step`, in flow time; Euler with step 2η/m is gradient descent with
          learning rate η. `monotone` (default False): halve the step while the energy rises.
        - "mirror": Euler's method for weighted points (`ConicEnergy`) with r ← r e^{h ṙ/r}; `step` and `monotone`.
        - all of these: `birth`, a dict of `every`, a flow time, and `particles` (default 1): so often so many of the
          lightest particles move to where the certificate asks for neurons (`pf.birth`).
        - "langevin": dθ_i = −∇G dt + √(2T) dB_i by Euler–Maruyama. `step`; `temperature`: T ≥ 0, a `Temperature`
          that is annealed, or a dict of its fields.
        - "sgd", "adam": training loops on L(θ_1, …, θ_m). `learning_rate` η; `steps`, their number; `batch_size`, for
          mini-batches of the data. Flow time counts 2η/m a step.
    frames : int or array_like
        How many frames to take after the initial one, log-spaced in time, or their times.
    observers : sequence of Observer
        Further observers, after the standard ones: energy and its balance, invariants, norms, the share of sliding
        particles, and the test error if the energy's data have test rows.
    file : str or Path, optional
        Store a trajectory there (HDF5; see docs/trajectory.md).
    overwrite : bool
        Replace an existing trajectory of that name.
    resume : bool
        Go on with an existing trajectory of that name, bit for bit as if the flow had never stopped. It must be of the
        same energy, initial measure, method and seed; its end may move further away. A last frame that only tells
        where the flow was interrupted gives way to those that were planned. Observers of one's own start anew.
    progress : bool
        Show a progress bar when standard error is a terminal.
    config : str, optional
        The configuration to store in the file, as TOML; by default what the arguments tell.
    seed : int
        Of noise and mini-batches.

    Returns
    -------
    FlowResult
        Ctrl-C and SIGTERM end a flow early with everything stored and the status "interrupted".

    Raises
    ------
    InvalidInput
        If an argument cannot be used, energy or velocity of the initial measure are not finite, or the trajectory to
        go on with is that of another flow.
    TrajectoryError
        If the trajectory cannot be read or written.

    References
    ----------
    Lazarus 2022, §2.2.2; Chizat & Bach 2018, §2.

    Examples
    --------
    >>> import particleflow as pf
    >>> energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), ([[-1.0], [1.0]], [1.0, 1.0]))
    >>> result = pf.solve(energy, pf.sphere(10, 1, rng=0), t_end=50.0)
    >>> result.status, bool(result.observables["energy"][-1] < 1e-6)
    ('finished', True)
    """
    chosen, info = _planned(energy, measure, t_end, method, frames, seed, settings)
    if resume and file is not None and Path(file).exists():
        from particleflow.checkpoint import read_past

        try:
            info = replace(info, past=read_past(file, info, config))
        except NoFrame:  # killed before there was anything to go on from
            overwrite = True
    times = _schedule(frames, info, chosen.controller)
    if info.past is not None:
        info, times = replace(info, past=info.past.keep(times)), info.past.rest(times)
    watchers = [*chosen.observers, Norms(), Sliding(), *_held_out(energy), *observers]
    table = _Table()
    watchers.append(table)
    if progress:
        watchers.append(Progress())
    if file is not None:
        from particleflow.storage import TrajectoryWriter

        watchers.append(TrajectoryWriter(file, overwrite=overwrite, config=config, resume=info.past is not None))

    integrator = chosen.build()  # it may load a BLAS, whose threads are limited next
    with ExitStack() as stack:
        stack.enter_context(single_threaded_blas())
        stack.enter_context(np.errstate(over="ignore", invalid="ignore"))  # a flow that diverges says so by its status
        return _run(integrator, info, times, watchers, table, stack.enter_context(Interruption()))


def check(energy, measure, t_end=None, *, method="dopri5", frames=100, observers=(), seed=0, **settings):
    """Raise `InvalidInput` where `solve` would before its first step; parameters as there."""
    chosen, info = _planned(energy, measure, t_end, method, frames, seed, settings)
    _schedule(frames, info, chosen.controller)
    for observer in observers:
        observer.start(info)


def _planned(energy, measure, t_end, method, frames, seed, settings):
    """Return the plan of a method and what observers are told."""
    _check_arguments(energy, measure, seed)
    chosen = plan(method, settings, energy=energy, measure=measure, t_end=t_end, seed=seed)
    t_end = chosen.t_end
    name = getattr(method, "name", method)
    described = {"method": name, **({"t_end": t_end} if "steps" not in chosen.settings else {}), **chosen.settings}
    described["frames"] = int(frames) if is_integer(frames) else _frame_times(frames, t_end)
    return chosen, RunInfo(energy, measure, t_end, described, int(seed))


def _run(integrator, info, times, observers, table, interruption):
    """Drive the flow through its frames; every exit goes through the observers' `finish`."""
    begin = time.perf_counter()
    with interruption.allowed():
        if info.past is None:
            state = integrator.start(info.measure.particles, info.t_end)
        else:
            state = integrator.resume(info.past.particles, info.past.memory)
    if not state.finite:
        raise InvalidInput("the energy or the velocity of the initial measure is NaN or infinite; scale it down")
    stop, started = None, []
    try:
        for observer in observers:
            observer.start(info)
            started.append(observer)
        if info.past is None:
            _frame(state, observers)
        try:
            for t_frame in times:
                while (stop := stop or interruption.stop) is None and state.t < t_frame:
                    with interruption.allowed():
                        new = integrator.step(state, t_frame)
                    state = new
                    stop = _watch(state, observers)
                if stop is not None:
                    break
                _frame(state, observers)
        except KeyboardInterrupt:
            stop = interruption.stop
        except StepTooSmallError:
            stop = Stop("step_too_small", _TOO_SMALL.format(t=state.t))
        except NotFiniteError:
            stop = Stop("diverged", _DIVERGED.format(t=state.t))
        if table.times[-1] < state.t:
            state = integrator.evaluate(state) if state.estimated else state
            _frame(state, observers)
        stop = stop or Stop("finished", f"reached t = {state.t:g}")
    except BaseException as error:
        stop = Stop("failed", f"{type(error).__name__}: {error}")
        raise
    finally:
        result = FlowResult(
            stop.status,
            stop.message,
            state.t,
            EmpiricalMeasure(state.theta, info.measure.layout),
            table.columns(),
            state.steps,
            state.rejected,
            state.evaluations,
            time.perf_counter() - begin,
        )
        with ExitStack() as closing:  # an observer that fails here keeps no other from finishing
            for observer in started:
                closing.callback(observer.finish, result)
    return result


_TOO_SMALL = (
    "at t = {t:.6g} the step size fell to the resolution of the time: loosen rtol, or look for a velocity that blows up"
)
_DIVERGED = "after t = {t:.6g} a step led to NaN or infinity; the last finite state is kept: take a smaller step"


def _watch(state, observers):
    shown = _shown(state)
    for observer in observers:
        stop = observer.watch(shown)
        if stop is not None:
            return stop
    return None


def _frame(state, observers):
    shown, observables = _shown(state), {}
    for observer in observers:
        observables.update(observer.measure(shown))
    for observer in observers:
        observer.record(shown, observables)


def _shown(state):
    """Return the state with read-only particles: what observers see."""
    theta = state.theta.view()
    theta.flags.writeable = False
    return replace(state, theta=theta)


class _Table(Observer):
    """Everything measured, in memory."""

    def __init__(self):
        self.times, self._rows = [], []

    def start(self, info):
        if info.past is not None:
            self.times = info.past.observables["time"].tolist()
            names = info.past.observables.keys() - {"time"}
            self._rows = [{name: info.past.observables[name][k] for name in names} for k in range(len(self.times))]

    def record(self, state, observables):
        self.times.append(state.t)
        self._rows.append(observables)

    def columns(self):
        names = dict.fromkeys(name for row in self._rows for name in row)
        columns = {name: np.array([row.get(name, np.nan) for row in self._rows]) for name in names}
        return {"time": np.array(self.times)} | columns


def _held_out(energy):
    if hasattr(energy, "teacher"):
        return [PopulationError(energy.pairs.constant), Overlaps()]
    data = getattr(energy, "data", None)
    return [TestError(energy.model, data.X_test, data.y_test)] if data is not None and data.n_test else []


def _check_arguments(energy, measure, seed):
    if not is_integer(seed, 0, 2**64 - 1):
        raise InvalidInput(f"seed = {seed!r}: valid are integers from 0 to below 2^64")
    if measure.layout != energy.layout:
        raise InvalidInput(
            f"the particles have {measure.layout.size} numbers each ({', '.join(measure.layout.names)}) and the energy "
            f"expects {energy.layout.size} ({', '.join(energy.layout.names)})"
        )
    energy.check(measure)


def _schedule(frames, info, controller):
    """Return the times of all frames after the initial one, the last at t_end."""
    end = info.t_end if info.past is None else info.past.t_end
    if end == info.t_end or not is_integer(frames):
        return controller.grid(_frame_times(frames, info.t_end), info.t_end)
    if min(abs(t - end) for t in controller.grid([end], info.t_end)) > 1e-9 * end:
        raise InvalidInput(f"t_end = {end:g} was no multiple of the step: the flow cannot go on beyond it")
    # the times that were planned, and beyond them times that grow at the same rate
    times = controller.grid(_frame_times(frames, end), end)
    rate = FIRST_FRAME ** (-1 / (frames - 1)) if frames > 1 else math.inf
    while times[-1] * rate < info.t_end:
        times.append(times[-1] * rate)
    return controller.grid(times, info.t_end)


def _frame_times(frames, t_end):
    if is_integer(frames):
        return log_spaced(t_end, frames).tolist()
    try:
        times = np.asarray(frames, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        times = np.empty(0)
    if times.ndim != 1 or times.size == 0 or not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
        raise InvalidInput(f"flow.frames = {frames!r}: valid are an integer from 1, or a list of increasing times")
    if times[0] <= 0 or times[-1] > t_end * (1 + 1e-12):
        raise InvalidInput(f"flow.frames = [{times[0]:g}, …, {times[-1]:g}]: valid are times in (0, t_end = {t_end:g}]")
    return times.tolist()
