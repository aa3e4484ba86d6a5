"""Files of secrets: for their owner alone, whole or not at all, and of two that are made at once the first counts."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from services.core.errors import InvalidInput, Reason, Unavailable


def create(path: Path, content: bytes) -> None:
    """Write a secret where there is none yet; one that is there stays. Raises: OSError."""
    with _beside(path, content) as temporary, suppress(FileExistsError):
        os.link(temporary, path)


def replace(path: Path, content: bytes) -> None:
    """Write a secret, in the place of any other. Raises: OSError."""
    with _beside(path, content) as temporary:
        os.replace(temporary, path)


def read(path: Path, what: str) -> bytes:
    """The content of a file of secrets, which is called ``what`` in messages.

    Raises:
        InvalidInput: everybody may read it.
        Unavailable: it cannot be read.
    """
    with file_errors(path, what):
        content, mode = path.read_bytes(), path.stat().st_mode
    if mode & 0o007:
        raise InvalidInput(f"Everybody may read {what}; say: chmod 600 {path}")
    return content


@contextmanager
def file_errors(path: Path, what: str) -> Iterator[None]:
    """Turn the system's errors about a file of secrets into one sentence."""
    try:
        yield
    except OSError as error:
        cause = os.strerror(error.errno) if error.errno else type(error).__name__
        message = f"{what[0].upper()}{what[1:]} ({path}) cannot be read or made: {cause}."
        raise Unavailable(message, Reason.STORE_UNAVAILABLE) from error


@contextmanager
def _beside(path: Path, content: bytes) -> Iterator[Path]:
    """A durable temporary file in the same folder, which is made where it is missing."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
