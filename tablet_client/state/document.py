"""The open annotation: what was drawn, here and elsewhere, as ink at once and as events for the server.

The log of the server comes first, in its order; what this tablet drew and the server has not confirmed comes after it. Ink
is the replay of both, so that it shows at every moment what the labels will be once everything has arrived.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from calque.v1 import segmentation_pb2
from numpy.typing import NDArray

from tablet_client.state.actions import Action, Kind, decode
from tablet_client.state.drawn import Drawn
from tablet_client.state.geometry import Plane, PlaneInfo
from tablet_client.state.ink import Ink
from tablet_client.state.path import Box, RunningPath

__all__ = ["Box", "Document", "Event"]


class Event(NamedTuple):
    """Something that the user did, numbered within the session; ``body`` is a serialised EventBody."""

    sequence: int
    body: bytes

    def message(self) -> segmentation_pb2.Event:
        """As it is sent."""
        return segmentation_pb2.Event(sequence=self.sequence, body=self.body, sha256=hashlib.sha256(self.body).digest())


@dataclass
class _Own:
    """An event of this session that is not yet in the log as the tablet knows it."""

    event: Event
    action: Action
    saved: bool = False  # in the journal
    refused: bool = False  # and emptied
    acknowledged: bool = False  # durable on the server, though entries before it have not reached us


def _now_ms() -> int:
    return int(time.time() * 1000)


class Document:
    """An annotation of one volume, as this tablet's session sees it.

    Args:
        planes: the volume's planes.
        session_id: UUID of this tablet's session on the annotation.
        next_sequence: number of the next event.
        waiting: events of the journal that the server has not acknowledged, in order.
        now_ms: the tablet's clock, for display only.
    """

    def __init__(
        self,
        planes: Mapping[Plane, PlaneInfo],
        session_id: str,
        next_sequence: int = 1,
        waiting: Iterable[Event] = (),
        now_ms: Callable[[], int] = _now_ms,
    ) -> None:
        self.planes = dict(planes)
        self.session_id = session_id
        self.next_sequence = next_sequence
        self._now_ms = now_ms
        self._ink = Ink(self.planes)
        self._drawn = Drawn(self._ink)
        self._log: list[Action] = []
        self._own: list[_Own] = []
        self._early: dict[int, tuple[Action, int]] = {}
        self._running: RunningPath | None = None
        self._version = 0
        self._stale = False
        for event in waiting:
            self._own.append(_Own(event, self._decode(event.body), saved=True))
        self._change_order()

    # --- drawing -----------------------------------------------------------------------------------------------------

    def begin_stroke(
        self, plane: Plane, index: int, label: int, width_mm: float, x: float, y: float, here_mm: float | None = None
    ) -> Box:
        """The pen comes down to draw ``label`` (1 to 15); ``x``, ``y`` in pixels. Returns: what to show anew.

        With ``here_mm``, the width at this point, the line has one at each point, as `extend` says them.
        """
        return self._begin(plane, index, label, width_mm, False, x, y, here_mm)

    def begin_erase(
        self, plane: Plane, index: int, width_mm: float, x: float, y: float, here_mm: float | None = None
    ) -> Box:
        """The eraser comes down. Returns: what to show anew."""
        return self._begin(plane, index, 0, width_mm, True, x, y, here_mm)

    def begin_lasso(self, plane: Plane, index: int, label: int, x: float, y: float) -> Box:
        """The pen comes down for an outline; it becomes ink when it is finished."""
        return self._begin(plane, index, label, None, False, x, y)

    def extend(self, x: float, y: float, here_mm: float | None = None) -> Box | None:
        """The pen moved. Returns: what to show anew, or None when the point is too near the last one."""
        path = self._require_running()
        return self._draw(path) if path.add(x, y, here_mm) else None

    @property
    def running(self) -> bool:
        """The pen is down."""
        return self._running is not None

    @property
    def full(self) -> bool:
        """The running path has as many points as an event may have: finish it, and begin the next at its last point."""
        return self._running is not None and self._running.full

    @property
    def path(self) -> tuple[list[float], list[float]]:
        """Columns and rows of the running path, empty when the pen is up; an outline is drawn from it."""
        return (list(self._running.x), list(self._running.y)) if self._running else ([], [])

    def finish(self) -> Event:
        """The pen is lifted. Returns: the event, for journal and server. Raises: RuntimeError when it was not down."""
        path = self._require_running()
        self._running = None
        path.lift()  # the action inks it anew, and keeps what lies under the whole line
        return self._act(path.body(), path.action())

    def cancel(self) -> None:
        """The path was no stroke after all (a second finger came down): it leaves no trace."""
        if self._running is not None:
            self._running.lift()
            self._running = None
            self._version += 1

    def undo(self) -> Event:
        """Take back the last action of the annotation."""
        return self._act(segmentation_pb2.EventBody(undo=segmentation_pb2.Undo()))

    def redo(self) -> Event:
        """Do again what was taken back last."""
        return self._act(segmentation_pb2.EventBody(redo=segmentation_pb2.Redo()))

    def clear(self) -> Event:
        """Remove all labels."""
        return self._act(segmentation_pb2.EventBody(clear=segmentation_pb2.Clear()))

    def import_mask(self, digest: str) -> Event:
        """Make an uploaded mask the start. Its voxels are the server's: they are not shown as ink here."""
        return self._act(segmentation_pb2.EventBody(mask_import=segmentation_pb2.MaskImport(mask_digest=digest)))

    @property
    def can_undo(self) -> bool:
        """There is something to take back."""
        return self._replayed()._drawn.can_undo

    @property
    def can_redo(self) -> bool:
        """There is something to do again."""
        return self._replayed()._drawn.can_redo

    # --- ink ---------------------------------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """Counts the changes of ink: what was cut at another version must be cut anew."""
        return self._version

    def label_image(self, plane: Plane, index: int) -> NDArray[np.uint8]:
        """Labels of a slice: ``(rows, columns)`` uint8, 0 where nothing is drawn; a new array."""
        return self._replayed()._ink.image(plane, index)

    def marks(self, plane: Plane) -> NDArray[np.bool_]:
        """Which slices of a plane hold ink: ``(slices,)``."""
        return self._replayed()._ink.marks(plane)

    def labels(self) -> frozenset[int]:
        """The labels that are drawn somewhere; segmenting needs two."""
        return self._replayed()._ink.labels()

    # --- log ---------------------------------------------------------------------------------------------------------

    @property
    def have_entries(self) -> int:
        """Entries of the server's log that are known here, without a gap."""
        return len(self._log)

    def changed_since(self, entries: int) -> bool:
        """Something was drawn, here or elsewhere, that the first ``entries`` of the server's log do not hold."""
        later = [*self._log[entries:], *(own.action for own in self._own), *(action for action, _ in self._early.values())]
        return self._running is not None or any(action.kind is not Kind.NOTHING for action in later)

    @property
    def waiting(self) -> int:
        """Events that the server has not acknowledged."""
        return sum(not own.acknowledged for own in self._own)

    @property
    def saved_on_tablet(self) -> int:
        """Of those that wait, the ones that are in the journal."""
        return sum(own.saved and not own.acknowledged for own in self._own)

    def saved(self, sequence: int) -> None:
        """The journal has the event."""
        for own in self._own:
            if own.event.sequence == sequence:
                own.saved = True

    def to_send(self, start: int) -> list[Event]:
        """Events from number ``start`` on that wait for the server, up to the first that is not in the journal yet."""
        events = []
        for own in self._own:
            if not own.saved:
                break
            if own.event.sequence >= start and not own.acknowledged:
                events.append(own.event)
        return events

    @property
    def first_waiting(self) -> int:
        """Number of the first event that the server has not acknowledged, or of the next event."""
        return next((own.event.sequence for own in self._own if not own.acknowledged), self.next_sequence)

    def acknowledged(self, sequence: int, position: int) -> bool:
        """The server has the event at ``position`` of its log. Returns: ink changed."""
        own = self._find(sequence)
        if own is None:
            return False
        own.acknowledged = True
        return self._enter(position, own.action, sequence)

    def logged(self, entry: segmentation_pb2.LoggedEvent) -> bool:
        """An entry of the server's log, of this or another session. Returns: ink changed."""
        own = self._find(entry.sequence) if entry.session_id == self.session_id else None
        if own is not None and own.event.body == entry.body:
            own.acknowledged = True
            return self._enter(entry.position, own.action, entry.sequence)
        # Sequence 0 only says that a session began to write: its body is empty, and so is its effect.
        return self._enter(entry.position, self._decode(entry.body), 0)

    def refused(self, sequence: int) -> Event | None:
        """The server will never take the event: it becomes one without an action, and its ink goes.

        Returns:
            What takes its place in the journal, or None when it is not waiting or was replaced before.
        """
        own = self._find(sequence)
        if own is None or own.refused:
            return None
        own.saved, own.refused = False, True
        own.event = Event(sequence, segmentation_pb2.EventBody(drawn_ms=self._now_ms()).SerializeToString())
        own.action = self._decode(own.event.body)
        self._change_order()
        return own.event

    def restart(self, session_id: str) -> list[Event]:
        """Go on as another session, when the server's numbers and ours cannot be brought together.

        Returns:
            What waits, numbered anew from 1.
        """
        self.session_id = session_id
        self._own = [own for own in self._own if not own.acknowledged]
        for sequence, own in enumerate(self._own, start=1):
            own.event = Event(sequence, own.event.body)
        self.next_sequence = len(self._own) + 1
        self._early = {position: (action, 0) for position, (action, _) in self._early.items()}
        self._change_order()
        return [own.event for own in self._own]

    # --- inside ------------------------------------------------------------------------------------------------------

    def _begin(
        self,
        plane: Plane,
        index: int,
        label: int,
        width_mm: float | None,
        erases: bool,
        x: float,
        y: float,
        here_mm: float | None = None,
    ) -> Box:
        if self._running is not None:
            raise RuntimeError("The pen is down already.")
        info = self.planes[plane]
        if not 0 <= index < info.slices:
            raise ValueError(f"There is no slice {index}.")
        self._running = RunningPath(info, index, label, width_mm, erases)
        self._running.add(x, y, here_mm)
        return self._draw(self._running)

    def _draw(self, path: RunningPath) -> Box:
        box = path.draw(self._replayed()._ink)
        self._version += path.width_mm is not None
        return box

    def _require_running(self) -> RunningPath:
        if self._running is None:
            raise RuntimeError("The pen is not down.")
        return self._running

    def _act(self, body: segmentation_pb2.EventBody, action: Action | None = None) -> Event:
        if self._running is not None:
            raise RuntimeError("The pen is down.")
        body.drawn_ms = self._now_ms()
        event = Event(self.next_sequence, body.SerializeToString())
        self.next_sequence += 1
        own = _Own(event, action or self._decode(event.body))
        self._push(own.action)
        self._own.append(own)
        return event

    def _decode(self, body: bytes) -> Action:
        return decode(body, self.planes, self._ink)

    def _find(self, sequence: int) -> _Own | None:
        return next((own for own in self._own if own.event.sequence == sequence), None)

    def _enter(self, position: int, action: Action, sequence: int) -> bool:
        """Put an entry at its place in the log; entries that come too early wait for the ones before them."""
        if position > len(self._log):
            self._early[position] = (action, sequence)
        changed = False
        while len(self._log) + 1 in self._early:
            changed = self._append(*self._early.pop(len(self._log) + 1)) or changed
        return changed

    def _append(self, action: Action, sequence: int) -> bool:
        if self._own and self._own[0].event.sequence == sequence:
            del self._own[0]  # it stays where it was: after the log, before what waits
            self._log.append(action)
            return False
        self._own = [own for own in self._own if own.event.sequence != sequence]
        if not (self._own or self._running or self._stale):
            self._push(action)
        elif action.kind is not Kind.NOTHING:
            self._change_order()
        self._log.append(action)
        return action.kind is not Kind.NOTHING

    def _push(self, action: Action) -> None:
        self._replayed()._drawn.push(action)
        self._version += 1

    def _change_order(self) -> None:
        """The order of what was drawn is another one; the replay waits until someone looks, for changes come in showers."""
        self._stale = True
        self._version += 1

    def _replayed(self) -> Document:
        """This document, its ink up to date with the log and what waits."""
        if self._stale:
            self._stale = False
            self._drawn.replay([*self._log, *(own.action for own in self._own)])
            if self._running is not None:
                self._running.redraw(self._ink)
            self._version += 1
        return self
