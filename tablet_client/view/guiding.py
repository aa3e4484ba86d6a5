"""Where to look next, on the screen: marks in the slice bar, the button beside it, and the place itself for a moment."""

from __future__ import annotations

from calque.v1.segmentation_pb2 import Advice, Statistics
from kivy.clock import Clock

from tablet_client.view import sentences
from tablet_client.view.choosing import Choosing
from tablet_client.view.showing import Showing
from tablet_client.view.viewer import Viewer
from tablet_client.view.work import Work

OUTLINE_S = 2.0
"""Seconds that the place is outlined after one went to it."""


class Guiding:
    """Shows the service's advice on an open annotation as long as it holds, and goes where it says when asked.

    Args:
        viewer: the screen.
        work: the open annotation.
        showing: what is seen of it.
        choosing: how it is computed.
    """

    def __init__(self, viewer: Viewer, work: Work, showing: Showing, choosing: Choosing) -> None:
        self._viewer, self._work, self._showing, self._choosing = viewer, work, showing, choosing
        self._statistics = Statistics()
        self._quiet_soon = Clock.create_trigger(lambda _: self.quiet(), OUTLINE_S)
        self.refresh()

    @property
    def holds(self) -> bool:
        """There is an advice, and it is of what is drawn and chosen now."""
        method = self._choosing.choices.method
        return self._showing.segmentable and self._work.guide.holds(self._work.document, method)

    def advice(self, advice: Advice) -> None:
        """The service says where to look."""
        if self._work.guide.take(advice, self._work.probabilities.newest, self._choosing.choices.method):
            self.refresh()

    def statistics(self, statistics: Statistics) -> None:
        """The service says how long it took."""
        self._statistics = statistics
        self._details()

    def method_changed(self) -> None:
        """The mask is asked for in another way: an advice on the old one holds no longer."""
        self._work.guide.method_changed(self._work.probabilities.newest[0])
        self.refresh()

    def moved(self) -> None:
        """Another slice or plane is shown."""
        self.quiet()
        self.refresh()

    def refresh(self) -> None:
        """Ink, slice, plane or advice changed."""
        guide, slices, plane = self._work.guide, self._viewer.slices, self._showing.plane
        holds = self.holds
        upcoming = guide.upcoming(plane, self._showing.index) if holds else None
        slices.doubts = tuple(place.index for place in guide.places if place.plane is plane) if holds else ()
        slices.upcoming = upcoming.index if upcoming is not None and upcoming.plane is plane else -1
        slices.enough = holds and guide.enough
        slices.next_text = sentences.next_slice(upcoming)
        slices.next_plane = sentences.plane_name(upcoming.plane) if upcoming is not None else ""
        self._details()

    def next(self) -> None:
        """Go to the upcoming place, and outline it for a moment; not while the pen is down."""
        showing, guide = self._showing, self._work.guide
        place = guide.follow(showing.plane, showing.index) if self.holds and not showing.busy else None
        if place is not None:
            showing.look_at(place.plane, place.index)
            self._viewer.image.outline(place.column, place.row, place.columns, place.rows)
            self._quiet_soon.cancel()  # that of the place before
            self._quiet_soon()
            self.refresh()

    def quiet(self) -> None:
        """The outline goes."""
        self._quiet_soon.cancel()
        self._viewer.image.region = None

    def _details(self) -> None:
        guide = self._work.guide
        dice = guide.expected_dice if self.holds else 0.0
        self._viewer.menu.details = sentences.details(self._statistics, dice, self._work.probabilities.suggested)
