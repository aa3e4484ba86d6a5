"""The annotations of a volume, as the server told them last."""

from __future__ import annotations

from calque.v1.common_pb2 import Label
from calque.v1.segmentation_pb2 import Annotation

from tablet_client.link.port import Link
from tablet_client.state.palette import free_colour, labels_in
from tablet_client.state.tools import OBJECT_LABEL


class Annotations:
    """Asks the server, and remembers what it said. Calls fail with a LinkError, and nothing is changed then.

    Attributes:
        known: the newest first.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self.known: list[Annotation] = []

    def find(self, annotation_id: str) -> Annotation | None:
        """One of those that are known."""
        return next((one for one in self.known if one.annotation_id == annotation_id), None)

    async def load(self, volume_id: str) -> None:
        """Ask for those of a volume."""
        self.known = await self._link.list_annotations(volume_id)

    async def create(self, volume_id: str, name: str = "", colour: int | None = None) -> Annotation:
        """Begin another one, in a colour that no other has, unless it is told."""
        labels = labels_in(free_colour(self.known) if colour is None else colour)
        created = await self._link.create_annotation(volume_id, name, labels)
        self.known.insert(0, created)
        return created

    async def recolour(self, annotation_id: str, colour: int) -> Annotation | None:
        """Give one of those that are known another colour. Returns: as it is now; None where it is not known."""
        one = self.find(annotation_id)
        if one is None:
            return None
        name = next((label.name for label in one.labels if label.value == OBJECT_LABEL), "Object")
        label = Label(value=OBJECT_LABEL, name=name, colour=colour)
        changed = await self._link.rename_annotation(annotation_id, labels=[label])
        self.known = [changed if other is one else other for other in self.known]
        return changed
