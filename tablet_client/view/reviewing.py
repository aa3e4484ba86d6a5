"""The review of what is open: handed in by who drew it, accepted or sent back by a reviewer."""

from __future__ import annotations

from collections.abc import Awaitable

from calque.v1.segmentation_pb2 import REVIEW_ACCEPTED, REVIEW_SENT_BACK, Annotation

from tablet_client.link.port import Link, LinkError
from tablet_client.state.reviewing import steps
from tablet_client.state.words import _
from tablet_client.view import sentences
from tablet_client.view.review import Review
from tablet_client.view.toast import Say
from tablet_client.view.viewercontrol import ViewerControl


class Reviewing:
    """Connects the panel with the services.

    Args:
        link: the services.
        panel: on the screen.
        control: what is open.
        say: shows a sentence.
    """

    def __init__(self, link: Link, panel: Review, control: ViewerControl, say: Say) -> None:
        self._link, self._panel, self._control, self._say = link, panel, control, say
        self._role = ""

    async def open(self) -> None:
        """Show how far the review of the open annotation is."""
        work = self._control.work
        if work is None:
            return
        try:
            self._role = (await self._link.account.rights()).role
            known = await self._link.list_annotations(work.volume.volume_id)
        except LinkError as error:
            self._say(sentences.sentence(error), "error")
            return
        for annotation in known:
            if annotation.annotation_id == work.annotation.annotation_id:
                self._show(annotation)

    async def hand_in(self) -> None:
        """Ask for a review."""
        if (work := self._control.work) is not None:
            await self._asked(self._link.submit_annotation(work.annotation.annotation_id), _("Handed in for review."))

    async def accept(self) -> None:
        """Lock the annotation, whose newest mask is good."""
        if (work := self._control.work) is not None:
            call = self._link.review_annotation(work.annotation.annotation_id, REVIEW_ACCEPTED)
            await self._asked(call, _("Accepted, and locked."))

    async def send_back(self, note: str) -> None:
        """Have it worked on again."""
        if (work := self._control.work) is not None:
            call = self._link.review_annotation(work.annotation.annotation_id, REVIEW_SENT_BACK, note)
            await self._asked(call, _("Sent back."))

    async def _asked(self, call: Awaitable[Annotation], done: str) -> None:
        """Say that it is done, and close; where it could not be, say why."""
        self._panel.busy = True
        try:
            self._control.changed(await call)
        except LinkError as error:
            self._say(sentences.sentence(error), "error")
        else:
            self._panel.close()
            self._say(done, "done")
        finally:
            self._panel.busy = False

    def _show(self, annotation: Annotation) -> None:
        self._panel.show(annotation.name, sentences.review(annotation), steps(annotation, self._role))
