"""Arrays on the wire: byte layouts that both ends of the contract share.

All arrays are row by row (C order), little-endian, compressed with zlib (grpclib has no compression of its own, and a level
of 1 costs a millisecond a slice). Decoding checks the size before it inflates more than it must. What may not fit into a
message comes in parts of whole rows.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

GREY = "<u2"  # slices of a volume
LEVEL = "|u1"  # probability × 255; window × 255
FEATURE = "<f2"  # dense features
_MOST_INFLATION = 1032  # DEFLATE's own limit: bytes that one compressed byte can stand for


class WireError(ValueError):
    """Bytes that are not the array that was announced."""


def pack(array: NDArray[Any], layout: str) -> bytes:
    """An array of any shape → bytes.

    Args:
        array: values that fit ``layout``; converted when its dtype differs.
        layout: one of `GREY`, `LEVEL`, `FEATURE`.
    """
    return zlib.compress(np.ascontiguousarray(array, dtype=np.dtype(layout)).tobytes(), 1)


def unpack(data: bytes, layout: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Bytes → an array of ``shape``, read-only.

    Raises:
        WireError: damaged bytes, or bytes of another size.
    """
    dtype = np.dtype(layout)
    size = math.prod(shape) * dtype.itemsize
    if size > len(data) * _MOST_INFLATION:
        raise WireError(f"An array of shape {shape} has {size} bytes; {len(data)} compressed ones cannot hold it.")
    inflate = zlib.decompressobj()
    try:
        raw = inflate.decompress(data, size + 1)
    except zlib.error as error:
        raise WireError(f"An array of shape {shape} is damaged: {error}") from error
    if len(raw) != size or not inflate.eof or inflate.unused_data:
        found = f"{len(raw)} bytes" if len(raw) != size else "cut or overlong bytes"
        raise WireError(f"An array of shape {shape} has {found} instead of {size}.")
    return np.frombuffer(raw, dtype=dtype).reshape(shape)


def pack_rows(array: NDArray[Any], layout: str, most_bytes: int) -> Iterator[tuple[int, int, bytes]]:
    """An array of any shape → parts of whole rows: the first row, how many, and their bytes.

    Args:
        array: as for `pack`, with one row or more.
        layout: as for `pack`.
        most_bytes: of a part before it is compressed; a row that is larger is a part of its own.
    """
    row_bytes = math.prod(array.shape[1:]) * np.dtype(layout).itemsize
    rows = max(most_bytes // row_bytes, 1)
    for first in range(0, len(array), rows):
        part = array[first : first + rows]
        yield first, len(part), pack(part, layout)


class Rows:
    """Puts an array of ``shape`` together from its parts, in their order."""

    def __init__(self, shape: tuple[int, ...], layout: str) -> None:
        self._layout = layout
        self._array: NDArray[Any] = np.empty(shape, np.dtype(layout))
        self._here = 0

    def add(self, first: int, rows: int, data: bytes) -> None:
        """Take the next part. Raises: WireError, it is not the next one, has too many rows, or is damaged."""
        if first != self._here or not 0 < rows <= len(self._array) - first:
            raise WireError(f"{rows} rows from {first} on came where row {self._here} of {len(self._array)} was due.")
        self._array[first : first + rows] = unpack(data, self._layout, (rows, *self._array.shape[1:]))
        self._here += rows

    def whole(self) -> NDArray[Any]:
        """The array. Raises: WireError, rows are missing."""
        if self._here != len(self._array):
            raise WireError(f"The array ends after {self._here} of {len(self._array)} rows.")
        return self._array
