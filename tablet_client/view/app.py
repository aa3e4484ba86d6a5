# mypy: disallow-subclassing-any=False
"""The application: library, import, viewer and export, on one asyncio loop with the link."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from calque.v1.volumes_pb2 import Volume
from kivy.app import App
from kivy.base import EventLoop
from kivy.core.window import Window
from kivy.metrics import Metrics
from kivy.uix.floatlayout import FloatLayout
from kivy.uix.screenmanager import NoTransition, ScreenManager
from kivy.utils import platform

from tablet_client.android.provider import AndroidTouches
from tablet_client.link.port import Link
from tablet_client.state import words
from tablet_client.state.geometry import Plane
from tablet_client.state.preferences import Preferences, read_preferences, write_preferences
from tablet_client.state.words import _
from tablet_client.view import keys, theme
from tablet_client.view.exporter import Exporter
from tablet_client.view.exporting import Exporting
from tablet_client.view.garbage import collecting_here
from tablet_client.view.importer import Importer
from tablet_client.view.library import Library
from tablet_client.view.librarycontrol import LibraryControl
from tablet_client.view.resuming import Resuming
from tablet_client.view.tasks import Tasks
from tablet_client.view.toast import Toast
from tablet_client.view.viewer import Viewer
from tablet_client.view.viewercontrol import ViewerControl


class CalqueApp(App):
    """The tablet's application. Run it with `run_on_loop`.

    Args:
        link: the services; closed at the end.
        folder: where journals lie.
    """

    title = "Calque"

    def __init__(self, link: Link, folder: Path) -> None:
        super().__init__()
        self._link, self._folder = link, folder
        words.use(read_preferences(folder).language)

    async def run_on_loop(self) -> None:
        """Run until the window is closed or `stop` is called; then hang up in order."""
        try:
            with collecting_here(asyncio.get_running_loop()):
                await self.async_run("asyncio")
        finally:
            await self.tasks.end()
            await self.viewer_control.close()
            self._link.close()

    def build(self) -> FloatLayout:
        Window.clearcolor = theme.PAGE
        self.tasks = Tasks(lambda fault: self._say(_("Something went wrong in this application."), "error"))
        self.library, self.importer, self.viewer = Library(name="library"), Importer(name="import"), Viewer(name="viewer")
        self.exporter = Exporter(name="export")
        self.screens = ScreenManager(transition=NoTransition())
        for screen in (self.library, self.importer, self.viewer, self.exporter):
            self.screens.add_widget(screen)
        self.toast = Toast()
        root = FloatLayout()
        root.add_widget(self.screens)
        root.add_widget(self.toast)
        self.library_control = LibraryControl(self._link, self.library, self.importer, self._imported)
        self.viewer_control = ViewerControl(self._link, self.viewer, self._folder, self._say)
        self.exporting = Exporting(self._link, self.exporter, self.viewer_control, self._folder, self._say, self._go)
        self.resuming = Resuming(self.viewer, self.viewer_control, self._folder)
        self.library.other_language = words.LANGUAGES[words.other()]
        self._connect()
        return root

    def on_start(self) -> None:
        if platform == "android":
            EventLoop.add_input_provider(AndroidTouches(Metrics.dpi))
        self.tasks.start(self.library_control.run())
        self._resumed = self.tasks.start(self._resume())

    def on_pause(self) -> bool:
        """The tablet puts the application aside, and may end it without another word: strokes go to its disk first."""
        if self.viewer_control.work is not None:
            self.viewer_control.work.keeper.flush()
        self._choose("keep")
        self._look("keep")
        return True

    def _connect(self) -> None:
        """Every event of a widget to what it does."""
        control, viewer = self.viewer_control, self.viewer
        self.library.bind(on_open=lambda _, volume_id: self._start(self._open(volume_id)))
        self.library.bind(on_import=lambda _: self._begin_import())
        self.library.bind(on_language=lambda _: self._speak(words.other()))
        self.importer.bind(on_cancel=lambda _: self.library_control.cancel())
        self.importer.bind(on_back=lambda _: self._go("library"))
        self.importer.bind(on_import=lambda _, path: self._start(self.library_control.import_path(path)))
        self.importer.bind(on_choose=lambda _, *what: self._start(self.library_control.choose(*what)))
        viewer.bar.bind(on_back=lambda _: self._start(self._leave()))
        viewer.bar.bind(on_undo=lambda _: control.undo(), on_redo=lambda _: control.redo())
        viewer.bar.bind(on_more=lambda _: self._start(control.menu()))
        viewer.rail.bind(on_choose=lambda _, tool: control.choose_tool(tool))
        viewer.rail.bind(on_brush=lambda _, steps: control.step_brush(steps))
        viewer.side.bind(on_pick_plane=lambda _, plane: self._show("look_at_plane", Plane[plane.upper()]))
        viewer.side.bind(on_pick_three=lambda _, three: self._show("three", three))
        viewer.side.bind(on_pick_threshold=lambda _, value: self._choose("threshold", value))
        viewer.side.bind(on_hand_over=lambda _: self._choose("hand_over"))
        for switch in ("live", "shape", "connected", "fill_holes"):
            viewer.side.bind(**{f"on_pick_{switch}": lambda _, on, switch=switch: self._choose(switch, on)})
        viewer.side.bind(on_pick_style=lambda _, style: self._look("style", style))
        viewer.menu.display.bind(on_pick_contrast=lambda _, name: self._look("preset", name))
        for name in ("equalised", "smooth", "colour_blind", "fill"):
            viewer.menu.display.bind(**{f"on_pick_{name}": lambda _, value, name=name: self._look(name, value)})
        viewer.slices.bind(on_pick=lambda _, index: self._show("look_at_slice", index))
        viewer.slices.bind(on_next=lambda _: self._guide("next"))
        viewer.slices.bind(on_segment=lambda _: control.segment())
        viewer.slices.bind(on_save=lambda _: self._start(control.save()))
        viewer.menu.bind(on_annotation=lambda _, chosen: self._start(control.switch(chosen)))
        viewer.menu.bind(on_new=lambda _, name: self._start(control.new_annotation(name)))
        viewer.menu.bind(on_fit=lambda _: viewer.image.fit(), on_clear=lambda _: control.clear())
        viewer.menu.bind(on_take_over=lambda _: control.take_over())
        viewer.menu.bind(on_export=lambda _: self._start(self.exporting.open()))
        self.exporter.bind(on_back=lambda _: self._go("viewer"))
        self.exporter.bind(on_pick_content=lambda _, name: self.exporting.choose_content(name))
        self.exporter.bind(on_pick_format=lambda _, name: self.exporting.choose_format(name))
        self.exporter.bind(on_export=lambda _: self._start(self.exporting.export()))
        self.exporter.bind(on_cancel=lambda _: self.exporting.cancel())
        image = viewer.image
        image.bind(on_pen_down=lambda _, *how: self._pen("down", *how))
        image.bind(on_pen_down=lambda *_: self._guide("quiet"))
        image.bind(on_pen_move=lambda _, *place: self._pen("move", *place))
        image.bind(on_pen_up=lambda _, *place: self._lift(*place))
        image.bind(on_pen_cancel=lambda _: self._pen("cancel"))
        for number, other in enumerate(viewer.beside):
            for touch in ("on_pen_down", "on_pen_move"):
                other.bind(**{touch: lambda _, x, y, *how, number=number: self._show("aim", number, x, y)})
            other.bind(on_scroll=lambda _, steps, number=number: self._show("scroll_beside", number, steps))
        image.bind(on_scroll=lambda _, steps: self._step(steps))
        image.bind(on_hover=lambda _, *place: self._show("pointed", *place))
        Window.bind(on_key_down=self._key)

    def _start(self, work: Coroutine[Any, Any, Any]) -> None:
        self.tasks.start(work)

    def _go(self, screen: str) -> None:
        self.toast.clear()
        self.screens.current = screen

    def _begin_import(self) -> None:
        self._resumed.cancel()
        self._go("import")

    async def _open(self, volume_id: str) -> None:
        self._resumed.cancel()  # the user was faster
        volume = self.library_control.volumes.get(volume_id)
        if volume is not None and await self.viewer_control.open(volume):
            self._go("viewer")

    async def _resume(self) -> None:
        """Back to where the application ended, once the server answers; not when the user was faster."""
        await self.library_control.listed.wait()
        if self.screens.current == "library" and await self.resuming.resume(self.library_control.volumes):
            self._go("viewer")

    def _speak(self, language: str) -> None:
        """Another language from now on: all screens are made anew, as nothing is open."""
        write_preferences(self._folder, Preferences(language))
        words.use(language)
        before, shown = self.tasks, self.root  # type: ignore[has-type]
        Window.unbind(on_key_down=self._key)
        Window.remove_widget(shown)
        self.root = self.build()
        Window.add_widget(self.root)
        self.tasks.start(self.library_control.run())
        self.tasks.start(before.end())

    async def _leave(self) -> None:
        self._go("library")
        self.resuming.left()
        self.library_control.refresh()
        await self.viewer_control.close()

    def _imported(self, volume: Volume) -> None:
        self._go("library")
        told = " ".join([_("{name} was imported.").format(name=volume.name), *volume.warnings])
        self._say(told, "warning" if volume.warnings else "done")

    def _pen(self, what: str, *how: Any) -> None:
        """What the pen does, if something is open."""
        if self.viewer_control.pen is not None:
            getattr(self.viewer_control.pen, what)(*how)

    def _lift(self, *place: float) -> None:
        """The pen is lifted, perhaps from a stroke: other planes show where it ended."""
        work = self.viewer_control.work
        drawing = work is not None and work.document.running
        self._pen("up", *place)
        if drawing:
            self._show("drawn", *place)

    def _show(self, what: str, *values: Any) -> None:
        """What is shown, if something is open."""
        if self.viewer_control.showing is not None:
            getattr(self.viewer_control.showing, what)(*values)

    def _look(self, what: str, *values: Any) -> None:
        """How it is shown, if something is open."""
        if self.viewer_control.looking is not None:
            getattr(self.viewer_control.looking, what)(*values)

    def _choose(self, what: str, *values: Any) -> None:
        """What is chosen, if something is open."""
        if self.viewer_control.choosing is not None:
            getattr(self.viewer_control.choosing, what)(*values)

    def _guide(self, what: str) -> None:
        """Where to look next, if something is open."""
        if self.viewer_control.guiding is not None:
            getattr(self.viewer_control.guiding, what)()

    def _step(self, steps: int) -> None:
        if self.viewer_control.showing is not None:
            self._show("look_at_slice", self.viewer_control.showing.index + steps)

    def _say(self, text: str, kind: str) -> None:
        self.toast.say(text, kind)

    def _key(self, _: Any, key: int, scancode: int, text: str, modifiers: list[str]) -> bool:
        """Escape, a tablet's own back button, goes back; the others are the viewer's."""
        if key == keys.ESCAPE:
            return self._back()
        known = keys.command(key, modifiers)
        if known is None or self.screens.current != "viewer" or self.viewer.menu.shown:
            return False
        self._obey(*known)
        return True

    def _obey(self, what: str, value: Any) -> None:
        """Do what a key says."""
        control = self.viewer_control
        if what == "tool":
            control.choose_tool(value)
        elif what == "brush":
            control.step_brush(value)
        elif what == "slices":
            self._step(value)
        elif what == "next":
            self._guide("next")
        elif what == "export":
            self._start(self.exporting.open())
        elif what == "save":
            if self.viewer.slices.can_save:
                self._start(control.save())
        else:
            getattr(control, what)()

    def _back(self) -> bool:
        """One step back. Returns: there was one; from the library the system may leave the application."""
        if self.screens.current == "viewer" and self.viewer.menu.shown:
            self.viewer.menu.close()
        elif self.screens.current == "viewer":
            self._start(self._leave())
        elif self.screens.current == "import":
            self.importer.back()
        elif self.screens.current == "export":
            self._go("viewer")
        else:
            return False
        return True
