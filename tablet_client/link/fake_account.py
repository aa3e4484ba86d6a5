"""Signing in at a server in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from calque.issuer import Code, Grant, Way

from tablet_client.link.account import Account, Signed
from tablet_client.link.port import LinkError


class FakeAccount(Account):
    """Users with passwords, or of an issuer, who confirm the one code that there is.

    Args:
        passwords: by user.
        issuer: its address; empty: users sign in with passwords.

    Attributes:
        confirms: the first of them has confirmed the code.
    """

    def __init__(self, passwords: Mapping[str, str], issuer: str = "") -> None:
        super().__init__()
        self._passwords, self._issuer = passwords, issuer
        self.confirms = asyncio.Event()

    def check(self) -> None:
        if self.signed is None:
            self.asked()
            raise LinkError("NOT_SIGNED_IN", status="UNAUTHENTICATED")

    async def known(self) -> bool:
        return self.signed is not None

    async def way(self) -> Way | None:
        return Way(self._issuer, "calque")

    async def enter(self, user: str, password: str) -> Signed:
        if self._passwords.get(user) != password:
            raise LinkError("SIGN_IN_REFUSED", status="UNAUTHENTICATED")
        return Signed(user, user, Grant(user, "", time.time() + 900))

    async def begin(self, way: Way) -> Code:
        return Code("WDJB-MJHT", f"{way.issuer}/device", "", "secret", 0.05, time.time() + 600)

    async def confirmed(self, way: Way, code: Code) -> Signed:
        await self.confirms.wait()
        user = next(iter(self._passwords))
        return Signed(user, user, Grant("token", "", time.time() + 900), way)
