"""What is drawn: actions in their order as ink. Undo is instant, since each action keeps the labels that lay under it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tablet_client.state.actions import Action, History, Kind
from tablet_client.state.ink import Ink


class Drawn:
    """Inks actions and takes them back. What lies under one costs a byte a voxel of its own, under a clear its slices.

    Args:
        ink: takes them; whoever else inks must have lifted it before the next action.
    """

    def __init__(self, ink: Ink) -> None:
        self._ink = ink
        self._history = History()
        self._undo: list[Callable[[], None]] = []  # one for each action that is done

    @property
    def can_undo(self) -> bool:
        """There is an action to take back."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """There is an action to do again."""
        return self._history.can_redo

    def push(self, action: Action) -> None:
        """Do the next action of the log."""
        done = self._history.push(action)
        if done is not None:
            self._undo.append(self._inked(done))
        elif len(self._undo) > len(self._history.done):
            self._undo.pop()()

    def replay(self, actions: Iterable[Action]) -> None:
        """Forget all that is drawn, and draw these actions."""
        self._history, self._undo = History(), []
        for action in actions:
            self._history.push(action)
        self._ink.clear()
        self._undo = [self._inked(action) for action in self._history.done]

    def _inked(self, action: Action) -> Callable[[], None]:
        """Ink an action. Returns: takes it back, when all that came after it was taken back."""
        if action.kind is Kind.CLEAR:
            return self._ink.clear()
        if action.patch is not None:
            return self._ink.paint(action.patch, action.label)
        return _nothing


def _nothing() -> None:
    """What has no ink is taken back without any."""
