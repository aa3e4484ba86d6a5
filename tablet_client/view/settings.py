# mypy: disallow-subclassing-any=False
"""The settings: which server, on which side the tools are, which language, how much the tablet may hold."""

from __future__ import annotations

from pathlib import Path

from kivy.properties import BooleanProperty, ObjectProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.label import Label
from kivy.uix.screenmanager import Screen

from tablet_client.state.places import users_folder
from tablet_client.state.preferences import CACHE_MB, JOURNAL_MB, LOCK_MINUTES, Preferences
from tablet_client.view import controls, filechoice, theme  # noqa: F401  (their rules are used in the kv)

CERTIFICATES = (".pem", ".crt", ".cer")


class Row(BoxLayout):
    """What is set, and beside it, or on a narrow screen under it, how."""

    text = StringProperty("")


class Remark(Label):
    """A sentence under what it is about."""

    warns = BooleanProperty(False)


class Stepper(BoxLayout):
    """A size of a ladder, and one step less or more of it; its buttons are named by its ``key``."""

    __events__ = ("on_step",)

    key = StringProperty("")
    text = StringProperty("")
    least = BooleanProperty(False)
    most = BooleanProperty(False)

    def on_step(self, steps: int) -> None:
        """Less (-1) or more (1) was asked for."""


class Settings(Screen):
    """Shows what is preferred and dispatches what is picked.

    Attributes:
        preferences: as they are kept.
        first: no server is known yet.
        trouble: what is wrong with the server or the certificate that was entered.
        answer: how the server answers now, where none is wrong.
        user: who is signed in; empty: nobody is.
        by_picker: files are chosen with the system's picker, not from a list of ours.
    """

    __events__ = ("on_back", "on_choose", "on_connect", "on_pick", "on_sign_out", "on_step")

    preferences = ObjectProperty(Preferences(), rebind=True)
    first = BooleanProperty(False)
    trouble = StringProperty("")
    answer = StringProperty("")
    user = StringProperty("")
    by_picker = BooleanProperty(False)
    journal_sizes, cache_sizes, lock_sizes = JOURNAL_MB, CACHE_MB, LOCK_MINUTES

    def on_pre_enter(self) -> None:
        self.show_server()

    def show_server(self) -> None:
        """The fields as they are kept, whatever was typed."""
        self.ids.server.text, self.ids.certificate.text = self.preferences.server, self.preferences.certificate
        self.ids.reader.text = self.preferences.reader
        self.trouble = ""

    def connect(self) -> None:
        """Ask for what the fields say."""
        self.dispatch("on_connect", self.ids.server.text, self.ids.certificate.text)

    def choose(self) -> None:
        """Choose the certificate among the tablet's files."""
        self.ids.server.focus = self.ids.certificate.focus = False
        if self.by_picker:
            self.dispatch("on_choose")
            return
        named = Path(self.ids.certificate.text).expanduser() if self.ids.certificate.text else users_folder()
        self.ids.files.show(named.parent if named.parent.is_dir() and named.is_file() else users_folder(), CERTIFICATES)

    def back(self) -> None:
        """The files away, or back to where the user came from."""
        if self.ids.files.shown:
            self.ids.files.close()
        else:
            self.dispatch("on_back")

    def on_back(self) -> None:
        """Back to where the user came from."""

    def on_choose(self) -> None:
        """Open the system's picker for the certificate."""

    def on_connect(self, server: str, certificate: str) -> None:
        """This server is to be used, for which this certificate vouches."""

    def on_pick(self, name: str, value: str) -> None:
        """Another value of a preference."""

    def on_sign_out(self) -> None:
        """The user goes."""

    def on_step(self, name: str, steps: int) -> None:
        """A preference is to be so many sizes larger."""


theme.load_kv(__file__)
