"""The one tree of errors: what went wrong, in words that a clinician understands.

::

    CalqueError
    ├── InvalidInput        the bytes or the request are wrong            INVALID_ARGUMENT
    ├── ChoiceNeeded        readable, but the user must decide or repair  FAILED_PRECONDITION
    ├── OutOfSequence       an event number is not the expected one       FAILED_PRECONDITION
    ├── TooLarge            over a limit on size, memory or count         RESOURCE_EXHAUSTED
    ├── Unauthenticated     who calls is not known, or no longer          UNAUTHENTICATED
    ├── Forbidden           who calls may not do this                     PERMISSION_DENIED
    ├── NotFound            there is no such object (for this user)       NOT_FOUND
    ├── Conflict            another writer, or other content, was first   ABORTED
    ├── Corrupt             stored or sent bytes fail their digest        DATA_LOSS
    ├── Idle                a client sent nothing for too long            DEADLINE_EXCEEDED
    └── Unavailable         a store or a service does not answer now      UNAVAILABLE

Every error carries one sentence (``str(error)``) that names what happened, what was kept and what to do, without patient
data, and a `Reason`, from which a client in another language makes its own sentence. ``services.serving.status`` maps the
tree to gRPC statuses; nothing else does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Reason(StrEnum):
    """Why, for programs. The contract has the same names (``calque.v1.Reason``), and a test keeps the two equal."""

    FILE_TRUNCATED = "FILE_TRUNCATED"
    FILE_NOT_READABLE = "FILE_NOT_READABLE"
    FILE_NOT_AN_IMAGE = "FILE_NOT_AN_IMAGE"
    FILE_HEADER_INVALID = "FILE_HEADER_INVALID"
    FILE_TOO_LARGE = "FILE_TOO_LARGE"
    GEOMETRY_INVALID = "GEOMETRY_INVALID"
    SLICES_UNEVEN = "SLICES_UNEVEN"
    SEVERAL_SERIES = "SEVERAL_SERIES"
    SEVERAL_FRAMES = "SEVERAL_FRAMES"
    COLOUR_IMAGE = "COLOUR_IMAGE"
    UPLOAD_OUT_OF_STEP = "UPLOAD_OUT_OF_STEP"
    DIGEST_MISMATCH = "DIGEST_MISMATCH"
    REQUEST_INVALID = "REQUEST_INVALID"
    STROKE_INVALID = "STROKE_INVALID"
    LABEL_UNKNOWN = "LABEL_UNKNOWN"
    SEQUENCE_GAP = "SEQUENCE_GAP"
    SEQUENCE_CONFLICT = "SEQUENCE_CONFLICT"
    OTHER_WRITER = "OTHER_WRITER"
    VOLUME_NOT_FOUND = "VOLUME_NOT_FOUND"
    ANNOTATION_NOT_FOUND = "ANNOTATION_NOT_FOUND"
    MASK_NOT_FOUND = "MASK_NOT_FOUND"
    OBJECT_NOT_FOUND = "OBJECT_NOT_FOUND"
    MASK_MISMATCH = "MASK_MISMATCH"
    NOT_SEGMENTED = "NOT_SEGMENTED"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    STORE_FULL = "STORE_FULL"
    STORE_CORRUPT = "STORE_CORRUPT"
    MODEL_NOT_USABLE = "MODEL_NOT_USABLE"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
    INTERNAL = "INTERNAL"
    NO_SOURCE_SERIES = "NO_SOURCE_SERIES"
    SEVERAL_SEGMENTS = "SEVERAL_SEGMENTS"
    NOT_SIGNED_IN = "NOT_SIGNED_IN"
    NOT_ALLOWED = "NOT_ALLOWED"
    SIGN_IN_REFUSED = "SIGN_IN_REFUSED"
    TOO_MANY_ATTEMPTS = "TOO_MANY_ATTEMPTS"
    ANNOTATION_LOCKED = "ANNOTATION_LOCKED"
    TOO_MANY_STREAMS = "TOO_MANY_STREAMS"
    STREAM_IDLE = "STREAM_IDLE"


class CalqueError(Exception):
    """Base of every error that a user may see. ``reason`` falls back to the class's own."""

    default_reason: ClassVar[Reason] = Reason.INTERNAL

    def __init__(self, message: str, reason: Reason | None = None) -> None:
        super().__init__(message)
        self.reason = reason or self.default_reason


class InvalidInput(CalqueError):
    """The bytes or the request are wrong; sending the same again gives the same error."""

    default_reason = Reason.REQUEST_INVALID


@dataclass(frozen=True)
class Choice:
    """Something to choose: what to ask for (a series, a frame's or a segment's number from 1), and what it is, in words."""

    key: str
    text: str


class ChoiceNeeded(CalqueError):
    """The input is readable, but only after a decision or a repair that the user must ask for; ``choices`` are offered."""

    default_reason = Reason.SEVERAL_SERIES

    def __init__(self, message: str, reason: Reason | None = None, choices: tuple[Choice, ...] = ()) -> None:
        super().__init__(message, reason)
        self.choices = choices


class OutOfSequence(CalqueError):
    """An event's number is not the next one; ``expected`` is."""

    default_reason = Reason.SEQUENCE_GAP

    def __init__(self, message: str, expected: int, reason: Reason | None = None) -> None:
        super().__init__(message, reason)
        self.expected = expected


class TooLarge(CalqueError):
    """A limit on size, memory, time or count was reached."""

    default_reason = Reason.FILE_TOO_LARGE


class Unauthenticated(CalqueError):
    """The call does not say who makes it, or says it in a way that is not, or no longer, believed."""

    default_reason = Reason.NOT_SIGNED_IN


class Forbidden(CalqueError):
    """It is known who calls, and that this needs a role that the caller does not have."""

    default_reason = Reason.NOT_ALLOWED


class NotFound(CalqueError):
    """There is no such object, or none that this user may see."""

    default_reason = Reason.OBJECT_NOT_FOUND


class Conflict(CalqueError):
    """Another writer, or the same number with other content, was first."""

    default_reason = Reason.OTHER_WRITER


class Corrupt(CalqueError):
    """Stored or received bytes do not have the digest that they should have."""

    default_reason = Reason.STORE_CORRUPT


class Idle(CalqueError):
    """A client keeps a stream open, and sends nothing on it, or too little, for too long."""

    default_reason = Reason.STREAM_IDLE


class Unavailable(CalqueError):
    """A store or a service does not answer now; nothing was acknowledged, and trying later may work."""

    default_reason = Reason.SERVICE_UNAVAILABLE
