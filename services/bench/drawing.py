"""A program's stream on an annotation: strokes go out; acknowledgements and probabilities come back, as to a tablet."""

from __future__ import annotations

import hashlib
import queue
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import numpy as np
from calque import wire
from calque.v1 import segmentation_pb2 as messages

from services.bench.client import Client, reason, refusals
from services.bench.clinician import PenStroke
from services.core.errors import CalqueError, InvalidInput, Reason, Unavailable
from services.core.geometry import Plane, PlaneGeometry
from services.core.mask import Level


@dataclass(frozen=True)
class Way:
    """How the service is to compute, in the contract's names in lower case.

    Attributes:
        preset: its name.
        classifier: its name; empty: the service's default.
        connected: whether only what is connected with strokes is kept; None: as the preset does.
        fill_holes: whether what the object encloses is filled; None: as the preset does.
        latent: with an encoder's features, in the preset ``calque``.

    Raises:
        InvalidInput: there is no such name; it lists what there is. Or latent features are asked for in another preset.
    """

    preset: str
    classifier: str = ""
    connected: bool | None = None
    fill_holes: bool | None = None
    latent: bool = False

    def __post_init__(self) -> None:
        self.settings(0)
        if self.latent and self.preset != "calque":
            raise InvalidInput("Only the preset calque has latent features.")

    def settings(self, seed: int) -> messages.AnnotateSettings:
        """As the contract has it: computed after each stroke; a switch that is None is absent."""
        return messages.AnnotateSettings(
            preset=_value(messages.Preset, "preset", self.preset),  # type: ignore[arg-type]
            live=True,
            seed=seed,
            connected=self.connected,
            fill_holes=self.fill_holes,
            classifier=_value(messages.Classifier, "classifier", self.classifier) if self.classifier else None,  # type: ignore[arg-type]
            latent_features=self.latent,
        )


@dataclass(frozen=True)
class Whole:
    """The probability of a whole volume, as it came.

    Attributes:
        levels: ``(slices, rows, columns)`` uint8, probability × 255.
        default_threshold: 1 to 255, where the service expects the best mask.
        seconds: from the end of the last stroke until all of it was there.
        expected_dice: which the service expects of the mask at this threshold, 0 to 1.
        enough: the service says that more strokes would hardly change the mask.
        advised: acquisition slices that the service would look at next, the best first; none where nothing is in doubt.
    """

    levels: Level
    default_threshold: int
    seconds: float
    expected_dice: float
    enough: bool
    advised: tuple[int, ...]


class Drawing:
    """An open stream. Calls block; make one with `drawing`."""

    def __init__(
        self, call: Iterator[messages.AnnotateResponse], outbox: queue.Queue[messages.AnnotateRequest | None]
    ) -> None:
        self._call = call
        self._outbox = outbox
        self._sequence = 0
        self._latent = False

    def set(self, way: Way, seed: int) -> None:
        """Compute after each stroke, in this way."""
        self._latent = way.latent
        self._outbox.put(messages.AnnotateRequest(settings=way.settings(seed)))

    def look(self, plane: Plane, index: int) -> None:
        """Look at a slice."""
        view = messages.AnnotateView(plane=int(plane), slice=index)  # type: ignore[arg-type]
        self._outbox.put(messages.AnnotateRequest(view=view))

    def draw(self, stroke: PenStroke) -> int:
        """Send a stroke, without waiting. Returns its number, by which it is acknowledged."""
        self._sequence += 1
        drawn = messages.Stroke(
            plane=int(stroke.plane),  # type: ignore[arg-type]
            slice=stroke.slice,
            label=stroke.label,
            width_mm=stroke.width_mm,
            x=stroke.x,
            y=stroke.y,
        )
        body = messages.EventBody(stroke=drawn).SerializeToString()
        event = messages.Event(sequence=self._sequence, body=body, sha256=hashlib.sha256(body).digest())
        self._outbox.put(messages.AnnotateRequest(event=event))
        return self._sequence

    def responses(self) -> Iterator[messages.AnnotateResponse]:
        """What comes back. Raises: CalqueError, when a call is refused, computing fails or the stream ends."""
        with refusals():
            for response in self._call:
                if response.WhichOneof("what") == "error":
                    raise CalqueError(response.error.message, reason(response.error))
                yield response
        raise Unavailable("The service ended the stream.", Reason.SERVICE_UNAVAILABLE)

    def whole(self, strokes: Sequence[PenStroke], plane: PlaneGeometry, shape: tuple[int, int, int]) -> Whole:
        """Draw strokes on one slice, and wait until the service's advice says that what takes them into account is final.

        A whole probability alone does not say so: what the switches make of it comes as another one. Where latent features
        are asked for, what goes without them is not final.

        Args:
            strokes: one or more, all on one slice of ``plane``.
            plane: the acquisition's, in which the probability is looked at.
            shape: slices, rows, columns of the volume.

        Raises:
            CalqueError: as in `responses`, or why there are no latent features.
        """
        self.look(strokes[0].plane, strokes[0].slice)
        for stroke in strokes[:-1]:
            self.draw(stroke)
        ended = time.perf_counter()
        last = self.draw(strokes[-1])
        levels = np.zeros(shape, dtype=np.uint8)
        known = np.zeros(plane.slices, dtype=np.uint64)  # generation of each slice
        reach: dict[int, int] = {}  # entries of the log that a generation takes into account
        position, threshold, came_at, advice = 0, 0, ended, messages.Advice()
        for response in self.responses():
            what = response.WhichOneof("what")
            if what == "ack" and response.ack.sequence == last:
                position = response.ack.position
            elif what == "probability" and int(response.probability.plane) == int(plane.plane):
                came = response.probability
                plane.put(levels, came.slice, wire.unpack(came.levels, wire.LEVEL, (plane.rows, plane.columns)))
                known[came.slice] = came.generation
                if came.latent_model or not self._latent:
                    reach[came.generation] = came.log_length
                threshold, came_at = came.default_threshold, time.perf_counter()
            elif what == "advice":
                advice = response.advice
            elif what == "latent_features" and response.latent_features.HasField("missing"):
                raise CalqueError(response.latent_features.missing.message, reason(response.latent_features.missing))
            if position and reach.get(advice.generation, 0) >= position and (known >= advice.generation).all():
                break
        return Whole(
            levels=levels,
            default_threshold=threshold,
            seconds=came_at - ended,
            expected_dice=advice.expected_dice,
            enough=advice.enough,
            advised=tuple(plane.voxel_index(place.slice) for place in advice.places),
        )


@contextmanager
def drawing(client: Client, annotation_id: str, *, seconds: float) -> Iterator[Drawing]:
    """A stream on an annotation, as its writer; it lasts at most so many seconds. Raises: CalqueError."""
    outbox: queue.Queue[messages.AnnotateRequest | None] = queue.Queue()
    opening = messages.AnnotateOpen(annotation_id=annotation_id, session_id=str(uuid4()))
    outbox.put(messages.AnnotateRequest(open=opening))
    call = client.segmentation.Annotate(iter(outbox.get, None), timeout=seconds)
    try:
        yield Drawing(call, outbox)
    finally:
        outbox.put(None)
        call.cancel()


def name_of(kind: Any, value: int) -> str:
    """The name of a preset or classifier of the contract, in lower case: ``paper``."""
    return str(kind.Name(value)).partition("_")[2].lower()


def _value(kind: Any, what: str, name: str) -> int:
    known = {name_of(kind, value): int(value) for value in kind.values() if value}
    if name not in known:
        raise InvalidInput(f"There is no {what} “{name}”; there is {', '.join(known)}.")
    return known[name]
