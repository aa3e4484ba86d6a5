"""NIfTI-1 and NIfTI-2, plain or gzip: one file ↔ one volume.

Inside this module, and in `services.formats.write`, directions are RAS as the format has them; a `Volume` is LPS. The
header is read with nibabel; the voxels are read here, so that nothing is allocated or inflated beyond what a checked header
announces.
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from dataclasses import dataclass
from itertools import product
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from services.core.errors import ChoiceNeeded, InvalidInput, Reason, TooLarge
from services.core.geometry import acquisition_axis
from services.core.volume import Affine, Volume, check_affine
from services.formats.grid import MAX_TAIL, axes_matrix, choose_frame, described, grid_volume, no_position
from services.formats.offer import Offer, tried
from services.formats.repair import Repairs
from services.formats.room import Plan, Room
from services.formats.source import (
    Progress,
    SourceFile,
    bad_header,
    check_packing,
    check_size,
    naming,
    refusing,
    short_name,
    truncated,
)

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
# Length of one spatial unit in mm, by the lower three bits of xyzt_units; 0 is "not said" and means mm.
_UNIT_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_UNIT_S = {8: 1.0, 16: 1e-3, 24: 1e-6}  # of one unit of time, by the next three bits
Stream = gzip.GzipFile | io.BufferedReader
_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20
_MAX_ALL_FRAMES = 2**34  # voxels
_CODES_COLOUR = (128, 2304)


@dataclass(frozen=True)
class _Layout:
    """What the header announces, checked."""

    shape: tuple[int, int, int]
    frames: int
    dtype: np.dtype[Any]
    offset: int
    slope: float
    intercept: float
    affine: Affine  # file index (i, j, k) → mm, RAS
    warnings: tuple[str, ...]
    frame_s: float | None  # time from frame to frame, where frames are times


def is_nifti(head: bytes) -> bool:
    """Whether these first bytes of a file (at least 352), inflated, are a NIfTI header."""
    if len(head) < 348:
        return False
    size = struct.unpack("<i", head[:4])[0], struct.unpack(">i", head[:4])[0]
    if 348 in size:
        return head[344:347] in (b"n+1", b"ni1")
    return 540 in size and head[4:7] in (b"n+2", b"ni2")


def head_of(file: SourceFile, count: int) -> bytes:
    """The first ``count`` bytes of a file, inflated if it is a gzip file; fewer if it has fewer or is damaged."""
    with file.open() as raw:
        head = raw.read(count)
        if not head.startswith(_GZIP):
            return head
        head += raw.read(count)
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
    data = b""
    try:
        for start in range(0, len(head), 64):  # in small parts: a bad checksum must not hide what came before it
            data += inflate.decompress(head[start : start + 64], count)
    except zlib.error:
        pass
    return data[:count]


def read_nifti(
    file: SourceFile,
    frame: int | None = None,
    progress: Progress | None = None,
    room: Room | None = None,
) -> Volume:
    """Read a NIfTI file.

    Args:
        file: the file.
        frame: which volume of a 4-D image, from 0; ``None`` where there is only one.
        progress: called with slices read and slices in all.
        room: where the voxels go; ``None``: into memory.

    Returns:
        Voxels as stored (64-bit numbers narrowed), acquisition axis first; the file's other axes follow in reverse order.

    Raises:
        InvalidInput: damaged or truncated, or a header or geometry that cannot be right.
        ChoiceNeeded: several frames and none chosen, or colour.
        TooLarge: the header announces more than is read.
    """
    with refusing(file.name):
        packed = is_gzip(file)
        with file.open() as raw:
            stream: Stream = gzip.GzipFile(fileobj=raw) if packed else raw
            try:
                layout = _read_layout(file, stream)
                chosen = choose_frame(file, layout.frames, frame, lambda number: _frame_text(layout, number))
                _check_length(file, layout, packed)
                if _comes_in_slices(layout):
                    stored = _read_slices(file, stream, layout, chosen, progress, room or Room())
                else:
                    stored = _read_voxels(file, stream, layout, chosen)
                if packed:
                    _drain(file, stream, layout)
            except (gzip.BadGzipFile, zlib.error):
                raise _damaged(file) from None
        affine = RAS_TO_LPS @ layout.affine
        return grid_volume(file, stored, affine, layout.slope, layout.intercept, warnings=layout.warnings)


def nifti_offer(file: SourceFile) -> Offer:
    """What a NIfTI file holds, by its header; a packed one is not inflated to its end."""

    def plan(frame: int | None, repairs: Repairs) -> _Layout:
        with refusing(file.name):
            packed = is_gzip(file)
            with file.open() as raw:
                try:
                    layout = _read_layout(file, gzip.GzipFile(fileobj=raw) if packed else raw)
                except (gzip.BadGzipFile, zlib.error):
                    raise _damaged(file) from None
            choose_frame(file, layout.frames, frame, lambda number: _frame_text(layout, number))
            _check_length(file, layout, packed)
            return layout

    def describe(offer: Offer, layout: _Layout) -> Offer:
        return described(offer, layout.shape, layout.affine)

    return tried(Offer(key=file.name, place=file.name), plan, describe)


def _damaged(file: SourceFile) -> InvalidInput:
    return InvalidInput(
        f"The compressed file {short_name(file.name)} is damaged; copy it again from its source.", Reason.FILE_NOT_READABLE
    )


def is_gzip(file: SourceFile) -> bool:
    """Whether the file is a gzip file."""
    with file.open() as raw:
        return raw.read(2) == _GZIP


def _read_layout(file: SourceFile, stream: Stream) -> _Layout:
    head = stream.read(540)
    if not is_nifti(head):
        raise truncated(file.name)
    if head[344:347] == b"ni1" or head[4:7] == b"ni2":
        raise InvalidInput(
            f"The file {short_name(file.name)} is a header whose voxels lie in another file; save both as one .nii file.",
            Reason.FILE_NOT_READABLE,
        )
    two = head[4:6] == b"n+"
    if two and len(head) < 540:
        raise truncated(file.name)
    kind = nibabel.Nifti2Header if two else nibabel.Nifti1Header
    header = kind.from_fileobj(io.BytesIO(head[: 540 if two else 348]), check=False)  # type: ignore[no-untyped-call]

    shape, frames = _dimensions(file, header)
    code = int(header["datatype"])
    if code in _CODES_COLOUR:
        raise ChoiceNeeded(
            f"The file {short_name(file.name)} is a colour image; save it as grey values.", Reason.COLOUR_IMAGE
        )
    try:
        dtype = header.get_data_dtype()
    except (nibabel.spatialimages.HeaderDataError, KeyError):
        raise bad_header(file.name, "has voxels of an unknown type") from None
    if dtype.kind not in "iuf" or dtype.itemsize not in (1, 2, 4, 8) or int(header["bitpix"]) != 8 * dtype.itemsize:
        raise bad_header(file.name, "has voxels of a type that is not read")
    offset = float(header["vox_offset"])
    if not np.isfinite(offset) or offset != int(offset) or not (544 if two else 352) <= offset < 2**62:
        raise bad_header(file.name, "says that its voxels start where they cannot")
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0.0:  # means: not scaled
        slope, intercept = 1.0, 0.0
    if not (np.isfinite(slope) and np.isfinite(intercept)):
        raise bad_header(file.name, "has a rescale slope or intercept that is not a number")
    affine, warnings = _affine(file, header, shape)
    frame_s = _frame_seconds(header)
    return _Layout(shape, frames, dtype, int(offset), slope, intercept, affine, warnings, frame_s)


def _frame_seconds(header: Any) -> float | None:
    """The time from volume to volume of a 4-D image that says so."""
    scale = _UNIT_S.get(int(header["xyzt_units"]) & 0x38)
    step = float(header["pixdim"][4])
    if scale is None or int(header["dim"][0]) != 4 or not 0 < step < np.inf:
        return None
    return step * scale


def _dimensions(file: SourceFile, header: Any) -> tuple[tuple[int, int, int], int]:
    """The three spatial sizes and the product of all others."""
    dim = [int(n) for n in header["dim"]]
    if not 1 <= dim[0] <= 7:
        raise bad_header(file.name, f"says that it has {dim[0]} dimensions")
    sizes = dim[1 : dim[0] + 1] + [1] * max(0, 3 - dim[0])
    if min(sizes) < 1:
        raise bad_header(file.name, "says that its image has no size")
    frames = 1
    for n in sizes[3:]:
        frames *= n
    check_size(file.name, sizes[2], sizes[1], sizes[0])
    if frames * sizes[0] * sizes[1] * sizes[2] > _MAX_ALL_FRAMES:
        raise TooLarge(f"The file {short_name(file.name)} says that it holds {frames} volumes, more than is read.")
    return (sizes[0], sizes[1], sizes[2]), frames


def _affine(file: SourceFile, header: Any, shape: tuple[int, int, int]) -> tuple[Affine, tuple[str, ...]]:
    """The file's affine in mm, RAS: the sform when its code is set, else the qform."""
    spacing = np.asarray(header["pixdim"][1:4], dtype=np.float64)
    if not np.isfinite(spacing).all() or (spacing <= 0).any():
        raise InvalidInput(
            f"The file {short_name(file.name)} has a distance between voxels that is zero, negative or not a number.",
            Reason.GEOMETRY_INVALID,
        )
    by_s = np.asarray(header.get_sform(), dtype=np.float64) if int(header["sform_code"]) > 0 else None
    by_q = None
    if int(header["qform_code"]) > 0:
        try:
            by_q = np.asarray(header.get_qform(), dtype=np.float64)
        except ValueError:  # a quaternion longer than one
            if by_s is None:
                raise no_position(file, "neither sform nor qform") from None
    affine = by_s if by_s is not None else by_q
    if affine is None:
        raise no_position(file, "neither sform nor qform")
    scale = _UNIT_MM.get(int(header["xyzt_units"]) & 7)
    if scale is None:
        raise bad_header(file.name, "gives its distances in an unknown unit")
    affine = np.diag([scale, scale, scale, 1.0]) @ affine
    with naming(file.name):
        check_affine(affine)
    warnings: list[str] = []
    if by_s is not None and by_q is not None:
        apart = corner_distance(by_s, by_q, shape) * scale
        if not apart <= 0.1:
            warnings.append(
                f"The file gives two positions that lie up to {apart:.1f} mm apart; the one of its sform is used."
            )
    if scale != 1.0:
        warnings.append("The file gives its distances in another unit than millimetres; they were converted.")
    return affine, tuple(warnings)


def corner_distance(one: Affine, other: Affine, shape: tuple[int, int, int]) -> float:
    """The largest distance, in mm, between the corner voxels of a grid ``shape`` under two affines."""
    corners = np.array([[*c, 1.0] for c in product(*[(0, n - 1) for n in shape])]).T
    return float(np.linalg.norm(((one - other) @ corners)[:3], axis=0).max())


def _frame_text(layout: _Layout, number: int) -> str:
    return f"Frame {number + 1}" if layout.frame_s is None else f"time {number * layout.frame_s:.4g} s"


def _frame_bytes(layout: _Layout) -> int:
    return int(np.prod(layout.shape, dtype=object)) * layout.dtype.itemsize


def _check_length(file: SourceFile, layout: _Layout, packed: bool) -> None:
    """Refuse a file that is too short for what its header announces, before anything is allocated."""
    size = file.size_bytes
    if packed:
        check_packing(file, layout.offset + layout.frames * _frame_bytes(layout))
        return
    if layout.offset >= size:
        raise bad_header(file.name, "says that its voxels start after its end")
    if size - layout.offset < layout.frames * _frame_bytes(layout):
        raise truncated(file.name)


def _comes_in_slices(layout: _Layout) -> bool:
    """Whether the file keeps acquisition slices one after the other, and their type is known before they are read."""
    i, j, k = (float(mm) for mm in np.linalg.norm(layout.affine[:3, :3], axis=0))
    return acquisition_axis((i, j, k)) == 2 and (layout.dtype.kind == "f" or layout.dtype.itemsize < 8)


def _read_slices(
    file: SourceFile, stream: Stream, layout: _Layout, frame: int, progress: Progress | None, room: Room
) -> NDArray[Any]:
    """One frame ``(i, j, k)``, 64-bit numbers narrowed, in native byte order. Each slice can be used when it has come."""
    _seek(file, stream, layout, frame)
    columns, rows, slices = layout.shape
    affine = RAS_TO_LPS @ layout.affine @ axes_matrix((2, 1, 0))
    slope, intercept = np.full(slices, layout.slope), np.full(slices, layout.intercept)
    kept = layout.dtype.newbyteorder("=") if layout.dtype.itemsize < 8 else np.dtype(np.float32)
    voxels = room.take(Plan((slices, rows, columns), kept, affine, slope, intercept))
    image = np.empty((rows, columns), layout.dtype)
    for index in range(slices):
        if kept == layout.dtype:
            _fill(file, stream, voxels[index])
        else:
            voxels[index] = _fill(file, stream, image)
        room.ready(index)
        if progress:
            progress(index + 1, slices)
    return voxels.transpose(2, 1, 0)


def _read_voxels(file: SourceFile, stream: Stream, layout: _Layout, frame: int) -> NDArray[Any]:
    """One frame ``(i, j, k)`` as stored, in native byte order. Memory is touched only as bytes really come."""
    _seek(file, stream, layout, frame)
    stored = _fill(file, stream, np.empty(layout.shape[::-1], layout.dtype)).transpose(2, 1, 0)
    return stored if layout.dtype.isnative else stored.astype(layout.dtype.newbyteorder("="))


def _seek(file: SourceFile, stream: Stream, layout: _Layout, frame: int) -> None:
    """Go to the first byte of a frame."""
    count = _frame_bytes(layout)
    stream.seek(layout.offset + frame * count)
    if stream.tell() != layout.offset + frame * count:
        raise truncated(file.name)


def _fill(file: SourceFile, stream: Stream, array: NDArray[Any]) -> NDArray[Any]:
    """A contiguous array with the next bytes of a stream."""
    view = memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]  # numpy's stubs lack the buffer protocol
    done = 0
    while done < len(view):
        got = stream.readinto(view[done : done + _CHUNK])
        if not got:
            raise truncated(file.name)
        done += got
    return array


def _drain(file: SourceFile, stream: Stream, layout: _Layout) -> None:
    """Read a compressed file to its end, where its checksum is."""
    end = layout.offset + layout.frames * _frame_bytes(layout)
    while stream.read(_CHUNK):
        if stream.tell() > end + MAX_TAIL:
            raise TooLarge(f"The compressed file {short_name(file.name)} inflates to far more than its image.")
    if stream.tell() < end:
        raise truncated(file.name)
