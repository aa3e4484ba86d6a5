"""Kill the real tablet at random moments of a scripted session: ``python -m tests.tablet_kills TRIALS [SEED]``.

It draws on real services. After each kill it is started again on the same journal, and must come back to the annotation,
plane, slice and tool. In the end the log on the server is read: every stroke that the screen called saved is in it, and
none is twice.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from calque.v1.segmentation_pb2 import EventBody

from services.bench.client import Client
from services.cli.children import child, services, virtual_display
from services.cli.scripted import Hand
from services.core.errors import CalqueError
from services.core.volume import Volume
from services.formats.source import source_files
from services.store.annotations import Annotations
from services.store.directory import DirectoryStore
from tests.phantoms import write_nifti

SHAPE = (40, 60, 80)
FIRST_ROW, ROWS = 6, 24  # a stroke a row, every other row of a slice
SECONDS = 60.0


@dataclass
class Outcome:
    """What came of the kills.

    Attributes:
        kills: how many.
        drawn: strokes that the hand began.
        saved: numbers of those that were drawn to their end and that the screen called saved then.
        lost, twice: strokes that were saved and are not in the log; strokes that are in it more than once.
        elsewhere: strokes in the log on a slice or row where none was drawn.
        strayed: starts that came back to another place, as ``wanted, found``.
        moments: what the hand did when the tablet was killed, by kind.
    """

    kills: int = 0
    drawn: int = 0
    saved: set[int] = field(default_factory=set)
    lost: list[int] = field(default_factory=list)
    twice: list[int] = field(default_factory=list)
    elsewhere: list[int] = field(default_factory=list)
    strayed: list[str] = field(default_factory=list)
    moments: Counter[str] = field(default_factory=Counter)

    @property
    def wrong(self) -> bool:
        """Something was lost, doubled or strayed."""
        return bool(self.lost or self.twice or self.elsewhere or self.strayed)


class Place(NamedTuple):
    """Where the tablet is; ``moving``: the slice is not known, it is on its way to another one or another plane."""

    annotation: str
    plane: str
    slice: int
    tool: str
    moving: bool = False

    @classmethod
    def of(cls, state: dict[str, Any]) -> Place:
        """What the screen shows."""
        return cls(state["title"] + state["annotation"], state["plane"], state["slice"], state["tool"])

    def fits(self, found: Place) -> bool:
        """Whether the tablet may have come back there."""
        return found._replace(slice=self.slice, moving=self.moving) == self if self.moving else found == self


class Session:
    """One long session of the hand, over all lives of the tablet."""

    def __init__(self, seed: int) -> None:
        self.outcome = Outcome()
        self.places: list[Place] = []  # before and after what is done now
        self.ended: set[int] = set()  # strokes whose pen was lifted
        self._random = random.Random(seed)

    def live(self, hand: Hand, doing: Callable[[str], None]) -> None:
        """Draw and look around until the tablet is killed. Raises: CalqueError."""
        while True:
            kind = self._random.choice(("stroke",) * 6 + ("slice", "plane", "tool"))
            doing(kind)
            if kind == "slice":
                self._look(hand, slice=self._random.randrange(SHAPE[0]))
            elif kind == "plane":
                self._look(hand, plane=self._random.choice(("axial", "coronal", "sagittal")))
            elif kind == "tool":
                self._look(hand, tool=self._random.choice(("object", "background", "eraser")))
            else:
                self._draw(hand)
                doing("looking")
                if hand.do("state")["connection"].startswith("Saved"):
                    self.outcome.saved |= self.ended

    def _draw(self, hand: Hand) -> None:
        number = self.outcome.drawn
        assert number < SHAPE[0] * ROWS, "There are no rows left to draw on."
        self._look(hand, plane="axial")
        self._look(hand, slice=number // ROWS)
        if self.places[-1].tool == "eraser":
            self._look(hand, tool="object")
        hand.do("slice", slice=number // ROWS)  # waits for its image: nothing can be drawn without
        row = FIRST_ROW + 2.0 * (number % ROWS)
        self.outcome.drawn += 1
        hand.do("stroke", x=[10.0, 30.0, 60.0], y=[row] * 3)
        self.ended.add(number)

    def _look(self, hand: Hand, **wanted: Any) -> None:
        """Another slice, plane or tool, unless it is there."""
        here = self.places[-1]
        if any(getattr(here, what) != value for what, value in wanted.items()):
            # Another plane has a slice of its own; where a bar or a wheel is under way to a slice is between.
            self.places = [here, here._replace(**wanted, moving=True)]
            for what, value in wanted.items():
                hand.do(what, **{what: value})
            self.places = [Place.of(hand.do("state"))]

    def come_back(self, hand: Hand) -> None:
        """Wait until the tablet, started anew, is where it ended."""
        found = Place.of(wait(hand, lambda state: state["screen"] == "viewer"))
        if not any(place.fits(found) for place in self.places):
            self.outcome.strayed.append(f"{self.places}, {found}")
        self.places = [found]


def wait(hand: Hand, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The state of the screen once it is as wanted."""
    end = time.monotonic() + SECONDS
    while not wanted(state := hand.do("state")):
        assert time.monotonic() < end, state
    return state


def kills(trials: int, seed: int, folder: Path, say: Callable[[str], object]) -> Outcome:
    """Kill the tablet so many times."""
    session, chance = Session(seed), random.Random(seed + 1)
    outcome, doing = session.outcome, ["starting"]
    noise = np.random.default_rng(0).integers(0, 900, SHAPE).astype(np.int16)
    volume = Volume(noise, np.eye(4), np.ones(SHAPE[0]), np.zeros(SHAPE[0]))
    with ExitStack() as stack:
        address, _ = stack.enter_context(services(folder / "server" / "store"))
        client = Client(address)
        stack.callback(client.close)
        imported = client.import_files(source_files(write_nifti(volume, folder / "noise.nii.gz")), name="Noise")
        display = stack.enter_context(virtual_display("1280x800"))
        command = [
            sys.executable,
            "-m",
            "tablet_client",
            "--server",
            address,
            "--journal",
            str(folder / "journal"),
            "--hand",
        ]
        for trial in range(trials + 1):
            with child(command, environment=display) as tablet:
                hand = Hand(tablet)
                if trial:
                    session.come_back(hand)
                else:
                    hand.do("open", volume=imported.volume_id)
                    session.places = [Place.of(hand.do("state"))]
                if trial == trials:
                    wait(hand, lambda state: state["connection"] == "Saved on server")
                    hand.do("quit")
                    break
                fired = threading.Event()
                killer = threading.Timer(chance.uniform(0.2, 5.0), _kill, (tablet, fired))
                killer.start()
                try:
                    session.live(hand, lambda kind: doing.__setitem__(0, kind))
                except CalqueError:
                    if not fired.is_set():  # not the kill: the tablet is broken
                        raise
                killer.join()
                assert tablet.wait(SECONDS) == -9
            outcome.kills += 1
            outcome.moments[doing[0]] += 1
            say(f"{outcome.kills} kills, {outcome.drawn} strokes begun, {len(outcome.saved)} saved")
    _read(folder / "server" / "store", imported.volume_id, outcome)
    return outcome


def _kill(tablet: subprocess.Popen[str], fired: threading.Event) -> None:
    fired.set()
    tablet.kill()


def _read(store: Path, volume_id: str, outcome: Outcome) -> None:
    """Compare the log with what was drawn."""
    annotations = Annotations(DirectoryStore(store))
    (annotation,) = annotations.of_volume(volume_id)
    found: Counter[int] = Counter()
    for entry in annotations.log(annotation.annotation_id).entries:
        body = EventBody.FromString(entry.body)
        if entry.sequence and body.HasField("stroke"):
            found[_number(body)] += 1
    outcome.lost = [number for number in sorted(outcome.saved) if not found[number]]
    outcome.elsewhere = [number for number in found if not 0 <= number < outcome.drawn]
    outcome.twice = [number for number, times in found.items() if times > 1]


def _number(body: EventBody) -> int:
    """Which stroke of the hand it is, from its slice and row."""
    return body.stroke.slice * ROWS + round((float(np.mean(body.stroke.y)) - FIRST_ROW) / 2)


def main(trials: int, seed: int) -> int:
    """Print what came of it, a line in the end. Returns: 1 where something was lost, doubled or strayed."""
    with tempfile.TemporaryDirectory(prefix="calque-kills-") as folder:
        outcome = kills(trials, seed, Path(folder), lambda text: print(text, flush=True))
    for trouble in (*outcome.strayed, *map(str, outcome.lost), *map(str, outcome.twice), *map(str, outcome.elsewhere)):
        print(trouble)
    moments = ", ".join(f"{times} {what}" for what, times in sorted(outcome.moments.items()))
    print(
        f"{outcome.kills} kills ({moments}): {outcome.drawn} strokes begun, {len(outcome.saved)} shown as saved, "
        f"{len(outcome.lost)} of them lost, {len(outcome.twice)} drawn twice, {len(outcome.elsewhere)} elsewhere, "
        f"{len(outcome.strayed)} starts elsewhere"
    )
    return int(outcome.wrong)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
