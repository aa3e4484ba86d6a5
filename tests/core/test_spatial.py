"""The preset calque on a phantom that looks like its surroundings: where the strokes are makes the difference."""

import numpy as np
import pytest
from numpy.typing import NDArray

from services.core import model, spatial
from services.core.mask import DEFAULT_THRESHOLD, at_threshold, best_threshold, dice
from services.core.pipeline import image_levels, segment, segment_by_shape, slice_features
from services.core.volume import Volume, intensity_window

SHAPE = (11, 72, 80)


def balls() -> tuple[Volume, NDArray[np.bool_]]:
    """A ball, and a second one that looks the same and is not wanted; slices are thick."""
    s, r, c = np.indices(SHAPE)
    wanted = ((s - 5) * 3.0) ** 2 + (r - 30) ** 2 + (c - 26) ** 2 < 13**2
    other = ((s - 6) * 3.0) ** 2 + (r - 44) ** 2 + (c - 62) ** 2 < 11**2
    noise = np.random.RandomState(5).normal(0, 10, SHAPE)
    voxels = (200 + 100 * (wanted | other) + noise).astype(np.int16)
    return Volume(voxels, np.diag([3.0, 1.0, 1.0, 1.0]), np.ones(11), np.zeros(11)), wanted


@pytest.fixture(scope="module")
def drawn() -> tuple[Volume, NDArray[np.bool_], NDArray[np.uint8]]:
    volume, truth = balls()
    labels = np.zeros(SHAPE, np.uint8)
    r, c = np.indices(SHAPE[1:])
    away = np.hypot(r - 30, c - 26)
    labels[5, 30, 20:32] = 1
    labels[5][(away > 18) & (away < 19.5)] = 2
    labels[5, 66] = 2
    return volume, truth, labels


Drawn = tuple[Volume, NDArray[np.bool_], NDArray[np.uint8]]


def learn(
    volume: Volume,
    labels: NDArray[np.uint8],
    *,
    seed: int = 0,
    memory: model.Memory | None = None,
    seen: list[int] | None = None,
) -> model.Model:
    """What strokes on a volume say; ``seen`` gets the slices that were completed."""
    window = intensity_window(volume)

    def image(index: int) -> NDArray[np.uint8]:
        if seen is not None:
            seen.append(index)
        return image_levels(volume, window, index)

    found = model.learn(
        image, lambda i: slice_features(volume, window, i), labels, volume.spacing_mm, seed=seed, memory=memory
    )
    assert found is not None
    return found


def test_one_slice_finds_the_ball_and_not_its_twin(drawn: Drawn) -> None:
    volume, truth, labels = drawn
    found = segment_by_shape(volume, labels)
    assert best_threshold(found.levels, truth).dice > 0.9
    assert dice(at_threshold(found.levels, DEFAULT_THRESHOLD), truth) > 0.85
    assert best_threshold(segment(volume, labels).levels, truth).dice < 0.8  # by its looks alone it is two balls


def test_strokes_are_certain(drawn: Drawn) -> None:
    volume, _, labels = drawn
    labels = labels.copy()
    labels[5, 30, 24] = 2  # within the ball
    labels[2, 5, 5:9] = 1  # far from it
    found = segment_by_shape(volume, labels).levels
    assert (found[labels == 1] == 255).all()
    assert (found[labels == 2] == 0).all()


def test_a_correction_moves_its_surroundings(drawn: Drawn) -> None:
    volume, truth, labels = drawn
    labels = labels.copy()
    labels[8, 28:33, 26] = 1
    labels[8, 30, 38:46] = 2
    found = segment_by_shape(volume, labels)
    assert best_threshold(found.levels, truth).dice > 0.9
    learned = learn(volume, labels)
    assert sorted(learned.masks) == [5, 8]
    assert dice(learned.masks[5], truth[5]) > 0.95


def test_only_what_a_stroke_changes_is_completed_again(drawn: Drawn) -> None:
    volume, _, labels = drawn
    seen: list[int] = []

    def learned(memory: model.Memory | None, seed: int = 0) -> model.Model:
        seen.clear()
        return learn(volume, labels, seed=seed, memory=memory, seen=seen)

    labels, memory = labels.copy(), model.Memory()
    for at, value, slices in (
        ((8, slice(23, 37), 26), 1, [5, 8]),  # the first time all that is there
        ((3, slice(24, 36), 26), 1, [3]),  # behind the others, which go on
        ((8, 30, slice(38, 46)), 2, [8, 3]),  # before another one that goes by it
        ((5, 2), 2, [5, 8, 3]),
    ):
        labels[at] = value
        found = learned(memory)
        assert seen == slices
        anew = learned(None)
        assert sorted(found.masks) == sorted(anew.masks)
        for index, mask in anew.masks.items():
            np.testing.assert_array_equal(found.masks[index], mask)
        np.testing.assert_array_equal(found.samples[0], anew.samples[0])
    learned(memory)
    assert seen == []
    learned(memory, seed=1)
    assert len(seen) == 3


def test_background_where_nothing_is_expected_does_not_end_the_object() -> None:
    """One of two tubes through all slices, one annotated; strokes beside it in slices where a ball would have ended."""
    shape = (40, 48, 80)
    s, r, c = np.indices(shape)
    tube, twin = np.hypot(r - 24, c - 24) < 5, np.hypot(r - 24, c - 60) < 5
    noise = np.random.RandomState(1).normal(0, 10, shape)
    volume = Volume((100 + 80 * (tube | twin) + noise).astype(np.int16), np.eye(4), np.ones(40), np.zeros(40))
    labels = np.zeros(shape, np.uint8)
    labels[20, 24, 22:27] = labels[20, 23, 22:27] = labels[20, 25, 22:27] = 1
    labels[20][(np.hypot(r - 24, c - 24)[0] > 9) & (np.hypot(r - 24, c - 24)[0] < 11)] = 2
    before = segment_by_shape(volume, labels).levels
    labels[[4, 36], 36, 10:40] = 2
    after = segment_by_shape(volume, labels).levels
    inner = tube & ((s < 8) | (s > 32))
    assert after[inner].mean() >= 0.9 * before[inner].mean() > 0
    labels[[16, 24], 20:29, 20:29] = 2  # where it is expected, through and through
    learned = learn(volume, labels)
    assert sorted(learned.masks) == [16, 20, 24]
    assert [bool(learned.masks[index].any()) for index in (16, 20, 24)] == [False, True, False]
    once = learn(volume, np.where(np.arange(40)[:, None, None] == 20, labels, 0).astype(np.uint8))
    np.testing.assert_array_equal(learned.samples[0], once.samples[0])  # an end teaches nothing of looks


def test_the_same_strokes_give_the_same_bytes(drawn: Drawn) -> None:
    volume, _, labels = drawn
    one = segment_by_shape(volume, labels, seed=3).levels
    assert segment_by_shape(volume, labels, seed=3).levels.tobytes() == one.tobytes()
    # Labels may be exchanged or have other numbers.
    exchanged = np.array([0, 7, 1], np.uint8)[labels]
    assert segment_by_shape(volume, exchanged, seed=3, label=7).levels.tobytes() == one.tobytes()


@pytest.mark.parametrize("along_the_edge", [True, False])
def test_an_object_that_strokes_tell_from_all_else_is_left_to_its_looks(drawn: Drawn, along_the_edge: bool) -> None:
    """Strokes on both sides of the outline tell the forest every pixel; those through the middle most, too few to go by."""
    _, truth, labels = drawn
    voxels = 200 + 150 * truth + np.random.RandomState(5).normal(0, 20, SHAPE)
    volume = Volume(voxels.astype(np.int16), np.diag([3.0, 1.0, 1.0, 1.0]), np.ones(11), np.zeros(11))
    if along_the_edge:
        r, c = np.indices(SHAPE[1:])
        away, labels = np.hypot(r - 30, c - 26), labels.copy()
        labels[5][(away > 10) & (away < 11.5)], labels[5][(away > 14) & (away < 15.5)] = 1, 2
    by_looks = segment(volume, labels).levels
    assert np.array_equal(segment_by_shape(volume, labels).levels, by_looks) is along_the_edge


def test_thin_tissue_is_left_to_its_looks(drawn: Drawn) -> None:
    volume, _, _ = drawn
    labels = np.zeros(SHAPE, np.uint8)
    labels[5, ::6], labels[5, 3::6] = 1, 2  # folded through the whole slice
    assert np.array_equal(segment_by_shape(volume, labels).levels, segment(volume, labels).levels)
    one_label = np.zeros(SHAPE, np.uint8)
    one_label[5, 30, 20:32], one_label[2, 66] = 1, 2  # on different slices
    assert np.array_equal(segment_by_shape(volume, one_label).levels, segment(volume, one_label).levels)


@pytest.mark.parametrize(("size", "times"), [((64, 64), 1), ((320, 300), 1), ((321, 20), 2), ((2048, 2048), 4)])
def test_how_coarse(size: tuple[int, int], times: int) -> None:
    assert spatial.halvings(size) == times


@pytest.mark.parametrize(("size", "step"), [((320, 200), 1), ((100, 321), 2), ((641, 9), 4)])
def test_a_model_of_large_slices_is_of_some_pixels(size: tuple[int, int], step: int) -> None:
    assert model.sampling(size) == step
    rows, columns = np.indices(size)
    image, labels = (rows // 4).astype(np.uint8), np.zeros(size, np.uint8)
    labels[7, 5], labels[50, 3] = 1, 2
    small, drawn = model.thinned(image, labels, step)
    assert small.shape == drawn.shape == (-(-size[0] // step), -(-size[1] // step))
    assert (drawn[7 // step, 5 // step], drawn[50 // step, 3 // step]) == (1, 2)
    assert np.count_nonzero(drawn) == 2
    ramp = (columns + 0.0).astype(np.float32)
    back = spatial.spread(ramp.reshape(-1, size[1])[::step, ::step] + np.float32((step - 1) / 2), step, size)
    inner = back[step:-step, step:-step]
    np.testing.assert_allclose(inner, ramp[step:-step, step:-step], atol=1e-3)


def test_a_large_slice_is_segmented_as_a_small_one() -> None:
    """The same ball on four times the pixels."""
    volume, truth = balls()
    large = Volume(volume.voxels.repeat(5, 1).repeat(5, 2), np.diag([3.0, 0.2, 0.2, 1.0]), np.ones(11), np.zeros(11))
    labels = np.zeros(large.shape, np.uint8)
    r, c = np.indices(large.shape[1:]) / 5.0
    away = np.hypot(r - 30, c - 26)
    labels[5, 148:153, 100:160] = 1
    labels[5][(away > 18) & (away < 18.4)] = 2
    labels[5, 330:333] = 2
    found = segment_by_shape(large, labels)
    assert best_threshold(found.levels, truth.repeat(5, 1).repeat(5, 2)).dice > 0.9
