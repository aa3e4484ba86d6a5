"""Who works with this tablet, as the services of a link know it.

A token lives in memory alone. Nothing here changes who calls but `Account.take`: whoever asks decides what ends before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from calque.issuer import Code, Grant, Way

from tablet_client.link.port import LinkError


@dataclass(frozen=True)
class Signed:
    """A user who has signed in.

    Attributes:
        user: identifier, by which what is kept for the user is found.
        name: what to call the user.
        grant: the token, and by what it is renewed.
        way: of an issuer; None: the services renew it.
    """

    user: str
    name: str
    grant: Grant
    way: Way | None = None


@dataclass(frozen=True)
class Rights:
    """What who is signed in may do.

    Attributes:
        role: ``viewer``, ``annotator``, ``reviewer``, ``trainer`` or ``administrator``.
        projects: whose volumes the user sees; none where nobody is asked.
    """

    role: str
    projects: tuple[str, ...] = ()


class Account:
    """Who is signed in with one link. This one is of services that ask nobody.

    Attributes:
        signed: who is; None: nobody.
        asked: told when the services refuse a call because they do not know who calls.
    """

    def __init__(self) -> None:
        self.signed: Signed | None = None
        self.asked: Callable[[], None] = lambda: None

    @property
    def user(self) -> str:
        """Identifier of who is signed in; empty: nobody is."""
        return self.signed.user if self.signed else ""

    def take(self, signed: Signed | None) -> None:
        """Calls are made as this user from now on, or as nobody."""
        self.signed = signed

    def check(self) -> None:
        """Nothing, as long as calls are let in; asked before each by a server in memory. Raises: LinkError."""

    async def way(self) -> Way | None:
        """How users sign in: at an issuer; with a password here, where its address is empty; None: nobody is asked.

        Raises: LinkError.
        """
        return None

    async def known(self) -> bool:
        """Whether the services still know who is signed in, or cannot say now."""
        return True

    async def rights(self) -> Rights:
        """What who is signed in may do; everything where nobody is asked. Raises: LinkError."""
        return Rights("administrator")

    async def enter(self, user: str, password: str) -> Signed:
        """Sign in with a password. Raises: LinkError: ``SIGN_IN_REFUSED``, ``TOO_MANY_ATTEMPTS``, …"""
        raise LinkError("SIGN_IN_REFUSED")

    async def begin(self, way: Way) -> Code:
        """A code that the user confirms at the issuer. Raises: LinkError."""
        raise LinkError("ISSUER_UNAVAILABLE")

    async def confirmed(self, way: Way, code: Code) -> Signed:
        """Wait until a code was confirmed. Raises: LinkError."""
        raise LinkError("CODE_REFUSED")

    async def run(self) -> None:
        """Renew what is due until cancelled."""
        await asyncio.Event().wait()
