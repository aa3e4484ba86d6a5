"""Where services listen: ``host:port``, as people type it."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import NamedTuple

EXAMPLE = "192.168.1.20:50051"
"""What a person may take as a pattern."""

_HOST = re.compile(r"[^\s/\[\]:@?#]+|\[[0-9A-Fa-f:.]+\]")


class Address(NamedTuple):
    """A host's name or number, without the brackets of IPv6, and a port from 1 to 65535."""

    host: str
    port: int


def parse_address(text: str) -> Address | None:
    """``"host:port"`` or ``"[::1]:port"`` → its parts; None where it is none."""
    host, _, port = text.strip().rpartition(":")
    if not (_HOST.fullmatch(host) and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        return None
    return Address(host.strip("[]"), int(port))


def is_loopback(text: str) -> bool:
    """Whether ``"host:port"`` is this machine itself."""
    address = parse_address(text)
    try:
        return address is not None and (address.host == "localhost" or ip_address(address.host).is_loopback)
    except ValueError:
        return False
