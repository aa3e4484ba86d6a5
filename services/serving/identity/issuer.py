"""The keys that an OpenID Connect issuer signs with: found by its discovery document, kept, and renewed as they change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog
from calque.issuer import IssuerError, discovery, document, is_trusted_way, named

from services.core.errors import InvalidInput, Unavailable

log = structlog.get_logger()

FRESH_SECONDS = 3600.0
"""Keys older than this are fetched again, so that one that the issuer has withdrawn goes."""
AGAIN_SECONDS = 60.0
"""Shortest time between two fetches, however many tokens name a key that is not known."""
RETRY_SECONDS = 5.0
"""The same as long as there are no keys at all."""
KEYS_LIMIT = 64

Jwk = dict[str, Any]
"""A JSON Web Key (RFC 7517)."""


class IssuerKeys:
    """Keys of one issuer, fetched when they are first needed. Its methods are called in one asyncio loop.

    Args:
        issuer: its address as its tokens say it: ``https://…``; ``http`` on loopback alone.
        clock: seconds that pass.

    Raises:
        InvalidInput: that is no such address.
    """

    def __init__(self, issuer: str, clock: Callable[[], float] = time.monotonic) -> None:
        if not is_trusted_way(issuer):
            raise InvalidInput("The issuer (CALQUE_OIDC_ISSUER) must be an address that begins with https://.")
        self.issuer = issuer
        self._clock = clock
        self._keys: dict[str, Jwk] = {}
        self._fetched_s = self._tried_s = float("-inf")
        self._lock = asyncio.Lock()

    async def find(self, name: str) -> Jwk | None:
        """The key of a name (``kid``); None: the issuer has none of it.

        The empty name is that of the only key, where there is one. While the issuer is away, what was fetched goes on.

        Raises:
            Unavailable: the issuer does not answer, so that it is not known whether it has this key.
        """
        if self._due(name) and not (self._held(name) and self._lock.locked()):
            async with self._lock:  # who waited for another's fetch may find that it brought the key
                if self._due(name):
                    await self._fetch()
        found = self._held(name)
        if found is None and self._fetched_s < self._tried_s:
            raise Unavailable("The sign-in service does not answer, so nobody new can be let in; try again later.")
        return found

    def _held(self, name: str) -> Jwk | None:
        if name:
            return self._keys.get(name)
        return next(iter(self._keys.values())) if len(self._keys) == 1 else None

    def _due(self, name: str) -> bool:
        """Whether to ask the issuer: the key is not known, or all are old; and it was not asked just now."""
        now = self._clock()
        pause = AGAIN_SECONDS if self._keys else RETRY_SECONDS
        return now - self._tried_s >= pause and (self._held(name) is None or now - self._fetched_s >= FRESH_SECONDS)

    async def _fetch(self) -> None:
        try:
            self._keys = await asyncio.to_thread(_keys_of, self.issuer)
        except IssuerError as error:
            self._tried_s = self._clock()
            log.warning("the issuer of access tokens does not answer", why=str(error))
        else:
            self._tried_s = self._fetched_s = self._clock()


def _keys_of(issuer: str) -> dict[str, Jwk]:
    """The issuer's keys for signatures by their names. Raises: IssuerError."""
    listed = document(named(discovery(issuer), "jwks_uri")).get("keys")
    found = {
        str(key.get("kid", "")): key
        for key in (listed[:KEYS_LIMIT] if isinstance(listed, list) else [])
        if isinstance(key, dict) and key.get("kty") in ("RSA", "EC", "OKP") and key.get("use", "sig") == "sig"
    }
    if not found:
        raise IssuerError("it has no keys for signatures")
    return found
