# mypy: disallow-subclassing-any=False
"""The application: library, import, viewer and export, on one asyncio loop with the link."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from calque.v1.volumes_pb2 import Volume
from kivy.app import App
from kivy.base import EventLoop
from kivy.core.window import Window
from kivy.metrics import Metrics
from kivy.uix.floatlayout import FloatLayout
from kivy.uix.screenmanager import NoTransition, ScreenManager
from kivy.utils import platform

from tablet_client.android.provider import AndroidTouches
from tablet_client.link.account import Signed
from tablet_client.link.connect import CertificateError, LinkFactory, NoLink
from tablet_client.link.listener import Connection
from tablet_client.link.port import Link
from tablet_client.state import words
from tablet_client.state.geometry import Plane
from tablet_client.state.journal import waiting_annotations
from tablet_client.state.picker import Picker
from tablet_client.state.preferences import Preferences, plain_reader, read_preferences
from tablet_client.state.words import _
from tablet_client.view import keys, sentences, theme
from tablet_client.view.exporter import Exporter
from tablet_client.view.exporting import Exporting
from tablet_client.view.garbage import collecting_here
from tablet_client.view.imageview import ImageView
from tablet_client.view.importer import Importer
from tablet_client.view.library import Library
from tablet_client.view.librarycontrol import LibraryControl
from tablet_client.view.opened import Opened
from tablet_client.view.picking import Picking
from tablet_client.view.rails import Rails
from tablet_client.view.resuming import Resuming
from tablet_client.view.reviewing import Reviewing
from tablet_client.view.settings import Settings
from tablet_client.view.settingscontrol import SettingsControl
from tablet_client.view.signin import SignIn
from tablet_client.view.signing import Signing
from tablet_client.view.tasks import Tasks
from tablet_client.view.toast import Toast
from tablet_client.view.viewer import Viewer
from tablet_client.view.viewercontrol import ViewerControl


class CalqueApp(App):
    """The tablet's application. Run it with `run_on_loop`.

    Args:
        connect: makes a link to the services that the preferences name; closed at the end.
        folder: where journals and preferences lie.
        given: address of the services in this run, where it is not of the preferences.
        picker: the system's, where files are reached through it alone.
    """

    title = "Calque"

    def __init__(self, connect: LinkFactory, folder: Path, given: str = "", picker: Picker | None = None) -> None:
        super().__init__()
        self._connect_to, self._folder, self._given, self._picker = connect, folder, given, picker
        self.preferences = read_preferences(folder)
        words.use(self.preferences.language)
        self._link = self._call(self.preferences)
        self._moving: asyncio.Task[None] | None = None
        self._left_at = "library"

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
        signed = self._link.account.signed
        name = signed.name if signed else ""
        self.settings = Settings(name="settings", preferences=self.preferences, first=self._unknown, user=name)
        self.sign_in = SignIn(name="sign_in")
        for screen in (self.library, self.importer, self.viewer, self.exporter, self.settings, self.sign_in):
            self.screens.add_widget(screen)
        self.toast = Toast()
        root = FloatLayout()
        root.add_widget(self.screens)
        root.add_widget(self.toast)
        self.library_control = LibraryControl(self._link, self.library, self.importer, self._imported)
        if self._picker is not None:
            self.picking = Picking(self._picker, self.importer, self.library_control, self._start)
        self.viewer_control = ViewerControl(self._link, self.viewer, self._own_folder, self._say, self._own_preferences)
        self.opened = Opened(self.viewer_control)
        self.exporting = Exporting(
            self._link, self.exporter, self.viewer_control, self._folder, self._say, self._go, self._picker
        )
        self.reviewing = Reviewing(self._link, self.viewer.review, self.viewer_control, self._say)
        self.settings_control = SettingsControl(
            self.settings, self._folder, self._not_now, self._prefer, self._say, self._start, self._picker
        )
        self.rails = Rails(self.viewer)
        self.resuming = Resuming(self.viewer, self.viewer_control, self._own_folder)
        self.signing = Signing(
            self._link.account, self.sign_in, self._ask_who, self._let_in, lambda: self._waiting, self._start
        )
        self._wire()
        return root

    def on_start(self) -> None:
        if platform == "android":
            EventLoop.add_input_provider(AndroidTouches(Metrics.dpi, lambda: self.viewer.pen_seen()))
        self._begin()
        self._resumed = self.tasks.start(self._resume())
        if isinstance(self._link, NoLink):
            self._go("settings")
            self.settings.trouble = "" if self._unknown else _("The certificate cannot be read any more. Choose it again.")

    def _begin(self) -> None:
        """What goes on as long as the screens are these."""
        self.tasks.start(self.library_control.run())
        self.tasks.start(self._link.account.run())
        self.tasks.start(self.signing.lock_when_idle(lambda: self.preferences.lock_minutes))

    def on_pause(self) -> bool:
        """The tablet puts the application aside, and may end it without another word: strokes go to its disk first."""
        if self.viewer_control.work is not None:
            self.viewer_control.work.keeper.flush()
        self.opened.choose("keep")
        self.opened.look("keep")
        return True

    def _wire(self) -> None:
        """Every event of a widget to what it does."""
        control, viewer = self.viewer_control, self.viewer
        viewer.menu.display.pressure = self.preferences.pressure
        viewer.tools, self.library.sort = self.preferences.tools, self.preferences.sort
        self.library.bind(on_pick_sort=lambda _, sort: self.settings_control.pick("sort", sort))
        self.library.bind(on_open=lambda _, volume_id: self._start(self._open(volume_id)))
        self.library.bind(on_import=lambda _: self._begin_import())
        for widget in (self.library, viewer.menu):
            widget.bind(on_settings=lambda _: self._go("settings"))
        self.library.bind(notice=lambda *_: self._tell_answer())
        self._tell_answer()
        self.settings.bind(on_back=lambda _: self._go("library" if control.work is None else "viewer"))
        self.settings.bind(on_sign_out=lambda _: self._start(self._sign_out()))
        self.sign_in.bind(on_settings=lambda _: self._go("settings"))
        self.importer.bind(on_cancel=lambda _: self.library_control.cancel())
        self.importer.bind(on_back=lambda _: self._go("library"))
        self.importer.bind(on_import=lambda _, path: self._start(self.library_control.import_path(path)))
        self.importer.bind(on_choose=lambda _, *what: self._start(self.library_control.choose(*what)))
        viewer.bar.bind(on_back=lambda _: self._start(self._leave()))
        viewer.bar.bind(on_undo=lambda _: control.undo(), on_redo=lambda _: control.redo())
        viewer.bar.bind(on_more=lambda _: self._start(control.menu()))
        viewer.rail.bind(on_choose=lambda _, tool: control.choose_tool(tool))
        viewer.rail.bind(on_brush=lambda _, steps: control.step_brush(steps))
        viewer.side.bind(on_pick_plane=lambda _, plane: self.opened.show("look_at_plane", Plane[plane.upper()]))
        viewer.side.bind(on_pick_three=lambda _, three: self.opened.look("three", three))
        viewer.side.bind(on_pick_threshold=lambda _, value: self.opened.choose("threshold", value))
        viewer.side.bind(on_hand_over=lambda _: self.opened.choose("hand_over"))
        for switch in ("live", "shape", "connected", "fill_holes"):
            viewer.side.bind(**{f"on_pick_{switch}": lambda _, on, switch=switch: self.opened.choose(switch, on)})
        viewer.side.bind(on_pick_style=lambda _, style: self.opened.look("style", style))
        viewer.menu.display.bind(on_pick_contrast=lambda _, name: self.opened.look("preset", name))
        viewer.menu.display.bind(on_pick_pressure=lambda _, on: self.settings_control.pick("pressure", on))
        for name in ("equalised", "smooth", "colour_blind", "fill"):
            viewer.menu.display.bind(**{f"on_pick_{name}": lambda _, value, name=name: self.opened.look(name, value)})
        viewer.slices.bind(on_pick=lambda _, index: self.opened.show("look_at_slice", index))
        viewer.slices.bind(on_next=lambda _: self.opened.guide("next"))
        viewer.slices.bind(on_segment=lambda _: control.segment())
        viewer.slices.bind(on_save=lambda _: self._start(control.save()))
        viewer.menu.bind(on_annotation=lambda _, chosen: self._start(control.switch(chosen)))
        viewer.menu.bind(on_new=lambda _, *how: self._start(control.new_annotation(*how)))
        viewer.menu.bind(on_colour=lambda _, *what: self._start(control.recolour(*what)))
        viewer.menu.bind(on_fit=lambda _: viewer.image.fit(), on_clear=lambda _: control.clear())
        viewer.menu.bind(on_take_over=lambda _: control.take_over())
        viewer.menu.bind(on_export=lambda _: self._start(self.exporting.open()))
        viewer.menu.bind(on_review=lambda _: self._start(self.reviewing.open()))
        viewer.review.bind(on_hand_in=lambda _: self._start(self.reviewing.hand_in()))
        viewer.review.bind(on_accept=lambda _: self._start(self.reviewing.accept()))
        viewer.review.bind(on_send_back=lambda _, note: self._start(self.reviewing.send_back(note)))
        self.exporter.bind(on_back=lambda _: self._go("viewer"))
        self.exporter.bind(on_pick_content=lambda _, name: self.exporting.choose_content(name))
        self.exporter.bind(on_pick_format=lambda _, name: self.exporting.choose_format(name))
        self.exporter.bind(on_export=lambda _: self._start(self.exporting.export()))
        self.exporter.bind(on_cancel=lambda _: self.exporting.cancel())
        for number, image in enumerate(viewer.images):
            self._wire_image(image, number)
        Window.bind(on_key_down=self._key, on_touch_down=self._touched, on_textinput=self._touched)

    def _wire_image(self, image: ImageView, number: int) -> None:
        """What pen and fingers do on an image."""
        image.bind(on_pen_down=lambda _, *how: self.opened.pen("down", *how, number))
        image.bind(on_pen_down=lambda *_: self.opened.guide("quiet"))
        image.bind(on_pen_down=lambda *_: self.rails.pen_down())
        image.bind(on_pen_up=lambda *_: self.rails.pen_up(), on_pen_cancel=lambda *_: self.rails.pen_up())
        image.bind(on_pen_move=lambda _, *place: self.opened.pen("move", *place, number))
        image.bind(on_pen_up=lambda _, column, row: self.opened.lift(column, row, number))
        image.bind(on_pen_cancel=lambda _: self.opened.pen("cancel", number))
        image.bind(on_hover=lambda _, *place: self.opened.show("pointed", *place, number))
        image.bind(on_scroll=lambda _, steps: self.opened.step(steps, number))
        image.bind(on_aim=lambda _, *place: self.opened.show("aim", number - 1, *place))

    def _start(self, work: Coroutine[Any, Any, Any]) -> None:
        self.tasks.start(work)

    def _go(self, screen: str) -> None:
        """Show a screen, or, as long as it is asked who is there, where that is said."""
        self.toast.clear()
        open_to_all = ("sign_in",) if self.signing.locked else ("sign_in", "settings")
        self.screens.current = "sign_in" if self.signing.asking and screen not in open_to_all else screen

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

    async def _leave(self) -> None:
        self._go("library")
        self.resuming.left()
        self.library_control.refresh()
        await self.viewer_control.close()

    def _imported(self, volume: Volume) -> None:
        self._go("library")
        told = " ".join([_("{name} was imported.").format(name=volume.name), *volume.warnings])
        self._say(told, "warning" if volume.warnings else "done")

    # --- settings ----------------------------------------------------------------------------------------------------

    def _call(self, preferences: Preferences) -> Link:
        """A link to the preferred server; without one where its certificate is gone."""
        try:
            return self._connect_to(preferences)
        except CertificateError:
            return cast(Link, NoLink())

    @property
    def _unknown(self) -> bool:
        """No server is known yet."""
        return not self._given and not self.preferences.server

    def _tell_answer(self) -> None:
        """How the server answers, on the settings."""
        if self._given:
            self.settings.answer = _("This run stays with {server}, with which it was started.").format(server=self._given)
        elif not isinstance(self._link, NoLink):
            self.settings.answer = self.library.notice or _("The server answers.")

    def _prefer(self, before: Preferences, now: Preferences) -> None:
        """What was picked in the settings, at once."""
        self.preferences = now
        self.viewer.tools, self.library.sort = now.tools, now.sort
        self.viewer.menu.display.pressure = now.pressure
        self.viewer_control.prefer(self._own_preferences)
        if (now.server, now.certificate) != (before.server, before.certificate) and not self._given:
            self._begin_anew(self._call(now), None if now.server == before.server else before.server)
        elif now.language != before.language:
            self._begin_anew(self._link)

    def _not_now(self, *, signing_out: bool = False) -> str:
        """Why the screens cannot be made anew now, or nobody can sign out; empty: they can."""
        work = self.viewer_control.work
        if self._moving is not None and not self._moving.done():
            return _("The last change is not finished. Try again in a moment.")
        if self.importer.busy or self.exporter.busy:
            return _("Files are on their way. Change this when they have arrived.")
        if (
            not signing_out
            and work is not None
            and work.keeper.status.connection not in (Connection.CONNECTED, Connection.OTHER_WRITER)
        ):
            return _("There is no connection: go back to the volumes first. What you drew is kept on this tablet.")
        return ""

    def _begin_anew(self, link: Link, left: str | None = None, *, other_user: bool = False) -> None:
        """All screens made anew, with the settings on top as they were: in another language, with another link or user.

        Args:
            link: to the services from now on.
            left: address of the server that is left for another one, empty where none was known; None: it is the same.
            other_user: nothing of what the one before saw is shown.
        """
        before = self.tasks, self.viewer_control, self._link
        first = other_user or isinstance(self._link, NoLink)
        volumes = {} if first else self.library_control.volumes
        scrolled = self.settings.ids.scroll.scroll_y
        self._link = link
        words.use(self.preferences.language)
        Window.unbind(on_key_down=self._key, on_touch_down=self._touched, on_textinput=self._touched)
        Window.remove_widget(self.root)  # type: ignore[has-type]
        self.root = self.build()
        Window.add_widget(self.root)
        self._go("library" if first else "settings")
        self.settings.ids.scroll.scroll_y = scrolled
        self._moving = self.tasks.start(self._move(*before, volumes, left))

    async def _move(
        self, tasks: Tasks, control: ViewerControl, link: Link, volumes: dict[str, Volume], left: str | None
    ) -> None:
        """End what the old screens did, and go on with the new ones: at the same volume where the server is the same."""
        await control.close()
        await tasks.end()
        if link is not self._link:
            link.close()
        if left is None:
            self.library_control.volumes = volumes
            self._resumed = self.tasks.start(self.resuming.resume(volumes) if volumes else self._resume())
        else:
            self.resuming.left()
            if left and (waiting := self._waiting):
                self._say(sentences.left_behind(waiting), "warning")
        self._begin()

    # --- who works with it ---------------------------------------------------------------------------------------------

    @property
    def _own_folder(self) -> Path:
        """Where journals of the user lie, whose strokes they are, and places and choices: nobody else's go there."""
        user = self._link.account.user
        return self._folder / "users" / quote(user, safe="") if user else self._folder

    @property
    def _own_preferences(self) -> Preferences:
        """The tablet's preferences, under the user's own name."""
        signed = self._link.account.signed
        return replace(self.preferences, reader=plain_reader(signed.name)) if signed else self.preferences

    @property
    def _waiting(self) -> int:
        """Strokes of the user that the server does not have yet."""
        return sum(waiting_annotations(self._own_folder).values())

    def _touched(self, *_: Any) -> None:
        self.signing.touched()

    async def _ask_who(self) -> None:
        """Who is there is to be said, as soon as a stroke that is being drawn has ended."""
        while self.viewer_control.drawing:  # noqa: ASYNC110 – the hand sets no event
            await asyncio.sleep(0.05)
        self._left_at = self.screens.current
        self._go("sign_in")

    async def _let_in(self, signed: Signed) -> None:
        """Somebody has signed in: who it was before goes on, anybody else begins anew, and not a stroke changes hands."""
        account = self._link.account
        if signed.user == account.user:
            account.take(signed)
            self.signing.done()
            self._go(self._left_at)
            self.library_control.refresh()
            if self.viewer_control.work is not None:
                self.viewer_control.work.keeper.retry_now()
            return
        await self.viewer_control.close()
        account.take(signed)
        self._begin_anew(self._link, other_user=True)

    async def _sign_out(self) -> None:
        """The user goes; what was drawn and not sent waits for the same user."""
        if why := self._not_now(signing_out=True):
            self._say(why, "error")
            return
        await self.viewer_control.close()
        self._link.account.take(None)
        self._begin_anew(self._link, other_user=True)
        self._start(self.signing.ask())

    def _say(self, text: str, kind: str) -> None:
        if not self.signing.asking:  # it may tell what only the user may know
            self.toast.say(text, kind)

    def _key(self, _: Any, key: int, scancode: int, text: str, modifiers: list[str]) -> bool:
        """Escape, a tablet's own back button, goes back; the others are the viewer's."""
        if key == keys.ESCAPE:
            return self._back()
        known = keys.command(key, modifiers)
        if known is None or self.screens.current != "viewer" or self.viewer.panel is not None:
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
            self.opened.step(value)
        elif what == "next":
            self.opened.guide("next")
        elif what == "export":
            self._start(self.exporting.open())
        elif what == "save":
            if self.viewer.slices.can_save:
                self._start(control.save())
        else:
            getattr(control, what)()

    def _back(self) -> bool:
        """One step back. Returns: there was one; from the library the system may leave the application."""
        if self.screens.current == "viewer" and self.viewer.panel is not None:
            self.viewer.panel.close()
        elif self.screens.current == "viewer":
            self._start(self._leave())
        elif self.screens.current == "import":
            self.importer.back()
        elif self.screens.current == "export":
            self._go("viewer")
        elif self.screens.current == "settings":
            self.settings.back()
        else:
            return False
        return True
