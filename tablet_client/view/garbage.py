"""Garbage is collected on the thread that draws.

Python collects cyclic garbage on whichever thread happens to allocate. Widgets are such garbage, and they own GL objects,
which may be let go of on the drawing thread alone: a journal's or a file's thread that does it while a frame is drawn crashes
the process. So automatic collection is off while the application runs, and its loop collects instead.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager

PAUSE_S = 0.5
FULL_EVERY = 60
"""A full collection comes after so many of the young objects alone, which take about a millisecond."""


@contextmanager
def collecting_here(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Collect on the loop's thread, and nowhere else, while the block lasts. To be entered and left on that thread."""
    gc.collect()
    gc.freeze()  # what is there now stays: a full collection need not look at it again
    automatic = gc.isenabled()
    gc.disable()
    waiting: list[asyncio.TimerHandle] = []

    def collect(rounds: int) -> None:
        gc.collect(2 if rounds % FULL_EVERY == 0 else 1)
        waiting[:] = [loop.call_later(PAUSE_S, collect, rounds + 1)]

    waiting.append(loop.call_later(PAUSE_S, collect, 1))
    try:
        yield
    finally:
        waiting[0].cancel()
        gc.unfreeze()
        gc.collect()
        if automatic:
            gc.enable()
