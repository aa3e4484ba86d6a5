"""Colours of annotations: of the ones to choose from, everybody tells each from each other and from the background's."""

from __future__ import annotations

from collections.abc import Sequence

from calque.v1.common_pb2 import Label
from calque.v1.segmentation_pb2 import Annotation

from tablet_client.state.tools import BACKGROUND_LABEL, OBJECT_LABEL
from tablet_client.state.words import N_

BACKGROUND = 0x4C8DD9
"""Of what the object is not, 0xRRGGBB as all here."""

PALETTE = (0xD08A4E, 0xF5EC70, 0xF2B8D8, 0xE0527A, 0xB03A8C)
"""Of objects; the first is the paper's brown."""

SAFE_PAIR = (0xE69F00, 0x56B4E9)
"""The paper's brown and blue as those see them best who do not tell them apart, after Okabe and Ito."""


def colour_of(annotation: Annotation) -> int:
    """The colour of an annotation: its object's."""
    return next((label.colour for label in annotation.labels if label.value == OBJECT_LABEL), PALETTE[0])


def free_colour(annotations: Sequence[Annotation]) -> int:
    """The first colour of the palette that the fewest of a volume's annotations have."""
    taken = [colour_of(annotation) for annotation in annotations]
    return min(PALETTE, key=taken.count)


def labels_in(colour: int) -> list[Label]:
    """Labels of a new annotation."""
    return [
        Label(value=OBJECT_LABEL, name=N_("Object"), colour=colour),  # kept in English, shown in the user's language
        Label(value=BACKGROUND_LABEL, name=N_("Background"), colour=BACKGROUND),
    ]


def safe(colours: Sequence[int]) -> list[int]:
    """The colours of labels, object and background first, in their stead those that everybody tells apart."""
    first = colours[0] if colours[0] in PALETTE[1:] else SAFE_PAIR[0]
    return [first, SAFE_PAIR[1], *colours[2:]]
