"""Vectors of numbers that kernels keep in registers: a few operations, written down as such.

LLVM turns loops into vector instructions where it sees how; a micro-kernel of a matrix product, or sums of rows picked
from a table, it does not see. There a kernel says itself what is one vector: a value of type `Lanes`, which LLVM maps
to the registers of any processor (16 numbers are two registers of AVX-512 and four of AVX2).

    zero = zeros(8)                    eight times 0.0; the width is a constant of the kernel
    x = load(array, i, zero)           array.flat[i : i + 8], as wide as `zero`
    store(x, array, i)                 the way back
    spread(number, zero)               one number in all lanes
    pick(array, i, zero)               array.flat[i] in all lanes, with no care for negative i
    multiply_add(x, y, z)              x·y + z, fused where the processor can
    add(x, y), ramp(x)                 x + y; max(x, 0), which leaves NaN alone
    positive(x)                        the bits of x > 0, an unsigned integer; lane 0 is bit 0
    width(x)                           how many lanes, a constant

Arrays must be C-contiguous and of float64; nothing checks the indices. `aligned` makes arrays whose vectors lie in one
line of the cache each.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

_INT = ir.IntType(64)


class Lanes(types.Type):
    """The Numba type of `width` float64 side by side."""

    def __init__(self, width):
        self.width = width
        super().__init__(name=f"Lanes({width})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, lanes):
        super().__init__(manager, lanes, ir.VectorType(ir.DoubleType(), lanes.width))


@intrinsic(prefer_literal=True)
def zeros(typing, width):
    """Return `width` zeros; the width is a literal."""
    lanes = Lanes(width.literal_value)
    return lanes(width), lambda context, builder, signature, args: _constant(lanes.width, 0.0)


@intrinsic
def width(typing, lanes):
    """Return the number of lanes."""
    return types.intp(lanes), lambda context, builder, signature, args: _INT(lanes.width)


@intrinsic
def load(typing, array, index, like):
    """Return the numbers array.flat[index : index + width], as wide as `like`."""

    def generate(context, builder, signature, args):
        return builder.load(_pointer(context, builder, signature.args[0], args, like.width), align=8)

    return like(array, types.intp, like), generate


@intrinsic
def store(typing, lanes, array, index):
    """Write lanes to array.flat[index : index + width]."""

    def generate(context, builder, signature, args):
        pointer = _pointer(context, builder, signature.args[1], args[1:], lanes.width)
        builder.store(args[0], pointer, align=8)
        return context.get_dummy_value()

    return types.void(lanes, array, types.intp), generate


@intrinsic
def spread(typing, number, like):
    """Return a number in all lanes, as many as `like` has."""
    return like(types.float64, like), lambda context, builder, signature, args: _spread(builder, args[0], like.width)


@intrinsic
def pick(typing, array, index, like):
    """Return the number array.flat[index] in all lanes, as many as `like` has."""

    def generate(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return _spread(builder, builder.load(builder.gep(data, [args[1]])), like.width)

    return like(array, types.intp, like), generate


@intrinsic
def multiply_add(typing, x, y, z):
    """Return x·y + z."""

    def generate(context, builder, signature, args):
        kind = args[0].type
        name = f"llvm.fmuladd.v{x.width}f64"
        function = builder.module.globals.get(name)
        return builder.call(function or ir.Function(builder.module, ir.FunctionType(kind, [kind] * 3), name), args)

    return x(x, y, z), generate


@intrinsic
def add(typing, x, y):
    """Return x + y."""
    return x(x, y), lambda context, builder, signature, args: builder.fadd(*args)


@intrinsic
def ramp(typing, x):
    """Return max(x, 0), and NaN where x is NaN."""

    def generate(context, builder, signature, args):
        zero = _constant(x.width, 0.0)
        return builder.select(builder.fcmp_ordered("<=", args[0], zero), zero, args[0])

    return x(x), generate


@intrinsic
def positive(typing, x):
    """Return the bits of x > 0 as an unsigned integer of 64 bits; lane 0 is bit 0."""

    def generate(context, builder, signature, args):
        larger = builder.fcmp_ordered(">", args[0], _constant(x.width, 0.0))
        return builder.zext(builder.bitcast(larger, ir.IntType(x.width)), _INT)

    return types.uint64(x), generate


def aligned(shape):
    """Return zeros that begin at a line of the cache: vectors of 64 bytes then lie in one line each."""
    size = int(np.prod(shape)) * 8
    memory = np.zeros(size + 64, dtype=np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(np.float64).reshape(shape)


def _spread(builder, number, width):
    nothing = ir.Constant(ir.VectorType(ir.DoubleType(), width), ir.Undefined)
    first = builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width)
    return builder.shuffle_vector(first, nothing, everywhere)


def _constant(width, number):
    return ir.Constant(ir.VectorType(ir.DoubleType(), width), [number] * width)


def _pointer(context, builder, array_type, args, width):
    """Return where array.flat[index] lies, as a pointer to a vector; args begin with the array and the index."""
    data = context.make_array(array_type)(context, builder, args[0]).data
    return builder.bitcast(builder.gep(data, [args[1]]), ir.VectorType(ir.DoubleType(), width).as_pointer())
