"""Every key does what the README says."""

from __future__ import annotations

import runpy
import sys
from typing import Any

import pytest

from tablet_client.view import keys
from tablet_client.view.keys import command


@pytest.mark.parametrize(
    ("key", "modifiers", "done"),
    [
        ("o", [], ("tool", "object")),
        ("b", [], ("tool", "background")),
        ("e", [], ("tool", "eraser")),
        ("l", [], ("tool", "lasso")),
        ("c", [], ("tool", "contrast")),
        ("c", ["ctrl"], None),
        ("c", ["alt"], None),
        ("n", ["meta"], None),
        ("+", [], ("brush", 1)),
        ("=", ["shift"], ("brush", 1)),
        ("-", [], ("brush", -1)),
        ("z", ["ctrl"], ("undo", 0)),
        ("z", ["ctrl", "shift"], ("redo", 0)),
        ("y", ["ctrl"], ("redo", 0)),
        ("s", ["ctrl"], ("save", 0)),
        ("e", ["ctrl"], ("export", 0)),
        ("s", ["ctrl", "shift"], None),
        ("s", [], None),
        ("z", ["ctrl", "alt"], None),
        ("e", ["numlock"], ("tool", "eraser")),
    ],
)
def test_the_table_of_keys(key: str, modifiers: list[str], done: tuple[str, Any] | None) -> None:
    assert command(ord(key), modifiers, "ctrl") == done


@pytest.mark.parametrize(
    ("key", "modifiers", "done"),
    [
        ("z", ["meta"], ("undo", 0)),
        ("z", ["meta", "shift"], ("redo", 0)),
        ("s", ["meta", "capslock"], ("save", 0)),
        ("s", ["ctrl"], None),
        ("s", ["meta", "ctrl"], None),
        ("e", ["meta"], ("export", 0)),
        ("b", ["meta"], None),
        ("e", [], ("tool", "eraser")),
    ],
)
def test_cmd_is_held_for_commands_on_a_mac(key: str, modifiers: list[str], done: tuple[str, Any] | None) -> None:
    assert command(ord(key), modifiers, "meta") == done


@pytest.mark.parametrize(
    ("system", "held"), [("darwin", "meta"), ("ios", "meta"), ("win32", "ctrl"), ("linux", "ctrl"), ("android", "ctrl")]
)
def test_which_key_is_held_for_commands(system: str, held: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert runpy.run_path(keys.__file__)["COMMAND"] == held


@pytest.mark.screen
@pytest.mark.asyncio(loop_scope="session")
async def test_keys_choose_tools_and_brushes_and_save(studio: Any) -> None:
    hand, rail = studio.hand, studio.app.viewer.rail
    for key, tool in (("b", "background"), ("e", "eraser"), ("l", "lasso"), ("c", "contrast"), ("o", "object")):
        await hand.key(key)
        assert rail.tool == tool
    width = rail.brush_mm
    await hand.key("+")
    assert rail.brush_mm > width
    await hand.key("-")
    assert rail.brush_mm == width
    await hand.key("ctrl+s")
    assert not studio.app.viewer_control.saving.busy  # there is nothing to save
    await hand.stroke([10.0, 14.0], [9.0, 12.0])
    await hand.key("b")
    await hand.stroke([30.0, 35.0], [20.0, 22.0])
    await hand.key("ctrl+z")
    assert not (studio.app.viewer.image.picture.labels == 2).any()
    await hand.key("ctrl+y")
    assert (studio.app.viewer.image.picture.labels == 2).any()
    await hand.see_mask()
    await hand.key("ctrl+s")
    await hand.until("The mask", lambda: studio.app.viewer_control.saving.last is not None)


@pytest.mark.screen
@pytest.mark.asyncio(loop_scope="session")
async def test_a_key_beside_a_stroke_that_is_drawn_changes_only_the_next_one(studio: Any) -> None:
    from kivy.base import EventLoop

    from tablet_client.hand.touches import Finger
    from tablet_client.state.gestures import Touch

    image = studio.app.viewer.image
    pen = Finger(image.screen_of(10.0, 9.0), kind=Touch.PEN)
    EventLoop.post_dispatch_input("begin", pen)
    await studio.hand.key("c")
    pen.go(image.screen_of(20.0, 9.0))
    EventLoop.post_dispatch_input("update", pen)
    EventLoop.post_dispatch_input("end", pen)
    assert image.picture.labels[9, 15] == 1
    assert studio.app.viewer.rail.tool == "contrast"
