"""Temporary folders for patients' files: gone when they are done with, and after a crash at the next start.

All lie in one folder of this user below the system's folder for temporary files; see `services.core.held`.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.core.errors import Reason, TooLarge, Unavailable
from services.core.held import held_folder, sweep


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder for files on their way.

    Raises:
        TooLarge: STORE_FULL, a file in it finds no room.
        Unavailable: the folder around it belongs to somebody else.
    """
    try:
        with held_folder(_around()) as folder:
            yield folder
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        message = "The server has no room for files on their way; try again when there is some."
        raise TooLarge(message, Reason.STORE_FULL) from error


def clean_scratch() -> int:
    """Remove the folders of processes that are gone. Returns how many there were. Raises: Unavailable."""
    return sweep(_around())


def _around() -> Path:
    """The folder of all scratch folders, made when it is missing. Raises: Unavailable."""
    folder = Path(tempfile.gettempdir(), f"calque-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise Unavailable("The folder for temporary files is not this user's; set TMPDIR to one that is.")
    return folder
