"""A whole volume as one file for other programs: NIfTI or TIFF, complete or not there at all."""

from __future__ import annotations

import gzip
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray

from services.core.errors import InvalidInput, Reason, Unavailable
from services.core.volume import Volume
from services.formats.write import write_nifti, write_tiff

Form = Literal["nifti", "tiff"]
_ENDINGS: dict[str, Form] = {".nii": "nifti", ".nii.gz": "nifti", ".tif": "tiff", ".tiff": "tiff"}
# How far, in parts of itself, a rescale may change when a file keeps it as float32: as much as one rounding does.
_ROUNDING = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Stored:
    """A volume's values as a file holds them: intensity = voxels × slope + intercept."""

    voxels: NDArray[np.generic]
    slope: float
    intercept: float


def form_of(path: Path) -> Form:
    """The form that a file's name asks for. Raises: InvalidInput."""
    for ending, form in _ENDINGS.items():
        if path.name.lower().endswith(ending) and len(path.name) > len(ending):
            return form
    raise InvalidInput(f"The name “{path.name}” must end in one of {', '.join(_ENDINGS)}.")


def stored_values(volume: Volume, form: Form) -> Stored:
    """The voxels as stored, where the form can say the rescale that holds for all slices; else intensities, float32.

    NIfTI keeps one slope and intercept, as float32; TIFF keeps none.
    """
    slope, intercept = float(volume.slope[0]), float(volume.intercept[0])
    one = (volume.slope == slope).all() and (volume.intercept == intercept).all()
    kept = (slope, intercept) == (1.0, 0.0) or (form == "nifti" and _is_float32(slope) and _is_float32(intercept))
    if one and kept:
        return Stored(volume.voxels, slope, intercept)
    intensities = np.empty(volume.shape, dtype=np.float32)
    for index in range(volume.shape[0]):
        intensities[index] = volume.intensity(index)
    return Stored(intensities, 1.0, 0.0)


def write_volume(volume: Volume, path: Path, *, overwrite: bool = False) -> Stored:
    """Write a volume in the form that the file's name asks for.

    NIfTI has the axes of the volume's source and its affine; TIFF keeps distances, slices, rows and columns.

    Returns:
        What was written.

    Raises:
        InvalidInput: the name's ending is unknown, or the file is there already, unless ``overwrite``.
        TooLarge: an axis is longer than the form can say.
        Unavailable: the file could not be written; nothing is left of it.
    """
    form = form_of(path)
    stored = stored_values(volume, form)
    with whole_file(path, overwrite) as out:
        if form == "tiff":
            write_tiff(out, stored.voxels, affine=volume.affine)
        elif path.name.lower().endswith(".gz"):
            with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=out, mtime=0) as packed:
                _nifti(packed, stored, volume)
        else:
            _nifti(out, stored, volume)
    return stored


def refuse_existing(path: Path) -> None:
    """Raises: InvalidInput, when there is something under this name."""
    if os.path.lexists(path):
        raise InvalidInput(f"There is a file “{path.name}” already; nothing was written.")


def _nifti(out: IO[bytes] | gzip.GzipFile, stored: Stored, volume: Volume) -> None:
    write_nifti(
        out,
        stored.voxels,
        affine=volume.affine,
        source_axes=volume.source_axes,
        slope=stored.slope,
        intercept=stored.intercept,
    )


def _is_float32(number: float) -> bool:
    """Whether float32 keeps a number to its rounding: not when that overflows, or is too near to zero."""
    with np.errstate(over="ignore", under="ignore"):
        return abs(float(np.float32(number)) - number) <= _ROUNDING * abs(number)


@contextmanager
def whole_file(path: Path, overwrite: bool) -> Iterator[IO[bytes]]:
    """A file beside ``path`` that takes its name once it is written and on the disk, and goes when anything fails."""
    beside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        try:
            with open(beside, "xb") as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            _take_name(beside, path, overwrite)
        finally:
            with suppress(OSError):
                beside.unlink()
    except OSError as error:
        reason = Reason.STORE_FULL if error.errno in (ENOSPC, EDQUOT) else Reason.STORE_UNAVAILABLE
        raise Unavailable(
            f"The file “{path.name}” could not be written ({error.strerror or 'no answer'}); nothing was left.", reason
        ) from error


def _take_name(beside: Path, path: Path, overwrite: bool) -> None:
    if not overwrite:
        try:
            os.link(beside, path)  # never takes the place of a file that came meanwhile, as renaming would
            return
        except FileExistsError:
            refuse_existing(path)
        except OSError:  # a file system without links
            refuse_existing(path)
    os.replace(beside, path)
