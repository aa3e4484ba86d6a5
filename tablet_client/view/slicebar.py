# mypy: disallow-subclassing-any=False
"""The bar under the image: a picture of the volume. Where strokes are, where the mask is, where one looks, and
where looking next pays."""

from __future__ import annotations

from typing import Any

import numpy as np
from kivy.graphics import Color, Rectangle, RoundedRectangle
from kivy.metrics import dp
from kivy.properties import BooleanProperty, ColorProperty, ListProperty, NumericProperty, ObjectProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.widget import Widget

from tablet_client.view import controls, theme

_WIDEST_BAR = 64  # above this many slices neighbours touch: gaps would be thinner than a pixel


class SliceStrip(Widget):
    """One bar a slice; a touch or a drag on it chooses the slice.

    Attributes:
        count: slices of the plane.
        index: the one that is shown, from 0.
        mask: ``(count,)`` floats, pixels of the mask in each slice (any unit), or None.
        strokes: ``(count,)`` bools, whether there is ink, or None.
        doubts: slices that the service doubts.
        upcoming: the one of them that comes next, or -1.
        object_color: the mask's.
    """

    __events__ = ("on_pick",)

    tap_name = StringProperty("slices")
    count = NumericProperty(1)
    index = NumericProperty(0)
    mask = ObjectProperty(None, allownone=True, force_dispatch=True)
    strokes = ObjectProperty(None, allownone=True, force_dispatch=True)
    doubts = ListProperty([])
    upcoming = NumericProperty(-1)
    object_color = ColorProperty(theme.OBJECT)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("pos", "size", "count", "index", "mask", "strokes", "doubts", "upcoming", "object_color"):
            self.bind(**{name: self._draw})

    def on_pick(self, index: int) -> None:
        """A slice was chosen."""

    def middle_of(self, index: int) -> tuple[float, float]:
        """Where on the screen (window pixels) one must touch to choose a slice."""
        x, y = self.to_window(self.x + (index + 0.5) * self.width / self.count, self.center_y)
        return float(x), float(y)

    def _draw(self, *_: object) -> None:
        self.canvas.clear()
        step = self.width / max(1, self.count)
        gap = dp(4) if self.count <= _WIDEST_BAR else 0.0
        low, high = self.y + dp(6), self.top - dp(12)
        most = float(np.max(self.mask)) if self.mask is not None and len(self.mask) else 0.0
        with self.canvas:
            Color(*theme.LINE)
            for left, wide in [(k * step, step) for k in range(self.count)] if gap else [(0.0, self.width)]:
                RoundedRectangle(pos=(self.x + left + gap / 2, low), size=(wide - gap, dp(4)), radius=[dp(2)])
            for k in np.flatnonzero(np.asarray(self.mask) > 0) if most > 0 else ():
                Color(*self.object_color[:3], 1.0 if gap and k == self.index else 0.45)
                tall = dp(4) + (high - low - dp(4)) * float(self.mask[k]) / most
                Rectangle(pos=(self.x + k * step + gap / 2, low), size=(step - gap, tall))
            Color(*theme.TEXT)
            for k in np.flatnonzero(self.strokes) if self.strokes is not None else ():
                wide = max(dp(4), step - gap)
                left = self.x + (k + 0.5) * step - wide / 2
                RoundedRectangle(pos=(left, self.top - dp(7)), size=(wide, dp(5)), radius=[dp(2)])
            for k in self.doubts:
                Color(*theme.ACCENT[:3], 1.0 if k == self.upcoming else 0.45)
                wide = max(dp(6), step - gap)
                left = self.x + (k + 0.5) * step - wide / 2
                RoundedRectangle(pos=(left, self.top - dp(7)), size=(wide, dp(5)), radius=[dp(2)])
            Color(*theme.ACCENT)
            wide = max(dp(3), step - gap)
            left = self.x + (self.index + 0.5) * step - wide / 2
            # Among wide bars a line under the slice, among thin ones a line through it: the mask stays in sight.
            tall = dp(4) if gap else high - low + dp(6)
            RoundedRectangle(pos=(left, self.y if gap else low - dp(3)), size=(wide, tall), radius=[dp(1.5)])

    def on_touch_down(self, touch: Any) -> bool:
        if not self.collide_point(*touch.pos) or ("button" in touch.profile and touch.is_mouse_scrolling):
            return False
        touch.grab(self)
        self._follow(touch)
        return True

    def on_touch_move(self, touch: Any) -> bool:
        if touch.grab_current is not self:
            return False
        self._follow(touch)
        return True

    def on_touch_up(self, touch: Any) -> bool:
        if touch.grab_current is not self:
            return False
        touch.ungrab(self)
        return True

    def _follow(self, touch: Any) -> None:
        index = int((touch.x - self.x) / max(1.0, self.width) * self.count)
        self.dispatch("on_pick", min(self.count - 1, max(0, index)))


class NextPlace(controls.PressButton):
    """Goes to the place where looking next pays; where none does, it says so and is no button.

    Attributes:
        text: which slice, such as "Next: 31".
        note: its plane; empty while it is not known where to go.
        enough: more strokes would hardly change the mask.
    """

    text = StringProperty("")
    note = StringProperty("")
    enough = BooleanProperty(False)


class SliceBar(BoxLayout):
    """The strip with its buttons: previous and next slice, the next doubtful place, segment now, save.

    Attributes:
        upright: the strip has a row of its own over the buttons: between them it would have no room.
        count, index, mask, strokes, doubts, upcoming: as in `SliceStrip`.
        position_text: where the slice lies, such as "36.3 mm".
        next_text, next_plane, enough: as in `NextPlace`.
        can_segment, can_save: whether the buttons would do something.
    """

    __events__ = ("on_pick", "on_next", "on_segment", "on_save")

    upright = BooleanProperty(False)
    count = NumericProperty(1)
    index = NumericProperty(0)
    mask = ObjectProperty(None, allownone=True, force_dispatch=True)
    strokes = ObjectProperty(None, allownone=True, force_dispatch=True)
    doubts = ListProperty([])
    upcoming = NumericProperty(-1)
    object_color = ColorProperty(theme.OBJECT)
    position_text = StringProperty("")
    next_text = StringProperty("")
    next_plane = StringProperty("")
    enough = BooleanProperty(False)
    can_segment = BooleanProperty(False)
    can_save = BooleanProperty(False)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._filler = Widget()
        self.bind(upright=self._arrange)

    def on_pick(self, index: int) -> None:
        """A slice was chosen."""

    def on_next(self) -> None:
        """Go where looking next pays."""

    def on_segment(self) -> None:
        """Compute now."""

    def on_save(self) -> None:
        """Keep the mask."""

    def _arrange(self, *_: object) -> None:
        """The strip between the arrows, or over them with the number of the slice in its place."""
        # `ids` holds weak references; without a parent only these keep the widgets.
        names = ("row", "strip", "previous", "next", "number", "place", "segment", "save")
        row, strip, previous, following, number, *rest = (self.ids[name].__self__ for name in names)
        self.remove_widget(strip)
        row.clear_widgets()
        beside = (previous, number, following, self._filler) if self.upright else (previous, strip, following, number)
        for part in (*beside, *rest):
            row.add_widget(part)
        if self.upright:
            self.add_widget(strip, index=1)


theme.load_kv(__file__)
