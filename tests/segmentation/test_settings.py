"""How a tablet wants a volume computed: switches on the whole, and classifiers in the forest's place."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from calque.v1 import segmentation_pb2 as pb

from services.core import classifiers
from services.core.errors import InvalidInput
from services.core.features import PAPER
from services.core.labels import replay
from services.core.reconstruct import connected, filled
from services.core.samples import gather
from services.core.volume import Volume, intensity_window
from services.segmentation.computation import Computation
from services.segmentation.events import to_action
from services.segmentation.messages import settings_of
from services.segmentation.settings import Learning, Settings, Switches
from tests.segmentation.test_computing import BACKGROUND, MORE, OBJECT, expected, planes_of, shown
from tests.served import Served, Tablet, begin, image


@pytest.mark.parametrize(
    ("fields", "preset", "switches"),
    [
        ({}, "paper", (False, False)),
        ({"preset": pb.PRESET_CALQUE}, "calque", (True, True)),
        ({"preset": pb.PRESET_CALQUE, "connected": False}, "calque", (False, True)),
        ({"preset": pb.PRESET_PAPER, "fill_holes": True}, "paper", (False, True)),
    ],
)
def test_switches_are_as_the_preset_has_them_unless_told(
    fields: dict[str, Any], preset: str, switches: tuple[bool, bool]
) -> None:
    wanted = Settings(Learning(preset=preset), Switches(*switches), live=False)
    assert settings_of(pb.AnnotateSettings(**fields), [1, 2]) == wanted


@pytest.mark.parametrize(
    "fields",
    [
        {"preset": 9},
        {"shown_label": 3},
        {"classifier": 9},
        {"preset": pb.PRESET_CALQUE, "classifier": pb.CLASSIFIER_SVM},
    ],
)
def test_settings_that_cannot_be_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        settings_of(pb.AnnotateSettings(**fields), [1, 2])


async def test_a_switch_makes_a_generation_of_its_own_and_computes_nothing_else(
    served: Served, phantom: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.look(1, 3)
        await tablet.draw(OBJECT, BACKGROUND)
        first = await tablet.whole()
        raw = expected(served, annotation_id, phantom, OBJECT, BACKGROUND)
        labels = served.workspace(annotation_id).computation.labels.array
        only = connected(raw, labels == 1)
        plain, both = np.bincount(raw.ravel(), minlength=256), filled(only, labels == 2)
        assert not np.array_equal(raw, only)
        for step in ("fit", "predict", "gather", "load_features"):
            monkeypatch.setattr(Computation, step, lambda *_: 1 / 0)
        geometry = (await planes_of(served, annotation_id))[0]
        generation = first.generation
        for fields, wanted in [
            ({"connected": True}, only),
            ({"connected": True, "fill_holes": True}, both),
            ({"fill_holes": True}, filled(raw, labels == 2)),
            ({}, raw),
        ]:
            await tablet.settings(live=True, **fields)
            found = await tablet.until(
                lambda t, after=generation: [h for h in t.all("histogram") if h.generation > after and h.complete]
            )
            np.testing.assert_array_equal(found[0].counts, np.bincount(wanted.ravel(), minlength=256))
            generation = found[0].generation
            slices = await tablet.until(lambda t, at=generation: shown(t, 1, 3, at))
            np.testing.assert_array_equal(image(slices[0], geometry), wanted[3])
            told = await tablet.until(
                lambda t, at=generation: [s for s in t.all("statistics") if s.generation == at and s.volume_ms]
            )
            assert told[0].volume_ms >= told[0].visible_ms > 0
            assert told[0].fit_ms == 0
            assert told[0].out_of_bag > 0.5
        assert generation == first.generation + 4
        np.testing.assert_array_equal(tablet.all("histogram")[-1].counts, plain)
        assert not tablet.all("error")


async def test_the_whole_is_told_once_it_is_finished_and_strokes_after_it_count(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.settings(live=False, connected=True, fill_holes=True)
        await tablet.look(1, 3)
        for bodies in ([OBJECT, BACKGROUND], [OBJECT, BACKGROUND, MORE]):
            before = len(tablet.all("histogram"))
            await tablet.draw(*bodies[before and 2 :])
            await tablet.segment()
            complete = await tablet.until(lambda t, n=before: [h for h in t.all("histogram")[n:] if h.complete])
            raw = expected(served, annotation_id, phantom, *bodies)
            labels = served.workspace(annotation_id).computation.labels.array
            wanted = filled(connected(raw, labels == 1), labels == 2)
            np.testing.assert_array_equal(complete[0].counts, np.bincount(wanted.ravel(), minlength=256))
            assert len(complete) == 1
        measured = (await tablet.until(lambda t: [s for s in t.all("statistics") if s.volume_ms][1:]))[-1]
        assert measured.generation == complete[0].generation
        assert min(measured.features_ms, measured.predict_ms, measured.reconstruct_ms) >= 0
        assert measured.predict_ms > 0
        assert measured.reconstruct_ms > 0
        assert measured.walk_ms == 0
        assert measured.sent_bytes >= sum(len(p.levels) for p in tablet.all("probability")[:-1]) > 0


async def test_an_export_of_later_strokes_does_not_change_what_is_shown(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.settings(live=False)
        await tablet.draw(OBJECT, BACKGROUND)
        await tablet.segment()
        first = await tablet.whole()
        at_fit = served.workspace(annotation_id).computation.labels.array.copy()
        await tablet.draw(MORE)
        drawn, length = await served.workspace(annotation_id).schedule.drawn()
        assert length == 4
        assert not np.array_equal(drawn, at_fit)
        await tablet.settings(live=False, connected=True)
        found = await tablet.until(lambda t: [h for h in t.all("histogram") if h.generation > first.generation])
        raw = expected(served, annotation_id, phantom, OBJECT, BACKGROUND)
        wanted = connected(raw, at_fit == 1)
        np.testing.assert_array_equal(found[0].counts, np.bincount(wanted.ravel(), minlength=256))


async def test_a_saved_mask_tells_switches_and_classifier(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.settings(live=True, fill_holes=True, classifier=pb.CLASSIFIER_NAIVE_BAYES)
        await tablet.draw(OBJECT, BACKGROUND)
        request = pb.SaveMaskRequest(annotation_id=annotation_id, threshold=128)
        saved = [one async for one in served.segmentation.SaveMask(request)][-1].mask
    assert (saved.connected, saved.fill_holes) == (False, True)
    assert saved.classifier == pb.CLASSIFIER_NAIVE_BAYES
    assert (await served.segmentation.ListMasks(pb.ListMasksRequest(annotation_id=annotation_id))).masks[0] == saved
    (record,) = served.servicer._annotations.masks(annotation_id)
    made_by = served.servicer._annotations.mask(annotation_id, 1)
    assert made_by == record
    assert record.classifier == "naive_bayes"


async def test_a_mask_of_before_there_were_switches_is_read(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    volume_id, _, name = annotation_id.partition("-")
    old = {"number": 1, "digest": "00", "threshold": 128, "saved_ms": 1, "log_length": 3}
    old |= {"preset": "calque", "seed": 0, "engine": "1", "object_ml": 2.5}
    served.store.create(f"annotations/{volume_id}/{name}/masks/000001", json.dumps(old).encode())
    (mask,) = (await served.segmentation.ListMasks(pb.ListMasksRequest(annotation_id=annotation_id))).masks
    assert (mask.connected, mask.fill_holes, mask.classifier) == (False, False, pb.CLASSIFIER_FOREST)
    assert mask.object_ml == 2.5


@pytest.mark.parametrize(("number", "name"), [(pb.CLASSIFIER_NAIVE_BAYES, "naive_bayes"), (pb.CLASSIFIER_SVM, "svm")])
async def test_another_classifier_takes_the_place_of_the_forest(
    served: Served, phantom: Volume, number: int, name: str
) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.look(2, 11)
        await tablet.settings(live=True, classifier=number, seed=4)
        await tablet.draw(OBJECT, BACKGROUND)
        await tablet.until(lambda t: shown(t, 2, 11))
        await tablet.until(lambda t: t.all("statistics") and t.all("statistics")[-1].volume_ms)
        computation = served.workspace(annotation_id).computation
        planes = served.workspace(annotation_id).planes
        labels = replay(phantom.shape, [to_action(one, planes, phantom.shape, None) for one in (OBJECT, BACKGROUND)]).array
        features = computation.features
        samples, targets = gather(features.__getitem__, labels)
        model = classifiers.fit(name, samples, targets, seed=4)
        for index in (3, 8):
            np.testing.assert_array_equal(computation.levels[index], model.levels(features[index], 1))
        assert tablet.all("statistics")[-1].out_of_bag == 0
        assert samples.shape[1] == len(PAPER)
    assert intensity_window(phantom) == features.window
