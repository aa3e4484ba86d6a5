"""Innermost loops that stay in the machine's registers, for compiled loops: of a convolution, and of counting in disks.

The compiler does not do so by itself: it would load and store every sum and every count again for each term.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

WIDTH = 32
"""Numbers that `folded_even` and its kin compute at once."""

CENTRES = 64
"""Disks that `count_earlier` and `count_above` count in at once."""

_LANES = 16
_SUM = ir.VectorType(ir.FloatType(), _LANES)
_COUNT = ir.VectorType(ir.IntType(8), CENTRES)
_BYTE = ir.IntType(8)
_INDEX = ir.IntType(32)


def _everywhere(builder: Any, vector: ir.VectorType, number: Any) -> Any:
    """A vector of one number."""
    nothing = ir.Constant(vector, ir.Undefined)
    one = builder.insert_element(nothing, number, ir.Constant(_INDEX, 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(_INDEX, vector.count), [0] * vector.count))


def _folded(*odd: bool) -> Callable[..., Any]:
    """Σ weights[k] · (data[place + k · step + x] ± data[place − k · step + x]) for x from 0 to `WIDTH` − 1, k ascending.

    Of as many kernels as there are flags, each of which says whether its kernel is antisymmetric: what they share is loaded
    and added once.

    Arguments of the function: data ``(n,)`` float32, place and step int64, weights ``(kernels, radius + 1)`` float32, out
    ``(kernels, m)`` float32 and first int64: sum x goes to ``out[kernel, first + x]``. The weight of k = 0 counts once. The
    arrays are contiguous, and are not asked whether they are long enough. Products are rounded before they are added, on
    every machine.
    """

    def instruction(typing: Any, data: Any, place: Any, step: Any, weights: Any, out: Any, first: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            place, step, first = arguments[1], arguments[2], arguments[5]
            arrays = [context.make_array(signature.args[i])(context, builder, arguments[i]) for i in (0, 3, 4)]
            source, weight, target = (array.data for array in arrays)
            count = builder.extract_value(arrays[1].shape, 1)
            far = builder.extract_value(arrays[2].shape, 1)

            def address(base: Any, at: Any, part: int) -> Any:
                at = builder.add(at, ir.Constant(at.type, part * _LANES))
                return builder.bitcast(builder.gep(base, [at]), _SUM.as_pointer())

            def weight_of(kernel: int, at: Any) -> Any:
                at = builder.add(builder.mul(count, ir.Constant(count.type, kernel)), at)
                return _everywhere(builder, _SUM, builder.load(builder.gep(weight, [at])))

            parts = range(WIDTH // _LANES)
            kernels = range(len(odd))
            sums = [[cast(Any, cgutils).alloca_once(builder, _SUM) for _ in parts] for _ in kernels]
            for part in parts:
                here = builder.load(address(source, place, part), align=4)
                for kernel in kernels:
                    builder.store(builder.fmul(weight_of(kernel, ir.Constant(count.type, 0)), here), sums[kernel][part])
            with cgutils.for_range(builder, count, start=ir.Constant(count.type, 1)) as loop:
                weights_here = [weight_of(kernel, loop.index) for kernel in kernels]
                away = builder.mul(loop.index, step)
                before, after = builder.sub(place, away), builder.add(place, away)
                for part in parts:
                    low = builder.load(address(source, before, part), align=4)
                    high = builder.load(address(source, after, part), align=4)
                    both = {one: builder.fsub(high, low) if one else builder.fadd(high, low) for one in set(odd)}
                    for kernel in kernels:
                        product = builder.fmul(weights_here[kernel], both[odd[kernel]])
                        builder.store(builder.fadd(builder.load(sums[kernel][part]), product), sums[kernel][part])
            for kernel in kernels:
                line = builder.add(first, builder.mul(far, ir.Constant(far.type, kernel)))
                for part in parts:
                    builder.store(builder.load(sums[kernel][part]), address(target, line, part), align=4)
            return context.get_dummy_value()

        return types.void(data, types.int64, types.int64, weights, out, types.int64), build

    return cast(Callable[..., Any], intrinsic(instruction))


folded_even = _folded(False)
folded_odd = _folded(True)
folded_even_even = _folded(False, False)
folded_even_odd = _folded(False, True)


def _row(builder: Any, base: Any, at: Any) -> Any:
    """Where `CENTRES` counts begin."""
    return builder.bitcast(builder.gep(base, [at]), _COUNT.as_pointer())


def _count(builder: Any, counts: Any, true: Any) -> None:
    """Add one to the counts where something is true."""
    builder.store(builder.sub(builder.load(counts), builder.sext(true, _COUNT)), counts)


def _nothing_yet(builder: Any) -> Any:
    counts = cast(Any, cgutils).alloca_once(builder, _COUNT)
    builder.store(ir.Constant(_COUNT, [0] * CENTRES), counts)
    return counts


def _count_earlier() -> Callable[..., Any]:
    """How many of a disk's pixels before one have its level, for `CENTRES` neighbouring centres.

    Arguments of the function: image ``(n,)`` uint8, place int64 of the first centre, offsets ``(pixels,)`` int64 of the
    disk's pixels from a centre, at most 255; earlier ``(pixels, CENTRES)`` uint8 takes the counts. The arrays are
    contiguous, and are not asked whether they are long enough.
    """

    def instruction(typing: Any, image: Any, place: Any, offsets: Any, earlier: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            place = arguments[1]
            arrays = [context.make_array(signature.args[i])(context, builder, arguments[i]) for i in (0, 2, 3)]
            source, offset, found = (array.data for array in arrays)
            count = builder.extract_value(arrays[1].shape, 0)

            def pixels(number: Any) -> Any:
                at = builder.add(place, builder.load(builder.gep(offset, [number])))
                return builder.load(_row(builder, source, at), align=1)

            with cgutils.for_range(builder, count) as pixel:
                here, before = pixels(pixel.index), _nothing_yet(builder)
                with cgutils.for_range(builder, pixel.index) as other:
                    _count(builder, before, builder.icmp_unsigned("==", here, pixels(other.index)))
                target = _row(builder, found, builder.mul(pixel.index, ir.Constant(count.type, CENTRES)))
                builder.store(builder.load(before), target, align=1)
            return context.get_dummy_value()

        return types.void(image, types.int64, offsets, earlier), build

    return cast(Callable[..., Any], intrinsic(instruction))


def _count_above() -> Callable[..., Any]:
    """How many pixels of a disk have more than c earlier ones of their level, for `CENTRES` centres.

    Arguments of the function: earlier ``(pixels, CENTRES)`` uint8 as `count_earlier` leaves it, c int64, above
    ``(CENTRES,)`` uint8, which takes the counts. Returns: int64, not 0 where any count is not.
    """

    def instruction(typing: Any, earlier: Any, c: Any, above: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            arrays = [context.make_array(signature.args[i])(context, builder, arguments[i]) for i in (0, 2)]
            source, target = (array.data for array in arrays)
            count = builder.extract_value(arrays[0].shape, 0)
            least, counted = _everywhere(builder, _COUNT, builder.trunc(arguments[1], _BYTE)), _nothing_yet(builder)
            # The first pixels have fewer before them.
            with cgutils.for_range(builder, count, start=builder.add(arguments[1], ir.Constant(count.type, 1))) as pixel:
                at = builder.mul(pixel.index, ir.Constant(count.type, CENTRES))
                number = builder.load(_row(builder, source, at), align=1)
                _count(builder, counted, builder.icmp_unsigned(">", number, least))
            found = builder.load(counted)
            builder.store(found, _row(builder, target, ir.Constant(count.type, 0)), align=1)
            some = builder.icmp_unsigned("!=", found, ir.Constant(_COUNT, [0] * CENTRES))
            return builder.bitcast(some, ir.IntType(CENTRES))

        return types.int64(earlier, types.int64, above), build

    return cast(Callable[..., Any], intrinsic(instruction))


count_earlier = _count_earlier()
count_above = _count_above()
