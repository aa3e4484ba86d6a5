"""The library's life: lists volumes, keeps trying while there is no server, imports."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from calque.v1.volumes_pb2 import ImportPreview, Volume

from tablet_client.link.port import Link, LinkError, LocalFile, Step
from tablet_client.state.library import card
from tablet_client.state.previews import Previews
from tablet_client.view.importer import Choice, Importer, offered
from tablet_client.view.library import Library
from tablet_client.view.sentences import import_step, sentence

_RETRY_S = 2.0
_REFRESH_S = 20.0
_TELL_S = 0.2
_PARTS = {"upload": (0.0, 0.5), "files": (0.5, 0.1), "import": (0.6, 0.4)}  # of the line: where each begins, how long it is


class LibraryControl:
    """Connects the library and the import screen with the services.

    Args:
        link: the services.
        library, importer: the screens.
        imported: told when a volume was imported.
    """

    def __init__(self, link: Link, library: Library, importer: Importer, imported: Callable[[Volume], None]) -> None:
        self._link, self._library, self._importer, self._imported = link, library, importer, imported
        self._now = asyncio.Event()
        self._upload = ""
        self._sending: asyncio.Task[Volume] | None = None
        self._cancelled = False
        self._told = (0.0, "")  # when progress was shown last, and of what
        self.volumes: dict[str, Volume] = {}

    def refresh(self) -> None:
        """Ask the server again now."""
        self._now.set()

    async def run(self) -> None:
        """Keep the cards up to date until cancelled."""
        while True:
            self._now.clear()
            try:
                await self._list()
                pause = _REFRESH_S
            except LinkError as error:
                self._library.notice = sentence(error)
                pause = _RETRY_S
            try:
                await asyncio.wait_for(self._now.wait(), pause)
            except TimeoutError:
                continue

    async def _list(self) -> None:
        """Cards at once, how far the work on each is as it becomes known."""
        volumes = await self._link.list_volumes()
        known = {c.volume_id: c.work for c in self._library.cards}
        self.volumes = {v.volume_id: v for v in volumes}
        cards = [card(v) for v in volumes]
        if [c.volume_id for c in cards] != [c.volume_id for c in self._library.cards]:
            self._library.cards = cards
        self._library.notice = ""
        cards = [card(v, await self._link.list_annotations(v.volume_id)) for v in volumes]
        if {c.volume_id: c.work for c in cards} != known or cards != self._library.cards:
            self._library.cards = cards

    async def import_path(self, path: str, choice: Choice | None = None) -> None:
        """Import a file, or all files of a folder, and tell how far it is.

        Args:
            path: what to import.
            choice: one of what the last import refused to choose from; its files are on the server already.
        """
        screen = self._importer
        screen.busy, screen.progress, screen.trouble, screen.doing = True, 0.0, "", "Reading the folder …"
        screen.choices, screen.previews = (), Previews()
        self._cancelled = False
        self._upload = self._upload if choice is not None else str(uuid.uuid4())
        asked = choice or Choice()
        try:
            files = await asyncio.to_thread(_files_of, Path(path))
            if not files:
                screen.trouble = "There are no files in this folder."
                return
            if self._cancelled:
                return
            self._sending = asyncio.ensure_future(
                self._link.import_files(
                    files,
                    self._upload,
                    self._watch,
                    show=self._show,
                    name=screen.name_typed.strip(),
                    series=asked.series,
                    frame_plus_one=asked.frame_plus_one,
                )
            )
            volume = await self._sending
        except asyncio.CancelledError:
            if not self._cancelled:  # the application ends
                raise
            with suppress(LinkError):  # then the server forgets it after a day
                await self._link.delete_upload(self._upload)
            return
        except LinkError as error:
            screen.trouble, screen.choices = sentence(error), [offered(error.reason, one, asked) for one in error.choices]
            return
        except OSError:
            screen.trouble = "This folder cannot be read."
            return
        finally:
            screen.busy, screen.doing, self._sending = False, "", None
            screen.previews = Previews()  # pictures of who may be a patient stay no longer than they are looked at
        screen.name_typed = ""  # the next volume is another one
        self.volumes[volume.volume_id] = volume
        self._library.cards = [card(volume), *(c for c in self._library.cards if c.volume_id != volume.volume_id)]
        self._imported(volume)
        self.refresh()

    def cancel(self) -> None:
        """Stop the import that runs, and have the server forget what it was sent."""
        self._cancelled = True
        if self._sending is not None:
            self._sending.cancel()

    def _show(self, preview: ImportPreview) -> None:
        previews: Previews = self._importer.previews
        previews.add(preview)
        self._importer.previews = previews

    def _watch(self, step: Step) -> None:
        # Hundreds of small files would otherwise cost a frame each, and the frames more time than the files.
        now, kind = time.monotonic(), self._told[1]
        if step.what == kind and now - self._told[0] < _TELL_S:
            return
        self._told = (now, step.what)
        part = step.done / step.total if step.total else 0.0
        self._importer.doing = import_step(step)
        # Sending is the first half of the line, reading the second; looking at files is a small part of that.
        start, size = _PARTS[step.what]
        self._importer.progress = min(1.0, start + size * part)


def _files_of(path: Path) -> list[LocalFile]:
    if path.is_file():
        return [LocalFile(path.name, path)]
    found = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
    return [LocalFile(p.relative_to(path).as_posix(), p) for p in found]
