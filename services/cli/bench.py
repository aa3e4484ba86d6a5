"""``calque bench``: speed as ratios to the plain way, in one run."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from rich.console import Console

from services.bench.latency import measure
from services.cli.children import peak_mib, services


def run_bench(strokes: int, report: Path | None) -> None:
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
