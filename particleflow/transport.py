"""Exact quadratic optimal transport between empirical measures, proved by its dual.

    W2²(μ, ν) = min_π Σ_ij π_ij |x_i − y_j|² = max_{u, v} Σ_i a_i u_i + Σ_j b_j v_j   with u_i + v_j ≤ |x_i − y_j|²

over the plans π with marginals μ = Σ a_i δ_{x_i} and ν = Σ b_j δ_{y_j} (Peyré & Cuturi 2019, §2 and §3). On a torus
|x − y| is the geodesic distance. Every result carries prices u, v that bound it from below; one that is further from
its bound than rounding can explain is not returned.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from particleflow.assignment import assign, row_minima
from particleflow.costs import TOO_LARGE, centred, costs_between, finite, independent_cost, squares
from particleflow.errors import InvalidInput, TransportFailed
from particleflow.measure import EmpiricalMeasure, Layout
from particleflow.values import is_integer, is_real

LARGEST_GAP = 1e-9


@dataclass(frozen=True)
class Coupling:
    """An optimal plan π between two measures, as the list of its pairs.

    Attributes
    ----------
    value : float
        W2² = Σ mass |x_source − y_target|².
    source, target, mass : ndarray, shape (pairs,)
        π gives ``mass`` to the pair of particle ``source`` of the first and ``target`` of the second measure.
    potentials : (u, v)
        Arrays of shapes (m,) and (m',): u_i + v_j ≤ |x_i − y_j|², with equality on the pairs.
    gap : float
        (primal − dual) / (primal + S/1000), for the centred measures; S is the cost of their independent coupling.
    method : str
        "sort", "assignment" or "network simplex".
    """

    value: float
    source: np.ndarray
    target: np.ndarray
    mass: np.ndarray
    potentials: tuple
    gap: float
    method: str

    @property
    def plan(self):
        """π as a matrix (m, m')."""
        plan = np.zeros(tuple(map(len, self.potentials)))
        plan[self.source, self.target] = self.mass
        return plan

    @property
    def permutation(self):
        """The particle of the second measure for each one of the first; None where the plan is no permutation."""
        m, other = map(len, self.potentials)
        if not m == other == len(self.source) == len(np.unique(self.source)) == len(np.unique(self.target)):
            return None
        return self.target[np.argsort(self.source)]


def w2(A, B, **options):
    """Return the Wasserstein distance W2(A, B) = √W2²; arguments as in `w2_squared`."""
    return float(np.sqrt(w2_squared(A, B, **options)))


def w2_squared(A, B, **options):
    """Return W2²(A, B); arguments as in `coupling`, exactly 0 for two clouds of the same particles."""
    return coupling(A, B, **options).value


def coupling(A, B, *, weights=None, other_weights=None, period=None, max_iterations=10_000_000):
    """Return an optimal coupling of two empirical measures.

    On the line by sorting, between uniform measures of one size by assignment, otherwise by the network simplex of
    Bonneel et al. (2011). Memory is 12 m m' bytes but for the first.

    Parameters
    ----------
    A, B : EmpiricalMeasure or array_like, shape (m, p) or (m,)
        Particles; m may differ.
    weights, other_weights : array_like, shape (m,), optional
        Masses a of A and b of B: from 0, with sum 1 (to 1e-9; rounding is normalised away). 1/m by default, which is
        taken exactly; other masses are known to rounding ε, and so is W2²: to ε times the squared size of the clouds.
    period : float, optional
        Take the coordinates modulo this length. By default the `period` of the layouts, R^p for two arrays.
    max_iterations : int
        Limit of the network simplex.

    Returns
    -------
    Coupling

    Raises
    ------
    InvalidInput
        If a cloud is empty, not finite or of another dimension, the periods differ, or a weight is invalid.
    TransportFailed
        If no plan was found within the limit, or none that its dual proves.

    References
    ----------
    Peyré & Cuturi (2019), "Computational optimal transport".
    Bonneel, van de Panne, Paris & Heidrich (2011), "Displacement interpolation using Lagrangian mass transport".
    """
    period = _period(A, B, period)
    if not is_integer(max_iterations):
        raise InvalidInput(f"max_iterations = {max_iterations!r}: valid are integers from 1 to 10^15")
    A, B = _clouds(A, B)
    a, b = checked_weights("weights", weights, len(A)), checked_weights("other_weights", other_weights, len(B))
    uniform = bool((a == a[0]).all() and (b == b[0]).all())
    X, Y = centred(A, a, B, b, period)
    spread = independent_cost(X, a, Y, b, period)
    if X.shape[1] == 1 and period is None:
        x, y = X[:, 0], Y[:, 0]
        one_to_one = uniform and len(x) == len(y)
        plan = _quantiles(x, y) if one_to_one else _sorted(x, y, *_masses(a, b, uniform))
        method, (source, target, mass, u, v, primal) = "sort", plan
    elif uniform and len(A) == len(B):
        permutation, u, v, primal = _matched(costs_between(X, Y, period))
        method, source, target, mass = "assignment", np.arange(len(A)), permutation, a
    else:
        method = "network simplex"
        source, target, mass, u, v, primal = _simplex(
            costs_between(X, Y, period), *_masses(a, b, uniform), max_iterations
        )
    gap = _gap(primal, a @ u + b @ v, spread)
    with np.errstate(over="ignore", invalid="ignore"):
        if period is None:  # from the centred clouds back to the given ones: |x − y|² = |ξ − η|² + 2δ·(ξ − η) + |δ|²
            delta = (A[0] - B[0]) - (X[0] - Y[0])
            u, v = u + 2 * X @ delta + delta @ delta, v - 2 * Y @ delta
        value = float(mass @ squares(A[source], B[target], period))
    if not np.isfinite(value):
        raise TransportFailed(TOO_LARGE)
    return Coupling(value, source, target, mass, (u, v), gap, method)


def matching(X, Y, *, period=None):
    """Return the permutation π that minimises Σ_i |x_i − y_π(i)|²; arguments as in `Matcher.match`."""
    return Matcher(period=period).match(X, Y)


class Matcher:
    """Optimal matchings of clouds that move: each starts from the prices of the one before.

    What it remembers saves time and changes no result: every matching is optimal, and proved to be.

    Parameters
    ----------
    period : float, optional
        Take the coordinates modulo this length.
    """

    def __init__(self, *, period=None):
        self.period = _period(None, None, period)
        self._last = None

    def match(self, X, Y):
        """Return the permutation π that minimises Σ_i |x_i − y_π(i)|².

        Parameters
        ----------
        X, Y : array_like, shape (m, p) or (m,)

        Returns
        -------
        ndarray of int, shape (m,)

        Raises
        ------
        InvalidInput
            If the clouds differ in size or dimension, are empty, or a value is NaN or infinite.
        TransportFailed
            If the dual does not prove the result.
        """
        X, Y = _clouds(X, Y)
        m = len(X)
        if len(Y) != m:
            raise InvalidInput(f"B has {len(Y)} particles: a matching needs as many as A has, {m}")
        if X.shape[1] == 1 and self.period is None:
            permutation = np.empty(m, dtype=np.int64)
            permutation[np.argsort(X[:, 0], kind="stable")] = np.argsort(Y[:, 0], kind="stable")
            return permutation
        a = np.full(m, 1 / m)
        X, Y = centred(X, a, Y, a, self.period)
        spread = independent_cost(X, a, Y, a, self.period)
        return self.match_costs(costs_between(X, Y, self.period), spread)

    def w2(self, X, Y):
        """Return W2(X, Y) = (1/m Σ_i |x_i − y_π(i)|²)^½ of clouds of one size; arguments as in `match`."""
        X, Y = _clouds(X, Y)
        permutation = self.match(X, Y)
        with np.errstate(over="ignore"):
            value = float(np.mean(squares(X, Y[permutation], self.period)))
        return float(np.sqrt(finite(np.array(value))))

    def match_costs(self, cost, spread):
        """Return the permutation π that minimises Σ_i C_iπ(i), for costs (m, m) that the caller has computed.

        They must be finite and nonnegative; `spread` is the size of (1/m) Σ_i C_iπ(i) for a π taken at random.
        """
        start = self._last if self._last and len(self._last[0]) == len(cost) else None
        permutation, u, v, primal = _matched(cost, start)
        _gap(primal, u.mean() + v.mean(), spread)
        self._last = permutation, v
        return permutation.copy()


def row_measure(measure, ks, rows="W"):
    """Return the law of some rows of the three-layer particles (a, u, W), u ∈ R^s, W ∈ R^{s×d}.

    For one k it is μ^k, the law of W_k; for several the joint law μ^(k,l,...) of (W_k, W_l, ...).

    Parameters
    ----------
    measure : EmpiricalMeasure
        Particles with blocks u (s,) and W (s, d).
    ks : int or sequence of int
        Which rows, counted from 1 to s.
    rows : {"W", "uW"}
        A row is W_k ∈ R^d, or (u_k, W_k) ∈ R^{1+d}.

    Returns
    -------
    EmpiricalMeasure
        m particles with the one block "rows", of shape (len(ks), d) or (len(ks), 1 + d).

    Raises
    ------
    InvalidInput
        If the particles have no rows, or a row or a kind of row does not exist.
    """
    if not {"u", "W"} <= set(measure.layout.names):
        raise InvalidInput(f"the particles have the blocks {', '.join(measure.layout.names)}: rows need u and W")
    if rows not in ("W", "uW"):
        raise InvalidInput(f"rows = {rows!r} is unknown; valid: W, uW")
    u, W = measure["u"], measure["W"]
    if W.ndim != 3:
        raise InvalidInput("the particles share their first layer: rows need the particles of a three-layer network")
    wanted = [ks] if is_integer(ks) else list(ks) if isinstance(ks, (list, tuple, range, np.ndarray)) else []
    if not (wanted and all(is_integer(k, 1, W.shape[1]) for k in wanted)):
        raise InvalidInput(f"ks = {ks!r}: valid are integers from 1 to {W.shape[1]}, the number of sub-neurons")
    wanted = np.array(wanted)
    numbers = W if rows == "W" else np.concatenate([u[:, :, None], W], axis=2)
    chosen = numbers[:, wanted - 1]
    layout = Layout((("rows", (("row", len(wanted)), ("number", numbers.shape[2]))),), measure.layout.period)
    return EmpiricalMeasure.from_blocks(layout, rows=chosen)


# --- what is given ----------------------------------------------------------------------------------------------------


def _period(A, B, period):
    if period is None:
        periods = {cloud.layout.period for cloud in (A, B) if isinstance(cloud, EmpiricalMeasure)} or {None}
        if len(periods) > 1:
            raise InvalidInput(f"A and B have the periods {A.layout.period} and {B.layout.period}: they must agree")
        return periods.pop()
    if not (is_real(period) and period > 0):
        raise InvalidInput(f"period = {period!r}: valid are positive finite numbers, or None in R^p")
    return float(period)


def _clouds(A, B):
    A, B = _cloud("A", A), _cloud("B", B)
    if A.shape[1] != B.shape[1]:
        raise InvalidInput(f"B has {B.shape[1]} numbers per particle, A has {A.shape[1]}: they must agree")
    return A, B


def _cloud(name, cloud):
    """Return the particles of a measure or an array, shape (m, p)."""
    if isinstance(cloud, EmpiricalMeasure):
        return cloud.particles
    array = _numbers(name, cloud)
    if array.ndim not in (1, 2) or array.size == 0:
        raise InvalidInput(f"{name} has shape {array.shape}; valid: a measure or an array (m, p) or (m,), not empty")
    if not np.isfinite(array).all():
        raise InvalidInput(f"{name} has a value that is NaN or infinite: all coordinates must be finite")
    return array.reshape(len(array), -1)


def _numbers(name, values):
    try:
        array = np.asarray(values)
        if array.dtype.kind == "c":
            raise TypeError
        return array.astype(np.float64)
    except (TypeError, ValueError):
        raise InvalidInput(f"{name} is not an array of numbers, or its rows differ in length") from None


def checked_weights(name, weights, m):
    """Return masses of m particles with sum 1, by default 1/m each; `InvalidInput` if they are no probabilities."""
    if weights is None:
        return np.full(m, 1 / m)
    weights = _numbers(name, weights)
    if weights.shape != (m,):
        raise InvalidInput(f"{name} has shape {weights.shape}, expected ({m},): one for each particle")
    if not (np.isfinite(weights).all() and weights.min() >= 0):
        raise InvalidInput(f"{name} has the value {weights[~(weights >= 0) | (weights == np.inf)][0]}: valid from 0")
    if abs(weights.sum() - 1) > 1e-9:
        raise InvalidInput(f"{name} has the sum {weights.sum():.10g}: weights must sum to 1")
    return weights / weights.sum()


# --- solvers: the pairs, their masses, the prices and the cost --------------------------------------------------------


def _masses(a, b, uniform):
    """Return the masses and their sum; uniform ones as integers, in units of 1/(m m'), so that no sum rounds."""
    if not uniform:
        return a, b, 1.0
    m, other = len(a), len(b)
    return np.full(m, float(other)), np.full(other, float(m)), float(m * other)


def _quantiles(x, y):
    """Couple particles of equal mass in their order; prices follow along (k, k), (k + 1, k), (k + 1, k + 1)."""
    i, j = np.argsort(x), np.argsort(y)  # in any order among equals
    x, y = x[i], y[j]
    here, ahead = (x - y) ** 2, (x[1:] - y[:-1]) ** 2
    u, v = np.empty(len(x)), np.empty(len(y))
    u[i] = here[0] + np.concatenate([[0.0], np.cumsum(ahead - here[:-1])])
    v[j] = np.concatenate([[0.0], np.cumsum(here[1:] - ahead)])
    return i, j, np.full(len(x), 1 / len(x)), u, v, here.mean()


def _sorted(x, y, a, b, total):
    """Couple quantiles on the line: a monotone path of cells (i, j), whose prices follow from one cell to the next."""
    in_x, in_y = np.argsort(x, kind="stable"), np.argsort(y, kind="stable")
    edges = np.concatenate([np.cumsum(a[in_x])[:-1], np.cumsum(b[in_y])[:-1]])
    steps = np.argsort(edges, kind="stable")
    right = steps < len(x) - 1
    i = in_x[np.concatenate([[0], np.cumsum(right)])]
    j = in_y[np.concatenate([[0], np.cumsum(~right)])]
    mass = np.diff(np.concatenate([[0.0], np.minimum(edges[steps], total), [total]])) / total
    cost = (x[i] - y[j]) ** 2
    u, v = np.empty(len(x)), np.empty(len(y))
    change = np.diff(cost)
    u[i] = np.concatenate([[cost[0]], cost[0] + np.cumsum(np.where(right, change, 0.0))])
    v[j] = np.concatenate([[0.0], np.cumsum(np.where(right, 0.0, change))])
    used = mass > 0
    return i[used], j[used], mass[used], u, v, mass @ cost


def _matched(cost, start=None):
    permutation, v = assign(cost, start)
    return permutation, row_minima(cost, v), v, cost[np.arange(len(cost)), permutation].mean()


def _simplex(cost, a, b, total, max_iterations):
    from ot.lp import emd  # takes seconds

    rows, columns = np.flatnonzero(a), np.flatnonzero(b)
    unit = cost.max() or 1.0  # the solver adds 1 to the largest cost: in another unit small costs would lose digits
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its status says the same
        inner = cost[np.ix_(rows, columns)] / unit
        plan, log = emd(a[rows], b[columns], inner, numItermax=max_iterations, log=True, center_dual=False)
    if log["warning"] is not None:
        raise TransportFailed(
            f"no optimal plan of {len(rows)} x {len(columns)} particles within max_iterations = {max_iterations}: "
            f"raise it, or compare fewer particles ({log['warning']})"
        )
    i, j = np.nonzero(plan)
    source, target, mass = rows[i], columns[j], plan[i, j]
    missed = np.abs(np.bincount(source, mass, len(a)) - a).sum() + np.abs(np.bincount(target, mass, len(b)) - b).sum()
    if not missed <= LARGEST_GAP * total:
        raise TransportFailed(f"the plan misses its marginals by {missed / total:.1e}: compare fewer particles")
    v = np.full(len(b), -np.inf)  # no price where there is no mass, until u is known
    v[columns] = log["v"] * unit
    u = row_minima(cost, v)
    v = row_minima(np.ascontiguousarray(cost.T), u)
    mass = mass / total
    return source, target, mass, u, v, mass @ cost[source, target]


def _gap(primal, dual, spread):
    """Return the relative duality gap, or raise TransportFailed where rounding cannot explain it."""
    if primal == dual:
        return 0.0
    gap = float((primal - dual) / (primal + 1e-3 * spread))
    if not abs(gap) <= LARGEST_GAP:
        raise TransportFailed(
            f"the plan found is not proved optimal, its relative duality gap is {gap:.1e}: remove particles that lie "
            "very much further out than the others, or rescale them"
        )
    return gap
