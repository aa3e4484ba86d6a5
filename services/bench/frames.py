"""Frame times of the tablet at work as multiples of an empty frame of the same run, as a table and as figures.

They are measured by the tablet's own hand in a process of its own (``python -m tablet_client.hand.frames``).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

EMPTY = "empty"
NAMES = {"pen": "drawing with a pen", "scroll": "scrolling through cached slices", "threshold": "sliding the threshold"}


@dataclass(frozen=True)
class Frames:
    """What a hand measured.

    Attributes:
        frames_ms: for an empty frame and each work of `NAMES`, a list a round of milliseconds a frame.
        window: columns and rows of it, in pixels.
        renderer: what draws, as OpenGL says.
        pen_hz: places a second that the pen reported.
    """

    frames_ms: dict[str, list[list[float]]]
    window: tuple[int, int]
    renderer: str
    pen_hz: float


@dataclass(frozen=True)
class Multiple:
    """Frames of one work: their median and the longest in milliseconds, and both as multiples of the empty median."""

    median_ms: float
    worst_ms: float
    median: float
    worst: float
    frames: int


def multiples(found: Frames) -> dict[str, Multiple]:
    """Every work by its name, the empty frame first."""
    every = {name: [one for some in rounds for one in some] for name, rounds in found.frames_ms.items()}
    empty = median(every[EMPTY])
    return {
        name: Multiple(median(times), max(times), median(times) / empty, max(times) / empty, len(times))
        for name, times in every.items()
    }


def lines(found: Frames) -> list[str]:
    """The table for people."""
    every = multiples(found)
    wide, tall = found.window
    told = [
        f"Window of {wide} × {tall}, {found.renderer}, a pen of {found.pen_hz:.0f} places a second.",
        f"{'':32}  median  worst    ms (worst)",
    ]
    for name, one in every.items():
        words = NAMES.get(name, "an empty frame")
        told.append(f"{words:32}  {one.median:6.2f} {one.worst:6.2f}    {one.median_ms:.1f} ({one.worst_ms:.1f})")
    return told


def figures(found: Frames) -> dict[str, Any]:
    """Every time that was measured, and the multiples."""
    return {"multiples": {name: asdict(one) for name, one in multiples(found).items()}, "measured": asdict(found)}
