"""DICOM Segmentations, read (DICOM PS3.3 A.51 and A.96): what a file holds, and one segment placed onto a volume's voxels.

Each frame says itself where it lies; what lies on no voxel of the volume is refused, and where there is no frame there is
no mask.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.tag import BaseTag, Tag

from services.core.errors import Choice, ChoiceNeeded, InvalidInput, Reason
from services.core.volume import Affine, Volume
from services.formats.dicom_geometry import check_orientation
from services.formats.dicom_pixels import NATIVE, stored_frames, transfer_syntax
from services.formats.dicom_scan import UNDEFINED, read_header
from services.formats.source import (
    MAX_CHOICES,
    MAX_SLICES,
    MAX_VOXELS,
    SourceFile,
    bad_header,
    check_names,
    refusing,
    short_name,
    truncated,
)

# How far a frame's corner may lie from the voxel that it is taken for, in voxels along each axis: positions are rounded,
# and slices of a stack may lie a little unevenly.
_TOLERANCE = 0.05
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_TAGS: list[BaseTag | int] = [
    int(Tag(keyword))
    for keyword in (
        "SOPClassUID", "SegmentationType", "SegmentSequence", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel",
        "BitsAllocated", "ReferencedSeriesSequence", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    )
]  # fmt: skip


@dataclass(frozen=True)
class Segmentation:
    """What a file holds.

    Attributes:
        form: ``BINARY``, ``LABELMAP`` or ``FRACTIONAL``.
        rows, columns, frames: its size.
        segments: number and name of each, without the background.
        source_series: UIDs of the series that it says it was drawn on.
        groups: for each frame its functional groups, its own before the shared ones.
    """

    form: str
    rows: int
    columns: int
    frames: int
    segments: tuple[tuple[int, str], ...]
    source_series: tuple[str, ...]
    groups: list[list[Any]]


@dataclass(frozen=True)
class _Placed:
    """A frame on the grid: voxel = ``start + turn @ (row, column)``, with one 1 or −1 in each column of ``turn``."""

    start: NDArray[np.int64]
    turn: NDArray[np.int64]


def look_at_segmentation(file: SourceFile) -> dict[str, Any]:
    """What a segmentation holds, as plain values. Raises: InvalidInput, TooLarge."""
    check_names([file])
    with refusing(file.name):
        held = _read_head(file)
    return {
        "segmentation": held.form.lower(),
        "segments": [{"number": number, "name": name} for number, name in held.segments],
        "size": {"frames": held.frames, "rows": held.rows, "columns": held.columns},
        "source_series": list(held.source_series),
    }


def segment_on(file: SourceFile, shape: tuple[int, int, int], affine: Affine, segment: int = 0) -> Volume:
    """One segment of a segmentation on the grid of a volume.

    Args:
        file: the segmentation, binary or a label map.
        shape: slices, rows, columns of the volume.
        affine: the volume's, voxel index → mm, LPS.
        segment: its number; 0: the only one.

    Returns:
        The volume's grid, uint8: 1 inside, 0 outside and wherever there is no frame.

    Raises:
        ChoiceNeeded: SEVERAL_SEGMENTS.
        InvalidInput: MASK_MISMATCH, it does not lie on the volume's voxels; or whatever is wrong with the file.
        TooLarge: over a limit on size.
    """
    check_names([file])
    with refusing(file.name):
        held = _read_head(file)
        number = _choose(file, held, segment)
        frames = [k for k in range(held.frames) if _segment_of(held.groups[k]) in (None, number)]
        placed = {frame: _place(file, held, frame, shape, affine) for frame in frames}
        _check_apart(file, held, placed, affine)
        inside = np.zeros(shape, np.uint8)
        for frame, pixels in _pixels(file, held, frames):
            _put(file, inside, placed[frame], pixels == number if held.form == "LABELMAP" else pixels != 0)
    return Volume(inside, affine, np.ones(shape[0]), np.zeros(shape[0]), modality="SEG")


def _read_head(file: SourceFile) -> Segmentation:
    """Everything but the pixels, and whether the count of their bytes can be right."""
    header = read_header(file, _TAGS)
    d = header.dataset
    rows, columns, frames = int(d.Rows), int(d.Columns), int(d.get("NumberOfFrames") or 0)
    if min(rows, columns, frames) < 1 or frames > MAX_SLICES or frames * rows * columns > MAX_VOXELS:
        raise bad_header(file.name, f"says that it has {frames} frames of {columns} × {rows} pixels")
    per_frame = d.get("PerFrameFunctionalGroupsSequence") or []
    if len(per_frame) != frames:
        raise bad_header(file.name, f"says that it has {frames} frames but describes {len(per_frame)}")
    if not header.pixel_bytes or header.cut:
        raise truncated(file.name)
    allocated = int(d.BitsAllocated)
    if allocated not in (1, 8, 16) or int(d.get("SamplesPerPixel") or 1) != 1:
        raise bad_header(file.name, "stores its pixels as no segmentation does")
    if header.pixel_bytes != UNDEFINED and transfer_syntax(d) in NATIVE:
        size = -(-rows * columns * frames * allocated // 8)
        if header.pixel_bytes < size:
            raise truncated(file.name)
        if header.pixel_bytes > size + size % 2:
            raise bad_header(file.name, "has more pixels than its header says")
    form = str(d.get("SegmentationType") or "")
    if form not in ("BINARY", "LABELMAP", "FRACTIONAL"):
        raise bad_header(file.name, "does not say what kind of segmentation it is")
    numbers = [int(item.SegmentNumber) for item in d.get("SegmentSequence") or []]
    if not numbers or len(set(numbers)) < len(numbers):
        raise bad_header(file.name, "names no segments, or two of them alike")
    shared = list(d.get("SharedFunctionalGroupsSequence") or [])
    held = Segmentation(
        form=form,
        rows=rows,
        columns=columns,
        frames=frames,
        segments=tuple((n, _name(item)) for n, item in zip(numbers, d.SegmentSequence) if n or form != "LABELMAP"),
        source_series=tuple(str(item.get("SeriesInstanceUID") or "") for item in d.get("ReferencedSeriesSequence") or []),
        groups=[[own, *shared] for own in per_frame],
    )
    if {_segment_of(groups) for groups in held.groups} - ({None} if form == "LABELMAP" else set(numbers)):
        raise bad_header(file.name, "has frames of a segment that it does not describe")
    return held


def _name(segment: Any) -> str:
    """The segment's label as one printable line."""
    return "".join(c for c in str(segment.get("SegmentLabel") or "") if c.isprintable()).strip()[:64]


def _segment_of(groups: list[Any]) -> int | None:
    """The segment that a frame is of; the frames of a label map are of all."""
    number = _value(groups, "SegmentIdentificationSequence", "ReferencedSegmentNumber")
    return None if number is None else int(number)


def _value(groups: list[Any], sequence: str, keyword: str) -> Any:
    for group in groups:
        if items := group.get(sequence):
            return items[0].get(keyword)
    return None


def _choose(file: SourceFile, held: Segmentation, segment: int) -> int:
    if held.form == "FRACTIONAL":
        raise InvalidInput(
            f"The segmentation {short_name(file.name)} holds probabilities or fractions, not a mask; choose a binary one.",
            Reason.MASK_MISMATCH,
        )
    numbers = [number for number, _ in held.segments]
    if segment in numbers:
        return segment
    if len(numbers) == 1 and not segment:
        return numbers[0]
    choices = tuple(Choice(str(n), f"{n}: {name}" if name else str(n)) for n, name in held.segments[:MAX_CHOICES])
    start = "has no such segment" if segment else f"has {len(numbers)} segments"
    raise ChoiceNeeded(
        f"The segmentation {short_name(file.name)} {start}; choose one by its number.", Reason.SEVERAL_SEGMENTS, choices
    )


def _place(file: SourceFile, held: Segmentation, frame: int, shape: tuple[int, int, int], affine: Affine) -> _Placed:
    """Where a frame lies on the grid. Raises: InvalidInput (no place, or beside the voxels)."""
    groups = held.groups[frame]
    position = _numbers(_value(groups, "PlanePositionSequence", "ImagePositionPatient"), 3)
    orientation = _numbers(_value(groups, "PlaneOrientationSequence", "ImageOrientationPatient"), 6)
    spacing = _numbers(_value(groups, "PixelMeasuresSequence", "PixelSpacing"), 2)
    if position is None or orientation is None or spacing is None or spacing.min() <= 0:
        raise InvalidInput(
            f"The segmentation {short_name(file.name)} does not say where its frames lie in the patient.",
            Reason.GEOMETRY_INVALID,
        )
    check_orientation(orientation, file.name)
    # Row and column of a pixel → voxel, first as it is, then as the whole number that it must be.
    to_voxel = np.linalg.inv(affine)
    start = (to_voxel @ [*position, 1.0])[:3]
    turn = to_voxel[:3, :3] @ np.column_stack([orientation[3:] * spacing[0], orientation[:3] * spacing[1]])
    corners = np.array(list(product((0, held.rows - 1), (0, held.columns - 1)))).T
    if np.abs(start).max() > MAX_VOXELS or np.abs(turn).max() > MAX_SLICES:
        raise _elsewhere(file)
    whole = _Placed(np.rint(start).astype(np.int64), np.rint(turn).astype(np.int64))
    if (np.abs(whole.turn).sum(axis=0) != 1).any() or (np.abs(whole.turn).sum(axis=1) > 1).any():
        raise _elsewhere(file)
    apart = (start - whole.start)[:, None] + (turn - whole.turn) @ corners
    if np.abs(apart).max() > _TOLERANCE:
        raise _elsewhere(file)
    return whole


def _numbers(value: Any, count: int) -> NDArray[np.float64] | None:
    numbers = np.array([float(v) for v in value or ()])
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else None


def _check_apart(file: SourceFile, held: Segmentation, placed: dict[int, _Placed], affine: Affine) -> None:
    """Refuse two frames at one place, and frames that say they are every second or third slice of the volume."""
    places = {(*place.start.tolist(), *place.turn.ravel().tolist()) for place in placed.values()}
    if len(places) < len(placed):
        raise bad_header(file.name, "has two frames of a segment at one place")
    for frame, place in placed.items():
        given = _value(held.groups[frame], "PixelMeasuresSequence", "SpacingBetweenSlices")
        across = np.linalg.norm(affine[:3, int(np.flatnonzero(~place.turn.any(axis=1))[0])])
        if len(placed) > 1 and given and abs(float(given)) > 1.5 * across:
            raise _elsewhere(file, "; its slices are farther apart")


def _pixels(file: SourceFile, held: Segmentation, frames: list[int]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Stored values of some frames, ascending: the frame, ``(rows, columns)``."""
    dataset = pydicom.dcmread(file.path, force=True, specific_tags=[
        "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
    ])  # fmt: skip
    if int(dataset.BitsAllocated) != 1:
        yield from zip(frames, stored_frames(dataset, file.name, frames, held.frames))
        return
    syntax = transfer_syntax(dataset)
    if syntax not in NATIVE or syntax == _BIG_ENDIAN:
        raise InvalidInput(
            f"The pixels of the segmentation {short_name(file.name)} are stored in a way that is not read.",
            Reason.FILE_NOT_READABLE,
        )
    data = np.frombuffer(dataset.PixelData, np.uint8)
    size = held.rows * held.columns
    for frame in frames:  # frames follow one another bit by bit, the lowest bit first (DICOM PS3.5 8.1.1)
        first = frame * size
        bits = np.unpackbits(data[first // 8 : (first + size + 7) // 8], bitorder="little")
        yield frame, bits[first % 8 : first % 8 + size].reshape(held.rows, held.columns)


def _put(file: SourceFile, inside: NDArray[np.uint8], place: _Placed, pixels: NDArray[np.bool_]) -> None:
    """Mark the voxels that a frame says are inside."""
    voxels = place.start[:, None] + place.turn @ np.array(np.nonzero(pixels))
    if voxels.size and ((voxels < 0).any() or (voxels >= np.array(inside.shape)[:, None]).any()):
        raise InvalidInput(
            f"The segmentation {short_name(file.name)} has voxels outside the volume; give the one of this series.",
            Reason.MASK_MISMATCH,
        )
    inside[tuple(voxels)] = 1


def _elsewhere(file: SourceFile, how: str = "") -> InvalidInput:
    return InvalidInput(
        f"The segmentation {short_name(file.name)} does not lie on the volume's voxels{how}; give the one of this series.",
        Reason.MASK_MISMATCH,
    )
