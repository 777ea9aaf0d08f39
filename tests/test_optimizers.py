"""Training loops as methods of the flow, against steps by hand and, where it is installed, PyTorch."""

import importlib.util

import numpy as np
import pytest

import particleflow as pf


def problem(n=60, d=3, m=8, activation="tanh", strength=0.1):
    rng = np.random.default_rng(0)
    data = pf.dataset_from_arrays(rng.normal(size=(n, d)), rng.normal(size=n))
    energy = pf.EmpiricalEnergy(pf.TwoLayer(activation), data, strength=strength)
    return energy, pf.gaussian(m, d, rng=1)


def gradient(theta, X, y, strength):
    """∂L/∂θ of the tanh network with the path norm, in plain numpy."""
    m = len(theta)
    a, w = theta[:, 0], theta[:, 1:]
    h = np.tanh(X @ w.T)
    r = 2 * (h @ a / m - y) / len(y)
    norm = np.linalg.norm(w, axis=1)
    to_a = h.T @ r / m + strength / m * np.sign(a) * norm
    to_w = (a * (1 - h**2) * r[:, None]).T @ X / m + strength / m * (np.abs(a) / norm)[:, None] * w
    return np.column_stack([to_a, to_w])


def test_sgd_on_all_data_is_gradient_descent():
    energy, start = problem()
    theta = start.particles.copy()
    for _ in range(50):
        theta -= 0.3 * gradient(theta, energy.data.X, energy.data.y, 0.1)
    result = pf.solve(energy, start, method="sgd", learning_rate=0.3, steps=50)
    np.testing.assert_allclose(result.measure.particles, theta, rtol=1e-11)
    euler = pf.solve(energy, start, pf.flow_time(0.3, 50, 8), method="euler", step=pf.flow_time(0.3, 1, 8))
    np.testing.assert_allclose(result.measure.particles, euler.measure.particles, rtol=1e-12)
    assert result.t == pytest.approx(pf.flow_time(0.3, 50, 8))


def test_adam_by_hand():
    energy, start = problem(strength=0.0)  # smooth: nothing blows rounding errors up
    theta = start.particles.copy()
    first, second = np.zeros_like(theta), np.zeros_like(theta)
    for k in range(1, 201):
        g = gradient(theta, energy.data.X, energy.data.y, 0.0)
        first = 0.9 * first + 0.1 * g
        second = 0.999 * second + 0.001 * g**2
        theta -= 0.01 * (first / (1 - 0.9**k)) / (np.sqrt(second / (1 - 0.999**k)) + 1e-8)
    result = pf.solve(energy, start, method="adam", learning_rate=0.01, steps=200)
    np.testing.assert_allclose(result.measure.particles, theta, rtol=1e-9)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_adam_against_pytorch(activation):
    """1000 steps of the two-layer set-up of Lazarus 2022, §2.5.2, at a quarter of its data."""
    if importlib.util.find_spec("torch") is None:  # the steps by hand are tested above
        return
    torch = importlib.import_module("torch")
    model, m, rate, steps = pf.TwoLayer(activation), 50, 1e-3, 1000
    data, _ = pf.teacher_dataset(model, n=1000, d=100, neurons=10, rng=0)
    start = pf.gaussian(m, 100, rng=1)
    result = pf.solve(
        pf.EmpiricalEnergy(model, data, strength=0.1), start, method="adam", learning_rate=rate, steps=steps, frames=2
    )
    X, y = torch.from_numpy(data.X), torch.from_numpy(data.y)
    a, w = (torch.tensor(np.array(start[name]), requires_grad=True) for name in ("a", "w"))
    optimizer = torch.optim.Adam([a, w], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        f = getattr(torch, activation)(X @ w.T) @ a / m
        loss = ((f - y) ** 2).mean() + 0.1 * (a.abs() * w.norm(dim=1)).mean()
        loss.backward()
        optimizer.step()
    found, expected = result.measure.particles, torch.column_stack([a, w]).detach().numpy()
    assert np.linalg.norm(found - expected) <= 1e-9 * np.linalg.norm(expected)


@pytest.mark.parametrize("method", ["sgd", "adam"])
def test_mini_batches_go_through_all_data_once_an_epoch(method):
    energy, start = problem(n=10, m=4)
    seen, make = [], energy.make_batch_velocity

    def spy(m, size):
        velocity = make(m, size)

        def on_batch(rows, theta, out):
            seen.append(rows.copy())
            parts = velocity(rows, theta, out)
            expected = -2 * gradient(theta, energy.data.X[rows], energy.data.y[rows], 0.1)
            np.testing.assert_allclose(out, expected, rtol=1e-11, atol=1e-13)  # −∇G = −(m/2) ∂L/∂θ
            return parts

        return on_batch

    energy.make_batch_velocity = spy
    result = pf.solve(energy, start, method=method, learning_rate=0.1, steps=9, batch_size=3, seed=4)
    assert len(seen) == 9
    for epoch in range(3):
        rows = np.concatenate(seen[3 * epoch : 3 * epoch + 3])
        assert len(set(rows.tolist())) == 9  # one row is left over
    assert (seen[0] != seen[3]).any()
    assert result.observables["steps"].tolist()[-1] == 9
    # frames hold the energy on all data
    assert result.observables["energy"][-1] == pytest.approx(energy.value(result.measure.particles), rel=1e-13)


def test_the_seed_decides_the_batches_and_frames_do_not():
    energy, start = problem()
    run = {"method": "sgd", "learning_rate": 0.1, "steps": 40, "batch_size": 7}
    clouds = [
        pf.solve(energy, start, **run, seed=seed, frames=frames).measure.particles
        for seed, frames in ((0, 1), (0, 13), (1, 1))
    ]
    np.testing.assert_array_equal(clouds[0], clouds[1])
    assert (clouds[0] != clouds[2]).any()


def test_a_stopped_run_ends_with_the_energy_on_all_data():
    energy, start = problem()

    class Enough(pf.Observer):
        def watch(self, state):
            return pf.Stop("finished", "enough") if state.steps == 5 else None

    run = {"method": "adam", "learning_rate": 0.1, "steps": 40, "batch_size": 7, "frames": 1}
    result = pf.solve(energy, start, **run, observers=[Enough()])
    assert result.steps == 5
    assert result.observables["energy"][-1] == pytest.approx(energy.value(result.measure.particles), rel=1e-13)


def test_divergence_keeps_the_last_finite_particles():
    energy, start = problem(activation="square")
    result = pf.solve(energy, start, method="sgd", learning_rate=1e6, steps=100)
    assert result.status == "diverged"
    assert np.isfinite(result.measure.particles).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"t_end": 1.0}, r"flow\.t_end = 1\.0 does not apply to sgd, which counts flow\.steps"),
        ({"steps": None}, r"flow\.steps is missing: sgd takes"),
        ({"steps": 0}, r"flow\.steps = 0: valid are integers from 1"),
        ({"learning_rate": -1.0}, r"flow\.learning_rate = -1\.0"),
        ({"learning_rate": "fast"}, r"flow\.learning_rate = 'fast'"),
        ({"batch_size": 61}, r"flow\.batch_size = 61: valid are integers from 1 to the 60 rows"),
        ({"step": 0.1}, r"flow\.step = 0\.1 does not apply to sgd"),
    ],
)
def test_bad_input(arguments, words):
    energy, start = problem()
    with pytest.raises(pf.InvalidInput, match=words):
        pf.solve(energy, start, method="sgd", **({"learning_rate": 0.1, "steps": 3} | arguments))


def test_batches_need_data():
    energy = pf.KernelEnergy(pf.quadratic_aggregation(0.0, 1.0), 1)
    with pytest.raises(pf.InvalidInput, match=r"flow\.batch_size = 2: valid are none, for an energy without data"):
        pf.solve(
            energy, pf.EmpiricalMeasure([[1.0]], energy.layout), method="sgd", learning_rate=0.1, steps=3, batch_size=2
        )


# --- the energy-monotone safeguard ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["euler", "heun", "rk4"])
def test_the_safeguard_halves_steps_while_the_energy_rises(method):
    """F = −½λx²: Euler is unstable for h > 2/λ; halved until the energy falls, it comes to rest all the same."""
    energy = pf.KernelEnergy(pf.quadratic_aggregation(0.0, 1.0), 1)
    start = pf.EmpiricalMeasure([[1.0], [-2.0]], energy.layout)
    energies = []

    class Watch(pf.Observer):
        def watch(self, state):
            energies.append(state.energy)

    result = pf.solve(energy, start, 100.0, method=method, step=5.0, monotone=True, observers=[Watch()])
    assert result.status == "finished"
    assert result.t == 100.0
    assert (np.diff([5.0, *energies]) <= 1e-13).all()
    assert result.rejected > 0
    assert result.observables["energy"][-1] < 1e-3
    unguarded = pf.solve(energy, start, 100.0, method=method, step=5.0)
    assert not unguarded.observables["energy"][-1] < 5.0


def test_the_safeguard_changes_nothing_where_the_energy_falls():
    energy, start = problem()
    plain, guarded = (
        pf.solve(energy, start, 2.0, method="rk4", step=0.125, monotone=monotone) for monotone in (False, True)
    )
    np.testing.assert_array_equal(plain.measure.particles, guarded.measure.particles)
    assert guarded.rejected == 0


def test_the_safeguard_is_for_fixed_steps():
    energy, start = problem()
    with pytest.raises(pf.InvalidInput, match="its error estimate rejects steps already"):
        pf.solve(energy, start, 1.0, monotone=True)
    with pytest.raises(pf.InvalidInput, match=r"flow\.monotone = 1: valid are true or false"):
        pf.solve(energy, start, 1.0, method="euler", step=0.1, monotone=1)
