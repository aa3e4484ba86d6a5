"""Connecting and filling on levels are connecting and filling of the mask at every threshold."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import reconstruction

from services.core import reconstruct
from services.core.reconstruct import connected, filled

Level = NDArray[np.uint8]
Mask = NDArray[np.bool_]

SIX = ndimage.generate_binary_structure(3, 1)


@st.composite
def volumes(draw: st.DrawFn) -> tuple[Level, Mask]:
    """Levels of few values, so that plateaus, holes and crumbs are frequent, and some marks."""
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 7), st.integers(1, 7)))
    values = draw(st.sampled_from([[0, 255], [0, 0, 0, 1, 2], [0, 1, 127, 128, 254, 255], [255, 255, 3]]))
    levels = draw(arrays(np.uint8, shape, elements=st.sampled_from(values)))
    marks = draw(arrays(np.bool_, shape, elements=st.sampled_from([False] * 7 + [True])))
    return levels, marks


def each_threshold_connected(levels: Level, marked: Mask) -> Level:
    """The definition, threshold by threshold."""
    result = np.zeros_like(levels)
    for threshold in range(1, 256):
        parts, _ = ndimage.label(levels >= threshold, SIX)
        result += np.isin(parts, np.setdiff1d(parts[marked], [0]))
    return result


def each_threshold_filled(levels: Level, barred: Mask) -> Level:
    """The definition, threshold by threshold."""
    inner = np.zeros(levels.shape, dtype=bool)
    inner[1:-1, 1:-1, 1:-1] = True
    result = np.zeros_like(levels)
    for threshold in range(1, 256):
        parts, _ = ndimage.label(levels < threshold, SIX)
        result += (parts == 0) | ~np.isin(parts, parts[barred | ~inner])
    return result


@pytest.fixture(params=[0.0, 1e9], ids=["flood", "sweeps"], scope="module", autouse=True)
def found_by(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nearly all is found by the flood, or by sweeps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconstruct, "_WORTH", request.param)
        yield


@given(volumes())
def test_connected_is_connecting_at_every_threshold(volume: tuple[Level, Mask]) -> None:
    levels, marked = volume
    expected = each_threshold_connected(levels, marked) if marked.any() else levels
    np.testing.assert_array_equal(connected(levels, marked), expected)


@given(volumes())
def test_filled_is_filling_at_every_threshold(volume: tuple[Level, Mask]) -> None:
    levels, barred = volume
    np.testing.assert_array_equal(filled(levels, barred), each_threshold_filled(levels, barred))


def test_a_way_that_no_sweep_follows_is_found_to_its_end() -> None:
    rng = np.random.default_rng(0)
    maze = np.zeros((9, 21, 21), dtype=np.uint8)
    maze[::2, ::2, ::2] = 255
    for axis, shape in enumerate([(4, 11, 11), (5, 10, 11), (5, 11, 10)]):
        doors = tuple(slice(1, None, 2) if one == axis else slice(None, None, 2) for one in range(3))
        maze[doors] = rng.choice([0, 40, 90, 200], shape, p=[0.4, 0.2, 0.2, 0.2])
    marked = np.zeros(maze.shape, dtype=bool)
    marked[4, 10, 10] = True
    expected = each_threshold_connected(maze, marked)
    assert len(np.unique(expected)) == 5
    np.testing.assert_array_equal(connected(maze, marked), expected)
    barred = marked & False
    np.testing.assert_array_equal(filled(~maze, barred), each_threshold_filled(~maze, barred))


@pytest.fixture(scope="module")
def noisy() -> tuple[Level, Mask]:
    """Smooth noise with an empty margin at most sides, and a few marks."""
    rng = np.random.default_rng(3)
    noise = ndimage.gaussian_filter(rng.normal(size=(12, 60, 75)), 1.2)
    levels = np.clip(noise / noise.std() * 70 + 100, 0, 255).astype(np.uint8)
    levels[:2], levels[:, 50:], levels[:, :, :6] = 0, 0, 0
    return levels, rng.random(levels.shape) < 0.0005


def test_connected_is_the_reconstruction_by_dilation_of_scikit_image(noisy: tuple[Level, Mask]) -> None:
    levels, marked = noisy
    expected = reconstruction(np.where(marked, levels, 0), levels, method="dilation", footprint=SIX)
    found = connected(levels, marked)
    assert 0 < np.count_nonzero(found != levels) < np.count_nonzero(levels)
    np.testing.assert_array_equal(found, expected)


def test_filled_is_the_reconstruction_by_erosion_of_scikit_image(noisy: tuple[Level, Mask]) -> None:
    levels, barred = noisy
    open_ = barred.copy()
    open_[[0, -1]] = open_[:, [0, -1]] = open_[:, :, [0, -1]] = True
    expected = reconstruction(np.where(open_, levels, 255), levels, method="erosion", footprint=SIX)
    found = filled(levels, barred)
    assert 0 < np.count_nonzero(found != levels) < np.count_nonzero(levels)
    np.testing.assert_array_equal(found, expected)


def test_no_span_reaches_out_of_the_box(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = np.zeros((3, 6, 90), dtype=np.uint8)
    levels[0, 1, 80:84] = levels[2, 4, 82] = 9  # far from the first column, with empty rows between
    seen: list[NDArray[np.int32]] = []
    monkeypatch.setattr(reconstruct, "_reach", lambda heights, found, spans: seen.append(spans))
    connected(levels, levels > 0)
    assert seen[0].shape == (3, 4, 2)
    assert seen[0].min() == 1
    assert seen[0].max() == 5
    assert (seen[0][..., 0] <= seen[0][..., 1]).all()


def test_the_layout_in_memory_does_not_matter(noisy: tuple[Level, Mask]) -> None:
    levels, marked = noisy
    for way in (connected, filled):
        turned = way(levels.transpose(2, 0, 1), marked.transpose(2, 0, 1)).transpose(1, 2, 0)
        np.testing.assert_array_equal(turned, way(levels, marked))


def test_without_a_stroke_of_the_object_nothing_is_taken_away(noisy: tuple[Level, Mask]) -> None:
    levels = noisy[0]
    found = connected(levels, np.zeros(levels.shape, dtype=bool))
    np.testing.assert_array_equal(found, levels)
    assert not np.shares_memory(found, levels)


def test_a_barred_voxel_keeps_a_cavity_open() -> None:
    shell = np.zeros((5, 9, 9), dtype=np.uint8)
    shell[1:4, 2:7, 2:7] = 200
    shell[2, 3:6, 3:6] = 50
    nothing = np.zeros(shell.shape, dtype=bool)
    assert (filled(shell, nothing)[2, 3:6, 3:6] == 200).all()
    barred = nothing.copy()
    barred[2, 5, 5] = True
    np.testing.assert_array_equal(filled(shell, barred), shell)


def test_a_ring_on_all_slices_is_no_hole() -> None:
    tube = np.zeros((4, 9, 9), dtype=np.uint8)
    tube[:, 2:7, 2:7] = 200
    tube[:, 3:6, 3:6] = 0
    np.testing.assert_array_equal(filled(tube, np.zeros(tube.shape, dtype=bool)), tube)
