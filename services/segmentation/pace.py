"""How fast a stream's events are taken: who brings more is made to wait, and loses nothing."""

from __future__ import annotations

import asyncio

AT_ONCE_S = 10.0
"""After a pause, the events of so many seconds are taken at once, as from a tablet that was offline."""


class Pace:
    """The events of one stream, so many a second on average. Its methods are called in one asyncio loop."""

    def __init__(self, per_second: float) -> None:
        self._every_s = 1 / per_second
        self._due_s = float("-inf")  # by the clock of the loop: when all that was taken would have come at this pace

    async def next(self) -> None:
        """Wait until the next event may be taken."""
        now = asyncio.get_running_loop().time()
        self._due_s = max(self._due_s, now - AT_ONCE_S) + self._every_s
        if self._due_s > now:
            await asyncio.sleep(self._due_s - now)
