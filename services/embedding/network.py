"""What the network runs on next: slices that wait, in the order in which they came, those of one size together.

A slice never waits for others to come: whatever is there when the network is free goes into its next run. The slice that
waits longest leads, and those of its size and model that wait behind it go along, as many as the limits allow. So one that
came waits for at most one run for each of those before it, whatever comes later; and since a stream asks for one slice
after the other, no stream keeps the others waiting.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.embedding.answers import LARGEST_SLICE_PIXELS, Answer
from services.embedding.encoder import Encoder
from services.embedding.kept import Kept, Key
from services.embedding.providers import ON_GRAPHICS_CARDS
from services.serving import metrics

# Who comes during a run waits for its end, so a run has no more slices than pay. On a processor, slices of the network
# `final` take 0.74 of their time in runs of eight at 32 × 32 pixels, 0.93 at 50 × 50, and all of it from 96 × 96 on. On a
# graphics card a run may be as large as the largest slice.
_CPU_BATCH_PIXELS = 128 * 128

Made = tuple[Answer, float]


@dataclass(eq=False)
class _Asked:
    """A slice that is waited for, until its answer is there; ``waiting`` are those who asked for the very same one."""

    key: Key
    encoder: Encoder
    image: NDArray[np.uint8]
    waiting: list[asyncio.Future[Made]] = field(default_factory=list)

    @property
    def wanted(self) -> bool:
        return not all(future.done() for future in self.waiting)

    def tell(self, made: Made | BaseException) -> None:
        for future in self.waiting:
            if future.done():
                continue
            if isinstance(made, BaseException):
                future.set_exception(made)
            else:
                future.set_result(made)


class Network:
    """Answers slices from what is kept, or by the network, which one thread runs for all. Used from one event loop.

    Args:
        most_slices: of one size in a run.
        kept_bytes: of answers that are kept.
    """

    def __init__(self, most_slices: int = 8, kept_bytes: int = 256 << 20) -> None:
        self._most_slices = most_slices
        self._kept = Kept(kept_bytes)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embedding")
        self._packing = ThreadPoolExecutor(2, thread_name_prefix="packing")
        self._waiting: list[_Asked] = []
        self._asked: dict[Key, _Asked] = {}  # those that wait, are in the network, or are being packed
        self._tasks: set[asyncio.Task[None]] = set()
        self._runs = False

    async def answer(self, encoder: Encoder, image: NDArray[np.uint8], key: Key) -> Made:
        """Features of a slice, and the milliseconds of the run that made them: 0 when they were kept.

        Args:
            encoder: that makes them.
            image: ``(rows, columns)`` uint8.
            key: of the two, see `services.embedding.kept.key_of`.

        Raises:
            ChoiceNeeded: the model fails on this slice.
        """
        kept = self._kept.get(key)
        metrics.EMBEDDED_SLICES.labels("network" if kept is None else "kept").inc()
        if kept is not None:
            return kept, 0.0
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = _Asked(key, encoder, image)
            self._waiting.append(asked)
        done: asyncio.Future[Made] = asyncio.get_running_loop().create_future()
        asked.waiting.append(done)
        if not self._runs:
            self._runs = True
            self._begin(self._run())
        return await done

    async def close(self) -> None:
        """End with the run that is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for threads in (self._thread, self._packing):
            await asyncio.to_thread(threads.shutdown, wait=True, cancel_futures=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        """Run what waits until nothing does."""
        loop = asyncio.get_running_loop()
        try:
            while batch := self._next():
                started = time.perf_counter()
                found = await loop.run_in_executor(self._thread, _features, batch)
                elapsed_s = time.perf_counter() - started
                metrics.STEP_SECONDS.labels("embedding").observe(elapsed_s)
                metrics.EMBEDDING_RUN_SLICES.observe(len(batch))
                for asked, features in zip(batch, found):
                    self._begin(self._finish(asked, features, elapsed_s * 1000.0))
        finally:
            self._runs = False

    def _next(self) -> list[_Asked]:
        """The first that is still wanted, with those of its kind behind it; they wait no longer."""
        for asked in [asked for asked in self._waiting if not asked.wanted]:
            self._waiting.remove(asked)
            del self._asked[asked.key]
        if not self._waiting:
            return []
        first = self._waiting[0]
        alike = [a for a in self._waiting if a.encoder is first.encoder and a.image.shape == first.image.shape]
        batch = alike[: self._most_together(first)]
        self._waiting = [asked for asked in self._waiting if asked not in batch]
        return batch

    def _most_together(self, asked: _Asked) -> int:
        if not asked.encoder.takes_several:
            return 1
        pixels = LARGEST_SLICE_PIXELS if asked.encoder.provider in ON_GRAPHICS_CARDS else _CPU_BATCH_PIXELS
        return max(1, min(self._most_slices, pixels // asked.image.size))

    async def _finish(self, asked: _Asked, features: NDArray[np.float16] | Exception, elapsed_ms: float) -> None:
        """Pack, keep and tell; also kept is what nobody waits for any more, since who gave up will ask again."""
        try:
            if isinstance(features, Exception):
                asked.tell(features)
                return
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._packing, Answer.of, asked.encoder.digest, features)
            self._kept.put(asked.key, answer)
            asked.tell((answer, elapsed_ms))
        finally:
            del self._asked[asked.key]


def _features(batch: Sequence[_Asked]) -> Sequence[NDArray[np.float16] | Exception]:
    """Features of each slice of a run; where the run fails, each slice has a run of its own, so that it fails alone."""
    try:
        return list(batch[0].encoder.features(np.stack([asked.image for asked in batch])))
    except Exception as error:  # a fault of ours goes to who waits, and is told by its call
        if len(batch) == 1:
            return [error]
        return [_features([asked])[0] for asked in batch]
