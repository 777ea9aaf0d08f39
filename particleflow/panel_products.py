"""Matrix products that add to what is there, in vector registers: 8 columns by 6 rows at a time.

The right factor lies in panels of 8 columns, (panels, rows, 8), so that a vector is loaded with one step to the next;
the left one is read number by number in any order, so that a matrix need not be transposed. For factors that fit the
second-level cache this is faster than BLAS, which copies both of them first.
"""

from particleflow.jit import jit
from particleflow.lanes import load, multiply_add, pick, store, zeros

PANEL = 8
ROWS = 6  # with 8 columns: twelve registers of AVX2, which has sixteen


@jit
def add_product(left, row, step, panels, shift, count, out, anew):
    """Add left times right to out, or write it there anew: out[i, 8p + q] += Σ_k left_ik panels[p, shift + k, q].

    Parameters
    ----------
    left : ndarray
        left_ik is left.flat[i·row + k·step].
    row, step : int
        As above.
    panels : ndarray, shape (width / 8, any, 8)
        Holds the right factor.
    shift, count : int
        Its rows are shift, …, shift + count − 1.
    out : ndarray, shape (rows, width)
        With an even number of rows.
    anew : bool
        Whether what is in `out` does not count.
    """
    rows, width = out.shape
    zero = zeros(PANEL)
    for p in range(len(panels)):
        first = (p * panels.shape[1] + shift) * PANEL
        for i in range(0, rows - ROWS + 1, ROWS):
            at = i * width + p * PANEL
            a, b, c, d, e, f = i * row, (i + 1) * row, (i + 2) * row, (i + 3) * row, (i + 4) * row, (i + 5) * row
            z0 = z1 = z2 = z3 = z4 = z5 = zero
            if not anew:
                z0, z1, z2 = load(out, at, zero), load(out, at + width, zero), load(out, at + 2 * width, zero)
                at += 3 * width
                z3, z4, z5 = load(out, at, zero), load(out, at + width, zero), load(out, at + 2 * width, zero)
                at -= 3 * width
            for k in range(count):
                x = load(panels, first + k * PANEL, zero)
                z0 = multiply_add(pick(left, a + k * step, zero), x, z0)
                z1 = multiply_add(pick(left, b + k * step, zero), x, z1)
                z2 = multiply_add(pick(left, c + k * step, zero), x, z2)
                z3 = multiply_add(pick(left, d + k * step, zero), x, z3)
                z4 = multiply_add(pick(left, e + k * step, zero), x, z4)
                z5 = multiply_add(pick(left, f + k * step, zero), x, z5)
            store(z0, out, at)
            store(z1, out, at + width)
            store(z2, out, at + 2 * width)
            store(z3, out, at + 3 * width)
            store(z4, out, at + 4 * width)
            store(z5, out, at + 5 * width)
        for i in range(rows - rows % ROWS, rows, 2):
            at, below = i * width + p * PANEL, (i + 1) * width + p * PANEL
            z0 = zero if anew else load(out, at, zero)
            z1 = zero if anew else load(out, below, zero)
            for k in range(count):
                x = load(panels, first + k * PANEL, zero)
                z0 = multiply_add(pick(left, i * row + k * step, zero), x, z0)
                z1 = multiply_add(pick(left, (i + 1) * row + k * step, zero), x, z1)
            store(z0, out, at)
            store(z1, out, below)
