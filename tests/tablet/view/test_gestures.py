from __future__ import annotations

import pytest

from tablet_client.view.gestures import Gestures


def play(steps: str, gestures: Gestures) -> str:
    """Letters are touches: "a" comes, "A" goes, "a>" moves 30 to the right, "a." moves 1, "m!" holds the image."""
    places: dict[str, float] = {}
    said: list[str] = []
    for step in steps.split():
        touch = step[0].lower()
        if step.endswith((">", ".")):
            places[touch] += 30 if step.endswith(">") else 1
            actions = gestures.move(touch, places[touch], 0.0)
        elif step[0].isupper():
            actions = gestures.up(touch, places[touch], 0.0)
        else:
            places[touch] = 100.0 * len(places)
            actions = gestures.down(touch, places[touch], 0.0, hand=step.endswith("!"))
        said += [action.kind for action in actions]
    return " ".join(said)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("a A", "down up"),
        ("a a> a> A", "down move move up"),
        ("a a. b", "down move cancel"),  # a second finger: it was no stroke
        ("a a> b b> A", "down move up"),  # a palm beside a stroke that is meant
        ("a b b> a>", "down cancel pan zoom pan zoom"),
        ("a b A b> B", "down cancel"),  # the finger that is left does not draw
        ("a b A B c C", "down cancel down up"),
        ("a b c c> C", "down cancel"),  # a third finger
        ("m! m> M a A", "pan down up"),
        ("a b b> B a> A", "down cancel pan zoom"),
        ("z! a a> A Z", ""),  # while the image is held nothing draws
    ],
)
def test_the_table_of_situations(steps: str, said: str) -> None:
    gestures = Gestures()
    assert play(steps, gestures) == said


def test_after_all_have_gone_it_is_idle() -> None:
    gestures = Gestures()
    play("a b c A B", gestures)
    assert gestures.situation == "idle"
    assert not gestures.touches


def test_fingers_apart_zoom_by_their_distance() -> None:
    gestures = Gestures()
    gestures.down(1, 0.0, 0.0)
    gestures.down(2, 100.0, 0.0)
    pan, zoom = gestures.move(2, 300.0, 0.0)
    assert (pan.dx, zoom.factor, zoom.x) == (100.0, 3.0, 150.0)
