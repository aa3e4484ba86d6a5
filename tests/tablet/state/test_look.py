"""How a volume is shown: what a restart finds, and what goes on to another volume."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablet_client.state import contrast
from tablet_client.state.look import STYLES, Look, read_look, write_look
from tablet_client.state.tools import Window

FINITE = st.floats(-1e6, 1e6)
LOOKS = st.builds(
    Look,
    contrast=st.sampled_from(contrast.NAMES),
    low=st.none() | FINITE,
    high=st.none() | FINITE,
    equalised=st.booleans(),
    smooth=st.booleans(),
    style=st.sampled_from(STYLES),
    fill=st.floats(0, 1),
    colour_blind=st.booleans(),
)


def kept_at(folder, volume_id, look, seconds):
    """Keep a look as if so many seconds had passed."""
    assert write_look(folder, volume_id, look)
    os.utime(folder / f"{volume_id}.look.json", (seconds, seconds))


@given(LOOKS)
def test_a_restart_finds_what_was_kept(tmp_path_factory, look):
    folder = tmp_path_factory.mktemp("looks")
    assert read_look(folder, "a/b") == Look()
    assert write_look(folder, "a/b", look)
    assert read_look(folder, "a/b") == look


def test_another_volume_has_the_habits_and_its_own_contrast(tmp_path):
    look = Look(equalised=True, smooth=False, style="outline").windowed(Window(3, 9))
    kept_at(tmp_path, "old", Look(style="hidden"), 1)
    kept_at(tmp_path, "one", look, 2)
    assert read_look(tmp_path, "another") == replace(look, contrast="first", low=None, high=None)
    assert read_look(tmp_path, "old").style == "hidden"


def test_colours_are_the_persons_whatever_the_volume(tmp_path):
    kept_at(tmp_path, "one", Look(style="outline"), 1)
    kept_at(tmp_path, "two", Look(colour_blind=True), 2)
    assert read_look(tmp_path, "one") == Look(style="outline", colour_blind=True)


def test_the_first_contrast_is_kept_as_such_and_no_other():
    first = Window(0, 100)
    assert Look().windowed(Window(5, 50), "auto").window(first) == Window(5, 50)
    assert Look().windowed(Window(5, 50), "first").window(first) == first
    assert Look().windowed(Window(5, 50)).contrast == contrast.BY_HAND


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"style": "loud"}', '{"fill": 2}', '{"low": "1"}', '{"contrast": 3}', '{"low": NaN}', '{"smooth": 1}'],
)
def test_what_cannot_be_understood_is_as_if_it_were_not_there(tmp_path, text):
    (tmp_path / "v.look.json").write_text(text)
    assert read_look(tmp_path, "v") == Look()


def test_a_disk_that_takes_nothing_says_so(tmp_path):
    assert not write_look(tmp_path / "missing", "v", Look())
