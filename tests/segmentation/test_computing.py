"""What is computed, when, and how it is told: the visible slice first, the newest state only, acknowledgements at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from calque import wire
from calque.v1 import common_pb2, segmentation_pb2, volumes_pb2

from services.core import forest, pipeline
from services.core.labels import replay
from services.core.volume import Volume
from services.segmentation.computation import Computation
from services.segmentation.events import to_action
from services.segmentation.schedule import Schedule
from tests.served import SECONDS, Served, Tablet, begin, image, refused, serve, stroke

Body = segmentation_pb2.EventBody
UNDO = Body(undo={})
OBJECT = stroke(1, 3, [28, 33], [13, 13], label=1)  # inside the phantom's first blob
BACKGROUND = stroke(1, 3, [5, 30], [36, 36], label=2)
MORE = stroke(1, 8, [10, 16], [24, 24], label=1)


class Gate:
    """Holds chosen steps of computing until it is opened."""

    def __init__(self) -> None:
        self.held = threading.Event()  # a step has come to the gate
        self._open = threading.Event()

    def open(self) -> None:
        self._open.set()

    def wrap(self, monkeypatch: pytest.MonkeyPatch, name: str, passes: Callable[..., bool] = lambda *_: False) -> None:
        """Hold ``Computation.<name>`` unless its arguments may pass."""
        work = getattr(Computation, name)

        def held(computation: Computation, *arguments: Any, **named: Any) -> Any:
            if not passes(*arguments):
                self.held.set()
                assert self._open.wait(SECONDS)
            return work(computation, *arguments, **named)

        monkeypatch.setattr(Computation, name, held)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


async def planes_of(served: Served, annotation_id: str) -> list[common_pb2.PlaneGeometry]:
    request = volumes_pb2.GetVolumeRequest(volume_id=annotation_id.partition("-")[0])
    return list((await served.volumes.GetVolume(request)).volume.planes)


def expected(served: Served, annotation_id: str, volume: Volume, *bodies: Body, **named: Any) -> np.ndarray:
    """Probability by the flow on one page, from the events alone."""
    planes = served.workspace(annotation_id).planes
    actions = [to_action(body, planes, volume.shape, None) for body in bodies]
    labels = replay(volume.shape, [action for action in actions if action is not None])
    return pipeline.segment(volume, labels.array, **named).levels


def cut(levels: np.ndarray, plane: common_pb2.PlaneGeometry, index: int) -> np.ndarray:
    """A plane's image of an array shaped like the volume, by the integer map of the contract."""
    rows, columns = np.mgrid[: plane.rows, : plane.columns]
    pixels = np.stack([columns, rows, np.full_like(rows, index), np.ones_like(rows)], axis=-1)
    voxels = pixels @ np.array(plane.pixel_to_voxel).reshape(3, 4).T
    return levels[voxels[..., 0], voxels[..., 1], voxels[..., 2]]


def shown(tablet: Tablet, plane: int, index: int, generation: int = 0) -> list[segmentation_pb2.Probability]:
    found = [p for p in tablet.all("probability") if (p.plane, p.slice) == (plane, index)]
    return [p for p in found if p.generation >= generation]


@pytest.mark.parametrize("plane", [1, 2, 3])
async def test_the_visible_slice_comes_before_the_rest_of_the_volume(
    served: Served, phantom: Volume, gate: Gate, monkeypatch, plane: int
) -> None:
    index = {1: 6, 2: 17, 3: 25}[plane]
    # Of whole slices only the visible one may be computed (across the acquisition, none), and features of what is drawn on.
    gate.wrap(monkeypatch, "predict", lambda n: plane == 1 and n == index)
    gate.wrap(monkeypatch, "load_features", lambda n: n == 3 or (plane == 1 and n == index))
    monkeypatch.setattr(Schedule, "_worth_loading", lambda _: [])
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.settings(live=False)
        await tablet.look(plane, index)
        await tablet.draw(OBJECT, BACKGROUND)
        await tablet.segment()
        first = (await tablet.until(lambda t: shown(t, plane, index)))[0]
        assert not [one for one in tablet.all("progress") if one.done > 1]
        geometry = (await planes_of(served, annotation_id))[plane - 1]
        whole = expected(served, annotation_id, phantom, OBJECT, BACKGROUND)
        np.testing.assert_array_equal(image(first, geometry), cut(whole, geometry, index))
        assert first.log_length == 3
        measured = await tablet.until(lambda t: t.all("statistics"))
        assert measured[0].visible_ms > 0
        assert measured[0].volume_ms == 0
        assert await asyncio.to_thread(gate.held.wait, SECONDS)  # the rest is tried now, and events are taken meanwhile
        await tablet.draw(Body())
        gate.open()
        await tablet.whole()


async def test_acknowledgements_wait_for_no_computing_and_strokes_are_coalesced(
    served: Served, phantom: Volume, gate: Gate, monkeypatch
) -> None:
    gate.wrap(monkeypatch, "fit")
    annotation_id = await begin(served, phantom)
    strokes = [stroke(1, 3, [20 + n % 9, 24], [13, 14]) for n in range(30)]
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.look(1, 3)
        await tablet.draw(OBJECT, BACKGROUND)
        assert await asyncio.to_thread(gate.held.wait, SECONDS)
        await tablet.draw(*strokes)
        assert tablet.all("probability") == []
        gate.open()
        await tablet.until(lambda t: any(p.log_length == 33 for p in shown(t, 1, 3)))
        await tablet.whole()
        # The fit that was held, at most one more that had begun to gather, and one with all the rest.
        assert served.workspace(annotation_id).computation.generation <= 3
        last = shown(tablet, 1, 3)[-1]
        whole = expected(served, annotation_id, phantom, OBJECT, BACKGROUND, *strokes)
        geometry = (await planes_of(served, annotation_id))[0]
        np.testing.assert_array_equal(image(last, geometry), cut(whole, geometry, 3))


async def test_strokes_that_come_faster_than_forests_put_off_no_mask(served: Served, phantom: Volume, monkeypatch) -> None:
    annotation_id = await begin(served, phantom)
    work, loop = Computation.fit, asyncio.get_running_loop()
    hasty = [stroke(1, 3, [20 + n, 24], [13, 14]) for n in range(6)]
    async with Tablet(served.segmentation, annotation_id) as tablet:

        def fit(computation: Computation, *arguments: Any, **named: Any) -> Any:
            if hasty and tablet.sequence >= 2:  # while a forest is fitted the next stroke arrives
                asyncio.run_coroutine_threadsafe(tablet.draw(hasty.pop()), loop).result(SECONDS)
            return work(computation, *arguments, **named)

        await tablet.look(1, 3)
        monkeypatch.setattr(Computation, "fit", fit)
        await tablet.draw(OBJECT, BACKGROUND)
        await tablet.whole()
        assert len(shown(tablet, 1, 3)) >= 6


async def test_every_slice_of_every_plane_equals_the_flow_on_one_page(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    geometry = await planes_of(served, annotation_id)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.settings(live=True, seed=7)
        await tablet.look(3, 30)
        await tablet.draw(OBJECT, BACKGROUND)
        await tablet.look(2, 11)
        await tablet.draw(MORE)
        whole = expected(served, annotation_id, phantom, OBJECT, BACKGROUND, MORE, seed=7)
        for plane in geometry:
            await tablet.look(plane.plane, plane.slices // 2)
            everything = {(plane.plane, index) for index in range(plane.slices)}

            def newest(t: Tablet, wanted=everything) -> bool:
                have = {(p.plane, p.slice) for p in t.all("probability") if p.log_length == 4}
                return wanted <= have

            await tablet.until(newest)
            for index in range(plane.slices):
                last = shown(tablet, plane.plane, index)[-1]
                np.testing.assert_array_equal(image(last, plane), cut(whole, plane, index))
        histogram = await tablet.whole()
        np.testing.assert_array_equal(histogram.counts, np.bincount(whole.ravel(), minlength=256))
        measured = [one for one in tablet.all("statistics") if one.volume_ms][-1]
        assert sum(measured.labelled_voxels) > 0
        assert 0.5 < measured.out_of_bag <= 1
        assert measured.volume_ms >= measured.visible_ms > 0
        assert measured.fit_ms > 0
        assert measured.peak_bytes > measured.workspace_bytes > phantom.voxels.nbytes


async def test_generations_and_progress_only_rise(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.look(1, 3)
        await tablet.draw(OBJECT, BACKGROUND)
        for n in range(4):
            await tablet.until(lambda t, n=n: shown(t, 1, 3)[n:])
            await tablet.draw(stroke(1, 3, [20 + n], [20]))
        await tablet.until(lambda t: any(p.log_length == 7 for p in shown(t, 1, 3)))
        visible = [p.generation for p in shown(tablet, 1, 3)]
        assert visible == sorted(set(visible))
        steps = [(one.generation, one.done) for one in tablet.all("progress")]
        assert steps == sorted(steps)
        for name in ("probability", "histogram", "statistics"):
            generations = [one.generation for one in tablet.all(name)]
            assert generations == sorted(generations)


async def test_a_histogram_counts_only_what_is_of_its_generation(
    served: Served, phantom: Volume, gate: Gate, monkeypatch
) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.look(1, 3)
        await tablet.draw(OBJECT, BACKGROUND)
        await tablet.whole()
        gate.wrap(monkeypatch, "predict", lambda n: n == 3)
        before = tablet.all("histogram")[-1]
        await tablet.draw(MORE)
        found = await tablet.until(lambda t: [h for h in t.all("histogram") if h.generation > before.generation])
        assert not found[0].complete
        assert sum(found[0].counts) == 40 * 48


async def test_nothing_is_computed_before_it_is_asked_for_when_not_live(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.settings(live=False)
        await tablet.look(1, 3)
        await tablet.draw(OBJECT, BACKGROUND)
        async with Tablet(served.segmentation, annotation_id, read_only=True) as other:
            await other.until(lambda t: len(t.all("logged")) == 3)  # somebody who only looks starts nothing either
        await tablet.draw(MORE, UNDO)
        assert served.workspace(annotation_id).computation.generation == 0
        await tablet.segment()
        histogram = await tablet.whole()
        assert histogram.generation == 1
        await tablet.draw(MORE)
        await tablet.settings(live=True)
        await tablet.until(lambda t: any(p.log_length == 6 for p in shown(t, 1, 3)))
        await tablet.draw(Body())
        await tablet.until(lambda t: any(p.log_length == 7 for p in shown(t, 1, 3)))


async def test_undo_to_nothing_says_that_there_is_no_probability(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.look(1, 3)
        await tablet.draw(OBJECT, BACKGROUND)
        last = (await tablet.until(lambda t: shown(t, 1, 3)))[-1].generation
        await tablet.draw(UNDO)
        empty = await tablet.until(lambda t: [h for h in t.all("histogram") if not h.counts and h.generation > last])
        assert not empty[-1].complete
        await tablet.draw(Body(redo={}))
        await tablet.until(lambda t: shown(t, 1, 3, empty[-1].generation + 1))


async def test_while_a_forest_is_fitted_the_one_before_is_shown(
    served: Served, phantom: Volume, gate: Gate, monkeypatch
) -> None:
    annotation_id, fit = await begin(served, phantom), forest.fit

    def slow(*arguments: Any, **named: Any) -> forest.Forest:
        gate.held.set()
        assert gate._open.wait(SECONDS)
        return fit(*arguments, **named)

    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.draw(OBJECT, BACKGROUND)
        before = await tablet.whole()
        monkeypatch.setattr(forest, "fit", slow)
        await tablet.draw(MORE)
        assert await asyncio.to_thread(gate.held.wait, SECONDS)
        async with Tablet(served.segmentation, annotation_id, read_only=True) as other:
            await other.look(2, 9)
            found = (await other.until(lambda t: shown(t, 2, 9)))[0]
            assert (found.generation, found.log_length) == (before.generation, 3)
            assert (await other.until(lambda t: t.all("histogram")))[0] == before
        gate.open()
        await tablet.until(lambda t: any(h.generation > before.generation and h.complete for h in t.all("histogram")))
    steps = [(one.generation, one.done) for one in tablet.all("progress")]
    assert steps == sorted(steps)


async def test_another_label_is_shown_on_request(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    geometry = (await planes_of(served, annotation_id))[0]
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.look(1, 3)
        await tablet.draw(OBJECT, BACKGROUND)
        first = (await tablet.until(lambda t: shown(t, 1, 3)))[-1]
        await tablet.settings(live=True, shown_label=2)
        other = (await tablet.until(lambda t: shown(t, 1, 3, first.generation + 1)))[-1]
        whole = expected(served, annotation_id, phantom, OBJECT, BACKGROUND, label=2)
        np.testing.assert_array_equal(image(other, geometry), cut(whole, geometry, 3))


async def test_another_server_computes_the_same_bytes(served: Served, phantom: Volume, tmp_path) -> None:
    annotation_id = await begin(served, phantom)

    async def levels(where: Served, plane: int, *bodies: Body) -> np.ndarray:
        async with Tablet(where.segmentation, annotation_id) as tablet:
            await tablet.settings(live=False)  # else the first strokes alone may be a whole volume
            await tablet.look(plane, 5)
            for body in bodies:
                await tablet.draw(body)
            await tablet.segment()
            await tablet.whole()
            return where.workspace(annotation_id).computation.levels.copy()

    before = await levels(served, 1, OBJECT, BACKGROUND, MORE)
    async with serve(tmp_path / "store", compute_threads=1) as restarted:
        np.testing.assert_array_equal(await levels(restarted, 2), before)
    assert len(np.unique(before)) > 10


@pytest.mark.parametrize("step", ["fit", "predict", "gather"])
async def test_a_fault_in_computing_is_told_and_the_next_event_tries_again(
    served: Served, phantom: Volume, monkeypatch, step: str
) -> None:
    annotation_id = await begin(served, phantom)
    work, broken = getattr(Computation, step), [True]

    def fails(computation: Computation, *arguments: Any, **named: Any) -> Any:
        if broken[0] and computation.labels.array.any():
            raise ZeroDivisionError("patient Smith")
        return work(computation, *arguments, **named)

    monkeypatch.setattr(Computation, step, fails)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.look(1, 3)
        await tablet.draw(OBJECT, BACKGROUND)
        error = (await tablet.until(lambda t: t.all("error")))[0]
        assert error.reason == common_pb2.INTERNAL
        assert "Smith" not in error.message
        save = served.segmentation.SaveMask(segmentation_pb2.SaveMaskRequest(annotation_id=annotation_id, threshold=9))
        assert (await refused(save))[:2] == ("INTERNAL", "INTERNAL")
        broken[0] = False
        await tablet.draw(MORE)
        last = (await tablet.until(lambda t: [p for p in shown(t, 1, 3) if p.log_length == 4]))[-1]
        whole = expected(served, annotation_id, phantom, OBJECT, BACKGROUND, MORE)
        assert last.levels == wire.pack(whole[3], wire.LEVEL)


async def test_after_a_failed_fit_no_mask_of_the_old_forest_is_saved(served: Served, phantom: Volume, monkeypatch) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.draw(OBJECT, BACKGROUND)
        await tablet.whole()
        work = Computation.fit

        def fails(computation: Computation, *arguments: Any, **named: Any) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(Computation, "fit", fails)
        await tablet.draw(MORE)
        await tablet.until(lambda t: t.all("error"))
        monkeypatch.setattr(Computation, "fit", work)
        save = served.segmentation.SaveMask(segmentation_pb2.SaveMaskRequest(annotation_id=annotation_id, threshold=128))
        saved = [response async for response in save][-1].mask
        assert saved.log_length == 4
        whole = expected(served, annotation_id, phantom, OBJECT, BACKGROUND, MORE)
        assert saved.object_ml == pytest.approx((whole >= 128).sum() * 5.0 * 1.1 * 0.8 / 1000)


async def test_exports_while_computing_never_apply_an_event_twice(served: Served, phantom: Volume) -> None:
    """Undo applied twice would show: the labels are a replay of the log, whoever asks for them meanwhile."""
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        bodies = [OBJECT, BACKGROUND]
        workspace = served.workspace(annotation_id)
        for n in range(10):
            bodies += [stroke(1, n, [n + 5], [9]), stroke(1, n, [n + 9], [9]), UNDO]
            await tablet.put(*bodies[-3:]) if n else await tablet.put(*bodies)
            await workspace.schedule.drawn()
        await tablet.acked(tablet.sequence)
        actions = [to_action(body, workspace.planes, phantom.shape, None) for body in bodies]
        truth = replay(phantom.shape, [action for action in actions if action is not None]).array
        np.testing.assert_array_equal((await workspace.schedule.drawn())[0], truth)
