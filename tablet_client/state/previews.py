"""Slices of a volume that is still being read, as they come: which there are, and which one is shown."""

from __future__ import annotations

from calque.v1 import volumes_pb2


class Previews:
    """Pictures of the acquisition slices.

    Attributes:
        slices: how many there will be; 0 while none has come.
        shown: number of the slice to show: the newest, until one was picked; None while none has come.
    """

    def __init__(self) -> None:
        self.slices = 0
        self.shown: int | None = None
        self._pictures: dict[int, bytes] = {}
        self._picked = False

    @property
    def come(self) -> list[int]:
        """Numbers of the slices that have come, ascending."""
        return sorted(self._pictures)

    @property
    def picture(self) -> bytes:
        """The JPEG to show; empty while none has come."""
        return b"" if self.shown is None else self._pictures[self.shown]

    def add(self, preview: volumes_pb2.ImportPreview) -> None:
        """A slice has come. Of a stack of another size: the server begins anew, and so do these."""
        if preview.plane.slices != self.slices:
            self._pictures, self._picked, self.slices = {}, False, preview.plane.slices
        self._pictures[preview.slice] = preview.picture
        if not self._picked:
            self.shown = preview.slice

    def pick(self, index: int) -> None:
        """Show the slice nearest to ``index`` of those that have come, from now on."""
        if self._pictures:
            self._picked = True
            self.shown = min(self.come, key=lambda slice: (abs(slice - index), slice))
