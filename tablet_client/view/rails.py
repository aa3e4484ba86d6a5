"""The rails step back while the pen is down: the image alone is seen, and a hand that rests on them presses nothing."""

from __future__ import annotations

from kivy.animation import Animation
from kivy.clock import Clock

from tablet_client.view import theme
from tablet_client.view.viewer import Viewer

HIDDEN_AFTER_S = 0.25
"""Of a stroke; rails that went with every dot would flicker."""

_SEEN = 0.05


class Rails:
    """Hides tools and column of a viewer during a stroke.

    Args:
        viewer: the screen.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer, self._rails = viewer, (viewer.rail, viewer.side)
        self._hide_soon = Clock.create_trigger(lambda _: self._fade(0.0), HIDDEN_AFTER_S)
        self._wanted = 1.0

    def pen_down(self) -> None:
        """The pen touches an image."""
        self._viewer.drawing = True
        self._hide_soon()

    def pen_up(self) -> None:
        """It is lifted, or what it did was no stroke."""
        self._viewer.drawing = False
        self._hide_soon.cancel()
        if self._wanted < 1:
            for rail in self._rails:
                rail.opacity = max(rail.opacity, _SEEN)  # it can be pressed again at once
            self._fade(1.0)

    def _fade(self, opacity: float) -> None:
        self._wanted = opacity
        for rail in self._rails:
            Animation.cancel_all(rail, "opacity")
            Animation(opacity=opacity, duration=theme.FADE_S).start(rail)
