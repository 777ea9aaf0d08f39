"""Curves in Wasserstein space, fitted rates, distinct neurons and comparisons, against closed forms."""

import json
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import linregress
from scipy.stats import t as student

import particleflow as pf
from particleflow.analysis import MOST_SECONDS
from particleflow.cli import main

KAPPA, SHIFT = 0.7, 3.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


def aggregation(path, *, m=12, shift=0.0, kappa=KAPPA, seed=0):
    """X_t = m̄ + e^{−κt}(X_0 − m̄): every particle goes straight to the mean (docs/mathematics.md)."""
    energy = pf.KernelEnergy(pf.quadratic_aggregation(kappa), 2)
    start = pf.gaussian(m, energy.layout, rng=seed)
    start = pf.EmpiricalMeasure(start.particles + np.array([shift, 0.0]), start.layout)
    frames = np.linspace(0.25, 4.0, 16).tolist()
    pf.solve(energy, start, 4.0, method="dopri5", rtol=1e-10, atol=1e-14, frames=frames, file=path)
    return path


@pytest.fixture(scope="module")
def flow(folder):
    with pf.open(aggregation(folder / "flow.h5")) as trajectory:
        yield trajectory


@pytest.fixture(scope="module")
def shifted(folder):
    with pf.open(aggregation(folder / "shifted.h5", shift=SHIFT)) as trajectory:
        yield trajectory


@pytest.fixture(scope="module")
def networks(folder):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (12, 1))
    data = pf.dataset_from_arrays(50 + 10 * x, 3 + np.abs(x[:, 0]), bias=True, standardize=True)
    paths = []
    for k, strength in enumerate((0.01, 0.1)):
        energy = pf.EmpiricalEnergy(pf.TwoLayer("tanh"), data, regularizer="squared-norm", strength=strength)
        paths.append(folder / f"network{k}.h5")
        pf.solve(energy, pf.sphere(10 - k, data.d, rng=k), 2.0, rtol=1e-4, frames=4, file=paths[-1])
    return paths


# --- distances --------------------------------------------------------------------------------------------------------


def test_the_distance_to_the_limit_decays_at_the_rate_of_the_exact_solution(flow):
    start = flow.particles(0).particles
    limit = np.tile(start.mean(axis=0), (flow.m, 1))
    distances = pf.distances_to(flow, limit)
    spread = np.sqrt(np.mean(np.sum((start - start.mean(axis=0)) ** 2, axis=1)))
    np.testing.assert_allclose(distances, spread * np.exp(-KAPPA * flow.time), rtol=1e-8)
    rate = pf.fit_rate(flow.time, distances)
    assert rate.rate == pytest.approx(KAPPA, rel=1e-6)
    assert rate.low <= rate.rate <= rate.high
    assert rate(0.0) == pytest.approx(spread, rel=1e-6)
    to_dirac = pf.distances_to(flow, limit[:1])  # one particle: a cloud of another size
    np.testing.assert_allclose(to_dirac, distances, rtol=1e-9)


def test_the_distance_to_the_last_frame_against_all_permutations(folder):
    with pf.open(aggregation(folder / "few.h5", m=5)) as few:
        found = pf.distances_to(few, frames=[0, 7, -1])
        end = few.particles(-1).particles
        for frame, distance in zip((0, 7, -1), found, strict=True):
            cloud = few.particles(frame).particles
            costs = [np.mean(np.sum((cloud - end[list(order)]) ** 2, axis=1)) for order in permutations(range(5))]
            assert distance == pytest.approx(np.sqrt(min(costs)), abs=1e-12)


def test_a_translated_run_stays_at_the_distance_of_its_translation(flow, shifted):
    time, distances = pf.distances_between(flow, shifted)
    np.testing.assert_array_equal(time, flow.time)
    np.testing.assert_allclose(distances, SHIFT, rtol=1e-8)


def test_only_common_times_are_compared(flow, folder):
    energy = pf.KernelEnergy(pf.quadratic_aggregation(KAPPA), 2)
    times = [0.1, 0.5, 0.6, 2.0]
    pf.solve(energy, flow.particles(0), 2.0, method="dopri5", rtol=1e-10, frames=times, file=folder / "other.h5")
    with pf.open(folder / "other.h5") as other:
        time, distances = pf.distances_between(flow, other)
    np.testing.assert_allclose(time, [0.0, 0.5, 2.0])
    np.testing.assert_allclose(distances, 0.0, atol=1e-7)


def test_the_matrix_of_distances_of_a_straight_curve(flow):
    frames = [0, 3, 9, 16]
    matrix = pf.distance_matrix(flow, frames)
    spread = matrix[0, 3] / (1 - np.exp(-KAPPA * flow.time[16]))
    factors = spread * np.exp(-KAPPA * flow.time[frames])
    np.testing.assert_allclose(matrix, np.abs(factors[:, None] - factors), atol=1e-8)


def test_on_a_torus_distances_are_geodesic(folder):
    energy = pf.KernelEnergy(pf.kuramoto(1.0), 1)
    start = pf.EmpiricalMeasure(np.array([[0.1], [2 * np.pi - 0.1]]), energy.layout)
    pf.solve(energy, start, 1.0, rtol=1e-8, frames=3, file=folder / "torus.h5")
    with pf.open(folder / "torus.h5") as torus:
        assert pf.distances_to(torus, start)[0] == 0.0
        assert pf.distances_to(torus, pf.EmpiricalMeasure(np.zeros((2, 1)), energy.layout))[0] == pytest.approx(0.1)
        with pytest.raises(pf.InvalidInput, match="periods"):
            pf.distances_to(torus, pf.EmpiricalMeasure(np.zeros((2, 1)), pf.Layout(torus.layout.blocks)))


def test_marginals_are_no_further_apart_than_the_whole(flow, shifted):
    whole = pf.distances_between(flow, shifted)[1]
    first = pf.distances_between(flow, shifted, of=lambda cloud: cloud["x"][:, 0])[1]
    second = pf.distances_between(flow, shifted, of=lambda cloud: cloud["x"][:, 1])[1]
    np.testing.assert_allclose(first, SHIFT, rtol=1e-8)
    np.testing.assert_allclose(second, 0.0, atol=1e-7)
    assert (np.maximum(first, second) <= whole * (1 + 1e-9)).all()


def test_laws_of_rows_along_a_flow():
    layout = pf.ThreeLayer(2, "tanh").layout(2)
    clouds = [pf.gaussian(6, layout, rng=seed) for seed in range(3)]
    flow = Frames(clouds)
    found = pf.distances_to(flow, of=lambda cloud: pf.row_measure(cloud, 1))
    np.testing.assert_allclose(found, [pf.w2(cloud["W"][:, 0], clouds[2]["W"][:, 0]) for cloud in clouds])
    assert found[0] > found[2] == 0.0


class Frames:
    """Clouds, read like a trajectory."""

    model = None

    def __init__(self, clouds):
        self._clouds, self.m, self.particles = clouds, clouds[0].m, clouds.__getitem__

    def __len__(self):
        return len(self._clouds)


def test_subsamples_keep_the_same_particles(flow, shifted):
    distances = pf.distances_between(flow, shifted, particles=5)[1]
    np.testing.assert_allclose(distances, SHIFT, rtol=1e-8)


def test_what_costs_too_much_is_refused_with_an_estimate(flow):
    m = 5000
    _, size = pf.transport_cost(m, m - 1, count=len(flow))
    assert size == 8 * m * (m - 1)
    assert pf.transport_cost(2 * m)[0] > pf.transport_cost(m)[0] > 0
    big = pf.gaussian(60_000, flow.layout, rng=0)
    with pytest.raises(pf.InvalidInput, match=r"60000 particles take about .* s and .* GiB: .*subsample"):
        pf.cloud_distance(big, big)
    assert pf.transport_cost(60_000)[0] > MOST_SECONDS
    assert pf.cloud_distance(big, big, particles=10) == 0.0


# --- length -----------------------------------------------------------------------------------------------------------


def test_the_length_of_a_straight_line(flow):
    length = pf.curve_length(flow)
    spread = pf.distances_to(flow, flow.particles(0).particles.mean(axis=0)[None])[0]
    travelled = spread * (1 - np.exp(-KAPPA * flow.time[-1]))
    assert length.length == pytest.approx(travelled, rel=1e-8)
    assert length.chord == pytest.approx(travelled, rel=1e-8)
    np.testing.assert_allclose(length.speed, KAPPA * spread * np.exp(-KAPPA * flow.time), rtol=1e-8)
    step = KAPPA * 0.25
    excess = step / 2 / np.tanh(step / 2) - 1  # the trapezoidal rule for e^{−κt}
    np.testing.assert_allclose(length.integrals, length.steps * (1 + excess), rtol=1e-7)
    assert (length.steps <= length.integrals).all()
    np.testing.assert_allclose(length.bounds, length.steps * np.sqrt(1 + excess), rtol=1e-7)


def test_a_bent_curve_is_longer_than_its_chord_and_shorter_than_the_integral_of_its_speed(networks):
    with pf.open(networks[0]) as run:
        length = pf.curve_length(run)
    assert length.chord < length.length < length.bounds.sum()
    assert (length.steps <= length.bounds * (1 + 1e-3)).all()


def test_noise_has_no_metric_speed(folder):
    energy = pf.KernelEnergy(pf.quadratic_aggregation(1.0), 1)
    options = {"method": "langevin", "step": 0.1, "temperature": 0.1, "frames": 2, "file": folder / "noise.h5"}
    pf.solve(energy, pf.gaussian(4, energy.layout, rng=0), 0.2, **options)
    with pf.open(folder / "noise.h5") as noisy, pytest.raises(pf.InvalidInput, match="langevin"):
        pf.curve_length(noisy)


# --- rates ------------------------------------------------------------------------------------------------------------


def test_rates_against_the_regression_of_scipy():
    rng = np.random.default_rng(0)
    t = np.geomspace(0.1, 10, 12)
    for law, s in (("exponential", t), ("power", np.log(t))):
        values = 2.0 * np.exp(-1.3 * s + 0.1 * rng.standard_normal(12))
        rate, line = pf.fit_rate(t, values, law=law, confidence=0.9), linregress(s, np.log(values))
        margin = student.ppf(0.95, 10) * line.stderr
        np.testing.assert_allclose([rate.rate, rate.low, rate.high], -line.slope + margin * np.array([0, -1, 1]))
        np.testing.assert_allclose(rate(t), np.exp(line.intercept + line.slope * s))


def test_intervals_hold_the_rate_as_often_as_they_say():
    rng, t = np.random.default_rng(1), np.linspace(0, 1, 6)
    rates = [pf.fit_rate(t, np.exp(-t + 0.2 * rng.standard_normal(6)), confidence=0.8) for _ in range(500)]
    assert np.mean([rate.low <= 1.0 <= rate.high for rate in rates]) == pytest.approx(0.8, abs=0.06)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([1, 2], [1, 1]), {}, "at least 3"),
        (([1, 2, 3], [1, 0, 1]), {}, "values has the value 0"),
        (([0, 2, 3], [1, 1, 1]), {"law": "power"}, "t has the value 0"),
        (([1, 1, 1], [1, 2, 3]), {}, "t = 1 throughout"),
        (([1, 2, 3], [1, 2, np.nan]), {}, "values"),
        (([1, 2, 3], [1, 2, 3]), {"law": "linear"}, "law = 'linear'"),
        (([1, 2, 3], [1, 2, 3]), {"confidence": 1}, "confidence = 1"),
    ],
)
def test_rates_that_cannot_be_fitted(arguments, options, message):
    with pytest.raises(pf.InvalidInput, match=message):
        pf.fit_rate(*arguments, **options)


# --- distinct neurons -------------------------------------------------------------------------------------------------


def test_neurons_of_one_direction_are_one_and_idle_ones_none():
    a = [2.0, -1.0, 3.0, 1e-9, 1.0]
    w = [[1, 1], [2, 2], [-1, -1], [1, 0], [1, 1.001]]
    cloud = pf.EmpiricalMeasure(np.column_stack([a, w]), pf.TwoLayer().layout(2))
    found = pf.effective_neurons(cloud, pf.TwoLayer("relu"))
    assert (found.count, found.criterion, found.labels.tolist()) == (2, "direction", [0, 0, 1, -1, 0])
    np.testing.assert_allclose(found.masses, np.array([2 - 2 + np.hypot(1, 1.001) / np.sqrt(2), 3]) * np.sqrt(2) / 5)
    assert pf.effective_neurons(cloud, pf.TwoLayer("tanh")).count == 5
    linear = pf.effective_neurons(cloud, pf.TwoLayer("linear"))
    assert linear.count == 1
    assert linear.masses[0] == pytest.approx(found.masses[0] - found.masses[1])


@pytest.mark.parametrize("activation", ["relu", "linear", "square"])
def test_distinct_neurons_make_the_same_function(activation):
    """Put back together from clusters of equal directions, the network is what it was."""
    rng = np.random.default_rng(3)
    directions = rng.standard_normal((3, 2))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    which, signs = rng.integers(0, 3, 20), rng.choice([-1, 1], 20) if activation != "relu" else np.ones(20)
    w = directions[which] * (signs * rng.uniform(0.5, 2, 20))[:, None]
    model = pf.TwoLayer(activation)
    cloud = pf.EmpiricalMeasure(np.column_stack([rng.standard_normal(20), w]), model.layout(2))
    found = pf.effective_neurons(cloud, model, tolerance=1e-6)
    first = [np.flatnonzero(found.labels == k)[0] for k in range(found.count)]
    small = np.column_stack([found.count * found.masses, w[first] / np.linalg.norm(w[first], axis=1, keepdims=True)])
    X = rng.standard_normal((9, 2))
    assert found.count == 3
    np.testing.assert_allclose(model.predict(small, X), model.predict(cloud.particles, X), atol=1e-4)


def test_points_are_clustered_by_distance_across_the_seam_of_a_torus():
    layout = pf.Layout((("x", (("coordinate", 1),)),), 1.0)
    cloud = pf.EmpiricalMeasure(np.array([[0.001], [0.999], [0.5], [-4.501]]), layout)
    found = pf.effective_neurons(cloud)
    assert (found.count, found.labels.tolist(), found.criterion) == (2, [0, 0, 1, 1], "distance")
    np.testing.assert_allclose(found.masses, 0.5)
    with pytest.raises(pf.InvalidInput, match="tolerance = 0"):
        pf.effective_neurons(cloud, tolerance=0)


# --- two runs ---------------------------------------------------------------------------------------------------------


def test_compare_two_networks(networks, capsys):
    assert main(["compare", *map(str, networks), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    with pf.open(networks[0]) as one, pf.open(networks[1]) as other:
        clouds = [run.particles(-1) for run in (one, other)]
        values = [
            run.model.predict(cloud.particles, one.data.X) for run, cloud in zip((one, other), clouds, strict=True)
        ]
        expected = one.data.y_scale * np.sqrt(np.mean((values[0] - values[1]) ** 2))
        grid = np.linspace(40, 60, 7)[:, None]
        f, g = pf.function_difference(one, other, grid)
        X = np.column_stack([(grid - one.data.x_mean) / one.data.x_scale, np.ones(7)])
        np.testing.assert_allclose(f, one.data.targets_in_units(one.model.predict(clouds[0].particles, X)))
        assert not np.allclose(f, g)
        assert result["runs"][1]["energy"] == other.observables["energy"][-1]
        with pytest.raises(pf.InvalidInput, match=r"\(n, 1\)"):
            pf.function_difference(one, other, [1.0, 2.0])
    assert result["w2"] == pf.w2(*clouds)
    assert result["w2_particles"] == [10, 9]
    assert result["function_difference"] == pytest.approx(expected)
    assert result["function_difference_relative"] == pytest.approx(expected / one.data.y_scale)
    assert result["configuration"] == {"energy.strength": [0.01, 0.1], "model.particles": [10, 9]}
    assert all(0 < run["effective_neurons"] <= run["particles"] for run in result["runs"])
    assert main(["compare", *map(str, networks)]) == 0
    text = capsys.readouterr().out
    assert "energy.strength" in text
    assert "W2 between the last clouds" in text


def test_compare_what_has_little_in_common(flow, networks, capsys):
    assert main(["compare", str(flow.path), str(networks[0])]) == 0
    text = capsys.readouterr().out
    assert "differ in kind: no W2" in text
    assert "it has no function to compare" in text
    assert main(["compare", str(flow.path), "missing.h5"]) == 2
    assert main(["compare", str(flow.path), str(flow.path), "--particles", "0"]) == 2
