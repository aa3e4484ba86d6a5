"""Export: masks as a DICOM Segmentation on the slices of their source series (DICOM PS3.3 A.51).

The source's pixels are not needed, only its identifiers: each frame of the segmentation names the slice that it lies
on, and repeats that slice's position. Frames without a voxel inside are left out, which the standard allows. What a
segmentation tells of patient and study is what the source says of them.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from services.core.errors import ChoiceNeeded, Reason
from services.core.source import SourceSeries
from services.core.volume import Affine, check_affine

# How far the axes of a stack may be from perpendicular, as the cosine of their angle: what the reader lets stacks drift.
_PERPENDICULAR = 0.0101
_UID = re.compile(r"[0-9.]{1,64}")
_FEWEST_PIXELS = 8  # of a slice: highdicom packs the bits of smaller ones wrongly
_OTHERS = "choose NIfTI or TIFF."
_NO_PLACE = Reason.GEOMETRY_INVALID
_ONE_FRAME = "1.2.840.10008.5.1.4.1.1.4"  # storage class of single MR images


@dataclass(frozen=True)
class Segment:
    """A segment to write: its name (at most 64 characters count) and its colour as 0xRRGGBB."""

    name: str
    colour: int


@dataclass(frozen=True)
class Told:
    """What a segmentation says of itself.

    Attributes:
        label: one word in capitals, as ``MASK``.
        description: a few words, at most 64 characters count.
        number: tells series of one study apart, from 0.
        made_ms: when its content was made, milliseconds since 1970, UTC.
        version: of Calque.
        engine: version of what computed it; empty where a hand drew it.
        deidentified: whether its source was, as `services.core.deidentify` does it.
    """

    label: str
    description: str
    number: int
    made_ms: int
    version: str
    engine: str = ""
    deidentified: bool = False


def check_source(shape: tuple[int, ...], affine: Affine, source: SourceSeries | None) -> SourceSeries:
    """The source, where a segmentation can lie on it. Raises: ChoiceNeeded (NO_SOURCE_SERIES, GEOMETRY_INVALID)."""
    if source is None:
        raise ChoiceNeeded(
            "The slices of this volume are not images of a DICOM series, which a DICOM segmentation must name; " + _OTHERS,
            Reason.NO_SOURCE_SERIES,
        )
    uids = source.study_uid, source.series_uid, source.frame_of_reference_uid, source.sop_class_uid, *source.instance_uids
    if not all(map(_UID.fullmatch, uids)):
        raise ChoiceNeeded(
            "The DICOM series of this volume lacks identifiers that a DICOM segmentation must name (of study, frame of "
            "reference or images); " + _OTHERS,
            Reason.NO_SOURCE_SERIES,
        )
    if shape[1] * shape[2] < _FEWEST_PIXELS:
        raise ChoiceNeeded("The slices of this volume are too small for a DICOM segmentation; " + _OTHERS, _NO_PLACE)
    check_affine(affine)
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    if np.abs(directions.T @ directions - np.eye(3)).max() > _PERPENDICULAR:
        raise ChoiceNeeded(
            "The slices, rows and columns of this volume are not at right angles, as those of a DICOM segmentation must "
            "be; choose NIfTI.",
            _NO_PLACE,
        )
    return source


def dicom_seg_bytes(
    array: NDArray[np.uint8],
    *,
    fractions: bool = False,
    affine: Affine,
    source: SourceSeries | None,
    segments: Sequence[Segment],
    told: Told,
) -> bytes:
    """Segments as a DICOM Segmentation. The same arguments give the same bytes and UIDs, others give other UIDs.

    Args:
        array: ``(slices, rows, columns)``, in the voxel order of the volume: the number of the segment from 1, or 0.
        fractions: ``array`` is a probability × 255 of one segment instead.
        affine: ``(4, 4)``, voxel index ``(slice, row, column)`` → mm, LPS.
        source: the series that the volume's slices are images of.
        segments: what the numbers mean, in their order.
        told: what the object says of itself.

    Raises:
        ChoiceNeeded: see `check_source`.
    """
    source = check_source(array.shape, affine, source)
    import highdicom  # takes seconds, and few exports need it

    uid = _uid(hashlib.sha256(array.tobytes()).hexdigest(), repr((fractions, affine.tolist(), source, segments, told)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of identifiers that a source has and the standard would not
        seg = highdicom.seg.Segmentation(
            source_images=_images(array.shape, affine, source),
            pixel_array=array.astype(np.float32) / np.float32(255) if fractions else array,
            segmentation_type="FRACTIONAL" if fractions else "BINARY",
            fractional_type="PROBABILITY",
            max_fractional_value=255,
            segment_descriptions=[_description(number, segment, told) for number, segment in enumerate(segments, 1)],
            series_instance_uid=_uid(uid, "series"),
            series_number=1000 + told.number,
            sop_instance_uid=uid,
            instance_number=1,
            manufacturer="Calque",
            manufacturer_model_name="Calque",
            software_versions=told.version,
            device_serial_number="0",
            content_label=told.label,
            content_description=_text(told.description),
        )
        _name_images(seg, source)
        _date(seg, datetime.fromtimestamp(told.made_ms // 1000, UTC))
        seg.SeriesDescription = _text(told.description)
        seg.ContentCreatorName = ""
        if told.deidentified:
            _say_deidentified(seg)
        organization = _uid(uid, "dimensions")  # highdicom draws another one each time
        for item in (*seg.DimensionOrganizationSequence, *seg.DimensionIndexSequence):
            item.DimensionOrganizationUID = organization
        out = io.BytesIO()
        seg.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _uid(*parts: str) -> str:
    """A UID that follows from some texts (DICOM PS3.5 B.2: 2.25 and a number of 128 bits)."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def _images(shape: tuple[int, ...], affine: Affine, source: SourceSeries) -> list[Any]:
    """The source's slices as far as a segmentation looks at them: identifiers, size and place.

    Each stands as an image of one frame, named by the number of its slice; `_name_images` puts the true names in.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    slice_mm, row_mm, column_mm = (float(mm) for mm in np.linalg.norm(affine[:3, :3], axis=0))
    along, down = affine[:3, 2] / column_mm, affine[:3, 1] / row_mm
    images = []
    for index in range(shape[0]):
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.SpecificCharacterSet = "ISO_IR 192"
        image.SOPClassUID, image.SOPInstanceUID = _ONE_FRAME, _stand_in(index)
        image.StudyInstanceUID = source.study_uid
        image.SeriesInstanceUID = source.series_uid
        image.FrameOfReferenceUID = source.frame_of_reference_uid
        image.PositionReferenceIndicator = ""
        image.PatientID, image.PatientName = _text(source.patient_id), _text(source.patient_name)
        image.PatientBirthDate = image.PatientSex = ""
        image.StudyID = image.AccessionNumber = image.ReferringPhysicianName = ""
        image.StudyDate, image.StudyTime = _valid(source.study_date, "DA"), _valid(source.study_time, "TM")
        image.Rows, image.Columns = shape[1], shape[2]
        image.ImageOrientationPatient = _decimals([*along, *down])
        image.ImagePositionPatient = _decimals((affine @ [index, 0, 0, 1])[:3])
        image.PixelSpacing = _decimals([row_mm, column_mm])
        image.SliceThickness = _decimals([slice_mm])[0]
        images.append(image)
    return images


def _stand_in(index: int) -> str:
    return _uid("slice", str(index))


def _valid(text: str, vr: Literal["DA", "TM"]) -> str:
    """A date or a time, or nothing where a source has one that cannot be."""
    from pydicom.valuerep import DA, TM

    try:
        return str((DA if vr == "DA" else TM)(text) or "")
    except ValueError:
        return ""


def _decimals(numbers: Sequence[float] | NDArray[np.float64]) -> list[Any]:
    """Numbers as DICOM writes them, in at most 16 characters."""
    from pydicom.valuerep import DSfloat

    return [DSfloat(float(number), auto_format=True) for number in numbers]


def _description(number: int, segment: Segment, told: Told) -> Any:
    import highdicom
    from pydicom.sr.codedict import codes

    channels = (segment.colour >> shift & 0xFF for shift in (16, 8, 0))
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="Calque", family=codes.cid7162.ArtificialIntelligence, version=told.engine
    )
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=_text(segment.name),
        segmented_property_category=codes.SCT.Tissue,
        segmented_property_type=codes.SCT.Tissue,
        algorithm_type="SEMIAUTOMATIC" if told.engine else "MANUAL",
        algorithm_identification=algorithm if told.engine else None,
        display_color=highdicom.color.CIELabColor.from_rgb(*channels),
    )


def _text(text: str) -> str:
    """A text as one value of a DICOM element of 64 characters, which a backslash would part."""
    return text.replace("\\", "/")[:64]


def _name_images(seg: Any, source: SourceSeries) -> None:
    """Name the source's images where their stand-ins are, with the frame where several slices are frames of one."""
    several = len(set(source.instance_uids)) < len(source.instance_uids) or max(source.frame_numbers) > 1
    index_of = {_stand_in(index): index for index in range(len(source.instance_uids))}
    for group in seg.PerFrameFunctionalGroupsSequence:
        (image,) = group.DerivationImageSequence[0].SourceImageSequence
        index = index_of.get(image.ReferencedSOPInstanceUID)
        if index is None:  # frames of several segments share what names their slice
            continue
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = source.sop_class_uid, source.instance_uids[index]
        if several:
            image.ReferencedFrameNumber = source.frame_numbers[index]
    images = list(seg.SourceImageSequence)[: len(set(source.instance_uids))]
    for image, uid in zip(images, dict.fromkeys(source.instance_uids)):
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = source.sop_class_uid, uid
    seg.SourceImageSequence = images
    seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence = images


def _say_deidentified(seg: Any) -> None:
    """Say that the patient was removed, and by which profile and options (DICOM PS3.15 E, PS3.16 CID 7050)."""
    from pydicom.dataset import Dataset
    from pydicom.sr.codedict import codes

    seg.PatientIdentityRemoved = "YES"
    seg.DeidentificationMethodCodeSequence = []
    for applied in (
        codes.cid7050.BasicApplicationConfidentialityProfile,
        codes.cid7050.CleanDescriptorsOption,
        codes.cid7050.RetainLongitudinalTemporalInformationModifiedDatesOption,
    ):
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = applied.value, "DCM", applied.meaning
        seg.DeidentificationMethodCodeSequence.append(code)
    seg.LongitudinalTemporalInformationModified = "MODIFIED"


def _date(seg: Any, made: datetime) -> None:
    """Say when the content was made, also where highdicom says when it wrote."""
    for keyword in ("ContentDate", "InstanceCreationDate", "SeriesDate"):
        setattr(seg, keyword, f"{made:%Y%m%d}")
    for keyword in ("ContentTime", "InstanceCreationTime", "SeriesTime"):
        setattr(seg, keyword, f"{made:%H%M%S}")
    for library in seg.ContributingEquipmentSequence:
        library.ContributionDateTime = f"{made:%Y%m%d%H%M%S}+0000"
