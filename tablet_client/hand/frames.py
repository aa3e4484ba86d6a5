"""Frame times of the tablet at work: ``python -m tablet_client.hand.frames VOXELS.npy [--rounds N]``.

The real application runs over a server in memory, and fingers draw on it, scroll through slices that are cached, and slide
the threshold. While frames are timed the server stands still, so that the times are the tablet's alone. An empty frame
draws the same screen although nothing has happened; frames follow each other as fast as they are drawn. Prints one JSON
object: ``frames_ms`` holds, for each of `WORK`, a list a round of milliseconds a frame; ``window`` its pixels, ``renderer``
what draws, ``pen_hz`` how many places a second the pen reported.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tablet_client.link.fake import FakeLink
from tablet_client.link.fake_volume import fake_volume
from tablet_client.main import settle_kivy

WORK = ("empty", "pen", "scroll", "threshold")
SPACING_MM = (4.0, 0.7, 0.7)
_WINDOW = (1280, 800)
_EMPTY_FRAMES = 40
_PLACES = 400  # of a stroke
_STEPS = 50  # of the slider
_CHANGES: dict[str, list[str]] = {"empty": [], "pen": ["events"], "scroll": ["slice"], "threshold": ["threshold"]}


def main(argv: list[str] | None = None) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m tablet_client.hand.frames")
    parser.add_argument("voxels", type=Path, help="(slices, rows, columns) integers as .npy")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(argv)
    os.environ["LANGUAGE"] = "en"  # the hand reads the screen in English
    settle_kivy(_WINDOW)
    print(json.dumps(asyncio.run(_run(np.load(options.voxels).astype(np.uint16), options.rounds))))


async def _run(voxels: NDArray[np.uint16], rounds: int) -> dict[str, Any]:
    from tablet_client.view.app import CalqueApp

    link = FakeLink([fake_volume(voxels, "Frames", SPACING_MM)])
    with tempfile.TemporaryDirectory(prefix="calque-frames-") as folder:
        app = CalqueApp(lambda preferences: link, Path(folder))
        running = asyncio.create_task(app.run_on_loop())
        started = asyncio.Event()
        app.bind(on_start=lambda _: started.set())
        try:
            await started.wait()
            return await _measure(app, link, rounds)
        finally:
            app.stop()
            await running


async def _measure(app: Any, link: FakeLink, rounds: int) -> dict[str, Any]:
    from kivy.clock import Clock
    from kivy.core.window import Window
    from kivy.graphics.opengl import GL_RENDERER, glGetString

    work = _Work(app)
    await work.prepare()
    frames: dict[str, list[list[float]]] = {name: [] for name in WORK}
    places = seconds = 0.0
    Clock._max_fps = 0  # a frame begins as soon as the one before it is drawn
    link.flows.clear()
    for number in range(rounds):
        for name in WORK:
            with _timed() as times:
                await work.do(name, number)
            frames[name].append(times)
        places, seconds = places + _PLACES, seconds + sum(frames["pen"][-1]) / 1000
    link.flows.set()
    return {
        "frames_ms": frames,
        "window": [int(Window.width), int(Window.height)],
        "renderer": glGetString(GL_RENDERER).decode(),
        "pen_hz": places / seconds,
    }


@contextmanager
def _timed() -> Iterator[list[float]]:
    """Milliseconds of each frame that begins and ends within the block."""
    from kivy.core.window import Window

    times: list[float] = []
    before: float | None = None

    def flipped(*_: object) -> None:
        nonlocal before
        now = time.perf_counter()
        if before is not None:
            times.append((now - before) * 1000)
        before = now
        Window.canvas.ask_update()  # a window in which nothing changes is not drawn

    Window.bind(on_flip=flipped)
    try:
        yield times
    finally:
        Window.unbind(on_flip=flipped)


class _Work:
    """What is done while frames are timed, on a volume whose slices and probabilities are all on the tablet."""

    def __init__(self, app: Any) -> None:
        from kivy.base import EventLoop

        from tablet_client.hand.hand import Hand
        from tablet_client.hand.touches import Touches

        self._app, self._hand, self._touches = app, Hand(app), Touches()
        EventLoop.add_input_provider(self._touches)

    async def prepare(self) -> None:
        """Open the volume, draw both labels, and look at every slice once."""
        hand, viewer = self._hand, self._app.viewer
        await hand.open("Frames")
        await hand.live(False)
        control = self._app.viewer_control
        plane = control.work.volume.planes[control.showing.plane]
        columns, rows = plane.columns, plane.rows
        for tool, row in (("object", 0.5), ("background", 0.1)):
            await hand.tap(f"tool_{tool}")
            await hand.stroke([0.4 * columns, 0.6 * columns], [row * rows, row * rows])
        await hand.until("The strokes", lambda: not control.work.document.waiting)
        await hand.tap("segment")
        for index in range(plane.slices):
            await hand.slice(index)
            await hand.see_mask()
        await hand.tap("tool_object")
        viewer.image.hint = ""

    async def do(self, name: str, number: int) -> None:
        """One of `WORK`, in the round of that number. Raises: NotThere, when the screen does not show that it was done."""
        from tablet_client.hand.eyes import NotThere

        before = self._seen()
        await getattr(self, f"_{name}")(number)
        changed = [what for what, seen in self._seen().items() if seen != before[what]]
        if changed != _CHANGES[name]:
            raise NotThere(f"The work {name!r} changed {changed}.")

    def _seen(self) -> dict[str, int]:
        viewer, document = self._app.viewer, self._app.viewer_control.work.document
        return {"events": document.waiting, "slice": int(viewer.slices.index), "threshold": int(viewer.side.threshold)}

    async def _empty(self, _: int) -> None:
        from tablet_client.hand.touches import frame

        for _frame in range(_EMPTY_FRAMES):
            await frame()

    async def _pen(self, number: int) -> None:
        """A wave across the image, each time a little lower."""
        from tablet_client.state.gestures import Touch

        image = self._app.viewer.image
        rows, columns = image.picture.greys.shape
        t = np.linspace(0, 1, _PLACES)
        x, y = (0.1 + 0.8 * t) * columns, (0.2 + 0.05 * (number % 12) + 0.15 * np.sin(20 * t)) * rows
        await self._touches.draw([image.screen_of(*place) for place in zip(x, y)], kind=Touch.PEN)

    async def _scroll(self, number: int) -> None:
        """From one end of the volume to the other, and at the next time back; a slice a frame."""
        from tablet_client.hand import eyes

        slices = self._app.viewer.slices
        end = 0 if slices.index > slices.count / 2 else slices.count - 1
        await self._touches.wheel(eyes.middle(self._app.viewer.image), int(end - slices.index))

    async def _threshold(self, number: int) -> None:
        """From the knob's place to one end and then far to the other side."""
        from tablet_client.hand import eyes

        slider = eyes.find("threshold")
        values = np.concatenate([np.linspace(slider.value, 1, _STEPS // 3), np.linspace(1, 255 - number % 50, _STEPS)])
        await self._touches.draw([slider.position_of(value) for value in values], slow=True)


if __name__ == "__main__":
    main(sys.argv[1:])
