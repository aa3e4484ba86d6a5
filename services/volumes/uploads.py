"""Uploads: files that arrive in parts, over connections that break.

::

    uploads/<uuid>/<file>/file.json         name, size and digest as announced
    uploads/<uuid>/<file>/parts/<offset>    consecutive bytes, create-only

What lies in the store is what has arrived: a new connection, or a new server, goes on where the last part ends.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from services.core.errors import ChoiceNeeded, Corrupt, InvalidInput, NotFound, OutOfSequence, Reason, TooLarge
from services.formats.source import SourceFile, check_names
from services.store.port import Store

PART_BYTES = 4 << 20


@dataclass(frozen=True)
class Upload:
    """A file of an upload: its name with folders, its size, its SHA-256, and how many bytes are durable."""

    name: str
    size_bytes: int
    sha256: bytes
    committed_bytes: int = 0

    @property
    def complete(self) -> bool:
        return self.committed_bytes == self.size_bytes


class UploadFolder:
    """One upload. All calls block."""

    def __init__(self, store: Store, upload_id: str, *, limit_bytes: int) -> None:
        """Raises: InvalidInput when ``upload_id`` is no UUID."""
        try:
            self._prefix = f"uploads/{UUID(upload_id).hex}"
        except ValueError as error:
            raise InvalidInput("An upload is named by a UUID.") from error
        self._store = store
        self._limit_bytes = limit_bytes

    def files(self) -> list[Upload]:
        """What has arrived, in the order of announcing."""
        return [self._file(folder) for folder in self._store.folders(self._prefix)]

    def announce(self, name: str, size_bytes: int, sha256: bytes) -> int:
        """Begin a file, or find it again. Returns its number.

        Raises:
            InvalidInput: a name that cannot be, or another size or digest than before.
            TooLarge: over the limit on an upload.
        """
        check_names([SourceFile(name, Path())])
        if len(sha256) != 32:
            raise InvalidInput("A file is announced with its SHA-256 of 32 bytes.")
        known = self.files()
        for number, file in enumerate(known):
            if file.name == name:
                if (file.size_bytes, file.sha256) != (size_bytes, sha256):
                    raise InvalidInput("This file was announced before with other content.")
                return number
        if sum(file.size_bytes for file in known) + size_bytes > self._limit_bytes:
            raise TooLarge(f"The files are larger than the {self._limit_bytes >> 20} MiB that may be sent at once.")
        head = {"name": name, "size_bytes": size_bytes, "sha256": sha256.hex()}
        number = len(known)
        while not self._store.create(f"{self._folder(number)}/file.json", json.dumps(head).encode()):
            number += 1
        return number

    def append(self, number: int, offset: int, data: bytes) -> None:
        """Make the next bytes of a file durable. Raises: OutOfSequence (gap or overlap), InvalidInput (beyond the size)."""
        file = self._file(f"{number:06d}")
        if offset != file.committed_bytes:
            raise out_of_step(file.committed_bytes)
        if offset + len(data) > file.size_bytes:
            raise InvalidInput("More bytes came than the file was announced with; what came before is kept.")
        if data and not self._store.create(f"{self._folder(number)}/parts/{offset:015d}", data):
            raise out_of_step(self._file(f"{number:06d}").committed_bytes)

    def finish(self, number: int) -> None:
        """Check a complete file's digest. Raises: Corrupt; the file is forgotten and must be sent again."""
        file = self._file(f"{number:06d}")
        digest = hashlib.sha256()
        for part in self._parts(number):
            digest.update(part)
        if digest.digest() != file.sha256:
            for key in list(self._store.list(f"{self._folder(number)}/parts")):
                self._store.delete(key)
            raise Corrupt("A file was damaged on its way; send it again.", Reason.DIGEST_MISMATCH)

    def assemble(self, folder: Path) -> list[SourceFile]:
        """Write the files below ``folder``, under names of our own. Raises: NotFound, ChoiceNeeded (not complete)."""
        uploads = self.files()
        if not uploads:
            raise NotFound("There is no such upload; send the files first.")
        missing = [file for file in uploads if not file.complete]
        if missing:
            raise ChoiceNeeded(
                f"{len(missing)} files have not arrived whole; send the rest first.", Reason.UPLOAD_OUT_OF_STEP
            )
        sources = []
        for number, file in enumerate(uploads):
            path = folder / f"{number:06d}"
            with open(path, "wb") as target:
                for part in self._parts(number):
                    target.write(part)
            sources.append(SourceFile(file.name, path))
        return sources

    def delete(self) -> None:
        """Forget the upload."""
        for key in list(self._store.list(self._prefix)):
            self._store.delete(key)

    def _file(self, folder: str) -> Upload:
        head = json.loads(self._store.read(f"{self._prefix}/{folder}/file.json"))
        parts = list(self._store.list(f"{self._prefix}/{folder}/parts"))
        committed = int(parts[-1].rpartition("/")[2]) + self._store.size(parts[-1]) if parts else 0
        return Upload(head["name"], head["size_bytes"], bytes.fromhex(head["sha256"]), committed)

    def _folder(self, number: int) -> str:
        return f"{self._prefix}/{number:06d}"

    def _parts(self, number: int) -> Iterator[bytes]:
        for key in self._store.list(f"{self._folder(number)}/parts"):
            yield self._store.read(key)


def out_of_step(expected: int) -> OutOfSequence:
    """The error of a gap or an overlap."""
    return OutOfSequence(f"The next byte must be number {expected}.", expected, Reason.UPLOAD_OUT_OF_STEP)
