"""Work on several processes of one thread each, of which none is left behind."""

import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def spread(function, arguments, count):
    """Yield ``function(argument)`` for every argument, in their order, with `count` processes at work.

    With one it is this process. Whatever ends the loop over the results, Ctrl-C too, ends the others at once.
    """
    if count == 1:
        yield from map(function, arguments)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, context, _prepare) as pool:
        try:
            yield from pool.map(function, arguments)
        except BaseException:
            for process in multiprocessing.active_children():
                process.kill()
            raise


def _prepare():
    """Make a new process one of one thread, before it imports what computes, and leave Ctrl-C to the first process."""
    os.environ.update(ONE_THREAD)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
