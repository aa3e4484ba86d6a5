"""Kill the real tablet at random moments of a scripted session: ``python -m tests.tablet_kills TRIALS [SEED]``.

It draws on real services. After each kill it is started again on the same journal, and must come back to the volume, slice
and tool. In the end the log on the server is read: every stroke that the screen called saved is in it, and none is twice.
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
        saved: of these, those that the screen called saved.
        lost, twice: strokes that were saved and are not in the log; strokes that are in it more than once.
        strayed: starts that came back to another place, as ``wanted, found``.
        moments: what the hand did when the tablet was killed, by kind.
    """

    kills: int = 0
    drawn: int = 0
    saved: int = 0
    lost: list[int] = field(default_factory=list)
    twice: list[int] = field(default_factory=list)
    strayed: list[str] = field(default_factory=list)
    moments: Counter[str] = field(default_factory=Counter)

    @property
    def wrong(self) -> bool:
        """Something was lost, doubled or strayed."""
        return bool(self.lost or self.twice or self.strayed)


class Session:
    """One long session of the hand, over all lives of the tablet."""

    def __init__(self, seed: int) -> None:
        self.outcome = Outcome()
        self.places: list[tuple[int, str]] = []  # slice and tool before and after what is done now
        self._random = random.Random(seed)
        self._number = 0

    def live(self, hand: Hand, doing: Callable[[str], None]) -> None:
        """Draw and look around until the tablet is killed. Raises: CalqueError."""
        while True:
            kind = self._random.choice(("stroke", "stroke", "stroke", "slice", "tool"))
            doing(kind)
            if kind == "slice":
                self._go(hand, min(SHAPE[0] - 1, self.places[-1][0] + self._random.randint(1, 3)))
            elif kind == "tool":
                self._take(hand, self._random.choice(("object", "background", "eraser")))
            else:
                self._go(hand, self._number // ROWS)
                if self.places[-1][1] == "eraser":
                    self._take(hand, "object")
                row = FIRST_ROW + 2 * (self._number % ROWS)
                self._number += 1
                self.outcome.drawn += 1
                hand.do("stroke", x=[10.0, 30.0, 60.0], y=[float(row)] * 3)
                doing("looking")
                if hand.do("state")["connection"].startswith("Saved"):
                    self.outcome.saved = self.outcome.drawn

    def _go(self, hand: Hand, index: int) -> None:
        self.places = [self.places[-1], (index, self.places[-1][1])]
        hand.do("slice", slice=index)
        self.places = self.places[-1:]

    def _take(self, hand: Hand, tool: str) -> None:
        self.places = [self.places[-1], (self.places[-1][0], tool)]
        hand.do("tool", tool=tool)
        self.places = self.places[-1:]

    def come_back(self, hand: Hand) -> None:
        """Wait until the tablet, started anew, is where it ended."""
        state = wait(hand, lambda state: state["screen"] == "viewer")
        found = (state["slice"], state["tool"])
        slices = [index for index, _ in self.places]  # the wheel was perhaps under way from one to the other
        if not min(slices) <= found[0] <= max(slices) or found[1] not in [tool for _, tool in self.places]:
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
                    state = hand.do("open", volume=imported.volume_id) and hand.do("state")
                    session.places = [(state["slice"], state["tool"])]
                if trial == trials:
                    wait(hand, lambda state: state["connection"] == "Saved on server")
                    hand.do("quit")
                    break
                killer = threading.Timer(chance.uniform(0.05, 3.0), tablet.kill)
                killer.start()
                try:
                    session.live(hand, lambda kind: doing.__setitem__(0, kind))
                except CalqueError:
                    assert tablet.wait(SECONDS) == -9
                killer.join()
            outcome.kills += 1
            outcome.moments[doing[0]] += 1
            say(f"{outcome.kills} kills, {outcome.drawn} strokes begun, {outcome.saved} saved")
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
    outcome.lost = [number for number in range(outcome.saved) if not found[number]]
    outcome.twice = [number for number, times in found.items() if times > 1]


def _number(body: EventBody) -> int:
    """Which stroke of the hand it is, from its slice and row."""
    return body.stroke.slice * ROWS + round((float(np.mean(body.stroke.y)) - FIRST_ROW) / 2)


def main(trials: int, seed: int) -> int:
    """Print what came of it, a line in the end. Returns: 1 where something was lost, doubled or strayed."""
    with tempfile.TemporaryDirectory(prefix="calque-kills-") as folder:
        outcome = kills(trials, seed, Path(folder), lambda text: print(text, flush=True))
    for trouble in (*outcome.strayed, *map(str, outcome.lost), *map(str, outcome.twice)):
        print(trouble)
    moments = ", ".join(f"{times} {what}" for what, times in sorted(outcome.moments.items()))
    print(
        f"{outcome.kills} kills ({moments}): {outcome.drawn} strokes begun, {outcome.saved} shown as saved, "
        f"{len(outcome.lost)} of them lost, {len(outcome.twice)} drawn twice, {len(outcome.strayed)} starts elsewhere"
    )
    return int(outcome.wrong)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
