# mypy: disallow-subclassing-any=False
"""The rail at the thumb: object, background, eraser, lasso, contrast, and the size of the brush."""

from __future__ import annotations

from kivy.properties import BooleanProperty, ColorProperty, NumericProperty, OptionProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout

from tablet_client.state.tools import BRUSHES_MM
from tablet_client.view import controls, theme  # noqa: F401  (controls: its rules are used in the kv)


class ToolRail(BoxLayout):
    """Which tool is in the hand.

    Attributes:
        tool: "object", "background", "eraser", "lasso" or "contrast".
        brush_mm: width of the line, between `least_mm` and `most_mm`.
        hand: "left" or "right", the side of the screen on which it stands.
        lasso_background: the lasso fills with the background, else with the object; it has that one's ``lasso_color``.
        short: it is low, and its buttons are as small as they may be.
        object_name, background_name: the words under the two pens, from the annotation's labels.
    """

    __events__ = ("on_choose", "on_brush")

    tool = OptionProperty("object", options=["object", "background", "eraser", "lasso", "contrast"])
    hand = OptionProperty("left", options=["left", "right"])
    brush_mm = NumericProperty(2.0)
    least_mm = NumericProperty(BRUSHES_MM[0])
    most_mm = NumericProperty(BRUSHES_MM[-1])
    object_name = StringProperty("")
    background_name = StringProperty("")
    object_color = ColorProperty(theme.OBJECT)
    background_color = ColorProperty(theme.BACKGROUND)
    lasso_background = BooleanProperty(False)
    lasso_color = ColorProperty(theme.OBJECT)
    short = BooleanProperty(False)

    def on_choose(self, tool: str) -> None:
        """A tool was pressed."""

    def on_brush(self, steps: int) -> None:
        """A wider (1) or narrower (-1) brush was asked for."""


theme.load_kv(__file__)
