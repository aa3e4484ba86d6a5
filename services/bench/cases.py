"""What the robot is run on: volumes with their masks, one named on the command line or several in a manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from services.core.errors import InvalidInput
from services.core.volume import Volume
from services.formats.manifest import read_volumes
from services.formats.masks import read_mask
from services.formats.read import read_volume
from services.formats.source import source_files


class Case(BaseModel):
    """A volume and what is to be found in it.

    Attributes:
        name: for tables.
        image: file or folder of the volume.
        mask: file of the truth, on the voxels of the volume.
        label: the value that is inside; 0: every one but zero.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    image: Path
    mask: Path
    label: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class Loaded:
    """A case as it was read.

    Attributes:
        volume: read from the files that the services get too.
        truth: ``(slices, rows, columns)`` bool, never empty.
    """

    volume: Volume
    truth: NDArray[np.bool_]


def read_manifest(path: Path) -> list[Case]:
    """The cases of a TOML file: tables ``[[volume]]`` with name, image, mask and, where one is meant, label.

    Relative paths start at the manifest's folder.

    Raises:
        InvalidInput: it cannot be read, something in it is missing or not known, or a file is not there.
    """
    cases = read_volumes(path, Case)
    if len({case.name for case in cases}) < len(cases):
        raise InvalidInput(f"The manifest {path.name} has two volumes of one name.")
    folder = path.parent
    found = [case.model_copy(update={"image": folder / case.image, "mask": folder / case.mask}) for case in cases]
    for case in found:
        check(case)
    return found


def check(case: Case) -> None:
    """Refuse a case whose files are not there, before others have taken their time. Raises: InvalidInput."""
    for what, path in (("image", case.image), ("mask", case.mask)):
        if not path.exists():
            raise InvalidInput(f"The {what} of {case.name}, {path.name}, is not there.")


def load(case: Case) -> Loaded:
    """Read a case. Raises: CalqueError."""
    volume = read_volume(source_files(case.image))
    files = source_files(case.mask)
    if len(files) != 1:
        raise InvalidInput(f"The mask of {case.name} is not one file.")
    truth = read_mask(files[0], shape=volume.shape, affine=volume.affine, source_axes=volume.source_axes, label=case.label)
    if not truth.any():
        wanted = f" with the label {case.label}" if case.label else ""
        raise InvalidInput(f"The mask of {case.name} has no voxel{wanted}.")
    return Loaded(volume, truth)
