"""How the volume is shown, on the real application: contrasts, switches, styles and colours, and what a restart finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tablet_client.state.contrast import equalised
from tablet_client.state.geometry import VolumeInfo
from tablet_client.state.look import Look, read_look
from tests.tablet.view.test_app import both_labels, window_pixels

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]


async def pick(studio: Any, *names: str) -> None:
    """Press controls in the menu, and close it by a press beside it."""
    menu = studio.app.viewer.menu
    await studio.hand.tap("more")
    await studio.hand.until("The menu", lambda: menu.shown)
    for name in names:
        await studio.hand.tap(name)
    menu.close()


def light(studio: Any, low: float, high: float) -> Any:
    """The slice's brightness with a window, 0 to 255."""
    return np.clip((studio.app.viewer.image.picture.greys.astype(float) - low) / (high - low), 0, 1) * 255


async def test_contrasts_go_by_the_slice_and_back_to_the_first(studio: Any) -> None:
    await pick(studio, "smooth")
    greys = studio.app.viewer.image.picture.greys
    for name, ends in (("auto", np.percentile(greys, (1, 99))), ("full", (greys.min(), greys.max()))):
        await pick(studio, f"contrast_{name}")
        shown = (await window_pixels(studio))[..., 0]
        assert np.abs(shown - light(studio, *ends)).max() <= 1
        assert studio.app.viewer.menu.display.contrast == name
    await pick(studio, "contrast_first")
    volume = studio.app.viewer_control.work.volume
    shown = (await window_pixels(studio))[..., 0]
    assert np.abs(shown - light(studio, volume.window_low, volume.window_high)).max() <= 1


@pytest.mark.parametrize("name", ["auto", "full"])
async def test_a_contrast_of_the_slice_follows_it(studio: Any, name: str) -> None:
    control, picture = studio.app.viewer_control, studio.app.viewer.image.picture
    voxels = studio.link._volumes[control.work.volume.volume_id][1].copy()
    studio.link._volumes[control.work.volume.volume_id][1][7] //= 3  # a darker slice
    try:
        await studio.hand.slice(2)
        await pick(studio, f"contrast_{name}")
        for index in (7, 2):
            if index == 7:
                control.work.greys.clear()  # it has to come first
            await studio.hand.slice(index)
            low, high = np.percentile(picture.greys, (1, 99) if name == "auto" else (0, 100))
            assert (control.pen.window.low, control.pen.window.high) == pytest.approx((low, high))
            assert studio.app.viewer.menu.display.contrast == name
    finally:
        studio.link._volumes[control.work.volume.volume_id][1][:] = voxels
        control.work.greys.clear()


async def test_three_planes_are_remembered_with_the_volume(studio: Any) -> None:
    control, viewer = studio.app.viewer_control, studio.app.viewer
    await studio.hand.three(True)
    await studio.hand.back()
    await studio.hand.until("The end of the work", lambda: control.work is None)
    assert read_look(control._folder, next(iter(studio.link._volumes))).three
    viewer.three = False
    await studio.hand.open("Phantom")
    assert viewer.three
    assert viewer.side.three
    await studio.hand.three(False)
    assert not control.looking.look.three


async def test_a_dragged_contrast_is_no_preset(studio: Any) -> None:
    await pick(studio, "contrast_auto")
    await studio.hand.tap("tool_contrast")
    await studio.hand.drag_image(0.2, 0.2)
    assert studio.app.viewer.menu.display.contrast == ""


async def test_only_a_ct_offers_windows_in_hounsfield_units(studio: Any, monkeypatch: Any) -> None:
    from tablet_client.hand import eyes

    assert not {"contrast_bone", "contrast_lung"} & set(eyes.names())
    from_message = VolumeInfo.from_message

    def as_ct(message: Any) -> VolumeInfo:
        message.modality = "CT"
        return from_message(message)

    monkeypatch.setattr(VolumeInfo, "from_message", as_ct)
    await studio.begin("Phantom")
    await pick(studio, "contrast_bone")
    window = studio.app.viewer_control.pen.window
    assert (window.low, window.high) == (-500, 1300)


async def test_equalised_greys_are_those_of_numpy_and_follow_slice_and_window(studio: Any) -> None:
    await pick(studio, "smooth", "equalised")
    picture, volume = studio.app.viewer.image.picture, studio.app.viewer_control.work.volume
    for index in (2, 7):
        await studio.hand.slice(index)
        expected = equalised(picture.greys, volume.window_low, volume.window_high) / 257
        assert np.abs((await window_pixels(studio))[..., 0] - expected).max() <= 1
    await pick(studio, "contrast_auto")
    expected = equalised(picture.greys, *np.percentile(picture.greys, (1, 99))) / 257
    assert np.abs((await window_pixels(studio))[..., 0] - expected).max() <= 1
    await pick(studio, "contrast_first", "equalised")
    shown = (await window_pixels(studio))[..., 0]
    assert np.abs(shown - light(studio, volume.window_low, volume.window_high)).max() <= 1


async def test_the_result_is_filled_outlined_a_wash_or_hidden(studio: Any) -> None:
    await both_labels(studio)
    picture, side = studio.app.viewer.image.picture, studio.app.viewer.side
    picture.uniforms(ink=0.0)
    asked = len(studio.link.asked)
    shown = {}
    for style in ("outline", "wash", "hidden", "mask"):
        await studio.hand.tap("style")
        assert side.style == style
        shown[style] = (await window_pixels(studio)).astype(int)
    picture.uniforms(ink=1.0)
    inside = picture.levels >= side.threshold
    core = inside & np.roll(inside, 1, 0) & np.roll(inside, -1, 0) & np.roll(inside, 1, 1) & np.roll(inside, -1, 1)
    assert core.any()
    assert (shown["outline"][core] == shown["hidden"][core]).all()
    assert (shown["mask"][core] != shown["hidden"][core]).any(axis=-1).all()
    tinted = shown["wash"] - shown["hidden"]
    assert (np.abs(tinted[picture.levels == 0]) <= 1).all()
    assert np.abs(tinted[picture.levels > 100]).sum() > 0
    assert len(studio.link.asked) == asked


async def test_colours_for_the_colour_blind_reach_ink_mask_and_controls(studio: Any) -> None:
    viewer = studio.app.viewer
    await both_labels(studio)
    await pick(studio, "colour_blind")
    shown = await window_pixels(studio)
    assert tuple(shown[12, 14]) == (0xE6, 0x9F, 0x00)
    assert tuple(shown[22, 35]) == (0x56, 0xB4, 0xE9)
    for part in (viewer.rail, viewer.side, viewer.slices, viewer.menu.display):
        assert part.object_color[:2] == pytest.approx([0xE6 / 255, 0x9F / 255])
    assert viewer.rail.lasso_color[:2] == pytest.approx([0x56 / 255, 0xB4 / 255])  # the background was drawn last
    await pick(studio, "colour_blind")
    assert tuple((await window_pixels(studio))[12, 14]) == (0xD0, 0x8A, 0x4E)


async def test_a_restart_finds_the_look_of_the_volume(studio: Any) -> None:
    control = studio.app.viewer_control
    volume_id = control.work.volume.volume_id
    await pick(studio, "contrast_full", "equalised", "smooth", "colour_blind")
    await studio.hand.tap("style")
    left = control.looking.look
    await studio.hand.back()
    await studio.hand.until("The end of the work", lambda: control.work is None)
    assert read_look(control._folder, volume_id) == left
    control.looking = None  # a process that begins knows of none
    await studio.hand.open("Phantom")
    assert control.looking.look == left
    display = studio.app.viewer.menu.display
    assert (display.contrast, display.equalised, display.smooth, display.colour_blind) == ("full", True, False, True)
    await studio.hand.back()
    await studio.hand.until("The end of the work", lambda: control.work is None)
    thick = next(message.volume_id for message, _ in studio.link._volumes.values() if message.name == "Thick")
    (control._folder / f"{thick}.look.json").unlink(missing_ok=True)
    await studio.hand.open("Thick")
    assert control.looking.look == left.for_another()
    control.looking._choose(Look())
