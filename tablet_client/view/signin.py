# mypy: disallow-subclassing-any=False
"""The screen on which a user signs in: with a password, or by a code that is confirmed on another device."""

from __future__ import annotations

from kivy.properties import BooleanProperty, StringProperty
from kivy.uix.screenmanager import Screen

from tablet_client.view import controls, settings, theme  # noqa: F401  (their rules are used in the kv)


class SignIn(Screen):
    """Shows how to sign in and dispatches what is typed.

    Attributes:
        way: ``"password"``, ``"code"``, or empty as long as it is not known.
        code, address: to be typed, and where; empty: there is none now.
        user: who was signed in when the screen was locked; empty: it is not locked.
        note: what becomes of what was drawn.
        trouble: why nobody was signed in.
        busy: the server decides.
    """

    __events__ = ("on_another_code", "on_password", "on_settings")

    way = StringProperty("")
    code = StringProperty("")
    address = StringProperty("")
    user = StringProperty("")
    note = StringProperty("")
    trouble = StringProperty("")
    busy = BooleanProperty(False)

    def show(self, user: str, note: str) -> None:
        """As it begins; ``user`` where the screen is locked."""
        self.way, self.code, self.address, self.trouble, self.busy = "", "", "", "", False
        self.user, self.note = user, note
        self.ids.name.text, self.ids.password.text = user, ""

    def enter(self) -> None:
        """Ask to be let in: with what was typed, or by a code."""
        if self.way == "code":
            self.dispatch("on_another_code")
        elif not self.busy:
            self.ids.name.focus = self.ids.password.focus = False
            name, password = self.ids.name.text.strip(), self.ids.password.text
            self.ids.password.text = ""
            self.dispatch("on_password", name, password)

    def on_password(self, name: str, password: str) -> None:
        """A user asks to be let in with a password."""

    def on_another_code(self) -> None:
        """A code is wanted."""

    def on_settings(self) -> None:
        """Another server is wanted."""


theme.load_kv(__file__)
