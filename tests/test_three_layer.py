"""Three-layer networks, against loops in plain numpy, finite differences, two-layer networks and the exact flow."""

import numpy as np
import pytest
from plain_networks import LOSS, SIGMA, difference_quotients, mean_loss

import particleflow as pf
from particleflow.activations import ACTIVATIONS
from particleflow.losses import LOSSES
from particleflow.regularizers import REGULARIZERS

PENALTY = {
    "path-norm": lambda a, u, W: abs(a) * np.abs(u) @ np.linalg.norm(W, axis=1),
    "norm": lambda a, u, W: np.sqrt(a**2 + np.sum(u**2) + np.sum(W**2)),
    "squared-norm": lambda a, u, W: a**2 + np.sum(u**2) + np.sum(W**2),
    "scaled-squared-norm": lambda a, u, W: abs(a) * (np.sum(u**2) + np.sum(W**2)),
    "none": lambda a, u, W: 0.0,
}


def problem(activation="relu", *, n=13, d=2, m=4, s=3, seed=0, **options):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, d)), rng.choice([-1.0, 1.0], size=n)
    energy = pf.EmpiricalEnergy(pf.ThreeLayer(s, activation), (X, y), **options)
    return energy, rng.normal(scale=0.8, size=(m, 1 + s + s * d)), X, y


def blocks(particle, d):
    s = (len(particle) - 1) // (1 + d)
    return particle[0], particle[1 : 1 + s], particle[1 + s :].reshape(s, d)


def feature(activation, particle, x):
    sigma, (a, u, W) = SIGMA[activation], blocks(particle, len(x))
    return a * sigma(sum(u[k] * sigma(W[k] @ x) for k in range(len(u))))


def energy_by_hand(energy, theta, X, y):
    activation, loss = energy.model.activation.name, energy.loss.name
    f = [sum(feature(activation, particle, x) for particle in theta) / len(theta) for x in X]
    penalty = sum(PENALTY[energy.regularizer.name](*blocks(particle, X.shape[1])) for particle in theta) / len(theta)
    return mean_loss(loss, f, y) + energy.strength * penalty


def test_the_tables_of_truth_are_complete():
    assert set(LOSS) == set(LOSSES)
    assert set(SIGMA) == set(ACTIVATIONS)
    assert set(PENALTY) == set(REGULARIZERS)


@pytest.mark.parametrize("activation", SIGMA)
@pytest.mark.parametrize("loss", LOSS)
@pytest.mark.parametrize("regularizer", PENALTY)
def test_velocity_against_finite_differences(activation, loss, regularizer):
    energy, theta, X, y = problem(activation, loss=loss, regularizer=regularizer, strength=0.3, n=7, m=2)
    gradient = difference_quotients(lambda theta: energy_by_hand(energy, theta, X, y), theta)
    np.testing.assert_allclose(energy.velocity(theta), -len(theta) / 2 * gradient, atol=1e-6)
    np.testing.assert_allclose(energy.value(theta), energy_by_hand(energy, theta, X, y), rtol=1e-13)


@pytest.mark.parametrize("d", [1, 8, 9])
def test_tiles_of_data_leave_no_row_out(d):
    for n in range(1, 41):
        energy, theta, X, y = problem("tanh", n=n, d=d, s=5)
        assert energy.value(theta) == pytest.approx(energy_by_hand(energy, theta, X, y), rel=1e-13)


@pytest.mark.parametrize("n", [255, 256, 257, 530])
@pytest.mark.parametrize("d", [2, 9])
def test_the_gradient_is_the_mean_over_single_rows(n, d):
    energy, theta, X, y = problem("tanh", n=n, d=d, m=5)
    f = energy.model.predict(theta, X)
    gradients = energy.model.feature_gradients(theta, X)
    np.testing.assert_allclose(energy.velocity(theta), -np.einsum("n,inp->ip", f - y, gradients) / n, atol=1e-13)


def test_many_rounds_and_parts_equal_one(monkeypatch):
    energy, theta, *_ = problem("erf", n=3000)
    monkeypatch.setattr("particleflow.threads._MOST_PARTS", 1)
    whole = energy.velocity(theta)
    monkeypatch.setattr("particleflow.threads._MOST_PARTS", 3)
    monkeypatch.setattr("particleflow.threads._PART_FLOPS", 1)
    monkeypatch.setattr("particleflow.threads._PIECE_FLOPS", 1)
    np.testing.assert_allclose(energy.velocity(theta), whole, rtol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize("d", [2, 11])
def test_one_neuron_of_weight_one_is_a_two_layer_particle(activation, d):
    """Idempotent activations only: a σ(1 σ(⟨w, x⟩)) = a σ(⟨w, x⟩)."""
    energy, theta, X, y = problem(activation, s=1, d=d, m=6)
    theta[:, 1] = 1.0
    wide = pf.EmpiricalEnergy(pf.TwoLayer(activation), (X, y))
    shallow = np.delete(theta, 1, axis=1)
    np.testing.assert_allclose(energy.model.predict(theta, X), wide.model.predict(shallow, X), atol=1e-14)
    np.testing.assert_allclose(np.delete(energy.velocity(theta), 1, axis=1), wide.velocity(shallow), atol=1e-14)


def test_order_of_particles_and_of_their_neurons_does_not_matter():
    energy, theta, *_ = problem("erf", m=7, strength=0.1)
    velocity, rng = energy.velocity(theta), np.random.default_rng(1)
    order, inner = rng.permutation(7), rng.permutation(3)
    np.testing.assert_allclose(energy.velocity(theta[order]), velocity[order], atol=1e-15)

    def turned(cloud):
        parts = {name: block.copy() for name, block in energy.layout.split(cloud).items()}
        return energy.layout.join({"a": parts["a"], "u": parts["u"][:, inner], "W": parts["W"][:, inner]})

    np.testing.assert_allclose(energy.velocity(turned(theta)), turned(velocity), atol=1e-15)


def test_duplicating_particles_changes_neither_energy_nor_potential():
    energy, theta, *_ = problem("tanh", m=5, strength=0.1)
    twice = np.repeat(theta, 2, axis=0)
    assert energy.value(twice) == pytest.approx(energy.value(theta), rel=1e-14)
    np.testing.assert_allclose(energy.velocity(twice)[::2], energy.velocity(theta), atol=1e-15)
    once, doubled = (pf.EmpiricalMeasure(cloud, energy.layout) for cloud in (theta, twice))
    np.testing.assert_allclose(energy.potential(theta, doubled), energy.potential(theta, once), rtol=1e-13)


@pytest.mark.parametrize("activation", SIGMA)
def test_factorised_velocity_equals_the_pairwise_one(activation):
    energy, theta, X, y = problem(activation, strength=0.1)
    kernel = pf.EmpiricalKernel(energy.model, X, y, "path-norm", 0.1)
    np.testing.assert_allclose(energy.velocity(theta), pf.pairwise_velocity(kernel, theta), atol=1e-12)
    np.testing.assert_allclose(energy.value(theta), pf.pairwise_energy(kernel, theta), rtol=1e-12)


@pytest.mark.parametrize(
    ("activation", "strength"), [("relu", 0.05), ("linear", 0.0), ("linear", 0.05), ("square", 0.0)]
)
def test_conserved_along_the_flow(activation, strength):
    energy, theta, *_ = problem(activation, d=3, strength=strength)
    theta *= 0.5
    result = pf.solve(energy, pf.EmpiricalMeasure(theta, energy.layout), 2.0, rtol=1e-9, frames=2)
    before, after = energy.conserved(theta), energy.conserved(result.measure.particles)
    assert [value.shape for value in before.values()] == [(4,), (4, 3)]
    assert all(np.abs(after[name] - before[name]).max() < 1e-7 for name in before)
    assert np.abs(result.measure.particles - theta).max() > 0.1  # it has moved


@pytest.mark.parametrize("activation", SIGMA)
@pytest.mark.parametrize("regularizer", PENALTY)
def test_what_is_conserved_has_no_rate_of_change(activation, regularizer):
    """d/dt of every conserved quantity, by a difference quotient along the velocity."""
    energy, theta, *_ = problem(activation, regularizer=regularizer, strength=0.3)
    velocity, h = energy.velocity(theta), 1e-5
    after, before = energy.conserved(theta + h * velocity), energy.conserved(theta - h * velocity)
    expected = {"relu", "linear"} if regularizer == "path-norm" else {"relu", "linear", "square"}
    assert bool(after) == (activation in expected and regularizer in ("path-norm", "none"))
    for name in after:
        np.testing.assert_allclose((after[name] - before[name]) / (2 * h), 0.0, atol=1e-8)


@pytest.mark.parametrize("activation", ["erf", "tanh"])
def test_energy_balance(activation):
    energy, theta, *_ = problem(activation, regularizer="squared-norm", strength=0.01)
    result = pf.solve(energy, pf.EmpiricalMeasure(theta, energy.layout), 20.0, rtol=1e-9, frames=4)
    assert np.abs(result.observables["balance"]).max() < 1e-8 * result.observables["energy"][0]
    assert result.observables["energy"][-1] < 0.8 * result.observables["energy"][0]


def test_energy_balance_of_relu_falls_with_the_tolerance():
    energy, theta, *_ = problem("relu")
    measure, found = pf.EmpiricalMeasure(theta, energy.layout), []
    for rtol in (1e-3, 1e-6):
        result = pf.solve(energy, measure, 2.0, rtol=rtol, frames=2)
        found.append(np.abs(result.observables["balance"]).max())
    assert found[1] < 0.05 * found[0]


def test_balanced_start():
    layout = pf.ThreeLayer(4).layout(3)
    measure = pf.sphere(6, layout, radius=0.5, rng=0)
    conserved = pf.ThreeLayer(4).conserved(measure.particles, pf.get_regularizer("none"))
    assert all(np.abs(value).max() < 1e-15 for value in conserved.values())
    np.testing.assert_allclose(measure["a"], [1.0, -1.0] * 3)
    np.testing.assert_allclose(np.abs(measure["u"]), 0.5)


@pytest.mark.parametrize("s", [0, -1, 2.0, True, "3"])
def test_bad_s(s):
    with pytest.raises(pf.InvalidInput, match=r"^model.s = .*: valid are integers from 1$"):
        pf.ThreeLayer(s)


def test_bad_inputs():
    energy, theta, *_ = problem()
    with pytest.raises(pf.InvalidInput, match=r"^inputs have shape \(2, 5\), expected \(n, 2\)$"):
        energy.model.predict(theta, np.ones((2, 5)))
    with pytest.raises(pf.InvalidInput, match=r"no closed form for the three-layer model$"):
        pf.PopulationEnergy(energy.model, theta)
