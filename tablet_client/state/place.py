"""Where the user was: the tablet comes back to it, whenever and however the application ended.

A small file beside the journals, written anew with each change. It goes when the user goes back to the library.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from tablet_client.state.geometry import Plane
from tablet_client.state.tools import Tool

_NAME = "place.json"


@dataclass(frozen=True)
class Place:
    """What was open.

    Attributes:
        volume_id, annotation_id: which.
        plane, index: the slice that was shown.
        tool: that was chosen.
    """

    volume_id: str
    annotation_id: str
    plane: Plane
    index: int
    tool: Tool


def read_place(folder: Path) -> Place | None:
    """Where the user was; None where nothing was open, or nothing that can be understood."""
    try:
        found = json.loads((folder / _NAME).read_text(encoding="utf-8"))
        place = Place(**{**found, "plane": Plane[found["plane"]], "tool": Tool[found["tool"]]})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    sound = all(isinstance(name, str) and name for name in (place.volume_id, place.annotation_id))
    return place if sound and type(place.index) is int and place.index >= 0 else None


def write_place(folder: Path, place: Place | None) -> None:
    """Keep where the user is; None: nowhere. A disk that does not take it costs a few taps after the next start."""
    path = folder / _NAME
    try:
        if place is None:
            path.unlink(missing_ok=True)
            return
        beside = path.with_name(_NAME + ".new")
        beside.write_text(
            json.dumps({**asdict(place), "plane": place.plane.name, "tool": place.tool.name}), encoding="utf-8"
        )
        os.replace(beside, path)
    except OSError:
        return
