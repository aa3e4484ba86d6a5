"""How long a stream's caller is believed: until the token's end, or that of a later token of the same user.

A stream cannot carry another token. Its user's next call on the same connection does: the stream is then prolonged to that
token's end, if it gives the roles and projects that the stream began with.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager

from services.serving.caller import Caller
from services.serving.identity.tokens import expired


class Lease:
    """A stream's time.

    Args:
        who: its caller.
        token: that the caller has carried last; changed when a later one comes.
    """

    def __init__(self, who: Caller, token: str = "") -> None:
        self.who, self.token = who, token
        self._ends = _end(who)
        self._limit: asyncio.Timeout | None = None

    def prolong(self, who: Caller, token: str = "") -> None:
        """The caller is believed until then, in the same roles and projects at least."""
        if self.fits(who) and _end(who) > self._ends:
            self.token = token
            self._reschedule(_end(who))

    def fits(self, who: Caller) -> bool:
        """Whether the caller still is who the stream began for."""
        return who.roles >= self.who.roles and (who.projects or frozenset()) >= (self.who.projects or frozenset())

    def end(self) -> None:
        """The caller is believed no longer."""
        self._reschedule(asyncio.get_running_loop().time())

    def _reschedule(self, ends: float) -> None:
        self._ends = ends
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(self._when)

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[None, None]:
        """Ends what is in the block when the time is over. Raises: Unauthenticated."""
        if asyncio.get_running_loop().time() >= self._ends:
            raise expired()
        self._limit = limit = asyncio.timeout_at(self._when)
        try:
            async with limit:
                yield
        except TimeoutError:
            if limit.expired():
                raise expired() from None
            raise
        finally:
            self._limit = None

    @property
    def _when(self) -> float | None:
        return self._ends if self._ends < math.inf else None


class Leases:
    """Of all streams that run, by user and connection."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], set[Lease]] = {}

    @contextmanager
    def of(self, who: Caller, token: str = "") -> Iterator[Lease]:
        """A stream's lease while the block lasts."""
        key, lease = (who.user, who.peer), Lease(who, token)
        self._known.setdefault(key, set()).add(lease)
        try:
            yield lease
        finally:
            self._known[key].discard(lease)
            if not self._known[key]:
                del self._known[key]

    def prolong(self, who: Caller, token: str = "") -> None:
        """A call came from somebody: so long are the streams of the same user on the same connection believed."""
        for lease in self._known.get((who.user, who.peer), ()):
            lease.prolong(who, token)


def _end(who: Caller) -> float:
    """When a caller is no longer believed, by the clock of the loop."""
    return asyncio.get_running_loop().time() + who.expires_s - time.time()
