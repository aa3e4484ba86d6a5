# mypy: disallow-subclassing-any=False
"""The review of the open annotation: how far it is, and what may be done about it."""

from __future__ import annotations

from collections.abc import Callable

from kivy.properties import BooleanProperty, StringProperty
from kivy.uix.widget import Widget

from tablet_client.state.reviewing import NOTE_LIMIT, Steps
from tablet_client.state.words import _
from tablet_client.view import controls, theme


class Review(controls.Panel):
    """Lies in the middle of the viewer; a press beside it closes it.

    Attributes:
        title: name of the annotation.
        told: how far its review is.
        noted: a note can be written, for who works on it again.
        busy: the server is asked.
    """

    __events__ = ("on_hand_in", "on_accept", "on_send_back")

    title = StringProperty("")
    told = StringProperty("")
    noted = BooleanProperty(False)
    busy = BooleanProperty(False)

    def show(self, title: str, told: str, steps: Steps) -> None:
        """Open with this, or show it where it is open."""
        self.title, self.told = title, told
        self.noted = steps.send_back
        self.ids.note.text = ""
        actions = self.ids.actions
        actions.clear_widgets()
        actions.add_widget(self._button("review_close", _("Close"), self.close))
        actions.add_widget(Widget())
        if steps.send_back:
            actions.add_widget(
                self._button("send_back", _("Send back"), lambda: self._pick("on_send_back", self.note), outlined=True)
            )
        if steps.hand_in:
            first = not steps.accept
            button = self._button(
                "hand_in", _("Hand in"), lambda: self._pick("on_hand_in"), filled=first, outlined=not first
            )
            actions.add_widget(button)
        if steps.accept:
            actions.add_widget(self._button("accept", _("Accept"), lambda: self._pick("on_accept"), filled=True))
        self.shown = True

    def close(self) -> None:
        """Close it."""
        self.ids.note.focus = False
        super().close()

    def _button(self, name: str, text: str, released: Callable[[], None], **look: bool) -> controls.BarButton:
        button = controls.BarButton(tap_name=name, text=text, **look)
        button.bind(on_release=lambda _: released())
        return button

    def _pick(self, event: str, *values: object) -> None:
        if not self.busy:
            self.dispatch(event, *values)

    @property
    def note(self) -> str:
        """What is written for who works on it again."""
        return str(self.ids.note.text).strip()[:NOTE_LIMIT]

    def on_hand_in(self) -> None:
        """Ask for a review."""

    def on_accept(self) -> None:
        """It is good."""

    def on_send_back(self, note: str) -> None:
        """It is to be worked on again."""


theme.load_kv(__file__)
