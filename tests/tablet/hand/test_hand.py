"""The application as a program, directed through its stdin as another process does it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.screen

ROOT = Path(__file__).parents[3]


class Program:
    """The application in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.log, self.folder = folder / "log.json", folder
        paths = os.pathsep.join([str(ROOT), str(ROOT / "proto")])
        options = ["--hand", "--journal", str(folder / "journal"), "--size", "1024x768"]
        self.stderr = (folder / "stderr").open("w")
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("phantom_app.py")), str(self.log), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            text=True,
            env={**os.environ, "PYTHONPATH": paths, "KIVY_HOME": str(folder / "kivy")},
        )

    def ask(self, line: str) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def do(self, what: str, **asked: Any) -> dict[str, Any]:
        answer = self.ask(json.dumps({"do": what, "timeout_s": 30, **asked}))
        assert answer["ok"], answer
        assert answer["ms"] >= 0
        return answer

    def refused(self, what: str, **asked: Any) -> str:
        answer = self.ask(json.dumps({"do": what, "timeout_s": 2, **asked}))
        assert not answer["ok"]
        return str(answer["error"])

    def end(self) -> int:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        assert self.process.stdout.read() == ""
        return self.process.wait(30)


@pytest.fixture
def program(display: str, tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path)
    yield program
    if program.process.poll() is None:
        program.process.kill()
    program.process.wait(10)
    for pipe in (program.process.stdin, program.process.stdout, program.stderr):
        if pipe is not None:
            pipe.close()


def test_the_main_job_by_touches(program: Program) -> None:
    opened = program.do("open", volume="Case 00")  # the last card: it must be scrolled to
    assert opened["planes"]["coronal"] == {"columns": 32, "rows": 8, "slices": 24}
    annotation = program.do("new_annotation", name="Second reader")["annotation_id"]
    program.do("slice", slice=6)
    assert program.do("brush", mm=1.2)["mm"] == 1.0
    program.do("tool", tool="object")
    program.do("stroke", x=[3.25, 9.0, 12.5], y=[4.0, 7.5, 4.0])
    program.do("plane", plane="coronal")
    program.do("slice", slice=20)
    program.do("tool", tool="background")
    x, y = np.linspace(1, 30, 200), 4 + 2.5 * np.sin(np.linspace(0, 9, 200))
    program.do("stroke", x=x.tolist(), y=y.tolist())
    program.do("wait_mask")
    program.do("wait_volume")
    program.do("threshold", value=77)
    assert program.do("state")["shape"]
    program.do("shape", on=False)
    seen = program.do("state")
    assert (seen["annotation"], seen["shape"], seen["live"]) == ("Second reader", False, True)
    assert (seen["plane"], seen["slice"], seen["slices"], seen["threshold"]) == ("coronal", 20, 24, 77)
    assert seen["connection"] == "Saved on server"
    program.do("undo")
    assert program.do("state")["volume"] == "–"
    assert "greyed out" in program.refused("save")
    program.do("redo")
    program.do("wait_mask")
    saved = program.do("save")
    assert (saved["mask"], saved["threshold"]) == (1, 77)
    assert program.do("state")["toast"].startswith("Mask saved: ")
    assert program.do("save")["mask"] == 2
    path = program.do("export", kind="mask-1", format="tiff", folder=str(program.folder / "files"), name="first")["path"]
    assert path == str(program.folder / "files" / "first.tif")
    assert Path(path).stat().st_size > 0
    assert program.do("state")["toast"] == f"Exported to {path}"
    picture = program.folder / "out" / "picture.png"
    assert program.do("screenshot", file=str(picture))["size"] == [1024, 768]
    assert picture.read_bytes().startswith(b"\x89PNG")
    program.do("back")
    assert program.do("state")["screen"] == "library"
    assert program.end() == 0
    # An entry without a body says that a session began to write.
    events = [event for event in json.loads(program.log.read_text())[annotation] if event]
    first, second = events[0]["stroke"], events[1]["stroke"]
    assert (first["plane"], first["slice"], first["label"], first["widthMm"]) == ("PLANE_AXIAL", 6, 1, 1.0)
    assert np.abs(np.array(first["x"]) - [3.25, 9.0, 12.5]).max() < 0.05
    assert np.abs(np.array(first["y"]) - [4.0, 7.5, 4.0]).max() < 0.05
    assert (second["plane"], second["slice"], second["label"]) == ("PLANE_CORONAL", 20, 2)
    # Places nearer than a quarter pixel are dropped; the line stays where it was drawn.
    assert len(second["x"]) > 90
    assert np.abs(np.interp(second["x"], x, y) - second["y"]).max() < 0.05
    assert [next(iter(set(event) - {"drawnMs"})) for event in events[2:]] == ["undo", "redo"]


def test_what_a_person_could_not_do_is_refused_in_a_sentence(program: Program) -> None:
    assert "card of 'Nobody'" in program.refused("open", volume="Nobody")
    assert "no image" in program.refused("stroke", x=[1], y=[1])
    program.do("open", volume="Case 11")
    assert program.refused("slice", slice=8) == "There is no slice 8, only 8."
    assert "leaves" in program.refused("stroke", x=[1, 4000], y=[1, 1])
    assert "greyed out" in program.refused("undo")
    assert "does not know" in program.refused("fly")
    assert "mask of this slice" in program.refused("wait_mask")
    assert not program.ask("no json")["ok"]
    assert not program.ask('["do"]')["ok"]
    assert "threshold" in program.refused("threshold", wrong=1)
    assert program.ask('{"do": "state", "id": 7}')["id"] == 7


def test_quit_ends_it(program: Program) -> None:
    program.do("tap", name="import")
    assert program.do("state")["screen"] == "import"
    program.do("quit")
    assert program.process.wait(30) == 0


def test_a_signal_ends_it_in_order_and_stderr_is_quiet(program: Program) -> None:
    program.do("open", volume="Case 11")
    program.do("stroke", x=[3.0, 9.0], y=[4.0, 7.0])
    program.process.send_signal(signal.SIGTERM)
    assert program.process.wait(30) == 0
    assert json.loads(program.log.read_text())
    program.stderr.flush()
    said = (program.folder / "stderr").read_text().splitlines()
    assert said == ["noise on stdout, as a library may make it"]
