"""Features of the volumes at work: computed once for all annotations of a volume, kept within a budget of memory.

When the budget is full, what is wanted least goes: slices of the volume that nobody looks at any more, the one left longest
ago first, then slices far from those that are looked at. A slice never pushes out one that is wanted as much, so what is
kept settles and nothing goes back and forth; what has no room is computed where it is needed and let go at once. Features
depend on slice and volume alone: the result is the same bytes with any budget.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from itertools import count

import numpy as np
from numpy.typing import NDArray

from services.core import pipeline
from services.core.features import PAPER
from services.core.latent import Latent
from services.core.volume import Volume

Levels = NDArray[np.uint8]
_Rank = tuple[bool, int, int]


class Budget:
    """The account of all features in the process. Its methods may be called in any thread.

    Args:
        limit_bytes: most that is kept. What is computed just now, a slice a thread, comes beside it, and so does what an
            encoder says of a volume, at most a byte a voxel.
        threads: that share a slice that somebody looks at.
        changed: told the bytes kept, each time that they change.
    """

    def __init__(self, limit_bytes: int, threads: int = 1, changed: Callable[[int], object] = lambda held: None) -> None:
        self.limit_bytes = limit_bytes
        self.threads = threads
        self._changed = changed
        self._lock = threading.Lock()
        self._volumes: dict[str, VolumeFeatures] = {}
        self._moments = count(1)

    @property
    def held_bytes(self) -> int:
        """Bytes kept now."""
        with self._lock:
            return self._held()

    def open(self, volume_id: str, load: Callable[[], tuple[Volume, tuple[float, float]]]) -> VolumeFeatures:
        """The features of a volume; ``load`` gives it with its window where nobody has it yet. `close` them in the end."""
        with self._lock:
            known = self._volumes.get(volume_id)
        if known is None:
            known = VolumeFeatures(self, *load())
        with self._lock:  # another one may have been quicker
            known = self._volumes.setdefault(volume_id, known)
            known.users += 1
            return known

    def close(self, features: VolumeFeatures) -> None:
        """One annotation less needs them; with the last one they go."""
        with self._lock:
            features.users -= 1
            if not features.users:
                self._volumes = {name: one for name, one in self._volumes.items() if one is not features}
                features.kept.clear()
                self._changed(self._held())

    def look(self, features: VolumeFeatures, who: object, slices: Collection[int]) -> None:
        """Note which slices somebody looks at; none when they left."""
        with self._lock:
            if slices:
                features.looked_at[who] = tuple(slices)
            elif who in features.looked_at:
                features.last_looked_at = features.looked_at.pop(who)
                features.left = next(self._moments)

    def has_room(self, features: VolumeFeatures, index: int) -> bool:
        """Whether a slice that is not kept would be, once computed."""
        with self._lock:
            return index not in features.kept and self._less_wanted(features, index) is not None

    def keep(self, features: VolumeFeatures, index: int, found: Levels) -> None:
        """Keep a slice, in place of what is wanted less, if there is room for it."""
        with self._lock:
            going = self._less_wanted(features, index) if features.users else None
            if going is not None:
                for other, slice_ in going:
                    del other.kept[slice_]
                features.kept[index] = found
                self._changed(self._held())

    def _less_wanted(self, features: VolumeFeatures, index: int) -> list[tuple[VolumeFeatures, int]] | None:
        """What has to go for a slice, the least wanted first; None where that is not enough."""
        need = self._held() + features.slice_bytes - self.limit_bytes
        if need <= 0:
            return []
        rank = features.rank(index)
        ranked = [(one.rank(k), one, k) for one in self._volumes.values() for k in one.kept]
        going = []
        for _, other, slice_ in sorted((entry for entry in ranked if entry[0] < rank), key=lambda entry: entry[0]):
            going.append((other, slice_))
            need -= other.slice_bytes
            if need <= 0:
                return going
        return None

    def _held(self) -> int:
        return sum(len(one.kept) * one.slice_bytes for one in self._volumes.values())


class VolumeFeatures:
    """Features of one volume's slices. Its methods may be called in any thread.

    Attributes:
        volume, window: whose.
        kept: features by slice, ``(n_features, rows, columns)`` uint8; written by `Budget` alone, under its lock.
        looked_at: slices that somebody looks at, by who does.
        last_looked_at: the slices that who left last looked at then.
        left: when that was, as a number that rises.
        users: annotations that need them.
        latent: what an encoder says of the volume, once that is there (`services.segmentation.encoding`).
    """

    def __init__(self, budget: Budget, volume: Volume, window: tuple[float, float]) -> None:
        self.volume = volume
        self.window = window
        self.kept: dict[int, Levels] = {}
        self.looked_at: dict[object, tuple[int, ...]] = {}
        self.last_looked_at: tuple[int, ...] = (0,)
        self.left = 0
        self.users = 0
        self.latent: Latent | None = None
        self.slice_bytes = len(PAPER) * volume.shape[1] * volume.shape[2]
        self._budget = budget
        self._lock = threading.Lock()
        self._under_way: dict[int, Future[Levels]] = {}

    def __contains__(self, index: int) -> bool:
        return index in self.kept

    def __getitem__(self, index: int) -> Levels:
        """Features of a slice: `get` by one thread."""
        return self.get(index)

    def get(self, index: int, threads: int = 1) -> Levels:
        """Features of a slice, ``(n_features, rows, columns)`` uint8; two that ask at once have it computed once.

        Args:
            index: of the slice.
            threads: that share it; all of them where somebody looks at it.
        """
        with self._lock:
            found = self.kept.get(index)
            if found is not None:
                return found
            under_way = self._under_way.get(index)
            if under_way is None:
                mine = self._under_way[index] = Future()
        if under_way is not None:
            return under_way.result()
        try:
            threads = self._budget.threads if self.is_looked_at(index) else min(threads, self._budget.threads)
            found = pipeline.slice_features(self.volume, self.window, index, threads=threads)
            self._budget.keep(self, index, found)
            mine.set_result(found)
        except BaseException as error:
            mine.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._under_way[index]
        return found

    def part(self, index: int, rows: slice, columns: slice) -> Levels:
        """Features of a rectangle of a slice; where the slice is not there, of the rectangle alone."""
        found = self.kept.get(index)
        if found is None:
            return pipeline.slice_features(self.volume, self.window, index, PAPER, rows, columns)
        return found[:, rows, columns]

    def image(self, index: int) -> Levels:
        """A slice over the volume's window, ``(rows, columns)`` uint8."""
        return pipeline.image_levels(self.volume, self.window, index)

    def has_room(self, index: int) -> bool:
        """Whether a slice that is not there would be kept, once computed."""
        return self._budget.has_room(self, index)

    def look(self, who: object, slices: Collection[int]) -> None:
        """Note which slices somebody looks at; none when they left."""
        self._budget.look(self, who, slices)

    def is_looked_at(self, index: int) -> bool:
        """Whether somebody looks at a slice now."""
        return any(index in slices for slices in list(self.looked_at.values()))

    def close(self) -> None:
        """One annotation less needs them."""
        self._budget.close(self)

    def rank(self, index: int) -> _Rank:
        """How much a slice is wanted: the more the greater."""
        looked_at = bool(self.looked_at)
        centres = [one for slices in self.looked_at.values() for one in slices] or self.last_looked_at
        return looked_at, 0 if looked_at else self.left, -min(abs(index - centre) for centre in centres)

    @property
    def size_bytes(self) -> int:
        """Memory of the arrays held, the volume's voxels with them."""
        latent = self.latent.grids.nbytes if self.latent else 0
        return len(self.kept) * self.slice_bytes + latent + self.volume.voxels.nbytes
