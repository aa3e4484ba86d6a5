"""From what the user prefers to a link: which server, and who vouches for it."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, cast

from tablet_client.link.account import Account
from tablet_client.link.grpc_link import GrpcLink
from tablet_client.link.port import Link, LinkError
from tablet_client.state.address import is_loopback, parse_address
from tablet_client.state.places import machine_authority
from tablet_client.state.preferences import Preferences

LinkFactory = Callable[[Preferences], Link]
"""Makes a link on the running loop; a `NoLink` where no server is known. Raises: CertificateError."""


class CertificateError(Exception):
    """A file holds no certificates that can be read."""


class NoLink:
    """Stands for a link as long as no server is known: whatever is asked of it fails with ``NO_SERVER``."""

    def __init__(self) -> None:
        self.account = Account()

    def __getattr__(self, call: str) -> Any:
        raise LinkError("NO_SERVER")

    def close(self) -> None:
        """There is nothing to hang up."""


def connect(preferences: Preferences, *, plain: bool = False, identity: str = "") -> Link:
    """A link to the server of the preferences.

    It is encrypted, and trusts whom their certificate vouches for; without one, on this machine the authority that its
    services have made, elsewhere those that the system knows. A machine whose services made none speaks without encryption.

    Args:
        preferences: name the server, and who vouches for it.
        plain: without encryption, whatever there is.
        identity: file of the tablet's own certificate and its key (PEM), for servers that ask for one; empty: it has none.

    Raises:
        CertificateError: there are no certificates in a file.
    """
    address = parse_address(preferences.server)
    if address is None:
        return cast(Link, NoLink())
    certificate = preferences.certificate
    if not certificate and is_loopback(preferences.server):
        certificate = str(machine_authority()) if machine_authority().exists() else ""
        plain = plain or not certificate
    return GrpcLink(address.host, address.port, None if plain else trusting(certificate, identity))


def trusting(certificate: str, identity: str = "") -> ssl.SSLContext:
    """Trusts servers for whom the certificates of a file (PEM) vouch; without one those whom the system's authorities do.

    ``identity`` is the file of a certificate of our own with its key (PEM), for servers that ask for one. Raises:
    CertificateError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    try:
        if certificate:
            context.load_verify_locations(cafile=certificate)
        else:
            context.load_default_certs()
    except (OSError, ValueError) as error:  # a path may hold what no path can
        raise CertificateError(f"{certificate} holds no certificates that can be read.") from error
    try:
        if identity:
            context.load_cert_chain(identity, password="")
    except (OSError, ValueError) as error:
        raise CertificateError(f"{identity} holds no certificate with its key that can be read.") from error
    return context
