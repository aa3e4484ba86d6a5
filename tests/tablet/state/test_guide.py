"""Where to look next: in which order, and when an advice holds no longer."""

from __future__ import annotations

import pytest
from calque.v1 import segmentation_pb2

from tablet_client.state.choices import Choices
from tablet_client.state.geometry import Plane
from tablet_client.state.guide import Guide, Place
from tests.tablet.state.test_document import VOLUMES, new, stroke
from tests.tablet.state.test_document_log import entry

PLANES = VOLUMES["oblique axial"].planes  # axial: 5 slices of 14 rows and 9 columns
METHOD = Choices().method


def place(index: int, plane: str = "PLANE_AXIAL", **box: int) -> segmentation_pb2.Place:
    return segmentation_pb2.Place(plane=plane, slice=index, **{"row": 2, "column": 1, "rows": 3, "columns": 4, **box})


def advice(*slices: int, generation: int = 1, **fields: object) -> segmentation_pb2.Advice:
    return segmentation_pb2.Advice(generation=generation, places=[place(k) for k in slices], **fields)


def advised(*slices: int, entries: int = 0, **fields: object) -> Guide:
    guide = Guide(PLANES)
    assert guide.take(advice(*slices, **fields), (1, entries), METHOD)
    return guide


def test_places_come_in_order_and_begin_again():
    guide, at, seen = advised(3, 0, 4), 2, []
    for _ in range(4):
        promised = guide.upcoming(Plane.AXIAL, at)
        assert guide.follow(Plane.AXIAL, at) == promised
        at = promised.index
        seen.append(at)
    assert seen == [3, 0, 4, 3]
    assert promised == Place(Plane.AXIAL, 3, column=1, row=2, columns=4, rows=3)


def test_next_is_another_slice_than_the_one_that_is_shown_if_there_is_one():
    assert advised(3, 0).upcoming(Plane.AXIAL, 3).index == 0
    assert advised(3, 0).upcoming(Plane.CORONAL, 3).index == 3
    assert advised(3).upcoming(Plane.AXIAL, 3).index == 3
    assert advised().upcoming(Plane.AXIAL, 3) is None
    assert advised().follow(Plane.AXIAL, 3) is None


def test_a_newer_advice_begins_at_its_best_place():
    guide = advised(3, 0, 4)
    guide.follow(Plane.AXIAL, 2)
    assert guide.take(advice(1, 2, generation=2), (2, 0), METHOD)
    assert guide.upcoming(Plane.AXIAL, 4).index == 1


def test_enough_leads_nowhere():
    guide = advised(3, 0, enough=True, expected_dice=0.93)
    assert (guide.enough, guide.places, guide.upcoming(Plane.AXIAL, 1)) == (True, (), None)
    assert guide.expected_dice == pytest.approx(0.93)


@pytest.mark.parametrize(("said", "kept"), [(0.0, 0.0), (1.0, 1.0), (1.5, 0.0), (-0.2, 0.0), (float("nan"), 0.0)])
def test_a_dice_that_cannot_be_is_not_kept(said, kept):
    assert advised(expected_dice=said).expected_dice == kept


def test_places_beside_the_volume_are_left_out_and_boxes_are_cut():
    guide = Guide(PLANES)
    wrong = [place(5), place(0, "PLANE_UNSPECIFIED"), place(1, row=14), place(1, column=9), place(1, rows=0)]
    assert guide.take(segmentation_pb2.Advice(places=[*wrong, place(4, rows=100, columns=100)]), (0, 0), METHOD)
    assert guide.places == (Place(Plane.AXIAL, 4, column=1, row=2, columns=8, rows=12),)


def test_an_advice_holds_until_something_is_drawn_here_or_elsewhere():
    document, guide = new(), advised(3)
    assert guide.holds(document, METHOD)
    assert not Guide(PLANES).holds(document, METHOD)
    document.begin_stroke(Plane.AXIAL, 2, 1, 2.0, 4, 6)
    assert not guide.holds(document, METHOD)
    document.cancel()
    assert guide.holds(document, METHOD)
    mine = stroke(document)
    assert not guide.holds(document, METHOD)
    document.acknowledged(mine.sequence, 1)
    assert not guide.holds(document, METHOD)
    assert guide.take(advice(3, generation=2), (2, 1), METHOD)
    assert guide.holds(document, METHOD)
    document.logged(entry(2, "other", 0, b""))  # says only that another session began
    assert guide.holds(document, METHOD)
    document.logged(entry(4, "other", 2, stroke(new(session="other")).body))  # the one before it is still on its way
    assert not guide.holds(document, METHOD)
    document.logged(entry(3, "other", 1, b""))
    assert not guide.holds(document, METHOD)


def test_an_advice_holds_for_the_method_that_it_was_computed_with():
    document, guide, other = new(), advised(3), Choices(connected=False).method
    guide.method_changed(newest=1)
    assert not guide.holds(document, other)
    assert guide.holds(document, METHOD)  # and again when the method is as before
    assert not guide.take(advice(2, generation=1), (1, 0), other)  # it was on its way
    assert guide.take(advice(2, generation=2), (2, 0), other)
    assert guide.holds(document, other)


def test_an_advice_of_an_older_generation_is_dropped_until_the_server_counts_anew():
    guide = Guide(PLANES)
    assert not guide.take(advice(1, generation=4), (5, 0), METHOD)
    assert guide.take(advice(2, generation=5), (5, 0), METHOD)
    assert not guide.take(advice(1, generation=4), (4, 0), METHOD)
    guide.restart()
    assert guide.holds(new(), METHOD)
    assert guide.take(advice(1, generation=1), (1, 0), METHOD)
    assert [place.index for place in guide.places] == [1]
