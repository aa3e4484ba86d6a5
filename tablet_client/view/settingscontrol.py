"""What is picked in the settings: checked, kept on the tablet, and applied at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from tablet_client.link.connect import CertificateError, trusting
from tablet_client.state.address import EXAMPLE, parse_address
from tablet_client.state.picker import Picker, PickerError
from tablet_client.state.preferences import LADDERS, Preferences, plain_reader, step, write_preferences
from tablet_client.state.words import _
from tablet_client.view.settings import Settings


class SettingsControl:
    """Takes what is picked on the screen.

    Args:
        screen: the settings.
        folder: where they are kept.
        not_now: why the screens cannot be made anew at this moment, as a sentence; empty: they can.
        apply: told of the preferences as they were and as they are now.
        say: shows a sentence.
        start: runs a coroutine.
        picker: the system's, where files are reached through it alone.
    """

    def __init__(
        self,
        screen: Settings,
        folder: Path,
        not_now: Callable[[], str],
        apply: Callable[[Preferences, Preferences], None],
        say: Callable[[str, str], None],
        start: Callable[[Coroutine[Any, Any, Any]], Any],
        picker: Picker | None = None,
    ) -> None:
        self._screen, self._folder, self._not_now, self._apply, self._say = screen, folder, not_now, apply, say
        if picker is not None:
            screen.by_picker = True
            screen.bind(on_choose=lambda _: start(self.choose(picker)))
        screen.bind(on_connect=lambda _, *what: self.connect(*what))
        screen.bind(on_pick=lambda _, name, value: self.pick(name, value))
        screen.bind(on_step=lambda _, name, steps: self.step(name, steps))

    def connect(self, server: str, certificate: str) -> None:
        """Use this server from now on, if its address and its certificate can be read."""
        address = parse_address(server)
        if address is None:
            sentence = _("“{text}” is not an address such as {example}. Nothing was changed.")
            self._screen.trouble = sentence.format(text=server.strip(), example=EXAMPLE)
            return
        path = str(Path(certificate.strip()).expanduser().absolute()) if certificate.strip() else ""
        try:
            if path:
                trusting(path)
        except CertificateError:
            sentence = _("{path} holds no certificate (PEM) that can be read. Nothing was changed.")
            self._screen.trouble = sentence.format(path=path)
            return
        self._screen.trouble = ""
        self._take(replace(self._screen.preferences, server=server.strip(), certificate=path), anew=True)

    async def choose(self, picker: Picker) -> None:
        """Have the certificate chosen with the system's picker: a copy of it is kept beside the preferences."""
        try:
            chosen = await picker.files(lambda done, total: None)
            if chosen is None:
                return
            try:
                path = await asyncio.to_thread(_kept, chosen, self._folder)
            finally:
                await picker.forget(chosen)
        except (PickerError, OSError):
            self._screen.trouble = _("This file cannot be read. Nothing was changed.")
            return
        self._screen.trouble = ""
        self._screen.ids.certificate.text = str(path)

    def pick(self, name: str, value: Any) -> None:
        """Another side for the tools, another language, name or order; whether a pen's pressure counts."""
        value = plain_reader(value) if name == "reader" else value
        self._take(replace(self._screen.preferences, **{name: value}), anew=name == "language")

    def step(self, name: str, steps: int) -> None:
        """So many sizes more of what the tablet may hold, or how long it waits."""
        size = step(LADDERS[name], getattr(self._screen.preferences, name), steps)
        self._take(replace(self._screen.preferences, **{name: size}), anew=False)

    def _take(self, now: Preferences, anew: bool) -> None:
        before = self._screen.preferences
        if now == before:
            return
        if anew and (why := self._not_now()):
            self._say(why, "error")
            return
        self._screen.preferences = now
        if not write_preferences(self._folder, now):
            self._say(_("The tablet's disk did not take the settings: they are gone when the application ends."), "error")
        self._apply(before, now)


def _kept(chosen: Path, folder: Path) -> Path:
    """A copy named by what it holds: one that is in use stays as it is. Raises: OSError."""
    data = chosen.read_bytes()
    path = folder / f"certificate-{sha256(data).hexdigest()[:12]}.pem"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
