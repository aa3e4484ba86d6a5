"""What touches mean: good sequences, broken ones, and any at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablet_client.state.gestures import Action, Gestures, Touch
from tablet_client.state.tools import Tool

# First letters of a touch's name, and what it is: "f" and "g" are fingers, "p" and "q" pens.
KINDS = {
    "f": Touch.FINGER,
    "g": Touch.FINGER,
    "h": Touch.FINGER,
    "p": Touch.PEN,
    "q": Touch.PEN,
    "e": Touch.ERASER_END,
    "b": Touch.PALM,
    "l": Touch.LEFT,
    "m": Touch.MIDDLE,
    "r": Touch.RIGHT,
}


def play(steps: str, gestures: Gestures) -> list[Action]:
    """Letters are touches: "f" comes, "F" goes, "f>" moves 30 to the right, "f^" 30 up, "f." 1, "fx" is taken away.

    "_" is half a second.
    """
    places: dict[str, tuple[float, float]] = {}
    done: list[Action] = []
    for step in steps.split():
        if step == "_":
            done += gestures.hold()
            continue
        touch = step[0].lower()
        x, y = places.setdefault(touch, (100.0 * len(places), 0.0))
        if step[1:] in (">", "^", "."):
            x, y = {">": (x + 30, y), "^": (x, y + 30), ".": (x + 1, y)}[step[1:]]
            places[touch] = (x, y)
            done += gestures.move(touch, x, y)
        elif step.endswith("x"):
            done += gestures.cancel(touch)
        elif step.isupper():
            done += gestures.up(touch, x, y)
        else:
            done += gestures.down(touch, x, y, KINDS[touch])
    return done


def kinds(actions: list[Action]) -> str:
    return " ".join(action.kind for action in actions)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("f F", "down up"),
        ("f f> f> F", "down move move up"),
        ("f f. g", "down move cancel"),  # a second finger: it was no stroke
        ("f f> g g> F", "down move up"),  # a palm beside a stroke that is meant
        ("f g g> f>", "down cancel pan zoom pan zoom"),
        ("f g F g> G", "down cancel"),  # the finger that is left does not draw
        ("f g F G h H", "down cancel down up"),
        ("f g h h> H", "down cancel"),  # a third finger
        ("f g g> G f> F", "down cancel pan zoom"),
    ],
)
def test_before_a_pen_was_seen_a_finger_draws(steps: str, said: str) -> None:
    assert kinds(play(steps, Gestures())) == said


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("f f> f> F", "scroll scroll"),
        ("f f. F", ""),
        ("f g g> f> G f> F", "pan zoom pan zoom"),
        ("f f> g g> F", "scroll pan zoom"),
        ("p p> P", "down move up"),
        ("p f f> F p> P", "down move up"),  # a palm while the pen is down
        ("f f. p p> f> P f> F", "down move up"),  # and one that was there before
        ("f g p g> p> P", "down move up"),
        ("f f> p P F f> f f>", "scroll down up scroll"),
        ("p f P f> F", "down up"),  # it was there with the pen: it does not scroll
        ("p f P p P F", "down up down up"),  # the hand rests, the pen comes again
        ("p q q> Q p> P", "down move up"),  # two pens
        ("p q P q> Q", "down up"),
        ("b b> B", ""),
        ("b p p> P B", "down move up"),
        ("b f f> F B", ""),
    ],
)
def test_once_a_pen_was_seen_fingers_scroll_and_zoom(steps: str, said: str) -> None:
    assert kinds(play(steps, Gestures(pen_seen=True))) == said


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("l l> L", "down move up"),
        ("r r> R", "down move up"),
        ("m m> M", "pan"),
        ("m l l> L M", ""),  # while the image is held nothing draws
        ("l f f> F L", "down up"),
        ("l p p> l> P L", "down cancel down move up"),
    ],
)
def test_buttons_of_a_mouse(steps: str, said: str) -> None:
    assert kinds(play(steps, Gestures())) == said


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("F", ""),
        ("f> F f F", "down up"),  # nothing is known of it
        ("px", ""),
        ("p p> px p> P", "down move cancel"),  # taken away in the middle
        ("p fx p> P", "down move up"),
        ("f gx f> F", "down move up"),
        ("f g gx f> F", "down cancel"),
        ("p p> p p> P P", "down move cancel down move up"),  # its end was never told
        ("f f> f> p P F", "down move move cancel down up"),  # the first pen of the run: that was the palm
        ("f g p P F G", "down cancel down up"),
    ],
)
def test_broken_sequences(steps: str, said: str) -> None:
    gestures = Gestures()
    assert kinds(play(steps, gestures)) == said
    assert (gestures.situation, gestures.touches, gestures.acting) == ("idle", {}, [])


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("_", ""),
        ("p _ p> f f> F P", "down cancel bare cover"),
        ("p p. _ P", "down move cancel bare cover"),  # it trembles
        ("p p> _ P", "down move up"),
        ("p _ px", "down cancel bare cover"),
        ("p _ p P", "down cancel bare cover down up"),  # its end was never told
        ("p _ P p P", "down cancel bare cover down up"),
        ("p _ q q> Q P", "down cancel bare cover"),
        ("e _ E", "down cancel bare cover"),
        ("f _ F", "down up"),  # a finger may rest
        ("l _ L", "down up"),
    ],
)
def test_a_pen_held_still_shows_the_image_alone(steps: str, said: str) -> None:
    gestures = Gestures()
    assert kinds(play(steps, gestures)) == said
    assert (gestures.situation, gestures.touches, gestures.acting) == ("idle", {}, [])


def test_beside_another_image_a_finger_aims_and_never_draws() -> None:
    gestures = Gestures(aims=True)
    aimed = gestures.down(1, 10, 20) + gestures.move(1, 30, 40) + gestures.up(1, 30, 40)
    assert aimed == [Action("aim", 10, 20), Action("aim", 30, 40)]
    assert gestures.down(2, 5, 5, Touch.PEN) == [Action("down", 5, 5)]
    assert gestures.up(2, 5, 5) == [Action("up", 5, 5)]
    gestures.down(3, 0, 0)
    gestures.down(4, 10, 0)
    assert [action.kind for action in gestures.move(4, 20, 0)] == ["pan", "zoom"]


def test_a_pen_elsewhere_ends_what_fingers_do_here() -> None:
    gestures = Gestures()
    assert gestures.make_way() == []
    gestures = Gestures()
    gestures.down(1, 10, 20)
    assert gestures.make_way() == [Action("cancel")]
    assert gestures.move(1, 30, 40) == gestures.up(1, 30, 40) == []
    assert gestures.down(2, 10, 20) == []
    assert gestures.move(2, 10, 90) == [Action("scroll", steps=2)]


@pytest.mark.parametrize(("touch", "tool"), [("p", None), ("e", Tool.ERASER), ("l", None), ("r", Tool.WINDOW), ("f", None)])
def test_what_touches_says_which_tool(touch: str, tool: Tool | None) -> None:
    assert play(touch, Gestures())[0].tool is tool


def test_the_pens_other_end_is_a_pen_too() -> None:
    gestures = Gestures()
    play("e E", gestures)
    assert kinds(play("f f> F", gestures)) == "scroll"


def test_a_finger_scrolls_along_its_first_direction_by_whole_steps() -> None:
    gestures = Gestures(step=20.0, pen_seen=True)
    gestures.down(1, 0.0, 0.0)
    assert gestures.move(1, 3.0, 19.0) == []
    assert gestures.move(1, 5.0, 45.0) == [Action("scroll", steps=2)]
    assert gestures.move(1, 90.0, 50.0) == []
    assert gestures.move(1, 90.0, 60.0) == [Action("scroll", steps=1)]
    assert gestures.move(1, 90.0, 0.0) == [Action("scroll", steps=-3)]
    gestures.up(1, 90.0, 0.0)
    gestures.down(1, 0.0, 0.0)
    assert gestures.move(1, -41.0, 19.0) == [Action("scroll", steps=-2)]


def test_fingers_apart_zoom_by_their_distance() -> None:
    gestures = Gestures()
    gestures.down(1, 0.0, 0.0)
    gestures.down(2, 100.0, 0.0)
    pan, zoom = gestures.move(2, 300.0, 0.0)
    assert (pan.dx, zoom.factor, zoom.x) == (100.0, 3.0, 150.0)


EVENTS = st.tuples(
    st.sampled_from(["down", "move", "up", "cancel", "hold"]),
    st.integers(0, 4),
    st.sampled_from(list(Touch)),
    st.integers(0, 60),
    st.integers(0, 60),
)


@given(st.lists(EVENTS, max_size=60), st.booleans())
def test_no_sequence_leaves_a_line_open(events: list[tuple[str, int, Touch, int, int]], pen_seen: bool) -> None:
    gestures = Gestures(pen_seen=pen_seen)
    opened = bare = False

    def follow(actions: list[Action]) -> None:
        nonlocal opened, bare
        for action in actions:
            assert action.kind != "down" or not opened
            assert action.kind not in ("move", "up", "cancel") or opened
            assert action.kind not in ("bare", "cover") or bare is (action.kind == "cover")
            bare = action.kind == "bare" or (bare and action.kind != "cover")
            opened = action.kind == "down" or (opened and action.kind not in ("up", "cancel"))

    for what, touch, kind, x, y in events:
        if what == "down":
            follow(gestures.down(touch, x, y, kind))
        elif what == "cancel":
            follow(gestures.cancel(touch))
        elif what == "hold":
            follow(gestures.hold())
        else:
            follow(getattr(gestures, what)(touch, x, y))
    for touch in range(5):
        follow(gestures.up(touch, 0.0, 0.0))
    assert not opened
    assert not bare
    assert (gestures.situation, gestures.touches, gestures.acting) == ("idle", {}, [])
