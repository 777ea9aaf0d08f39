"""Soft synchronisation: the penalty against brute force, its gradient against differences, its flow by the balance."""

from itertools import combinations, permutations

import numpy as np
import pytest

import particleflow as pf

CASES = [("D", 2), ("sum-w2", 2), ("sum-w2", 3), ("sum-w2", 4), ("B", 3)]


def cheapest(left, right):
    """W2² of two clouds of m points, from all permutations."""
    m = len(left)
    return min(np.sum((left - right[list(order)]) ** 2) for order in permutations(range(m))) / m


def by_hand(term, rows):
    """The term of rows (m, s, q), in plain numpy."""
    if term == "B":
        return cheapest(rows[:, [0, 2]].reshape(len(rows), -1), rows[:, [1, 0]].reshape(len(rows), -1)) + cheapest(
            rows[:, 1], rows[:, 2]
        )
    return sum(cheapest(rows[:, k], rows[:, j]) for k, j in combinations(range(rows.shape[1]), 2))


def rows_of(theta, s, d, kind):
    u, W = theta[:, 1 : 1 + s], theta[:, 1 + s :].reshape(-1, s, d)
    return W if kind == "W" else np.concatenate([u[:, :, None], W], axis=2)


def problem(term, s, *, rows="W", strength=0.7, d=2, n=15, activation="erf", **options):
    rng = np.random.default_rng(3)
    penalty = pf.Synchronization(term, strength=strength, rows=rows)
    data = rng.normal(size=(n, d)), rng.normal(size=n)
    return pf.EmpiricalEnergy(pf.ThreeLayer(s, activation), data, synchronization=penalty, **options)


@pytest.mark.parametrize("rows", ["W", "uW"])
@pytest.mark.parametrize(("term", "s"), CASES)
def test_value_and_gradient(term, s, rows):
    """With ∇G = (m/2) ∂L/∂θ, the penalty's share of the velocity is −(m/2) ∂(γD)/∂θ."""
    m, d, strength, h = 5, 2, 0.7, 1e-6
    energy = problem(term, s, rows=rows)
    plain = pf.EmpiricalEnergy(energy.model, energy.data)
    theta = np.random.default_rng(0).normal(size=(m, energy.layout.size))
    parts = energy.make_velocity(m)(theta, np.empty_like(theta))
    assert parts["synchronization"] == pytest.approx(strength * by_hand(term, rows_of(theta, s, d, rows)), rel=1e-12)
    share, gradient = energy.velocity(theta) - plain.velocity(theta), np.empty_like(theta)
    for i, k in np.ndindex(theta.shape):
        step = np.zeros_like(theta)
        step[i, k] = h
        there, back = (by_hand(term, rows_of(theta + sign * step, s, d, rows)) for sign in (1, -1))
        gradient[i, k] = strength * (there - back) / (2 * h)
    np.testing.assert_allclose(share, -m / 2 * gradient, atol=1e-8)


def test_terms_are_those_of_the_synchronisation_room():
    theta = np.random.default_rng(1).normal(size=(6, pf.ThreeLayer(3).layout(2).size))
    rows = rows_of(theta, 3, 2, "W")
    for term, truth in (("sum-w2", pf.sum_w2_squared), ("B", pf.bound_B)):
        found = problem(term, 3, strength=1.0).make_velocity(6)(theta, np.empty_like(theta))["synchronization"]
        assert found == pytest.approx(truth(rows), rel=1e-12)
    theta = np.random.default_rng(1).normal(size=(6, pf.ThreeLayer(2).layout(2).size))
    found = problem("D", 2, strength=1.0).make_velocity(6)(theta, np.empty_like(theta))["synchronization"]
    assert found == pytest.approx(pf.synchronization_term(rows_of(theta, 2, 2, "W"))[0], rel=1e-12)


@pytest.mark.parametrize(("term", "s"), CASES)
def test_potential_is_half_a_subgradient(term, s):
    """D is convex in μ: moving a mass ε changes γD by at least 2ε times the difference of G; W2² with weights."""
    m, d, epsilon = 5, 2, 1e-6
    energy = problem(term, s)
    plain = pf.EmpiricalEnergy(energy.model, energy.data)
    theta = np.random.default_rng(2).normal(size=(m + 1, energy.layout.size))
    rows, measure = rows_of(theta, s, d, "W"), pf.EmpiricalMeasure(theta[:m], energy.layout)
    potential = energy.potential(theta, measure) - plain.potential(theta, measure)

    def penalty(weights):
        flat = {k: rows[:, list(k)].reshape(m + 1, -1) for pair in energy.synchronization.transports(s) for k in pair}
        w2s = (
            pf.w2_squared(flat[k], flat[j], weights=weights, other_weights=weights)
            for k, j in energy.synchronization.transports(s)
        )
        return 0.7 * sum(w2s)

    weights = np.append(np.full(m, 1 / m), 0.0)
    moved = weights + epsilon * (np.arange(m + 1) == m) - epsilon * (np.arange(m + 1) == 0)
    change = penalty(moved) - penalty(weights)
    assert change >= 2 * epsilon * (potential[m] - potential[0]) - 1e-13
    # and the way back from there
    back = weights - epsilon * (np.arange(m + 1) == 1) + epsilon * (np.arange(m + 1) == 0)
    assert penalty(back) - penalty(weights) >= 2 * epsilon * (potential[0] - potential[1]) - 1e-13
    # along the support the potentials add up to the term: ∫G dμ = ½γ(∫u dμ + ∫v dμ) = ½γD
    assert 2 * potential[:m].mean() <= penalty(weights) + 1e-12


@pytest.mark.parametrize("rows", ["W", "uW"])
@pytest.mark.parametrize(("term", "s"), CASES)
def test_energy_balance(term, s, rows):
    energy = problem(term, s, rows=rows, strength=0.5, regularizer="squared-norm")
    start = pf.gaussian(12, energy.layout, rng=4)
    observables = pf.solve(energy, start, 3.0, rtol=1e-9, frames=10).observables
    assert np.abs(observables["balance"]).max() <= 1e-8 * observables["energy"][0]
    assert observables["synchronization"][-1] < observables["synchronization"][0]


def test_balance_of_relu_falls_with_the_tolerance():
    errors = []
    for rtol in (1e-4, 1e-6, 1e-8):
        energy = problem("sum-w2", 3, strength=0.5, activation="relu", n=40)
        observables = pf.solve(energy, pf.gaussian(12, energy.layout, rng=4), 0.5, rtol=rtol).observables
        errors.append(np.abs(observables["balance"]).max() / observables["energy"][0])
    assert errors[0] > errors[1] > errors[2]


def test_no_jump_where_the_matching_switches():
    """Two rows pass each other: the matching switches, the penalty is continuous and its energy never rises."""
    energy = problem("D", 2, strength=1.0)
    one, two = (np.random.default_rng(seed).normal(size=(8, energy.layout.size)) for seed in (5, 6))
    velocity, out = energy.make_velocity(8), np.empty_like(one)
    path = np.linspace(0, 1, 2001)[:, None, None]
    values = np.array([velocity(theta, out)["synchronization"] for theta in (1 - path) * one + path * two])
    matchings = {tuple(pf.matching(t[:, 3:5], t[:, 5:7])) for t in (1 - path) * one + path * two}
    assert len(matchings) > 3
    assert np.abs(np.diff(values)).max() < 20 * np.abs(np.diff(values)).mean()
    energies = []

    class Watch(pf.Observer):
        def watch(self, state):
            energies.append(state.energy)

    pf.solve(energy, pf.EmpiricalMeasure(one, energy.layout), 3.0, rtol=1e-8, observers=[Watch()])
    assert (np.diff(energies) <= 1e-12).all()


def test_strong_synchronisation_makes_row_laws_agree():
    energy = problem("sum-w2", 3, strength=50.0)
    end = pf.solve(energy, pf.gaussian(10, energy.layout, rng=7), 2.0, rtol=1e-6).measure
    laws = [pf.row_measure(end, k) for k in (1, 2, 3)]
    assert max(pf.w2(one, other) for one, other in combinations(laws, 2)) < 1e-2
    assert np.ptp(end["W"], axis=0).max() > 0.5  # the laws agree, the rows of a cluster need not


@pytest.mark.parametrize("method", ["adam", "sgd"])
def test_training_loops_take_the_penalty(method):
    energy = problem("sum-w2", 3)
    start = pf.gaussian(6, energy.layout, rng=8)
    run = {"learning_rate": 0.01, "steps": 60, "batch_size": 5}
    result = pf.solve(energy, start, method=method, **run)
    assert result.observables["synchronization"][-1] < result.observables["synchronization"][0]


def test_what_is_not_finite_stays_so():
    energy = problem("sum-w2", 2)
    theta = np.full((4, energy.layout.size), np.nan)
    out = np.zeros_like(theta)
    assert np.isnan(sum(energy.make_velocity(4)(theta, out).values()))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (
            lambda: pf.Synchronization("E", strength=1.0),
            r"energy\.synchronization\.term = 'E' is unknown; valid: sum-w2",
        ),
        (lambda: pf.Synchronization(strength=-1.0), r"energy\.synchronization\.strength = -1\.0"),
        (lambda: pf.Synchronization(strength=np.nan), r"energy\.synchronization\.strength = nan"),
        (lambda: pf.Synchronization(strength=1.0, rows="V"), r"energy\.synchronization\.rows = 'V' is unknown"),
        (lambda: pf.Synchronization("B", strength=1.0, offsets=(0, 1, 2)), r"offsets = \[0, 1, 2\]: the term B"),
        (lambda: pf.Synchronization(strength=1.0, offsets="ab"), r"offsets = 'ab': valid are lists of integers"),
        (lambda: problem("D", 3), r"model\.s = 3: .*term = 'D' needs s = 2"),
        (lambda: problem("B", 2), r"model\.s = 2: .*term = 'B' needs s = 3"),
        (lambda: problem("sum-w2", 1), r"model\.s = 1: .* needs s = 2 and more"),
        (
            lambda: pf.EmpiricalEnergy(
                pf.TwoLayer("relu"), ([[1.0]], [1.0]), synchronization=pf.Synchronization(strength=1.0)
            ),
            r"model\.kind = 'two-layer': energy\.synchronization needs the three-layer model",
        ),
    ],
)
def test_bad_input(build, words):
    with pytest.raises(pf.InvalidInput, match=words):
        build()
