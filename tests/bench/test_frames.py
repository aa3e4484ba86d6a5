"""Frames of the tablet at work are told as multiples of an empty one."""

from __future__ import annotations

from services.bench.frames import Frames, figures, lines, multiples


def test_multiples_are_of_the_empty_frames_median_of_all_rounds() -> None:
    times = {"empty": [[10.0, 90.0], [20.0, 20.0, 20.0]], "pen": [[20.0, 30.0], [70.0]], "scroll": [[40.0]]}
    found = Frames({**times, "threshold": [[5.0]]}, (1280, 800), "nothing", 240.0)
    every = multiples(found)
    assert (every["pen"].median, every["pen"].worst, every["pen"].frames) == (1.5, 3.5, 3)
    assert (every["empty"].median, every["empty"].worst) == (1.0, 4.5)
    assert every["threshold"].worst_ms == 5.0
    told = lines(found)
    assert "240 places" in told[0]
    assert [line.split()[-4:] for line in told if line.startswith("drawing")] == [["1.50", "3.50", "30.0", "(70.0)"]]
    assert figures(found)["measured"]["frames_ms"]["pen"] == [[20.0, 30.0], [70.0]]
