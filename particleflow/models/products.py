"""Products inside compiled kernels: BLAS, or plain loops where the shared dimension is small.

Those of short vectors are loops also because Numba compiles them several times faster than expressions of arrays.
"""

import numpy as np

from particleflow.jit import jit

SMALL = 8
"""Up to this dimension plain loops beat a BLAS call."""


@jit
def dot(x, y):
    """Return ⟨x, y⟩ of two short vectors."""
    total = 0.0
    for k in range(x.size):
        total += x[k] * y[k]
    return total


@jit
def copy(x, out):
    """Fill out with a short vector."""
    for k in range(x.size):
        out[k] = x[k]


@jit
def add_multiple(scale, x, out):
    """Add scale times x to out, two short vectors."""
    for k in range(x.size):
        out[k] += scale * x[k]


@jit
def marked(flags):
    """Return the indices of the flags that are set."""
    index = np.empty(flags.size, dtype=np.int64)
    count = 0
    for j in range(flags.size):
        if flags[j]:
            index[count] = j
            count += 1
    return index[:count]


@jit
def multiply(left, right, out):
    """Fill out (n, m) with left (n, d) times right (d, m); the loops run along m."""
    if left.shape[1] > SMALL:
        np.dot(left, right, out)
        return
    for i in range(left.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = left[i, 0] * right[0, j]
        for k in range(1, left.shape[1]):
            for j in range(out.shape[1]):
                out[i, j] += left[i, k] * right[k, j]


@jit
def add_transposed_product(left, right, out, work):
    """Add leftᵀ (d, n) times right (n, m) to out (d, m); `work` has the shape of out."""
    if left.shape[1] > SMALL:
        np.dot(left.T, right, work)
        out += work
        return
    for i in range(left.shape[0]):
        for k in range(left.shape[1]):
            for j in range(right.shape[1]):
                out[k, j] += left[i, k] * right[i, j]


@jit
def add_product(left, right, columns, out, work):
    """Add left (m, n) times right (n, d) to out (m, d); `columns` is rightᵀ, and `work` has the shape of out."""
    if right.shape[1] > SMALL:
        np.dot(left, right, work)
        out += work
        return
    for i in range(left.shape[0]):
        for k in range(right.shape[1]):
            total = 0.0
            for j in range(left.shape[1]):
                total += left[i, j] * columns[k, j]
            out[i, k] += total
