"""An OpenID Connect issuer over real HTTP on loopback, with real keys that a test changes, takes away or hides."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

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
    """

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.private: dict[str, tuple[str, Any]] = {}
        self.published: dict[str, Any] = {}
        self.fetches = 0
        self.away = False
        self.discovery = {"issuer": self.address, "jwks_uri": f"{self.address}/keys"}
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
