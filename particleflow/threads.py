"""Work shared among threads, in pieces that do not depend on how many threads there are.

Kernels let go of the interpreter's lock. Every piece writes to places of its own, so that the bits of a result are the
same for any number of threads; and between two pieces Python can react to a signal.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache


def share(function, pieces):
    """Call ``function(*piece)`` for each of the pieces, on as many threads as Numba may use.

    It raises what a piece raises. All that was begun has ended when this returns or raises.
    """
    threads = min(len(pieces), _count()) if len(pieces) > 1 else 1
    rest = iter(pieces)  # shared: the next element of a list goes to one thread only

    def work():
        for piece in rest:
            function(*piece)

    if threads == 1:
        work()
        return
    others = [_pool().submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        for _ in rest:  # after an error nobody begins another piece
            pass
        for other in others:
            other.exception()
    for other in others:
        other.result()


def pieces(count, size):
    """Return (first, last) of consecutive pieces of 0, …, count − 1, each of at most `size`."""
    return [(first, min(first + size, count)) for first in range(0, count, size)]


@cache
def _count():
    from numba import config

    return config.NUMBA_NUM_THREADS


@cache
def _pool():
    return ThreadPoolExecutor(_count(), thread_name_prefix="particleflow")
