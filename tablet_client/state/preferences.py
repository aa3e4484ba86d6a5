"""What the user prefers on this tablet, whatever is open."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tablet_client.state.address import parse_address
from tablet_client.state.kept import mend_kept, write_kept
from tablet_client.state.library import SORTS
from tablet_client.state.words import LANGUAGES

SIDES = ("left", "right")
JOURNAL_MB = (16, 32, 64, 128, 256, 512, 1024)
CACHE_MB = (64, 128, 256, 512, 1024, 2048)
LOCK_MINUTES = (0, 1, 2, 5, 10, 15, 30, 60)

LADDERS = {"journal_mb": JOURNAL_MB, "cache_mb": CACHE_MB, "lock_minutes": LOCK_MINUTES}
"""The sizes of what is chosen by steps."""

READER_LIMIT = 64

_NAME = "preferences.json"


@dataclass(frozen=True)
class Preferences:
    """Kept on the tablet.

    Attributes:
        server: ``"host:port"`` of the services; empty: none is known yet.
        certificate: file of the certificates (PEM) that vouch for the server; empty: the machine's
            own authority, or those that the system knows (see `link.connect`).
        tools: side of the tools, of `SIDES`.
        language: of `LANGUAGES`; empty: the system's.
        journal_mb: strokes that may wait for the server on the tablet's disk, of `JOURNAL_MB`, in 10⁶ bytes.
        reader: name under which other people see what this tablet drew, at most `READER_LIMIT` characters; may be empty.
        sort: order of the library, of `SORTS`.
        pressure: a pen's pressure changes the width of its strokes.
        lock_minutes: after so long without a touch who is signed in must sign in again, of `LOCK_MINUTES`; 0: never.
        cache_mb: slices that are held in memory, of `CACHE_MB`, in 10⁶ bytes.
    """

    server: str = ""
    certificate: str = ""
    tools: str = "left"
    language: str = ""
    journal_mb: int = 256
    cache_mb: int = 256
    reader: str = ""
    sort: str = SORTS[0]
    pressure: bool = False
    lock_minutes: int = 15

    @property
    def journal_bytes(self) -> int:
        """`journal_mb` in bytes."""
        return self.journal_mb * 1_000_000

    @property
    def cache_bytes(self) -> int:
        """`cache_mb` in bytes."""
        return self.cache_mb * 1_000_000


def read_preferences(folder: Path) -> Preferences:
    """As they were kept; what is missing or cannot be is as at the beginning."""
    return mend_kept(folder / _NAME, Preferences(), _possible)


def write_preferences(folder: Path, preferences: Preferences) -> bool:
    """Keep them, in a folder that is made when missing. Returns: False when the disk did not take them."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return write_kept(folder / _NAME, preferences)


def step(sizes: tuple[int, ...], size: int, steps: int) -> int:
    """The size so many steps up (or down, where negative) in a ladder, not beyond its ends."""
    return sizes[min(len(sizes) - 1, max(0, sizes.index(size) + steps))]


def plain_reader(text: str) -> str:
    """A name as it is kept: what the services take of it."""
    return "".join(letter for letter in text if letter.isprintable()).strip()[:READER_LIMIT].strip()


def _possible(name: str, value: Any) -> bool:
    if (sizes := LADDERS.get(name)) is not None:
        return type(value) is int and value in sizes
    if name == "pressure":
        return isinstance(value, bool)
    if not isinstance(value, str):
        return False
    if name == "server":
        return value == "" or parse_address(value) is not None
    if name == "reader":
        return value == plain_reader(value)
    return {"tools": value in SIDES, "language": value in ("", *LANGUAGES), "sort": value in SORTS}.get(name, True)
