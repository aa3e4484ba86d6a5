"""An annotation at work: its log, who writes it, who looks, and what is computed of it.

Events become durable on the log's own path and are acknowledged there; computing follows behind, as
`services.segmentation.schedule` has it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from services.core.errors import CalqueError, Reason, Unavailable
from services.core.geometry import Plane, plane_geometry
from services.segmentation.audience import Audience, Listener
from services.segmentation.computation import Computation
from services.segmentation.encoding import Embedding
from services.segmentation.events import check, parse
from services.segmentation.fairness import Threads
from services.segmentation.schedule import Schedule
from services.serving import metrics
from services.store.annotations import AnnotationRecord, Annotations
from services.store.catalogue import VolumeRecord
from services.store.entry import check_digest
from services.store.log import Log


class Workspace:
    """One annotation in this process. Its methods are called in one asyncio loop."""

    def __init__(
        self,
        annotation: AnnotationRecord,
        volume: VolumeRecord,
        computation: Computation,
        entries: Log,
        annotations: Annotations,
        threads: Threads,
        store: Executor,
        embedding: Embedding,
    ) -> None:
        self.annotation = annotation
        self.volume = volume
        self.computation = computation
        self.log = entries
        self.planes = {plane: plane_geometry(volume.shape, volume.affine_array, plane) for plane in Plane}
        self._annotations = annotations
        self.audience = Audience()
        self.schedule = Schedule(volume, self.planes, computation, entries, self._mask, self.audience, threads, embedding)
        self.users = 0
        """Calls that work with it now; see `services.segmentation.workspaces`."""
        self._writing: tuple[Listener, str] | None = None  # who writes now, and its session
        self._store = store  # threads that acknowledgements wait for, which do nothing else
        self._log_lock = asyncio.Lock()

    async def begin(self, who: Listener, session_id: str, author: str = "", *, take_over: bool) -> None:
        """Make a session, at whose tablet ``author`` works, the writer, unless another one writes now and ``take_over`` is
        not said."""

        async def begin() -> None:
            async with self._log_lock:
                if take_over:
                    self.annotation.check_open()
                if (self._writing and self._writing[1] != session_id and not take_over) or self.locked:
                    return
                await self._in_store(self.log.begin, session_id, author, _now_ms())
                # Whoever accepts it locks it first, and then fences off who writes: one of the two is seen here.
                self.annotation = await self._in_store(self._annotations.get, self.annotation.annotation_id)
                if who in self.audience:  # else it left meanwhile
                    self._writing = (who, session_id)
            self.audience.changed()

        await asyncio.shield(begin())

    async def lock(self, accepted: AnnotationRecord) -> None:
        """Whoever writes the log, here or elsewhere, writes no longer: it was accepted."""

        async def lock() -> None:
            async with self._log_lock:
                self.annotation = accepted
                await self._in_store(self.log.begin, str(uuid4()), "", _now_ms())
                self._writing = None
            self.audience.changed()

        await asyncio.shield(lock())

    @property
    def locked(self) -> bool:
        """Whether it was accepted, so that nothing of it may change."""
        return self.annotation.review == "accepted"

    def leave(self, who: Listener) -> None:
        """Somebody looks no longer, nor writes."""
        self.audience.discard(who)
        self.schedule.look()
        if self._writing and self._writing[0] is who:
            self._writing = None

    async def refresh(self) -> None:
        """Read what another process wrote."""

        async def refresh() -> None:
            async with self._log_lock:
                await self._in_store(self.log.refresh)
            if self.schedule.settings.live:
                self.schedule.segment()
            self.audience.changed()

        await asyncio.shield(refresh())

    async def append(self, session_id: str, sequence: int, body: bytes, sha256: bytes) -> int:
        """Make an event durable and return its position; computing follows. Errors are those of ``Annotate``."""
        arrived = time.monotonic()
        check_digest(body, sha256)  # first: bytes that were damaged on their way say nothing of the event
        event = parse(body, sequence)
        check(event, sequence, self.planes, [label.value for label in self.annotation.labels])
        if event.WhichOneof("action") == "mask_import":
            await asyncio.to_thread(self._mask, event.mask_import.mask_digest)

        async def append() -> int:
            async with self._log_lock:
                self.annotation.check_open()
                position: int = await self._in_store(self.log.append, session_id, sequence, body, sha256, _now_ms())
            if self.schedule.settings.live:
                self.schedule.segment(arrived)
            metrics.ACKNOWLEDGEMENT_SECONDS.observe(time.monotonic() - arrived)
            self.audience.changed()
            return position

        return await asyncio.shield(append())

    @property
    def idle(self) -> bool:
        """Nobody works with it, looks at it, or waits for it."""
        return not (self.users or self.audience or self.schedule.waited_for)

    async def close(self, why: CalqueError | None = None) -> None:
        """Stop computing. Who looks or waits is told why."""
        error = why or Unavailable("The server is closing; your strokes are kept.", Reason.SERVICE_UNAVAILABLE)
        await self.schedule.close(error)
        self.computation.features.close()
        self.audience.gone(error)

    def _mask(self, digest: str) -> NDArray[np.bool_]:
        return self._annotations.get_blob(self.annotation.annotation_id, digest, self.volume.shape)

    async def _in_store(self, work: Callable[..., Any], *arguments: object) -> Any:
        """One call of the log, in a thread. Callers shield it: cut short, it would go on beside the next one."""
        return await asyncio.get_running_loop().run_in_executor(self._store, work, *arguments)


def _now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000
