"""The fast products of relu networks against plain NumPy."""

import numpy as np
import pytest

import particleflow as pf
from particleflow.jit import jit
from particleflow.lanes import add, load, multiply_add, pick, positive, ramp, spread, store, width, zeros
from particleflow.models import relu_products


def reference(theta, X, y, loss):
    """Return the risk and ∇G without regulariser, by two matrix products."""
    a, w = theta[:, 0], theta[:, 1:]
    z = X @ w.T
    r = loss.half_derivative(np.maximum(z, 0) @ a / len(a), y) / len(y)
    v = (np.where(z > 0, 1.0, 0.0) * r[:, None]).T @ X
    gradient = np.column_stack([np.maximum(z, 0).T @ r, a[:, None] * v])
    return np.mean(loss.value(np.maximum(z, 0) @ a / len(a), y)), gradient


def compared(theta, X, y, loss="squared"):
    """Return the largest difference to the reference, relative to the largest entry of each block."""
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y), loss=loss, regularizer="none")
    out = np.empty_like(theta)
    parts = energy.make_velocity(len(theta))(theta, out)
    risk, gradient = reference(theta, X, y, energy.loss)
    blocks = [(out[:, 0], -gradient[:, 0]), (out[:, 1:], -gradient[:, 1:]), (parts["risk"], risk)]
    return max(np.abs(ours - truth).max() / max(np.abs(truth).max(), 1e-300) for ours, truth in blocks)


@pytest.mark.parametrize("d", [1, 3, 8, 9, 16, 23, 33])
def test_every_number_of_data_and_odd_numbers_of_neurons(d):
    rng = np.random.default_rng(d)
    for n in range(1, 41):
        for m in (1, 6, 7, 131):
            theta = 2.0 ** rng.integers(-200, 200) * rng.normal(size=(m, 1 + d))
            X, y = 2.0 ** rng.integers(-100, 100) * rng.normal(size=(n, d)), rng.normal(size=n)
            assert compared(theta, X, y) <= 1e-12, (n, m)


@pytest.mark.parametrize("loss", ["squared", "logistic", "huber"])
def test_ties_on_the_kinks(loss):
    """Small integers: many products are exactly zero, whatever the order of their sums, and neurons and data too."""
    rng = np.random.default_rng(0)
    for n in range(1, 41):
        X = rng.integers(-1, 2, (n, 5)).astype(float)
        theta = 2.0 ** rng.integers(-9, 9) * rng.integers(-1, 2, (29, 6))
        assert compared(theta, X, np.sign(rng.normal(size=n)), loss) <= 1e-12, n


@pytest.mark.parametrize(("name", "value"), [("MOST_BITS", 10**5), ("_SMALL_SUMS", 0), ("_SMALL_SUMS", 10**9)])
def test_more_than_one_piece(name, value, monkeypatch):
    """Whether bits are computed twice, neurons or data are shared among threads."""
    monkeypatch.setattr(relu_products, name, value)
    rng = np.random.default_rng(2)
    theta, X, y = rng.normal(size=(1500, 41)), rng.normal(size=(901, 40)), rng.normal(size=901)
    assert compared(theta, X, y) <= 1e-12


def two_hidden_layers(theta, X, y, s, first=(), second=()):
    """Return ∇G of a three-layer network by loops over clusters; slopes are 0 at kinks (neuron or cluster, datum)."""
    (m, _), (n, d) = theta.shape, X.shape
    a, u, W = theta[:, 0], theta[:, 1 : 1 + s], theta[:, 1 + s :].reshape(m, s, d)
    z = np.einsum("mkd,nd->mkn", W, X)
    q = np.einsum("mk,mkn->mn", u, np.maximum(z, 0))
    r = (a @ np.maximum(q, 0) / m - y) / n
    outer, inner = np.where(q > 0, r, 0.0), np.where(z > 0, 1.0, 0.0)
    for unit, j in first:
        inner[unit // s, unit % s, j] = 0.0
    for cluster, j in second:
        outer[cluster, j] = 0.0
    gradient_W = np.einsum("m,mk,mn,mkn,nd->mkd", a, u, outer, inner, X, optimize=True)
    gradient_u = a[:, None] * np.einsum("mn,mkn->mk", outer, np.maximum(z, 0) * inner)
    gradient_a = np.einsum("mn,mk,mkn->m", outer, u, np.maximum(z, 0) * inner)
    return np.column_stack([gradient_a, gradient_u, gradient_W.reshape(m, -1)])


@pytest.mark.parametrize("s", [1, 2, 3, 5, 16, 70])
def test_three_layers(s):
    rng = np.random.default_rng(s)
    for n in (1, 7, 8, 9, 40):
        for d, m in ((1, 7), (8, 1), (20, 13)):
            ties = n % 2 == 1
            theta = rng.integers(-1, 2, (m, 1 + s + s * d)) * 0.5 if ties else rng.normal(size=(m, 1 + s + s * d))
            X, y = rng.integers(-1, 2, (n, d)) * 1.0 if ties else rng.normal(size=(n, d)), rng.normal(size=n)
            velocity = pf.EmpiricalEnergy(pf.ThreeLayer(s), (X, y), regularizer="none").velocity(theta)
            truth = two_hidden_layers(theta, X, y, s)
            for block in (slice(0, 1), slice(1, 1 + s), slice(1 + s, None)):
                scale = max(np.abs(truth[:, block]).max(), 1e-300)
                assert np.abs(velocity[:, block] + truth[:, block]).max() <= 1e-12 * scale, (n, d, m)


@pytest.mark.parametrize(("name", "value"), [("MOST_BITS", 10), ("_SMALL_SUMS", 0), ("_PIECE_FLOPS", 1)])
def test_hidden_kinks_have_no_slope(name, value, monkeypatch):
    """Whether bits are computed twice, neurons or data are shared among threads."""
    monkeypatch.setattr(relu_products, name, value)
    rng = np.random.default_rng(7)
    m, n, d, s = 9, 21, 4, 3
    theta, X, y = rng.normal(size=(m, 1 + s + s * d)), rng.normal(size=(n, d)), rng.normal(size=n)
    model = pf.ThreeLayer(s)
    drift = model._make_drift(pf.dataset_from_arrays(X, y), 0, m, fixed=True)
    first = rng.integers(0, m * s, 15), rng.integers(0, n, 15)
    second = rng.integers(0, m, 5), rng.integers(0, n, 5)
    drift.hide(first, second)
    out = np.empty_like(theta)
    drift(*model._split(theta), out)
    truth = two_hidden_layers(theta, X, y, s, zip(*first, strict=True), zip(*second, strict=True))
    np.testing.assert_allclose(out, truth, rtol=1e-12, atol=1e-14)


def test_not_a_number_is_not_hidden():
    theta, X = np.ones((9, 5)), np.ones((11, 4))
    theta[3, 2] = np.nan
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, np.ones(11)))
    assert np.isnan(energy.make_velocity(9)(theta, np.empty_like(theta))["risk"])


def test_lanes():
    @jit
    def evaluate(x, y, out):
        zero = zeros(16)
        one, two = load(x, 1, zero), load(y, 0, zero)
        store(ramp(multiply_add(one, two, spread(0.5, zero))), out, 3)
        store(add(one, pick(x, 2, zero)), out, 19)
        return positive(one), width(one)

    rng = np.random.default_rng(0)
    x, y, out = rng.normal(size=17), rng.normal(size=16), np.zeros(36)
    x[4] = np.nan
    bits, lanes = evaluate(x, y, out)
    np.testing.assert_allclose(out[3:19], np.maximum(x[1:] * y + 0.5, 0), rtol=1e-15)
    np.testing.assert_array_equal(out[19:35], x[1:] + x[2])
    assert [(bits >> q) & 1 for q in range(16)] == list(x[1:] > 0)
    assert lanes == 16
    assert out[:3].max() == out[35] == 0
