"""The kinks of relu neurons in the plane, on a circle: the directions w with ⟨w, x_j⟩ = 0, sorted by angle.

Turning counterclockwise, a neuron enters the half-plane of x = (x_0, x_1) at the direction (x_1, −x_0) and leaves it
at (−x_1, x_0). Between two neighbouring kinks, in a *cell*, the same inputs are active: all that a network has to know
about the direction of a neuron is its cell.

A row of the table holds the input of a kink, with a minus sign where neurons leave: its product with w, as computed, is
positive just behind the kink and negative just before it. Cell c lies between the rows c and c + 1, the last one also
before the first row. Among the kinks in the quadrant of w the sign changes once, and the quadrant tells on which side
all others are. Where products are 0, no input is active: leaving comes before entering there, and counts as passed.
"""

import numpy as np

from particleflow.jit import jit
from particleflow.lanes import aligned


class KinkCircle:
    """The kinks of inputs X (n, 2), two for each input that is not 0.

    Attributes
    ----------
    count : int
        Number of kinks and of cells. The cell of that number stands for w = 0.
    order : ndarray, shape (n,)
        Numbers of the inputs in the order in which neurons enter, zero inputs last.
    rows : ndarray, shape (2, n)
        Where neurons enter and where they leave the half-planes of these inputs; of zero inputs the last row.
    table : ndarray, shape (count + 2, 2)
        The signed inputs, the first one again, and a row of zeros.
    owner : ndarray, shape (count + 2,)
        Where in the order the input of a row is; ~ of that where neurons leave.
    guide : ndarray, shape (4 k + 1,)
        Rows at which the k parts of each quadrant begin; see `find_cell`.
    """

    def __init__(self, X):
        real = X.any(axis=1)
        x = X[real]
        turned = np.column_stack([x[:, 1], -x[:, 0]])
        rows = angular_order(np.concatenate([-turned, turned]))  # of equal angles the leaving ones come first
        self.count = len(rows)
        entering = rows >= len(x)
        sorted_real = rows[entering] - len(x)
        rank = np.empty(len(x), dtype=np.int32)
        rank[sorted_real] = np.arange(len(x), dtype=np.int32)
        self.order = np.concatenate([np.flatnonzero(real)[sorted_real], np.flatnonzero(~real)])
        self.rows = np.full((2, len(X)), self.count + 1, dtype=np.uint32)
        enters, leaves = self.rows[:, : len(x)]
        enters[:] = np.flatnonzero(entering)
        leaves[rank[rows[~entering]]] = np.flatnonzero(~entering)
        self.owner = np.zeros(self.count + 2, dtype=np.int32)
        self.owner[enters] = np.arange(len(x))
        self.owner[leaves] = ~np.arange(len(x))
        self.table = aligned((self.count + 2, 2))
        self.table[enters] = x[sorted_real]
        self.table[leaves] = -x[sorted_real]
        self.table[self.count] = self.table[0]
        self.owner[self.count] = self.owner[0]
        self.guide = np.zeros(4 * max(1, self.count // 4) + 1, dtype=np.uint32)
        _fill_guide(self.table, self.guide)


def angular_order(X):
    """Return the order of directions (n, 2), none of them 0, by angle from the first axis on; equal angles as they are.

    Angles are compared by quotients within each octant, so that they keep their digits near every axis.
    """
    x, y = X.T
    quadrant = np.select([(x > 0) & (y >= 0), (x <= 0) & (y > 0), (x < 0) & (y <= 0)], [0, 1, 2], 3)
    along, across = (np.choose(quadrant, parts) for parts in ((x, y, -x, -y), (y, -x, -y, x)))
    steep = across > along
    quotient = np.where(steep, -along, across) / np.where(steep, across, along)
    return np.lexsort((quotient, 2 * quadrant + steep))


@jit
def _fill_guide(table, guide):
    for row in range(table.shape[0] - 2):
        guide[part_of(guide, table[row, 1], -table[row, 0]) + 1] += 1
    for part in range(1, guide.size):
        guide[part] += guide[part - 1]


@jit
def part_of(guide, w0, w1):
    """Return the part of the circle that w lies in, up to rounding; those of a quadrant are about equally wide."""
    count = (guide.size - 1) // 4
    upper = (w1 > 0.0) | ((w1 == 0.0) & (w0 > 0.0))
    x, y = (w0 if upper else -w0), (w1 if upper else -w1)
    second = x <= 0.0
    along, across = (y if second else x), (-x if second else y)
    share = count * (across / (along + across))
    share = min(share if share > 0.0 else 0.0, count - 1.0)  # also where w is not finite
    return ((0 if upper else 2) + (1 if second else 0)) * count + np.int64(share)


@jit
def signed_product(table, row, w0, w1):
    """Return ⟨w, x⟩ as the plain sums compute it, up to the sign: the order decides what is fused with the sum."""
    return w0 * table[row, 0] + w1 * table[row, 1]


@jit
def is_between(table, row, other, w0, w1):
    """Return whether w lies behind the kink of one row and before that of the other; w = 0 lies nowhere."""
    return (signed_product(table, row, w0, w1) > 0.0) & (signed_product(table, other, w0, w1) < 0.0)


@jit
def cell_of(table, owner, guide, cell, w0, w1):
    """Return the cell of w, which is perhaps this one."""
    if is_between(table, cell, cell + 1, w0, w1):
        return np.int64(cell)
    return find_cell(table, owner, guide, part_of(guide, w0, w1), w0, w1)


@jit
def find_cell(table, owner, guide, part, w0, w1):
    """Return the cell of w, searched from the beginning of a part of its quadrant on."""
    count = table.shape[0] - 2
    row = np.int64(guide[part])
    if 0 < row < count:
        before, behind = is_between(table, row - 1, row, w0, w1), is_between(table, row, row + 1, w0, w1)
        if before | behind:
            return row if behind else row - 1
    if count == 0 or (w0 == 0.0 and w1 == 0.0):
        return np.int64(count)
    parts = (guide.size - 1) // 4
    quadrant = part // parts * parts
    return _search(table, owner, guide[quadrant], guide[quadrant + parts], row, w0, w1)


@jit
def _search(table, owner, first, last, row, w0, w1):
    """Return the cell of w in a quadrant, searched from a row on in growing steps and then by bisection."""
    low, high = np.int64(first) - 1, np.int64(last)  # passed, and not passed
    probe = min(max(row, low + 1), high - 1)
    reach = 1
    lowered, raised = False, False
    while high - low > 1:
        product = signed_product(table, probe, w0, w1)
        if product > 0.0 or (product == 0.0 and owner[probe] < 0):
            low = probe
            raised = True
        else:
            high = probe
            lowered = True
        if lowered and raised:
            probe = (low + high) // 2
        else:
            probe = max(low + 1, high - reach) if lowered else min(high - 1, low + reach)
            reach *= 2
    return low if low >= 0 else table.shape[0] - 3
