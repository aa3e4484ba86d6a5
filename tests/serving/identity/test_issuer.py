"""An issuer that changes its keys, goes away, or answers what it should not, over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from calque import issuer as issuers
from calque.v1 import volumes_pb2

from services.core.errors import InvalidInput, Unavailable
from services.serving.identity import issuer as ours
from services.serving.identity.issuer import IssuerKeys
from services.serving.identity.tokens import AccessTokens
from tests.served import refused
from tests.serving.identity.asking import asked, bearer
from tests.serving.identity.issuer import AUDIENCE, Clock, Issuer, issuer, keys_of


@pytest.fixture
def one() -> Iterator[Issuer]:
    with issuer() as served:
        served.add("first")
        yield served


async def test_a_new_key_is_fetched_at_most_once_a_minute(one: Issuer) -> None:
    keys, clock = keys_of(one)
    assert await keys.find("first")
    one.add("second")
    for _ in range(20):
        assert await keys.find("second") is None
    assert one.fetches == 1
    clock.now += ours.AGAIN_SECONDS
    assert await keys.find("second")
    for n in range(20):
        assert await keys.find(f"made up {n}") is None
    assert one.fetches == 2


async def test_a_withdrawn_key_is_forgotten(one: Issuer) -> None:
    keys, clock = keys_of(one)
    assert await keys.find("first")
    one.add("second")
    one.remove("first")
    clock.now += ours.FRESH_SECONDS - 1
    assert await keys.find("first")
    clock.now += 1
    assert await keys.find("first") is None


async def test_a_key_may_have_no_name_as_long_as_it_is_the_only_one(one: Issuer) -> None:
    one.remove("first")
    one.add("")
    keys, clock = keys_of(one)
    assert await keys.find("")
    one.add("second")
    clock.now += ours.FRESH_SECONDS
    assert await keys.find("") is None


async def test_while_the_issuer_is_away_its_known_keys_go_on(one: Issuer) -> None:
    keys, clock = keys_of(one)
    tokens = AccessTokens(keys, audience=AUDIENCE, leeway_s=60, roles_claim="roles")
    async with asked(tokens.caller) as (_, stub, _):
        request = volumes_pb2.GetUploadRequest()
        one.away = True
        assert await refused(stub.GetUpload(request, metadata=bearer(one.token("first")))) == (
            "UNAVAILABLE", "SERVICE_UNAVAILABLE", 0,
        )  # fmt: skip
        one.away = False
        clock.now += ours.RETRY_SECONDS
        await stub.GetUpload(request, metadata=bearer(one.token("first")))
        one.add("second")
        one.away = True
        clock.now += ours.FRESH_SECONDS * 24
        await stub.GetUpload(request, metadata=bearer(one.token("first")))
        assert (await refused(stub.GetUpload(request, metadata=bearer(one.token("second")))))[0] == "UNAVAILABLE"
        one.away = False
        clock.now += ours.AGAIN_SECONDS
        await stub.GetUpload(request, metadata=bearer(one.token("second")))


async def test_calls_at_once_wait_for_one_fetch(one: Issuer) -> None:
    keys, _ = keys_of(one)
    found = await asyncio.gather(*(keys.find("first") for _ in range(10)))
    assert all(found)
    assert one.fetches == 1


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/keys", {"keys": []}),
        ("/keys", {"keys": "many"}),
        ("/keys", {"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "first"}, 7]}),
        ("/keys", []),
        ("/keys", b"<html>"),
        ("/keys", b"\xff"),
        ("/keys", b'{"keys": [' + b" " * issuers.DOCUMENT_LIMIT_BYTES + b"]}"),
        ("/keys", b"[" * 100_000),
        ("/keys", "/elsewhere"),
        ("/.well-known/openid-configuration", {"issuer": "https://issuer.example"}),
        ("/.well-known/openid-configuration", {}),
    ],
)
async def test_an_answer_that_is_none_of_an_issuer_is_as_none(one: Issuer, path: str, answer: Any) -> None:
    one.published["/elsewhere"] = one.published["/keys"]
    one.published[path] = answer
    keys, _ = keys_of(one)
    with pytest.raises(Unavailable):
        await keys.find("first")


@pytest.mark.parametrize("address", ["http://issuer.example/keys", "file:///etc/passwd", "keys", None, 7])
async def test_keys_are_only_fetched_from_where_they_are_safe(one: Issuer, address: Any) -> None:
    one.discovery["jwks_uri"] = address
    with pytest.raises(Unavailable):
        await keys_of(one)[0].find("first")
    assert one.fetches == 0


async def test_a_slow_issuer_is_waited_for_no_longer(one: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuers, "DEADLINE_S", 0.0)
    keys = IssuerKeys(one.address, Clock())
    with pytest.raises(Unavailable):
        await keys.find("first")


@pytest.mark.parametrize("address", ["http://issuer.example", "issuer.example", "ftp://a", "https://", "http://[", ""])
def test_an_issuer_is_asked_over_https(address: str) -> None:
    with pytest.raises(InvalidInput, match="https"):
        IssuerKeys(address)
