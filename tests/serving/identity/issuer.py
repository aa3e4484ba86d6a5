"""An OpenID Connect issuer over real HTTP on loopback, with real keys that a test changes, takes away or hides."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from services.serving.identity.issuer import IssuerKeys

AUDIENCE = "calque"

_FAMILY = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "PS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


class Issuer:
    """Serves a discovery document and its public keys while it is there.

    Attributes:
        address: the issuer's, as its tokens say it.
        private: keys that it signs with, by their names.
        published: the documents that it serves, by path; a test may change them.
        fetches: how often the keys were asked for.
        away: it answers nothing any more but 503.
        confirmed: who confirmed a device's code; empty: nobody yet; None: it was refused.
        token_s: how long the tokens that it gives are valid.
    """

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.private: dict[str, tuple[str, Any]] = {}
        self.published: dict[str, Any] = {}
        self.fetches = 0
        self.away = False
        self.confirmed: str | None = ""
        self.token_s = 300
        self._refresh: dict[str, str] = {}
        self.discovery = {
            "issuer": self.address,
            "jwks_uri": f"{self.address}/keys",
            "device_authorization_endpoint": f"{self.address}/device",
            "token_endpoint": f"{self.address}/token",
        }
        self.published["/.well-known/openid-configuration"] = self.discovery
        self.published["/keys"] = {"keys": []}

    def add(self, name: str, algorithm: str = "ES256", private: Any = None, **more: Any) -> None:
        """A new key, published at once."""
        private = private or _FAMILY[algorithm]()
        self.private[name] = (algorithm, private)
        kind = jwt.algorithms.get_default_algorithms()[algorithm]
        published = json.loads(kind.to_jwk(private.public_key()))  # type: ignore[attr-defined]
        named = {"kid": name} if name else {}
        self.published["/keys"]["keys"].append({**published, "use": "sig", **named, **more})

    def remove(self, name: str) -> None:
        """A key is no longer published; the test can still sign with it."""
        kept = [key for key in self.published["/keys"]["keys"] if key.get("kid", "") != name]
        self.published["/keys"] = {"keys": kept}

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Those of a good token, with some changed, or absent where None."""
        now = int(time.time())
        good = {"iss": self.address, "aud": AUDIENCE, "sub": "u-7", "iat": now, "exp": now + 300, "roles": ["annotator"]}
        return {name: value for name, value in {**good, **changed}.items() if value is not None}

    def token(self, name: str, *, algorithm: str = "", kid: str | None = None, **changed: Any) -> str:
        """A token signed with a key of ours, which names that key unless told otherwise."""
        usual, private = self.private[name]
        said = name if kid is None else kid
        headers = {"kid": said} if said else {}
        return jwt.encode(self.claims(**changed), private, algorithm or usual, headers=headers)

    def posted(self, path: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and answer of the device flow's two addresses (RFC 8628); a refresh token counts once."""
        if form.get("client_id") != "calque" or self.away:
            return (503 if self.away else 401), {"error": "invalid_client"}
        if path == "/device":
            codes = {"device_code": "d" * 20, "user_code": "WDJB-MJHT", "verification_uri": f"{self.address}/confirm"}
            return 200, {**codes, "expires_in": 600, "interval": 0.05}
        user = self.confirmed
        if form["grant_type"] == "refresh_token":
            user = self._refresh.pop(form["refresh_token"], None)
        elif form.get("device_code") != "d" * 20 or user is None:
            return 400, {"error": "access_denied"}
        elif not user:
            return 400, {"error": "authorization_pending"}
        if user is None:
            return 400, {"error": "invalid_grant"}
        refresh = secrets.token_urlsafe()
        self._refresh[refresh] = user
        token = self.token(next(iter(self.private)), sub=user, exp=int(time.time()) + self.token_s)
        identity = jwt.encode({"name": "Ada L."}, self.private[next(iter(self.private))][1], "ES256")
        return 200, {
            "id_token": identity,
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": self.token_s,
            "refresh_token": refresh,
        }


@contextmanager
def issuer() -> Iterator[Issuer]:
    """An issuer that answers while the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            one.fetches += self.path == "/keys"
            answer = one.published.get(self.path)
            if one.away or answer is None:
                self.send_error(503)
            elif isinstance(answer, str):
                self.send_response(302)
                self.send_header("Location", answer)
                self.end_headers()
            else:
                body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, answer = one.posted(self.path, dict(parse_qsl(sent)))
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        one = Issuer(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield one
        finally:
            server.shutdown()
            thread.join()


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def keys_of(one: Issuer) -> tuple[IssuerKeys, Clock]:
    """The service's side of an issuer, and the clock that it goes by."""
    clock = Clock()
    return IssuerKeys(one.address, clock), clock
