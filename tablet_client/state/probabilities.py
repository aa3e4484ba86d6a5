"""What the server computed: probability slices, the newest of each, and what the whole volume counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tablet_client.state.geometry import Plane
from tablet_client.state.slicecache import Key, Room, SliceCache


class Probabilities:
    """Probability slices ``(rows, columns)`` uint8 with the generation that made each, and the log that it knew.

    Args:
        room: holds them.

    Attributes:
        newest: generation of the newest slice that came, and the entries of the log that it takes into account.
        suggested: threshold, 1 to 255, at which the service expects the best mask of that generation; 0: it does not say.
    """

    def __init__(self, room: Room) -> None:
        self._slices = SliceCache(room, self._gone)
        self._generations: dict[Key, int] = {}
        self._entries: dict[Key, int] = {}
        self.newest = (0, 0)
        self.suggested = 0
        self._counts: NDArray[np.int64] | None = None  # of all slices, the last time
        self._counts_generation = 0
        self._complete = False

    def put(
        self,
        plane: Plane,
        index: int,
        generation: int,
        levels: NDArray[np.uint8],
        entries: int = 0,
        suggested: int = 0,
    ) -> bool:
        """Take an answer that knows ``entries`` of the log and suggests a threshold, if not 0.

        Returns:
            False when a newer one of this slice is held: it was dropped.
        """
        if generation >= self.newest[0]:
            self.newest = (generation, entries)
            self.suggested = suggested if 1 <= suggested <= 255 else self.suggested
        if generation < self._generations.get((plane, index), 0) and self._slices.has(plane, index):
            return False
        self._generations[plane, index] = generation
        self._entries[plane, index] = entries
        self._slices.put(plane, index, levels)
        return True

    def get(self, plane: Plane, index: int) -> NDArray[np.uint8] | None:
        """Levels 0 to 255 of a slice, or None."""
        return self._slices.get(plane, index)

    def generation(self, plane: Plane, index: int) -> int | None:
        """The generation of a held slice, or None."""
        return self._generations.get((plane, index))

    def entries(self, plane: Plane, index: int) -> int:
        """Entries of the log that a held slice takes into account; 0 when it is not held."""
        return self._entries.get((plane, index), 0)

    @property
    def counts_generation(self) -> int:
        """The generation of the histogram."""
        return self._counts_generation

    def put_counts(self, generation: int, counts: Sequence[int], complete: bool) -> bool:
        """Take a histogram of 256 levels. Returns: False when it is older than the one held, or not of 256 counts."""
        if generation < self._counts_generation or len(counts) != 256:
            return False
        if complete:
            self._counts = np.array(counts, dtype=np.int64)
        self._counts_generation, self._complete = generation, complete
        return True

    @property
    def complete(self) -> bool:
        """The histogram holds all slices."""
        return self._complete

    def object_ml(self, threshold: int, voxel_ml: float) -> float | None:
        """Volume of the object p ≥ threshold in millilitres, when all slices were computed the last time; None before.

        A part of the slices would give a number that looks like a volume and is none.
        """
        return None if self._counts is None else object_ml(self._counts, threshold, voxel_ml)

    def restart(self) -> None:
        """The server opened the annotation anew and counts generations from the start: whatever it sends now is newer."""
        self._generations = dict.fromkeys(self._generations, 0)
        self._counts_generation = 0
        self.newest = (0, self.newest[1])

    def clear(self) -> None:
        """Forget everything."""
        self._slices.clear()
        self._generations.clear()
        self._entries.clear()
        self._counts, self._counts_generation, self._complete = None, 0, False
        self.newest, self.suggested = (0, 0), 0

    def _gone(self, key: Key) -> None:
        del self._generations[key], self._entries[key]


def object_ml(counts: NDArray[np.int64], threshold: int, voxel_ml: float) -> float:
    """Millilitres of the voxels with a level of at least ``threshold`` (1 to 255), from counts ``(256,)``."""
    return int(counts[max(1, threshold) :].sum()) * voxel_ml
