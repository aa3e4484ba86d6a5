"""The embedded store: a plain directory.

An object is written to a file without a name (``O_TMPFILE``; where the system has none, in a scratch folder), synced, and
linked to its name: ``link(2)`` fails when it is taken, so the first writer wins and nobody ever sees half an object. Then
the folder is synced, and only then `create` returns.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from services.core.errors import NotFound, Reason, TooLarge, Unavailable
from services.core.held import held_folder, sweep
from services.store.failpoints import reached
from services.store.port import Store, check_key

_TEMPORARY = ".tmp"


class DirectoryStore(Store):
    """Objects as files below ``root``, which is made when it is missing. Raises: Unavailable when it cannot be."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with _store_errors():
            (root / _TEMPORARY).mkdir(parents=True, exist_ok=True)
            self._unnamed = _links_unnamed_files(root / _TEMPORARY)

    def create(self, key: str, data: bytes | Iterable[bytes]) -> bool:
        target = self._path(key)
        with _store_errors():
            reached("begun", key)
            if self._unnamed:
                with _unnamed_file(self.root / _TEMPORARY) as file:
                    _write(file, data, key)
                    return self._publish(_name_of(file), target, key)
            with self.scratch() as folder, open(folder / "object", "xb") as file:
                _write(file, data, key)
                return self._publish(folder / "object", target, key)

    def adopt(self, key: str, path: Path) -> bool:
        target = self._path(key)
        with _store_errors():
            reached("begun", key)
            with open(path, "rb") as file:
                os.fsync(file.fileno())
            reached("synced", key)
            return self._publish(path, target, key)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        with _store_errors(), held_folder(self.root / _TEMPORARY) as folder:  # also what goes wrong with the files in it
            yield folder

    def file(self, key: str) -> Path | None:
        with _store_errors():
            path = self._path(key)
            path.stat()
            return path

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

    def written(self, prefix: str) -> Iterator[tuple[str, int]]:
        for key in self.list(prefix):
            with suppress(NotFound), _store_errors():  # deleted in this moment
                yield key, self._path(key).stat().st_mtime_ns // 1_000_000

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
        with _store_errors():
            sweep(self.root / _TEMPORARY)
        with self.scratch() as folder:
            probe = folder / "probe"
            probe.write_bytes(b"calque")
            if probe.read_bytes() != b"calque":
                raise Unavailable("The store does not give back what was written.", Reason.STORE_UNAVAILABLE)

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def _publish(self, file: Path, target: Path, key: str) -> bool:
        """Give a synced file its name, unless that is taken; durably. Returns whether it got it."""
        self._make_folder(target.parent)
        with _folder(target.parent) as folder:
            won = _link(file, target.name, folder)
            reached("named", key)
            os.fsync(folder)  # also for the loser: who won may have died before doing it
            reached("durable", key)
            return won

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and its parents, each entry durable in its parent."""
        missing = []
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for made in reversed(missing):
            made.mkdir(exist_ok=True)
            with _folder(made.parent) as parent:
                os.fsync(parent)


def _unless_missing(error: OSError) -> None:
    """A folder that is not there has no objects; one that cannot be read is an error, not empty."""
    if not isinstance(error, FileNotFoundError):
        raise error


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    """A folder's descriptor."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _link(file: Path, name: str, folder: int) -> bool:
    """Give a file a name in a folder; False where that is taken. A symbolic link, as /proc has, stands for its file."""
    try:
        os.link(file, name, dst_dir_fd=folder)
    except FileExistsError:
        return False
    return True


def _write(file: BinaryIO, data: bytes | Iterable[bytes], key: str) -> None:
    """Write an object's bytes to a file, durably."""
    for chunk in (data,) if isinstance(data, bytes) else data:
        file.write(chunk)
    file.flush()
    reached("written", key)
    os.fsync(file.fileno())
    reached("synced", key)


def _unnamed_file(around: Path) -> BinaryIO:
    """A file on the file system of a folder that vanishes with its last descriptor, unless it gets a name."""
    return open(os.open(around, os.O_TMPFILE | os.O_WRONLY, 0o666), "wb")


def _name_of(file: BinaryIO) -> Path:
    """A path of an open file that may have no name."""
    return Path("/proc/self/fd") / str(file.fileno())


def _links_unnamed_files(around: Path) -> bool:
    """Whether the file system of a folder has files without a name, and the system can give them one."""
    name = uuid4().hex
    try:
        with _unnamed_file(around) as file, _folder(around) as folder:
            _link(_name_of(file), name, folder)
            os.unlink(name, dir_fd=folder)
    except (OSError, AttributeError):  # not there (NFS), not under this name (macOS), or no /proc
        return False
    return True


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
