"""Synchronisation: against slow enumeration in plain Python, the report's statements, and laws whose value is known."""

from itertools import combinations, permutations, product

import numpy as np
import pytest

import particleflow as pf
from particleflow import synchronization, synchronization_figures, transport_programs
from particleflow.measure import Layout

REPORT = (0, 1, -1)
COUNTEREXAMPLE = np.array([(0, 0, 0), (0, 0, 1), (1, 1, 0), (1, 1, 1)], dtype=float)[:, :, None]


def brute_force(rows, offsets, *, cycles=False):
    """D by its definition, one permutation after the other."""
    m, s, _ = rows.shape
    square = {key: float(np.sum((rows[key[:2]] - rows[key[2:]]) ** 2)) for key in product(range(m), range(s), repeat=2)}

    def power(sigma, i, j):
        for _ in range(abs(j)):
            i = sigma[i] if j > 0 else sigma.index(i)
        return i

    def cost(sigma):
        heads = [[power(sigma, i, offset) for offset in offsets] for i in range(m)]
        return sum(square[head[k], k, head[n], n] for head in heads for k, n in combinations(range(s), 2)) / m

    def is_cycle(sigma):
        return len({power(sigma, 0, j) for j in range(m)}) == m

    return min(cost(sigma) for sigma in permutations(range(m)) if not cycles or is_cycle(sigma))


def random_rows(rng, m, s=3, q=2):
    """Gaussian rows, or integers with many ties."""
    return rng.standard_normal((m, s, q)) if rng.random() < 0.7 else rng.integers(0, 2, (m, s, q)).astype(float)


# --- exact values -----------------------------------------------------------------------------------------------------


def test_the_chain_of_bounds_on_random_rows():
    rng = np.random.default_rng(1)
    for trial in range(200):
        rows = random_rows(rng, m=5 if trial % 20 == 0 else 3 + trial % 2, q=1 + trial % 3)
        exact, cycle = brute_force(rows, REPORT), brute_force(rows, REPORT, cycles=True)
        assert pf.synchronization_term(rows)[0] == pytest.approx(exact, abs=1e-12)
        assert pf.synchronization_term(rows, cycles=True)[0] == pytest.approx(cycle, abs=1e-12)
        chain = [0, pf.sum_w2_squared(rows), pf.bound_B(rows), exact, cycle]
        assert np.diff(chain).min() >= -1e-12
        if trial % 5 == 0:
            programs = [chain[1], pf.multi_marginal(rows), pf.mean_field_program(rows), exact]
            assert np.diff(programs).min() >= -1e-6


@pytest.mark.parametrize("offsets", [(0, 1, -1, 2), (0, 1, 2), (0, 2, -1), (1, 0, 4), (0, 3), (2, 0, 1)])
@pytest.mark.parametrize("cycles", [False, True])
def test_other_offsets(offsets, cycles):
    rng = np.random.default_rng(2)
    for _ in range(3):
        rows = random_rows(rng, m=5, s=len(offsets))
        exact = brute_force(rows, offsets, cycles=cycles)
        value, sigma = pf.synchronization_term(rows, offsets, cycles=cycles)
        assert value == pytest.approx(exact, abs=1e-12)
        assert sorted(sigma) == list(range(5))
        bracket = pf.synchronization_bracket(rows, offsets, cycles=cycles, rng=3)
        assert bracket.lower - 1e-9 <= exact <= bracket.upper + 1e-12
        assert bracket.lower >= pf.bound_B(rows, offsets) - 1e-12 >= pf.sum_w2_squared(rows) - 2e-12


def test_the_conjectured_upper_bound_fails():
    assert pf.sum_w2_squared(COUNTEREXAMPLE) == 0
    assert pf.bound_B(COUNTEREXAMPLE) == 0.5
    assert pf.synchronization_term(COUNTEREXAMPLE)[0] == 1
    assert pf.synchronization_term(COUNTEREXAMPLE, cycles=True)[0] == 1
    assert pf.mean_field_program(COUNTEREXAMPLE) == pytest.approx(0.5, abs=1e-9)
    copies = np.concatenate([COUNTEREXAMPLE, COUNTEREXAMPLE])
    assert pf.synchronization_term(copies)[0] == 0.5
    assert pf.synchronization_term(copies, cycles=True)[0] == 0.5


def test_the_last_inequality_of_the_report_needs_other_rows():
    rows = np.array([[[0.0], [1.0], [1.0]]])
    joint = {names: np.hstack([rows[:, k - 1] for k in names]) for names in ((1, 2), (2, 1), (1, 3))}
    assert pf.sum_w2_squared(rows) == 2
    assert pf.w2_squared(joint[1, 2], joint[1, 3]) + pf.w2_squared(rows[:, 1], rows[:, 2]) == 0  # as printed
    assert pf.w2_squared(joint[1, 3], joint[2, 1]) + pf.w2_squared(rows[:, 1], rows[:, 2]) == 2


def test_two_rows_are_an_assignment():
    rows = np.random.default_rng(4).standard_normal((40, 2, 3))
    value, sigma = pf.synchronization_term(rows)
    assert value == pytest.approx(pf.w2_squared(rows[:, 0], rows[:, 1]), abs=1e-12)
    assert value == pytest.approx(np.sum((rows[:, 0] - rows[sigma, 1]) ** 2) / 40, abs=1e-12)
    bracket = pf.synchronization_bracket(rows, rng=0)
    assert bracket.gap < 1e-12
    assert bracket.upper == pytest.approx(value, abs=1e-12)


def test_two_rows_around_a_cycle_are_not():
    rows = np.array([[[0.0], [0.0]], [[1.0], [1.0]]])
    assert pf.synchronization_term(rows)[0] == 0
    value, sigma = pf.synchronization_term(rows, cycles=True)
    assert (value, sigma.tolist()) == (1, [1, 0])
    bracket = pf.synchronization_bracket(rows, cycles=True, rng=0)
    assert (bracket.lower, bracket.upper, bracket.bounds["B"]) == (1, 1, 0)


def test_the_price_of_a_cycle_falls_with_the_number_of_clusters():
    def price(m):  # of patching alone
        draws = [np.random.default_rng(seed).standard_normal((m, 2, 2)) for seed in range(4)]
        brackets = [pf.synchronization_bracket(rows, cycles=True, seconds=0, rng=0) for rows in draws]
        return np.mean([bracket.upper / bracket.bounds["B"] - 1 for bracket in brackets])

    prices = [price(m) for m in (10, 40, 200)]
    assert prices[0] > 3 * prices[1] > 9 * prices[2] > 0


# --- brackets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", range(3, 8))
@pytest.mark.parametrize("cycles", [False, True])
def test_brackets_contain_the_exact_value(m, cycles):
    rng = np.random.default_rng(m)
    for s in (2, 3):
        rows = random_rows(rng, m, s)
        exact, _ = pf.synchronization_term(rows, cycles=cycles)
        bracket = pf.synchronization_bracket(rows, cycles=cycles, rng=rng)
        assert bracket.lower - 1e-9 <= exact <= bracket.upper + 1e-12
        assert bracket.upper == pytest.approx(exact, abs=1e-9)  # annealing finds the best of so few
        assert bracket.lower == max(bracket.bounds.values()) or bracket.gap == 0


def test_brackets_are_narrow():
    rows = np.random.default_rng(0).standard_normal((25, 3, 5))
    for cycles in (False, True):
        bracket = pf.synchronization_bracket(rows, cycles=cycles, rng=0)
        assert bracket.gap < 0.05
        assert set(bracket.bounds) == {"sum of W2²", "B", "linear program"}
        assert bracket.bounds["linear program"] >= pf.mean_field_program(rows) - 1e-6
        powers = np.arange(25), bracket.permutation, np.argsort(bracket.permutation)
        neurons = [rows[power, k] for k, power in enumerate(powers)]
        cost = sum(np.sum((a - b) ** 2) for a, b in combinations(neurons, 2)) / 25
        assert bracket.upper == pytest.approx(cost, abs=1e-9)


def test_the_search_repeats_itself():
    rows = np.random.default_rng(0).standard_normal((12, 4, 2))
    first, second = (pf.synchronization_bracket(rows, rng=5) for _ in range(2))
    assert first.upper == second.upper
    assert (first.permutation == second.permutation).all()
    assert "linear program" not in first.bounds  # offsets up to 2 and −1: three steps


@pytest.mark.parametrize("cycles", [False, True])
def test_names_of_clusters_and_the_frame_do_not_matter(cycles):
    rng = np.random.default_rng(6)
    rows = rng.standard_normal((7, 3, 3))
    rotation, _ = np.linalg.qr(rng.standard_normal((3, 3)))

    def values(rows):
        bracket = pf.synchronization_bracket(rows, cycles=cycles, rng=0)
        exact, _ = pf.synchronization_term(rows, cycles=cycles)
        return [
            exact,
            bracket.lower,
            bracket.upper,
            pf.bound_B(rows),
            pf.mean_field_program(rows),
            pf.multi_marginal(rows),
        ]

    for other in (rows[rng.permutation(7)], rows @ rotation + rng.standard_normal(3)):
        np.testing.assert_allclose(values(other), values(rows), rtol=1e-6)


# --- the graph and the limit ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offsets", [(0, 1), REPORT, (0, 1, -1, 2)])
def test_clusters_that_read_one_layer_are_synchronised(offsets):
    neurons = np.random.default_rng(7).standard_normal((7, 2))
    readers = pf.circulant_graph(7, offsets)
    rows = np.empty((7, len(offsets), 2))
    for neuron, k in np.ndindex(readers.shape):
        rows[readers[neuron, k], k] = neurons[neuron]
    assert pf.synchronization_term(rows, offsets, cycles=True)[0] == 0
    assert len(np.unique(readers[:, 0])) == 7
    if offsets == REPORT:
        assert pf.mean_field_program(rows) == pytest.approx(0, abs=1e-6)
        assert pf.mean_field_program(rows[:, [1, 0, 2]]) > 0.1


def test_the_limit_of_a_markov_chain_is_synchronised():
    rng = np.random.default_rng(8)
    states, transition = rng.standard_normal((3, 2)), rng.dirichlet(np.ones(3), 3)
    stationary = np.linalg.matrix_power(transition, 200)[0]
    paths = list(product(range(3), repeat=3))  # (Z_{t−1}, Z_t, Z_{t+1})
    weights = [stationary[a] * transition[a, b] * transition[b, c] for a, b, c in paths]
    rows = states[[(b, a, c) for a, b, c in paths]]
    assert pf.mean_field_program(rows, weights) == pytest.approx(0, abs=1e-6)
    assert pf.mean_field_program(rows[:, [1, 0, 2]], weights) > 0.1


def test_weights_are_repeated_points():
    rows = np.random.default_rng(9).standard_normal((3, 3, 1))
    weighted = pf.mean_field_program(rows, [0.5, 0.25, 0.25])
    assert weighted == pytest.approx(pf.mean_field_program(rows[[0, 0, 1, 2]]), rel=1e-6)


def test_bounds_hold_whatever_the_solver_says(monkeypatch):
    rows = np.random.default_rng(10).standard_normal((6, 3, 1))
    exact, _ = pf.synchronization_term(rows)
    solve, noise = transport_programs.linprog, np.random.default_rng(11)

    def careless(*arguments, **options):
        result = solve(*arguments, **options)
        result.eqlin.marginals += 0.02 * noise.standard_normal(len(result.eqlin.marginals))
        return result

    true = [pf.mean_field_program(rows), pf.multi_marginal(rows)]
    monkeypatch.setattr(transport_programs, "linprog", careless)
    for _ in range(20):
        assert 0 <= pf.mean_field_program(rows) <= true[0] <= exact
        assert 0 <= pf.multi_marginal(rows) <= true[1] <= exact
        assert pf.synchronization_bracket(rows, seconds=0, rng=0).lower <= exact


def test_a_program_without_solution_is_an_error(monkeypatch):
    walks = np.zeros((3, 3, 3), dtype=bool)
    walks[0, 1, 2] = True
    with pytest.raises(pf.ParticleflowError, match="1 unknowns was not solved"):
        transport_programs.stationary_program(np.ones((3, 3)), np.ones((3, 3)), np.full(3, 1 / 3), walks)


# --- input ------------------------------------------------------------------------------------------------------------


def test_rows_of_particles():
    layout = Layout((("a", ()), ("u", (("row", 2),)), ("W", (("row", 2), ("feature", 3)))))
    measure = pf.gaussian(5, layout, rng=0)
    np.testing.assert_array_equal(pf.cluster_rows(measure), measure["W"])
    both = pf.cluster_rows(measure, rows="uW")
    np.testing.assert_array_equal(both[:, :, 0], measure["u"])
    np.testing.assert_array_equal(both[:, :, 1:], measure["W"])
    with pytest.raises(pf.InvalidInput, match="block 'u' is unknown"):
        pf.cluster_rows(pf.gaussian(5, 2, rng=0))


def test_default_offsets():
    assert synchronization.default_offsets(5) == (0, 1, -1, 2, -2)
    assert pf.circulant_graph(3, (0, 1)).tolist() == [[0, 1], [1, 2], [2, 0]]


ROWS = np.ones((4, 3, 1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pf.synchronization_term(ROWS[0]), r"rows have shape \(3, 1\)"),
        (lambda: pf.synchronization_term([["a"]]), "rows are not an array of numbers"),
        (lambda: pf.sum_w2_squared(ROWS[:, :1]), r"rows have shape \(4, 1, 1\)"),
        (lambda: pf.bound_B(np.where(np.arange(4)[:, None, None] == 2, np.nan, ROWS)), "rows of cluster 2"),
        (
            lambda: pf.bound_B(ROWS, (0, 1)),
            r"offsets = \(0, 1\): valid are 3 integers from −4 to 4 that differ modulo the 4",
        ),
        (lambda: pf.bound_B(ROWS, (0, 1, 5)), r"offsets = \(0, 1, 5\)"),
        (lambda: pf.synchronization_term(ROWS, (0, 1, 0.5)), r"offsets = \(0, 1, 0.5\)"),
        (lambda: pf.synchronization_term(ROWS[:2]), "modulo the 2 clusters"),
        (lambda: pf.synchronization_term(np.ones((10, 3, 1))), "rows of 10 clusters: exact are up to 9"),
        (lambda: pf.synchronization_bracket(ROWS, seconds=-1, rng=0), "seconds = -1"),
        (lambda: pf.synchronization_bracket(ROWS, seconds="1", rng=0), "seconds = '1'"),
        (lambda: pf.mean_field_program(ROWS[:, :2]), "support have shape"),
        (lambda: pf.mean_field_program(ROWS, [1, 1, 1, 1]), "weights has the sum 4|weights of sum 4"),
        (lambda: pf.mean_field_program(ROWS, [1, 0]), r"weights .*shape \(2,\)"),
        (lambda: pf.multi_marginal(ROWS[:, :2]), r"valid are three rows, \(m, 3, q\)"),
        (lambda: pf.circulant_graph(0, (0, 1)), "m = 0: valid are integers from 1"),
        (lambda: pf.circulant_graph(4, (0, 4)), r"offsets = \(0, 4\)"),
        (lambda: pf.circulant_graph(4, 1), "offsets = 1"),
        (lambda: pf.hard_model_figure(13, 2), "m = 13: valid in a drawing of s = 2 are integers from 2 to 12"),
        (lambda: pf.sub_neuron_figure(4, 7), "s = 7: valid in a drawing are integers from 2 to 6"),
        (lambda: pf.synchronization_graph_figure(4, 2, offsets=(0, 1, 2)), r"offsets = \(0, 1, 2\)"),
    ],
)
def test_invalid_input_is_named(call, message):
    with pytest.raises(pf.InvalidInput, match=message):
        call()


# --- figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "s"), [(6, 2), (6, 3), (3, 3), (12, 4), (7, 6)])
def test_figures_show_every_connection(m, s, tmp_path):
    figures = pf.hard_model_figure(m, s), pf.sub_neuron_figure(m, s), pf.synchronization_graph_figure(m, s)
    lines = [[line for line in figure.axes[0].lines if len(line.get_xdata()) == 2] for figure in figures]
    assert [len(found) for found in lines] == [m * s, m * s, m * s * (s - 1) // 2]
    assert [len(figure.axes[0].patches) for figure in figures] == [0, m, m]
    for i, figure in enumerate(figures):
        figure.savefig(tmp_path / f"{i}.png", dpi=40)
        assert figure.get_figwidth() == pytest.approx(synchronization_figures.WIDTH)


def test_sub_neurons_that_read_one_neuron_are_joined():
    axes = pf.synchronization_graph_figure(5, 2).axes[0]
    colors = {
        tuple(np.round(line.get_xydata()[0], 9)): line.get_color() for line in axes.lines if len(line.get_xdata()) == 1
    }
    for line in axes.lines:
        if len(line.get_xdata()) == 2:
            assert [colors[tuple(np.round(end, 9))] for end in line.get_xydata()] == list(
                synchronization_figures.ROW_COLORS[:2]
            )
