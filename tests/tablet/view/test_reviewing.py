"""Review on the real application: handed in, accepted and locked, sent back with a note and drawn on again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from calque.v1.segmentation_pb2 import REVIEW_ACCEPTED, REVIEW_SENT_BACK, REVIEW_SUBMITTED

from tablet_client.link.account import Account, Rights
from tests.tablet.view.test_app import both_labels

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]


class Somebody(Account):
    """Nobody is asked who it is, and the role is the test's."""

    said = "administrator"

    async def rights(self) -> Rights:
        return Rights(self.said)


@pytest_asyncio.fixture(loop_scope="session")
async def somebody(studio: Any) -> AsyncIterator[Somebody]:
    before, studio.link.account = studio.link.account, Somebody()
    yield studio.link.account
    studio.link.account = before
    studio.app.viewer.review.close()


async def opened(studio: Any) -> Any:
    """Open the panel from the menu."""
    review = studio.app.viewer.review
    await studio.hand.tap("more")
    await studio.hand.until("The menu", lambda: studio.app.viewer.menu.shown)
    await studio.hand.tap("review")
    await studio.hand.until("The review", lambda: review.shown)
    return review


def offered(review: Any) -> list[str]:
    """Names of the buttons, from the left."""
    return [button.tap_name for button in reversed(review.ids.actions.children) if hasattr(button, "tap_name")]


def message(studio: Any) -> Any:
    """The open annotation, as the server has it."""
    return studio.link._annotations[studio.app.viewer_control.work.annotation.annotation_id].message


async def test_before_a_mask_is_saved_there_is_nothing_to_review(studio: Any, somebody: Somebody) -> None:
    review = await opened(studio)
    assert review.told == "Save a mask first: it is what a reviewer looks at."
    assert offered(review) == ["review_close"]
    assert not review.noted
    await studio.hand.tap("review_close")
    await studio.hand.until("The viewer", lambda: not review.shown)


async def test_an_annotator_hands_in(studio: Any, somebody: Somebody) -> None:
    somebody.said = "annotator"
    await both_labels(studio)
    await studio.hand.save()
    review = await opened(studio)
    assert offered(review) == ["review_close", "hand_in"]
    await studio.hand.tap("hand_in")
    await studio.hand.until("The viewer", lambda: not review.shown)
    assert studio.app.toast.text == "Handed in for review."
    assert message(studio).review == REVIEW_SUBMITTED
    review = await opened(studio)
    assert review.told.startswith("Handed in, and waits for a reviewer.")
    assert offered(review) == ["review_close"]


async def test_an_accepted_one_is_locked_until_it_is_sent_back(studio: Any, somebody: Somebody) -> None:
    await both_labels(studio)
    await studio.hand.save()
    review = await opened(studio)
    assert offered(review) == ["review_close", "send_back", "hand_in", "accept"]
    await studio.hand.tap("accept")
    await studio.hand.until("The lock", lambda: studio.app.viewer.menu.locked)
    assert message(studio).review == REVIEW_ACCEPTED
    assert studio.app.viewer.bar.safety_text == "Accepted"
    drawn = studio.app.viewer_control.work.document.next_sequence
    studio.app.viewer_control.undo()
    assert studio.app.viewer_control.work.document.next_sequence == drawn
    assert studio.app.toast.text.startswith("This annotation was accepted")
    review = await opened(studio)
    assert offered(review) == ["review_close", "send_back"]
    assert review.told.startswith("Accepted, and locked.")
    review.ids.note.text = "The lower pole is missing."
    await studio.hand.tap("send_back")
    await studio.hand.until("It is open again", lambda: not studio.app.viewer.menu.reading)
    assert (message(studio).review, message(studio).review_note) == (REVIEW_SENT_BACK, "The lower pole is missing.")
    assert studio.app.viewer.bar.safety_text == "Saved on server"
    studio.app.viewer_control.undo()
    assert studio.app.viewer_control.work.document.next_sequence == drawn + 1
    review = await opened(studio)
    assert review.told.startswith("Sent back: The lower pole is missing.")


async def test_escape_closes_the_panel_alone(studio: Any, somebody: Somebody) -> None:
    review = await opened(studio)
    assert studio.app._back()
    assert not review.shown
    assert studio.app.screens.current == "viewer"


async def test_where_the_server_is_away_it_is_said(studio: Any, somebody: Somebody) -> None:
    await both_labels(studio)
    await studio.hand.save()
    review = await opened(studio)
    studio.link.online = False
    try:
        await studio.hand.tap("hand_in")
        await studio.hand.until("A sentence", lambda: studio.app.toast.text.startswith("The server does not answer"))
        assert review.shown
        assert not review.busy
    finally:
        studio.link.online = True
