# mypy: disallow-subclassing-any=False
"""The bar over the image: back, which volume and annotation, whether the work is safe, undo, redo, more."""

from __future__ import annotations

from kivy.properties import BooleanProperty, NumericProperty, OptionProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout

from tablet_client.view import controls, theme  # noqa: F401  (controls: its rules are used in the kv)


class TopBar(BoxLayout):
    """Shows what it is told and dispatches what is pressed.

    Attributes:
        title, subtitle: the volume's and the annotation's name.
        safety: "saved" (on the server), "tablet" (on this tablet, on its way), "offline", "full" (nothing can be kept), or
            "reading" (only looking).
        safety_text: the sentence beside the sign.
        progress: 0 to 1; the line under the bar is drawn between the two.
        can_undo, can_redo: whether there is something to take back or to do again.
    """

    __events__ = ("on_back", "on_undo", "on_redo", "on_more")

    title = StringProperty("")
    subtitle = StringProperty("")
    safety = OptionProperty("saved", options=["saved", "tablet", "offline", "full", "reading"])
    safety_text = StringProperty("")
    progress = NumericProperty(0.0)
    can_undo = BooleanProperty(False)
    can_redo = BooleanProperty(False)

    def on_back(self) -> None:
        """Back to the library."""

    def on_undo(self) -> None:
        """Take the last action back."""

    def on_redo(self) -> None:
        """Do again what was taken back."""

    def on_more(self) -> None:
        """Open the menu."""


theme.load_kv(__file__)
