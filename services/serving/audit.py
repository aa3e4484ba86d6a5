"""The audit trail as servicers write it: they say what is done to what, and the rest is known here.

What is looked at, given out, changed or removed is recorded before, so that it does not happen where it cannot be
recorded; what is made is recorded as soon as it has an identifier, and before anybody is told of it.
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol
from urllib.parse import unquote
from uuid import uuid4

from services.core.audit import Action, Event, Subject
from services.serving.caller import caller

OPENING_S = 900.0
"""A volume whose slices are read again and again by one user from one place is opened once in this time."""
_REMEMBERED = 4096


class Sink(Protocol):
    """Where records go. Blocks."""

    def append(self, event: Event) -> None:
        """Put an event at the end, durably. Raises: Unavailable, neither there nor anywhere in its stead."""
        ...


class Recorder:
    """Records what is done for the caller of the moment. ``clock`` gives seconds."""

    def __init__(self, sink: Sink, clock: Callable[[], float] = time.monotonic) -> None:
        self._sink = sink
        self._clock = clock
        self._server = platform.node()
        self._opened: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._opening = asyncio.Lock()

    def write(self, action: Action, subject: Subject, *, done: bool = True) -> None:
        """Record something, durably. Blocks. Raises: Unavailable."""
        who, now_ms = caller(), time.time_ns() // 1_000_000
        self._sink.append(Event(uuid4().hex, now_ms, action, done, who.user, address(who.peer), self._server, subject))

    async def record(self, action: Action, subject: Subject, *, done: bool = True) -> None:
        """Record something, durably, while others go on. Raises: Unavailable."""
        await asyncio.to_thread(self.write, action, subject, done=done)

    @asynccontextmanager
    async def recording(self, action: Action, subject: Subject) -> AsyncIterator[None]:
        """Record what the block does before it does it, and again where it fails. Raises: Unavailable, before the block."""
        await self.record(action, subject)
        try:
            yield
        except Exception:
            await self.record(action, subject, done=False)
            raise

    async def opened(self, subject: Subject) -> None:
        """Record that a volume is looked at, unless it was just recorded. Raises: Unavailable."""
        who = caller()
        key = (who.user, address(who.peer), subject.volume_id)
        if self._recent(key):
            return
        async with self._opening:  # of calls at once none gives anything out before the record is durable
            if not self._recent(key):
                await self.record(Action.VOLUME_OPEN, subject)
                self._opened[key] = self._clock()
                self._opened.move_to_end(key)
                if len(self._opened) > _REMEMBERED:
                    self._opened.popitem(last=False)

    def _recent(self, key: tuple[str, str, str]) -> bool:
        return self._clock() - self._opened.get(key, -OPENING_S) < OPENING_S


def address(peer: str) -> str:
    """The address in what gRPC calls a connection's other end, without the port; empty where it has none.

    >>> address("ipv4:192.0.2.7:50123"), address("ipv6:%5B2001:db8::7%5D:50123"), address("unix:")
    ('192.0.2.7', '2001:db8::7', '')
    """
    kind, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else ""
