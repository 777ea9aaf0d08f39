"""Noise: Ornstein–Uhlenbeck and McKean–Vlasov processes with known variances, annealing, entropy, free energy."""

import math

import numpy as np
import pytest

import particleflow as pf
from particleflow.integrators.langevin import COOLING_LAWS, noise
from validation.noise import CASES, row

T, RATE = 0.5, 1.0


def harmonic(rate=RATE):
    """Independent particles in the potential ½λ‖θ‖²: weight decay alone, on data that see nothing."""
    return pf.EmpiricalEnergy(pf.TwoLayer("linear"), ([[0.0]], [0.0]), regularizer="squared-norm", strength=rate)


def flow(start, t_end, **settings):
    energy = harmonic()
    return pf.solve(energy, pf.EmpiricalMeasure(start, energy.layout), t_end, method="langevin", **settings)


def test_ornstein_uhlenbeck_variance_with_the_bias_of_the_step():
    """V_∞ = T/(λ(1 − λh/2)) for the scheme: with λh = 0.4 a quarter more than the exact T/λ."""
    m, step = 20_000, 0.4
    found = flow(np.zeros((m, 2)), 20.0, step=step, temperature=T, seed=1).measure.particles
    error = 3 * math.sqrt(2 / found.size)
    assert found.var() == pytest.approx(T / (RATE * (1 - RATE * step / 2)), rel=error)
    assert found.var() != pytest.approx(T / RATE, rel=5 * error)  # the bias is far beyond the error
    assert abs(found.mean()) < 3 * math.sqrt(found.var() / found.size)


def test_ornstein_uhlenbeck_relaxation():
    """V_t = T/λ + e^{−2λt}(V_0 − T/λ); at step h exactly V_{k+1} = (1 − λh)²V_k + 2Th."""
    m, step, width = 20_000, 0.05, 2.0
    start = width * np.random.default_rng(0).standard_normal((m, 2))
    found = flow(start, 0.5, step=step, temperature=T, seed=2).measure.particles.var()
    expected = start.var()
    for _ in range(10):
        expected = (1 - RATE * step) ** 2 * expected + 2 * T * step
    assert found == pytest.approx(expected, rel=3 * math.sqrt(2 / (2 * m)))


@pytest.mark.parametrize("case", CASES)
def test_the_table_of_variances(case):
    coupling, _, step = case
    found, error, exact, without_step, without_chaos = row(*case, runs=6000)
    assert abs(found - exact) < 3 * error
    assert abs(found - without_step) > 5 * error or step < 0.1
    assert (abs(found - without_chaos) > 5 * error) == (coupling > 0)
    assert without_chaos == pytest.approx(exact) or coupling > 0


def test_without_noise_it_is_euler():
    energy = pf.EmpiricalEnergy(pf.TwoLayer("tanh"), ([[1.0, 2.0], [0.5, -1.0]], [1.0, -1.0]), strength=0.1)
    start = pf.gaussian(10, 2, rng=0)
    cold = pf.solve(energy, start, 1.0, method="langevin", step=0.1, temperature=0.0)
    euler = pf.solve(energy, start, 1.0, method="euler", step=0.1)
    np.testing.assert_allclose(cold.measure.particles, euler.measure.particles, rtol=1e-13)


def test_the_seed_alone_decides():
    start = np.zeros((30, 2))
    runs = [flow(start, 1.0, step=0.1, temperature=1.0, seed=seed, frames=f) for seed, f in ((0, 3), (0, 7), (1, 3))]
    first, again, other = (run.measure.particles for run in runs)
    np.testing.assert_array_equal(first, again)  # frames do not touch the noise
    assert (first != other).all()
    many = np.concatenate([noise(5, step, (1000, 2)) for step in range(20)])
    assert abs(many.mean()) < 0.02
    assert many.var() == pytest.approx(1, rel=0.03)
    assert abs(np.corrcoef(many[:-1000, 0], many[1000:, 0])[0, 1]) < 0.03  # steps are independent


@pytest.mark.parametrize("law", COOLING_LAWS)
def test_cooling_laws(law):
    cooling = pf.Temperature(2.0, law, 5.0)
    values = [cooling(t) for t in (0.0, 5.0, 50.0)]
    expected = {
        "constant": (2.0, 2.0, 2.0),
        "exponential": (2.0, 2 / math.e, 2 * math.exp(-10)),
        "power": (2.0, 1.0, 2 / 11),
        "logarithmic": (2.0, 2 / math.log(math.e + 1), 2 / math.log(math.e + 10)),
    }[law]
    assert values == pytest.approx(expected)


def test_annealing_cools_the_particles():
    cooling = pf.Temperature(1.0, "exponential", 2.0)
    run = flow(np.ones((500, 2)), 20.0, step=0.02, temperature=cooling, frames=20)
    assert run.observables["temperature"][[0, -1]] == pytest.approx([1.0, math.exp(-10)])
    assert run.measure.particles.var() < 0.01


@pytest.mark.parametrize("p", [1, 2, 3])
def test_entropy_of_gaussian_and_uniform_samples(p):
    points = np.random.default_rng(p).standard_normal((4000, p))
    assert pf.differential_entropy(points) == pytest.approx(0.5 * p * math.log(2 * math.pi * math.e), abs=0.06)
    assert pf.differential_entropy(3 * points) - pf.differential_entropy(points) == pytest.approx(
        p * math.log(3)
    )  # scaling is exact
    circle = np.random.default_rng(p).uniform(0, 2, (4000, p))
    assert pf.differential_entropy(circle + 7, period=2.0) == pytest.approx(
        p * math.log(2), abs=0.06
    )  # no boundary, shifted


def test_entropy_of_coincident_points():
    assert pf.differential_entropy(np.zeros((5, 2))) == -math.inf
    with pytest.raises(pf.InvalidInput, match="neighbours = 5: valid are integers from 1 to below the 5 points"):
        pf.differential_entropy(np.zeros((5, 2)), neighbours=5)
    with pytest.raises(pf.InvalidInput, match="finite arrays"):
        pf.differential_entropy(np.full((5, 2), np.nan))


def test_free_energy_falls_to_that_of_the_gibbs_law():
    """L = λ∫‖θ‖² dμ: ½L + T∫μ log μ is least at N(0, (T/λ)I) on the plane, where it is T − T log(2πeT/λ)."""
    start = 3 + np.random.default_rng(4).standard_normal((3000, 2))
    observables = flow(start, 8.0, step=0.01, temperature=T, frames=6).observables
    expected = T - T * math.log(2 * math.pi * math.e * T / RATE)
    assert observables["free_energy"][-1] == pytest.approx(expected, abs=0.03)
    assert (np.diff(observables["free_energy"]) < 0.03).all()
    assert "balance" not in observables


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"temperature": -1.0}, r"flow\.temperature = -1\.0: valid are finite numbers from 0"),
        ({"temperature": math.nan}, r"flow\.temperature = nan"),
        (
            {"temperature": {"initial": 1.0, "law": "abrupt"}},
            r"flow\.temperature\.law = 'abrupt' is unknown; valid: constant",
        ),
        ({"temperature": {"initial": 1.0, "time": 0.0}}, r"flow\.temperature\.time = 0\.0"),
        ({"temperature": {"law": "power"}}, r"flow\.temperature\.initial is missing"),
        ({"temperature": {"initial": 1.0, "pace": 2}}, r"flow\.temperature\.pace is unknown"),
        ({}, r"flow\.temperature is missing: langevin takes noise"),
        ({"temperature": 1.0, "rtol": 1e-3}, r"flow\.rtol = 0\.001 does not apply to langevin"),
        ({"temperature": 1.0, "step": None}, r"flow\.step is missing: langevin"),
        ({"temperature": 1.0, "seed": -1}, r"seed = -1: valid are integers from 0 to below 2\^64"),
        ({"temperature": 1.0, "seed": 2**64}, r"seed = 18446744073709551616: valid are"),
        ({"temperature": 1.0, "colour": 1}, r"flow\.colour is unknown; langevin takes step, temperature"),
    ],
)
def test_bad_input(settings, words):
    with pytest.raises(pf.InvalidInput, match=words):
        flow(np.zeros((3, 2)), 1.0, **({"step": 0.1} | settings))


def test_noise_with_adaptive_steps_is_refused_with_the_reason():
    with pytest.raises(pf.InvalidInput, match="chosen after their noise was seen would bias it"):
        pf.solve(harmonic(), pf.gaussian(3, 1, rng=0), 1.0, temperature=0.1)
