"""Back to the patient: a DICOM object that names a de-identified series → the same object on the original series.

The hash is keyed and repeatable, so who has the key and the originals computes what their UIDs became, and reads the pairs
backwards. What the object names and what lies there must be the same, or nothing is written.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import pydicom
from pydicom.uid import generate_uid

from services.core.deidentify import Pseudonyms
from services.core.errors import InvalidInput, Reason
from services.core.source import SourceSeries
from services.formats.dicom_header import read_images
from services.formats.source import SourceFile, refusing, short_name

# Of the patient and the study; an object on its own has them from the images that it is about.
_IDENTITY = (
    "PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_SAID_OF_IT = (
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
)  # fmt: skip


def reidentified(file: SourceFile, originals: Sequence[SourceFile], pseudonyms: Pseudonyms) -> tuple[bytes, int]:
    """The object in ``file`` on the original series, under a UID of its own.

    Args:
        file: for one a segmentation that Calque exported.
        originals: files of the series, or of more than that.
        pseudonyms: of the key that the series was de-identified with.

    Returns:
        A DICOM file, and how many of the original images it names.

    Raises:
        InvalidInput: not readable, of another patient or key, or an image that it names is not among the originals.
        CalqueError: as in `read_images`, for the originals.
    """
    with refusing(file.name):
        dataset = pydicom.dcmread(file.path)
        named = {(element.keyword, str(element.value)) for element in _uids(dataset)}
        images = {uid for keyword, uid in named if keyword == "ReferencedSOPInstanceUID"}
        patient = str(dataset.get("PatientID") or "")
    found = {source.instance_uids[0]: (one, source) for one, source in _sources(originals)}
    mine = {uid: pair for uid, pair in found.items() if pseudonyms.patient(pair[1]) == patient}
    if not mine:
        raise InvalidInput(
            f"The file {short_name(file.name)} is about none of the patients of these images, or they were de-identified "
            "with another key; nothing was written.",
            Reason.REQUEST_INVALID,
        )
    original_of = {pseudonyms.uid(uid): uid for _, source in mine.values() for uid in _of(source)}
    absent = images - original_of.keys()
    if not images or absent or dataset.get("StudyInstanceUID") not in original_of:
        raise InvalidInput(
            f"The file {short_name(file.name)} names {len(images)} images, of which {len(absent)} are not among the "
            "originals, or its study is not; name the folder of the whole series. Nothing was written.",
            Reason.REQUEST_INVALID,
        )
    example = next(one for uid, (one, _) in mine.items() if pseudonyms.uid(uid) in images)
    with refusing(file.name):
        for element in _uids(dataset):
            element.value = original_of.get(str(element.value), element.value)
        _identify(dataset, example)
        out = io.BytesIO()
        pydicom.dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue(), len(images)


def _sources(originals: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, SourceSeries]]:
    for number, one in enumerate(originals):
        with refusing(one.name):
            images = read_images(one, number).images
        if images and images[0].source.instance_uids[0]:
            yield one, images[0].source


def _of(source: SourceSeries) -> tuple[str, ...]:
    return source.study_uid, source.series_uid, source.frame_of_reference_uid, source.instance_uids[0]


def _uids(dataset: Any) -> Iterator[Any]:
    """All elements of one UID, in sequences too."""
    for element in dataset.iterall():
        if element.VR == "UI" and element.VM == 1:
            yield element


def _identify(dataset: Any, example: SourceFile) -> None:
    """Patient and study from one of the originals; a new object, since the one before goes on to exist."""
    with refusing(example.name):
        original = pydicom.dcmread(example.path, stop_before_pixels=True, specific_tags=list(_IDENTITY))
        for keyword in _IDENTITY:
            if keyword in original:
                setattr(dataset, keyword, original[keyword].value)
    for keyword in _SAID_OF_IT:
        dataset.pop(keyword, None)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SeriesInstanceUID, dataset.SOPInstanceUID = generate_uid(), generate_uid()
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
