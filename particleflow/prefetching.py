"""Asking for memory before it is needed, for kernels that jump about in arrays beyond the caches."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

AHEAD = 32
"""How many jumps in advance a kernel should ask: about the time that memory takes."""


def prefetch(rows, i):
    """Have rows[i] on its way to the cache, for a compiled kernel that will change it soon; no result depends on it."""


@overload(prefetch)
def _prefetch(rows, i):
    return lambda rows, i: _ask(rows, i)


@intrinsic
def _ask(_, rows, i):
    def generate(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        start = builder.ptrtoint(array.data, ir.IntType(64))
        offset = builder.mul(arguments[1], cgutils.unpack_tuple(builder, array.strides)[0])
        pointer = builder.inttoptr(builder.add(start, offset), cgutils.voidptr_t)
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [pointer, number(1), number(3), number(1)])  # to write, keep it, data
        return context.get_dummy_value()

    return types.none(rows, types.intp), generate
