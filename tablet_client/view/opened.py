"""What hand and keys ask of the volume that is open, passed on to what does it; nothing happens where none is."""

from __future__ import annotations

from typing import Any

from tablet_client.view.viewercontrol import ViewerControl


class Opened:
    """The parts of an open volume, by what is asked of them.

    Args:
        control: what is open.
    """

    def __init__(self, control: ViewerControl) -> None:
        self._control = control

    def pen(self, what: str, *how: Any) -> None:
        """What the pen does."""
        if self._control.pen is not None:
            getattr(self._control.pen, what)(*how)

    def lift(self, column: float, row: float, number: int) -> None:
        """The pen is lifted, perhaps from a stroke: other planes show where it ended."""
        work = self._control.work
        drawing = work is not None and work.document.running
        self.pen("up", column, row, number)
        if drawing:
            self.show("drawn", column, row, number)

    def show(self, what: str, *values: Any) -> None:
        """What is shown."""
        if self._control.showing is not None:
            getattr(self._control.showing, what)(*values)

    def step(self, steps: int, number: int = 0) -> None:
        """So many slices on, on the image of that number."""
        showing = self._control.showing
        if showing is not None and number:
            showing.scroll_beside(number - 1, steps)
        elif showing is not None:
            showing.look_at_slice(showing.index + steps)

    def look(self, what: str, *values: Any) -> None:
        """How it is shown."""
        if self._control.looking is not None:
            getattr(self._control.looking, what)(*values)

    def choose(self, what: str, *values: Any) -> None:
        """What is chosen."""
        if self._control.choosing is not None:
            getattr(self._control.choosing, what)(*values)

    def guide(self, what: str) -> None:
        """Where to look next."""
        if self._control.guiding is not None:
            getattr(self._control.guiding, what)()
