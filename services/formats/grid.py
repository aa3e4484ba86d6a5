"""Voxels that a file keeps one after another, as NIfTI, NRRD and MetaImage do → a volume.

What a header announces is compared with the bytes that are there before anything is allocated for it; packed voxels are
unpacked in small parts, and no further than announced.
"""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from services.core.errors import ChoiceNeeded, InvalidInput, Reason, TooLarge
from services.core.geometry import acquisition_axis
from services.core.volume import Affine, Volume
from services.formats.offer import Offer
from services.formats.source import (
    MAX_CHOICES,
    MAX_VOXELS,
    SourceFile,
    bad_header,
    check_packing,
    check_size,
    frame_choices,
    naming,
    short_name,
    truncated,
)

# Bytes that may follow the image, or stand before it; more than that is not a forgotten tail but a bomb.
MAX_TAIL = 1 << 24
_CHUNK = 1 << 20

Packing = Literal["", "gzip", "zlib", "bzip2"]


@dataclass(frozen=True)
class Raw:
    """Where the voxels of a header lie, and how.

    Attributes:
        file: that holds them: the header's own, or one beside it.
        start: bytes of the file before them; −1 where they are its last ones.
        skip: bytes before them once unpacked.
        packing: how they are packed, or empty.
        shape: sizes of the axes, the fastest first.
        dtype: of a voxel, with its byte order.
    """

    file: SourceFile
    start: int
    skip: int
    packing: Packing
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size_bytes(self) -> int:
        """Size of the voxels, unpacked."""
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize


@dataclass(frozen=True)
class Layout:
    """What a header announces.

    Attributes:
        raw: where the voxels lie.
        spatial: the three axes of `Raw.shape` that lie in the patient, ascending; the others count frames, the first
            fastest.
        affine: ``(4, 4)``, index ``(i, j, k)`` along these three → mm, LPS.
        modality: DICOM code, or empty.
        warnings: what is to be told.
    """

    raw: Raw
    spatial: tuple[int, ...]
    affine: Affine
    modality: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Sizes of one frame, ``(i, j, k)``."""
        i, j, k = (self.raw.shape[axis] for axis in self.spatial)
        return i, j, k


def frame_at(header: SourceFile, layout: Layout, frame: int | None) -> tuple[Any, ...]:
    """Where in the array of all voxels those of one frame lie; nothing of them is read.

    Args:
        header: the file that announces them, for errors.
        layout: what it announces.
        frame: which, from 0; ``None`` where there is only one.

    Raises:
        InvalidInput: too few or too many bytes, or no such frame.
        ChoiceNeeded: several frames and none chosen.
        TooLarge: more than is read.
    """
    raw, spatial = layout.raw, layout.spatial
    others = [axis for axis in range(len(raw.shape)) if axis not in spatial]
    if min(raw.shape) < 1:
        raise bad_header(header.name, "says that its image has no size")
    i, j, k = layout.shape
    check_size(header.name, k, j, i)
    frames = int(np.prod([raw.shape[axis] for axis in others], dtype=object))
    if frames * i * j * k > MAX_VOXELS:
        raise TooLarge(f"The file {short_name(header.name)} says that it holds {frames} volumes, more than is read.")
    chosen = choose_frame(header, frames, frame)
    at: list[Any] = [slice(None)] * len(raw.shape)
    for axis, index in zip(others, np.unravel_index(chosen, [raw.shape[axis] for axis in others], order="F")):
        at[axis] = int(index)
    _start(raw)
    return tuple(at)


def choose_frame(
    file: SourceFile, frames: int, frame: int | None, text: Callable[[int], str] = lambda number: f"Frame {number + 1}"
) -> int:
    """The frame to read of those that a file holds; ``text`` says what each is. Raises: ChoiceNeeded, InvalidInput."""
    if frames == 1 and frame in (None, 0):
        return 0
    if frame is None:
        raise ChoiceNeeded(
            f"The file {short_name(file.name)} holds {frames} volumes; choose a frame from 1 to {frames}.",
            Reason.SEVERAL_FRAMES,
            frame_choices([text(number) for number in range(min(frames, MAX_CHOICES))]),
        )
    if not 0 <= frame < frames:
        raise InvalidInput(f"There is no frame {frame + 1}; the file {short_name(file.name)} holds {frames}.")
    return frame


def _start(raw: Raw) -> int:
    """The byte of the file where the voxels begin, once the file is known to be of the size that they need."""
    count, size = raw.size_bytes, raw.file.size_bytes
    if raw.packing:
        check_packing(raw.file, count)
        return raw.start
    start = size - count if raw.start < 0 else raw.start + raw.skip
    if start < 0 or start + count > size:
        raise truncated(raw.file.name)
    if start + count < size:
        raise bad_header(raw.file.name, "has more pixels than its header says")
    return start


def read_voxels(raw: Raw) -> NDArray[Any]:
    """All voxels, `Raw.shape`, as stored, in native byte order.

    Raises:
        InvalidInput: too few or too many bytes, or damaged.
        TooLarge: far more than announced.
    """
    with raw.file.path.open("rb") as stream:
        stream.seek(_start(raw))
        if raw.packing:
            buffer = _unpack(raw, stream, raw.size_bytes)
        else:
            buffer = np.fromfile(stream, dtype=np.uint8, count=raw.size_bytes)
    stored = buffer.view(raw.dtype).reshape(raw.shape, order="F")
    return stored if raw.dtype.isnative else stored.astype(raw.dtype.newbyteorder("="))


def _unpack(raw: Raw, stream: IO[bytes], count: int) -> NDArray[np.uint8]:
    """``count`` bytes, no less and no more. Memory is touched only as bytes really come."""
    buffer = np.empty(count, dtype=np.uint8)
    at = -raw.skip  # where in the buffer the next bytes belong
    for part in _unpacked(stream, raw.packing):
        low, high = max(at, 0), min(at + len(part), count)
        if low < high:
            buffer[low:high] = np.frombuffer(part, dtype=np.uint8)[low - at : high - at]
        at += len(part)
        if at > count + MAX_TAIL:
            raise TooLarge(f"The compressed file {short_name(raw.file.name)} inflates to far more than its image.")
    if at < count:
        raise truncated(raw.file.name)
    if at > count:
        raise bad_header(raw.file.name, "has more pixels than its header says")
    return buffer


def _unpacked(stream: IO[bytes], packing: Packing) -> Iterator[bytes]:
    """The bytes in small parts, to the end, where checksums are. Exceptions of the libraries go through."""
    if packing != "zlib":
        with gzip.GzipFile(fileobj=stream) if packing == "gzip" else bz2.BZ2File(stream) as whole:
            while part := whole.read(_CHUNK):
                yield part
        return
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)  # with a header of zlib or of gzip
    while not inflate.eof and (packed := inflate.unconsumed_tail or stream.read(1 << 16)):
        yield inflate.decompress(packed, _CHUNK)
    if not inflate.eof:
        raise EOFError


def grid_volume(
    file: SourceFile,
    stored: NDArray[Any],
    affine: Affine,
    slope: float = 1.0,
    intercept: float = 0.0,
    *,
    modality: str = "",
    warnings: Sequence[str] = (),
) -> Volume:
    """A volume of a file without a stack of its own.

    Args:
        file: for errors.
        stored: ``(i, j, k)``, as in the file.
        affine: ``(4, 4)``, index ``(i, j, k)`` → mm, LPS.
        slope, intercept, modality: as in `Volume`.
        warnings: what is to be told already.

    Returns:
        Voxels as stored (64-bit numbers narrowed), acquisition axis first; the file's other axes follow in reverse order.

    Raises:
        InvalidInput: the geometry cannot be right, or voxels need more than 32 bits.
    """
    with naming(file.name):
        axes = _volume_axes(_spacing(affine))
        voxels = np.ascontiguousarray(_narrow(file, stored).transpose(axes))
        told = list(warnings)
        if voxels.dtype.kind == "f":
            broken = int(voxels.size - np.isfinite(voxels).sum())
            if broken:
                told.append(f"{broken} voxels are not a number; they count as the darkest.")
        slices = len(voxels)
        return Volume(
            voxels=voxels,
            affine=affine @ axes_matrix(axes),
            slope=np.full(slices, slope),
            intercept=np.full(slices, intercept),
            source_axes=axes,
            modality=modality,
            warnings=tuple(told),
        )


def described(offer: Offer, shape: tuple[int, int, int], affine: Affine) -> Offer:
    """An offer with the size and the spacing of the volume that `grid_volume` makes of a file's ``(i, j, k)`` array."""
    spacing = _spacing(affine)
    slices, rows, columns = _volume_axes(spacing)
    return replace(
        offer,
        columns=shape[columns],
        rows=shape[rows],
        slices=shape[slices],
        spacing_mm=(spacing[columns], spacing[rows], spacing[slices]),
    )


def _spacing(affine: Affine) -> tuple[float, float, float]:
    i, j, k = (float(mm) for mm in np.linalg.norm(affine[:3, :3], axis=0))
    return i, j, k


def _volume_axes(spacing: tuple[float, float, float]) -> tuple[int, int, int]:
    """The file's axes that are slices, rows and columns of a volume."""
    first = acquisition_axis(spacing)
    rest = [axis for axis in (2, 1, 0) if axis != first]
    return first, rest[0], rest[1]


def axes_matrix(axes: tuple[int, int, int]) -> Affine:
    """``(4, 4)``: voxel index ``(s, r, c)`` → index in the file's array, whose axis ``axes[k]`` is our axis k."""
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1.0
    for ours, theirs in enumerate(axes):
        matrix[theirs, ours] = 1.0
    return matrix


def _narrow(file: SourceFile, stored: NDArray[Any]) -> NDArray[Any]:
    """64-bit voxels as 32-bit ones; other types as they are."""
    if stored.dtype.itemsize < 8:
        return stored
    if stored.dtype.kind == "f":
        return stored.astype(np.float32)
    low, high = int(stored.min()), int(stored.max())
    if low >= -(2**31) and high < 2**31:
        return stored.astype(np.int32)
    raise bad_header(file.name, "has voxels above 32 bits, which are not read")


def no_position(file: SourceFile, what: str) -> InvalidInput:
    """The error for a header that leaves out where its image lies; ``what`` is missing."""
    return InvalidInput(
        f"The file {short_name(file.name)} does not say how its image lies in the patient ({what}).",
        Reason.GEOMETRY_INVALID,
    )


def beside(header: SourceFile, name: str, files: Sequence[SourceFile]) -> SourceFile:
    """The file of an import that holds the voxels of a header, by its name relative to the header's folder.

    Raises:
        InvalidInput: the name leads elsewhere, or the file is not among those of the import.
    """
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or any(c in '\\:%*"\0' or not c.isprintable() for c in name):
        raise bad_header(header.name, "names a file outside of its folder, or several, for its voxels")
    wanted = (PurePosixPath(header.name).parent / path).as_posix()
    for file in files:
        if file.name == wanted:
            return file
    raise InvalidInput(
        f"The file {short_name(header.name)} is a header whose voxels lie in another file, {short_name(path.name)}; "
        "import the folder that holds both.",
        Reason.FILE_NOT_READABLE,
    )
