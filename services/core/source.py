"""The DICOM series that a volume was read from, as far as an export on its slices must name it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SourceSeries:
    """Identifiers of a series and of the image that each slice of the volume came from (DICOM PS3.3 C.7).

    A volume has one only where its slices are its images as they lie: not when they were resampled or cut from a mosaic.

    Attributes:
        study_uid, series_uid, frame_of_reference_uid: of the series; empty where the files have none.
        sop_class_uid: storage class of its images.
        instance_uids: of the image that holds each slice, in the order of the volume's slices. All the same for a
            multi-frame object.
        frame_numbers: of each slice in its image, from 1.
        study_date, study_time: as in the files, ``YYYYMMDD`` and ``HHMMSS.FFFFFF``; empty is allowed.
        patient_id, patient_name: the patient as the files name him or her; empty is allowed. After de-identification both
            are the pseudonym, UIDs and date are others, and the time is empty (see ``services.core.deidentify``).
        patient_id_issuer: who gave the identifier; empty is allowed.
    """

    study_uid: str
    series_uid: str
    frame_of_reference_uid: str
    sop_class_uid: str
    instance_uids: tuple[str, ...]
    frame_numbers: tuple[int, ...]
    study_date: str = ""
    study_time: str = ""
    patient_id: str = ""
    patient_name: str = ""
    patient_id_issuer: str = ""


def source_from_json(fields: dict[str, Any]) -> SourceSeries:
    """What `dataclasses.asdict` made of a series, after a way through JSON. Raises: TypeError, ValueError, KeyError."""
    instances = tuple(str(uid) for uid in fields["instance_uids"])
    frames = tuple(int(number) for number in fields["frame_numbers"])
    others = {key: str(value) for key, value in fields.items() if key not in ("instance_uids", "frame_numbers")}
    return SourceSeries(instance_uids=instances, frame_numbers=frames, **others)
