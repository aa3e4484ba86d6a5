"""Asking an OpenID Connect issuer over HTTP, and signing in there by a device that has no browser (RFC 8628).

Calls block until their deadline at most. A document is a JSON object of bounded size, and comes from the address that was
asked: ``https``, or ``http`` on this machine itself.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit

DEADLINE_S = 5.0
"""Longest wait for the issuer to go on answering, and for all of one document."""
DOCUMENT_LIMIT_BYTES = 256 << 10

_INTERVAL_S = 5.0  # of RFC 8628, where the issuer says none
_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

Document = dict[str, Any]


class IssuerError(Exception):
    """The issuer does not answer as it must; the text says what it did."""


class SignInRefused(IssuerError):
    """The issuer lets nobody in: the user said no, let the time go by, or what it gave counts no longer."""


@dataclass(frozen=True)
class Way:
    """How users sign in at an issuer: its address, who it knows our clients as, and what is asked of it."""

    issuer: str
    client_id: str
    scope: str = ""


@dataclass(frozen=True)
class Code:
    """What a user has to do.

    Attributes:
        code: to be typed, or compared.
        address: to be opened, on whatever has a browser.
        direct: the same with the code in it; empty where the issuer has none.
        secret: by which we ask what became of it.
        interval_s: seconds between two questions.
        ends_s: when it counts no longer, by ``time.time``.
    """

    code: str
    address: str
    direct: str
    secret: str
    interval_s: float
    ends_s: float


@dataclass(frozen=True)
class Grant:
    """What the issuer gave.

    Attributes:
        token: the access token, which calls carry.
        refresh: gets later ones; empty where there is none.
        expires_s: when the token ends, by ``time.time``.
        name: what to call the user on a screen, and nothing else; may be empty.
    """

    token: str
    refresh: str
    expires_s: float
    name: str = ""


def is_trusted_way(address: str) -> bool:
    """Whether an address is https, or http to this machine itself."""
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and (
            parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1"))
        )
    except ValueError:
        return False


def discovery(issuer: str) -> Document:
    """What an issuer says about itself. Raises: IssuerError."""
    about = document(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if about.get("issuer") != issuer:
        raise IssuerError("its discovery document is that of another issuer")
    return about


def named(about: Mapping[str, Any], what: str) -> str:
    """An address that a discovery document names. Raises: IssuerError: it names none that begins with https://."""
    where = about.get(what)
    if not isinstance(where, str) or not is_trusted_way(where):
        raise IssuerError(f"its discovery document names no {what} that begins with https://")
    return where


def document(address: str) -> Document:
    """A JSON object. Raises: IssuerError."""
    status, found = _answer(urllib.request.Request(address))
    if status >= 300:
        raise IssuerError(f"it did not answer with a JSON document (HTTP status {status})")
    return found


def begin(way: Way) -> Code:
    """Ask for a code that the user confirms elsewhere. Raises: IssuerError."""
    where = named(discovery(way.issuer), "device_authorization_endpoint")
    status, said = _posted(where, {"client_id": way.client_id, "scope": way.scope})
    if status >= 300:
        raise SignInRefused(f"it gives no code ({_reason(said)})")
    texts = [said.get(name) for name in ("user_code", "verification_uri", "device_code")]
    if not all(isinstance(text, str) and text for text in texts) or not is_trusted_way(str(texts[1])):
        raise IssuerError("its code is not complete")
    code, address, secret = map(str, texts)
    direct = said.get("verification_uri_complete")
    direct = direct if isinstance(direct, str) and is_trusted_way(direct) else ""
    ends_s = time.time() + _number(said.get("expires_in"), 600.0)
    return Code(code, address, direct, secret, _number(said.get("interval"), _INTERVAL_S), ends_s)


def ask(way: Way, code: Code) -> Grant | Code:
    """What became of a code; not before its interval has passed.

    Returns:
        What the user was given, or, as long as nothing is decided, the code to ask with next time.

    Raises:
        SignInRefused: nothing will come of it.
        IssuerError: the issuer does not answer; it may later.
    """
    if time.time() >= code.ends_s:
        raise SignInRefused("nobody has confirmed the code in time")
    form = {"grant_type": _GRANT, "device_code": code.secret, "client_id": way.client_id}
    status, said = _token(way, form)
    if status < 300:
        return _grant(said)
    if said.get("error") == "authorization_pending":
        return code
    if said.get("error") == "slow_down":
        return replace(code, interval_s=code.interval_s + 5.0)
    if status >= 500:
        raise IssuerError(f"HTTP status {status}")
    raise SignInRefused(f"it was not confirmed ({_reason(said)})")


def renew(way: Way, grant: Grant) -> Grant:
    """A later token. Raises: SignInRefused: the user has to sign in again; IssuerError: it does not answer."""
    if not grant.refresh:
        raise SignInRefused("it gave nothing to go on with")
    form = {"grant_type": "refresh_token", "refresh_token": grant.refresh, "client_id": way.client_id}
    status, said = _token(way, form)
    if 400 <= status < 500:
        raise SignInRefused(_reason(said))
    if status >= 300:
        raise IssuerError(f"HTTP status {status}")
    later = _grant(said)
    return later if later.refresh else replace(later, refresh=grant.refresh)


def _token(way: Way, form: Mapping[str, str]) -> tuple[int, Document]:
    return _posted(named(discovery(way.issuer), "token_endpoint"), form)


def _grant(said: Document) -> Grant:
    token, refresh = said.get("access_token"), said.get("refresh_token", "")
    if not isinstance(token, str) or not token or not isinstance(refresh, str):
        raise IssuerError("it answers without a token")
    return Grant(token, refresh, time.time() + _number(said.get("expires_in"), 300.0), _name(said.get("id_token")))


def _name(identity: object) -> str:
    """What an ID token calls the user. It comes from the issuer itself over TLS, so its signature is not looked at."""
    try:
        part = str(identity).split(".")[1]
        claims = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        names = [claims.get(name) for name in ("name", "preferred_username", "email")]
    except (IndexError, ValueError, AttributeError, RecursionError):
        return ""
    return next((name for name in names if isinstance(name, str) and name.isprintable() and 0 < len(name) <= 64), "")


def _number(said: object, usual: float) -> float:
    """Seconds that the issuer says, within reason."""
    return min(max(float(said), 0.0), 1e6) if isinstance(said, int | float) else usual


def _reason(said: Document) -> str:
    """Why, as OAuth's error codes say it: letters and signs that are no sentence of anybody's."""
    error = said.get("error")
    return error if isinstance(error, str) and error.isascii() and error.isprintable() and len(error) < 64 else "no reason"


def _posted(address: str, form: Mapping[str, str]) -> tuple[int, Document]:
    return _answer(urllib.request.Request(address, urlencode(form).encode(), {"Accept": "application/json"}))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Another address than the one that was checked is not asked."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _answer(request: urllib.request.Request) -> tuple[int, Document]:
    """Status and JSON object of an answer, within bounds of time and size. Raises: IssuerError."""
    # None on loopback, else those of the system.
    proxies: dict[str, str] | None = {} if request.full_url.startswith("http:") else None
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies), _NoRedirect)
    ends_s, body = time.monotonic() + DEADLINE_S, b""
    try:
        try:
            answer = opener.open(request, timeout=DEADLINE_S)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            while part := answer.read1(64 << 10):
                body += part
                if len(body) > DOCUMENT_LIMIT_BYTES or time.monotonic() > ends_s:
                    raise IssuerError("it answers too much, or too slowly")
            status = int(answer.status)
    except (OSError, HTTPException, ValueError) as error:
        raise IssuerError(f"it did not answer with a JSON document ({type(error).__name__})") from error
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        if status >= 300:
            return status, {}
        raise IssuerError("it did not answer with a JSON object")
    return status, found
