"""``calque bench``: speed as ratios to the plain way, in one run."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from services.bench.cases import load, read_manifest
from services.bench.classifiers import Compared, compare, draw_comparison
from services.bench.forests import draw, draw_on, measure_forests
from services.bench.frames import Frames, lines
from services.bench.frames import figures as frame_figures
from services.bench.importing import measure_imports
from services.bench.phantom import phantom
from services.bench.speed import Bench, Effort
from services.bench.table import check_place, figures, markdown, put_table
from services.cli.children import child, peak_mib, services, virtual_display
from services.cli.reach import client
from services.core.errors import Reason, Unavailable
from services.formats.sample import Tissue

TISSUES: tuple[Tissue, ...] = ("white", "grey")


def bench_speed(slices: int, size: int, effort: Effort, report: Path | None, page: Path | None) -> None:
    """Measure on services of our own; print, write JSON and the table into a page where asked. Raises: CalqueError."""
    console = Console(highlight=False, soft_wrap=True)
    if page:
        check_place(page)
    with (
        tempfile.TemporaryDirectory(prefix="calque-bench-") as folder,
        services(Path(folder) / "store") as (address, server),
    ):
        console.print(f"Making a volume of {size} × {size} × {slices} …")
        bench = Bench(
            partial(client, address), phantom(slices, size), Path(folder), effort, lambda: (peak_mib(server.pid) or 0) << 20
        )
        speed = bench.run(console.print)
    table = markdown(speed)
    console.print(table, markup=False)
    if report:
        report.write_text(json.dumps(figures(speed), indent=1))
    if page:
        put_table(page, table)


def bench_imports(rounds: int, report: Path | None) -> None:
    """Measure imports on services of our own, print, and write JSON where asked. Raises: CalqueError."""
    console = Console(highlight=False, soft_wrap=True)
    console.print("Writing a volume of 512 × 512 × 200 as DICOM and NIfTI …")
    with (
        tempfile.TemporaryDirectory(prefix="calque-bench-") as folder,
        services(Path(folder) / "store") as (address, server),
    ):
        imports = {
            name: found.summary()
            for name, found in measure_imports(client(address), server.pid, Path(folder), rounds).items()
        }
    for name, figure in imports.items():
        console.print(
            f"{name:>9}  time {figure['time_ratio_median']:.2f} (best {figure['time_ratio_best']:.2f}) × the plain way's "
            f"{figure['plain_median_s']:.3f} s, memory {figure['memory_ratio']:.2f} × the voxels"
            + (f", first picture after {figure['preview_median_s']:.3f} s" if "preview_median_s" in figure else "")
        )
    if report:
        report.write_text(json.dumps(imports, indent=1))


def bench_frames(slices: int, size: int, rounds: int, report: Path | None) -> None:
    """Measure frames of the tablet on a display of software, print, and write JSON where asked. Raises: CalqueError."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Making a volume of {size} × {size} × {slices} …")
    with tempfile.TemporaryDirectory(prefix="calque-bench-") as folder, virtual_display("1280x800") as environment:
        voxels = Path(folder) / "voxels.npy"
        np.save(voxels, phantom(slices, size).volume.voxels.astype(np.uint16))
        console.print("The hand draws, scrolls and slides …")
        command = [sys.executable, "-m", "tablet_client.hand.frames", str(voxels), "--rounds", str(rounds)]
        with child(command, environment=environment) as tablet:
            assert tablet.stdout is not None
            said = tablet.stdout.read()
            if tablet.wait():
                raise Unavailable("The tablet ended before its frames were measured.", Reason.SERVICE_UNAVAILABLE)
    found = Frames(**json.loads(said))
    for line in lines(found):
        console.print(line, markup=False)
    if report:
        report.write_text(json.dumps(frame_figures(found), indent=1))


def bench_forests(rounds: int, report: Path | None) -> None:
    """Measure fitting and asking the forest, print, and write JSON where asked. Raises: CalqueError."""
    console = Console(highlight=False, soft_wrap=True)
    console.print("Drawing white and grey matter on the sample MRI …")
    forests = {tissue: measure_forests(tissue, rounds) for tissue in TISSUES}
    for name in forests["white"]:
        console.print(f"{name:>26}  white {forests['white'][name]:<10.4g} grey {forests['grey'][name]:.4g}")
    if report:
        report.write_text(json.dumps(forests, indent=1))


def bench_classifiers(manifest: Path | None, report: Path | None, plot: Path | None) -> None:
    """Compare classifiers on volumes, or on the sample MRI; print, write JSON and plot where asked. Raises: CalqueError."""
    console = Console(highlight=False, soft_wrap=True)
    results: dict[str, list[Compared]] = {}
    for case in read_manifest(manifest) if manifest else []:
        console.print(f"{case.name} …")
        loaded = load(case)
        results[case.name] = compare(draw_on(loaded.volume, loaded.truth, slice(None), 0))
    for tissue in () if manifest else TISSUES:
        console.print(f"{tissue} matter of the sample MRI …")
        results[tissue] = compare(draw(tissue, 0))
    table = Table("volume", "classifier", "Dice", "fit s", "whole volume s")
    for name, found in results.items():
        for one in found:
            table.add_row(name, one.classifier, f"{one.dice:.3f}", f"{one.fit_s:.3f}", f"{one.predict_s:.2f}")
    console.print(table)
    if report:
        report.write_text(json.dumps({name: [asdict(one) for one in found] for name, found in results.items()}, indent=1))
    if plot:
        draw_comparison(results, plot)
