"""Many tablets at once: ``python -m tests.load``. Each draws on a volume of its own; then the store is away for a while.

The tablets have the real journal and connection and share a process; the services run as `calque serve` in another, on a
real S3 server. Told are errors, memory of the services, seconds from a stroke to its acknowledgement and to the mask of the
slice that it lies on, and what became of strokes that were drawn while the store was away.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from calque.v1 import segmentation_pb2

from services.core.volume import Volume, grey_map, intensity_window
from services.store.annotations import PAPER_LABELS, Annotations
from services.store.catalogue import Catalogue
from services.store.s3 import S3Store
from tablet_client.link.grpc_link import GrpcLink
from tablet_client.link.listener import Connection, Listener, Status
from tablet_client.link.sync import SessionKeeper
from tablet_client.state.document import Document, Event
from tablet_client.state.geometry import Plane, VolumeInfo
from tablet_client.state.journal import Journal
from tablet_client.state.probabilities import Probabilities
from tablet_client.state.slicecache import Room
from tests.processes import Serving
from tests.rgw import Running, installed, run
from tests.s3 import new_bucket

SHAPE = (20, 256, 256)
EVERY_S = 3.0
_SAMPLED_S = 5.0
_MEGABYTE = 1 << 20


@dataclass
class Times:
    """Seconds from strokes to what came of them, and what went wrong."""

    acknowledged: list[float] = field(default_factory=list)
    visible: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    memory_mb: list[tuple[float, float]] = field(default_factory=list)


class _Timed(Document):
    """A document that tells when the server has an event."""

    def told(self, tablet: _Tablet) -> None:
        self._tablet = tablet

    def acknowledged(self, sequence: int, position: int) -> bool:
        self._tablet.acknowledged(sequence, position)
        return super().acknowledged(sequence, position)


class _Tablet(Listener):
    """A tablet at work: a stroke every few seconds on the slice that it looks at."""

    def __init__(self, number: int, folder: Path, port: int, annotation_id: str, planes: Any, times: Times) -> None:
        self._chance = random.Random(number)
        self._times, self._planes = times, planes
        self._link = GrpcLink("127.0.0.1", port)
        self._journal = Journal(folder, annotation_id)
        self.annotation_id = annotation_id
        self.document = _Timed(planes, self._journal.session_id)
        self.document.told(self)
        self._probabilities = Probabilities(Room(_MEGABYTE))
        self._keeper = SessionKeeper(self._link, annotation_id, self.document, self._journal, self._probabilities, self)
        self._keeper.configure(live=True, preset=segmentation_pb2.PRESET_CALQUE, seed=number)
        self._plane = max(planes, key=lambda plane: planes[plane].rows * planes[plane].columns)
        self._drawn: dict[int, float] = {}
        self._unseen: dict[int, float] = {}  # by position in the log
        self._index = SHAPE[0] // 2
        self.bodies: list[bytes] = []
        self.away = False

    async def work(self, seconds: float) -> None:
        """Connect, and draw for so long. The tablet stays connected until `close`."""
        self._keeping = asyncio.create_task(self._keeper.run())
        self._keeper.look_at(self._plane, self._index)
        await self.go_on(seconds)

    async def go_on(self, seconds: float) -> None:
        """Draw for so long."""
        end = time.monotonic() + seconds
        await asyncio.sleep(self._chance.uniform(0, EVERY_S))
        while time.monotonic() < end:
            self._draw()
            await asyncio.sleep(EVERY_S * self._chance.uniform(0.8, 1.2))

    async def settled(self) -> None:
        """Wait until the server has everything."""
        while self.document.waiting:  # noqa: ASYNC110 – as a person watches the screen
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Leave."""
        self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)
        self._link.close()

    def _draw(self) -> None:
        number = self.document.next_sequence
        if number > 2 and self._chance.random() < 0.2:
            self._index = self._chance.randrange(SHAPE[0])
            self._keeper.look_at(self._plane, self._index)
        inside = number % 2
        x, y = (self._chance.uniform(100, 150) if inside else self._chance.uniform(10, 60) for _ in range(2))
        self.document.begin_stroke(self._plane, self._index, 1 if inside else 2, 3.0, x, y)
        for _ in range(30):
            x, y = x + self._chance.uniform(-2, 3), y + self._chance.uniform(-2, 3)
            self.document.extend(x, y)
        event: Event = self.document.finish()
        self.bodies.append(event.body)
        self._drawn[event.sequence] = time.monotonic()
        self._keeper.submit(event)

    def acknowledged(self, sequence: int, position: int) -> None:
        """The server has a stroke."""
        drawn = self._drawn.pop(sequence, None)
        if drawn is not None:
            self._times.acknowledged.append(time.monotonic() - drawn)
            self._unseen[position] = drawn

    def probability(self, plane: Plane, index: int) -> None:
        if (plane, index) != (self._plane, self._index):
            return
        known = self._probabilities.entries(plane, index)
        for position in [one for one in self._unseen if one <= known]:
            self._times.visible.append(time.monotonic() - self._unseen.pop(position))

    def computing_failed(self, reason: str, message: str) -> None:
        self._times.errors.append(f"{reason}: {message}")

    def event_refused(self, error: Exception) -> None:
        self._times.errors.append(f"refused: {error}")

    def status_changed(self, status: Status) -> None:
        if status.connection in (Connection.OFFLINE, Connection.REFUSED) and not self.away:
            self._times.errors.append(f"{status.connection.value}: {status.error}")


def _volume(number: int) -> Volume:
    """A bright ball in noise."""
    s, r, c = np.indices(SHAPE)
    ball = ((s - 10) * 4) ** 2 + (r - 128) ** 2 + (c - 128) ** 2 < 45**2
    noise = np.random.default_rng(number).normal(200, 40, SHAPE)
    return Volume((noise + 150 * ball).astype(np.int16), np.diag([4.0, 1.0, 1.0, 1.0]), np.ones(20), np.zeros(20))


async def _load(tablets: int, seconds: float, away_s: float, folder: Path, ceph: Running) -> dict[str, Any]:
    bucket = new_bucket(ceph.server, folder)
    store, times = S3Store(bucket), Times()
    annotations, begun = Annotations(store), []
    for number in range(tablets):
        volume = _volume(number)
        window, grey = intensity_window(volume), grey_map(volume)
        record = Catalogue(store).add(volume, name="Ball", imported_ms=1, window=window, grey=grey, thumbnail=b"")
        made = annotations.create(record.volume_id, name="Ball", labels=PAPER_LABELS, created_ms=1)
        begun.append((record.volume_id, made.annotation_id))
    flags = ["--listen", "127.0.0.1:0", "--store", f"s3://{bucket.name}", "--s3-endpoint", bucket.endpoint]
    flags += ["--s3-credentials", str(bucket.credentials), "--workspaces", str(tablets)]
    with Serving(folder, "volumes", "segmentation", *flags) as serving:
        port = int(serving.address().rpartition(":")[2])
        link = GrpcLink("127.0.0.1", port)
        working = []
        for number, (volume_id, annotation_id) in enumerate(begun):
            planes = VolumeInfo.from_message(await link.get_volume(volume_id)).planes
            working.append(_Tablet(number, folder / f"tablet-{number}", port, annotation_id, planes, times))
        link.close()
        watching = asyncio.create_task(_watch(serving.process.pid, times))
        await asyncio.gather(*(tablet.work(seconds) for tablet in working))
        await asyncio.gather(*(tablet.settled() for tablet in working))
        watching.cancel()
        found = _figures(times, tablets, seconds)
        if away_s:
            found |= await _outage(working, away_s, ceph, times)
        for tablet in working:
            await tablet.close()
    found["lost"], found["duplicated"] = _missing(annotations, working)
    return found


async def _outage(working: list[_Tablet], away_s: float, ceph: Running, times: Times) -> dict[str, Any]:
    """The store is killed, and comes back; strokes go on all the time."""
    times.errors.clear()
    for tablet in working:
        tablet.away = True
    ceph.kill_gateway()
    await asyncio.gather(*(tablet.go_on(away_s) for tablet in working))
    ceph.start_gateway()
    back = time.monotonic()
    await asyncio.gather(*(tablet.settled() for tablet in working))
    return {"away_s": away_s, "recovered_s": round(time.monotonic() - back, 2), "errors_away": len(times.errors)}


async def _watch(pid: int, times: Times) -> None:
    started = time.monotonic()
    while True:
        times.memory_mb.append((time.monotonic() - started, _resident_mb(pid)))
        await asyncio.sleep(_SAMPLED_S)


def _resident_mb(pid: int) -> float:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024


def _figures(times: Times, tablets: int, seconds: float) -> dict[str, Any]:
    at, memory = np.array(times.memory_mb).T
    late = at > at[-1] / 2  # when everybody's features are there
    slope = float(np.polyfit(at[late], memory[late], 1)[0] * 60) if late.sum() > 2 else 0.0
    return {
        "tablets": tablets,
        "seconds": seconds,
        "strokes": len(times.acknowledged),
        "errors": len(times.errors),
        "first_errors": times.errors[:3],
        "acknowledged_s": _percentiles(times.acknowledged),
        "visible_s": _percentiles(times.visible),
        "seen": len(times.visible),
        "memory_mb": [round(float(memory[late].min())), round(float(memory.max()))],
        "memory_slope_mb_a_minute": round(slope, 2),
    }


def _percentiles(values: list[float]) -> dict[str, float]:
    return {f"p{p}": round(float(np.percentile(values, p)), 3) for p in (50, 95)} if values else {}


def _missing(annotations: Annotations, working: list[_Tablet]) -> tuple[int, int]:
    """Strokes that are not in their log, and that are in it more than once."""
    lost = twice = 0
    for tablet in working:
        bodies = [entry.body for entry in annotations.log(tablet.annotation_id).entries if entry.sequence]
        lost += len(set(tablet.bodies) - set(bodies))
        twice += len(bodies) - len(set(bodies))
    return lost, twice


def main() -> int:
    """Run it and print the figures as JSON. Returns: an exit status."""
    parser = argparse.ArgumentParser("python -m tests.load", description="Many tablets at once, on a real S3 server.")
    parser.add_argument("--tablets", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--away", type=float, default=30.0, help="seconds for which the store is away afterwards")
    given = parser.parse_args()
    if not installed():
        print("Ceph's RGW is not installed; deploy/setup/object_store.sh does it on Debian.", file=sys.stderr)
        return 2
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="calque-rgw-")))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="calque-load-")))
        found = asyncio.run(_load(given.tablets, given.seconds, given.away, folder, run(place, stack)))
    print(json.dumps(found, indent=1))
    return 1 if found["errors"] or found["lost"] or found["duplicated"] else 0


if __name__ == "__main__":
    sys.exit(main())
