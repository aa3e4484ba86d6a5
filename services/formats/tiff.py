"""TIFF stacks: one file of many pages, or a folder of single pages in the natural order of their names.

A TIFF knows no patient. Pages are taken towards superior, rows towards posterior and columns towards the left, as in an
axial stack that starts at the feet, with the first voxel at the origin. Distances are those that ImageJ or OME wrote;
elsewhere a voxel counts as 1 mm, and a warning stays with the volume. (The resolution tags of other programs tell how to
print.)

Before tifffile sees a file, the chain of its pages is walked here: cycles, lying counts and a million pages end there. Its
interpretation of series is not used, because that follows names of other files in the metadata.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from services.core.errors import ChoiceNeeded, InvalidInput, Reason, TooLarge
from services.core.volume import Affine, Volume
from services.formats.room import Plan, Room
from services.formats.source import (
    MAX_CHOICES,
    MAX_SLICES,
    Progress,
    SourceFile,
    bad_header,
    check_packing,
    check_size,
    frame_choices,
    naming,
    refusing,
    short_name,
    truncated,
)
from services.formats.tiff_spacing import imagej_spacing, ome_pixels, ome_spacing

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Size in bytes of a value of each TIFF field type.
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_MAX_TAGS = 4096
_WHITE_IS_ZERO, _PALETTE = 0, 3


@dataclass(frozen=True)
class Stack:
    """How the pages of a file make volumes, and their calibration."""

    shape: tuple[int, int]  # of a page: rows, columns
    dtype: np.dtype[Any]
    slices: int
    pages_of: tuple[tuple[int, ...], ...]  # for each frame the page numbers of its slices
    spacing_mm: tuple[float, float, float]
    warnings: tuple[str, ...]
    channels: int = 1  # of the frames, varying fastest


def is_tiff(head: bytes) -> bool:
    """Whether these first bytes of a file start a TIFF or a BigTIFF."""
    return head[:4] in _MAGIC


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which ``z2`` comes before ``z10``."""
    parts = re.split(r"([0-9]{1,18})", name)
    return [(1, int(part), "") if index % 2 else (0, 0, part) for index, part in enumerate(parts)]


def read_tiff(
    files: Sequence[SourceFile],
    frame: int | None = None,
    progress: Progress | None = None,
    room: Room | None = None,
) -> Volume:
    """Read a stack.

    Args:
        files: one file of one or more pages, or several of one page each, as
            `services.formats.tiff_offer.tiff_groups` gives them.
        frame: which channel or time point, from 0 (channels vary fastest); ``None`` where there is only one.
        progress: called with slices read and slices in all.
        room: where the voxels of a stack of one file go; ``None``: into memory.

    Returns:
        Voxels as stored (64-bit floats narrowed), pages as slices. `Volume.source_axes` is that of a NIfTI file of the same
        image, ``(columns, rows, slices)``: a TIFF has no such axes of its own.

    Raises:
        InvalidInput: damaged or truncated, or a header that cannot be right.
        ChoiceNeeded: several channels or times and none chosen, or colour.
        TooLarge: more pages or voxels than are read.
    """
    if len(files) == 1:
        voxels, stack = _read_file(files[0], frame, progress, room or Room())
    else:
        voxels, stack = _read_folder(sorted(files, key=lambda f: natural_key(f.name)), frame, progress)
    slices = len(voxels)
    with naming(files[0].name):
        return Volume(
            voxels=voxels,
            affine=stack_affine(stack.spacing_mm),
            slope=np.ones(slices),
            intercept=np.zeros(slices),
            source_axes=(2, 1, 0),
            warnings=stack.warnings,
        )


def stack_affine(spacing_mm: tuple[float, float, float]) -> Affine:
    """The affine of a stack: slices to superior, rows to posterior, columns to the left (LPS)."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = spacing_mm
    affine[3, 3] = 1.0
    return affine


def _read_folder(files: list[SourceFile], frame: int | None, progress: Progress | None) -> tuple[NDArray[Any], Stack]:
    check_size(files[0].name, len(files), 1, 1)
    images: list[NDArray[Any]] = []
    first: Stack | None = None
    for done, file in enumerate(files, 1):
        voxels, stack = _read_file(file, frame, None, Room())
        if len(voxels) != 1 or (images and (voxels[0].shape, voxels.dtype) != (images[0].shape, images[0].dtype)):
            raise bad_header(file.name, "does not fit the other slices of its folder")
        first = first or stack
        images.append(voxels[0])
        check_size(file.name, len(files), *images[0].shape)
        if progress:
            progress(done, len(files))
    assert first is not None
    return np.stack(images), first


def _read_file(file: SourceFile, frame: int | None, progress: Progress | None, room: Room) -> tuple[NDArray[Any], Stack]:
    with opened(file) as (tif, pages, stack):
        numbers = stack.pages_of[choose_frame(file, stack, frame)]
        return _read_pages(file, tif, pages, numbers, _plan(stack), progress, room), stack


@contextmanager
def opened(file: SourceFile) -> Iterator[tuple[Any, list[Any], Stack]]:
    """tifffile's view of a checked file, its pages, and how they make volumes."""
    import tifffile  # a third of a second, and not every import is a TIFF

    with refusing(file.name):
        with file.path.open("rb") as raw:
            _walk(file, raw)
        with tifffile.TiffFile(file.path, _multifile=False) as tif:
            pages = list(tif.pages)
            shape, dtype = _check_pages(file, pages, bool(tif.is_imagej))
            stack = _interpret(file, tif, len(pages), shape, dtype)
            check_size(file.name, stack.slices, *shape)
            if pages[0].compression != 1:
                check_packing(file, len(pages) * shape[0] * shape[1] * dtype.itemsize)
            yield tif, pages, stack


def _walk(file: SourceFile, raw: IO[bytes]) -> None:
    """Follow the chain of pages and refuse what no honest file has, without allocating for it."""
    size = file.size_bytes
    head = raw.read(16)
    if len(head) < 8:
        raise truncated(file.name)
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    if big and len(head) < 16:
        raise truncated(file.name)
    count_form, entry_form, next_form = ("Q", "HHQQ", "Q") if big else ("H", "HHII", "I")
    (offset,) = struct.unpack(order + next_form, head[8:16] if big else head[4:8])
    seen: set[int] = set()
    while offset:
        if offset in seen:
            raise bad_header(file.name, "has pages that lead back to themselves")
        seen.add(offset)
        if len(seen) > MAX_SLICES:
            raise TooLarge(f"The file {short_name(file.name)} has more than {MAX_SLICES} pages.")
        raw.seek(offset)
        tags = _unpack(file, raw, order + count_form)[0]
        if not 1 <= tags <= _MAX_TAGS:
            raise bad_header(file.name, f"has a page with {tags} entries")
        spans = {(offset, raw.tell() + tags * struct.calcsize(order + entry_form))}
        codes: set[int] = set()
        for _ in range(tags):
            code, kind, count, value = _unpack(file, raw, order + entry_form)
            length = count * _TYPE_BYTES.get(kind, 1)
            if length > size:
                raise bad_header(file.name, "has an entry that is longer than the file")
            if code in codes:
                raise bad_header(file.name, "has the same entry twice in a page")
            codes.add(code)
            if length > struct.calcsize(order + next_form):  # else the value stands in its entry
                spans.add((value, value + length))
        _check_apart(file, sorted(spans))
        (offset,) = _unpack(file, raw, order + next_form)
    if not seen:
        raise bad_header(file.name, "has no pages")


def _check_apart(file: SourceFile, spans: list[tuple[int, int]]) -> None:
    """Refuse entries whose values overlap one another or their page. The very same place is shared by honest programs."""
    for (_, end), (start, _) in pairwise(spans):
        if start < end:
            raise bad_header(file.name, "has entries that overlap")


def _unpack(file: SourceFile, raw: IO[bytes], form: str) -> tuple[int, ...]:
    need = struct.calcsize(form)
    data = raw.read(need)
    if len(data) < need:
        raise truncated(file.name)
    return struct.unpack(form, data)


def _check_pages(file: SourceFile, pages: list[Any], imagej: bool) -> tuple[tuple[int, int], np.dtype[Any]]:
    """The shape and dtype that all pages share; colour, odd types and missing bytes are refused."""
    first = pages[0]
    size = file.size_bytes
    for page in pages:
        # Two sizes that lie are multiplied by nobody before this.
        check_size(file.name, 1, page.imagelength, page.imagewidth)
        if page.samplesperpixel != 1 or page.imagedepth != 1 or (page.photometric == _PALETTE and not imagej):
            raise ChoiceNeeded(
                f"The file {short_name(file.name)} is a colour image; save it as grey values.", Reason.COLOUR_IMAGE
            )
        if (page.imagelength, page.imagewidth, page.dtype) != (first.imagelength, first.imagewidth, first.dtype):
            raise ChoiceNeeded(
                f"The pages of {short_name(file.name)} differ in size or type; save one stack a file.",
                Reason.SEVERAL_SERIES,
            )
        segments = list(zip(page.dataoffsets, page.databytecounts))
        if not segments or any(offset <= 0 or count <= 0 or offset + count > size for offset, count in segments):
            raise truncated(file.name)
        if (
            page.compression == 1
            and not page.is_tiled
            and sum(page.databytecounts) * 8 < (page.imagelength * page.imagewidth * page.bitspersample)
        ):
            raise truncated(file.name)
    if first.dtype is None or first.dtype.kind not in "biuf" or (first.dtype.kind in "iu" and first.dtype.itemsize > 4):
        raise bad_header(file.name, "has pixels of a type that is not read")
    return (first.imagelength, first.imagewidth), first.dtype


def _interpret(file: SourceFile, tif: Any, pages: int, shape: tuple[int, int], dtype: np.dtype[Any]) -> Stack:
    """Slices, channels, times and calibration, from ImageJ's or OME's metadata where there are any that fit the pages."""
    tags = tif.pages[0].tags
    if tif.is_imagej:
        meta = tif.imagej_metadata or {}
        channels, slices, times = (int(meta.get(key, 1)) for key in ("channels", "slices", "frames"))
        images = int(meta.get("images", 1))
        if min(channels, slices, times) < 1:
            raise bad_header(file.name, "says that it has no slices")
        if channels * slices * times != images and images == max(pages, images):
            channels, slices, times = 1, images, 1
        total = max(pages, images)
        order = "CZT"
        spacing, warnings = imagej_spacing(meta, tags, channels * slices * times)
    elif tif.is_ome and (ome := ome_pixels(tif.ome_metadata or "")):
        channels, slices, times = (int(ome.get(key, "1")) for key in ("SizeC", "SizeZ", "SizeT"))
        total = pages
        order = ome.get("DimensionOrder", "XYCZT")[2:]
        spacing, warnings = ome_spacing(ome)
    else:
        channels, slices, times, total, order = 1, pages, 1, pages, "CZT"
        spacing = (1.0, 1.0, 1.0)
        warnings = ("The file does not say how large its voxels are; 1 mm is assumed in each direction.",)
    if channels * slices * times != total or sorted(order) != ["C", "T", "Z"]:
        channels, slices, times, order = 1, total, 1, "CZT"
        warnings = (*warnings, "The file's count of slices does not fit its pages; each page counts as a slice.")
    if not (np.isfinite(spacing).all() and min(spacing) > 0):
        raise InvalidInput(
            f"The file {short_name(file.name)} has a distance between voxels that is zero, negative or not a number.",
            Reason.GEOMETRY_INVALID,
        )
    check_size(file.name, total, 1, 1)
    sizes = {"C": channels, "Z": slices, "T": times}
    # The first letter of the order varies fastest from page to page.
    numbers = np.arange(total).reshape([sizes[axis] for axis in reversed(order)])
    by_frame = numbers.transpose([order[::-1].index(axis) for axis in "TCZ"]).reshape(times * channels, slices)
    pages_of = tuple(tuple(int(n) for n in row) for row in by_frame)
    return Stack(shape, dtype, slices, pages_of, spacing, warnings, channels)


def _frame_text(stack: Stack, number: int) -> str:
    time, channel = divmod(number, stack.channels)
    if stack.channels == 1:
        return f"time {time + 1}"
    return f"channel {channel + 1}" if len(stack.pages_of) == stack.channels else f"time {time + 1}, channel {channel + 1}"


def choose_frame(file: SourceFile, stack: Stack, frame: int | None) -> int:
    frames = len(stack.pages_of)
    if frame is None and frames > 1:
        raise ChoiceNeeded(
            f"The file {short_name(file.name)} holds {frames} channels or time points; choose a frame from 1 to {frames}.",
            Reason.SEVERAL_FRAMES,
            frame_choices([_frame_text(stack, number) for number in range(min(frames, MAX_CHOICES))]),
        )
    if not 0 <= (frame or 0) < frames:
        raise InvalidInput(f"There is no frame {(frame or 0) + 1}; the file {short_name(file.name)} holds {frames}.")
    return frame or 0


def kept(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type that pixels of a type are kept in: native byte order, bits as bytes, floats of 32 bits."""
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    return np.dtype(np.float32) if dtype.kind == "f" else dtype.newbyteorder("=")


def _plan(stack: Stack) -> Plan:
    """The volume of a stack."""
    shape, ones = (stack.slices, *stack.shape), np.ones(stack.slices)
    return Plan(shape, kept(stack.dtype), stack_affine(stack.spacing_mm), ones, np.zeros(stack.slices))


def _read_pages(
    file: SourceFile,
    tif: Any,
    pages: list[Any],
    numbers: Sequence[int],
    plan: Plan,
    progress: Progress | None,
    room: Room,
) -> NDArray[Any]:
    """The pixels of the pages ``numbers`` as ``(slices, rows, columns)``."""
    if max(numbers) >= len(pages):  # ImageJ writes large stacks as one page, the others' pixels just follow
        whole = _contiguous(file, tif, pages[0], max(numbers) + 1)
        some: NDArray[Any] = whole[list(numbers)].astype(plan.dtype, copy=False)
        return some
    voxels: NDArray[Any] | None = None
    for done, number in enumerate(numbers):
        image = pages[number].asarray(maxworkers=1)
        if image.shape != (pages[0].imagelength, pages[0].imagewidth):
            raise bad_header(file.name, "has a page of another size than it says")
        if voxels is None:  # only now is it known that the sizes are true
            voxels = room.take(plan)
        voxels[done] = image
        room.ready(done)
        if progress:
            progress(done + 1, len(numbers))
    assert voxels is not None
    return voxels


def _contiguous(file: SourceFile, tif: Any, page: Any, images: int) -> NDArray[Any]:
    count = images * page.imagelength * page.imagewidth
    offset = page.dataoffsets[0]
    if page.compression != 1 or offset + count * page.dtype.itemsize > file.size_bytes:
        raise truncated(file.name)
    with file.path.open("rb") as raw:
        raw.seek(offset)
        data = np.fromfile(raw, dtype=page.dtype.newbyteorder(tif.byteorder), count=count)
    stack: NDArray[Any] = data.reshape(images, page.imagelength, page.imagewidth)
    return stack
