"""Writes the journal in a thread, in the order in which things happened, while the loop goes on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tablet_client.state.document import Event
from tablet_client.state.journal import Journal, JournalError

AGAIN_S = 2.0
"""Seconds between attempts while the disk takes nothing."""


class Scribe:
    """Brings events to a journal, and takes acknowledged ones out of it.

    Args:
        journal: whose disk may be slow.
        told: called on the loop with an event that is on the disk, and with None when the disk did not take one.
        pause: waits so many seconds.

    Attributes:
        full: the disk did not take the last event that was tried.
    """

    def __init__(
        self, journal: Journal, told: Callable[[Event | None], None], pause: Callable[[float], Awaitable[None]]
    ) -> None:
        self.full = False
        self._journal = journal
        self._told = told
        self._pause = pause
        self._due: deque[Event | int] = deque()  # events to write, numbers to forget
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._closing = False

    def write(self, event: Event) -> None:
        """Write an event soon."""
        self._put(event)

    def forget(self, sequence: int) -> None:
        """Forget an acknowledged event, after everything that is to be written now."""
        self._put(sequence)

    def close(self) -> None:
        """Let `run` end when everything is written, or the disk takes nothing."""
        self._closing = True
        self._wake.set()

    async def idle(self) -> None:
        """Wait until everything is written."""
        while self._due:
            await self._idle.wait()

    async def run(self) -> None:
        """The task that writes."""
        while True:
            while self._due:
                item = self._due[0]
                try:
                    await asyncio.to_thread(self._do, item)
                except JournalError:
                    self.full = True
                    self._told(None)
                    if self._closing:
                        return
                    await self._pause(AGAIN_S)
                    continue
                self._done(item)
            self._idle.set()
            if self._closing:
                return
            await self._wake.wait()
            self._wake.clear()

    def flush(self) -> bool:
        """Wait here, not on the loop, until everything is written. Returns: False when the disk did not take it."""
        while self._due:
            try:
                self._do(self._due[0])
            except JournalError:
                return False
            self._done(self._due[0])
        return True

    def _put(self, item: Event | int) -> None:
        self._due.append(item)
        self._idle.clear()
        self._wake.set()

    def _do(self, item: Event | int) -> None:
        if isinstance(item, Event):
            self._journal.append(item)
            return
        self._journal.forget(item)
        with suppress(JournalError):  # the old file is as good, only larger
            self._journal.compact()

    def _done(self, item: Event | int) -> None:
        self.full = False
        if self._due and self._due[0] is item:  # else `flush` was faster
            self._due.popleft()
        if isinstance(item, Event):
            self._told(item)
