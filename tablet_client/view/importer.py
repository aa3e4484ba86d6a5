# mypy: disallow-subclassing-any=False
"""Import: choose a file or a folder of this tablet, see how far it is, read in plain words what was wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from kivy.properties import BooleanProperty, NumericProperty, ObjectProperty, StringProperty
from kivy.uix.label import Label
from kivy.uix.screenmanager import Screen

from tablet_client.state.offers import Asked, Row, Step
from tablet_client.state.places import users_folder
from tablet_client.state.words import _
from tablet_client.view import controls, importpreview, theme  # noqa: F401  (importpreview: used in the kv)
from tablet_client.view.picktiles import PickTiles

_MOST_ROWS = 300  # a folder of one file a slice is imported whole; nobody scrolls through more


class EntryRow(controls.PressButton):
    """A folder or a file."""

    icon = StringProperty("file")
    text = StringProperty("")
    note = StringProperty("")


class ChoiceRow(controls.PressButton):
    """One thing to choose, as `tablet_client.state.offers.Row` has it; faint where it cannot be opened."""

    title = StringProperty("")
    facts = StringProperty("")
    tag = StringProperty("")
    date = StringProperty("")
    reason = StringProperty("")


class Tag(Label):
    """A quiet word in a frame."""


class Note(Label):
    """What is not among the rows."""


class Importer(Screen):
    """What to import.

    Attributes:
        folder: the folder that is listed.
        path: what would be imported; the folder, or a file of it.
        name_typed: for the library, as typed; empty: the server makes a neutral one.
        busy: an import runs; then ``progress`` (0 to 1) and ``doing`` say how far it is.
        previews: of that import, the slices that are there already.
        trouble: a sentence when it went wrong.
        steps: what has to be chosen of the path before it is imported; the last one's rows are listed in place of files.
        by_picker: files are chosen with the system's picker, not from a list of ours.
    """

    __events__ = ("on_back", "on_import", "on_choose", "on_cancel", "on_pick")

    folder = StringProperty("")
    path = StringProperty("")
    name_typed = StringProperty("")
    busy = BooleanProperty(False)
    progress = NumericProperty(0.0)
    doing = StringProperty("")
    previews = ObjectProperty(None, allownone=True, force_dispatch=True)
    trouble = StringProperty("")
    empty = StringProperty("")
    steps = ObjectProperty((), force_dispatch=True)
    by_picker = BooleanProperty(False)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bind(folder=self._list, steps=self._list)

    def on_pre_enter(self) -> None:
        if not self.folder and not self.by_picker:
            self.go(str(users_folder()))

    def on_by_picker(self, *_: object) -> None:
        for part in (self.ids.places, self.ids.start):
            part.parent.remove_widget(part)
        self._list()

    def on_pick(self, what: str) -> None:
        """Open the system's picker of "files", or of a "folder"."""

    def on_back(self) -> None:
        """Back to the library."""

    def on_import(self, path: str) -> None:
        """Import a file or a folder."""

    def on_choose(self, path: str, asked: Asked) -> None:
        """Go on with what was chosen of the path."""

    def back(self) -> None:
        """One step of choosing back; from the first to the files; from there out."""
        if not self.steps or self.busy:
            self.dispatch("on_back")
            return
        self.show(self.steps[:-1])

    def show(self, steps: tuple[Step, ...], trouble: str = "") -> None:
        """What to choose from, and the sentence above it: what went wrong, or else the step's own."""
        self.trouble = trouble or (steps[-1].sentence if steps else "")
        self.steps = steps

    def on_cancel(self) -> None:
        """Stop the import that runs."""

    def go(self, path: str) -> None:
        """List a folder, or the folder of a file; the path becomes what would be imported."""
        place = Path(path).expanduser()
        self.trouble = ""
        if not place.exists():
            self.trouble = _("There is no file or folder {path}.").format(path=path)
            return
        if self.steps:
            self.steps = ()
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

    def _list(self, *unused: object) -> None:
        self.ids.rows.clear_widgets()
        self.ids.scroll.scroll_y = 1
        self.empty = ""
        if self.steps:
            self._list_step(self.steps[-1])
        elif self.by_picker:
            tiles = PickTiles()
            tiles.bind(on_pick=lambda _, what: self.dispatch("on_pick", what))
            self.ids.rows.add_widget(tiles)
        else:
            self._list_folder()

    def _list_step(self, step: Step) -> None:
        for row in step.rows:
            self.ids.rows.add_widget(self._choice(row))
        if step.note:
            self.ids.rows.add_widget(Note(text=step.note))

    def _choice(self, row: Row) -> ChoiceRow:
        widget = ChoiceRow(
            tap_name=f"choice:{row.name}",
            title=row.title,
            facts=row.facts,
            tag=row.tag,
            date=row.date,
            reason=row.reason,
            disabled=row.asked is None,
        )
        widget.bind(on_release=lambda _, path=self.path: self.dispatch("on_choose", path, row.asked))
        return widget

    def _list_folder(self) -> None:
        try:
            entries = sorted(os.scandir(self.folder), key=lambda e: (not e.is_dir(), e.name.casefold()))
        except OSError:
            self.trouble = _("This folder cannot be read.")
            return
        shown = [entry for entry in entries if not entry.name.startswith(".")]
        self.empty = "" if shown else _("There is nothing in this folder.")
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
