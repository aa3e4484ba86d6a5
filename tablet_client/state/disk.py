"""What waits for the disk, on every system alike."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path


def sync(handle: int) -> None:
    """Return when what was written to an open file is on its disk. Raises: OSError, when it is not."""
    if sys.platform == "darwin" or sys.platform == "ios":
        import fcntl  # not on Windows

        # There fsync() leaves it in the drive's own memory, which a power cut empties.
        with suppress(OSError):  # a file system that does not know it has fsync() alone
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
            return
    os.fsync(handle)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable, where the system lets a folder be opened (Windows does not)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    with suppress(OSError):
        sync(handle)
    os.close(handle)
