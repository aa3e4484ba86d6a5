"""What tells the images at one place of a series apart: component, echo time, b-value, time; and how to say it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_COMPONENTS = {"M": "magnitude", "P": "phase", "R": "real part", "I": "imaginary part"}
# Private elements that hold a b-value where the standard's own is missing: creator, its tag, the element.
_PRIVATE_B = (
    ("SIEMENS MR HEADER", (0x0019, 0x0010), (0x0019, 0x100C)),
    ("Philips Imaging DD 001", (0x2001, 0x0010), (0x2001, 0x1003)),
)
PRIVATE_TAGS = [group << 16 | element for _, *tags in _PRIVATE_B for group, element in tags]


@dataclass(frozen=True)
class Told:
    """One image's part of a choice; ``None`` and empty where the file does not say.

    Attributes:
        component: magnitude, phase …
        echo_ms: echo time.
        b: b-value in s/mm².
        trigger_ms: since the heart's trigger.
        seconds: of acquisition, within the day.
    """

    component: str = ""
    echo_ms: float | None = None
    b: float | None = None
    trigger_ms: float | None = None
    seconds: float | None = None

    @property
    def kind(self) -> tuple[str, float, float]:
        """What must be the same in all slices of a volume; sorts, too."""
        return self.component, _known(self.echo_ms), _known(self.b)


def read_told(dataset: Any, groups: Sequence[Any]) -> Told:
    """What a data set, or one frame of it by its functional groups, says of itself. Unreadable elements are left out."""
    kinds = dataset.get("ImageType")
    third = (
        str(kinds[2]).upper().split("_")[0] if kinds is not None and not isinstance(kinds, str) and len(kinds) > 2 else ""
    )
    return Told(
        component=_COMPONENTS.get(third, ""),
        echo_ms=_first(_values(dataset, groups, "EchoTime", "MREchoSequence", "EffectiveEchoTime"), 2),
        b=_first(
            [*_values(dataset, groups, "DiffusionBValue", "MRDiffusionSequence", "DiffusionBValue"), *_private_b(dataset)],
            0,
        ),
        trigger_ms=_first(
            _values(dataset, groups, "TriggerTime", "CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"), 1
        ),
        seconds=_time_of_day(None if groups else _get(dataset, "AcquisitionTime")),
    )


def frame_texts(frames: Sequence[Told]) -> list[str]:
    """One line for each of the images at a place, of what varies among them; ``Frame n`` where nothing does."""
    texts = [", ".join(_parts(frame, frames)) for frame in frames]
    if len(set(texts)) == len(texts):
        return texts
    numbers = [texts[: n + 1].count(text) for n, text in enumerate(texts)]
    return [f"{text}, image {number}" if text else f"Frame {number}" for text, number in zip(texts, numbers)]


def _parts(frame: Told, frames: Sequence[Told]) -> list[str]:
    parts: list[str] = []
    if frame.component and _vary([f.component for f in frames]):
        parts.append(frame.component)
    if frame.echo_ms is not None and _vary([f.echo_ms for f in frames]):
        parts.append(f"echo time {frame.echo_ms:g} ms")
    if frame.b is not None and _vary([f.b for f in frames]):
        parts.append(f"b-value {frame.b:g} s/mm²")
    if frame.trigger_ms is not None and _vary([f.trigger_ms for f in frames]):
        parts.append(f"{frame.trigger_ms:g} ms after the trigger")
    elif frame.seconds is not None and not parts and _vary([f.seconds for f in frames]):
        start = min(f.seconds for f in frames if f.seconds is not None)
        parts.append(f"time {frame.seconds - start:.4g} s")
    return parts


def _vary(values: Sequence[object]) -> bool:
    return len(set(values)) > 1


def _known(number: float | None) -> float:
    return -1.0 if number is None else number


def _values(dataset: Any, groups: Sequence[Any], keyword: str, sequence: str, inner: str) -> list[Any]:
    """An element's value, of a classic image or of one frame of an enhanced object."""
    if not groups:
        return [_get(dataset, keyword)]
    for group in groups:
        items = _get(group, sequence)
        if items:
            return [_get(items[0], inner)]
    return []


def _private_b(dataset: Any) -> list[Any]:
    return [
        element.value
        for creator, (group, block), tag in _PRIVATE_B
        if (owner := _get(dataset, (group, block))) is not None and str(owner.value) == creator
        if (element := _get(dataset, tag)) is not None
    ]


def _get(dataset: Any, key: Any) -> Any:
    try:
        return dataset.get(key)
    except Exception:  # it only helps to choose; what it is made of may be anything
        return None


def _first(values: Sequence[Any], digits: int) -> float | None:
    """The first of some values that is a number, rounded: headers of one echo differ in the last digits."""
    for value in values:
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        if math.isfinite(number):
            return round(number, digits)
    return None


def _time_of_day(value: Any) -> float | None:
    """Seconds of a DICOM time, ``HHMMSS.FFFFFF``."""
    text = str(value or "")
    try:
        return int(text[:2]) * 3600 + int(text[2:4]) * 60 + float(text[4:])
    except ValueError:
        return None
