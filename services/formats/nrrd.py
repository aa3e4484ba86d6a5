"""NRRD, with its voxels in the same file or in one beside it: one file → what its header announces.

The header is read with pynrrd, of which only the fields that voxels and geometry need are shown to it; its voxels are read
by `services.formats.grid`. Definition: http://teem.sourceforge.net/nrrd/format.html (sections 4 to 6).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.errors import ChoiceNeeded, InvalidInput, Reason
from services.core.volume import Affine, check_affine
from services.formats.grid import Layout, Packing, Raw, beside, no_position
from services.formats.source import UNIT_MM, SourceFile, bad_header, naming, refusing, short_name, truncated

_MAGIC = re.compile(rb"NRRD000[1-5]\r?\n")
_MAX_HEADER = 1 << 20
_MAX_AXES = 16
_FIELDS = (
    "dimension", "type", "encoding", "sizes", "endian", "space", "space dimension", "space directions", "space origin",
    "space units", "kinds", "data file", "byte skip", "line skip",
)  # fmt: skip
_JOINED = {name.replace(" ", "").encode(): name.encode() for name in ("data file", "byte skip", "line skip")}
_TYPES = {
    name: code
    for code, names in {
        "i1": "signed char, int8, int8_t",
        "u1": "uchar, unsigned char, uint8, uint8_t",
        "i2": "short, short int, signed short, signed short int, int16, int16_t",
        "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
        "i4": "int, signed int, int32, int32_t",
        "u4": "uint, unsigned int, uint32, uint32_t",
        "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t",
        "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
        "f4": "float",
        "f8": "double",
    }.items()
    for name in names.split(", ")
}
_PACKINGS: dict[str, Packing] = {"raw": "", "gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2"}
# The signs that turn a space's axes to LPS.
_SPACES = {
    "left-posterior-superior": (1.0, 1.0, 1.0),
    "right-anterior-superior": (-1.0, -1.0, 1.0),
    "left-anterior-superior": (1.0, -1.0, 1.0),
    "scanner-xyz": (1.0, 1.0, 1.0),
}
_SPACES |= {"".join(word[0] for word in name.split("-")): signs for name, signs in _SPACES.items() if name[0] != "s"}
_COLOURS = ("rgb-color", "rgba-color", "hsv-color", "xyz-color", "3-color", "4-color")


def is_nrrd(head: bytes) -> bool:
    """Whether these first bytes of a file start an NRRD header."""
    return _MAGIC.match(head) is not None


def voxels_name(file: SourceFile) -> str:
    """The name, relative to the header's folder, of the file that holds its voxels; empty where the header's own does."""
    return str(_header(file)[0].get("data file", ""))


def nrrd_layout(file: SourceFile, files: Sequence[SourceFile]) -> Layout:
    """What an NRRD header announces; images along axes that are not of space are frames.

    Args:
        file: that begins with the header.
        files: of the import, among them the one that holds the voxels where the header says so.

    Raises:
        InvalidInput: damaged, without its voxels, or a header or geometry that cannot be right.
        ChoiceNeeded: colour.
    """
    with refusing(file.name):
        header, start = _header(file)
        shape, dtype = _shape(file, header), _dtype(file, header)
        spatial, affine, warnings = _geometry(file, header, len(shape))
        _check_grey(file, header, shape)
        skip, packing = int(header.get("byte skip", 0)), _packing(file, header)
        if not (0 <= skip < 1 << 24 or (skip == -1 and not packing)) or int(header.get("line skip", 0)) != 0:
            raise bad_header(file.name, "says that its voxels start where they cannot")
        name = header.get("data file")
        held = file if name is None else beside(file, name, files)
        start = 0 if name is not None else start
        raw = Raw(held, start if skip >= 0 else -1, max(skip, 0), packing, shape, dtype)
        return Layout(raw, spatial, affine, warnings=warnings)


def _header(file: SourceFile) -> tuple[dict[str, Any], int]:
    """The fields that are needed, parsed, and the byte behind the empty line that ends them."""
    import nrrd

    with file.path.open("rb") as raw:
        lines = [raw.readline(64)]
        if not is_nrrd(lines[0]):
            raise truncated(file.name)
        while line := raw.readline(_MAX_HEADER):
            if raw.tell() > _MAX_HEADER:
                raise bad_header(file.name, "has a header without end")
            if not line.strip():
                break
            name, colon, value = line.partition(b":")
            name = _JOINED.get(name.strip().lower(), name.strip().lower())
            # Comments and pairs of key and value may be of the patient; nothing here needs them.
            if colon and not value.startswith(b"=") and name.decode("ascii", "replace") in _FIELDS:
                lines.append(name + b":" + value)
        start = raw.tell()
    header: dict[str, Any] = dict(nrrd.read_header(lines))
    missing = [name for name in ("dimension", "type", "encoding", "sizes") if name not in header]
    if missing:
        raise bad_header(file.name, f"lacks the field “{missing[0]}” in its header")
    return header, start


def _shape(file: SourceFile, header: dict[str, Any]) -> tuple[int, ...]:
    sizes = tuple(int(size) for size in header["sizes"])
    if not 1 <= len(sizes) <= _MAX_AXES or len(sizes) != header["dimension"]:
        raise bad_header(file.name, f"says that it has {header['dimension']} dimensions, and the sizes of {len(sizes)}")
    return sizes


def _dtype(file: SourceFile, header: dict[str, Any]) -> np.dtype[Any]:
    code = _TYPES.get(header["type"].lower())
    if code is None:
        raise bad_header(file.name, "has voxels of a type that is not read")
    order = {"little": "<", "big": ">"}.get(str(header.get("endian", "")).lower())
    if order is None and not code.endswith("1"):
        raise bad_header(file.name, "does not say in which order its bytes are")
    return np.dtype((order or "") + code)


def _packing(file: SourceFile, header: dict[str, Any]) -> Packing:
    packing = _PACKINGS.get(header["encoding"].lower())
    if packing is None:
        raise InvalidInput(
            f"The file {short_name(file.name)} keeps its voxels as text; save it again, raw or compressed.",
            Reason.FILE_NOT_READABLE,
        )
    return packing


def _geometry(file: SourceFile, header: dict[str, Any], axes: int) -> tuple[tuple[int, ...], Affine, tuple[str, ...]]:
    """The axes that lie in space, their affine (LPS, mm) and what is to be told of it."""
    space = str(header.get("space", "")).lower()
    signs = _SPACES.get(space)
    directions: NDArray[np.float64] | None = header.get("space directions")
    origin: NDArray[np.float64] | None = header.get("space origin")
    if signs is None or directions is None or origin is None:
        raise no_position(file, "a space of the patient, space directions and space origin")
    spatial = tuple(int(axis) for axis in np.flatnonzero(~np.isnan(directions).all(axis=1)))
    if directions.shape != (axes, 3) or origin.shape != (3,) or len(spatial) != 3:
        raise InvalidInput(
            f"The file {short_name(file.name)} does not have three axes that lie in the patient.", Reason.GEOMETRY_INVALID
        )
    affine = np.eye(4)
    affine[:3, :3] = directions[list(spatial)].T * _unit_mm(file, header)
    affine[:3, 3] = origin * _unit_mm(file, header)
    affine = np.diag([*signs, 1.0]) @ affine
    with naming(file.name):
        check_affine(affine)
    if space != "scanner-xyz":
        return spatial, affine, ()
    told = "The file gives its place in the scanner; the patient is taken to have lain on the back, head first."
    return spatial, affine, (told,)


def _unit_mm(file: SourceFile, header: dict[str, Any]) -> float:
    units = {str(unit).strip().lower() for unit in header.get("space units", ["mm"])}
    scale = UNIT_MM.get(units.pop()) if len(units) == 1 else None
    if scale is None:
        raise bad_header(file.name, "gives its distances in an unknown unit")
    return scale


def _check_grey(file: SourceFile, header: dict[str, Any], shape: tuple[int, ...]) -> None:
    kinds = [str(kind).lower() for kind in header.get("kinds", [])]
    if any(kind in _COLOURS and size > 1 for kind, size in zip(kinds, shape)):
        raise ChoiceNeeded(
            f"The file {short_name(file.name)} is a colour image; save it as grey values.", Reason.COLOUR_IMAGE
        )
