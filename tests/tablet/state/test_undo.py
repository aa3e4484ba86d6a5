"""Undo without limit, each at once: it touches the stroke's own voxels and gives back exactly what lay under them."""

from __future__ import annotations

import hashlib
import tracemalloc
from typing import Any

import numpy as np
import pytest

from tablet_client.state import ink as module
from tablet_client.state.document import Document
from tablet_client.state.geometry import Plane, VolumeInfo
from tablet_client.state.ink import Ink
from tests.tablet.state.phantom import volume_message

SLICES, SIDE = 200, 512
STROKES = 500
SLICE_BYTES = SIDE * SIDE


class Counted:
    """Counts voxels that are painted or given back, and slices that are looked through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.painted = self.given_back = self.looked = 0
        paint, put_back, seen = Ink.paint, Ink._put_back, module._Seen

        def counted_paint(ink: Ink, patch: Any, label: int) -> Any:
            self.painted += sum(map(len, patch.values()))
            return paint(ink, patch, label)

        def counted_put_back(ink: Ink, patch: Any, under: Any) -> None:
            self.given_back += sum(map(len, under.values()))
            put_back(ink, patch, under)

        def counted_seen(*what: Any) -> Any:
            self.looked += 1
            return seen(*what)

        monkeypatch.setattr(Ink, "paint", counted_paint)
        monkeypatch.setattr(Ink, "_put_back", counted_put_back)
        monkeypatch.setattr(module, "_Seen", counted_seen)


def large() -> Document:
    affine = np.diag([1.0, 1.0, 1.0, 1.0])[:, [2, 1, 0, 3]]
    return Document(VolumeInfo.from_message(volume_message((SLICES, SIDE, SIDE), affine)).planes, "s")


def draw(document: Document, random: np.random.Generator) -> tuple[Plane, int]:
    """A stroke, an outline or the eraser's, across what is drawn already. Returns: where."""
    plane = Plane(int(random.choice([1, 1, 1, 2, 3])))
    index = int(random.integers(8))  # few slices, so that one lies on the other
    kind, label = int(random.integers(6)), int(random.integers(1, 4))
    x, y = random.uniform(0, 199, (2, 4))
    if kind == 0:
        document.begin_erase(plane, index, 9.0, x[0], y[0])
    elif kind == 1:
        document.begin_lasso(plane, index, label, x[0], y[0])
    else:
        document.begin_stroke(plane, index, label, float(random.uniform(1, 9)), x[0], y[0])
    for k in range(1, 4):
        document.extend(x[k], y[k])
    document.finish()
    return plane, index


def seen(document: Document, places: list[tuple[Plane, int]]) -> str:
    """A digest of the slices at these places and of what the bar below shows."""
    digest = hashlib.sha256()
    for place in places:
        digest.update(document.label_image(*place).tobytes())
    for plane in Plane:
        digest.update(document.marks(plane).tobytes())
    return digest.hexdigest() + str(sorted(document.labels()))


def test_five_hundred_strokes_are_undone_one_by_one_each_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    document, random, counted = large(), np.random.default_rng(3), Counted(monkeypatch)
    places: list[tuple[Plane, int]] = []
    before: list[str] = []
    own: list[int] = []
    for _ in range(STROKES):
        plane, index = Plane.AXIAL, int(random.integers(8))
        before.append(seen(document, [*places[-3:], (plane, index)]))
        places.append((plane, index))
        x, y = random.uniform(0, SIDE - 1, (2, 4))
        document.begin_stroke(plane, index, int(random.integers(1, 4)), float(random.uniform(1, 9)), x[0], y[0])
        for k in range(1, 4):
            document.extend(x[k], y[k])
        counted.painted = 0
        document.finish()
        own.append(counted.painted)
    counted.painted = counted.given_back = counted.looked = 0
    while places:
        place = places.pop()
        counted.given_back = counted.looked = 0
        tracemalloc.start()
        document.undo()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < SLICE_BYTES / 2  # of one slice, not of the volume's 52 million voxels
        assert counted.given_back == own.pop()
        assert seen(document, [*places[-3:], place]) == before.pop()
        assert counted.looked <= 1
    assert counted.painted == 0  # nothing was drawn anew
    assert document.labels() == frozenset()
    assert not document.can_undo
    for _ in range(STROKES):
        document.redo()
    assert not document.can_redo


def test_undo_gives_back_exactly_what_lay_under_strokes_outlines_eraser_and_clear() -> None:
    document, random = large(), np.random.default_rng(4)
    places: list[tuple[Plane, int]] = []
    states = []
    for number in range(120):
        states.append([(place, document.label_image(*place)) for place in places[-6:]])
        if number % 40 == 39:
            document.clear()
            places.append((Plane.AXIAL, 0))
        else:
            places.append(draw(document, random))
    final = [(place, document.label_image(*place)) for place in places]
    for state in reversed(states):
        document.undo()
        for place, image in state:
            np.testing.assert_array_equal(document.label_image(*place), image)
    assert document.labels() == frozenset()
    for _ in states:
        document.redo()
    for place, image in final:
        np.testing.assert_array_equal(document.label_image(*place), image)


def test_a_stroke_that_was_none_costs_its_own_voxels_and_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    document, random = large(), np.random.default_rng(5)
    for _ in range(50):
        draw(document, random)
    before = [document.label_image(Plane.AXIAL, index) for index in range(8)]
    counted = Counted(monkeypatch)
    document.begin_stroke(Plane.AXIAL, 3, 2, 5.0, 10, 10)
    document.extend(150, 150)
    document.extend(10, 150)
    drawn = counted.painted
    document.cancel()
    for index, image in enumerate(before):
        np.testing.assert_array_equal(document.label_image(Plane.AXIAL, index), image)
    assert (counted.painted, counted.given_back) == (drawn, drawn)
