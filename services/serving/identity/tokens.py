"""Access tokens: who a signed token (JWT, RFC 9068) says that the caller is, if it is to be believed."""

from __future__ import annotations

from typing import Any, Protocol

import jwt

from services.core.errors import Unauthenticated
from services.core.projects import DEFAULT_PROJECT, is_project
from services.serving.caller import Caller, Role
from services.serving.identity.binding import bound_to
from services.serving.identity.issuer import Jwk

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
"""Asymmetric ones alone: with a shared secret, who can check a token can make one."""
USER_LIMIT = 255
"""Most characters of a user's identifier, as OpenID Connect has it."""


class Keys(Protocol):
    """Where the keys are that one issuer signs with."""

    issuer: str

    async def find(self, name: str) -> Jwk | None:
        """The key of a name; None: there is none. Raises: Unavailable."""
        ...


class AccessTokens:
    """Tokens of one issuer for one audience.

    Args:
        keys: of the issuer.
        audience: that a token must be made for.
        leeway_s: by how many seconds the clocks of issuer and service may differ.
        roles_claim: where a token lists the user's roles; dots lead into objects: ``realm_access.roles``.
        projects_claim: where it lists the user's projects, in the same way; empty: everybody has the default one.
    """

    def __init__(self, keys: Keys, *, audience: str, leeway_s: float, roles_claim: str, projects_claim: str = "") -> None:
        self._keys = keys
        self._audience = audience
        self._leeway_s = leeway_s
        self._roles_claim = roles_claim
        self._projects_claim = projects_claim

    async def caller(self, token: str, peer: str) -> Caller:
        """Who a token says that it is.

        Raises: Unauthenticated, Unavailable, as `claims`.
        """
        claims = await self.claims(token)
        expires_s = int(claims["exp"]) + self._leeway_s
        return Caller(claims["sub"], peer, self._roles(claims), self._projects(claims), expires_s, bound_to(claims))

    async def claims(self, token: str) -> dict[str, Any]:
        """What a token says, issuer, audience, user and expiry among it.

        Raises:
            Unauthenticated: it is not to be believed, is not for us, or has expired.
            Unavailable: the issuer's keys cannot be had.
        """
        try:
            key = await self._key(token)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=self._keys.issuer,
                audience=self._audience,
                leeway=self._leeway_s,
                options={"require": ["iss", "aud", "sub", "exp"], "enforce_minimum_key_length": True},
            )
        except jwt.ExpiredSignatureError as error:
            raise expired() from error
        except jwt.PyJWTError as error:
            raise _not_believed() from error
        user = claims["sub"]
        if not 0 < len(user) <= USER_LIMIT or not user.isprintable():
            raise _not_believed()
        return claims

    async def _key(self, token: str) -> jwt.PyJWK:
        """The key that a token says it is signed with, for the algorithm that it says. Raises: jwt.PyJWTError."""
        header = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise jwt.InvalidAlgorithmError("not one of ours")
        found = await self._keys.find(header.get("kid", ""))
        if found is None or found.get("alg", algorithm) != algorithm:
            raise jwt.InvalidKeyError("no such key")
        return jwt.PyJWK(found, algorithm)

    def _roles(self, claims: dict[str, Any]) -> frozenset[Role]:
        """The user's roles that we know."""
        listed = _listed(claims, self._roles_claim)
        return frozenset(role for role in Role if role in listed)

    def _projects(self, claims: dict[str, Any]) -> frozenset[str]:
        """The user's projects."""
        if not self._projects_claim:
            return frozenset({DEFAULT_PROJECT})
        return frozenset(name for name in _listed(claims, self._projects_claim) if is_project(name))


def _listed(claims: dict[str, Any], claim: str) -> list[Any]:
    """What stands in a list; nothing where there is none."""
    found: Any = claims.get(claim)
    if found is None:  # a name may itself have dots
        found = claims
        for name in claim.split("."):
            found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, list) else []


def expired() -> Unauthenticated:
    """What is said of a token whose time is over."""
    return Unauthenticated("The sign-in has expired; sign in again.")


def _not_believed() -> Unauthenticated:
    return Unauthenticated("The access token is not valid here; sign in again.")
