"""Where the user was: the tablet comes back to it, whenever and however the application ended.

A small file beside the journals, written anew with each change. It goes when the user goes back to the library.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tablet_client.state.geometry import Plane
from tablet_client.state.kept import read_kept, write_kept
from tablet_client.state.tools import Tool

_NAME = "place.json"


@dataclass(frozen=True)
class Place:
    """What was open; nothing where the identifiers are empty.

    Attributes:
        volume_id, annotation_id: which.
        plane, index: the slice that was shown, its plane by name.
        tool: that was chosen, by name.
    """

    volume_id: str = ""
    annotation_id: str = ""
    plane: str = Plane.AXIAL.name
    index: int = 0
    tool: str = Tool.OBJECT.name


def read_place(folder: Path) -> Place | None:
    """Where the user was; None where nothing was open, or nothing that can be understood."""
    place = read_kept(folder / _NAME, Place(), _possible)
    return place if place and place.volume_id and place.annotation_id else None


def write_place(folder: Path, place: Place | None) -> None:
    """Keep where the user is; None: nowhere. A disk that does not take it costs a few taps after the next start."""
    if place is not None:
        write_kept(folder / _NAME, place)
        return
    with suppress(OSError):
        (folder / _NAME).unlink(missing_ok=True)


def _possible(name: str, value: Any) -> bool:
    if name == "index":
        return type(value) is int and value >= 0
    names = {"plane": Plane.__members__, "tool": Tool.__members__}.get(name)
    return isinstance(value, str) and (names is None or value in names)
