"""Small helpers of the tests of the formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.core.errors import CalqueError, Reason
from services.core.volume import Affine, Volume
from services.formats.read import SourceFile, read_volume, source_files


def one(path: Path) -> SourceFile:
    """A file under its own name."""
    return SourceFile(path.name, path)


def read(path: Path, series: str = "", frame: int | None = None) -> Volume:
    """Read a file or folder."""
    return read_volume(source_files(path), series=series, frame=frame)


def refused(path: Path, kind: type[CalqueError], reason: Reason, *, series: str = "", frame: int | None = None) -> str:
    """Reading must be refused with this class and reason; the sentence, which must not hold the patient's name."""
    with pytest.raises(CalqueError) as caught:
        read(path, series, frame)
    assert (type(caught.value), caught.value.reason) == (kind, reason), str(caught.value)
    sentence = str(caught.value)
    assert "Secret" not in sentence
    assert sentence.endswith(".")
    return sentence


def positions(affine: Affine, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Position of every voxel, one at a time: ``(*shape, 3)`` mm."""
    out = np.zeros((*shape, 3))
    for index in np.ndindex(*shape):
        out[index] = (affine @ [*index, 1.0])[:3]
    return out
