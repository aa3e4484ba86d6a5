"""A volume: voxels as stored, one affine to patient space, and how stored values become intensities.

Nouns
-----
voxels
    Array ``(slices, rows, columns)``. Axis 0 is always the acquisition axis: readers transpose once, so that a slice as
    the scanner made it is contiguous, and `Volume.source_axes` remembers the axes of the file.
affine
    4×4, float64. Takes a voxel index ``(slice, row, column)`` (voxel centres at integers) to patient space in millimetres,
    LPS: +x to the patient's left, +y to posterior, +z to superior (DICOM PS3.3 C.7.6.2.1.1).
intensity
    ``voxels[s] * slope[s] + intercept[s]``, the modality's own values (DICOM PS3.3 C.11.1).
window
    The volume's one intensity range, fixed at import: features see ``0..255`` over it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.core.errors import InvalidInput, Reason
from services.core.source import SourceSeries
from services.core.survey import StoredRange, WindowSample, intensities

VOXEL_DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32")


Affine = NDArray[np.float64]


@dataclass(frozen=True)
class Volume:
    """Voxels with their geometry.

    Attributes:
        voxels: ``(slices, rows, columns)``, one of `VOXEL_DTYPES`, as stored in the file.
        affine: ``(4, 4)`` float64, voxel index ``(slice, row, column)`` → patient mm, LPS.
        slope: ``(slices,)`` float64, rescale slope of each slice.
        intercept: ``(slices,)`` float64, rescale intercept of each slice.
        source_axes: for each axis of `voxels`, the axis of the source file's array that it came from. A NIfTI array
            ``(x, y, z)`` acquired along z has ``(2, 1, 0)``.
        modality: DICOM modality code (``MR``, ``CT``, ``PT``), or empty.
        description: what the source says of itself, free of patient data, or empty.
        warnings: sentences that stay with the volume for ever.
        voi: the range of intensities that the source proposes for looking at (its VOI window), or ``None``.
        source: the DICOM series whose images the slices are, or ``None``.

    Raises:
        InvalidInput: shapes, dtype, affine or rescale values are not usable.
    """

    voxels: NDArray[np.generic]
    affine: Affine
    slope: NDArray[np.float64]
    intercept: NDArray[np.float64]
    source_axes: tuple[int, int, int] = (0, 1, 2)
    modality: str = ""
    description: str = ""
    warnings: tuple[str, ...] = field(default=())
    voi: tuple[float, float] | None = None
    source: SourceSeries | None = None

    def __post_init__(self) -> None:
        if self.voxels.ndim != 3 or 0 in self.voxels.shape:
            raise InvalidInput("The image is not a volume of slices, rows and columns.", Reason.FILE_HEADER_INVALID)
        if self.voxels.dtype.name not in VOXEL_DTYPES:
            raise InvalidInput(f"Voxels of type {self.voxels.dtype.name} are not supported.", Reason.FILE_HEADER_INVALID)
        check_affine(self.affine)
        if self.slope.shape != (len(self.voxels),) or self.intercept.shape != (len(self.voxels),):
            raise InvalidInput("There must be one rescale slope and intercept a slice.", Reason.FILE_HEADER_INVALID)
        if not (np.isfinite(self.slope).all() and np.isfinite(self.intercept).all() and (self.slope != 0).all()):
            raise InvalidInput("A rescale slope is zero or not a number.", Reason.FILE_HEADER_INVALID)
        if self.voi is not None and not (np.isfinite(self.voi).all() and self.voi[0] < self.voi[1]):
            raise InvalidInput("The range of intensities to look at is not one.", Reason.FILE_HEADER_INVALID)
        if self.source and not len(self.source.instance_uids) == len(self.source.frame_numbers) == len(self.voxels):
            raise InvalidInput("There must be one source image a slice.", Reason.FILE_HEADER_INVALID)
        if sorted(self.source_axes) != [0, 1, 2]:
            raise InvalidInput("The axes of the source are not a permutation.", Reason.GEOMETRY_INVALID)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        slices, rows, columns = self.voxels.shape
        return slices, rows, columns

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxel centres along slices, rows and columns, in millimetres."""
        along = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(along[0]), float(along[1]), float(along[2])

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel, in millilitres."""
        return voxel_ml(self.affine)

    def intensity(self, index: int) -> NDArray[np.float32]:
        """Intensities of acquisition slice ``index``: ``(rows, columns)`` float32, in the modality's unit."""
        return intensities(self.voxels[index], self.slope[index], self.intercept[index])


def voxel_ml(affine: Affine) -> float:
    """Volume of one voxel under an affine in mm, in millilitres."""
    return float(abs(np.linalg.det(affine[:3, :3]))) / 1000.0


def check_affine(affine: Affine) -> None:
    """Refuse an affine that is not 4×4, finite and invertible with sane spacing. Raises: InvalidInput."""
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or not np.array_equal(affine[3], (0.0, 0.0, 0.0, 1.0)):
        raise InvalidInput("The image's position in the patient is missing or not a number.", Reason.GEOMETRY_INVALID)
    axes = affine[:3, :3]
    # The largest number first: the square of a huge one is not finite.
    spacing = np.linalg.norm(axes, axis=0) if np.abs(axes).max() <= 1e6 else np.zeros(3)
    if (spacing <= 1e-6).any() or (spacing > 1e6).any():
        raise InvalidInput("The distance between voxels is zero or not plausible.", Reason.GEOMETRY_INVALID)
    if abs(np.linalg.det(axes / spacing)) < 1e-3:
        raise InvalidInput("The image's axes lie in one plane; its geometry cannot be right.", Reason.GEOMETRY_INVALID)


def intensity_window(volume: Volume) -> tuple[float, float]:
    """The volume's intensity window, ``(low, high)`` intensities: see `WindowSample.window`."""
    sample = WindowSample(volume.shape, volume.voxels.dtype, volume.slope, volume.intercept)
    for index in range(0, volume.shape[0], sample.step):
        sample.add(index, volume.voxels[index])
    return sample.window()


def to_window(intensity: NDArray[np.float32], window: tuple[float, float]) -> NDArray[np.float32]:
    """Intensities of any shape → float32 in 0–255 over the window; not-a-number becomes 0."""
    low, high = window
    scaled: NDArray[np.float32] = (intensity - np.float32(low)) * np.float32(255.0 / (high - low))
    return np.clip(np.nan_to_num(scaled, nan=0.0), np.float32(0.0), np.float32(255.0))


@dataclass(frozen=True)
class GreyMap:
    """16-bit greys for display: intensity = grey × slope + intercept.

    ``exact`` when greys hold the stored integers; else intensities are kept to 1/65535 of the volume's range.
    """

    slope: float
    intercept: float
    exact: bool

    def greys(self, intensity: NDArray[np.floating]) -> NDArray[np.uint16]:
        """Intensities of any shape → uint16; not-a-number becomes 0."""
        scaled = (intensity.astype(np.float64) - self.intercept) / self.slope
        return np.clip(np.rint(np.nan_to_num(scaled, nan=0.0)), 0, 65535).astype(np.uint16)


def grey_map(volume: Volume) -> GreyMap:
    """The grey map of a volume: exact where one rescale holds for all slices and the integers span at most 16 bits."""
    found = StoredRange(volume.voxels.dtype, volume.slope, volume.intercept)
    for index, image in enumerate(volume.voxels):
        found.add(index, image)
    return grey_map_of(found, volume.slope, volume.intercept)


def grey_map_of(found: StoredRange, slope: NDArray[np.float64], intercept: NDArray[np.float64]) -> GreyMap:
    """The grey map of a volume whose range is known; ``slope`` and ``intercept`` are those of its slices."""
    one_rescale = np.ptp(slope) == 0 and np.ptp(intercept) == 0
    if one_rescale and found.stored is not None and found.stored[1] - found.stored[0] <= 65535:
        return GreyMap(float(slope[0]), found.stored[0] * float(slope[0]) + float(intercept[0]), True)
    low, high = found.intensities
    return GreyMap((high - low) / 65535 if high > low else 1.0, low, False)
