"""Synchronisation of the clusters of a three-layer network: the term, what it costs at least and at most, its limit.

Cluster i has s rows u_i^(1), …, u_i^(s) ∈ R^q. With offsets o_1, …, o_s and powers σ^j of a permutation,

    D_S(m)(u) = (1/m) min_{σ ∈ S(m)} Σ_i Σ_{k<l} ‖u^(k)_{σ^{o_k}(i)} − u^(l)_{σ^{o_l}(i)}‖²,

and D_cyc is the minimum over the m-cycles alone, that is over the orders in which the clusters may stand around the
graph. For s = 2 and o = (0, 1), D_S(m) is W2²(μ¹, μ²) and D_cyc a travelling-salesman problem. In general

    Σ_{k<l} W2²(μ^k, μ^l) ≤ B ≤ D_S(m) ≤ D_cyc,

where B lets each power of σ be a permutation of its own. Rows are arrays (m, s, q); `cluster_rows` takes them from
particles. Source: Lazarus 2022, §2.5.3 to §2.5.5, whose last two inequalities do not hold as printed.
"""

from dataclasses import dataclass
from itertools import combinations
from numbers import Real

import numpy as np

from particleflow.assignment import assign
from particleflow.errors import InvalidInput
from particleflow.permutation_search import enumerated, searched
from particleflow.transport import checked_weights, matching, row_measure, w2_squared
from particleflow.transport_programs import stationary_program, three_marginal_program
from particleflow.values import integers, is_integer

LARGEST_NUMBER = 1e140  # sums of squares stay finite
LARGEST_ENUMERATION = 9
LARGEST_PROGRAM = 60
"""Up to how many clusters all permutations are tried, and linear programs in m³ unknowns are solved."""


@dataclass(frozen=True)
class Bracket:
    """What is known of a synchronisation term: lower ≤ D ≤ upper.

    Attributes
    ----------
    lower, upper : float
        The largest lower bound, and the cost of ``permutation``.
    permutation : ndarray of int, shape (m,)
        The best σ that was found.
    bounds : dict
        The lower bounds by name: "sum of W2²", "B" and, where it applies, "linear program".
    """

    lower: float
    upper: float
    permutation: np.ndarray
    bounds: dict

    @property
    def gap(self):
        """(upper − lower) / lower: infinite where only the lower bound is 0, and 0 where both are."""
        width = self.upper - self.lower
        return width / self.lower if self.lower > 0 else float("inf") if width > 0 else 0.0


# --- rows and the graph -----------------------------------------------------------------------------------------------


def cluster_rows(measure, rows="W"):
    """Return the rows of three-layer particles (a, u, W) as an array.

    Parameters
    ----------
    measure : EmpiricalMeasure
        Particles with blocks u, of shape (s,), and W, of shape (s, d).
    rows : {"W", "uW"}
        The row of sub-neuron k is W_k, or (u_k, W_k).

    Returns
    -------
    ndarray, shape (m, s, d) or (m, s, 1 + d)

    Raises
    ------
    InvalidInput
        If the particles have no such blocks or the kind of row does not exist.
    """
    return row_measure(measure, list(range(1, measure["u"].shape[-1] + 1)), rows)["rows"]


def circulant_graph(m, offsets):
    """Return who reads which neuron: first-layer neuron j is read by cluster j + o_k (mod m) through its row k.

    The sub-neurons in line j read the same neuron: the edges of the synchronisation graph join every two of them.

    Parameters
    ----------
    m : int
        Number of clusters, and of first-layer neurons.
    offsets : sequence of int
        o_1, …, o_s; those of the report are (0, 1) and (0, 1, −1).

    Returns
    -------
    ndarray of int, shape (m, s)
        The cluster that reads neuron j through its row k.

    Raises
    ------
    InvalidInput
        If m is not a positive integer or the offsets are not distinct integers modulo m.
    """
    if not is_integer(m):
        raise InvalidInput(f"m = {m!r}: valid are integers from 1")
    return (np.arange(m)[:, None] + _offsets(offsets, m, np.size(offsets))) % m


def default_offsets(s):
    """Return (0, 1, −1, 2, −2, …), s of them."""
    return tuple((k + 1) // 2 * (1 if k % 2 else -1) for k in range(s))


# --- the term ---------------------------------------------------------------------------------------------------------


def synchronization_term(rows, offsets=None, *, cycles=False):
    """Return D_S(m), or D_cyc, exactly.

    For two rows with offsets that differ by 1, D_S(m) = W2²(μ¹, μ²) is an assignment; otherwise all permutations are
    tried.

    Parameters
    ----------
    rows : array_like, shape (m, s, q)
        The rows u_i^(k).
    offsets : sequence of int, optional
        o_1, …, o_s, distinct modulo m; by default (0, 1, −1, 2, −2, …).
    cycles : bool
        Whether σ has to be an m-cycle.

    Returns
    -------
    value : float
    permutation : ndarray of int, shape (m,)
        A minimiser σ.

    Raises
    ------
    InvalidInput
        If the rows or the offsets are invalid, or there are too many clusters to try all permutations.
    """
    rows, offsets = _problem(rows, offsets)
    m, couplings = len(rows), _couplings(rows, offsets)
    if list(couplings) == [1] and not cycles:
        return w2_squared(*couplings[1]), matching(*couplings[1])
    if m > LARGEST_ENUMERATION:
        most = LARGEST_ENUMERATION
        raise InvalidInput(f"rows of {m} clusters: exact are up to {most}; synchronization_bracket takes any number")
    value, permutation = enumerated(_cost_tables(couplings), cycles)
    return value / m, permutation


def synchronization_bracket(rows, offsets=None, *, cycles=False, seconds=None, rng):
    """Return bounds of D_S(m), or of D_cyc, for any number of clusters.

    Up to 9 clusters both are the exact value. From above: annealing, started from the assignments of `bound_B` and of
    pairs of rows and from a rounding of the linear program. From below: `sum_w2_squared`, `bound_B` and, if the largest
    difference of offsets is 2 and m ≤ 60, the linear program of `mean_field_program` for the law of the rows, less the
    walks that no permutation (or no m-cycle) makes.

    Parameters
    ----------
    rows, offsets, cycles
        As in `synchronization_term`.
    seconds : float, optional
        How long to search for the upper bound; the lower bounds take their own time. By default the search has a fixed
        length, and the same rng gives the same result.
    rng : int or numpy.random.Generator
        Seed or source of randomness.

    Returns
    -------
    Bracket

    Raises
    ------
    InvalidInput
        If the rows, the offsets or the seconds are invalid.
    """
    rows, offsets = _problem(rows, offsets)
    if seconds is not None and not (isinstance(seconds, Real) and seconds >= 0):
        raise InvalidInput(f"seconds = {seconds!r}: valid are numbers from 0, or None")
    m, couplings = len(rows), _couplings(rows, offsets)
    costs = _cost_tables(couplings)
    starts = [matching(left, right) for step, left, right in _pairs(rows, offsets) if step == 1]
    starts += [matching(*couplings[1])] if 1 in couplings else [np.arange(m)]
    bounds = {"sum of W2²": sum_w2_squared(rows), "B": bound_B(rows, offsets)}
    if len(costs) == 2 and m <= LARGEST_PROGRAM:
        bounds["linear program"], law = stationary_program(*costs, np.full(m, 1 / m), _walks(m, cycles))
        starts.append(assign(law.max() - law)[0])
    if m <= LARGEST_ENUMERATION:
        value, permutation = synchronization_term(rows, offsets, cycles=cycles)
        return Bracket(value, value, permutation, bounds)
    lower, rng = max(bounds.values()), np.random.default_rng(rng)
    floor = m * lower * (1 + 1e-12)  # rounding
    upper, permutation = searched(costs, starts, cycles=cycles, seconds=seconds, floor=floor, rng=rng)
    return Bracket(min(lower, upper / m), upper / m, permutation, bounds)


# --- bounds and limits ------------------------------------------------------------------------------------------------


def sum_w2_squared(rows):
    """Return Σ_{k<l} W2²(μ^k, μ^l), where μ^k is the law of the k-th row; rows as in `synchronization_term`."""
    rows = _rows(rows)
    return sum(w2_squared(rows[:, j], rows[:, k]) for j, k in combinations(range(rows.shape[1]), 2))


def bound_B(rows, offsets=None):
    """Return B, in which each power σ^h of D_S(m) may be a permutation of its own.

    For three rows with the offsets (0, 1, −1) of the report,

        B = W2²(μ^(1,3), μ^(2,1)) + W2²(μ², μ³)

    (Lazarus 2022, §2.5.5, where the first term has other rows: then it does not hold).
    Parameters and errors as in `synchronization_term`.
    """
    return sum(w2_squared(left, right) for left, right in _couplings(*_problem(rows, offsets)).values())


def mean_field_program(support, weights=None):
    """Return the mean-field limit of D for three rows with offsets (0, 1, −1), a linear program.

        min_π E[‖X_0^(1) − X_1^(2)‖² + ‖X_1^(2) − X_{−1}^(3)‖² + ‖X_{−1}^(3) − X_0^(1)‖²]

    over the laws π of (X_{−1}, X_0, X_1) with X_0 ~ μ and (X_{−1}, X_0) ~ (X_0, X_1). It is at most D_S(m) of m
    particles of law μ, and 0 exactly if μ is the law of (Z_t, Z_{t−1}, Z_{t+1}) for a stationary process Z.

    Parameters
    ----------
    support : array_like, shape (n, 3, q)
        The points of μ; the program has n³ unknowns.
    weights : array_like, shape (n,), optional
        Their masses, with sum 1; 1/n by default.

    Returns
    -------
    float
        The value, rounded down: never above the minimum.

    Raises
    ------
    InvalidInput
        If the support is not of three rows or the weights are no probabilities.
    """
    support = _three(support, "support")
    n = len(support)
    weights = checked_weights("weights", weights, n)
    return stationary_program(*_cost_tables(_couplings(support, default_offsets(3))), weights)[0]


def multi_marginal(rows):
    """Return the multi-marginal optimal transport of the laws of three rows, a lower bound of D whatever the offsets.

        Σ_{k<l} W2²(μ^k, μ^l) ≤ min_π E[Σ_{k<l} ‖Y^k − Y^l‖²] ≤ D_S(m),   Y^k ~ μ^k

    It forgets the joint law of the rows: `mean_field_program` of the same rows is at least as large.

    Parameters
    ----------
    rows : array_like, shape (m, 3, q)
        The rows u_i^(k); the program has m³ unknowns.

    Raises
    ------
    InvalidInput
        If there are not three rows.
    """
    rows = _three(rows, "rows")
    return three_marginal_program(*(_squares(rows[:, j], rows[:, k]) for j, k in combinations(range(3), 2)))


# --- helpers ----------------------------------------------------------------------------------------------------------


def _rows(rows, name="rows"):
    try:
        rows = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInput(f"{name} are not an array of numbers: valid is one of shape (m, s, q)") from None
    if rows.ndim != 3 or 0 in rows.shape or rows.shape[1] < 2:
        raise InvalidInput(f"{name} have shape {rows.shape}: valid is (m, s, q) with m ≥ 1, s ≥ 2 and q ≥ 1")
    if not np.isfinite(rows).all():
        cluster = int(np.flatnonzero(~np.isfinite(rows).all(axis=(1, 2)))[0])
        raise InvalidInput(
            f"{name} of cluster {cluster} have a value that is NaN or infinite: valid are finite numbers"
        )
    if np.abs(rows).max() > LARGEST_NUMBER:
        raise InvalidInput(f"{name} have the value {np.abs(rows).max():g}: valid are numbers up to {LARGEST_NUMBER:g}")
    return rows


def _three(rows, name):
    rows = _rows(rows, name)
    if rows.shape[1] != 3:
        raise InvalidInput(f"{name} have shape {rows.shape}: valid are three rows, (m, 3, q)")
    return rows


def _offsets(offsets, m, s):
    values = np.array(integers("offsets", offsets))
    if len(values) != s or len(np.unique(values % m)) < s or np.abs(values).max() > m:
        raise InvalidInput(
            f"offsets = {offsets!r}: valid are {s} integers from −{m} to {m} that differ modulo the {m} clusters"
        )
    return values


def _problem(rows, offsets):
    """Check rows and offsets."""
    rows = _rows(rows)
    m, s, _ = rows.shape
    return rows, tuple(_offsets(default_offsets(s) if offsets is None else offsets, m, s).tolist())


def _pairs(rows, offsets):
    """Yield (h, left, right) for each pair of rows: its part of D is Σ_i ‖left_i − right_{σ^h(i)}‖², h > 0."""
    for j, k in combinations(range(len(offsets)), 2):
        step = offsets[k] - offsets[j]
        yield (step, rows[:, j], rows[:, k]) if step > 0 else (-step, rows[:, k], rows[:, j])


def _couplings(rows, offsets):
    """Return {h: (left, right)}, where left and right stack the rows of all pairs with this h."""
    found = {}
    for step, left, right in _pairs(rows, offsets):
        found.setdefault(step, []).append((left, right))
    return {step: tuple(np.hstack(side) for side in zip(*pairs, strict=True)) for step, pairs in found.items()}


def _cost_tables(couplings):
    """Return C of `permutation_search`: C[h−1, i, j] = ‖left_i − right_j‖²."""
    m = len(next(iter(couplings.values()))[0])
    costs = np.zeros((max(couplings), m, m))
    for step, (left, right) in couplings.items():
        costs[step - 1] = _squares(left, right)
    return costs


def _squares(left, right):
    return np.square(left[:, None] - right[None]).sum(axis=-1)


def _walks(m, cycles):
    """Return which (x, y, z) a permutation can run through: y = x means z = y; in a cycle of 3 or more none meet."""
    same = np.eye(m, dtype=bool)
    xy, yz, xz = same[:, :, None], same[None], same[:, None, :]
    return ~(xy | yz | xz) if cycles else xy == yz
