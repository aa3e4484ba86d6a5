"""Where to look next: the places that the service doubts, as long as nothing was drawn or chosen since it said so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from calque.v1 import segmentation_pb2

from tablet_client.state.document import Document
from tablet_client.state.geometry import Plane, PlaneInfo


@dataclass(frozen=True)
class Place:
    """A part of a slice that is in doubt, in pixels of its plane: first column and row, how many of each."""

    plane: Plane
    index: int
    column: int
    row: int
    columns: int
    rows: int


class Guide:
    """The service's newest advice, and how far the user has followed it.

    Args:
        planes: the volume's planes.

    Attributes:
        places: the best first.
        enough: more strokes would hardly change the mask: there is nowhere to go.
        expected_dice: Dice coefficient that the service expects of the mask at its own threshold; 0: it does not say.
    """

    def __init__(self, planes: Mapping[Plane, PlaneInfo]) -> None:
        self._planes = planes
        self.places: tuple[Place, ...] = ()
        self.enough = False
        self.expected_dice = 0.0
        self._given = False
        self._generation = 0
        self._least = 0
        self._entries = 0
        self._method: object = None
        self._followed = 0

    def take(self, advice: segmentation_pb2.Advice, newest: tuple[int, int], method: object) -> bool:
        """Take an advice.

        Args:
            advice: of the service; places that are not on the volume are left out.
            newest: generation of the newest probability that came, and the entries of the log that it takes into account.
            method: what the mask depends on beside the strokes, as it is now.

        Returns:
            False when it is of an older generation than what is shown, or than the last change of method: it was dropped.
        """
        if advice.generation < max(newest[0], self._generation, self._least):
            return False
        self._generation, self._entries, self._method = advice.generation, newest[1], method
        self.enough = advice.enough
        self.places = () if advice.enough else tuple(place for one in advice.places if (place := self._place(one)))
        self.expected_dice = advice.expected_dice if 0 < advice.expected_dice <= 1 else 0.0
        self._given, self._followed = True, 0
        return True

    def method_changed(self, newest: int) -> None:
        """The mask is asked for in another way: what the service still says of ``newest`` or before is of the old way."""
        self._least = newest + 1

    def restart(self) -> None:
        """The server opened the annotation anew and counts generations from the start."""
        self._generation = self._least = 0

    def holds(self, document: Document, method: object) -> bool:
        """The advice is of all that is drawn, computed in this way."""
        return self._given and self._method == method and not document.changed_since(self._entries)

    def upcoming(self, plane: Plane, index: int) -> Place | None:
        """The place to go to from a slice: the next one in another slice, or the only one."""
        if not self.places:
            return None
        ahead = [self.places[(self._followed + k) % len(self.places)] for k in range(len(self.places))]
        return next((place for place in ahead if (place.plane, place.index) != (plane, index)), ahead[0])

    def follow(self, plane: Plane, index: int) -> Place | None:
        """Go to the upcoming place; the one after it comes next, and after the last the first. Returns: it, or None."""
        place = self.upcoming(plane, index)
        if place is not None:
            self._followed = self.places.index(place) + 1
        return place

    def _place(self, place: segmentation_pb2.Place) -> Place | None:
        info = self._planes.get(Plane(place.plane)) if int(place.plane) in set(Plane) else None
        if info is None or place.slice >= info.slices:
            return None
        columns, rows = min(place.columns, info.columns - place.column), min(place.rows, info.rows - place.row)
        if columns < 1 or rows < 1:
            return None
        return Place(info.plane, place.slice, place.column, place.row, columns, rows)
