"""Where an image lies on the screen: fitted, zoomed, panned, always in true proportions.

Screen coordinates are those of the widget, y upwards; image coordinates are pixels, centres at integers, rows downwards.
A `Viewport` never changes: every gesture makes a new one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tablet_client.state.geometry import PlaneInfo

MOST_ZOOM = 40.0


@dataclass(frozen=True)
class Viewport:
    """An image in a rectangle of the screen.

    Attributes:
        x, y, width, height: the rectangle, in screen pixels.
        columns, rows: size of the image.
        column_mm, row_mm: distance of neighbouring columns and rows, in millimetres.
        zoom: 1 fits the whole image; at most `MOST_ZOOM`.
        centre: image point (column, row) shown at the middle of the rectangle.
    """

    x: float
    y: float
    width: float
    height: float
    columns: int
    rows: int
    column_mm: float
    row_mm: float
    zoom: float
    centre: tuple[float, float]

    @classmethod
    def fit(cls, plane: PlaneInfo, rectangle: tuple[float, float, float, float]) -> Viewport:
        """The whole image, as large as it can be, in ``(x, y, width, height)``."""
        x, y, width, height = rectangle
        middle = ((plane.columns - 1) / 2, (plane.rows - 1) / 2)
        size = (max(1.0, width), max(1.0, height))
        return cls(x, y, *size, plane.columns, plane.rows, plane.column_mm, plane.row_mm, 1.0, middle)

    @property
    def pixels_per_mm(self) -> float:
        """Scale: screen pixels of one millimetre, the same in both directions."""
        fitting = min(self.width / (self.columns * self.column_mm), self.height / (self.rows * self.row_mm))
        return fitting * self.zoom

    def to_image(self, x: float, y: float) -> tuple[float, float]:
        """Screen point → image point (column, row); may lie beside the image."""
        scale = self.pixels_per_mm
        column = self.centre[0] + (x - self.x - self.width / 2) / (scale * self.column_mm)
        row = self.centre[1] - (y - self.y - self.height / 2) / (scale * self.row_mm)
        return column, row

    def to_screen(self, column: float, row: float) -> tuple[float, float]:
        """Image point → screen point."""
        scale = self.pixels_per_mm
        x = self.x + self.width / 2 + (column - self.centre[0]) * scale * self.column_mm
        y = self.y + self.height / 2 - (row - self.centre[1]) * scale * self.row_mm
        return x, y

    @property
    def image_rectangle(self) -> tuple[float, float, float, float]:
        """``(x, y, width, height)`` of the whole image on the screen, outer edges of its pixels; x, y is its lower left."""
        left, top = self.to_screen(-0.5, -0.5)
        right, bottom = self.to_screen(self.columns - 0.5, self.rows - 0.5)
        return left, bottom, right - left, top - bottom

    def zoomed(self, factor: float, x: float, y: float) -> Viewport:
        """Zoomed by ``factor`` with the image point under the screen point ``(x, y)`` held still."""
        zoom = min(MOST_ZOOM, max(1.0, self.zoom * factor))
        column, row = self.to_image(x, y)
        kept = self.zoom / zoom
        centre = (column + (self.centre[0] - column) * kept, row + (self.centre[1] - row) * kept)
        return replace(self, zoom=zoom, centre=centre)._held()

    def panned(self, dx: float, dy: float) -> Viewport:
        """Moved by screen pixels, as if the image were held by a finger."""
        scale = self.pixels_per_mm
        column = self.centre[0] - dx / (scale * self.column_mm)
        row = self.centre[1] + dy / (scale * self.row_mm)
        return replace(self, centre=(column, row))._held()

    def showing(self, column: float, row: float) -> Viewport:
        """The same where the image point is in sight, else with it in the middle."""
        x, y = self.to_screen(column, row)
        if self.x <= x <= self.x + self.width and self.y <= y <= self.y + self.height:
            return self
        return replace(self, centre=(column, row))._held()

    def resized(self, rectangle: tuple[float, float, float, float]) -> Viewport:
        """The same zoom and middle in another rectangle (the tablet was turned, a panel opened)."""
        x, y, width, height = rectangle
        return replace(self, x=x, y=y, width=max(1.0, width), height=max(1.0, height))._held()

    def fitted(self) -> Viewport:
        """The whole image again."""
        return replace(self, zoom=1.0, centre=((self.columns - 1) / 2, (self.rows - 1) / 2))

    def scale_bar(self, most: float) -> tuple[float, float]:
        """A bar of a round length, not longer than ``most`` screen pixels.

        Returns:
            Millimetres, one of 1, 2 or 5 times a power of ten, and its length in screen pixels.
        """
        mm = round_length(most / self.pixels_per_mm)
        return mm, mm * self.pixels_per_mm

    def _held(self) -> Viewport:
        """The middle of the screen stays on the image, which is centred where it is smaller than the screen."""
        scale = self.pixels_per_mm
        column = _hold(self.centre[0], self.columns, self.width / (scale * self.column_mm))
        row = _hold(self.centre[1], self.rows, self.height / (scale * self.row_mm))
        return replace(self, centre=(column, row))


def round_length(most: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not over ``most`` > 0.

    >>> [round_length(mm) for mm in (49.9, 50.0, 0.3, 1.0, 19.0)]
    [20.0, 50.0, 0.2, 1.0, 10.0]
    """
    steps = [float(f"{digit}e{power}") for power in range(-6, 7) for digit in (1, 2, 5)]
    return max((step for step in steps if step <= most * (1 + 1e-12)), default=steps[0])


def _hold(centre: float, count: int, shown: float) -> float:
    """A centre along one axis: fixed to the middle where all ``count`` pixels are shown, else on the image."""
    if shown >= count:
        return (count - 1) / 2
    return min(count - 0.5, max(-0.5, centre))
