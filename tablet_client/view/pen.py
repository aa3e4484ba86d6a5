"""What the pen does on the image: strokes, eraser, lasso, contrast. Ink is on the screen before the event returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tablet_client.state.document import Box, Document, Event
from tablet_client.state.geometry import Plane, VolumeInfo
from tablet_client.state.path import NEAREST_POINTS
from tablet_client.state.tools import BACKGROUND_LABEL, OBJECT_LABEL, Tool, Toolbox, Window
from tablet_client.view import theme
from tablet_client.view.imageview import ImageView

_LABEL = {Tool.OBJECT: OBJECT_LABEL, Tool.BACKGROUND: BACKGROUND_LABEL}


class Pen:
    """Turns places under the pen into ink and events.

    Args:
        images: where one draws, by their numbers; the first is the large one.
        volume: what is drawn on.
        document: takes strokes.
        submit: takes finished events.
        may_draw: says of the image of a number whether drawing is possible there, and tells the user why not.
        contrast: takes another contrast.

    Attributes:
        toolbox: what is in the hand.
        places: plane and slice of each image that is shown.
        window: the contrast that is shown.
        pressing: the pen's pressure changes the width.
    """

    def __init__(
        self,
        images: Sequence[ImageView],
        volume: VolumeInfo,
        document: Document,
        toolbox: Toolbox,
        submit: Callable[[Event], None],
        may_draw: Callable[[int], bool],
        contrast: Callable[[Window], None],
    ) -> None:
        self._images, self._volume, self._document = images, volume, document
        self._submit, self._may_draw, self._contrast = submit, may_draw, contrast
        self.places: tuple[tuple[Plane, int], ...] = ((volume.acquisition, 0),)
        self.pressing = False
        self._on = 0
        self.window = Window.of(volume.window_low, volume.window_high)
        self._drag: tuple[float, float, Window] | None = None
        self.take(toolbox)

    def take(self, toolbox: Toolbox) -> None:
        """Another tool in the hand; a stroke that is being drawn goes on with what it began with."""
        self.toolbox = toolbox
        if not self.busy:
            self._use(toolbox)

    @property
    def busy(self) -> bool:
        """The pen is down."""
        return self._document.running or self._drag is not None

    @property
    def place(self) -> tuple[Plane, int]:
        """Plane and slice of the image on which the pen is; of the first while it is on none."""
        return self.places[self._on]

    def down(self, column: float, row: float, tool: Tool | None = None, number: int = 0) -> None:
        """The pen touches an image, with another tool than the chosen one where its other end or a button does so."""
        if self.busy or number >= len(self.places):
            return
        self._on = number
        self._use(self.toolbox.chosen(tool or self.toolbox.tool))
        if self._used.tool is Tool.WINDOW:
            self._drag = (column, row, self.window)
        elif self._volume.planes[self.place[0]].holds(column, row) and self._may_draw(number):
            self._begin(column, row)

    def move(self, column: float, row: float, number: int = 0) -> None:
        """The pen moves."""
        if number != self._on:
            return
        if self._drag is not None:
            self._turn(column, row)
        elif self._document.running:
            self._extend(column, row)

    def up(self, column: float, row: float, number: int = 0) -> None:
        """The pen is lifted."""
        if number != self._on:
            return
        self._drag = None
        if self._document.running:
            self._extend(column, row)
            self._submit(self._document.finish())
        self._rest()

    def cancel(self, number: int | None = None) -> None:
        """It was no stroke; what is drawn on an image of another number goes on."""
        if number not in (None, self._on):
            return
        if self._drag is not None:
            self._contrast(self._drag[2])
            self._drag = None
        if self._document.running:
            self._document.cancel()
            self.show_ink()
        self._rest()

    def show_ink(self) -> None:
        """All ink of the image on which the pen is, anew."""
        self._image.picture.show_labels(self._document.label_image(*self.place))

    @property
    def _image(self) -> ImageView:
        return self._images[self._on]

    def _use(self, toolbox: Toolbox) -> None:
        """Draw with this tool, and show how wide it is."""
        self._used = toolbox
        colour = theme.QUIET if toolbox.tool is Tool.ERASER else self._image.picture.colour(toolbox.label)
        for image in self._images:
            image.tracing.brush(toolbox.width_mm if toolbox.tool.has_width else 0.0, colour)

    def _rest(self) -> None:
        """Nothing is being drawn."""
        self._image.tracing.follow([], [])
        self._on = 0
        self._use(self.toolbox)

    def _begin(self, column: float, row: float) -> None:
        plane, index = self.place
        tool, width = self._used.tool, self._used.width_mm
        if tool is Tool.ERASER:
            self._show(self._document.begin_erase(plane, index, width, column, row, self._here()))
        elif tool is Tool.LASSO:
            self._document.begin_lasso(plane, index, self._used.label, column, row)
        else:
            self._show(self._document.begin_stroke(plane, index, _LABEL[tool], width, column, row, self._here()))

    def _extend(self, column: float, row: float) -> None:
        if self._used.tool is Tool.LASSO:
            if self._document.extend(column, row) is not None:
                self._image.tracing.follow(*self._document.path)
            return
        if self._document.full:  # an event holds only so many points: the line goes on as another stroke
            x, y = self._document.path
            if max(abs(column - x[-1]), abs(row - y[-1])) < NEAREST_POINTS:
                return
            self._submit(self._document.finish())
            self._begin(x[-1], y[-1])
        self._show(self._document.extend(column, row, self._here()))

    def _here(self) -> float | None:
        """Width under the pen's pressure; None where it changes none."""
        pressure = self._image.pressure if self.pressing else None
        return None if pressure is None else self._used.pressed(pressure)

    def _show(self, box: Box | None) -> None:
        if box is None:
            return
        self._image.picture.labels = self._document.label_image(*self.place)
        self._image.picture.touch_labels((box.left, box.top, box.right - box.left, box.bottom - box.top))

    def _turn(self, column: float, row: float) -> None:
        """A drag of the contrast tool, as a part of the screen's size."""
        if self._drag is None:
            return
        column0, row0, window = self._drag
        view = self._image.view
        scale = view.pixels_per_mm
        across = (column - column0) * view.column_mm * scale / view.width
        up = (row0 - row) * view.row_mm * scale / view.height
        start = Window.of(self._volume.window_low, self._volume.window_high)
        self._contrast(window.dragged(across, up, start))
