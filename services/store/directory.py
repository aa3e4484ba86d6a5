"""The embedded store: a plain directory.

An object is written to a temporary file, synced, and linked to its name: ``link(2)`` fails when the name is there, so the
first writer wins and nobody ever sees half an object. Then the folder is synced, and only then `create` returns.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from services.core.errors import NotFound, Reason, TooLarge, Unavailable
from services.store.port import Store, check_key

_TEMPORARY = ".tmp"
_LEFT_S = 86_400  # a temporary file as old as this belongs to a writer that died


class DirectoryStore(Store):
    """Objects as files below ``root``, which is made when it is missing. Raises: Unavailable when it cannot be."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with _store_errors():
            (root / _TEMPORARY).mkdir(parents=True, exist_ok=True)
            for entry in os.scandir(root / _TEMPORARY):
                with suppress(FileNotFoundError):
                    if time.time() - entry.stat().st_mtime > _LEFT_S:
                        os.unlink(entry.path)

    def create(self, key: str, data: bytes | Iterable[bytes]) -> bool:
        target = self._path(key)
        temporary = self.root / _TEMPORARY / uuid4().hex
        with _store_errors():
            try:
                with open(temporary, "xb") as file:
                    for chunk in (data,) if isinstance(data, bytes) else data:
                        file.write(chunk)
                    file.flush()
                    os.fsync(file.fileno())
                self._make_folder(target.parent)
                try:
                    os.link(temporary, target)
                    won = True
                except FileExistsError:
                    won = False
                _sync_folder(target.parent)  # also for the loser: who won may have died before doing it
                return won
            finally:
                temporary.unlink(missing_ok=True)

    def read(self, key: str, start: int = 0, size: int | None = None) -> bytes:
        with _store_errors(), open(self._path(key), "rb") as file:
            file.seek(start)
            return file.read() if size is None else file.read(size)

    def size(self, key: str) -> int:
        with _store_errors():
            return self._path(key).stat().st_size

    def list(self, prefix: str) -> Iterator[str]:
        with _store_errors():
            walk = os.walk(self._path(prefix), onerror=_unless_missing)
            files = [Path(folder) / name for folder, _, names in walk for name in names]
        yield from sorted(file.relative_to(self.root).as_posix() for file in files)

    def folders(self, prefix: str) -> Iterator[str]:
        with _store_errors():
            try:
                names = sorted(entry.name for entry in os.scandir(self._path(prefix)) if entry.is_dir())
            except FileNotFoundError:
                names = []
        yield from names

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _store_errors():
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if folder == self.root:
                    break
                try:
                    folder.rmdir()
                except OSError:  # not empty, or a writer just made it again: it stays
                    break

    def check(self) -> None:
        probe = self.root / _TEMPORARY / uuid4().hex
        with _store_errors():
            try:
                probe.write_bytes(b"calque")
                if probe.read_bytes() != b"calque":
                    raise Unavailable("The store does not give back what was written.", Reason.STORE_UNAVAILABLE)
            finally:
                probe.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and its parents, each entry durable in its parent."""
        missing = []
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for made in reversed(missing):
            made.mkdir(exist_ok=True)
            _sync_folder(made.parent)


def _unless_missing(error: OSError) -> None:
    """A folder that is not there has no objects; one that cannot be read is an error, not empty."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _store_errors() -> Iterator[None]:
    """Turn the system's errors into ours. Keys appear in no message: they may tell of a patient's study."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound("There is no such object in the store.") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TooLarge("The store has no room left; nothing was written.", Reason.STORE_FULL) from error
        cause = os.strerror(error.errno) if error.errno else type(error).__name__
        raise Unavailable(f"The store does not answer ({cause}).", Reason.STORE_UNAVAILABLE) from error
