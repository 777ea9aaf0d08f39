"""Births: the lightest particles move where the certificate asks for them; energies, directions and balances agree."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import particleflow as pf
from particleflow.births import Births, reborn
from particleflow.cli import main
from particleflow.integrators.runge_kutta import RungeKutta
from particleflow.integrators.step_size import FixedStep, PIController
from particleflow.integrators.tableaus import TABLEAUS

LOSSES = ("squared", "logistic", "huber")


def problem(seed, loss="squared", d=2, activation="relu", strength=None):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((int(rng.integers(4, 30)), d))
    y, strength = rng.choice([-1.0, 1.0], len(X)), strength or 10 ** rng.uniform(-3, -1)
    return pf.EmpiricalEnergy(pf.TwoLayer(activation), (X, y), loss=loss, strength=strength)


def circle(count):
    t = 2 * np.pi * np.arange(count) / count
    return np.column_stack([np.cos(t), np.sin(t)])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("seed", range(12))
def test_the_energy_falls_by_what_is_said(loss, seed):
    energy, start = problem(seed, loss), pf.gaussian(12, 2, rng=seed)
    for count in (1, 3, 12):
        theta, moved, fall = reborn(energy, start.particles, count)
        assert fall >= 0
        assert len(moved) <= count
        before, after = energy.value(start.particles), energy.value(theta)
        assert after <= before * (1 + 1e-14)
        assert before - after == pytest.approx(fall, abs=1e-13 * before)
        stayed = np.setdiff1d(np.arange(12), moved)
        np.testing.assert_array_equal(theta[stayed], start.particles[stayed])
        np.testing.assert_array_equal(theta, pf.birth(energy, start, particles=count).particles)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("seed", range(6))
def test_the_lightest_particle_becomes_the_neuron_that_helps_most(loss, seed):
    """Direction and mass against a grid of the circle and a minimiser of SciPy."""
    energy, start = problem(seed, loss, strength=1e-3), pf.gaussian(9, 2, radius=0.3, rng=seed)
    theta, (moved,), _ = reborn(energy, start.particles, 1)
    weights = np.abs(start["a"]) * np.linalg.norm(start["w"], axis=1)
    assert moved == np.argmin(weights)
    a, w = theta[moved, 0], theta[moved, 1:]
    others = np.delete(start.particles, moved, axis=0)
    X, y = energy.data.X, energy.data.y
    f = np.maximum(X @ others[:, 1:].T, 0) @ others[:, 0] / 9
    q = -2 * energy.loss.half_derivative(f, y) / len(y)
    sums = q @ np.maximum(X @ circle(20_000).T, 0)
    response = np.maximum(X @ w, 0) / np.linalg.norm(w)
    assert np.sign(a) * (q @ response) >= np.abs(sums).max() * (1 - 1e-12)

    def cost(c):
        return np.mean(energy.loss.value(f + np.sign(a) * c * response, y)) + energy.strength * c

    best = minimize_scalar(cost, bounds=(0, 20), method="bounded", options={"xatol": 1e-9}).x
    assert abs(a) * np.linalg.norm(w) / 9 == pytest.approx(best, abs=1e-6)
    old = start.particles[moved]
    assert a**2 - w @ w == pytest.approx(old[0] ** 2 - old[1:] @ old[1:], abs=1e-12 * max(a**2, w @ w))


@pytest.mark.parametrize(("d", "activation"), [(1, "relu"), (3, "relu"), (6, "relu"), (4, "linear")])
def test_in_other_dimensions(d, activation):
    energy, start = problem(3, d=d, activation=activation), pf.sphere(10, d, rng=0)
    after = pf.birth(energy, start, particles=10)
    assert energy.value(after.particles) < energy.value(start.particles)


def test_at_the_minimum_nobody_moves():
    energy = problem(0)
    best = pf.global_minimum(energy.data, strength=energy.strength).network()
    theta, moved, fall = reborn(energy, best.particles, best.m)
    assert fall <= 1e-9 * energy.value(best.particles)
    np.testing.assert_allclose(energy.value(theta), energy.value(best.particles), rtol=1e-9)
    assert len(moved) <= 1


# --- along a flow -----------------------------------------------------------------------------------------------------


def stuck():
    """A start of one sign, which no flow can change: y needs both."""
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), ([[-1.0], [1.0]], [-2.0, 3.0]), strength=0.1)
    return energy, pf.one_signed(8, 1, rng=0), 0.1 * 5 - 0.1**2  # one atom each: ½(c − y)² + λc


def test_a_flow_that_is_stuck_is_freed():
    energy, start, least = stuck()
    plain = pf.solve(energy, start, 60.0)
    born = pf.solve(energy, start, 60.0, birth={"every": 10.0, "particles": 2})
    assert plain.observables["energy"][-1] > 2.0
    assert born.observables["energy"][-1] == pytest.approx(least, rel=1e-4)
    assert born.observables["births"][-1] >= 1
    assert (born.measure["a"] < 0).any()


@pytest.mark.parametrize(
    "settings", [{"rtol": 1e-7}, {"method": "rk4", "step": 0.01}, {"method": "euler", "step": 0.0025}]
)
def test_the_balance_holds_across_births(settings):
    energy, start = problem(5), pf.sphere(16, 2, rng=0)
    frames = [2.5, 5.0, 5.5, 10.0, 12.0]
    result = pf.solve(energy, start, 12.0, frames=frames, birth={"every": 5.0, "particles": 4}, **settings)
    observables = result.observables
    np.testing.assert_array_equal(observables["time"], [0.0, *frames])
    births, fall = observables["births"], observables["birth_fall"]
    assert list(births[:2]) == [0, 0]
    assert 0 < births[2] == births[3] <= 4 < births[4] <= 8
    assert np.all(np.diff(fall)[[1, 3]] > 0)
    assert np.all(np.diff(fall)[[0, 2, 4]] == 0)
    assert np.abs(observables["balance"]).max() < 0.1 * fall[-1]  # it would be seen if it were not accounted for
    assert np.abs(observables["a2_minus_w2_drift"]).max() < 0.1
    missing = observables["energy"] + observables["dissipated"] + fall - observables["energy"][0]
    np.testing.assert_allclose(observables["balance"], missing, atol=1e-14)


def test_the_same_run_gives_the_same_bits():
    energy, start = problem(6), pf.sphere(16, 2, rng=0)
    first, second = (pf.solve(energy, start, 12.0, rtol=1e-4, birth={"every": 4.0}) for _ in range(2))
    np.testing.assert_array_equal(first.measure.particles, second.measure.particles)
    assert first.observables["births"][-1] > 0


@pytest.mark.parametrize("controller", [PIController(1e-4, 1e-12), FixedStep(0.3)], ids=["adaptive", "fixed"])
def test_the_same_state_gives_the_same_next_state(controller):
    energy, start = problem(7), pf.sphere(16, 2, rng=0)

    def integrator():
        velocity, shape = energy.make_velocity(16), start.particles.shape
        inner = RungeKutta(TABLEAUS["dopri5"], controller, velocity, shape)
        return Births(energy, start, every=1.0, particles=2).along(inner, 1e9)

    solver, states = integrator(), []
    state = solver.start(start.particles, 9.0)
    while state.t < 4.5:
        states.append(state)
        state = solver.step(state, 9.0)
    times = [after.t for before, after in itertools.pairwise(states) if after.births > before.births]
    assert len(times) == 4
    np.testing.assert_allclose(times, [1.0, 2.0, 3.0, 4.0] if solver._integrator.adaptive else [1.2, 2.1, 3.0, 4.2])
    other = integrator()
    other.start(start.particles, 9.0)
    for before, after in list(itertools.pairwise(states))[::-3]:
        again = other.step(before, 9.0)
        np.testing.assert_array_equal(again.theta, after.theta)
        assert (again.t, again.births, again.energy, again.fallen) == (
            after.t,
            after.births,
            after.energy,
            after.fallen,
        )


def test_files_and_configurations(tmp_path, capsys):
    text = """
        data = { source = "teacher", n = 20, d = 2 }
        model = { particles = 10 }
        energy = { strength = 1e-2 }
        flow = { t_end = 3.0, rtol = 1e-3, frames = 3, birth = { every = 1.0, particles = 2 } }
    """
    config = pf.read_config(text)
    assert pf.read_config(config.to_toml()) == config
    result = config.run(tmp_path / "run.h5")
    with pf.open(tmp_path / "run.h5") as trajectory:
        assert trajectory.config["flow"]["birth"] == {"every": 1.0, "particles": 2}
        np.testing.assert_array_equal(trajectory.observables["births"], result.observables["births"])
        assert trajectory.observables["births"][-1] > 0
    assert main(["show", str(tmp_path / "run.h5")]) == 0
    assert "every 1 up to 2 births" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("flow.birth.every=0", "flow.birth = .*: valid are a table of every"),
        ("flow.birth={}", "flow.birth = .*: valid are a table of every"),
        ("flow.birth.particles=0", "flow.birth = .*: valid are a table of every"),
        ("flow.birth.often=1", "flow.birth = .*: valid are a table of every"),
        ("flow.birth.particles=11", "birth.particles = 11: valid are integers from 1 to the 10 particles"),
        ("energy.strength=0", "λ = 0"),
        ("model.activation=erf", "erf"),
        ("flow.method=langevin", "flow.birth = .* does not apply to langevin, which takes noise"),
    ],
)
def test_refusals(change, sentence):
    text = """
        data = { source = "teacher", n = 20, d = 2 }
        model = { particles = 10 }
        energy = { strength = 1e-2 }
        flow = { t_end = 1.0, birth = { every = 1.0 } }
    """
    changes = [change] + (["flow.step=0.1", "flow.temperature=0.1"] if "langevin" in change else [])
    with pytest.raises(pf.InvalidInput, match=sentence):
        pf.read_config(text, changes=changes).run()


def test_refusals_in_python():
    energy, start = problem(0), pf.sphere(4, 2, rng=0)
    for particles in (0, 5, 1.5):
        with pytest.raises(pf.InvalidInput, match=r"birth\.particles"):
            pf.birth(energy, start, particles=particles)
    with pytest.raises(pf.InvalidInput, match=r"birth\.every"):
        pf.solve(energy, start, 1.0, birth={"every": -1.0})
    with pytest.raises(pf.InvalidInput, match="valid are"):
        pf.solve(energy, start, 1.0, birth={"often": 1.0})
