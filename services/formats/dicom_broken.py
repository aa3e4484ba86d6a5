"""DICOM files that cannot be read: which series they belong to, so that they spoil that one and no other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pydicom
from pydicom.tag import Tag

from services.core.errors import CalqueError
from services.formats.dicom_scan import check_deflated
from services.formats.source import SourceFile, one_line

_TAGS = ("SeriesInstanceUID", "Modality", "SeriesDescription", "Rows", "Columns")
_LAST = int(Tag("Columns"))


@dataclass(frozen=True)
class Broken:
    """A file that cannot be read, and what its header still tells; empty or 0 where it does not.

    Attributes:
        name: the user's.
        error: why.
        series: SeriesInstanceUID.
        modality, description, columns, rows: as in a whole file.
    """

    name: str
    error: CalqueError
    series: str = ""
    modality: str = ""
    description: str = ""
    columns: int = 0
    rows: int = 0


def broken_file(file: SourceFile, error: CalqueError) -> Broken:
    """Look once more at a file that was refused, as far as it can be read."""
    try:
        check_deflated(file)  # pydicom would inflate all of it
        with file.path.open("rb") as raw:
            dataset: Any = pydicom.filereader.read_partial(
                raw,
                stop_when=lambda tag, vr, length: int(tag) > _LAST,
                force=True,
                specific_tags=[int(Tag(keyword)) for keyword in _TAGS],
            )
        return Broken(
            name=file.name,
            error=error,
            series=str(dataset.get("SeriesInstanceUID") or ""),
            modality=one_line(dataset.get("Modality"), 16),
            description=one_line(dataset.get("SeriesDescription"), 64),
            columns=int(dataset.get("Columns") or 0),
            rows=int(dataset.get("Rows") or 0),
        )
    except Exception:  # whatever it is, the error is known already
        return Broken(file.name, error)


def spoilt(broken: Sequence[Broken], series: Sequence[tuple[str, Iterable[str]]]) -> list[CalqueError | None]:
    """Which of some series broken files belong to.

    A file whose header still names its series belongs to that one, or to none of them. Any other may be a slice of
    whatever lies nearest: of each series with files in its own folder, else in the folder around it, and so on.

    Args:
        broken: the files.
        series: of each, its SeriesInstanceUID and the names of its files.

    Returns:
        For each series the error of the first file that is missing from it, or ``None``.
    """
    folders = [{str(folder) for name in names for folder in PurePosixPath(name).parents} for _, names in series]
    errors: list[CalqueError | None] = [None] * len(series)
    for one in broken:
        if one.series:
            mine = [n for n, (uid, _) in enumerate(series) if uid == one.series]
        else:
            around = (str(folder) for folder in PurePosixPath(one.name).parents)
            mine = next((near for f in around if (near := [n for n, held in enumerate(folders) if f in held])), [])
        for n in mine:
            errors[n] = errors[n] or one.error
    return errors
