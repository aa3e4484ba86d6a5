"""What the user looks at, as the server is told: one view at a time, the one that is worked on first.

The server computes the view that it was told last before all else. Where several are on the screen, each is asked for when
the one before it has come, and at the end the first again: so a stroke's answer comes where the stroke is.
"""

from __future__ import annotations

from collections.abc import Sequence

from calque.v1 import common_pb2, segmentation_pb2

from tablet_client.state.geometry import Plane
from tablet_client.state.probabilities import Probabilities
from tablet_client.state.slicecache import Key


class Views:
    """The views on the screen, and which of them the server is asked for.

    Args:
        probabilities: says which of them are up to date.

    Attributes:
        due: the server is to be told `message`.
    """

    def __init__(self, probabilities: Probabilities) -> None:
        self._probabilities = probabilities
        self._shown: tuple[Key, ...] = ()
        self._asked: Key | None = None
        self.due = False

    def look_at(self, shown: Sequence[Key]) -> None:
        """These are on the screen, the one that is worked on first."""
        self._shown = tuple(shown)
        self._ask(self._behind())

    def restart(self) -> None:
        """A server that knows nothing of it is to be told."""
        if self._shown:
            self._ask(self._shown[0])

    def came(self, plane: Plane, index: int) -> bool:
        """A probability came. Returns: another view is asked for."""
        if len(self._shown) < 2 or (plane, index) != self._asked:
            return False
        view = self._behind()
        if view == self._asked:
            return False
        self._ask(view)
        return True

    def message(self) -> segmentation_pb2.AnnotateView | None:
        """The view that is asked for; None before there is one."""
        if self._asked is None:
            return None
        plane, index = self._asked
        return segmentation_pb2.AnnotateView(plane=common_pb2.Plane.Name(plane.value), slice=index)

    def _behind(self) -> Key:
        """The first view that is older than what the server has; where none is, the first. The server does not send again
        what the tablet has already, so that asking for it would bring no others."""
        newest = self._probabilities.newest[0]
        behind = (view for view in self._shown if (self._probabilities.generation(*view) or 0) < newest)
        return next(behind, self._shown[0])

    def _ask(self, view: Key) -> None:
        self._asked, self.due = view, True
