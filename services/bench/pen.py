"""Paths that a hand can draw: through points, along a skeleton, cut and moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SHORTEST = 5
"""A skeleton's branch of fewer pixels is not drawn, unless it is all there is of its part."""

Pixel = tuple[int, int]


@dataclass(frozen=True)
class Path:
    """An open or closed line through points, in pixels.

    Attributes:
        x, y: columns and rows of the points, as many of each, at least one.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]

    @classmethod
    def through(cls, x: NDArray[np.generic], y: NDArray[np.generic]) -> Path:
        """The path through points ``(n,)``."""
        return cls(tuple(float(v) for v in x), tuple(float(v) for v in y))

    @property
    def length(self) -> float:
        """Length in pixels."""
        return float(np.hypot(np.diff(self.x), np.diff(self.y)).sum())

    def moved(self, dx: float, dy: float) -> Path:
        """The path shifted."""
        return Path(tuple(v + dx for v in self.x), tuple(v + dy for v in self.y))

    def cut(self, start: float, end: float) -> Path:
        """The path without these parts of its length at its start and end."""
        along = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(self.x), np.diff(self.y)))])
        first, last = start * along[-1], (1.0 - end) * along[-1]
        kept = np.concatenate([[first], along[(along > first) & (along < last)], [last]])
        return Path.through(np.interp(kept, along, self.x), np.interp(kept, along, self.y))

    def sampled(self, step: float) -> Path:
        """The path by points at most ``step`` pixels apart along it, its ends among them."""
        along = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(self.x), np.diff(self.y)))])
        at = np.linspace(0.0, along[-1], int(np.ceil(along[-1] / step)) + 1)
        return Path.through(np.interp(at, along, self.x), np.interp(at, along, self.y))

    def inside(self, columns: int, rows: int) -> Path:
        """The path with points beyond the image moved to its edge."""
        return Path.through(np.clip(self.x, 0, columns - 1), np.clip(self.y, 0, rows - 1))


def longest_paths(skeleton: NDArray[np.bool_]) -> list[Path]:
    """Lines that cover a skeleton, the longest first.

    Of each connected part the longest way between two of its pixels is drawn; what it leaves is searched again, until
    only twigs are left.

    Args:
        skeleton: ``(rows, columns)`` bool, lines one pixel wide.
    """
    parts, count = ndimage.label(skeleton, structure=np.ones((3, 3)))
    places = ndimage.find_objects(parts)
    waiting = []
    for number in range(1, count + 1):
        top, left = places[number - 1][0].start, places[number - 1][1].start
        rows, columns = np.nonzero(parts[places[number - 1]] == number)
        waiting.append(_longest_way({(int(r) + top, int(c) + left) for r, c in zip(rows, columns)}))
    found: list[Path] = []
    while waiting:
        waiting.sort(key=lambda item: (-len(item[0]), item[0][0]))
        way, rest = waiting.pop(0)
        found.append(Path(tuple(float(c) for _, c in way), tuple(float(r) for r, _ in way)))
        waiting += [_longest_way(part) for part in _parts(rest) if len(part) >= SHORTEST]
    return found


def _longest_way(pixels: set[Pixel]) -> tuple[list[Pixel], set[Pixel]]:
    """The longest shortest way between two pixels of one connected part, and the pixels that it leaves."""
    far = _walk(pixels, min(pixels))[-1][0]
    steps = _walk(pixels, far)
    before = dict(steps)
    way = [steps[-1][0]]
    while (previous := before[way[-1]]) is not None:
        way.append(previous)
    return way, pixels.difference(way)


def _walk(pixels: set[Pixel], start: Pixel) -> list[tuple[Pixel, Pixel | None]]:
    """Pixels in the order of their distance from a start, each with the one before it."""
    seen = {start}
    steps: list[tuple[Pixel, Pixel | None]] = [(start, None)]
    for here, _ in steps:
        r, c = here
        # Straight steps come before diagonal ones.
        for dr, dc in ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)):
            there = r + dr, c + dc
            if there in pixels and there not in seen:
                seen.add(there)
                steps.append((there, here))
    return steps


def _parts(pixels: set[Pixel]) -> list[set[Pixel]]:
    """Connected parts of a set of pixels."""
    rest, parts = set(pixels), []
    while rest:
        part = {pixel for pixel, _ in _walk(rest, min(rest))}
        parts.append(part)
        rest -= part
    return parts
