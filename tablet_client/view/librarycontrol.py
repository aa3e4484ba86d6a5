"""The library's life: lists volumes, keeps trying while there is no server, imports."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from calque.v1.segmentation_pb2 import Annotation
from calque.v1.volumes_pb2 import ImportPreview, ListSeriesResponse, Volume

from tablet_client.link.port import Link, LinkError, LocalFile, Step
from tablet_client.state.library import card, choices
from tablet_client.state.offers import Asked, first_step, step_after
from tablet_client.state.offers import Step as Choosing
from tablet_client.state.previews import Previews
from tablet_client.state.words import _
from tablet_client.view.importer import Importer
from tablet_client.view.library import Library
from tablet_client.view.sentences import import_step, sentence

_RETRY_S = 2.0
_REFRESH_S = 20.0
_TELL_S = 0.2
_CHOOSABLE = ("SEVERAL_SERIES", "SEVERAL_FRAMES", "SLICES_UNEVEN", "GEOMETRY_INVALID")
_PARTS = {"upload": (0.0, 0.5), "files": (0.5, 0.1), "import": (0.6, 0.4)}  # of the line: where each begins, how long it is


class LibraryControl:
    """Connects the library and the import screen with the services.

    Args:
        link: the services.
        library, importer: the screens.
        imported: told when a volume was imported.

    Attributes:
        volumes: what the server has, by identifier.
        listed: the server has told them once.
    """

    def __init__(self, link: Link, library: Library, importer: Importer, imported: Callable[[Volume], None]) -> None:
        self._link, self._library, self._importer, self._imported = link, library, importer, imported
        self._now = asyncio.Event()
        self._upload = ""
        self._listing: ListSeriesResponse | None = None  # of the upload, once an import of it was refused
        self._sending: asyncio.Task[Any] | None = None
        self._cancelled = False
        self._told = (0.0, "")  # when progress was shown last, and of what
        self._annotations: dict[str, list[Annotation]] = {}  # of each volume, as they were told last
        self.volumes: dict[str, Volume] = {}
        self.listed = asyncio.Event()

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
            with suppress(TimeoutError):
                async with asyncio.timeout(
                    pause
                ):  # wait_for of Python 3.11 would miss a cancellation right after `refresh`
                    await self._now.wait()

    async def _list(self) -> None:
        """Cards at once, how far the work on each is as it becomes known."""
        volumes = await self._link.list_volumes()
        self.volumes = {v.volume_id: v for v in volumes}
        self.listed.set()
        cards = [card(v, self._annotations.get(v.volume_id)) for v in volumes]
        if [c.volume_id for c in cards] != [c.volume_id for c in self._library.cards]:
            self._library.cards = cards
        self._library.notice = ""
        self._library.projects = choices((await self._link.account.rights()).projects, volumes)
        self._annotations = {v.volume_id: await self._link.list_annotations(v.volume_id) for v in volumes}
        cards = [card(v, self._annotations[v.volume_id]) for v in volumes]
        if cards != self._library.cards:
            self._library.cards = cards

    async def import_path(self, path: str) -> None:
        """Import a file, or all files of a folder, and tell how far it is. Where there is something to choose, show it."""
        self._upload, self._listing = str(uuid.uuid4()), None
        self._importer.show(())
        await self._import(path, Asked())

    async def choose(self, path: str, asked: Asked) -> None:
        """Go on with what was chosen of an upload: to the next choice, or to the import."""
        step = step_after(self._listing, asked) if self._listing is not None else None
        if step is not None:
            self._importer.show((*self._importer.steps, step))
        else:
            await self._import(path, asked)

    async def _import(self, path: str, asked: Asked) -> None:
        screen = self._importer
        steps = screen.steps
        screen.busy, screen.progress, screen.trouble, screen.doing = True, 0.0, "", _("Reading the folder …")
        screen.previews, self._cancelled = Previews(), False
        try:
            files = await asyncio.to_thread(_files_of, Path(path))
            if not files:
                screen.trouble = _("There are no files in this folder.")
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
                    project=self._library.project,
                    **asdict(asked),
                )
            )
            volume = await self._sending
        except asyncio.CancelledError:
            await self._forget()
            screen.show(steps)
            return
        except LinkError as error:
            if not steps:
                steps = await self._steps(error)
                screen.show(steps, "" if steps or self._cancelled else sentence(error))
            else:
                screen.show(steps, sentence(error))
            return
        except OSError:
            screen.trouble = _("This folder cannot be read.")
            return
        finally:
            screen.busy, screen.doing, self._sending = False, "", None
            screen.previews = Previews()  # pictures of who may be a patient stay no longer than they are looked at
        screen.name_typed = ""  # the next volume is another one
        screen.show(())
        self.volumes[volume.volume_id] = volume
        self._library.cards = [card(volume), *(c for c in self._library.cards if c.volume_id != volume.volume_id)]
        self._imported(volume)
        self.refresh()

    async def _steps(self, error: LinkError) -> tuple[Choosing, ...]:
        """What to choose first after an import was refused; nothing where a choice would not help."""
        if error.reason not in _CHOOSABLE or self._cancelled:
            return ()
        self._importer.doing = _("The server lists what the files hold …")
        self._sending = asyncio.ensure_future(self._link.list_series(self._upload))
        try:
            self._listing = await self._sending
        except asyncio.CancelledError:
            await self._forget()
            return ()
        except LinkError:
            return ()
        step = first_step(self._listing)
        return () if step is None else (step,)

    def cancel(self) -> None:
        """Stop the import that runs, and have the server forget what it was sent."""
        self._cancelled = True
        if self._sending is not None:
            self._sending.cancel()

    async def _forget(self) -> None:
        """After a cancellation: what was sent is of use to nobody. Raises: CancelledError, when the application ends."""
        if not self._cancelled:
            raise asyncio.CancelledError
        with suppress(LinkError):  # then the server forgets it after a day
            await self._link.delete_upload(self._upload)

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
