"""The linear assignment problem min_π Σ_i C[i, π(i)] over permutations, exact, and quick when a near solution is known.

Prices v of the columns carry everything: with u_i = min_j (C_ij − v_j) the sum Σu + Σv bounds every assignment from
below, and an assignment that uses only pairs with C_ij = u_i + v_j attains it. So any prices may start the search; good
ones, of a problem solved just before, leave little to do.

1. Keep the pairs of the given assignment that are tight for the given prices.
2. Where many are not: an auction (Bertsekas 1988), rows bidding with a falling increment ε, for better prices. It only
   prepares, and so runs on costs in float32: half the memory to read.
3. Row reduction and shortest augmenting paths (Jonker & Volgenant 1987) for the rows that are still free: exact.

Nearly all time goes into minima of a row of costs minus prices, taken in vector registers. Kernels return after some
`SLAB` such differences, so that Python can react to a signal.
"""

import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from particleflow.jit import jit

AUCTION_FROM = {"cold": 0.1, "warm": 0.6}  # the share of free rows from which an auction pays
FIRST_INCREMENT, LAST_INCREMENT, FALL = 0.02, 1e-5, 0.1  # of ε, the first two in units of the largest cost
MANY, SMALLEST_INCREMENT = 0.2, 1e-11  # the share of free rows from which ε falls on, and about to where
SMALLEST_UNIT = 1e-300  # costs below cannot be given in units of the largest one
SLAB = 2e8  # about 0.1 s
BLOCK = 64  # columns of which one minimum is taken: quickest among powers of two


def assign(cost, start=None):
    """Return the cheapest assignment of rows to columns, and prices that prove it.

    Parameters
    ----------
    cost : ndarray, shape (m, m), float64, C-contiguous
        Finite, and nonnegative up to rounding.
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
    if (cost[0] == cost[-1]).all() and (cost == cost[0]).all():  # all of one cloud in a point: auctions would take long
        return np.arange(m), cost[0].copy()
    if (cost[:, 0] == cost[:, -1]).all() and (cost == cost[:, :1]).all():
        return np.arange(m), np.zeros(m)
    largest = cost.max()
    if start is not None and np.ptp(start[1]) > 2 * largest:  # optimal prices differ by at most the largest cost
        start = None
    if start is None:  # the nearest column of each row: for clouds that nearly coincide it is the solution already
        kind, columns, v = "cold", cost.argmin(axis=1), np.zeros(m)
    else:
        kind, columns, v = "warm", start[0].copy(), start[1] - _middle(start[1])
    rows = np.empty(m, dtype=np.int64)
    free, count, excess = keep_tight(cost, v, columns, rows, 0.0)
    if count <= AUCTION_FROM[kind] * m or largest <= SMALLEST_UNIT:
        free = _reduced(cost, v, columns, rows, free[:count])
    else:
        first = FIRST_INCREMENT if kind == "cold" else np.clip(2 * excess / largest, LAST_INCREMENT, FIRST_INCREMENT)
        free = _auctions(cost, v, columns, rows, largest, first)
    slab = max(1, int(SLAB / m**2))
    for start in range(0, len(free), slab):
        augment(cost, v, columns, rows, free[start : start + slab])
    return columns, v


def _auctions(cost, v, columns, rows, unit, first):
    """Improve the prices v until few rows are free after their reduction; return those. Increments are in units."""
    rough = (v / unit).astype(np.float32)
    _auction(in_float32(cost, 1 / unit), rough, columns, rows, first, LAST_INCREMENT)
    v[:] = unit * rough.astype(np.float64)
    free, before, increment = _tightened(cost, v, columns, rows), len(v), LAST_INCREMENT
    # a few particles far out make the increment large for all others: it falls on, as long as that helps
    while MANY * len(v) < len(free) < before and increment > SMALLEST_INCREMENT:
        before, increment = len(free), FALL**2 * increment
        _auction(cost, v, columns, rows, increment / FALL * unit, increment * unit)
        free = _tightened(cost, v, columns, rows)
    return free


def _auction(cost, v, columns, rows, increment, last):
    """Let free rows bid for their best columns, at increments that fall to the last."""
    slab, number = max(1, int(SLAB / len(v))), v.dtype.type
    while True:
        waiting, count, _ = keep_tight(cost, v, columns, rows, number(increment))
        while count > 0:
            count = bid(cost, v, columns, rows, waiting, count, number(increment), slab)
        if increment <= last:
            return
        increment = max(FALL * increment, last)


def _tightened(cost, v, columns, rows):
    """Keep the pairs that are tight, reduce the other rows, and return those still free."""
    v -= _middle(v)  # only differences matter; those of small numbers keep their digits
    free, count, _ = keep_tight(cost, v, columns, rows, 0.0)
    return _reduced(cost, v, columns, rows, free[:count])


def _reduced(cost, v, columns, rows, free):
    for _ in range(2):
        free = reduce_rows(cost, v, columns, rows, free)
    return free


def _middle(v):
    """Return a median of v, up to a neighbour."""
    return np.partition(v, len(v) // 2)[len(v) // 2]


@intrinsic
def lesser(_, a, b):
    """Return the lesser of two numbers, neither NaN: LLVM's minnum, of which loops become vector instructions."""

    def build(context, builder, signature, arguments):
        kind = arguments[0].type
        minnum = builder.module.declare_intrinsic("llvm.minnum", [kind], ir.FunctionType(kind, [kind, kind]))
        return builder.call(minnum, arguments, fastmath=("nnan", "nsz"))

    return a(a, b), build


@jit
def in_float32(cost, scale):
    """Return scale · cost in float32."""
    scaled = np.empty(cost.shape, np.float32)
    for i in range(cost.shape[0]):
        for j in range(cost.shape[1]):
            scaled[i, j] = scale * cost[i, j]
    return scaled


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
    least = row[0] - v[0]
    for j in range(len(row)):
        least = lesser(least, row[j] - v[j])
    return least


@jit
def two_smallest(row, v):
    """Return the smallest of row − v, where it is first, and the second smallest (∞ if there is one only)."""
    first = second = row.dtype.type(np.inf)
    start = 0
    for k in range(0, len(row), BLOCK):
        least = smallest(row[k : k + BLOCK], v[k : k + BLOCK])
        if least < first:
            first, second, start = least, first, k
        elif least < second:
            second = least
    best = -1
    for j in range(start, min(start + BLOCK, len(row))):  # the second smallest may be in the block of the smallest
        value = row[j] - v[j]
        if value == first and best < 0:
            best = j
        elif value < second:
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
def bid(cost, v, columns, rows, waiting, count, increment, bids):
    """Let the last of `count` waiting rows bid for its best column, so many times; return how many wait then."""
    while count > 0 and bids > 0:
        i = waiting[count - 1]
        best, j, second = two_smallest(cost[i], v)
        v[j] -= second - best + increment
        count -= 1
        bids -= 1
        if rows[j] >= 0:
            columns[rows[j]] = -1
            waiting[count] = rows[j]
            count += 1
        columns[i], rows[j] = j, i
    return count


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
