# mypy: disallow-subclassing-any=False
"""The column at the right, on an upright screen a sheet at the bottom: which plane, the threshold and its volume, the
switches, and how the mask is shown.

It has three forms: one part under the other; on a low screen the slider beside the others; and the sheet, which a handle
folds and unfolds.
"""

from __future__ import annotations

from typing import Any

from kivy.metrics import dp
from kivy.properties import BooleanProperty, ColorProperty, NumericProperty, OptionProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.widget import Widget

from tablet_client.state.look import STYLES
from tablet_client.view import controls, theme

_PULLED = dp(24)  # a handle that moved less was pressed


class SheetHandle(controls.PressButton):
    """Pressed or pulled, it folds the sheet; folded, it says what counts."""

    left_text = StringProperty("")
    right_text = StringProperty("")


class RightColumn(BoxLayout):
    """Shows what it is told and dispatches what is picked.

    Attributes:
        upright: it is a sheet.
        hand: "left" or "right", the side of the screen on which it stands otherwise.
        folded: of a sheet only its handle is there.
        closed: it is a sheet, and folded.
        short: it is a low column.
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
    folded = BooleanProperty(False)
    closed = BooleanProperty(False)
    short = BooleanProperty(False)
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

    def on_kv_post(self, base_widget: Any) -> None:
        names = ("planes", "threshold", "volume", "switches", "style")
        self._parts = [self.ids[f"{name}_part"].__self__ for name in names]  # the names alone would not keep them
        self._body = self.ids.body.__self__
        self._handle = self.ids.handle.__self__
        self._beside = BoxLayout(orientation="vertical", spacing=theme.GAP)
        self.bind(short=self._arrange, closed=self._arrange, upright=self._arrange)
        self._arrange()

    def pulled(self, up: float) -> None:
        """The handle was pulled so far, or pressed."""
        self.folded = up < 0 if abs(up) > _PULLED else not self.folded

    def _arrange(self, *_: object) -> None:
        """The parts in one row, or the slider beside the others; a sheet has a handle, and a closed one no parts."""
        self.clear_widgets()
        for there, part in ((self.upright, self._handle), (not self.closed, self._body)):
            if there:
                self.add_widget(part)
        self._body.clear_widgets()
        self._beside.clear_widgets()
        slider = self._parts[1]
        for part in [slider, self._beside] if self.short else self._parts:
            self._body.add_widget(part)
        if self.short:
            for part in (*(part for part in self._parts if part is not slider), Widget()):
                self._beside.add_widget(part)

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
