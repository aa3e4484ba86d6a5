"""Import through the system's picker: what was chosen is copied, imported, and the copies deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tablet_client.state.picker import Picker, PickerError
from tablet_client.state.words import _
from tablet_client.view.importer import Importer
from tablet_client.view.librarycontrol import LibraryControl


class Picking:
    """Gives the import screen a picker in place of its list of folders.

    Args:
        picker: the system's.
        screen: the import screen.
        control: imports what was copied.
        start: runs a coroutine.
    """

    def __init__(
        self, picker: Picker, screen: Importer, control: LibraryControl, start: Callable[[Coroutine[Any, Any, Any]], Any]
    ) -> None:
        self._picker, self._screen, self._control, self._start = picker, screen, control, start
        self._asking: asyncio.Future[Path | None] | None = None
        self._copies: Path | None = None
        screen.by_picker = True
        screen.bind(on_pick=lambda _, what: start(self.pick(what)), on_cancel=lambda _: self.cancel())
        screen.bind(busy=self._settle, steps=self._settle)

    async def pick(self, what: str) -> None:
        """Have "files" or a "folder" chosen, and import them."""
        screen = self._screen
        if self._asking is not None or screen.busy:
            return
        screen.trouble = ""
        self._asking = asyncio.ensure_future(getattr(self._picker, what)(self._watch))
        try:
            path = await self._asking
        except asyncio.CancelledError:
            screen.busy = False
            if not self._asking.cancelled():
                raise  # the application ends
            return
        except PickerError as error:
            screen.busy, screen.trouble = False, str(error)
            return
        finally:
            self._asking = None
        if path is not None:
            self._copies, screen.path = path, str(path)
            await self._control.import_path(str(path))

    def cancel(self) -> None:
        """Stop copying."""
        if self._asking is not None:
            self._asking.cancel()

    def _watch(self, done: int, total: int) -> None:
        if self._asking is None or self._asking.done():
            return
        self._screen.busy, self._screen.progress = True, 0.0
        self._screen.doing = (
            _("Copying files: {done} of {total}").format(done=done, total=total)
            if total
            else _("Looking at what was chosen …")
        )

    def _settle(self, *_: object) -> None:
        """The copies are needed no longer than something is imported of them or chosen from."""
        if self._copies is not None and not self._screen.busy and not self._screen.steps:
            self._start(self._picker.forget(self._copies))
            self._copies = None
