"""The preset calque through the real service: a draft of what is looked at, then the whole, the same in any order."""

from __future__ import annotations

import numpy as np
import pytest
from calque.v1 import segmentation_pb2 as pb

from services.core import advice, pipeline, reconstruct
from services.core.geometry import Plane
from services.core.labels import replay
from services.core.mask import histogram
from services.core.volume import Volume
from services.segmentation.events import to_action
from tests.segmentation.test_computing import cut, planes_of
from tests.served import Served, Tablet, begin, image, stroke

# In the phantom's first blob (rows around 12.7, columns around 30.5 of slice 3), and a ring around it.
INSIDE = stroke(1, 3, [26, 35], [13, 13], label=1)
AROUND = stroke(1, 3, [18, 43, 43, 18, 18], [5, 5, 21, 21, 5], label=2)
BELOW = stroke(1, 3, [4, 44], [33, 33], label=2)
LATER = stroke(1, 5, [18, 43], [24, 24], label=2)


def expected(served: Served, annotation_id: str, volume: Volume, *bodies: pb.EventBody) -> np.ndarray:
    planes = served.workspace(annotation_id).planes
    actions = [to_action(body, planes, volume.shape, None) for body in bodies]
    labels = replay(volume.shape, [action for action in actions if action is not None])
    return finished(pipeline.segment_by_shape(volume, labels.array).levels, labels.array)


def finished(levels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What both switches make of a probability."""
    return reconstruct.filled(reconstruct.connected(levels, labels == 1), labels == 2)


@pytest.mark.parametrize(("plane", "index"), [(1, 3), (1, 6), (2, 13), (3, 30)])
async def test_a_draft_comes_first_and_the_whole_is_the_flow_on_one_page(
    served: Served, phantom: Volume, plane: int, index: int
) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.settings(preset=pb.PRESET_CALQUE, live=False)
        await tablet.look(plane, index)
        await tablet.draw(INSIDE, AROUND, BELOW)
        await tablet.segment()
        await tablet.whole()
        whole = expected(served, annotation_id, phantom, INSIDE, AROUND, BELOW)
        geometry = (await planes_of(served, annotation_id))[plane - 1]
        wanted = cut(whole, geometry, index)

        def last(t: Tablet) -> list[pb.Probability]:
            shown = [p for p in t.all("probability") if (p.plane, p.slice) == (plane, index)]
            return [p for p in shown if np.array_equal(image(p, geometry), wanted)]

        final = (await tablet.until(last))[0]
        drafts = [p for p in tablet.all("probability") if p.generation < final.generation]
        assert all((p.plane, p.slice) == (plane, index) for p in drafts)  # drafts are of what is looked at alone
        blob = phantom.voxels > 700
        shown = image(final, geometry) >= final.default_threshold
        truth = cut(blob, geometry, index)
        if plane == 1 and index == 3:
            near = np.zeros_like(truth)
            near[5:22, 18:44] = True
            assert np.count_nonzero(shown & truth & near) > 0.9 * np.count_nonzero(truth & near)


@pytest.mark.parametrize("preset", [pb.PRESET_CALQUE, pb.PRESET_PAPER])
async def test_advice_comes_last_and_is_of_the_mask_that_is_shown(served: Served, phantom: Volume, preset: int) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.settings(preset=preset, live=True)
        await tablet.look(1, 3)
        await tablet.draw(INSIDE, AROUND, BELOW)

        def last(t: Tablet) -> pb.Advice | None:
            known = [one for one in t.all("probability") if one.log_length >= 3]
            return next((one for one in t.all("advice") if known and one.generation == known[-1].generation), None)

        found = await tablet.until(last)
        kinds = [one.WhichOneof("what") for one in tablet.messages]
        assert "probability" not in kinds[kinds.index("advice") :] or len(tablet.all("advice")) > 1
        computation = served.workspace(annotation_id).computation
        wanted = advice.advise(
            computation.levels,
            np.stack([histogram(one) for one in computation.levels]),
            computation.strokes.learned,
            phantom.spacing_mm,
            tablet.all("probability")[-1].default_threshold,
        )
        plane = served.workspace(annotation_id).planes[Plane(1)]
        assert [one.plane for one in found.places] == [1] * len(wanted.places)
        corners = [tuple(plane.pixel_to_voxel @ [one.column, one.row, one.slice, 1]) for one in found.places]
        assert [corner[0] for corner in corners] == [one.slice for one in wanted.places]
        assert [(one.rows, one.columns) for one in found.places] == [(one.rows, one.columns) for one in wanted.places]
        assert found.expected_dice == (wanted.expected_dice if preset == pb.PRESET_CALQUE else 0.0)
        assert found.enough == (wanted.enough if preset == pb.PRESET_CALQUE else False)


async def test_a_saved_mask_is_never_a_draft(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.settings(preset=pb.PRESET_CALQUE, live=True)
        await tablet.draw(INSIDE, AROUND, BELOW, LATER)
        request = pb.SaveMaskRequest(annotation_id=annotation_id, threshold=128)
        saved = [one async for one in served.segmentation.SaveMask(request)][-1].mask
        whole = expected(served, annotation_id, phantom, INSIDE, AROUND, BELOW, LATER)
        assert saved.preset == pb.PRESET_CALQUE
        assert saved.object_ml == pytest.approx(np.count_nonzero(whole >= 128) * phantom.voxel_ml)


async def test_presets_can_be_changed_back_and_forth(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.look(1, 3)
        await tablet.draw(INSIDE, AROUND, BELOW)
        await tablet.whole()
        geometry = (await planes_of(served, annotation_id))[0]
        planes = served.workspace(annotation_id).planes
        actions = [to_action(body, planes, phantom.shape, None) for body in (INSIDE, AROUND, BELOW)]
        labels = replay(phantom.shape, [action for action in actions if action is not None]).array
        by_preset = {
            pb.PRESET_PAPER: pipeline.segment(phantom, labels).levels[3],
            pb.PRESET_CALQUE: finished(pipeline.segment_by_shape(phantom, labels).levels, labels)[3],
        }
        for preset in (pb.PRESET_CALQUE, pb.PRESET_PAPER, pb.PRESET_CALQUE):
            seen = len(tablet.messages)
            await tablet.settings(preset=preset, live=True)

            def come(t: Tablet, seen: int = seen, preset: int = preset) -> bool:
                new = [m.probability for m in t.messages[seen:] if m.WhichOneof("what") == "probability"]
                return any(
                    (p.plane, p.slice) == (1, 3) and np.array_equal(image(p, geometry), cut_of(by_preset[preset], geometry))
                    for p in new
                )

            await tablet.until(come)


def cut_of(levels: np.ndarray, geometry: object) -> np.ndarray:
    """A slice of the acquisition as the axial plane's image, which is the slice itself for this phantom."""
    whole = np.zeros((12, *levels.shape), np.uint8)
    whole[:] = levels
    return cut(whole, geometry, 3)
