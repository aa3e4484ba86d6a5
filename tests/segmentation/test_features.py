"""Features are shared between the annotations of a volume, within a budget, and a budget changes no byte."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calque.v1 import segmentation_pb2 as pb

from services.core import pipeline
from services.core.volume import Volume, intensity_window
from services.segmentation.features import Budget, VolumeFeatures
from tests.phantoms import oblique_phantom
from tests.segmentation import test_calque, test_computing
from tests.served import SECONDS, Tablet, begin, serve, stroke

SLICE_BYTES = 18 * 40 * 48


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Whole slices whose features were computed, in order."""
    work, seen = pipeline.slice_features, []

    def note(volume: Volume, window: tuple[float, float], index: int, *rest: Any, **named: Any) -> np.ndarray:
        if not rest and volume.shape == (12, 40, 48):  # the engine warms up on another one
            seen.append(index)
        return work(volume, window, index, *rest, **named)

    monkeypatch.setattr(pipeline, "slice_features", note)
    return seen


def opened(budget: Budget, name: str, volume: Volume) -> VolumeFeatures:
    return budget.open(name, lambda: (volume, intensity_window(volume)))


def held(features: VolumeFeatures) -> list[int]:
    return sorted(features.kept)


def test_annotations_of_a_volume_share_its_features_until_the_last_one_goes(phantom: Volume, computed: list[int]) -> None:
    budget = Budget(100 * SLICE_BYTES)
    first, second = opened(budget, "a", phantom), opened(budget, "a", phantom)
    assert first is second
    np.testing.assert_array_equal(first[4], pipeline.slice_features(phantom, first.window, 4))
    assert second[4] is first[4]
    assert computed == [4, 4]  # one of them our own
    assert budget.held_bytes == SLICE_BYTES
    first.close()
    assert second[4] is first[4]
    second.close()
    assert budget.held_bytes == 0
    assert opened(budget, "a", phantom) is not first


def test_slices_far_from_what_is_looked_at_go_first_and_no_nearer_one_is_pushed_out(phantom: Volume) -> None:
    budget = Budget(3 * SLICE_BYTES)
    features = opened(budget, "a", phantom)
    features.look("who", [5])
    for index in (0, 9, 4, 6):
        _ = features[index]
    assert held(features) == [4, 6, 9]
    assert not features.has_room(1)  # as far as 9: nothing would be gained
    assert features.has_room(8)
    _ = features[11], features[5]
    assert held(features) == [4, 5, 6]
    features.look("who", [11])
    _ = features[10]
    assert held(features) == [5, 6, 10]


def test_what_nobody_looks_at_goes_first_the_one_left_longest_ago_before_all(phantom: Volume) -> None:
    budget = Budget(4 * SLICE_BYTES)
    old, left, here = (opened(budget, name, phantom) for name in "abc")
    for features in (left, old, left):  # one comes back, and leaves again
        features.look("who", [6])
        _ = features[6], features[0]
        features.look("who", [])
    here.look("who", [3])
    _ = here[11]
    assert (held(old), held(left), held(here)) == ([6], [0, 6], [11])
    _ = here[10]
    assert (held(old), held(left), held(here)) == ([], [0, 6], [10, 11])
    _ = here[9]
    assert (held(left), held(here)) == ([6], [9, 10, 11])
    _ = left[5]  # nothing of what is looked at goes for somebody who left
    assert (held(left), held(here)) == ([6], [9, 10, 11])


def test_two_that_are_looked_at_share_by_distance_and_settle(phantom: Volume, computed: list[int]) -> None:
    budget = Budget(6 * SLICE_BYTES)
    one, other = opened(budget, "a", phantom), opened(budget, "b", phantom)
    one.look("who", [2])
    other.look("else", [6])
    for index in sorted(range(12), key=lambda k: abs(k - 2)):
        _ = one[index]
    for index in sorted(range(12), key=lambda k: abs(k - 6)):
        _ = other[index]
    assert (held(one), held(other)) == ([1, 2, 3], [5, 6, 7])
    computed.clear()
    for index in range(12):
        assert not one.has_room(index)
        assert not other.has_room(index)
    _ = [one[k] for k in (1, 2, 3)], [other[k] for k in (5, 6, 7)]
    assert computed == []


def test_who_asks_at_once_has_it_computed_once(phantom: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    features = opened(Budget(0), "a", phantom)
    begun, go, work, times = threading.Event(), threading.Event(), pipeline.slice_features, []

    def slow(*arguments: Any, **named: Any) -> np.ndarray:
        times.append(arguments)
        begun.set()
        assert go.wait(SECONDS)
        return work(*arguments, **named)

    class Told(dict[int, Any]):
        """Tells when the second one found that it is being computed."""

        def get(self, index: int, otherwise: Any = None) -> Any:
            found = super().get(index, otherwise)
            if found is not None:
                go.set()
            return found

    features._under_way = Told()
    monkeypatch.setattr(pipeline, "slice_features", slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(features.__getitem__, 3)
        assert begun.wait(SECONDS)
        assert pool.submit(features.__getitem__, 3).result(SECONDS) is first.result(SECONDS)
    assert len(times) == 1
    assert held(features) == []  # there was no room
    monkeypatch.setattr(pipeline, "slice_features", lambda *_, **named: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        _ = features[3]


@pytest.mark.parametrize("preset", [pb.PRESET_PAPER, pb.PRESET_CALQUE])
@pytest.mark.parametrize("slices", [0, 3])
async def test_a_tiny_budget_changes_no_byte(tmp_path: Path, phantom: Volume, preset: int, slices: int) -> None:
    module: Any = test_calque if preset == pb.PRESET_CALQUE else test_computing
    bodies = [test_calque.INSIDE, test_calque.AROUND, test_calque.BELOW, test_calque.LATER]
    async with serve(tmp_path / "store", compute_threads=2, features_memory_bytes=slices * SLICE_BYTES) as served:
        annotation_id = await begin(served, phantom)
        async with Tablet(served.segmentation, annotation_id) as tablet:
            await tablet.settings(preset=preset, live=False)
            await tablet.look(1, 3)
            await tablet.draw(*bodies)
            await tablet.segment()
            await tablet.whole()
            computation = served.workspace(annotation_id).computation
            np.testing.assert_array_equal(computation.levels, module.expected(served, annotation_id, phantom, *bodies))
            assert len(computation.features.kept) == slices
            assert served.servicer._features.held_bytes == slices * SLICE_BYTES


async def test_loading_ahead_stops_when_the_budget_is_full_and_a_second_annotation_shares_what_is_there(
    tmp_path: Path, phantom: Volume, computed: list[int]
) -> None:
    async with serve(tmp_path / "store", compute_threads=1, features_memory_bytes=5 * SLICE_BYTES) as served:
        first, second = await begin(served, phantom), await begin(served, phantom)
        async with Tablet(served.segmentation, first) as tablet:
            await tablet.look(1, 3)
            await settled(served.workspace(first))
            nearest = held(served.workspace(first).computation.features)
            assert len(nearest) == 5
            before = len(computed)
            async with Tablet(served.segmentation, second) as other:
                await other.look(1, 3)
                await settled(served.workspace(second))
                assert not set(computed[before:]) & set(nearest)  # others may be asked for before the view is known
            assert before <= 10  # from the middle outward before the view was known, then from there


async def settled(workspace: Any) -> None:
    """Wait until a schedule has nothing more to do: two rounds of its loop, and every step that they asked for."""
    while True:
        workspace.schedule.look()
        step = asyncio.ensure_future(workspace.schedule._threads.run("test", len, (), urgent=False))
        await step
        if not workspace.schedule._wake.is_set() and not list(workspace.schedule._worth_loading()):
            return


async def test_a_mask_of_everything_keeps_no_samples_twice(tmp_path: Path) -> None:
    """Samples of a whole mask would take as much memory as the features themselves."""
    volume = oblique_phantom((6, 24, 32))
    async with serve(tmp_path / "store", compute_threads=1) as served:
        annotation_id = await begin(served, volume)
        async with Tablet(served.segmentation, annotation_id) as tablet:
            await tablet.settings(live=False)
            everything = [stroke(1, 2, [0, 31], [row, row], label=1 + (row > 11)) for row in range(24)]
            await tablet.draw(*everything, stroke(1, 4, [3], [3]))
            await tablet.segment()
            await tablet.whole()
            strokes = served.workspace(annotation_id).computation.strokes
            assert list(strokes._samples) == [4]
