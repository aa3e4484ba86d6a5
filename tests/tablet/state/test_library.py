"""Cards of the library."""

from __future__ import annotations

from datetime import UTC

import pytest
from calque.v1 import segmentation_pb2

from tablet_client.state.library import Work, card, found, work_of
from tests.tablet.state.phantom import SHAPE, oblique, volume_message


def annotation(**fields):
    return segmentation_pb2.Annotation(**fields)


@pytest.mark.parametrize(
    ("annotations", "work"),
    [
        (None, Work.UNKNOWN),
        ([], Work.NEW),
        ([annotation()], Work.NEW),
        ([annotation(log_length=1)], Work.NEW),  # opened, and nothing was drawn
        ([annotation(log_length=2), annotation()], Work.IN_WORK),
        ([annotation(log_length=1), annotation(masks=1)], Work.DONE),
    ],
)
def test_how_far_the_work_is(annotations, work):
    assert work_of(annotations) is work


def test_a_card():
    message = volume_message(SHAPE, oblique())
    message.imported_ms, message.modality = 1_790_000_000_000, "MR"
    shown = card(message, [], UTC)
    assert (shown.size_mm, shown.date, shown.work) == ("10 × 11 × 22 mm", "2026-09-21", Work.NEW)


def test_search_finds_all_words_newest_first():
    cards = []
    for number, (name, modality) in enumerate([("Placenta 12", "MR"), ("Knee", "MR"), ("Placenta 7", "CT")]):
        message = volume_message(SHAPE, oblique())
        message.name, message.modality, message.imported_ms = name, modality, number * 86_400_000
        cards.append(card(message, zone=UTC))
    assert [c.name for c in found(cards, "")] == ["Placenta 7", "Knee", "Placenta 12"]
    assert [c.name for c in found(cards, "mr PLAC")] == ["Placenta 12"]
    assert found(cards, "nothing") == []
