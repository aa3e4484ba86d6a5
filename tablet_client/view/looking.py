"""How the open volume is shown: takes what the user chooses of it, applies it to the image, and keeps it on the tablet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kivy.clock import Clock

from tablet_client.state.contrast import OF_A_SLICE, preset_window, presets
from tablet_client.state.look import Look, write_look
from tablet_client.state.palette import safe
from tablet_client.state.tools import Window
from tablet_client.view import theme
from tablet_client.view.pen import Pen
from tablet_client.view.showing import Showing
from tablet_client.view.slicecanvas import STYLES
from tablet_client.view.viewer import Viewer
from tablet_client.view.work import Work

_KEEP_S = 0.5  # a finger on a slider makes many looks, of which the disk needs the last


class Looking:
    """Shows a volume with a look, and changes it.

    Args:
        viewer: the screen.
        work: the open annotation.
        showing: which slice is seen.
        pen: starts its drags from the contrast.
        folder: where looks are kept.
        look: to begin with.

    Attributes:
        look: as it is.
    """

    def __init__(self, viewer: Viewer, work: Work, showing: Showing, pen: Pen, folder: Path, look: Look) -> None:
        self._viewer, self._work, self._showing, self._pen, self._folder = viewer, work, showing, pen, folder
        self.look = self._kept = look
        self._keep_soon = Clock.create_trigger(lambda _: self.keep(), _KEEP_S)
        viewer.menu.display.presets = [tuple(preset) for preset in presets(work.volume)]
        self._show()

    def contrast(self, window: Window) -> None:
        """The hand dragged the contrast."""
        self._choose(self.look.windowed(window))

    def preset(self, name: str) -> None:
        """A contrast by name."""
        greys = self._work.greys.get(self._showing.plane, self._showing.index)
        window = preset_window(name, self._work.volume, greys)
        if window is not None:
            self._choose(self.look.windowed(window, name))

    def equalised(self, equalised: bool) -> None:
        """Spread the greys of each slice by their histogram, or not."""
        self._choose(replace(self.look, equalised=equalised))

    def smooth(self, smooth: bool) -> None:
        """Interpolate between pixels, or show them as they are."""
        self._choose(replace(self.look, smooth=smooth))

    def style(self, style: str) -> None:
        """Another way of drawing the result."""
        self._choose(replace(self.look, style=style))

    def fill(self, fill: float) -> None:
        """Another opacity of the mask."""
        self._choose(replace(self.look, fill=fill))

    def colour_blind(self, colour_blind: bool) -> None:
        """Object and background in colours that everyone tells apart, or in the annotation's."""
        self._choose(replace(self.look, colour_blind=colour_blind))

    def three(self, three: bool) -> None:
        """The other two planes beside the image, or it alone; not while the pen is down."""
        if not self._showing.busy:
            self._choose(replace(self.look, three=three))

    def follow(self) -> None:
        """Another slice is seen, or its greys came: a contrast that is a slice's own is taken from this one."""
        name = self.look.contrast
        if name in OF_A_SLICE:
            greys = self._work.greys.get(self._showing.plane, self._showing.index)
            window = preset_window(name, self._work.volume, greys)
            if window is not None and self.look != (look := self.look.windowed(window, name)):
                self.look = look
                self._contrast()
                self._keep_soon()

    def keep(self) -> None:
        """Have the look on the tablet's disk, if there is room."""
        self._keep_soon.cancel()
        if self.look != self._kept and write_look(self._folder, self._work.volume.volume_id, self.look):
            self._kept = self.look

    def _choose(self, look: Look) -> None:
        self.look = look
        self._show()
        self._keep_soon()

    def _show(self) -> None:
        look, display = self.look, self._viewer.menu.display
        display.contrast, display.equalised, display.smooth = look.contrast, look.equalised, look.smooth
        display.fill, display.colour_blind = look.fill, look.colour_blind
        self._viewer.side.style = look.style
        if self._viewer.three is not look.three:
            self._showing.three(look.three)
        for image in self._viewer.images:
            image.picture.uniforms(style=STYLES[look.style], fill=look.fill, soft=float(look.smooth))
        self.colours()
        self._contrast()

    def _contrast(self) -> None:
        volume = self._work.volume
        window = self.look.window(Window.of(volume.window_low, volume.window_high))
        self._pen.window = window
        black, white = window.greys(volume.grey_slope, volume.grey_intercept)
        for image in self._viewer.images:
            image.picture.window(black, white, equalised=self.look.equalised)

    def colours(self) -> None:
        """Image and rails in the annotation's colours."""
        labels = self._work.annotation.labels
        colours = [label.colour for label in labels] or list(theme.LABEL_COLOURS)
        if self.look.colour_blind:
            colours = safe(colours)
        viewer = self._viewer
        for image in viewer.images:
            image.picture.palette(colours)
        viewer.rail.background_color = theme.rgba(colours[1])
        for part in (viewer.rail, viewer.side, viewer.slices, viewer.menu.display):
            part.object_color = theme.rgba(colours[0])
