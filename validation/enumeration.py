"""Minima over permutations by looking at all of them, independent of particleflow; exact for integers.

Rows are arrays (m, s, q) with m ≤ 8. Values of integer rows are fractions, with no rounding anywhere.
"""

from fractions import Fraction
from functools import cache
from itertools import combinations, permutations

import numpy as np


@cache
def all_permutations(m):
    """Return every permutation of m, shape (m!, m)."""
    return np.array(list(permutations(range(m))))


@cache
def all_cycles(m):
    """Return every m-cycle, shape ((m − 1)!, m)."""
    orders = np.array([(0, *rest) for rest in permutations(range(1, m))])
    cycles = np.empty_like(orders)
    np.put_along_axis(cycles, orders, np.roll(orders, -1, axis=1), axis=1)
    return cycles


def power(sigma, exponent):
    """Return σ^exponent of each permutation in an array (count, m)."""
    base = np.argsort(sigma, axis=1) if exponent < 0 else sigma
    result = np.broadcast_to(np.arange(sigma.shape[1]), sigma.shape)
    for _ in range(abs(exponent)):
        result = np.take_along_axis(base, result, axis=1)
    return result


def transport(left, right):
    """Return W2² of the uniform measures on two clouds of m points, (m, q)."""
    left, right = (np.reshape(cloud, (len(cloud), -1)) for cloud in (left, right))
    m = len(left)
    costs = np.square(left[:, None] - right[None]).sum(axis=-1)
    return _mean(costs[np.arange(m), all_permutations(m)].sum(axis=1).min(), m)


def sum_of_transports(rows):
    """Return Σ_{k<l} W2²(μ^k, μ^l)."""
    return sum(transport(rows[:, k], rows[:, other]) for k, other in combinations(range(rows.shape[1]), 2))


def joint_bound(rows):
    """Return B = W2²(μ^(1,3), μ^(2,1)) + W2²(μ², μ³) of three rows."""
    return transport(rows[:, [0, 2]], rows[:, [1, 0]]) + transport(rows[:, 1], rows[:, 2])


def term(rows, offsets, *, cycles=False):
    """Return D_S(m), the minimum over all permutations σ as it is written down, or D_cyc, that over the m-cycles.

    (1/m) min_σ Σ_i Σ_{k<l} ‖u^(k)_{σ^{o_k}(i)} − u^(l)_{σ^{o_l}(i)}‖²
    """
    m = len(rows)
    sigmas = all_cycles(m) if cycles else all_permutations(m)
    read = [power(sigmas, offset) for offset in offsets]
    total = 0
    for k, other in combinations(range(len(offsets)), 2):
        costs = np.square(rows[:, None, k] - rows[None, :, other]).sum(axis=-1)
        total = total + costs[read[k], read[other]].sum(axis=1)
    return _mean(total.min(), m)


def _mean(total, m):
    return Fraction(int(total), m) if isinstance(total, np.integer) else float(total) / m
