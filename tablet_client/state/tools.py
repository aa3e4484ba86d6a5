"""What the pen does, and how greys are shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

OBJECT_LABEL = 1
BACKGROUND_LABEL = 2

BRUSHES_MM = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0)
"""Brush sizes that a tap steps through, in millimetres."""


_LIGHT = 0.4  # of the width, where the pen only just touches


class Tool(Enum):
    """What a stroke of the pen does."""

    OBJECT = "object"
    BACKGROUND = "background"
    ERASER = "eraser"
    LASSO = "lasso"
    WINDOW = "window"

    @property
    def has_width(self) -> bool:
        """It draws a line of a width."""
        return self in (Tool.OBJECT, Tool.BACKGROUND, Tool.ERASER)

    @property
    def draws(self) -> bool:
        """It makes an event of the annotation."""
        return self is not Tool.WINDOW


TOOLS = {
    "object": Tool.OBJECT,
    "background": Tool.BACKGROUND,
    "eraser": Tool.ERASER,
    "lasso": Tool.LASSO,
    "contrast": Tool.WINDOW,
}
"""Tools by the names that the rail has for them."""


@dataclass(frozen=True)
class Toolbox:
    """The chosen tool.

    Attributes:
        tool: which.
        brush_mm: width of object and background strokes, in millimetres.
        eraser_mm: width of the eraser, in millimetres.
        label: what the lasso fills with: the label of the pen that was used last.
    """

    tool: Tool = Tool.OBJECT
    brush_mm: float = 2.0
    eraser_mm: float = 5.0
    label: int = OBJECT_LABEL

    @property
    def width_mm(self) -> float:
        """Width of the line that the tool draws."""
        return self.eraser_mm if self.tool is Tool.ERASER else self.brush_mm

    def pressed(self, pressure: float) -> float:
        """The width under a pen's pressure, 0 to 1, which most hands keep near a half: there it is `width_mm`."""
        return self.width_mm * (_LIGHT + 2 * (1 - _LIGHT) * min(1.0, max(0.0, pressure)))

    def chosen(self, tool: Tool) -> Toolbox:
        """With another tool."""
        label = {Tool.OBJECT: OBJECT_LABEL, Tool.BACKGROUND: BACKGROUND_LABEL}.get(tool, self.label)
        return replace(self, tool=tool, label=label)

    def sized(self, width_mm: float) -> Toolbox:
        """With another width of the tool, kept within `BRUSHES_MM`."""
        width = min(BRUSHES_MM[-1], max(BRUSHES_MM[0], width_mm))
        return replace(self, eraser_mm=width) if self.tool is Tool.ERASER else replace(self, brush_mm=width)

    def stepped(self, steps: int) -> Toolbox:
        """With the brush ``steps`` sizes thicker, or thinner when negative."""
        nearest = min(range(len(BRUSHES_MM)), key=lambda k: abs(BRUSHES_MM[k] - self.width_mm))
        return self.sized(BRUSHES_MM[min(len(BRUSHES_MM) - 1, max(0, nearest + steps))])


@dataclass(frozen=True)
class Window:
    """A contrast: intensities from ``low`` (black) to ``high`` (white), ``low < high``."""

    low: float
    high: float

    @classmethod
    def of(cls, low: float, high: float) -> Window:
        """From any two intensities; equal ones are set apart a little, so that nothing divides by zero."""
        low, high = min(low, high), max(low, high)
        least = max(1e-6, 1e-6 * max(abs(low), abs(high)))
        return cls(low, high) if high - low >= least else cls(low - least / 2, low + least / 2)

    @property
    def level(self) -> float:
        """The middle grey's intensity."""
        return (self.low + self.high) / 2

    @property
    def width(self) -> float:
        """From black to white."""
        return self.high - self.low

    def dragged(self, across: float, up: float, start: Window) -> Window:
        """The window after a drag: across for contrast, up for brightness, as in reading rooms.

        Args:
            across, up: way of the finger as a part of the image's size; 1 is the whole width or height. To the right
                widens the window, upwards darkens (raises the level).
            start: the volume's first window: the drag's sensitivity follows its width, which fits every modality.
        """
        width = min(max(self.width * 4.0**across, start.width / 1000), start.width * 100)
        level = self.level + up * start.width
        return Window.of(level - width / 2, level + width / 2)

    def brightness(self, intensity: float) -> float:
        """0 (black) to 1 (white) of an intensity."""
        return min(1.0, max(0.0, (intensity - self.low) / self.width))

    def greys(self, slope: float, intercept: float) -> tuple[float, float]:
        """Black and white as 16-bit greys (not rounded), for the shader; black is the larger one when slope < 0."""
        if slope == 0:
            return -1.0, 0.0
        return (self.low - intercept) / slope, (self.high - intercept) / slope
