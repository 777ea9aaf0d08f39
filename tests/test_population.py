"""The population limit, against quadrature, extended precision, the pairwise form and data in growing number."""

import mpmath
import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss
from scipy.special import erf
from threadpoolctl import threadpool_limits

import particleflow as pf
from particleflow.activations import RELU
from particleflow.arc_cosine import TILE, ArcCosineSums, ratio
from particleflow.gaussian_kernels import pair_matrices
from particleflow.models.population import pairwise_fields, small_span
from particleflow.panel_products import PANEL, add_product

SMOOTH = {"erf": lambda z: erf(z / np.sqrt(2)), "square": lambda z: z**2, "linear": lambda z: z}
NAMES = [*SMOOTH, "relu"]


def closed_form(name, w, v):
    matrices = np.empty((3, 1, 1))
    W, V = np.array([w], dtype=float), np.array([v], dtype=float)
    pair_matrices(pf.get_activation(name).code, W, V, *matrices)
    value, along_w, along_v = matrices[:, 0, 0]
    return value, along_w * W[0] + along_v * V[0]


def problem(name, m=7, d=3, seed=0, **options):
    rng = np.random.default_rng(seed)
    theta, teacher = rng.normal(size=(m, 1 + d)), rng.normal(size=(4, 1 + d))
    return pf.PopulationEnergy(pf.TwoLayer(name), teacher, **options), theta, teacher


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_kernels_against_gauss_hermite_quadrature(name):
    """Two inner products are jointly Gaussian: an integral over the plane they span."""
    nodes, weights = hermegauss(120)
    weights /= np.sqrt(2 * np.pi)
    rng = np.random.default_rng(1)
    for _ in range(10):
        w, v = rng.normal(scale=0.7, size=(2, 4))
        e1 = w / np.linalg.norm(w)
        rest = v - (v @ e1) * e1
        z1 = np.linalg.norm(w) * nodes[:, None]
        z2 = (v @ e1) * nodes[:, None] + np.linalg.norm(rest) * nodes[None, :]
        sigma = SMOOTH[name]
        truth = weights @ (sigma(z1) * sigma(z2)) @ weights
        assert closed_form(name, w, v)[0] == pytest.approx(truth, rel=1e-10)


def test_relu_kernel_against_an_integral_over_the_angle():
    """In polar coordinates the radius integrates to 2, the angle runs where both neurons are active."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    for angle in (0.1, 1.0, 2.0, 3.0):
        low, high = angle - np.pi / 2, np.pi / 2
        phi = 0.5 * (high - low) * nodes + 0.5 * (high + low)
        truth = 2 * 3 * 0.5 * (high - low) * weights @ (np.cos(phi) * np.cos(phi - angle)) * 2 / (2 * np.pi)
        value = closed_form("relu", [2.0, 0.0], [3 * np.cos(angle), 3 * np.sin(angle)])[0]
        assert value == pytest.approx(truth, rel=1e-12)


# 50-digit arithmetic with mpmath: (v, κ((1, 0), v)) with the angle in the decimals of v
EXTENDED = [
    ([1.0, 1e-9], 0.5),
    ([-1.0, 1e-9], 5.305164769729845e-29),
    ([-1.0, 1e-3], 5.305161586631726e-11),
]


@pytest.mark.parametrize(("v", "truth"), EXTENDED)
def test_relu_kernel_at_angles_near_zero_and_pi(v, truth):
    value, gradient = closed_form("relu", [1.0, 0.0], v)
    assert value == pytest.approx(truth, rel=1e-14)
    # Euler: κ is 1-homogeneous in w
    assert gradient @ np.array([1.0, 0.0]) == pytest.approx(truth, rel=1e-6, abs=1e-24)


@pytest.mark.parametrize("name", NAMES)
def test_kernel_is_symmetric_positive_and_rotation_invariant(name):
    energy, theta, _ = problem(name, m=12)
    K = energy.pairs.K(theta, theta)
    np.testing.assert_allclose(K, K.T, rtol=1e-12)
    assert np.linalg.eigvalsh(K).min() > -1e-10 * np.linalg.eigvalsh(K).max()
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    turned = np.column_stack([theta[:, 0], theta[:, 1:] @ rotation])
    np.testing.assert_allclose(energy.pairs.K(turned, turned), K, rtol=1e-11, atol=1e-13)


def test_erf_network_does_not_see_the_dimension_it_is_embedded_in():
    energy, theta, teacher = problem("erf")
    more = pf.PopulationEnergy(pf.TwoLayer("erf"), np.column_stack([teacher, np.zeros((4, 5))]))
    embedded = np.column_stack([theta, np.zeros((7, 5))])
    np.testing.assert_allclose(more.velocity(embedded)[:, :4], energy.velocity(theta), rtol=1e-12)
    assert (more.velocity(embedded)[:, 4:] == 0).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("regularizer", ["path-norm", "norm", "squared-norm", "none"])
def test_streamed_velocity_equals_the_pairwise_one(name, regularizer, monkeypatch):
    energy, theta, _ = problem(name, m=11, regularizer=regularizer, strength=0.3)
    pairwise = pf.pairwise_velocity(energy.pairs, theta)
    np.testing.assert_allclose(energy.velocity(theta), pairwise, atol=1e-11)
    assert energy.value(theta) == pytest.approx(pf.pairwise_energy(energy.pairs, theta), rel=1e-12)
    monkeypatch.setattr("particleflow.models.population._SLAB_PAIRS", 1)
    np.testing.assert_allclose(energy.velocity(theta), pairwise, atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_velocity_against_finite_differences(name):
    energy, theta, _ = problem(name, regularizer="squared-norm", strength=0.3)
    h, gradient = 1e-6, np.empty_like(theta)
    for i, k in np.ndindex(theta.shape):
        step = np.zeros_like(theta)
        step[i, k] = h
        difference = pf.pairwise_energy(energy.pairs, theta + step) - pf.pairwise_energy(energy.pairs, theta - step)
        gradient[i, k] = difference / (2 * h)
    np.testing.assert_allclose(energy.velocity(theta), -len(theta) / 2 * gradient, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_potential_against_monte_carlo(name):
    energy, theta, teacher = problem(name, strength=0.1)
    rng = np.random.default_rng(3)
    X = rng.normal(size=(400_000, 3))
    residual = energy.model.predict(theta, X) - energy.model.predict(teacher, X)
    samples = energy.model.features(theta[:3], X) * residual
    truth = samples.mean(axis=1) + 0.05 * energy.regularizer.value(theta[:3])
    error = samples.std(axis=1) / np.sqrt(len(X))
    assert (np.abs(energy.potential(theta[:3], pf.EmpiricalMeasure(theta, energy.layout)) - truth) < 5 * error).all()


@pytest.mark.parametrize("name", ["relu", "erf"])
def test_more_data_come_closer_as_one_over_the_root_of_their_number(name):
    energy, theta, teacher = problem(name, m=20, d=2)
    start = pf.EmpiricalMeasure(0.5 * theta, energy.layout)
    truth = pf.solve(energy, start, 1.0, rtol=1e-8).measure.particles
    numbers = np.array([200, 800, 3200, 12800])
    errors = []
    for n in numbers:
        repeats = []
        for seed in range(6):
            X = np.random.default_rng(seed).normal(size=(n, 2))
            empirical = pf.EmpiricalEnergy(energy.model, (X, energy.model.predict(teacher, X)))
            found = pf.solve(empirical, start, 1.0, rtol=1e-6, frames=1).measure.particles
            repeats.append(np.mean((found - truth) ** 2))
        errors.append(np.sqrt(np.mean(repeats)))
    assert abs(np.polyfit(np.log(numbers), np.log(errors), 1)[0] + 0.5) < 0.15


@pytest.mark.parametrize("name", NAMES)
def test_energy_balance(name):
    energy, theta, _ = problem(name, m=30, regularizer="squared-norm", strength=0.05)
    observables = pf.solve(energy, pf.EmpiricalMeasure(0.3 * theta[:7], energy.layout), 20.0, rtol=1e-9).observables
    assert np.abs(observables["balance"]).max() < 1e-7 * observables["energy"][0]


# --- relu in symmetric tiles ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [2, 4, 6, 8, 22])
@pytest.mark.parametrize("anew", [True, False])
def test_products_in_panels(rows, anew):
    """A matrix and its transpose times some rows of another, columns in panels of 8, against NumPy."""
    rng = np.random.default_rng(rows)
    left, right, start = (
        rng.normal(size=(rows, 7)),
        rng.normal(size=(11, 2 * PANEL)),
        rng.normal(size=(rows, 2 * PANEL)),
    )
    panels = np.ascontiguousarray(right.reshape(11, 2, PANEL).transpose(1, 0, 2))
    for factor, row, step in ((left, 7, 1), (np.ascontiguousarray(left.T), 1, rows)):
        out = start.copy()
        add_product(factor, row, step, panels, 3, 7, out, anew)
        np.testing.assert_allclose(out, left @ right[3:10] + (not anew) * start, rtol=1e-13, atol=1e-13)


def both_sums(W, weights, teacher, masses):
    """Return fields and pulls of the tiles, and pair by pair."""
    m, d = W.shape
    sums = [(np.empty((2, m)), np.empty((2, m, d))) for _ in range(2)]
    ArcCosineSums(m, len(teacher), d).add_up(teacher, masses, W, weights, *sums[0])
    pairwise_fields(RELU, teacher, masses, W, weights, *sums[1])
    return sums


def assert_the_same(sums, tolerance=1e-12):
    for ours, plain in zip(*sums, strict=True):
        for one, other in zip(ours, plain, strict=True):
            assert np.abs(one - other).max() <= tolerance * np.abs(other).max()


def test_angles_from_the_polynomial_against_extended_precision():
    with mpmath.workdps(40):
        for s in np.concatenate([np.logspace(-20, 0, 60), np.linspace(0.02, 1, 60)]):
            truth = mpmath.acos(1 - mpmath.mpf(float(s))) / mpmath.sqrt(2 * mpmath.mpf(float(s)))
            assert abs(ratio(s) - truth) < 5e-16 * truth
    assert ratio(0.0) == 1.0


@pytest.mark.parametrize("m", [*range(1, 6), 17, 40, TILE - 1, TILE, TILE + 1, 2 * TILE + 3])
@pytest.mark.parametrize("d", [1, 2, 3, 10, 33])
def test_symmetric_tiles_equal_the_pairwise_sum(m, d):
    rng = np.random.default_rng(m)
    W, teacher = rng.normal(size=(m, d)), rng.normal(size=(3, d))
    assert_the_same(both_sums(W, rng.normal(size=m) / m, teacher, rng.normal(size=3)))


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-9, 1e-6, 1e-4, 4.4e-3, 4.5e-3, 0.04, 0.05])
@pytest.mark.parametrize("m", [30, TILE + 44])
def test_symmetric_tiles_with_clusters_of_directions(angle, m):
    """Nearly parallel, nearly antiparallel and equal directions, lengths from 1e-5 to 1e5, a vector that is 0."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(3, 5))
    W = rng.choice([-1, 1], size=(m, 1)) * centres[rng.integers(0, 3, m)]
    W = (W + angle * rng.normal(size=W.shape)) * 10.0 ** rng.uniform(-5, 5, (m, 1))
    W[3] = 0.0
    assert_the_same(both_sums(W, rng.normal(size=m) / m, centres, rng.normal(size=3)))


@pytest.mark.parametrize("size", [1e-100, 1e100])
def test_symmetric_tiles_in_every_unit(size):
    rng = np.random.default_rng(2)
    W, teacher, weights = rng.normal(size=(50, 4)), rng.normal(size=(3, 4)), rng.normal(size=50)
    expected = both_sums(W, weights, teacher, np.ones(3))[1]
    fields, pulls = both_sums(size * W, weights / size, teacher, np.ones(3))[0]
    assert_the_same(((fields / size, pulls), expected))


def test_symmetric_tiles_remember_nothing_of_the_last_cloud():
    rng = np.random.default_rng(4)
    clouds, teacher, weights = rng.normal(size=(2, TILE + 9, 5)), rng.normal(size=(3, 5)), rng.normal(size=TILE + 9)
    clouds[1, 7] = 0.0
    kept, results = ArcCosineSums(TILE + 9, 3, 5), []
    for sums in (kept, kept, ArcCosineSums(TILE + 9, 3, 5)):
        results.append((np.empty((2, TILE + 9)), np.empty((2, TILE + 9, 5))))
        sums.add_up(teacher, np.ones(3), clouds[min(1, len(results) - 1)], weights, *results[-1])
    for second, alone in zip(*results[1:], strict=True):
        assert second.any()
        np.testing.assert_array_equal(second, alone)


def test_symmetric_tiles_tell_of_vectors_that_are_not_finite():
    W = np.ones((20, 3))
    W[4, 1] = np.nan
    fields, pulls = np.zeros((2, 20)), np.zeros((2, 20, 3))
    ArcCosineSums(20, 3, 3).add_up(np.eye(3), np.ones(3), W, np.ones(20), fields, pulls)
    assert np.isnan(fields[0]).all() and np.isnan(fields[1, 4])


def test_symmetric_tiles_give_the_same_bits_whatever_the_threads(monkeypatch):
    rng = np.random.default_rng(3)
    m = 5 * TILE + 5
    W, teacher, weights = rng.normal(size=(m, 4)), rng.normal(size=(30, 4)), rng.normal(size=m)
    results = []
    for threads in (1, 2, 3):
        monkeypatch.setattr("particleflow.threads._count", lambda threads=threads: threads)
        with threadpool_limits(threads):
            results.append((np.empty((2, m)), np.empty((2, m, 4))))
            ArcCosineSums(m, 30, 4).add_up(teacher, np.ones(30), W, weights, *results[-1])
    for other in results[1:]:
        for one, same in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, same)


def inside(rank, d, m, rng):
    """Return a teacher and particles of which the weights lie in a random subspace."""
    basis = np.linalg.qr(rng.normal(size=(d, rank)))[0]
    return [np.column_stack([rng.normal(size=k), rng.normal(size=(k, rank)) @ basis.T]) for k in (3, m)]


@pytest.mark.parametrize("activation", ["relu", "erf"])
@pytest.mark.parametrize("rank", [1, 4, 17])
@pytest.mark.parametrize("size", [1.0, 1e-90])
def test_particles_in_a_subspace_have_the_velocity_of_the_whole_space(activation, rank, size):
    d, m = 34, 1800
    teacher, theta = inside(rank, d, m, np.random.default_rng(rank))
    theta[5, 1:] = 0.0
    theta[:, 1:] *= size
    assert small_span(teacher[:, 1:], theta[:, 1:]).shape == (d, rank)
    energy = pf.PopulationEnergy(pf.TwoLayer(activation), teacher, regularizer="none")
    out, fields, pulls = np.empty_like(theta), np.empty((2, m)), np.empty((2, m, d))
    risk = energy.make_velocity(m)(theta, out)["risk"]
    code = energy.pairs.activation.code
    pairwise_fields(code, teacher[:, 1:], -teacher[:, 0] / 3, theta[:, 1:], theta[:, 0] / m, fields, pulls)
    expected = -np.column_stack([fields.sum(axis=0), theta[:, :1] * pulls.sum(axis=0)])
    assert np.abs(out - expected).max() <= 1e-12 * np.abs(expected).max()
    assert np.abs(out[:, 0] - expected[:, 0]).max() <= 1e-12 * np.abs(expected[:, 0]).max()
    assert risk == pytest.approx(energy.value(theta), rel=1e-10)


def test_the_span_is_that_of_all_particles_and_of_the_teacher():
    d, m = 34, 1800
    rng = np.random.default_rng(0)
    teacher, theta = (sources[:, 1:] for sources in inside(6, d, m, rng))
    basis = small_span(teacher, theta)
    np.testing.assert_allclose(basis.T @ basis, np.eye(6), atol=1e-14)
    np.testing.assert_allclose(theta @ basis @ basis.T, theta, atol=1e-13)
    assert small_span(rng.normal(size=(1, d)), theta).shape == (d, 7)
    for far, rank in ((-1, 7), (slice(900, 905), 11)):  # the others are no longer all
        other = theta.copy()
        other[far] += 1e-9 * rng.normal(size=other[far].shape)
        assert small_span(teacher, other).shape == (d, rank)
    other[600:] = rng.normal(size=(1200, d))
    assert small_span(teacher, other) is None
    assert small_span(np.zeros((1, d)), np.zeros((m, d))).shape == (d, 1)
    for wrong in (np.nan, np.inf):
        for far in (0, -1):
            other = theta.copy()
            other[far, 2] = wrong
            assert small_span(teacher, other) is None


def test_a_teacher_of_more_dimensions_leaves_the_space_as_it_is():
    rng = np.random.default_rng(3)
    teacher, theta = rng.normal(size=(40, 35)), inside(2, 34, 1800, rng)[1]
    energy = pf.PopulationEnergy(pf.TwoLayer("relu"), teacher, regularizer="none")
    out, fields, pulls = np.empty_like(theta), np.empty((2, 1800)), np.empty((2, 1800, 34))
    energy.make_velocity(1800)(theta, out)
    pairwise_fields(RELU, teacher[:, 1:], -teacher[:, 0] / 40, theta[:, 1:], theta[:, 0] / 1800, fields, pulls)
    expected = -np.column_stack([fields.sum(axis=0), theta[:, :1] * pulls.sum(axis=0)])
    assert np.abs(out - expected).max() <= 1e-12 * np.abs(expected).max()


def test_flows_stay_in_a_subspace():
    teacher, theta = inside(3, 34, 1800, np.random.default_rng(2))
    energy = pf.PopulationEnergy(pf.TwoLayer("relu"), teacher, strength=0.01)
    measure = pf.EmpiricalMeasure(theta, energy.layout)
    last = pf.solve(energy, measure, 2.0, method="rk4", step=0.05).measure.particles
    assert np.abs(last - theta).max() > 0.1
    assert small_span(teacher[:, 1:], last[:, 1:]).shape == (34, 3)


def test_minimum_of_a_single_relu_teacher():
    """Teacher A relu(⟨u, x⟩) with ‖u‖ = 1, λ ≤ A: min L = λA − λ²/2 for the path norm, in every dimension."""
    A, strength = 2.0, 0.5
    energy = pf.PopulationEnergy(pf.TwoLayer("relu"), [[A, 1.0, 0.0, 0.0]], strength=strength)
    result = pf.solve(energy, pf.sphere(40, 3, rng=0), 200.0)
    assert result.observables["energy"][-1] == pytest.approx(strength * A - strength**2 / 2, rel=1e-6)


def test_bad_input():
    with pytest.raises(pf.InvalidInput, match="no closed form for tanh; valid: relu, erf, square, linear"):
        pf.PopulationEnergy(pf.TwoLayer("tanh"), [[1.0, 1.0]])
    with pytest.raises(pf.InvalidInput, match=r"teacher has shape \(1, 1\)"):
        pf.PopulationEnergy(pf.TwoLayer("relu"), [[1.0]])
    with pytest.raises(pf.InvalidInput, match="NaN or infinite"):
        pf.PopulationEnergy(pf.TwoLayer("relu"), [[1.0, np.nan]])
    with pytest.raises(pf.InvalidInput, match=r"energy\.strength = -1"):
        pf.PopulationEnergy(pf.TwoLayer("relu"), [[1.0, 1.0]], strength=-1)
