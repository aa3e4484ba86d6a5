"""DICOMDIR, the directory of a disc: which files it names. Their contents decide what they are; the directory does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom

from services.core.errors import InvalidInput, Reason
from services.formats.source import MAX_FILES, SourceFile, bad_header, refusing, short_name

_DIRECTORY = "1.2.840.10008.1.3.10"


def referenced(file: SourceFile) -> list[tuple[str, ...]]:
    """The paths that a directory names, folder by folder, relative to its own.

    Raises:
        InvalidInput: a path leads out of the disc. Exceptions of pydicom go through.
    """
    dataset = pydicom.dcmread(file.path, specific_tags=["DirectoryRecordSequence"])
    paths: list[tuple[str, ...]] = []
    for record in (dataset.get("DirectoryRecordSequence") or [])[:MAX_FILES]:
        parts = _parts(record)
        if any(part in ("", ".", "..") or any(c in "/\\:\0" for c in part) for part in parts):
            raise bad_header(file.name, "names a file that lies outside of its disc")
        if parts:
            paths.append(parts)
    return paths


def _parts(record: Any) -> tuple[str, ...]:
    value = record.get("ReferencedFileID")
    if value is None or value == "":
        return ()
    return (str(value),) if isinstance(value, str) else tuple(str(part) for part in value)


def disc_files(path: Path) -> list[SourceFile]:
    """The files that the DICOMDIR at ``path`` names and that lie beside it, and the DICOMDIR itself.

    Raises:
        InvalidInput: it names nothing that is there, or leads out of its folder.
    """
    root = path.parent.resolve()
    itself = SourceFile(path.name, path)
    found: dict[str, SourceFile] = {}
    with refusing(path.name):
        for parts in referenced(itself):
            file = root.joinpath(*parts)
            if file.is_file() and file.resolve().is_relative_to(root):
                found["/".join(parts)] = SourceFile("/".join(parts), file)
    if not found:
        raise InvalidInput(
            f"None of the files that the directory {short_name(path.name)} names lie beside it; copy the whole disc.",
            Reason.FILE_NOT_AN_IMAGE,
        )
    return [*found.values(), itself]
