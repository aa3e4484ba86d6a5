"""How a command reaches services: who vouches for them, and as whom it calls."""

from __future__ import annotations

from pathlib import Path

import grpc

from services.bench.client import Client
from services.cli.kept import Carried, kept
from services.cli.serve import load_settings
from services.serving.tls import credentials_for, is_loopback


def client(address: str, certificate: Path | None = None) -> Client:
    """A client of the services at an address, as the user who signed in there.

    Connections are encrypted, unless ``CALQUE_TLS`` is off and the address is of loopback; nobody is signed in then.

    Args:
        address: ``host:port``.
        certificate: see `credentials_of`.

    Raises: InvalidInput, Unavailable, as `credentials_of`.
    """
    if load_settings().tls == "off" and is_loopback(address) and certificate is None:
        return Client(address)
    credentials = credentials_of(address, certificate)
    found = kept(address)
    if found is not None:
        carried = grpc.metadata_call_credentials(Carried(address, found, credentials))
        credentials = grpc.composite_channel_credentials(credentials, carried)
    return Client(address, credentials)


def credentials_of(address: str, certificate: Path | None) -> grpc.ChannelCredentials:
    """Trust in the services at an address; ``CALQUE_CERTIFICATE`` and ``CALQUE_KEY`` are ours, where they ask for one.

    Args:
        address: ``host:port``.
        certificate: file of the certificates that vouch for them; None: the development authority on loopback, elsewhere
            the authorities that are known everywhere.

    Raises:
        InvalidInput: there are no certificates in the file.
        Unavailable: it cannot be read.
    """
    return credentials_for(address, certificate, load_settings())
