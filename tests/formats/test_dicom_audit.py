"""DICOM audit messages, held element by element against the schema of PS3.15 A.5.1 and the standard's codes."""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass, replace
from datetime import datetime
from xml.etree import ElementTree

import pytest
from pydicom.sr._concepts_dict import concepts

from services.core.audit import Action, Event, Subject
from services.formats.dicom_audit import OURS, audit_message

VOLUME = "0123456789abcdef" * 2
SUBJECT = Subject(VOLUME, f"{VOLUME}-{'a' * 32}", 3, "P-7K3F2Q8ABX", "2.25.1234", "mask.dicom_seg")
EVENT = Event("e" * 32, 1_700_000_000_123, Action.MASK_SAVE, True, "ann", "192.0.2.7", "ward-3", SUBJECT)


@dataclass(frozen=True)
class Form:
    """What the schema allows in an element: children as a pattern of their names, attributes with patterns of values."""

    children: str = ""
    needs: dict[str, str] | None = None
    may: dict[str, str] | None = None


CODE = Form(needs={"csd-code": ".+", "codeSystemName": ".+", "originalText": ".+"}, may={"displayName": ".+"})
SCHEMA = {
    "AuditMessage": Form(
        "EventIdentification (ActiveParticipant )+AuditSourceIdentification (ParticipantObjectIdentification )*"
    ),
    "EventIdentification": Form(
        "EventID (EventTypeCode )*(EventOutcomeDescription )?",
        {"EventDateTime": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00", "EventOutcomeIndicator": "0|4|8|12"},
        {"EventActionCode": "[CRUDE]"},
    ),
    "EventID": CODE,
    "EventTypeCode": CODE,
    "ActiveParticipant": Form(
        "(RoleIDCode )*(MediaIdentifier )?",
        {"UserID": ".+", "UserIsRequestor": "true|false"},
        {"NetworkAccessPointID": ".+", "NetworkAccessPointTypeCode": "[1-5]", "AlternativeUserID": ".*", "UserName": ".*"},
    ),
    "RoleIDCode": CODE,
    "MediaIdentifier": Form("MediaType "),
    "MediaType": CODE,
    "AuditSourceIdentification": Form("(AuditSourceTypeCode )*", {"AuditSourceID": ".+"}, {"AuditEnterpriseSiteID": ".+"}),
    "AuditSourceTypeCode": Form(needs={"csd-code": "[1-9]"}),
    "ParticipantObjectIdentification": Form(
        "ParticipantObjectIDTypeCode (ParticipantObjectName |ParticipantObjectQuery )(ParticipantObjectDetail )*",
        {"ParticipantObjectID": ".+"},
        {
            "ParticipantObjectTypeCode": "[1-4]",
            "ParticipantObjectTypeCodeRole": r"[1-9]|1\d|2[0-6]",
            "ParticipantObjectDataLifeCycle": r"[1-9]|1[0-5]",
        },
    ),
    "ParticipantObjectIDTypeCode": CODE,
    "ParticipantObjectName": Form(),
    "ParticipantObjectDetail": Form(needs={"type": ".+", "value": "[A-Za-z0-9+/]+=*"}),
}
MEANINGS = {value: meaning for named in concepts["DCM"].values() for value, (meaning, *_) in named.items()}


def against_the_schema(element: ElementTree.Element) -> list[str]:
    """What is wrong with an element and those in it."""
    form = SCHEMA[element.tag]
    needs, may = form.needs or {}, form.may or {}
    wrong = [f"{element.tag} needs {name}" for name in needs.keys() - element.attrib.keys()]
    for name, value in element.attrib.items():
        if not re.fullmatch((needs | may).get(name, "(?!)"), value):
            wrong.append(f"{element.tag} has {name}={value}")
    if not re.fullmatch(form.children, "".join(f"{child.tag} " for child in element)):
        wrong.append(f"{element.tag} has children {[child.tag for child in element]}")
    system, value = element.get("codeSystemName"), element.get("csd-code", "")
    if system == "DCM" and MEANINGS.get(value) != element.get("originalText"):
        wrong.append(f"{value} means {MEANINGS.get(value)}")
    if system and system not in ("DCM", "RFC-3881", OURS):
        wrong.append(f"{system} is no code system")
    return wrong + [one for child in element for one in against_the_schema(child)]


def read(event: Event) -> ElementTree.Element:
    data = audit_message(event)
    assert b"\n" not in data
    message = ElementTree.fromstring(data)
    assert against_the_schema(message) == []
    return message


# Action: the event and its action code, as PS3.15 A.5.3 has them.
STANDARD = {
    Action.VOLUME_IMPORT: ("110107", "C"),
    Action.VOLUME_OPEN: ("110103", "R"),
    Action.VOLUME_DELETE: ("110105", "D"),
    Action.ANNOTATION_CREATE: ("110103", "C"),
    Action.ANNOTATION_OPEN: ("110103", "R"),
    Action.ANNOTATION_WRITE: ("110103", "U"),
    Action.ANNOTATION_TAKE_OVER: ("110103", "U"),
    Action.ANNOTATION_RENAME: ("110103", "U"),
    Action.ANNOTATION_SUBMIT: ("110103", "U"),
    Action.ANNOTATION_ACCEPT: ("110103", "U"),
    Action.ANNOTATION_SEND_BACK: ("110103", "U"),
    Action.ANNOTATION_DELETE: ("110103", "D"),
    Action.ANNOTATION_EXPORT: ("110106", "R"),
    Action.MASK_SAVE: ("110103", "C"),
    Action.MASK_UPLOAD: ("110107", "C"),
    Action.SIGN_IN: ("110114", "E"),
}


@pytest.mark.parametrize("action", Action)
def test_every_action_is_a_message_of_the_standard(action: Action) -> None:
    subject = SUBJECT if STANDARD[action][0] != "110114" else Subject()  # who signs in does nothing to a volume
    message = read(replace(EVENT, action=action, subject=subject))
    identification = message[0]
    assert (identification[0].get("csd-code"), identification.get("EventActionCode")) == STANDARD[action]
    assert datetime.fromisoformat(identification.get("EventDateTime", "")).timestamp() == EVENT.time_ms / 1000
    requestors = [one for one in message.iter("ActiveParticipant") if one.get("UserIsRequestor") == "true"]
    assert [(one.get("UserID"), one.get("NetworkAccessPointID")) for one in requestors] == [("ann", "192.0.2.7")]
    roles = {code.get("csd-code") for code in message.iter("RoleIDCode")}
    assert roles >= {"110107": {"110152", "110155"}, "110106": {"110153", "110154"}}.get(STANDARD[action][0], {"110150"})


def test_a_message_names_study_annotation_and_patient() -> None:
    message = read(EVENT)
    objects = {one[0].get("csd-code"): one for one in message.iter("ParticipantObjectIdentification")}
    assert {kind: one.get("ParticipantObjectID") for kind, one in objects.items()} == {
        "110180": "2.25.1234",
        "volume": VOLUME,
        "annotation": SUBJECT.annotation_id,
        "2": "P-7K3F2Q8ABX",
    }
    details = {one.get("type"): b64decode(one.get("value", "")).decode() for one in objects["annotation"][2:]}
    assert details == {"event": "e" * 32, "mask": "3", "form": "mask.dicom_seg"}
    assert message[0].get("EventOutcomeIndicator") == "0"
    assert read(replace(EVENT, done=False))[0].get("EventOutcomeIndicator") == "8"


def test_what_is_not_known_is_said_or_left_out() -> None:
    message = read(replace(EVENT, action=Action.VOLUME_IMPORT, peer="", subject=Subject(VOLUME)))
    patient = list(message.iter("ParticipantObjectIdentification"))[-1]
    assert patient.get("ParticipantObjectID") == "unknown"
    assert [one.get("NetworkAccessPointID") for one in message.iter("ActiveParticipant")] == [None, "ward-3", None]
    signed_in = read(replace(EVENT, action=Action.SIGN_IN, subject=Subject(), user="<&\x00\ud800>"))
    assert not list(signed_in.iter("ParticipantObjectIdentification"))
    assert signed_in[1].get("UserID") == "<&??>"


def test_the_schema_refuses_what_it_should() -> None:
    message = read(EVENT)
    message.remove(message[0])
    message[0].set("UserIsRequestor", "perhaps")
    message[-1][0].set("codeSystemName", "DCM")
    assert len(against_the_schema(message)) == 3
