"""What an event does to the labels, and which events are refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from calque.v1 import segmentation_pb2

from services.core.errors import CalqueError, OutOfSequence, Reason, TooLarge
from services.core.geometry import Plane, plane_geometry
from services.core.labels import Clear, Edit, MaskStart, Redo, Undo
from services.segmentation.events import POINT_LIMIT, check, parse, to_action
from services.serving.status import error_info, status_code
from tests.phantoms import oblique_phantom
from tests.served import stroke

SHAPE = (5, 20, 24)
AFFINE = oblique_phantom(SHAPE).affine
PLANES = {plane: plane_geometry(SHAPE, AFFINE, plane) for plane in Plane}
LABELS = (1, 2, 3)
Body = segmentation_pb2.EventBody


def refusal(body: Body) -> tuple[str, Reason, int]:
    with pytest.raises(CalqueError) as refused:
        check(body, 17, PLANES, LABELS)
    return status_code(refused.value).name, refused.value.reason, error_info(refused.value).expected


@pytest.mark.parametrize(
    "body",
    [
        stroke(1, 0, [], []),
        stroke(1, 0, [1, 2], [1]),
        stroke(1, 0, [math.nan], [1]),
        stroke(1, 0, [1], [math.inf]),
        stroke(1, 0, [1, -math.inf], [1, 1]),
        stroke(1, 0, [24.1], [1]),
        stroke(1, 0, [1], [-1.1]),
        stroke(2, 0, [1], [5.5]),
        stroke(1, 5, [1], [1]),
        stroke(2, 20, [1], [1]),
        stroke(3, 24, [1], [1]),
        stroke(0, 0, [1], [1]),
        stroke(1, 0, [1], [1], width_mm=0),
        stroke(1, 0, [1], [1], width_mm=-1),
        stroke(1, 0, [1], [1], width_mm=math.nan),
        stroke(1, 0, [1], [1], width_mm=201),
        stroke(1, 0, [1, 2], [1, 2], widths_mm=(1,)),
        stroke(1, 0, [1, 2], [1, 2], widths_mm=(1, 0)),
        stroke(1, 0, [1, 2], [1, 2], widths_mm=(1, math.nan)),
        stroke(1, 0, [1, 2], [1, 2], widths_mm=(201, 1)),
        Body(lasso=segmentation_pb2.Lasso(plane="PLANE_AXIAL", label=1)),
        Body(lasso=segmentation_pb2.Lasso(plane="PLANE_AXIAL", label=1, x=[0, 1, 99], y=[0, 0, 1])),
        Body(erase=segmentation_pb2.Erase(plane="PLANE_AXIAL", width_mm=0, x=[0], y=[0])),
        Body(erase=segmentation_pb2.Erase(plane="PLANE_AXIAL", slice=9, width_mm=1, x=[0], y=[0])),
    ],
)
def test_a_path_that_cannot_be_drawn_is_refused(body: Body) -> None:
    assert refusal(body) == ("INVALID_ARGUMENT", Reason.STROKE_INVALID, 17)


def test_a_plane_of_a_later_contract_is_refused() -> None:
    unknown = segmentation_pb2.Stroke.FromString(b"\x08\x09" + stroke(1, 0, [1], [1]).stroke.SerializeToString()[2:])
    assert unknown.plane == 9
    assert refusal(Body(stroke=unknown)) == ("INVALID_ARGUMENT", Reason.STROKE_INVALID, 17)


@pytest.mark.parametrize("label", [0, 4, 255])
def test_a_label_that_the_annotation_does_not_have_is_refused(label: int) -> None:
    lasso = segmentation_pb2.Lasso(plane="PLANE_AXIAL", label=label, x=[1], y=[1])
    for body in (stroke(1, 0, [1], [1], label=label), Body(lasso=lasso)):
        assert refusal(body) == ("INVALID_ARGUMENT", Reason.LABEL_UNKNOWN, 17)


def test_a_path_has_at_most_ten_thousand_points() -> None:
    check(stroke(1, 0, [1] * POINT_LIMIT, [1] * POINT_LIMIT), 1, PLANES, LABELS)
    for x, y in ((POINT_LIMIT + 1, POINT_LIMIT + 1), (1, POINT_LIMIT + 1), (POINT_LIMIT + 1, 0)):
        code, reason, _ = refusal(stroke(1, 0, [1] * x, [1] * y))
        assert (code, reason) == ("RESOURCE_EXHAUSTED", Reason.STROKE_INVALID)
    with pytest.raises(TooLarge):
        check(Body(lasso=segmentation_pb2.Lasso(plane="PLANE_AXIAL", label=1, x=[1] * 10_001)), 1, PLANES, LABELS)


@pytest.mark.parametrize(
    "body",
    [
        stroke(1, 4, [-1, 24], [-1, 20]),
        stroke(3, 23, [0], [4], label=3, width_mm=200),
        Body(),
        Body(undo=segmentation_pb2.Undo()),
        Body(redo=segmentation_pb2.Redo()),
        Body(clear=segmentation_pb2.Clear()),
    ],
)
def test_what_can_be_drawn_is_taken(body: Body) -> None:
    check(body, 1, PLANES, LABELS)


def test_bytes_that_are_no_event_are_refused_with_their_number() -> None:
    with pytest.raises(OutOfSequence) as refused:
        parse(b"\xff\xff", 9)
    assert (refused.value.reason, refused.value.expected) == (Reason.STROKE_INVALID, 9)
    assert status_code(refused.value).name == "INVALID_ARGUMENT"
    assert parse(b"", 9) == Body()


@pytest.mark.parametrize("plane", list(Plane))
def test_a_stroke_labels_the_voxels_below_the_pen(plane: Plane) -> None:
    geometry = PLANES[plane]
    index, column, row = geometry.slices - 2, geometry.columns - 3, 1
    action = to_action(stroke(plane, index, [column], [row], label=2, width_mm=0.01), PLANES, SHAPE, None)
    assert isinstance(action, Edit)
    voxel = np.unravel_index(action.voxels, SHAPE)
    assert action.label == 2
    np.testing.assert_array_equal(np.ravel(voxel), geometry.pixel_to_voxel @ (column, row, index, 1))


def test_other_events_become_what_they_say() -> None:
    mask = np.zeros(SHAPE, dtype=bool)
    imported = Body(mask_import=segmentation_pb2.MaskImport(mask_digest="a"))
    start = to_action(imported, PLANES, SHAPE, mask)
    assert isinstance(start, MaskStart)
    assert start.mask is mask
    assert to_action(imported, PLANES, SHAPE, None) is None
    assert to_action(Body(), PLANES, SHAPE, None) is None
    assert to_action(Body(undo=segmentation_pb2.Undo()), PLANES, SHAPE, None) == Undo()
    assert to_action(Body(redo=segmentation_pb2.Redo()), PLANES, SHAPE, None) == Redo()
    assert to_action(Body(clear=segmentation_pb2.Clear()), PLANES, SHAPE, None) == Clear()
    erase = Body(erase=segmentation_pb2.Erase(plane="PLANE_AXIAL", slice=1, width_mm=0.01, x=[2], y=[3]))
    action = to_action(erase, PLANES, SHAPE, None)
    assert isinstance(action, Edit)
    assert (action.label, len(action.voxels)) == (0, 1)
    square = Body(lasso=segmentation_pb2.Lasso(plane="PLANE_AXIAL", slice=1, label=3, x=[2, 6, 6, 2], y=[3, 3, 5, 5]))
    action = to_action(square, PLANES, SHAPE, None)
    assert isinstance(action, Edit)
    assert (action.label, len(action.voxels)) == (3, 5 * 3)
