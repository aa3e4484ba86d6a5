"""What may be done about the review of an annotation, by who is signed in."""

from __future__ import annotations

from dataclasses import dataclass

from calque.v1.segmentation_pb2 import REVIEW_ACCEPTED, REVIEW_SENT_BACK, REVIEW_SUBMITTED, Annotation

NOTE_LIMIT = 200
"""Most characters of a note, by the contract."""
_REVIEWERS = ("reviewer", "trainer", "administrator")
_ANNOTATORS = ("annotator", *_REVIEWERS)


@dataclass(frozen=True)
class Steps:
    """What is offered: to hand an annotation in, to accept it, to send it back."""

    hand_in: bool = False
    accept: bool = False
    send_back: bool = False


def steps(annotation: Annotation, role: str) -> Steps:
    """What a role may do about an annotation as it is now."""
    there, review = annotation.masks > 0, annotation.review
    judges = role in _REVIEWERS
    return Steps(
        hand_in=there and role in _ANNOTATORS and review not in (REVIEW_ACCEPTED, REVIEW_SUBMITTED),
        accept=there and judges and review != REVIEW_ACCEPTED,
        send_back=there and judges and review != REVIEW_SENT_BACK,
    )
