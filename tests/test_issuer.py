"""Signing in at an issuer by a device that has no browser, over real HTTP; also with an issuer that answers nonsense."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from calque import issuer as ours
from calque.issuer import Code, Grant, IssuerError, SignInRefused, Way

from tests.serving.identity.issuer import Issuer, issuer


@pytest.fixture
def one() -> Iterator[Issuer]:
    with issuer() as served:
        served.add("first")
        yield served


def test_a_code_waits_until_it_is_confirmed_and_what_it_gave_is_renewed(one: Issuer) -> None:
    way = Way(one.address, "calque", "openid")
    code = ours.begin(way)
    assert (code.code, code.address, code.direct) == ("WDJB-MJHT", f"{one.address}/confirm", "")
    assert ours.ask(way, code) == code
    one.confirmed = "ada"
    grant = ours.ask(way, code)
    assert isinstance(grant, Grant)
    assert grant.name == "Ada L."
    later = ours.renew(way, grant)
    assert later.refresh != grant.refresh
    with pytest.raises(SignInRefused):
        ours.renew(way, grant)  # what it was renewed with counts once
    with pytest.raises(SignInRefused):
        ours.renew(way, replace(grant, refresh=""))


def test_who_says_no_or_waits_too_long_is_not_signed_in(one: Issuer) -> None:
    way = Way(one.address, "calque")
    code = ours.begin(way)
    with pytest.raises(SignInRefused, match="time"):
        ours.ask(way, replace(code, ends_s=0))
    one.confirmed = None
    with pytest.raises(SignInRefused, match="access_denied"):
        ours.ask(way, code)
    with pytest.raises(SignInRefused, match="invalid_client"):
        ours.begin(Way(one.address, "somebody else"))


def test_an_issuer_that_is_away_may_answer_later(one: Issuer) -> None:
    way = Way(one.address, "calque")
    code = ours.begin(way)
    one.away = True
    with pytest.raises(IssuerError) as failed:
        ours.ask(way, code)
    assert not isinstance(failed.value, SignInRefused)
    one.away = False
    assert ours.ask(way, code) == code


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ((400, {"error": "slow_down"}), Code),
        ((200, {}), IssuerError),
        ((200, {"access_token": 7}), IssuerError),
        ((200, {"access_token": "t", "refresh_token": []}), IssuerError),
        ((502, {}), IssuerError),
        ((400, {"error": "x\n" * 99}), SignInRefused),
    ],
)
def test_what_an_issuer_answers_is_bounded(one: Issuer, said: tuple[int, dict[str, Any]], expected: type) -> None:
    way = Way(one.address, "calque")
    code = ours.begin(way)
    one.posted = lambda path, form: said  # type: ignore[method-assign]
    if expected is Code:
        slower = ours.ask(way, code)
        assert isinstance(slower, Code)
        assert slower.interval_s == code.interval_s + 5
        return
    with pytest.raises(expected) as failed:
        ours.ask(way, code)
    assert "\n" not in str(failed.value)


def test_a_code_is_never_confirmed_over_plain_http(one: Issuer) -> None:
    codes = {"device_code": "d", "user_code": "c", "verification_uri": "http://issuer.example/confirm"}
    one.posted = lambda path, form: (200, codes)  # type: ignore[method-assign]
    with pytest.raises(IssuerError):
        ours.begin(Way(one.address, "calque"))
