"""The kernels that come with the package: finite differences, closed forms, identities and their names."""

import numpy as np
import pytest

import particleflow as pf
from particleflow.summary import summarize, to_text

SPIKES, MASSES = [0.2, 0.45, 0.8], [0.3, 0.9, -0.2]
TARGETS = np.random.default_rng(5).normal(size=(4, 2))
BUILT_IN = {
    "quadratic": (pf.quadratic_aggregation(1.3, 0.4), 3),
    "log-gas": (pf.log_gas(0.7, 0.5), 1),
    "newtonian": (pf.newtonian(2.0, 0.3), 2),
    "riesz": (pf.riesz(0.7, 1.3, 0.5), 3),
    "energy-distance": (pf.energy_distance_to_uniform(), 1),
    "kuramoto": (pf.kuramoto(0.8), 1),
    "gaussian-mmd": (pf.gaussian_mmd(TARGETS, 0.7, [1, 2, 3, 0]), 2),
    "dirichlet": (pf.dirichlet(3, SPIKES, MASSES, strength=0.1), 1),
}
PERIODS = {"kuramoto": 2 * np.pi, "dirichlet": 1.0}


@pytest.mark.parametrize(("kernel", "d"), BUILT_IN.values(), ids=BUILT_IN)
def test_built_in_kernels_pass_their_own_check(kernel, d):
    pf.check_kernel(kernel, d)


@pytest.mark.parametrize(("kernel", "d"), BUILT_IN.values(), ids=BUILT_IN)
def test_velocity_against_finite_differences_of_the_energy(kernel, d):
    energy = pf.KernelEnergy(kernel, d)
    theta = np.random.default_rng(0).uniform(0.05, 0.95, size=(7, d))
    velocity, out = energy.make_velocity(7), np.empty((7, d))

    def value(theta):
        return sum(velocity(theta, np.empty_like(theta)).values())

    velocity(theta, out)
    h = 1e-6
    for i, k in np.ndindex(theta.shape):
        step = np.zeros_like(theta)
        step[i, k] = h
        slope = (value(theta + step) - value(theta - step)) / (2 * h)
        assert out[i, k] == pytest.approx(-7 / 2 * slope, rel=1e-7, abs=2e-6)


@pytest.mark.parametrize("name", BUILT_IN)
def test_velocity_equals_the_pairwise_reference(name):
    kernel, d = BUILT_IN[name]
    theta = np.random.default_rng(0).normal(size=(7, d))
    out = np.empty_like(theta)
    parts = pf.KernelEnergy(kernel, d).make_velocity(7)(theta, out)
    np.testing.assert_allclose(out, pf.pairwise_velocity(kernel, theta), atol=1e-12)
    assert sum(parts.values()) == pytest.approx(pf.pairwise_energy(kernel, theta), rel=1e-13)


@pytest.mark.parametrize("name", [name for name in BUILT_IN if name != "energy-distance"])
def test_energy_balance_file_and_summary(name, tmp_path):
    kernel, d = BUILT_IN[name]
    energy = pf.KernelEnergy(kernel, d)
    start = pf.EmpiricalMeasure(np.random.default_rng(1).normal(size=(20, d)), energy.layout)
    energy.check(start)
    t_end = 0.02 if name == "dirichlet" else 2.0
    result = pf.solve(energy, start, t_end, rtol=1e-10, frames=4, file=tmp_path / "run.h5")
    assert np.abs(result.observables["balance"]).max() < 1e-8
    with pf.open(tmp_path / "run.h5") as trajectory:
        np.testing.assert_array_equal(trajectory.particles(-1)["x"], result.measure["x"])
        table, text = trajectory.config["energy"], to_text(summarize(trajectory))
    assert f"20 particles in dimension {d}" in text
    assert f"{name} kernel, {next(iter(table['parameters']))} " in text
    again = pf.build_kernel(table["kernel"], table["parameters"], d)
    np.testing.assert_array_equal(again.parameters, kernel.parameters)
    assert (again.constant, again.singular, again.period) == (kernel.constant, kernel.singular, kernel.period)


# --- closed forms and identities --------------------------------------------------------------------------------------


def test_maximum_mean_discrepancy_is_a_double_sum():
    h, weights, x = 0.7, np.array([1, 2, 3, 0]) / 6, np.random.default_rng(2).normal(size=(5, 2))
    points, masses = np.concatenate([x, TARGETS]), np.concatenate([np.full(5, 1 / 5), -weights])
    squares = ((points[:, None] - points) ** 2).sum(axis=2)
    assert pf.pairwise_energy(BUILT_IN["gaussian-mmd"][0], x) == pytest.approx(
        masses @ np.exp(-squares / (2 * h**2)) @ masses, rel=1e-13
    )
    assert pf.pairwise_energy(pf.gaussian_mmd(TARGETS, h), TARGETS) == pytest.approx(0, abs=1e-15)


def test_targets_on_the_line_are_a_list_of_numbers():
    line, column = pf.gaussian_mmd([0.0, 1.0], 0.5), pf.gaussian_mmd([[0.0], [1.0]], 0.5)
    np.testing.assert_array_equal(line.parameters, column.parameters)
    assert line.dimension == 1


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0, 3.5])
def test_second_moment_of_the_riesz_gas(exponent):
    """M2' = s I − 2λM2 with I = ∬ K, since x·∇ multiplies r^{−s} by −s (the virial), and L = I + λM2."""
    rate, theta = 0.4, np.random.default_rng(3).normal(size=(9, 3))
    out = np.empty_like(theta)
    parts = pf.KernelEnergy(pf.riesz(0.7, exponent, rate), 3).make_velocity(9)(theta, out)
    moment = np.mean(np.sum(theta**2, axis=1))
    growth = 2 * np.mean(np.sum(theta * out, axis=1))
    assert growth == pytest.approx(exponent * parts["interaction"] - 2 * rate * moment, rel=1e-12)
    assert parts["field"] == pytest.approx(rate * moment, rel=1e-13)


def test_the_riesz_gas_at_rest_shares_its_energy_by_the_virial():
    exponent, rate = 1.5, 0.5
    energy = pf.KernelEnergy(pf.riesz(1.0, exponent, rate), 2)
    result = pf.solve(energy, pf.gaussian(12, energy.layout, rng=0), 200.0, rtol=1e-8, frames=1)
    last = {name: values[-1] for name, values in result.observables.items()}
    assert exponent * last["interaction"] == pytest.approx(2 * last["field"], rel=1e-6)


def test_a_small_exponent_is_the_log_gas():
    theta, out = np.random.default_rng(4).normal(size=(2, 6, 2))
    limit = np.empty_like(out)
    pf.KernelEnergy(pf.riesz(0.7, 1e-9, 0.4), 2).make_velocity(6)(theta, out)
    pf.KernelEnergy(pf.log_gas(0.7, 0.4), 2).make_velocity(6)(theta, limit)
    np.testing.assert_allclose(out, limit, rtol=1e-7)


@pytest.mark.parametrize("order", [1, 3, 8, 40])
def test_dirichlet_kernel(order):
    kernel = pf.dirichlet(order, [0.0])
    u = np.linspace(-0.9, 0.9, 37)[:, None] + 0.01
    found = kernel.K(u, np.zeros((1, 1)))[:, 0]
    np.testing.assert_allclose(found, np.sin((2 * order + 1) * np.pi * u[:, 0]) / np.sin(np.pi * u[:, 0]), atol=1e-11)
    cosines = 1 + 2 * np.cos(2 * np.pi * u * np.arange(1, order + 1)).sum(axis=1)
    np.testing.assert_allclose(found, cosines, atol=1e-11)
    assert kernel.K(np.zeros((1, 1)), np.ones((1, 1)))[0, 0] == pytest.approx(2 * order + 1, rel=1e-13)


def test_dirichlet_energy_compares_fourier_coefficients():
    order, strength, x = 3, 0.1, np.random.default_rng(6).uniform(size=(6, 1))
    frequencies = 2j * np.pi * np.arange(-order, order + 1)
    ours = np.exp(frequencies * x).mean(axis=0)
    theirs = np.exp(frequencies * np.array(SPIKES)[:, None]).T @ MASSES
    truth = np.sum(np.abs(ours - theirs) ** 2) + strength
    assert pf.pairwise_energy(BUILT_IN["dirichlet"][0], x) == pytest.approx(truth, rel=1e-13)


# --- the torus --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILT_IN)
def test_layouts_know_the_period(name):
    kernel, d = BUILT_IN[name]
    assert pf.KernelEnergy(kernel, d).layout.period == kernel.period == PERIODS.get(name)


@pytest.mark.parametrize("name", PERIODS)
def test_a_particle_moved_by_a_period_changes_no_velocity(name):
    kernel, d = BUILT_IN[name]
    energy = pf.KernelEnergy(kernel, d)
    theta = pf.uniform(7, energy.layout, rng=0).particles.copy()
    out, moved = np.empty_like(theta), np.empty_like(theta)
    velocity = energy.make_velocity(7)
    parts = velocity(theta, out)
    theta[3] += 2 * kernel.period
    again = velocity(theta, moved)
    np.testing.assert_allclose(moved, out, atol=1e-12)
    assert again == pytest.approx(parts, abs=1e-12)


# --- by name ----------------------------------------------------------------------------------------------------------


def test_every_kernel_has_a_name_and_an_entry():
    assert set(pf.PAIR_KERNELS) == set(BUILT_IN)
    for name, (kernel, _) in BUILT_IN.items():
        entry = pf.PAIR_KERNELS[name]
        assert kernel.describe()["kernel"] == name
        assert set(kernel.describe()["parameters"]) <= set(entry.parameters)
        assert entry.period == kernel.period
        assert entry.dimension in (None, kernel.dimension)


LOG_GAS = {"repulsion": 0.8, "confinement": 0.6}
BAD = [
    (
        "loggas",
        {},
        1,
        r"^energy\.kernel = 'loggas' is unknown; valid: quadratic, energy-distance, riesz, newtonian, log-gas",
    ),
    (
        "log-gas",
        {"repulsion": 1.0},
        1,
        r"^energy\.parameters\.confinement is missing: log-gas takes repulsion, confinement$",
    ),
    ("log-gas", LOG_GAS | {"g": 1}, 1, r"^energy\.parameters\.g is unknown: log-gas takes repulsion, confinement$"),
    ("log-gas", LOG_GAS | {"repulsion": "1"}, 1, r"^energy\.parameters\.repulsion = '1': valid are finite numbers$"),
    ("log-gas", LOG_GAS | {"repulsion": True}, 1, r"^energy\.parameters\.repulsion = True: valid are finite numbers$"),
    ("kuramoto", {"coupling": np.nan}, 1, r"^energy\.parameters\.coupling = nan: valid are finite numbers$"),
    ("kuramoto", {"coupling": 1.0}, 2, "^d = 2: valid is 1, the dimension of the kuramoto kernel$"),
    ("newtonian", {"charge": 1.0, "confinement": 1.0}, 1, "^d = 1: valid is 2, the dimension of the newtonian kernel$"),
    ("energy-distance", {"x": 1}, 1, r"^energy\.parameters\.x is unknown: energy-distance takes none$"),
    ("quadratic", {"attraction": 1.0}, 0, "^d = 0: valid are integers from 1$"),
    ("energy-distance", {}, 3, "^d = 3: valid is 1, the dimension of the energy-distance kernel$"),
    ("riesz", LOG_GAS | {"exponent": 0}, 1, r"^energy\.parameters\.exponent = 0: valid are finite numbers above 0$"),
    (
        "gaussian-mmd",
        {"targets": [[1.0, 2.0]], "bandwidth": 1.0},
        3,
        "^d = 3: valid is 2, the dimension of the gaussian-mmd",
    ),
    (
        "gaussian-mmd",
        {"targets": [1.0], "bandwidth": 0.0},
        1,
        r"^energy\.parameters\.bandwidth = 0\.0: valid .* above 0$",
    ),
    (
        "gaussian-mmd",
        {"targets": [], "bandwidth": 1.0},
        1,
        r"^energy\.parameters\.targets has shape \(0,\): valid .* not empty$",
    ),
    (
        "gaussian-mmd",
        {"targets": [[1], [1, 2]], "bandwidth": 1.0},
        1,
        r"^energy\.parameters\.targets: valid are .* one length$",
    ),
    (
        "gaussian-mmd",
        {"targets": [1.0], "bandwidth": 1.0, "weights": [1, 1]},
        1,
        r"^energy\.parameters\.weights has 2 numbers: valid are 1",
    ),
    (
        "gaussian-mmd",
        {"targets": [1.0], "bandwidth": 1.0, "weights": [-1]},
        1,
        r"^energy\.parameters\.weights: valid are numbers from 0",
    ),
    (
        "dirichlet",
        {"order": 1.5, "targets": [0.5]},
        1,
        r"^energy\.parameters\.order = 1\.5: valid are integers from 1$",
    ),
    (
        "dirichlet",
        {"order": 8, "targets": [np.inf]},
        1,
        r"^energy\.parameters\.targets holds a value that is NaN or infinite$",
    ),
    (
        "dirichlet",
        {"order": 8, "targets": [0.5], "masses": [1.0, 2.0]},
        1,
        r"^energy\.parameters\.masses has 2 numbers",
    ),
]


@pytest.mark.parametrize(("name", "parameters", "d", "sentence"), BAD)
def test_what_cannot_be_built_says_so_in_one_sentence(name, parameters, d, sentence):
    with pytest.raises(pf.InvalidInput, match=sentence) as error:
        pf.build_kernel(name, parameters, d)
    assert "\n" not in str(error.value)
