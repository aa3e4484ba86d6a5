"""Ways to draw that differ from the simulated clinician's usual one: what is good for one of them alone is not good."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from services.bench.pen import Path

RING = 5.5
"""Usual distance of the ring from the object, in pixels."""
OPEN = 0.4
"""An open ring lacks so much of its length."""
SHAKE = 2.0
"""A shaky hand leaves its path by at most so many pixels."""
SWING = 3.0
"""And swings as noise does that is smoothed over so many pixels of the path (the standard deviation of a Gaussian)."""


@dataclass(frozen=True)
class Habit:
    """What a hand draws, and how.

    Attributes:
        ring: distance of the ring around the object in pixels; None: no ring.
        closed: the ring is closed.
        lines: straight lines across the background are drawn.
        half: of each kind of strokes only every second one is drawn, the first always.
        most: along an object, around it and along wrong regions at most so many strokes are drawn, the longest; None: all.
        shaky: the pen leaves its path.
    """

    ring: float | None = RING
    closed: bool = True
    lines: bool = True
    half: bool = False
    most: int | None = None
    shaky: bool = False

    def some(self, paths: list[Path]) -> list[Path]:
        """What is drawn of the strokes of one kind."""
        return paths[:: 2 if self.half else 1]

    def longest(self, paths: list[Path]) -> list[Path]:
        """What is drawn of them where there may be too many for a hand."""
        some = self.some(paths)
        return some if self.most is None else sorted(some, key=lambda path: -path.length)[: self.most]

    def around(self, ring: Path) -> Path:
        """What is drawn of a ring."""
        return ring if self.closed else ring.cut(0.0, OPEN)

    def held(self, path: Path, hand: np.random.RandomState) -> Path:
        """A path as it is drawn."""
        if not self.shaky:
            return path
        even = path.sampled(1.0)
        noise = ndimage.gaussian_filter1d(hand.normal(size=(2, len(even.x))), SWING, axis=1, mode="nearest")
        noise *= SHAKE / np.hypot(*noise).max()
        return Path.through(even.x + noise[0], even.y + noise[1])


EXACT = Habit()
VARIANTS: dict[str, Habit] = {
    "ring at 3 pixels": Habit(ring=3.0),
    "ring at 8 pixels": Habit(ring=8.0),
    "ring at 12 pixels": Habit(ring=12.0),
    "open ring": Habit(closed=False),
    "no ring": Habit(ring=None),
    "no lines": Habit(lines=False),
    "half the strokes": Habit(half=True),
    "shaky hand": Habit(shaky=True),
}
"""Each differs from the usual way in one habit."""
