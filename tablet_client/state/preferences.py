"""What the user prefers on this tablet, whatever is open."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tablet_client.state.kept import read_kept, write_kept
from tablet_client.state.words import LANGUAGES

_NAME = "preferences.json"


@dataclass(frozen=True)
class Preferences:
    """Kept on the tablet.

    Attributes:
        language: of `LANGUAGES`; empty: the system's.
    """

    language: str = ""


def read_preferences(folder: Path) -> Preferences:
    """As they were kept, or those of the beginning."""
    return read_kept(folder / _NAME, Preferences(), _possible) or Preferences()


def write_preferences(folder: Path, preferences: Preferences) -> bool:
    """Keep them. Returns: False when the disk did not take them."""
    return write_kept(folder / _NAME, preferences)


def _possible(name: str, value: Any) -> bool:
    return name == "language" and (value == "" or value in LANGUAGES)
