"""Several views on the screen, of which the server is asked for one at a time."""

from __future__ import annotations

import numpy as np

from tablet_client.link.views import Views
from tablet_client.state.geometry import Plane
from tablet_client.state.probabilities import Probabilities
from tablet_client.state.slicecache import Room

SHOWN = [(Plane.AXIAL, 3), (Plane.CORONAL, 5), (Plane.SAGITTAL, 7)]


def asked(views: Views) -> tuple[int, int]:
    message = views.message()
    views.due = False
    return message.plane, message.slice


def test_each_view_is_asked_for_when_the_one_before_has_come_and_at_the_end_the_first():
    probabilities = Probabilities(Room(1 << 20))
    views = Views(probabilities)
    assert views.message() is None
    views.look_at(SHOWN)
    for generation in (1, 2):
        for number, view in enumerate(SHOWN):
            assert asked(views) == view
            probabilities.put(*view, generation, np.zeros((2, 2), np.uint8))
            assert views.came(*view)
            assert views.due
            assert number < 2 or asked(views) == SHOWN[0]
    assert asked(views) == SHOWN[0]
    assert not views.came(*SHOWN[0])  # nothing is behind: the server is left alone
    assert not views.due


def test_a_newer_answer_is_first_of_the_view_that_is_worked_on():
    probabilities = Probabilities(Room(1 << 20))
    views = Views(probabilities)
    views.look_at(SHOWN)
    probabilities.put(*SHOWN[0], 1, np.zeros((2, 2), np.uint8))
    assert views.came(*SHOWN[0])
    assert asked(views) == SHOWN[1]
    probabilities.put(*SHOWN[1], 2, np.zeros((2, 2), np.uint8))
    assert views.came(*SHOWN[1])
    assert asked(views) == SHOWN[0]


def test_what_is_here_already_is_not_waited_for():
    probabilities = Probabilities(Room(1 << 20))
    views = Views(probabilities)
    probabilities.put(*SHOWN[0], 4, np.zeros((2, 2), np.uint8))
    views.look_at(SHOWN)
    for view, later in ((SHOWN[1], SHOWN[2]), (SHOWN[2], SHOWN[0])):
        assert asked(views) == view
        probabilities.put(*view, 4, np.zeros((2, 2), np.uint8))
        assert views.came(*view)
        assert asked(views) == later


def test_one_view_alone_is_asked_for_once_and_after_a_restart_again():
    views = Views(Probabilities(Room(1 << 20)))
    views.restart()
    assert not views.due
    views.look_at(SHOWN[:1])
    assert asked(views) == SHOWN[0]
    assert not views.came(*SHOWN[0])
    views.restart()
    assert views.due
