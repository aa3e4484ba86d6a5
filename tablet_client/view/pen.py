"""What the pen does on the image: strokes, eraser, lasso, contrast. Ink is on the screen before the event returns."""

from __future__ import annotations

from collections.abc import Callable

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
        image: where one draws.
        volume: what is drawn on.
        document: takes strokes.
        submit: takes finished events.
        may_draw: says whether drawing is possible, and tells the user why not.
        contrast: takes another contrast.

    Attributes:
        toolbox: what is in the hand.
        place: plane and slice that are shown.
        window: the contrast that is shown.
    """

    def __init__(
        self,
        image: ImageView,
        volume: VolumeInfo,
        document: Document,
        toolbox: Toolbox,
        submit: Callable[[Event], None],
        may_draw: Callable[[], bool],
        contrast: Callable[[Window], None],
    ) -> None:
        self._image, self._volume, self._document = image, volume, document
        self._submit, self._may_draw, self._contrast = submit, may_draw, contrast
        self.place: tuple[Plane, int] = (volume.acquisition, 0)
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

    def down(self, column: float, row: float, tool: Tool | None = None) -> None:
        """The pen touches the image, with another tool than the chosen one where its other end or a button does so."""
        self._use(self.toolbox.chosen(tool or self.toolbox.tool))
        if self._used.tool is Tool.WINDOW:
            self._drag = (column, row, self.window)
        elif self._volume.planes[self.place[0]].holds(column, row) and self._may_draw():
            self._begin(column, row)

    def move(self, column: float, row: float) -> None:
        """The pen moves."""
        if self._drag is not None:
            self._turn(column, row)
        elif self._document.running:
            self._extend(column, row)

    def up(self, column: float, row: float) -> None:
        """The pen is lifted."""
        self._drag = None
        if self._document.running:
            self._extend(column, row)
            self._submit(self._document.finish())
        self._rest()

    def cancel(self) -> None:
        """It was no stroke."""
        if self._drag is not None:
            self._contrast(self._drag[2])
            self._drag = None
        if self._document.running:
            self._document.cancel()
            self.show_ink()
        self._rest()

    def show_ink(self) -> None:
        """The whole slice's ink, anew."""
        self._image.picture.show_labels(self._document.label_image(*self.place))

    def _use(self, toolbox: Toolbox) -> None:
        """Draw with this tool, and show how wide it is."""
        self._used = toolbox
        colour = theme.QUIET if toolbox.tool is Tool.ERASER else self._image.picture.colour(toolbox.label)
        self._image.tracing.brush(toolbox.width_mm if toolbox.tool.has_width else 0.0, colour)

    def _rest(self) -> None:
        """Nothing is being drawn."""
        self._image.tracing.follow([], [])
        self._use(self.toolbox)

    def _begin(self, column: float, row: float) -> None:
        plane, index = self.place
        tool, width = self._used.tool, self._used.width_mm
        if tool is Tool.ERASER:
            self._show(self._document.begin_erase(plane, index, width, column, row))
        elif tool is Tool.LASSO:
            self._document.begin_lasso(plane, index, self._used.label, column, row)
        else:
            self._show(self._document.begin_stroke(plane, index, _LABEL[tool], width, column, row))

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
        self._show(self._document.extend(column, row))

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
