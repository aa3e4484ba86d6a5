# mypy: disallow-subclassing-any=False
"""What is drawn over the image but is no ink: the ring of the brush under the pointer, and the outline of the lasso."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kivy.clock import Clock
from kivy.graphics import Color, Line
from kivy.metrics import dp
from kivy.uix.widget import Widget

from tablet_client.state.viewport import Viewport
from tablet_client.view import theme

_MOST_DRAWN = 2000
"""Points of an outline on the screen; a line of OpenGL holds only so many."""


class Tracing(Widget):
    """Follows the pointer; drawn once a frame, however often it moves.

    Attributes:
        width_mm: of the brush, as wide as its line will be; 0: what is chosen has none.
        pointer: where the pointer is on the screen, or None.
        path: columns and rows of an outline that is being drawn, in pixels of the image.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width_mm = 0.0
        self.pointer: tuple[float, float] | None = None
        self.path: tuple[Sequence[float], Sequence[float]] = ([], [])
        self._view: Viewport | None = None
        with self.canvas:
            Color(0, 0, 0, 0.6)
            self._lines = [Line(width=dp(2.4), joint="round"), Line(width=dp(2.4))]
            self._colour = Color(*theme.TEXT)
            self._lines += [Line(width=dp(1.1), joint="round"), Line(width=dp(1.1))]
        self._draw = Clock.create_trigger(self._drawn, -1)

    def brush(self, width_mm: float, colour: theme.Colour) -> None:
        """Another brush."""
        self.width_mm, self._colour.rgba = width_mm, colour
        self._draw()

    def point(self, place: tuple[float, float] | None) -> None:
        """The pointer is there, in screen pixels, or nowhere."""
        self.pointer = place
        self._draw()

    def follow(self, x: Sequence[float], y: Sequence[float]) -> None:
        """The outline to its last point; none when empty."""
        self.path = (x, y)
        self._draw()

    def place(self, view: Viewport) -> None:
        """The image lies elsewhere."""
        self._view = view
        self._draw()

    def _drawn(self, _: float) -> None:
        outline, ring = self._outline(), self._ring()
        for line in self._lines[::2]:
            line.points = outline
        for line in self._lines[1::2]:
            line.points = []
            if ring is not None:
                line.circle = ring

    def _outline(self) -> list[float]:
        """The points on the screen, and back to the first: what would be filled now."""
        x, y = self.path
        if self._view is None or len(x) < 2:
            return []
        step = -(-len(x) // _MOST_DRAWN)
        kept = [*zip(x[:-1:step], y[:-1:step]), (x[-1], y[-1]), (x[0], y[0])]
        return [part for place in kept for part in self._view.to_screen(*place)]

    def _ring(self) -> tuple[float, float, float] | None:
        """Middle and radius of the brush on the screen."""
        if self._view is None or self.pointer is None or self.width_mm <= 0:
            return None
        return (*self.pointer, max(dp(1.5), self.width_mm / 2 * self._view.pixels_per_mm))
