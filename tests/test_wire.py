"""Arrays survive the wire; damaged bytes never become an array."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from calque.wire import FEATURE, GREY, LEVEL, Rows, WireError, pack, pack_rows, unpack
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


rows_sent = arrays(FEATURE, array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=9))


@given(rows_sent, st.integers(1, 400))
def test_an_array_comes_back_from_its_parts(array: NDArray[np.float16], most_bytes: int) -> None:
    parts = list(pack_rows(array, FEATURE, most_bytes))
    together = Rows(array.shape, FEATURE)
    for first, rows, data in parts:
        assert rows * array[0].nbytes <= most_bytes or rows == 1
        together.add(first, rows, data)
    assert together.whole().tobytes() == array.tobytes()
    assert len(parts) == -(-len(array) // max(most_bytes // array[0].nbytes, 1))


@pytest.mark.parametrize("wrong", ["missing", "twice", "swapped", "beyond", "none", "short"])
def test_parts_that_do_not_follow_one_another_are_refused(wrong: str) -> None:
    array = np.arange(24, dtype=np.float16).reshape(6, 4)
    parts = list(pack_rows(array, FEATURE, 16))
    assert len(parts) == 3
    first, rows, data = parts[1]
    changed = {
        "missing": parts[:2],
        "twice": [parts[0], parts[0]],
        "swapped": [parts[1], parts[0], parts[2]],
        "beyond": [*parts, (6, 2, data)],
        "none": [(0, 0, data), *parts],
        "short": [parts[0], (first, rows - 1, data), parts[2]],
    }[wrong]
    together = Rows(array.shape, FEATURE)

    def put_together() -> None:
        for part in changed:
            together.add(*part)
        together.whole()

    with pytest.raises(WireError):
        put_together()
