"""What is wrong with a screen, read from its widgets and its pixels.

Each finding is a line of text that names widget and measure; none is right. Sizes are in dp.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from kivy.core.window import Window
from kivy.metrics import Metrics
from kivy.uix.behaviors import ButtonBehavior
from kivy.uix.label import Label
from kivy.uix.scrollview import ScrollView
from kivy.uix.textinput import TextInput
from numpy.typing import NDArray

from tablet_client.view.controls import Icon, KnobSlider
from tablet_client.view.slicebar import SliceStrip

TARGET = 48.0
AA, AA_LARGE = 4.5, 3.0
LARGE, LARGE_BOLD = 24.0, 18.66  # from here on text counts as large
_SLACK = 1.0  # rounding to pixels
Rect = tuple[float, float, float, float]
"""Left, bottom, right, top in the window."""


@dataclass(frozen=True)
class Seen:
    """A widget that is on the screen.

    Attributes:
        place: its rectangle; ``shown`` is the part that no scrolled list cuts off, or None.
        opacity: of it and all around it.
        parents: identities of what is around it.
        names: of classes and controls around it, outermost first.
    """

    widget: Any
    place: Rect
    shown: Rect | None
    opacity: float
    parents: frozenset[int]
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        """For a person who has to find it."""
        return getattr(self.widget, "tap_name", "") or "/".join(self.names[-2:])


def seen(root: Any) -> list[Seen]:
    """Everything on the screen from a widget down."""
    return list(_walk(root, (0.0, 0.0, float(Window.width), float(Window.height)), 1.0, frozenset(), ()))


def _walk(widget: Any, frame: Rect, opacity: float, parents: frozenset[int], names: tuple[str, ...]) -> Iterator[Seen]:
    opacity *= widget.opacity
    if opacity <= 0:
        return
    place = (*widget.to_window(widget.x, widget.y), *widget.to_window(widget.right, widget.top))
    shown = _common(place, frame)
    names = (*names, getattr(widget, "tap_name", "") or type(widget).__name__)
    yield Seen(widget, place, shown, opacity, parents, names)
    inner = frame if not isinstance(widget, ScrollView) else shown
    for child in reversed(widget.children) if inner is not None else ():
        # What a scrolled list holds has its places in the list, and `to_window` moves them.
        yield from _walk(child, inner, opacity, parents | {id(widget)}, names)


def _common(a: Rect, b: Rect) -> Rect | None:
    left, low, right, top = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (left, low, right, top) if right - left > _SLACK and top - low > _SLACK else None


def touchable(widget: Any) -> bool:
    """A finger does something on it. The image and scrolled lists are not counted: other things lie on them."""
    return isinstance(widget, ButtonBehavior | KnobSlider | SliceStrip | TextInput)


def targets(all_seen: list[Seen]) -> list[str]:
    """Controls that are too small for a thumb, or lie partly outside of the window."""
    found = []
    for one in all_seen:
        nothing = min(one.place[2] - one.place[0], one.place[3] - one.place[1]) < _SLACK
        if touchable(one.widget) and (one.shown is not None or (nothing and not one.widget.disabled)):
            wide, tall = ((one.place[k + 2] - one.place[k]) / Metrics.density for k in (0, 1))
            if min(wide, tall) < TARGET - 0.01:
                found.append(f"{one.name} is {wide:.0f} × {tall:.0f}")
            scrolled = any(isinstance(other.widget, ScrollView) and id(other.widget) in one.parents for other in all_seen)
            inside = _common(one.place, (0, 0, Window.width, Window.height)) == one.place
            if not scrolled and not inside and not _within(one.place):
                found.append(f"{one.name} lies outside of the window")
    return found


def _within(place: Rect) -> bool:
    return (
        place[0] >= -_SLACK
        and place[1] >= -_SLACK
        and place[2] <= Window.width + _SLACK
        and place[3] <= Window.height + _SLACK
    )


def overlaps(all_seen: list[Seen]) -> list[str]:
    """Controls of which one lies on another, and texts that lie on other texts."""
    controls = [one for one in all_seen if touchable(one.widget) and one.shown is not None]
    texts = [one for one in all_seen if text_of(one.widget) and one.shown is not None]
    found = []
    for one, other in combinations(controls, 2):
        nested = id(one.widget) in other.parents or id(other.widget) in one.parents
        if not nested and one.shown and other.shown and _common(one.shown, other.shown):
            found.append(f"{one.name} and {other.name} overlap")
    for one, other in combinations(texts, 2):
        if _common(_written(one), _written(other)):
            found.append(f"{text_of(one.widget)!r} and {text_of(other.widget)!r} overlap")
    return found


def text_of(widget: Any) -> str:
    """The words on a widget; none of an icon."""
    if isinstance(widget, Icon):
        return ""
    if isinstance(widget, TextInput):
        return str(widget.text or widget.hint_text)
    return str(widget.text) if isinstance(widget, Label) else ""


def _written(one: Seen) -> Rect:
    """Where the words of a label are."""
    widget = one.widget
    if isinstance(widget, TextInput):
        return one.place
    wide, tall = widget.texture_size
    words = (widget._label.get_extents(line) for line in widget.text.split("\n"))
    wide = min(wide, max(width for width, _ in words)) if widget.text_size[0] else wide
    middle = (one.place[0] + one.place[2]) / 2, (one.place[1] + one.place[3]) / 2
    left = {"left": one.place[0], "right": one.place[2] - wide}.get(widget.halign, middle[0] - wide / 2)
    left = left if widget.text_size[0] else middle[0] - wide / 2
    if widget.text_size[1] and widget.valign != "middle":
        line = widget._label.get_extents(widget.text)[1]
        low = one.place[1] if widget.valign == "bottom" else one.place[3] - line
        return left, low, left + wide, low + line
    tall = min(tall, one.place[3] - one.place[1])
    return left, middle[1] - tall / 2, left + wide, middle[1] + tall / 2


def cut_off(all_seen: list[Seen], may_be_long: frozenset[str]) -> list[str]:
    """Words that have no room in their widget or in the window; what a user names may be shortened."""
    found = []
    for one in all_seen:
        widget, text = one.widget, text_of(one.widget)
        if not text or one.shown is None:
            continue
        if isinstance(widget, TextInput):
            wide = max(_extents(widget, line)[0] for line in text.split("\n"))
            if not widget.text and wide > widget.width - widget.padding[0] - widget.padding[2] + _SLACK:
                found.append(f"{text!r} is {wide:.0f} wide in a field of {widget.width:.0f}")
            continue
        room = [place - around for place, around in zip(widget.size, (_sum(widget.padding, 0), _sum(widget.padding, 1)))]
        if widget.shorten and widget.text_size[0]:
            wide, tall = widget._label.get_extents(text)
            if wide > widget.text_size[0] - _sum(widget.padding, 0) + _SLACK and text not in may_be_long:
                found.append(f"{text!r} is {wide:.0f} wide in {widget.text_size[0]:.0f}")
        else:
            wide, tall = widget.texture_size
            if wide > widget.width + _SLACK:
                found.append(f"{text!r} is {wide:.0f} wide in {widget.width:.0f}")
        line = widget._label.get_extents(text.split("\n")[0])[1]
        needed = min(tall, line) if widget.text_size[1] else tall - _sum(widget.padding, 1)
        if needed > room[1] + _SLACK + 2:  # the line's own room above and below its letters
            found.append(f"{text!r} is {needed:.0f} tall in {room[1]:.0f}")
        if one.shown == one.place and not _within(_written(one)):
            found.append(f"{text!r} leaves the window")
    return found


def _sum(padding: Any, axis: int) -> float:
    return float(padding[axis] + padding[axis + 2])


def _extents(field: TextInput, text: str) -> tuple[int, int]:
    from kivy.core.text import Label as CoreLabel

    label = CoreLabel(font_size=field.font_size, font_name=field.font_name)
    extents: tuple[int, int] = label.get_extents(text)
    return extents


def contrasts(all_seen: list[Seen], image: NDArray[np.uint8]) -> list[str]:
    """Words and icons that are too faint on what lies beneath; what cannot be pressed now may be.

    Args:
        image: the window, ``(rows, columns, 3)``, the top row first.
    """
    found = []
    for one in all_seen:
        widget = one.widget
        words = text_of(widget) or (isinstance(widget, Icon) and widget.text)
        if not words or one.shown is None or widget.disabled:
            continue
        if getattr(widget, "outline_width", 0):
            beneath = np.array(widget.outline_color[:3]) * 255  # on an image words carry their own ground
        else:
            beneath = _beneath(image, one.shown)
        colour = _colour(widget)
        alpha = colour[3] * one.opacity
        above = alpha * np.array(colour[:3]) * 255 + (1 - alpha) * beneath
        bold = getattr(widget, "bold", False)
        big = isinstance(widget, Icon) or widget.font_size / Metrics.density >= (LARGE_BOLD if bold else LARGE)
        ratio = contrast(above, beneath)
        if ratio < (AA_LARGE if big else AA):
            found.append(f"{words if not isinstance(widget, Icon) else widget.icon!r} in {one.name}: {ratio:.2f}")
    return found


def _colour(widget: Any) -> list[float]:
    if isinstance(widget, TextInput):
        return list(widget.foreground_color if widget.text else widget.hint_text_color)
    return list(widget.color)


def _beneath(image: NDArray[np.uint8], place: Rect) -> NDArray[np.float64]:
    """The commonest colour of a part of the window: letters cover less than half of their line."""
    left, low, right, top = (round(edge) for edge in place)
    part = image[image.shape[0] - top : image.shape[0] - low, left:right].reshape(-1, 3)
    packed = part.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    values, counts = np.unique(packed, return_counts=True)
    common = int(values[np.argmax(counts)])
    return np.array([common >> 16, common >> 8 & 255, common & 255], dtype=np.float64)


def contrast(one: Any, other: Any) -> float:
    """WCAG's ratio of two colours ``(3,)`` from 0 to 255."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Any) -> float:
    part = np.asarray(colour, dtype=np.float64) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


def words(all_seen: list[Seen]) -> list[str]:
    """All words on the screen."""
    return [text for one in all_seen if (text := text_of(one.widget)) and one.shown is not None]
