"""Records of the audit trail as DICOM audit messages (PS3.15 A.5, whose schema extends that of RFC 3881).

A message tells the event by the standard's codes, and ours, which tell more, as the event's type; who asked for it and
which server did it; and what it was done to: the study, where a series is the volume's source, our own identifiers, and the
patient by pseudonym.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement, tostring

from services.core.audit import Action, Event

Code = tuple[str, str, str]
"""Value, name of the code system, and meaning."""

OURS = "99CALQUE"

_ACCESSED = ("110103", "DCM", "DICOM Instances Accessed")
_STUDY_DELETED = ("110105", "DCM", "DICOM Study Deleted")
_EXPORT = ("110106", "DCM", "Export")
_IMPORT = ("110107", "DCM", "Import")
_AUTHENTICATION = ("110114", "DCM", "User Authentication")
_LOGIN = ("110122", "DCM", "Login")
_APPLICATION = ("110150", "DCM", "Application")
_DESTINATION = ("110152", "DCM", "Destination Role ID")
_SOURCE = ("110153", "DCM", "Source Role ID")
_DESTINATION_MEDIA = ("110154", "DCM", "Destination Media")
_SOURCE_MEDIA = ("110155", "DCM", "Source Media")
_URI = ("110037", "DCM", "URI")
_STUDY_UID = ("110180", "DCM", "Study Instance UID")
_PATIENT_NUMBER = ("2", "RFC-3881", "Patient Number")

_IP_ADDRESS, _MACHINE_NAME = "2", "1"
_PERSON, _SYSTEM_OBJECT = "1", "2"
_PATIENT, _REPORT = "1", "3"
_APPLICATION_SERVER = "4"
_SUCCESS, _SERIOUS_FAILURE = "0", "8"
UNKNOWN = "unknown"
"""Stands for a patient of whom the files say nothing, and for an address that is not known."""


@dataclass(frozen=True)
class _Kind:
    """How the standard has an action: event, its kind (Create, Read, Update, Delete, Execute), stage of the data's life."""

    event: Code
    code: str
    life_cycle: str = ""


_KINDS: dict[Action, _Kind] = {
    Action.VOLUME_IMPORT: _Kind(_IMPORT, "C", "2"),
    Action.VOLUME_OPEN: _Kind(_ACCESSED, "R", "6"),
    Action.VOLUME_DELETE: _Kind(_STUDY_DELETED, "D", "15"),
    Action.ANNOTATION_CREATE: _Kind(_ACCESSED, "C", "1"),
    Action.ANNOTATION_OPEN: _Kind(_ACCESSED, "R", "6"),
    Action.ANNOTATION_WRITE: _Kind(_ACCESSED, "U", "3"),
    Action.ANNOTATION_TAKE_OVER: _Kind(_ACCESSED, "U", "3"),
    Action.ANNOTATION_RENAME: _Kind(_ACCESSED, "U", "3"),
    Action.ANNOTATION_DELETE: _Kind(_ACCESSED, "D", "15"),
    Action.ANNOTATION_EXPORT: _Kind(_EXPORT, "R", "10"),
    Action.ANNOTATION_SUBMIT: _Kind(_ACCESSED, "U", "3"),
    Action.ANNOTATION_ACCEPT: _Kind(_ACCESSED, "U", "5"),
    Action.ANNOTATION_SEND_BACK: _Kind(_ACCESSED, "U", "3"),
    Action.MASK_SAVE: _Kind(_ACCESSED, "C", "1"),
    Action.MASK_UPLOAD: _Kind(_IMPORT, "C", "2"),
    Action.SIGN_IN: _Kind(_AUTHENTICATION, "E"),
}
# Of the user, of the server, and of the way between them.
_ROLES: dict[Code, tuple[Code, Code, Code]] = {
    _IMPORT: (_SOURCE, _DESTINATION, _SOURCE_MEDIA),
    _EXPORT: (_DESTINATION, _SOURCE, _DESTINATION_MEDIA),
}
_TYPES = {Action.SIGN_IN: _LOGIN}


def audit_message(event: Event) -> bytes:
    """An event as one ``AuditMessage`` in one line of UTF-8, without a line's end."""
    kind = _KINDS[event.action]
    message = Element("AuditMessage")
    when = datetime.fromtimestamp(event.time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    outcome = _SUCCESS if event.done else _SERIOUS_FAILURE
    identification = SubElement(
        message, "EventIdentification", EventActionCode=kind.code, EventDateTime=when, EventOutcomeIndicator=outcome
    )
    _coded(identification, "EventID", kind.event)
    _coded(identification, "EventTypeCode", _TYPES.get(event.action) or (event.action.value, OURS, event.action.value))
    _participants(message, event, kind)
    source = SubElement(message, "AuditSourceIdentification", AuditSourceID=_text(event.server))
    SubElement(source, "AuditSourceTypeCode", {"csd-code": _APPLICATION_SERVER})
    if event.subject.volume_id:
        _objects(message, event, kind)
    data: bytes = tostring(message, encoding="utf-8")
    return data


def _participants(message: Element, event: Event, kind: _Kind) -> None:
    """Who asked, who did it, and, of what came in or went out, by which way."""
    role, own_role, media = _ROLES.get(kind.event, (None, _APPLICATION, None))
    access = {"NetworkAccessPointID": event.peer, "NetworkAccessPointTypeCode": _IP_ADDRESS} if event.peer else {}
    user = SubElement(message, "ActiveParticipant", access, UserID=_text(event.user), UserIsRequestor="true")
    if role:
        _coded(user, "RoleIDCode", role)
    access = {"NetworkAccessPointID": _text(event.server), "NetworkAccessPointTypeCode": _MACHINE_NAME}
    server = SubElement(message, "ActiveParticipant", access, UserID="calque", UserIsRequestor="false")
    _coded(server, "RoleIDCode", own_role)
    if media:
        way = SubElement(message, "ActiveParticipant", UserID=event.peer or UNKNOWN, UserIsRequestor="false")
        _coded(way, "RoleIDCode", media)
        _coded(SubElement(way, "MediaIdentifier"), "MediaType", _URI)


def _objects(message: Element, event: Event, kind: _Kind) -> None:
    """What it was done to."""
    subject, details = event.subject, {"event": event.event_id}
    if subject.study_uid:
        _object(message, subject.study_uid, _STUDY_UID, kind)
    _object(message, subject.volume_id, ("volume", OURS, "Volume"), kind, {} if subject.annotation_id else details)
    if subject.annotation_id:
        details |= {"mask": str(subject.mask)} if subject.mask else {}
        details |= {"form": subject.form} if subject.form else {}
        _object(message, subject.annotation_id, ("annotation", OURS, "Annotation"), kind, details)
    pseudonym = subject.pseudonym or UNKNOWN
    patient = SubElement(
        message,
        "ParticipantObjectIdentification",
        ParticipantObjectID=pseudonym,
        ParticipantObjectTypeCode=_PERSON,
        ParticipantObjectTypeCodeRole=_PATIENT,
    )
    _coded(patient, "ParticipantObjectIDTypeCode", _PATIENT_NUMBER)
    SubElement(patient, "ParticipantObjectName").text = pseudonym


def _object(message: Element, identifier: str, code: Code, kind: _Kind, details: dict[str, str] | None = None) -> None:
    element = SubElement(
        message,
        "ParticipantObjectIdentification",
        ParticipantObjectID=identifier,
        ParticipantObjectTypeCode=_SYSTEM_OBJECT,
        ParticipantObjectTypeCodeRole=_REPORT,
        ParticipantObjectDataLifeCycle=kind.life_cycle,
    )
    _coded(element, "ParticipantObjectIDTypeCode", code)
    SubElement(element, "ParticipantObjectName").text = identifier
    for name, value in (details or {}).items():
        SubElement(element, "ParticipantObjectDetail", type=name, value=b64encode(value.encode()).decode())


def _coded(parent: Element, name: str, code: Code) -> None:
    value, system, meaning = code
    SubElement(parent, name, {"csd-code": value, "codeSystemName": system, "originalText": meaning})


def _text(told: str) -> str:
    """A text without characters that XML cannot have."""
    return "".join(c if c.isprintable() else "?" for c in told)
