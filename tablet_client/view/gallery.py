"""Pictures of the screens, for looking at: ``python -m tablet_client.view.gallery FOLDER [VOXELS.npy] [WxH]``.

The real application runs over the server in memory, the hand works it, and every screen that matters is left as a PNG:
library, empty library, no server, import with an error, half-way and with choices, viewer with ink, mask, outline,
probability, coronal, thick slices, export, menu, contrasts of a CT, offline. ``VOXELS.npy`` holds axial slices
``(slices, rows, columns)``; without it a drawn head is shown. The window is 1280x800, or of the size that is named last.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from calque.v1.volumes_pb2 import Volume
from numpy.typing import NDArray

from tablet_client.link.fake import FakeLink
from tablet_client.link.fake_volume import fake_volume
from tablet_client.main import settle_kivy, window_size

_NAMES = (
    "Case 0417 T2 HASTE",
    "Case 0418",
    "Case 0402, T1 with a name that is far too long for its card",
    "Case 0399",
    "0395",
)


def main(folder: Path, voxels: NDArray[np.uint16], size: tuple[int, int] = (1280, 800)) -> None:
    """Leave the pictures in a folder."""
    settle_kivy(size)
    asyncio.run(_pictures(folder, voxels))


async def _pictures(folder: Path, voxels: NDArray[np.uint16]) -> None:
    from tablet_client.hand.eyes import NotThere
    from tablet_client.hand.hand import Hand
    from tablet_client.view.app import CalqueApp

    link = FakeLink([])
    with tempfile.TemporaryDirectory() as journal:
        app = CalqueApp(lambda preferences: link, Path(journal), "127.0.0.1:50051")
        running = asyncio.create_task(app.run_on_loop())
        await asyncio.sleep(0.5)
        hand = Hand(app)

        async def take(name: str) -> None:
            await hand.picture(str(folder / f"{name}.png"))

        await take("library-empty")
        link.online = False
        app.library_control.refresh()
        await hand.until("The sentence", lambda: bool(app.library.notice))
        await take("library-no-server")
        link.online = True
        link._volumes = {m.volume_id: (m, v) for m, v in _volumes(voxels)}
        app.library_control.refresh()
        await hand.until("The cards", lambda: bool(app.library.cards))
        await take("library")
        bad = Path(journal) / "not an image.npy"
        bad.write_bytes(b"nothing")
        try:
            await hand.import_path(str(bad))
        except NotThere:
            await take("import-error")
        await _stopped_import(hand, link, Path(journal), voxels, take)
        await hand.back()
        await _choose(hand, app, Path(journal), take)
        await _draw(hand, voxels.shape, take)
        for style in ("outline", "probability", "hidden", "mask"):
            await hand.tap("style")
            await take(f"viewer-{style}")
        for plane in ("coronal", "sagittal"):
            await hand.plane(plane)
            await hand.see_mask()
            await take(f"viewer-{plane}")
        await hand.plane("axial")
        await hand.three(True)
        await take("viewer-three")
        await hand.three(False)
        await hand.save()
        await take("viewer-saved")
        await _export(hand, app, take)
        await hand.new_annotation("Second reader")
        await hand.tap("more")
        await hand.until("The menu", lambda: app.viewer.menu.shown)
        await take("viewer-menu")
        await hand.tap("fit")
        link.online = False
        link.hang_up()
        await hand.stroke([30.0, 60.0, 90.0], [12.0, 20.0, 16.0])
        await hand.until("Offline", lambda: app.viewer.bar.safety_text.startswith("Offline, 1"))
        await take("viewer-offline")
        link.online = True
        await hand.back()
        await _contrasts(hand, app, take)
        app.stop()
        await running


async def _export(hand: Any, app: Any, take: Any) -> None:
    """What can be exported, from a volume that is no DICOM series."""
    control = app.viewer_control
    control.work.volume = replace(control.work.volume, no_dicom="NO_SOURCE_SERIES")
    await hand.tap("more")
    await hand.tap("export")
    await hand.until("The export", lambda: app.screens.current == "export")
    app.exporter.go("/usr/share")
    await take("export")
    await hand.tap("back")


async def _contrasts(hand: Any, app: Any, take: Any) -> None:
    """A CT, whose contrasts are known by name, in colours that everyone tells apart."""
    await hand.open(_NAMES[3])
    await hand.tap("more")
    await hand.until("The menu", lambda: app.viewer.menu.shown)
    for name in ("contrast_auto", "equalised", "colour_blind"):
        await hand.tap(name)
    await take("viewer-menu-ct")


async def _stopped_import(hand: Any, link: FakeLink, folder: Path, voxels: NDArray[np.uint16], take: Any) -> None:
    """An import that stays half-way."""
    importer = hand._app.importer
    np.save(folder / "new.npy", voxels[::2])
    link.pause_at, link.picture = len(voxels[::2]) // 2, _jpeg
    await hand.type_into("import_path", str(folder / "new.npy"))
    await hand.tap("import_start")
    await hand.until("The slices", lambda: len(importer.previews.come) == link.pause_at)
    await take("import-slices")
    await hand.tap("import_cancel")
    await hand.until("The end", lambda: not importer.busy)
    link.pause_at = 0


async def _choose(hand: Any, app: Any, folder: Path, take: Any) -> None:
    """A folder of several series: the list, the frames of one, and the repair that it needs."""
    from tablet_client.hand.eyes import NotThere

    held = folder / "several"
    held.mkdir()
    times = np.ones((3, 8, 64, 64), dtype=np.uint16)
    times[:, 3] = 7  # a missing slice, for this server
    np.save(held / "Dynamic, a slice missing.npy", times)
    np.save(held / "T2 HASTE coronal.npy", np.ones((30, 96, 96), dtype=np.uint16))
    np.save(held / f"A name {'that goes on ' * 14}.npy", np.ones((12, 96, 96), dtype=np.uint16))
    (held / "Broken copy.npy").write_bytes(b"nothing")
    try:
        await hand.import_path(str(held))
    except NotThere:
        await take("import-series")
    for row, name in (("Dynamic, a slice missing.npy", "import-frames"), ("2", "import-repair")):
        await hand.tap(f"choice:{row}")
        await take(name)
    for _ in range(4):
        await hand.tap("back")


async def _draw(hand: Any, shape: tuple[int, ...], take: Any) -> None:
    """Strokes of both labels on the middle slice of the thick volume."""
    _, rows, columns = shape
    await hand.open(_NAMES[0])
    await take("viewer")
    t = np.linspace(0, 2 * np.pi, 60)
    await hand.tap("tool_object")
    x, y = np.linspace(0.25, 0.45, 30) * columns, (0.5 + 0.03 * np.sin(3 * t[:30])) * rows
    await hand.stroke(x.tolist(), y.tolist())
    await hand.tap("tool_background")
    x, y = (0.5 + 0.15 * np.cos(t[:-8])) * columns, (0.5 + 0.25 * np.sin(t[:-8])) * rows
    await hand.stroke(x.tolist(), y.tolist())
    await hand.see_mask()


def _volumes(voxels: NDArray[np.uint16]) -> list[tuple[Volume, NDArray[np.uint16]]]:
    """The first with slices of 4 mm, all with thumbnails."""
    made = []
    for k, name in enumerate(_NAMES):
        part = np.ascontiguousarray(voxels[k:][:: 4 if k == 0 else 1])
        message, kept = fake_volume(part, name, (4.0 if k == 0 else 1.0, 1.0, 1.0), imported_ms=1_795_000_000_000 - k)
        message.modality = "CT" if name == _NAMES[3] else "MR"
        message.thumbnail = _jpeg(kept[len(kept) // 2])
        made.append((message, kept))
    return made


def _jpeg(image: NDArray[np.uint16]) -> bytes:
    """A picture of a slice by Kivy's own writer."""
    from kivy.core.image import Image
    from kivy.graphics.texture import Texture

    rows, columns = image.shape
    grey = (image / max(1, int(image.max())) * 255).astype(np.uint8)
    texture = Texture.create(size=(columns, rows), colorfmt="rgb")
    texture.blit_buffer(np.repeat(grey[:, :, None], 3, axis=2).tobytes(), colorfmt="rgb", bufferfmt="ubyte")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture.jpg"
        Image(texture).save(str(file), flipped=False)
        return file.read_bytes()


def _head(shape: tuple[int, int, int] = (96, 180, 150)) -> NDArray[np.uint16]:
    """A drawn head: ellipsoids of different greys."""
    s, r, c = (np.linspace(-1, 1, n) for n in shape)
    place = np.stack(np.meshgrid(s, r, c, indexing="ij"))
    voxels = np.zeros(shape)
    for grey, size, middle in ((900, 0.9, 0.0), (600, 0.82, 0.0), (1400, 0.5, 0.1), (300, 0.2, -0.2)):
        voxels[((place - middle) ** 2).sum(0) < size**2] = grey
    return np.asarray(voxels + 40 * np.sin(9 * place.sum(0)) * (voxels > 0), dtype=np.uint16)


if __name__ == "__main__":
    arguments = sys.argv[2:]
    size = window_size(arguments.pop()) if arguments and not arguments[-1].endswith(".npy") else (1280, 800)
    main(Path(sys.argv[1]), np.load(arguments[0]) if arguments else _head(), size)
