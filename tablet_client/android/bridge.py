# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False
"""Java's side, through pyjnius, which is on Android alone: listeners on the surface, and a MotionEvent as a record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tablet_client.android.motion import Motion, Place, Pointer

_AXIS_TILT = 25


def listen(take: Callable[[Motion], None]) -> list[Any]:
    """Have every touch and hover of the application's surface told to ``take``, on Java's thread, and to nobody else.

    Returns:
        The listeners; Java does not keep them alive, so the caller must.
    """
    from jnius import PythonJavaClass, autoclass, java_method

    class Touching(PythonJavaClass):
        __javacontext__ = "app"
        __javainterfaces__ = ("org/libsdl/app/SDLSurface$OnInterceptTouchListener",)

        @java_method("(Landroid/view/MotionEvent;)Z")
        def onTouch(self, event: Any) -> bool:  # noqa: N802 (Java's name)
            take(record(event))
            return True

    class Hovering(PythonJavaClass):
        __javacontext__ = "app"
        __javainterfaces__ = ("android/view/View$OnHoverListener",)

        @java_method("(Landroid/view/View;Landroid/view/MotionEvent;)Z")
        def onHover(self, view: Any, event: Any) -> bool:  # noqa: N802 (Java's name)
            take(record(event))
            return True

    surface = autoclass("org.kivy.android.PythonActivity").mSurface
    touching, hovering = Touching(), Hovering()
    surface.setInterceptTouchListener(touching)
    surface.setOnHoverListener(hovering)
    return [touching, hovering]


def language() -> str:
    """The user's language, such as "fr"; the environment, which tells it elsewhere, does not here."""
    from jnius import autoclass

    return str(autoclass("java.util.Locale").getDefault().getLanguage())


def record(event: Any) -> Motion:
    """Everything of a MotionEvent that counts; Android uses the object again as soon as the listener returns."""
    past = range(event.getHistorySize())
    pointers = tuple(
        Pointer(
            identity=event.getPointerId(k),
            tool=event.getToolType(k),
            place=Place(event.getX(k), event.getY(k)),
            history=tuple(Place(event.getHistoricalX(k, h), event.getHistoricalY(k, h)) for h in past),
            pressure=event.getPressure(k),
            pressures=tuple(event.getHistoricalPressure(k, h) for h in past),
            tilt=event.getAxisValue(_AXIS_TILT, k),
            size=event.getTouchMajor(k),
        )
        for k in range(event.getPointerCount())
    )
    return Motion(event.getActionMasked(), event.getActionIndex(), pointers, event.getFlags(), event.getButtonState())
