"""Android's picker of files, as the application asks it: what is chosen is copied, what is saved is written there."""

from __future__ import annotations

import asyncio
import errno
import shutil
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from tablet_client.android.documents import FILES, FOLDER, Document, Documents, Question, place_for
from tablet_client.state.picker import PickerError, Told
from tablet_client.state.words import _

_PIECE = 1 << 20  # bytes
_NAME_CHARACTERS = 100


class _Stopped(Exception):
    """Nobody wants the copies any more."""


class SystemPicker:
    """See `tablet_client.state.picker.Picker`. Made on Kivy's thread.

    Args:
        folder: of the copies, ours alone; emptied at once of what an end without notice left behind.
        documents: Android's; None: those of this tablet.
    """

    def __init__(self, folder: Path, documents: Documents | None = None) -> None:
        self._folder, self._documents = folder, documents or Documents()
        shutil.rmtree(folder, ignore_errors=True)

    async def files(self, told: Told) -> Path | None:
        """See `Picker`."""
        copies = await self._copied(FILES, self._documents.named, told)
        if copies is None:
            return None
        inside = list(copies.iterdir())
        return inside[0] if len(inside) == 1 else copies

    async def folder(self, told: Told) -> Path | None:
        """See `Picker`."""
        return await self._copied(FOLDER, self._documents.inside, told)

    async def forget(self, copies: Path) -> None:
        """See `Picker`."""
        ours = self._folder / copies.relative_to(self._folder).parts[0]
        await asyncio.to_thread(shutil.rmtree, ours, ignore_errors=True)

    async def save(self, name: str, mime: str, path: Path) -> bool:
        """See `Picker`."""
        addresses = await self._ask(place_for(name, mime))
        if addresses:
            await asyncio.to_thread(self._write, addresses[0], path)
        return bool(addresses)

    async def _ask(self, question: Question) -> list[str]:
        """What the user chooses. Kivy's loop stands still while the picker is in front of it."""
        answer: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()

        def settle(addresses: list[str]) -> None:
            if not answer.done():
                answer.set_result(addresses)

        try:
            self._documents.ask(question, _on_loop(settle))
        except OSError as error:
            raise PickerError(_("This tablet has no application that shows its files.")) from error
        return await answer

    async def _copied(self, question: Question, listed: Callable[[list[str]], list[Document]], told: Told) -> Path | None:
        """A folder with copies of what the user chooses."""
        addresses = await self._ask(question)
        if not addresses:
            return None
        target, stop = self._folder / uuid.uuid4().hex, threading.Event()
        told(0, 0)
        try:
            await asyncio.to_thread(self._copy, addresses, listed, target, _on_loop(told), stop)
        except asyncio.CancelledError:
            stop.set()
            raise
        return target

    def _copy(
        self,
        addresses: list[str],
        listed: Callable[[list[str]], list[Document]],
        target: Path,
        told: Told,
        stop: threading.Event,
    ) -> None:
        """In a thread: copy everything, or leave nothing."""
        whole, name = False, ""
        try:
            target.mkdir(parents=True)
            documents = _named_apart(listed(addresses))
            for done, document in enumerate(documents):
                name = document.name
                told(done, len(documents))
                path = target / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with self._documents.read(document.address) as source, open(path, "wb") as sink:
                    _pour(source, sink, stop)
            told(len(documents), len(documents))
            whole = True
        except (OSError, _Stopped) as error:
            raise PickerError(_unread(error, name)) from error
        finally:
            if not whole:
                shutil.rmtree(target, ignore_errors=True)
            self._documents.leave_thread()

    def _write(self, address: str, path: Path) -> None:
        """In a thread: write everything, or leave nothing."""
        try:
            with open(path, "rb") as source, self._documents.write(address) as sink:
                _pour(source, sink, threading.Event())
        except OSError as error:
            with suppress(OSError):
                self._documents.delete(address)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise PickerError(
                    _("There is no room left at this place. Nothing was saved: choose another one.")
                ) from error
            raise PickerError(_("Nothing can be written at this place. Nothing was saved: choose another one.")) from error
        finally:
            self._documents.leave_thread()


def _on_loop(call: Callable[..., None]) -> Callable[..., None]:
    """The same call, made on the running loop from whatever thread; not at all once the loop has ended."""
    loop = asyncio.get_running_loop()

    def later(*values: object) -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(call, *values)

    return later


def _pour(source: BinaryIO, sink: BinaryIO, stop: threading.Event) -> None:
    piece = b" "
    while piece:
        piece = source.read(_PIECE)
        if stop.is_set():
            raise _Stopped
        sink.write(piece)


def _unread(error: Exception, name: str) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _("There is no room left on this tablet for copies of these files. Nothing was imported.")
    if name:
        return _("{name} cannot be read. Nothing was imported.").format(name=name)
    return _("What was chosen cannot be read. Nothing was imported.")


def _named_apart(documents: list[Document]) -> list[Document]:
    """The same with names that are paths inside a folder, no two alike, whatever a provider calls its documents."""
    taken: set[str] = set()
    apart = []
    for document in documents:
        plain = "/".join(_plain(part) for part in document.name.split("/"))
        name, number = plain, 2
        while name.casefold() in taken:
            stem, dot, ending = plain.partition(".")
            name, number = f"{stem} ({number}){dot}{ending}", number + 1
        taken.add(name.casefold())
        apart.append(Document(name, document.address))
    return apart


def _plain(part: str) -> str:
    """A part of a path as a name that every file system takes; the ending is kept."""
    text = "".join(letter if letter.isprintable() else "_" for letter in part).lstrip(".")
    return text[-_NAME_CHARACTERS:] or "_"
