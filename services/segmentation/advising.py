"""Where the next strokes pay most, found beside all else: no stroke waits for it as long as a thread is free."""

from __future__ import annotations

import asyncio

import structlog

from services.core.advice import Advice
from services.segmentation.audience import Audience
from services.segmentation.computation import Computation
from services.segmentation.fairness import Threads

log = structlog.get_logger()


class Advising:
    """The advice on a whole probability. Its methods are called in one asyncio loop."""

    def __init__(self, computation: Computation, audience: Audience, threads: Threads) -> None:
        self._computation = computation
        self._audience = audience
        self._threads = threads
        self._found: tuple[int, Advice] | None = None  # with its generation
        self._task: asyncio.Task[None] | None = None

    @property
    def found(self) -> Advice | None:
        """The advice on what is shown now, once it is there."""
        return self._found[1] if self._found and self._found[0] == self._computation.generation else None

    def begin(self) -> None:
        """Look at the probability, which is whole; who looks is told later."""
        self.stop()
        self._task = asyncio.create_task(self._find(self._computation.generation), name="advice")

    def stop(self) -> None:
        """Something new is drawn: what would be found is void."""
        if self._task is not None:
            self._task.cancel()

    async def close(self) -> None:
        """Stop, and wait for the end."""
        self.stop()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _find(self, generation: int) -> None:
        try:
            found = await self._threads.run(self, self._computation.advise, urgent=False)
        except Exception as error:  # a mask without advice is still a mask
            log.error("no advice", exc_info=error)
            return
        self._found = generation, found
        self._audience.changed()
