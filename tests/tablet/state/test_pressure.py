"""A pen's pressure: the width that it makes, and that tablet and service ink the same pixels with it."""

from __future__ import annotations

import numpy as np
import pytest
from calque.v1 import segmentation_pb2
from hypothesis import given
from hypothesis import strategies as st

from services.core import geometry as core
from services.core.labels import Labels
from services.segmentation.events import check, to_action
from tablet_client.state import path
from tablet_client.state.document import Document
from tablet_client.state.geometry import Plane, VolumeInfo
from tablet_client.state.tools import Tool, Toolbox
from tests.tablet.state.phantom import AFFINES, SHAPE, volume_message

NAME = next(iter(AFFINES))
VOLUME = VolumeInfo.from_message(volume_message(SHAPE, AFFINES[NAME]))
PLANES = {plane: core.plane_geometry(SHAPE, AFFINES[NAME], plane) for plane in core.Plane}
MOVES = st.lists(st.tuples(st.floats(0, 8), st.floats(0, 8), st.floats(0.2, 7)), min_size=1, max_size=6)


def drawn(document: Document, plane: Plane, moves: list[tuple[float, float, float]], *, erases: bool = False) -> bytes:
    (x, y, width), *rest = moves
    if erases:
        document.begin_erase(plane, 1, 2.0, x, y, width)
    else:
        document.begin_stroke(plane, 1, 2, 2.0, x, y, width)
    for x, y, width in rest:
        document.extend(x, y, width)
    return document.finish().body


@given(MOVES, MOVES, st.sampled_from(list(Plane)))
def test_tablet_and_service_ink_the_same_pixels(first: list, second: list, plane: Plane) -> None:
    document, labels = Document(VOLUME.planes, "session"), Labels(SHAPE)
    running: list[np.ndarray] = []
    for moves, erases in ((first, False), (second, True)):
        body = drawn(document, plane, moves, erases=erases)
        event = segmentation_pb2.EventBody.FromString(body)
        check(event, 1, PLANES, (1, 2))
        labels.apply(to_action(event, PLANES, SHAPE, None))
        running.append(document.label_image(plane, 1))
        assert np.array_equal(running[-1], PLANES[core.Plane(plane.value)].slice_of(labels.array, 1))
    document.undo()
    assert np.array_equal(document.label_image(plane, 1), running[0])


def test_a_wide_dot_stays_when_the_line_goes_on_thin() -> None:
    document = Document(VOLUME.planes, "session")
    document.begin_stroke(Plane.AXIAL, 1, 2, 2.0, 3.0, 3.0, 6.0)
    dot = document.label_image(Plane.AXIAL, 1) > 0
    document.extend(4.0, 3.0, 0.2)
    document.finish()
    assert (document.label_image(Plane.AXIAL, 1) > 0)[dot].all()


def test_a_stroke_without_pressure_says_no_widths() -> None:
    document = Document(VOLUME.planes, "session")
    document.begin_stroke(Plane.AXIAL, 1, 2, 2.0, 3.0, 3.0)
    document.extend(5.0, 3.0)
    stroke = segmentation_pb2.EventBody.FromString(document.finish().body).stroke
    assert list(stroke.widths_mm) == []
    assert stroke.width_mm == 2.0


def test_widths_are_as_many_as_points_also_where_the_pen_told_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path, "NEAREST_POINTS", 0.5)
    document = Document(VOLUME.planes, "session")
    document.begin_stroke(Plane.AXIAL, 1, 2, 2.0, 1.0, 1.0, 1.5)
    document.extend(1.1, 1.0, 9.0)  # too near
    document.extend(3.0, 1.0)
    document.extend(5.0, 1.0, 4.0)
    stroke = segmentation_pb2.EventBody.FromString(document.finish().body).stroke
    assert list(stroke.widths_mm) == [1.5, 1.5, 4.0]
    assert len(stroke.x) == 3


def test_half_a_pressure_is_the_brush_and_more_is_wider() -> None:
    box = Toolbox(Tool.OBJECT, brush_mm=2.0)
    assert box.pressed(0.5) == pytest.approx(2.0)
    assert box.pressed(-1) == box.pressed(0.0) == pytest.approx(0.8)
    assert box.pressed(1.0) == box.pressed(3.0) == pytest.approx(3.2)
    assert Toolbox(Tool.ERASER, eraser_mm=5.0).pressed(1.0) == pytest.approx(8.0)
