"""Headers of DICOM files → plain records of the images in them. Only what voxels, geometry and a choice need is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.tag import BaseTag, Tag

from services.core.errors import ChoiceNeeded, InvalidInput, Reason
from services.core.source import SourceSeries
from services.formats.dicom_frames import PRIVATE_TAGS, Told, read_told
from services.formats.dicom_pixels import NATIVE, NativePixels, native_pixels, transfer_syntax
from services.formats.dicom_scan import UNDEFINED, Header, read_header
from services.formats.dicomdir import referenced
from services.formats.siemens import read_mosaic
from services.formats.source import MAX_SLICES, MAX_VOXELS, SourceFile, bad_header, one_line, short_name, truncated

# Storage classes that have rows and columns but are results, not images to draw on.
_RESULTS = {
    "1.2.840.10008.5.1.4.1.1.66.4": "segmentation",
    "1.2.840.10008.5.1.4.1.1.66.7": "segmentation",
    "1.2.840.10008.5.1.4.1.1.481.2": "radiotherapy dose",
}
_DIRECTORY = "1.2.840.10008.1.3.10"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7."  # and a further number where the object has several frames
_DATES = ("AcquisitionDate", "AcquisitionDateTime", "SeriesDate", "StudyDate")
_UIDS = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
    "MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID",
)  # fmt: skip
# What an image can do without, where it cannot be read.
_HELPFUL = ("SliceThickness", "WindowCenter", "WindowWidth", "VOILUTFunction")
_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "StudyDate", "StudyTime", "PatientID", "PatientName",
    "IssuerOfPatientID", "BurnedInAnnotation", "RecognizableVisualFeatures",
    "Modality", "SeriesInstanceUID", "SeriesDescription", "FrameOfReferenceUID",
    "ImageType", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices",
    "RescaleSlope", "RescaleIntercept", "TemporalPositionIdentifier", "AcquisitionNumber", "TriggerTime", "EchoNumbers",
    "InstanceNumber", "BitsStored", "HighBit", "PixelRepresentation", "WindowCenter", "WindowWidth", "VOILUTFunction",
    "ModalityLUTSequence", "EchoTime", "DiffusionBValue", "AcquisitionTime", *_DATES,
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
]  # fmt: skip
_WANTED: list[BaseTag | int] = [*(int(Tag(keyword)) for keyword in _TAGS), *PRIVATE_TAGS]


@dataclass(frozen=True)
class Image:
    """One image, or one frame of a multi-frame object. Positions and directions are LPS, mm; ``None`` where not given."""

    file: int  # index into the files of the import
    frame: int
    frames: int  # in the object
    series: str
    frame_of_reference: str
    kind: str  # LOCALIZER, DERIVED or empty
    modality: str
    description: str
    date: str  # "2004-01-19", to choose by; a volume has none
    rows: int
    columns: int
    position: NDArray[np.float64] | None
    orientation: NDArray[np.float64] | None
    pixel_mm: tuple[float, float] | None
    thickness_mm: float
    slope: float
    intercept: float
    order: tuple[float, ...]
    instance: str
    colour: bool
    inverted: bool
    mosaic: bool  # one whose tiles could not be told apart
    tile: tuple[int, int] | None  # first row and column within a mosaic's image; ``rows`` and ``columns`` are the tile's
    voi: tuple[float, float] | None  # intensities that the file proposes to look at
    told: Told
    source: SourceSeries  # of this image alone
    shows: tuple[str, ...]  # sentences: why the pixels themselves may tell who the patient is
    broken: InvalidInput | None  # why its pixels cannot be read; to be raised when they are asked for
    native: NativePixels | None  # where its pixels lie as they are; ``None``: they are packed, or broken


@dataclass(frozen=True)
class Found:
    """What a file holds: its images, or in ``what`` the kind of object that it is instead."""

    images: tuple[Image, ...] = ()
    what: str = ""
    warnings: tuple[str, ...] = ()
    names: tuple[tuple[str, ...], ...] = ()  # of the directory of a disc: the files that it names


def read_images(file: SourceFile, index: int) -> Found:
    """The images of one file.

    Args:
        file: the file.
        index: its number in the import.

    Raises:
        InvalidInput, TooLarge: the header is damaged or lies. Exceptions of pydicom go through; the caller turns them.
    """
    header = read_header(file, _WANTED)
    dataset, warnings = header.dataset, list(header.warnings)
    meta = dataset.file_meta
    if "TransferSyntaxUID" not in meta:
        warnings.append("Some files lack their DICOM file meta information; their encoding was recognised.")
    _check_uids(file, dataset)
    sop_class = str(dataset.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or "")
    name = pydicom.uid.UID(sop_class).name if sop_class else ""
    if sop_class == _DIRECTORY:
        return Found(what="DICOMDIR", names=tuple(referenced(file)))
    if sop_class in _RESULTS:
        return Found(what=_RESULTS[sop_class])
    if "Rows" not in dataset or "Columns" not in dataset:
        # What ends within its file meta, or within the very name of its class, may have been an image.
        whole = dataset.get("SOPClassUID") and sop_class == str(meta.get("MediaStorageSOPClassUID") or sop_class)
        if not whole or "Image Storage" in name:
            raise truncated(file.name)
        return Found(what=name if name != sop_class else "unknown object")

    rows, columns = int(dataset.Rows), int(dataset.Columns)
    frames = int(dataset.get("NumberOfFrames") or 1) if "NumberOfFrames" in dataset else 1
    if "NumberOfFrames" in dataset and int(dataset.NumberOfFrames or 0) < 1:
        raise bad_header(file.name, "says that it holds no images")
    if frames > MAX_SLICES:
        raise bad_header(file.name, f"says that it holds {frames} images")
    if min(rows, columns) < 1 or frames * rows * columns > MAX_VOXELS:
        raise bad_header(file.name, f"says that its image has {columns} × {rows} × {frames} pixels")
    broken = _broken(file, header, rows, columns, frames)
    if broken and frames > 1:
        raise broken  # before a lying count is believed
    groups = _functional_groups(file, dataset, frames)
    plain = not broken and not header.inflated and header.pixel_bytes != UNDEFINED
    native = native_pixels(dataset, file.name, header.pixels_at) if plain else None
    images = tuple(_image(file, index, dataset, groups, frame, frames, broken, native) for frame in range(frames))
    if images[0].mosaic and frames == 1:
        images = _tiles(file, images[0], _number(dataset.get("SpacingBetweenSlices")))
    return Found(images, "", tuple(warnings))


def _check_uids(file: SourceFile, dataset: Any) -> None:
    """Refuse identifiers that are paths: nothing here opens what they name, but who gets our exports may."""
    for keyword in _UIDS:
        given = _soft(dataset.file_meta if keyword in dataset.file_meta else dataset, keyword)
        text = str(given or "") if given is None or isinstance(given, str) else "\\".join(map(str, given))
        if text.startswith("..") or any(c in "/\\:\0" for c in text):
            raise bad_header(file.name, "has an identifier that is a path")


def _broken(file: SourceFile, header: Header, rows: int, columns: int, frames: int) -> InvalidInput | None:
    """What is wrong with the count of bytes that the pixels have: known before any of them is read."""
    dataset = header.dataset
    if not header.pixel_bytes or header.cut:
        return truncated(file.name)
    if dataset.get("ModalityLUTSequence"):
        return InvalidInput(
            f"The file {short_name(file.name)} gives its intensities by a table (modality LUT), which is not read; "
            "export the series with a rescale slope.",
            Reason.FILE_NOT_READABLE,
        )
    allocated = int(dataset.get("BitsAllocated") or 0)
    if header.pixel_bytes == UNDEFINED or allocated % 8 or transfer_syntax(dataset) not in NATIVE:
        return None
    size = rows * columns * frames * allocated // 8
    if header.pixel_bytes < size:
        return truncated(file.name)
    if header.pixel_bytes > size + size % 2:
        return bad_header(file.name, "has more pixels than its header says")
    return None


def _functional_groups(file: SourceFile, dataset: Any, frames: int) -> list[list[Any]]:
    """For each frame of an enhanced object its functional groups, its own before the shared ones; else nothing."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence")
    if per_frame is None:
        if frames > 1:
            raise ChoiceNeeded(
                f"The file {short_name(file.name)} holds {frames} images without saying where they lie in the patient; "
                "choose a series of slices.",
                Reason.GEOMETRY_INVALID,
            )
        return [[]]
    if len(per_frame) != frames:
        raise bad_header(file.name, f"says that it holds {frames} images but describes {len(per_frame)}")
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or [])
    return [[own, *shared] for own in per_frame]


def _image(
    file: SourceFile,
    index: int,
    dataset: Any,
    groups: list[list[Any]],
    frame: int,
    frames: int,
    broken: InvalidInput | None,
    native: NativePixels | None,
) -> Image:
    mine = groups[frame]
    enhanced = bool(mine)

    def value(keyword: str, sequence: str) -> Any:
        holder = dataset
        if enhanced:
            holder = next((items[0] for functional in mine if (items := functional.get(sequence))), None)
        if holder is None:
            return None
        return _soft(holder, keyword) if keyword in _HELPFUL else holder.get(keyword)

    slope, intercept = (value(k, "PixelValueTransformationSequence") for k in ("RescaleSlope", "RescaleIntercept"))
    slope, intercept = 1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept)
    if not np.isfinite([slope, intercept]).all() or slope == 0:
        raise bad_header(file.name, "has a rescale slope that is zero or not a number")
    window = [value(k, "FrameVOILUTSequence") for k in ("WindowCenter", "WindowWidth", "VOILUTFunction")]
    voi = _voi(*window)
    photometric = str(dataset.get("PhotometricInterpretation") or "MONOCHROME2").strip()
    if photometric == "MONOCHROME1":
        # Stored values count down from their highest: the same range, bright on top.
        stored = int(dataset.get("BitsStored") or dataset.get("BitsAllocated") or 16)
        ends = -1 if dataset.get("PixelRepresentation") == 1 else 2**stored - 1  # lowest plus highest stored value
        around = slope * ends + 2 * intercept
        slope, intercept = -slope, around - intercept
        voi = None if voi is None else (around - voi[1], around - voi[0])
    spacing = _numbers(value("PixelSpacing", "PixelMeasuresSequence"), 2)
    kinds = [str(k).upper() for k in _listed(dataset.get("ImageType"))]
    return Image(
        file=index,
        frame=frame,
        frames=frames,
        series=str(dataset.get("SeriesInstanceUID") or ""),
        frame_of_reference=str(dataset.get("FrameOfReferenceUID") or ""),
        kind="LOCALIZER" if "LOCALIZER" in kinds else "DERIVED" if "DERIVED" in kinds else "",
        modality=one_line(_soft(dataset, "Modality"), 16),
        description=one_line(_soft(dataset, "SeriesDescription"), 64),
        date=_date(dataset),
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        position=_numbers(value("ImagePositionPatient", "PlanePositionSequence"), 3),
        orientation=_numbers(value("ImageOrientationPatient", "PlaneOrientationSequence"), 6),
        pixel_mm=None if spacing is None else (float(spacing[0]), float(spacing[1])),
        thickness_mm=_thickness(value("SliceThickness", "PixelMeasuresSequence")),
        slope=slope,
        intercept=intercept,
        order=_order(dataset, mine, frame),
        instance=f"{dataset.get('SOPInstanceUID') or file.name}/{frame}",
        colour=int(dataset.get("SamplesPerPixel") or 1) != 1 or not photometric.startswith("MONOCHROME"),
        inverted=photometric == "MONOCHROME1",
        mosaic="MOSAIC" in kinds,
        tile=None,
        voi=voi,
        told=read_told(dataset, mine),
        source=_source(dataset, frame),
        shows=_shows(dataset, kinds),
        broken=broken,
        native=native,
    )


def _source(dataset: Any, frame: int) -> SourceSeries:
    """What an export on this image must name."""

    def text(keyword: str) -> str:
        return one_line(_soft(dataset, keyword), 64)

    return SourceSeries(
        study_uid=text("StudyInstanceUID"),
        series_uid=text("SeriesInstanceUID"),
        frame_of_reference_uid=text("FrameOfReferenceUID"),
        sop_class_uid=text("SOPClassUID"),
        instance_uids=(text("SOPInstanceUID"),),
        frame_numbers=(frame + 1,),
        study_date=text("StudyDate"),
        study_time=text("StudyTime"),
        patient_id=text("PatientID"),
        patient_name=text("PatientName"),
        patient_id_issuer=text("IssuerOfPatientID"),
    )


def _shows(dataset: Any, kinds: list[str]) -> tuple[str, ...]:
    """Whether the image itself may tell who the patient is (DICOM PS3.3 C.7.6.1, PS3.15 E.3.1 and E.3.2).

    Where it does not say so, a screen shot is taken for one with text; most have the patient's name in a corner.
    """
    burned = one_line(_soft(dataset, "BurnedInAnnotation"), 16).upper()
    captured = f"{_soft(dataset, 'SOPClassUID') or ''}.".startswith(_SECONDARY_CAPTURE)
    screen = captured or any("SCREEN" in kind for kind in kinds)
    sentences = []
    if burned == "YES":
        sentences.append(
            "The files say that text is burned into the images, maybe the patient's name: look at every slice before you "
            "share anything of this volume."
        )
    elif screen and burned != "NO":
        sentences.append(
            "The images are pictures of a screen, which often show the patient's name: look at every slice before you "
            "share anything of this volume."
        )
    if one_line(_soft(dataset, "RecognizableVisualFeatures"), 16).upper() == "YES":
        sentences.append("The files say that the patient can be recognised in the images, for one by the face.")
    return tuple(sentences)


def _voi(centre: Any, width: Any, function: Any) -> tuple[float, float] | None:
    """The first window of an image as its lowest and highest intensity (DICOM PS3.3 C.11.2.1.2)."""
    middle, wide = _number(centre), _number(width)
    if not _listed(centre) or not _listed(width):
        return None
    if str(function or "LINEAR") == "LINEAR":
        middle, wide = middle - 0.5, wide - 1
    return (middle - wide / 2, middle + wide / 2) if 0 < wide < 1e9 and abs(middle) < 1e9 else None


def _order(dataset: Any, groups: list[Any], frame: int) -> tuple[float, ...]:
    """What sorts images at one place: time, acquisition, echo, trigger, instance, frame."""
    content = next((g.FrameContentSequence[0] for g in groups if g.get("FrameContentSequence")), dataset)
    keys = ("TemporalPositionIndex", "TemporalPositionIdentifier", "AcquisitionNumber", "EchoNumbers", "TriggerTime")
    first = (
        [_number(_soft(content, key)) for key in keys]
        if content is not dataset
        else [0.0] + [_number(_soft(dataset, key)) for key in keys[1:]]
    )
    return (*first, _number(_soft(dataset, "InstanceNumber")), float(frame))


def _tiles(file: SourceFile, image: Image, spacing_mm: float) -> tuple[Image, ...]:
    """The slices of a mosaic as images of their own; the mosaic itself where its header says too little of them."""
    mosaic = read_mosaic(file, image.rows, image.columns, spacing_mm)
    if mosaic is None or image.position is None or image.orientation is None or image.pixel_mm is None:
        return (image,)
    along, down = image.orientation[:3], image.orientation[3:]
    if abs(abs(float(np.cross(along, down) @ mosaic.normal)) - 1) > 1e-3:
        return (image,)
    rows, columns = image.rows // mosaic.across, image.columns // mosaic.across
    first = image.position + along * image.pixel_mm[1] * (image.columns - columns) / 2
    first = first + down * image.pixel_mm[0] * (image.rows - rows) / 2
    return tuple(
        replace(
            image,
            frame=n,
            rows=rows,
            columns=columns,
            position=first + n * mosaic.spacing_mm * mosaic.normal,
            instance=f"{image.instance}/{n}",
            mosaic=False,
            tile=(n // mosaic.across * rows, n % mosaic.across * columns),
        )
        for n in range(mosaic.tiles)
    )


def _soft(dataset: Any, keyword: str) -> Any:
    """An element that only helps to choose and to sort: ``None`` where it cannot be read."""
    try:
        return dataset.get(keyword)
    except Exception:
        return None


def _date(dataset: Any) -> str:
    """The day of the acquisition, else of the series or the study; empty where none can be read."""
    for keyword in _DATES:
        digits = str(_soft(dataset, keyword) or "")[:8]
        if len(digits) == 8 and digits.isascii() and digits.isdigit():
            return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
    return ""


def _number(value: Any) -> float:
    values = _listed(value)
    try:
        return float(values[0]) if values and np.isfinite(float(values[0])) else 0.0
    except (TypeError, ValueError):
        return 0.0


def _thickness(value: Any) -> float:
    number = _number(value)
    return number if number > 0 else 0.0


def _listed(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str | int | float) else list(value)


def _numbers(value: Any, count: int) -> NDArray[np.float64] | None:
    values = _listed(value)
    return np.array([float(v) for v in values]) if len(values) == count else None
