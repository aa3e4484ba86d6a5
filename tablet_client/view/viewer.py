# mypy: disallow-subclassing-any=False
"""The main screen: the image, as large as it can be, and the rails around it."""

from __future__ import annotations

from typing import Any

from kivy.metrics import dp
from kivy.properties import BooleanProperty, OptionProperty
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.screenmanager import Screen

from tablet_client.view import theme
from tablet_client.view.controls import Panel
from tablet_client.view.imageview import ImageView
from tablet_client.view.menu import Menu
from tablet_client.view.review import Review
from tablet_client.view.rightcolumn import RightColumn
from tablet_client.view.slicebar import SliceBar
from tablet_client.view.toolrail import ToolRail
from tablet_client.view.topbar import TopBar

_SHARE = 0.5  # of the two other planes together, beside 1 of the image


class Viewer(Screen):
    """The parts of the main screen; `ViewerControl` gives them meaning.

    Attributes:
        bar: over the image.
        rail: the tools.
        image: where one draws.
        beside: two more images, for the other planes.
        images: all of these.
        side: planes, threshold, volume.
        slices: the bar under the image.
        menu: under the three dots.
        review: of the annotation, in the middle.
        three: the images beside the first are on the screen.
        tools: "left" or "right", where the rail is; the column is on the other side.
        drawing: the pen is down: what lies on the rails is no finger that wants something.
    """

    three = BooleanProperty(False)
    tools = OptionProperty("left", options=["left", "right"])
    drawing = BooleanProperty(False)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bar: TopBar = self.ids.bar
        self.rail: ToolRail = self.ids.rail
        self.image: ImageView = self.ids.image
        self.beside = tuple(ImageView(tap_name=name, margin=dp(32), aims=True) for name in ("image_2", "image_3"))
        self.images = (self.image, *self.beside)
        self.side: RightColumn = self.ids.side
        self.slices: SliceBar = self.ids.slices
        self.menu: Menu = self.ids.menu
        self.review: Review = self.ids.review
        self._pair = BoxLayout(spacing=dp(1), size_hint=(1.0, 1.0))
        for image in self.beside:
            self._pair.add_widget(image)
        for image in self.images:
            image.bind(on_pen_seen=self.pen_seen)
        self.bind(three=self._arrange, size=self._arrange, tools=self._arrange)

    @property
    def panel(self) -> Panel | None:
        """What lies over the screen."""
        panels: tuple[Panel, ...] = (self.menu, self.review)
        return next((panel for panel in panels if panel.shown), None)

    def pen_seen(self, on: ImageView | None = None) -> None:
        """A pen is on one of the images, or in the air: on the others fingers draw no longer."""
        for image in self.images:
            if image is not on:
                image.make_way()

    def on_touch_down(self, touch: Any) -> bool:
        if self.drawing and any(rail.collide_point(*touch.pos) for rail in (self.rail, self.side)):
            return True
        return bool(super().on_touch_down(touch))

    def _arrange(self, *_: object) -> None:
        """The column and the other planes at the right of the image, or under it on an upright screen."""
        stage, upright = self.ids.stage, self.height > self.width
        if self.side.upright is not upright:
            self.side.upright = upright
            self.side.parent.remove_widget(self.side)
            self.slices.upright = upright
            if upright:
                self.ids.parts.add_widget(self.side, index=1)
        self._change_sides(upright)
        if self.three is not (self._pair.parent is not None):
            stage.add_widget(self._pair) if self.three else stage.remove_widget(self._pair)
        stage.orientation = "vertical" if upright else "horizontal"
        self._pair.orientation = "horizontal" if upright else "vertical"
        self._pair.size_hint = (1.0, _SHARE) if upright else (_SHARE, 1.0)

    def _change_sides(self, upright: bool) -> None:
        """The rail where the hand is that does not draw, the column across the image."""
        parts = [self.rail, self.ids.stage] if upright else [self.rail, self.ids.stage, self.side]
        order = parts if self.tools == "left" else parts[::-1]
        self.rail.hand, self.side.hand = self.tools, "right" if self.tools == "left" else "left"
        middle = self.ids.middle
        if list(reversed(middle.children)) != order:
            middle.clear_widgets()
            for part in order:
                middle.add_widget(part)


theme.load_kv(__file__)
