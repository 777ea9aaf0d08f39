"""Linear programs for laws of three points, with lower bounds that hold whatever the solver did.

Both programs minimise ⟨c, π⟩ over probabilities π with Mπ = b. For every vector λ, optimal or not,

    ⟨c, π⟩ = ⟨λ, b⟩ + ⟨c − Mᵀλ, π⟩ ≥ ⟨λ, b⟩ + min(c − Mᵀλ),

because π has mass 1. The solver only suggests λ; the value returned is the right-hand side.
"""

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from particleflow.errors import ParticleflowError


def stationary_program(first, second, weights, walks=None):
    """Minimise over laws of a stationary walk (X_{−1}, X_0, X_1) on n points with X_0 ~ μ.

        min_π Σ π(x, y, z) [first(y, z) + second(x, z)],   Σ_{x,z} π(x, y, z) = μ(y),   Σ_z π(x, y, z) = Σ_z π(z, x, y)

    Parameters
    ----------
    first, second : ndarray, shape (n, n)
        The costs, not negative, of one step and of two.
    weights : ndarray, shape (n,)
        μ.
    walks : ndarray of bool, shape (n, n, n), optional
        Which (x, y, z) may occur; by default all.

    Returns
    -------
    bound : float
        A lower bound of the minimum, which it equals up to the tolerance of the solver.
    steps : ndarray, shape (n, n)
        The law of (X_0, X_1).

    Raises
    ------
    ParticleflowError
        If the solver gives up.
    """
    n = len(weights)
    x, y, z = np.indices((n, n, n)).reshape(3, -1) if walks is None else np.nonzero(walks)
    entries = ((y, 1.0), (n + x * n + y, 1.0), (n + y * n + z, -1.0))
    bound, law = _certified(first[y, z] + second[x, z], entries, np.concatenate([weights, np.zeros(n * n)]))
    steps = np.zeros((n, n))
    np.add.at(steps, (y, z), law)
    return bound, steps


def three_marginal_program(c12, c13, c23):
    """Return a lower bound, tight up to the solver's tolerance, of multi-marginal optimal transport.

        min_π Σ π(x, y, z) [c12(x, y) + c13(x, z) + c23(y, z)]   over π with three uniform marginals on n points

    Parameters
    ----------
    c12, c13, c23 : ndarray, shape (n, n)
        The costs, not negative.

    Raises
    ------
    ParticleflowError
        If the solver gives up.
    """
    n = len(c12)
    x, y, z = np.indices((n, n, n)).reshape(3, -1)
    entries = ((x, 1.0), (n + y, 1.0), (2 * n + z, 1.0))
    return _certified(c12[x, y] + c13[x, z] + c23[y, z], entries, np.full(3 * n, 1 / n))[0]


def _certified(costs, entries, b):
    """Return a lower bound of min ⟨c, π⟩ for Mπ = b, and π; M has one (row of each column, value) per entry."""
    scale = costs.max() or 1.0  # the tolerances of the solver are absolute
    columns, costs = np.arange(len(costs)), costs / scale
    data = np.concatenate([np.full(len(columns), value) for _, value in entries])
    places = np.concatenate([row for row, _ in entries]), np.tile(columns, len(entries))
    M = sparse.csc_array((data, places), shape=(len(b), len(columns)))
    result = linprog(costs, A_eq=M, b_eq=b, method="highs-ds")
    if result.status != 0:
        raise ParticleflowError(f"a linear program in {len(costs)} unknowns was not solved: {result.message}")
    dual = result.eqlin.marginals
    return float(scale * max(0.0, dual @ b + np.min(costs - M.T @ dual))), result.x
