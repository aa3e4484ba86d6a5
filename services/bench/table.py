"""What `services.bench.speed` measured, as a table for people and as figures for programs."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from services.bench.latency import percentile
from services.bench.speed import ACROSS, PRESETS, Speed, Times
from services.core.errors import InvalidInput

BEGIN, END = "<!-- calque bench: begin -->", "<!-- calque bench: end -->"
_HEAD = ("", "Calque", "beside", "ratio", "goal")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what was measured.
        value: of Calque, with its unit.
        beside: what it is compared with, or empty.
        ratio: how many times as fast, or what of the other; None without one.
        least, most: what the ratio should be; None: nothing is asked.
    """

    name: str
    value: str
    beside: str = ""
    ratio: float | None = None
    least: float | None = None
    most: float | None = None

    @property
    def goal(self) -> str:
        """What is asked, in words."""
        if self.least is not None:
            return f"≥ {self.least:g}"
        return "" if self.most is None else f"≤ {self.most:g}"

    @property
    def cells(self) -> tuple[str, ...]:
        """As the table has it."""
        ratio = "" if self.ratio is None else f"{self.ratio:.1f}" if self.ratio < 20 else f"{self.ratio:.0f}"
        return self.name, self.value, self.beside, ratio, self.goal


def rows(speed: Speed) -> list[Row]:
    """The table: milliseconds and ratios are medians, and times in brackets 95 of 100 are below."""
    voxels = speed.size[0] * speed.size[1] * speed.size[2]
    paper, calque = PRESETS
    found = [
        _faster("stroke to mask of the visible slice, cold", speed.cold["axial"], least=8),
        _faster("the same, warm", speed.warm["axial"], least=4),
    ]
    for plane in ACROSS:
        name = plane.name.lower()
        found.append(_faster(f"stroke to mask of a {name} slice, across, cold", speed.cold[name]))
        found.append(_faster("the same, warm", speed.warm[name]))
    found += [
        _faster("whole volume from nothing", speed.nothing, least=8),
        _faster("whole volume after one more stroke", speed.repeated, least=3),
        _step("features of the volume, without wire", speed, "features_ms", least=15),
        _step("fit, without wire", speed, "fit_ms"),
        _step("probability of the volume, without wire", speed, "predict_ms", least=3),
    ]
    for name, figures, most in (
        ("stroke to mask of the visible slice", speed.visible, 2.5),
        ("whole volume after one more stroke", speed.volume, 4.0),
        ("whole volume from nothing", speed.from_nothing, 4.0),
    ):
        ratio = median(figures[calque]) / median(figures[paper])
        found.append(
            Row(f"preset `calque`: {name}", _time(figures[calque]), f"`paper`: {_time(figures[paper])}", ratio, most=most)
        )
    means = [median(one) for one in speed.crowd]
    found += [
        Row(
            f"{len(means)} sessions at once: median of the slowest",
            _ms(max(means)),
            f"mean: {_ms(mean(means))}",
            max(means) / mean(means),
            most=1.5,
        ),
        Row("acknowledgement of a stroke while the volume is computed", _time(speed.acknowledged)),
        Row(
            "probabilities sent for one stroke",
            _megabytes(median(speed.packed)),
            f"not packed: {_megabytes(median(speed.unpacked))}",
            median(speed.unpacked) / median(speed.packed),
        ),
    ]
    for preset, most in zip(PRESETS, (24, 40)):
        each = speed.workspace[preset] / voxels
        found.append(Row(f"arrays of a `{preset}` session, bytes a voxel", f"{each:.1f}", ratio=each, most=most))
        found.append(Row(f"peak memory of the server with one `{preset}` session", _megabytes(speed.peak[preset])))
    return found


def markdown(speed: Speed) -> str:
    """The table, with a line on where and on what it was measured."""
    slices, height, width = speed.size
    lines = [
        f"{height} × {width} × {slices} voxels, {machine(speed.cores)}; medians, in brackets the 95th percentile. Where "
        f"nothing else is said, preset `paper` is beside the plain way, whose features were computed with {speed.way}.",
        "",
        _line(_HEAD),
        _line(["---"] * len(_HEAD)),
        *(_line(row.cells) for row in rows(speed)),
    ]
    return "\n".join(lines)


def figures(speed: Speed) -> dict[str, Any]:
    """Every time that was measured, and the table's rows."""
    table = [asdict(row) | {"goal": row.goal} for row in rows(speed)]
    return {"machine": machine(speed.cores), "table": table, "measured": asdict(speed)}


def put_table(path: Path, table: str) -> None:
    """Put the table into a Markdown file in the place of the one that is there, between `BEGIN` and `END`.

    Raises:
        InvalidInput: the file cannot be read, or it has no such place.
    """
    check_place(path)
    before, rest = path.read_text(encoding="utf-8").split(BEGIN, 1)
    path.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.split(END, 1)[1]}", encoding="utf-8")


def check_place(path: Path) -> None:
    """Refuse a file that `put_table` would refuse. Raises: InvalidInput."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path.name} cannot be read.") from error
    if END not in text.partition(BEGIN)[2]:
        raise InvalidInput(f"{path.name} has no place for the table, between “{BEGIN}” and “{END}”.")


def machine(cores: int) -> str:
    """This machine in words."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{cores} cores of {named or platform.processor() or platform.machine()}"


def _faster(name: str, times: Times, least: float | None = None) -> Row:
    ratio = median(times.plain) / median(times.service)
    return Row(name, _time(times.service), _time(times.plain), ratio, least)


def _step(name: str, speed: Speed, step: str, least: float | None = None) -> Row:
    ours, plain = ([getattr(one, step) for one in some] for some in (speed.ours, speed.plain))
    return Row(name, _ms(median(ours)), _ms(median(plain)), median(plain) / median(ours), least)


def _time(times: list[float]) -> str:
    few = len(times) < 5
    return _ms(median(times)) if few else f"{_ms(median(times))} ({_ms(percentile(times, 95))})"


def _ms(value: float) -> str:
    return f"{value:.0f} ms" if value < 2000 else f"{value / 1000:.1f} s"


def _megabytes(value: float) -> str:
    return f"{value / 1e6:.1f} MB" if value < 1e8 else f"{value / 1e6:.0f} MB"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
