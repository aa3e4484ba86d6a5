"""Frames of the tablet are timed while it really works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from services.bench.frames import Frames, multiples


@pytest.mark.screen
def test_the_hand_times_frames_in_which_something_happens(display: str, tmp_path: Path) -> None:
    voxels = tmp_path / "voxels.npy"
    np.save(voxels, np.arange(9 * 40 * 40).reshape(9, 40, 40))
    done = subprocess.run(
        [sys.executable, "-m", "tablet_client.hand.frames", str(voxels), "--rounds", "2"],
        env={**os.environ, "KIVY_HOME": str(tmp_path), "DISPLAY": display},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = Frames(**json.loads(done.stdout))
    every = multiples(found)
    assert set(every) == {"empty", "pen", "scroll", "threshold"}
    assert all(len(rounds) == 2 and all(rounds) for rounds in found.frames_ms.values())
    assert every["pen"].frames >= 2 * 400 / 8
    assert every["scroll"].frames >= 4 + 8  # slices to the end, and all of them back
    assert every["threshold"].frames >= 2 * 50
    assert list(found.window) == [1280, 800]
    assert found.pen_hz > 0
