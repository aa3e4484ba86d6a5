"""Ink against a naive replay on a dense volume, and the log's order against a naive server."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from calque import raster
from calque.v1 import segmentation_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core import geometry as core
from tablet_client.state import path as module
from tablet_client.state.actions import MOST_POINTS
from tablet_client.state.document import Document, Event
from tablet_client.state.geometry import Plane, VolumeInfo
from tests.tablet.state.phantom import AFFINES, SHAPE, volume_message

VOLUMES = {name: VolumeInfo.from_message(volume_message(SHAPE, affine)) for name, affine in AFFINES.items()}


def naive_labels(bodies: list[bytes], affine: np.ndarray) -> np.ndarray:
    """Labels of all voxels after events, each drawn whole on a dense array in the server's geometry."""
    done: list[segmentation_pb2.EventBody] = []
    undone: list[segmentation_pb2.EventBody] = []
    for body in bodies:
        event = segmentation_pb2.EventBody.FromString(body)
        which = event.WhichOneof("action")
        if which == "undo" and done:
            undone.append(done.pop())
        elif which == "redo" and undone:
            done.append(undone.pop())
        elif which not in ("undo", "redo", None):
            done.append(event)
            undone = []
    labels = np.zeros(SHAPE, dtype=np.uint8)
    for event in done:
        which = event.WhichOneof("action")
        if which == "clear":
            labels[:] = 0
            continue
        path = getattr(event, which)
        plane = core.plane_geometry(SHAPE, affine, core.Plane(path.plane))
        size = (plane.columns, plane.rows)
        if which == "lasso":
            pixels = raster.lasso_pixels(path.x, path.y, size=size)
        else:
            spacing = (plane.column_mm, plane.row_mm)
            pixels = raster.stroke_pixels(path.x, path.y, width_mm=path.width_mm, pixel_mm=spacing, size=size)
        labels[plane.to_voxels(*pixels, path.slice)] = 0 if which == "erase" else path.label
    return labels


def assert_shows(document: Document, labels: np.ndarray, affine: np.ndarray) -> None:
    """Every slice of every plane, the marks and the labels are those of a dense array."""
    for plane in Plane:
        info = core.plane_geometry(SHAPE, affine, core.Plane(plane.value))
        images = [info.slice_of(labels, index) for index in range(info.slices)]
        for index, image in enumerate(images):
            np.testing.assert_array_equal(document.label_image(plane, index), image)
        np.testing.assert_array_equal(document.marks(plane), [image.any() for image in images])
    assert document.labels() == frozenset(np.unique(labels).tolist()) - {0}


POINTS = st.lists(st.tuples(st.floats(-3, 16), st.floats(-3, 16)), min_size=1, max_size=5)
PATHS = st.tuples(
    st.sampled_from(["stroke", "erase", "lasso"]),
    st.sampled_from(list(Plane)),
    st.integers(0, 4),
    st.integers(1, 3),
    st.floats(0.1, 9),
    POINTS,
)
STEPS = st.lists(st.one_of(PATHS, st.sampled_from([("undo",), ("redo",), ("clear",), ("cancel",)])), max_size=12)


def begin(document: Document, path) -> None:
    what, plane, index, label, width_mm, points = path
    if what == "stroke":
        document.begin_stroke(plane, index, label, width_mm, *points[0])
    elif what == "erase":
        document.begin_erase(plane, index, width_mm, *points[0])
    else:
        document.begin_lasso(plane, index, label, *points[0])
    for point in points[1:]:
        document.extend(*point)


def act(document: Document, step) -> list[Event]:
    """Do a step as the view does."""
    if step[0] in ("undo", "redo", "clear"):
        return [getattr(document, step[0])()]
    if step[0] == "cancel":
        begin(document, ("stroke", Plane.AXIAL, 2, 1, 3.0, [(1, 1), (6, 6)]))
        document.cancel()
        return []
    begin(document, step)
    return [document.finish()]


@pytest.mark.parametrize("name", AFFINES)
@given(steps=STEPS)
@settings(max_examples=40, deadline=None)
def test_ink_is_the_replay_after_every_step(name, steps):
    document, bodies = Document(VOLUMES[name].planes, "s"), []
    for number, step in enumerate(steps):
        bodies += [event.body for event in act(document, step)]
        if number % 3 == 0:  # looked at only now and then, for replays that wait must come right too
            assert_shows(document, naive_labels(bodies, AFFINES[name]), AFFINES[name])
    assert_shows(document, naive_labels(bodies, AFFINES[name]), AFFINES[name])
    again = Document(VOLUMES[name].planes, "s", len(bodies) + 1, [Event(k, body) for k, body in enumerate(bodies, start=1)])
    assert_shows(again, naive_labels(bodies, AFFINES[name]), AFFINES[name])
    assert (again.can_undo, again.can_redo) == (document.can_undo, document.can_redo)


@pytest.mark.parametrize("name", AFFINES)
@given(path=PATHS.filter(lambda path: path[0] != "lasso"))
@settings(max_examples=40, deadline=None)
def test_ink_under_the_pen_is_the_finished_ink_and_the_boxes_hold_it(name, path):
    document = Document(VOLUMES[name].planes, "s")
    what, plane, index, label, width_mm, points = path
    begin(document, ("stroke", plane, index, 3, 200.0, [(4, 2)]))
    base = document.finish()
    before = document.label_image(plane, index)
    changed = np.zeros_like(before, dtype=bool)
    if what == "stroke":
        boxes = [document.begin_stroke(plane, index, label, width_mm, *points[0])]
    else:
        boxes = [document.begin_erase(plane, index, width_mm, *points[0])]
    boxes += [box for point in points[1:] if (box := document.extend(*point))]
    for box in boxes:
        changed[box.top : box.bottom, box.left : box.right] = True
    running = document.label_image(plane, index)
    assert not ((running != before) & ~changed).any()
    event = document.finish()
    np.testing.assert_array_equal(document.label_image(plane, index), running)
    first = naive_labels([event.body], AFFINES[name])
    info = core.plane_geometry(SHAPE, AFFINES[name], core.Plane(plane.value))
    # From the journal the event is decoded, and its line computed whole: not one voxel may differ.
    again = Document(VOLUMES[name].planes, "s", 3, [base, event])
    for each in Plane:
        for k in range(VOLUMES[name].planes[each].slices):
            np.testing.assert_array_equal(again.label_image(each, k), document.label_image(each, k))
    if what == "stroke":
        drawn = info.slice_of(first, index) > 0
        np.testing.assert_array_equal(running, np.where(drawn, label, before))


def new(name: str = "oblique axial", session: str = "me", **kwargs) -> Document:
    return Document(VOLUMES[name].planes, session, **kwargs)


def stroke(document: Document, label: int = 1, x: float = 4, y: float = 6, index: int = 2) -> Event:
    document.begin_stroke(Plane.AXIAL, index, label, 2.0, x, y)
    document.extend(x + 3, y)
    return document.finish()


# --- the pen ---------------------------------------------------------------------------------------------------------


def test_an_event_is_what_was_drawn():
    document = new(now_ms=lambda: 1234, next_sequence=5)
    event = stroke(document, label=2)
    body = segmentation_pb2.EventBody.FromString(event.body)
    assert event.sequence == 5
    assert document.next_sequence == 6
    assert body.drawn_ms == 1234
    assert (body.stroke.plane, body.stroke.slice, body.stroke.label, body.stroke.width_mm) == (1, 2, 2, 2.0)
    assert (list(body.stroke.x), list(body.stroke.y)) == ([4, 7], [6, 6])
    message = event.message()
    assert (message.sequence, message.body) == (5, event.body)
    assert message.sha256 == hashlib.sha256(event.body).digest()


def test_points_too_near_are_dropped_and_points_outside_are_brought_to_the_edge():
    document = new()
    document.begin_stroke(Plane.AXIAL, 0, 1, 1.0, 4, 4)
    assert document.extend(4.1, 4.1) is None
    assert document.extend(-50, 99) is not None
    assert document.path == ([4, 0], [4, 13])


def test_a_path_is_full_at_the_contract_s_limit(monkeypatch):
    monkeypatch.setattr(module, "MOST_POINTS", 3)
    assert MOST_POINTS == 10_000
    document = new()
    document.begin_stroke(Plane.AXIAL, 0, 1, 1.0, 0, 0)
    document.extend(1, 0)
    assert not document.full
    document.extend(2, 0)
    assert document.full
    assert document.extend(3, 0) is None
    assert len(segmentation_pb2.EventBody.FromString(document.finish().body).stroke.x) == 3


def test_a_lasso_is_ink_only_when_it_is_closed():
    document = new()
    document.begin_lasso(Plane.AXIAL, 1, 1, 1, 1)
    document.extend(7, 1)
    document.extend(7, 7)
    assert document.labels() == frozenset()
    document.finish()
    assert document.label_image(Plane.AXIAL, 1)[3, 5] == 1
    assert document.label_image(Plane.AXIAL, 1)[5, 3] == 0


def test_the_pen_is_down_or_up():
    document = new()
    for call in (lambda: document.extend(1, 1), document.finish):
        with pytest.raises(RuntimeError):
            call()
    document.cancel()  # a second finger with no pen down
    document.begin_erase(Plane.AXIAL, 0, 1.0, 1, 1)
    assert document.running
    for call in (document.undo, document.redo, document.clear, lambda: stroke(document), lambda: document.import_mask("")):
        with pytest.raises(RuntimeError):
            call()
    document.cancel()
    with pytest.raises(ValueError, match="no slice 5"):
        document.begin_stroke(Plane.AXIAL, 5, 1, 1.0, 0, 0)
    assert not document.running
    assert document.next_sequence == 1


def test_every_change_of_ink_changes_the_version():
    document = new()
    versions = [document.version]

    def changed() -> bool:
        versions.append(document.version)
        return versions[-1] != versions[-2]

    document.begin_stroke(Plane.AXIAL, 0, 1, 1.0, 4, 4)
    assert changed()
    document.extend(6, 6)
    assert changed()
    document.cancel()
    assert changed()
    stroke(document)
    changed()
    document.undo()
    assert changed()
    document.redo()
    assert changed()
    document.clear()
    assert changed()


def test_a_new_stroke_forgets_what_was_taken_back():
    document = new()
    stroke(document)
    document.undo()
    assert (document.can_undo, document.can_redo) == (False, True)
    stroke(document)
    assert (document.can_undo, document.can_redo) == (True, False)


def test_a_mask_import_counts_for_undo():
    document = new()
    stroke(document)
    document.import_mask("digest")
    document.undo()
    assert document.can_undo
    assert document.labels() == {1}


# --- the log ---------------------------------------------------------------------------------------------------------
