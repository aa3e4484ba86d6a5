"""What is offered about a review, by role and by how far it is."""

from __future__ import annotations

import pytest
from calque.v1.segmentation_pb2 import (
    REVIEW_ACCEPTED,
    REVIEW_SENT_BACK,
    REVIEW_SUBMITTED,
    REVIEW_UNSPECIFIED,
    Annotation,
)

from tablet_client.state.reviewing import Steps, steps

EVERY = Steps(hand_in=True, accept=True, send_back=True)


@pytest.mark.parametrize(
    ("review", "role", "expected"),
    [
        (REVIEW_UNSPECIFIED, "viewer", Steps()),
        (REVIEW_UNSPECIFIED, "", Steps()),
        (REVIEW_UNSPECIFIED, "annotator", Steps(hand_in=True)),
        (REVIEW_SUBMITTED, "annotator", Steps()),
        (REVIEW_SENT_BACK, "annotator", Steps(hand_in=True)),
        (REVIEW_ACCEPTED, "annotator", Steps()),
        (REVIEW_UNSPECIFIED, "reviewer", EVERY),
        (REVIEW_SUBMITTED, "reviewer", Steps(accept=True, send_back=True)),
        (REVIEW_SENT_BACK, "trainer", Steps(hand_in=True, accept=True)),
        (REVIEW_ACCEPTED, "administrator", Steps(send_back=True)),
    ],
)
def test_steps_go_by_role_and_review(review: int, role: str, expected: Steps) -> None:
    assert steps(Annotation(review=review, masks=1), role) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("role", ["annotator", "reviewer", "administrator"])
def test_nothing_is_reviewed_before_a_mask_was_saved(role: str) -> None:
    assert steps(Annotation(), role) == Steps()
