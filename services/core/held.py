"""Folders for files on their way: locked as long as they are used, gone with their context, swept after a crash.

Each is locked (``flock``) by the process that made it, so what a process left that was killed is told from what another one
works with. They lie in one folder, which is locked too, while one is made or the dead are swept.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4


@contextmanager
def held_folder(around: Path) -> Iterator[Path]:
    """A new folder in the folder ``around``, for this user alone. Raises: OSError."""
    folder = around / uuid4().hex
    with _locked(around, fcntl.LOCK_SH):
        folder.mkdir(mode=0o700)
        lock = _lock(folder, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def sweep(around: Path) -> int:
    """Remove what nobody holds. Returns how many there were. Raises: OSError."""
    removed = 0
    with _locked(around, fcntl.LOCK_EX):
        for entry in os.scandir(around):
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                removed += 1
                continue
            with suppress(OSError):  # held, or just gone
                lock = _lock(Path(entry.path), fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(entry.path, ignore_errors=True)
                os.close(lock)
                removed += 1
    return removed


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    lock = _lock(folder, how)
    try:
        yield
    finally:
        os.close(lock)


def _lock(folder: Path, how: int) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, how)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
