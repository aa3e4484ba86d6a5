"""Slices of a DICOM series → the order, the spacing and the affine of their stack.

Terms of DICOM PS3.3 C.7.6.2: an image's orientation is the unit vectors along which its columns and its rows are counted,
its position the centre of its first pixel; both LPS, mm. The stack is ordered along the normal, the cross product of the
two. Spacing comes from positions, never from SliceThickness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core.errors import ChoiceNeeded, InvalidInput, Reason
from services.core.volume import Affine
from services.formats.dicom_frames import Told, frame_texts
from services.formats.repair import Repair, Repairs
from services.formats.source import frame_choices, short_name

_ORTHONORMAL = 1e-3  # headers round direction cosines to as few as four digits
_SAME_PLACE_MM = 0.01
_UNEVEN = 0.02  # part of the spacing
_TILT = 0.01  # drift within the plane, a part of the spacing
_LISTED = 6


@dataclass(frozen=True)
class Placed:
    """One image and where it lies.

    Attributes:
        source: index of the file, and the frame in it from 0.
        name: the user's name of the file.
        position: ``(3,)`` mm.
        orientation: ``(6,)``, unit vector along a row (towards higher columns), then along a column (towards higher rows).
        pixel_mm: distance of rows, then of columns.
        order: sorts images at the same place: temporal position, acquisition, trigger, instance.
        instance: SOPInstanceUID with the frame number, to tell a copy from another time.
        told: what else tells images at the same place apart; sorts before ``order``.
    """

    source: tuple[int, int]
    name: str
    position: NDArray[np.float64]
    orientation: NDArray[np.float64]
    pixel_mm: tuple[float, float]
    order: tuple[float, ...]
    instance: str
    told: Told


def check_orientation(orientation: NDArray[np.float64], name: str) -> None:
    """Refuse directions that are not two orthogonal unit vectors; ``name`` is the file's. Raises: ChoiceNeeded."""
    along, down = orientation[:3], orientation[3:]
    apart = [abs(float(along @ along) - 1), abs(float(down @ down) - 1), abs(float(along @ down))]
    if not max(apart) <= _ORTHONORMAL:
        raise ChoiceNeeded(
            f"The directions of the image in {short_name(name)} (ImageOrientationPatient) are not at right angles; "
            "export the series again.",
            Reason.GEOMETRY_INVALID,
        )


def stack(
    images: Sequence[Placed], frame: int | None, single_mm: float, repairs: Repairs
) -> tuple[list[Placed], Affine, Repair | None]:
    """Order images into one volume.

    Args:
        images: of one series, all of the same orientation and pixel size.
        frame: which of the images at each place, from 0; ``None`` where there is only one.
        single_mm: the spacing of a stack of one slice, which has no neighbours.
        repairs: what may be wrong with the stack, since it will be repaired.

    Returns:
        The slices in order, the ``(4, 4)`` affine from ``(slice, row, column)`` to mm, LPS, and the repair that the stack
        needs, after which alone its affine holds.

    Raises:
        ChoiceNeeded: SEVERAL_FRAMES, SLICES_UNEVEN or GEOMETRY_INVALID (gantry tilt).
        InvalidInput: there is no such frame.
    """
    along, down = images[0].orientation[:3], images[0].orientation[3:]
    normal = np.cross(along, down)
    normal /= np.linalg.norm(normal)

    def height(image: Placed) -> float:
        return float(image.position @ normal)

    slices = _one_a_place(sorted(images, key=height), height, frame)
    step = normal * single_mm
    heights, uneven, tilt = np.zeros(1), False, 0.0
    if len(slices) > 1:
        step = (slices[-1].position - slices[0].position) / (len(slices) - 1)
        heights = np.array([height(s) for s in slices])
        uneven = repairs.resample and bool(_uneven(heights))
        if not uneven:
            _check_even(slices, heights)
        tilt = _check_straight(slices, heights, step, normal, repairs.shear)
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = down / np.linalg.norm(down) * images[0].pixel_mm[0]
    affine[:3, 2] = along / np.linalg.norm(along) * images[0].pixel_mm[1]
    affine[:3, 3] = slices[0].position
    if not (uneven or tilt):
        return slices, affine, None
    drift = step / float(step @ normal) - normal if tilt else np.zeros(3)
    shift = [float(drift @ affine[:3, axis]) / float(affine[:3, axis] @ affine[:3, axis]) for axis in (1, 2)]
    return slices, affine, Repair(heights, normal, (shift[0], shift[1]), uneven, float(np.degrees(np.arctan(tilt))))


def _one_a_place(images: list[Placed], height: Callable[[Placed], float], frame: int | None) -> list[Placed]:
    """Images sorted by height → one at each height: the only one, or the chosen frame."""
    places: list[list[Placed]] = []
    for image in images:
        if places and height(image) - height(places[-1][0]) <= _SAME_PLACE_MM:
            places[-1].append(image)
        else:
            places.append([image])
    copies = {n: place for n, place in enumerate(places, 1) if len({i.instance for i in place}) < len(place)}
    if copies:
        raise ChoiceNeeded(
            f"The same image is there more than once, at slices {_listed(list(copies))} ({_named(copies.values())}); "
            "remove the copies.",
            Reason.SLICES_UNEVEN,
        )
    counts = {len(place) for place in places}
    if len(counts) > 1:
        usual = min(counts)
        more = {n: place for n, place in enumerate(places, 1) if len(place) > usual}
        raise ChoiceNeeded(
            f"Some places hold more images than others: slices {_listed(list(more))} of {len(places)} "
            f"({_named(more.values())}). "
            "Remove the extra images or export the series again.",
            Reason.SLICES_UNEVEN,
        )
    frames = counts.pop()
    for place in places:
        place.sort(key=lambda image: (image.told.kind, image.order))
    usual_kinds = [image.told.kind for image in places[0]]
    others = {n: p for n, p in enumerate(places, 1) if frames > 1 and [image.told.kind for image in p] != usual_kinds}
    if others:
        raise ChoiceNeeded(
            f"Slices {_listed(list(others))} of {len(places)} ({_named(others.values())}) have other echo times "
            "or b-values than the rest. Export the series again.",
            Reason.SLICES_UNEVEN,
        )
    if frame is None and frames > 1:
        raise ChoiceNeeded(
            f"The series of {short_name(images[0].name)} holds {frames} images (times, echoes …) "
            f"at each of {len(places)} places; "
            f"choose a frame from 1 to {frames}.",
            Reason.SEVERAL_FRAMES,
            frame_choices(frame_texts([image.told for image in places[0]])),
        )
    chosen = frame or 0
    if not 0 <= chosen < frames:
        raise InvalidInput(f"There is no frame {chosen + 1}; the series holds {frames}.")
    return [place[chosen] for place in places]


def _uneven(heights: NDArray[np.float64]) -> list[int]:
    """Slices, from 1, whose distance to the next is not the usual one."""
    gaps = np.diff(heights)
    usual = float(np.median(gaps))
    return [n for n, gap in enumerate(gaps, 1) if abs(gap - usual) > max(_UNEVEN * usual, _SAME_PLACE_MM)]


def _check_even(slices: Sequence[Placed], heights: NDArray[np.float64]) -> None:
    uneven = _uneven(heights)
    if not uneven:
        return
    gaps = np.diff(heights)
    usual = float(np.median(gaps))
    told = [f"{gaps[n - 1]:.3g} mm between {n} and {n + 1}" for n in uneven[:_LISTED]]
    ends = [[slices[n - 1], slices[n]] for n in uneven]
    raise ChoiceNeeded(
        f"Slices are missing or unevenly spaced ({_named(ends)}): "
        f"{', '.join(told)}{' …' if len(uneven) > _LISTED else ''}, elsewhere {usual:.3g} mm. "
        "Import the complete series, or have this one resampled.",
        Reason.SLICES_UNEVEN,
    )


def _check_straight(
    slices: list[Placed], heights: NDArray[np.float64], step: NDArray[np.float64], normal: NDArray[np.float64], tilted: bool
) -> float:
    """Slices must lie on one line, nobody moved between them; along the normal, or ``tilted``. The tilt, 0 if none."""
    spacing = float(step @ normal)
    tilt = float(np.linalg.norm(step - normal * spacing)) / spacing
    if tilt > _TILT and not tilted:
        raise ChoiceNeeded(
            f"The slices of the series of {short_name(slices[0].name)} are tilted against their stack by "
            f"{np.degrees(np.arctan(tilt)):.1f}° (gantry tilt); "
            "straighten the series in the scanner's software, or have it straightened here.",
            Reason.GEOMETRY_INVALID,
        )
    line = slices[0].position + (heights - heights[0])[:, None] / spacing * step
    off = np.linalg.norm(np.stack([s.position for s in slices]) - line, axis=1)
    strays = [n for n, distance in enumerate(off, 1) if distance > max(0.1 * spacing, 0.1)]
    if strays:
        named = _named([[slices[n - 1]] for n in strays])
        raise ChoiceNeeded(f"Slices {_listed(strays)} ({named}) lie beside the line of the others.", Reason.SLICES_UNEVEN)
    return tilt if tilt > _TILT else 0.0


def _listed(numbers: list[int]) -> str:
    return ", ".join(str(n) for n in numbers[:_LISTED]) + (" …" if len(numbers) > _LISTED else "")


def _named(places: Iterable[Sequence[Placed]]) -> str:
    """The first files at some places, by name."""
    names = list(dict.fromkeys(short_name(image.name) for place in places for image in place))
    return ", ".join(names[:_LISTED]) + (" …" if len(names) > _LISTED else "")
