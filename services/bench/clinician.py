"""A simulated clinician: it sees the truth and draws as a hand would; a method sees only its strokes.

First it draws on the slice where the object is largest: medial lines inside the object; for the background a closed ring
around it and straight lines across the slice. Then, shown a mask, it goes to the slice with the most wrong pixels and draws
along the middle of the largest missed and excess regions. Slices are those of the acquisition plane, as the tablet shows
them; paths are in pixels of that plane's image, x to the right and y downwards, pixel centres at integers.

Seed 0 draws exactly; any other seed moves each stroke by up to `SHIFT` pixels and cuts up to `CUT` of its length off each
end, as a hand would. A `services.bench.habits.Habit` changes what is drawn, so that no method is made for one way to draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from calque.raster import stroke_pixels
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours
from skimage.morphology import skeletonize

from services.bench.habits import EXACT, Habit
from services.bench.pen import Path, longest_paths
from services.core.geometry import Plane, PlaneGeometry, acquisition_plane, plane_geometry
from services.core.labels import BACKGROUND, OBJECT
from services.core.mask import Level, Mask, at_threshold, best_threshold, dice
from services.core.volume import Affine

WIDTH = 3
"""Width of the pen in pixels, along an object and across the slice."""
THIN = 1
"""Width of the pen around an object, which is narrow, and for corrections: a wide one would label what is right."""
DEEPEST = 3.0
"""The object is eroded by at most so many pixels before its medial line is taken."""
CLEAR = 5
"""Background lines keep so far from the object with all their width, in pixels."""
LINES = (0.15, 0.35, 0.50, 0.65, 0.85)
"""Where lines cross the slice, as parts of its height and width."""
SMALLEST = 15
"""A wrong region of so many pixels or fewer is let be."""
REGIONS = 2
"""So many of the missed and of the excess regions of a slice are corrected at a time."""
SHIFT = 2.0
CUT = 0.10


@dataclass(frozen=True)
class PenStroke:
    """A stroke of the pen.

    Attributes:
        plane, slice: the image that it is drawn on.
        label: of the annotation.
        width_mm: width of the line.
        x, y: the path, in pixels of the plane's image.
    """

    plane: Plane
    slice: int
    label: int
    width_mm: float
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Labelling:
    """Which label the clinician draws for what it searches and for what it does not; exchange them to search the rest."""

    object: int = OBJECT
    background: int = BACKGROUND

    @property
    def exchanged(self) -> bool:
        """What is searched has another label than the one whose probability is shown."""
        return self.object != OBJECT


@dataclass(frozen=True)
class Seen:
    """A probability as a clinician sees it who moves the slider to where the mask is best.

    Attributes:
        threshold: 1 to 255, of the label that is shown.
        dice: of the object, 0 to 1.
        mask: where the object seems to be, of the truth's shape.
    """

    threshold: int
    dice: float
    mask: Mask


def best_seen(levels: Level, truth: Mask, labelling: Labelling = Labelling()) -> Seen:
    """What is seen of a probability at the threshold at which it agrees best with the truth.

    Args:
        levels: ``(slices, rows, columns)`` uint8, probability × 255 of label `OBJECT`.
        truth: of the same shape, bool.
        labelling: with labels exchanged, the object is what lies below the threshold.
    """
    threshold = best_threshold(levels, ~truth if labelling.exchanged else truth).threshold
    found = at_threshold(levels, threshold)
    mask = ~found if labelling.exchanged else found
    return Seen(threshold, dice(mask, truth), mask)


def first_strokes(
    truth: Mask, affine: Affine, *, labelling: Labelling = Labelling(), seed: int = 0, habit: Habit = EXACT
) -> tuple[PenStroke, ...]:
    """The strokes that begin an annotation, all on the slice where the object is largest.

    Args:
        truth: ``(slices, rows, columns)`` bool, as the volume.
        affine: of the volume.
        labelling: what the labels mean.
        seed: of the hand.
        habit: of the hand.

    Returns:
        Object strokes first, then the ring, then lines; nothing for an empty truth.
    """
    if not truth.any():
        return ()
    plane = _plane(truth.shape, affine)
    index = _in_plane(plane, int(np.argmax(np.count_nonzero(truth, axis=(1, 2)))))
    wanted = plane.slice_of(truth, index)
    around = [] if habit.ring is None else [habit.around(path) for path in ring(wanted, habit.ring)]
    lines = straight_lines(wanted) if habit.lines else []
    strokes = [(path, labelling.object, WIDTH) for path in habit.longest(medial_lines(wanted))]
    strokes += [(path, labelling.background, THIN) for path in habit.longest(around)]
    strokes += [(path, labelling.background, WIDTH) for path in habit.some(lines)]
    return _drawn(strokes, plane, index, habit, seed, 0)


def corrections(
    truth: Mask,
    shown: Mask,
    affine: Affine,
    *,
    labelling: Labelling = Labelling(),
    seed: int = 0,
    number: int = 1,
    habit: Habit = EXACT,
    slices: Sequence[int] | None = None,
) -> tuple[PenStroke, ...]:
    """The strokes with which the clinician answers a mask, all on one slice.

    Args:
        truth: ``(slices, rows, columns)`` bool, as the volume.
        shown: the mask on the tablet, of the same shape.
        affine, labelling, seed, habit: as in `first_strokes`.
        number: of the correction, from 1; the same hand moves each one's strokes in another way.
        slices: of the acquisition, in which the clinician looks one after the other, until something is wrong; None: the
            one with the most wrong pixels.

    Returns:
        Strokes on missed regions first, then those on excess regions; nothing when only small regions of those slices are
        wrong.
    """
    plane = _plane(truth.shape, affine)
    worst = int(np.argmax(np.count_nonzero(truth != shown, axis=(1, 2))))
    for index in (_in_plane(plane, voxels) for voxels in ([worst] if slices is None else slices)):
        wanted, seen = plane.slice_of(truth, index), plane.slice_of(shown, index)
        strokes = [(path, labelling.object, THIN) for path in habit.longest(_along_largest(wanted & ~seen))]
        strokes += [(path, labelling.background, THIN) for path in habit.longest(_along_largest(seen & ~wanted))]
        if strokes:
            return _drawn(strokes, plane, index, habit, seed, number)
    return ()


def length_mm(stroke: PenStroke, plane: PlaneGeometry) -> float:
    """Length of a stroke's path in millimetres."""
    steps = np.diff(stroke.x) * plane.column_mm, np.diff(stroke.y) * plane.row_mm
    return float(np.hypot(*steps).sum())


def voxels_of(stroke: PenStroke, shape: tuple[int, int, int], affine: Affine) -> NDArray[np.int64]:
    """The voxels that a stroke labels: flat indices ``(n,)``, as the service finds them."""
    plane = plane_geometry(shape, affine, stroke.plane)
    columns, rows = stroke_pixels(
        stroke.x,
        stroke.y,
        width_mm=stroke.width_mm,
        pixel_mm=(plane.column_mm, plane.row_mm),
        size=(plane.columns, plane.rows),
    )
    flat: NDArray[np.int64] = np.ravel_multi_index(plane.to_voxels(columns, rows, stroke.slice), shape).astype(np.int64)
    return flat


def best_intensity_threshold(intensities: NDArray[np.generic], truth: Mask) -> tuple[float, str]:
    """How far one threshold on the bare image gets, so that nobody takes an easy target for a good method.

    Args:
        intensities: ``(slices, rows, columns)``, any finite numbers.
        truth: of the same shape.

    Returns:
        The best Dice over all thresholds, bright or dark side, and what it is in words. Images of more than 65,536
        different values are sorted into so many even steps first.
    """
    values, place = np.unique(intensities.ravel(), return_inverse=True)
    if len(values) > 65536:
        low, high = float(values[0]), float(values[-1])
        scaled = (intensities.ravel().astype(np.float64) - low) * (65535.0 / (high - low))
        place = np.rint(scaled).astype(np.int64)
        values = np.linspace(low, high, 65536)
    counts = np.bincount(place, minlength=len(values))
    inside = np.bincount(place[truth.ravel()], minlength=len(values))
    best = (0.0, "nothing is found")
    for word, hit, drawn in (
        ("≥", inside[::-1].cumsum()[::-1], counts[::-1].cumsum()[::-1]),
        ("≤", inside.cumsum(), counts.cumsum()),
    ):
        scores = 2.0 * hit / np.maximum(drawn + inside.sum(), 1)
        k = int(np.argmax(scores))
        if scores[k] > best[0]:
            best = float(scores[k]), f"intensity {word} {values[k]:g}"
    return best


def medial_lines(region: Mask) -> list[Path]:
    """Paths along the middle of an object, the longest first.

    The object is eroded to half of its largest inner distance, at most `DEEPEST` pixels deep, and thinned to its skeleton.

    Args:
        region: ``(rows, columns)`` bool.
    """
    inner = _inner_distance(region)
    depth = min(DEEPEST, float(inner.max()) / 2.0)
    return longest_paths(_skeleton(inner > depth))


def ring(region: Mask, distance: float) -> list[Path]:
    """Closed paths so many pixels outside an object, the longest first; open where they leave the slice."""
    outer = ndimage.distance_transform_edt(~region)
    contours = find_contours(outer, distance)  # type: ignore[no-untyped-call]
    found = [Path.through(line[:, 1], line[:, 0]) for line in contours]
    return sorted((path for path in found if path.length > 2 * distance), key=lambda path: -path.length)


def straight_lines(region: Mask) -> list[Path]:
    """Straight paths across the slice where a pen of `WIDTH` keeps `CLEAR` pixels or more from the object."""
    clear = ndimage.distance_transform_edt(~region) >= CLEAR
    free = ndimage.binary_erosion(clear, np.ones((WIDTH, WIDTH)), border_value=1)
    rows, columns = region.shape
    found: list[Path] = []
    for part in LINES:
        row, column = int(part * (rows - 1) + 0.5), int(part * (columns - 1) + 0.5)
        found += [Path((float(a), float(b)), (float(row),) * 2) for a, b in _runs(free[row])]
        found += [Path((float(column),) * 2, (float(a), float(b))) for a, b in _runs(free[:, column])]
    return found


def _along_largest(wrong: Mask) -> list[Path]:
    """Paths along the largest wrong regions of a slice."""
    regions, count = ndimage.label(wrong, structure=np.ones((3, 3)))
    sizes = np.bincount(regions.ravel(), minlength=count + 1)[1:]
    found: list[Path] = []
    for number in np.argsort(-sizes, kind="stable")[:REGIONS]:
        if sizes[number] > SMALLEST:
            found += longest_paths(_skeleton(regions == number + 1))
    return found


def _skeleton(region: Mask) -> Mask:
    thin: Mask = skeletonize(region)  # type: ignore[no-untyped-call]
    return thin


def _inner_distance(region: Mask) -> NDArray[np.float64]:
    """Distance of each pixel to the nearest one outside; what lies beyond the slice counts as outside."""
    distance: NDArray[np.float64] = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    return distance


def _runs(free: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of each run of true values that is long enough to draw."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], free, [False]]).astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in zip(steps[::2], steps[1::2]) if b - a > WIDTH]


def _plane(shape: tuple[int, ...], affine: Affine) -> PlaneGeometry:
    slices, rows, columns = shape
    size = slices, rows, columns
    return plane_geometry(size, affine, acquisition_plane(size, affine))


def _in_plane(plane: PlaneGeometry, acquired: int) -> int:
    """The plane's number of an acquisition slice."""
    step, first = plane.pixel_to_voxel[0, 2], plane.pixel_to_voxel[0, 3]
    return int((acquired - first) * step)


def _drawn(
    paths: list[tuple[Path, int, int]], plane: PlaneGeometry, index: int, habit: Habit, seed: int, number: int
) -> tuple[PenStroke, ...]:
    """Paths with their labels and widths in pixels as strokes on one slice, by the hand that ``seed`` names."""
    hand = np.random.RandomState([seed, number])
    pixel = min(plane.column_mm, plane.row_mm)
    strokes = []
    for path, label, width in paths:
        if seed:
            path = path.cut(*hand.uniform(0.0, CUT, 2)).moved(*_within(SHIFT, hand))
        path = habit.held(path, hand).inside(plane.columns, plane.rows)
        strokes.append(PenStroke(plane.plane, index, label, width * pixel, path.x, path.y))
    return tuple(strokes)


def _within(radius: float, hand: np.random.RandomState) -> tuple[float, float]:
    """A shift of at most ``radius``, in any direction, all of that disk alike."""
    length, angle = radius * np.sqrt(hand.uniform()), hand.uniform(0.0, 2.0 * np.pi)
    return float(length * np.cos(angle)), float(length * np.sin(angle))
