"""Permutations of least cost, where the cost looks several steps ahead: by enumeration, patching and annealing.

Costs are an array C of shape (reach, m, m); a permutation σ costs

    Σ_i Σ_{h=1}^{reach} C[h−1, i, σ^h(i)].

For reach 1 this is linear assignment. For reach 2 it already contains the quadratic assignment along a walk, for which
no fast exact method is known; restricted to m-cycles, reach 1 is the asymmetric travelling-salesman problem.
"""

import math
from time import monotonic

import numpy as np

from particleflow.jit import jit

HEATS = (0.01, 0.5, 0.3, 0.2)
"""Temperatures at which annealing begins, in turn, in units of the mean cost of one index."""
COLD = 0.01
"""The temperature at which it ends, relative to that at which it begins."""
ROUNDS = 12
"""How often the search anneals when it is given no time."""


def searched(costs, starts, *, cycles, seconds, floor, rng):
    """Return the least cost found and its permutation: annealing from given permutations, then from the best.

    Parameters
    ----------
    costs : ndarray, shape (reach, m, m)
        C.
    starts : list of ndarray, shape (m,)
        Permutations to start from; at least one.
    cycles : bool
        Whether only m-cycles count; the starts are then patched to m-cycles.
    seconds : float or None
        How long to search; None anneals `ROUNDS` times, which the same rng repeats to the bit.
    floor : float
        A cost that counts as optimal: the search ends when it is reached.
    rng : numpy.random.Generator
        Source of randomness.
    """
    m = costs.shape[1]
    starts = [_patched(costs, start) if cycles else start for start in starts]
    value, best = min(((_cost(costs, start), start) for start in starts), key=lambda found: found[0])
    steps, begin, turn = min(400 * m * m, 4_000_000), monotonic(), 0
    while value > floor and (turn < ROUNDS if seconds is None else monotonic() - begin < seconds):
        start = starts[turn] if turn < len(starts) else best
        hot = HEATS[turn % len(HEATS)] * value / m
        found, sigma = _anneal(costs, start.copy(), 3 if cycles else 2, steps, hot, rng)
        if found < value:
            value, best = found, sigma
        turn += 1
    return value, best


# --- costs ------------------------------------------------------------------------------------------------------------


@jit
def _walk_cost(costs, sigma, i):
    """Return what index i pays: Σ_h C[h−1, i, σ^h(i)]."""
    total, j = 0.0, i
    for h in range(len(costs)):
        j = sigma[j]
        total += costs[h, i, j]
    return total


@jit
def _cost(costs, sigma):
    total = 0.0
    for i in range(len(sigma)):
        total += _walk_cost(costs, sigma, i)
    return total


# --- enumeration ------------------------------------------------------------------------------------------------------


@jit
def enumerated(costs, cycles):
    """Return the least cost and its permutation by looking at all m! permutations, or all (m − 1)! m-cycles."""
    m = costs.shape[1]
    order, sigma = np.arange(m), np.empty(m, np.int64)
    best, best_sigma = np.inf, np.arange(m)
    more = True
    while more:
        if cycles:
            for t in range(m):
                sigma[order[t]] = order[(t + 1) % m]
        else:
            sigma[:] = order
        value = _cost(costs, sigma)
        if value < best:
            best, best_sigma[:] = value, sigma
        more = _next_order(order, 1 if cycles else 0)
    return best, best_sigma


@jit
def _next_order(order, first):
    """Turn order[first:] into the next one in lexicographic order; return whether there is one."""
    i = len(order) - 2
    while i >= first and order[i] > order[i + 1]:
        i -= 1
    if i < first:
        return False
    j = len(order) - 1
    while order[j] < order[i]:
        j -= 1
    order[i], order[j] = order[j], order[i]
    order[i + 1 :] = order[i + 1 :][::-1].copy()
    return True


# --- exchanges: the arrows t_1 → σ(t_1), …, t_r → σ(t_r) pass their heads on, t_1 → σ(t_2), …, t_r → σ(t_1) -----------


@jit
def _inverse(sigma):
    inverse = np.empty_like(sigma)
    for i in range(len(sigma)):
        inverse[sigma[i]] = i
    return inverse


@jit
def _affected(inverse, tails, reach, indices):
    """List the indices whose walk uses an arrow that is exchanged, and return how many there are.

    An index reaches its first exchanged arrow over others: the list is the same before and after the exchange.
    """
    count = 0
    for tail in tails:
        i, met = tail, False
        for _ in range(reach):
            if met:
                break
            indices[count] = i
            count += 1
            i = inverse[i]
            for other in tails:
                met = met or other == i
    return count


@jit
def _exchange(sigma, tails):
    head = sigma[tails[0]]
    for k in range(len(tails) - 1):
        sigma[tails[k]] = sigma[tails[k + 1]]
    sigma[tails[-1]] = head


@jit
def _undo(sigma, tails):
    head = sigma[tails[-1]]
    for k in range(len(tails) - 1, 0, -1):
        sigma[tails[k]] = sigma[tails[k - 1]]
    sigma[tails[0]] = head


@jit
def _exchanged(costs, sigma, inverse, tails, indices):
    """Exchange arrows of σ, not of its inverse, and return how the cost changes."""
    count, change = _affected(inverse, tails, len(costs), indices), 0.0
    for k in range(count):
        change -= _walk_cost(costs, sigma, indices[k])
    _exchange(sigma, tails)
    for k in range(count):
        change += _walk_cost(costs, sigma, indices[k])
    return change


# --- cycles -----------------------------------------------------------------------------------------------------------


@jit
def _label_cycles(sigma, label, position):
    """Label each index with its cycle and its position along it; return how many cycles there are."""
    label[:] = -1
    count = 0
    for i in range(len(sigma)):
        t = 0
        while label[i] < 0:
            label[i], position[i] = count, t
            i, t = sigma[i], t + 1
        count = max(count, label[i] + 1)
    return count


@jit
def _patched(costs, sigma):
    """Return an m-cycle: σ with its cycles merged, two at a time, each time where that costs least (Karp 1979)."""
    m, sigma = len(sigma), sigma.copy()
    label, position, indices = np.empty_like(sigma), np.empty_like(sigma), np.empty(2 * len(costs), np.int64)
    tails, best_tails = np.empty(2, np.int64), np.empty(2, np.int64)
    while _label_cycles(sigma, label, position) > 1:
        inverse, least = _inverse(sigma), np.inf
        for a in range(m):
            for b in range(a):
                if label[a] != label[b]:
                    tails[0], tails[1] = a, b
                    change = _exchanged(costs, sigma, inverse, tails, indices)
                    _undo(sigma, tails)
                    if change < least:
                        least, best_tails[:] = change, tails
        _exchange(sigma, best_tails)
    return sigma


# --- annealing --------------------------------------------------------------------------------------------------------


@jit
def _draw(tails, m, position, rng):
    """Draw different tails; return whether they are. Three are sorted along the cycle: the exchange keeps it whole."""
    for k in range(len(tails)):
        tails[k] = int(rng.random() * m)
        for earlier in range(k):
            if tails[earlier] == tails[k]:
                return False
    if len(tails) == 3:
        for a, b in ((0, 1), (1, 2), (0, 1)):
            if position[tails[a]] > position[tails[b]]:
                tails[a], tails[b] = tails[b], tails[a]
    return True


@jit
def _anneal(costs, sigma, arrows, steps, hot, rng):
    """Anneal σ in place by exchanges of 2 arrows, or of 3 for m-cycles; return the best cost and its permutation."""
    m = len(sigma)
    inverse, label, position = _inverse(sigma), np.empty_like(sigma), np.empty_like(sigma)
    tails, indices = np.empty(arrows, np.int64), np.empty(arrows * len(costs), np.int64)
    _label_cycles(sigma, label, position)
    cost = best = _cost(costs, sigma)
    best_sigma = sigma.copy()
    temperature, cooling = hot, COLD ** (1 / steps)
    for _ in range(steps):
        temperature *= cooling
        if not _draw(tails, m, position, rng):
            continue
        change = _exchanged(costs, sigma, inverse, tails, indices)
        if change > 0 and rng.random() >= math.exp(-change / temperature):
            _undo(sigma, tails)
            continue
        cost += change
        for tail in tails:
            inverse[sigma[tail]] = tail
        if arrows == 3:
            _label_cycles(sigma, label, position)
        if cost < best:
            best, best_sigma[:] = cost, sigma
    return _cost(costs, best_sigma), best_sigma
