"""Recorded sequences of MotionEvents, and what they come to."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from tablet_client.android.motion import (
    ACTION_CANCEL,
    ACTION_DOWN,
    ACTION_HOVER_ENTER,
    ACTION_HOVER_EXIT,
    ACTION_MOVE,
    ACTION_POINTER_DOWN,
    ACTION_POINTER_UP,
    ACTION_UP,
    FLAG_CANCELED,
    TOOL_ERASER,
    TOOL_FINGER,
    TOOL_MOUSE,
    TOOL_STYLUS,
    Motion,
    Motions,
    Place,
    Pointer,
    Step,
)
from tablet_client.link.fake_volume import fake_volume
from tablet_client.state.document import Document
from tablet_client.state.geometry import Plane, VolumeInfo
from tablet_client.state.gestures import Touch


def pointer(identity: int = 0, tool: int = TOOL_STYLUS, x: float = 0.0, y: float = 0.0, **more: float) -> Pointer:
    return Pointer(identity, tool, Place(x, y), **more)  # type: ignore[arg-type]


def said(steps: list[Step]) -> list[tuple[str, int, Touch]]:
    return [(step.what, step.number, step.kind) for step in steps]


def played(*motions: Motion, follower: Motions | None = None) -> list[Step]:
    follower = follower or Motions()
    return [step for motion in motions for step in follower.steps(motion)]


PEN, FINGER = pointer(0, TOOL_STYLUS), pointer(1, TOOL_FINGER, 50.0)


@pytest.mark.parametrize(
    ("tool", "buttons", "kind"),
    [
        (TOOL_STYLUS, 0, Touch.PEN),
        (TOOL_STYLUS, 2, Touch.PEN),
        (TOOL_ERASER, 0, Touch.ERASER_END),
        (TOOL_FINGER, 0, Touch.FINGER),
        (0, 0, Touch.FINGER),
        (TOOL_MOUSE, 1, Touch.LEFT),
        (TOOL_MOUSE, 2, Touch.RIGHT),
        (TOOL_MOUSE, 4, Touch.MIDDLE),
    ],
)
def test_tools_and_buttons(tool: int, buttons: int, kind: Touch) -> None:
    assert said(played(Motion(ACTION_DOWN, 0, (pointer(0, tool),), buttons=buttons))) == [("begin", 1, kind)]


def test_a_pen_then_a_palm_that_the_system_takes_away() -> None:
    steps = played(
        Motion(ACTION_DOWN, 0, (PEN,)),
        Motion(ACTION_POINTER_DOWN, 1, (PEN, FINGER)),
        Motion(ACTION_MOVE, 0, (pointer(0, x=9.0), FINGER)),
        Motion(ACTION_POINTER_UP, 1, (PEN, FINGER), flags=FLAG_CANCELED),
        Motion(ACTION_UP, 0, (PEN,)),
    )
    pen, finger = Touch.PEN, Touch.FINGER
    expected = [("begin", 1, pen), ("begin", 2, finger), ("move", 1, pen), ("take away", 2, finger), ("end", 1, pen)]
    assert said(steps) == expected


def test_cancel_takes_all_away_and_a_lost_end_too() -> None:
    follower = Motions()
    down = [Motion(ACTION_DOWN, 0, (PEN,)), Motion(ACTION_POINTER_DOWN, 1, (PEN, FINGER))]
    steps = played(*down, Motion(ACTION_CANCEL, 0, (PEN, FINGER)), follower=follower)
    assert [step.what for step in steps] == ["begin", "begin", "take away", "take away"]
    steps = played(down[0], down[0], Motion(ACTION_UP, 0, (PEN,)), follower=follower)
    assert [(step.what, step.number) for step in steps] == [("begin", 3), ("take away", 3), ("begin", 4), ("end", 4)]


def test_what_is_not_known_and_not_there_is_passed_over() -> None:
    steps = played(
        Motion(ACTION_MOVE, 0, (PEN,)),
        Motion(ACTION_UP, 0, (PEN,)),
        Motion(ACTION_POINTER_DOWN, 3, (PEN,)),
        Motion(ACTION_DOWN, 0, ()),
        Motion(11, 0, (PEN,)),
    )
    assert steps == []


def test_a_large_finger_is_a_palm_at_once_or_when_it_grows() -> None:
    large = pointer(1, TOOL_FINGER, size=300.0)
    assert said(played(Motion(ACTION_DOWN, 0, (large,)))) == [("begin", 1, Touch.PALM)]
    steps = played(Motion(ACTION_DOWN, 0, (FINGER,)), Motion(ACTION_MOVE, 0, (large,)), Motion(ACTION_UP, 0, (large,)))
    assert [step.what for step in steps] == ["begin", "take away"]


def test_hover_is_told_with_its_end() -> None:
    steps = played(Motion(ACTION_HOVER_ENTER, 0, (PEN,)), Motion(ACTION_HOVER_EXIT, 0, (PEN,)))
    assert [step.what for step in steps] == ["hover", "leave"]


def recorded(hertz: int, seconds: float = 1.0) -> list[Motion]:
    """A pen on a curve for a second: an event a frame, its earlier places as history."""

    def at(t: float) -> Place:
        return Place(300 + 220 * math.cos(5 * t / seconds), 300 + 160 * math.sin(5 * t / seconds))

    a_frame = hertz // 60
    motions = [Motion(ACTION_DOWN, 0, (Pointer(0, TOOL_STYLUS, at(0)),))]
    for n in range(int(60 * seconds)):
        times = [n / 60 + (k + 1) / hertz for k in range(a_frame)]
        *history, now = [at(t) for t in times]
        motions.append(Motion(ACTION_MOVE, 0, (Pointer(0, TOOL_STYLUS, now, tuple(history)),)))
    return motions


@pytest.mark.parametrize("seconds", [0.25, 1.0, 4.0])
def test_a_pen_of_240_hertz_makes_hardly_more_points_than_a_finger_of_60(seconds: float) -> None:
    def points(hertz: int) -> int:
        volume, _ = fake_volume(np.zeros((2, 600, 600), np.uint16), "Large", (1.0, 1.0, 1.0))
        document = Document(VolumeInfo.from_message(volume).planes, "s")
        first, *rest = played(*recorded(hertz, seconds))
        document.begin_stroke(Plane.AXIAL, 0, 1, 1.0, first.place.x, first.place.y)
        for step in rest:
            document.extend(step.place.x, step.place.y)
        return len(document.path[0])

    slow, fast = len(played(*recorded(60, seconds))), len(played(*recorded(240, seconds)))
    assert slow <= fast <= slow * 1.1 + 2 or seconds < 1  # a fast hand's bends need more
    assert fast <= 2 * slow + 2
    assert points(240) <= points(60) * 1.1 + 2 or seconds < 1


def test_the_line_stays_within_a_pixel_of_every_place_that_was_reported() -> None:
    motions = recorded(240, 0.25)
    kept = [step.place for step in played(*motions)]
    for motion in motions:
        for place in (*motion.pointers[0].history, motion.pointers[0].place):
            ways = [_to_segment(place, a, b) for a, b in pairwise(kept)]
            assert min(ways) <= 1.0 + 1e-9


def _to_segment(place: Place, start: Place, end: Place) -> float:
    p, a, b = (np.array(one) for one in (place, start, end))
    along = np.clip((p - a) @ (b - a) / max(1e-12, (b - a) @ (b - a)), 0, 1)
    return float(np.hypot(*(p - a - along * (b - a))))


def test_a_pen_that_does_not_move_makes_no_points() -> None:
    still = Motion(ACTION_MOVE, 0, (Pointer(0, TOOL_STYLUS, Place(0.0, 0.0), (Place(0.1, 0.0), Place(0.0, 0.2))),))
    assert [step.what for step in played(Motion(ACTION_DOWN, 0, (PEN,)), still, still)] == ["begin"]


def test_there_and_back_within_a_frame_is_not_lost() -> None:
    there = Motion(ACTION_MOVE, 0, (Pointer(0, TOOL_STYLUS, Place(0.0, 0.0), (Place(5.0, 0.0), Place(9.0, 0.0))),))
    places = [step.place.x for step in played(Motion(ACTION_DOWN, 0, (PEN,)), there)]
    assert places == [0.0, 9.0, 0.0]
