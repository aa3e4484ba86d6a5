"""When an answer of the service is taken for its last word, and how it is asked to compute."""

from __future__ import annotations

import queue
from collections.abc import Iterator

import numpy as np
import pytest
from calque import wire
from calque.v1 import segmentation_pb2 as messages

from services.bench.clinician import PenStroke
from services.bench.drawing import Drawing, Way
from services.core.errors import CalqueError, InvalidInput, Unavailable
from services.core.geometry import Plane, plane_geometry

SHAPE = (3, 4, 5)
PLANE = plane_geometry(SHAPE, np.diag([2.0, 1.0, 1.0, 1.0]), Plane.SAGITTAL)
STROKE = PenStroke(plane=PLANE.plane, slice=1, label=1, width_mm=1.0, x=[1.0, 2.0], y=[1.0, 1.0])
Response = messages.AnnotateResponse


def slices(generation: int, log_length: int, *indices: int) -> list[Response]:
    """Slices that are filled with the number of their generation."""
    levels = wire.pack(np.full((PLANE.rows, PLANE.columns), generation, np.uint8), wire.LEVEL)
    probabilities = [
        messages.Probability(
            plane=int(PLANE.plane),  # type: ignore[arg-type]
            slice=index,
            generation=generation,
            log_length=log_length,
            levels=levels,
            default_threshold=100 + generation,
        )
        for index in indices
    ]
    return [Response(probability=one) for one in probabilities]


def advice(generation: int, *places: int, dice: float = 0.5, enough: bool = False) -> Response:
    found = [messages.Place(slice=index) for index in places]
    return Response(advice=messages.Advice(generation=generation, places=found, expected_dice=dice, enough=enough))


def ack(sequence: int, position: int) -> Response:
    return Response(ack=messages.Ack(sequence=sequence, position=position))


def histogram(generation: int) -> Response:
    return Response(histogram=messages.Histogram(generation=generation, counts=[60], complete=True))


RAW = [ack(1, 4), ack(2, 5), *slices(7, 5, 1), histogram(7), *slices(7, 5, 0, 2)]
FINAL = [*slices(8, 5, 1), histogram(8), *slices(8, 5, 0, 2)]


def drawn(responses: list[Response]) -> tuple[Drawing, Iterator[Response]]:
    rest = iter(responses)
    return Drawing(rest, queue.Queue()), rest


@pytest.mark.parametrize(
    "responses",
    [
        [*RAW, *FINAL, advice(8, 2, 0, dice=0.75)],
        [*RAW, *FINAL[:2], advice(8, 2, 0, dice=0.75), *FINAL[2:]],
        [advice(6, 1), *RAW, advice(6, 1), *FINAL, advice(8, 2, 0, dice=0.75)],
        [*slices(5, 3, 1), *slices(6, 3, 0, 1, 2), advice(6, 1), *RAW, *FINAL, advice(8, 2, 0, dice=0.75)],
        [*RAW[2:], *FINAL, advice(8, 2, 0, dice=0.75), *RAW[:2]],
    ],
    ids=["advice last", "advice before the slices", "older advice", "older answer", "late acknowledgement"],
)
def test_an_answer_is_what_the_advice_is_of(responses: list[Response]) -> None:
    stream, rest = drawn([*responses, histogram(9)])
    whole = stream.whole([STROKE, STROKE], PLANE, SHAPE)
    assert (whole.levels == 8).all()
    assert whole.default_threshold == 108
    assert (whole.expected_dice, whole.enough, whole.advised) == (0.75, False, (PLANE.voxel_index(2), PLANE.voxel_index(0)))
    assert whole.seconds >= 0.0
    assert [one.histogram.generation for one in rest] == [9], "nothing is waited for once it is there"


def test_where_nothing_is_in_doubt_no_slice_is_advised() -> None:
    whole = drawn([*RAW, advice(7, enough=True)])[0].whole([STROKE, STROKE], PLANE, SHAPE)
    assert (whole.enough, whole.advised) == (True, ())


@pytest.mark.parametrize(
    "responses",
    [[*RAW, *FINAL], [*RAW[:-1], advice(7)], [*RAW[2:], advice(7)], [*slices(7, 4, 0, 1, 2), *RAW[:2], advice(7)]],
    ids=["no advice", "a slice is missing", "not acknowledged", "without the last stroke"],
)
def test_what_is_not_all_there_is_waited_for(responses: list[Response]) -> None:
    with pytest.raises(Unavailable):
        drawn(responses)[0].whole([STROKE, STROKE], PLANE, SHAPE)


def test_a_failure_of_computing_is_told() -> None:
    failed = Response(error={"reason": "SERVICE_UNAVAILABLE", "message": "No."})  # type: ignore[arg-type]
    with pytest.raises(CalqueError, match=r"^No\.$"):
        drawn([*RAW[:3], failed])[0].whole([STROKE, STROKE], PLANE, SHAPE)


def test_a_switch_that_was_not_set_is_not_sent() -> None:
    plain = Way("calque").settings(4)
    assert (plain.preset, plain.live, plain.seed, plain.classifier) == (messages.PRESET_CALQUE, True, 4, 0)
    assert not plain.HasField("connected")
    assert not plain.HasField("fill_holes")
    chosen = Way("paper", "gradient_boosting", connected=False, fill_holes=True).settings(0)
    assert chosen.classifier == messages.CLASSIFIER_GRADIENT_BOOSTING
    assert (chosen.HasField("connected"), chosen.connected, chosen.fill_holes) == (True, False, True)


def test_where_latent_features_are_asked_for_what_goes_without_them_is_waited_over() -> None:
    with_them = [Response(probability=one.probability) for one in FINAL]
    for one in with_them:
        one.probability.latent_model = "ab"
    stream, _ = drawn([*RAW, advice(7), *with_them, advice(8, 2, dice=0.75)])
    stream.set(Way("calque", latent=True), 0)
    assert (stream.whole([STROKE, STROKE], PLANE, SHAPE).levels == 8).all()


def test_that_there_are_no_latent_features_is_told() -> None:
    missing = Response(latent_features={"missing": {"reason": "MODEL_NOT_USABLE", "message": "No."}})  # type: ignore[arg-type]
    with pytest.raises(CalqueError, match=r"^No\.$"):
        drawn([*RAW, missing, advice(7)])[0].whole([STROKE, STROKE], PLANE, SHAPE)


def test_latent_features_are_of_one_preset() -> None:
    assert Way("calque", latent=True).settings(0).latent_features
    with pytest.raises(InvalidInput, match="Only the preset calque"):
        Way("paper", latent=True)


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidInput, match="paper, calque"):
        Way("dreams")
    with pytest.raises(InvalidInput, match="naive_bayes"):
        Way("paper", "luck")
