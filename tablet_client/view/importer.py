# mypy: disallow-subclassing-any=False
"""Import: choose a file or a folder of this tablet, see how far it is, read in plain words what was wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from calque.v1 import common_pb2
from kivy.properties import BooleanProperty, NumericProperty, ObjectProperty, StringProperty
from kivy.uix.screenmanager import Screen

from tablet_client.view import controls, importpreview, theme  # noqa: F401  (importpreview: used in the kv)

_MOST_ROWS = 300  # a folder of one file a slice is imported whole; nobody scrolls through more


class Choice(NamedTuple):
    """One of several series or frames that lie together, as it is asked for and as it is read."""

    series: str = ""
    frame_plus_one: int = 0
    text: str = ""


def offered(reason: str, choice: common_pb2.Choice, asked: Choice) -> Choice:
    """What a refusal with ``SEVERAL_SERIES`` or ``SEVERAL_FRAMES`` offers to one who ``asked`` before."""
    if reason == "SEVERAL_FRAMES":
        return asked._replace(frame_plus_one=int(choice.key), text=choice.text)
    # An identifier in front helps nobody who can touch the line.
    start = f"{choice.key} ("
    text = choice.text[len(start) : -1] if choice.text.startswith(start) and choice.text.endswith(")") else choice.text
    return asked._replace(series=choice.key, text=text)


class EntryRow(controls.PressButton):
    """A folder, a file, or a series."""

    icon = StringProperty("file")
    text = StringProperty("")
    note = StringProperty("")


class Importer(Screen):
    """What to import.

    Attributes:
        folder: the folder that is listed.
        path: what would be imported; the folder, or a file of it.
        name_typed: for the library, as typed; empty: the server makes a neutral one.
        busy: an import runs; then ``progress`` (0 to 1) and ``doing`` say how far it is.
        previews: of that import, the slices that are there already.
        trouble: a sentence when it went wrong.
        choices: what the path holds, when only one of it can be imported; they are listed in place of files.
    """

    __events__ = ("on_back", "on_import", "on_cancel")

    folder = StringProperty("")
    path = StringProperty("")
    name_typed = StringProperty("")
    busy = BooleanProperty(False)
    progress = NumericProperty(0.0)
    doing = StringProperty("")
    previews = ObjectProperty(None, allownone=True, force_dispatch=True)
    trouble = StringProperty("")
    empty = StringProperty("")
    choices = ObjectProperty((), force_dispatch=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bind(folder=self._list, choices=self._list)

    def on_pre_enter(self) -> None:
        if not self.folder:
            self.go(str(Path.home()))

    def on_back(self) -> None:
        """Back to the library."""

    def on_import(self, path: str, choice: Choice | None = None) -> None:
        """Import a file or a folder, or one of what it holds."""

    def on_cancel(self) -> None:
        """Stop the import that runs."""

    def go(self, path: str) -> None:
        """List a folder, or the folder of a file; the path becomes what would be imported."""
        place = Path(path).expanduser()
        self.trouble = ""
        if not place.exists():
            self.trouble = f"There is no file or folder {path}."
            return
        if self.choices:
            self.choices = ()
        self.path = str(place)
        self.folder = str(place if place.is_dir() else place.parent)

    def up(self) -> None:
        """The folder around."""
        self.go(str(Path(self.folder).parent))

    def start(self) -> None:
        """Import what the field says."""
        self.go(self.path)
        if not self.trouble and not self.busy:
            self.dispatch("on_import", self.path)

    def _list(self, *_: object) -> None:
        self.ids.rows.clear_widgets()
        self.ids.scroll.scroll_y = 1
        self.empty = ""
        if self.choices:
            self._list_choices()
        else:
            self._list_folder()

    def _list_choices(self) -> None:
        for choice in self.choices:
            row = EntryRow(tap_name=f"choice:{choice.series or choice.frame_plus_one}", icon="stack", text=choice.text)
            row.bind(on_release=lambda _, path=self.path, chosen=choice: self.dispatch("on_import", path, chosen))
            self.ids.rows.add_widget(row)

    def _list_folder(self) -> None:
        try:
            entries = sorted(os.scandir(self.folder), key=lambda e: (not e.is_dir(), e.name.casefold()))
        except OSError:
            self.trouble = "This folder cannot be read."
            return
        shown = [entry for entry in entries if not entry.name.startswith(".")]
        self.empty = "" if shown else "There is nothing in this folder."
        for entry in shown[:_MOST_ROWS]:
            row = EntryRow(
                tap_name=f"entry:{entry.name}",
                icon="folder" if entry.is_dir() else "file",
                text=entry.name,
                note="" if entry.is_dir() else _size(entry),
            )
            row.bind(on_release=lambda _, chosen=entry.path: self.go(chosen))
            self.ids.rows.add_widget(row)


def _size(entry: os.DirEntry[str]) -> str:
    try:
        size = float(entry.stat().st_size)
    except OSError:
        return ""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


theme.load_kv(__file__)
