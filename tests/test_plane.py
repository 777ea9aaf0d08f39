"""Two-layer relu networks in the plane: cells between sorted kinks against sums over all pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import particleflow as pf
from particleflow.losses import LOSSES
from particleflow.models.plane import predict
from particleflow.models.plane_kinks import KinkCircle, angular_order, find_cell, part_of
from particleflow.models.plane_sliding import PlaneSlidingVelocity, exceeds
from particleflow.models.sliding import SlidingVelocity
from particleflow.regularizers import REGULARIZERS

AXES = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])


def both(energy, theta):
    """Return velocity and parts of the cells, and those of the sums over all pairs."""
    velocities = (
        energy.make_velocity(len(theta)),
        energy.model.make_velocity(
            energy.data, energy.loss, energy.regularizer, energy.strength, len(theta), sliding=False
        ),
    )
    assert isinstance(velocities[0], PlaneSlidingVelocity)
    outs = np.empty((2, *theta.shape))
    parts = [velocity(theta, out) for velocity, out in zip(velocities, outs, strict=True)]
    return outs, parts


def assert_same(energy, theta, rtol=1e-12):
    (ours, plain), (our_parts, plain_parts) = both(energy, theta)
    size = np.abs(energy.data.X).max()
    for block, other in ((np.s_[:, :1], np.s_[:, 1:]), (np.s_[:, 1:], np.s_[:, :1])):
        scale = max(np.abs(plain[block]).max(), np.abs(theta[other]).max() * size)  # of what is added up
        np.testing.assert_allclose(ours[block], plain[block], rtol=0, atol=rtol * scale)
    for name, part in plain_parts.items():
        assert our_parts[name] == pytest.approx(part, rel=rtol)


def draw(kind, n, m, rng):
    """Return inputs and particles: in general position, on a lattice with many ties on the kinks, or one-sided."""
    X, theta = rng.standard_normal((n, 2)), rng.standard_normal((m, 3))
    if kind == "lattice":  # integers: every product is exact, and many are 0
        X, theta = rng.integers(-2, 3, (n, 2)).astype(float), rng.integers(-2, 3, (m, 3)).astype(float)
    elif kind == "kinks":  # every w is orthogonal to an input, up to rounding
        theta[:, 1:] = (
            X[rng.integers(n, size=m)] @ np.array([[0.0, 1.0], [-1.0, 0.0]]) * rng.choice([-1.0, 1.0], (m, 1))
        )
    elif kind == "bias":
        X[:, 1] = 1.0
        theta[::3, 1:] = np.array([0.01, 1.0]) * rng.choice([-1.0, 1.0], (len(theta[::3]), 1))  # all inputs or none
    elif kind == "twins":
        X[n // 2 :] = X[: n - n // 2] * rng.choice([-1.0, 1.0], (n - n // 2, 1))
    if n > 3 and kind != "kinks":
        X[rng.integers(n)] = 0.0
    theta[rng.integers(m)] = 0.0
    theta[rng.integers(m), 1:] = 0.0
    return X, theta


@given(
    kind=st.sampled_from(["general", "lattice", "kinks", "bias", "twins"]),
    n=st.integers(1, 40),
    m=st.sampled_from([1, 3, 17, 51]),
    exponent=st.sampled_from([-150, -30, 0, 30, 150]),
    loss=st.sampled_from(sorted(LOSSES)),
    regularizer=st.sampled_from(sorted(REGULARIZERS)),
    seed=st.integers(0, 10**6),
)
def test_cells_against_sums_over_all_pairs(kind, n, m, exponent, loss, regularizer, seed):
    rng = np.random.default_rng(seed)
    X, theta = draw(kind, n, m, rng)
    X, theta[:, 1:] = X * 10.0**exponent, theta[:, 1:] / 10.0**exponent
    y = rng.choice([-1.0, 1.0], n)
    strength = 0.1 if regularizer == "path-norm" or exponent == 0 else 0.0
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y), loss=loss, regularizer=regularizer, strength=strength)
    assert_same(energy, theta)
    np.testing.assert_allclose(
        predict(theta, X), np.mean(theta[:, :1] * np.maximum(theta[:, 1:] @ X.T, 0.0), axis=0), atol=1e-13 * m
    )


@given(
    n=st.integers(0, 30),
    kind=st.sampled_from(["general", "lattice", "bias", "twins"]),
    seed=st.integers(0, 10**6),
)
def test_cells_found_from_anywhere(n, kind, seed):
    """What is active in the cell of a neuron is what a look at every input gives, wherever the search sets out from."""
    rng = np.random.default_rng(seed)
    X, theta = draw(kind, max(n, 1), 9, rng)
    X = X[:n]
    circle = KinkCircle(X)
    X = X[circle.order]
    for w0, w1 in theta[:, 1:]:
        quarter = len(circle.guide) // 4
        quadrant = part_of(circle.guide, w0, w1) // quarter
        for part in quadrant * quarter + rng.integers(0, quarter, 4):
            cell = find_cell(circle.table, circle.owner, circle.guide, part, w0, w1)
            ends = circle.rows.astype(int)
            enter, leave = (cell - ends) % max(circle.count, 1)  # how long ago
            active = (enter < leave) & (ends[0] < circle.count) & (cell < circle.count)
            np.testing.assert_array_equal(active, w0 * X[:, 0] + w1 * X[:, 1] > 0)


def test_angles_keep_their_digits_near_every_axis():
    """Directions 1e-200 from an axis, and 1e-17 from each other elsewhere, are in order."""
    turns = np.array([-3e-200, -1e-200, 0.0, 1e-200, 3e-200])
    around = np.concatenate([AXES[[k]] + turns[:, None] * AXES[[(k + 1) % 4]] for k in range(4)])
    around = np.concatenate([around[2:], around[:2]])  # from the first axis on
    order = np.random.default_rng(0).permutation(len(around))
    np.testing.assert_array_equal(around[order][angular_order(around[order])], around)
    rng = np.random.default_rng(1)
    X = rng.standard_normal((1000, 2))
    np.testing.assert_array_equal(angular_order(X), np.argsort(np.arctan2(X[:, 1], X[:, 0]) % (2 * np.pi)))
    np.testing.assert_array_equal(angular_order(np.ones((7, 2))), np.arange(7))


def test_many_inputs_and_particles_that_move():
    """Prefix sums of 60,000 numbers in pieces, cells that change, memory asked for in advance."""
    rng = np.random.default_rng(0)
    X, y, theta = rng.standard_normal((30_000, 2)), rng.standard_normal(30_000), rng.standard_normal((501, 3))
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y), strength=0.1)
    velocity, out = energy.make_velocity(501), np.empty_like(theta)
    for scale in (0.0, 1e-3, 1.0):
        theta += scale * rng.standard_normal(theta.shape)
        velocity(theta, out)
        ours, plain = both(energy, theta)[0]
        np.testing.assert_array_equal(out, ours)  # to the bit, whatever came before
        np.testing.assert_allclose(out, plain, rtol=0, atol=1e-12 * np.abs(plain).max())
    model = energy.model
    expected = np.concatenate([model.predict(theta, X[:1000]), model.predict(theta, X[1000:2000])])
    np.testing.assert_allclose(predict(theta, X)[:2000], expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_many_particles_on_few_inputs():
    """Particles in pieces that are added to tables of their own."""
    rng = np.random.default_rng(0)
    X, y, theta = rng.standard_normal((50, 2)), rng.standard_normal(50), rng.standard_normal((70_001, 3))
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y), strength=0.1)
    assert len(energy.make_velocity(len(theta))._velocity.sums.particles) > 2
    assert_same(energy, theta)


@pytest.mark.parametrize("n, m", [(30_000, 501), (50, 70_001), (40_000, 80_001)])
def test_the_same_bits_for_any_number_of_threads(n, m, monkeypatch):
    rng = np.random.default_rng(0)
    X, y, theta = rng.standard_normal((n, 2)), rng.standard_normal(n), rng.standard_normal((m, 3))
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y), strength=0.1)
    results = []
    for threads in (1, 2, 3):
        monkeypatch.setattr("particleflow.threads._count", lambda threads=threads: threads)
        velocity, out = energy.make_velocity(m), np.empty_like(theta)
        for cloud in (theta[::-1], theta):
            parts = velocity(np.ascontiguousarray(cloud), out)
        results.append((out, parts))
        assert out.any(axis=1).all()
    for out, parts in results[1:]:
        np.testing.assert_array_equal(out, results[0][0])
        assert parts == results[0][1]


def test_predictions_of_many_particles():
    rng = np.random.default_rng(0)
    theta, X = rng.standard_normal((1000, 3)), rng.standard_normal((5000, 2))
    expected = np.maximum(X @ theta[:, 1:].T, 0.0) @ theta[:, 0] / 1000
    np.testing.assert_array_equal(pf.TwoLayer("relu").predict(theta, X), predict(theta, X))
    np.testing.assert_allclose(predict(theta, X), expected, rtol=0, atol=1e-13)


def test_a_cloud_with_nan_leaves_no_trace():
    rng = np.random.default_rng(0)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (rng.standard_normal((20, 2)), rng.standard_normal(20)))
    theta = rng.standard_normal((5, 3))
    velocity, first, second = energy.make_velocity(5), np.empty((5, 3)), np.empty((5, 3))
    velocity(theta, first)
    for bad in (np.nan, np.inf, -np.inf):
        for k in range(3):
            broken = theta.copy()
            broken[2, k] = bad
            parts = velocity(broken, second)
            assert not (np.isfinite(second).all() and np.isfinite(parts["risk"]))
    velocity(theta, second)
    np.testing.assert_array_equal(second, first)


class Twice(pf.EmpiricalEnergy):
    """The energy with a velocity that does everything a second time, over all pairs and inputs, and compares."""

    def make_velocity(self, m):
        plain = self.model.make_velocity(self.data, self.loss, self.regularizer, self.strength, m, sliding=False)
        residuals = np.empty(self.data.n)

        def all_pairs(theta, out):
            f = np.mean(theta[:, :1] * np.maximum(theta[:, 1:] @ self.data.X.T, 0.0), axis=0)
            residuals[:] = self.loss.half_derivative(f, self.data.y) / self.data.n
            return plain(theta, out)

        second = SlidingVelocity(all_pairs, self.data.X, residuals, self.regularizer.code, 0.5 * self.strength, m)
        self.compared = Compared(super().make_velocity(m), second)
        return self.compared


class Compared:
    def __init__(self, first, second):
        self.first, self.second, self.most = first, second, 0

    @property
    def contacts(self):
        return self.first.contacts

    def __call__(self, theta, out):
        parts, other = self.first(theta, out), np.empty_like(out)
        self.second(theta, other)
        np.testing.assert_allclose(out, other, rtol=0, atol=1e-12)
        return parts

    def hold(self, contacts):
        self.first.hold(contacts)
        self.second.hold(contacts)

    def settle(self, before, ahead, theta, velocity):
        other = theta.copy()
        changes = self.first.settle(before, ahead, theta, velocity), self.second.settle(before, ahead, other, velocity)
        np.testing.assert_allclose(theta, other, rtol=0, atol=1e-13)
        assert changes[0] == changes[1]
        for ours, plain in zip(self.first.contacts, self.second.contacts, strict=True):
            np.testing.assert_array_equal(ours, plain)
        self.most = max(self.most, len(self.contacts[0]))
        return changes[0]


@pytest.mark.parametrize("n", [30, 300])
@pytest.mark.parametrize("kind", ["general", "bias", "twins", "lattice"])
@pytest.mark.parametrize("regularizer", ["path-norm", "norm"])
def test_contacts_are_those_found_among_all_inputs(kind, regularizer, n):
    rng = np.random.default_rng(3)
    X, _ = draw(kind, n, 3, rng)
    energy = Twice(pf.TwoLayer("relu"), (X, rng.standard_normal(n)), regularizer=regularizer, strength=0.02)
    pf.solve(energy, pf.gaussian(2 * n // 3, 2, rng=1), 10.0, rtol=1e-5, frames=3)
    assert energy.compared.most > 3


def test_kinks_are_passed_over_together_only_if_none_can_hold_a_particle():
    rng = np.random.default_rng(5)
    right = 0
    for _ in range(3000):
        X = rng.standard_normal((20, 2)) * 10.0 ** rng.uniform(-3, 3, (20, 1))
        X[:10] = X[rng.integers(10)] + 1e-3 * rng.standard_normal((10, 2))  # many kinks side by side
        table = KinkCircle(X).table
        first, length = rng.integers(40), rng.integers(1, 41)
        u, bound = rng.standard_normal(2), 10.0 ** rng.uniform(-3, 0)
        rows = table[(first + np.arange(length)) % 40]
        truth = (np.abs(rows @ u) > bound * np.hypot(*rows.T)).all()
        said = exceeds(table, first, (first + length - 1) % 40, *u, bound)
        assert truth or not said
        right += said
    assert right > 500
