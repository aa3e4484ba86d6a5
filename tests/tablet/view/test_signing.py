"""Signing in on the real application: who works with it, and that nobody's strokes go out under another name."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tablet_client.link.account import Account
from tablet_client.link.fake_account import FakeAccount
from tablet_client.state.journal import waiting_annotations

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]
PASSWORDS = {"ada": "secret", "bob/../ada": "other"}


@pytest_asyncio.fixture(loop_scope="session")
async def asked(studio: Any) -> AsyncIterator[Any]:
    """The application at a server that asks who is there."""
    app, link = studio.app, studio.link
    await app.viewer_control.close()
    link.account = FakeAccount(PASSWORDS)
    app._begin_anew(link, other_user=True)
    await sees(studio, "sign_in")
    yield studio
    link.online, link.account = True, Account()
    app.signing.asking = False
    await app.viewer_control.close()
    app._begin_anew(link, other_user=True)
    await studio.hand.until("The end", lambda: app._moving.done() and bool(app.library.cards))


async def sees(studio: Any, screen: str) -> None:
    await studio.hand.until(f"The screen {screen}", lambda: studio.app.screens.current == screen)


async def enters(studio: Any, user: str, password: str) -> None:
    await studio.hand.until("The fields", lambda: studio.app.sign_in.way == "password" and not studio.app.sign_in.busy)
    await studio.hand.type_into("sign_in_name", user)
    await studio.hand.type_into("sign_in_password", password)
    await studio.hand.tap("sign_in")


async def lists(studio: Any) -> None:
    await studio.hand.until("The cards", lambda: studio.app.screens.current == "library" and bool(studio.app.library.cards))


def bodies(studio: Any, annotation_id: str) -> int:
    """How many events the server has of an annotation."""
    return sum(1 for _, sequence, _ in studio.link._annotations[annotation_id].log if sequence)


async def test_nobody_gets_in_otherwise_and_nobody_s_strokes_go_out_under_another_name(asked: Any) -> None:
    app, hand, link = asked.app, asked.hand, asked.link
    await enters(asked, "ada", "wrong")
    await hand.until("The sentence", lambda: app.sign_in.trouble == "User or password is wrong.")
    assert not app._back()
    app._go("library")
    assert (app.screens.current, app.sign_in.ids.password.text) == ("sign_in", "")
    await enters(asked, "ada", "secret")
    await lists(asked)
    assert app.settings.user == "ada"
    annotation = await asked.begin()
    await hand.stroke([10.0, 14.0], [9.0, 12.0])
    await hand.until("Saved", lambda: app.viewer.bar.safety == "saved")
    before = bodies(asked, annotation)
    link.online = False
    link.hang_up()
    await hand.stroke([12.0, 16.0], [11.0, 14.0])
    await hand.until("Offline", lambda: app.viewer.bar.safety_text == "Offline, 1 stroke waits")
    await hand.tap("more")
    await hand.tap("settings")
    await sees(asked, "settings")
    await hand.tap("sign_out")
    await sees(asked, "sign_in")
    assert app.sign_in.note == ""  # it tells nobody else what somebody left
    link.online = True
    await enters(asked, "bob/../ada", "other")
    await lists(asked)
    assert app._own_folder.parent == app._folder / "users"
    await hand.open("Phantom")
    await hand.until("Open", lambda: app.viewer_control.work.annotation.annotation_id == annotation)
    await hand.until("Connected", lambda: app.viewer.bar.safety == "saved")
    assert app.viewer_control.work.document.waiting == 0
    assert bodies(asked, annotation) == before
    await hand.tap("more")
    await hand.tap("settings")
    await hand.tap("sign_out")
    await sees(asked, "sign_in")
    await enters(asked, "ada", "secret")
    await hand.until("Her place", lambda: app.screens.current == "viewer")
    await hand.until("Sent", lambda: app.viewer.bar.safety == "saved")
    assert bodies(asked, annotation) == before + 1
    assert not waiting_annotations(app._own_folder)


async def test_an_idle_tablet_and_one_whose_token_has_ended_go_on_for_the_same_user(asked: Any) -> None:
    app, hand = asked.app, asked.hand
    await enters(asked, "ada", "secret")
    await lists(asked)
    annotation = await asked.begin()
    work = app.viewer_control.work
    app.signing._touched_s = time.monotonic() - 60 * app.preferences.lock_minutes
    await hand.until("Locked", lambda: app.screens.current == "sign_in" and app.sign_in.user == "ada")
    app._go("settings")
    assert app.screens.current == "sign_in"
    await enters(asked, "ada", "secret")
    await sees(asked, "viewer")
    signed = asked.link.account.signed
    asked.link.account.signed = None
    asked.link.hang_up()
    await sees(asked, "sign_in")
    asked.link.account.signed = signed  # as a tablet knows whose token has ended
    await enters(asked, "ada", "secret")
    await sees(asked, "viewer")
    assert app.viewer_control.work is work
    await hand.stroke([10.0, 14.0], [9.0, 12.0])
    await hand.until("Saved", lambda: app.viewer.bar.safety == "saved" and bodies(asked, annotation) > 0)


async def test_a_code_is_confirmed_elsewhere(asked: Any) -> None:
    app, hand, link = asked.app, asked.hand, asked.link
    link.account = FakeAccount(PASSWORDS, issuer="https://issuer.example")
    app.signing.asking = False
    app._begin_anew(link, other_user=True)
    await hand.until("The code", lambda: app.sign_in.code == "WDJB-MJHT")
    assert app.sign_in.address == "https://issuer.example/device"
    link.account.confirms.set()
    await lists(asked)
    assert app.settings.user == "ada"
