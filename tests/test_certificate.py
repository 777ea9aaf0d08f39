"""The certificate of global optimality: sups on the sphere against brute force, gaps against true minima."""

import itertools
import json

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar

import particleflow as pf
from particleflow.cli import main
from particleflow.sphere_search import LARGEST
from particleflow.sphere_sup import attained

LOSSES = ("squared", "logistic", "huber")


def values(q, X, W):
    """Return |Σ_j q_j relu(⟨w, x_j⟩)| for every row w of W."""
    return np.abs(np.maximum(W @ X.T, 0.0) @ q)


def peaks(q, X, W):
    """Return ±v/‖v‖, v = Σ_active q_j x_j, for the activation pattern of every row of W."""
    v = ((W @ X.T > 0) * q) @ X
    norms = np.linalg.norm(v, axis=1, keepdims=True)
    v = v[norms[:, 0] > 0] / norms[norms[:, 0] > 0]
    return np.vstack([v, -v])


def circle(angles):
    return np.column_stack([np.cos(angles), np.sin(angles)])


def brute_circle(q, X):
    """Return the sup for d = 2: many directions, all ends of arcs, and the peak of every arc."""
    normals = np.concatenate([np.arctan2(-X[:, 0], X[:, 1]), np.arctan2(X[:, 0], -X[:, 1])])
    ends = np.sort(normals)
    middles = 0.5 * (ends + np.append(ends[1:], ends[0] + 2 * np.pi))
    W = circle(np.concatenate([np.linspace(-np.pi, np.pi, 1001), normals, middles]))
    return values(q, X, np.vstack([W, peaks(q, X, W)])).max()


def arrangement(q, X):
    """Return the sup for d = 3 by the arrangement of the planes ⟨w, x_j⟩ = 0, enumerated from its vertices ±x_i × x_j.

    Planes in general position, n ≥ 3: four cells and four edges meet at each vertex, and every cell and edge has one.
    The data other than i and j are active there or not, and i and j in all four ways. On a cell the sum is ⟨w, v⟩,
    v = Σ_active q_k x_k, and on an edge of the plane of i too, with v's part in the plane: its |sum| is largest at
    ±v/‖v‖, if that lies in it, or else on its boundary. Each candidate is evaluated, so that none is too large.
    """
    i, j = np.triu_indices(len(X), 1)
    vertices = np.cross(X[i], X[j])
    vertices = np.vstack([vertices, -vertices])
    i, j, rows = np.tile(i, 2), np.tile(j, 2), np.arange(len(vertices))
    active = (vertices @ X.T > 0).astype(float)
    active[rows, i] = active[rows, j] = 0.0
    others = (active * q) @ X
    candidates = [vertices]
    for with_i, with_j in itertools.product((0.0, 1.0), repeat=2):
        v = others + with_i * q[i, None] * X[i] + with_j * q[j, None] * X[j]
        candidates += [v, -v]
    for plane, other in ((i, j), (j, i)):
        normal = X[plane] / np.linalg.norm(X[plane], axis=1, keepdims=True)
        for share in (0.0, 1.0):
            v = others + share * q[other, None] * X[other]
            v = v - np.sum(v * normal, axis=1, keepdims=True) * normal
            candidates += [v, -v]
    W = np.vstack(candidates)
    norms = np.linalg.norm(W, axis=1, keepdims=True)
    return values(q, X, W[norms[:, 0] > 0] / norms[norms[:, 0] > 0]).max()


# --- the sup over the sphere ------------------------------------------------------------------------------------------


def plane_data(rng, case):
    n = int(rng.integers(1, 25))
    X, q = rng.standard_normal((n, 2)), rng.standard_normal(n) * 10.0 ** rng.integers(-6, 6)
    kinds = (
        lambda: X,
        lambda: np.column_stack([X[:, 0], np.ones(n)]),  # a bias
        lambda: np.round(X),  # duplicates, zeros, axes
        lambda: np.outer(X[:, 0], [1.0, -2.0]),  # collinear
        lambda: np.round(X) * 10.0 ** rng.integers(-9, 9),
    )
    return q, kinds[case % len(kinds)]()


@pytest.mark.parametrize("case", range(150))
def test_the_sup_over_the_circle_is_exact(case):
    q, X = plane_data(np.random.default_rng(case), case)
    found, brute = pf.sup(q, X), brute_circle(q, X)
    assert found.upper >= brute
    assert found.upper <= brute * (1 + 1e-12)
    assert attained(q, X, found.direction) >= brute * (1 - 1e-9)


def test_the_sup_over_the_circle_of_many_data():
    rng = np.random.default_rng(0)
    X, q = rng.standard_normal((100_000, 2)), rng.standard_normal(100_000)
    found = pf.sup(q, X)
    assert np.linalg.norm(found.direction) == pytest.approx(1.0)
    assert attained(q, X, found.direction) == pytest.approx(found.upper, rel=1e-9)
    assert found.upper >= values(q, X, circle(np.linspace(0, 2 * np.pi, 200))).max()


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5])
def test_the_sup_of_nothing_is_zero(d):
    rng = np.random.default_rng(0)
    assert pf.sup(np.zeros(4), rng.standard_normal((4, d))).upper == 0.0
    assert pf.sup(rng.standard_normal(4), np.zeros((4, d))).upper == 0.0
    x = rng.standard_normal((1, d))
    assert pf.sup(np.array([1.0, -1.0]), np.vstack([x, x])).upper <= 1e-12  # they cancel


def test_equal_data_are_one():
    rng = np.random.default_rng(0)
    X, q = rng.standard_normal((10, 3)), rng.standard_normal(10)
    once, thrice = pf.sup(q, X), pf.sup(np.concatenate([q, -2 * q, 2 * q]), np.vstack([X, X, X]))
    assert thrice.upper == pytest.approx(once.upper, rel=2e-4)


@pytest.mark.parametrize("case", range(30))
def test_branch_and_bound_in_space_encloses_the_arrangement(case):
    rng = np.random.default_rng(case)
    n = 40 if case >= 25 else int(rng.integers(3, 41))
    X, q = rng.standard_normal((n, 3)), rng.standard_normal(n)
    if case % 3 == 1:
        X[:, 2] = 1.0
    found, exact = pf.sup(q, X, tolerance=1e-7), arrangement(q, X)
    assert found.upper >= exact * (1 - 1e-14)
    assert found.upper <= found.lower * (1 + 2e-7)
    assert found.lower == pytest.approx(exact, rel=1e-6)


def test_no_direction_is_above_the_arrangement():
    rng = np.random.default_rng(0)
    for n in (3, 7, 40):
        X, q = rng.standard_normal((n, 3)), rng.standard_normal(n)
        W = rng.standard_normal((20_000, 3))
        W /= np.linalg.norm(W, axis=1, keepdims=True)
        assert max(values(q, X, W).max(), values(q, X, peaks(q, X, W)).max()) <= arrangement(q, X) * (1 + 1e-14)


@pytest.mark.parametrize("d", range(3, LARGEST + 1))
@pytest.mark.parametrize("n", [1, 2, 40])
def test_branch_and_bound_is_above_every_direction(d, n):
    rng = np.random.default_rng(n)
    X, q = rng.standard_normal((n, d)), rng.standard_normal(n)
    W = rng.standard_normal((20_000, d))
    found = pf.sup(q, X, tolerance=1e-3)
    assert found.upper >= values(q, X, W / np.linalg.norm(W, axis=1, keepdims=True)).max()
    assert found.upper >= values(q, X, peaks(q, X, W)).max()
    assert found.lower <= found.upper <= found.lower * (1 + 1.1e-3)
    if n == 1:
        assert found.lower == pytest.approx(abs(q[0]) * np.linalg.norm(X[0]))


@pytest.mark.parametrize("d", range(3, LARGEST + 1))
def test_without_time_the_bound_is_large_and_still_one(d):
    rng = np.random.default_rng(d)
    X, q = rng.standard_normal((50, d)), rng.standard_normal(50)
    hasty, patient = pf.sup(q, X, seconds=1e-9), pf.sup(q, X, tolerance=1e-3)
    assert patient.lower <= hasty.upper
    assert hasty.upper <= np.abs(q) @ np.linalg.norm(X, axis=1) * (1 + 1e-12)


@pytest.mark.parametrize("d", [1, 2, 7])
def test_the_sup_of_a_linear_network_is_a_norm(d):
    rng = np.random.default_rng(d)
    X, q = rng.standard_normal((30, d)), rng.standard_normal(30)
    found = pf.sup(q, X, linear=True)
    assert found.lower == pytest.approx(np.linalg.norm(q @ X), rel=1e-13)
    assert found.lower <= found.upper <= found.lower * (1 + 1e-12)


def test_in_high_dimension_only_a_lower_bound():
    rng = np.random.default_rng(0)
    X, q = rng.standard_normal((30, 9)), rng.standard_normal(30)
    found = pf.sup(q, X)
    assert found.upper == np.inf
    assert found.lower == pytest.approx(attained(q, X, found.direction))
    W = rng.standard_normal((2000, 9))
    assert found.lower >= values(q, X, W / np.linalg.norm(W, axis=1, keepdims=True)).max()


# --- the gap against true minima --------------------------------------------------------------------------------------


def problem(rng, loss, d, n=None, activation="relu"):
    n = n or int(rng.integers(1, 9))
    X, y = rng.standard_normal((n, d)), rng.standard_normal(n) * 10.0 ** rng.integers(-1, 2)
    if d > 1 and rng.random() < 0.5:
        X[:, -1] = 1.0
    y = np.where(y > 0, 1.0, -1.0) if loss == "logistic" else y
    strength = 10.0 ** rng.uniform(-4, 0.5)
    return pf.EmpiricalEnergy(pf.TwoLayer(activation), (X, y), loss=loss, strength=strength)


def some_measure(rng, d):
    m = int(rng.integers(1, 6))
    return pf.EmpiricalMeasure.from_blocks(
        pf.TwoLayer("relu").layout(d),
        a=rng.standard_normal(m) * 10.0 ** rng.uniform(-2, 1),
        w=rng.standard_normal((m, d)),
    )


def line_minimum(energy):
    """Return min L for relu and d = 1: one convex problem in one number for each sign of x."""
    x, y = energy.data.X[:, 0], energy.data.y
    total = np.sum(energy.loss.value(np.zeros_like(y), y)[x == 0])
    for side in (x > 0, x < 0):
        if not side.any():
            continue

        def part(c, side=side):
            risk = np.sum(energy.loss.value(c * np.abs(x[side]), y[side]))
            return risk + len(y) * energy.strength * abs(c)

        best = part(0.0)
        for sign in (1.0, -1.0):
            found = minimize_scalar(lambda c, s=sign: part(s * np.exp(c)), bounds=(-20, 12), method="bounded")
            best = min(best, found.fun)
        total += best
    return total / len(y)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("seed", range(10))
def test_on_the_line_the_gap_is_never_too_small(loss, seed):
    rng = np.random.default_rng(seed)
    for _ in range(35):
        energy = problem(rng, loss, 1)
        measure = some_measure(rng, 1)
        certificate = pf.certify(energy, measure)
        assert certificate.verdict == "proof"
        assert certificate.energy == pytest.approx(energy.value(measure.particles), rel=1e-12)
        assert certificate.lower_bound <= line_minimum(energy) * (1 + 1e-12)
        assert certificate.gap == pytest.approx(certificate.energy - certificate.lower_bound)
        assert certificate.gap >= 0


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("seed", range(7))
def test_in_the_plane_the_gap_is_never_too_small(loss, seed):
    """1050 wrong states: the gap is at least the distance to the minimum, which other code knows."""
    rng = np.random.default_rng(seed)
    for _ in range(5):
        energy = problem(rng, loss, 2)
        least = pf.global_minimum(energy.data, strength=energy.strength, loss=loss).energy
        for _ in range(10):
            certificate = pf.certify(energy, some_measure(rng, 2))
            assert certificate.verdict == "proof"
            assert certificate.gap >= certificate.energy - least - 1e-12 * certificate.energy


def grid_minimum(energy, W):
    """Return the least energy of networks whose neurons lie in the rows of W: an upper bound of min L."""
    features = np.maximum(energy.data.X @ W.T, 0.0)
    features, y, n = np.hstack([features, -features]), energy.data.y, energy.data.n

    def cost(c):
        f = features @ c
        slope = features.T @ (2 * energy.loss.half_derivative(f, y)) / n + energy.strength
        return np.mean(energy.loss.value(f, y)) + energy.strength * np.sum(c), slope

    start = np.zeros(features.shape[1])
    return minimize(cost, start, jac=True, bounds=[(0, None)] * len(start), method="L-BFGS-B").fun


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("seed", range(6))
def test_the_lower_bound_is_below_every_network(loss, d, seed):
    rng = np.random.default_rng(seed)
    energy = problem(rng, loss, d)
    W = rng.standard_normal((300, d))
    least = grid_minimum(energy, W / np.linalg.norm(W, axis=1, keepdims=True))
    for _ in range(4):
        certificate = pf.certify(energy, some_measure(rng, d))
        assert certificate.verdict == "proof"
        assert certificate.lower_bound <= least * (1 + 1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_lower_bound_of_a_linear_network_is_below_every_network(loss):
    rng = np.random.default_rng(0)
    for _ in range(20):
        d = int(rng.integers(1, 9))
        energy = problem(rng, loss, d, activation="linear")

        def cost(b, energy=energy):
            return np.mean(energy.loss.value(energy.data.X @ b, energy.data.y)) + energy.strength * np.linalg.norm(b)

        least = min(cost(np.zeros(d)), minimize(cost, rng.standard_normal(d)).fun)
        certificate = pf.certify(energy, some_measure(rng, d))
        assert certificate.verdict == "proof"
        assert certificate.lower_bound <= least * (1 + 1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_at_the_minimum_the_gap_vanishes(loss):
    rng = np.random.default_rng(1)
    x, y = np.abs(rng.standard_normal(6)), np.sign(rng.standard_normal(6))
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (x[:, None], y), loss=loss, strength=1e-2)

    def cost(c):
        return np.mean(energy.loss.value(c * x, y)) + energy.strength * abs(c)

    c = minimize_scalar(cost, bracket=(-1, 1), tol=1e-12).x
    layout = energy.layout
    best = pf.EmpiricalMeasure.from_blocks(layout, a=np.array([c]), w=np.array([[1.0]]))
    certificate = pf.certify(energy, best)
    assert 0 <= certificate.relative_gap <= 1e-6
    assert certificate.h == pytest.approx(energy.strength, rel=1e-5)
    assert certificate.scaling == pytest.approx(1.0, rel=1e-5)


def test_nothing_to_learn_and_all_learnt():
    for loss, targets in (("squared", np.zeros(3)), ("huber", np.zeros(3))):
        energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (np.eye(3), targets), loss=loss, strength=0.1)
        certificate = pf.certify(energy, pf.EmpiricalMeasure(np.zeros((2, 4)), energy.layout))
        assert certificate.energy == certificate.gap == certificate.relative_gap == 0.0
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (np.zeros((3, 2)), np.ones(3)), strength=0.1)
    certificate = pf.certify(energy, pf.sphere(4, 2, rng=0))  # the data are zero: the least energy is 1
    assert certificate.lower_bound == pytest.approx(1.0)


# --- along a flow -----------------------------------------------------------------------------------------------------

TEACHER = """\
[data]
source = "teacher"
n = 60
d = 2

[data.teacher]
neurons = 3

[model]
particles = 300

[energy]
strength = 1e-1

[flow]
t_end = 1000.0
rtol = 1e-4
frames = 20
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A flow to the global minimum, its gap recorded, and its file."""
    file = tmp_path_factory.mktemp("certificate") / "run.h5"
    config = pf.read_config(TEACHER)
    energy, measure = config.build()
    observers = [pf.CertifiedGap()]
    result = pf.solve(
        energy, measure, 1000.0, rtol=1e-4, frames=20, observers=observers, file=file, config=config.to_toml()
    )
    return energy, result, file


def test_a_flow_from_a_good_start_is_certified(run):
    energy, result, _ = run
    certificate = pf.certify(energy, result.measure)
    assert certificate.verdict == "proof"
    assert 0 < certificate.relative_gap <= 1e-3
    assert certificate.gap == pytest.approx(result.observables["gap"][-1])


def test_the_gap_falls_along_the_flow_and_bounds_what_is_still_gained(run):
    _, result, _ = run
    gap, energy = result.observables["gap"], result.observables["energy"]
    assert (gap >= energy - energy[-1]).all()
    assert gap[-1] < 1e-2 * gap[0]
    best = np.minimum.accumulate(gap)
    assert (gap <= 3 * best).all()
    assert result.observables["relative_gap"] == pytest.approx(gap / energy)


def test_the_command_line_certifies_frames(run, capsys):
    _, result, file = run
    keys = ["energy", "lower_bound", "gap", "relative_gap", "verdict", "time", "worst_direction", "seconds"]
    assert main(["certify", str(file), "--json"]) == 0
    last = json.loads(capsys.readouterr().out)
    assert list(last)[: len(keys)] == keys
    assert last["verdict"] == "proof"
    assert last["time"] == 1000.0
    assert last["gap"] == pytest.approx(result.observables["gap"][-1])
    assert np.linalg.norm(last["worst_direction"]) == pytest.approx(1.0)
    assert main(["certify", str(file), "--frame", "0"]) == 0
    text = capsys.readouterr().out
    assert "at flow time 0" in text
    assert "proved" in text
    assert main(["certify", str(file), "--frame", "99"]) == 2
    assert "frame = 99" in capsys.readouterr().err


def test_the_stop_rule_ends_a_flow_with_a_proof():
    result = pf.read_config(TEACHER, changes=["flow.stop.gap=0.05"]).run()
    assert (result.status, result.ok) == ("certified", True)
    assert result.t < 1000.0
    assert result.observables["relative_gap"][-1] <= 0.05
    assert "global minimum" in result.message


def test_a_stop_rule_that_cannot_hold_is_refused_before_anything_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.toml").write_text(TEACHER)
    assert main(["run", "run.toml", "-o", "run.h5", "--set", "data.d=3", "--set", "flow.stop.gap=0.1"]) == 2
    assert "d = 3" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["run.toml"]


def test_the_stop_rule_looks_between_frames():
    result = pf.read_config(TEACHER, changes=["flow.stop.gap=0.05", "flow.frames=[1000.0]"]).run()
    assert result.status == "certified"
    assert result.t < 1000.0


# --- what has no certificate ------------------------------------------------------------------------------------------

X, Y = np.eye(3), np.array([1.0, -1.0, 1.0])
TEACHING = pf.sphere(2, 3, rng=0).particles


def of(model=None, **options):
    return pf.EmpiricalEnergy(model or pf.TwoLayer("relu"), (X, Y), **{"strength": 0.1, **options})


REFUSED = {
    "erf": of(pf.TwoLayer("erf")),
    "square": of(pf.TwoLayer("square")),
    "squared-norm": of(regularizer="squared-norm"),
    "norm": of(regularizer="norm"),
    "λ = 0": of(strength=0.0),
    "three-layer": of(pf.ThreeLayer(2)),
    "hard-synchronized": of(pf.HardSynchronized(pf.exact_supports(4, 2, 0))),
    "PopulationEnergy": pf.PopulationEnergy(pf.TwoLayer("relu"), TEACHING, strength=0.1),
    "KernelEnergy": pf.KernelEnergy(pf.build_kernel("quadratic", {"attraction": 1.0, "confinement": 1.0}, 1), 1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_where_there_is_no_certificate_one_sentence_says_where_there_is(name):
    energy = REFUSED[name]
    measure = pf.EmpiricalMeasure(np.ones((4, energy.layout.size)), energy.layout)
    with pytest.raises(pf.InvalidInput) as refusal:
        pf.certify(energy, measure)
    message = str(refusal.value)
    assert name in message
    assert "path norm" in message
    assert "\n" not in message
    with pytest.raises(pf.InvalidInput):
        pf.solve(energy, measure, 1e-3, observers=[pf.CertifiedGap()])


def test_bad_arguments_are_refused():
    energy = of()
    with pytest.raises(pf.InvalidInput, match="numbers each"):
        pf.certify(energy, pf.sphere(4, 2, rng=0))
    for options in ({"tolerance": 0}, {"seconds": -1.0}):
        with pytest.raises(pf.InvalidInput, match=next(iter(options))):
            pf.certify(energy, pf.sphere(4, 3, rng=0), **options)
    with pytest.raises(pf.InvalidInput, match="NaN"):
        pf.certify(energy, pf.EmpiricalMeasure(np.full((2, 4), 1e200), energy.layout))
    with pytest.raises(pf.InvalidInput, match=r"stop\.gap"):
        pf.CertifiedGap(-1.0)
    with pytest.raises(pf.InvalidInput, match="d = 3"):
        pf.solve(energy, pf.sphere(4, 3, rng=0), 1e-3, observers=[pf.CertifiedGap()])


def test_high_dimension_is_an_estimate():
    rng = np.random.default_rng(0)
    energy = pf.EmpiricalEnergy(
        pf.TwoLayer("relu"), (rng.standard_normal((20, 8)), rng.standard_normal(20)), strength=0.1
    )
    certificate = pf.certify(energy, pf.sphere(10, 8, rng=0))
    assert certificate.verdict == "estimate"
    assert certificate.gap > 0
    assert "not proved" in certificate.to_text()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (("energy.strength=0",), "λ = 0"),
        (("model.activation=erf",), "erf"),
        (("energy.kernel=population", "data.n=7"), "population"),
    ],
)
def test_files_without_a_certificate_are_refused(tmp_path, capsys, changes, words):
    text = TEACHER.replace("n = 60\n", "") if "population" in words else TEACHER
    changes = [change for change in changes if change != "data.n=7"]
    file = tmp_path / "run.h5"
    pf.read_config(text, changes=[*changes, "flow.t_end=0.01", "model.particles=4"]).run(file)
    assert main(["certify", str(file)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_file_without_its_data_is_refused(tmp_path, capsys):
    import h5py

    file = tmp_path / "run.h5"
    pf.read_config(TEACHER, changes=["flow.t_end=0.01", "model.particles=4"]).run(file)
    with h5py.File(file, "a") as stored:
        del stored["data"]
    assert main(["certify", str(file)]) == 2
    assert "does not hold its model and data" in capsys.readouterr().err
