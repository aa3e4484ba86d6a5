"""Arrays on the wire: byte layouts that both ends of the contract share.

All arrays are row by row (C order), little-endian, compressed with zlib (grpclib has no compression of its own, and a level
of 1 costs a millisecond a slice). Decoding checks the size before it inflates more than it must.
"""

from __future__ import annotations

import math
import zlib
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
