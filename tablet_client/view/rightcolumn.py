# mypy: disallow-subclassing-any=False
"""The column at the right, on an upright screen a sheet at the bottom: which plane, the threshold and its volume, the
switches, and how the mask is shown."""

from __future__ import annotations

from kivy.properties import BooleanProperty, ColorProperty, NumericProperty, OptionProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout

from tablet_client.state.look import STYLES
from tablet_client.view import controls, theme  # noqa: F401  (controls: its rules are used in the kv)


class RightColumn(BoxLayout):
    """Shows what it is told and dispatches what is picked.

    Attributes:
        upright: it is a sheet.
        hand: "left" or "right", the side of the screen on which it stands otherwise.
        plane: "axial", "coronal" or "sagittal".
        three: the other two planes are shown beside it.
        threshold: 1 to 255; the mask is where the probability is at least this.
        suggested: where the service expects the best mask, 1 to 255; 0: it does not say.
        by_hand: the threshold is the hand's; else it follows the service.
        volume_text: the object's volume at this threshold, such as "182 mL".
        volume_note: the word under it.
        live: the mask follows each stroke.
        shape: the service goes by where the strokes are as well as by looks; off: by looks alone.
        connected: of the mask only what is connected with strokes is kept.
        fill_holes: what the mask encloses is filled.
        style: how the answer is drawn: "mask" (fill and outline), "outline", "wash" (probability as strength) or "hidden".
        object_color: the mask's.
    """

    __events__ = (
        "on_pick_plane",
        "on_pick_three",
        "on_pick_threshold",
        "on_hand_over",
        "on_pick_live",
        "on_pick_shape",
        "on_pick_connected",
        "on_pick_fill_holes",
        "on_pick_style",
    )

    upright = BooleanProperty(False)
    hand = OptionProperty("right", options=["left", "right"])
    plane = OptionProperty("axial", options=["axial", "coronal", "sagittal"])
    three = BooleanProperty(False)
    threshold = NumericProperty(128)
    suggested = NumericProperty(0)
    by_hand = BooleanProperty(False)
    volume_text = StringProperty("–")
    volume_note = StringProperty("volume")
    live = BooleanProperty(True)
    shape = BooleanProperty(True)
    connected = BooleanProperty(True)
    fill_holes = BooleanProperty(True)
    style = OptionProperty("mask", options=list(STYLES))
    object_color = ColorProperty(theme.OBJECT)

    def on_pick_plane(self, plane: str) -> None:
        """A plane was pressed."""

    def on_pick_three(self, three: bool) -> None:
        """ "Three" was pressed: the other planes beside this one, or this one alone."""

    def on_pick_threshold(self, threshold: int) -> None:
        """The slider is at this threshold now."""

    def on_hand_over(self) -> None:
        """The word over the slider was pressed: the threshold shall be the service's, or the hand's again."""

    def on_pick_live(self, live: bool) -> None:
        """The switch "Live" was pressed."""

    def on_pick_shape(self, shape: bool) -> None:
        """The switch "Shape" was pressed."""

    def on_pick_connected(self, connected: bool) -> None:
        """The switch "Connected" was pressed."""

    def on_pick_fill_holes(self, fill_holes: bool) -> None:
        """The switch "Fill holes" was pressed."""

    def on_pick_style(self, style: str) -> None:
        """The next way of drawing the answer was asked for."""

    def next_style(self) -> str:
        """The way of drawing that comes after the present one."""
        return STYLES[(STYLES.index(self.style) + 1) % len(STYLES)]


theme.load_kv(__file__)
