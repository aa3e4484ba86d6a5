# mypy: disallow-subclassing-any=False
"""The small menu of the viewer: the volume's annotations, a new one, and what concerns the image as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from calque.v1.segmentation_pb2 import Annotation
from kivy.properties import BooleanProperty, NumericProperty, StringProperty

from tablet_client.state.palette import PALETTE, colour_of
from tablet_client.state.words import ngettext
from tablet_client.view import controls, theme
from tablet_client.view.display import Display


class Entry(NamedTuple):
    """An annotation in the menu."""

    annotation_id: str
    name: str
    note: str
    chosen: bool
    colour: int


def entry(annotation: Annotation, chosen: bool) -> Entry:
    """An annotation as the menu shows it: its masks and the day on which it was begun."""
    day = datetime.fromtimestamp(annotation.created_ms / 1000).strftime("%Y-%m-%d")
    masks = ngettext("{n} mask", "{n} masks", annotation.masks) + " · " if annotation.masks else ""
    return Entry(annotation.annotation_id, annotation.name, masks + day, chosen, colour_of(annotation))


class Swatch(controls.PressButton):
    """A colour; ``ringed`` where it is the one of now."""

    colour = NumericProperty(PALETTE[0])
    ringed = BooleanProperty(False)


class AnnotationRow(controls.PressButton):
    """One annotation, with its colour at the left."""

    annotation_id = StringProperty("")
    colour = NumericProperty(PALETTE[0])
    text = StringProperty("")
    note = StringProperty("")
    chosen = BooleanProperty(False)


class Menu(controls.Panel):
    """Hangs under the three dots; a press beside it closes it.

    Attributes:
        reading: another tablet writes, and this one may take over.
        locked: nobody writes, since the annotation was accepted.
        details: what the service measured and expects, a line each.
        new_colour: of the next new annotation, 0xRRGGBB.
        recoloured: identifier of the annotation whose colour is chosen now, or "new"; empty: the palette is away.
    """

    __events__ = (
        "on_annotation",
        "on_new",
        "on_colour",
        "on_fit",
        "on_export",
        "on_review",
        "on_clear",
        "on_take_over",
        "on_settings",
    )

    reading = BooleanProperty(False)
    locked = BooleanProperty(False)
    details = StringProperty("")
    new_colour = NumericProperty(PALETTE[0])
    recoloured = StringProperty("")

    @property
    def display(self) -> Display:
        """How the image is shown."""
        shown: Display = self.ids.display
        return shown

    def on_kv_post(self, base_widget: object) -> None:
        for number, colour in enumerate(PALETTE):
            swatch = Swatch(tap_name=f"palette_{number}", colour=colour)
            swatch.bind(on_release=lambda pressed: self._take(int(pressed.colour)))
            self.ids.palette.add_widget(swatch)

    def show(self, entries: Sequence[Entry], new_colour: int) -> None:
        """Open with these annotations, and a colour for the next one."""
        self.new_colour, self.recoloured = new_colour, ""
        rows = self.ids.rows
        rows.clear_widgets()
        for entry in entries:
            row = AnnotationRow(
                tap_name=f"annotation:{entry.annotation_id}",
                annotation_id=entry.annotation_id,
                text=entry.name,
                note=entry.note,
                chosen=entry.chosen,
                colour=entry.colour,
            )
            row.ids.swatch.bind(on_release=lambda _, whose=entry.annotation_id: self.choose_colour(whose))
            row.bind(on_release=lambda _, chosen=entry.annotation_id: self._pick("on_annotation", chosen))
            rows.add_widget(row)
        self.ids.name.text = ""
        self.shown = True

    def close(self) -> None:
        """Close it."""
        self.ids.name.focus = False
        super().close()

    def choose_colour(self, whose: str) -> None:
        """The palette for an annotation, or for a new one; away where it is there for it already."""
        self.ids.name.focus = False
        self.recoloured = "" if whose == self.recoloured else whose
        now = next((row.colour for row in self.ids.rows.children if row.annotation_id == whose), self.new_colour)
        for swatch in self.ids.palette.children[:-1]:
            swatch.ringed = swatch.colour == now

    def _take(self, colour: int) -> None:
        """A colour of the palette was chosen."""
        whose, self.recoloured = self.recoloured, ""
        if whose == "new":
            self.new_colour = colour
            return
        for row in self.ids.rows.children:
            if row.annotation_id == whose:
                row.colour = colour
        self.dispatch("on_colour", whose, colour)

    def _pick(self, event: str, *values: object) -> None:
        self.close()
        self.dispatch(event, *values)

    def on_annotation(self, annotation_id: str) -> None:
        """Work on this annotation."""

    def on_new(self, name: str, colour: int) -> None:
        """Begin another annotation."""

    def on_colour(self, annotation_id: str, colour: int) -> None:
        """Give an annotation another colour."""

    def on_fit(self) -> None:
        """The whole image again."""

    def on_export(self) -> None:
        """Make a file for other programs."""

    def on_review(self) -> None:
        """Show how far the review is."""

    def on_clear(self) -> None:
        """Remove all strokes (can be undone)."""

    def on_settings(self) -> None:
        """The settings were asked for."""

    def on_take_over(self) -> None:
        """Draw here although another tablet does."""


theme.load_kv(__file__)
