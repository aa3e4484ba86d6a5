"""What a tablet draws: event ``number`` is the same whenever it is drawn, before a crash or after."""

from __future__ import annotations

import random
from collections.abc import Mapping

from tablet_client.state.document import Document, Event
from tablet_client.state.geometry import Plane, PlaneInfo

EVENTS = 36
MASKS_AFTER = (12, EVENTS)
"""A mask is saved after so many events."""


class Script:
    """The drawing of one tablet, on its document."""

    def __init__(self, seed: str, planes: Mapping[Plane, PlaneInfo], session_id: str) -> None:
        self._seed, self._planes = seed, planes
        self._session_id = session_id

    def expected(self) -> list[bytes]:
        """The bodies of all its events."""
        document = Document(self._planes, self._session_id, now_ms=lambda: 0)
        return [self.draw(document).body for _ in range(EVENTS)]

    def draw(self, document: Document) -> Event:
        """Draw the next event."""
        number = document.next_sequence
        chance = random.Random(f"{self._seed} {number}")
        if number > 4 and (kind := chance.random()) < 0.2:  # the first strokes stay: both labels are needed for a mask
            return document.undo() if kind < 0.1 and number % 2 else document.redo()
        plane = chance.choice(sorted(self._planes))
        info = self._planes[plane]
        document.begin_stroke(
            plane,
            chance.randrange(info.slices),
            1 + number % 2,
            chance.uniform(1.0, 3.0),
            *self._somewhere(chance, info),
        )
        for _ in range(3):
            document.extend(*self._somewhere(chance, info))
        return document.finish()

    def _somewhere(self, chance: random.Random, info: PlaneInfo) -> tuple[float, float]:
        return chance.uniform(0, info.columns - 1), chance.uniform(0, info.rows - 1)
