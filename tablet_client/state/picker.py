"""What the tablet asks of the system's own picker of files, where the system lets applications see files by it alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

Told = Callable[[int, int], None]
"""Told of progress, on the loop: files copied, and files in all."""


class PickerError(Exception):
    """The picker could not be shown, or what was chosen could not be read or written: ``str()`` is a sentence to show."""


class Picker(Protocol):
    """The system's picker. What is picked is copied, since it can be read through the picker only, and only for now."""

    async def files(self, told: Told) -> Path | None:
        """Have files chosen. Returns: the copy of the one file, or the folder of the copies of several; None when none was
        chosen. Raises: PickerError; then no copy is left."""
        ...

    async def folder(self, told: Told) -> Path | None:
        """Have a folder chosen. Returns: the folder of the copies of all that is in it; None when none was chosen.
        Raises: PickerError; then no copy is left."""
        ...

    async def forget(self, copies: Path) -> None:
        """Delete what `files` or `folder` returned."""
        ...

    async def save(self, name: str, mime: str, path: Path) -> bool:
        """Have a place chosen for a file of ours, and write it there.

        Args:
            name: suggested to the user.
            mime: kind of the file, such as ``"application/zip"``.
            path: of what is written.

        Returns:
            It was written; False when no place was chosen.

        Raises:
            PickerError: it was not written, and nothing of it is left there.
        """
        ...
