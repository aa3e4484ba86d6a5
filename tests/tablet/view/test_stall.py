"""A link that does not answer for ten seconds is not felt by the pen."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from tablet_client.link.fake_session import FakeSession
from tablet_client.state.path import NEAREST_POINTS
from tests.tablet.view.test_work import bodies

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]

PLACES = 600  # of a pen of 60 Hz in ten seconds; the hand plays them as fast as frames are drawn
STROKES = 6


def stroke(number: int) -> tuple[list[float], list[float]]:
    """A wave across the image, one of `STROKES`."""
    t = np.linspace(0, 1, PLACES // STROKES)
    return (3 + 33 * t).tolist(), (4 + 4 * number + 1.5 * np.sin(12 * t)).tolist()


@pytest.fixture
def stalled(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """What is sent goes nowhere until this is set."""
    answers, send = asyncio.Event(), FakeSession.send

    async def wait_and_send(self: FakeSession, message: Any) -> None:
        await answers.wait()
        await send(self, message)

    monkeypatch.setattr(FakeSession, "send", wait_and_send)
    return answers


async def test_ten_seconds_without_an_answer_cost_no_frame_and_no_point(studio: Any, stalled: asyncio.Event) -> None:
    from kivy.core.window import Window

    from tablet_client.hand.touches import MOVES_A_FRAME

    image, work = studio.app.viewer.image, studio.app.viewer_control.work
    await studio.hand.until("The link", lambda: studio.app.viewer.bar.safety_text == "Saved on server")
    drawn: list[tuple[float, float]] = []
    late: list[tuple[float, float]] = []
    frames, checked = 0, 0

    def note(_: Any, column: float, row: float, *how: Any) -> None:
        drawn.append((column, row))

    def flipped(*_: Any) -> None:
        nonlocal frames, checked
        frames += 1
        texture = np.frombuffer(image.picture._label_texture.pixels, np.uint8).reshape(30, 40, 4)[..., 0]
        late.extend((x, y) for x, y in drawn[checked:] if texture[round(y), round(x)] != 1)
        checked = len(drawn)

    noted = [image.fbind(f"on_pen_{what}", note) for what in ("down", "move")]
    Window.bind(on_flip=flipped)
    try:
        for number in range(STROKES):
            await studio.hand._touches.draw([image.screen_of(*place) for place in zip(*stroke(number))])
    finally:
        Window.unbind(on_flip=flipped)
        for what, bound in zip(("down", "move"), noted):
            image.unbind_uid(f"on_pen_{what}", bound)
    assert (len(drawn), checked, late) == (PLACES, PLACES, [])
    assert frames >= PLACES // MOVES_A_FRAME
    assert not stalled.is_set()
    assert bodies(studio) == []  # nobody has heard of them
    await studio.hand.until("The journal", lambda: work.document.saved_on_tablet == STROKES)
    stalled.set()
    await studio.hand.until("The server", lambda: not work.document.waiting)
    assert len(bodies(studio)) == STROKES
    told = np.array([place for body in bodies(studio) for place in zip(body.stroke.x, body.stroke.y)])
    distances = np.abs(np.array(drawn)[:, None] - told[None]).max(axis=2).min(axis=1)
    assert distances.max() <= NEAREST_POINTS + 1e-3
