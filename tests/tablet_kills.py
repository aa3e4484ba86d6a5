"""Kill the real tablet at random moments of a scripted session: ``python -m tests.tablet_kills TRIALS [SEED]``.

It draws on real services, which are killed as well now and then, and come back while it draws or starts. After each kill it
is started again on the same journal, and must come back to the annotation, plane, slice and tool. In the end the log on the
server is read: every stroke that the screen called saved is in it, and none is twice.
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
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from calque.v1.segmentation_pb2 import EventBody

from services.cli import reach
from services.cli.children import child, services, virtual_display
from services.cli.scripted import Hand
from services.core.errors import CalqueError
from services.core.volume import Volume
from services.formats.source import source_files
from services.store.annotations import Annotations
from services.store.directory import DirectoryStore
from tests.phantoms import write_nifti

SHAPE = (80, 60, 80)
FIRST_ROW, ROWS = 6, 24  # a stroke a row, every other row of a slice
SECONDS = 60.0


@dataclass
class Outcome:
    """What came of the kills.

    Attributes:
        kills: how many; ``away``: those that came while the services were away.
        drawn: strokes that the hand began.
        saved: numbers of those that were drawn to their end and that the screen called saved before the tablet was killed.
        on_tablet: those of ``saved`` that the screen called saved while the server did not have them all.
        lost, twice: strokes that were saved and are not in the log; strokes that are in it more than once.
        elsewhere: strokes in the log on a slice or row where none was drawn.
        strayed: starts that came back to another place, as ``wanted, found``.
        moments: what the hand did when the tablet was killed, by kind.
    """

    kills: int = 0
    away: int = 0
    drawn: int = 0
    saved: set[int] = field(default_factory=set)
    on_tablet: set[int] = field(default_factory=set)
    lost: list[int] = field(default_factory=list)
    twice: list[int] = field(default_factory=list)
    elsewhere: list[int] = field(default_factory=list)
    strayed: list[str] = field(default_factory=list)
    moments: Counter[str] = field(default_factory=Counter)

    @property
    def wrong(self) -> bool:
        """Something was lost, doubled or strayed."""
        return bool(self.lost or self.twice or self.elsewhere or self.strayed)

    def __str__(self) -> str:
        moments = ", ".join(f"{times} {what}" for what, times in sorted(self.moments.items()))
        return (
            f"{self.kills} kills ({moments}; {self.away} while the services were away): {self.drawn} strokes begun, "
            f"{len(self.saved)} shown as saved, {len(self.on_tablet)} of them first on the tablet alone; "
            f"{len(self.lost)} of them lost, {len(self.twice)} drawn twice, {len(self.elsewhere)} elsewhere, "
            f"{len(self.strayed)} starts elsewhere"
        )


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

    def __init__(self, seed: int, away: Callable[[], bool]) -> None:
        self.outcome = Outcome()
        self.doing = "starting"
        self.places: list[Place] = []  # before and after what is done now
        self._ended: set[int] = set()  # strokes whose pen was lifted in this life of the tablet
        self._random = random.Random(seed)
        self._away = away

    def begin(self, hand: Hand, volume_id: str) -> None:
        """The tablet's first life: open the volume."""
        hand.do("open", volume=volume_id)
        self.places = [Place.of(self._see(hand))]

    def come_back(self, hand: Hand) -> None:
        """Wait until the tablet, started anew, is where it ended. Raises: CalqueError."""
        self.doing = "starting"
        self._ended = set()  # what the screen says from now on, it says of what this life knows
        found = Place.of(wait(hand, lambda state: state["screen"] == "viewer"))
        if not any(place.fits(found) for place in self.places):
            self.outcome.strayed.append(f"{self.places}, {found}")
        self.places = [found]

    def live(self, hand: Hand) -> None:
        """Draw and look around until the tablet is killed. Raises: CalqueError."""
        while True:
            # Without services there may be no image of another plane.
            kinds = ("stroke",) * 6 + (("slice", "tool") if self._away() else ("slice", "plane", "tool"))
            self.doing = kind = self._random.choice(kinds)
            if kind == "slice":
                self._look(hand, slice=self._random.randrange(SHAPE[0]))
            elif kind == "plane":
                self._look(hand, plane=self._random.choice(("axial", "coronal", "sagittal")))
            elif kind == "tool":
                self._look(hand, tool=self._random.choice(("object", "background", "eraser")))
            else:
                self._draw(hand)
                self.doing = "looking"
                self._see(hand)

    def _see(self, hand: Hand) -> dict[str, Any]:
        """Read the screen, and hold it to what it says of the strokes."""
        state = hand.do("state")
        says = state["connection"]
        # It counts what waits only when all of that is in the journal.
        if says.startswith(("Saved", "Offline", "Connecting")):
            if says != "Saved on server":
                self.outcome.on_tablet |= self._ended - self.outcome.saved
            self.outcome.saved |= self._ended
        return state

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
        self._ended.add(number)

    def _look(self, hand: Hand, **wanted: Any) -> None:
        """Another slice, plane or tool, unless it is there."""
        here = self.places[-1]
        if any(getattr(here, what) != value for what, value in wanted.items()):
            # Another plane has a slice of its own; where a bar or a wheel is under way to a slice is between.
            self.places = [here, here._replace(**wanted, moving=True)]
            for what, value in wanted.items():
                hand.do(what, **{what: value})
            self.places = [Place.of(self._see(hand))]


class Services:
    """The services, which go away and come back at the same address."""

    def __init__(self, store: Path) -> None:
        self.address = "127.0.0.1:0"
        self._store = store
        self._running: ExitStack | None = None

    @property
    def away(self) -> bool:
        """They do not run, or only just begin to."""
        return self._running is None

    def come(self) -> None:
        """Start them, if they are away."""
        if self._running is None:
            running = ExitStack()
            self.address, self._process = running.enter_context(services(self._store, self.address))
            self._running = running

    def go(self) -> None:
        """Kill them, if they run."""
        running, self._running = self._running, None
        if running is not None:
            self._process.kill()
            running.close()


class End(Enum):
    """How a life of the tablet ends."""

    STARTING = "killed before it came back to where it was"
    SERVED = "killed with services"
    ALONE = "killed after the services were"
    SERVED_AGAIN = "killed soon after the services came back"


class Fate(threading.Thread):
    """Kills the tablet at a random moment from `start` on, and perhaps the services before.

    Attributes:
        struck: the tablet was killed, or is just being.
        alone: it was, without services.
    """

    def __init__(self, how: End, chance: random.Random, tablet: subprocess.Popen[str], services: Services) -> None:
        super().__init__(daemon=True)
        self.struck, self.alone = threading.Event(), False
        self._how, self._chance, self._tablet, self._services = how, chance, tablet, services

    def run(self) -> None:
        if self._how is End.STARTING:
            self._pass(0.3, 3.5)
        elif self._how is End.SERVED:
            self._pass(0.2, 7.0)
        else:
            self._pass(0.2, 2.0)
            self._services.go()
            self._pass(0.2, 3.0)
            if self._how is End.SERVED_AGAIN:
                self._services.come()
                self._pass(0.0, 2.5)
        self.alone = self._services.away
        self.struck.set()
        self._tablet.kill()

    def _pass(self, least: float, most: float) -> None:
        time.sleep(self._chance.uniform(least, most))


def wait(hand: Hand, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The state of the screen once it is as wanted."""
    end = time.monotonic() + SECONDS
    while not wanted(state := hand.do("state")):
        assert time.monotonic() < end, state
    return state


def kills(trials: int, seed: int, folder: Path, say: Callable[[str], object]) -> Outcome:
    """Kill the tablet so many times."""
    chance = random.Random(seed + 1)
    noise = np.random.default_rng(0).integers(0, 900, SHAPE).astype(np.int16)
    volume = Volume(noise, np.eye(4), np.ones(SHAPE[0]), np.zeros(SHAPE[0]))
    serving = Services(folder / "server" / "store")
    session = Session(seed, lambda: serving.away)
    outcome = session.outcome
    with ExitStack() as stack:
        stack.callback(serving.go)
        serving.come()
        client = reach.client(serving.address)
        imported = client.import_files(source_files(write_nifti(volume, folder / "noise.nii.gz")), name="Noise")
        client.close()
        display = stack.enter_context(virtual_display("1280x800"))
        options = ["--server", serving.address, "--journal", str(folder / "journal"), "--hand"]
        command = [sys.executable, "-m", "tablet_client", *options]
        for trial in range(trials):
            how = chance.choices(list(End), weights=(1, 3, 2, 2))[0] if trial else End.SERVED
            if chance.random() < 0.5:  # else they come while the tablet starts, and it must wait for them
                serving.come()
            with child(command, environment=display) as tablet:
                fate, hand = Fate(how, chance, tablet, serving), Hand(tablet)
                if how is End.STARTING:
                    fate.start()
                serving.come()
                try:
                    session.come_back(hand) if trial else session.begin(hand, imported.volume_id)
                    if how is not End.STARTING:
                        fate.start()
                    session.live(hand)
                except CalqueError:
                    if not fate.struck.is_set():  # not the kill: the tablet is broken
                        raise
                fate.join()
                assert tablet.wait(SECONDS) == -9
            outcome.kills += 1
            outcome.away += fate.alone
            outcome.moments[session.doing] += 1
            say(f"{outcome.kills} kills, {outcome.drawn} strokes begun, {len(outcome.saved)} saved")
        serving.come()
        with child(command, environment=display) as tablet:
            hand = Hand(tablet)
            session.come_back(hand)
            wait(hand, lambda state: state["connection"] == "Saved on server")
            hand.do("quit")
    _read(folder / "server" / "store", imported.volume_id, outcome)
    return outcome


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
    print(outcome)
    return int(outcome.wrong)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
