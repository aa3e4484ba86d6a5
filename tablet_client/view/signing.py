"""Signing in: asked for when the services do not know who calls, or when nobody has touched the tablet for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from tablet_client.link.account import Account, Signed
from tablet_client.link.port import LinkError
from tablet_client.view import sentences
from tablet_client.view.signin import SignIn

AGAIN_S = 2.0
"""Seconds until the services are asked again how users sign in."""
LOOK_S = 5.0
"""Seconds between two looks at whether the tablet is idle, at most."""


class Signing:
    """Keeps the screen of signing in.

    Args:
        account: of the link.
        screen: on which it is done.
        show: shows that screen, when no stroke is being drawn.
        let_in: told who has signed in.
        waiting: how many strokes wait on this tablet for the server.
        start: runs a coroutine.

    Attributes:
        asking: nobody may go on without signing in.
    """

    def __init__(
        self,
        account: Account,
        screen: SignIn,
        show: Callable[[], Awaitable[None]],
        let_in: Callable[[Signed], Awaitable[None]],
        waiting: Callable[[], int],
        start: Callable[[Coroutine[Any, Any, Any]], Any],
    ) -> None:
        self._account, self._screen, self._show, self._let_in = account, screen, show, let_in
        self._waiting, self._start = waiting, start
        self._touched_s = time.monotonic()
        self.asking = False
        account.asked = self._asked
        screen.bind(on_password=lambda _, *what: start(self.enter(*what)), on_another_code=lambda _: start(self.confirm()))

    @property
    def locked(self) -> bool:
        """Somebody is signed in, and has to show that it is still the same."""
        return self.asking and bool(self._screen.user)

    def touched(self) -> None:
        """Somebody is there."""
        self._touched_s = time.monotonic()

    def done(self) -> None:
        """Whoever is there may go on."""
        self.asking = False
        self.touched()

    async def lock_when_idle(self, minutes: Callable[[], int]) -> None:
        """Lock after so many minutes without a touch, while somebody is signed in; 0: never. Until cancelled."""
        while True:
            left_s = minutes() * 60 - (time.monotonic() - self._touched_s)
            if minutes() and left_s <= 0 and self._account.signed is not None:
                await self.ask(locked=True)
            await asyncio.sleep(min(LOOK_S, max(left_s, 0.1)) if minutes() else LOOK_S)

    async def ask(self, *, locked: bool = False) -> None:
        """Ask who is there, if that is not being done."""
        if self.asking:
            return
        self.asking = True
        signed = self._account.signed if locked else None
        waiting = self._waiting()
        self._screen.show(signed.name if signed else "", sentences.kept(waiting) if waiting else "")
        await self._show()
        while self.asking and not self._screen.way:
            try:
                way = await self._account.way()
            except LinkError as error:
                self._screen.trouble = sentences.sentence(error)
                await asyncio.sleep(AGAIN_S)
            else:
                self._screen.trouble = ""
                self._screen.way = "code" if way is not None and way.issuer else "password"
        if self._screen.way == "code" and not locked:
            self._start(self.confirm())

    async def enter(self, user: str, password: str) -> None:
        """Let a user in with a password."""
        await self._try(self._account.enter(user, password))

    async def confirm(self) -> None:
        """Let a user in who confirms a code elsewhere."""
        await self._try(self._code())
        self._screen.code = self._screen.address = ""

    async def _code(self) -> Signed:
        way = await self._account.way()
        if way is None:
            raise LinkError("CODE_REFUSED")
        code = await self._account.begin(way)
        self._screen.code, self._screen.address = code.code, code.address
        return await self._account.confirmed(way, code)

    async def _try(self, attempt: Awaitable[Signed]) -> None:
        self._screen.busy, self._screen.trouble = True, ""
        try:
            signed = await attempt
        except LinkError as error:
            self._screen.trouble = sentences.sentence(error)
        else:
            await self._let_in(signed)
        finally:
            self._screen.busy = False

    def _asked(self) -> None:
        """A call was refused; it may have been made before somebody signed in."""
        if not self.asking:
            self._start(self._doubt())

    async def _doubt(self) -> None:
        if self._account.signed is None or not await self._account.known():
            await self.ask()
