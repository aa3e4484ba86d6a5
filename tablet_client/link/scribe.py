"""Writes the journal in a thread, in the order in which things happened, while the loop goes on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tablet_client.state.document import Event
from tablet_client.state.journal import COMPACT_BYTES, Journal, JournalError, JournalFull

AGAIN_S = 2.0
"""Seconds between attempts while the disk takes nothing."""


class Scribe:
    """Brings events to a journal, and takes acknowledged ones out of it.

    Args:
        journal: whose disk may be slow.
        told: called on the loop with an event that is on the disk, and with None when the disk did not take one.
        pause: waits so many seconds.

    Attributes:
        full: the disk did not take the last event that was tried;
        at_limit: so, for the journals are as large as they may be.
    """

    def __init__(
        self, journal: Journal, told: Callable[[Event | None], None], pause: Callable[[float], Awaitable[None]]
    ) -> None:
        self.full = self.at_limit = False
        self._journal = journal
        self._told = told
        self._pause = pause
        self._due: deque[Event] = deque()  # to be written
        self._acknowledged = self._forgotten = 0  # number of the last event that the server has, and that was forgotten
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._closing = False

    def write(self, event: Event) -> None:
        """Write an event soon."""
        self._due.append(event)
        self._rouse()

    def forget(self, sequence: int) -> None:
        """Forget all events up to this one, which the server has, after everything that is to be written now."""
        self._acknowledged = sequence
        self._rouse()

    def restarted(self) -> None:
        """The journal's numbers begin anew; to be called when it is idle."""
        self._acknowledged = self._forgotten = 0

    def close(self) -> None:
        """Let `run` end when everything is written, or the disk takes nothing."""
        self._closing = True
        self._wake.set()

    async def idle(self) -> None:
        """Wait until everything is written."""
        while self._busy:
            await self._idle.wait()

    async def run(self) -> None:
        """The task that writes."""
        while True:
            while self._busy:
                try:
                    await self._step()
                except JournalError as error:
                    self.full, self.at_limit = True, isinstance(error, JournalFull)
                    self._told(None)
                    if self._closing:
                        return
                    await asyncio.to_thread(self._forget, self._acknowledged, 0)  # perhaps what is known fills the disk
                    await self._pause(AGAIN_S)
            self._idle.set()
            if self._closing:
                return
            await self._wake.wait()
            self._wake.clear()

    def flush(self) -> bool:
        """Wait here, not on the loop, until everything is written. Returns: False when the disk did not take it."""
        while self._due:
            event = self._due[0]
            try:
                self._journal.append(event)
            except JournalError:
                return False
            self._written(event)
        self._journal.forget(self._acknowledged)
        return True

    @property
    def _busy(self) -> bool:
        return bool(self._due) or self._forgotten != self._acknowledged

    def _rouse(self) -> None:
        self._idle.clear()
        self._wake.set()

    async def _step(self) -> None:
        """Write the next event; when there is none, forget all that was acknowledged meanwhile, at once."""
        if self._due:
            event = self._due[0]
            await asyncio.to_thread(self._journal.append, event)
            self._written(event)
        else:
            upto = self._acknowledged
            await asyncio.to_thread(self._forget, upto)
            self._forgotten = upto

    def _forget(self, upto: int, least_bytes: int = COMPACT_BYTES) -> None:
        self._journal.forget(upto)
        with suppress(JournalError):  # the old file is as good, only larger
            self._journal.compact(least_bytes)

    def _written(self, event: Event) -> None:
        self.full = self.at_limit = False
        if self._due and self._due[0] is event:  # else `flush` was faster
            self._due.popleft()
        self._told(event)
