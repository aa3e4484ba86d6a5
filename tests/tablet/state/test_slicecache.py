"""Slices that several caches hold together within a number of bytes."""

from __future__ import annotations

import numpy as np

from tablet_client.state.geometry import Plane
from tablet_client.state.slicecache import Room, SliceCache


def test_a_smaller_room_lets_go_what_was_not_used_for_longest_whosever_it_is() -> None:
    gone: list[tuple[str, int]] = []
    room = Room(1000)
    greys = SliceCache(room, lambda key: gone.append(("grey", key[1])))
    levels = SliceCache(room, lambda key: gone.append(("level", key[1])))
    for index in range(5):
        greys.put(Plane.AXIAL, index, np.zeros(100, np.uint8))
        levels.put(Plane.AXIAL, index, np.zeros(100, np.uint8))
    greys.get(Plane.AXIAL, 0)
    assert not gone
    room.resize(250)
    assert room.held_bytes == 200
    assert (len(greys), len(levels)) == (1, 1)
    assert greys.has(Plane.AXIAL, 0)  # used last
    assert sorted(gone) == [("grey", n) for n in range(1, 5)] + [("level", n) for n in range(4)]
    greys.put(Plane.AXIAL, 7, np.zeros(100, np.uint8))
    assert room.held_bytes == 200
    room.resize(1000)
    levels.put(Plane.AXIAL, 8, np.zeros(700, np.uint8))
    assert room.held_bytes == 900
