"""Who looks at an annotation, and is told what is new."""

from __future__ import annotations

from typing import Protocol

from services.core.errors import CalqueError
from services.core.geometry import Plane

View = tuple[Plane, int]
"""A plane and one of its slices."""


class Listener(Protocol):
    """Somebody who looks."""

    view: View | None

    def changed(self) -> None:
        """Something is new: entries, writer, probability, progress."""

    def failed(self, error: CalqueError) -> None:
        """Computing failed; the events are kept."""

    def gone(self, error: CalqueError) -> None:
        """The annotation is there no longer."""


class Audience(set[Listener]):
    """All who look. Whoever is told may leave meanwhile."""

    @property
    def views(self) -> set[View]:
        """What they look at."""
        return {listener.view for listener in self if listener.view}

    def changed(self) -> None:
        """Tell them that something is new."""
        for listener in list(self):
            listener.changed()

    def failed(self, error: CalqueError) -> None:
        """Tell them that computing failed."""
        for listener in list(self):
            listener.failed(error)

    def gone(self, error: CalqueError) -> None:
        """Tell them that the annotation is there no longer."""
        for listener in list(self):
            listener.gone(error)
