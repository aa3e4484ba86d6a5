"""A tour of all screens, for looking at and for measuring: the hand works the real application over a server in memory.

`SCENES` are shown one after the other by `tour`, each from where the one before it has left the application. A new screen
is one more line there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from calque.v1 import segmentation_pb2
from numpy.typing import NDArray

from tablet_client.hand.props import NAMES, head, picture_of, several_series, some_files, volumes
from tablet_client.link.fake import FakeLink
from tablet_client.link.fake_account import FakeAccount
from tablet_client.link.listener import Connection
from tablet_client.state.preferences import Preferences, write_preferences

SIZES = ((1280, 800), (2048, 1536), (1280, 720), (800, 1280), (1536, 2048), (720, 1280), (1024, 600))
"""Windows that every screen is for, in pixels: wide ones, upright ones, and a low one."""

LONG_ANNOTATION = "Second reader, who looks at the same volume once more"

Size = tuple[int, int]


@dataclass
class World:
    """What a scene works with: the application and its hand, the server, a folder for files, and voxels
    ``(slices, rows, columns)`` of the volumes."""

    app: Any
    hand: Any
    link: FakeLink
    folder: Path
    voxels: NDArray[np.uint16]
    held: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def size(self) -> Size:
        """Of the window, as the screens know it."""
        wide, tall = self.app.screens.current_screen.size
        return int(wide), int(tall)

    async def resize(self, size: Size) -> None:
        """Another window."""
        from kivy.core.window import Window

        Window.size = size
        await self.hand.until(f"A window of {size}", lambda: self.size == size)


@dataclass(frozen=True)
class Scene:
    """A screen in one state.

    Attributes:
        name: of it, and of its picture.
        show: makes it.
        top: what can be touched of it, where something lies over the rest.
    """

    name: str
    show: Callable[[World], Awaitable[None]]
    top: Callable[[Any], Any] = lambda app: app.screens.current_screen


async def _library_empty(w: World) -> None:
    await w.hand.until("The sentence", lambda: bool(w.app.library.empty) and not w.app.library.notice)


async def _library_no_server(w: World) -> None:
    w.link.online = False
    w.app.library_control.refresh()
    await w.hand.until("The sentence", lambda: bool(w.app.library.notice))


async def _library(w: World) -> None:
    w.link.online = True
    w.link._volumes = {message.volume_id: (message, voxels) for message, voxels in volumes(w.voxels)}
    w.app.library_control.refresh()
    await w.hand.until("The cards", lambda: bool(w.app.library.cards) and not w.app.library.notice)


async def _library_projects(w: World) -> None:
    for number, (message, _) in enumerate(w.link._volumes.values()):
        message.project = f"brain-{number % 2 + 1}"
    w.app.library_control.refresh()
    await w.hand.until("The projects", lambda: bool(w.app.library.projects))
    await w.hand.tap("project:brain-1")


async def _library_nothing_found(w: World) -> None:
    await w.hand.tap("project:")
    await w.hand.type_into("search", "nobody")


async def _import(w: World) -> None:
    await w.hand.type_into("search", " ")
    await w.hand.tap("import")
    await w.hand.until("The import", lambda: w.app.screens.current == "import")
    w.app.importer.go(str(some_files(w.folder)))


async def _import_error(w: World) -> None:
    bad = w.folder / "not an image.npy"
    bad.write_bytes(b"nothing")
    await w.hand.back()
    await _refused(w, bad)


async def _import_slices(w: World) -> None:
    importer, part = w.app.importer, w.voxels[::2]
    np.save(w.folder / "new.npy", part)
    w.link.pause_at, w.link.picture = len(part) // 2, picture_of
    await w.hand.type_into("import_path", str(w.folder / "new.npy"))
    await w.hand.tap("import_start")
    await w.hand.until("The slices", lambda: len(importer.previews.come) == w.link.pause_at)


async def _import_series(w: World) -> None:
    await w.hand.tap("import_cancel")
    await w.hand.until("The end", lambda: not w.app.importer.busy)
    w.link.pause_at = 0
    await w.hand.back()
    await _refused(w, several_series(w.folder))


async def _import_frames(w: World) -> None:
    await w.hand.tap("choice:Dynamic, a slice missing.npy")
    await w.hand.until("The frames", lambda: len(w.app.importer.steps) == 2)


async def _import_repair(w: World) -> None:
    await w.hand.tap("choice:2")
    await w.hand.until("The repair", lambda: len(w.app.importer.steps) == 3)


async def _viewer(w: World) -> None:
    for _ in range(4):
        await w.hand.tap("back")
    await w.hand.open(NAMES[0])
    await w.hand.until("Saved", lambda: w.app.viewer.bar.safety == "saved")


async def _viewer_mask(w: World) -> None:
    """A stroke of each label on the middle slice of thick slices."""
    _, rows, columns = w.voxels.shape
    t = np.linspace(0, 2 * np.pi, 60)
    x, y = np.linspace(0.48, 0.68, 30) * columns, (0.55 + 0.03 * np.sin(3 * t[:30])) * rows
    await w.hand.stroke(x.tolist(), y.tolist())
    await w.hand.tap("tool_background")
    x, y = (0.5 + 0.36 * np.cos(t[18:42])) * columns, (0.5 + 0.37 * np.sin(t[18:42])) * rows
    await w.hand.stroke(x.tolist(), y.tolist())
    await w.hand.see_volume()


async def _viewer_outline(w: World) -> None:
    await w.hand.threshold(140)
    await _style(w, "outline")


async def _viewer_probability(w: World) -> None:
    await _style(w, "wash")


async def _viewer_coronal(w: World) -> None:
    await _style(w, "mask")
    await w.hand.plane("coronal")
    await w.hand.see_mask()


async def _viewer_three(w: World) -> None:
    await w.hand.plane("axial")
    await w.hand.three(True)


async def _viewer_saved(w: World) -> None:
    await w.hand.three(False)
    await w.hand.save()


async def _viewer_menu(w: World) -> None:
    await w.hand.new_annotation(LONG_ANNOTATION)
    w.app.toast.clear()
    await _menu(w)


async def _viewer_offline(w: World) -> None:
    await w.hand.tap("fit")
    w.link.online = False
    w.link.hang_up()
    await w.hand.tap("tool_object")
    await w.hand.stroke([30.0, 60.0, 90.0], [12.0, 20.0, 16.0])
    await w.hand.until("Offline", lambda: _status(w).connection is Connection.OFFLINE and _status(w).saved_on_tablet == 1)


async def _viewer_reading(w: World) -> None:
    """Another tablet has taken the annotation over."""
    w.link.online = True
    w.app.viewer_control.work.keeper.retry_now()
    await w.hand.until("The return", lambda: _status(w).connection is Connection.CONNECTED and not _status(w).waiting)
    annotation = w.app.viewer_control.work.annotation.annotation_id
    opening = segmentation_pb2.AnnotateOpen(annotation_id=annotation, session_id="other", take_over=True)
    await w.held.enter_async_context(w.link.annotate(opening))
    await w.hand.until("The other tablet", lambda: _status(w).connection is Connection.OTHER_WRITER)
    await w.hand.stroke([30.0, 60.0], [12.0, 20.0])


async def _viewer_menu_reading(w: World) -> None:
    w.app.toast.clear()
    await _menu(w)


async def _viewer_menu_ct(w: World) -> None:
    """A CT, whose contrasts are known by name, in colours that everyone tells apart."""
    await w.hand.tap("fit")
    await w.held.aclose()
    await w.hand.back()
    await w.hand.open(NAMES[3])
    await _menu(w)
    for name in ("contrast_auto", "equalised", "colour_blind"):
        await w.hand.tap(name)


async def _viewer_menu_palette(w: World) -> None:
    await w.hand.tap("colour:new")


async def _viewer_review(w: World) -> None:
    """As a reviewer sees it, who may write what is to be done."""
    opened_id = w.app.viewer_control.work.annotation.annotation_id
    w.link._annotations[opened_id].message.masks = 1
    await w.hand.tap("review")
    await w.hand.until("The review", lambda: w.app.viewer.review.shown)


async def _settings_of_the_menu(w: World) -> None:
    await w.hand.tap("review_close")
    await _menu(w)
    await _settings(w)


async def _settings(w: World) -> None:
    await w.hand.tap("settings")
    await w.hand.until("The settings", lambda: w.app.screens.current == "settings")


async def _settings_files(w: World) -> None:
    """A folder without certificates."""
    empty = w.folder / "empty"
    empty.mkdir()
    w.app.settings.ids.files.show(empty, (".pem",))


async def _settings_first(w: World) -> None:
    """The first start, and an address that is none."""
    await w.hand.tap("files_close")
    w.app.settings.first = True
    await w.hand.type_into("server", "Hospital")
    await w.hand.tap("connect")


async def _export(w: World) -> None:
    await w.hand.tap("settings_back")
    await _menu(w)
    await w.hand.tap("export")
    await w.hand.until("The export", lambda: w.app.screens.current == "export")


async def _sign_in(w: World) -> None:
    """Of a server that asks, and a wrong password."""
    await w.hand.tap("back")
    await w.app.viewer_control.close()
    w.link.account = FakeAccount({"ada": "secret"})
    w.app._begin_anew(w.link, other_user=True)
    await w.hand.until("The fields", lambda: w.app.sign_in.way == "password")
    await _enter(w, "wrong")
    await w.hand.until("The sentence", lambda: bool(w.app.sign_in.trouble))


async def _settings_signed_in(w: World) -> None:
    await _enter(w, "secret")
    await w.hand.until("The cards", lambda: bool(w.app.library.cards))
    await _settings(w)


async def _locked(w: World) -> None:
    await w.app.signing.ask(locked=True)


async def _sign_in_code(w: World) -> None:
    await _enter(w, "secret")
    await w.hand.until("The settings", lambda: w.app.screens.current == "settings")
    w.link.account._issuer = "https://sign-in.hospital.example"  # type: ignore[attr-defined]
    await w.hand.tap("sign_out")
    await w.hand.until("The code", lambda: bool(w.app.sign_in.code))


async def _enter(w: World, password: str) -> None:
    await w.hand.type_into("sign_in_name", "ada")
    await w.hand.type_into("sign_in_password", password)
    await w.hand.tap("sign_in")


def _the_menu(app: Any) -> Any:
    return app.viewer.menu


SCENES = (
    Scene("library-empty", _library_empty),
    Scene("library-no-server", _library_no_server),
    Scene("library", _library),
    Scene("library-projects", _library_projects),
    Scene("library-nothing-found", _library_nothing_found),
    Scene("import", _import),
    Scene("import-error", _import_error),
    Scene("import-slices", _import_slices, lambda app: app.importer.ids.preview),
    Scene("import-series", _import_series),
    Scene("import-frames", _import_frames),
    Scene("import-repair", _import_repair),
    Scene("viewer", _viewer),
    Scene("viewer-mask", _viewer_mask),
    Scene("viewer-outline", _viewer_outline),
    Scene("viewer-probability", _viewer_probability),
    Scene("viewer-coronal", _viewer_coronal),
    Scene("viewer-three", _viewer_three),
    Scene("viewer-saved", _viewer_saved),
    Scene("viewer-menu", _viewer_menu, _the_menu),
    Scene("viewer-offline", _viewer_offline),
    Scene("viewer-reading", _viewer_reading),
    Scene("viewer-menu-reading", _viewer_menu_reading, _the_menu),
    Scene("viewer-menu-ct", _viewer_menu_ct, _the_menu),
    Scene("viewer-menu-palette", _viewer_menu_palette, _the_menu),
    Scene("viewer-review", _viewer_review, lambda app: app.viewer.review),
    Scene("settings", _settings_of_the_menu),
    Scene("settings-files", _settings_files, lambda app: app.settings.ids.files),
    Scene("settings-first", _settings_first),
    Scene("export", _export),
    Scene("sign-in", _sign_in),
    Scene("settings-signed-in", _settings_signed_in),
    Scene("locked", _locked),
    Scene("sign-in-code", _sign_in_code),
)


async def tour(w: World, home: Size = SIZES[0]) -> AsyncIterator[Scene]:
    """Each scene when it is shown, in a window of ``home``; whoever looks may resize the window. Raises: NotThere."""
    for scene in SCENES:
        if w.size != home:
            await w.resize(home)
        await scene.show(w)
        await w.hand.until("Rest", lambda: True)
        yield scene


@asynccontextmanager
async def opened(folder: Path, language: str, voxels: NDArray[np.uint16] | None = None) -> AsyncIterator[World]:
    """The application in a language, over a server that has no volume yet; files lie in ``folder``."""
    from tablet_client.hand.hand import Hand
    from tablet_client.view.app import CalqueApp

    link, journal = FakeLink(), folder / ".journal"
    write_preferences(journal, Preferences(language=language))
    app = CalqueApp(lambda _: link, journal, given="memory")
    started = asyncio.Event()
    app.bind(on_start=lambda _: started.set())
    running = asyncio.create_task(app.run_on_loop())
    try:
        await asyncio.wait([running, asyncio.ensure_future(started.wait())], return_when=asyncio.FIRST_COMPLETED)
        yield World(app, Hand(app), link, folder, head() if voxels is None else voxels)
    finally:
        app.stop()
        await running


def _status(w: World) -> Any:
    return w.app.viewer_control.work.keeper.status


async def _style(w: World, style: str) -> None:
    while w.app.viewer.side.style != style:
        await w.hand.tap("style")


async def _menu(w: World) -> None:
    await w.hand.tap("more")
    await w.hand.until("The menu", lambda: w.app.viewer.menu.shown)


async def _refused(w: World, path: Path) -> None:
    """An import that asks or complains."""
    from tablet_client.hand.eyes import NotThere  # Kivy must not be imported before its settings are made

    try:
        await w.hand.import_path(str(path))
    except NotThere:
        await w.hand.until("The sentence", lambda: bool(w.app.importer.trouble))
