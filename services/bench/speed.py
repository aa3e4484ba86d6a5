"""How fast Calque is, beside the plain way in the same run: everything that ``calque bench`` tells.

The services run in a process of their own and are drawn on over gRPC; the plain way is `services.bench.plain` in this
process, when the services have nothing to do. Both may use all cores.

* **cold**: two strokes on a slice of a new annotation, the second one when the slice is first looked at; nobody has its
  features. The plain way computes those of the slice, fits and asks.
* **warm**: one more stroke when the volume is done. The plain way has the features too.
* **across**: the same on a slice across the acquisition slices, whose features are those of the acquisition slices that it
  cuts. Of each one the plain way computes only the row or column that is cut, with as much around it as each filter sees.
* **volume**: every slice, from nothing and after one more stroke. The plain way asks scikit-learn's forest.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.bench.client import Client
from services.bench.clinician import PenStroke, voxels_of
from services.bench.engine import FILTERS, ONE_BY_ONE, Steps, fastest, images_of, our_steps, plain_steps, plain_update
from services.bench.latency import Session, Update, session
from services.bench.phantom import Phantom
from services.bench.plain import table_one, trainable_segmentation
from services.core.geometry import Plane, PlaneGeometry, plane_geometry
from services.formats.source import source_files
from services.formats.write import write_nifti

PRESETS = ("paper", "calque")
ACROSS = (Plane.CORONAL, Plane.SAGITTAL)

Level = NDArray[np.uint8]
Report = Callable[[str], None]


@dataclass(frozen=True)
class Effort:
    """How often each thing is measured.

    Attributes:
        cold, warm: strokes of each kind on an acquisition slice.
        across: of each kind on a slice across.
        volumes: updates from nothing, of each preset.
        busy: strokes that are acknowledged while the volume is being computed.
        sessions, rounds, pace_s: how many draw at once, how many strokes each, and seconds between them.
    """

    cold: int = 9
    warm: int = 12
    across: int = 5
    volumes: int = 2
    busy: int = 40
    sessions: int = 8
    rounds: int = 8
    pace_s: float = 2.0


QUICK = Effort(cold=2, warm=2, across=1, volumes=1, busy=5, sessions=2, rounds=2, pace_s=0.1)


@dataclass
class Times:
    """Milliseconds of the service and of the plain way, in the order of measuring."""

    service: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)


@dataclass
class Speed:
    """Everything measured; bytes and milliseconds.

    Attributes:
        size: slices, rows, columns.
        cores: that both ways may use.
        way: how the plain way computes the features of several slices, the fastest of a few.
        cold, warm: of a slice, by plane.
        nothing, repeated: of the whole volume, preset ``paper``.
        ours, plain: of the engine without wire and store, and of the plain way, step by step.
        calque: updates of the preset ``calque``, and ``paper`` between them: warm and from nothing.
        acknowledged: while the volume was being computed.
        packed, unpacked: bytes of probabilities of each update.
        workspace, peak: bytes of an annotation's arrays, and of the server's process at its highest, by preset.
        crowd: visible masks of each of several sessions at once.
    """

    size: tuple[int, int, int]
    cores: int
    way: str = ""
    cold: dict[str, Times] = field(default_factory=dict)
    warm: dict[str, Times] = field(default_factory=dict)
    nothing: Times = field(default_factory=Times)
    repeated: Times = field(default_factory=Times)
    ours: list[Steps] = field(default_factory=list)
    plain: list[Steps] = field(default_factory=list)
    visible: dict[str, list[float]] = field(default_factory=lambda: {preset: [] for preset in PRESETS})
    volume: dict[str, list[float]] = field(default_factory=lambda: {preset: [] for preset in PRESETS})
    from_nothing: dict[str, list[float]] = field(default_factory=lambda: {preset: [] for preset in PRESETS})
    acknowledged: list[float] = field(default_factory=list)
    packed: list[int] = field(default_factory=list)
    unpacked: list[int] = field(default_factory=list)
    workspace: dict[str, int] = field(default_factory=dict)
    peak: dict[str, int] = field(default_factory=dict)
    crowd: list[list[float]] = field(default_factory=list)


class Bench:
    """One run. ``connect`` makes a client of the server, ``peak`` tells its highest memory so far, in bytes."""

    def __init__(
        self, connect: Callable[[], Client], made: Phantom, folder: Path, effort: Effort, peak: Callable[[], int]
    ) -> None:
        self._made = made
        self._volume = made.volume
        self._effort = effort
        self._peak = peak
        self._connect = connect
        self._client = connect()
        self._volume_id = ""
        self._folder = folder
        self._jobs = os.cpu_count() or 1
        self._images = images_of(made.volume)
        self._slice_jobs = self._jobs  # of the plain way, where one slice alone has it faster
        self._features: list[NDArray[np.float32]] = []  # the plain way's
        self.found = Speed(made.volume.shape, self._jobs)

    def run(self, say: Report) -> Speed:
        """Measure everything. Raises: CalqueError."""
        try:
            say("Sending the volume …")
            self._volume_id = self._import()
            ways = fastest(self._images[: self._jobs], self._jobs)
            self.found.way = ways[0]
            self._slice_jobs = self._jobs if ways.index(FILTERS) < ways.index(ONE_BY_ONE) else 1
            say("The whole volume from nothing …")
            self._from_nothing()
            say("The visible slice, cold …")
            for plane in (Plane.AXIAL, *ACROSS):
                self._cold(plane)
            say("The visible slice and the volume, again and again …")
            self._again()
            for plane in ACROSS:
                self._warm_across(plane)
            self._features.clear()
            say(f"{self._effort.sessions} sessions at once …")
            self._crowd()
        finally:
            self._client.close()
        return self.found

    def _import(self) -> str:
        path = self._folder / "phantom.nii"
        with open(path, "wb") as file:
            write_nifti(file, self._volume.voxels, affine=self._volume.affine, source_axes=(2, 1, 0))
        return self._client.import_files(source_files(path), name="Phantom").volume_id

    def _session(self, preset: str, client: Client | None = None) -> AbstractContextManager[Session]:
        volume = self._volume
        return session(client or self._client, self._volume_id, volume.shape, volume.affine, preset=preset)

    def _from_nothing(self) -> None:
        """Features, fit and the whole volume, of both presets, of the engine alone and of the plain way, in turn."""
        index = self._volume.shape[0] // 2
        pair = list(islice(self._made.strokes(Plane.AXIAL, index), 2))
        labels = self._labels(pair)
        our_steps(self._images[:1], labels[index : index + 1], self._jobs)  # compiled from here on
        for _ in range(self._effort.volumes):
            for preset in PRESETS:
                with self._session(preset) as drawn:
                    drawn.look(Plane.AXIAL, index)
                    started = time.perf_counter()
                    drawn.acknowledge(pair[0])
                    drawn.update(pair[1], whole=True)
                    self.found.from_nothing[preset].append((time.perf_counter() - started) * 1e3)
                    self.found.workspace[preset] = drawn.statistics.workspace_bytes
                    self.found.peak.setdefault(preset, self._peak())
            self.found.ours.append(our_steps(self._images, labels, self._jobs))
            self._features.clear()
            steps, self._features = plain_steps(self._images, labels, self.found.way, self._jobs)
            self.found.plain.append(steps)
            self.found.nothing.plain.append(steps.total_ms)
        self.found.nothing.service = self.found.from_nothing["paper"]

    def _cold(self, plane: Plane) -> None:
        """Strokes on slices whose features nobody has."""
        times = self.found.cold.setdefault(plane.name.lower(), Times())
        number = self._effort.cold if plane is Plane.AXIAL else self._effort.across
        for index in self._far_slices(plane, number):
            first, second = islice(self._made.strokes(plane, index), 2)
            with self._session("paper") as drawn:
                drawn.acknowledge(first)
                drawn.look(plane, index)
                times.service.append(drawn.update(second, whole=False).visible_ms)
            labels = self._labels([first, second])
            started = time.perf_counter()
            features = self._plain_features(plane, index)
            trainable_segmentation(features, self._cut(labels, plane, index), jobs=self._jobs)
            times.plain.append((time.perf_counter() - started) * 1e3)

    def _again(self) -> None:
        """One stroke after the other on one slice, of both presets and of the plain way in turn; the volume follows."""
        index = self._volume.shape[0] // 2 - 1
        strokes = self._made.strokes(Plane.AXIAL, index)
        drawn_so_far = list(islice(strokes, 2))
        warm = self.found.warm.setdefault("axial", Times())
        with ExitStack() as stack:
            sessions = {preset: stack.enter_context(self._session(preset)) for preset in PRESETS}
            for one in sessions.values():
                _begin(one, Plane.AXIAL, index, drawn_so_far)
            for number, stroke in enumerate(islice(strokes, self._effort.warm)):
                drawn_so_far.append(stroke)
                for preset, one in sessions.items():
                    update = one.update(stroke, whole=True)
                    self.found.visible[preset].append(update.visible_ms)
                    self.found.volume[preset].append(update.volume_ms)
                    if preset == "paper":
                        self._count(update)
                labels = self._labels(drawn_so_far)
                started = time.perf_counter()
                trainable_segmentation(self._features[index], labels[index], jobs=self._jobs)
                warm.plain.append((time.perf_counter() - started) * 1e3)
                if number % 4 == 0:
                    steps = plain_update(self._features, labels, self._jobs)
                    self.found.repeated.plain.append(steps.repeated_ms)
            warm.service, self.found.repeated.service = self.found.visible["paper"], self.found.volume["paper"]
            for stroke in islice(strokes, self._effort.busy):
                self.found.acknowledged.append(sessions["paper"].acknowledge(stroke))

    def _count(self, update: Update) -> None:
        self.found.packed.append(update.sent_bytes)
        self.found.unpacked.append(update.plain_bytes)

    def _warm_across(self, plane: Plane) -> None:
        """One stroke after the other on a slice across."""
        times = self.found.warm.setdefault(plane.name.lower(), Times())
        index = self._far_slices(plane, 1)[0]
        strokes = self._made.strokes(plane, index)
        drawn_so_far = list(islice(strokes, 2))
        features = self._cut_of_features(plane, index)
        with self._session("paper") as drawn:
            _begin(drawn, plane, index, drawn_so_far)
            for stroke in islice(strokes, self._effort.across):
                drawn_so_far.append(stroke)
                times.service.append(drawn.update(stroke, whole=True).visible_ms)
                labels = self._cut(self._labels(drawn_so_far), plane, index)
                started = time.perf_counter()
                trainable_segmentation(features, labels, jobs=self._jobs)
                times.plain.append((time.perf_counter() - started) * 1e3)

    def _crowd(self) -> None:
        """Several sessions with annotations of their own draw the same strokes at the same moments."""
        number, index = self._effort.sessions, self._volume.shape[0] // 2
        strokes = list(islice(self._made.strokes(Plane.AXIAL, index), 2 + self._effort.rounds))
        together = threading.Barrier(number)

        def draw(_: int) -> list[float]:
            client = self._connect()
            try:
                with self._session("paper", client) as drawn:
                    _begin(drawn, Plane.AXIAL, index, strokes[:2])
                    together.wait()
                    started, seen = time.perf_counter(), []
                    for turn, stroke in enumerate(strokes[2:]):
                        time.sleep(max(0.0, started + turn * self._effort.pace_s - time.perf_counter()))
                        seen.append(drawn.update(stroke, whole=False).visible_ms)
                    return seen
            except BaseException:
                together.abort()
                raise
            finally:
                client.close()

        with ThreadPoolExecutor(number, thread_name_prefix="crowd") as pool:
            self.found.crowd = list(pool.map(draw, range(number)))

    def _labels(self, strokes: list[PenStroke]) -> Level:
        labels = np.zeros(self._volume.shape, np.uint8)
        for stroke in strokes:
            labels.ravel()[voxels_of(stroke, self._volume.shape, self._volume.affine)] = stroke.label
        return labels

    def _far_slices(self, plane: Plane, number: int) -> list[int]:
        """Slices with enough of the object, those first that the service computes last."""
        geometry = self._geometry(plane)
        across = tuple(axis for axis in range(3) if axis != geometry.slice_axis)
        areas = np.count_nonzero(self._made.truth, axis=across)
        wanted = [i for i in range(geometry.slices) if areas[geometry.voxel_index(i)] > areas.max() / 4]
        middle = geometry.slices // 2
        far = sorted(wanted, key=lambda i: -abs(i - middle))
        return [far[i % len(far)] for i in range(number)]

    def _plain_features(self, plane: Plane, index: int) -> NDArray[np.float32]:
        """What the plain way computes for one slice, ``(rows, columns, 18)``."""
        geometry = self._geometry(plane)
        at = geometry.voxel_index(index)
        if geometry.slice_axis == 0:
            return table_one(self._images[at], jobs=self._slice_jobs)
        line = slice(at, at + 1)
        rows, columns = (line, None) if geometry.slice_axis == 1 else (None, line)
        with ThreadPoolExecutor(self._jobs) as pool:
            lines = list(pool.map(lambda image: table_one(image, rows, columns), self._images))
        return np.stack([one.reshape(-1, one.shape[-1]) for one in lines])

    def _cut_of_features(self, plane: Plane, index: int) -> NDArray[np.float32]:
        """The plain way's features of a slice across, from those of the volume."""
        geometry = self._geometry(plane)
        at = geometry.voxel_index(index)
        return np.stack([one[at] if geometry.slice_axis == 1 else one[:, at] for one in self._features])

    def _cut(self, labels: Level, plane: Plane, index: int) -> Level:
        """Labels of a slice, the volume's axes in their order."""
        geometry = self._geometry(plane)
        image: Level = np.take(labels, geometry.voxel_index(index), axis=geometry.slice_axis)
        return image

    def _geometry(self, plane: Plane) -> PlaneGeometry:
        return plane_geometry(self._volume.shape, self._volume.affine, plane)


def _begin(drawn: Session, plane: Plane, index: int, pair: list[PenStroke]) -> None:
    """Draw the first two strokes and wait for the whole volume."""
    drawn.look(plane, index)
    drawn.acknowledge(pair[0])
    drawn.update(pair[1], whole=True)
