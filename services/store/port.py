"""The store's port: named, immutable objects.

An object is written once, whole, and durably, or not at all; it is never overwritten. Whatever changes in time is a series
of numbered objects, of which the highest number counts. `create` is the only race that there is, and it has one winner.

Keys are parts of ``[A-Za-z0-9._-]`` joined by ``/``; a part never begins with a dot.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from services.core.errors import InvalidInput

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")


class Store(Protocol):
    """Where volumes, logs and masks lie. All calls block; all may raise Unavailable or TooLarge (STORE_FULL)."""

    def create(self, key: str, data: bytes | Iterable[bytes]) -> bool:
        """Make an object of ``data``, durably, before returning. False, and no change, when the key is taken."""
        ...

    def adopt(self, key: str, path: Path) -> bool:
        """As `create`, of the bytes of a file in a `scratch` folder, which is not changed any more."""
        ...

    def scratch(self) -> AbstractContextManager[Path]:
        """A folder for files that are to become objects; it goes with the context, and what is left in it."""
        ...

    def file(self, key: str) -> Path | None:
        """An object as a file to be read and never written, where the store has it as one. Raises: NotFound."""
        ...

    def read(self, key: str, start: int = 0, size: int | None = None) -> bytes:
        """Bytes ``start`` to ``start + size`` of an object, or to its end. Raises: NotFound."""
        ...

    def size(self, key: str) -> int:
        """Bytes of an object. Raises: NotFound."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Keys below the folder ``prefix``, sorted."""
        ...

    def written(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Keys below the folder ``prefix`` and when each was written, milliseconds since 1970 by the store's clock."""
        ...

    def folders(self, prefix: str) -> Iterator[str]:
        """Names directly below ``prefix`` that have objects below them, sorted."""
        ...

    def delete(self, key: str) -> None:
        """Remove one object; nothing happens when there is none."""
        ...

    def check(self) -> None:
        """Raise Unavailable unless objects can be made and read now."""
        ...


def is_identifier(text: str) -> bool:
    """Whether a text can be an identifier that we made: ASCII letters and digits."""
    return text.isascii() and text.isalnum()


def check_key(key: str) -> str:
    """The key itself. Raises: InvalidInput when it is not one."""
    if len(key) > 512 or not _KEY.fullmatch(key):
        raise InvalidInput("This name cannot be used for an object in the store.")
    return key
