"""The innermost loop of a convolution, for compiled loops: 32 neighbours at a time stay in the machine's registers.

The compiler does not do so by itself: it would load and store every sum again for each weight.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

WIDTH = 32
"""Numbers that `folded_even` and `folded_odd` compute at once."""

_LANES = 16
_VECTOR = ir.VectorType(ir.FloatType(), _LANES)
_INDEX = ir.IntType(32)


def _folded(odd: bool) -> Callable[..., Any]:
    """Σ weights[k] · (data[place + k · step + x] ± data[place − k · step + x]) for x from 0 to `WIDTH` − 1, k ascending.

    Arguments of the function: data ``(n,)`` float32, place and step int64, weights ``(radius + 1,)`` float32, out ``(m,)``
    float32 and first int64: sum x goes to ``out[first + x]``. The weight of k = 0 counts once. The arrays are contiguous,
    and are not asked whether they are long enough. Products are rounded before they are added, on every machine.
    """

    def instruction(typing: Any, data: Any, place: Any, step: Any, weights: Any, out: Any, first: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            place, step, first = arguments[1], arguments[2], arguments[5]
            arrays = [context.make_array(signature.args[i])(context, builder, arguments[i]) for i in (0, 3, 4)]
            source, weight, target = (array.data for array in arrays)
            count = builder.extract_value(arrays[1].shape, 0)

            def address(base: Any, at: Any, part: int) -> Any:
                at = builder.add(at, ir.Constant(at.type, part * _LANES))
                return builder.bitcast(builder.gep(base, [at]), _VECTOR.as_pointer())

            def everywhere(number: Any) -> Any:
                nothing = ir.Constant(_VECTOR, ir.Undefined)
                one = builder.insert_element(nothing, builder.load(builder.gep(weight, [number])), ir.Constant(_INDEX, 0))
                return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(_INDEX, _LANES), [0] * _LANES))

            parts = range(WIDTH // _LANES)
            sums = [cast(Any, cgutils).alloca_once(builder, _VECTOR) for _ in parts]
            centre = everywhere(ir.Constant(count.type, 0))
            for part in parts:
                here = builder.load(address(source, place, part), align=4)
                builder.store(builder.fmul(centre, here), sums[part])
            with cgutils.for_range(builder, count, start=ir.Constant(count.type, 1)) as loop:
                weight_here = everywhere(loop.index)
                away = builder.mul(loop.index, step)
                before, after = builder.sub(place, away), builder.add(place, away)
                for part in parts:
                    low = builder.load(address(source, before, part), align=4)
                    high = builder.load(address(source, after, part), align=4)
                    both = builder.fsub(high, low) if odd else builder.fadd(high, low)
                    more = builder.fadd(builder.load(sums[part]), builder.fmul(weight_here, both))
                    builder.store(more, sums[part])
            for part in parts:
                builder.store(builder.load(sums[part]), address(target, first, part), align=4)
            return context.get_dummy_value()

        return types.void(data, types.int64, types.int64, weights, out, types.int64), build

    return cast(Callable[..., Any], intrinsic(instruction))


folded_even = _folded(odd=False)
folded_odd = _folded(odd=True)
