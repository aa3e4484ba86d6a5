"""An annotation at work: its log, its computation, and who looks at it.

Events become durable on the log's own path and are acknowledged there; computing follows behind, in threads, one small step
at a time. After each step the newest state decides what is next: fit, then what somebody looks at, then the rest outward
from there. So a running step is finished, nothing is queued, and a row of quick strokes gives a row of masks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from services.core.errors import CalqueError, ChoiceNeeded, NotFound, Reason
from services.core.geometry import Plane, acquisition_plane, plane_geometry
from services.segmentation.computation import Computation
from services.segmentation.events import check, parse, to_action
from services.store.annotations import AnnotationRecord, Annotations
from services.store.catalogue import VolumeRecord
from services.store.log import Log

log = structlog.get_logger()

View = tuple[Plane, int]


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
    labelled: tuple[int, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """A whole probability: ``levels`` ``(slices, rows, columns)`` uint8, the log's length that it is made from, and how."""

    levels: NDArray[np.uint8]
    log_length: int
    settings: Settings


class Listener(Protocol):
    """Somebody who looks."""

    view: View | None

    def changed(self) -> None:
        """Something is new: entries, writer, probability, progress."""

    def failed(self, error: CalqueError) -> None:
        """Computing failed; the events are kept."""


@dataclass
class _Wanted:
    """What computing has to reach: a log length, asked for at a time (monotonic seconds)."""

    length: int = 0
    since: float = 0.0
    waiting: list[tuple[int, asyncio.Future[Snapshot]]] = field(default_factory=list)


class Workspace:
    """One annotation in this process. Its methods are called in one asyncio loop."""

    def __init__(
        self,
        annotation: AnnotationRecord,
        volume: VolumeRecord,
        computation: Computation,
        entries: Log,
        annotations: Annotations,
        pool: Executor,
        threads: int,
    ) -> None:
        self.annotation = annotation
        self.volume = volume
        self.computation = computation
        self.log = entries
        self.planes = {plane: plane_geometry(volume.shape, volume.affine_array, plane) for plane in Plane}
        self.settings = Settings()
        self.measured = Measured()
        self.fitted_length = 0
        self.listeners: set[Listener] = set()
        self._annotations = annotations
        self._pool = pool
        self._threads = threads
        self._applied = 0
        self._fitted_settings: Settings | None = None
        self._announced = 0  # generation whose whole volume was announced
        self._wanted = _Wanted()
        self._log_lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._compute(), name="workspace")
        self.segment()

    # The log

    async def begin(self, session_id: str) -> None:
        """Make a session the writer."""
        async with self._log_lock:
            await asyncio.to_thread(self.log.begin, session_id)
        self._changed()

    async def refresh(self) -> None:
        """Read what another process wrote."""
        async with self._log_lock:
            await asyncio.to_thread(self.log.refresh)
        self.segment()
        self._changed()

    async def append(self, session_id: str, sequence: int, body: bytes, sha256: bytes) -> int:
        """Make an event durable and return its position; computing follows. Errors are those of ``Annotate``."""
        event = parse(body)
        check(event, sequence, self.planes, [label.value for label in self.annotation.labels])
        if event.WhichOneof("action") == "mask_import":
            await asyncio.to_thread(self._mask, event.mask_import.mask_digest)
        async with self._log_lock:
            position = await asyncio.to_thread(self.log.append, session_id, sequence, body, sha256)
        if self.settings.live:
            self.segment()
        self._changed()
        return position

    # What is wanted

    def segment(self) -> None:
        """Compute with all events that are there now."""
        if self.log.last_event > self._wanted.length:
            self._wanted.length = self.log.last_event
            self._wanted.since = time.monotonic()
        self._wake.set()

    def set_settings(self, settings: Settings) -> None:
        """Compute in another way."""
        self.settings = settings
        self._wake.set()

    def look(self) -> None:
        """A listener's view changed."""
        self._wake.set()

    async def snapshot(self) -> Snapshot:
        """The whole probability with all events that are there now. Raises: ChoiceNeeded (NOT_SEGMENTED)."""
        future: asyncio.Future[Snapshot] = asyncio.get_running_loop().create_future()
        self._wanted.waiting.append((self.log.last_event, future))
        self.segment()
        return await future

    async def drawn(self) -> NDArray[np.uint8]:
        """Labels of all voxels, ``(slices, rows, columns)`` uint8, 0 where nothing is drawn."""
        await asyncio.get_running_loop().run_in_executor(self._pool, self._catch_up)
        return self.computation.labels.array.copy()

    @property
    def idle(self) -> bool:
        """Nobody looks, and nobody waits."""
        return not self.listeners and not self._wanted.waiting

    async def close(self) -> None:
        """Stop computing."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    # Computing, step by step

    async def _compute(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while await self._step():
                    self._changed()
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
            return True
        if self.computation.forest is None:
            self._answer_waiting()
            return await self._each(self.computation.load_features, self._without_features())
        if await self._views():
            return True
        stale = np.flatnonzero(self.computation.current != self.computation.generation)
        if len(stale):
            return await self._each(self.computation.predict, self._outward(stale))
        return self._announce()

    async def _fit(self) -> None:
        run = asyncio.get_running_loop().run_in_executor
        settings = self._fit_settings()
        started = time.monotonic()
        length = await run(self._pool, self._catch_up)
        samples, labels = await run(self._pool, self.computation.gather)
        gathered = time.monotonic()

        def fit() -> None:
            self.computation.fit(samples, labels, seed=settings.seed, shown_label=settings.shown_label)

        await run(self._pool, fit)
        self.fitted_length, self._fitted_settings = length, settings
        forest = self.computation.forest
        self.measured = Measured(
            generation=self.computation.generation,
            gather_ms=(gathered - started) * 1e3,
            fit_ms=(time.monotonic() - gathered) * 1e3,
            out_of_bag=forest.out_of_bag if forest else 0.0,
            labelled=tuple(int((labels == label.value).sum()) for label in self.annotation.labels),
        )

    async def _views(self) -> bool:
        """Bring what somebody looks at up to date, in any plane."""
        for view in {listener.view for listener in self.listeners if listener.view}:
            plane, index = self.planes[view[0]], view[1]
            if self.computation.image(plane, index) is not None:
                continue
            run = asyncio.get_running_loop().run_in_executor
            if plane.slice_axis == 0:
                await run(self._pool, self.computation.predict, plane.voxel_index(index))
            else:
                await run(self._pool, self.computation.predict_cut, plane, index)
            if not self.measured.visible_ms:
                self.measured.visible_ms = self._since_asked()
            return True
        return False

    async def _each(self, work: Callable[[int], object], indices: Iterable[int]) -> bool:
        """Do the first few of a list of slices, one a thread."""
        run = asyncio.get_running_loop().run_in_executor
        some = [index for index, _ in zip(indices, range(self._threads))]
        await asyncio.gather(*(run(self._pool, work, index) for index in some))
        return bool(some)

    def _announce(self) -> bool:
        """The whole volume is up to date: say so once, and hand it to those who wait."""
        news = self._announced != self.computation.generation
        if news:
            self._announced = self.computation.generation
            self.measured.volume_ms = self._since_asked()
        self._answer_waiting()
        return news

    def _answer_waiting(self) -> None:
        ready = [future for length, future in self._wanted.waiting if length <= self.fitted_length or not length]
        self._wanted.waiting = [(n, f) for n, f in self._wanted.waiting if f not in ready]
        if not ready:
            return
        if self.computation.forest is None:
            message = "There is no mask yet: draw a little of the object and a little of what is not."
            for future in ready:
                if not future.done():
                    future.set_exception(ChoiceNeeded(message, Reason.NOT_SEGMENTED))
            return
        kept = Snapshot(self.computation.levels.copy(), self.fitted_length, self.settings)
        for future in ready:
            if not future.done():
                future.set_result(kept)

    def _catch_up(self) -> int:
        """Apply the log's new entries to the labels, in a thread. Returns the log's length that the labels stand for."""
        entries = self.log.entries[self._applied :]
        for entry in entries:
            if entry.sequence:
                event = parse(entry.body)
                mask = self._mask(event.mask_import.mask_digest) if event.WhichOneof("action") == "mask_import" else None
                action = to_action(event, self.planes, self.volume.shape, mask)
                if action is not None:
                    self.computation.labels.apply(action)
            self._applied = entry.position
        return self._applied

    def _mask(self, digest: str) -> NDArray[np.bool_]:
        return self._annotations.get_blob(self.annotation.annotation_id, digest, self.volume.shape)

    def _outward(self, indices: NDArray[np.intp]) -> list[int]:
        """Slices ordered by their distance from the first one that somebody looks at, else from the middle."""
        centre = self.volume.shape[0] // 2
        acquired = acquisition_plane(self.volume.shape, self.volume.affine_array)
        for listener in self.listeners:
            if listener.view and listener.view[0] == acquired:
                centre = self.planes[acquired].voxel_index(listener.view[1])
        return sorted((int(index) for index in indices), key=lambda index: abs(index - centre))

    def _without_features(self) -> list[int]:
        missing = [s for s in range(self.volume.shape[0]) if not self.computation.has_features(s)]
        return self._outward(np.array(missing, dtype=np.intp))

    def _fit_settings(self) -> Settings:
        """What of the settings changes the probability."""
        return Settings(self.settings.preset, True, self.settings.seed, self.settings.shown_label)

    def _since_asked(self) -> float:
        return (time.monotonic() - self._wanted.since) * 1e3

    def _changed(self) -> None:
        for listener in list(self.listeners):
            listener.changed()

    def _fail(self, error: CalqueError) -> None:
        self.fitted_length = max(self.fitted_length, self._wanted.length)  # not again until something new is asked for
        waiting, self._wanted.waiting = self._wanted.waiting, []
        for _, future in waiting:
            if not future.done():
                future.set_exception(error)
        for listener in list(self.listeners):
            listener.failed(error)


class Workspaces:
    """The annotations at work in this process; a few that nobody works on are kept, for who comes back."""

    def __init__(
        self,
        open_workspace: Callable[[str], tuple[AnnotationRecord, VolumeRecord, Computation, Log]],
        annotations: Annotations,
        pool: Executor,
        *,
        threads: int,
        kept: int,
    ) -> None:
        self._open = open_workspace
        self._annotations = annotations
        self._pool = pool
        self._threads = threads
        self._kept = kept
        self._known: dict[str, Workspace] = {}  # the one used last comes last
        self._opening: dict[str, asyncio.Lock] = {}

    async def get(self, annotation_id: str) -> Workspace:
        """The workspace of an annotation, opened where it is not. Raises: NotFound, Corrupt, Unavailable."""
        lock = self._opening.setdefault(annotation_id, asyncio.Lock())
        try:
            async with lock:
                known = self._known.pop(annotation_id, None)
                if known is None:
                    parts = await asyncio.to_thread(self._open, annotation_id)
                    known = Workspace(*parts, self._annotations, self._pool, self._threads)
                else:
                    known.annotation = await asyncio.to_thread(self._annotations.get, annotation_id)
                    await known.refresh()
                self._known[annotation_id] = known
        finally:
            if not lock.locked():
                self._opening.pop(annotation_id, None)
        await self._evict()
        return known

    async def drop(self, annotation_id: str) -> None:
        """Forget a deleted annotation; whoever looks at it is told."""
        workspace = self._known.pop(annotation_id, None)
        if workspace is not None:
            for listener in list(workspace.listeners):
                listener.failed(NotFound("This annotation was deleted.", Reason.ANNOTATION_NOT_FOUND))
            await workspace.close()

    async def close(self) -> None:
        """Stop all."""
        for annotation_id in list(self._known):
            await self._known.pop(annotation_id).close()

    async def _evict(self) -> None:
        idle = [name for name, workspace in self._known.items() if workspace.idle]
        for name in idle[: max(0, len(idle) - self._kept)]:
            await self._known.pop(name).close()
