"""Switches and threshold: what the preset does, what the hand chose, and what a restart finds."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablet_client.state.choices import START_THRESHOLD, Choices, read_choices, write_choices

THRESHOLDS = st.integers(1, 255)
CHOICES = st.builds(
    Choices,
    live=st.booleans(),
    shape=st.booleans(),
    connected=st.none() | st.booleans(),
    fill_holes=st.none() | st.booleans(),
    threshold=st.none() | THRESHOLDS,
    by_hand=st.booleans(),
)


def test_switches_do_as_the_preset_until_they_are_set():
    assert Choices(shape=True).method == (True, True, True)
    assert Choices(shape=False).method == (False, False, False)
    set_once = Choices(connected=False, fill_holes=True)
    assert set_once.method == (True, False, True)
    assert replace(set_once, shape=False).method == (False, False, True)


def test_the_threshold_follows_the_service_until_it_is_moved():
    choices = Choices()
    assert [choices.shown_threshold(suggested) for suggested in (0, 90, 101)] == [START_THRESHOLD, 90, 101]
    moved = choices.moved(140)
    assert [moved.shown_threshold(suggested) for suggested in (0, 90, 101)] == [140, 140, 140]
    given_back = moved.handed_over(shown=140)
    assert given_back.shown_threshold(101) == 101
    assert given_back.handed_over(shown=101).shown_threshold(90) == 140
    assert Choices().handed_over(shown=101).shown_threshold(90) == 101


def test_another_annotation_has_the_habits_and_its_own_threshold():
    choices = Choices(live=False, shape=False, connected=True).moved(30)
    assert choices.for_another() == Choices(live=False, shape=False, connected=True)


@given(CHOICES)
def test_a_restart_finds_what_was_kept(tmp_path_factory, choices):
    folder = tmp_path_factory.mktemp("choices")
    assert write_choices(folder, "a/b", Choices())
    assert write_choices(folder, "a/b", choices)
    assert read_choices(folder, "a/b") == choices
    assert read_choices(folder, "other") is None
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        '{"threshold": 0}',
        '{"threshold": 256}',
        '{"threshold": true}',
        '{"threshold": 3.5}',
        '{"live": null}',
        '{"connected": 1}',
        '{"by_hand": "true"}',
    ],
)
def test_what_cannot_be_understood_is_as_if_it_were_not_there(tmp_path, text):
    assert write_choices(tmp_path, "a", Choices())
    (file,) = tmp_path.iterdir()
    file.write_text(text)
    assert read_choices(tmp_path, "a") is None


def test_files_of_other_versions_are_read_as_far_as_they_are_known(tmp_path):
    assert write_choices(tmp_path, "a", Choices())
    (file,) = tmp_path.iterdir()
    file.write_text(json.dumps({"shape": False, "classifier": "svm"}))
    assert read_choices(tmp_path, "a") == Choices(shape=False)


def test_a_disk_that_takes_nothing_says_so_and_keeps_what_was_there(tmp_path):
    assert not write_choices(tmp_path / "missing", "a", Choices())
    assert write_choices(tmp_path, "a", Choices(live=False))
    (file,) = tmp_path.iterdir()
    file.with_name(file.name + ".new").mkdir()
    assert not write_choices(tmp_path, "a", Choices())
    assert read_choices(tmp_path, "a") == Choices(live=False)
