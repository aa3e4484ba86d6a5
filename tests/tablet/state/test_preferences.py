"""What the user prefers comes back as it was kept, and what a damaged file says is not believed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablet_client.state.address import EXAMPLE, parse_address
from tablet_client.state.library import SORTS
from tablet_client.state.preferences import (
    CACHE_MB,
    JOURNAL_MB,
    LOCK_MINUTES,
    SIDES,
    Preferences,
    plain_reader,
    read_preferences,
    step,
    write_preferences,
)

KEPT = st.builds(
    Preferences,
    st.sampled_from(["", EXAMPLE, "[::1]:1", "calque.hospital.example:65535"]),
    st.text(max_size=20),
    st.sampled_from(SIDES),
    st.sampled_from(["", "en", "fr"]),
    st.sampled_from(JOURNAL_MB),
    st.sampled_from(CACHE_MB),
    st.sampled_from(["", "Anna-Maria Rousseau", "x" * 64]),
    st.sampled_from(SORTS),
    lock_minutes=st.sampled_from(LOCK_MINUTES),
)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.lists(st.integers()))


@given(one=KEPT, another=KEPT)
def test_they_come_back_as_they_were_kept(tmp_path_factory: pytest.TempPathFactory, one: Preferences, another: Preferences):
    folder = tmp_path_factory.mktemp("kept") / "not there yet"
    assert read_preferences(folder) == Preferences()
    for preferences in (one, another):
        assert write_preferences(folder, preferences)
        assert read_preferences(folder) == preferences


@given(kept=KEPT, name=st.sampled_from(list(asdict(Preferences()))), value=VALUES)
def test_one_damaged_value_costs_no_other(tmp_path_factory: pytest.TempPathFactory, kept: Preferences, name: str, value):
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "preferences.json").write_text(json.dumps({**asdict(kept), name: value, "of a later version": 1}))
    found = asdict(read_preferences(folder))
    first = asdict(Preferences())[name]
    assert found.pop(name) in (first, value)
    assert type(asdict(read_preferences(folder))[name]) is type(first)
    assert found == {key: kept_value for key, kept_value in asdict(kept).items() if key != name}
    assert write_preferences(folder, read_preferences(folder))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '"server"', "[" * 100_000, "\x00"])
def test_a_file_that_says_nothing_is_as_at_the_beginning(tmp_path: Path, text: str) -> None:
    (tmp_path / "preferences.json").write_text(text)
    assert read_preferences(tmp_path) == Preferences()


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("192.168.1.20:50051", "192.168.1.20", 50051),
        (" calque.example:1 ", "calque.example", 1),
        ("[::1]:65535", "::1", 65535),
        ("krankenhaus-süd:80", "krankenhaus-süd", 80),
    ],
)
def test_addresses(text: str, host: str, port: int) -> None:
    assert parse_address(text) == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        "host:",
        ":1",
        "host:0",
        "host:65536",
        "host:-1",
        "host:1.5",
        "host:٣",
        "::1:80",
        "[::1]",
        "[x]:1",
        "http://host:1",
        "a b:1",
        "u@h:1",
        "host:1/",
    ],
)
def test_what_is_no_address(text: str) -> None:
    assert parse_address(text) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [(" Anna  ", "Anna"), ("A\nB\t", "AB"), ("é" * 70, "é" * 64), ("a" * 63 + " b", "a" * 63), ("\u200b", "")],
)
def test_a_name_is_kept_as_the_services_take_it(text: str, name: str) -> None:
    assert plain_reader(text) == name


def test_sizes_are_a_ladder_with_two_ends() -> None:
    climbed = [JOURNAL_MB[0]]
    for _ in range(20):
        climbed.append(step(JOURNAL_MB, climbed[-1], 1))
    assert sorted(set(climbed)) == list(JOURNAL_MB)
    assert step(JOURNAL_MB, JOURNAL_MB[0], -1) == JOURNAL_MB[0]
    assert step(JOURNAL_MB, JOURNAL_MB[2], -1) == JOURNAL_MB[1]
