"""What a person sees on the screen: where a control is, what the words say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from kivy.core.window import Window


class NotThere(Exception):
    """A person would not find it on the screen, or could not press it."""


def find(name: str) -> Any:
    """The control of that ``tap_name`` that is on the screen now. Raises: NotThere."""
    for widget in _shown(Window):
        if getattr(widget, "tap_name", "") == name:
            return widget
    raise NotThere(f"There is no {name!r} on the screen.")


def names() -> list[str]:
    """Names of all controls that are on the screen now."""
    return sorted({name for widget in _shown(Window) if (name := getattr(widget, "tap_name", ""))})


def middle(widget: Any) -> tuple[float, float]:
    """The middle of a control, in window pixels. Raises: NotThere when it lies outside the window."""
    x, y = widget.to_window(widget.x + widget.width / 2, widget.y + widget.height / 2)
    if not (0 <= x < Window.width and 0 <= y < Window.height):
        raise NotThere(f"{widget.tap_name!r} is outside the window.")
    return float(x), float(y)


def settled() -> bool:
    """Everything on the screen has its place: after the start, or a change of the window's size, controls have none yet."""
    if any(tuple(root.size) != tuple(Window.size) for root in Window.children):
        return False
    return not any(_due(widget) for widget in _shown(Window))


def _due(widget: Any) -> bool:
    """A layout has its parts still to place, or a label its words to measure."""
    events = (
        getattr(widget, name, None) for name in ("_trigger_layout", "_trigger_texture", "_trigger_update_from_scroll")
    )
    return any(event is not None and event.is_triggered for event in events)


def pressable(name: str) -> tuple[float, float]:
    """Where to press a control. Raises: NotThere when it is not on the screen or greyed out."""
    widget = find(name)
    if widget.disabled:
        raise NotThere(f"{name!r} is greyed out.")
    return middle(widget)


def _shown(parent: Any) -> Iterator[Any]:
    for widget in parent.children:
        if widget.opacity > 0:
            yield widget
            yield from _shown(widget)


def read(app: Any) -> dict[str, Any]:
    """The words and positions on the screen."""
    screen = app.screens.current
    seen: dict[str, Any] = {
        "screen": screen,
        "toast": app.toast.text,
        "toast_kind": app.toast.kind if app.toast.text else "",
    }
    if screen == "library":
        cards = [widget for widget in _shown(Window) if hasattr(widget, "volume_id")]
        seen["volumes"] = [
            {"id": c.volume_id, "name": c.title, "size": c.size_text, "state": c.work_text} for c in reversed(cards)
        ]
        seen["notice"] = app.library.notice or app.library.empty
    elif screen == "import":
        seen.update(path=app.importer.path, trouble=app.importer.trouble, doing=app.importer.doing)
    elif screen == "export":
        exporter = app.exporter
        seen.update(what=exporter.content, format=exporter.format, folder=exporter.folder)
        seen.update(file=exporter.stem + exporter.ending, trouble=exporter.trouble, doing=exporter.doing)
    elif screen == "settings":
        shown, preferences = app.settings, app.settings.preferences
        seen.update(asdict(preferences), trouble=shown.trouble, answer=shown.answer, first=shown.first)
    else:
        viewer = app.viewer
        seen.update(
            title=viewer.bar.title,
            annotation=viewer.bar.subtitle,
            connection=viewer.bar.safety_text,
            can_undo=viewer.bar.can_undo,
            can_redo=viewer.bar.can_redo,
            plane=viewer.side.plane,
            three=viewer.three,
            slice=int(viewer.slices.index),
            slices=int(viewer.slices.count),
            position=viewer.slices.position_text,
            tool=viewer.rail.tool,
            brush_mm=viewer.rail.brush_mm,
            threshold=int(viewer.side.threshold),
            volume=viewer.side.volume_text,
            volume_note=viewer.side.volume_note,
            live=viewer.side.live,
            shape=viewer.side.shape,
            connected=viewer.side.connected,
            fill_holes=viewer.side.fill_holes,
            threshold_by_hand=viewer.side.by_hand,
            next=viewer.slices.next_text,
            enough=viewer.slices.enough,
            style=viewer.side.style,
            contrast=viewer.menu.display.contrast,
            equalised=viewer.menu.display.equalised,
            smooth=viewer.menu.display.smooth,
            colour_blind=viewer.menu.display.colour_blind,
            hint=viewer.image.hint,
            pointer=viewer.image.pointer_text,
            letters=[getattr(viewer.image, f"{side}_letter") for side in ("left", "right", "top", "bottom")],
            can_save=viewer.slices.can_save,
        )
    return seen
