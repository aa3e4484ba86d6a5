"""Walks through all screens in one language and writes what it finds: ``python -m tests.tablet.look.walk LANGUAGE FILE``.

The file is JSON: for each check a list of ``[scene, size, finding]``, and the words of each scene.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tablet_client.hand.props import LONG_NAME, NAMES
from tablet_client.hand.scenes import LONG_ANNOTATION, Scene, Size, World, opened, tour
from tablet_client.main import settle_kivy

SIZES: tuple[Size, ...] = ((1280, 800), (2048, 1536), (1280, 720), (800, 1280), (720, 1280), (1024, 600))
PIXELS = ((1280, 800), (800, 1280))
"""Sizes in which contrast is read; it hangs on the size as little as colours do."""
CHECKS = ("targets", "overlaps", "cut_off", "contrasts")
MAY_BE_LONG = frozenset({*NAMES, LONG_NAME, LONG_ANNOTATION})


async def walk(language: str) -> dict[str, Any]:
    found: dict[str, Any] = {**{check: [] for check in CHECKS}, "words": {}}
    _draw(False)
    with tempfile.TemporaryDirectory(prefix="calque-look-") as folder:
        async with opened(Path(folder), language) as world:
            async for scene in tour(world):
                found["words"][scene.name] = []
                for size in SIZES:
                    await world.resize(size)
                    for check, finding in await look(world, scene, size, found["words"][scene.name]):
                        found[check].append([scene.name, f"{size[0]}x{size[1]}", finding])
    return found


async def look(world: World, scene: Scene, size: Size, told: list[str]) -> list[tuple[str, str]]:
    """All checks of one screen in one size; its words are added to ``told``."""
    from tablet_client.hand.png import screenshot
    from tests.tablet.look import seen

    found: list[tuple[str, str]] = []
    image = None
    if size in PIXELS:
        _draw(True)
        image = await screenshot()
        _draw(False)
    for root in (scene.top(world.app), world.app.toast):
        there = seen.seen(root)
        found += [("targets", one) for one in seen.targets(there)]
        found += [("overlaps", one) for one in seen.overlaps(there)]
        found += [("cut_off", one) for one in seen.cut_off(there, MAY_BE_LONG)]
        if image is not None:
            found += [("contrasts", one) for one in seen.contrasts(there, image)]
        told += [one for one in seen.words(there) if one not in told]
    return found


def _draw(on: bool) -> None:
    """Whether frames are drawn, which takes most of the time and changes no place and no word."""
    from kivy.core.window import WindowBase

    if on:
        WindowBase.on_draw = _DRAWING.pop()
    else:
        _DRAWING.append(WindowBase.on_draw)
        WindowBase.on_draw = lambda _: None


_DRAWING: list[Any] = []

if __name__ == "__main__":
    settle_kivy(SIZES[0])
    began = time.perf_counter()
    found = asyncio.run(walk(sys.argv[1]))
    found["seconds"] = time.perf_counter() - began, time.process_time()
    Path(sys.argv[2]).write_text(json.dumps(found))
