"""Who the patient is, taken out of a volume before anything of it is kept (DICOM PS3.15 Annex E).

Calque stores no data set, only the few attributes that `SourceSeries` and `Volume` name. Each of them gets what the Basic
Profile with the options *Retain Longitudinal Temporal Information with Modified Dates* and *Clean Descriptors* asks for:

========================================  ====================================================================
study, series, frame of reference, image  ``2.25.<128 bits>``: the same for the same UID and key
patient's identifier and name             a pseudonym, the same for the same patient and key
study date                                moved back by 1 to 3650 days, as many for all studies of a patient
study time                                dropped
series description                        only words that say how the image was made
modality, storage class                   kept where they are the standard's own
========================================  ====================================================================

Everything is an HMAC-SHA256 under one key: who has the key and the original series can find the pair again, who has only
one of them cannot. Libraries that de-identify DICOM rewrite data sets, element by element, and there are none here; the
table of one of them is the judge of the tests.
"""

from __future__ import annotations

import hmac
import json
import re
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from services.core.source import SourceSeries
from services.core.volume import Volume

KEY_BYTES = 32
MOST_DAYS = 3650
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # no I, L, O and U: they are misread (Crockford's base 32)
_PSEUDONYM_LETTERS = 10
_STORAGE_CLASS = re.compile(r"1\.2\.840\.10008\.5\.1\.4\.1\.1(\.[0-9]{1,3}){1,4}")
# Modalities of DICOM PS3.3 C.7.3.1.1.1 that images have.
_MODALITIES = """
    BI BMD CFM CR CT DG DX ES GM IO IVOCT IVUS LS MA MG MR MS NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV OT PA PT PX RF RG
    RTIMAGE SM ST TG US VF VIDD XA XC
"""
# What a description may keep: how an image was made, and of which part of a body.
_WORDS = """
    T1 T1w T2 T2w T2star PD PDw FLAIR STIR SPAIR SPIR TIRM DWI DTI ADC TRACEW SWI SWAN MIP MinIP MPR BOLD fMRI ASL TOF MRA
    MRV MRCP MPRAGE MP2RAGE SPACE CUBE VISTA BRAVO FSPGR SPGR LAVA VIBE DIXON water fat HASTE SSFSE SSFP bSSFP TrueFISP
    FIESTA FISP FFE TFE BTFE GRE FGRE TSE FSE SE EPI spin echo gradient field map magnitude phase fieldmap axial coronal
    sagittal oblique ax tra transverse transversal cor sag 2D 3D 4D isotropic thin thick slab localizer scout survey native
    contrast Gd post pre arterial venous portal delayed dynamic perfusion diffusion structural resting cine fatsat FS bone
    soft tissue lung mediastinum kernel reconstruction head brain neck spine cervical thoracic lumbar chest thorax abdomen
    pelvis liver kidney heart cardiac knee hip shoulder ankle wrist foot hand breast prostate uterus fetus fetal foetal
    placenta left right CT MR PET NAC AC phantom
"""
_ALLOWED_MODALITIES = frozenset(_MODALITIES.split())
_WORD_OF = {word.casefold(): word for word in _WORDS.split()}


@dataclass(frozen=True)
class Pseudonyms:
    """What stands for identities, all from one secret ``key`` of `KEY_BYTES`."""

    key: bytes = field(repr=False)

    @property
    def check(self) -> str:
        """16 hexadecimal digits that tell keys apart and tell nothing of this one."""
        return self._digest("check")[:8].hex()

    def uid(self, uid: str) -> str:
        """The UID that stands for another: 2.25 and the number of a UUID, version 8 (RFC 9562); empty for an empty one."""
        text = uid.strip(" \0")
        if not text:
            return ""
        number = int.from_bytes(self._digest("uid", text)[:16])
        number = number & ~(0xF << 76) & ~(0x3 << 62) | (0x8 << 76) | (0x2 << 62)
        return f"2.25.{number}"

    def patient(self, source: SourceSeries) -> str:
        """The patient's pseudonym: ``P-`` and ten letters or digits."""
        number = int.from_bytes(self._digest("patient", *_patient(source))[:8])
        return "P-" + "".join(_LETTERS[number >> 5 * place & 31] for place in range(_PSEUDONYM_LETTERS))

    def shift_days(self, source: SourceSeries) -> int:
        """By how many days the patient's dates are moved: −`MOST_DAYS` to −1."""
        return -1 - int.from_bytes(self._digest("shift", *_patient(source))[:8]) % MOST_DAYS

    def series(self, source: SourceSeries) -> SourceSeries:
        """The series under its new names."""
        patient = self.patient(source)
        return replace(
            source,
            study_uid=self.uid(source.study_uid),
            series_uid=self.uid(source.series_uid),
            frame_of_reference_uid=self.uid(source.frame_of_reference_uid),
            sop_class_uid=source.sop_class_uid if _STORAGE_CLASS.fullmatch(source.sop_class_uid) else "",
            instance_uids=tuple(self.uid(uid) for uid in source.instance_uids),
            study_date=moved(source.study_date, self.shift_days(source)),
            study_time="",
            patient_id=patient,
            patient_name=patient,
            patient_id_issuer="",
        )

    def _digest(self, purpose: str, *texts: str) -> bytes:
        return hmac.digest(self.key, json.dumps([purpose, *texts]).encode(), "sha256")


def deidentified(volume: Volume, pseudonyms: Pseudonyms) -> Volume:
    """The volume without what its files say of the patient."""
    return replace(
        volume,
        source=None if volume.source is None else pseudonyms.series(volume.source),
        modality=volume.modality if volume.modality in _ALLOWED_MODALITIES else "",
        description=clean_description(volume.description),
    )


def neutral_name(volume: Volume, kind: str, token: str) -> str:
    """A name for the library of a volume that was de-identified.

    ``P-7K3F2Q8ABX · MR · 2021-03-04`` where its series is known, else ``NIfTI · 197 × 233 × 189 · 4f2a``: ``kind`` is the
    format of its files, and ``token`` tells those of one size apart.
    """
    if volume.source is None:
        size = " × ".join(str(count) for count in reversed(volume.shape))
        return " · ".join((volume.modality or kind or "Volume", size, token))
    day = volume.source.study_date
    iso = f"{day[:4]}-{day[4:6]}-{day[6:]}" if day else ""
    return " · ".join(part for part in (volume.source.patient_id, volume.modality, iso) if part)


def moved(day: str, days: int) -> str:
    """A date (``YYYYMMDD``, or ``YYYY.MM.DD`` as before DICOM) moved by some days; empty where it is none."""
    found = re.fullmatch(r"([0-9]{4})(\.?)([0-9]{2})\2([0-9]{2})", day.strip(" \0"))
    if found is None:
        return ""
    try:
        return (date(int(found[1]), int(found[3]), int(found[4])) + timedelta(days)).isoformat().replace("-", "")
    except (ValueError, OverflowError):
        return ""


def clean_description(text: str) -> str:
    """The words of a series description that say how the image was made, parted by spaces; of no others a trace."""
    words = re.split(r"[^0-9a-z]+", text.casefold())
    return " ".join(_WORD_OF[word] for word in words if word in _WORD_OF)


def _patient(source: SourceSeries) -> tuple[str, ...]:
    """What tells the patient from others. Without an identifier it is the name, and without a name the study: two patients
    are never taken for one."""
    identifier, name = source.patient_id.strip(" \0"), source.patient_name.strip(" ^\0").casefold()
    if identifier:
        return "identifier", source.patient_id_issuer.strip(" \0"), identifier
    return ("name", name) if name else ("study", source.study_uid.strip(" \0"))
