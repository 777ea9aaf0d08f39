"""The flow: when it stops and how it says so, when it takes frames, and that the same run gives the same bits."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba.core.compiler_lock import global_compiler_lock

import particleflow as pf
from particleflow.observers import EnergyBalance


class Field:
    """An energy for tests: numbers x_i that move by a given velocity v(x), L what is wanted."""

    layout = pf.Layout((("x", ()),))

    def __init__(self, velocity, value=lambda x: 1.0):
        self.velocity, self.value, self.calls = velocity, value, 0

    def check(self, measure):
        pass

    def make_velocity(self, m):
        def velocity(theta, out):
            self.calls += 1
            out[...] = self.velocity(theta)
            return {"risk": float(self.value(theta))}

        return velocity

    def potential(self, theta, measure):
        return np.zeros(len(theta))

    def conserved(self, theta):
        return {}

    def describe(self):
        return {"model": {"kind": "field", "activation": "none"}, "energy": {"loss": "none", "kernel": "field"}}


def points(*x):
    return pf.EmpiricalMeasure(np.array(x, dtype=float)[:, None], Field.layout)


def network(activation="relu", *, n=12, d=2, m=6, seed=0, **options):
    rng = np.random.default_rng(seed)
    data = rng.normal(size=(n, d)), rng.normal(size=n)
    return pf.EmpiricalEnergy(pf.TwoLayer(activation), data, **options), pf.gaussian(m, d, rng=rng)


class Diary(pf.Observer):
    """Writes down everything it is shown."""

    def __init__(self):
        self.events, self.frames, self.steps, self.result = [], [], [], None

    def start(self, info):
        self.events.append("start")
        self.info = info

    def measure(self, state):
        return {"mine": float(state.t) ** 2}

    def record(self, state, observables):
        self.events.append("frame")
        self.frames.append((state.t, state.theta, observables))

    def watch(self, state):
        self.events.append("step")
        self.steps.append(state)

    def finish(self, result):
        self.events.append("finish")
        self.result = result


# --- frames -----------------------------------------------------------------------------------------------------------


def test_log_spaced_times():
    times = pf.log_spaced(200.0, 5)
    np.testing.assert_allclose(times, [0.02, 0.2, 2, 20, 200], rtol=1e-14)
    assert times[-1] == 200.0
    assert pf.log_spaced(3.0, 1).tolist() == [3.0]


@pytest.mark.parametrize("method", ["bs23", "dopri5"])
def test_adaptive_frames_are_hit_exactly(method):
    energy, measure = network("tanh")
    result = pf.solve(energy, measure, 3.0, method=method, frames=17)
    assert result.observables["time"].tolist() == [0.0, *pf.log_spaced(3.0, 17)]
    given = [0.1, 0.30000000000000004, 1 / 3, math.pi / 2]
    result = pf.solve(energy, measure, 3.0, method=method, frames=given)
    assert result.observables["time"].tolist() == [0.0, *given, 3.0]
    assert result.t == 3.0


@given(
    t_end=st.floats(1e-3, 1e3),
    step=st.floats(0.02, 3),
    fractions=st.lists(st.floats(1e-6, 1), min_size=1, max_size=6, unique=True),
)
def test_fixed_step_frames_lie_on_the_grid_of_steps(t_end, step, fractions):
    h = step * t_end
    wanted = sorted({fraction * t_end for fraction in fractions})
    diary = Diary()
    result = pf.solve(Field(np.ones_like), points(0.0), t_end, method="euler", step=h, frames=wanted, observers=[diary])
    times = result.observables["time"]
    assert (times[0], times[-1], result.t) == (0.0, t_end, t_end)
    assert (np.diff(times) > 0).all()
    assert set(times) <= {k * h for k in range(int(t_end / h) + 2)} | {t_end}
    # every time that was asked for has a frame within half a step, or at the end of the first or of the last step
    for t in wanted:
        assert np.abs(times - t).min() <= 0.5 * h * (1 + 1e-9) or t < h or t > t_end - h
    steps = np.diff([0.0, *(state.t for state in diary.steps)])
    np.testing.assert_allclose(steps[:-1], h, rtol=1e-9)
    assert 0 < steps[-1] <= h * (1 + 1e-9)
    assert result.steps == len(steps) == max(1, math.ceil(t_end / h - 1e-9))
    assert result.measure.particles.item() == pytest.approx(t_end, rel=1e-9)


def test_one_frame_is_the_end():
    result = pf.solve(Field(np.ones_like), points(1.0), 2.0, frames=1)
    assert result.observables["time"].tolist() == [0.0, 2.0]


def test_frames_below_half_a_step_are_taken_after_the_first():
    result = pf.solve(Field(np.ones_like), points(0.0), 1.0, method="heun", step=0.25, frames=[0.01, 0.02, 0.6])
    assert result.observables["time"].tolist() == [0.0, 0.25, 0.5, 1.0]


@pytest.mark.parametrize(
    "frames", [0, -1, 1.5, True, [], [0.0, 1.0], [0.5, 0.25], [0.5, 0.5], [0.5, math.nan], [3.0], [[0.1, 0.2]], None]
)
def test_bad_frames(frames):
    with pytest.raises(pf.InvalidInput, match=r"flow\.frames"):
        pf.solve(Field(np.ones_like), points(0.0), 2.0, frames=frames)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"t_end": 0.0}, "flow.t_end = 0.0"),
        ({"t_end": math.nan}, "flow.t_end = nan"),
        ({"t_end": "1"}, "flow.t_end = '1'"),
        ({"rtol": 0.0}, "flow.rtol = 0.0"),
        ({"rtol": math.nan}, "flow.rtol = nan"),
        ({"atol": -1.0}, "flow.atol = -1.0"),
        ({"method": "rk45"}, "euler, heun, rk4, bs23, dopri5"),
        ({"method": "euler"}, "flow.step is missing"),
        ({"method": "euler", "step": 0.0}, "flow.step = 0.0"),
        ({"method": "euler", "step": math.inf}, "flow.step = inf"),
        ({"step": 0.1}, "flow.step = 0.1"),
        ({"measure": pf.sphere(3, 2, rng=0)}, "3 numbers each"),
        ({"energy": Field(lambda x: np.nan * x)}, "velocity"),
        ({"energy": Field(np.ones_like, lambda x: np.inf)}, "energy"),
    ],
)
def test_bad_arguments(options, word, tmp_path):
    arguments = {"energy": Field(np.ones_like), "measure": points(0.0, 1.0), "t_end": 1.0}
    with pytest.raises(pf.InvalidInput) as caught:
        pf.solve(**arguments | options, file=tmp_path / "run.h5")
    assert word in str(caught.value)
    assert not list(tmp_path.iterdir())


# --- what observers see -----------------------------------------------------------------------------------------------


def test_the_order_of_events():
    diary = Diary()
    result = pf.solve(Field(np.ones_like), points(0.0), 1.0, method="euler", step=0.25, frames=[0.5], observers=[diary])
    assert diary.events == ["start", "frame", "step", "step", "frame", "step", "step", "frame", "finish"]
    assert [t for t, *_ in diary.frames] == [0.0, 0.5, 1.0]
    assert diary.info.t_end == 1.0
    assert diary.result is result
    assert result.observables["mine"].tolist() == [0.0, 0.25, 1.0]


def test_what_is_shown_cannot_be_changed_and_stays():
    energy, measure = network("tanh")
    diary = Diary()
    result = pf.solve(energy, measure, 1.0, frames=3, observers=[diary])
    np.testing.assert_array_equal(diary.frames[0][1], measure.particles)
    np.testing.assert_array_equal(diary.frames[-1][1], result.measure.particles)
    with pytest.raises(ValueError, match="read-only"):
        diary.frames[0][1][0, 0] = 1.0
    assert not np.array_equal(diary.frames[0][1], diary.frames[1][1])
    assert result.observables["energy"][-1] == pytest.approx(energy.value(result.measure.particles), rel=1e-12)


def test_frames_and_observers_do_not_change_a_fixed_step_flow():
    energy, measure = network("erf", strength=0.1)
    results = [
        pf.solve(energy, measure, 1.0, method="rk4", step=0.01, **options)
        for options in ({"frames": 1}, {"frames": 50, "observers": [Diary()], "progress": True})
    ]
    np.testing.assert_array_equal(*(result.measure.particles for result in results))


def test_test_error_is_that_of_the_held_out_rows():
    rng = np.random.default_rng(0)
    data = pf.dataset_from_arrays(rng.normal(size=(40, 2)), rng.normal(size=40), test_fraction=0.5, rng=1)
    energy, measure = pf.EmpiricalEnergy(pf.TwoLayer("relu"), data), pf.sphere(8, 2, rng=0)
    result = pf.solve(energy, measure, 1.0, frames=2)
    for theta, error in ((measure, "0"), (result.measure, "-1")):
        f = np.maximum(data.X_test @ theta["w"].T, 0) @ theta["a"] / 8
        expected = np.sum((f - data.y_test) ** 2) / np.sum(data.y_test**2)
        assert result.observables["test_error"][int(error)] == pytest.approx(expected, rel=1e-12)


def test_the_progress_bar_is_quiet_when_nobody_looks(capsys):
    pf.solve(Field(np.ones_like), points(0.0), 1.0, progress=True)
    assert capsys.readouterr() == ("", "")


# --- how flows stop ---------------------------------------------------------------------------------------------------


def test_finished():
    result = pf.solve(Field(lambda x: -x), points(1.0, 2.0), 3.0, rtol=1e-9)
    assert (result.status, result.ok, result.t) == ("finished", True, 3.0)
    np.testing.assert_allclose(result.measure.particles[:, 0], np.exp(-3.0) * np.array([1, 2]), rtol=1e-7)


def test_stationary():
    """With ẋ = −x the root mean square velocity falls to 1e-3 at t = log(1e3 · rms x_0)."""
    result = pf.solve(Field(lambda x: -x), points(1.0, -1.0), 1e3, observers=[pf.Stationary(1e-3)], rtol=1e-6)
    assert (result.status, result.ok) == ("stationary", True)
    speeds = np.sqrt(result.observables["dissipation"] / 2)
    assert speeds[-1] <= 1e-3 < speeds[-2]
    assert math.log(1e3) <= result.t < math.log(1e3) + 1
    assert result.observables["time"][-1] == result.t


def test_energy_rule():
    field = Field(lambda x: -x, lambda x: np.mean(x**2))
    result = pf.solve(field, points(1.0), 100.0, observers=[pf.EnergyBelow(0.25)], method="rk4", step=0.01)
    assert (result.status, result.ok) == ("finished", True)
    assert result.t == pytest.approx(math.log(2), abs=0.011)
    assert result.observables["energy"][-1] <= 0.25


def test_wall_clock():
    def slow(x):
        time.sleep(0.002)
        return -x

    begin = time.perf_counter()
    result = pf.solve(Field(slow), points(1.0), 1e9, method="euler", step=0.1, observers=[pf.WallClock(0.2)])
    assert (result.status, result.ok) == ("budget", True)
    assert 0.2 <= time.perf_counter() - begin < 2
    assert "0.2 s" in result.message
    assert result.observables["time"][-1] == result.t


def test_a_rule_of_the_user():
    class Enough(pf.Observer):
        def watch(self, state):
            return pf.Stop("budget", "ten steps are enough") if state.steps == 10 else None

    result = pf.solve(Field(np.ones_like), points(0.0), 9.0, method="euler", step=0.5, observers=[Enough()])
    assert (result.status, result.message, result.steps, result.t) == ("budget", "ten steps are enough", 10, 5.0)
    assert result.observables["time"][-1] == 5.0


def test_the_first_observer_that_stops_decides():
    rules = [pf.EnergyBelow(1.0), pf.Stationary(5.0)]
    assert pf.solve(Field(np.ones_like), points(0.0), 1.0, observers=rules).status == "finished"
    assert pf.solve(Field(np.ones_like), points(0.0), 1.0, observers=rules[::-1]).status == "stationary"


@pytest.mark.parametrize("rule", [pf.Stationary, pf.WallClock])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_bad_rules(rule, value):
    with pytest.raises(pf.InvalidInput, match=r"stop\."):
        rule(value)


# --- trouble ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["euler", "heun", "rk4"])
def test_a_huge_step_diverges_and_the_last_finite_frame_is_kept(method, tmp_path):
    energy, measure = network("linear")
    result = pf.solve(energy, measure, 1e9, method=method, step=1e3, frames=[1e6], file=tmp_path / "run.h5")
    assert (result.status, result.ok) == ("diverged", False)
    assert "smaller step" in result.message
    assert 0 <= result.t < 1e9
    with pf.open(tmp_path / "run.h5") as file:
        assert (file.status, file.message) == ("diverged", result.message)
        assert file.time[-1] == result.t
        np.testing.assert_array_equal(file.particles(-1).particles, result.measure.particles)
        assert all(np.isfinite(file.particles(k).particles).all() for k in range(len(file)))
    # one step of the same size from there is what went wrong
    assert math.isfinite(energy.value(result.measure.particles))


def poisoned(x):
    """ẋ = 1 up to x = 0.5, NaN beyond: to a rule that compares carelessly, NaN looks stationary."""
    return np.where(x <= 0.5, 1.0, np.nan)


@pytest.mark.parametrize("method", ["euler", "heun", "rk4"])
def test_nan_ends_as_diverged_never_as_stationary(method):
    rules = [pf.Stationary(0.5), pf.EnergyBelow(0.5)]
    result = pf.solve(Field(poisoned), points(0.0), 2.0, method=method, step=0.125, observers=rules)
    assert result.status == "diverged"
    assert result.measure.particles.item() == result.t <= 0.5
    assert all(np.isfinite(values).all() for values in result.observables.values())


@pytest.mark.parametrize("method", ["bs23", "dopri5"])
def test_nan_makes_adaptive_steps_too_small(method):
    result = pf.solve(Field(poisoned), points(0.0), 2.0, method=method, observers=[pf.Stationary(0.5)])
    assert (result.status, result.ok) == ("step_too_small", False)
    assert result.t == pytest.approx(0.5, abs=1e-9)
    assert result.measure.particles.item() <= 0.5
    assert result.observables["time"][-1] == result.t


def test_an_energy_that_becomes_nan_diverges_too():
    field = Field(np.ones_like, lambda x: np.nan if x.max() > 0.5 else 1.0)
    assert pf.solve(field, points(0.0), 2.0, method="euler", step=0.25).status == "diverged"
    assert pf.solve(field, points(0.0), 2.0).status == "step_too_small"


@pytest.mark.parametrize("method", ["bs23", "dopri5"])
def test_blow_up_is_found_where_it_happens(method):
    """ẋ = x² from x_0 = 1 is x = 1/(1 − t): nothing reaches t = 1."""
    result = pf.solve(Field(np.square), points(1.0), 2.0, method=method)
    assert result.status == "step_too_small"
    assert result.t == pytest.approx(1.0, abs=1e-3)
    assert "rtol" in result.message
    assert np.isfinite(result.measure.particles).all()


@pytest.mark.parametrize("speed", [math.nan, math.inf])
def test_a_speed_that_is_no_number_is_not_stationary(speed):
    assert pf.Stationary(1e300).watch(SimpleNamespace(estimated=False, speed=speed)) is None
    assert pf.EnergyBelow(1e300).watch(SimpleNamespace(estimated=False, energy=speed)) is None


MOMENTS = ("start", "measure", "record", "watch", "finish")


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_observer_that_fails(moment, tmp_path):
    class Failing(pf.Observer):
        count = 0

    def fail(self, *_):
        self.count += 1
        if self.count == 2 or moment in ("start", "finish"):
            raise RuntimeError("the observer fails")
        return {} if moment == "measure" else None

    setattr(Failing, moment, fail)
    first, last = Diary(), Diary()
    with pytest.raises(RuntimeError, match="the observer fails"):
        pf.solve(
            Field(np.ones_like),
            points(0.0),
            1.0,
            method="euler",
            step=0.25,
            frames=[0.25, 0.5, 0.75],
            observers=[first, Failing(), last],
            file=tmp_path / "run.h5",
        )
    assert first.events[-1] == "finish"
    if moment == "start":  # those after it never started, and there is nothing to store
        assert last.events == []
        assert not list(tmp_path.iterdir())
        return
    assert last.events[-1] == "finish"
    with pf.open(tmp_path / "run.h5") as file:
        assert file.status == ("finished" if moment == "finish" else "failed")
        assert file.time[0] == 0
        assert len(file) == {"measure": 1, "record": 1, "watch": 2, "finish": 5}[moment]
        if moment != "finish":
            assert "the observer fails" in file.message


def test_a_velocity_that_fails(tmp_path):
    def fail(x):
        if x.max() > 0.5:
            raise ZeroDivisionError("somewhere inside")
        return np.ones_like(x)

    diary = Diary()
    with pytest.raises(ZeroDivisionError):
        pf.solve(
            Field(fail), points(0.0), 1.0, frames=[0.25, 0.5], observers=[diary], file=tmp_path / "run.h5", rtol=1e-3
        )
    assert diary.result.status == "failed"
    with pf.open(tmp_path / "run.h5") as file:
        assert file.status == "failed"
        assert "somewhere inside" in file.message


# --- Euler is gradient descent ----------------------------------------------------------------------------------------


def gradient_descent(a, w, X, y, strength, activation, eta, steps):
    """Plain gradient descent on L(θ_1, …, θ_m) = (1/n) Σ (f − y)² + (λ/m) Σ |a_i|‖w_i‖, f = (1/m) Σ a_i σ(⟨w_i, x⟩)."""
    n, m = len(y), len(a)
    sigma, slope = {
        "relu": (lambda z: np.maximum(z, 0), lambda z: np.heaviside(z, 0)),
        "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    }[activation]
    for _ in range(steps):
        z = X @ w.T
        residual = sigma(z) @ a / m - y
        norm = np.sqrt((w**2).sum(axis=1))
        grad_a = 2 / (n * m) * sigma(z).T @ residual + strength / m * np.sign(a) * norm
        grad_w = 2 / (n * m) * a[:, None] * ((slope(z) * residual[:, None]).T @ X)
        grad_w += strength / m * (np.abs(a) / norm)[:, None] * w
        a, w = a - eta * grad_a, w - eta * grad_w
    return a, w


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("d", [2, 12])
def test_euler_is_gradient_descent(activation, d):
    energy, measure = network(activation, n=30, d=d, m=7, strength=0.02)
    eta, steps = 0.01, 300
    t_end = pf.flow_time(eta, steps, 7)
    assert t_end == pytest.approx(2 * eta * steps / 7, rel=1e-15)
    result = pf.solve(energy, measure, t_end, method="euler", step=2 * eta / 7, frames=5)
    X, y = energy.data.X, energy.data.y
    a, w = gradient_descent(measure["a"], measure["w"], X, y, 0.02, activation, eta, steps)
    assert result.steps == steps
    assert np.abs(a - measure["a"]).max() > 0.05  # it went somewhere
    np.testing.assert_allclose(result.measure["a"], a, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(result.measure["w"], w, rtol=1e-12, atol=1e-12)


def test_the_balance_is_what_it_says():
    """L = x² with ẋ = −x under Euler steps: everything in closed form."""
    field, h = Field(lambda x: -x, lambda x: np.mean(x**2)), 0.1
    result = pf.solve(field, points(1.0), 1.0, method="euler", step=h, frames=[0.1, 0.5])
    k = np.array([0, 1, 5, 10])
    x = (1 - h) ** k
    dissipated = np.array([2 * h * sum((1 - h) ** (2 * j) for j in range(end)) for end in k])
    np.testing.assert_allclose(result.observables["dissipation"], 2 * x**2, rtol=1e-12)
    np.testing.assert_allclose(result.observables["dissipated"], dissipated, rtol=1e-12)
    np.testing.assert_allclose(result.observables["balance"], x**2 + dissipated - 1, atol=1e-14)
    assert set(EnergyBalance().measure(SimpleNamespace(energy=1, parts={}, speed=2, dissipated=3, fallen=0))) == {
        "energy",
        "dissipation",
        "dissipated",
        "balance",
    }


# --- signals ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compiled():
    """Have what these flows call compiled already."""
    pf.solve(Field(np.ones_like), points(0.0), 1.0, method="euler", step=0.5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", ["velocity", "observer"])
@pytest.mark.usefixtures("compiled")
def test_signals_end_a_flow_with_everything_stored(number, where, tmp_path):
    def velocity(x):
        if where == "velocity" and x.max() > 0.5:
            os.kill(os.getpid(), number)
            time.sleep(10)  # interrupted at once
        return np.ones_like(x)

    class Signal(Diary):
        def watch(self, state):
            super().watch(state)
            if where == "observer" and state.steps == 5:
                os.kill(os.getpid(), number)

    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    diary, begin = Signal(), time.perf_counter()
    result = pf.solve(
        Field(velocity),
        points(0.0),
        1e9,
        method="euler",
        step=0.125,
        frames=[0.25, 1e9],
        observers=[diary],
        file=tmp_path / "run.h5",
    )
    assert time.perf_counter() - begin < 5
    assert (result.status, result.ok) == ("interrupted", False)
    assert {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}[number] in result.message
    # Euler takes its slope at the end of a step: the step to x = 0.625 is not complete
    assert result.t == (0.5 if where == "velocity" else 0.625)
    assert diary.events[-1] == "finish"
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
    with pf.open(tmp_path / "run.h5") as file:
        assert file.status == "interrupted"
        assert file.time.tolist() == [0.0, 0.25, result.t]
        assert file.particles(-1).particles.item() == result.t


@pytest.mark.usefixtures("compiled")
def test_signals_wait_for_the_compiler_only():
    """A kernel that is being compiled, or loaded, is finished; the step it is for is not."""

    def velocity(x):
        if x.max() > 0.5:
            with global_compiler_lock:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.1)
                compiled.append(True)
            time.sleep(10)
        return np.ones_like(x)

    compiled, begin = [], time.perf_counter()
    result = pf.solve(Field(velocity), points(0.0), 1e9, method="euler", step=0.125)
    assert time.perf_counter() - begin < 5
    assert compiled == [True]
    assert (result.status, result.t) == ("interrupted", 0.5)


def test_a_second_signal_does_not_disturb_the_storing(tmp_path):
    class Twice(pf.Observer):
        def measure(self, state):
            if state.t > 0:
                os.kill(os.getpid(), signal.SIGINT)
            return {}

    def velocity(x):
        if x.max() > 0.5:
            os.kill(os.getpid(), signal.SIGINT)
        return np.ones_like(x)

    result = pf.solve(
        Field(velocity), points(0.0), 9.0, method="euler", step=0.25, observers=[Twice()], file=tmp_path / "run.h5"
    )
    assert result.status == "interrupted"
    with pf.open(tmp_path / "run.h5") as file:
        assert (file.status, file.time[-1]) == ("interrupted", result.t)


def test_a_signal_before_the_first_step_leaves_nothing(tmp_path):
    def velocity(x):
        os.kill(os.getpid(), signal.SIGINT)
        return x

    with pytest.raises(KeyboardInterrupt):
        pf.solve(Field(velocity), points(1.0), 1.0, file=tmp_path / "run.h5")
    assert not list(tmp_path.iterdir())


def test_flows_in_other_threads_leave_signals_alone():
    results = []
    thread = threading.Thread(target=lambda: results.append(pf.solve(Field(lambda x: -x), points(1.0), 1.0)))
    thread.start()
    thread.join()
    assert results[0].status == "finished"


LONG = """
[data]
source = "teacher"
n = {n}
d = {d}
[model]
particles = {m}
[flow]
t_end = 1e9
"""


def wait_until(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"no {what} after {seconds} s"
        time.sleep(0.01)


def under_way(path):
    """Return whether another process writes a trajectory there; one may look at it all the time."""
    try:
        with pf.open(path) as file:
            return file.status == "running" and file.observables["time"][0] == 0
    except pf.TrajectoryError:  # no file yet, no frame yet, or one that is being written right now
        return False


@pytest.mark.parametrize(
    ("number", "size", "delay"),
    [
        (signal.SIGINT, {"n": 50, "d": 2, "m": 20}, 0.2),
        (signal.SIGTERM, {"n": 50, "d": 2, "m": 20}, 0.2),
        (signal.SIGTERM, {"n": 4000, "d": 50, "m": 3000}, 0.4),  # one velocity takes longer than the time allowed
    ],
    ids=["SIGINT", "SIGTERM", "SIGTERM in a big velocity"],
)
def test_signals_end_the_command_quickly(number, size, delay, tmp_path):
    pf.read_config(LONG.format(n=50, d=2, m=20), changes=["flow.t_end=50"]).run()  # what compiles is compiled now
    (tmp_path / "run.toml").write_text(LONG.format(**size))
    process = subprocess.Popen(
        [sys.executable, "-m", "particleflow.cli", "run", "run.toml", "-o", "run.h5"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    with process:
        try:
            wait_until(lambda: under_way(tmp_path / "run.h5"), "frame of a running flow")
            time.sleep(delay)
            begin = time.perf_counter()
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
            seconds = time.perf_counter() - begin
        finally:
            process.kill()  # whatever went wrong, no flow is left behind
    assert seconds < 2, f"{seconds:.2f} s"  # half a second on a machine that has nothing else to do
    assert (process.returncode, err) == (130, "")
    assert "interrupted" in out
    with pf.open(tmp_path / "run.h5") as file:
        assert file.status == "interrupted"
        assert file.time[-1] == file.checkpoint["t"]
        assert np.isfinite(file.particles(-1).particles).all()
        if size["n"] == 50:
            assert file.checkpoint["steps"] > 0
            assert file.time[-1] > 0


def test_kill_leaves_every_frame_that_was_taken(tmp_path):
    """SIGKILL comes right after a step, so it is known which frames there must be."""
    code = """
import os, signal, sys
import particleflow as pf

class Kill(pf.Observer):
    def watch(self, state):
        if state.steps == 7:
            os.kill(os.getpid(), signal.SIGKILL)

energy = pf.EmpiricalEnergy(pf.TwoLayer("tanh"), ([[1.0], [2.0]], [1.0, -1.0]))
times = [0.1 * k for k in range(1, 11)]
pf.solve(energy, pf.sphere(5, 1, rng=3), 1.0, method="euler", step=0.1, frames=times, observers=[Kill()], file="run.h5")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    energy = pf.EmpiricalEnergy(pf.TwoLayer("tanh"), ([[1.0], [2.0]], [1.0, -1.0]))
    measure = pf.sphere(5, 1, rng=3)
    with pf.open(tmp_path / "run.h5") as file:
        assert file.status == "running"
        assert "killed" in file.message
        np.testing.assert_array_equal(file.time, [0.1 * k for k in range(7)])
        for k in (0, 3, 6):
            expected = measure if k == 0 else pf.solve(energy, measure, 0.1 * k, method="euler", step=0.1).measure
            np.testing.assert_array_equal(file.particles(k).particles, expected.particles)
        assert len(file.observables["energy"]) == 7
        assert file.checkpoint["steps"] == 6
        np.testing.assert_array_equal(file.data.X, [[1.0], [2.0]])
    assert [path.name for path in tmp_path.iterdir()] == ["run.h5"]


# --- the same run gives the same bits ---------------------------------------------------------------------------------

SMALL = """
seed = 3
[data]
source = "teacher"
n = 300
d = 2
bias = true
[model]
particles = 200
[energy]
strength = 1e-2
[flow]
t_end = 2.0
frames = 3
"""
WIDE = """
seed = 4
[data]
source = "teacher"
n = 400
d = 30
teacher = { neurons = 300, activation = "relu" }
[model]
particles = 300
activation = "tanh"
[flow]
t_end = 0.5
frames = 3
"""


def test_the_same_bits_in_every_process_and_with_any_number_of_threads(tmp_path):
    (tmp_path / "small.toml").write_text(SMALL)
    (tmp_path / "wide.toml").write_text(WIDE)
    code = """
import sys
from particleflow.cli import main
for name in ("small", "wide"):
    assert main(["run", f"{name}.toml", "-o", f"{name}-{sys.argv[1]}.h5"]) == 0
"""
    for threads in ("1", "2"):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        subprocess.run(
            [sys.executable, "-c", code, threads],
            cwd=tmp_path,
            env=os.environ | dict.fromkeys(names, threads),
            stdout=subprocess.DEVNULL,
            timeout=300,
            check=True,
        )
    for name in ("small", "wide"):
        with pf.open(tmp_path / f"{name}-1.h5") as one, pf.open(tmp_path / f"{name}-2.h5") as two:
            assert one.fingerprint == two.fingerprint
            np.testing.assert_array_equal(one.time, two.time)
            for k in range(len(one)):
                np.testing.assert_array_equal(one.particles(k).particles, two.particles(k).particles)
            for quantity, values in one.observables.items():
                np.testing.assert_array_equal(values, two.observables[quantity], err_msg=quantity)
            counts = [
                {key: file.checkpoint[key] for key in ("steps", "rejected", "evaluations")} for file in (one, two)
            ]
            assert counts[0] == counts[1]


def test_every_blas_in_a_flow_has_one_thread():
    """The kernels use SciPy's BLAS, which may not even be loaded before the first velocity is made."""
    code = """
import numpy as np, particleflow as pf
from threadpoolctl import threadpool_info, threadpool_limits

class Threads(pf.Observer):
    def measure(self, state):
        counts = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
        assert set(counts) <= {1}, counts
        return {}

rng = np.random.default_rng(0)
energy = pf.EmpiricalEnergy(pf.TwoLayer("tanh"), (rng.normal(size=(30, 12)), rng.normal(size=30)))
pf.solve(energy, pf.sphere(9, 12, rng=0), 0.1, frames=2, observers=[Threads()])
"""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", code], env=environment, timeout=120, check=True)


@pytest.mark.parametrize("name", ["rtol", "atol"])
def test_fixed_steps_refuse_tolerances(name):
    with pytest.raises(pf.InvalidInput, match=rf"flow\.{name} = 0.001 does not apply to euler"):
        pf.solve(Field(lambda x: -x), points(1.0), 1.0, method="euler", step=0.1, **{name: 1e-3})
