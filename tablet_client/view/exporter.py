# mypy: disallow-subclassing-any=False
"""Export: choose what, as which file, under which name and in which folder of this tablet; see how far it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kivy.properties import BooleanProperty, NumericProperty, ObjectProperty, StringProperty
from kivy.uix.screenmanager import Screen

from tablet_client.state.words import _
from tablet_client.view import controls, theme
from tablet_client.view.importer import EntryRow

_MOST_ROWS = 300


class Pick(NamedTuple):
    """One of several to choose from; ``refusal`` says why it cannot be chosen."""

    name: str
    title: str
    note: str
    refusal: str = ""


class PickRow(controls.PressButton):
    """A `Pick`."""

    title = StringProperty("")
    note = StringProperty("")
    chosen = BooleanProperty(False)


class Exporter(Screen):
    """What to export.

    Attributes:
        contents, formats: tuples of `Pick`.
        content, format: names of those that are chosen.
        stem, ending: the file's name.
        folder: where it will lie.
        busy: an export runs; then ``progress`` (0 to 1) and ``doing`` say how far it is.
        trouble: a sentence when it went wrong.
        by_picker: the system asks for the folder, in place of our list.
    """

    __events__ = ("on_back", "on_pick_content", "on_pick_format", "on_export", "on_cancel")

    contents = ObjectProperty(())
    formats = ObjectProperty(())
    content = StringProperty("")
    format = StringProperty("")
    stem = StringProperty("")
    ending = StringProperty("")
    folder = StringProperty("")
    busy = BooleanProperty(False)
    progress = NumericProperty(0.0)
    doing = StringProperty("")
    trouble = StringProperty("")
    upright = BooleanProperty(False)
    by_picker = BooleanProperty(False)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bind(contents=self._list_picks, content=self._mark, formats=self._list_picks, format=self._mark)
        self.bind(folder=self._list_folder, size=self._turn)

    def on_by_picker(self, *_: object) -> None:
        self.ids.place.clear_widgets()

    def on_pre_enter(self) -> None:
        self._list_folder()  # others may have written in it

    def on_back(self) -> None:
        """Back to the image; an export goes on."""

    def on_pick_content(self, name: str) -> None:
        """This shall be exported."""

    def on_pick_format(self, name: str) -> None:
        """As such a file."""

    def on_export(self) -> None:
        """Export it."""

    def on_cancel(self) -> None:
        """Stop the export that runs."""

    def go(self, path: str) -> None:
        """Another folder; one that is not there will be made."""
        self.folder = str(Path(path).expanduser())
        self.trouble = _("This is a file, not a folder.") if Path(self.folder).is_file() else ""

    def up(self) -> None:
        """The folder around."""
        self.go(str(Path(self.folder).parent))

    def _turn(self, *_: object) -> None:
        self.upright = self.height > self.width

    def _list_picks(self, *_: object) -> None:
        self._fill(self.ids.contents, "on_pick_content", self.contents)
        self._fill(self.ids.formats, "on_pick_format", self.formats)
        self._mark()

    def _fill(self, rows: Any, event: str, picks: Sequence[Pick]) -> None:
        rows.clear_widgets()
        for pick in picks:
            row = PickRow(
                tap_name=f"export_{pick.name}",
                title=pick.title,
                note=pick.refusal or pick.note,
                disabled=bool(pick.refusal),
            )
            row.bind(on_release=lambda _, name=pick.name: self.dispatch(event, name))
            rows.add_widget(row)

    def _mark(self, *_: object) -> None:
        for rows, chosen in ((self.ids.contents, self.content), (self.ids.formats, self.format)):
            for row in rows.children:
                row.chosen = row.tap_name == f"export_{chosen}"

    def _list_folder(self, *_: object) -> None:
        if self.by_picker:
            return
        rows = self.ids.folders
        rows.clear_widgets()
        self.ids.scroll.scroll_y = 1
        for name in _folders(self.folder)[:_MOST_ROWS]:
            row = EntryRow(tap_name=f"folder:{name}", icon="folder", text=name)
            row.bind(on_release=lambda _, path=str(Path(self.folder) / name): self.go(path))
            rows.add_widget(row)


def _folders(path: str) -> list[str]:
    """Names of the folders in a folder; none where it is not there yet, or cannot be read."""
    try:
        entries = [entry.name for entry in os.scandir(path) if entry.is_dir() and not entry.name.startswith(".")]
    except OSError:
        return []
    return sorted(entries, key=str.casefold)


theme.load_kv(__file__)
