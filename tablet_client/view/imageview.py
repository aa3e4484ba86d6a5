# mypy: disallow-subclassing-any=False
"""The image with its letters, its scale, and what the fingers do to it."""

from __future__ import annotations

from typing import Any

from kivy.clock import Clock
from kivy.core.text import Label as CoreLabel
from kivy.core.window import Window
from kivy.metrics import dp
from kivy.properties import BooleanProperty, ListProperty, NumericProperty, ObjectProperty, StringProperty
from kivy.uix.floatlayout import FloatLayout

from tablet_client.state.geometry import PlaneInfo
from tablet_client.state.gestures import Action, Gestures, Touch
from tablet_client.state.tools import Tool
from tablet_client.state.viewport import Viewport
from tablet_client.view import controls, keys, theme  # noqa: F401  (controls: its rules are used in the kv)
from tablet_client.view.slicecanvas import SliceCanvas
from tablet_client.view.tracing import Tracing

_WHEEL_ZOOM = 1.15
_HOLD_S = 0.5
_BUTTONS = {"left": Touch.LEFT, "middle": Touch.MIDDLE, "right": Touch.RIGHT}


class ImageView(FloatLayout):
    """Where one draws.

    Places are dispatched in pixels of the plane's image, centres at integers. ``picture`` is the `SliceCanvas`; greys,
    labels and levels are given to it directly. ``tracing`` lies over it.

    Attributes:
        view: the `Viewport`, or None before a plane is shown.
        plane_name: "axial", "coronal" or "sagittal".
        left, right_letter, top_letter, bottom_letter: patient letters at the edges.
        margin: room around the image that fits, in screen pixels.
        cross: column and row of a place that other images show too, or None; `arms` are its lines.
        aims: a finger aims the cross here, and never draws.
        region: first column and row, columns and rows of a part of the image that is outlined, or None.
        pressure: of the touch that was heard last, 0 to 1; None where it tells none.
        pointer_text: place and value under the pen, two lines.
        bar_mm, bar_length: the scale bar in millimetres and screen pixels.
    """

    __events__ = (
        "on_pen_down",
        "on_pen_move",
        "on_pen_up",
        "on_pen_cancel",
        "on_pen_seen",
        "on_aim",
        "on_scroll",
        "on_hover",
    )

    tap_name = StringProperty("image")
    view = ObjectProperty(None, allownone=True)
    plane_name = StringProperty("")
    left_letter = StringProperty("")
    right_letter = StringProperty("")
    top_letter = StringProperty("")
    bottom_letter = StringProperty("")
    margin = NumericProperty(theme.GAP)
    cross = ObjectProperty(None, allownone=True)
    aims = BooleanProperty(False)
    arms = ListProperty([[0.0] * 4] * 4)
    region = ObjectProperty(None, allownone=True)
    pointer_text = StringProperty("")
    hint = StringProperty("")
    bar_mm = NumericProperty(0.0)
    bar_length = NumericProperty(0.0)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.picture = SliceCanvas()
        self.add_widget(self.picture, index=len(self.children))
        self.tracing = Tracing()
        self.add_widget(self.tracing, index=len(self.children) - 1)
        self._gestures = Gestures(committed=dp(24), step=dp(24), still=dp(6), aims=self.aims)
        self.pressure: float | None = None
        self._place = (0.0, 0.0)
        # A frame that took long is no hold: what happened meanwhile is heard before the hold is.
        self._is_held = Clock.create_trigger(lambda _: self._perform(self._gestures.hold()), 0)
        self._hold = Clock.create_trigger(lambda _: self._is_held(), _HOLD_S)
        # Words need longer than ink: they follow once a frame, however many places the pen reports.
        self._tell_hover = Clock.create_trigger(lambda _: self.dispatch("on_hover", *self._place))
        self.bind(pos=self._resized, size=self._resized, view=self._placed)
        Window.bind(mouse_pos=self._hovered)

    def show_plane(self, plane: PlaneInfo) -> None:
        """Images of another plane: fitted, with its letters."""
        self.plane_name = plane.plane.name.lower()
        self.left_letter, self.right_letter = plane.left, plane.right
        self.top_letter, self.bottom_letter = plane.top, plane.bottom
        self.view = Viewport.fit(plane, self._frame())

    def fit(self) -> None:
        """The whole image again."""
        if self.view is not None:
            self.view = self.view.fitted()

    def outline(self, column: int, row: int, columns: int, rows: int) -> None:
        """Outline a part of the image, moved into sight where its middle is out of it."""
        if self.view is not None:
            self.view = self.view.showing(column + (columns - 1) / 2, row + (rows - 1) / 2)
            self.region = (column, row, columns, rows)

    def rectangle_of(
        self, region: tuple[int, int, int, int] | None, view: Viewport | None
    ) -> tuple[float, float, float, float]:
        """Where a part of the image lies, a little around it and within the frame: ``(x, y, width, height)``."""
        if view is None or region is None:
            return 0.0, 0.0, 0.0, 0.0
        column, row, columns, rows = region
        around, (left, low, wide, tall) = dp(6), self._frame()
        x0, y0 = view.to_screen(column - 0.5, row + rows - 0.5)
        x1, y1 = view.to_screen(column + columns - 0.5, row - 0.5)
        x0, x1 = max(left, x0 - around), min(left + wide, x1 + around)
        y0, y1 = max(low, y0 - around), min(low + tall, y1 + around)
        return x0, y0, max(0.0, x1 - x0), max(0.0, y1 - y0)

    def cross_arms(self, cross: tuple[float, float] | None, view: Viewport | None) -> list[list[float]]:
        """Four lines to a place from the image's edges, ``[x, y, x, y]`` each; around the place nothing is hidden."""
        if view is None or cross is None:
            return [[0.0] * 4] * 4
        gap, (left, low, wide, tall) = dp(16), self._frame()
        x0, y0, across, up = view.image_rectangle
        right, top = min(left + wide, x0 + across), min(low + tall, y0 + up)
        left, low = max(left, x0), max(low, y0)
        x, y = view.to_screen(*cross)
        if not (left <= x <= right and low <= y <= top):
            return [[0.0] * 4] * 4
        return [
            [left, y, max(left, x - gap), y],
            [min(right, x + gap), y, right, y],
            [x, low, x, max(low, y - gap)],
            [x, min(top, y + gap), x, top],
        ]

    def screen_of(self, column: float, row: float) -> tuple[float, float]:
        """Where a pixel of the image lies, in window pixels."""
        x, y = self.to_window(*self.view.to_screen(column, row))
        return float(x), float(y)

    def _frame(self) -> tuple[float, float, float, float]:
        edge = self.margin
        return self.x + edge, self.y + edge, self.width - 2 * edge, self.height - 2 * edge

    def _resized(self, *_: object) -> None:
        if self.view is not None:
            self.view = self.view.resized(self._frame())

    def _placed(self, *_: object) -> None:
        if self.view is None:
            return
        self.picture.place(self.view)
        self.tracing.place(self.view)
        self.bar_mm, self.bar_length = self.view.scale_bar(min(dp(140), self.width / 3))

    def letter_at(self, side: str, view: Viewport | None) -> tuple[float, float]:
        """Centre of a letter: just outside the image where there is room, else inside the edge of the screen."""
        if view is None:
            return self.x, self.y
        x, y, wide, tall = view.image_rectangle
        edge = dp(18)
        middle_x = min(self.right - edge, max(self.x + edge, x + wide / 2))
        middle_y = min(self.top - edge, max(self.y + edge, y + tall / 2))
        places = {
            "left": (max(self.x + edge, x - edge), middle_y),
            "right": (min(self.right - edge, x + wide + edge), middle_y),
            "top": (middle_x, min(self.top - edge, y + tall + edge)),
            "bottom": (middle_x, max(self.y + edge, y - edge)),
        }
        return places[side]

    def hint_room(self, hint: str, width: float) -> float | None:
        """How wide the lines of a hint may be, where it needs more than one."""
        most = width - dp(96)
        natural = CoreLabel(font_size=theme.SMALL).get_extents(hint)[0]
        return most if natural > most else None

    def hint_at(self, wide: float, tall: float, words: tuple[float, float], view: Viewport | None) -> float:
        """The lower edge of a hint of that size: low, but above the words under the pen and the letter where it would lie
        on them."""
        low = float(self.y + dp(36))
        if words[0] and self.center_x - wide / 2 < self.x + dp(24) + words[0]:
            low = max(low, self.y + dp(24) + words[1])
        letter = self.letter_at("bottom", view)[1]
        return letter + dp(20) if low < letter + dp(20) and letter - dp(20) < low + tall else low

    def on_touch_down(self, touch: Any) -> bool:
        if self.view is None or not self.collide_point(*touch.pos):
            return False
        if "button" in touch.profile and touch.is_mouse_scrolling:
            self._wheel(touch)
            return True
        touch.grab(self)
        kind, self.pressure = _kind(touch), _pressure(touch)
        if kind.is_pen:
            self.dispatch("on_pen_seen")
        self._perform(self._gestures.down(touch.uid, touch.x, touch.y, kind))
        self._is_held.cancel()
        self._hold.cancel()
        self._hold()
        return True

    def on_touch_move(self, touch: Any) -> bool:
        if touch.grab_current is not self:
            return False
        self.pressure = _pressure(touch)
        self._perform(self._gestures.move(touch.uid, touch.x, touch.y))
        return True

    def on_touch_up(self, touch: Any) -> bool:
        if touch.grab_current is not self:
            return False
        touch.ungrab(self)
        if "taken_away" in touch.profile:
            self._perform(self._gestures.cancel(touch.uid))
        else:
            self._perform(self._gestures.up(touch.uid, touch.x, touch.y))
        if "button" not in touch.profile:  # a mouse stays where it is
            self.tracing.point(None)
        return True

    def make_way(self) -> None:
        """A pen is there, on another image or in the air: fingers draw no longer, and what one draws is taken back."""
        self._perform(self._gestures.make_way())

    def _wheel(self, touch: Any) -> None:
        # Kivy says "scrolldown" when the wheel turns away from the user.
        away = touch.button == "scrolldown"
        if keys.COMMAND in Window.modifiers:
            self.view = self.view.zoomed(_WHEEL_ZOOM if away else 1 / _WHEEL_ZOOM, touch.x, touch.y)
        elif touch.button in ("scrolldown", "scrollup"):
            self.dispatch("on_scroll", 1 if away else -1)

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            if action.kind == "pan":
                self.view = self.view.panned(action.dx, action.dy)
            elif action.kind == "zoom":
                self.view = self.view.zoomed(action.factor, action.x, action.y)
            elif action.kind == "scroll":
                self.dispatch("on_scroll", action.steps)
            elif action.kind == "aim":
                self.dispatch("on_aim", *self.view.to_image(action.x, action.y))
            elif action.kind == "cancel":
                self.dispatch("on_pen_cancel")
            elif action.kind in ("bare", "cover"):
                self.tracing.point(None)
                self.picture.uniforms(bare=float(action.kind == "bare"))
            else:
                column, row = self.view.to_image(action.x, action.y)
                tool = [action.tool] if action.kind == "down" else []
                self.dispatch(f"on_pen_{action.kind}", column, row, *tool)
                self.tracing.point((action.x, action.y))
                self._hover(column, row)

    def _hovered(self, _: Any, place: tuple[float, float]) -> None:
        if self.view is None or self.get_root_window() is None:
            return
        x, y = self.to_widget(*place)
        inside = self.collide_point(x, y)
        self.tracing.point((x, y) if inside else None)
        if inside:
            self._hover(*self.view.to_image(x, y))

    def _hover(self, column: float, row: float) -> None:
        self._place = (column, row)
        self._tell_hover()

    def on_pen_down(self, column: float, row: float, tool: Tool | None) -> None:
        """The pen touches the image, to do what ``tool`` does, or the chosen one when None."""

    def on_pen_move(self, column: float, row: float) -> None:
        """The pen moves."""

    def on_pen_up(self, column: float, row: float) -> None:
        """The pen is lifted."""

    def on_pen_cancel(self) -> None:
        """It was no stroke, but the first finger of two, or a palm."""

    def on_pen_seen(self) -> None:
        """A pen comes down."""

    def on_aim(self, column: float, row: float) -> None:
        """A finger moves the cross here."""

    def on_scroll(self, steps: int) -> None:
        """By so many slices, to later ones when positive."""

    def on_hover(self, column: float, row: float) -> None:
        """The pointer is over this place; it may lie beside the image."""


def _kind(touch: Any) -> Touch:
    """What touches: providers that know it say so; a touch of which nothing is known is a finger's."""
    if "kind" in touch.profile:
        return Touch(touch.kind)
    return _BUTTONS.get(touch.button, Touch.FINGER) if "button" in touch.profile else Touch.FINGER


def _pressure(touch: Any) -> float | None:
    """How hard a pen is pressed; others tell how large a finger is, or nothing."""
    return float(touch.pressure) if "pressure" in touch.profile and _kind(touch).is_pen else None


theme.load_kv(__file__)
