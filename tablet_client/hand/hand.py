"""Gestures of a person who works the application, each played on the screen and waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kivy.base import EventLoop
from kivy.core.window import Window

from tablet_client.hand import eyes
from tablet_client.hand.eyes import NotThere
from tablet_client.hand.png import screenshot, write_png
from tablet_client.hand.touches import Touches, frame, press_key, type_text
from tablet_client.state.gestures import Touch
from tablet_client.state.tools import BRUSHES_MM
from tablet_client.view import keys

_ENTER = 13
_WHEEL_AT_MOST = 5  # farther slices are touched on the bar


class Hand:
    """Works one application.

    Args:
        app: the running `CalqueApp`.
        patience_s: how long anything may take before the hand gives up with `NotThere`.
    """

    def __init__(self, app: Any, patience_s: float = 60.0) -> None:
        self._app, self.patience_s = app, patience_s
        self._touches = Touches()
        EventLoop.add_input_provider(self._touches)

    # --- anything with a name ----------------------------------------------------------------------------------------

    async def tap(self, name: str) -> None:
        """Press a control."""
        await self.ready()
        await self._touches.tap(eyes.pressable(name))

    async def type_into(self, name: str, text: str) -> None:
        """Press a field, and type in place of what it holds."""
        await self.tap(name)
        await type_text(text)

    async def until(self, what: str, seen: Callable[[], bool], patience_s: float | None = None) -> None:
        """Look frame by frame until something is so. Raises: NotThere after ``patience_s``."""
        patience = self.patience_s if patience_s is None else patience_s
        try:
            async with asyncio.timeout(patience):
                while not seen():
                    await frame()
        except TimeoutError:
            said = f" The screen says: {self._app.toast.text}" if self._app.toast.text else ""
            raise NotThere(f"{what} did not happen within {patience:g} s.{said}") from None
        await frame()

    async def ready(self) -> None:
        """Until everything on the screen has its place."""
        if not eyes.settled():
            await self.until("The screen", eyes.settled)

    # --- library -----------------------------------------------------------------------------------------------------

    async def open(self, volume: str) -> None:
        """Find a volume's card by its identifier or name, and press it."""
        await self.until("The library", lambda: self._app.screens.current == "library")
        await self.until(f"A card of {volume!r}", lambda: self._card(volume) is not None)
        for _ in range(400):
            card, cards = self._card(volume), eyes.find("cards")
            low, high = cards.to_window(cards.x, cards.y)[1], cards.to_window(cards.x, cards.top)[1]
            y = card.to_window(card.x, card.y + card.height / 2)[1]
            if low + 8 < y < high - 8:
                break
            await self._touches.wheel(eyes.middle(cards), -1 if y < low + 8 else 1)
        await self._rests(lambda: self._card(volume))
        await self.tap(f"volume:{self._card(volume).volume_id}")
        await self.until("The viewer", lambda: self._app.screens.current == "viewer")
        await self.see_greys()

    async def _rests(self, find: Callable[[], Any]) -> None:
        """Until a control has stood at its place for a frame: one that was just made has none yet."""
        places: list[Any] = [None]

        def still() -> bool:
            widget = find()
            places.append((widget, *widget.to_window(*widget.pos), *widget.size) if widget else None)
            return places[-1] is not None and places[-1] == places[-2]

        await self.until("The end of moving", still)

    def _card(self, volume: str) -> Any:
        return next((c for c in self._app.library.ids.grid.children if volume in (c.volume_id, c.title)), None)

    async def back(self) -> None:
        """To the library."""
        await self.tap("back")
        await self.until("The library", lambda: self._app.screens.current == "library")

    async def import_path(self, path: str) -> None:
        """Import a file or folder of this machine."""
        await self.tap("import")
        await self.until("The import", lambda: self._app.screens.current == "import")
        await self.type_into("import_path", path)
        await press_key(_ENTER)
        await self.tap("import_start")
        importer = self._app.importer
        await self.until("The import's end", lambda: self._app.screens.current == "library" or bool(importer.trouble))
        if self._app.screens.current != "library":
            raise NotThere(importer.trouble)

    # --- viewer ------------------------------------------------------------------------------------------------------

    @property
    def _control(self) -> Any:
        if self._app.viewer_control.work is None:
            raise NotThere("No volume is open.")
        return self._app.viewer_control

    async def see_greys(self) -> None:
        """Until the slice is there."""

        def there() -> bool:
            work, showing = self._control.work, self._control.showing
            return bool(work.greys.has(showing.plane, showing.index))

        await self.until("The slice's image", there)

    async def new_annotation(self, name: str) -> None:
        """Begin another annotation by the menu."""
        before = self._control.work
        await self.tap("more")
        await self.until("The menu", lambda: self._app.viewer.menu.shown)
        if name:
            await self.type_into("new_name", name)
        await self.tap("new_annotation")
        await self.until("The new annotation", lambda: self._app.viewer_control.work not in (None, before))
        await self.see_greys()

    async def plane(self, plane: str) -> None:
        """Another plane."""
        await self.tap(f"plane_{plane}")
        await self.see_greys()

    async def three(self, on: bool) -> None:
        """The other two planes beside the image, or the image alone."""
        if self._app.viewer.three != on:
            await self.tap("plane_three")
        await self.see_greys()

    async def aim(self, plane: str, column: float, row: float) -> None:
        """Press a place of a plane beside the image, in its pixels: all images go there."""
        await self.ready()
        beside = self._app.viewer.beside if self._app.viewer.three else ()
        for image in beside:
            if image.plane_name == plane:
                await self._touches.tap(image.screen_of(column, row))
                await self.see_greys()
                return
        raise NotThere(f"The {plane} plane is not beside the image.")

    async def slice(self, index: int) -> None:
        """Another slice, from 0: on the bar when it is far, then by the wheel."""
        slices = self._app.viewer.slices
        if not 0 <= index < slices.count:
            raise NotThere(f"There is no slice {index}, only {int(slices.count)}.")
        await self.ready()
        if abs(index - slices.index) > _WHEEL_AT_MOST:
            await self._touches.tap(eyes.find("slices").middle_of(index))
        if index != slices.index:
            await self._touches.wheel(eyes.middle(eyes.find("image")), int(index - slices.index))
        await self.until(f"Slice {index}", lambda: slices.index == index, 5.0)
        await self.see_greys()

    async def brush(self, width_mm: float) -> float:
        """The brush nearest to a width, by its buttons. Returns: its width in millimetres."""
        nearest = min(BRUSHES_MM, key=lambda mm: abs(mm - width_mm))
        rail = self._app.viewer.rail
        for _ in BRUSHES_MM:
            if rail.brush_mm == nearest:
                break
            await self.tap("brush_wider" if rail.brush_mm < nearest else "brush_narrower")
        return float(rail.brush_mm)

    async def stroke(
        self,
        x: Sequence[float],
        y: Sequence[float],
        kind: Touch = Touch.PEN,
        plane: str = "",
        pressure: Sequence[float] = (),
    ) -> None:
        """Draw through places of the slice's image, in its pixels; or of the image beside it that shows another plane.

        There may be a pressure at each place.
        """
        if self._app.screens.current != "viewer":
            raise NotThere("There is no image on the screen.")
        if not x or len(x) != len(y) or len(pressure) not in (0, len(x)):
            raise NotThere("A stroke needs as many columns as rows, and at least one point.")
        await self.ready()
        image = self._image(plane)
        path = [image.screen_of(column, row) for column, row in zip(x, y)]
        left, low = image.to_window(image.x, image.y)
        if not all(left <= px < left + image.width and low <= py < low + image.height for px, py in path):
            raise NotThere("The stroke leaves the part of the image that is shown.")
        await self._touches.draw(path, kind=kind, pressures=pressure)

    def _image(self, plane: str) -> Any:
        """The image that shows a plane; the large one where none is named."""
        viewer = self._app.viewer
        shown = viewer.images if viewer.three else viewer.images[:1]
        found = next((image for image in shown if plane in ("", image.plane_name)), None)
        if found is None:
            raise NotThere(f"The {plane} plane is not on the screen.")
        return found

    async def drag_image(self, right: float, up: float, kind: Touch = Touch.PEN) -> None:
        """Drag across the image by parts of its size: the pen with the contrast tool, a finger or a button of a mouse."""
        await self.ready()
        image = self._app.viewer.image
        x, y = eyes.middle(image)
        way = [(x + right * image.width * k / 10, y + up * image.height * k / 10) for k in range(11)]
        await self._touches.draw(way, slow=True, kind=kind)

    async def hold(self, column: float, row: float, file: str, seconds: float = 1.0) -> None:
        """Hold the pen still on a place of the image, and take a picture of what is seen meanwhile."""

        async def look() -> None:
            await self.picture(file)

        await self.ready()
        await self._touches.hold(self._app.viewer.image.screen_of(column, row), seconds, look)

    async def key(self, key: str) -> None:
        """Press a letter or a sign, as in "ctrl+z" (on macOS with Cmd) or "+"."""
        *modifiers, letter = key.rsplit("+", 1) if len(key) > 1 else [key]
        if len(letter) != 1 or (modifiers and modifiers[0] not in ("ctrl", "shift")):
            raise NotThere(f"There is no key {key!r}.")
        await press_key(ord(letter), [keys.COMMAND if held == "ctrl" else held for held in modifiers])

    async def pinch(self, factor: float) -> None:
        """Zoom with two fingers around the middle."""
        await self.ready()
        before = 120.0 if factor >= 1 else 120.0 / factor
        await self._touches.pinch(eyes.middle(self._app.viewer.image), before, before * factor)

    async def threshold(self, value: int) -> None:
        """Drag the slider's knob."""
        await self.ready()
        slider = eyes.find("threshold")
        (x0, y0), (x1, y1) = slider.position_of(slider.value), slider.position_of(value)
        way = [(x0 + (x1 - x0) * k / 8, y0 + (y1 - y0) * k / 8) for k in range(9)]
        await self._touches.draw(way, slow=True)
        if int(slider.value) != value:
            raise NotThere(f"The slider stands at {int(slider.value)}.")

    async def live(self, on: bool) -> None:
        """The switch "Live"."""
        if self._app.viewer.side.live != on:
            await self.tap("live")

    async def shape(self, on: bool) -> None:
        """The switch "Shape"."""
        if self._app.viewer.side.shape != on:
            await self.tap("shape")

    async def see_mask(self, patience_s: float | None = None) -> None:
        """Until the shown slice's probability knows all that was drawn, and a frame with it was drawn."""

        def there() -> bool:
            work, showing = self._control.work, self._control.showing
            sent = not work.document.running and not work.document.waiting
            return bool(sent and showing.segmentable and showing.entries >= max(1, work.document.have_entries))

        await self.until("The mask of this slice", there, patience_s)

    async def see_volume(self, patience_s: float | None = None) -> None:
        """Until the whole volume is computed with all that was drawn."""
        await self.see_mask(patience_s)
        work, showing = self._control.work, self._control.showing

        def there() -> bool:
            generation = work.probabilities.generation(showing.plane, showing.index) or 0
            return bool(work.probabilities.complete and work.probabilities.counts_generation >= generation)

        await self.until("The whole volume's mask", there, patience_s)

    async def save(self) -> Any:
        """Press save, and wait for the answer. Returns: the contract's Mask."""
        saving = self._control.saving
        before = saving.last
        await self.tap("save")
        await self.until("The answer to save", lambda: not saving.busy)
        if saving.last in (None, before):
            raise NotThere(self._app.toast.text or "The mask was not saved.")
        return saving.last

    async def export(self, what: str, form: str, folder: str = "", name: str = "") -> str:
        """Export by the menu. Returns: where the file lies.

        Args:
            what: "mask" (the newest), "mask-3", "annotation" or "probability".
            form: "nifti", "tiff", "dicom_seg" or "zip".
            folder: to which folder; empty: as it is proposed.
            name: the file's, without its ending; empty: as it is proposed.
        """
        await self.tap("more")
        await self.until("The menu", lambda: self._app.viewer.menu.shown)
        await self.tap("export")
        await self.until("The export", lambda: self._app.screens.current == "export")
        exporter = self._app.exporter
        names = [pick.name for pick in exporter.contents]
        await self.tap("export_" + next((held for held in names if what == "mask" and held.startswith("mask")), what))
        await self.tap(f"export_{form}")
        for field, text in (("export_name", name), ("export_folder", folder)):
            if text:
                await self.type_into(field, text)
                await press_key(_ENTER)
        await self.tap("export_start")
        await self.until("The export's end", lambda: not exporter.busy)
        if exporter.trouble:
            raise NotThere(exporter.trouble)
        return str(self._app.exporting.last)

    async def picture(self, file: str) -> list[int]:
        """A picture of the window as PNG. Returns: its width and height."""
        image = await screenshot()
        await asyncio.to_thread(write_png, Path(file), image)
        return [int(Window.width), int(Window.height)]
