"""How a command reaches services: who vouches for them, and as whom it calls."""

from __future__ import annotations

from pathlib import Path

from services.bench.client import Client


def client(address: str, certificate: Path | None = None) -> Client:
    """A client of the services at an address.

    Connections are encrypted, unless ``CALQUE_TLS`` is off and the address is of loopback.

    Args:
        address: ``host:port``.
        certificate: file of the certificates that vouch for them; None: the development authority on loopback, elsewhere
            the authorities that are known everywhere.

    Raises:
        InvalidInput: there are no certificates in the file.
        Unavailable: it cannot be read.
    """
    import grpc

    from services.cli.serve import load_settings
    from services.serving.tls import is_loopback, vouching

    if load_settings().tls == "off" and is_loopback(address) and certificate is None:
        return Client(address)
    return Client(address, grpc.ssl_channel_credentials(vouching(address, certificate)))
