"""Slices on their way from the worker's file into the catalogue: summed, surveyed and shown while the others are read.

Each slice is read twice, by two threads: one makes the SHA-256 of all in their order, the other the CRC-32 of each, the
survey of intensities and now and then a picture. Both let go of Python's lock for most of the time. A third has the disk
write what has come, so that little is left to wait for at the end.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from services.core.survey import StoredRange, WindowSample, intensities
from services.core.volume import GreyMap, Volume, grey_map_of
from services.formats.room import Plan
from services.formats.shared_room import SliceFile, plan_of
from services.formats.worker import Stop
from services.store.catalogue import VoxelFile

_PREVIEW_S = 0.1
_PREVIEWS = 64
_FLUSH_BYTES = 32 << 20

Seen = Callable[[Plan, int, np.ndarray, tuple[float, float]], None]
"""Told of a slice to show: the plan, its number, its intensities ``(rows, columns)`` float32, and the window so far."""


class Intake:
    """A `Follower` of the worker. Used as a context; what it has begun ends with it.

    Args:
        stop: ends the work.
        progress: called with slices that are read and slices in all.
        seen: called now and then, from a thread, with a slice to show.
    """

    def __init__(self, stop: Stop, progress: Callable[[int, int], None], seen: Seen) -> None:
        self._stop, self._progress, self._seen = stop, progress, seen
        self._pass: _Pass | None = None

    @property
    def begun(self) -> bool:
        """Whether slices come."""
        return self._pass is not None

    def begin(self, plan: Plan, path: Path) -> None:
        """See `Follower`."""
        self._end()
        self._pass = _Pass(plan, path, self._stop, self._seen)
        self._progress(0, plan.shape[0])

    def ready(self, indexes: Sequence[int]) -> None:
        """See `Follower`."""
        if self._pass is not None:
            self._pass.ready(indexes)
            self._progress(self._pass.count, self._pass.plan.shape[0])

    def finish(self, volume: Volume, path: Path) -> tuple[VoxelFile, tuple[float, float], GreyMap]:
        """Wait for the last slice of a volume that was read into ``path``. Returns: its file, window and grey map."""
        if self._pass is None or not self._pass.tells(volume):
            self.begin(plan_of(volume), path)
            self.ready(range(volume.shape[0]))
        assert self._pass is not None
        return self._pass.finish()

    def __enter__(self) -> Intake:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def _end(self) -> None:
        if self._pass is not None:
            self._pass.end()


class _Pass:
    """The slices of one plan."""

    def __init__(self, plan: Plan, path: Path, stop: Stop, seen: Seen) -> None:
        self.plan, self.path = plan, path
        self._stop, self._seen = stop, seen
        self._sha256 = hashlib.sha256()
        self._crc32 = [0] * plan.shape[0]
        self._window = WindowSample(plan.shape, plan.dtype, plan.slope, plan.intercept)
        self._range = StoredRange(plan.dtype, plan.slope, plan.intercept)
        self._come: set[int] = set()
        self._error: BaseException | None = None
        works = (self._digest, self._survey, self._flush)
        self._queues: list[queue.SimpleQueue[int | None]] = [queue.SimpleQueue() for _ in works]
        self._threads = [
            threading.Thread(target=self._run, args=(work, waiting), name=f"import{work.__name__}")
            for work, waiting in zip(works, self._queues)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def count(self) -> int:
        """Slices that have come."""
        return len(self._come)

    def ready(self, indexes: Sequence[int]) -> None:
        """Slices have come; each counts once."""
        for index in indexes:
            if 0 <= index < self.plan.shape[0] and index not in self._come:
                self._come.add(index)
                for waiting in self._queues:
                    waiting.put(index)

    def tells(self, volume: Volume) -> bool:
        """Whether a volume is what was planned, and all of it has come."""
        return (
            (volume.shape, volume.voxels.dtype) == (self.plan.shape, self.plan.dtype)
            and np.array_equal(volume.slope, self.plan.slope)
            and np.array_equal(volume.intercept, self.plan.intercept)
            and len(self._come) == volume.shape[0]
        )

    def finish(self) -> tuple[VoxelFile, tuple[float, float], GreyMap]:
        """Wait for all slices. Raises: what went wrong in a thread."""
        self.end()
        if self._error is not None:
            raise self._error
        self._stop.check()
        file = VoxelFile(self.path, self._sha256.hexdigest(), tuple(self._crc32))
        return file, self._window.window(), grey_map_of(self._range, self.plan.slope, self.plan.intercept)

    def end(self) -> None:
        """Begin nothing more, and wait for what runs."""
        for waiting in self._queues:
            waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self, work: Callable[[queue.SimpleQueue[int | None]], None], waiting: queue.SimpleQueue[int | None]) -> None:
        try:
            work(waiting)
        except BaseException as error:  # raised again by `finish`
            self._error = error

    def _digest(self, waiting: queue.SimpleQueue[int | None]) -> None:
        following, early = 0, set[int]()
        with SliceFile(self.path, self.plan) as slices:
            while (index := waiting.get()) is not None:
                early.add(index)
                while following in early and not self._stop.asked:
                    early.remove(following)
                    self._sha256.update(slices.read(following).data)
                    following += 1

    def _survey(self, waiting: queue.SimpleQueue[int | None]) -> None:
        shown, at = 0, time.monotonic()
        with SliceFile(self.path, self.plan) as slices:
            while (index := waiting.get()) is not None:
                if self._stop.asked:
                    continue
                image = slices.read(index)
                self._crc32[index] = zlib.crc32(image.data)
                self._window.add(index, image)
                self._range.add(index, image)
                if shown < _PREVIEWS and time.monotonic() - at > _PREVIEW_S:
                    window = self.plan.voi or self._window.window()
                    self._seen(
                        self.plan, index, intensities(image, self.plan.slope[index], self.plan.intercept[index]), window
                    )
                    shown, at = shown + 1, time.monotonic()

    def _flush(self, waiting: queue.SimpleQueue[int | None]) -> None:
        since = 0
        with self.path.open("rb") as file:
            while waiting.get() is not None:
                since += self.plan.slice_bytes
                if since >= _FLUSH_BYTES:
                    os.fdatasync(file.fileno())
                    since = 0
