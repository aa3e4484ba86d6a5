# mypy: disallow-subclassing-any=False
"""The main screen: the image, as large as it can be, and the rails around it."""

from __future__ import annotations

from typing import Any

from kivy.uix.screenmanager import Screen

from tablet_client.view import theme
from tablet_client.view.imageview import ImageView
from tablet_client.view.menu import Menu
from tablet_client.view.rightcolumn import RightColumn
from tablet_client.view.slicebar import SliceBar
from tablet_client.view.toolrail import ToolRail
from tablet_client.view.topbar import TopBar


class Viewer(Screen):
    """The parts of the main screen; `ViewerControl` gives them meaning.

    Attributes:
        bar: over the image.
        rail: the tools.
        image: where one draws.
        side: planes, threshold, volume.
        slices: the bar under the image.
        menu: under the three dots.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bar: TopBar = self.ids.bar
        self.rail: ToolRail = self.ids.rail
        self.image: ImageView = self.ids.image
        self.side: RightColumn = self.ids.side
        self.slices: SliceBar = self.ids.slices
        self.menu: Menu = self.ids.menu


theme.load_kv(__file__)
