"""What a trial left in the store, held to what its tablets were told."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from calque.v1.segmentation_pb2 import EventBody

from services.core.errors import CalqueError
from services.core.geometry import Plane, plane_geometry
from services.core.labels import Labels, replay
from services.core.mask import at_threshold
from services.core.pipeline import segment
from services.core.volume import Volume
from services.segmentation.events import to_action
from services.store.annotations import Annotations, MaskRecord, mask_digest
from services.store.entry import Entry
from services.store.port import Store
from tests.crash.processes import Notes
from tests.crash.script import EVENTS, Script


@dataclass
class Found:
    """What was wrong, as sentences, and how much was looked at."""

    acknowledged: int = 0
    masks: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    sentences: list[str] = field(default_factory=list)

    def add(self, kind: str, sentence: str) -> None:
        """Note something that is lost, duplicated, unreadable or different."""
        self.wrong[kind] += 1
        self.sentences.append(f"{kind}: {sentence}")


def check(store: Store, volume: Volume, notes: Notes, script: Script, found: Found) -> None:
    """Read an annotation from the store alone, after its tablet has drawn everything.

    Every acknowledged event is there exactly once, where the acknowledgement said; all that was drawn is, in order; every
    mask can be read, and is what the same strokes give again, bit by bit.
    """
    annotations, annotation_id = Annotations(store), notes.annotation()
    try:
        events = [entry for entry in annotations.log(annotation_id).entries if entry.sequence]
    except CalqueError as error:
        found.add("unreadable", f"the log: {error}")
        return
    _acknowledged(events, notes, found)
    bodies = [entry.body for entry in events]
    expected = script.expected()
    if bodies != expected:
        found.add("different", f"the log has {len(bodies)} events, {sum(map(bodies.count, expected))} of {EVENTS} drawn")
        return
    try:
        masks = annotations.masks(annotation_id)
    except CalqueError as error:
        found.add("unreadable", f"the masks' records: {error}")
        return
    _masks(masks, notes, found)
    _replayed(annotations, annotation_id, volume, masks, found)


def _acknowledged(events: list[Entry], notes: Notes, found: Found) -> None:
    places: dict[tuple[str, int], list[Entry]] = {}
    for entry in events:
        places.setdefault((entry.session_id, entry.sequence), []).append(entry)
    for (session_id, sequence), entries in places.items():
        if len(entries) > 1:
            found.add("duplicated", f"event {sequence} of {session_id}")
    for session_id, sequence, position, digest in sorted(set(map(tuple, notes.lines("acknowledged")))):
        found.acknowledged += 1
        there = [(str(e.position), hashlib.sha256(e.body).hexdigest()) for e in places.get((session_id, int(sequence)), [])]
        if (position, digest) not in there:
            found.add("lost", f"event {sequence}, acknowledged at {position}; there is {there}")
    for session_id, sequence in notes.lines("saved"):
        if (session_id, int(sequence)) not in places:
            found.add("lost", f"event {sequence}, shown as saved")


def _masks(masks: list[MaskRecord], notes: Notes, found: Found) -> None:
    known = {(str(mask.number), mask.digest) for mask in masks}
    for _, number, digest in notes.lines("mask"):
        if (number, digest) not in known:
            found.add("lost", f"mask {number}")


def _replayed(annotations: Annotations, annotation_id: str, volume: Volume, masks: list[MaskRecord], found: Found) -> None:
    shape = volume.shape
    for mask in masks:
        found.masks += 1
        try:
            content = annotations.get_blob(annotation_id, mask.digest, shape)
        except CalqueError as error:
            found.add("unreadable", f"mask {mask.number}: {error}")
            continue
        labels = _labels(annotations, annotation_id, volume, mask.log_length)
        again = at_threshold(segment(volume, labels.array, seed=mask.seed).levels, mask.threshold)
        if mask_digest(again) != mask.digest or not np.array_equal(again, content):
            found.add("different", f"mask {mask.number} is not what its strokes give again")


def _labels(annotations: Annotations, annotation_id: str, volume: Volume, length: int) -> Labels:
    planes: Mapping[Plane, object] = {plane: plane_geometry(volume.shape, volume.affine, plane) for plane in Plane}
    entries = [entry for entry in annotations.log(annotation_id).entries[:length] if entry.sequence]
    actions = [to_action(EventBody.FromString(entry.body), dict(planes), volume.shape, None) for entry in entries]
    return replay(volume.shape, [action for action in actions if action is not None])
