"""The global minimum of the energy of a two-layer relu network with the path norm as one finite convex program.

n data cut the sphere of directions into cells; in cell i the active data, a diagonal 0/1 matrix D_i, are fixed and
relu is linear. So min over ν of (1/n) Σ_j ℓ(f_j, y_j) + λ|ν| is (Pilanci & Ergen 2020, Theorem 1, in our scaling)

    min (1/n) Σ_j ℓ(f_j, y_j) + λ Σ_i (‖v_i‖ + ‖w_i‖),  f = Σ_i D_i X (v_i − w_i),
    subject to (2D_i − I) X v_i ≥ 0 and (2D_i − I) X w_i ≥ 0.

The cells are enumerated exactly for d ≤ 3: in the plane they lie between the sorted cuts; in space every cell touches a
vertex x_i × x_j, around which the cells are those of a problem in the plane. The solver is that of CVXPY, an optional
package. Its answer is accepted only if it says "optimal", satisfies the constraints, and its neurons, run through relu,
have the energy it claims: solvers with loose tolerances return infeasible points with too small an energy.
"""

import time
import warnings
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from particleflow.datasets import Dataset, dataset_from_arrays
from particleflow.errors import InvalidInput, MissingPackage, SolverFailed
from particleflow.losses import LOGISTIC, SQUARED, get_loss

MOST_DATA = {1: 1000, 2: 200, 3: 30}
"""The largest n by d: there are up to 2, 2n and n² − n + 2 cells, each with 2n constraints."""
_FEASIBLE, _CONSISTENT = 1e-6, 1e-6
_TIGHT = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-9, "tol_feas": 1e-9}


@dataclass(frozen=True)
class PatternProgram:
    """A solution of the program over activation patterns.

    Attributes
    ----------
    energy : float
        L of the relu network below: a network of that energy exists.
    value : float
        The value of the program as the solver reports it.
    violation : float
        The largest violation of a constraint ±⟨x_j, v_i⟩ ≥ 0, in units of ‖x_j‖ and of the total mass.
    patterns : int
        How many cells there are.
    directions : ndarray, shape (k, d)
        Unit vectors: the neurons with mass.
    masses : ndarray, shape (k,)
        Their signed masses.
    seconds : float
        Wall-clock time.
    """

    energy: float
    value: float
    violation: float
    patterns: int
    directions: np.ndarray
    masses: np.ndarray
    seconds: float


def pattern_program(data, *, strength, loss="squared", **settings):
    """Return the global minimum of (1/n) Σ ℓ(f(x_j), y_j) + λ∫|a|‖w‖ dμ over two-layer relu networks of any width.

    Parameters
    ----------
    data : Dataset or (X, y)
        Inputs (n, d) with d ≤ 3 (a bias counts as a feature), and targets (n,); n ≤ 200 for d = 2, n ≤ 30 for d = 3.
    strength : float
        λ > 0.
    loss : str or Loss
        "squared", "logistic" or "huber".
    **settings
        Settings of the solver Clarabel in place of those here, tolerances of 1e-9.

    Returns
    -------
    PatternProgram

    Raises
    ------
    InvalidInput
        If the data are too many or too high-dimensional, λ is not positive, or the data do not fit the loss.
    MissingPackage
        If CVXPY is not installed: ``pip install "particleflow[convex]"``.
    SolverFailed
        If the solver has no optimal status, or its answer is not feasible or not of the energy it claims.

    References
    ----------
    Pilanci & Ergen 2020, *Neural networks are convex regularizers*, ICML.
    """
    start = time.perf_counter()
    data = data if isinstance(data, Dataset) else dataset_from_arrays(*data)
    loss = get_loss(loss)
    loss.check_targets(data.y)
    if not (np.isfinite(strength) and strength > 0):
        raise InvalidInput(f"strength = {strength!r}: the convex program needs a finite λ above 0")
    if data.d not in MOST_DATA:
        raise InvalidInput(f"d = {data.d}: activation patterns are enumerated for d ≤ 3 only (a bias counts)")
    if data.n > MOST_DATA[data.d]:
        raise InvalidInput(f"n = {data.n}: the convex program takes up to {MOST_DATA[data.d]} data for d = {data.d}")
    patterns = activation_patterns(data.X)
    value, vectors, signs = _solve(patterns, data, loss, strength, _TIGHT | settings)
    return _accepted(patterns, data, loss, strength, value, vectors, signs, start)


# --- the patterns -----------------------------------------------------------------------------------------------------


def activation_patterns(X):
    """Return the activation patterns {⟨w, x_j⟩ > 0} of the cells that data cut the sphere of directions into.

    Parameters
    ----------
    X : ndarray, shape (n, d)
        Data that span at most three dimensions.

    Returns
    -------
    ndarray of bool, shape (cells, n)
        One row for each cell of positive measure, without repetition. A datum 0 is never active.
    """
    norms = np.linalg.norm(X, axis=1)
    unit = X / np.where(norms > 0, norms, 1.0)[:, None]
    _, sizes, axes = np.linalg.svd(unit, full_matrices=False)
    rank = int(np.sum(sizes > 1e-12 * sizes.max(initial=1e-300)))
    if rank == 0:
        return np.zeros((1, len(X)), dtype=bool)
    flat = unit @ axes[:rank].T
    cells = {1: _on_a_line, 2: _in_the_plane, 3: _in_space}[rank](flat)
    return np.unique(cells, axis=0)


def _on_a_line(X):
    return np.array([X[:, 0] > 0, X[:, 0] < 0])


def _in_the_plane(X):
    """Return the pattern in the middle of every arc between two cuts."""
    angles = np.arctan2(X[:, 1], X[:, 0])[X.any(axis=1)]
    cuts = np.sort(np.mod(np.concatenate([angles - 0.5 * np.pi, angles + 0.5 * np.pi]), 2 * np.pi))
    lengths = np.diff(cuts, append=cuts[0] + 2 * np.pi)
    middles = (cuts + 0.5 * lengths)[lengths > 1e-12]
    return np.column_stack([np.cos(middles), np.sin(middles)]) @ X.T > 0


def _in_space(X):
    """Return the patterns around every vertex ±x_i × x_j: as in the plane, for the data that vanish there."""
    found = []
    for i, j in combinations(range(len(X)), 2):
        vertex = np.cross(X[i], X[j])
        size = np.linalg.norm(vertex)
        if size <= 1e-12:
            continue
        vertex /= size
        heights = X @ vertex
        through = np.abs(heights) <= 1e-12
        tangent = np.linalg.svd(vertex[None])[2][1:]
        around = _in_the_plane(X[through] @ tangent.T)
        for sign in (1.0, -1.0):
            cells = np.tile(sign * heights > 0, (len(around), 1))
            cells[:, through] = around
            found.append(cells)
    return np.vstack(found)


# --- the program ------------------------------------------------------------------------------------------------------


def _solve(patterns, data, loss, strength, settings):
    """Return the value, the vectors of all cells, shape (2 cells, d), and the signs of their neurons."""
    try:
        import cvxpy as cp
    except ImportError:
        raise MissingPackage('the convex program needs CVXPY: pip install "particleflow[convex]"') from None
    X, y, n = data.X, data.y, data.n
    norms = np.linalg.norm(X, axis=1)
    unit = X / np.where(norms > 0, norms, 1.0)[:, None]
    sides = np.where(patterns, 1.0, -1.0)
    v, w = cp.Variable((len(patterns), data.d)), cp.Variable((len(patterns), data.d))
    f = cp.sum(cp.multiply(patterns.astype(float), (v - w) @ X.T), axis=0)
    if loss.code == SQUARED:
        risk = cp.sum_squares(f - y)
    else:
        risk = cp.sum(cp.logistic(-cp.multiply(y, f)) if loss.code == LOGISTIC else 0.5 * cp.huber(f - y))
    mass = cp.sum(cp.norm(v, axis=1)) + cp.sum(cp.norm(w, axis=1))
    constraints = [cp.multiply(sides, vectors @ unit.T) >= 0 for vectors in (v, w)]
    problem = cp.Problem(cp.Minimize(risk / n + strength * mass), constraints)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the status says it, and it is looked at
            problem.solve(solver=cp.CLARABEL, **settings)
    except cp.error.SolverError as error:
        raise SolverFailed(f"the convex program was not solved: {error}") from None
    if problem.status != cp.OPTIMAL:
        raise SolverFailed(f'the solver of the convex program ended with the status "{problem.status}"')
    return float(problem.value), np.vstack([v.value, w.value]), np.repeat([1.0, -1.0], len(patterns))


def _accepted(patterns, data, loss, strength, value, vectors, signs, start):
    """Return the solution if it is one, by constraints and by the energy of the relu network it stands for."""
    norms = np.linalg.norm(data.X, axis=1)
    unit = data.X / np.where(norms > 0, norms, 1.0)[:, None]
    sides = np.where(np.vstack([patterns, patterns]), 1.0, -1.0)
    sizes = np.linalg.norm(vectors, axis=1)
    total = max(float(sizes.sum()), 1e-300)
    violation = max(float(-np.min(sides * (vectors @ unit.T))), 0.0) / total
    kept = sizes > 1e-9 * total
    masses = signs[kept] * sizes[kept]
    directions = vectors[kept] / sizes[kept, None]
    f = np.maximum(data.X @ directions.T, 0.0) @ masses
    energy = float(np.mean(loss.value(f, data.y))) + strength * float(np.abs(masses).sum())
    if violation > _FEASIBLE:
        raise SolverFailed(f"the solver's answer violates a constraint by {violation:.1e} of the total mass")
    if abs(energy - value) > _CONSISTENT * energy:
        raise SolverFailed(f"the solver claims the energy {value:.9g}, and its network has {energy:.9g}")
    seconds = time.perf_counter() - start
    return PatternProgram(energy, value, violation, len(patterns), directions, masses, seconds)
