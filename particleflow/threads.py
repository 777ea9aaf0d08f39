"""Work shared among threads, in pieces that do not depend on how many threads there are.

Kernels let go of the interpreter's lock. Every piece writes to places of its own, so that the bits of a result are the
same for any number of threads; and between two pieces Python can react to a signal.
"""

import os
from functools import cache
from queue import SimpleQueue
from threading import Thread

_MOST_PARTS, _PART_FLOPS, _PARTS_MEMORY = 4, 4e6, 2**28  # sums of their own: how many, worth 0.1 ms, bytes of all
_PIECE_FLOPS = 5e8  # 0.1 s


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
    ended, errors = SimpleQueue(), []
    for _ in range(threads - 1):
        _tasks().put((work, ended))
    try:
        work()
    finally:
        for _ in rest:  # after an error nobody begins another piece
            pass
        errors += [error for error in (ended.get() for _ in range(threads - 1)) if error is not None]
    for error in errors:
        raise error


def pieces(count, size):
    """Return (first, last) of consecutive pieces of 0, …, count − 1, each of at most `size`."""
    return [(first, min(first + size, count)) for first in range(0, count, size)]


def rounds(count, rows, flops, memory):
    """Cut data into tiles and say who adds them up: some parts, each with sums of its own, in one round or several.

    Parameters
    ----------
    count, rows : int
        Number of data, and of those in a tile.
    flops : float
        Operations for one datum.
    memory : float
        Bytes that the sums and tiles of one part take.

    Returns
    -------
    list of list of (int, int, int)
        In each round, the parts and their first and last datum: at most 0.1 s of work, for which a signal may wait.
    """
    tiles = -(-count // rows)
    parts = max(1, min(_MOST_PARTS, tiles, int(flops * count / _PART_FLOPS), int(_PARTS_MEMORY / memory)))
    longest = parts * max(1, int(_PIECE_FLOPS / (flops * rows)))  # tiles of a round
    some = pieces(count, rows * max(1, -(-tiles // (parts * max(1, -(-tiles // longest))))))
    return [
        [(part, *piece) for part, piece in enumerate(some[first : first + parts])]
        for first in range(0, len(some), parts)
    ]


@cache
def _count():
    from numba import config

    return config.NUMBA_NUM_THREADS


@cache
def _tasks():
    """Return the queue at which the other threads wait; a pool of futures takes three times as long to hand over."""
    tasks = SimpleQueue()
    for k in range(_count() - 1):
        Thread(target=_serve, args=(tasks,), name=f"particleflow-{k}", daemon=True).start()
    return tasks


def _serve(tasks):
    while True:
        work, ended = tasks.get()
        error = None
        try:
            work()
        except BaseException as raised:  # for the thread that shares
            error = raised
        ended.put(error)
        del work, ended, error  # or their arrays would live until the next task


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_tasks.cache_clear)  # threads do not survive a fork
