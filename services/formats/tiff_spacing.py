"""How large the voxels of a TIFF are, as ImageJ or OME wrote it."""

from __future__ import annotations

import re
from typing import Any

from services.formats.source import UNIT_MM

Spacing = tuple[tuple[float, float, float], tuple[str, ...]]
"""Distances of slices, rows and columns in mm, and warnings of what was assumed."""


def imagej_spacing(meta: dict[str, Any], tags: Any, images: int) -> Spacing:
    """Distances of slices, rows and columns in mm. ImageJ leaves out a slice distance of one unit."""
    unit = str(meta.get("unit", "")).replace("\\u00B5", "µ").strip().lower()
    scale = UNIT_MM.get(unit)
    if scale is None:
        return (1.0, 1.0, 1.0), ("The file does not say how large its voxels are; 1 mm is assumed in each direction.",)
    column, row = (_per_unit(tags, key) for key in ("XResolution", "YResolution"))
    depth = float(meta.get("spacing", 1.0))
    warnings: tuple[str, ...] = ()
    if "spacing" not in meta and images > 1:
        warnings = (f"The file does not say how far apart its slices are; {scale:g} mm is assumed.",)
    if column is None or row is None:
        warnings = (*warnings, f"The file does not say how large its pixels are; {scale:g} mm is assumed.")
    row, column = (1.0 if size is None else size for size in (row, column))
    return (depth * scale, row * scale, column * scale), warnings


def _per_unit(tags: Any, key: str) -> float | None:
    """The size of a pixel, in units, from a resolution tag in pixels a unit."""
    tag = tags.get(key)
    if tag is None:
        return None
    pixels, units = tag.value
    return float(units) / float(pixels) if pixels else float("inf")


def ome_pixels(xml: str) -> dict[str, str]:
    """The attributes of the first ``Pixels`` element. Found by pattern: a parser would expand what the XML defines."""
    found = re.search(r"<(?:\w+:)?Pixels\b([^>]*)>", xml)
    return dict(re.findall(r"""(\w+)\s*=\s*["']([^"']*)["']""", found.group(1))) if found else {}


def ome_spacing(ome: dict[str, str]) -> Spacing:
    """The same from the attributes that `ome_pixels` found."""
    depth, row, column = (_ome_size(ome, axis) for axis in "ZYX")
    if depth is not None and row is not None and column is not None:
        return (depth, row, column), ()
    if row is not None and column is not None:
        return (row, row, column), ("The file does not say how far apart its slices are; as far as its rows is assumed.",)
    return (1.0, 1.0, 1.0), ("The file does not say how large its voxels are; 1 mm is assumed in each direction.",)


def _ome_size(ome: dict[str, str], axis: str) -> float | None:
    """The size of a voxel along an axis in mm; ``None`` where the file does not say it."""
    value, scale = ome.get(f"PhysicalSize{axis}"), UNIT_MM.get(ome.get(f"PhysicalSize{axis}Unit", "µm").lower())
    return None if value is None or scale is None else float(value) * scale
