"""How often it may be tried to sign in, and that counting it needs no more memory than it may."""

from __future__ import annotations

import pytest

from services.core.errors import TooLarge
from services.serving.identity import attempts as ours
from services.serving.identity.attempts import Attempts, host
from tests.serving.identity.issuer import Clock

HERE = "ipv4:192.0.2.1:5000"
THERE = "ipv4:192.0.2.2:5000"


def tries(attempts: Attempts, user: str, peer: str, number: int = 1000) -> int:
    """How many attempts are let through, of so many."""
    for n in range(number):
        try:
            attempts.count(user, peer)
        except TooLarge:
            return n
    return number


def test_a_user_may_be_tried_a_few_times_from_an_address_whatever_its_port() -> None:
    attempts = Attempts(Clock())
    assert tries(attempts, "ada", HERE, 3) == 3
    assert tries(attempts, "ada", "ipv4:192.0.2.1:6000") == ours.MOST_OF_USER_AND_ADDRESS - 3
    assert tries(attempts, "ada", THERE, 1) == tries(attempts, "bob", HERE, 1) == 1


def test_an_address_may_try_some_users() -> None:
    attempts = Attempts(Clock())
    assert sum(tries(attempts, f"user-{n}", HERE, 1) for n in range(1000)) == ours.MOST_OF_ADDRESS
    assert tries(attempts, "ada", THERE, 1) == 1


def test_a_user_may_be_tried_from_many_addresses_within_a_limit() -> None:
    attempts = Attempts(Clock())
    assert sum(tries(attempts, "ada", f"ipv4:192.0.2.{n}:1", 1) for n in range(250)) == ours.MOST_OF_USER


def test_after_a_while_it_begins_anew() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    tries(attempts, "ada", HERE)
    clock.now += ours.WINDOW_SECONDS - 1
    assert tries(attempts, "ada", HERE, 1) == 0
    clock.now += 1
    assert tries(attempts, "ada", HERE) == ours.MOST_OF_USER_AND_ADDRESS


def test_who_signs_in_has_all_attempts_again_and_takes_none_of_the_address() -> None:
    attempts = Attempts(Clock())
    for _ in range(1000):
        assert tries(attempts, "ada", HERE, 1) == 1
        attempts.succeeded("ada", HERE)
    assert tries(attempts, "ada", HERE, 4) == 4
    attempts.count("ada", HERE)
    attempts.succeeded("ada", HERE)
    assert tries(attempts, "ada", HERE) == ours.MOST_OF_USER_AND_ADDRESS


def test_no_flood_of_names_takes_more_memory_or_wipes_what_an_address_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "KEPT", 100)
    attempts = Attempts(Clock())
    for n in range(400):
        tries(attempts, f"user-{n}", HERE, 1)
        tries(attempts, f"user-{n}", f"ipv4:10.0.{n // 200}.{n % 200}:1", 1)
        assert len(attempts._counts) <= 100
    attempts = Attempts(Clock())
    for n in range(400):
        tries(attempts, f"user-{n}", HERE, 1)
    assert tries(attempts, "ada", HERE) == 0


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:50123", "192.0.2.1"),
        ("ipv6:%5B2001:db8:1:2:3:4:5:6%5D:50123", "2001:db8:1:2::"),
        ("ipv6:[2001:db8:1:2::7]:50123", "2001:db8:1:2::"),
        ("ipv6:%5Bfe80::1%25eth0%5D:1", "fe80::"),
        ("unix:/run/calque", "unix"),
        ("ipv4:odd", ""),
        ("", ""),
    ],
)
def test_an_address_is_that_of_a_machine_or_a_network(peer: str, address: str) -> None:
    assert host(peer) == address
