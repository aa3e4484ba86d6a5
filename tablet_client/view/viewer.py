# mypy: disallow-subclassing-any=False
"""The main screen: the image, as large as it can be, and the rails around it."""

from __future__ import annotations

from kivy.uix.screenmanager import Screen

from tablet_client.view import theme
from tablet_client.view.imageview import ImageView
from tablet_client.view.menu import Menu
from tablet_client.view.rightcolumn import RightColumn
from tablet_client.view.slicebar import SliceBar
from tablet_client.view.toolrail import ToolRail
from tablet_client.view.topbar import TopBar


class Viewer(Screen):
    """The parts of the main screen, by their names; `ViewerControl` gives them meaning."""

    @property
    def bar(self) -> TopBar:
        """The bar over the image."""
        return self.ids.bar

    @property
    def rail(self) -> ToolRail:
        """The tools."""
        return self.ids.rail

    @property
    def image(self) -> ImageView:
        """Where one draws."""
        return self.ids.image

    @property
    def side(self) -> RightColumn:
        """Planes, threshold, volume."""
        return self.ids.side

    @property
    def slices(self) -> SliceBar:
        """The bar under the image."""
        return self.ids.slices

    @property
    def menu(self) -> Menu:
        """The menu under the three dots."""
        return self.ids.menu


theme.load_kv(__file__)
