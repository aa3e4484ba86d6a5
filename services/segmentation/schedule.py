"""When what of an annotation is computed: one small step at a time, in threads.

After each step the newest state decides what is next: fit, then what somebody looks at, then the rest outward from there,
then what the switches make of the whole. So a running step is finished, nothing is queued, and a row of quick strokes gives
a row of masks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice, takewhile
from typing import Any, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from services.core.errors import CalqueError, ChoiceNeeded, Reason
from services.core.geometry import Plane, acquisition_plane
from services.segmentation.advising import Advising
from services.segmentation.audience import Audience
from services.segmentation.computation import PREPARING, Computation, Fitted
from services.segmentation.drawing import Drawing
from services.segmentation.encoding import Embedding, Latents
from services.segmentation.events import Planes
from services.segmentation.fairness import Threads
from services.segmentation.settings import Learning, Measured, Settings, Snapshot
from services.segmentation.strokes import Samples
from services.segmentation.times import Times
from services.segmentation.waiting import Waiting
from services.serving import metrics
from services.store.catalogue import VolumeRecord
from services.store.log import Log

log = structlog.get_logger()

Result = TypeVar("Result")


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
        embedding: asks an encoder about the volume, where that is wanted.
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
        embedding: Embedding,
    ) -> None:
        self.settings = Settings()
        self.measured = Measured()
        self.fitted_length = 0
        """Entries of the log that the newest classifier takes into account."""
        self._planes = planes
        self.acquired: Plane = acquisition_plane(volume.shape, volume.affine_array)
        self._computation = computation
        self._log = entries
        self._drawing = Drawing(entries, computation.strokes, planes, mask)
        self._drawing_lock = asyncio.Lock()
        self._audience = audience
        self._threads = threads
        self._fitted: Learning | None = None
        self._announced = 0  # generation whose whole volume was announced
        self._wanted_length = 0  # of the log, that computing has to reach
        self._wanted_since = 0.0  # when that was asked for (monotonic seconds)
        self._asked = 0.0  # when the newest generation was asked for
        self._waiting = Waiting()
        self.advising = Advising(computation, audience, threads)
        self.latents = Latents(embedding, computation.features, self._latents_changed)
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._compute(), name="schedule")
        self.segment()

    # What is wanted

    @property
    def learning(self) -> Learning:
        """What the next classifier is to depend on: the settings, and the encoder's features if they are there."""
        return replace(self.settings.learning, latent=self.latents.found)

    def segment(self, since: float | None = None) -> None:
        """Compute with all events that are there now; ``since`` is when the last one arrived (monotonic seconds)."""
        if self._log.last_event > self._wanted_length:
            self._wanted_length = self._log.last_event
            self._wanted_since = since or time.monotonic()
        self._wake.set()

    def set_settings(self, settings: Settings) -> None:
        """Compute in another way."""
        self.settings = settings
        self.latents.want(settings.latent)
        if self._fitted != self.learning:
            self._wanted_since = time.monotonic()
        elif self._computation.complete and self._computation.switches != settings.switches:
            self._asked, self._computation.times = time.monotonic(), Times()
            self.measured = Measured(
                self._computation.generation,
                out_of_bag=self.measured.out_of_bag,
                labelled=self.measured.labelled,
                times=self._computation.times,
            )
        self._computation.switches = settings.switches
        if settings.live:  # also with what was drawn before
            self.segment()
        self._wake.set()

    def look(self) -> None:
        """A listener came or went, or its view changed."""
        self._computation.features.look(self, self._centres() if self._audience else ())
        self._wake.set()

    async def snapshot(self) -> Snapshot:
        """The whole probability with all events that are there now. Raises: ChoiceNeeded (NOT_SEGMENTED)."""
        future = self._waiting.add(self._log.last_event)
        self.segment()
        return await future

    async def drawn(self) -> tuple[NDArray[np.uint8], int]:
        """Labels ``(slices, rows, columns)`` uint8, 0 where nothing is drawn, and the log's length that they stand for."""
        async with self._drawing_lock:
            return await self._run(self._drawing.copy, urgent=True)

    @property
    def waited_for(self) -> bool:
        """Somebody waits for a snapshot."""
        return bool(self._waiting)

    async def close(self, error: CalqueError) -> None:
        """Stop computing. Who waits for a snapshot is told why."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.advising.close()
        await self.latents.close()
        self._waiting.refuse(error)

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
        computation = self._computation
        if self._wanted_length > self.fitted_length or (self.fitted_length and self._fitted != self.learning):
            await self._fit()
            # In the same step: strokes that come faster than forests are fitted would else put off every mask.
            if computation.answers:
                await self._views()
            return True
        if not computation.answers:
            self._refuse_waiting()
            return await self._each(computation.prepare, self._worth_loading(), PREPARING)
        if await self._views():
            return True
        if computation.drafting:
            return await self._walk()
        stale = np.flatnonzero(computation.current != computation.generation)
        if len(stale):
            return await self._each(computation.predict, self._outward(stale))
        if not computation.complete:
            return await self._finish()
        return await self._announce()

    async def _fit(self) -> None:
        learning, self._asked = self.learning, self._wanted_since
        urgent = self._urgent
        self.advising.stop()
        times = self._computation.times = Times()

        def gather() -> tuple[int, Samples]:
            with times.of("gather"):
                length = self._drawing.catch_up()
                return length, self._computation.gather(learning)

        def fit(samples: Samples) -> Fitted:
            with times.of("fit"):
                return self._computation.fit(samples, learning)

        async with self._drawing_lock:
            length, samples = await self._run(gather, urgent=urgent)
        fitted = await self._run(fit, samples, urgent=urgent)
        self._computation.answer_with(fitted, learning)
        self.fitted_length, self._fitted = length, learning
        self.measured = Measured(
            generation=self._computation.generation,
            out_of_bag=self._computation.out_of_bag,
            labelled={int(label): int(count) for label, count in zip(*np.unique(samples[1], return_counts=True))},
            times=times,
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
                await self._run(self._computation.predict, plane.voxel_index(index), urgent=True)
            else:
                await self._run(self._computation.predict_cut, plane, index, urgent=True)
            self._visible()
            return True
        return False

    async def _walk(self) -> bool:
        """A step from drafts to what replaces them."""
        missing = self._computation.missing()
        if missing:
            return await self._each(self._computation.ask, self._outward(np.array(missing, dtype=np.intp)))
        await self._run(self._computation.walk)
        self.measured.out_of_bag = self._computation.out_of_bag  # by now there is a forest
        return True

    async def _finish(self) -> bool:
        """Do with the whole volume what the switches say, as a generation of its own."""
        self._computation.show(await self._run(self._computation.finish, self.settings.switches))
        if self._audience.views:
            self._visible()
        return True

    async def _each(self, work: Callable[[int], object], indices: Iterable[int], share: int = 1) -> bool:
        """Do the first few slices, ``share`` threads each; all have ended when this does, also when one fails."""
        some = list(islice(indices, max(1, self._threads.number // share)))
        done = await asyncio.gather(*(self._run(work, index) for index in some), return_exceptions=True)
        for failure in done:
            if isinstance(failure, BaseException):
                raise failure
        return bool(some)

    async def _run(self, work: Callable[..., Result], *arguments: Any, urgent: bool | None = None) -> Result:
        """A step in a thread. What goes on behind is urgent where somebody waits for the whole volume."""
        return await self._threads.run(self, work, *arguments, urgent=self.waited_for if urgent is None else urgent)

    @property
    def _urgent(self) -> bool:
        """Somebody looks, or waits."""
        return bool(self._audience.views) or self.waited_for

    async def _announce(self) -> bool:
        """The whole volume is up to date: say so once, and hand it to those who wait."""
        news = self._announced != self._computation.generation
        if news:
            self._announced = self._computation.generation
            self.measured.generation = self._computation.generation
            self.measured.volume_ms = self._since_asked()
            metrics.VOLUME_SECONDS.observe(self.measured.volume_ms / 1e3)
            self.advising.begin()
        if self._waiting and self._fitted is not None:
            length, learning, switches = self.fitted_length, self._fitted, self._computation.finished_as
            levels = await self._run(self._computation.levels.copy)
            self._waiting.hand_out(Snapshot(levels, length, learning, switches))
        return news

    def _refuse_waiting(self) -> None:
        """There is no probability: tell those who wait for no later event."""
        message = "There is no mask yet: draw a little of the object and a little of what is not."
        self._waiting.refuse(ChoiceNeeded(message, Reason.NOT_SEGMENTED), self.fitted_length)

    def _centres(self) -> list[int]:
        """Acquisition slices that somebody looks at; the middle one where nobody does."""
        acquired = self._planes[self.acquired]
        centres = [acquired.voxel_index(index) for plane, index in self._audience.views if plane == self.acquired]
        return centres or [acquired.slices // 2]

    def _outward(self, indices: NDArray[np.intp]) -> list[int]:
        """Slices ordered by their distance from those that somebody looks at."""
        centres = self._centres()
        return sorted(map(int, indices), key=lambda index: min(abs(index - centre) for centre in centres))

    def _worth_loading(self) -> Iterator[int]:
        """Slices whose features are to be computed before they are needed: as long as there is room for them."""
        features = self._computation.features
        missing = [index for index in range(features.volume.shape[0]) if index not in features]
        return takewhile(features.has_room, self._outward(np.array(missing, dtype=np.intp)))

    def _latents_changed(self) -> None:
        """The encoder's features are there, or it is known why not: answers are computed anew where that matters."""
        if self._fitted != self.learning and self._wanted_length <= self.fitted_length:
            self._wanted_since = time.monotonic()
        self._wake.set()
        self._audience.changed()

    def _visible(self) -> None:
        """What somebody looks at is there; the first time counts."""
        if not self.measured.visible_ms:
            self.measured.visible_ms = self._since_asked()
            metrics.VISIBLE_SECONDS.observe(self.measured.visible_ms / 1e3)

    def _since_asked(self) -> float:
        return (time.monotonic() - self._asked) * 1e3

    def _fail(self, error: CalqueError) -> None:
        self._wanted_length = self.fitted_length  # not again until it is asked for again
        self._waiting.refuse(error)
        self._audience.failed(error)
        if self._computation.complete:
            self.advising.begin()  # it was ended for what failed
