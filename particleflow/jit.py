"""How particleflow compiles: one decorator, so that every kernel is cached on disk and treats floats alike.

Sums may be reassociated (that is what lets them use vector registers), but NaN and infinity keep their meaning, and
the order of a sum is fixed when a kernel is compiled: the same run gives the same bits.

The cache lies beside the package, or in the user's folder for caches where that cannot be written; NUMBA_CACHE_DIR
names another place. Without any, kernels are compiled in every process.
"""

import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

from numba import njit
from numba.core import types
from numba.core.caching import IndexDataCacheFile

_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}


def jit(function):
    """Compile a function when it is first called, or take it from the cache on disk."""
    try:
        dispatcher = njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # Numba found no folder to write to
        warnings.warn(
            "compiled kernels cannot be kept, so that every start takes longer: set NUMBA_CACHE_DIR to a folder that "
            "can be written",
            stacklevel=2,
        )
        return njit(**_OPTIONS)(function)
    kept = getattr(dispatcher, "_cache", None)
    if kept is not None:  # it is None where NUMBA_DISABLE_JIT leaves functions as they are
        _take_numbers_alike(dispatcher)
        stamp = source_stamp(Path(__file__).parent)
        kept._cache_file = KernelCache(kept._cache_path, kept._impl.filename_base, stamp)
    return dispatcher


def _take_numbers_alike(dispatcher):
    """Let kernels call this one with a 0 written in their source as with any integer: else it is compiled for both."""
    compile_for = dispatcher.get_call_template

    def get_call_template(args, kws):
        return compile_for(tuple(map(types.unliteral, args)), {k: types.unliteral(kind) for k, kind in kws.items()})

    dispatcher.get_call_template = get_call_template


class KernelCache(IndexDataCacheFile):
    """Numba's cache of one kernel, whose entries tell the source and the types that they were compiled from.

    Numba compiles a kernel anew when its own file has changed, but not when that of a kernel it calls has: the stamp
    here is that of all files. And Numba notes an entry before it writes it, under a number that another process may
    choose too: after a kill, or beside another process, an entry may be that of older source or other types. Such
    entries, and those that cannot be read, count as none. What cannot be written (a full disk) is not kept.
    """

    def save(self, key, data):
        """Keep what was compiled for a key."""
        with suppress(OSError):
            super().save(key, (self._source_stamp, key, data))

    def load(self, key):
        """Return what was kept for a key, or None."""
        try:
            stamp, of, data = super().load(key)
        except Exception:  # a damaged pickle raises anything
            return None
        return data if (stamp, of) == (self._source_stamp, key) else None


@cache
def source_stamp(folder):
    """Return what changes when any Python file below a folder does."""
    states = ((path, path.stat()) for path in sorted(folder.rglob("*.py")))
    return tuple((str(path.relative_to(folder)), state.st_mtime_ns, state.st_size) for path, state in states)
