"""The replay of a log, against a naive one that starts from nothing at every step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from services.core.labels import Action, Clear, Edit, Labels, MaskStart, Redo, Undo, mask_labels, replay

SHAPE = (3, 5, 6)
SIZE = 90


def naive(log: list[Action]) -> NDArray[np.uint8]:
    """What stays of a log after its undos and redos, applied to an empty volume."""
    done: list[Action] = []
    undone: list[Action] = []
    for action in log:
        if isinstance(action, Undo):
            if done:
                undone.append(done.pop())
        elif isinstance(action, Redo):
            if undone:
                done.append(undone.pop())
        else:
            done.append(action)
            undone = []
    labels = np.zeros(SHAPE, np.uint8)
    for action in done:
        if isinstance(action, Edit):
            for voxel in action.voxels:
                labels[np.unravel_index(voxel, SHAPE)] = action.label
        elif isinstance(action, MaskStart):
            cross = ndimage.generate_binary_structure(2, 1)
            for s, mask in enumerate(action.mask):
                labels[s][ndimage.binary_erosion(mask, cross, border_value=1)] = 1
                labels[s][~ndimage.binary_dilation(mask, cross)] = 2
        else:
            labels[...] = 0
    return labels


def _mask(bits: int) -> MaskStart:
    blob = np.random.default_rng(bits).random(SHAPE) < 0.5
    blob[:, 1:4, 1:5] |= bool(bits % 2)
    return MaskStart(blob)


ACTIONS: st.SearchStrategy[Action] = st.one_of(
    st.builds(
        lambda voxels, label: Edit(np.array(voxels, np.int64), label),
        st.lists(st.integers(0, SIZE - 1), unique=True, max_size=12),
        st.integers(0, 3),
    ),
    st.integers(0, 50).map(_mask),
    st.just(Clear()),
    st.just(Undo()),
    st.just(Undo()),
    st.just(Redo()),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ACTIONS, max_size=14))
def test_every_step_equals_a_replay_from_the_start(log: list[Action]) -> None:
    labels = Labels(SHAPE)
    for length, action in enumerate(log, start=1):
        before = labels.array.copy()
        touched = labels.apply(action)
        np.testing.assert_array_equal(labels.array, naive(log[:length]))
        assert touched == set(np.flatnonzero((labels.array != before).any(axis=(1, 2))).tolist())
    np.testing.assert_array_equal(replay(SHAPE, log).array, labels.array)


def edit(*voxels: int, label: int = 1) -> Edit:
    return Edit(np.array(voxels, np.int64), label)


def test_a_clear_can_be_taken_back() -> None:
    labels = replay(SHAPE, [edit(1, 40), Clear()])
    assert not labels.array.any()
    assert labels.apply(Undo()) == {0, 1}
    assert np.flatnonzero(labels.array).tolist() == [1, 40]
    labels.apply(Redo())
    assert not labels.array.any()


def test_a_new_action_forgets_what_could_be_done_again() -> None:
    labels = replay(SHAPE, [edit(1), edit(2), Undo(), edit(3), Redo()])
    assert np.flatnonzero(labels.array).tolist() == [1, 3]


def test_the_later_label_prevails_and_undo_gives_the_earlier_one_back() -> None:
    labels = replay(SHAPE, [edit(4, 5), edit(5, 6, label=2), edit(4, label=0)])
    assert labels.array.ravel()[4:7].tolist() == [0, 2, 2]
    labels.apply(Undo())
    labels.apply(Undo())
    assert labels.array.ravel()[4:7].tolist() == [1, 1, 0]


def test_a_mask_leaves_a_band_open_and_keeps_what_was_drawn_in_it() -> None:
    mask = np.zeros((1, 7, 9), bool)
    mask[0, 2:, 2:7] = True
    rows = ["222222222", "220000022", "200000002", *["200111002"] * 4]
    expected = np.array([[int(digit) for digit in row] for row in rows], np.uint8)
    np.testing.assert_array_equal(mask_labels(mask)[0], expected)
    labels = Labels((1, 7, 9))
    labels.apply(edit(2 * 9 + 4, 4 * 9 + 4, label=3))
    labels.apply(MaskStart(mask))
    assert labels.array[0, 2, 4] == 3, "in the open band a stroke stays"
    assert labels.array[0, 4, 4] == 1, "elsewhere the later mask prevails"


@pytest.mark.parametrize("voxel", [-1, SIZE])
def test_a_voxel_outside_changes_nothing(voxel: int) -> None:
    labels = replay(SHAPE, [edit(7)])
    with pytest.raises(IndexError):
        labels.apply(edit(3, voxel))
    assert np.flatnonzero(labels.array).tolist() == [7]
    labels.apply(Undo())
    assert not labels.array.any()


def test_a_mask_of_another_shape_changes_nothing() -> None:
    labels = replay(SHAPE, [edit(7)])
    with pytest.raises(IndexError):
        labels.apply(MaskStart(np.ones((3, 5, 1), bool)))
    assert np.flatnonzero(labels.array).tolist() == [7]
