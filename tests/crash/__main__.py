"""Run crash trials: ``python -m tests.crash TRIALS directory|s3``. Stopped, it goes on where it was."""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from services.core import pipeline
from services.store import segments
from services.volumes import servicer
from tests.crash.check import Found
from tests.crash.points import Counters, Point, points
from tests.crash.processes import Place
from tests.crash.trial import KILLS, Gateway, Trial
from tests.rgw import Running, installed, run
from tests.s3 import new_bucket

TROUBLES = ("lost", "duplicated", "unreadable", "different", "stuck")
_STORE_TRIALS = 25  # a store has so many trials, then comes a new one


@dataclass
class Tally:
    """What came of the trials so far."""

    trials: int = 0
    acknowledged: int = 0
    masks: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)

    def add(self, trial: Trial, found: Found) -> None:
        """Count a trial; its kills at failpoints are counted by the `Counters`."""
        self.trials += 1
        self.acknowledged += found.acknowledged
        self.masks += found.masks
        self.killed.update(trial.kills)
        self.wrong.update(found.wrong)

    def line(self, store: str) -> str:
        """All of it in a line."""
        killed = ", ".join(f"{name} {self.killed[name]}" for name in [p.name for p in points(store)] + moments(store))
        wrong = ", ".join(f"{kind} {self.wrong[kind]}" for kind in TROUBLES)
        return (
            f"{self.trials} trials on the {store} store; killed at: {killed}; "
            f"of {self.acknowledged} acknowledged events and {self.masks} masks: {wrong}"
        )


def moments(store: str) -> list[str]:
    """Who is killed at random moments."""
    return ["server", "tablet", *(["store"] if store == "s3" else [])]


def victims(store: str, number: int, seed: int) -> list[Point | str]:
    """Whom a trial kills: all come in turn, in an order that the seed shuffles anew each round."""
    every: list[Point | str] = [*points(store), *moments(store)]
    chosen: list[Point | str] = []
    for place in range(number * KILLS, (number + 1) * KILLS):
        turn, which = divmod(place, len(every))
        victim = random.Random(f"{seed} {turn}").sample(every, len(every))[which]
        if isinstance(victim, Point) and victim.kind == "log":
            victim = Point(victim.writer, victim.kind, victim.step, 1 + random.Random(place).randrange(16))
        chosen.append(victim)
    return chosen


@contextmanager
def places(store: str, folder: Path) -> Iterator[tuple[Place, Gateway | None]]:
    """A new store of this kind, which goes with the context."""
    with ExitStack() as stack:
        if store == "directory":
            yield Place(folder / "store"), None
        else:
            ceph = _started(stack)
            yield Place(new_bucket(ceph.server, folder)), Gateway(ceph.kill_gateway, ceph.start_gateway)


def _started(stack: ExitStack) -> Running:
    """An S3 server of our own; another one where its ports were taken by somebody else while it started."""
    for left in (2, 1, 0):
        own = ExitStack()  # ends gateways that are started later, too
        try:
            ceph = run(Path(own.enter_context(tempfile.TemporaryDirectory(prefix="calque-rgw-"))), own)
        except (subprocess.CalledProcessError, OSError):
            own.close()
            if not left:
                raise
            continue
        stack.push(own)
        return ceph
    raise AssertionError


def trials(store: str, numbers: range, seed: int, tally: Tally, *, wrong: bool = False) -> Iterator[Found]:
    """Run trials one after the other, and count them. ``wrong``: on the build that must be caught."""
    segments.ENTRIES = segments.KEPT = 8  # so that a short log has segments; every process is forked from this one
    pipeline.warm_up()
    pipeline.warm_up = lambda: None  # no server need do it again
    servicer.warm_up = lambda: None  # the process that reads files takes a second to start, and no trial has any
    with tempfile.TemporaryDirectory(prefix="calque-crash-") as name:
        for start in range(numbers.start, numbers.stop, _STORE_TRIALS):
            folder = Path(name) / f"from-{start}"
            folder.mkdir()
            with places(store, folder) as (place, gateway):
                for number in range(start, min(start + _STORE_TRIALS, numbers.stop)):
                    counters = Counters(store)
                    chosen = victims(store, number, seed)
                    trial = Trial(number, seed, chosen, place, folder / f"{number}", counters, gateway, wrong)
                    found = trial.run()
                    tally.add(trial, found)
                    tally.killed.update(counters.killed())
                    yield found
            shutil.rmtree(folder, ignore_errors=True)


def main(count: int, store: str, seed: int, out: Path, *, wrong: bool) -> int:
    """Run the trials that are missing. Returns: an exit status."""
    if store == "s3" and not installed():
        print("Ceph's RGW is not installed; deploy/setup/object_store.sh does it on Debian.", file=sys.stderr)
        return 2
    out.mkdir(exist_ok=True)
    state = out / f"crash-trials-{store}-{seed}{'-wrong' * wrong}.json"
    tally = Tally()
    if state.exists():
        said = json.loads(state.read_text())
        tally = Tally(**{name: Counter(value) if isinstance(value, dict) else value for name, value in said.items()})
    for found in trials(store, range(tally.trials, count), seed, tally, wrong=wrong):
        for sentence in found.sentences:
            print(f"trial {tally.trials}: {sentence}", flush=True)
        state.write_text(json.dumps(tally.__dict__))
        if tally.trials % 50 == 0:
            print(tally.line(store), flush=True)
        if wrong and tally.wrong.total():
            break
    print(tally.line(store))
    return 1 if tally.wrong.total() else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.crash", description=__doc__)
    parser.add_argument("trials", type=int)
    parser.add_argument("store", choices=("directory", "s3"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of what is known of earlier trials")
    parser.add_argument("--wrong", action="store_true", help="on a build that acknowledges before it writes, until caught")
    return parser.parse_args()


if __name__ == "__main__":
    given = _arguments()
    sys.exit(main(given.trials, given.store, given.seed, given.out, wrong=given.wrong))
