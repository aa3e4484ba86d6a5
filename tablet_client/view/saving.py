"""Saving the mask that is shown, once the server has every stroke of it."""

from __future__ import annotations

from collections.abc import Callable

from calque.v1.segmentation_pb2 import Mask

from tablet_client.link.port import Link, LinkError, Step
from tablet_client.state.words import _
from tablet_client.view import sentences
from tablet_client.view.choosing import Choosing
from tablet_client.view.toast import Say
from tablet_client.view.viewer import Viewer
from tablet_client.view.work import Work


class Saving:
    """Saves a mask at a time.

    Args:
        link: the services.
        viewer: the screen, whose threshold counts.
        say: shows a sentence.
        changed: told when it begins and when it has ended.

    Attributes:
        busy: a mask is on its way.
        last: what was saved last of the annotation that is open; None: nothing.
    """

    def __init__(self, link: Link, viewer: Viewer, say: Say, changed: Callable[[], None]) -> None:
        self._link, self._viewer, self._say, self._changed = link, viewer, say, changed
        self.busy = False
        self.last: Mask | None = None

    async def save(self, work: Work, choosing: Choosing) -> None:
        """Keep the mask at the threshold that is shown, or say why not."""
        if self.busy:
            return
        threshold = int(self._viewer.side.threshold)
        self.busy = True
        self._changed()
        try:
            if (held_up := await work.all_sent()) is not None:
                later = _("There is no connection: the mask can be saved when the server answers again.")
                self._say(later if held_up.retry else sentences.sentence(held_up), "error")
                return
            mask = await self._link.save_mask(work.annotation.annotation_id, threshold, self._step)
            if not work.ended:
                self.last = mask
            choosing.keep_anyway()
            self._say(_("Mask saved: {volume}").format(volume=sentences.millilitres(mask.object_ml)), "done")
        except LinkError as error:
            self._say(sentences.sentence(error), "error")
        finally:
            self.busy = False
            self._viewer.bar.progress = 0.0
            self._changed()

    def _step(self, step: Step) -> None:
        self._viewer.bar.progress = step.done / step.total if step.total else 0.0
