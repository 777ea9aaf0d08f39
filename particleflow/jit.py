"""How particleflow compiles: one decorator, so that every kernel is cached on disk and treats floats alike.

Sums may be reassociated (that is what lets them use vector registers), but NaN and infinity keep their meaning, and
the order of a sum is fixed when a kernel is compiled: the same run gives the same bits.
"""

from functools import cache
from pathlib import Path

from numba import njit


def jit(function):
    """Compile a function when it is first called, or take it from the cache on disk."""
    dispatcher = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})(function)
    # Numba compiles a kernel anew when its own file has changed, but not when that of a kernel it calls has.
    index = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if index is not None:
        index._source_stamp = source_stamp(Path(__file__).parent)
    return dispatcher


@cache
def source_stamp(folder):
    """Return what changes when any Python file below a folder does."""
    states = ((path, path.stat()) for path in sorted(folder.rglob("*.py")))
    return tuple((str(path.relative_to(folder)), state.st_mtime_ns, state.st_size) for path, state in states)
