"""The viewer's life: opens an annotation, takes what the session brings and what the hand does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from calque.v1.segmentation_pb2 import Advice, Annotation, Statistics
from calque.v1.volumes_pb2 import Volume

from tablet_client.link.annotations import Annotations
from tablet_client.link.listener import Connection, Listener, Status
from tablet_client.link.port import Link, LinkError
from tablet_client.state.choices import Choices
from tablet_client.state.document import Event
from tablet_client.state.geometry import GeometryError, Plane, VolumeInfo
from tablet_client.state.journal import JournalError
from tablet_client.state.look import read_look
from tablet_client.state.palette import free_colour
from tablet_client.state.preferences import Preferences
from tablet_client.state.tools import BACKGROUND_LABEL, TOOLS, Toolbox, Window
from tablet_client.state.words import _
from tablet_client.view import sentences
from tablet_client.view.choosing import Choosing
from tablet_client.view.guiding import Guiding
from tablet_client.view.looking import Looking
from tablet_client.view.menu import entry
from tablet_client.view.pen import Pen
from tablet_client.view.saving import Saving
from tablet_client.view.showing import Showing
from tablet_client.view.toast import Say
from tablet_client.view.viewer import Viewer
from tablet_client.view.work import Work


class ViewerControl(Listener):
    """Connects the viewer with an open annotation.

    Args:
        link: the services.
        viewer: the screen.
        folder: where journals lie.
        say: shows a sentence.
        preferences: how much the tablet may hold.

    Attributes:
        work, showing, looking, pen, choosing, guiding: of the open annotation, or None.
        saving: saves its mask.
        started: told when an annotation was opened.
    """

    def __init__(self, link: Link, viewer: Viewer, folder: Path, say: Say, preferences: Preferences) -> None:
        self._link, self._viewer, self._folder, self._say = link, viewer, folder, say
        self._preferences = preferences
        self.work: Work | None = None
        self.showing: Showing | None = None
        self.looking: Looking | None = None
        self.pen: Pen | None = None
        self.choosing: Choosing | None = None
        self.guiding: Guiding | None = None
        self.started: Callable[[], None] = lambda: None
        self.saving = Saving(link, viewer, say, self._buttons)
        self._annotations = Annotations(link)
        self._toolbox = Toolbox()
        self._turn = asyncio.Lock()  # a journal must be left before it is opened again
        viewer.slices.bind(index=self._moved)
        viewer.side.bind(plane=self._moved)

    # --- opening and closing -----------------------------------------------------------------------------------------

    async def open(self, volume: Volume, annotation_id: str = "") -> bool:
        """Go on with an annotation of a volume, else with its newest, or begin the first. Returns: it is open."""
        try:
            info = VolumeInfo.from_message(volume)
            await self._annotations.load(volume.volume_id)
            newest = next(iter(self._annotations.known), None)
            chosen = self._annotations.find(annotation_id) or newest or await self._annotations.create(volume.volume_id)
        except GeometryError:
            self._say(_("The server describes this volume in a way that cannot be shown."), "error")
            return False
        except LinkError as error:
            self._say(sentences.sentence(error), "error")
            return False
        return await self._start(info, chosen)

    async def new_annotation(self, name: str, colour: int) -> None:
        """Begin another annotation of the open volume."""
        work = self.work
        if work is not None and (made := await self._asked(self._annotations.create(work.volume.volume_id, name, colour))):
            await self._start(work.volume, made)

    async def switch(self, annotation_id: str) -> None:
        """Another annotation of the open volume."""
        chosen, work = self._annotations.find(annotation_id), self.work
        if work is not None and chosen is not None and annotation_id != work.annotation.annotation_id:
            await self._start(work.volume, chosen)

    async def close(self) -> None:
        """Hang up; what was drawn is in the journal afterwards."""
        async with self._turn:
            await self._hang_up()

    async def _hang_up(self) -> None:
        work, self.work = self.work, None
        if self.guiding is not None:
            self.guiding.quiet()
            self.guiding = None
        if self.choosing is not None:
            self.choosing.keep()
        if self.looking is not None:
            self.looking.keep()
        if self.pen is not None:
            self.pen.cancel()
        if work is not None:
            await work.end()

    def prefer(self, preferences: Preferences) -> None:
        """Hold as much as the user wants from now on."""
        self._preferences = preferences
        if self.work is not None and self.pen is not None:
            self.work.prefer(preferences)
            self.pen.pressing = preferences.pressure

    async def menu(self) -> None:
        """Open the menu with the annotations as they are now, or as they were known when there is no server."""
        work = self.work
        if work is None:
            return
        with suppress(LinkError):
            await self._annotations.load(work.volume.volume_id)
        open_id, known = work.annotation.annotation_id, self._annotations.known
        self._viewer.menu.show([entry(a, a.annotation_id == open_id) for a in known], free_colour(known))

    async def recolour(self, annotation_id: str, colour: int) -> None:
        """Another colour for an annotation of the open volume."""
        if changed := await self._asked(self._annotations.recolour(annotation_id, colour)):
            self.changed(changed)

    async def _asked(self, call: Awaitable[Annotation | None]) -> Annotation | None:
        """What the server answers; None, and a sentence, where it does not."""
        try:
            return await call
        except LinkError as error:
            self._trouble(error)
            return None

    def changed(self, annotation: Annotation) -> None:
        """An annotation has other names or colours, or was reviewed; perhaps the open one."""
        if self.work is not None and annotation.annotation_id == self.work.annotation.annotation_id:
            self.work.annotation = annotation
            if self.looking is not None:
                self.looking.colours()
                self._set_toolbox(self._toolbox)

    async def _start(self, volume: VolumeInfo, annotation: Annotation) -> bool:
        async with self._turn:
            return await self._open_anew(volume, annotation)

    async def _open_anew(self, volume: VolumeInfo, annotation: Annotation) -> bool:
        left, shown = self.work, self.showing
        await self._hang_up()
        same = left is not None and left.volume.volume_id == volume.volume_id
        greys = left.greys if same and left is not None else None
        try:
            work = Work(
                self._link, volume, annotation, self._folder, greys, self, self._greys_came, self._trouble, self.broken
            )
            work.prefer(self._preferences)
        except JournalError:
            self._say(_(sentences.TABLET_FULL), "error")
            return False
        self.work, self.saving.last, self._viewer.menu.reading = work, None, False
        self.pen = Pen(
            self._viewer.images, volume, work.document, self._toolbox, self._submit, self._may_begin, self.contrast
        )
        self.pen.pressing = self._preferences.pressure
        self.showing = Showing(self._viewer, work, self.pen, shown if same else None)
        look = self.looking.look if same and self.looking is not None else read_look(self._folder, volume.volume_id)
        self.looking = Looking(self._viewer, work, self.showing, self.pen, self._folder, look)
        self.choose_tool("object")
        before = self.choosing.choices if self.choosing is not None else Choices()
        self.choosing = Choosing(self._viewer.side, work, self.showing, self._folder, before, self._method_changed)
        self.guiding = Guiding(self._viewer, work, self.showing, self.choosing)
        self._buttons()
        self.status_changed(work.keeper.status)
        work.start()
        self.started()
        if annotation.masks and not self.choosing.recalled:
            work.tasks.start(self._recall_threshold(work, self.choosing))
        return True

    async def _recall_threshold(self, work: Work, choosing: Choosing) -> None:
        """Show the mask as it was saved last, by another tablet, unless the hand was faster."""
        with suppress(LinkError):
            masks = await self._link.list_masks(work.annotation.annotation_id)
            if masks and work is self.work and choosing.choices.threshold is None:
                choosing.threshold(masks[0].threshold)

    # --- what the hand does ------------------------------------------------------------------------------------------

    def choose_tool(self, tool: str) -> None:
        """Another tool."""
        self._set_toolbox(self._toolbox.chosen(TOOLS[tool]))
        self._viewer.rail.tool = tool

    def step_brush(self, steps: int) -> None:
        """A wider or narrower brush."""
        self._set_toolbox(self._toolbox.stepped(steps))

    def contrast(self, window: Window) -> None:
        """The hand drags the contrast."""
        if self.looking is not None:
            self.looking.contrast(window)

    def undo(self) -> None:
        """Take the last action back."""
        if self.work is not None and self.work.document.can_undo and self._may_draw() and not self.drawing:
            self._submit(self.work.document.undo())

    def redo(self) -> None:
        """Do again what was taken back last."""
        if self.work is not None and self.work.document.can_redo and self._may_draw() and not self.drawing:
            self._submit(self.work.document.redo())

    def clear(self) -> None:
        """Remove all strokes."""
        if self.work is not None and self.work.document.labels() and self._may_draw() and not self.drawing:
            self._submit(self.work.document.clear())

    def take_over(self) -> None:
        """Draw here although another tablet does."""
        if self.work is not None:
            self.work.keeper.take_over()

    def segment(self) -> None:
        """Compute now."""
        if self.work is not None:
            self.work.keeper.segment()

    async def save(self) -> None:
        """Keep the mask that is shown."""
        if self.work is not None and self.choosing is not None:
            await self.saving.save(self.work, self.choosing)

    @property
    def drawing(self) -> bool:
        """A stroke has begun and not ended."""
        return self.pen is not None and self.pen.busy

    def _set_toolbox(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox
        rail = self._viewer.rail
        rail.brush_mm = toolbox.width_mm
        rail.lasso_background = toolbox.label == BACKGROUND_LABEL
        if self.pen is not None:
            self.pen.take(toolbox)

    def _may_draw(self) -> bool:
        status = self.work.keeper.status if self.work is not None else None
        if status is None or status.connection is Connection.OTHER_WRITER or status.tablet_full:
            self._say(sentences.no_room(status) if status and status.tablet_full else sentences.reading(status), "error")
            return False
        return True

    def _may_begin(self, number: int) -> bool:
        """Strokes need an image under them; undo does not."""
        if self.showing is None or not self.showing.seen(number):
            self._say(_(sentences.NO_IMAGE), "error")
            return False
        return self._may_draw()

    def _submit(self, event: Event) -> None:
        if self.work is not None:
            self.work.keeper.submit(event)
            self.ink_changed()

    def _buttons(self) -> None:
        enough = self.showing is not None and self.showing.segmentable
        self._viewer.slices.can_segment = enough
        self._viewer.slices.can_save = enough and not self.saving.busy

    # --- what comes (see Listener) -----------------------------------------------------------------------------------

    def status_changed(self, status: Status) -> None:
        bar = self._viewer.bar
        bar.safety, bar.safety_text = sentences.safety(status)
        if self.work is not None:
            self.work.news()
        if status.connection in (Connection.OFFLINE, Connection.REFUSED):
            bar.progress = 0.0  # whoever computes, tells it no longer
        if self.showing is not None:
            self.showing.hint()
        if status.connection in (Connection.CONNECTED, Connection.OTHER_WRITER):
            self._reading(status)
        if status.tablet_full:
            self._say(sentences.no_room(status), "error")
        elif status.connection is Connection.REFUSED and status.error is not None:
            self._say(sentences.sentence(status.error), "error")

    def _reading(self, status: Status) -> None:
        """Another tablet draws, or no longer, or nobody may; one who drew until now is told at once."""
        menu, reading = self._viewer.menu, status.connection is Connection.OTHER_WRITER
        if reading and not menu.reading and not self._viewer.image.hint:  # else the hint says it
            self._say(sentences.reading(status), "warning")
        menu.reading, menu.locked = reading, status.locked

    def ink_changed(self) -> None:
        if self.showing is not None and self.work is not None:
            self.showing.ink()
            self.showing.volume_ml()
            self._buttons()
        if self.guiding is not None:
            self.guiding.refresh()

    def probability(self, plane: Plane, index: int) -> None:
        levels = self.work.probabilities.get(plane, index) if self.work is not None else None
        if self.work is not None and self.showing is not None and levels is not None:
            self.work.band.put(plane, index, levels)
            if self.choosing is not None:
                self.choosing.suggested()
            self.showing.levels(plane, index)
            if plane is self.showing.plane:
                self.showing.band()

    def histogram(self, complete: bool) -> None:
        if self.showing is not None:
            self.showing.volume_ml()

    def progress(self, done: int, total: int) -> None:
        self._viewer.bar.progress = done / total if total else 0.0

    def statistics(self, statistics: Statistics) -> None:
        if self.guiding is not None:
            self.guiding.statistics(statistics)

    def advice(self, advice: Advice) -> None:
        if self.guiding is not None:
            self.guiding.advice(advice)

    def opened(self, annotation: Annotation) -> None:
        if self.work is not None:
            self.work.guide.restart()
            self.changed(annotation)

    def computing_failed(self, reason: str, message: str) -> None:
        if reason != "NOT_SEGMENTED" or (self.showing is not None and self.showing.segmentable):  # else the hint says it
            self._say(sentences.sentence(LinkError(reason, message)), "error")

    def event_refused(self, error: LinkError) -> None:
        self._say(sentences.sentence(error), "error")

    def broken(self, error: BaseException) -> None:
        """A fault of ours ended a background task."""
        self._say(_("Something went wrong in this application. Go back and open the volume again."), "error")

    def _moved(self, *unused: object) -> None:
        """Another slice or plane is shown."""
        if self.looking is not None:
            self.looking.follow()
        if self.guiding is not None:
            self.guiding.moved()

    def _method_changed(self) -> None:
        if self.guiding is not None:
            self.guiding.method_changed()

    def _greys_came(self, plane: Plane, index: int) -> None:
        if self.showing is not None and self.work is not None:
            seen = self.showing.greys(plane, index)
            if seen and self.looking is not None:
                self.looking.follow()

    def _trouble(self, error: LinkError) -> None:
        self._say(sentences.sentence(error), "error")
