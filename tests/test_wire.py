"""Arrays survive the wire; damaged bytes never become an array."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from calque.wire import FEATURE, GREY, LEVEL, WireError, pack, unpack
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

layouts = st.sampled_from([GREY, LEVEL, FEATURE])
sent = layouts.flatmap(
    lambda layout: st.tuples(st.just(layout), arrays(layout, array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=9)))
)


@given(sent)
def test_an_array_comes_back_bit_by_bit(case: tuple[str, NDArray[np.generic]]) -> None:
    layout, array = case
    back = unpack(pack(array, layout), layout, array.shape)
    assert back.dtype == np.dtype(layout)
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()
    assert not back.flags.writeable


@given(arrays(">u2", (4, 5)))
def test_layout_does_not_depend_on_how_the_array_lies_in_memory(array: NDArray[np.uint16]) -> None:
    expected = np.ascontiguousarray(array.T, "<u2").tobytes()
    assert zlib.decompress(pack(array.T, GREY)) == expected
    assert zlib.decompress(pack(np.asfortranarray(array).T, GREY)) == expected


@given(sent, st.data())
def test_a_changed_byte_is_found_or_harmless(case: tuple[str, NDArray[np.generic]], data: st.DataObject) -> None:
    """The zlib header has bits that mean nothing to the content; all else is under its checksum."""
    layout, array = case
    good = bytearray(pack(array, layout))
    good[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        back = unpack(bytes(good), layout, array.shape)
    except WireError:
        return
    assert back.tobytes() == array.tobytes()


@given(sent, st.data())
def test_a_cut_is_found(case: tuple[str, NDArray[np.generic]], data: st.DataObject) -> None:
    layout, array = case
    good = pack(array, layout)
    with pytest.raises(WireError):
        unpack(good[: data.draw(st.integers(0, len(good) - 1))], layout, array.shape)


@given(sent, st.binary(min_size=1, max_size=9))
def test_something_behind_the_array_is_found(case: tuple[str, NDArray[np.generic]], more: bytes) -> None:
    layout, array = case
    with pytest.raises(WireError):
        unpack(pack(array, layout) + more, layout, array.shape)


@given(st.binary(max_size=40), layouts, st.tuples(*[st.integers(0, 2**32 - 1)] * 3))
def test_any_bytes_for_any_shape_end_in_a_wire_error(data: bytes, layout: str, shape: tuple[int, int, int]) -> None:
    """Sizes come from messages: three of 2³² overflow every integer of the machine."""
    with pytest.raises(WireError):
        unpack(data, layout, shape)


@pytest.mark.parametrize("shape", [(3, 3), (3, 5), (4, 4), (13,), (0,), (2**32 - 1, 2**32 - 1)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(WireError, match=r"instead of|cannot hold"):
        unpack(pack(np.zeros((3, 4)), LEVEL), LEVEL, shape)


def test_a_bomb_is_not_inflated() -> None:
    bomb = zlib.compress(bytes(64 << 20), 9)
    with pytest.raises(WireError, match="has 17 bytes instead of 16"):
        unpack(bomb, LEVEL, (4, 4))
