"""The real command as a child process: `calque serve` on a free port, ended however a test likes."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SECONDS = 60.0
ROOT = Path(__file__).resolve().parents[1]


class Serving:
    """``python -m services.cli serve …``; what it writes on standard error is kept in a file.

    It does not encrypt, unless ``CALQUE_TLS`` or a certificate says so: most tests are about something else. Another
    ``module``, with arguments of its own, may stand for ``services.cli``.
    """

    def __init__(
        self, folder: Path, *arguments: str, module: Sequence[str] = ("services.cli",), **environment: str
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"stderr-{time.monotonic_ns()}.txt"
        paths = os.pathsep.join([str(ROOT), str(ROOT / "proto")])
        plain = {} if {"CALQUE_TLS", "CALQUE_CERTIFICATE"} & set(environment) else {"CALQUE_TLS": "off"}
        kept = {key: value for key, value in os.environ.items() if not key.startswith("CALQUE_")}
        with open(self.log, "wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *module, "serve", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=folder,
                env={**kept, "PYTHONPATH": paths, **plain, **environment},
            )

    def address(self) -> str:
        """Wait for its one line. Returns the address in it."""
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as ready:
            ready.register(self.process.stdout, selectors.EVENT_READ)
            assert ready.select(SECONDS), "The server did not start."
        self.line = self.process.stdout.readline().decode()
        assert self.line.startswith("Calque serves "), self.errors()
        return self.line.split()[-1]

    def ended(self) -> int:
        """Wait for its end. Returns the exit status."""
        return self.process.wait(SECONDS)

    def errors(self) -> str:
        """What it wrote on standard error."""
        return self.log.read_text()

    def __enter__(self) -> Serving:
        return self

    def __exit__(self, *_: Any) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
