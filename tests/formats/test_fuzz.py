"""A few hundred of the mutations of ``tests/fuzz_formats.py``, and that it would notice what it looks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests import fuzz_formats
from tests.formats.bad_files import PHANTOM


def test_three_hundred_mutations() -> None:
    report = fuzz_formats.fuzz(300, seed=3)
    assert report.wrong == []
    assert sum(report.outcomes.values()) == 300
    assert report.peak_mib < 1024
    assert {"read, the same", "refused, InvalidInput"} <= set(report.outcomes)


def test_a_wrong_volume_is_noticed() -> None:
    good = fuzz_formats.Good("a.nii", Path("a.nii"), b"", PHANTOM, (352, 400))
    other = PHANTOM.voxels.copy()
    other[0, 0, :3] += 1
    changed = replace(PHANTOM, voxels=other)
    moved = replace(PHANTOM, affine=PHANTOM.affine @ np.diag([1, 1, 2.0, 1]))
    assert fuzz_formats.judge(good, "cut", 0, PHANTOM) == "read, the same"
    assert fuzz_formats.judge(good, "cut", 0, changed).startswith("WRONG")
    assert fuzz_formats.judge(replace(good, name="a.nii.gz"), "flip", 1, changed).startswith("WRONG")
    assert not fuzz_formats.judge(good, "pixels", 3, changed).startswith("WRONG")
    assert fuzz_formats.judge(good, "pixels", 2, changed).startswith("WRONG")
    assert fuzz_formats.judge(good, "pixels", 9, moved).startswith("WRONG")


def test_a_crash_is_noticed_and_passed_over() -> None:
    ours, theirs = fuzz_formats.multiprocessing.Pipe(duplex=False)
    report = fuzz_formats.Report()
    theirs.send((5, "a.nii, flip", ""))
    theirs.close()
    assert fuzz_formats._follow(ours, report, 0, 9) == 6
    assert report.wrong == ["5: crashes (a.nii, flip)"]


def test_the_same_number_is_the_same_mutation(tmp_path: Path) -> None:
    files = fuzz_formats.good_files(tmp_path)
    for number in range(40):
        one, other = (
            fuzz_formats.mutated(files[number % len(files)], np.random.default_rng([1, number])) for _ in range(2)
        )
        assert one == other
