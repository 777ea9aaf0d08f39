from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment, linprog

import particleflow as pf
from particleflow.assignment import assign, row_minima, two_smallest
from particleflow.measure import Layout, two_layer_layout

NUMBERS = st.floats(-10, 10, allow_subnormal=False).map(lambda x: round(x, 6))


def cloud(m, p, seed=0):
    return np.random.default_rng(seed).standard_normal((m, p))


def clouds_of_one_size(count):
    shapes = st.tuples(st.integers(1, 6), st.integers(1, 3))
    return shapes.flatmap(lambda shape: st.tuples(*[arrays(np.float64, shape, elements=NUMBERS)] * count))


def squares(A, B, period=None):
    differences = A[:, None] - B
    if period:
        differences = np.abs(differences) % period
        differences = np.minimum(differences, period - differences)
    return np.sum(differences**2, axis=2)


def brute_force(cost):
    m = len(cost)
    return min(sum(cost[i, order[i]] for i in range(m)) for order in permutations(range(m))) / m


def by_linear_program(cost, a, b):
    m, other = cost.shape
    marginals = np.vstack([np.kron(np.eye(m), np.ones(other)), np.kron(np.ones(m), np.eye(other))])
    return linprog(cost.ravel(), A_eq=marginals, b_eq=np.concatenate([a, b])).fun


def check_proof(coupling, cost, a, b):
    """Plan and potentials are feasible, and their values meet."""
    u, v = coupling.potentials
    scale = cost.max()
    np.testing.assert_allclose(coupling.plan.sum(axis=1), a, atol=1e-14)
    np.testing.assert_allclose(coupling.plan.sum(axis=0), b, atol=1e-14)
    assert (coupling.mass > 0).all()
    assert (cost - u[:, None] - v).min() >= -1e-12 * scale
    assert a @ u + b @ v == pytest.approx(coupling.value, abs=1e-12 * scale)
    assert np.sum(coupling.plan * cost) == pytest.approx(coupling.value, rel=1e-12)
    assert abs(coupling.gap) < 1e-11


# --- against other ways to know it ------------------------------------------------------------------------------------


@given(clouds_of_one_size(2))
@settings(max_examples=60, deadline=None)
def test_all_permutations_tried(pair):
    A, B = pair
    assert pf.w2_squared(A, B) == pytest.approx(brute_force(squares(A, B)), rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("p", [2, 20])
def test_seven_particles(p):
    A, B = cloud(7, p), cloud(7, p, 1)
    result = pf.coupling(A, B)
    assert result.method == "assignment"
    assert result.value == pytest.approx(brute_force(squares(A, B)), rel=1e-13)


@given(arrays(np.float64, st.tuples(st.integers(1, 5), st.just(2)), elements=NUMBERS), st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_torus_all_permutations_tried(A, seed):
    B = 7 * cloud(len(A), 2, seed)
    expected = brute_force(squares(A, B, 2.5))
    assert pf.w2_squared(A, B, period=2.5) == pytest.approx(expected, rel=1e-9, abs=1e-13)


def test_torus_on_the_circle_and_in_many_dimensions():
    assert pf.w2([0.1], [6.2], period=2 * np.pi) == pytest.approx(0.1 + 2 * np.pi - 6.2, rel=1e-14)
    A, B = 3 * cloud(6, 20), 3 * cloud(6, 20, 1)
    assert pf.w2_squared(A, B, period=1.5) == pytest.approx(brute_force(squares(A, B, 1.5)), rel=1e-13)
    assert pf.w2(A, A + 3.0 * np.sign(B), period=1.5) < 1e-14


def test_torus_is_known_by_the_layout():
    A, B = cloud(5, 2), cloud(5, 2, 1)
    torus = Layout((("x", (("coordinate", 2),)),), period=1.0)
    on_torus = pf.w2_squared(pf.EmpiricalMeasure(A, torus), pf.EmpiricalMeasure(B, torus))
    assert on_torus == pf.w2_squared(A, B, period=1.0) < pf.w2_squared(A, B)
    flat = pf.EmpiricalMeasure(B, Layout(torus.blocks))
    with pytest.raises(pf.InvalidInput, match="must agree"):
        pf.w2(pf.EmpiricalMeasure(A, torus), flat)
    assert pf.w2_squared(pf.EmpiricalMeasure(A, torus), flat, period=1.0) == on_torus


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_on_the_line_quantiles_are_coupled(m, other, seed):
    x, y = cloud(m, 1, seed)[:, 0], 2 * cloud(other, 1, seed + 1)[:, 0] + 1
    quantiles = np.sort(np.repeat(x, other)), np.sort(np.repeat(y, m))
    result = pf.coupling(x, y)
    assert result.method == "sort"
    assert result.value == pytest.approx(np.mean((quantiles[0] - quantiles[1]) ** 2), rel=1e-12)
    check_proof(result, squares(x[:, None], y[:, None]), np.full(m, 1 / m), np.full(other, 1 / other))


@pytest.mark.parametrize("p", [1, 2, 12])
@pytest.mark.parametrize("m, other", [(5, 5), (6, 3), (1, 4), (4, 7)])
@pytest.mark.parametrize("period", [None, 2.0])
def test_weights_by_linear_programming(p, m, other, period):
    A, B = cloud(m, p), cloud(other, p, 1) + 3
    rng = np.random.default_rng(2)
    a, b = rng.dirichlet(np.ones(m)), rng.dirichlet(np.ones(other))
    if m > 1:
        a[1], b[0] = a[1] + a[0], b[0] + b[1]
        a[0], b[1] = 0.0, 0.0  # particles without mass
    cost = squares(A, B, period)
    result = pf.coupling(A, B, weights=a, other_weights=b, period=period)
    assert result.value == pytest.approx(by_linear_program(cost, a, b), rel=1e-10)
    check_proof(result, cost, a, b)
    assert (result.method == "sort") == (p == 1 and period is None)


@pytest.mark.parametrize("p", [2, 30])
def test_images_under_gradients_of_convex_functions_have_a_closed_form(p):
    # x ↦ Sx + c with S positive definite is optimal: W2² = |Δmean|² + tr(Σ + Σ' − 2(Σ^½ Σ' Σ^½)^½) (Bures)
    A, basis = cloud(150, p), np.linalg.qr(cloud(p, p, 1))[0]
    S = basis @ np.diag(np.linspace(0.2, 3, p)) @ basis.T
    B = A @ S + 5
    result = pf.coupling(A, B)
    np.testing.assert_array_equal(result.permutation, np.arange(150))

    def root(matrix):
        values, vectors = np.linalg.eigh(matrix)
        return vectors @ np.diag(np.sqrt(np.maximum(values, 0))) @ vectors.T

    sigma, image = np.cov(A.T, bias=True), np.cov(B.T, bias=True)
    bures = np.trace(sigma + image - 2 * root(root(sigma) @ image @ root(sigma)))
    assert result.value == pytest.approx(np.sum((A.mean(0) - B.mean(0)) ** 2) + bures, rel=1e-11)
    check_proof(result, squares(A, B), *[np.full(150, 1 / 150)] * 2)


@pytest.mark.parametrize("p", [2, 16])
@pytest.mark.parametrize("m", [40, 150])
def test_assignment_as_scipy_has_it(p, m):
    A, B = cloud(m, p), cloud(m, p, 1)
    np.testing.assert_array_equal(pf.matching(A, B), linear_sum_assignment(squares(A, B))[1])


def test_assignment_with_ties_and_degenerate_costs():
    rng = np.random.default_rng(0)
    for m in (1, 2, 3, 30):
        for cost in (np.zeros((m, m)), np.ones((m, m)), np.full((m, m), 1e-320), rng.integers(0, 3, (m, m)) * 1.0):
            permutation, v = assign(cost)
            value = cost[np.arange(m), permutation].sum()
            assert value == cost[linear_sum_assignment(cost)].sum()
            assert sorted(permutation) == list(range(m))
            assert row_minima(cost, v).sum() + v.sum() == pytest.approx(value, abs=1e-13)


@given(st.integers(1, 200), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_the_two_smallest_as_sorting_has_them(m, seed):
    rng = np.random.default_rng(seed)
    row, v = rng.integers(0, 50, m) * 1.0, rng.integers(0, 3, m) * 1.0
    first, best, second = two_smallest(row, v)
    in_order = np.sort(np.append(row - v, np.inf))
    assert (first, second) == tuple(in_order[:2])
    assert best == np.argmin(row - v)


@pytest.mark.parametrize("m", [150, 300])
def test_clouds_on_which_auctions_are_hard(m):
    """Outliers, far clusters, heavy tails, lattices, copies, one point: SciPy's shortest paths have no auction."""
    rng = np.random.default_rng(m)
    normal, sites = rng.normal(size=(2, m, 2)), rng.normal(size=(5, 2))
    outliers, clusters = normal.copy(), normal.copy()
    outliers[:, 0] += [[1e4], [-1e4]]
    clusters[0, : m // 2] += 1e3
    clusters[1, : m // 3] += 1e3
    copies = sites[rng.integers(0, 5, (2, m))]
    lattice, heavy = rng.integers(0, 6, (2, m, 2)) * 1.0, rng.standard_cauchy((2, m, 2))
    pairs = [outliers, clusters, copies, lattice, heavy, (np.zeros((m, 2)), normal[0]), (normal[0], copies[0])]
    for X, Y in pairs:
        cost = squares(X, Y)
        expected = cost[linear_sum_assignment(cost)].mean()
        assert pf.w2_squared(X, Y) == pytest.approx(expected, rel=1e-9)


def test_a_search_that_returns_often_is_the_same(monkeypatch):
    """Kernels return to Python for signals; what they have done until then is kept."""
    pairs = [(cloud(80, p), cloud(80, p, 1)) for p in (2, 20)]
    expected = [pf.coupling(*pair) for pair in pairs]
    monkeypatch.setattr("particleflow.assignment.SLAB", 1)
    for pair, one in zip(pairs, expected, strict=True):
        other = pf.coupling(*pair)
        np.testing.assert_array_equal(other.permutation, one.permutation)
        np.testing.assert_array_equal(other.potentials, one.potentials)


@pytest.mark.parametrize("size", [1e-100, 1e-8, 1e8, 1e100])
@pytest.mark.parametrize("noise", [1.0, 1e-7])
def test_every_unit_of_length_will_do(size, noise):
    A = cloud(60, 3)
    B = A[::-1] + noise * cloud(60, 3, 1)
    expected = size**2 * pf.w2_squared(A, B)
    assert pf.w2_squared(size * A, size * B) == pytest.approx(expected, rel=1e-8, abs=0)
    assert pf.w2_squared(size * A, np.repeat(size * B, 2, axis=0)) == pytest.approx(expected, rel=1e-8, abs=0)


def test_outliers_take_no_digits_from_the_others():
    for size in (1e3, 1e6, 1e8):
        A, B = cloud(120, 3), cloud(120, 3, 1)
        A[0] += size
        B[-1] += size
        cost = squares(A, B)
        expected = cost[linear_sum_assignment(cost)].mean()
        assert pf.w2_squared(A, B) == pytest.approx(expected, rel=1e-9)


# --- what W2 is -------------------------------------------------------------------------------------------------------


@given(clouds_of_one_size(3))
@settings(max_examples=40, deadline=None)
def test_w2_is_a_metric(triple):
    A, B, C = triple
    assert pf.w2(A, A) == 0
    assert pf.w2(A, A[::-1]) == 0
    assert pf.w2(A, B) == pytest.approx(pf.w2(B, A), rel=1e-12, abs=1e-15)
    assert pf.w2(A, C) <= pf.w2(A, B) + pf.w2(B, C) + 1e-12
    assert (pf.w2(A, B) == 0) == (sorted(map(tuple, A)) == sorted(map(tuple, B)))


@pytest.mark.parametrize("p", [1, 2, 12])
@pytest.mark.parametrize("other", [40, 30])
def test_invariances(p, other):
    A, B = np.round(cloud(40, p) * 2**20) / 2**20, np.round(2 * cloud(other, p, 1) * 2**20) / 2**20
    value = pf.w2_squared(A, B)
    rng = np.random.default_rng(2)
    rotation = np.linalg.qr(cloud(p, p, 3))[0]
    assert pf.w2_squared(rng.permutation(A), rng.permutation(B)) == pytest.approx(value, rel=1e-12)
    assert pf.w2_squared(A @ rotation, B @ rotation) == pytest.approx(value, rel=1e-12)
    assert pf.w2_squared(A + 1e6, B + 1e6) == pytest.approx(value, rel=1e-9)
    assert pf.w2_squared(3 * A, 3 * B) == pytest.approx(9 * value, rel=1e-12)
    if p > 1:  # a coordinate in which nothing differs adds nothing
        assert pf.w2_squared(np.pad(A, ((0, 0), (0, 9))), np.pad(B, ((0, 0), (0, 9)))) == pytest.approx(
            value, rel=1e-12
        )


@pytest.mark.parametrize("p", [1, 3, 20])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_translations_are_exact(p, size):
    A, shift = np.round(cloud(50, p) * 2**20) / 2**20, size * np.ones(p)
    assert pf.w2(A, A + shift) == pytest.approx(size * np.sqrt(p), rel=1e-9)
    # with a mean of its own, W2² splits: |difference of means|² + W2² of the centred clouds
    B = np.round(cloud(50, p, 1) * 2**20) / 2**20
    parts = np.sum((A.mean(0) - B.mean(0) - shift) ** 2), pf.w2_squared(A - A.mean(0), B - B.mean(0))
    assert pf.w2_squared(A, B + shift) == pytest.approx(sum(parts), rel=1e-9)


@pytest.mark.parametrize("p", [1, 2, 12])
def test_copies_of_particles_change_nothing(p):
    A, B = cloud(12, p), cloud(8, p, 1)
    value = pf.w2_squared(A, B)
    assert pf.w2_squared(np.repeat(A, 2, axis=0), np.repeat(B, 3, axis=0)) == pytest.approx(value, rel=1e-12)
    assert pf.w2_squared(A, np.repeat(A, 3, axis=0)) == 0
    halves = np.concatenate([np.full(8, 1 / 16), np.full(8, 1 / 16)])
    assert pf.w2_squared(A, np.concatenate([B, B]), other_weights=halves) == pytest.approx(value, rel=1e-12)
    twice = np.repeat(A, 2, axis=0)
    assert pf.w2(twice, np.random.default_rng(0).permutation(twice)) == 0
    for m in (9, 30, 70):  # masses are taken exactly: their rounding, times large costs, would show in the root
        A = cloud(m, p, m)
        assert pf.w2(A, np.random.default_rng(m).permutation(np.repeat(A, 2, axis=0))) == 0


def test_measures_and_arrays_are_the_same():
    A, B = pf.gaussian(6, 2, rng=0), pf.sphere(9, 2, rng=1)
    assert pf.w2(A, B) == pf.w2(A.particles, B.particles) == np.sqrt(pf.w2_squared(A, B))


def test_a_coupling_knows_its_permutation():
    A = cloud(20, 2)
    order = np.random.default_rng(1).permutation(20)
    result = pf.coupling(A[order], A)
    np.testing.assert_array_equal(result.permutation, order)
    np.testing.assert_array_equal(pf.coupling(A[order, 0], A[:, 0]).permutation, order)
    assert pf.coupling(A, A[:5]).permutation is None
    assert pf.coupling(A[:2, 0], A[2:4, 0], weights=[0.25, 0.75]).permutation is None


# --- matchings of moving clouds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("p, period", [(1, None), (2, None), (12, None), (2, 2.0)])
@pytest.mark.parametrize("step", [1e-4, 0.3])
def test_a_warm_matching_is_the_cold_one(p, period, step):
    X, Y = cloud(60, p), cloud(60, p, 1)
    matcher = pf.Matcher(period=period)
    for turn in range(12):
        X, Y = X + step * np.tanh(X[:, ::-1] + turn), Y - step * X
        warm = matcher.match(X, Y)
        np.testing.assert_array_equal(warm, pf.matching(X, Y, period=period))
        np.testing.assert_array_equal(warm, linear_sum_assignment(squares(X, Y, period))[1])


def test_a_warm_matching_is_optimal_where_several_are():
    rng = np.random.default_rng(0)
    matcher = pf.Matcher()
    X, Y = rng.integers(0, 4, (50, 2)), rng.integers(0, 4, (50, 2))
    for _ in range(30):
        X = X + rng.integers(-1, 2, X.shape) * (rng.random(X.shape) < 0.1)
        cost = squares(X, Y)
        assert cost[np.arange(50), matcher.match(X, Y)].sum() == cost[linear_sum_assignment(cost)].sum()


def test_a_matcher_forgets_what_is_of_no_use():
    matcher = pf.Matcher()
    for seed, (m, size) in enumerate([(50, 1), (50, 1e6), (50, 1e-6), (30, 1), (1, 1), (50, 1)]):  # jumps, other sizes
        X, Y = size * cloud(m, 2, seed), size * cloud(m, 2, seed + 10)
        np.testing.assert_array_equal(matcher.match(X, Y), linear_sum_assignment(squares(X, Y))[1])
    same = matcher.match(X, Y)
    same[:] = 0  # the caller's own
    np.testing.assert_array_equal(matcher.match(X, Y), pf.matching(X, Y))


# --- what cannot be answered ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "A, B, options, message",
    [
        ([[np.nan, 0]], [[0, 0]], {}, "A has a value that is NaN"),
        ([[0, 0]], [[0, np.inf]], {}, "B has a value that is NaN or infinite"),
        (np.empty((0, 2)), [[0, 0]], {}, "A has shape"),
        ([], [1.0], {}, "A has shape"),
        ([1.0], 3.0, {}, "B has shape"),
        ([1.0], np.zeros((2, 2, 2)), {}, "B has shape"),
        ([1.0], ["one"], {}, "B is not an array"),
        ([[0, 0]], [[0, 0, 0]], {}, "B has 3 numbers per particle, A has 2"),
        ([0, 1], [0, 1], {"weights": [1.5, -0.5]}, "weights has the value -0.5"),
        ([0, 1], [0, 1], {"other_weights": [np.nan, 1]}, "other_weights has the value nan"),
        ([0, 1], [0, 1], {"other_weights": [np.inf, 1]}, "other_weights has the value inf"),
        ([0, 1], [0, 1], {"weights": [1.0, 1.0]}, "weights has the sum 2"),
        ([0, 1], [0, 1], {"weights": [1.0]}, "weights has shape"),
        ([0, 1], [0, 1], {"weights": ["half", "half"]}, "weights is not an array"),
        ([0, 1], [0, 1], {"max_iterations": 0}, "max_iterations = 0"),
        ([0, 1], [0, 1], {"max_iterations": 1e3}, "max_iterations = 1000.0"),
        ([0, 1], [0, 1], {"period": 0.0}, "period = 0.0"),
        ([0, 1], [0, 1], {"period": np.nan}, "period = nan"),
        ([0, 1], [0, 1], {"period": "one"}, "period = 'one'"),
    ],
)
def test_invalid_input_is_named(A, B, options, message):
    with pytest.raises(pf.InvalidInput, match=message):
        pf.w2(A, B, **options)


def test_a_matching_needs_clouds_of_one_size():
    with pytest.raises(pf.InvalidInput, match="B has 3 particles"):
        pf.matching(cloud(4, 2), cloud(3, 2))
    with pytest.raises(pf.InvalidInput, match="period"):
        pf.Matcher(period=-1)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("limit", [1, 2])
def test_an_iteration_limit_is_an_error(limit):
    with pytest.raises(pf.TransportFailed, match="max_iterations = "):
        pf.w2(cloud(30, 2), cloud(20, 2, 1), max_iterations=limit)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("other", [4, 5])
@pytest.mark.parametrize("p", [1, 2])
def test_squares_that_overflow_are_an_error(p, other):
    with pytest.raises(pf.TransportFailed, match="larger unit"):
        pf.w2(1e160 * cloud(5, p), cloud(other, p, 1))


def test_what_is_not_proved_is_not_returned(monkeypatch):
    monkeypatch.setattr(
        "particleflow.transport.assign", lambda cost, start: (np.arange(len(cost)), np.zeros(len(cost)))
    )
    with pytest.raises(pf.TransportFailed, match="not proved optimal"):
        pf.w2(cloud(5, 2), cloud(5, 2, 1))
    with pytest.raises(pf.TransportFailed, match="not proved optimal"):
        pf.matching(cloud(5, 2), cloud(5, 2, 1))


# --- rows of three-layer particles ------------------------------------------------------------------------------------


def three_layer(m=7, s=3, d=2):
    layout = Layout((("a", ()), ("u", (("sub_neuron", s),)), ("W", (("sub_neuron", s), ("feature", d)))))
    return pf.gaussian(m, layout, rng=0)


def test_row_measures():
    measure = three_layer()
    u, W = measure["u"], measure["W"]
    np.testing.assert_array_equal(pf.row_measure(measure, 1).particles, W[:, 0])
    np.testing.assert_array_equal(pf.row_measure(measure, 3, "uW").particles, np.column_stack([u[:, 2], W[:, 2]]))
    joint = pf.row_measure(measure, (3, 1))
    np.testing.assert_array_equal(joint.particles, np.column_stack([W[:, 2], W[:, 0]]))
    np.testing.assert_array_equal(joint["rows"], W[:, [2, 0]])
    both = pf.row_measure(measure, [1, 2], "uW")
    np.testing.assert_array_equal(both.particles, np.column_stack([u[:, 0], W[:, 0], u[:, 1], W[:, 1]]))
    assert pf.w2(pf.row_measure(measure, 2), pf.row_measure(measure, 2)) == 0


@pytest.mark.parametrize("ks", [0, 4, -1, 1.5, (), (1, 4), "one", [[1]]])
def test_rows_are_counted_from_one(ks):
    with pytest.raises(pf.InvalidInput, match="integers from 1 to 3"):
        pf.row_measure(three_layer(), ks)


def test_row_measures_need_rows():
    with pytest.raises(pf.InvalidInput, match="rows = 'V'"):
        pf.row_measure(three_layer(), 1, "V")
    with pytest.raises(pf.InvalidInput, match="need u and W"):
        pf.row_measure(pf.EmpiricalMeasure(np.ones((3, 3)), two_layer_layout(2)), 1)
