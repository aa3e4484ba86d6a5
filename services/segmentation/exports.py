"""Files for other programs: annotation, mask or probability as TIFF, NIfTI or DICOM-SEG, or all with their provenance."""

from __future__ import annotations

import hashlib
import io
import json
import re
import sys
import zipfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from services.core import forest
from services.core.errors import ChoiceNeeded
from services.formats.dicom_seg import Segment, Told, check_source, dicom_seg_bytes
from services.formats.write import nifti_bytes, tiff_bytes
from services.segmentation.settings import Snapshot
from services.store.annotations import AnnotationRecord, MaskRecord
from services.store.catalogue import VolumeRecord

Format = Literal["tiff", "nifti", "dicom_seg", "zip"]
Kind = Literal["annotation", "mask", "probability"]
_ENDINGS: dict[Format, str] = {"tiff": ".tif", "nifti": ".nii.gz", "dicom_seg": ".dcm", "zip": ".zip"}
_MADE_BY = ("preset", "seed", "engine", "classifier", "latent_model", "connected", "fill_holes")
_LIBRARIES = ("numpy", "scipy", "scikit-image", "numba", "nibabel", "tifffile", "highdicom")
# Volume and annotation share what a file name may have (255 bytes) with kind, time and ending.
_NAME_BYTES = 90


@dataclass(frozen=True)
class Content:
    """What is exported.

    Attributes:
        kind: what it is.
        array: ``(slices, rows, columns)`` uint8.
        made_ms: when it was made, milliseconds since 1970, UTC: a mask's saving, else now.
        log_length: entries of the annotation's log that it stands for.
        made_by: what computed it, see `_MADE_BY`; empty for an annotation, which nothing computed.
        mask: what a saved mask is.
    """

    kind: Kind
    array: NDArray[np.uint8]
    made_ms: int
    log_length: int
    made_by: dict[str, Any]
    mask: MaskRecord | None = None


@dataclass(frozen=True)
class ExportedFile:
    """A file for another program."""

    name: str
    data: bytes
    sha256: str


def of_labels(labels: NDArray[np.uint8], log_length: int, now_ms: int) -> Content:
    """The labels of all strokes, to be exported."""
    return Content("annotation", labels, now_ms, log_length, {})


def of_probability(kept: Snapshot, now_ms: int) -> Content:
    """A probability, to be exported."""
    made_by = {"preset": kept.learning.preset, "seed": kept.learning.seed, "engine": forest.ENGINE}
    made_by |= {"classifier": kept.learning.classifier, "latent_model": kept.learning.latent_model} | asdict(kept.switches)
    return Content("probability", kept.levels, now_ms, kept.log_length, made_by)


def of_mask(mask: MaskRecord, inside: NDArray[np.bool_]) -> Content:
    """A saved mask, to be exported: 255 inside, 0 outside."""
    made_by = {name: getattr(mask, name) for name in _MADE_BY}
    return Content("mask", inside.astype(np.uint8) * np.uint8(255), mask.saved_ms, mask.log_length, made_by, mask)


def write(content: Content, volume: VolumeRecord, annotation: AnnotationRecord, form: Format, now_ms: int) -> ExportedFile:
    """A content as a file, whose name tells volume, annotation, kind and time (UTC). Blocks.

    Raises:
        ChoiceNeeded: a DICOM segmentation cannot lie on this volume; a zip leaves it out.
    """
    kind = f"mask-{content.mask.number}" if content.mask else content.kind
    stem = f"{_plain(volume.name)}-{_plain(annotation.name)}-{kind}-{_utc(content.made_ms):%Y%m%dT%H%M%SZ}"
    if form != "zip":
        return _file(stem + _ENDINGS[form], _image(content, volume, annotation, form))
    images: list[Format] = ["tiff", "nifti", *_dicom_too(volume)]
    files = [_file(stem + _ENDINGS[image], _image(content, volume, annotation, image)) for image in images]
    told = provenance(content, volume, annotation, files, now_ms)
    files.append(_file("provenance.json", json.dumps(told, indent=2, ensure_ascii=False).encode()))
    return _file(stem + _ENDINGS[form], _zipped(files, _utc(content.made_ms)))


def provenance(
    content: Content, volume: VolumeRecord, annotation: AnnotationRecord, files: list[ExportedFile], now_ms: int
) -> dict[str, Any]:
    """Where exported files come from, as plain values. Affine: voxel (slice, row, column) → mm, LPS; times in UTC."""
    told: dict[str, Any] = {
        "kind": content.kind,
        "volume": {
            "id": volume.volume_id,
            "name": volume.name,
            "voxels_sha256": volume.digest,
            "shape": list(volume.shape),
            "affine_lps_mm": volume.affine_array.tolist(),
            "imported": _utc(volume.imported_ms).isoformat(),
        },
        "annotation": {
            "id": annotation.annotation_id,
            "name": annotation.name,
            "begun": _utc(annotation.created_ms).isoformat(),
            "labels": [asdict(label) for label in annotation.labels],
            "log_length": content.log_length,
        },
    }
    if content.made_by:
        told["made_by"] = content.made_by
    if content.mask:
        told["mask"] = {
            "number": content.mask.number,
            "threshold": content.mask.threshold,
            "sha256": content.mask.digest,
            "object_ml": content.mask.object_ml,
            "saved": _utc(content.mask.saved_ms).isoformat(),
        }
    return told | {
        "files": {file.name: {"sha256": file.sha256} for file in files},
        "exported": _utc(now_ms).isoformat(),
        "exported_by": versions(),
    }


@cache
def versions() -> dict[str, str]:
    """Versions of Calque, Python and the libraries that have a part in masks and files."""
    found = {"calque": _version("calque"), "python": ".".join(str(part) for part in sys.version_info[:3])}
    return found | {name: _version(name) for name in _LIBRARIES}


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # for one, Calque run from its sources
        return "not installed"


def _dicom_too(volume: VolumeRecord) -> list[Format]:
    try:
        check_source(volume.shape, volume.affine_array, volume.source)
    except ChoiceNeeded:
        return []
    return ["dicom_seg"]


def _image(content: Content, volume: VolumeRecord, annotation: AnnotationRecord, form: Format) -> bytes:
    if form == "tiff":
        return tiff_bytes(content.array, affine=volume.affine_array, description=f"Calque {content.kind}")
    if form == "nifti":
        return nifti_bytes(content.array, affine=volume.affine_array, source_axes=volume.source_axes)
    segments = [Segment(annotation.name, annotation.labels[0].colour)]
    if content.kind == "annotation":
        segments = [Segment(label.name, label.colour) for label in annotation.labels]
    number = content.mask.number if content.mask else 0
    told = Told(
        label=content.kind.upper(),
        description=f"Calque {content.kind}{f' {number}' if number else ''}: {annotation.name}",
        number=number,
        made_ms=content.made_ms,
        version=versions()["calque"],
        engine=content.made_by.get("engine", ""),
        deidentified=volume.deidentified,
    )
    return dicom_seg_bytes(
        content.array // 255 if content.kind == "mask" else content.array,
        fractions=content.kind == "probability",
        affine=volume.affine_array,
        source=volume.source,
        segments=segments,
        told=told,
    )


def _zipped(files: list[ExportedFile], made: datetime) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.name, (max(made.year, 1980), *made.timetuple()[1:6]))
            entry.compress_type = zipfile.ZIP_STORED if file.name.endswith(".gz") else zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.data)
    return out.getvalue()


def _file(name: str, data: bytes) -> ExportedFile:
    return ExportedFile(name, data, hashlib.sha256(data).hexdigest())


def _utc(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds // 1000, UTC)


def _plain(text: str) -> str:
    """A text as part of a file name that every system takes."""
    plain = re.sub(r"[^\w.]+", "_", text).encode()[:_NAME_BYTES].decode(errors="ignore")
    return plain.strip("._") or "unnamed"
