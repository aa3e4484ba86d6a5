"""Temporary folders for patients' files: gone when they are done with, and after a crash at the next start.

All lie in one folder of this user below the system's folder for temporary files. Each is locked (``flock``) as long as its
process lives, so what a process left that was killed is told from what another one works with.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from services.core.errors import Reason, TooLarge, Unavailable


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder for files on their way.

    Raises:
        TooLarge: STORE_FULL, a file in it finds no room.
        Unavailable: the folder around it belongs to somebody else.
    """
    with _locked(_around()):
        folder = Path(tempfile.mkdtemp(dir=_around()))
        lock = _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield folder
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        message = "The server has no room to read the files; try again when there is some."
        raise TooLarge(message, Reason.STORE_FULL) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def clean_scratch() -> int:
    """Remove the folders of processes that are gone. Returns how many there were. Raises: Unavailable."""
    removed = 0
    with _locked(_around()):
        for entry in os.scandir(_around()):
            with suppress(OSError):  # in use, or just gone
                lock = _lock(Path(entry.path), fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(entry.path, ignore_errors=True)
                os.close(lock)
                removed += 1
    return removed


def _around() -> Path:
    """The folder of all scratch folders, made when it is missing. Raises: Unavailable."""
    folder = Path(tempfile.gettempdir(), f"calque-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise Unavailable("The folder for temporary files is not this user's; set TMPDIR to one that is.")
    return folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Alone among processes that make or clean scratch folders."""
    lock = _lock(folder, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(lock)


def _lock(folder: Path, how: int) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, how)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
