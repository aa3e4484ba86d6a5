"""What ``calque sign-in`` keeps: tokens by the address of the services, in a file that its user alone may read.

A token is renewed when two thirds of its time are over, as long as the server or the issuer renews it.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import grpc
from calque.issuer import Grant, IssuerError, Way, renew
from calque.v1 import identity_pb2, identity_pb2_grpc
from platformdirs import user_config_path

from services.serving import secret_file

_WHAT = "what was kept of the sign-in"
_SECONDS = 30.0


@dataclass(frozen=True)
class SignedIn:
    """A sign-in at one address.

    Attributes:
        token: that calls carry.
        expires_s, renew_s: when it ends and when it is due to be renewed, by ``time.time``.
        refresh: by which an issuer renews it.
        issuer, client_id, scope: where that is; empty: the services themselves renew it.
    """

    token: str
    expires_s: float
    renew_s: float
    refresh: str = ""
    issuer: str = ""
    client_id: str = ""
    scope: str = ""

    @classmethod
    def here(cls, given: identity_pb2.AccessToken) -> SignedIn:
        """With a token of the services themselves."""
        return cls(given.token, given.expires_ms / 1000, _due(given.expires_ms / 1000))

    @classmethod
    def there(cls, way: Way, grant: Grant) -> SignedIn:
        """With a token of an issuer."""
        return cls(grant.token, grant.expires_s, _due(grant.expires_s), grant.refresh, way.issuer, way.client_id, way.scope)

    def renewed(self, channel: grpc.Channel) -> SignedIn:
        """The same with a later token. Raises: grpc.RpcError, IssuerError: it cannot be had."""
        if self.issuer:
            way = Way(self.issuer, self.client_id, self.scope)
            return SignedIn.there(way, renew(way, Grant(self.token, self.refresh, self.expires_s)))
        metadata = (("authorization", f"Bearer {self.token}"),)
        again = identity_pb2_grpc.IdentityStub(channel).Renew
        return SignedIn.here(again(identity_pb2.RenewRequest(), metadata=metadata, timeout=_SECONDS).token)


def _due(expires_s: float) -> float:
    now = time.time()
    return now + (expires_s - now) * 2 / 3


def kept(address: str) -> SignedIn | None:
    """The sign-in at an address, if there is one that can be understood. Raises: InvalidInput, Unavailable."""
    try:
        return SignedIn(**_all()[address])
    except (KeyError, TypeError):
        return None


def keep(address: str, found: SignedIn | None) -> bool:
    """Keep a sign-in in the place of the one before, or None. Returns: there was one. Raises: InvalidInput, Unavailable."""
    everything = _all()
    before = everything.pop(address, None)
    if found is not None:
        everything[address] = asdict(found)
    with secret_file.file_errors(_file(), _WHAT):
        secret_file.replace(_file(), json.dumps(everything).encode())
    return before is not None


def _file() -> Path:
    return user_config_path("calque", appauthor=False) / "sign-in.json"


def _all() -> dict[str, Any]:
    if not _file().exists():
        return {}
    try:
        found = json.loads(secret_file.read(_file(), _WHAT))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


class Carried(grpc.AuthMetadataPlugin):
    """Has each call of a channel carry the token of who signed in, renewed in time.

    Args:
        address: of the services.
        found: the sign-in there.
        credentials: by which they are trusted when they renew it.
    """

    def __init__(self, address: str, found: SignedIn, credentials: grpc.ChannelCredentials) -> None:
        self._address, self._found, self._credentials = address, found, credentials
        self._lock = threading.Lock()

    def __call__(self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        """Called by gRPC before each call, from any thread."""
        with self._lock:
            if time.time() >= self._found.renew_s:
                self._renew()
        callback((("authorization", f"Bearer {self._found.token}"),), None)

    def _renew(self) -> None:
        try:
            with grpc.secure_channel(self._address, self._credentials) as channel:
                self._found = self._found.renewed(channel)
            keep(self._address, self._found)
        except (grpc.RpcError, IssuerError):  # the token goes on to its end; the services say what is wrong then
            self._found = replace(self._found, renew_s=time.time() + _SECONDS)
