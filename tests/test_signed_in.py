"""The tablet's side of signing in, on the real services: tokens that are renewed, that end, and codes of an issuer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import argon2
import pytest
from calque.v1 import segmentation_pb2

from services.serving.caller import Role
from services.serving.identity import local, users
from services.serving.identity.users import Users
from tablet_client.link.grpc_link import GrpcLink
from tablet_client.link.listener import Connection
from tablet_client.link.port import LinkError
from tablet_client.state.geometry import VolumeInfo
from tests.phantoms import oblique_phantom
from tests.served import SECONDS, Served, eventually, keep, serve
from tests.serving.identity.issuer import issuer
from tests.test_two_tablets import SHAPE, Tablet, kept

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def cheaper_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "_HASHER", argon2.PasswordHasher(time_cost=2, memory_cost=19 << 10, parallelism=1))


class Counting(Tablet):
    """A tablet that counts how often its annotation was opened."""

    times = 0

    def opened(self, annotation: segmentation_pb2.Annotation) -> None:
        self.times += 1


@asynccontextmanager
async def drawing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, token_s: int
) -> AsyncIterator[tuple[Served, Counting, str]]:
    """Ada, signed in with a token that lasts so long, at work on an annotation of her own."""
    Users(folder / "keys" / "users.json").add("ada", Role.ANNOTATOR, PASSWORD)
    async with serve(folder / "store") as served:
        record = keep(served.store, oblique_phantom(SHAPE))
        link = GrpcLink("127.0.0.1", served.port)
        link.account.take(await link.account.enter("ada", PASSWORD))
        volume = VolumeInfo.from_message(await link.get_volume(record.volume_id))
        annotation_id = (await link.create_annotation(record.volume_id)).annotation_id
        tablet = Counting(served.port, volume, annotation_id, folder / "journal")
        link.close()
        monkeypatch.setattr(local, "TOKEN_SECONDS", token_s)
        tablet.link.account.take(await tablet.link.account.enter("ada", PASSWORD))
        async with tablet:
            await tablet.until(lambda now: now.connection is Connection.CONNECTED)
            yield served, tablet, annotation_id


async def test_a_token_is_renewed_while_the_stream_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with drawing(tmp_path, monkeypatch, 6) as (served, tablet, annotation_id):
        account = tablet.link.account
        first = account.signed
        assert first is not None
        renewing = asyncio.create_task(account.run())
        await eventually(lambda: account.signed is not first and time.time() > first.grant.expires_s + 0.5)
        drawn = tablet.draw(3)
        await tablet.settled()
        assert tablet.times == 1
        assert kept(served, annotation_id) == [drawn.body]
        renewing.cancel()


async def test_what_is_drawn_after_the_token_s_end_waits_for_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with drawing(tmp_path, monkeypatch, 3) as (served, tablet, annotation_id):
        account, asked = tablet.link.account, asyncio.Event()
        account.asked = asked.set
        drawn = [tablet.draw(3)]
        await tablet.settled()
        await tablet.until(lambda now: now.connection is Connection.REFUSED)
        await asyncio.wait_for(asked.wait(), SECONDS)
        assert not await account.known()
        drawn.append(tablet.draw(5))
        await tablet.until(lambda now: now.saved_on_tablet == 1)
        with pytest.raises(LinkError, match="wrong") as refused:
            await account.enter("ada", "a wrong password")
        assert refused.value.reason == "SIGN_IN_REFUSED"
        account.take(await account.enter("ada", PASSWORD))
        tablet.keeper.retry_now()
        await tablet.settled()
        assert kept(served, annotation_id) == [event.body for event in drawn]


async def test_a_code_of_an_issuer_lets_a_tablet_in(tmp_path: Path) -> None:
    with issuer() as one:
        one.add("first")
        async with serve(tmp_path / "store", oidc_issuer=one.address) as served:
            link = GrpcLink("127.0.0.1", served.port)
            way = await link.account.way()
            assert way is not None
            with pytest.raises(LinkError, match="Users sign in"):
                await link.account.enter("ada", PASSWORD)
            code = await link.account.begin(way)
            waiting = asyncio.create_task(link.account.confirmed(way, code))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            one.away = True
            await asyncio.sleep(0.1)
            one.away, one.confirmed = False, "u-7"
            signed = await waiting
            assert (signed.user, signed.name) == ("u-7", "Ada L.")
            link.account.take(signed)
            assert await link.list_volumes() == []
            one.confirmed = None
            with pytest.raises(LinkError) as refused:
                await link.account.confirmed(way, await link.account.begin(way))
            assert refused.value.reason == "CODE_REFUSED"
            link.close()


async def test_where_nobody_is_asked_the_tablet_knows(tmp_path: Path) -> None:
    async with serve(tmp_path / "store") as served:
        link = GrpcLink("127.0.0.1", served.port)
        assert await link.account.way() is None
        link.close()
