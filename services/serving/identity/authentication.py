"""Who may call, as the settings say it: users by tokens of an issuer, and our own services by a secret that they share."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import partial

from calque.v1 import identity_pb2

from services.core.errors import InvalidInput, Unauthenticated
from services.serving import secret_file
from services.serving.caller import Caller, Role
from services.serving.identity.interceptor import Authenticate
from services.serving.identity.issuer import IssuerKeys
from services.serving.identity.local import LocalKey, LocalTokens
from services.serving.identity.tokens import AccessTokens
from services.serving.identity.users import SERVICE_USER, Users
from services.serving.settings import Settings

SECRET_LEAST = 32
"""Fewest characters of the services' secret."""


@dataclass(frozen=True)
class Access:
    """Who may call.

    Attributes:
        authenticate: says who calls; None: nobody is asked.
        local: tokens of this server's own users, if there are any.
    """

    authenticate: Authenticate | None = None
    local: LocalTokens | None = None


def access(settings: Settings, secret: str) -> Access:
    """Who may call, as the settings say it: whom an issuer vouches for, else this server's own users, else everybody.

    Our own services may where they know the secret. Where it has a file, and there are no users, they alone may.

    Args:
        settings: of the service.
        secret: of the services, see `service_secret`.

    Raises:
        InvalidInput: the issuer is none that can be trusted, or everybody may read the file of users.
        Unavailable: a file cannot be read or made.
    """
    if settings.oidc_issuer:
        tokens = AccessTokens(
            IssuerKeys(settings.oidc_issuer),
            audience=settings.oidc_audience,
            leeway_s=settings.oidc_leeway_seconds,
            roles_claim=settings.oidc_roles_claim,
            projects_claim=settings.oidc_projects_claim,
        )
        return Access(partial(_authenticate, tokens, secret))
    if settings.users is None and not settings.users_file.exists():
        return Access(partial(_authenticate, None, secret) if settings.service_secret else None)
    users = Users(settings.users_file)
    users.all()
    local = LocalTokens(users, LocalKey(settings.users_file.with_name("tokens.key")))
    return Access(partial(_authenticate, local, secret), local)


def way_of(settings: Settings) -> identity_pb2.GetWayResponse:
    """How users sign in, as the settings say it."""
    if not settings.oidc_issuer:
        return identity_pb2.GetWayResponse()
    return identity_pb2.GetWayResponse(
        issuer=settings.oidc_issuer, client_id=settings.oidc_client_id, scope=settings.oidc_scope
    )


def service_secret(settings: Settings) -> str:
    """The secret by which one service knows another: that of the settings' file, else a new one for this process alone.

    Raises:
        InvalidInput: it is too short, or everybody may read it.
        Unavailable: the file cannot be read.
    """
    path = settings.service_secret
    if path is None:
        return secrets.token_urlsafe(SECRET_LEAST)
    text = secret_file.read(path, "the services' secret").decode("ascii", errors="replace").strip()
    if len(text) < SECRET_LEAST or not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidInput(f"The services' secret ({path}) must be at least {SECRET_LEAST} letters and digits in one line.")
    return text


async def _authenticate(tokens: AccessTokens | LocalTokens | None, secret: str, token: str, peer: str) -> Caller:
    if secrets.compare_digest(token.encode(), secret.encode()):
        return Caller(SERVICE_USER, peer, frozenset({Role.ANNOTATOR}))
    if tokens is None:
        raise Unauthenticated("Only services may call here, with their secret.")
    return await tokens.caller(token, peer)
