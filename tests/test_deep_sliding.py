"""Sliding in networks with two hidden layers: paths by brute force and by the two-layer flow, balances by theory."""

import numpy as np
import pytest
from scipy.optimize import nnls

import particleflow as pf
from particleflow.models.surfaces import find_normal

SUPPORTS = {"exact": pf.exact_supports, "bernoulli": pf.bernoulli_supports}


def problem(kind="three-layer", regularizer="path-norm", *, m=8, s=3, n=12, d=3, seed=1, strength=0.03, **options):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, d)), rng.normal(size=n)
    if kind == "three-layer":
        model = pf.ThreeLayer(s, options.pop("activation", "relu"))
    else:
        model = pf.HardSynchronized(SUPPORTS[kind](m, s, seed), options.pop("activation", "relu"))
    energy = pf.EmpiricalEnergy(model, (X, y), regularizer=regularizer, strength=strength, **options)
    return energy, pf.gaussian(m, energy.layout, rng=seed)


def balance_error(result):
    return np.abs(result.observables["balance"]).max() / result.observables["energy"][0]


@pytest.mark.parametrize(
    ("kind", "regularizer"),
    [
        ("three-layer", "path-norm"),
        ("three-layer", "none"),
        ("three-layer", "scaled-squared-norm"),
        ("exact", "path-norm"),
        ("bernoulli", "scaled-squared-norm"),
    ],
)
def test_path_against_tiny_euler_steps(kind, regularizer):
    """Gradient descent with tiny steps zigzags around the kinks: its path is that of the sliding flow to O(step)."""
    energy, measure = problem(kind, regularizer)
    sliding = pf.solve(energy, measure, 8.0, rtol=1e-8, frames=1)
    assert sliding.observables["sliding"][-1] > 0
    errors = []
    for step in (4e-3, 5e-4):
        euler = pf.solve(energy, measure, 8.0, method="euler", step=step, frames=1)
        errors.append(np.abs(euler.measure.particles - sliding.measure.particles).max())
    assert errors[1] < 2e-4
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize("kind", ["three-layer", "exact", "bernoulli"])
@pytest.mark.parametrize("regularizer", ["path-norm", "scaled-squared-norm", "norm", "none"])
def test_energy_balance_falls_with_the_tolerance(kind, regularizer):
    energy, measure = problem(kind, regularizer, m=20, n=30, seed=0, strength=0.01)
    coarse, fine = (pf.solve(energy, measure, 5.0, rtol=rtol, frames=20) for rtol in (1e-4, 1e-7))
    assert fine.observables["sliding"].max() > 0
    assert balance_error(fine) < 3e-6
    assert balance_error(fine) < 0.1 * balance_error(coarse)
    assert fine.steps < 2000


@pytest.mark.parametrize(("term", "s"), [("sum-w2", 3), ("D", 2), ("B", 3)])
def test_what_slides_is_the_velocity_with_the_penalty(term, s):
    energy, measure = problem(m=10, s=s, n=30, seed=0, synchronization=pf.Synchronization(term, strength=0.1))
    result = pf.solve(energy, measure, 5.0, rtol=1e-6, frames=4)
    assert result.observables["sliding"][-1] > 0
    assert result.observables["synchronization"][-1] > 0
    assert balance_error(result) < 3e-5


def test_own_neurons_only_is_the_three_layer_path():
    """Hard-synchronised clusters that read their own neuron are three-layer particles with s = 1."""
    energy, measure = problem(s=1, m=12, n=20)
    hard = pf.EmpiricalEnergy(pf.HardSynchronized(np.arange(12)[:, None]), energy.data, strength=energy.strength)
    first = pf.solve(energy, measure, 8.0, rtol=1e-8, frames=1)
    second = pf.solve(hard, pf.EmpiricalMeasure(measure.particles, hard.layout), 8.0, rtol=1e-8, frames=1)
    assert first.observables["sliding"][-1] > 0
    np.testing.assert_allclose(second.measure.particles, first.measure.particles, atol=1e-6)


@pytest.mark.parametrize("kind", ["three-layer", "exact"])
def test_conserved_while_sliding(kind):
    energy, measure = problem(kind, m=20, n=30, seed=0, strength=0.05)
    result = pf.solve(energy, measure, 8.0, rtol=1e-8, frames=2)
    assert result.observables["sliding"][-1] > 0.2
    before, after = energy.conserved(measure.particles), energy.conserved(result.measure.particles)
    assert all(np.abs(after[name] - before[name]).max() < 1e-5 for name in before)


class Watch(pf.Observer):
    """Keeps every state."""

    def __init__(self):
        self.states = []

    def watch(self, state):
        """Keep it."""
        self.states.append(state)


@pytest.mark.parametrize("kind", ["three-layer", "bernoulli"])
def test_contacts_stay_on_their_surfaces_and_are_released(kind):
    energy, measure = problem(kind, "scaled-squared-norm", m=20, n=30, seed=0, strength=0.01)
    watch = Watch()
    pf.solve(energy, measure, 5.0, rtol=1e-5, frames=1, observers=[watch])
    made = set()
    for state in watch.states:
        made |= set(zip(*(part.tolist() for part in state.contacts), strict=True))
    kinds = {(place >= 0, j >= 0) for _, place, j in made}
    assert {(False, False), (True, True), (False, True)} <= kinds  # a = 0, first layer, second layer
    last = watch.states[-1]
    assert len(made) > len(last.contacts[0])  # some were released
    network, normal = energy.make_velocity(20)._network, np.empty(1 + 2 * energy.model.s)
    for surface in np.stack(last.contacts, axis=1):
        value, scale = find_normal(last.theta, network, surface, normal)
        assert abs(value) <= 1e-11 * scale


def test_velocity_in_contact_is_the_shortest_mixture_of_the_sides():
    """All sides of all surfaces in contact of one particle: the least element of their convex hull, found by SciPy."""
    energy, measure = problem("three-layer", "none", m=20, n=30, seed=0, strength=0.0)
    watch = Watch()
    pf.solve(energy, measure, 5.0, rtol=1e-6, frames=1, observers=[watch])
    state = watch.states[-1]
    velocity = energy.make_velocity(20)
    velocity.hold(state.contacts)
    slid = np.empty_like(state.theta)
    velocity(state.theta, slid)
    rows, counts = np.unique(state.contacts[0], return_counts=True)
    for row in rows[counts <= 3]:
        chosen = [tuple(map(int, c)) for c in np.stack(state.contacts, axis=1) if c[0] == row]
        sides = []
        for signs in np.ndindex(*(2,) * len(chosen)):
            theta = state.theta.copy()
            for _ in range(200):  # Gauss–Seidel
                for sign, surface in zip(signs, chosen, strict=True):
                    move_to(energy, theta, surface, 1e-9 * (2 * sign - 1))
            sides.append(energy.velocity(theta)[row])
        sides = np.array(sides)
        # min ‖Σ w_k v_k‖ over the simplex, Σ w = 1 by a heavy row
        system = np.vstack([sides.T, np.full(len(sides), 1e3)])
        weights = nnls(system, np.append(np.zeros(sides.shape[1]), 1e3))[0]
        np.testing.assert_allclose(weights @ sides, slid[row], atol=1e-6)


def move_to(energy, theta, surface, target):
    """Move theta (in place) to where the left-hand side of a surface of a three-layer network is `target`."""
    row, place, j = surface
    s, d = energy.model.s, energy.data.d
    x = np.unique(energy.data.X, axis=0)[j]
    u, W = theta[row, 1 : 1 + s], theta[row, 1 + s :].reshape(s, d)
    if j < 0:
        theta[row, 1 + place] = target
    elif place >= 0:
        W[place] += (target - W[place] @ x) / (x @ x) * x
    else:
        hidden = np.maximum(W @ x, 0)
        u += (target - u @ hidden) / (hidden @ hidden) * hidden


@pytest.mark.parametrize("regularizer", ["none", "squared-norm"])
def test_smooth_problems_have_no_contacts(regularizer):
    energy, measure = problem(regularizer=regularizer, activation="tanh")
    result = pf.solve(energy, measure, 1.0, rtol=1e-9, frames=1)
    assert "sliding" not in result.observables
    assert balance_error(result) < 1e-8


def test_equal_inputs_share_their_surfaces():
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(12, 3)), 3, axis=0)
    energy = pf.EmpiricalEnergy(pf.ThreeLayer(3), (X, rng.normal(size=36)), strength=0.01)
    result = pf.solve(energy, pf.gaussian(20, energy.layout, rng=0), 10.0, rtol=1e-6, frames=1)
    assert result.observables["sliding"][-1] > 0
    assert balance_error(result) < 3e-5


def test_fixed_steps_do_not_slide():
    energy, measure = problem()
    result = pf.solve(energy, measure, 1.0, method="euler", step=0.01, frames=1)
    assert (result.observables["sliding"] == 0).all()


def test_blocks_come_to_rest_at_zero():
    """Under a strong path norm u_i and W_q die; a zigzag around 0 would take thousands of steps."""
    energy, measure = problem("exact", m=10, n=30, seed=0, strength=0.1)
    watch = Watch()
    result = pf.solve(energy, measure, 30.0, rtol=1e-6, frames=1, observers=[watch])
    assert any((state.contacts[2] == -2).any() for state in watch.states)
    assert result.steps < 1500
    assert balance_error(result) < 1e-4
