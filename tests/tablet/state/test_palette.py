"""Colours of annotations are told apart by everybody, and given out in turn."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from calque.v1.segmentation_pb2 import Annotation
from numpy.typing import NDArray

from tablet_client.state.palette import BACKGROUND, PALETTE, SAFE_PAIR, colour_of, free_colour, labels_in, safe

# How linear RGB is seen by those who lack one kind of cones wholly (Machado, Oliveira and Fernandes, 2009).
SEEN = {
    "all": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
APART = 18.0  # CIELAB; 2.3 is just noticeable side by side
PAGE = 0x0B0D10


def linear(colour: int) -> NDArray[np.float64]:
    share = np.array([colour >> 16 & 255, colour >> 8 & 255, colour & 255]) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = to_xyz @ np.clip(rgb, 0, 1) / [0.9505, 1.0, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eye", SEEN)
def test_everybody_tells_them_apart(eye: str) -> None:
    shown = [safe([colour, BACKGROUND]) for colour in PALETTE]
    for colours in (PALETTE, [object_colour for object_colour, _ in shown]):
        for one, other in [*combinations(colours, 2), *((c, b) for c in colours for b in (BACKGROUND, SAFE_PAIR[1]))]:
            apart = np.linalg.norm(lab(SEEN[eye] @ linear(one)) - lab(SEEN[eye] @ linear(other)))
            assert apart > APART, (hex(one), hex(other))


def test_they_stand_out_on_the_page() -> None:
    def light(colour: int) -> float:
        return float(linear(colour) @ [0.2126, 0.7152, 0.0722])

    assert min((light(colour) + 0.05) / (light(PAGE) + 0.05) for colour in (*PALETTE, *SAFE_PAIR, BACKGROUND)) >= 3


def test_each_new_annotation_has_a_colour_of_its_own_as_long_as_there_are_some() -> None:
    annotations: list[Annotation] = []
    for _ in range(2 * len(PALETTE)):
        annotations.append(Annotation(labels=labels_in(free_colour(annotations))))
    assert [colour_of(annotation) for annotation in annotations] == [*PALETTE, *PALETTE]
    del annotations[1]
    del annotations[5]  # both of the second colour
    assert free_colour(annotations) == PALETTE[1]
    assert colour_of(Annotation()) == PALETTE[0]
    assert safe([0x123456, 0, 7]) == [*SAFE_PAIR, 7]
