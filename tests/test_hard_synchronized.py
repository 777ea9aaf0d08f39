"""Hard-synchronised networks, against loops in plain numpy, finite differences, three-layer networks and the flow."""

import numpy as np
import pytest
from plain_networks import LOSS, SIGMA, difference_quotients, mean_loss

import particleflow as pf
from particleflow.regularizers import REGULARIZERS

# neuron 4 has no reader, cluster 3 reads nothing, neuron 2 is read by all others; pads anywhere
SUPPORTS = np.array([[0, 2, -1], [2, -1, 1], [3, 2, 0], [-1, -1, -1], [-1, 2, -1]])


def problem(activation="relu", *, supports=SUPPORTS, n=13, d=2, seed=0, **options):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, d)), rng.choice([-1.0, 1.0], size=n)
    model = pf.HardSynchronized(supports, activation)
    energy = pf.EmpiricalEnergy(model, (X, y), **options)
    return energy, rng.normal(scale=0.8, size=(model.m, energy.layout.size)), X, y


def edges(supports, i):
    """Yield (k, q) for the places k in which cluster i reads neuron q."""
    return [(k, q) for k, q in enumerate(supports[i]) if q >= 0]


def penalty(name, supports, theta):
    m, s = supports.shape
    a, u, W = theta[:, 0], theta[:, 1 : 1 + s], theta[:, 1 + s :]
    total = 0.0
    for i in range(m):
        read = edges(supports, i)
        squares = a[i] ** 2 + sum(u[i, k] ** 2 for k, _ in read) + W[i] @ W[i]
        total += {
            "path-norm": abs(a[i]) * sum(abs(u[i, k]) * np.linalg.norm(W[q]) for k, q in read),
            "norm": np.sqrt(squares),
            "squared-norm": squares,
            "scaled-squared-norm": abs(a[i]) * sum(u[i, k] ** 2 + W[q] @ W[q] for k, q in read),
            "none": 0.0,
        }[name]
    return total / m


def predict(activation, supports, theta, x):
    (m, s), sigma, f = supports.shape, SIGMA[activation], 0.0
    for i in range(m):
        q = sum(theta[i, 1 + k] * sigma(theta[neuron, 1 + s :] @ x) for k, neuron in edges(supports, i))
        f += theta[i, 0] * sigma(float(q))
    return f / m


def energy_by_hand(energy, theta, X, y):
    supports = energy.model.supports
    f = [predict(energy.model.activation.name, supports, theta, x) for x in X]
    return mean_loss(energy.loss.name, f, y) + energy.strength * penalty(energy.regularizer.name, supports, theta)


@pytest.mark.parametrize("activation", SIGMA)
@pytest.mark.parametrize("loss", LOSS)
@pytest.mark.parametrize("regularizer", REGULARIZERS)
def test_velocity_against_finite_differences(activation, loss, regularizer):
    energy, theta, X, y = problem(activation, loss=loss, regularizer=regularizer, strength=0.3, n=7)
    gradient = difference_quotients(lambda theta: energy_by_hand(energy, theta, X, y), theta)
    velocity = energy.velocity(theta)
    np.testing.assert_allclose(velocity, -len(theta) / 2 * gradient, atol=1e-6)
    np.testing.assert_allclose(energy.value(theta), energy_by_hand(energy, theta, X, y), rtol=1e-13)
    assert (velocity[:, 1:4][SUPPORTS < 0] == 0).all()


@pytest.mark.parametrize("d", [1, 8, 9])
def test_tiles_of_data_leave_no_row_out(d):
    supports = pf.exact_supports(7, 6, 0)  # more than four edges a cluster, and a remainder
    for n in range(1, 41):
        energy, theta, X, y = problem("tanh", n=n, d=d, supports=supports)
        assert energy.value(theta) == pytest.approx(energy_by_hand(energy, theta, X, y), rel=1e-13)
        np.testing.assert_allclose(
            energy.model.predict(theta, X), [predict("tanh", supports, theta, x) for x in X], rtol=1e-12, atol=1e-14
        )


@pytest.mark.parametrize("n", [257, 530])
@pytest.mark.parametrize("d", [2, 9])
def test_the_velocity_is_the_mean_over_single_rows(n, d):
    energy, theta, X, y = problem("erf", n=n, d=d, supports=pf.exact_supports(11, 5, 0))
    f, single = energy.model.predict(theta, X), np.zeros_like(theta)
    for x, target, prediction in zip(X, y, f, strict=True):
        one = pf.EmpiricalEnergy(energy.model, (x[None], [target]))
        assert energy.model.predict(theta, x[None])[0] == pytest.approx(prediction, rel=1e-13)
        single += one.velocity(theta) / n
    np.testing.assert_allclose(energy.velocity(theta), single, atol=1e-14)


@pytest.mark.parametrize("activation", SIGMA)
@pytest.mark.parametrize("regularizer", REGULARIZERS)
def test_reading_the_own_neuron_only_is_a_three_layer_network(activation, regularizer):
    options = {"regularizer": regularizer, "strength": 0.2}
    energy, theta, X, y = problem(activation, supports=np.arange(6)[:, None], **options)
    other = pf.EmpiricalEnergy(pf.ThreeLayer(1, activation), (X, y), **options)
    np.testing.assert_allclose(energy.velocity(theta), other.velocity(theta), atol=1e-15)
    np.testing.assert_allclose(energy.model.features(theta, X), other.model.features(theta, X), atol=1e-15)
    assert energy.value(theta) == pytest.approx(other.value(theta), rel=1e-15)


@pytest.mark.parametrize("regularizer", REGULARIZERS)
def test_numbering_of_the_neurons_does_not_matter(regularizer):
    """Renaming clusters, and with them the neurons of the first layer, permutes the velocities."""
    energy, theta, X, y = problem("tanh", regularizer=regularizer, strength=0.1)
    order = np.random.default_rng(0).permutation(5)
    renamed = np.append(np.argsort(order), -1)[SUPPORTS[order]]
    other = pf.EmpiricalEnergy(pf.HardSynchronized(renamed, "tanh"), (X, y), regularizer=regularizer, strength=0.1)
    np.testing.assert_allclose(other.velocity(theta[order]), energy.velocity(theta)[order], atol=1e-15)


def test_two_copies_side_by_side_are_the_same_network():
    energy, theta, X, y = problem("erf", strength=0.1)
    twice = np.concatenate([SUPPORTS, np.where(SUPPORTS >= 0, SUPPORTS + 5, -1)])
    other = pf.EmpiricalEnergy(pf.HardSynchronized(twice, "erf"), (X, y), strength=0.1)
    both = np.concatenate([theta, theta])
    assert other.value(both) == pytest.approx(energy.value(theta), rel=1e-14)
    np.testing.assert_allclose(other.velocity(both)[5:], energy.velocity(theta), atol=1e-15)


def test_pads_count_nowhere_and_stay():
    energy, theta, X, _ = problem("relu", regularizer="norm", strength=0.1)
    pads = np.zeros_like(theta, dtype=bool)
    pads[:, 1:4] = SUPPORTS < 0
    other = theta.copy()
    other[pads] = 1e3
    assert energy.value(other) == energy.value(theta)
    np.testing.assert_array_equal(energy.velocity(other), energy.velocity(theta))
    np.testing.assert_array_equal(energy.model.predict(other, X), energy.model.predict(theta, X))
    result = pf.solve(energy, pf.EmpiricalMeasure(other, energy.layout), 1.0, rtol=1e-3, frames=1)
    np.testing.assert_array_equal(result.measure.particles[pads], other[pads])
    admissible = energy.model.admissible(other)
    assert (admissible[pads] == 0).all()
    np.testing.assert_array_equal(admissible[~pads], other[~pads])


@pytest.mark.parametrize(
    ("activation", "strength"), [("relu", 0.05), ("linear", 0.0), ("linear", 0.05), ("square", 0.0)]
)
def test_conserved_along_the_flow(activation, strength):
    energy, theta, *_ = problem(activation, d=3, strength=strength)
    theta *= 0.5
    result = pf.solve(energy, pf.EmpiricalMeasure(theta, energy.layout), 2.0, rtol=1e-9, frames=2)
    before, after = energy.conserved(theta), energy.conserved(result.measure.particles)
    assert [value.shape for value in before.values()] == [(5,), (5,)]
    assert all(np.abs(after[name] - before[name]).max() < 1e-7 for name in before)
    assert np.abs(result.measure.particles - theta).max() > 0.1  # it has moved


@pytest.mark.parametrize("activation", SIGMA)
@pytest.mark.parametrize("regularizer", REGULARIZERS)
def test_what_is_conserved_has_no_rate_of_change(activation, regularizer):
    energy, theta, *_ = problem(activation, regularizer=regularizer, strength=0.3)
    velocity, h = energy.velocity(theta), 1e-5
    after, before = energy.conserved(theta + h * velocity), energy.conserved(theta - h * velocity)
    for name in after:
        np.testing.assert_allclose((after[name] - before[name]) / (2 * h), 0.0, atol=1e-8)


@pytest.mark.parametrize("activation", ["erf", "tanh"])
def test_energy_balance(activation):
    energy, theta, *_ = problem(activation, regularizer="squared-norm", strength=0.01)
    result = pf.solve(energy, pf.EmpiricalMeasure(theta, energy.layout), 20.0, rtol=1e-9, frames=4)
    assert np.abs(result.observables["balance"]).max() < 1e-8 * result.observables["energy"][0]
    assert result.observables["energy"][-1] < 0.9 * result.observables["energy"][0]


def test_energy_balance_of_relu_falls_with_the_tolerance():
    energy, theta, *_ = problem("relu", supports=pf.circulant_supports(5, [0, 1, -1]))
    measure, found = pf.EmpiricalMeasure(theta, energy.layout), []
    for rtol in (1e-3, 1e-6):
        result = pf.solve(energy, measure, 2.0, rtol=rtol, frames=2)
        found.append(np.abs(result.observables["balance"]).max())
    assert found[1] < 0.05 * found[0]


def test_what_needs_exchangeable_particles_is_refused():
    energy, theta, X, y = problem()
    with pytest.raises(pf.InvalidInput, match=r"^the potential .* is not defined for the hard-synchronized model: "):
        energy.potential(theta, pf.EmpiricalMeasure(theta, energy.layout))
    with pytest.raises(pf.InvalidInput, match=r"^the kernel .* is not defined for the hard-synchronized model: "):
        pf.EmpiricalKernel(energy.model, X, y)
    with pytest.raises(pf.InvalidInput, match=r"^particles = 4, but the supports .* are for 5$"):
        energy.make_velocity(4)
    with pytest.raises(pf.InvalidInput, match=r"^particles = 4, but the supports .* are for 5$"):
        energy.model.predict(theta[:4], X)


@pytest.mark.parametrize(
    ("supports", "message"),
    [
        ([[0, 2], [1, 0]], r"names neuron 2; valid are 0 to 1, and -1 for none$"),
        ([[0, -2], [1, 0]], r"names neuron -2; valid are 0 to 1, and -1 for none$"),
        ([[0, 1], [1, 1]], r"row 1 names a neuron twice$"),
        ([0, 1], r"has shape \(2,\) and type int64; valid: integers \(m, s\)$"),
        ([[0.0, 1.0]], r"has shape \(1, 2\) and type float64; valid: integers \(m, s\)$"),
        (np.empty((2, 0), dtype=int), r"has shape \(2, 0\)"),
        ([[0, 1], [1]], r"valid: integers \(m, s\)$"),
    ],
)
def test_bad_supports(supports, message):
    with pytest.raises(pf.InvalidInput, match=rf"^model.supports.*{message}"):
        pf.HardSynchronized(supports)


# --- supports ---------------------------------------------------------------------------------------------------------


def test_exact_supports():
    supports = pf.exact_supports(200, 5, 0)
    assert supports.shape == (200, 5)
    assert all(len(set(row)) == 5 for row in supports)
    counts = np.bincount(supports.ravel(), minlength=200)
    assert counts.sum() == 1000
    assert np.sum((counts - 5) ** 2 / 5) < 260  # chi-squared with about 195 degrees of freedom
    np.testing.assert_array_equal(supports, pf.exact_supports(200, 5, 0))
    np.testing.assert_array_equal(pf.exact_supports(3, 3, 1), [[0, 1, 2]] * 3)


def test_bernoulli_supports():
    supports = pf.bernoulli_supports(400, 4, 0)
    sizes = np.sum(supports >= 0, axis=1)
    assert sizes.max() == supports.shape[1]
    assert abs(sizes.mean() - 4) < 0.4  # four standard deviations of the mean
    assert abs(sizes.var() - 4 * (1 - 4 / 400)) < 1.2
    assert (sizes == 0).any()
    pf.HardSynchronized(supports)
    np.testing.assert_array_equal(pf.bernoulli_supports(2, 2, 1), [[0, 1]] * 2)


def test_circulant_supports():
    supports = pf.circulant_supports(5, [0, 1, -1])
    for q in range(5):
        for k, offset in enumerate((0, 1, -1)):
            assert supports[(q + offset) % 5, k] == q
    pf.HardSynchronized(supports)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pf.exact_supports(3, 4, 0), r"^s = 4: a cluster reads at most m = 3 neurons$"),
        (lambda: pf.exact_supports(3, 0, 0), r"^s = 0: valid are integers from 1$"),
        (lambda: pf.bernoulli_supports(0, 1, 0), r"^m = 0: valid are integers from 1$"),
        (lambda: pf.circulant_supports(3, [0, 3]), r"^offsets = \[0, 3\] name a neuron twice"),
        (lambda: pf.circulant_supports(3, [0.5]), r"^offsets = \[0.5\]: valid are lists of integers$"),
    ],
)
def test_supports_that_cannot_be(make, message):
    with pytest.raises(pf.InvalidInput, match=message):
        make()
