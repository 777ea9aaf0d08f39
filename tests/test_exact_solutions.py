"""Flows against their exact moment equations (docs/mathematics.md), integrated by another solver."""

import numpy as np
from scipy.integrate import solve_ivp

import particleflow as pf


def data(n=40, d=3):
    rng = np.random.default_rng(7)
    return rng.normal(size=(n, d)), rng.normal(size=n)


def reference(right_hand_side, start, t_end):
    solution = solve_ivp(right_hand_side, (0, t_end), start, method="DOP853", rtol=1e-13, atol=1e-13)
    return solution.y[:, -1]


def test_linear_network():
    """φ = a⟨w, x⟩: Z = (a, w) follows Ż = HZ with H = [[0, gᵀ], [g, 0]], g = b − Σ P_aw, and P = mean ZZᵀ."""
    X, y = data()
    second, b = X.T @ X / len(y), X.T @ y / len(y)
    measure = pf.gaussian(9, 3, rng=2)

    def right_hand_side(_, flat):
        P, Phi = flat[:16].reshape(4, 4), flat[16:].reshape(4, 4)
        g = b - second @ P[0, 1:]
        H = np.block([[np.zeros((1, 1)), g[None]], [g[:, None], np.zeros((3, 3))]])
        return np.concatenate([(H @ P + P @ H).ravel(), (H @ Phi).ravel()])

    Z = measure.particles
    end = reference(right_hand_side, np.concatenate([(Z.T @ Z / 9).ravel(), np.eye(4).ravel()]), 2.0)
    P, Phi = end[:16].reshape(4, 4), end[16:].reshape(4, 4)
    particles = pf.solve(pf.EmpiricalEnergy(pf.TwoLayer("linear"), (X, y)), measure, 2.0, rtol=1e-10).measure.particles
    assert np.abs(particles.T @ particles / 9 - P).max() < 1e-8
    assert np.abs(particles - Z @ Phi.T).max() < 1e-8


def test_square_activation():
    """φ = a⟨w, x⟩²: the data enter by moments only, f = xᵀQx with Q = mean a wwᵀ; ȧ = −wᵀRw, ẇ = −2aRw."""
    X, y = data()
    fourth = np.einsum("ni,nj,nk,nl->ijkl", X, X, X, X) / len(y)
    target = np.einsum("n,ni,nj->ij", y, X, X) / len(y)
    measure = pf.gaussian(8, 3, radius=0.5, rng=4)

    def right_hand_side(_, flat):
        theta = flat.reshape(8, 4)
        a, w = theta[:, 0], theta[:, 1:]
        R = np.einsum("ijkl,kl->ij", fourth, np.einsum("m,mi,mj->ij", a, w, w) / 8) - target
        return -np.column_stack([np.einsum("mi,ij,mj->m", w, R, w), 2 * a[:, None] * (w @ R)]).ravel()

    exact = reference(right_hand_side, measure.particles.ravel(), 2.0).reshape(8, 4)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("square"), (X, y))
    result = pf.solve(energy, measure, 2.0, rtol=1e-10)
    assert np.abs(result.measure.particles - exact).max() < 1e-8
    assert result.observables["2a2_minus_w2_drift"].max() < 1e-8


def test_one_relu_neuron_on_one_datum():
    """m = n = d = 1, a = w = ρ > 0, x = 1: f = ρ² follows the logistic equation ḟ = 2f(y − λ/2 − f)."""
    y, strength, f0, t = 2.0, 0.3, 0.25, 3.0
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), ([[1.0]], [y]), strength=strength)
    start = pf.EmpiricalMeasure([[np.sqrt(f0), np.sqrt(f0)]], energy.layout)
    limit = y - strength / 2
    exact = limit / (1 + (limit / f0 - 1) * np.exp(-2 * limit * t))
    end = pf.solve(energy, start, t, rtol=1e-11).measure
    assert abs(end["a"][0] * end["w"][0, 0] - exact) < 1e-9


def test_weight_decay_alone():
    """No data left to fit (y = 0, particles without output): θ decays as e^{−λt}."""
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), ([[1.0]], [0.0]), regularizer="squared-norm", strength=0.4)
    start = pf.EmpiricalMeasure([[3.0, -2.0]], energy.layout)  # inactive on the only datum
    end = pf.solve(energy, start, 5.0, rtol=1e-11).measure.particles
    np.testing.assert_allclose(end, start.particles * np.exp(-0.4 * 5.0), rtol=1e-9)
