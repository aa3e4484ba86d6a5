"""The main job by the scripted hand: a simulated clinician says what to draw, the hand draws it on the real tablet.

The clinician knows the truth and never touches the tablet; the hand touches it and never sees the truth. What is printed is
computed from the files that the services wrote, as another program would read them.
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from calque.v1 import volumes_pb2
from numpy.typing import NDArray
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from skimage.filters import threshold_otsu
from skimage.measure import label as connected

from services.bench.client import Client
from services.bench.clinician import (
    Labelling,
    PenStroke,
    best_intensity_threshold,
    best_seen,
    corrections,
    first_strokes,
)
from services.bench.habits import Habit
from services.cli.children import peak_mib
from services.cli.source import Source
from services.core.errors import Reason, Unavailable
from services.core.labels import BACKGROUND, OBJECT
from services.core.mask import DEFAULT_THRESHOLD, dice
from services.core.volume import Volume
from services.formats.masks import read_mask
from services.formats.read import read_volume
from services.formats.sample import reference_mask
from services.formats.source import SourceFile, source_files

CORRECTIONS = 1
BRIEF = Habit(most=12)
"""White matter has far more branches than anybody would care to watch being drawn."""
EXCHANGED = Labelling(BACKGROUND, OBJECT)
_ANSWER_SECONDS = 300.0
_PLANES = {1: "axial", 2: "coronal", 3: "sagittal"}


@dataclass(frozen=True)
class Desk:
    """What the script works with: the services, the tablet's process, the volume on it, and where files go."""

    console: Console
    client: Client
    server_pid: int
    tablet: subprocess.Popen[str]
    volume: volumes_pb2.Volume
    out: Path


@dataclass(frozen=True)
class Task:
    """One object to segment.

    Attributes:
        name: of the annotation and of the folder of its files.
        truth: ``(slices, rows, columns)`` bool, what the clinician looks for.
        bare: how far the best threshold on the bare image gets; None where the truth is no reference, and Dice says
            nothing.
        labelling: what the labels mean, exchanged perhaps.
    """

    name: str
    truth: NDArray[np.bool_]
    bare: tuple[float, str] | None
    labelling: Labelling = field(default_factory=Labelling)


@dataclass
class Outcome:
    """What came of a task; times in milliseconds, volumes in millilitres."""

    name: str
    threshold: int = 0
    dice: float | None = None
    dice_first: float | None = None
    dice_intensity: float | None = None
    intensity_rule: str = ""
    object_ml: float = 0.0
    strokes: int = 0
    steps_ms: dict[str, float] = field(default_factory=dict)


class Hand:
    """The scripted hand on the tablet: one JSON line each way."""

    def __init__(self, tablet: subprocess.Popen[str]) -> None:
        self._tablet = tablet
        self._answers: queue.Queue[str] = queue.Queue()
        self._chosen: dict[str, dict[str, Any]] = {}
        threading.Thread(target=self._listen, daemon=True).start()

    def do(self, what: str, **details: Any) -> dict[str, Any]:
        """Have something done and wait for it. Raises: Unavailable, with what the hand says."""
        assert self._tablet.stdin is not None
        try:
            self._tablet.stdin.write(json.dumps({"do": what, **details}) + "\n")
            self._tablet.stdin.flush()
            line = self._answers.get(timeout=_ANSWER_SECONDS)
        except (BrokenPipeError, queue.Empty):
            line = ""
        if not line:
            raise Unavailable(f"The tablet did not answer while the hand did “{what}”.", Reason.SERVICE_UNAVAILABLE)
        answer: dict[str, Any] = json.loads(line)
        if not answer["ok"]:
            raise Unavailable(f"The hand could not do “{what}”: {answer['error']}", Reason.SERVICE_UNAVAILABLE)
        return answer

    def choose(self, what: str, **details: Any) -> dict[str, Any]:
        """Have something chosen, unless it was chosen before and nothing else since."""
        if self._chosen.get(what) == details:
            return {"ms": 0.0}
        self._chosen[what] = details
        return self.do(what, **details)

    def forget(self) -> None:
        """What was chosen may have changed: choose anew."""
        self._chosen.clear()

    def _listen(self) -> None:
        assert self._tablet.stdout is not None
        for line in self._tablet.stdout:
            self._answers.put(line)
        self._answers.put("")


def run_script(desk: Desk, *, source: Source, reference: Path | None) -> None:
    """Do the main job for each task and print what came of it. Raises: CalqueError."""
    volume = source.read()
    tasks = _tasks(volume, source, reference)
    desk.out.mkdir(parents=True, exist_ok=True)
    hand = Hand(desk.tablet)
    hand.do("open", volume=desk.volume.volume_id)
    hand.do("back")
    hand.do("screenshot", file=str(desk.out / "library.png"))
    hand.do("open", volume=desk.volume.volume_id)
    outcomes = [_segment(desk, hand, volume, task) for task in tasks]
    hand.do("quit")
    desk.tablet.wait()
    _report(desk, outcomes)


def _tasks(volume: Volume, source: Source, reference: Path | None) -> list[Task]:
    if source.path is None:
        truths = {"White matter": reference_mask("white"), "Grey matter": reference_mask("grey")}
    elif reference is not None:
        files = source_files(reference)
        mask = read_mask(files[0], shape=volume.shape, affine=volume.affine, source_axes=volume.source_axes)
        truths = {"Object": mask}
    else:
        return [Task("Brightest region", _bright_region(volume), None)]
    intensities = np.stack([volume.intensity(index) for index in range(volume.shape[0])])
    usual = [Task(name, truth, best_intensity_threshold(intensities, truth)) for name, truth in truths.items()]
    return usual + [replace(task, name=f"{task.name}, labels exchanged", labelling=EXCHANGED) for task in usual]


def _bright_region(volume: Volume) -> NDArray[np.bool_]:
    """Something to draw on where nobody said what: the largest bright region of the middle slice."""
    middle = volume.shape[0] // 2
    image = np.nan_to_num(volume.intensity(middle))
    bright = image > threshold_otsu(image) if np.ptp(image) else np.ones_like(image, dtype=bool)  # type: ignore[no-untyped-call]
    regions = connected(bright)  # type: ignore[no-untyped-call]
    found = np.zeros(volume.shape, dtype=bool)
    found[middle] = regions == 1 + int(np.argmax(np.bincount(regions.ravel())[1:]))
    return found


def _segment(desk: Desk, hand: Hand, volume: Volume, task: Task) -> Outcome:
    """One task from its first stroke to its files."""
    desk.console.print(f"[bold]{task.name}[/bold]")
    out = desk.out / task.name.lower().replace(",", "").replace(" ", "-")
    out.mkdir(exist_ok=True)
    result = Outcome(task.name)

    def step(words: str, work: Callable[[], dict[str, Any]], picture: str) -> None:
        desk.console.print(f"  {words} … ", end="")
        took = work().get("ms", 0.0)
        result.steps_ms[words] = took
        desk.console.print(f"{took / 1000:.2f} s")
        hand.do("screenshot", file=str(out / f"{len(result.steps_ms):02d}-{picture}.png"))

    def draw(strokes: tuple[PenStroke, ...]) -> dict[str, Any]:
        result.strokes += len(strokes)
        return {"ms": sum(draw_stroke(hand, stroke) for stroke in strokes)}

    hand.do("new_annotation", name=task.name)
    hand.forget()
    first = first_strokes(task.truth, volume.affine, labelling=task.labelling, habit=BRIEF)
    step(f"{len(first)} strokes on one slice", lambda: draw(first), "strokes")
    step("last stroke to mask of the visible slice", lambda: hand.do("wait_mask"), "mask")
    step("last stroke to the whole volume", lambda: hand.do("wait_volume"), "volume")
    away = min(first[0].slice + 8, volume.shape[0] - 1)
    step(f"scroll {away - first[0].slice} slices on", lambda: hand.choose("slice", slice=away), "scrolled")
    if task.bare:
        seen = best_seen(probability(desk), task.truth, task.labelling)
        result.dice_first = seen.dice
        for number in range(1, CORRECTIONS + 1):
            more = corrections(task.truth, seen.mask, volume.affine, labelling=task.labelling, number=number, habit=BRIEF)
            if not more:
                break
            words = f"correction {number}: {len(more)} strokes on another slice"
            step(words, lambda strokes=more: draw(strokes), f"correct-{number}")  # type: ignore[misc]
            step(f"correction {number} to its mask", lambda: hand.do("wait_mask"), f"corrected-{number}")
            hand.do("wait_volume")
            seen = best_seen(probability(desk), task.truth, task.labelling)
        result.threshold = seen.threshold
    else:
        result.threshold = DEFAULT_THRESHOLD
    step(f"threshold to {result.threshold}", lambda: hand.do("threshold", value=result.threshold), "threshold")
    step("save", lambda: hand.do("save"), "saved")
    _keep_files(desk, hand, out)
    _measure(result, volume, task, out)
    return result


def draw_stroke(hand: Hand, stroke: PenStroke) -> float:
    """Draw a stroke, and choose plane, slice, tool and brush where they are not chosen yet."""
    hand.choose("plane", plane=_PLANES[int(stroke.plane)])
    hand.choose("slice", slice=stroke.slice)
    hand.choose("tool", tool="object" if stroke.label == OBJECT else "background")
    hand.choose("brush", mm=stroke.width_mm)
    return float(hand.do("stroke", x=list(stroke.x), y=list(stroke.y))["ms"])


def probability(desk: Desk) -> NDArray[np.uint8]:
    """The probability as it is now, by the services' own export."""
    annotation = desk.client.annotations(desk.volume.volume_id)[0]
    _, data = desk.client.export(annotation.annotation_id, "probability", "tiff")
    folder = desk.out / ".probability.tif"
    folder.write_bytes(data)
    try:
        return read_volume([SourceFile("probability.tif", folder)]).voxels.astype(np.uint8)
    finally:
        folder.unlink()


def _keep_files(desk: Desk, hand: Hand, out: Path) -> None:
    """Have the tablet export them; those of a run before are replaced."""
    desk.console.print("  export …")
    for kind, form, name in (
        ("annotation", "tiff", "annotation.tif"),
        ("mask", "tiff", "mask.tif"),
        ("mask", "nifti", "mask.nii.gz"),
    ):
        Path(hand.do("export", kind=kind, format=form, folder=str(out))["path"]).replace(out / name)


def _measure(result: Outcome, volume: Volume, task: Task, out: Path) -> None:
    """Figures from the saved files alone."""
    source = SourceFile("mask.nii.gz", out / "mask.nii.gz")
    mask = read_mask(source, shape=volume.shape, affine=volume.affine, source_axes=volume.source_axes)
    found = ~mask if task.labelling.exchanged else mask
    result.object_ml = float(found.sum()) * volume.voxel_ml
    if task.bare:
        result.dice = dice(found, task.truth)
        result.dice_intensity, result.intensity_rule = task.bare


def _report(desk: Desk, outcomes: list[Outcome]) -> None:
    table = Table(title="From the saved files", title_justify="left", box=SIMPLE)
    columns = ("", "Dice", "first", "bare", "mL", "threshold", "strokes", "mask s", "save s")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    for one in outcomes:
        table.add_row(
            one.name,
            "–" if one.dice is None else f"{one.dice:.3f}",
            "–" if one.dice_first is None else f"{one.dice_first:.3f}",
            "–" if one.dice_intensity is None else f"{one.dice_intensity:.3f}",
            f"{one.object_ml:.0f}",
            str(one.threshold),
            str(one.strokes),
            f"{one.steps_ms['last stroke to mask of the visible slice'] / 1000:.2f}",
            f"{one.steps_ms['save'] / 1000:.2f}",
        )
    desk.console.print(table)
    desk.console.print(
        "Dice: of the saved mask. First: before any correction, at the best threshold. Bare: of the best single"
    )
    desk.console.print("threshold on the bare image, without any stroke.")
    desk.console.print(f"Peak memory of the services: {peak_mib(desk.server_pid) or 'unknown'} MiB")
    (desk.out / "summary.json").write_text(json.dumps([vars(one) for one in outcomes], indent=1))
    desk.console.print(f"Files and screenshots are in {desk.out}/.")
