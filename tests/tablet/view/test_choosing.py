"""Switches and threshold on the real application: what is told to the server, what is shown, what a restart finds."""

from __future__ import annotations

from typing import Any

import pytest
from calque.v1.segmentation_pb2 import PRESET_CALQUE, PRESET_PAPER, AnnotateSettings

from tablet_client.state.choices import Choices, read_choices
from tests.tablet.view.test_app import both_labels

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]


async def hear(studio: Any, expected: AnnotateSettings) -> None:
    """The next settings that the server is told."""
    await studio.hand.until("The settings", lambda: studio.link.settings)
    assert studio.link.settings == [expected]
    studio.link.settings.clear()


async def test_switches_follow_the_preset_until_they_are_set_and_only_then_are_sent(studio: Any) -> None:
    side, told = studio.app.viewer.side, studio.link.settings
    await studio.hand.until("The first settings", lambda: told)
    assert not told[-1].HasField("connected")
    assert not told[-1].HasField("fill_holes")
    told.clear()
    assert (side.connected, side.fill_holes) == (True, True)
    await studio.hand.tap("shape")
    await hear(studio, AnnotateSettings(preset=PRESET_PAPER, live=True))
    assert (side.connected, side.fill_holes) == (False, False)
    await studio.hand.tap("connected")
    await hear(studio, AnnotateSettings(preset=PRESET_PAPER, live=True, connected=True))
    await studio.hand.tap("connected")
    await hear(studio, AnnotateSettings(preset=PRESET_PAPER, live=True, connected=False))
    await studio.hand.tap("shape")
    await hear(studio, AnnotateSettings(preset=PRESET_CALQUE, live=True, connected=False))
    assert (side.connected, side.fill_holes) == (False, True)
    await studio.hand.tap("fill_holes")
    expected = AnnotateSettings(preset=PRESET_CALQUE, live=True, connected=False, fill_holes=False)
    await hear(studio, expected)
    studio.link.hang_up()
    await hear(studio, expected)
    assert not studio.app.viewer.bar.can_undo


async def test_a_restart_finds_switches_and_threshold_as_they_were(studio: Any) -> None:
    control, side = studio.app.viewer_control, studio.app.viewer.side
    annotation = control.work.annotation.annotation_id
    await both_labels(studio)
    for switch in ("shape", "live", "fill_holes"):
        await studio.hand.tap(switch)
    await studio.hand.threshold(90)
    await studio.hand.back()
    await studio.hand.until("The end of the work", lambda: control.work is None)
    left = Choices(live=False, shape=False, fill_holes=True, threshold=90, by_hand=True)
    assert read_choices(control._folder, annotation) == left
    control.choosing = None  # a process that begins knows of none
    studio.link.settings.clear()
    await studio.hand.open("Phantom")
    assert control.work.annotation.annotation_id == annotation
    assert control.choosing.choices == left
    assert (side.live, side.shape, side.connected, side.fill_holes) == (False, False, False, True)
    assert (side.threshold, side.by_hand) == (90, True)
    await hear(studio, AnnotateSettings(preset=PRESET_PAPER, live=False, fill_holes=True))


async def test_the_threshold_follows_the_service_until_it_is_moved_and_can_be_given_back(studio: Any) -> None:
    side, picture, link = studio.app.viewer.side, studio.app.viewer.image.picture, studio.link

    def stands(threshold: int, by_hand: bool) -> bool:
        shown = (side.threshold, picture.canvas["threshold"], side.by_hand)
        return bool(shown == (threshold, float(threshold), by_hand))

    async def draw(suggested: int, x: float) -> None:
        link.threshold = suggested
        await studio.hand.stroke([x], [25.0])
        await studio.hand.see_mask()

    link.threshold = 77
    await both_labels(studio)
    assert stands(77, by_hand=False)
    await draw(99, x=5.0)
    assert stands(99, by_hand=False)
    await studio.hand.threshold(150)
    await draw(60, x=8.0)
    assert stands(150, by_hand=True)
    assert side.suggested == 60
    await studio.hand.tap("threshold_default")
    assert stands(60, by_hand=False)
    await draw(61, x=11.0)
    assert stands(61, by_hand=False)
    await studio.hand.tap("threshold_default")
    assert stands(150, by_hand=True)


async def test_a_server_that_suggests_no_threshold_leaves_it_to_the_hand(studio: Any) -> None:
    side = studio.app.viewer.side
    studio.link.threshold = 0
    await both_labels(studio)
    await studio.hand.tap("threshold_default")
    assert (side.threshold, side.suggested, side.by_hand) == (128, 0, False)
    await studio.hand.threshold(40)
    await studio.hand.tap("threshold_default")
    assert (side.threshold, side.by_hand) == (40, True)


async def test_a_mask_saved_at_the_services_threshold_is_not_taken_for_the_hands(studio: Any) -> None:
    viewer, control = studio.app.viewer, studio.app.viewer_control
    first = control.work.annotation.annotation_id
    studio.link.threshold = 77
    await both_labels(studio)
    assert (await studio.hand.save()).threshold == 77
    await studio.hand.new_annotation("Another")
    await studio.hand.tap("more")
    await studio.hand.until("The menu", lambda: viewer.menu.shown)
    await studio.hand.tap(f"annotation:{first}")
    await studio.hand.until("The mask", lambda: control.showing.entries)
    assert (viewer.side.threshold, viewer.side.by_hand) == (77, False)


async def test_words_fit_their_places(studio: Any) -> None:
    from kivy.uix.label import Label

    from tablet_client.hand import eyes

    viewer = studio.app.viewer
    viewer.slices.enough = True
    await studio.hand.until("A frame", lambda: True)
    for name in ("live", "shape", "connected", "fill_holes", "threshold_default", "next_place"):
        labels = [w for w in eyes.find(name).walk(restrict=True) if isinstance(w, Label) and w.text]
        assert labels
        for label in labels:
            natural = label.texture_size[0] if not label.shorten else label._label.get_extents(label.text)[0]
            assert natural <= label.width, (name, label.text)
    viewer.slices.enough = False
