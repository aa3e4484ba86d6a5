"""An export's life: what there is to export, the file from the server, and its place on this tablet."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable
from pathlib import Path

from calque.v1.segmentation_pb2 import Mask

from tablet_client.link.port import ExportedFile, Link, LinkError, Step
from tablet_client.state.exporting import (
    FORMATS,
    Content,
    Habits,
    contents,
    default_folder,
    format_of,
    keep_file,
    plain_name,
    read_habits,
    suggested_name,
    write_habits,
)
from tablet_client.state.picker import Picker, PickerError
from tablet_client.state.places import passing_folder
from tablet_client.state.words import _
from tablet_client.view import sentences
from tablet_client.view.exporter import Exporter, Pick
from tablet_client.view.toast import Say
from tablet_client.view.viewercontrol import ViewerControl
from tablet_client.view.work import Work

_ANY_KIND = "application/octet-stream"  # of a kind that it knows, Android may change the name's ending


class Exporting:
    """Connects the export screen with what is open and with the services.

    Args:
        link: the services.
        screen: the export screen.
        control: what is open.
        folder: where habits are kept.
        say: shows a sentence.
        go: to another screen, by its name.
        picker: the system's, where files are reached through it alone.

    Attributes:
        last: where the last export lies.
    """

    def __init__(
        self,
        link: Link,
        screen: Exporter,
        control: ViewerControl,
        folder: Path,
        say: Say,
        go: Callable[[str], None],
        picker: Picker | None = None,
    ) -> None:
        self._link, self._screen, self._control = link, screen, control
        self._folder, self._say, self._go, self._picker = folder, say, go, picker
        screen.by_picker = picker is not None
        self._work: Work | None = None
        self._contents: dict[str, Content] = {}
        self._running: asyncio.Task[ExportedFile] | None = None
        self._cancelled = False

        self.last: Path | None = None

    async def open(self) -> None:
        """Show what the open annotation has to export; as it is, when an export runs."""
        work = self._control.work
        if work is None:
            return
        if self._screen.busy:
            self._go("export")
            return
        try:
            masks = await self._link.list_masks(work.annotation.annotation_id)
        except LinkError as error:
            self._say(sentences.export_failed(error), "error")
            return
        if work is not self._control.work:
            return
        self._work = work
        self._contents = {content.name: content for content in contents(masks)}
        self._show(masks, read_habits(self._folder))
        self._go("export")

    def choose_content(self, name: str) -> None:
        """Another thing to export."""
        if self._work is not None and name in self._contents:
            self._screen.content = name
            names = self._work.volume.name, self._work.annotation.name
            self._screen.stem = suggested_name(*names, self._contents[name], int(time.time() * 1000))

    def choose_format(self, name: str) -> None:
        """Another kind of file."""
        self._screen.format = name
        self._screen.ending = format_of(name).ending

    async def export(self) -> None:
        """Have the file made, fetch it and keep it, or say why not. Drawing and all else goes on meanwhile."""
        screen, work = self._screen, self._work
        content, stem = self._contents.get(screen.content), plain_name(screen.stem)
        if work is None or content is None or not stem or screen.busy:
            return
        form, folder = format_of(screen.format), Path(screen.folder)
        screen.busy, screen.progress, screen.trouble = True, 0.0, ""
        screen.doing, self._cancelled = _("The server makes the file …"), False
        try:
            self._running = asyncio.ensure_future(self._fetch(work, content, form.number))
            file = await self._running
            self._running = None  # what is here is kept, too late to stop
            kept = await self._keep(folder, stem, form.ending, file.data)
        except asyncio.CancelledError:
            if not self._cancelled:
                raise
            screen.trouble = _("Stopped. Nothing was exported.")
            return
        except LinkError as error:
            self._failed(sentences.export_failed(error))
            return
        except PickerError as error:
            self._failed(str(error))
            return
        except OSError as error:
            self._failed(_disk_failed(error))
            return
        finally:
            screen.busy, screen.doing, screen.progress, self._running = False, "", 0.0, None
        if kept is None:
            screen.trouble = _("No place was chosen. Nothing was exported.")
            return
        self.last = kept
        write_habits(self._folder, Habits(str(folder), form.name))
        if screen.manager.current == screen.name:
            self._go("viewer")
        self._say(_("Exported to {path}").format(path=self.last), "done")

    def cancel(self) -> None:
        """Stop the export that runs."""
        if self._running is not None:
            self._cancelled = True
            self._running.cancel()

    async def _keep(self, folder: Path, stem: str, ending: str, data: bytes) -> Path | None:
        """Where the file lies, by the picker its name alone; None where no place was chosen for it."""
        if self._picker is None:
            return await asyncio.to_thread(keep_file, folder, stem, ending, data)
        passing = await asyncio.to_thread(keep_file, passing_folder(), stem, ending, data)
        try:
            return Path(passing.name) if await self._picker.save(passing.name, _ANY_KIND, passing) else None
        finally:
            passing.unlink(missing_ok=True)

    async def _fetch(self, work: Work, content: Content, form: int) -> ExportedFile:
        if content.computed and (error := await work.all_sent()) is not None:
            raise error
        number = content.mask.number if content.mask is not None else 0
        return await self._link.export(work.annotation.annotation_id, content.kind, form, number, self._watch)

    def _show(self, masks: list[Mask], habits: Habits) -> None:
        screen, no_dicom = self._screen, self._work.volume.no_dicom if self._work is not None else ""
        screen.trouble = ""
        no_mask = () if masks else (Pick("mask", _("Mask"), "", _("none was saved yet")),)
        screen.contents = (*no_mask, *(_content(content) for content in self._contents.values()))
        refusals = {"dicom_seg": sentences.no_dicom(no_dicom)} if no_dicom else {}
        screen.formats = tuple(
            Pick(form.name, f"{form.word}  {form.ending}", _(form.note), refusals.get(form.name, "")) for form in FORMATS
        )
        screen.folder = habits.folder or str(default_folder())
        self.choose_content(next(iter(self._contents)))
        self.choose_format(FORMATS[0].name if habits.format in refusals else habits.format)

    def _watch(self, step: Step) -> None:
        self._screen.doing = sentences.export_step(step)
        self._screen.progress = step.done / step.total if step.total else 0.0

    def _failed(self, sentence: str) -> None:
        self._screen.trouble = sentence
        if self._screen.manager.current != self._screen.name:
            self._say(sentence, "error")


def _content(content: Content) -> Pick:
    if content.mask is not None:
        return Pick(content.name, _("Mask {n}").format(n=content.mask.number), sentences.saved_mask(content.mask))
    if content.name == "annotation":
        return Pick(content.name, _("Strokes"), _("the labels that were drawn"))
    return Pick(content.name, _("Probability"), _("from 0 to 255, as it is computed now"))


def _disk_failed(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _("There is no room left in this folder. Nothing was exported: choose another one.")
    return _("Nothing can be written to this folder. Nothing was exported: choose another one.")
