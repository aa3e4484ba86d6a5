"""How often it may be tried to sign in: counted by user and by address, in bounded memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from urllib.parse import unquote

from services.core.errors import Reason, TooLarge

WINDOW_SECONDS = 300.0
"""So long after its first attempt a count begins anew."""
MOST_OF_USER_AND_ADDRESS = 5
MOST_OF_ADDRESS = 20
MOST_OF_USER = 100
"""From all addresses: more than a user needs, so that somebody elsewhere does not easily lock a user out."""
KEPT = 10_000
"""Most counts; the oldest go first."""

_Key = tuple[str, str]


class Attempts:
    """Counts of attempts that failed, or are not decided yet.

    Args:
        clock: seconds that pass.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: OrderedDict[_Key, tuple[int, float]] = OrderedDict()

    def count(self, user: str, peer: str) -> None:
        """Count an attempt, before it is decided.

        Args:
            user: as it was typed.
            peer: address that it comes from, as gRPC writes it.

        Raises:
            TooLarge: there were too many; this one is not to be decided.
        """
        now = self._clock()
        limits = self._limits(user, peer)
        counts = {key: self._of(key, now) for key in limits}
        if any(counts[key][0] >= most for key, most in limits.items()):
            message = "Too many attempts to sign in; wait five minutes and try again."
            raise TooLarge(message, Reason.TOO_MANY_ATTEMPTS)
        for key, (number, began) in counts.items():
            self._counts[key] = (number + 1, began)
            self._counts.move_to_end(key)
        while len(self._counts) > KEPT:
            self._counts.popitem(last=False)

    def succeeded(self, user: str, peer: str) -> None:
        """The attempt that was counted last was a good one: neither it counts, nor what the user mistyped before."""
        now = self._clock()
        both, address, name = self._limits(user, peer)
        self._counts.pop(both, None)
        for key in (address, name):
            number, began = self._of(key, now)
            self._counts[key] = (max(number - 1, 0), began)

    def _of(self, key: _Key, now: float) -> tuple[int, float]:
        number, began = self._counts.get(key, (0, now))
        return (number, began) if now - began < WINDOW_SECONDS else (0, now)

    @staticmethod
    def _limits(user: str, peer: str) -> dict[_Key, int]:
        address = host(peer)
        return {(user, address): MOST_OF_USER_AND_ADDRESS, ("", address): MOST_OF_ADDRESS, (user, ""): MOST_OF_USER}


def host(peer: str) -> str:
    """The address of a peer without its port; of IPv6 the first half, since who has one address has the other half too."""
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return kind
    text = unquote(rest).rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return text
    return str(IPv6Address(int(address) >> 64 << 64)) if isinstance(address, IPv6Address) else text
