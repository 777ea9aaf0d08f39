"""The global minimum by conditional gradient: closed forms, an independent grid, networks and flows above its bound."""

import json
import re

import numpy as np
import pytest
from scipy.optimize import minimize, nnls

import particleflow as pf
from particleflow.cli import main
from particleflow.losses import LOSSES
from particleflow.reference.circle import Circle, directions
from particleflow.reference.corrective import nonnegative_least_squares
from particleflow.reference.duality import conjugate, curvature, dual_value
from particleflow.sphere_sup import sup_circle

KINDS = ("teacher", "random labels", "xor", "sine")


def instance(number):
    """Return the data and λ of one of the random problems: n from 10 to 100, λ from 1e-3 to 1e-1."""
    rng = np.random.default_rng(number)
    n, strength = int(rng.integers(10, 101)), 10 ** rng.uniform(-3, -1)
    kind = KINDS[number % len(KINDS)]
    if kind == "teacher":
        data, _ = pf.teacher_dataset(pf.TwoLayer("relu"), n=n, d=2, neurons=4, rng=rng)
        return data.X, data.y, strength
    X = rng.normal(size=(n, 2))
    if kind == "random labels":
        return X, rng.choice([-1.0, 1.0], n), strength
    if kind == "xor":
        return X, np.sign(X[:, 0] * X[:, 1]), strength
    x = rng.uniform(-2, 2, n)
    return np.column_stack([x, np.ones(n)]), np.sin(3 * x) + 0.1 * rng.normal(size=n), strength


def grid_minimum(X, y, strength, points):
    """Return the minimum over atoms on a grid of the circle, by SciPy: over the total mass, least squares.

    Whatever SciPy returns is the energy of a network.
    """
    t = 2 * np.pi * np.arange(points) / points
    features = np.maximum(X @ np.array([np.cos(t), np.sin(t)]), 0)
    features = np.hstack([features, -features]) / np.sqrt(len(y))
    target = y / np.sqrt(len(y))
    big = 1e3

    def at(mass):
        A, b = np.vstack([features, np.full(features.shape[1], big)]), np.append(target, big * mass)
        c, _ = nnls(A, b, maxiter=100 * points)
        return np.sum((features @ c - target) ** 2) + strength * c.sum()

    result = minimize(lambda mass: at(abs(mass[0])), [pf.global_minimum((X, y), strength=strength).total_mass])
    return result.fun


# --- closed forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [[2.0], [-1.0], [3.0, 4.0], [0.5, -1.0]])
@pytest.mark.parametrize("y", [1.5, -0.7])
def test_one_datum(x, y):
    """The best atom points at x: min (c‖x‖ − y)² + λc, a soft threshold."""
    size, strength = np.linalg.norm(x), 0.3
    mass = max(abs(y) / size - strength / (2 * size**2), 0.0)
    optimum = pf.global_minimum(([x], [y]), strength=strength)
    np.testing.assert_allclose(optimum.energy, (mass * size - abs(y)) ** 2 + strength * mass, rtol=1e-13)
    np.testing.assert_allclose(optimum.masses, [np.sign(y) * mass], rtol=1e-13)
    np.testing.assert_allclose(optimum.directions, [np.array(x) / size], atol=1e-14)


def test_two_orthogonal_data_of_opposite_signs():
    """No atom serves both: each datum has its own, w = x, and pays a soft threshold."""
    y, strength = np.array([2.0, -1.0]), 0.4
    optimum = pf.global_minimum((np.eye(2), y), strength=strength)
    masses = np.abs(y) - strength  # of (1/2)(c − y)² + λc
    np.testing.assert_allclose(optimum.energy, np.sum(0.5 * strength**2 + strength * masses), rtol=1e-13)
    np.testing.assert_allclose(optimum.total_mass, masses.sum(), rtol=1e-13)


def test_two_orthogonal_data_of_one_sign_share_an_atom():
    """The set of fits of total mass one is the unit disk there: min ½‖f − y‖² + λ‖f‖."""
    y, strength = np.array([3.0, 4.0]), 0.4
    optimum = pf.global_minimum((np.eye(2), y), strength=strength)
    np.testing.assert_allclose(optimum.fit, y * (1 - strength / 5), rtol=1e-9)
    np.testing.assert_allclose(optimum.energy, 0.5 * strength**2 + strength * (5 - strength), rtol=1e-13)
    assert len(optimum.masses) == 1


@pytest.mark.parametrize("d", [1, 2])
def test_nothing_is_best_from_a_certain_strength_on(d):
    rng = np.random.default_rng(d)
    X, y = rng.normal(size=(9, d)), rng.normal(size=9)
    h = max(abs(2 / 9 * y @ np.maximum(X @ w, 0)) for w in ([[1.0], [-1.0]] if d == 1 else circle_points(200_000)))
    above, below = (pf.global_minimum((X, y), strength=factor * h) for factor in (1.001, 0.999))
    np.testing.assert_allclose([above.energy, above.lower_bound], np.mean(y**2), rtol=1e-13)
    assert above.total_mass == 0
    assert above.network().m == 1
    assert below.total_mass > 0
    assert below.energy < np.mean(y**2)


def circle_points(count):
    t = 2 * np.pi * np.arange(count) / count
    return np.column_stack([np.cos(t), np.sin(t)])


@pytest.mark.parametrize("X", [np.zeros((3, 2)), np.zeros((3, 1))])
def test_data_without_inputs(X):
    optimum = pf.global_minimum((X, [1.0, 2.0, 3.0]), strength=0.1)
    np.testing.assert_allclose([optimum.energy, optimum.lower_bound], 14 / 3, rtol=1e-14)


def test_targets_that_are_zero():
    optimum = pf.global_minimum((np.eye(2), [0.0, 0.0]), strength=0.1)
    assert (optimum.energy, optimum.lower_bound, optimum.relative_gap, len(optimum.masses)) == (0, 0, 0, 0)


# --- proofs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("number", range(20))
def test_the_gap_closes(number, loss):
    X, y, strength = instance(number)
    if loss == "logistic":
        y = np.where(y > 0, 1.0, -1.0)
    optimum = pf.global_minimum((X, y), strength=strength, loss=loss)
    assert 0 <= optimum.relative_gap <= 1e-8
    assert optimum.lower_bound <= optimum.energy
    f = np.maximum(X @ optimum.directions.T, 0) @ optimum.masses
    energy = np.mean(LOSSES[loss].value(f, y)) + strength * np.abs(optimum.masses).sum()
    np.testing.assert_allclose(energy, optimum.energy, rtol=1e-12)
    np.testing.assert_allclose(f, optimum.fit, atol=1e-12)
    assert len(optimum.masses) <= len(y)


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_grid_comes_down_to_the_minimum(number):
    X, y, strength = instance(number)
    optimum = pf.global_minimum((X, y), strength=strength)
    coarse, fine = (grid_minimum(X, y, strength, points) - optimum.energy for points in (60, 480))
    assert fine >= -1e-7 * optimum.energy
    assert fine < 0.3 * coarse
    assert fine < 1e-2 * optimum.energy


@pytest.mark.parametrize("loss", LOSSES)
def test_networks_and_flows_stay_above(loss):
    X, y, _ = instance(14)  # 23 data of xor
    strength = 0.02
    optimum = pf.global_minimum((X, y), strength=strength, loss=loss)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y), loss=loss, strength=strength)
    for seed in range(20):
        assert energy.value(pf.gaussian(30, 2, radius=2.0, rng=seed).particles) > optimum.energy
    best = optimum.network()
    np.testing.assert_allclose(energy.value(best.particles), optimum.energy, rtol=1e-12)
    for seed in range(20):
        noise = 1e-3 * np.random.default_rng(seed).normal(size=best.particles.shape)
        assert energy.value(best.particles + noise) > optimum.lower_bound
    result = pf.solve(energy, pf.sphere(60, 2, rng=0), t_end=100.0, method="dopri5", rtol=1e-3)
    assert 0 < result.observables["energy"][-1] - optimum.lower_bound < 0.05 * optimum.energy


@pytest.mark.parametrize("loss", LOSSES)
def test_the_certificate_of_a_measure_agrees(loss):
    """Two routes to the lower bound: the dual of this room, and the certificate of the network by its energy."""
    X, y, strength = instance(2)
    optimum = pf.global_minimum((X, y), strength=strength, loss=loss)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y), loss=loss, strength=strength)
    certificate = pf.certify(energy, optimum.network())
    assert certificate.verdict == "proof"
    assert certificate.relative_gap < 1e-9
    np.testing.assert_allclose(certificate.lower_bound, optimum.lower_bound, rtol=1e-9)


def test_the_potential_proves_it_too():
    """G ≥ 0 everywhere and G = 0 on the support: the first-order conditions, by the code of the flow."""
    X, y, strength = instance(3)
    optimum = pf.global_minimum((X, y), strength=strength)
    energy, measure = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y), strength=strength), optimum.network()
    w = circle_points(1000)
    everywhere = np.vstack([np.column_stack([np.full(1000, sign), w]) for sign in (1.0, -1.0)])
    assert energy.potential(everywhere, measure).min() > -1e-9 * strength
    np.testing.assert_allclose(energy.potential(measure.particles, measure), 0, atol=1e-9 * strength)


@pytest.mark.parametrize("extra", [0, 1, 30])
def test_a_network_may_be_wider(extra):
    X, y, strength = instance(1)
    optimum = pf.global_minimum((X, y), strength=strength)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y), strength=strength)
    measure = optimum.network(len(optimum.masses) + extra)
    assert measure.m == len(optimum.masses) + extra
    np.testing.assert_allclose(energy.value(measure.particles), optimum.energy, rtol=1e-12)
    np.testing.assert_allclose(measure["a"] ** 2, np.sum(measure["w"] ** 2, axis=1), rtol=1e-12)


def test_data_on_a_line_through_the_origin_are_data_in_one_dimension():
    rng = np.random.default_rng(0)
    x = rng.normal(size=20)
    y = np.abs(x)
    line = pf.global_minimum((x, y), strength=0.05)
    plane = pf.global_minimum((np.outer(x, [0.6, -0.8]), y), strength=0.05)
    np.testing.assert_allclose(line.energy, plane.energy, rtol=1e-12)
    assert line.directions.shape == (2, 1)
    assert set(line.directions.ravel()) == {-1.0, 1.0}


@pytest.mark.parametrize("loss", LOSSES)
def test_equal_and_parallel_data_on_a_lattice(loss):
    X = np.array([(a, b) for a in range(-3, 4) for b in range(-3, 4) for _ in range(2)], dtype=float)
    y = np.random.default_rng(0).choice([-1.0, 1.0], len(X))
    assert pf.global_minimum((X, y), strength=1e-3, loss=loss).relative_gap <= 1e-8


# --- parts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_local_maxima_of_the_circle(seed):
    rng = np.random.default_rng(seed)
    X, q = rng.normal(size=(11, 2)), rng.normal(size=11)
    X[3] = 0.0
    X[4] = -2 * X[5]
    circle = Circle(X)
    angles, heights = circle.local_maxima(q)

    def value(t):
        return q @ np.maximum(X @ directions(np.asarray(t)).T, 0)

    np.testing.assert_allclose(value(angles), heights, atol=1e-13)
    for turn in (-1e-5, 1e-5):
        assert np.all(value(angles + turn) <= heights + 1e-14)
    grid = value(2 * np.pi * np.arange(5000) / 5000)
    peaks = (grid > np.roll(grid, 1)) & (grid > np.roll(grid, -1)) & (grid > 0)
    assert len(heights) == peaks.sum()
    both = max(circle.local_maxima(sign * q)[1].max(initial=0) for sign in (1, -1))
    np.testing.assert_allclose(both, sup_circle(q, X).upper, rtol=1e-12)
    midpoints = circle.cuts + 0.5 * circle.lengths
    active = X @ directions(midpoints).T > 0
    long = circle.lengths > 1e-9  # parallel data leave arcs no longer than rounding
    np.testing.assert_allclose(circle.arc_sums(q)[long], (active.T @ (q[:, None] * X))[long], atol=1e-14)


@pytest.mark.parametrize("seed", range(5))
def test_nonnegative_least_squares_obeys_its_first_order_conditions(seed):
    rng = np.random.default_rng(seed)
    A, b, costs = rng.normal(size=(12, 30)), rng.normal(size=12), rng.uniform(0.01, 0.1, 30)
    A[:, 5] = A[:, 6]
    A[:, 7] = A[:, 8] + A[:, 9]
    c = nonnegative_least_squares(A, b, costs, np.zeros(30))
    pull = A.T @ (b - A @ c) - costs
    assert c.min() >= 0
    assert pull.max() <= 1e-12
    np.testing.assert_allclose(c * pull, 0, atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_conjugates_and_curvatures(loss):
    rng = np.random.default_rng(0)
    f, y = rng.normal(scale=2, size=50), rng.choice([-1.0, 1.0], 50)
    p = 2 * loss.half_derivative(f, y)
    np.testing.assert_allclose(conjugate(loss, p, y), p * f - loss.value(f, y), atol=1e-13)  # Fenchel's equality
    others = np.linspace(-6, 6, 4001)
    assert np.all(np.max(p[:, None] * others - loss.value(others, y[:, None]), axis=1) <= conjugate(loss, p, y) + 1e-12)
    h = 1e-6
    slope = (loss.half_derivative(f + h, y) - loss.half_derivative(f - h, y)) / h
    np.testing.assert_allclose(curvature(loss, f, y), slope, atol=1e-8)


def test_the_dual_bounds_any_primal_value():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(15, 2)), rng.choice([-1.0, 1.0], 15)
    for name, loss in LOSSES.items():
        energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y), loss=name, strength=0.05)
        for seed in range(10):
            f = np.random.default_rng(seed).normal(size=15)
            q = -2 * loss.half_derivative(f, y) / 15
            bound = dual_value(loss, q, y, sup_circle(q, X).upper, 0.05)
            assert bound <= energy.value(pf.gaussian(8, 2, radius=0.8, rng=seed).particles)
            assert bound <= pf.global_minimum((X, y), loss=name, strength=0.05).energy


# --- refusals and the command line ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"data": (np.eye(3), np.ones(3))}, "d = 3: .* d ≤ 2 only"),
        ({"strength": 0.0}, "strength = 0.0"),
        ({"strength": np.nan}, "strength = nan"),
        ({"tolerance": 0.0}, "tolerance = 0.0"),
        ({"activation": "tanh"}, "activation = 'tanh'"),
        ({"loss": "absolute"}, "loss = 'absolute'"),
        ({"loss": "logistic"}, "needs targets -1 and [+]1"),
    ],
)
def test_refusals(options, sentence):
    options = {"data": (np.eye(2), [1.0, 2.0]), "strength": 0.1} | options
    with pytest.raises(pf.InvalidInput, match=sentence):
        pf.global_minimum(options.pop("data"), **options)


@pytest.mark.parametrize("m", [0, 1, 2.5])
def test_a_network_may_not_be_narrower(m):
    optimum = pf.global_minimum((np.eye(2), [1.0, -1.0]), strength=0.1)
    with pytest.raises(pf.InvalidInput, match=re.escape(f"particles = {m}: the optimum needs 2 or more")):
        optimum.network(m)


def test_a_tolerance_below_rounding_is_said():
    X, y, strength = instance(3)
    with pytest.warns(UserWarning, match="above the tolerance"):
        optimum = pf.global_minimum((X, y), strength=strength, tolerance=1e-18)
    assert optimum.relative_gap < 1e-10


CONFIG = """\
[data]
file = "data.csv"
target = "y"
bias = true

[energy]
strength = 1e-2

[flow]
t_end = 1.0
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "data.csv").write_text("x,y,z\n0,1,1\n1,-1,2\n2,1,3\n3,-1,5\n", encoding="utf-8")
    path = tmp_path / "run.toml"
    path.write_text(CONFIG.replace("bias", 'features = ["x"]\nbias'), encoding="utf-8")
    return str(path)


def test_command_line(config, capsys):
    assert main(["optimum", config, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    X, y = np.column_stack([np.arange(4.0), np.ones(4)]), np.array([1.0, -1.0, 1.0, -1.0])
    optimum = pf.global_minimum((X, y), strength=1e-2)
    assert found["energy"] == optimum.energy
    assert found["masses"] == optimum.masses.tolist()
    assert np.shape(found["directions"]) == (len(found["masses"]), 2)
    assert set(found) == {*optimum.to_dict()}
    assert main(["optimum", config, "--set", "energy.strength=10"]) == 0
    assert "minimum      1\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("energy.strength=0", "needs a finite λ above 0"),
        ("energy.regularizer=norm", 'energy.regularizer = "norm": the global minimum is computed for "path-norm" only'),
        ("model.kind=three-layer", 'model.kind = "three-layer"'),
        ("model.activation=erf", 'model.activation = "erf"'),
        ("data.features=['x', 'z']", "an exact oracle, which exists for d ≤ 2 only"),
        ("energy.shape=3", "energy.shape is unknown"),
    ],
)
def test_command_line_refusals(config, capsys, change, sentence):
    assert main(["optimum", config, "--set", change]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
