"""Who may call, as the settings say it: users by tokens of an issuer, and our own services by a secret that they share."""

from __future__ import annotations

import os
import secrets
from functools import partial

from services.core.errors import InvalidInput, Reason, Unavailable
from services.serving.caller import Caller, Role
from services.serving.identity.interceptor import Authenticate
from services.serving.identity.issuer import IssuerKeys
from services.serving.identity.tokens import AccessTokens
from services.serving.settings import Settings

SERVICE_USER = "service"
SECRET_LEAST = 32
"""Fewest characters of the services' secret."""


def authentication(settings: Settings, secret: str) -> Authenticate | None:
    """What says who calls; None: nobody is asked.

    Args:
        settings: of the service.
        secret: of the services, see `service_secret`.

    Raises:
        InvalidInput: the settings name no issuer that can be trusted.
    """
    if not settings.oidc_issuer:
        return None
    tokens = AccessTokens(
        IssuerKeys(settings.oidc_issuer),
        audience=settings.oidc_audience,
        leeway_s=settings.oidc_leeway_seconds,
        roles_claim=settings.oidc_roles_claim,
    )
    return partial(_authenticate, tokens, secret)


def service_secret(settings: Settings) -> str:
    """The secret by which one service knows another: that of the settings' file, else a new one for this process alone.

    Raises:
        InvalidInput: it is too short, or everybody may read it.
        Unavailable: the file cannot be read.
    """
    path = settings.service_secret
    if path is None:
        return secrets.token_urlsafe(SECRET_LEAST)
    try:
        text, mode = path.read_text(encoding="ascii", errors="replace").strip(), path.stat().st_mode
    except OSError as error:
        message = f"The services' secret ({path}) cannot be read: {os.strerror(error.errno or 0)}."
        raise Unavailable(message, Reason.STORE_UNAVAILABLE) from error
    if len(text) < SECRET_LEAST or not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidInput(f"The services' secret ({path}) must be at least {SECRET_LEAST} letters and digits in one line.")
    if mode & 0o007:
        raise InvalidInput(f"Everybody may read the services' secret; say: chmod 600 {path}")
    return text


async def _authenticate(tokens: AccessTokens, secret: str, token: str, peer: str) -> Caller:
    if secrets.compare_digest(token.encode(), secret.encode()):
        return Caller(SERVICE_USER, peer, frozenset({Role.ANNOTATOR}))
    return await tokens.caller(token, peer)
