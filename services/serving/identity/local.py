"""Sign-in with this server's own users: tokens that it signs itself, and the call that gives them."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import jwt
import structlog
from calque.v1 import identity_pb2, identity_pb2_grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from services.core.audit import Action, Subject
from services.core.errors import InvalidInput, Reason, Unauthenticated
from services.serving import secret_file
from services.serving.audit import Recorder
from services.serving.caller import Caller, Role, caller, set_caller
from services.serving.identity.attempts import Attempts
from services.serving.identity.binding import binding, bound_to, thumbprint
from services.serving.identity.interceptor import token_of
from services.serving.identity.issuer import Jwk
from services.serving.identity.tokens import AccessTokens, expired
from services.serving.identity.users import NAME_LIMIT, PASSWORD_LIMIT, User, Users, hashed, matches

log = structlog.get_logger()

TOKEN_SECONDS = 900
"""How long a token is valid."""
SESSION_SECONDS = 12 * 3600
"""How long tokens are renewed without the password."""
HASHING = 2
"""Passwords that are checked at once, for 64 MiB each."""

_NOBODY = "?"  # in the audit trail, for a name that is no user's
_AUDIENCE = "calque"
_WHAT = "the key of the access tokens"

Context = grpc.aio.ServicerContext[Any, Any]


class LocalKey:
    """The key that our own tokens are signed with: a file, made when it is missing.

    Raises:
        InvalidInput: the file is no such key, or everybody may read it.
        Unavailable: it cannot be read or made.
    """

    issuer = "calque"

    def __init__(self, path: Path) -> None:
        if not path.exists():
            made = Ed25519PrivateKey.generate()
            with secret_file.file_errors(path, _WHAT):
                secret_file.create(path, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        try:
            found = load_pem_private_key(secret_file.read(path, _WHAT), None)
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"The file {path} is no key of access tokens.") from error
        if not isinstance(found, Ed25519PrivateKey):
            raise InvalidInput(f"The file {path} is no key of access tokens: it must be one of Ed25519.")
        self._private = found
        self._public: Jwk = jwt.algorithms.OKPAlgorithm.to_jwk(found.public_key(), as_dict=True)
        self._name = str(self._public["x"])

    def sign(self, claims: dict[str, Any]) -> str:
        """A token that says this."""
        return jwt.encode(claims, self._private, "EdDSA", headers={"kid": self._name, "typ": "at+jwt"})

    async def find(self, name: str) -> Jwk | None:
        """The public key, if it has this name."""
        return self._public if name == self._name else None


class LocalTokens:
    """Tokens of our own users. They count as long as the user is there and has the same password."""

    def __init__(self, users: Users, key: LocalKey) -> None:
        self.users = users
        self._key = key
        self._tokens = AccessTokens(key, audience=_AUDIENCE, leeway_s=0, roles_claim="roles")

    async def caller(self, token: str, peer: str) -> Caller:
        """Who a token says that it is, with the role that the user has now. Raises: Unauthenticated, Unavailable."""
        user, claims = await self._believed(token)
        return Caller(
            user.name, peer, frozenset({user.role}), frozenset(user.projects), float(claims["exp"]), bound_to(claims)
        )

    def give(self, user: User, signed_in_s: float, certificate: str = "") -> identity_pb2.AccessToken:
        """A new token for a user who gave the password at this time, bound to a client's certificate, if it has one."""
        expires_s = min(int(time.time()) + TOKEN_SECONDS, int(signed_in_s) + SESSION_SECONDS)
        claims = {"iss": self._key.issuer, "aud": _AUDIENCE, "sub": user.name, "exp": expires_s, "auth_time": signed_in_s}
        claims |= binding(certificate)
        return identity_pb2.AccessToken(token=self._key.sign(claims), expires_ms=expires_s * 1000, role=user.role)

    async def renew(self, token: str) -> identity_pb2.AccessToken:
        """A later token for who has one. Raises: Unauthenticated, Unavailable."""
        user, claims = await self._believed(token)
        return self.give(user, claims["auth_time"], bound_to(claims))

    async def _believed(self, token: str) -> tuple[User, dict[str, Any]]:
        claims = await self._tokens.claims(token)
        user = self.users.all().get(claims["sub"])
        if user is None or claims["auth_time"] < user.changed_s:
            raise expired()
        return user, claims


class IdentityServicer(identity_pb2_grpc.IdentityServicer):
    """The contract's Identity service. Who signs in here, and whom it refuses, goes into the audit trail.

    Args:
        tokens: of this server's own users; None: they sign in at an issuer.
        recorder: of the audit trail.
        attempts: counts those that fail.
        way: how users sign in; None: here.
    """

    name = identity_pb2.DESCRIPTOR.services_by_name["Identity"].full_name
    serving = True
    runs_on = ""

    def __init__(
        self,
        tokens: LocalTokens | None,
        recorder: Recorder,
        attempts: Attempts | None = None,
        way: identity_pb2.GetWayResponse | None = None,
    ) -> None:
        self._here = tokens
        self._way = way or identity_pb2.GetWayResponse()
        self._recorder = recorder
        self._attempts = attempts or Attempts()
        self._hashing = asyncio.Semaphore(HASHING)
        self._of_nobody = hashed(secrets.token_hex())

    def register(self, server: grpc.aio.Server) -> None:
        """Add this service to a server."""
        identity_pb2_grpc.add_IdentityServicer_to_server(self, server)

    async def close(self) -> None:
        """Nothing is kept open."""

    @property
    def _tokens(self) -> LocalTokens:
        """Tokens of our own users. Raises: InvalidInput: there are none."""
        if self._here is None:
            raise InvalidInput(f"Users sign in at {self._way.issuer}.")
        return self._here

    async def GetWay(  # noqa: N802 – names of rpcs
        self, request: identity_pb2.GetWayRequest, context: Context
    ) -> identity_pb2.GetWayResponse:
        return self._way

    async def GetUser(  # noqa: N802
        self, request: identity_pb2.GetUserRequest, context: Context
    ) -> identity_pb2.GetUserResponse:
        who = caller()
        role = max(who.roles, key=list(Role).index, default="")
        return identity_pb2.GetUserResponse(user=who.user, role=role, projects=sorted(who.projects or ()))

    async def SignIn(  # noqa: N802
        self, request: identity_pb2.SignInRequest, context: Context
    ) -> identity_pb2.SignInResponse:
        tokens, name, peer = self._tokens, request.user, caller().peer
        if len(name) > NAME_LIMIT or len(request.password) > PASSWORD_LIMIT:
            raise InvalidInput("No user or password is so long.")
        self._attempts.count(name, peer)
        user = tokens.users.all().get(name)
        # An unknown user takes as long as a known one, so that nobody learns who there is.
        against = user.password_hash if user else self._of_nobody
        async with self._hashing:
            right = await asyncio.to_thread(matches, against, request.password)
        # Not the name of nobody: a password may have been typed there.
        set_caller(replace(caller(), user=name if user else _NOBODY))
        if user is None or not right:
            log.warning("sign-in refused", peer=peer)
            await self._recorder.record(Action.SIGN_IN, Subject(), done=False)
            raise Unauthenticated("User or password is wrong.", Reason.SIGN_IN_REFUSED)
        await self._recorder.record(Action.SIGN_IN, Subject())
        self._attempts.succeeded(name, peer)
        log.info("signed in", user=name, peer=peer)
        return identity_pb2.SignInResponse(token=tokens.give(user, time.time(), thumbprint(context)))

    async def Renew(  # noqa: N802
        self, request: identity_pb2.RenewRequest, context: Context
    ) -> identity_pb2.RenewResponse:
        return identity_pb2.RenewResponse(token=await self._tokens.renew(token_of(context)))
