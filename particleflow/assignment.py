"""The linear assignment problem min_π Σ_i C[i, π(i)] over permutations, exact, and quick when a near solution is known.

Prices v of the columns carry everything: with u_i = min_j (C_ij − v_j) the sum Σu + Σv bounds every assignment from
below, and an assignment that uses only pairs with C_ij = u_i + v_j attains it. So any prices may start the search; good
ones, of a problem solved just before, leave little to do.

1. Keep the pairs of the given assignment that are tight for the given prices.
2. Where many are not: an auction (Bertsekas 1988), rows bidding with a falling increment ε, for better prices.
3. Row reduction and shortest augmenting paths (Jonker & Volgenant 1987) for the rows that are still free: exact.
"""

import numpy as np

from particleflow.jit import jit

AUCTION_FROM = {"cold": 0.1, "warm": 0.6}  # the share of free rows from which an auction pays
FIRST_INCREMENT, LAST_INCREMENT, FALL = 0.25, 1e-5, 0.1  # of ε, the first two in units of the largest cost


def assign(cost, start=None):
    """Return the cheapest assignment of rows to columns, and prices that prove it.

    Parameters
    ----------
    cost : ndarray, shape (m, m), float64, C-contiguous
        Finite and nonnegative.
    start : (permutation, v), optional
        What a call for a similar cost returned. It changes how long the search takes, not how good its result is.

    Returns
    -------
    permutation : ndarray, shape (m,)
        The column of each row.
    v : ndarray, shape (m,)
        Prices of the columns: Σ_i min_j (C_ij − v_j) + Σ_j v_j is the cost of the assignment, up to rounding.

    References
    ----------
    Jonker & Volgenant (1987), "A shortest augmenting path algorithm for dense and sparse linear assignment problems".
    Bertsekas (1988), "The auction algorithm: a distributed relaxation method for the assignment problem".
    """
    m = len(cost)
    if m == 1:
        return np.zeros(1, dtype=np.int64), np.zeros(1)
    largest = cost.max()
    if start is not None and np.ptp(start[1]) > 2 * largest:  # optimal prices differ by at most the largest cost
        start = None
    if start is None:  # the nearest column of each row: for clouds that nearly coincide it is the solution already
        kind, columns, v = "cold", cost.argmin(axis=1), np.zeros(m)
    else:
        kind, columns, v = "warm", start[0].copy(), start[1] - _middle(start[1])
    rows = np.empty(m, dtype=np.int64)
    free, count, excess = keep_tight(cost, v, columns, rows, 0.0)
    first, last = FIRST_INCREMENT * largest, LAST_INCREMENT * largest
    if count > AUCTION_FROM[kind] * m and last > 0:
        auction(cost, v, columns, rows, first if kind == "cold" else np.clip(2 * excess, last, first), last)
        v -= _middle(v)  # only differences matter; those of small numbers keep their digits
        free, count, _ = keep_tight(cost, v, columns, rows, 0.0)
    free = free[:count]
    for _ in range(2):
        free = reduce_rows(cost, v, columns, rows, free)
    augment(cost, v, columns, rows, free)
    return columns, v


def _middle(v):
    """Return a median of v, up to a neighbour."""
    return np.partition(v, len(v) // 2)[len(v) // 2]


@jit
def row_minima(cost, v):
    """Return u_i = min_j (C_ij − v_j), shape (m,): the largest u with u_i + v_j ≤ C_ij."""
    u = np.empty(len(cost))
    for i in range(len(cost)):
        u[i] = smallest(cost[i], v)
    return u


@jit
def smallest(row, v):
    """Return the smallest of row − v."""
    least = np.inf
    for j in range(len(row)):
        least = min(least, row[j] - v[j])
    return least


@jit
def two_smallest(row, v):
    """Return the smallest of row − v, where it is, and the second smallest."""
    first, second, best = np.inf, np.inf, -1
    for j in range(len(row)):
        value = row[j] - v[j]
        if value < second:  # seldom, and foreseen by the processor: as quick as vector registers
            if value < first:
                first, second, best = value, first, j
            else:
                second = value
    return first, best, second


@jit
def keep_tight(cost, v, columns, rows, slack):
    """Keep pairs with C_ij − v_j ≤ u_i + slack; return the rows left free, their number, and the mean excess over u."""
    m = len(cost)
    free, count, excess = np.empty(m, np.int64), 0, 0.0
    rows[:] = -1
    for i in range(m):
        j = columns[i]
        if j >= 0:
            over = cost[i, j] - v[j] - smallest(cost[i], v)
            excess += over
            if over <= slack and rows[j] < 0:
                rows[j] = i
                continue
        columns[i] = -1
        free[count] = i
        count += 1
    return free, count, excess / m


@jit
def auction(cost, v, columns, rows, increment, last):
    """Improve the prices v: free rows bid for their best columns, at increments that fall to the last."""
    while True:
        waiting, count, _ = keep_tight(cost, v, columns, rows, increment)
        while count > 0:
            i = waiting[count - 1]
            best, j, second = two_smallest(cost[i], v)
            v[j] -= second - best + increment
            count -= 1
            if rows[j] >= 0:
                columns[rows[j]] = -1
                waiting[count] = rows[j]
                count += 1
            columns[i], rows[j] = j, i
        if increment <= last:
            return
        increment = max(FALL * increment, last)


@jit
def reduce_rows(cost, v, columns, rows, free):
    """Give free rows their best columns at the price of the second best; return the rows that are free afterwards."""
    waiting, ahead, left = free.copy(), 0, 0
    patience = 3 * len(free)  # price wars among a few rows are dearer than the paths that settle them
    while ahead < len(waiting):
        i = waiting[ahead]
        ahead += 1
        patience -= 1
        best, j, second = two_smallest(cost[i], v)
        loser = rows[j]
        v[j] -= second - best
        columns[i], rows[j] = j, i
        if loser < 0:
            continue
        columns[loser] = -1
        if best < second and patience > 0:
            ahead -= 1
            waiting[ahead] = loser
        else:
            free[left] = loser
            left += 1
    return free[:left]


@jit
def augment(cost, v, columns, rows, free):
    """Match each free row along a shortest path of exchanges, and move the prices so that every pair stays tight."""
    m = len(cost)
    distance, closed = np.empty(m), np.empty(m)  # closed is 0, or −∞ where the distance is final
    came_from, final = np.empty(m, np.int64), np.empty(m, np.int64)
    for root in free:
        distance[:] = np.inf
        closed[:] = 0.0
        i, shift, count = root, 0.0, 0
        while True:
            for j in range(m):
                through = cost[i, j] - v[j] + shift
                nearer = (through < distance[j]) & (closed[j] == 0.0)
                distance[j] = through if nearer else distance[j]
                came_from[j] = i if nearer else came_from[j]
            shortest, j, _ = two_smallest(distance, closed)
            if rows[j] < 0:
                break
            closed[j] = -np.inf
            final[count] = j
            count += 1
            i = rows[j]
            shift = shortest - (cost[i, j] - v[j])
        for other in final[:count]:
            v[other] += distance[other] - shortest
        while True:  # swap along the path, back to its root
            i = came_from[j]
            rows[j] = i
            columns[i], j = j, columns[i]
            if i == root:
                break
