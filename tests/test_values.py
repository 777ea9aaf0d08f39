"""Values that cannot be used are refused by a sentence of our own, whatever room they reach."""

import numpy as np
import pytest

import particleflow as pf
from particleflow.values import integers, is_integer, is_real

ROWS = np.random.default_rng(0).normal(size=(5, 3, 2))
PAIR = np.random.default_rng(1).normal(size=(5, 2, 2))


@pytest.mark.parametrize("value", [1, 1.5, np.float32(2), np.int64(-3), 0])
def test_real_numbers(value):
    assert is_real(value)


@pytest.mark.parametrize("value", [True, np.bool_(1), "1", None, np.nan, np.inf, 10**400, 1j, [1.0], np.array([1.0])])
def test_what_is_no_real_number(value):
    assert not is_real(value)


def test_integers():
    assert is_integer(np.int32(5))
    assert not any(is_integer(value) for value in (True, 0, 1.0, "1", 10**20))
    assert integers("x", np.array([1, -2])) == integers("x", (1, -2)) == (1, -2)
    for wrong in ([], [1.5], "12", [[1], [1, 2]], [True], 3, None):
        with pytest.raises(pf.InvalidInput, match=r"x = .*valid are lists of integers"):
            integers("x", wrong)


def network(**options):
    return pf.EmpiricalEnergy(pf.TwoLayer("relu"), ([[1.0]], [1.0]), **options)


def solve(**options):
    return pf.solve(network(), pf.gaussian(3, 1, rng=0), **options)


def hard_measure():
    model = pf.HardSynchronized(pf.exact_supports(4, 2, 0))
    return pf.gaussian(4, model.layout(3), rng=0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pf.mean_field_program(ROWS, "abc"), "weights is not an array of numbers"),
        (lambda: pf.mean_field_program(ROWS, [[1], [2, 3]]), "weights is not an array of numbers"),
        (lambda: pf.mean_field_program(ROWS, np.ones(5)), "sum to 1"),
        (lambda: pf.mean_field_program(1e200 * ROWS), r"valid are numbers up to 1e\+140"),
        (lambda: pf.synchronization_term(ROWS * 1e200), r"valid are numbers up to 1e\+140"),
        (lambda: pf.synchronization_term(PAIR, [[0], [1, 2]]), "offsets = .*valid are lists of integers"),
        (lambda: pf.synchronization_term(PAIR, [0, 10**9 + 1]), "2 integers from −5 to 5"),
        (lambda: pf.Synchronization(strength=True), "strength = True"),
        (lambda: pf.Synchronization(strength=1.0, offsets=[[0], [1, 2]]), "valid are lists of integers"),
        (
            lambda: pf.row_measure(pf.gaussian(4, pf.ThreeLayer(2).layout(3), rng=0), [[1], [1, 2]]),
            "ks = .*valid are integers from 1 to 2",
        ),
        (lambda: pf.row_measure(hard_measure(), 1), "share their first layer"),
        (lambda: pf.cluster_rows(hard_measure()), "share their first layer"),
        (lambda: pf.w2([[1.0]], [[2.0], [3.0]], max_iterations=10**30), "max_iterations = 1000"),
        (lambda: pf.w2(np.array([1 + 2j]), np.array([1.0])), "A is not an array of numbers"),
        (lambda: solve(t_end=1.0, rtol="x"), r"flow\.rtol = 'x'"),
        (lambda: solve(t_end=1.0, rtol=True), r"flow\.rtol = True"),
        (lambda: solve(t_end=1.0, method="euler", step="x"), r"flow\.step = 'x'"),
        (lambda: solve(t_end=1.0, method="euler", step=1e-320), r"flow\.step = 1e-320: .* more than 1e15 steps"),
        (lambda: solve(t_end=True), r"flow\.t_end = True"),
        (lambda: solve(t_end=1.0, frames="abc"), r"flow\.frames = 'abc': valid are"),
        (
            lambda: solve(t_end=1.0, method="langevin", step=0.1, temperature={"initial": 1, "law": []}),
            r"flow\.temperature\.law = \[\] is unknown",
        ),
        (lambda: solve(method="adam", learning_rate=0.1, steps=10**400), r"flow\.steps = 1000"),
        (lambda: solve(method="adam", learning_rate=1e308, steps=1), r"flow\.learning_rate = 1e\+308"),
        (lambda: pf.uniform(3, pf.ThreeLayer(2).layout(1), low="a", rng=0), "low = 'a'"),
        (lambda: pf.uniform(3, pf.ThreeLayer(2).layout(1), low=-1e308, high=1e308, rng=0), "low = -1e"),
        (lambda: pf.uniform(True, pf.ThreeLayer(2).layout(1), rng=0), "particles = True"),
        (lambda: pf.gaussian_mmd([1.0], 1e-300), "bandwidth = 1e-300"),
        (lambda: network(strength=True), r"energy\.strength = True"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(pf.InvalidInput, match=words):
        call()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pf.w2(np.zeros((3, 2)), np.full((3, 2), 1e300), period=1e-10), "overflow"),
        (lambda: pf.matching(np.zeros((3, 2)), np.full((3, 2), 1e300), period=1e-10), "overflow"),
        (lambda: pf.w2(np.zeros((3, 2)), np.ones((3, 2)), period=1e170), "overflow"),
        (lambda: pf.w2(np.zeros((3, 1)), np.linspace(0, 1, 3), period=1e-160), "underflow"),
        (lambda: pf.w2([[0.0]], [[1e200]]), "overflow"),
        (lambda: pf.w2(np.full((3, 2), -1e308), np.full((3, 2), 1e308)), "overflow"),
        (lambda: pf.w2(1e-160 * PAIR[:, 0], 1e-160 * PAIR[:, 1]), "underflow"),
    ],
)
def test_distances_beyond_floats_are_no_numbers(call, words):
    with pytest.raises(pf.TransportFailed, match=words):
        call()


def test_stop_rules_look_at_the_energy_on_all_data_only():
    """On single rows the loss is often 0; on all of them it is not."""
    rng = np.random.default_rng(0)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (rng.normal(size=(30, 2)), rng.normal(size=30)))
    run = {"method": "sgd", "learning_rate": 1e-3, "steps": 300, "batch_size": 1}
    result = pf.solve(energy, pf.gaussian(20, 2, rng=1), **run, observers=[pf.EnergyBelow(0.05), pf.Stationary(1e-3)])
    assert (result.status, result.steps) == ("finished", 300)
    assert result.observables["energy"][-1] > 0.05


def test_no_noise_reaches_the_padding_of_a_hard_network():
    model = pf.HardSynchronized(pf.bernoulli_supports(30, 2, 1), "tanh")
    energy = pf.EmpiricalEnergy(model, ([[1.0]], [0.0]), regularizer="squared-norm", strength=0.5)
    start = pf.gaussian(30, energy.layout, rng=0).push_forward(model.admissible)
    result = pf.solve(energy, start, 5.0, method="langevin", step=0.1, temperature=0.1)
    np.testing.assert_array_equal(model.admissible(result.measure.particles), result.measure.particles)
    assert (result.measure.particles != start.particles)[model.admissible(np.ones_like(start.particles)) > 0].all()
    assert "entropy" not in result.observables  # its particles have no law


def test_a_diverging_soft_network_ends_as_diverged():
    penalty = pf.Synchronization(strength=1.0)
    data = np.ones((3, 2)), np.ones(3)
    energy = pf.EmpiricalEnergy(pf.ThreeLayer(3, "linear"), data, regularizer="none", synchronization=penalty)
    start = pf.gaussian(20, energy.layout, rng=0)
    result = pf.solve(energy, start, method="adam", learning_rate=1e160, steps=50)
    assert result.status == "diverged"


def test_brackets_of_few_clusters_are_exact():
    """Rows of one shared first layer read with the offsets (0, 5) are synchronised: D = 0."""
    W = np.random.default_rng(0).standard_normal((7, 2))
    bracket = pf.synchronization_bracket(W[pf.circulant_supports(7, (0, 5))], (0, 5), rng=0)
    assert bracket.upper == pytest.approx(0, abs=1e-12)
