"""``calque robot``: how few strokes a preset needs, by a simulated clinician that draws through the real services."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from services.bench import cases, choice
from services.bench.client import Client
from services.bench.drawing import Way
from services.bench.figures import Foresight, Result, foresight, habits, over_volumes, reached, report
from services.bench.habits import VARIANTS
from services.bench.person import PAPER_BY_HAND_SECONDS, PAPER_SECONDS
from services.bench.robot import GOALS, USUAL, Answer, Run, segment
from services.cli import reach
from services.cli.children import services
from services.cli.run import ending_on_signals
from services.cli.words import printable
from services.core.errors import InvalidInput, Unavailable
from services.formats.source import source_files
from services.segmentation.exports import versions

TABLE_WIDTH = 110
"""Characters of a line where the output is no terminal."""
DRAWN: tuple[Callable[[Answer], float], ...] = (lambda a: a.strokes, lambda a: a.stroke_pixels, lambda a: a.stroke_mm)


@dataclass(frozen=True)
class Options:
    """What ``calque robot`` was asked for; see its help."""

    image: Path | None
    mask: Path | None
    label: int
    manifest: Path | None
    way: Way
    corrections: int
    seeds: tuple[int, ...]
    variants: bool
    look: str
    server: str
    certificate: Path | None
    json: Path | None
    plot: Path | None


def run_robot(options: Options) -> None:
    """Measure, print, and write what was asked for. Raises: CalqueError."""
    if options.look not in choice.WAYS:
        raise InvalidInput(f"The clinician cannot look “{options.look}”; there is {', '.join(choice.WAYS)}.")
    chosen = _cases(options)
    for path in (options.json, options.plot):
        if path and not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
            raise InvalidInput(f"{path.name} cannot be written: its folder is not there, or is not yours to write to.")
    if options.plot and find_spec("matplotlib") is None:
        raise Unavailable("A plot needs matplotlib, which is not installed; install calque[bench].")
    with _address(options.server) as address:
        client = reach.client(address, options.certificate)
        try:
            results = _measure(client, chosen, options)
        finally:
            client.close()
    console = Console(highlight=False, width=None if Console().is_terminal else TABLE_WIDTH)
    for table in _tables(results):
        console.print(table)
    for line in _sentences(results):
        console.print(line)
    _write(results, options)


def _cases(options: Options) -> list[cases.Case]:
    alone = options.image is not None and options.mask is not None and options.manifest is None
    if alone:
        assert options.image is not None
        assert options.mask is not None
        case = cases.Case(name=options.image.name, image=options.image, mask=options.mask, label=options.label)
        cases.check(case)
        return [case]
    if options.manifest is None or options.image or options.mask or options.label:
        raise InvalidInput("Say --image and --mask, with --label where one is meant, or --manifest alone.")
    return cases.read_manifest(options.manifest)


@contextmanager
def _address(server: str) -> Iterator[str]:
    """Services that run already, or some of our own on an empty store."""
    if server:
        yield server
        return
    with (
        ending_on_signals(),
        tempfile.TemporaryDirectory(prefix="calque-robot-") as folder,
        services(Path(folder) / "store") as (address, _),
    ):
        yield address


def _measure(client: Client, chosen: Sequence[cases.Case], options: Options) -> list[Result]:
    ways = [USUAL, *(VARIANTS if options.variants else ())]
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        total = len(chosen) * len(ways) * len(options.seeds) * (options.corrections + 1)
        task = progress.add_task("Robot", total=total)
        results = []
        for case in chosen:
            progress.update(task, description=printable(case.name))
            loaded = cases.load(case)
            volume = client.import_files(source_files(case.image), name="Robot")  # a file's name may be a patient's
            affine = loaded.volume.affine
            run = partial(segment, client, volume.volume_id, loaded.truth, affine, way=options.way, look=options.look)
            if case is chosen[0] and not options.server:  # services that just started load and compile first
                run(corrected=0)
            runs = [
                run(corrected=options.corrections, seed=seed, habit=habit, told=lambda: progress.advance(task))
                for habit in ways
                for seed in options.seeds
            ]
            results.append(
                Result(
                    name=case.name,
                    digest=volume.digest,
                    label=case.label,
                    shape=loaded.volume.shape,
                    spacing_mm=loaded.volume.spacing_mm,
                    object_voxels=int(np.count_nonzero(loaded.truth)),
                    runs=tuple(runs),
                )
            )
    return results


def _tables(results: Sequence[Result]) -> list[Table]:
    best = _dice_table("Dice at the best threshold", results)
    default = _dice_table("Dice at the default threshold", results, default=True)
    return [best, default, _work_table(results), *([_habit_table(results)] if habits(results) else [])]


def _dice_table(title: str, results: Sequence[Result], *, default: bool = False) -> Table:
    def dice(answer: Answer) -> float:
        return answer.default_dice if default else answer.dice

    rows = {result.name: result.mean(dice) for result in results}
    if len(results) > 1:
        rows["mean"], rows["spread"] = over_volumes(results, dice)
    return _by_correction(title, rows)


def _habit_table(results: Sequence[Result]) -> Table:
    rows = {name: over_volumes(results, lambda a: a.dice, name)[0] for name in habits(results)}
    mean = np.mean(list(rows.values()), axis=0)
    usual = over_volumes(results, lambda a: a.dice)[0]
    return _by_correction("Dice, other habits of the hand", {USUAL: usual, **rows, "mean of the others": mean})


def _by_correction(title: str, rows: dict[str, NDArray[np.float64]]) -> Table:
    table = _table(title)
    for number in range(len(next(iter(rows.values())))):
        table.add_column(str(number), justify="right")
    for name, row in rows.items():
        table.add_row(escape(printable(name)), *(f"{value:.3f}" for value in row), style="bold" if name == "mean" else None)
    return table


def _work_table(results: Sequence[Result]) -> Table:
    table = _table("What was drawn in all, and how long it takes")
    for column in ("strokes", "pixels", "mm", "machine s", "longest s", *(f"to {goal} s" for goal in GOALS)):
        table.add_column(column, justify="right")

    def work(name: str, some: Sequence[Result], style: str | None = None) -> None:
        runs = [run for result in some for run in result.runs if run.habit == USUAL]
        machine = [one.effort.machine_seconds for run in runs for one in run.answers]
        drawn = [over_volumes(some, figure)[0][-1] for figure in DRAWN]
        times = [_time(*reached(some, goal)) for goal in GOALS]
        figures = [*(f"{value:.0f}" for value in drawn), f"{median(machine):.2f}", f"{max(machine):.2f}", *times]
        table.add_row(escape(printable(name)), *figures, style=style)

    for result in results:
        work(result.name, [result])
    if len(results) > 1:
        work("mean", results, "bold")
    return table


def _time(seconds: float | None, number: int, of: int) -> str:
    if seconds is None:
        return "not reached"
    return f"{seconds:.0f}" + (f" ({number} of {of})" if number < of else "")


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE)
    table.add_column("", no_wrap=True)
    return table


def _sentences(results: Sequence[Result]) -> list[str]:
    run = results[0].runs[0]
    known = foresight(results)
    return [
        "Columns count corrections. The default threshold is the service's, the best one that of the slider.",
        f"Preset {run.preset}, {_how(run)}, engine {run.engine}.",
        "Machine: from the end of the last stroke to the whole volume, median.",
        "To a Dice: the modelled time of a person, at the best threshold, the machine's time included. The paper has "
        f"{PAPER_SECONDS / 60:.0f} minutes to above 0.8 with its application, {PAPER_BY_HAND_SECONDS / 60:.0f} by hand.",
        *([_foreseen(known)] if known else []),
    ]


def _foreseen(known: Foresight) -> str:
    good, others = (f"{value:.3f}" if value is not None else "–" for value in (known.dice_enough, known.dice_else))
    return (
        f"The service expected the Dice of its masks to within {known.off:.3f} on average. It called {known.enough} of "
        f"{known.masks} good enough: their Dice was {good}, that of the others {others}."
    )


def _how(run: Run) -> str:
    done = [what for what, on in (("connected", run.connected), ("holes filled", run.fill_holes)) if on]
    if run.latent_model:
        done.append(f"latent features of the encoder {run.latent_model[:12]}")
    return ", ".join([run.classifier.replace("_", " "), *done])


def _write(results: Sequence[Result], options: Options) -> None:
    run = results[0].runs[0]
    try:
        if options.json:
            settings = {
                "preset": run.preset,
                "engine": run.engine,
                "classifier": run.classifier,
                "connected": run.connected,
                "fill_holes": run.fill_holes,
                "latent_model": run.latent_model,
                "corrections": options.corrections,
                "seeds": list(options.seeds),
                "variants": options.variants,
                "own_services": not options.server,
                "cores": os.cpu_count(),
                "versions": versions(),
            }
            options.json.write_text(json.dumps(settings | report(results), indent=1))
        if options.plot:
            from services.bench.plot import draw

            draw(results, options.plot, f"Preset {run.preset}, {len(results)} volumes")
    except OSError as error:
        raise Unavailable(f"The figures could not be written: {error.strerror}.") from error
