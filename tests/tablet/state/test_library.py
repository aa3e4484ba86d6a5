"""Cards of the library."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from calque.v1 import segmentation_pb2, volumes_pb2

from tablet_client.state.library import Work, card, choices, found, when, work_of
from tests.tablet.state.phantom import SHAPE, oblique, volume_message


def annotation(**fields):
    return segmentation_pb2.Annotation(**fields)


@pytest.mark.parametrize(
    ("annotations", "work"),
    [
        (None, Work.UNKNOWN),
        ([], Work.NEW),
        ([annotation()], Work.NEW),
        ([annotation(log_length=7)], Work.NEW),  # opened seven times, and nothing was drawn
        ([annotation(log_length=2, events=1), annotation()], Work.IN_WORK),
        ([annotation(log_length=1), annotation(events=3, masks=1)], Work.DONE),
    ],
)
def test_how_far_the_work_is(annotations, work):
    assert work_of(annotations) is work


def test_a_card():
    message = volume_message(SHAPE, oblique())
    message.imported_ms, message.modality = 1_790_000_000_000, "MR"
    shown = card(message, [], UTC)
    assert (shown.size_mm, shown.dates, shown.work) == ("10 × 11 × 22 mm", ("2026-09-21",), Work.NEW)


def test_a_card_tells_who_drew_last_and_when():
    drawn = [annotation(events=1, changed_ms=5, changed_by="A"), annotation(events=9, changed_ms=7, changed_by="B")]
    shown = card(volume_message(SHAPE, oblique()), [*drawn, annotation()], UTC)
    assert (shown.changed_ms, shown.who) == (7, "B")
    untouched = card(volume_message(SHAPE, oblique()), [annotation(log_length=2)], UTC)
    assert (untouched.changed_ms, untouched.who) == (0, "")


@pytest.mark.parametrize(
    ("hours", "told"), [(0, "08:05"), (-8, "00:05"), (-9, "2026-09-20"), (15, "23:05"), (16, "2026-09-22")]
)
def test_the_same_day_is_told_by_the_clock_and_another_by_its_date(hours, told):
    now_ms = int(datetime(2026, 9, 21, 8, 5, tzinfo=UTC).timestamp()) * 1000
    assert when(now_ms + hours * 3_600_000, now_ms, UTC) == told


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("date", ["Case 2", "case 10", "Case 1"]),
        ("name", ["Case 1", "Case 2", "case 10"]),
        ("state", ["case 10", "Case 2", "Case 1"]),
    ],
)
def test_orders(sort, names):
    cards = []
    for name, imported, drawn in (
        ("case 10", 3, [annotation(events=1, changed_ms=2)]),
        ("Case 1", 1, [annotation(events=1, changed_ms=2, masks=1)]),
        ("Case 2", 2, []),
        ("Case 2", 1, [annotation(events=1, changed_ms=9, masks=1)]),
    ):
        message = volume_message(SHAPE, oblique())
        message.name, message.imported_ms = name, imported
        cards.append(card(message, drawn, UTC))
    assert list(dict.fromkeys(c.name for c in found(cards, "", sort))) == names


def test_search_finds_all_words_newest_first():
    cards = []
    for number, (name, modality) in enumerate([("Placenta 12", "MR"), ("Knee", "MR"), ("Placenta 7", "CT")]):
        message = volume_message(SHAPE, oblique())
        message.name, message.modality, message.imported_ms = name, modality, number * 86_400_000
        cards.append(card(message, zone=UTC))
    assert [c.name for c in found(cards, "")] == ["Placenta 7", "Knee", "Placenta 12"]
    assert [c.name for c in found(cards, "mr PLAC")] == ["Placenta 12"]
    assert found(cards, "nothing") == []
    drawn = card(message, [annotation(events=1, changed_ms=1_790_000_000_000)], UTC)
    assert found([drawn], "2026-09-21") == found([drawn], "1970-01-03") == [drawn]


def test_projects_are_chosen_from_where_there_are_several() -> None:
    volumes = [volumes_pb2.Volume(project="liver"), volumes_pb2.Volume()]
    assert choices((), []) == ()
    assert choices(("liver",), volumes) == ()
    assert choices(("brain",), volumes) == ("brain", "liver")
    cards = [replace(card(volume), volume_id=str(number)) for number, volume in enumerate(volumes)]
    assert [c.volume_id for c in found(cards, "", project="liver")] == ["0"]
    assert len(found(cards, "")) == 2


@pytest.mark.parametrize(
    ("reviews", "expected"),
    [
        (("REVIEW_ACCEPTED", "REVIEW_SUBMITTED"), Work.SUBMITTED),
        (("REVIEW_ACCEPTED", "REVIEW_SENT_BACK"), Work.SENT_BACK),
        (("REVIEW_ACCEPTED", "REVIEW_UNSPECIFIED"), Work.ACCEPTED),
    ],
)
def test_how_far_a_review_is_counts_before_masks(reviews: tuple[str, ...], expected: Work) -> None:
    assert work_of([segmentation_pb2.Annotation(review=review, masks=1) for review in reviews]) is expected  # type: ignore[arg-type]
