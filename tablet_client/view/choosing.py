"""What the user chooses of an open annotation: the switches, and the threshold that is the hand's or the service's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from calque.v1.segmentation_pb2 import PRESET_CALQUE, PRESET_PAPER
from kivy.clock import Clock

from tablet_client.state.choices import Choices, read_choices, write_choices
from tablet_client.view.rightcolumn import RightColumn
from tablet_client.view.showing import Showing
from tablet_client.view.work import Work

_KEEP_S = 0.5  # a finger on the slider makes many choices, of which the disk needs the last


class Choosing:
    """Shows the choices of an annotation on the right column, tells them to the server and keeps them on the tablet.

    Args:
        side: the right column.
        work: the open annotation.
        showing: shows its mask.
        folder: where choices are kept.
        before: those of the annotation before; what is a habit of them goes on where this one has none of its own.
        method_changed: told when the mask is asked for in another way.

    Attributes:
        choices: as they are.
        recalled: the annotation was open on this tablet before.
    """

    def __init__(
        self,
        side: RightColumn,
        work: Work,
        showing: Showing,
        folder: Path,
        before: Choices,
        method_changed: Callable[[], None],
    ) -> None:
        self._side, self._work, self._showing, self._folder = side, work, showing, folder
        self._method_changed = method_changed
        kept = read_choices(folder, work.annotation.annotation_id)
        self.recalled = kept is not None
        self._kept = kept or Choices()
        self.choices = kept or before.for_another()
        self._keep_soon = Clock.create_trigger(lambda _: self.keep(), _KEEP_S)
        self._tell()
        showing.threshold(self.choices.shown_threshold(0))
        self._show_threshold()

    def live(self, live: bool) -> None:
        """Compute after each stroke, or only when asked."""
        self._choose(replace(self.choices, live=live))

    def shape(self, shape: bool) -> None:
        """Go by where the strokes are as well as by looks, or by looks alone as the paper does."""
        self._choose(replace(self.choices, shape=shape))

    def connected(self, connected: bool) -> None:
        """Keep only what is connected with strokes, whatever the preset does."""
        self._choose(replace(self.choices, connected=connected))

    def fill_holes(self, fill_holes: bool) -> None:
        """Fill what the mask encloses, whatever the preset does."""
        self._choose(replace(self.choices, fill_holes=fill_holes))

    def threshold(self, threshold: int) -> None:
        """The hand moves the slider: from now on it is the hand's."""
        self.choices = self.choices.moved(threshold)
        self._show_threshold()
        self._keep_soon()

    def hand_over(self) -> None:
        """Give the slider back to the service, or take it again where the hand had left it."""
        if self._work.probabilities.suggested:
            self.choices = self.choices.handed_over(int(self._side.threshold))
            self._show_threshold()
            self._keep_soon()

    def suggested(self) -> None:
        """A newer probability came, perhaps with another threshold."""
        self._show_threshold()

    def keep(self) -> None:
        """Have the choices on the tablet's disk, if there is room."""
        self._keep_soon.cancel()
        if self.choices != self._kept:
            self.keep_anyway()

    def keep_anyway(self) -> None:
        """A mask was saved at this threshold: opened again, the annotation shows it, whoever chose the threshold."""
        if write_choices(self._folder, self._work.annotation.annotation_id, self.choices):
            self._kept = self.choices

    def _choose(self, choices: Choices) -> None:
        other = choices.method != self.choices.method
        self.choices = choices
        self._tell()
        if other:
            self._method_changed()
        self._keep_soon()

    def _tell(self) -> None:
        """The switches to the screen and to the server."""
        side, choices = self._side, self.choices
        side.live, side.shape = choices.live, choices.shape
        side.connected, side.fill_holes = choices.shows_connected, choices.shows_filled
        self._work.keeper.configure(
            live=choices.live,
            preset=PRESET_CALQUE if choices.shape else PRESET_PAPER,
            connected=choices.connected,
            fill_holes=choices.fill_holes,
        )

    def _show_threshold(self) -> None:
        """The slider where it belongs; nothing is redrawn where it stands there already."""
        side, suggested = self._side, self._work.probabilities.suggested
        side.suggested, side.by_hand = suggested, self.choices.by_hand
        shown = self.choices.shown_threshold(suggested)
        if shown != int(side.threshold):
            self._showing.threshold(shown)
