"""Files for other programs: what can be exported and as what, under which name, and how a file comes to lie on the disk."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import platformdirs
from calque.v1 import segmentation_pb2
from calque.v1.segmentation_pb2 import Mask

from tablet_client.state.disk import sync, sync_folder
from tablet_client.state.kept import read_kept, write_kept
from tablet_client.state.words import N_

_NAME = "export.json"
_NAME_BYTES = 90  # of volume and annotation each: a file's name has 255
_FORBIDDEN = re.compile(r"[^\w.()-]+")


class Format(NamedTuple):
    """A format that can be chosen.

    Attributes:
        name: for us.
        number: the contract's.
        ending: of its files.
        word, note: what the user reads, in English.
    """

    name: str
    number: int
    ending: str
    word: str
    note: str


FORMATS = (
    Format(
        "nifti", segmentation_pb2.EXPORT_FORMAT_NIFTI, ".nii.gz", "NIfTI", N_("lies where the volume lies in the patient")
    ),
    Format("tiff", segmentation_pb2.EXPORT_FORMAT_TIFF, ".tif", "TIFF", N_("a stack of slices, calibrated for ImageJ")),
    Format(
        "dicom_seg",
        segmentation_pb2.EXPORT_FORMAT_DICOM_SEG,
        ".dcm",
        "DICOM Segmentation",
        N_("on the series that the volume is from"),
    ),
    Format("zip", segmentation_pb2.EXPORT_FORMAT_ZIP, ".zip", "ZIP", N_("all of these, and how they were made")),
)


class Content(NamedTuple):
    """What can be exported.

    Attributes:
        name: for us: "mask-3", "annotation", "probability".
        kind: the contract's.
        mask: which one, where it is a saved mask.
    """

    name: str
    kind: int
    mask: Mask | None = None

    @property
    def computed(self) -> bool:
        """It is made of the strokes when it is asked for; a mask was saved before."""
        return self.mask is None


def contents(masks: Sequence[Mask]) -> tuple[Content, ...]:
    """What an annotation with these saved masks, the newest first, has to export."""
    return (
        *(Content(f"mask-{mask.number}", segmentation_pb2.EXPORT_KIND_MASK, mask) for mask in masks),
        Content("annotation", segmentation_pb2.EXPORT_KIND_ANNOTATION),
        Content("probability", segmentation_pb2.EXPORT_KIND_PROBABILITY),
    )


def format_of(name: str) -> Format:
    """A format by its name. Raises: KeyError."""
    return {form.name: form for form in FORMATS}[name]


def suggested_name(volume: str, annotation: str, content: Content, now_ms: int) -> str:
    """A file's name without its ending: volume, annotation, what it is, and when that was made (UTC)."""
    when = content.mask.saved_ms if content.mask is not None else now_ms
    made = datetime.fromtimestamp(when // 1000, UTC)
    return f"{_short(volume)}-{_short(annotation)}-{content.name}-{made:%Y%m%dT%H%M%SZ}"


def plain_name(text: str) -> str:
    """A typed name as every system takes it, in its folder and nowhere else; empty where nothing is left of it."""
    return _FORBIDDEN.sub("_", text.strip()).encode()[: 2 * _NAME_BYTES].decode(errors="ignore").strip("._")


def default_folder() -> Path:
    """Where exports go until another folder is chosen."""
    return Path(platformdirs.user_documents_dir()) / "Calque"


def keep_file(folder: Path, stem: str, ending: str, data: bytes) -> Path:
    """Write a file whole or not at all, beside one of that name, never over it. Blocks.

    Args:
        folder: made where it is not there.
        stem, ending: its name; the stem gets a number where there is such a file.

    Returns:
        Where it lies.

    Raises:
        OSError: it was not kept, and nothing of it is left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{uuid.uuid4().hex}.part"
    try:
        with open(beside, "xb") as file:
            file.write(data)
            file.flush()
            sync(file.fileno())
        path = _free(folder, stem, ending)
        os.replace(beside, path)
        sync_folder(folder)
    except OSError:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    return path


@dataclass(frozen=True)
class Habits:
    """What was exported last on this tablet.

    Attributes:
        folder: to which folder; empty: none was chosen yet.
        format: of `FORMATS`, by its name.
    """

    folder: str = ""
    format: str = FORMATS[0].name


def read_habits(folder: Path) -> Habits:
    """As they were kept beside the journals, or those of the beginning."""
    return read_kept(folder / _NAME, Habits(), _possible) or Habits()


def write_habits(folder: Path, habits: Habits) -> bool:
    """Keep them. Returns: False when the disk did not take them."""
    return write_kept(folder / _NAME, habits)


def _possible(name: str, value: Any) -> bool:
    return isinstance(value, str) and (name != "format" or value in [form.name for form in FORMATS])


def _short(text: str) -> str:
    plain = _FORBIDDEN.sub("_", text).encode()[:_NAME_BYTES].decode(errors="ignore")
    return plain.strip("._") or "unnamed"


def _free(folder: Path, stem: str, ending: str) -> Path:
    """A name that no file of the folder has."""
    path, number = folder / (stem + ending), 2
    while path.exists():
        path, number = folder / f"{stem} ({number}){ending}", number + 1
    return path
