# mypy: disallow-subclassing-any=False
"""Choosing one file of this tablet: a list of folders and of the files whose ending fits, over the screen."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from kivy.properties import StringProperty

from tablet_client.state.words import _
from tablet_client.view import controls, theme
from tablet_client.view.importer import EntryRow

_MOST_ROWS = 300


class FileChoice(controls.Panel):
    """A press beside it closes it.

    Attributes:
        title: what is chosen.
        folder: whose files are listed.
        empty: why nothing is listed.
    """

    __events__ = ("on_file",)

    title = StringProperty("")
    folder = StringProperty("")
    empty = StringProperty("")

    def show(self, folder: Path, endings: Sequence[str]) -> None:
        """Open with a folder; files with other endings are not listed."""
        self._endings = tuple(endings)
        self._go(folder)
        self.shown = True

    def up(self) -> None:
        """The folder around."""
        self._go(Path(self.folder).parent)

    def close(self) -> None:
        """Close it."""
        super().close()
        self.ids.rows.clear_widgets()

    def on_file(self, path: str) -> None:
        """A file was chosen."""

    def _go(self, folder: Path) -> None:
        self.folder, self.empty = str(folder), ""
        self.ids.rows.clear_widgets()
        self.ids.scroll.scroll_y = 1
        try:
            entries = sorted(os.scandir(folder), key=lambda e: (not e.is_dir(), e.name.casefold()))
        except OSError:
            self.empty = _("This folder cannot be read.")
            return
        fitting = [e for e in entries if e.is_dir() or e.name.lower().endswith(self._endings)]
        shown = [entry for entry in fitting if not entry.name.startswith(".")]
        self.empty = "" if shown else _("There is no such file in this folder.")
        for entry in shown[:_MOST_ROWS]:
            row = EntryRow(tap_name=f"file:{entry.name}", icon="folder" if entry.is_dir() else "file", text=entry.name)
            row.bind(on_release=lambda _, path=Path(entry.path): self._pick(path))
            self.ids.rows.add_widget(row)

    def _pick(self, path: Path) -> None:
        if path.is_dir():
            self._go(path)
            return
        self.close()
        self.dispatch("on_file", str(path))


theme.load_kv(__file__)
