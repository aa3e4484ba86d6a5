"""The annotations at work in this process: one workspace each, opened when somebody comes; a few idle ones are kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from services.core.errors import NotFound, Reason
from services.segmentation.computation import Computation
from services.segmentation.encoding import Embedding
from services.segmentation.fairness import Threads
from services.segmentation.workspace import Workspace
from services.serving import metrics
from services.store.annotations import AnnotationRecord, Annotations
from services.store.catalogue import VolumeRecord
from services.store.log import Log


class Workspaces:
    """The annotations at work in this process; a few that nobody works on are kept, for who comes back."""

    def __init__(
        self,
        open_workspace: Callable[[str], tuple[AnnotationRecord, VolumeRecord, Computation, Log]],
        annotations: Annotations,
        threads: Threads,
        store: Executor,
        embedding: Embedding,
        *,
        kept: int,
    ) -> None:
        self._open = open_workspace
        self._annotations = annotations
        self._threads = threads
        self._store = store
        self._embedding = embedding
        self._kept = kept
        self._known: dict[str, Workspace] = {}  # the one used last comes last
        # One opens or drops an annotation at a time; a lock lives as long as somebody holds it or waits for it.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def at_work(self, annotation_id: str) -> AsyncIterator[Workspace]:
        """The workspace of an annotation, kept while the block lasts. Raises: NotFound, Corrupt, Unavailable."""
        async with self._lock(annotation_id):
            workspace = await self._get(annotation_id)
            workspace.users += 1
        try:
            yield workspace
        finally:
            workspace.users -= 1
            await self._evict()

    async def drop(self, annotation_id: str) -> None:
        """Forget a deleted annotation; whoever looks at it is told."""
        async with self._lock(annotation_id):
            workspace = self._known.pop(annotation_id, None)
            if workspace is not None:
                await workspace.close(NotFound("This annotation was deleted.", Reason.ANNOTATION_NOT_FOUND))

    def rename(self, annotation: AnnotationRecord) -> None:
        """An annotation has other names or labels, or its review went on."""
        if known := self._known.get(annotation.annotation_id):
            known.annotation = annotation
            known.audience.changed()

    async def close(self) -> None:
        """Stop all."""
        while self._known:
            await self._known.popitem()[1].close()

    async def _get(self, annotation_id: str) -> Workspace:
        known = self._known.get(annotation_id)
        if known is None:
            parts = await asyncio.to_thread(self._open, annotation_id)
            known = Workspace(*parts, self._annotations, self._threads, self._store, self._embedding)
        else:
            try:
                known.annotation = await asyncio.to_thread(self._annotations.get, annotation_id)
            except NotFound as error:  # deleted elsewhere, as with its volume
                self._known.pop(annotation_id, None)
                await known.close(error)
                raise
            await known.refresh()
            self._known.pop(annotation_id, None)
        self._known[annotation_id] = known
        metrics.WORKSPACES.set(len(self._known))
        return known

    async def _evict(self) -> None:
        # One whose lock is held is just being opened by somebody who is not counted yet.
        idle = [name for name, one in self._known.items() if one.idle and not self._lock(name).locked()]
        for name in idle[: max(0, len(idle) - self._kept)]:
            await self._known.pop(name).close()
        metrics.WORKSPACES.set(len(self._known))

    def _lock(self, annotation_id: str) -> asyncio.Lock:
        return self._locks.setdefault(annotation_id, asyncio.Lock())
