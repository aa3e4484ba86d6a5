"""Projects on the real application: what is chosen is shown, and takes what is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tablet_client.link.account import Account, Rights
from tests.tablet.view.test_library import library, on_card, shown

__all__ = ["library"]

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]


class Member(Account):
    """A user of these projects."""

    async def rights(self) -> Rights:
        return Rights("annotator", ("brain", "liver"))


async def test_a_project_is_chosen_and_takes_imports(library: Any, tmp_path: Path) -> None:
    from tablet_client.hand import eyes

    app, hand = library.app, library.hand
    assert not app.library.projects
    before, library.link.account = library.link.account, Member()
    app.library_control._link = library.link
    for message, _ in library.link._volumes.values():
        message.project = "brain" if message.name == "Thick" else "liver"
    try:
        app.library_control.refresh()
        await hand.until("The projects", lambda: app.library.projects == ("brain", "liver"))
        assert eyes.find("project:").text == "All projects"
        assert min(eyes.find("project:brain").size) >= 48
        await hand.tap("project:brain")
        await hand.until("One volume", lambda: shown(library) == ["Thick"])
        assert eyes.find("project:brain").active
        assert not eyes.find("project:").active
        np.save(tmp_path / "new.npy", np.random.default_rng(5).integers(0, 900, (4, 9, 8)).astype(np.uint16))
        await hand.import_path(str(tmp_path / "new.npy"))
        await hand.until("Both", lambda: len(shown(library)) == 2)
        assert {message.project for message, _ in library.link._volumes.values() if message.name != "Phantom"} == {"brain"}
        await hand.tap("project:liver")
        await hand.until("The other", lambda: shown(library) == ["Phantom"])
        await hand.tap("project:")
        await hand.until("All", lambda: len(shown(library)) == 3)
    finally:
        library.link.account = before
        for message, _ in library.link._volumes.values():
            message.project = ""
        app.library_control.refresh()
        await hand.until("Nothing to choose", lambda: not app.library.projects)


async def test_a_card_tells_how_far_the_review_is(library: Any) -> None:
    from calque.v1 import segmentation_pb2

    app, hand = library.app, library.hand
    await hand.open("Phantom")
    annotation_id = app.viewer_control.work.annotation.annotation_id
    await hand.back()
    for review, told in (
        (segmentation_pb2.REVIEW_SUBMITTED, "Handed in"),
        (segmentation_pb2.REVIEW_SENT_BACK, "Sent back"),
        (segmentation_pb2.REVIEW_ACCEPTED, "Accepted"),
    ):
        library.link._annotations[annotation_id].message.review = review
        app.library_control.refresh()
        await hand.until(told, lambda told=told: on_card(library, "Phantom")[0] == told)
