"""How particleflow compiles: one decorator, so that every kernel is cached on disk and treats floats alike.

Sums may be reassociated (that is what lets them use vector registers), but NaN and infinity keep their meaning, and
the order of a sum is fixed when a kernel is compiled: the same run gives the same bits.
"""

from functools import partial

from numba import njit

jit = partial(njit, cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
