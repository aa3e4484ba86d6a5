"""Uploads: files that arrive in parts, over connections that break.

::

    uploads/<uuid>/<file>/file.json         name, size and digest as announced, and when
    uploads/<uuid>/<file>/parts/<offset>    consecutive bytes, create-only

What lies in the store is what has arrived: a new connection, or a new server, goes on where the last part ends. It is all
of a patient's files, so it goes as soon as it was read or refused, and after a while when nobody asks to read it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from services.core.errors import ChoiceNeeded, Corrupt, InvalidInput, NotFound, OutOfSequence, Reason, TooLarge
from services.formats.source import MAX_FILES, SourceFile, check_names
from services.serving.caller import LOCAL_USER
from services.store.port import Store

PART_BYTES = 4 << 20


@dataclass(frozen=True)
class Upload:
    """A file of an upload: its number, name with folders, size, SHA-256, and how many bytes are durable."""

    number: int
    name: str
    size_bytes: int
    sha256: bytes
    committed_bytes: int = 0

    @property
    def complete(self) -> bool:
        return self.committed_bytes == self.size_bytes


class UploadFolder:
    """One upload, as one call sees it. All methods block."""

    def __init__(self, store: Store, upload_id: str, *, limit_bytes: int, checked: set[str]) -> None:
        """``checked`` keeps, as long as the server runs, which files have their digest. Raises: InvalidInput: no UUID."""
        self._checked = checked
        self._announced: dict[str, Upload] | None = None  # by name; a series has thousands, so they are read once
        self.name = _uuid(upload_id).hex
        self._prefix = f"uploads/{self.name}"
        self._store = store
        self._limit_bytes = limit_bytes

    def files(self) -> list[Upload]:
        """What has arrived, in the order of announcing."""
        return [self._file(int(folder)) for folder in self._store.folders(self._prefix)]

    def announce(self, name: str, size_bytes: int, sha256: bytes) -> Upload:
        """Begin a file, or find it again.

        Raises:
            InvalidInput: a name that cannot be, or another size or digest than before.
            TooLarge: over the limit on an upload.
        """
        check_names([SourceFile(name, Path())])
        if len(sha256) != 32:
            raise InvalidInput("A file is announced with its SHA-256 of 32 bytes.")
        if self._announced is None:
            self._announced = {file.name: file for file in self.files()}
        known = self._announced.get(name)
        if known is not None:
            if (known.size_bytes, known.sha256) != (size_bytes, sha256):
                raise InvalidInput("This file was announced before with other content.")
            return self._file(known.number)
        if len(self._announced) >= MAX_FILES:
            raise TooLarge(f"There are more than {MAX_FILES} files; choose one series.")
        if sum(file.size_bytes for file in self._announced.values()) + size_bytes > self._limit_bytes:
            raise TooLarge(f"The files are larger than the {self._limit_bytes >> 20} MiB that may be sent at once.")
        told = {"name": name, "size_bytes": size_bytes, "sha256": sha256.hex(), "announced_ms": _now_ms()}
        head = json.dumps(told).encode()
        number = max((file.number for file in self._announced.values()), default=-1) + 1
        while not self._store.create(f"{self._folder(number)}/file.json", head):
            number += 1
        file = Upload(number, name, size_bytes, sha256)
        self._announced[name] = file
        return file

    def append(self, number: int, offset: int, data: bytes) -> None:
        """Make the next bytes of a file durable; ``offset`` is where the last ones ended. Raises: OutOfSequence."""
        if not self._store.create(f"{self._folder(number)}/parts/{offset:015d}", data):  # by another call
            raise out_of_step(self._file(number).committed_bytes)

    def finish(self, number: int, digest: bytes | None) -> None:
        """Check a complete file's digest.

        Args:
            number: of the file.
            digest: SHA-256 of all that came, where the file came in one go; ``None``: to be computed.

        Raises:
            Corrupt: the file is forgotten and must be sent again.
        """
        if (self._digest(number) if digest is None else digest) != self._file(number).sha256:
            raise self._forget(number)
        self._checked.add(self._folder(number))

    def sources(self, folder: Path) -> list[SourceFile]:
        """The files as they lie in the store, or, where it has no files, written below ``folder`` under names of our own.

        Raises:
            NotFound: nothing has arrived.
            ChoiceNeeded: a file is not complete.
            Corrupt: a file does not have its digest; it is forgotten.
        """
        uploads = self.files()
        if not uploads:
            raise NotFound("There is no such upload; send the files first.")
        missing = [file for file in uploads if not file.complete]
        if missing:
            text = f"Files that have not arrived whole: {len(missing)}; send the rest first."
            raise ChoiceNeeded(text, Reason.UPLOAD_OUT_OF_STEP)
        for file in uploads:
            if self._folder(file.number) not in self._checked:  # the server ended between the last part and the check
                self.finish(file.number, None)
        return [SourceFile(file.name, *self._paths(file, folder)) for file in uploads]

    def _paths(self, file: Upload, folder: Path) -> tuple[Path, tuple[Path, ...]]:
        """Where the parts of a file lie: the first, and the others."""
        first, *others = [self._store.file(key) for key in self._keys(file.number)] or [None]
        if first is not None and None not in others:
            return first, tuple(path for path in others if path is not None)
        path = folder / f"{file.number:06d}"
        with open(path, "wb") as target:
            for key in self._keys(file.number):
                target.write(self._store.read(key))
        return path, ()

    def delete(self) -> None:
        """Forget the upload."""
        for key in reversed(list(self._store.list(self._prefix))):
            self._store.delete(key)
        self._checked -= {folder for folder in list(self._checked) if folder.startswith(f"{self._prefix}/")}

    def announced_ms(self) -> int:
        """When the last file was announced, milliseconds since 1970, UTC; 0 where it is not known."""
        numbers = list(self._store.folders(self._prefix))
        try:
            return int(json.loads(self._store.read(f"{self._folder(int(numbers[-1]))}/file.json"))["announced_ms"])
        except (IndexError, KeyError, ValueError, NotFound):
            return 0

    def _file(self, number: int) -> Upload:
        head = json.loads(self._store.read(f"{self._folder(number)}/file.json"))
        parts = self._keys(number)
        committed = int(parts[-1].rpartition("/")[2]) + self._store.size(parts[-1]) if parts else 0
        return Upload(number, head["name"], head["size_bytes"], bytes.fromhex(head["sha256"]), committed)

    def _forget(self, number: int) -> Corrupt:
        """Remove a damaged file. Returns the error that says so."""
        for key in reversed(list(self._store.list(self._folder(number)))):  # file.json last: a half is never nameless
            self._store.delete(key)
        self._announced = None
        return Corrupt("A file was damaged on its way; send it again.", Reason.DIGEST_MISMATCH)

    def _folder(self, number: int) -> str:
        return f"{self._prefix}/{number:06d}"

    def _keys(self, number: int) -> list[str]:
        return list(self._store.list(f"{self._folder(number)}/parts"))

    def _digest(self, number: int) -> bytes:
        digest = hashlib.sha256()
        for key in self._keys(number):
            digest.update(self._store.read(key))
        return digest.digest()


def collect(store: Store, hours: float, checked: set[str], reading: Collection[str]) -> int:
    """Forget the uploads whose last file was announced before that many hours. Returns how many there were.

    Args:
        store: where they lie.
        hours: how long one is kept.
        checked: as for `UploadFolder`.
        reading: names of those that are being read: they stay.
    """
    forgotten = 0
    for name in store.folders("uploads"):
        upload = UploadFolder(store, name, limit_bytes=0, checked=checked)
        if name not in reading and _now_ms() - upload.announced_ms() >= hours * 3_600_000:
            upload.delete()
            forgotten += 1
    return forgotten


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def own_upload(upload_id: str, user: str) -> str:
    """The UUID that an upload has in the store: one of its user's own, so that nobody meets another's by its name.

    Where nobody is asked who calls, it is the one that the client chose.

    Raises:
        InvalidInput: ``upload_id`` is no UUID.
    """
    if user == LOCAL_USER:
        return str(_uuid(upload_id))
    return str(UUID(bytes=hashlib.sha256(f"{_uuid(upload_id)} {user}".encode()).digest()[:16]))


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidInput("An upload is named by a UUID.") from error


def out_of_step(expected: int) -> OutOfSequence:
    """The error of a gap or an overlap."""
    return OutOfSequence(f"The next byte must be number {expected}.", expected, Reason.UPLOAD_OUT_OF_STEP)
