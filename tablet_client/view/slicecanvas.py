# mypy: disallow-subclassing-any=False
"""One slice on the screen: its textures, its uniforms, and the rectangle that it fills."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from kivy.graphics import BindTexture, Rectangle, RenderContext
from kivy.graphics.texture import Texture
from kivy.metrics import dp
from kivy.uix.widget import Widget
from numpy.typing import NDArray

from tablet_client.state.contrast import equalised
from tablet_client.state.viewport import Viewport
from tablet_client.view import theme
from tablet_client.view.sliceshader import CROWDED, FRAGMENT

STYLES = {"hidden": 0.0, "mask": 1.0, "outline": 2.0, "wash": 3.0}
_ALL_GREYS = (0.0, 65535.0)
Rect = tuple[int, int, int, int]
"""Part of an image: first column, first row, columns, rows."""


class SliceCanvas(Widget):
    """Draws greys, ink and probability of one slice.

    The arrays that it is given are kept, not copied: the label array may be changed in place and then be announced by
    `touch_labels`. All methods belong on the main thread, as everything that calls OpenGL does.
    """

    def __init__(self, **kwargs: Any) -> None:
        self.canvas = RenderContext(use_parent_projection=True, use_parent_modelview=True, fs=FRAGMENT)
        super().__init__(**kwargs)
        self.greys: NDArray[np.uint16] = np.zeros((1, 1), np.uint16)
        self.labels: NDArray[np.uint8] = np.zeros((1, 1), np.uint8)
        self.levels: NDArray[np.uint8] | None = None
        self._palette = np.zeros((1, 16, 4), np.uint8)
        with self.canvas:
            self._binds = [BindTexture(index=k) for k in (1, 2, 3)]
            self._rectangle = Rectangle(size=(0, 0))
        for index, name in enumerate(("labels", "levels", "palette"), start=1):
            self.canvas[name] = index
        self._palette_texture = self._texture((16, 1), "rgba", self._upload_palette)
        self._binds[2].texture = self._palette_texture
        self.palette(theme.LABEL_COLOURS)
        self.uniforms(soft=1.0, has_levels=0.0, threshold=128.0, fill=0.35, outline=dp(1.5), style=1.0, ink=1.0, bare=0.0)
        self._equalised = False
        self._window = _ALL_GREYS
        self.canvas["grey_window"] = _ALL_GREYS
        self.canvas["mask_color"] = tuple(theme.OBJECT)
        self.canvas["pixel_size"] = (1.0, 1.0)
        self._make((1, 1))

    def uniforms(self, **values: float) -> None:
        """Set numbers of the shader by name: soft, threshold, fill, outline, style, ink, bare."""
        for name, value in values.items():
            self.canvas[name] = float(value)

    def window(self, black: float, white: float, *, equalised: bool = False) -> None:
        """Which 16-bit greys are black and white; black is the larger one where intensity falls with grey. What lies
        between may be spread by the histogram of the slice."""
        anew = equalised or self._equalised
        self._window, self._equalised = (float(black), float(white)), equalised
        self.canvas["grey_window"] = _ALL_GREYS if equalised else self._window
        if anew:
            self._upload_greys()

    def palette(self, colours: Sequence[int]) -> None:
        """Colours of labels 1, 2, … as ``0xRRGGBB``; the mask has the first."""
        for label, colour in enumerate(colours[:15], start=1):
            self._palette[0, label] = (colour >> 16 & 255, colour >> 8 & 255, colour & 255, 255)
        self.canvas["mask_color"] = tuple(theme.rgba(colours[0]))
        self._upload_palette()

    def colour(self, label: int) -> theme.Colour:
        """Colour of a label, as Kivy has it."""
        return [float(part) / 255 for part in self._palette[0, label]]

    def show_greys(self, greys: NDArray[np.uint16]) -> None:
        """Another slice ``(rows, columns)``; of another size, ink and probability start empty."""
        self.greys = greys
        if (greys.shape[1], greys.shape[0]) != self._size:
            self._make((greys.shape[1], greys.shape[0]))
        self._upload_greys()

    def blank(self, shape: tuple[int, int]) -> None:
        """Black, ``(rows, columns)``, until the greys come."""
        self.show_greys(np.zeros(shape, np.uint16))

    def show_labels(self, labels: NDArray[np.uint8]) -> None:
        """The ink of the slice, ``(rows, columns)``."""
        self.labels = labels
        self._upload_labels()

    def touch_labels(self, part: Rect) -> None:
        """A part of the ink has changed in place."""
        column, row, columns, rows = part
        if columns > 0 and rows > 0:
            piece = np.ascontiguousarray(self.labels[row : row + rows, column : column + columns])
            self._blit(self._label_texture, piece, "luminance", (column, row))

    def show_levels(self, levels: NDArray[np.uint8] | None) -> None:
        """The probability × 255 of the slice, ``(rows, columns)``, or None while there is none."""
        self.levels = levels
        self._upload_levels()
        self.canvas["has_levels"] = 0.0 if levels is None else 1.0

    def place(self, view: Viewport) -> None:
        """Draw where the viewport says, cut at its rectangle."""
        left, low, wide, tall = view.image_rectangle
        x0, x1 = max(left, view.x), min(left + wide, view.x + view.width)
        y0, y1 = max(low, view.y), min(low + tall, view.y + view.height)
        u0, u1 = (x0 - left) / wide, (x1 - left) / wide
        v0, v1 = 1 - (y0 - low) / tall, 1 - (y1 - low) / tall
        self._rectangle.pos = (x0, y0)
        self._rectangle.size = (max(0.0, x1 - x0), max(0.0, y1 - y0))
        self._rectangle.tex_coords = (u0, v0, u1, v0, u1, v1, u0, v1)
        scale = view.pixels_per_mm
        pixel_size = (scale * view.column_mm, scale * view.row_mm)
        self.canvas["pixel_size"] = pixel_size
        fragment = CROWDED if min(pixel_size) < 1.0 else FRAGMENT
        if self.canvas.shader.fs != fragment:
            self.canvas.shader.fs = fragment

    def _make(self, size: tuple[int, int]) -> None:
        """Textures for images of another size."""
        self._size = size
        columns, rows = size
        if self.greys.shape != (rows, columns):
            self.greys = np.zeros((rows, columns), np.uint16)
        self.labels = np.zeros((rows, columns), np.uint8)
        self.levels = None
        self.canvas["has_levels"] = 0.0
        self.canvas["image_size"] = (float(columns), float(rows))
        coordinates = self._rectangle.tex_coords
        self._grey_texture = self._texture(size, "luminance_alpha", self._upload_greys)
        self._label_texture = self._texture(size, "luminance", self._upload_labels)
        self._level_texture = self._texture(size, "luminance", self._upload_levels)
        self._rectangle.texture = self._grey_texture
        self._rectangle.tex_coords = coordinates
        self._binds[0].texture, self._binds[1].texture = self._label_texture, self._level_texture
        self._upload_labels()

    @staticmethod
    def _texture(size: tuple[int, int], layout: str, refill: Any) -> Any:
        texture = Texture.create(size=size, colorfmt=layout, bufferfmt="ubyte", mipmap=False)
        texture.min_filter = texture.mag_filter = "nearest"
        texture.wrap = "clamp_to_edge"
        texture.add_reload_observer(lambda *_: refill())  # a paused tablet may lose what the GPU held
        return texture

    def _upload_greys(self) -> None:
        greys = equalised(self.greys, *self._window) if self._equalised else self.greys
        self._blit(self._grey_texture, np.ascontiguousarray(greys, "<u2"), "luminance_alpha")

    def _upload_labels(self) -> None:
        self._blit(self._label_texture, np.ascontiguousarray(self.labels, np.uint8), "luminance")

    def _upload_levels(self) -> None:
        if self.levels is not None:
            self._blit(self._level_texture, np.ascontiguousarray(self.levels, np.uint8), "luminance")

    def _upload_palette(self) -> None:
        self._blit(self._palette_texture, self._palette, "rgba")

    def _blit(self, texture: Any, array: NDArray[Any], layout: str, corner: tuple[int, int] = (0, 0)) -> None:
        rows, columns = array.shape[:2]
        texture.blit_buffer(array.tobytes(), size=(columns, rows), pos=corner, colorfmt=layout, bufferfmt="ubyte")
        self.canvas.ask_update()
