"""Machine instructions that numba has no name for, as functions of compiled loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def _instruction(build: Callable[..., Any]) -> Callable[..., Any]:
    """A function of compiled loops: it has the arguments that follow the first one."""
    return cast(Callable[..., Any], intrinsic(build))


@_instruction
def lowest_bit(typing: Any, word: Any) -> Any:
    """Place of the lowest bit that is set in a uint64, 0 to 63; 64 for none."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), build


@_instruction
def bytes_above(typing: Any, data: Any, place: Any, limit: Any) -> Any:
    """Which of the 64 bytes from ``place`` (uint64) on in a contiguous uint8 array are above ``limit`` (uint8).

    A bit each of a uint64, the first byte's the lowest. The array is not asked whether it is long enough.
    """

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data, place, limit = arguments
        vector = ir.VectorType(ir.IntType(8), 64)
        first = builder.gep(context.make_array(signature.args[0])(context, builder, data).data, [place])
        found = builder.load(builder.bitcast(first, vector.as_pointer()), align=1)
        one = builder.insert_element(ir.Constant(vector, ir.Undefined), limit, ir.Constant(ir.IntType(32), 0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), 64), [0] * 64)
        limits = builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), everywhere)
        return builder.bitcast(builder.icmp_unsigned(">", found, limits), ir.IntType(64))

    return types.uint64(data, types.uint64, types.uint8), build


@_instruction
def eight_bytes(typing: Any, data: Any, place: Any) -> Any:
    """The eight bytes from ``place`` (uint64) on in a contiguous uint8 array as one uint64, in the machine's order.

    The array is not asked whether it is long enough.
    """

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data, place = arguments
        first = builder.gep(context.make_array(signature.args[0])(context, builder, data).data, [place])
        return builder.load(builder.bitcast(first, ir.IntType(64).as_pointer()), align=1)

    return types.uint64(data, types.uint64), build
