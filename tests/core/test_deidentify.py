"""Pseudonyms: consistent under one key, other under another; and the standard's table allows all that is kept."""

from __future__ import annotations

import re
import uuid
from dataclasses import asdict, fields, replace
from datetime import date, timedelta

import pydicom
import pytest
from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector
from hypothesis import given
from hypothesis import strategies as st
from pydicom.tag import Tag

from services.core.deidentify import MOST_DAYS, Pseudonyms, clean_description, deidentified, moved, neutral_name
from services.core.source import SourceSeries
from services.formats import dicom_header
from services.store.catalogue import VolumeRecord
from tests.phantoms import oblique_phantom

ONE, OTHER = Pseudonyms(bytes(range(32))), Pseudonyms(bytes(range(1, 33)))
PHANTOM = oblique_phantom((3, 16, 18))

keys = st.binary(min_size=32, max_size=32).map(Pseudonyms)
uids = st.lists(st.integers(0, 10**9), min_size=2, max_size=6).map(lambda parts: ".".join(["1", *map(str, parts)])[:64])
texts = st.text(min_size=1, max_size=64).filter(lambda text: bool(text.strip(" ^\0")))
days = st.dates(date(1900, 1, 1), date(2100, 12, 31))


def series(**fields: str) -> SourceSeries:
    told = {"study_uid": "1.2.3", "series_uid": "1.2.3.4", "frame_of_reference_uid": "1.2.3.5"}
    sop_class = "1.2.840.10008.5.1.4.1.1.4"
    source = SourceSeries(
        **told, sop_class_uid=sop_class, instance_uids=("1.2.8", "1.2.9", "1.2.8"), frame_numbers=(1, 1, 2)
    )
    return replace(source, **fields)


def dicom(day: date) -> str:
    return day.isoformat().replace("-", "")


def day_of(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:]))


@given(keys, uids, uids)
def test_the_same_uid_is_the_same_new_one_and_another_another(names: Pseudonyms, one: str, other: str) -> None:
    new = names.uid(one)
    assert new == names.uid(f"{one}\0") == Pseudonyms(names.key).uid(one)
    assert (new == names.uid(other)) == (one == other)
    assert pydicom.uid.UID(new).is_valid
    assert len(new) <= 64
    made = uuid.UUID(int=int(new.removeprefix("2.25.")))
    assert (made.version, made.variant) == (8, uuid.RFC_4122)
    assert one not in new
    assert names.uid("") == names.uid(" \0") == ""


@given(keys, texts, texts, uids, uids)
def test_a_patient_is_the_same_in_all_studies(names: Pseudonyms, identifier: str, name: str, one: str, other: str) -> None:
    first = series(patient_id=identifier, patient_name=name, study_uid=one)
    later = series(patient_id=f" {identifier} ", patient_name="Married^Name", study_uid=other)
    if identifier.strip(" \0"):
        assert names.patient(first) == names.patient(later)
        assert names.shift_days(first) == names.shift_days(later)
        assert names.patient(first) != names.patient(replace(first, patient_id_issuer="Elsewhere"))
    assert re.fullmatch("P-[0-9A-HJKMNP-TV-Z]{10}", names.patient(first))
    assert -MOST_DAYS <= names.shift_days(first) <= -1


@given(keys, texts, uids, uids)
def test_patients_without_an_identifier_are_never_taken_for_one(names: Pseudonyms, name: str, one: str, other: str) -> None:
    assert names.patient(series(patient_name=name, study_uid=one)) == names.patient(series(patient_name=name))
    assert names.patient(series(patient_name=name)) != names.patient(series(patient_id=name))
    nameless = [names.patient(series(study_uid=uid)) for uid in (one, other)]
    assert (nameless[0] == nameless[1]) == (one == other)


@given(keys, texts, days, days)
def test_two_studies_keep_their_interval(names: Pseudonyms, identifier: str, one: date, other: date) -> None:
    new = [names.series(series(patient_id=identifier, study_date=dicom(day))) for day in (one, other)]
    first, second = (day_of(source.study_date) for source in new)
    assert second - first == other - one
    assert 1 <= (one - first).days <= MOST_DAYS
    assert [pydicom.valuerep.DA(source.study_date).isoformat() for source in new] == [first.isoformat(), second.isoformat()]
    assert [source.study_time for source in new] == ["", ""]


@given(st.dates(date(1, 1, 1)), st.integers(-MOST_DAYS, -1))
def test_a_date_is_moved_or_dropped(day: date, by: int) -> None:
    expected = dicom(day + timedelta(by)) if (day - date.min).days >= -by else ""
    assert moved(dicom(day), by) == expected
    assert moved(day.isoformat().replace("-", "."), by) == expected


@pytest.mark.parametrize(
    ("text", "by", "expected"),
    [
        ("20240229", -1, "20240228"),
        ("20240301", -1, "20240229"),
        ("20230301", -1, "20230228"),
        ("20240229", -366, "20230228"),
        ("19000301", -1, "19000228"),  # not a leap year
        ("20000301", -1, "20000229"),  # one
        ("19120305 ", -3650, "19020308"),
        ("2024.02.29", -1, "20240228"),
        ("00010101", -1, ""),
    ],
)
def test_dates(text: str, by: int, expected: str) -> None:
    assert moved(text, by) == expected


BAD_DATES = ["", " ", "2024", "20230229", "20241301", "2024-02-29", "2024022", "202402299", "2024.0229", "Doe", "²0240229"]


@pytest.mark.parametrize("text", BAD_DATES)
def test_what_is_no_date_is_dropped(text: str) -> None:
    assert moved(text, -10) == ""


def test_another_key_gives_other_results() -> None:
    source = series(patient_id="4711", study_date="20240229")
    one, other = ONE.series(source), OTHER.series(source)
    same = {name for name, value in asdict(one).items() if value == asdict(other)[name]}
    assert same == {"sop_class_uid", "frame_numbers", "study_time", "patient_id_issuer"}
    assert ONE.check != OTHER.check
    assert "key" not in repr(ONE)


@given(st.text(max_size=80))
def test_of_a_description_only_known_words_stay(text: str) -> None:
    kept = clean_description(text)
    assert clean_description(kept) == kept
    assert {word.casefold() for word in kept.split()} <= set(re.split("[^0-9a-z]+", text.casefold()))
    assert all(len(word) <= 14 for word in kept.split())


def test_descriptions() -> None:
    assert clean_description("t2_haste_sag Mustermann 1957") == "T2 HASTE sag"
    assert clean_description("AX FLAIR/Dr. Weiß, Brain") == "ax FLAIR brain"
    assert clean_description("Erika") == ""


def test_a_volume_without_its_patient() -> None:
    source = series(patient_id="4711", patient_name="Muster^Erika", study_date="20240229", sop_class_uid="1.2.752.4711")
    volume = replace(PHANTOM, source=source, description="Muster T1", modality="ERIKA")
    new = deidentified(volume, ONE)
    assert new.source is not None
    assert (new.description, new.modality, new.source.sop_class_uid) == ("T1", "", "")
    assert new.source.patient_id == new.source.patient_name == ONE.patient(source)
    assert new.voxels is volume.voxels
    told = repr([getattr(new, field.name) for field in fields(new) if field.name != "voxels"])
    assert not any(secret in told for secret in ("Muster", "ERIKA", "4711", "20240229"))


def test_neutral_names() -> None:
    source = series(patient_id="4711", study_date="20240229")
    volume = deidentified(replace(PHANTOM, source=source), ONE)
    assert re.fullmatch(r"P-[0-9A-Z]{10} · MR · 20[12][0-9]-[01][0-9]-[0-3][0-9]", neutral_name(volume, "DICOM", "1"))
    dateless = replace(volume, source=replace(volume.source, study_date=""), modality="")
    assert re.fullmatch(r"P-[0-9A-Z]{10}", neutral_name(dateless, "DICOM", "1"))
    assert neutral_name(PHANTOM, "NIfTI", "4f2a") == "MR · 18 × 16 × 3 · 4f2a"
    assert neutral_name(replace(PHANTOM, modality=""), "NIfTI", "4f2a") == "NIfTI · 18 × 16 × 3 · 4f2a"
    assert neutral_name(replace(PHANTOM, modality=""), "", "4f2a") == "Volume · 18 × 16 × 3 · 4f2a"


# --- the standard as the judge -------------------------------------------------------------------------------------------

# What becomes of each attribute that is read and that the profile acts on.
TREATED = {
    "StudyInstanceUID": "other UID",
    "SeriesInstanceUID": "other UID",
    "FrameOfReferenceUID": "other UID",
    "SOPInstanceUID": "other UID",
    "StudyDate": "moved date",
    "StudyTime": "empty",
    "AcquisitionTime": "removed",
    "AcquisitionDate": "removed",  # shown to who chooses among series, as the next two
    "AcquisitionDateTime": "removed",
    "SeriesDate": "removed",
    "PatientID": "dummy",
    "PatientName": "dummy",
    "IssuerOfPatientID": "removed",
    "SeriesDescription": "cleaned",
}
# What the profile's actions permit (PS3.15 table E.1-1a); the last two by an option of the profile.
PERMITTED = {
    "U_TAGS": {"other UID"},
    "Z_TAGS": {"empty", "dummy", "moved date"},
    "Z_D_TAGS": {"empty", "dummy"},
    "X_TAGS": {"removed", "cleaned"},
    "X_Z_TAGS": {"removed", "empty"},
    "X_D_TAGS": {"removed", "dummy"},
    "X_Z_D_TAGS": {"removed", "empty", "dummy"},
}
# Fields of a stored record that come from such an attribute, and all others: voxels, how they lie and look, or made by us.
FROM_HEADERS = {
    *("study_uid", "series_uid", "frame_of_reference_uid", "instance_uids", "study_date", "study_time"),
    *("patient_id", "patient_name", "patient_id_issuer", "description"),
}
OTHERS = {
    *("volume_id", "name", "imported_ms", "shape", "dtype", "affine", "slope", "intercept", "source_axes", "modality"),
    *("warnings", "window", "voi", "grey", "digest", "slice_crc32", "thumbnail", "source", "deidentified", "key_check"),
    *("frame_numbers", "sop_class_uid", "content", "project"),
}


def actions() -> dict[int, str]:
    """The profile's action on each attribute with a tag of its own, as the library has it from the standard's 2026c."""
    table = dicom_anonymization_database_selector("dicomfields_2026c")
    return {
        int(Tag(*tag)): action for action, tags in table.items() for tag in tags if action != "ALL_TAGS" and len(tag) == 2
    }


def test_every_attribute_that_is_read_is_treated_as_the_profile_says() -> None:
    table = actions()
    assert len(table) > 600
    touched = {keyword: table[int(Tag(keyword))] for keyword in dicom_header._TAGS if int(Tag(keyword)) in table}
    assert touched.keys() == TREATED.keys()
    assert {
        keyword: TREATED[keyword] for keyword, action in touched.items() if TREATED[keyword] not in PERMITTED[action]
    } == {}


def test_nothing_else_is_stored() -> None:
    stored = {field.name for kind in (VolumeRecord, SourceSeries) for field in fields(kind)}
    assert stored == FROM_HEADERS | OTHERS, "A new field: say what the profile allows of it."


def test_each_stored_attribute_is_other_than_it_was() -> None:
    source = series(
        patient_id="4711",
        patient_name="Muster^Erika",
        patient_id_issuer="Klinik",
        study_date="20240229",
        study_time="101500",
    )
    before, after = asdict(source), asdict(ONE.series(source))
    same = {name for name in before if before[name] == after[name]}
    assert same == before.keys() & OTHERS == {"sop_class_uid", "frame_numbers"}
