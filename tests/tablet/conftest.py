"""A display for the tests that need one, and the real application on it."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from calque.v1.common_pb2 import Label
from calque.v1.segmentation_pb2 import AnnotateSettings, Annotation
from calque.v1.volumes_pb2 import Volume
from numpy.typing import NDArray

from tablet_client.link.fake import FakeLink
from tablet_client.link.fake_volume import fake_volume
from tablet_client.state.choices import Choices
from tablet_client.state.look import Look

SIZE = (1280, 800)


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """A display of these tests alone: Xvfb, or without it the one that is there.

    Others on a display would hide the window and move its mouse, so every worker of pytest has its own.
    """
    there = os.environ.get("DISPLAY")
    if there and shutil.which("Xvfb") is None:
        yield there
        return
    if shutil.which("Xvfb") is None:
        pytest.fail("There is no display and no Xvfb: install the package xvfb (and libgl1-mesa-dri).")
    reading, writing = os.pipe()
    screen = f"{SIZE[0]}x{SIZE[1]}x24"
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", screen, "-nolisten", "tcp"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as answer:
        number = answer.readline().strip()
    if not number:
        pytest.fail(f"Xvfb ended with {server.wait()}.")
    os.environ["DISPLAY"] = f":{number}"
    try:
        yield os.environ["DISPLAY"]
    finally:
        os.environ.pop("DISPLAY")
        if there:
            os.environ["DISPLAY"] = there
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="session")
def kivy_settings(display: str) -> Iterator[None]:
    """What must be set before Kivy is imported for the first time."""
    from tablet_client.main import settle_kivy

    with tempfile.TemporaryDirectory(prefix="calque-kivy-") as home:
        os.environ["KIVY_HOME"] = home
        os.environ["LANGUAGE"] = "en"
        settle_kivy(SIZE)
        yield


class Recorder(FakeLink):
    """A server in memory that remembers what it was asked.

    Attributes:
        asked: names of messages and calls, in order, without those of the library, which asks by itself now and then.
        settings: how it was told to compute, in order.
        coloured: annotations are made in the colours that were asked for; else all in the first of the palette.
    """

    def __init__(self, volumes: Any) -> None:
        super().__init__(volumes)
        self.asked: list[str] = []
        self.settings: list[AnnotateSettings] = []
        self.coloured = False
        self.fault = self._note

    def _note(self, way: str, message: object) -> bool:
        if way == "in":
            self.asked.append(type(message).__name__)
            if isinstance(message, AnnotateSettings):
                self.settings.append(message)
        return False

    async def list_volumes(self) -> list[Volume]:
        """See `Link`."""
        with self._unnoted():
            return await super().list_volumes()

    async def list_annotations(self, volume_id: str) -> list[Annotation]:
        """See `Link`."""
        with self._unnoted():
            return await super().list_annotations(volume_id)

    async def create_annotation(self, volume_id: str, name: str = "", labels: Sequence[Label] = ()) -> Annotation:
        """See `Link`."""
        return await super().create_annotation(volume_id, name, labels if self.coloured else ())

    @contextmanager
    def _unnoted(self) -> Iterator[None]:
        asked = len(self.asked)
        try:
            yield
        finally:
            del self.asked[asked:]

    def _call(self) -> None:
        self.asked.append("call")
        super()._call()


def phantom(shape: tuple[int, int, int]) -> NDArray[np.uint16]:
    """A volume in which every voxel differs from its neighbours, with a bright box in it."""
    s, r, c = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    voxels = (1000 + 37 * s + 211 * r + 1009 * c) % 30000
    voxels[shape[0] // 4 : shape[0] // 2, shape[1] // 4 : shape[1] // 2, shape[2] // 4 : shape[2] // 2] = 60000
    return voxels.astype(np.uint16)


class Studio:
    """The running application, its server, and a hand on it."""

    def __init__(self, app: Any, link: Recorder, hand: Any) -> None:
        self.app, self.link, self.hand = app, link, hand

    async def begin(self, volume: str = "Phantom") -> str:
        """Open a volume with a fresh annotation. Returns: its identifier."""
        if self.app.screens.current != "library":
            await self.hand.tap("back")
        await self.hand.open(volume)
        await self.hand.new_annotation("")
        self.app.toast.clear()
        return str(self.app.viewer_control.work.annotation.annotation_id)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(kivy_settings: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    """The application, once for all tests: Kivy has one window a process."""
    from tablet_client.hand.hand import Hand
    from tablet_client.view.app import CalqueApp

    link = Recorder(
        [
            fake_volume(phantom((12, 30, 40)), "Phantom", (5.0, 1.0, 1.0), imported_ms=2),
            fake_volume(phantom((4, 60, 50)), "Thick", (12.0, 0.8, 1.1), imported_ms=1),
        ]
    )
    app = CalqueApp(lambda preferences: link, tmp_path_factory.mktemp("journal"))
    started = asyncio.Event()
    app.bind(on_start=lambda _: started.set())
    task = asyncio.create_task(app.run_on_loop())
    await asyncio.wait([task, asyncio.create_task(started.wait())], return_when=asyncio.FIRST_COMPLETED)
    yield Studio(app, link, Hand(app, patience_s=20.0))
    app.stop()
    await task


@pytest_asyncio.fixture(loop_scope="session")
async def studio(running: Studio) -> AsyncIterator[Studio]:
    """The application with a fresh annotation of the phantom, at its first settings."""
    running.link.online, running.link.threshold = True, 128
    await running.begin()
    control = running.app.viewer_control
    control.choose_tool("object")
    control.choosing._choose(Choices())
    control.showing.three(False)
    control.showing.threshold(128)
    control.looking._choose(Look())
    for image in running.app.viewer.images:
        image._gestures.pen_seen = False
    await running.hand.plane("axial")
    yield running
