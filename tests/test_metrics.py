"""The conic metric: weighted points and two-layer neurons against independent integrations, balances, retractions."""

import numpy as np
import pytest
from numba import njit
from scipy.integrate import solve_ivp

import particleflow as pf
from particleflow.summary import summarize, to_text

ORDER, TARGETS, MASSES, STRENGTH = 3, np.array([0.1, 0.45, 0.8]), np.array([1.0, -0.7, 0.4]), 0.2


def spikes(metric=None):
    return pf.ConicEnergy(pf.dirichlet(ORDER, TARGETS, MASSES), 1, strength=STRENGTH, metric=metric)


def start(energy, m=8):
    """Particles on a grid, of both signs."""
    r = np.where(np.arange(m) % 2, -0.6, 0.7)
    return pf.EmpiricalMeasure.from_blocks(energy.layout, r=r, x=(np.arange(m)[:, None] + 0.25) / m)


def by_fourier(theta, alpha, beta):
    """Return the velocity and L by Fourier coefficients: L = Σ_{|k| ≤ n} |ν̂_k − ρ̂_k|² + λ|ν|."""
    r, x = theta.reshape(-1, 2).T
    k = np.arange(-ORDER, ORDER + 1)
    waves = np.exp(-2j * np.pi * np.outer(k, x))
    gap = waves @ (r * np.abs(r)) / len(r) - np.exp(-2j * np.pi * np.outer(k, TARGETS)) @ MASSES
    g = np.sign(r) * (waves.conj().T @ gap).real + STRENGTH / 2
    slope = np.sign(r) * ((2j * np.pi * k[:, None] * waves.conj().reshape(len(k), -1)).T @ gap).real
    L = np.sum(np.abs(gap) ** 2) + STRENGTH * np.mean(r**2)
    return np.column_stack([-2 * alpha * r * g, -beta * slope]), L


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.02), (0.5, 0.0), (0.0, 0.05)])
def test_weighted_points_follow_the_equations_of_the_conic_flow(alpha, beta):
    energy = spikes(pf.ConicMetric(masses=alpha, positions=beta))
    first = start(energy)
    exact = solve_ivp(
        lambda t, theta: by_fourier(theta, alpha, beta)[0].ravel(),
        (0, 0.5),
        first.particles.ravel(),
        rtol=1e-12,
        atol=1e-13,
    ).y[:, -1]
    result = pf.solve(energy, first, 0.5, rtol=1e-10)
    assert np.abs(result.measure.particles.ravel() - exact).max() < 1e-8
    found = result.observables
    assert found["energy"][-1] == pytest.approx(by_fourier(exact, alpha, beta)[1], abs=1e-9)
    assert np.abs(found["balance"]).max() < 1e-8 * found["energy"][0]
    assert found["energy"][-1] < found["energy"][0]


def test_the_balance_closes_at_the_tolerance():
    found = pf.solve(spikes(pf.ConicMetric(1.0, 0.02)), start(spikes(), 20), 2.0, rtol=1e-9).observables
    assert np.abs(found["balance"]).max() <= 1e-8 * found["energy"][0]


def test_the_potential_is_half_the_first_variation():
    """L[ν + ε δ] for one more particle: dL/dε = 2G, by a difference in its mass."""
    energy, m = spikes(), 6
    measure = start(energy, m)
    for r, x in ((0.5, 0.3), (-0.4, 0.9)):

        def value(share, r=r, x=x):  # a particle that adds the mass share·r² to ν
            theta = np.vstack([measure.particles * np.sqrt((m + 1) / m, where=[True, False], out=np.ones(2)), [0, x]])
            theta[-1, 0] = r * np.sqrt((m + 1) * share)
            return sum(energy.make_velocity(m + 1)(theta, np.empty_like(theta)).values())

        slope = (value(1e-6) - value(0.0)) / 1e-6
        assert slope == pytest.approx(2 * energy.potential(np.array([[r, x]]), measure)[0], abs=1e-4)


# --- retractions ------------------------------------------------------------------------------------------------------


def test_both_retractions_by_hand():
    """One step: r ← r(1 − 2ατg) and r ← r e^{−2ατg}, x ← x − βτ∇g both times."""
    energy = spikes(pf.ConicMetric(1.0, 0.01))
    first = start(energy)
    velocity, _ = by_fourier(first.particles, 1.0, 0.01)
    for method, r in (
        ("euler", first["r"] + 0.01 * velocity[:, 0]),
        ("mirror", first["r"] * np.exp(0.01 * velocity[:, 0] / first["r"])),
    ):
        end = pf.solve(energy, first, 0.01, method=method, step=0.01).measure
        np.testing.assert_allclose(end["r"], r, rtol=1e-12)
        np.testing.assert_allclose(end["x"][:, 0], first["x"][:, 0] + 0.01 * velocity[:, 1], rtol=1e-12)


def test_mirror_descent_is_of_first_order_keeps_signs_and_leaves_empty_particles_alone():
    energy = spikes(pf.ConicMetric(1.0, 0.01))
    first = start(energy).push_forward(lambda theta: np.where(np.arange(8)[:, None] == 3, [0.0, 0.4], theta))
    exact = pf.solve(energy, first, 0.2, rtol=1e-11).measure.particles
    ends = [pf.solve(energy, first, 0.2, method="mirror", step=h).measure.particles for h in (0.004, 0.002, 0.001)]
    errors = [np.abs(end - exact).max() for end in ends]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.1)
    assert np.log2(errors[1] / errors[2]) == pytest.approx(1, abs=0.1)
    far = pf.solve(energy, first, 3.0, method="mirror", step=0.5).measure  # much too long a step
    assert np.array_equal(np.sign(far["r"]), np.sign(first["r"])) and far["r"][3] == 0


# --- two-layer networks -----------------------------------------------------------------------------------------------


@njit
def ray_field(x, parameters, gradient):
    """(1/n) Σ_j y_j ⟨ŵ, x_j⟩ for ŵ = (cos φ, sin φ); parameters: n, the first and second coordinates, the targets."""
    n = int(parameters[0])
    value, gradient[0] = 0.0, 0.0
    for j in range(n):
        along = np.cos(x[0]) * parameters[1 + j] + np.sin(x[0]) * parameters[1 + n + j]
        across = -np.sin(x[0]) * parameters[1 + j] + np.cos(x[0]) * parameters[1 + n + j]
        value += parameters[1 + 2 * n + j] * along / n
        gradient[0] += parameters[1 + 2 * n + j] * across / n
    return value


@njit
def ray_interaction(x, y, parameters, gradient):
    """(1/n) Σ_j ⟨ŵ, x_j⟩⟨ŵ', x_j⟩."""
    n = int(parameters[0])
    value, gradient[0] = 0.0, 0.0
    for j in range(n):
        other = np.cos(y[0]) * parameters[1 + j] + np.sin(y[0]) * parameters[1 + n + j]
        value += (np.cos(x[0]) * parameters[1 + j] + np.sin(x[0]) * parameters[1 + n + j]) * other / n
        gradient[0] += (-np.sin(x[0]) * parameters[1 + j] + np.cos(x[0]) * parameters[1 + n + j]) * other / n
    return value


@pytest.mark.parametrize("rates", [(0.5, 1.0), (2.0, 0.3)])
def test_balanced_neurons_are_weighted_points_of_the_circle(rates):
    """|a| = ‖w‖ = r: the network at the rates α, β is the conic flow of (r, φ), to which it shares no velocity."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5, 2)), rng.normal(size=5)
    m, metric = 6, pf.ConicMetric(*rates)
    r, phi = np.where(np.arange(m) % 2, -0.5, 0.8), rng.uniform(0, 2 * np.pi, m)
    kernel = pf.PairKernel(
        ray_field, ray_interaction, parameters=np.concatenate([[5], *X.T, y]), constant=np.mean(y**2)
    )
    conic = pf.ConicEnergy(kernel, 1, strength=0.1, metric=metric)
    points = pf.solve(conic, pf.EmpiricalMeasure.from_blocks(conic.layout, r=r, x=phi[:, None]), 1.0, rtol=1e-10)
    network = pf.EmpiricalEnergy(pf.TwoLayer("linear"), (X, y), strength=0.1, metric=metric)
    theta = np.column_stack([r, np.abs(r) * np.cos(phi), np.abs(r) * np.sin(phi)])
    neurons = pf.solve(network, pf.EmpiricalMeasure(theta, network.layout), 1.0, rtol=1e-10)
    r, phi = points.measure["r"], points.measure["x"][:, 0]
    end = np.column_stack([r, np.abs(r) * np.cos(phi), np.abs(r) * np.sin(phi)])
    assert np.abs(neurons.measure.particles - end).max() < 1e-8
    for name in ("energy", "dissipation"):
        np.testing.assert_allclose(neurons.observables[name], points.observables[name], rtol=1e-7)
    assert np.abs(neurons.observables["balance"]).max() < 1e-8 and neurons.observables["a2_minus_w2_drift"][-1] < 1e-8


def test_the_rates_one_half_and_one_are_the_euclidean_metric_also_along_kinks():
    t = np.linspace(-1, 1, 7)
    X, y = np.column_stack([t, np.ones(7)]), np.sin(3 * t)
    ends = []
    for metric in (None, pf.ConicMetric(0.5, 1.0)):
        energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y), strength=0.05, metric=metric)
        ends.append(pf.solve(energy, pf.circle_grid(40), 2.0, rtol=1e-8))
    assert ends[0].observables["sliding"][-1] > 0
    for name in ("sliding", "energy", "dissipation"):
        np.testing.assert_allclose(ends[1].observables[name], ends[0].observables[name], rtol=1e-5)


@pytest.mark.parametrize("rates", [(2.0, 0.5), (0.25, 3.0), (1.0, 0.0), (0.0, 1.0)])
def test_the_balance_of_relu_networks_closes_at_any_rates(rates):
    t = np.linspace(-1, 1, 7)
    X, y = np.column_stack([t, np.ones(7)]), np.sin(3 * t)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y), strength=0.05, metric=pf.ConicMetric(*rates))
    found = pf.solve(energy, pf.circle_grid(40), 4.0, rtol=1e-6).observables
    assert found["energy"][-1] < 0.9 * found["energy"][0]

    assert np.abs(found["balance"]).max() < 1e-5 * found["energy"][0]


# --- what is refused --------------------------------------------------------------------------------------------------


def test_metrics_that_make_no_sense_are_refused():
    for rates, words in (
        ((-1.0, 1.0), r"^energy.metric.masses = -1.0: valid are finite numbers from 0$"),
        ((1.0, np.inf), r"^energy.metric.positions = inf: valid"),
        ((0.0, 0.0), r"^energy.metric.masses and energy.metric.positions are both 0: nothing would move$"),
    ):
        with pytest.raises(pf.InvalidInput, match=words):
            pf.ConicMetric(*rates)
    with pytest.raises(pf.InvalidInput, match=r"^energy.metric is not defined for the three-layer model"):
        pf.EmpiricalEnergy(pf.ThreeLayer(2), ([[1.0]], [1.0]), metric=pf.ConicMetric())
    with pytest.raises(pf.InvalidInput, match=r"^energy.strength = -1: valid"):
        pf.ConicEnergy(pf.dirichlet(2, [0.0]), 1, strength=-1)


@pytest.mark.parametrize("method", ["sgd", "adam", "langevin"])
def test_methods_that_know_no_metric_say_so(method):
    settings = {"step": 0.1, "temperature": 0.1} if method == "langevin" else {"learning_rate": 0.1, "steps": 3}
    t_end = 1.0 if method == "langevin" else None
    words = rf"^flow.method = '{method}' does not go with energy.metric; valid: .*dopri5, mirror$"
    with pytest.raises(pf.InvalidInput, match=words):
        pf.solve(spikes(), start(spikes()), t_end, method=method, **settings)


def test_mirror_descent_needs_weights():
    energy = pf.KernelEnergy(pf.dirichlet(2, [0.0]), 1)
    with pytest.raises(pf.InvalidInput, match=r"^flow.method = \"mirror\" needs weighted points \(r, x\)"):
        pf.solve(energy, pf.uniform(4, energy.layout, rng=0), 1.0, method="mirror", step=0.1)


# --- configurations and files -----------------------------------------------------------------------------------------

POINTS = """
[model]
kind = "particles"
particles = 10
[energy]
kernel = "dirichlet"
parameters = { order = 3, targets = [0.1, 0.45, 0.8] }
strength = 0.2
metric = { masses = 1.0, positions = 0.02 }
[initial]
law = "uniform"
weights = [0.5]
[flow]
t_end = 0.5
method = "mirror"
step = 0.005
"""


def test_a_configuration_of_weighted_points_runs_is_stored_and_comes_back(tmp_path):
    config = pf.read_config(POINTS)
    assert pf.read_config(config.to_toml()) == config
    result = config.run(tmp_path / "points.h5")
    assert (result.measure["r"] > 0).all() and result.observables["energy"][-1] < result.observables["energy"][0]
    with pf.open(tmp_path / "points.h5") as stored:
        assert stored.layout == result.measure.layout
        np.testing.assert_array_equal(stored.particles(-1)["x"], result.measure["x"])
        text = to_text(summarize(stored))
        assert "0.2 × total mass, metric of rates 1 (masses), 0.02 (positions)" in text and "mirror, step 0.005" in text
        assert [path.name for path in pf.save_figures(stored, tmp_path)][-1] == "points-positions.png"
    again = pf.read_config(
        POINTS.replace('law = "uniform"\nweights = [0.5]', 'law = "file"\nfile = "points.h5"'), folder=tmp_path
    )
    np.testing.assert_array_equal(again.build()[1].particles, result.measure.particles)


class Kill(pf.Observer):
    """Ends a flow by an exception after so many steps."""

    def __init__(self, steps):
        self.steps = steps

    def watch(self, state):
        if state.steps == self.steps:
            raise RuntimeError("killed")


def sliding_network():
    t = np.linspace(-1, 1, 7)
    data = np.column_stack([t, np.ones(7)]), np.sin(3 * t)
    metric = pf.ConicMetric(0.25, 3.0)
    return pf.EmpiricalEnergy(pf.TwoLayer("relu"), data, strength=0.05, metric=metric), pf.circle_grid(40)


@pytest.mark.parametrize(
    ("problem", "settings"),
    [
        ((spikes(), start(spikes())), {"t_end": 0.5, "method": "mirror", "step": 0.005}),
        (sliding_network(), {"t_end": 4.0, "rtol": 1e-5}),
    ],
    ids=["mirror", "sliding"],
)
def test_flows_in_a_metric_are_resumed_to_the_bit(problem, settings, tmp_path):
    whole = pf.solve(*problem, **settings, frames=5)
    with pytest.raises(RuntimeError, match="killed"):
        pf.solve(*problem, **settings, frames=5, file=tmp_path / "run.h5", observers=[Kill(int(0.8 * whole.steps))])
    resumed = pf.solve(*problem, **settings, frames=5, file=tmp_path / "run.h5", resume=True)
    np.testing.assert_array_equal(resumed.measure.particles, whole.measure.particles)
    for name in ("energy", "dissipated"):
        np.testing.assert_array_equal(resumed.observables[name], whole.observables[name])


def test_the_table_metric_reaches_two_layer_networks(tmp_path):
    (tmp_path / "data.csv").write_text("x,y\n-1,1\n0.5,0\n1,1\n")
    text = '[data]\nfile = "data.csv"\ntarget = "y"\n[energy.metric]\nmasses = 2\npositions = 0\n[flow]\nt_end = 1\n'
    energy, _ = pf.read_config(text, folder=tmp_path).build()
    assert energy.metric == pf.ConicMetric(2, 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("masses = 1.0", "masses = -1"), r"^energy.metric.masses = -1: valid are finite numbers from 0$"),
        (("masses = 1.0, positions = 0.02", "masses = 0, positions = 0"), r"are both 0: nothing would move$"),
        (("masses = 1.0, ", ""), r"^energy.metric.masses is missing$"),
        (("metric =", "#"), r'^energy.strength does not apply to energy.kernel = "dirichlet" without energy.metric$'),
        (("strength = 0.2\nmetric =", "#"), r"^initial.weights does not apply to particles without weights"),
        (("strength = 0.2\nmetric =", "#", "weights", "#"), r'^flow.method = "mirror" needs weighted points'),
        (("weights = [0.5]", "weights = []"), r"^initial.weights = \(\): valid are a list of finite numbers$"),
        (('"mirror"', '"langevin"', "step", "temperature = 1\nstep"), r"^flow.method = 'langevin' does not go with"),
    ],
)
def test_configurations_that_make_no_sense_are_refused(change, words):
    text = POINTS
    for old, new in zip(change[::2], change[1::2], strict=True):
        text = text.replace(old, new)
    with pytest.raises(pf.InvalidInput, match=words):
        pf.read_config(text)
