"""``calque check``: what files are and where they lie in the patient, or why they are refused. Nothing is kept."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from services.cli.serve import load_settings
from services.cli.words import tell
from services.core.errors import CalqueError, ChoiceNeeded, InvalidInput, Reason
from services.core.geometry import acquisition_plane, edge_letters
from services.core.volume import Volume
from services.formats.contents import SEGMENTATION, kind_of_head
from services.formats.nifti import head_of
from services.formats.offer import Listing, plain
from services.formats.source import SourceFile, refusing, source_files
from services.formats.worker import Limits, in_worker, list_in_worker, read_in_worker

_HEAD = 1024
# Positive direction first, as in LPS.
_SIDES = (("L", "R"), ("P", "A"), ("S", "I"))


def run_check(paths: Sequence[Path], *, as_json: bool) -> bool:
    """Look at each path in turn and print what it is, as text or as one JSON object a line.

    Returns:
        Whether all of them are readable as they are.
    """
    limits = parser_limits()
    readable = True
    for path in paths:
        report = look(path, limits)
        readable &= bool(report["readable"])
        tell([json.dumps(report)] if as_json else words(report))
    return readable


def parser_limits() -> Limits:
    """What reading may use, from the same settings as the services'. Raises: InvalidInput."""
    settings = load_settings()
    return Limits(memory_bytes=settings.parser_memory_bytes, seconds=settings.parser_seconds)


def look(path: Path, limits: Limits) -> dict[str, Any]:
    """What one path is. Never raises.

    Returns:
        ``path``, ``readable`` and ``format``; of a DICOM Segmentation the fields of `segmentation`; of all else ``series``,
        each with the fields of `services.formats.offer.plain`, ``others`` (``what`` and ``count``) and ``unlisted``, and
        the fields of `geometry`; or ``error`` (its class), ``reason``, ``sentence``, and ``choices`` (``key`` and ``text``
        of each) where the user must choose.
    """
    report: dict[str, Any] = {"path": str(path), "readable": False, "format": ""}
    try:
        files = source_files(path)
        report |= {"format": _format(files), "files": len(files)}
        if report["format"] == SEGMENTATION:
            report |= segmentation(files[0], limits)
        else:
            report |= _listed(list_in_worker(files, limits=limits))
            report |= geometry(read_in_worker(files, limits=limits))
        report["readable"] = True
    except CalqueError as error:
        report |= _refusal(error)
    except OSError as error:
        reason = error.strerror or "no answer"
        report |= _refusal(InvalidInput(f"The path cannot be opened: {reason}.", Reason.FILE_NOT_READABLE))
    except Exception:
        # Not its text: that may quote the file.
        report |= _refusal(InvalidInput("The files are damaged and could not be read.", Reason.FILE_NOT_READABLE))
    return report


def geometry(volume: Volume) -> dict[str, Any]:
    """A volume's geometry and what else is told of it, as plain values; distances in mm, patient axes LPS."""
    slices, rows, columns = volume.shape
    directions = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    corners = np.array([[s, r, c, 1] for s in (0, slices - 1) for r in (0, rows - 1) for c in (0, columns - 1)])
    placed = corners @ volume.affine.T
    axes = ("slices", "rows", "columns")
    return {
        "modality": volume.modality,
        "description": volume.description,
        "voxel_type": volume.voxels.dtype.name,
        "size": dict(zip(axes, volume.shape)),
        "spacing_mm": dict(zip(axes, volume.spacing_mm)),
        "towards": {name: edge_letters(directions[:, k]) for k, name in enumerate(axes)},
        "acquisition": acquisition_plane(volume.shape, volume.affine).name.lower(),
        "extent_mm": [[float(placed[:, k].min()), float(placed[:, k].max())] for k in range(3)],
        "affine": volume.affine.tolist(),
        "warnings": list(volume.warnings),
    }


def segmentation(file: SourceFile, limits: Limits) -> dict[str, Any]:
    """What a DICOM segmentation holds: ``segmentation`` (binary …), ``segments``, ``size``, ``source_series`` (UIDs)."""
    from services.formats.dicom_seg_read import look_at_segmentation

    return in_worker(partial(look_at_segmentation, file), limits=limits)


def words(report: dict[str, Any]) -> list[str]:
    """A report as lines for people."""
    lines = [f"{report['path']}: {_what(report)}"]
    if report["readable"] and "segments" in report:
        size = report["size"]
        lines += [f"  segment      {one['number']} {one['name']}".rstrip() for one in report["segments"]]
        lines.append(f"  size         {size['columns']} × {size['rows']} × {size['frames']} (columns × rows × frames)")
        lines += [f"  drawn on     series {uid}" for uid in report["source_series"]]
    elif report["readable"]:
        size, spacing, towards = report["size"], report["spacing_mm"], report["towards"]
        order = ("columns", "rows", "slices")
        lines += [
            f"  size         {' × '.join(str(size[k]) for k in order)} voxels (columns × rows × slices), "
            f"{report['voxel_type']}",
            f"  spacing      {' × '.join(f'{spacing[k]:.4g}' for k in order)} mm",
            f"  orientation  {', '.join(f'{k} to {towards[k]}' for k in order)}; acquired {report['acquisition']}",
            f"  extent       {', '.join(_range(*pair) for pair in zip(report['extent_mm'], _SIDES))} (voxel centres)",
            *[f"  warning      {warning}" for warning in report["warnings"]],
        ]
    else:
        lines.append(f"  {report['sentence']}")
    series = report.get("series", [])
    if len(series) > 1 or not report["readable"]:
        lines += [_series(one, report.get("sentence", "")) for one in series]
    if len(series) == 1:
        lines += [f"  frame        {frame['key']}: {frame['text']}" for frame in series[0]["frames"]]
    if unlisted := report.get("unlisted"):
        lines.append(f"  unlisted     {unlisted} more series")
    if others := report.get("others"):
        counts = ", ".join(f"{one['count']} {one['what'] or 'other'}" for one in others)
        lines.append(f"  no images    {counts}")
    return lines


def _series(one: dict[str, Any], told: str) -> str:
    """A line for an image; its refusal only where it is not ``told`` already."""
    order = ("columns", "rows", "slices")
    size, spacing = ([one[what][k] for k in order] for what in ("size", "spacing_mm"))
    known = [f"{mm:.4g}" if mm else "?" for mm in spacing]
    words = [
        one["kind"].replace("_", " "),
        one["modality"],
        one["description"],
        f"{' × '.join(map(str, size))}" if any(size) else "",
        f"{' × '.join(known)} mm" if any(spacing) else "",
        f"{len(one['frames'])} frames" if one["frames"] else "",
        one["date"],
        one["place"] if one["place"] != one["key"].rstrip("/") else "",
    ]
    line = f"{one['key']}: {', '.join(filter(None, words))}"
    if one["opens"]:
        return f"  choose       {line}"
    line += f": {one['sentence']}" if one["sentence"] != told else ""
    if not one["repairs"]:
        return f"  refused      {line}"
    return f"  repair       {line} Readable with {' '.join(f'--{name}' for name in one['repairs'])}."


def _what(report: dict[str, Any]) -> str:
    if not report["readable"]:
        state = "a choice is needed" if report.get("choices") else "refused"
        return f"{report['format']}, {state} ({report['reason']})" if report["format"] else f"{state} ({report['reason']})"
    told = [report["format"] or "image", *(report.get(key, "") for key in ("segmentation", "modality", "description"))]
    return ", ".join(part for part in told if part)


def _range(extent: list[float], sides: tuple[str, str]) -> str:
    low, high = (f"{sides[0] if mm >= 0 else sides[1]} {abs(mm):.1f}" for mm in extent)
    return f"{low} to {high} mm"


def _listed(found: Listing) -> dict[str, Any]:
    return {
        "series": [plain(offer) for offer in found.offers],
        "others": [{"what": what, "count": count} for what, count in found.others],
        "unlisted": found.unlisted,
    }


def _format(files: Sequence[SourceFile]) -> str:
    """What the files are by their first bytes, counted: ``NIfTI``, or ``35 DICOM files, 2 others``."""
    found: Counter[str] = Counter()
    for file in files:
        with refusing(file.name):
            found[kind_of_head(head_of(file, _HEAD))] += 1
    others = found.pop("", 0)
    if not others and len(files) == 1:
        return next(iter(found))
    parts = [f"{count} {kind} file{'s' if count > 1 else ''}" for kind, count in sorted(found.items())]
    return ", ".join(parts + ([f"{others} other{'s' if others > 1 else ''}"] if others and parts else []))


def _refusal(error: CalqueError) -> dict[str, Any]:
    told: dict[str, Any] = {"error": type(error).__name__, "reason": error.reason.value, "sentence": str(error)}
    if isinstance(error, ChoiceNeeded) and error.choices:
        told["choices"] = [{"key": choice.key, "text": choice.text} for choice in error.choices]
    return told
