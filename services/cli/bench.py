"""``calque bench``: speed as ratios to the plain way, in one run."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from rich.console import Console

from services.bench.importing import measure_imports
from services.bench.latency import measure
from services.cli.children import peak_mib, services


def bench_strokes(strokes: int, report: Path | None) -> None:
    """Measure on services of our own, print, and write JSON where asked. Raises: CalqueError."""
    console = Console(highlight=False, soft_wrap=True)
    with (
        tempfile.TemporaryDirectory(prefix="calque-bench-") as folder,
        services(Path(folder) / "store") as (address, server),
    ):
        console.print(f"{strokes} strokes on one slice of the sample MRI …")
        figures = measure(address, strokes).summary() | {"peak_mib": float(peak_mib(server.pid) or 0)}
    for name, value in figures.items():
        console.print(f"{name:>22}  {value:.2f}")
    if report:
        report.write_text(json.dumps(figures, indent=1))


def bench_imports(rounds: int, report: Path | None) -> None:
    """Measure imports on services of our own, print, and write JSON where asked. Raises: CalqueError."""
    console = Console(highlight=False, soft_wrap=True)
    console.print("Writing a volume of 512 × 512 × 200 as DICOM and NIfTI …")
    with (
        tempfile.TemporaryDirectory(prefix="calque-bench-") as folder,
        services(Path(folder) / "store") as (address, server),
    ):
        figures = {
            name: found.summary() for name, found in measure_imports(address, server.pid, Path(folder), rounds).items()
        }
    for name, figure in figures.items():
        console.print(
            f"{name:>9}  time {figure['time_ratio_median']:.2f} (best {figure['time_ratio_best']:.2f}) × the plain way's "
            f"{figure['plain_median_s']:.3f} s, memory {figure['memory_ratio']:.2f} × the voxels"
            + (f", first picture after {figure['preview_median_s']:.3f} s" if "preview_median_s" in figure else "")
        )
    if report:
        report.write_text(json.dumps(figures, indent=1))
