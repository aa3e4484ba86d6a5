"""What the audit trail tells: who did what to which object, when, from where. Identifiers and pseudonyms, no free text."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What was done; for ever, since stored records say it."""

    VOLUME_IMPORT = "volume.import"
    VOLUME_OPEN = "volume.open"
    VOLUME_DELETE = "volume.delete"
    ANNOTATION_CREATE = "annotation.create"
    ANNOTATION_OPEN = "annotation.open"
    """To look at it."""
    ANNOTATION_WRITE = "annotation.write"
    """To draw on it."""
    ANNOTATION_TAKE_OVER = "annotation.take_over"
    """To draw on it in the place of who could until then."""
    ANNOTATION_RENAME = "annotation.rename"
    ANNOTATION_DELETE = "annotation.delete"
    ANNOTATION_EXPORT = "annotation.export"
    ANNOTATION_SUBMIT = "annotation.submit"
    ANNOTATION_ACCEPT = "annotation.accept"
    ANNOTATION_SEND_BACK = "annotation.send_back"
    MASK_SAVE = "mask.save"
    MASK_UPLOAD = "mask.upload"
    SIGN_IN = "user.sign_in"


@dataclass(frozen=True)
class Subject:
    """What something was done to; what does not apply is empty.

    Attributes:
        volume_id, annotation_id: our own identifiers.
        mask: number of a saved mask, from 1; 0: none.
        pseudonym: what stands for the patient of a de-identified volume.
        study_uid: pseudonymous identifier of the study of a de-identified volume.
        form: what was exported, as kind and format of the contract ("mask.dicom_seg").
    """

    volume_id: str = ""
    annotation_id: str = ""
    mask: int = 0
    pseudonym: str = ""
    study_uid: str = ""
    form: str = ""


@dataclass(frozen=True)
class Event:
    """Something that was done, or tried.

    Attributes:
        event_id: 32 hexadecimal digits, made once; two records of one identifier are of one event.
        time_ms: when, milliseconds since 1970, UTC, by the clock of the server.
        action: what.
        done: False: it was begun, and failed.
        user: who; "local" where nobody has to sign in.
        peer: address that the call came from, without the port; empty: none is known.
        server: name of the machine that the service ran on.
        subject: what it was done to.
    """

    event_id: str
    time_ms: int
    action: Action
    done: bool
    user: str
    peer: str
    server: str
    subject: Subject
