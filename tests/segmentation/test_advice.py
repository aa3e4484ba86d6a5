"""Where to look next is told once the volume is whole, in the pixels of the acquisition's plane, and holds up nothing."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from services.core.advice import Advice, Place
from services.core.geometry import Plane, plane_geometry
from services.core.volume import Volume
from services.segmentation.computation import Computation
from services.segmentation.messages import advice_message
from tests.segmentation.test_computing import BACKGROUND, MORE, OBJECT
from tests.served import SECONDS, Served, Tablet, begin


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1), (1, -1, 1), (-1, -1, -1)])
@pytest.mark.parametrize("axes", [(2, 1, 0), (2, 0, 1), (0, 2, 1)])
def test_a_place_is_the_same_pixels_as_its_voxels(axes: tuple[int, int, int], flips: tuple[int, int, int]) -> None:
    shape, affine = (5, 7, 9), np.eye(4)
    affine[:3, :3] = 0
    for axis, (patient, sign) in enumerate(zip(axes, flips)):
        affine[patient, axis] = sign * (axis + 1.0)
    planes = [plane_geometry(shape, affine, plane) for plane in Plane]
    acquired = next(plane for plane in planes if plane.slice_axis == 0)
    place = advice_message(Advice((Place(3, 1, 2, 4, 6),), 0.5, False), acquired, 7).places[0]
    marked = np.zeros(shape, bool)
    marked[3, 1:5, 2:8] = True
    wanted = acquired.slice_of(marked, place.slice)
    found = np.zeros_like(wanted)
    found[place.row : place.row + place.rows, place.column : place.column + place.columns] = True
    np.testing.assert_array_equal(found, wanted)
    assert wanted.any()
    assert place.plane == acquired.plane


async def test_advice_follows_the_whole_volume_and_is_of_what_is_shown(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.settings(live=False)
        await tablet.draw(OBJECT, BACKGROUND)
        await tablet.segment()
        advice = (await tablet.until(lambda t: t.all("advice")))[0]
        workspace = served.workspace(annotation_id)
        computation, acquired = workspace.computation, workspace.planes[Plane(1)]
        assert advice == advice_message(computation.advise(), acquired, computation.generation)
        assert advice.places
        kinds = [message.WhichOneof("what") for message in tablet.messages]
        complete = next(n for n, one in enumerate(tablet.messages) if one.histogram.complete)
        assert kinds.index("advice") > complete
        async with Tablet(served.segmentation, annotation_id, read_only=True) as other:
            assert (await other.until(lambda t: t.all("advice")))[0] == advice
        await tablet.settings(live=False, connected=True)
        later = (await tablet.until(lambda t: t.all("advice")[1:]))[0]
        assert later.generation == computation.generation > advice.generation


async def test_no_stroke_waits_for_advice_and_the_next_one_voids_it(
    served: Served, phantom: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, release, ended = threading.Event(), threading.Event(), threading.Event()
    times, advise = [], Computation.advise

    def slow(computation: Computation) -> Advice:
        times.append(1)
        if len(times) == 1:
            held.set()
            assert release.wait(SECONDS)
            found = advise(computation)
            ended.set()
            return found
        return advise(computation)

    monkeypatch.setattr(Computation, "advise", slow)
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.settings(live=False)
        await tablet.draw(OBJECT, BACKGROUND)
        await tablet.segment()
        first = await tablet.whole()
        assert await asyncio.to_thread(held.wait, SECONDS)
        await tablet.draw(MORE)
        await tablet.segment()
        found = await tablet.until(lambda t: [h for h in t.all("histogram") if h.generation > first.generation])
        advice = (await tablet.until(lambda t: t.all("advice")))[0]
        first_advising = served.workspace(annotation_id).schedule.advising
        release.set()
        await asyncio.to_thread(ended.wait, SECONDS)
        assert advice.generation == found[0].generation
        assert first_advising.found is not None  # the late one did not take its place
        async with Tablet(served.segmentation, annotation_id, read_only=True) as other:
            assert (await other.until(lambda t: t.all("advice")))[0] == advice
        assert [one.generation for one in tablet.all("advice")] == [advice.generation]


async def test_a_mask_without_advice_is_still_a_mask(
    served: Served, phantom: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Computation, "advise", lambda *_: 1 / 0)
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.look(1, 3)
        await tablet.draw(OBJECT, BACKGROUND)
        await tablet.whole()
        await served.workspace(annotation_id).schedule.advising._task
        await tablet.draw(MORE)
        await tablet.until(lambda t: any(p.log_length == 4 for p in t.all("probability")))
        assert not tablet.all("error")
        assert not tablet.all("advice")
