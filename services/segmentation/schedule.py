"""When what of an annotation is computed: one small step at a time, in threads.

After each step the newest state decides what is next: fit, then what somebody looks at, then the rest outward from there.
So a running step is finished, nothing is queued, and a row of quick strokes gives a row of masks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from services.core.errors import CalqueError, ChoiceNeeded, Reason
from services.core.geometry import acquisition_plane
from services.segmentation.audience import Audience
from services.segmentation.computation import Computation
from services.segmentation.events import Planes, parse, to_action
from services.store.catalogue import VolumeRecord
from services.store.log import Log

log = structlog.get_logger()


@dataclass(frozen=True)
class Settings:
    """How to compute; fields as in ``calque.v1.AnnotateSettings``."""

    preset: str = "paper"
    live: bool = True
    seed: int = 0
    shown_label: int = 1


@dataclass
class Measured:
    """Times of the newest generation in milliseconds, counted from the event that asked for it."""

    generation: int = 0
    gather_ms: float = 0.0
    fit_ms: float = 0.0
    visible_ms: float = 0.0
    volume_ms: float = 0.0
    out_of_bag: float = 0.0
    labelled: dict[int, int] = field(default_factory=dict)  # voxels of each label


@dataclass(frozen=True)
class Snapshot:
    """A whole probability: ``levels`` ``(slices, rows, columns)`` uint8, the log's length that it is made from, and how."""

    levels: NDArray[np.uint8]
    log_length: int
    settings: Settings


@dataclass(frozen=True)
class Threads:
    """Threads of the process: ``number`` that compute, and those that acknowledgements wait for, which do nothing else."""

    compute: Executor
    number: int
    store: Executor


@dataclass
class _Wanted:
    """What computing has to reach: a log length, asked for at a time (monotonic seconds)."""

    length: int = 0
    since: float = 0.0
    waiting: list[tuple[int, asyncio.Future[Snapshot]]] = field(default_factory=list)


class Schedule:
    """What is computed of one annotation, and for whom. Its methods are called in one asyncio loop.

    Args:
        volume: what is drawn on.
        planes: its geometry.
        computation: what does the work.
        entries: the annotation's log.
        mask: content of an uploaded mask by its digest; blocks.
        audience: who looks.
        threads: that compute.
    """

    def __init__(
        self,
        volume: VolumeRecord,
        planes: Planes,
        computation: Computation,
        entries: Log,
        mask: Callable[[str], NDArray[np.bool_]],
        audience: Audience,
        threads: Threads,
    ) -> None:
        self.settings = Settings()
        self.measured = Measured()
        self.fitted_length = 0
        """Entries of the log that the newest forest takes into account."""
        self._volume = volume
        self._planes = planes
        self._computation = computation
        self._log = entries
        self._mask = mask
        self._audience = audience
        self._threads = threads
        self._applied = 0
        self._fitted_settings: Settings | None = None
        self._announced = 0  # generation whose whole volume was announced
        self._asked = 0.0  # when the newest generation was asked for
        self._wanted = _Wanted()
        self._labels_lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._compute(), name="schedule")
        self.segment()

    # What is wanted

    def segment(self, since: float | None = None) -> None:
        """Compute with all events that are there now; ``since`` is when the last one arrived (monotonic seconds)."""
        if self._log.last_event > self._wanted.length:
            self._wanted.length = self._log.last_event
            self._wanted.since = since or time.monotonic()
        self._wake.set()

    def set_settings(self, settings: Settings) -> None:
        """Compute in another way."""
        self.settings = settings
        if self._fitted_settings != self._fit_settings():
            self._wanted.since = time.monotonic()
        if settings.live:  # also with what was drawn before
            self.segment()
        self._wake.set()

    def look(self) -> None:
        """A listener's view changed."""
        self._wake.set()

    async def snapshot(self) -> Snapshot:
        """The whole probability with all events that are there now. Raises: ChoiceNeeded (NOT_SEGMENTED)."""
        future: asyncio.Future[Snapshot] = asyncio.get_running_loop().create_future()
        self._wanted.waiting.append((self._log.last_event, future))
        self.segment()
        return await future

    async def drawn(self) -> tuple[NDArray[np.uint8], int]:
        """Labels ``(slices, rows, columns)`` uint8, 0 where nothing is drawn, and the log's length that they stand for."""
        async with self._labels_lock:
            length = await self._run(self._catch_up)
            return await self._run(self._computation.labels.array.copy), length

    @property
    def waited_for(self) -> bool:
        """Somebody waits for a snapshot."""
        return bool(self._wanted.waiting)

    async def close(self, error: CalqueError) -> None:
        """Stop computing. Who waits for a snapshot is told why."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._refuse_waiting(error)

    # Computing, step by step

    async def _compute(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while await self._step():
                    self._audience.changed()
            except CalqueError as error:
                self._fail(error)
            except Exception as error:  # told to whoever looks; the log has the traceback, and the next event tries again
                log.error("computing failed", exc_info=error)
                self._fail(CalqueError("Computing the mask failed; your strokes are kept. Draw on, or try again."))

    async def _step(self) -> bool:
        """The most wanted piece of work. False when there is none."""
        if self._wanted.length > self.fitted_length or (
            self.fitted_length and self._fitted_settings != self._fit_settings()
        ):
            await self._fit()
            # In the same step: strokes that come faster than forests are fitted would else put off every mask.
            if self._computation.forest is not None:
                await self._views()
            return True
        if self._computation.forest is None:
            await self._answer_waiting()
            return await self._each(self._computation.load_features, self._without_features())
        if await self._views():
            return True
        if self._computation.drafting:
            return await self._walk()
        stale = np.flatnonzero(self._computation.current != self._computation.generation)
        if len(stale):
            return await self._each(self._computation.predict, self._outward(stale))
        return await self._announce()

    async def _fit(self) -> None:
        settings, self._asked = self._fit_settings(), self._wanted.since
        started = time.monotonic()
        async with self._labels_lock:
            length = await self._run(self._catch_up)
            samples, labels = await self._run(self._computation.gather)
            drawn = await self._run(self._computation.labels.array.copy) if settings.preset == "calque" else None
        gathered = time.monotonic()

        def fit() -> None:
            seed, shown = settings.seed, settings.shown_label
            if drawn is None or not self._computation.learn(drawn, seed=seed, shown_label=shown):
                self._computation.fit(samples, labels, seed=seed, shown_label=shown)

        await self._run(fit)
        self.fitted_length, self._fitted_settings = length, settings
        forest = self._computation.forest
        self.measured = Measured(
            generation=self._computation.generation,
            gather_ms=(gathered - started) * 1e3,
            fit_ms=(time.monotonic() - gathered) * 1e3,
            out_of_bag=forest.out_of_bag if forest else 0.0,
            labelled={int(label): int(count) for label, count in zip(*np.unique(labels, return_counts=True))},
        )

    async def _views(self) -> bool:
        """Bring what somebody looks at up to date, in any plane."""
        for view in self._audience.views:
            plane, index = self._planes[view[0]], view[1]
            if self._computation.image(plane, index) is not None:
                continue
            if plane.slice_axis and self._computation.cuts_wait:
                continue
            if plane.slice_axis == 0:
                await self._run(self._computation.predict, plane.voxel_index(index))
            else:
                await self._run(self._computation.predict_cut, plane, index)
            if not self.measured.visible_ms:
                self.measured.visible_ms = self._since_asked()
            return True
        return False

    async def _walk(self) -> bool:
        """A step from drafts to what replaces them."""
        missing = self._computation.missing()
        if missing:
            return await self._each(self._computation.ask, self._outward(np.array(missing, dtype=np.intp)))
        await self._run(self._computation.walk)
        return True

    async def _each(self, work: Callable[[int], object], indices: Iterable[int]) -> bool:
        """Do the first few of a list of slices, one a thread; all have ended when this does, also when one fails."""
        some = list(islice(indices, self._threads.number))
        done = await asyncio.gather(*(self._run(work, index) for index in some), return_exceptions=True)
        for failure in done:
            if isinstance(failure, BaseException):
                raise failure
        return bool(some)

    async def _run(self, work: Callable[..., Any], *arguments: object) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads.compute, work, *arguments)

    async def _announce(self) -> bool:
        """The whole volume is up to date: say so once, and hand it to those who wait."""
        news = self._announced != self._computation.generation
        if news:
            self._announced = self._computation.generation
            self.measured.volume_ms = self._since_asked()
        await self._answer_waiting()
        return news

    async def _answer_waiting(self) -> None:
        """Hand the whole probability, or the lack of one, to those who wait for no later event."""
        if not self._wanted.waiting:
            return
        if self._computation.forest is None:
            message = "There is no mask yet: draw a little of the object and a little of what is not."
            self._refuse_waiting(ChoiceNeeded(message, Reason.NOT_SEGMENTED), self.fitted_length)
            return
        settings = self.settings
        kept = Snapshot(await self._run(self._computation.levels.copy), self.fitted_length, settings)
        for future in self._no_longer_waiting(self.fitted_length):
            future.set_result(kept)

    def _refuse_waiting(self, error: CalqueError, length: int | None = None) -> None:
        for future in self._no_longer_waiting(length):
            future.set_exception(error)

    def _no_longer_waiting(self, length: int | None) -> list[asyncio.Future[Snapshot]]:
        """Take those off the list who wait for at most ``length`` entries of the log, or, with None, all."""
        ready = [future for n, future in self._wanted.waiting if length is None or n <= length]
        self._wanted.waiting = [one for one in self._wanted.waiting if one[1] not in ready]
        return [future for future in ready if not future.done()]

    def _catch_up(self) -> int:
        """Apply the log's new entries to the labels, in a thread. Returns the log's length that the labels stand for."""
        entries = self._log.entries[self._applied :]
        for entry in entries:
            if entry.sequence:
                event = parse(entry.body, entry.sequence)
                mask = self._mask(event.mask_import.mask_digest) if event.WhichOneof("action") == "mask_import" else None
                action = to_action(event, self._planes, self._volume.shape, mask)
                if action is not None:
                    self._computation.labels.apply(action)
            self._applied = entry.position
        return self._applied

    def _outward(self, indices: NDArray[np.intp]) -> list[int]:
        """Slices ordered by their distance from the first one that somebody looks at, else from the middle."""
        centre = self._volume.shape[0] // 2
        acquired = acquisition_plane(self._volume.shape, self._volume.affine_array)
        for plane, index in self._audience.views:
            if plane == acquired:
                centre = self._planes[acquired].voxel_index(index)
        return sorted((int(index) for index in indices), key=lambda index: abs(index - centre))

    def _without_features(self) -> list[int]:
        missing = [s for s in range(self._volume.shape[0]) if not self._computation.has_features(s)]
        return self._outward(np.array(missing, dtype=np.intp))

    def _fit_settings(self) -> Settings:
        """What of the settings changes the probability."""
        return Settings(self.settings.preset, True, self.settings.seed, self.settings.shown_label)

    def _since_asked(self) -> float:
        return (time.monotonic() - self._asked) * 1e3

    def _fail(self, error: CalqueError) -> None:
        self._wanted.length = self.fitted_length  # not again until it is asked for again
        self._refuse_waiting(error)
        self._audience.failed(error)
