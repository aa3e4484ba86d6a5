"""The simulated clinician: strokes that mean what the truth says, on the right slice of the right plane."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import skeletonize

from services.bench.clinician import (
    CUT,
    SHIFT,
    Labelling,
    PenStroke,
    best_intensity_threshold,
    best_seen,
    corrections,
    first_strokes,
    voxels_of,
)
from services.bench.pen import SHORTEST, Path, longest_paths
from services.core.geometry import acquisition_plane, plane_geometry

Mask = NDArray[np.bool_]
SHAPE = (9, 96, 120)

# The third flips the slices and both image axes, the fourth is acquired sagittally.
AFFINES = {
    "axial": np.diag([1.0, 1.0, 1.0, 1.0])[:, [2, 1, 0, 3]] * np.array([3.0, 0.8, 0.8, 1.0]),
    "axial, thick rows": np.diag([1.0, 1.0, 1.0, 1.0])[:, [2, 1, 0, 3]] * np.array([3.0, 1.1, 0.8, 1.0]),
    "flipped": np.diag([1.0, 1.0, 1.0, 1.0])[:, [2, 1, 0, 3]] * np.array([-3.0, -0.8, -0.8, 1.0]),
    "sagittal": np.array([[4.0, 0, 0, 7], [0, 0, 0.9, -3], [0, -0.9, 0, 2], [0, 0, 0, 1]]),
}


@pytest.fixture(params=AFFINES)
def affine(request: pytest.FixtureRequest) -> NDArray[np.float64]:
    return AFFINES[request.param]


def truth() -> Mask:
    """A lopsided body, largest on slice 6, that leaves no room for mirror images."""
    s, r, c = np.indices(SHAPE)
    body = (r - 35) ** 2 / 20**2 + (c - 45) ** 2 / 28**2 < 1 - (s - 6) ** 2 / 20
    return body | ((abs(r - 50) < 6) & (c > 50) & (c < 80) & (s > 4))


def painted(strokes: tuple[PenStroke, ...], affine: NDArray[np.float64]) -> NDArray[np.uint8]:
    labels = np.zeros(SHAPE, np.uint8)
    for stroke in strokes:
        labels.reshape(-1)[voxels_of(stroke, SHAPE, affine)] = stroke.label
    return labels


def test_first_strokes_are_right_everywhere(affine: NDArray[np.float64]) -> None:
    wanted = truth()
    strokes = first_strokes(wanted, affine)
    labels = painted(strokes, affine)
    assert np.flatnonzero(labels.any(axis=(1, 2))).tolist() == [6]
    assert {stroke.plane for stroke in strokes} == {acquisition_plane(SHAPE, affine)}
    assert wanted[labels == 1].all(), "object strokes lie inside the object"
    assert not wanted[labels == 2].any(), "background strokes lie outside"
    assert (labels == 1).sum() > 60
    assert (labels == 2).sum() > 400


def test_background_strokes_keep_their_distance(affine: NDArray[np.float64]) -> None:
    wanted = truth()
    labels = painted(first_strokes(wanted, affine), affine)
    away = ndimage.distance_transform_edt(~wanted[6])
    assert 4.5 < away[labels[6] == 2].min() <= 6.0
    plane = plane_geometry(SHAPE, affine, acquisition_plane(SHAPE, affine))
    rings = [s for s in first_strokes(wanted, affine) if s.label == 2 and len(s.x) > 2]
    assert len(rings) == 1
    assert (rings[0].x[0], rings[0].y[0]) == (rings[0].x[-1], rings[0].y[-1]), "the ring is closed"
    ring = away[painted((rings[0],), affine)[6] == 2]
    assert 4.5 < ring.min() < ring.max() < 6.5, "5 to 6 pixels outside, to half a pixel's diagonal"
    across = [s for s in first_strokes(wanted, affine) if s.label == 2 and len(s.x) == 2]
    assert len(across) > 10
    assert away[painted(tuple(across), affine)[6] == 2].min() >= 5.0, "with all their width"
    assert all(0 <= x < plane.columns and 0 <= y < plane.rows for x, y in zip(rings[0].x, rings[0].y))


def test_a_correction_goes_to_the_worst_slice_and_its_largest_mistakes(affine: NDArray[np.float64]) -> None:
    wanted = truth()
    shown = wanted.copy()
    shown[4, 20:40, 30:60] = False
    shown[4, 70:78, 80:110] = True
    shown[2, 80:90, 5:20] = True
    labels = painted(corrections(wanted, shown, affine), affine)
    assert np.flatnonzero(labels.any(axis=(1, 2))).tolist() == [4]
    assert (wanted & ~shown)[labels == 1].all()
    assert (shown & ~wanted)[labels == 2].all()
    assert (labels == 1).sum() > 10
    assert (labels == 2).sum() > 10


def components(region: Mask) -> list[set[tuple[int, int]]]:
    """Connected regions, pixels that touch at a corner among them, by going from neighbour to neighbour."""
    rest = {(int(r), int(c)) for r, c in np.argwhere(region)}
    found = []
    while rest:
        waiting, part = [rest.pop()], set()
        while waiting:
            r, c = waiting.pop()
            part.add((r, c))
            near = {(r + dr, c + dc) for dr in (-1, 0, 1) for dc in (-1, 0, 1)} & rest
            rest -= near
            waiting += near
        found.append(part)
    return found


@pytest.mark.parametrize("random", range(6))
def test_a_correction_is_the_medial_line_of_the_two_largest_regions_of_each_kind(random: int) -> None:
    noise = np.random.default_rng(random)
    wanted = ndimage.gaussian_filter(noise.normal(size=SHAPE), (0.5, 3, 3)) > 0.02
    shown = ndimage.gaussian_filter(noise.normal(size=SHAPE), (0.5, 3, 3)) > 0.02
    worst = max(range(len(wanted)), key=lambda s: sum(map(bool, (wanted[s] != shown[s]).ravel())))
    labels = painted(corrections(wanted, shown, AFFINES["axial"]), AFFINES["axial"])
    assert set(np.flatnonzero(labels.any(axis=(1, 2)))) == {worst}
    for label, wrong in ((1, wanted[worst] & ~shown[worst]), (2, shown[worst] & ~wanted[worst])):
        largest = sorted((part for part in components(wrong) if len(part) > 15), key=len, reverse=True)[:2]
        drawn = {(int(r), int(c)) for r, c in np.argwhere(labels[worst] == label)}
        assert len(largest) == 2
        assert drawn <= set.union(*largest)
        for part in largest:
            region = np.zeros(SHAPE[1:], bool)
            region[tuple(np.array(sorted(part)).T)] = True
            line = skeletonize(region)
            covered = line & (labels[worst] == label)
            assert covered.sum() > 0.5 * line.sum()
            assert all(len(twig) < SHORTEST for twig in components(line & ~covered)), "all of it but twigs"
            assert np.array_equal(covered, region & (labels[worst] == label)), "and nothing else"


def test_specks_on_the_worst_slice_are_not_left_for_another_slice() -> None:
    wanted = truth()
    shown = wanted.copy()
    shown[3, 60:90:3, 1:100:3] ^= True
    shown[1, 85:93, 100:108] = True
    assert (shown != wanted)[3].sum() > (shown != wanted)[1].sum() > 15
    assert corrections(wanted, shown, AFFINES["axial"]) == ()


def test_small_mistakes_are_let_be() -> None:
    wanted = truth()
    shown = wanted.copy()
    shown[3, 90:93, 100:105] = True
    assert corrections(wanted, shown, AFFINES["axial"]) == ()
    shown[1, 90:93, 100:108] = True
    assert {s.slice for s in corrections(wanted, shown, AFFINES["axial"])} == {1}
    assert corrections(wanted, wanted, AFFINES["axial"]) == ()
    assert first_strokes(wanted & False, AFFINES["axial"]) == ()


def test_exchanged_labels_draw_the_same_lines() -> None:
    one = first_strokes(truth(), AFFINES["axial"])
    other = first_strokes(truth(), AFFINES["axial"], labelling=Labelling(object=2, background=1))
    assert [(s.x, s.y, 3 - s.label) for s in one] == [(s.x, s.y, s.label) for s in other]


def test_what_is_seen_is_at_the_best_threshold_of_either_label() -> None:
    levels = np.random.default_rng(4).integers(0, 256, (3, 20, 20)).astype(np.uint8)
    wanted = levels > 140
    wanted[1] ^= np.random.default_rng(5).random((20, 20)) < 0.2
    seen = best_seen(levels, wanted)
    scores = {t: 2 * ((levels >= t) & wanted).sum() / ((levels >= t).sum() + wanted.sum()) for t in range(1, 256)}
    assert seen.dice == pytest.approx(max(scores.values()))
    assert scores[seen.threshold] == pytest.approx(seen.dice)
    assert np.array_equal(seen.mask, levels >= seen.threshold)
    exchanged = best_seen(255 - levels, wanted, Labelling(object=2, background=1))
    assert exchanged.dice == pytest.approx(seen.dice, abs=0.02)
    assert np.array_equal(exchanged.mask, 255 - levels < exchanged.threshold)


def test_another_hand_moves_strokes_a_little_and_the_same_hand_not_at_all() -> None:
    exact = first_strokes(truth(), AFFINES["axial"])
    assert first_strokes(truth(), AFFINES["axial"], seed=7) == first_strokes(truth(), AFFINES["axial"], seed=7)
    moved = first_strokes(truth(), AFFINES["axial"], seed=7)
    assert moved != exact
    for a, b in zip(exact, moved):
        points = np.array([b.x, b.y]).T[:, None]
        length = Path(a.x, a.y).length
        near = np.hypot(*(points - _dense(a)).transpose(2, 0, 1)).min(axis=1)
        assert near.max() <= SHIFT + 0.6
        assert Path(b.x, b.y).length >= length * (1 - 2 * CUT) - 2 * SHIFT


def _dense(stroke: PenStroke) -> NDArray[np.float64]:
    along = np.linspace(0, len(stroke.x) - 1, 40 * len(stroke.x))
    at = np.arange(len(stroke.x))
    return np.stack([np.interp(along, at, stroke.x), np.interp(along, at, stroke.y)], axis=1)


def test_a_hand_never_draws_outside_the_image() -> None:
    edge = np.zeros(SHAPE, bool)
    edge[2, :30, :40] = True
    for seed in range(6):
        for stroke in first_strokes(edge, AFFINES["axial"], seed=seed):
            assert min(stroke.x) >= 0
            assert max(stroke.x) <= 119
            assert min(stroke.y) >= 0
            assert max(stroke.y) <= 95


def test_paths_follow_a_branching_skeleton_the_longest_first() -> None:
    skeleton = np.zeros((40, 60), bool)
    skeleton[20, 5:55] = True
    skeleton[5:20, 30] = True
    skeleton[35, 10:13] = True
    paths = longest_paths(skeleton)
    assert [len(p.x) for p in paths] == [50, 15, 3]
    for path in paths:
        steps = np.maximum(np.abs(np.diff(path.x)), np.abs(np.diff(path.y)))
        assert (steps == 1).all()
        assert skeleton[np.array(path.y, int), np.array(path.x, int)].all()


def test_a_closed_skeleton_and_a_single_pixel_can_be_drawn() -> None:
    skeleton = np.zeros((30, 30), bool)
    skeleton[5, 5:25] = skeleton[24, 5:25] = skeleton[5:25, 5] = skeleton[5:25, 24] = True
    covered = {point for path in longest_paths(skeleton) for point in zip(path.x, path.y)}
    assert len(covered) > 0.9 * skeleton.sum()
    dot = np.zeros((4, 4), bool)
    dot[1, 2] = True
    assert longest_paths(dot) == [Path((2.0,), (1.0,))]
    assert Path((2.0,), (1.0,)).cut(0.1, 0.1).moved(1, 1) == Path((3.0, 3.0), (2.0, 2.0))


def test_the_best_intensity_is_the_best_of_all() -> None:
    rng = np.random.default_rng(2)
    wanted = rng.random((3, 8, 9)) < 0.4
    image = np.where(wanted, rng.integers(0, 60, wanted.shape), rng.integers(30, 90, wanted.shape)).astype(np.int16)
    found, words = best_intensity_threshold(image, wanted)
    both = [m for t in np.unique(image) for m in (image >= t, image <= t)]
    assert found == pytest.approx(max(2 * (m & wanted).sum() / (m.sum() + wanted.sum()) for m in both))
    assert words.startswith("intensity ≤")
    floats = (image + rng.random(image.shape) * 1e-3).astype(np.float32)
    assert best_intensity_threshold(floats, wanted)[0] >= found - 0.02
    many = np.linspace(0, 1, 80_000).reshape(2, 200, 200)
    assert best_intensity_threshold(many, many > 0.75)[0] == pytest.approx(1.0, abs=1e-3)
