"""Zip archives and gzip files of an import → the files in them, unpacked under names of our own and within limits.

An archive is not trusted in anything: names that climb out, links, archives in archives and what inflates without end are
refused. Nothing is ever written under a name that an archive gives.
"""

from __future__ import annotations

import gzip
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from services.core.errors import CalqueError, InvalidInput, Reason, TooLarge
from services.core.scratch import scratch_folder
from services.formats.source import MAX_FILES, MAX_RATIO, SMALL_BYTES, SourceFile, check_names, short_name, truncated

MAX_UNPACKED = 8 << 30  # bytes, of all archives of an import
_CHUNK = 1 << 20
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_ARCHIVES = (*_ZIP, b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"BZh", b"\xfd7zXZ\0")
_DAMAGED = (zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError, NotImplementedError, RuntimeError, ValueError)


def is_zip(head: bytes) -> bool:
    """Whether these first bytes of a file start a zip archive."""
    return head.startswith(_ZIP)


@contextmanager
def unpacked(
    files: Sequence[SourceFile], zips: Sequence[SourceFile], gzips: Sequence[SourceFile]
) -> Iterator[tuple[list[SourceFile], list[tuple[str, CalqueError]]]]:
    """The files of an import with archives replaced by what they hold, as long as the context lasts.

    Args:
        files: all, in the user's order.
        zips: those that are zip archives.
        gzips: those that are single packed files.

    Returns:
        The files, and the names of the archives of which nothing is taken, each with the reason: InvalidInput, it is
        damaged, locked, or holds links, archives or names that cannot be; TooLarge, it unpacks to more than is allowed.
    """
    if not zips and not gzips:
        yield list(files), []
        return
    with scratch_folder() as folder:
        room = _Room(folder)
        found: list[SourceFile] = []
        damaged: list[tuple[str, CalqueError]] = []
        packed = {*zips, *gzips}
        for file in files:
            if file not in packed:
                found.append(file)
                continue
            try:
                held = _unzip(file, room) if file in zips else _ungzip(file, room)
                check_names(held)
                found += held
            except CalqueError as error:
                damaged.append((file.name, error))
        yield found, damaged


class _Room:
    """Where unpacked files lie, and how much has been written there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = 0
        self._all = 0

    def keep(self, archive: SourceFile, stream: IO[bytes] | gzip.GzipFile) -> Path:
        """Write one file of an archive, until its end or a limit."""
        self._files += 1
        if self._files > MAX_FILES:
            raise TooLarge(f"The archive {short_name(archive.name)} holds more than {MAX_FILES} files; choose one series.")
        path = self._folder / f"{self._files:06d}"
        size = 0
        with path.open("wb") as out:
            while chunk := stream.read(_CHUNK):
                if not size and chunk.startswith(_ARCHIVES):
                    raise InvalidInput(
                        f"The archive {short_name(archive.name)} holds another archive; "
                        "unpack it and import what it holds.",
                        Reason.FILE_NOT_READABLE,
                    )
                size += len(chunk)
                self._all += len(chunk)
                if self._all > MAX_UNPACKED or (self._all > SMALL_BYTES and self._all > archive.size_bytes * MAX_RATIO):
                    raise TooLarge(f"The archive {short_name(archive.name)} unpacks to more than is allowed.")
                out.write(chunk)
        return path


def _ungzip(file: SourceFile, room: _Room) -> list[SourceFile]:
    with _refusing(file), gzip.open(file.path) as stream:
        name = file.name[:-3] if file.name.lower().endswith(".gz") and len(file.name) > 3 else file.name
        return [SourceFile(name, room.keep(file, stream))]


def _unzip(file: SourceFile, room: _Room) -> list[SourceFile]:
    found: list[SourceFile] = []
    with _refusing(file), zipfile.ZipFile(file.path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        for entry in entries:  # all, before the first is unpacked
            _check_entry(file, entry)
        for entry in entries:
            name = PurePosixPath(entry.filename)
            if any(part.startswith(".") or part == "__MACOSX" for part in name.parts):
                continue
            with archive.open(entry) as stream:
                found.append(SourceFile(f"{file.name}/{name}", room.keep(file, stream)))
    if not found:
        raise InvalidInput(f"The archive {short_name(file.name)} holds no files.", Reason.FILE_NOT_AN_IMAGE)
    return found


def _check_entry(file: SourceFile, entry: zipfile.ZipInfo) -> None:
    name = entry.orig_filename.replace("\\", "/")
    if name.startswith("/") or ":" in name.split("/")[0] or ".." in PurePosixPath(name).parts or "\0" in name:
        raise InvalidInput(
            f"The archive {short_name(file.name)} holds a name that leads out of it; it is not opened.",
            Reason.REQUEST_INVALID,
        )
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise InvalidInput(
            f"The archive {short_name(file.name)} holds a link or a device; it is not opened.", Reason.FILE_NOT_READABLE
        )
    if entry.flag_bits & 1:
        raise InvalidInput(
            f"The archive {short_name(file.name)} is locked with a password; unpack it and import what it holds.",
            Reason.FILE_NOT_READABLE,
        )
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InvalidInput(
            f"The archive {short_name(file.name)} is packed in a way that is not read; unpack it and import what it holds.",
            Reason.FILE_NOT_READABLE,
        )


@contextmanager
def _refusing(file: SourceFile) -> Iterator[None]:
    """Turn what the library raises about damage into our sentence. A full disc is not the archive's fault."""
    try:
        yield
    except EOFError:
        raise truncated(file.name) from None
    except _DAMAGED:
        raise InvalidInput(
            f"The archive {short_name(file.name)} is damaged; copy it again from its source.", Reason.FILE_NOT_READABLE
        ) from None
