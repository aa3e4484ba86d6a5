# mypy: disallow-subclassing-any=False
"""Two large buttons that open the system's picker: of files, and of a folder."""

from __future__ import annotations

from kivy.properties import StringProperty
from kivy.uix.boxlayout import BoxLayout

from tablet_client.view import controls, theme


class PickTile(controls.PressButton):
    """An icon, what it does, and what for."""

    icon = StringProperty("file")
    title = StringProperty("")
    note = StringProperty("")


class PickTiles(BoxLayout):
    """Side by side, or one over the other where it is narrow. ``on_pick`` tells "files" or "folder"."""

    __events__ = ("on_pick",)

    def on_pick(self, what: str) -> None:
        """Open the picker."""


theme.load_kv(__file__)
