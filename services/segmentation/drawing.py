"""From the annotation's log to its labels: each entry once, in order, whoever asks for them meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from services.segmentation.events import Planes, parse, to_action
from services.segmentation.strokes import Strokes
from services.store.log import Log


class Drawing:
    """What of the log is drawn. Its methods block; one call at a time.

    Args:
        entries: the log.
        strokes: labels that follow it.
        planes: geometry of the volume's planes.
        mask: content of an uploaded mask by its digest; blocks.
    """

    def __init__(self, entries: Log, strokes: Strokes, planes: Planes, mask: Callable[[str], NDArray[np.bool_]]) -> None:
        self._log = entries
        self._strokes = strokes
        self._planes = planes
        self._mask = mask
        self._applied = 0

    def catch_up(self) -> int:
        """Apply new entries to the labels. Returns the log's length that the labels stand for."""
        for entry in self._log.entries[self._applied :]:
            if entry.sequence:
                event = parse(entry.body, entry.sequence)
                mask = self._mask(event.mask_import.mask_digest) if event.WhichOneof("action") == "mask_import" else None
                action = to_action(event, self._planes, self._strokes.labels.array.shape, mask)
                if action is not None:
                    self._strokes.apply(action)
            self._applied = entry.position
        return self._applied

    def copy(self) -> tuple[NDArray[np.uint8], int]:
        """Labels ``(slices, rows, columns)`` uint8, 0 where nothing is drawn, and the log's length they stand for."""
        length = self.catch_up()
        return self._strokes.labels.array.copy(), length
