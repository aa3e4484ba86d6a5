# mypy: disallow-subclassing-any=False
"""The small controls that every screen is made of: buttons, tool buttons, segmented choice, switch, sliders.

Each has a ``tap_name``: its one name for tests and for the scripted hand, which looks controls up in the widget tree.
"""

from __future__ import annotations

from typing import Any

from kivy.core.text import Label as CoreLabel
from kivy.metrics import dp
from kivy.properties import (
    AliasProperty,
    BooleanProperty,
    BoundedNumericProperty,
    ColorProperty,
    ListProperty,
    NumericProperty,
    StringProperty,
)
from kivy.uix.behaviors import ButtonBehavior
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.floatlayout import FloatLayout
from kivy.uix.label import Label
from kivy.uix.widget import Widget

from tablet_client.view import theme


class Words(Label):
    """One line of text that is shortened rather than cut."""


class Fitted(Label):
    """One line of text as wide as its words, but not wider than ``most``: then it is shortened."""

    most = NumericProperty(dp(400))

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bind(text=self._fit, font_size=self._fit, bold=self._fit, most=self._fit)
        self._fit()

    def _fit(self, *_: object) -> None:
        natural = CoreLabel(text=self.text, font_size=self.font_size, bold=self.bold, font_name=self.font_name)
        natural.refresh()
        self.shorten = natural.size[0] > self.most
        self.width = self.most if self.shorten else natural.size[0]
        self.text_size = (self.most, None) if self.shorten else (None, None)


class Icon(Label):
    """One icon of the icon font."""

    icon = StringProperty("")


class Dot(Widget):
    """A filled circle: states in lists."""

    color = ColorProperty(theme.QUIET)


class PressButton(ButtonBehavior, BoxLayout):
    """Base of everything that is pressed: a rounded surface with an outline.

    Touches that have become a drag elsewhere do not press it, and a disabled one is shown faint.
    """

    tap_name = StringProperty("")
    fill = ColorProperty(theme.CLEAR)
    outline = ColorProperty(theme.CLEAR)
    corner = NumericProperty(theme.CORNER)


class BarButton(PressButton):
    """An icon, words, or both, side by side."""

    icon = StringProperty("")
    text = StringProperty("")
    filled = BooleanProperty(False)
    outlined = BooleanProperty(True)
    ink = ColorProperty(theme.TEXT)


class ToolButton(PressButton):
    """An icon with its word under it, for the rails."""

    icon = StringProperty("")
    text = StringProperty("")
    active = BooleanProperty(False)
    tint = ColorProperty(theme.TEXT)
    icon_size = NumericProperty(theme.LARGE)


class ChoiceButton(PressButton):
    """One of several; the chosen one is raised. ``text_width`` is how wide its words are."""

    text = StringProperty("")
    active = BooleanProperty(False)
    text_width = NumericProperty(0.0)


class OnOff(PressButton):
    """On or off, with its word above."""

    text = StringProperty("")
    active = BooleanProperty(False)


class KnobSlider(Widget):
    """A track with a knob that follows the finger.

    ``value`` is what the owner says; a drag dispatches ``on_pick`` with the value under the finger, and the owner sets
    ``value``. So the knob never shows what the application does not do. There may be a ``mark`` across the track at a
    value; 0: none.
    """

    __events__ = ("on_pick",)

    tap_name = StringProperty("")
    vertical = BooleanProperty(True)
    low = NumericProperty(0.0)
    high = NumericProperty(1.0)
    value = NumericProperty(0.0)
    whole = BooleanProperty(False)
    text = StringProperty("")
    knob = NumericProperty(theme.TARGET)
    mark = NumericProperty(0.0)
    mark_size = ListProperty([dp(24), dp(2)])
    color = ColorProperty(theme.OBJECT)

    def _fraction(self) -> float:
        span = self.high - self.low
        return min(1.0, max(0.0, (self.value - self.low) / span)) if span > 0 else 0.0

    fraction = AliasProperty(_fraction, None, bind=("value", "low", "high"))

    def place_of(self, value: float) -> tuple[float, float]:
        """Where the knob's centre is when it shows ``value``, as `pos` is."""
        share = (value - self.low) / (self.high - self.low)
        if self.vertical:
            return float(self.center_x), float(self.y + self.knob / 2 + share * (self.height - self.knob))
        return float(self.x + self.knob / 2 + share * (self.width - self.knob)), float(self.center_y)

    def position_of(self, value: float) -> tuple[float, float]:
        """Where the knob's centre is on the screen (window pixels) when it shows ``value``."""
        wx, wy = self.to_window(*self.place_of(value))
        return float(wx), float(wy)

    def on_pick(self, value: float) -> None:
        """The finger is at ``value``."""

    def on_touch_down(self, touch: Any) -> bool:
        if self.disabled or not self.collide_point(*touch.pos) or ("button" in touch.profile and touch.is_mouse_scrolling):
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
        self._follow(touch)
        touch.ungrab(self)
        return True

    def _follow(self, touch: Any) -> None:
        if self.vertical:
            f = (touch.y - self.y - self.knob / 2) / max(1.0, self.height - self.knob)
        else:
            f = (touch.x - self.x - self.knob / 2) / max(1.0, self.width - self.knob)
        value = self.low + min(1.0, max(0.0, f)) * (self.high - self.low)
        self.dispatch("on_pick", float(round(value)) if self.whole else value)


class Panel(FloatLayout):
    """Lies over a screen while it is open; a press beside its ``panel`` closes it.

    Attributes:
        shown: it is open.
    """

    shown = BooleanProperty(False)

    def close(self) -> None:
        """Close it."""
        self.shown = False

    def on_touch_down(self, touch: Any) -> bool:
        if not self.shown:
            return False
        if not self.ids.panel.collide_point(*touch.pos):
            self.close()
            return True
        return bool(super().on_touch_down(touch)) or True


class ProgressLine(Widget):
    """Two dp under a bar: how far the work is; nothing when it rests."""

    value = BoundedNumericProperty(0.0, min=0.0, max=1.0)
    color = ColorProperty(theme.ACCENT)


class Rounded(BoxLayout):
    """A surface with round corners and an outline."""

    fill = ColorProperty(theme.SURFACE)
    outline = ColorProperty(theme.LINE)
    corner = NumericProperty(theme.CORNER)
    radii = ListProperty([theme.CORNER] * 4)


theme.load_kv(__file__)
