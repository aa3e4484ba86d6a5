"""Stored pixels of DICOM images in every transfer syntax that scanners write: native, RLE, JPEG, JPEG-LS, JPEG 2000.

Native pixels are cut out of the data set here, compressed frames are decoded by imagecodecs; then both go the same way: the
container's bits become the ``BitsStored`` that count (DICOM PS3.5 8.1.1), signed or not.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from services.core.errors import InvalidInput, Reason
from services.formats.source import bad_header, short_name, truncated

_BIG_ENDIAN = "1.2.840.10008.1.2.2"
NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", _BIG_ENDIAN})

_END = b"\xff\xd9"
_J2K = b"\xff\x4f\xff\x51"
_MAX_TILES = 4096


def _rle(frame: bytes, dtype: np.dtype[Any]) -> Any:
    import imagecodecs

    # The decoder trusts its table of segments: one a byte of the pixel, in order, within the frame.
    table = struct.unpack_from("<16I", frame)
    starts = table[1 : table[0] + 1]
    if table[0] != dtype.itemsize or starts[0] != 64 or list(starts) != sorted(set(starts)) or starts[-1] >= len(frame):
        raise ValueError
    return np.frombuffer(imagecodecs.dicomrle_decode(frame, dtype=dtype), dtype=dtype)


def _codec(name: str) -> Callable[[bytes, np.dtype[Any]], Any]:
    def decode(frame: bytes, dtype: np.dtype[Any]) -> Any:
        import imagecodecs  # 0.1 s, and most series are not compressed

        # Decoders fill up a stream that is cut off. All these formats end with the same marker, and padding may follow.
        if not frame.rstrip(b"\0").endswith(_END):
            raise EOFError
        return getattr(imagecodecs, f"{name}_decode")(frame)

    return decode


def _check_codestream(frame: bytes, shape: tuple[int, int]) -> None:
    """Refuse JPEG 2000 streams whose size is not the image's, or with countless tiles: decoders work on them for hours."""
    if not frame.startswith(_J2K):
        return
    width, height, left, top, across, down = struct.unpack_from(">6I", frame, 8)
    if (height - top, width - left) != shape or not across or not down or (width // across) * (height // down) > _MAX_TILES:
        raise ValueError


@contextmanager
def _telling() -> Iterator[None]:
    """Raise what a decoder's callback could only report: it returned pixels all the same."""
    told: list[Any] = []
    hook, sys.unraisablehook = sys.unraisablehook, told.append
    try:
        yield
    finally:
        sys.unraisablehook = hook
    if told:
        raise ValueError("the decoder reported damage")


_DECODERS: dict[str, Callable[[bytes, np.dtype[Any]], Any]] = {
    "1.2.840.10008.1.2.5": _rle,
    "1.2.840.10008.1.2.4.50": _codec("jpeg"),
    "1.2.840.10008.1.2.4.51": _codec("jpeg"),
    "1.2.840.10008.1.2.4.57": _codec("jpegsof3"),
    "1.2.840.10008.1.2.4.70": _codec("jpegsof3"),
    "1.2.840.10008.1.2.4.80": _codec("jpegls"),
    "1.2.840.10008.1.2.4.81": _codec("jpegls"),
    "1.2.840.10008.1.2.4.90": _codec("jpeg2k"),
    "1.2.840.10008.1.2.4.91": _codec("jpeg2k"),
    "1.2.840.10008.1.2.4.201": _codec("htj2k"),
    "1.2.840.10008.1.2.4.202": _codec("htj2k"),
    "1.2.840.10008.1.2.4.203": _codec("htj2k"),
}


def stored_frames(dataset: Any, name: str, frames: Sequence[int], count: int) -> Iterator[NDArray[Any]]:
    """Decode frames of one image object.

    Args:
        dataset: pydicom data set with its pixel data.
        name: the user's name of the file, for errors.
        frames: which, from 0, ascending.
        count: how many the object holds.

    Yields:
        ``(rows, columns)``, uint8 to int32 by BitsAllocated and PixelRepresentation, native byte order.

    Raises:
        InvalidInput: pixels missing, fewer or more than the header says, damaged, or in an unknown encoding.
    """
    pixels = getattr(dataset, "PixelData", None)
    if not pixels:
        raise truncated(name)
    shape = int(dataset.Rows), int(dataset.Columns)
    bits = Bits(dataset, name)
    syntax = transfer_syntax(dataset)
    if syntax == _BIG_ENDIAN and bits.allocated == 8 and dataset["PixelData"].VR == "OW":
        pixels = np.frombuffer(pixels, dtype="u2").byteswap().tobytes()  # bytes lie in words of the other order
    if syntax in NATIVE:
        yield from _native(pixels, name, shape, bits, frames, count, big=syntax == _BIG_ENDIAN)
    elif syntax in _DECODERS:
        yield from _encapsulated(pixels, name, shape, bits, frames, count, _DECODERS[syntax])
    else:
        raise InvalidInput(
            f"The pixels of {short_name(name)} are stored in a way that is not read (video or unknown compression).",
            Reason.FILE_NOT_READABLE,
        )


@dataclass(frozen=True)
class NativePixels:
    """Pixels that lie in a file as they are, frame after frame.

    Attributes:
        at: the first one's byte in the file.
        bits: which of them count.
    """

    at: int
    bits: Bits

    def read(self, raw: IO[bytes], name: str, shape: tuple[int, int], frame: int) -> NDArray[Any]:
        """One frame ``(rows, columns)`` as `stored_frames` gives it, of a file that is open. Raises: InvalidInput."""
        stored = np.empty(shape, self.bits.container)
        raw.seek(self.at + frame * stored.nbytes)
        if raw.readinto(stored) != stored.nbytes:  # type: ignore[attr-defined]
            raise truncated(name)
        return self.bits.value(stored)


def native_pixels(dataset: Any, name: str, at: int) -> NativePixels | None:
    """Where the pixels of an image object lie, if they are native and little-endian.

    Args:
        dataset: its header.
        name: the user's name of the file, for errors.
        at: where in the file its pixels begin.
    """
    syntax = transfer_syntax(dataset)
    if syntax not in NATIVE or syntax == _BIG_ENDIAN or sys.byteorder != "little" or "BitsAllocated" not in dataset:
        return None
    try:
        return NativePixels(at, Bits(dataset, name))
    except InvalidInput:  # to be told when the pixels are asked for
        return None


def transfer_syntax(dataset: Any) -> str:
    """The UID of the transfer syntax; of a file without file meta the one that it was readable with."""
    meta = getattr(dataset, "file_meta", None)
    given = meta.get("TransferSyntaxUID") if meta is not None else None
    if given:
        return str(given)
    implicit, little = dataset.original_encoding
    return _BIG_ENDIAN if little is False else "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1"


class Bits:
    """Which bits of a pixel's container are the value."""

    def __init__(self, dataset: Any, name: str) -> None:
        self.allocated = int(dataset.BitsAllocated)
        self.stored = int(dataset.get("BitsStored") or self.allocated)
        high = dataset.get("HighBit")
        self.high = self.stored - 1 if high is None else int(high)
        self.signed = int(dataset.get("PixelRepresentation") or 0) == 1
        if self.allocated not in (8, 16, 32):
            raise bad_header(name, f"has {self.allocated} bits a pixel, which is not read")
        if not (0 < self.stored <= self.allocated and self.stored - 1 <= self.high < self.allocated):
            raise bad_header(name, "says that its pixels have more bits than there is room for")

    @property
    def container(self) -> np.dtype[Any]:
        """Unsigned type that holds a pixel as it is in the file."""
        return np.dtype(f"u{self.allocated // 8}")

    def value(self, raw: NDArray[Any]) -> NDArray[Any]:
        """Containers → values: overlay bits dropped, the sign extended."""
        up = self.allocated - 1 - self.high
        down = self.allocated - self.stored
        if up:
            raw = raw << np.array(up, raw.dtype)
        if self.signed:
            raw = raw.view(f"i{self.allocated // 8}")
        return raw >> np.array(down, raw.dtype) if down else raw


def _native(
    pixels: bytes, name: str, shape: tuple[int, int], bits: Bits, frames: Sequence[int], count: int, *, big: bool
) -> Iterator[NDArray[Any]]:
    size = shape[0] * shape[1] * bits.allocated // 8
    if len(pixels) < size * count:
        raise truncated(name)
    if len(pixels) > size * count + size * count % 2:  # the length is padded to be even
        raise bad_header(name, "has more pixels than its header says")
    stored = bits.container.newbyteorder(">" if big else "<")
    for frame in frames:
        raw = np.frombuffer(pixels, dtype=stored, count=shape[0] * shape[1], offset=frame * size).reshape(shape)
        yield bits.value(raw.astype(bits.container))


def _encapsulated(
    pixels: bytes,
    name: str,
    shape: tuple[int, int],
    bits: Bits,
    frames: Sequence[int],
    count: int,
    decode: Callable[[bytes, np.dtype[Any]], Any],
) -> Iterator[NDArray[Any]]:
    from pydicom.encaps import generate_frames

    wanted = set(frames)
    found = 0
    for number, frame in enumerate(generate_frames(pixels, number_of_frames=count)):
        found += 1
        if number not in wanted:
            continue
        try:
            _check_codestream(frame, shape)
            with _telling():
                raw = np.asarray(decode(frame, bits.container))
        except MemoryError:
            raise
        except Exception:
            raise InvalidInput(
                f"The compressed pixels of {short_name(name)} are damaged; copy it again from its source.",
                Reason.FILE_NOT_READABLE,
            ) from None
        if raw.size != shape[0] * shape[1] or (raw.ndim == 2 and raw.shape != shape):
            raise bad_header(name, "has compressed pixels of another size than its header says")
        # A codec gives the narrowest type that its bits fit, signed or not: back to the container's bits.
        wide = raw.astype(f"i{bits.allocated // 8}" if raw.dtype.kind == "i" else bits.container)
        yield bits.value(wide.view(bits.container).reshape(shape))
    if found < count:
        raise truncated(name)
