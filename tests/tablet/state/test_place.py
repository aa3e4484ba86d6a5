"""Where the user was is found again, and nothing else is made of a damaged file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablet_client.state.geometry import Plane
from tablet_client.state.place import Place, read_place, write_place
from tablet_client.state.tools import Tool

PLACES = st.builds(
    Place,
    st.text(min_size=1),
    st.text(min_size=1),
    st.sampled_from([plane.name for plane in Plane]),
    st.integers(0, 5000),
    st.sampled_from([tool.name for tool in Tool]),
)


@given(place=PLACES, another=PLACES)
def test_a_place_is_found_as_it_was_left(tmp_path_factory: pytest.TempPathFactory, place: Place, another: Place) -> None:
    folder = tmp_path_factory.mktemp("place")
    assert read_place(folder) is None
    for one in (place, another):
        write_place(folder, one)
        assert read_place(folder) == one
    write_place(folder, None)
    assert read_place(folder) is None
    write_place(folder, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"volume_id": "v"}',
        '{"volume_id": "", "annotation_id": "a", "plane": "AXIAL", "index": 3, "tool": "OBJECT"}',
        '{"volume_id": "v", "annotation_id": "a", "plane": "OBLIQUE", "index": 3, "tool": "OBJECT"}',
        '{"volume_id": "v", "annotation_id": "a", "plane": "AXIAL", "index": -1, "tool": "OBJECT"}',
        '{"volume_id": "v", "annotation_id": "a", "plane": "AXIAL", "index": true, "tool": "OBJECT"}',
        '{"volume_id": 7, "annotation_id": "a", "plane": "AXIAL", "index": 1, "tool": "OBJECT"}',
    ],
)
def test_a_damaged_file_leads_nowhere(tmp_path: Path, text: str) -> None:
    (tmp_path / "place.json").write_text(text)
    assert read_place(tmp_path) is None


def test_a_disk_that_takes_nothing_is_no_trouble(tmp_path: Path) -> None:
    write_place(tmp_path / "not there", Place("v", "a", "AXIAL", 1, "OBJECT"))
    assert read_place(tmp_path / "not there") is None
