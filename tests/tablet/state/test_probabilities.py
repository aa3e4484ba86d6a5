"""Caches of slices: newest wins, and never more bytes than allowed."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablet_client.state.geometry import Plane
from tablet_client.state.probabilities import Probabilities, object_ml
from tablet_client.state.slicecache import Room, SliceCache


def levels(value: int, size: int = 4) -> np.ndarray:
    return np.full((size, size), value, dtype=np.uint8)


@given(st.lists(st.tuples(st.sampled_from(["put", "get", "drop"]), st.integers(0, 13), st.integers(1, 40)), max_size=60))
def test_caches_of_a_room_keep_the_last_used_within_its_bytes(steps):
    room, model, told = Room(100), OrderedDict(), []
    caches = [SliceCache(room, lambda key, which=which: told.append((which, key[1]))) for which in range(2)]
    for kind, number, size in steps:
        which, index = divmod(number, 7)
        cache, place = caches[which], (which, index)
        told.clear()
        if kind == "put":
            model.pop(place, None)
            model[place] = size
            own = cache.put(Plane.AXIAL, index, np.zeros(size, dtype=np.uint8))
            gone = []
            while sum(model.values()) > 100:
                gone.append(model.popitem(last=False)[0])
            assert told == gone
            assert own == any(whose == which for whose, _ in gone)
        elif kind == "get":
            assert (cache.get(Plane.AXIAL, index) is None) == (place not in model)
            if place in model:
                model.move_to_end(place)
        else:
            cache.drop(Plane.AXIAL, index)
            model.pop(place, None)
        assert room.held_bytes == sum(model.values())
        assert [len(one) for one in caches] == [sum(whose == k for whose, _ in model) for k in range(2)]


def test_one_array_over_the_cap_is_still_kept():
    cache = SliceCache(Room(10))
    cache.put(Plane.AXIAL, 0, np.zeros(50, dtype=np.uint8))
    assert cache.get(Plane.AXIAL, 0) is not None
    assert cache.put(Plane.CORONAL, 0, np.zeros(60, dtype=np.uint8))
    assert not cache.has(Plane.AXIAL, 0)


def test_an_answer_older_than_the_held_one_is_dropped():
    cache = Probabilities(Room(1 << 20))
    assert cache.put(Plane.AXIAL, 3, 5, levels(5))
    assert not cache.put(Plane.AXIAL, 3, 4, levels(4))
    assert cache.put(Plane.AXIAL, 3, 5, levels(6))
    assert cache.put(Plane.CORONAL, 3, 1, levels(1))
    assert cache.get(Plane.AXIAL, 3)[0, 0] == 6
    assert cache.generation(Plane.AXIAL, 3) == 5


def test_a_draft_gives_way_to_what_replaces_it_and_does_not_come_back():
    cache = Probabilities(Room(1 << 20))
    draft, final = [16] + [0] * 255, [0] * 255 + [16]
    assert cache.put(Plane.AXIAL, 3, 1, levels(1), entries=4)
    assert cache.put_counts(1, draft, False)
    assert cache.object_ml(1, 1.0) is None
    assert cache.put(Plane.AXIAL, 3, 2, levels(2), entries=4)
    assert cache.put_counts(2, final, True)
    assert not cache.put(Plane.AXIAL, 3, 1, levels(1), entries=4)
    assert not cache.put_counts(1, draft, True)
    assert (cache.get(Plane.AXIAL, 3)[0, 0], cache.generation(Plane.AXIAL, 3)) == (2, 2)
    assert (cache.complete, cache.object_ml(1, 1.0)) == (True, 16.0)


def test_what_was_dropped_for_room_may_come_again_whatever_its_generation():
    cache = Probabilities(Room(16))
    cache.put(Plane.AXIAL, 0, 9, levels(9))
    cache.put(Plane.AXIAL, 1, 9, levels(9))
    assert cache.get(Plane.AXIAL, 0) is None
    assert cache.generation(Plane.AXIAL, 0) is None
    assert cache.put(Plane.AXIAL, 0, 2, levels(2))


def test_after_the_server_began_anew_its_generations_are_newer():
    cache = Probabilities(Room(1 << 20))
    cache.put(Plane.AXIAL, 0, 900, levels(1))
    cache.put_counts(900, [0] * 256, True)
    cache.restart()
    assert cache.get(Plane.AXIAL, 0)[0, 0] == 1
    assert cache.put(Plane.AXIAL, 0, 1, levels(2))
    assert cache.put_counts(1, [1] * 256, False)
    assert not cache.complete


def test_the_volume_follows_the_threshold():
    cache = Probabilities(Room(1 << 20))
    assert cache.object_ml(128, 0.5) is None
    counts = np.arange(256)
    assert cache.put_counts(2, counts.tolist(), complete=True)
    assert not cache.put_counts(1, [0] * 256, complete=True)
    assert not cache.put_counts(3, [0] * 255, complete=True)
    for threshold in (1, 128, 255):
        naive = sum(int(counts[level]) for level in range(256) if level >= threshold) * 0.5
        assert cache.object_ml(threshold, 0.5) == pytest.approx(naive)
    assert cache.put_counts(3, [7] * 256, complete=False)
    assert cache.object_ml(255, 0.5) == 127.5  # a part of the slices has no volume
    cache.clear()
    assert cache.object_ml(1, 0.5) is None


def test_a_threshold_of_zero_does_not_count_what_is_certainly_outside():
    counts = np.zeros(256, dtype=np.int64)
    counts[0], counts[1] = 1000, 2
    assert object_ml(counts, 0, 1.0) == 2


def test_a_held_slice_knows_how_much_of_the_log_it_knew():
    cache = Probabilities(Room(16))
    assert cache.entries(Plane.AXIAL, 0) == 0
    cache.put(Plane.AXIAL, 0, 1, levels(1), entries=7)
    assert cache.entries(Plane.AXIAL, 0) == 7
    cache.put(Plane.AXIAL, 1, 1, levels(1), entries=8)
    assert (cache.entries(Plane.AXIAL, 0), cache.entries(Plane.AXIAL, 1)) == (0, 8)
    cache.clear()
    assert cache.entries(Plane.AXIAL, 1) == 0


def test_the_newest_generation_says_its_log_and_suggests_a_threshold():
    cache = Probabilities(Room(1 << 20))
    assert (cache.newest, cache.suggested) == ((0, 0), 0)
    cache.put(Plane.AXIAL, 3, 5, levels(5), 12, 90)
    cache.put(Plane.AXIAL, 4, 4, levels(5), 11, 80)
    assert (cache.newest, cache.suggested) == ((5, 12), 90)
    cache.put(Plane.AXIAL, 4, 6, levels(5), 13, 101)
    cache.put(Plane.AXIAL, 4, 6, levels(5), 13)  # a server that suggests nothing
    cache.put(Plane.AXIAL, 4, 6, levels(5), 13, 300)
    assert (cache.newest, cache.suggested) == ((6, 13), 101)
    cache.restart()
    assert (cache.newest, cache.suggested) == ((0, 13), 101)
    cache.put(Plane.AXIAL, 4, 1, levels(5), 14, 70)
    assert (cache.newest, cache.suggested) == ((1, 14), 70)
    cache.clear()
    assert (cache.newest, cache.suggested) == ((0, 0), 0)
