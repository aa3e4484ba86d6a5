# mypy: disallow-subclassing-any=False
"""A strip with one sentence: what went wrong, or what was done. It covers no control and asks for nothing."""

from __future__ import annotations

from collections.abc import Callable

from kivy.clock import Clock
from kivy.properties import OptionProperty, StringProperty
from kivy.uix.anchorlayout import AnchorLayout

from tablet_client.view import controls, theme  # noqa: F401  (controls: its rules are used in the kv)

Say = Callable[[str, str], None]
"""Shows a sentence of a kind, as `Toast` has them."""

_SHOWN_S = {"done": 5.0, "warning": 30.0, "error": 12.0}


class Toast(AnchorLayout):
    """Shows a sentence for a while.

    Attributes:
        text: the sentence; empty: nothing is shown.
        kind: "done", "warning" (which may be long) or "error".
    """

    text = StringProperty("")
    kind = OptionProperty("done", options=list(_SHOWN_S))

    def say(self, text: str, kind: str = "done") -> None:
        """Show a sentence in place of the one before."""
        Clock.unschedule(self._clear)
        self.kind = kind
        self.text = text
        Clock.schedule_once(self._clear, _SHOWN_S[kind])

    def clear(self) -> None:
        """Show nothing."""
        Clock.unschedule(self._clear)
        self.text = ""

    def _clear(self, _: float) -> None:
        self.text = ""


theme.load_kv(__file__)
