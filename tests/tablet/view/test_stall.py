"""A link that does not answer is not felt by the hand: neither by the pen, nor while it scrolls through cached slices."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tablet_client.state.path import NEAREST_POINTS
from tests.tablet.view.test_app import both_labels
from tests.tablet.view.test_work import bodies

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]

PLACES = 600  # of a pen of 60 Hz in ten seconds; the hand plays them as fast as frames are drawn
STROKES = 6


def stroke(number: int) -> tuple[list[float], list[float]]:
    """A wave across the image, one of `STROKES`."""
    t = np.linspace(0, 1, PLACES // STROKES)
    return (3 + 33 * t).tolist(), (4 + 4 * number + 1.5 * np.sin(12 * t)).tolist()


@pytest.fixture
def flows(studio: Any) -> Iterator[asyncio.Event]:
    """Whether anything arrives, here or at the server."""
    yield studio.link.flows
    studio.link.flows.set()


async def test_ten_seconds_without_an_answer_cost_no_frame_and_no_point(studio: Any, flows: asyncio.Event) -> None:
    from kivy.core.window import Window

    from tablet_client.hand.touches import MOVES_A_FRAME

    image, work = studio.app.viewer.image, studio.app.viewer_control.work
    await studio.hand.until("The link", lambda: studio.app.viewer.bar.safety_text == "Saved on server")
    flows.clear()
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
    assert not flows.is_set()
    assert bodies(studio) == []  # nobody has heard of them
    await studio.hand.until("The journal", lambda: work.document.saved_on_tablet == STROKES)
    flows.set()
    await studio.hand.until("The server", lambda: not work.document.waiting)
    assert len(bodies(studio)) == STROKES
    told = np.array([place for body in bodies(studio) for place in zip(body.stroke.x, body.stroke.y)])
    distances = np.abs(np.array(drawn)[:, None] - told[None]).max(axis=2).min(axis=1)
    assert distances.max() <= NEAREST_POINTS + 1e-3


async def test_cached_slices_are_scrolled_through_without_the_network(studio: Any, flows: asyncio.Event) -> None:
    """Each frame shows greys, ink and probability of the slice that its clicks of the wheel have come to."""
    from kivy.core.window import Window

    from tablet_client.hand.eyes import middle

    hand, viewer = studio.hand, studio.app.viewer
    image, work = viewer.image, studio.app.viewer_control.work
    await both_labels(studio)
    for index in range(int(viewer.slices.count)):
        await hand.slice(index)
        await hand.see_mask()
    await hand.slice(0)
    voxels = studio.link._volumes[work.volume.volume_id][1]
    levels = studio.link._annotations[work.annotation.annotation_id].levels
    flows.clear()
    asked = len(studio.link.asked)
    shown: list[int] = []
    wrong: list[int] = []

    def flipped(*_: Any) -> None:
        index = int(viewer.slices.index)
        picture = image.picture
        greys = np.frombuffer(picture._grey_texture.pixels, np.uint8).reshape(30, 40, 4)[..., [0, 3]]
        there = np.ascontiguousarray(greys).view("<u2")[..., 0]
        probability = np.frombuffer(picture._level_texture.pixels, np.uint8).reshape(30, 40, 4)[..., 0]
        right = np.array_equal(there, voxels[index]) and np.array_equal(probability, levels[index])
        shown.append(index)
        if not right:
            wrong.append(index)

    Window.bind(on_flip=flipped)
    try:
        await hand._touches.wheel(middle(image), 11)
        await hand._touches.wheel(middle(image), -11)
    finally:
        Window.unbind(on_flip=flipped)
    seen = [index for index, before in zip(shown, [-1, *shown]) if index != before]
    assert [index for index in seen if index] == [*range(1, 12), *range(10, 0, -1)]  # every one, a click a frame
    assert wrong == []
    assert studio.link.asked[asked:] == []  # the views that were told have not left
