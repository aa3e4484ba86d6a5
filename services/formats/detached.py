"""Headers whose voxels lie in a file beside them (``.nhdr``, ``.mhd``): which files of an import are those."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from services.core.errors import CalqueError
from services.formats import metaimage, nrrd
from services.formats.grid import beside
from services.formats.metaimage import is_metaimage
from services.formats.nrrd import is_nrrd
from services.formats.source import SourceFile, refusing

_HEAD = 1024


def voxel_files(headers: Sequence[SourceFile], files: Sequence[SourceFile]) -> list[SourceFile]:
    """The files that some headers name for their voxels. A header that is damaged, or names a file that is not there or
    outside of its folder, has none: it is refused when it is read."""
    found: list[SourceFile] = []
    for header in headers:
        with suppress(CalqueError), refusing(header.name):
            if name := _name(header):
                found.append(beside(header, name, files))
    return found


def with_voxels(path: Path) -> list[SourceFile]:
    """The header at ``path``, and the file beside it that it names, where there is one. Raises: InvalidInput."""
    header = SourceFile(path.name, path)
    with refusing(path.name):
        name = _name(header)
        other = path.parent / name
        if not name or not other.is_file():
            return [header]
        return [header, beside(header, name, [SourceFile(Path(name).as_posix(), other)])]


def _name(header: SourceFile) -> str:
    with header.path.open("rb") as raw:
        head = raw.read(_HEAD)
    if is_nrrd(head):
        return nrrd.voxels_name(header)
    return metaimage.voxels_name(header) if is_metaimage(head) else ""
