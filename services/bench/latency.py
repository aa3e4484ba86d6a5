"""An annotation that is drawn on and timed, over the real wire: what a tablet would feel.

Milliseconds run from the sending of a stroke. A thread of its own takes what comes back, so that nothing waits for us.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from calque.v1 import segmentation_pb2 as messages

from services.bench.client import Client
from services.bench.clinician import PenStroke
from services.bench.drawing import Drawing, Way, drawing
from services.core.errors import CalqueError, Reason, Unavailable
from services.core.geometry import Plane, plane_geometry
from services.core.volume import Affine

_SECONDS = 600.0
_SILENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Update:
    """What one stroke led to.

    Attributes:
        acknowledged_ms: until it was durable.
        visible_ms: until the first probability of the visible slice that takes it into account was there.
        volume_ms: until that of every slice of the plane was there; 0 when nobody waited for it.
        sent_bytes: of probabilities, packed, as they came.
        plain_bytes: of the same probabilities, not packed.
    """

    acknowledged_ms: float
    visible_ms: float
    volume_ms: float
    sent_bytes: int
    plain_bytes: int


@dataclass
class _Waited:
    """What has come of a stroke so far."""

    sequence: int
    sent: float
    position: int = 0
    acknowledged: float = 0.0
    visible: float = 0.0
    generation: int = 0  # of what was visible first
    sent_bytes: int = 0
    plain_bytes: int = 0


class Session:
    """One tablet on one new annotation; make one with `session`. Calls block, and raise CalqueError as the stream does."""

    def __init__(self, stream: Drawing, shape: tuple[int, int, int], affine: Affine) -> None:
        self.statistics = messages.Statistics()
        """The newest that came."""
        self._stream = stream
        self._planes = {plane: plane_geometry(shape, affine, plane) for plane in Plane}
        self._plane = Plane.AXIAL
        self._index = -1
        self._known: dict[tuple[int, int], int] = {}  # the log's length that each slice takes into account
        self._came: queue.Queue[tuple[float, messages.AnnotateResponse | CalqueError]] = queue.Queue()
        threading.Thread(target=self._read, name="bench session", daemon=True).start()

    def look(self, plane: Plane, index: int) -> None:
        """Look at a slice."""
        self._plane, self._index = plane, index
        self._stream.look(plane, index)

    def acknowledge(self, stroke: PenStroke) -> float:
        """Draw, and wait until it is durable: milliseconds."""
        waited = self._draw(stroke)
        while not waited.position:
            self._take(waited)
        return (waited.acknowledged - waited.sent) * 1e3

    def update(self, stroke: PenStroke, *, whole: bool) -> Update:
        """Draw, and wait until the visible slice, or with ``whole`` its whole plane, take the stroke into account."""
        waited = self._draw(stroke)
        while not waited.visible:
            self._take(waited)
        done = self._whole(waited) if whole else waited.sent
        return Update(
            acknowledged_ms=(waited.acknowledged - waited.sent) * 1e3,
            visible_ms=(waited.visible - waited.sent) * 1e3,
            volume_ms=(done - waited.sent) * 1e3,
            sent_bytes=waited.sent_bytes,
            plain_bytes=waited.plain_bytes,
        )

    def _draw(self, stroke: PenStroke) -> _Waited:
        sent = time.perf_counter()
        return _Waited(self._stream.draw(stroke), sent)

    def _whole(self, waited: _Waited) -> float:
        """Wait for the whole plane and the statistics of it: when the last slice came."""
        slices = range(self._planes[self._plane].slices)
        last = waited.visible
        while not all(self._known.get((self._plane, index), 0) >= waited.position for index in slices):
            last = self._take(waited)
        while self.statistics.generation < waited.generation or not self.statistics.volume_ms:
            self._take(waited)
        return last

    def _take(self, waited: _Waited) -> float:
        """Take what comes next: when it came."""
        try:
            at, response = self._came.get(timeout=_SILENCE_SECONDS)
        except queue.Empty as error:
            raise Unavailable("The service said nothing for too long.", Reason.SERVICE_UNAVAILABLE) from error
        if isinstance(response, CalqueError):
            raise response
        kind = response.WhichOneof("what")
        if kind == "ack" and response.ack.sequence == waited.sequence:
            waited.position, waited.acknowledged = response.ack.position, at
        elif kind == "statistics":
            self.statistics.CopyFrom(response.statistics)
        elif kind == "probability":
            came = response.probability
            geometry = self._planes[Plane(came.plane)]
            self._known[Plane(came.plane), came.slice] = came.log_length
            waited.sent_bytes += len(came.levels)
            waited.plain_bytes += geometry.rows * geometry.columns
            seen = waited.position and came.log_length >= waited.position
            if seen and not waited.visible and (Plane(came.plane), came.slice) == (self._plane, self._index):
                waited.visible, waited.generation = at, came.generation
        return at

    def _read(self) -> None:
        try:
            for response in self._stream.responses():
                self._came.put((time.perf_counter(), response))
        except CalqueError as error:  # also how a stream ends that we hang up
            self._came.put((time.perf_counter(), error))


@contextmanager
def session(
    client: Client, volume_id: str, shape: tuple[int, int, int], affine: Affine, *, preset: str
) -> Iterator[Session]:
    """A new annotation, open while the block lasts and deleted with it. Raises: CalqueError."""
    annotation_id = client.begin(volume_id, "Benchmark")
    try:
        with drawing(client, annotation_id, seconds=_SECONDS) as stream:
            stream.set(Way(preset), 0)
            yield Session(stream, shape, affine)
    finally:
        client.delete(annotation_id)


def percentile(values: list[float], percent: float) -> float:
    """A percentile, between two values in proportion."""
    return float(np.percentile(values, percent))
