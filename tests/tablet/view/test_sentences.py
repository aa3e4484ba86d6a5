from __future__ import annotations

import pytest
from calque.v1 import common_pb2
from calque.v1.segmentation_pb2 import Statistics
from grpclib.const import Status as Status_

from tablet_client.link.listener import Connection, Status
from tablet_client.link.port import LinkError, Step
from tablet_client.link.status import from_status
from tablet_client.state.geometry import Plane
from tablet_client.state.guide import Place
from tablet_client.view.sentences import details, import_step, millilitres, next_slice, number, safety, seconds, sentence


def test_every_reason_has_a_sentence_without_our_words() -> None:
    for reason in dict(common_pb2.Reason.items()):
        said = sentence(LinkError(reason))
        assert said.endswith((".", "…"))
        assert reason not in said
        assert "_" not in said


def test_the_server_says_more_of_a_file() -> None:
    error = LinkError("FILE_TRUNCATED", "12 of 60 slices are missing.")
    assert sentence(error) == "12 of 60 slices are missing."


@pytest.mark.parametrize(
    ("connection", "waiting", "saved", "said"),
    [
        (Connection.CONNECTED, 0, 0, ("saved", "Saved on server")),
        (Connection.CONNECTED, 2, 2, ("tablet", "Saved on this tablet")),
        (Connection.CONNECTED, 2, 1, ("tablet", "Saving …")),
        (Connection.OFFLINE, 0, 0, ("offline", "Offline")),
        (Connection.OFFLINE, 1, 1, ("offline", "Offline, 1 stroke waits")),
        (Connection.OFFLINE, 3, 3, ("offline", "Offline, 3 strokes wait")),
        (Connection.REFUSED, 3, 3, ("offline", "Offline, 3 strokes wait")),
        (Connection.OTHER_WRITER, 0, 0, ("reading", "Another tablet draws")),
        (Connection.OTHER_WRITER, 2, 2, ("reading", "Another tablet draws, 2 strokes wait")),
    ],
)
def test_safety(connection: Connection, waiting: int, saved: int, said: tuple[str, str]) -> None:
    assert safety(Status(connection, waiting, saved)) == said


def test_a_full_tablet_is_never_called_saved() -> None:
    assert safety(Status(Connection.CONNECTED, 1, 0, tablet_full=True)) == ("full", "Not saved: this tablet is full")


def test_figures() -> None:
    assert [millilitres(v) for v in (None, 0.0, 8.44, 182.4)] == ["–", "0.0 mL", "8.4 mL", "182 mL"]
    assert number(-31.04) == "\u221231.0"


def test_what_can_be_chosen_comes_with_the_refusal_and_not_in_the_sentence() -> None:
    info = common_pb2.ErrorInfo(reason="SEVERAL_SERIES", message="The files hold 2 series: 77c0 (CT); 8bdc (PT).")
    info.choices.add(key="77c0", text="77c0 (Chest, CT)")
    error = from_status(Status_.FAILED_PRECONDITION, "", info)
    assert [(choice.key, choice.text) for choice in error.choices] == [("77c0", "77c0 (Chest, CT)")]
    assert sentence(error) == "Several series lie here. Choose one of them."


def test_an_import_tells_bytes_then_files_then_slices() -> None:
    told = {
        Step("upload", 0, 0): "Sending …",
        Step("upload", 0, 120_000_000): "Sending 0 of 120 MB",
        Step("upload", 34_400_000, 120_000_000): "Sending 34 of 120 MB",
        Step("upload", 900, 4_100): "Sending 1 of 4 kB",
        Step("files", 12, 200): "Looking at file 13 of 200",
        Step("files", 200, 200): "Looking at file 200 of 200",
        Step("import", 0, 0): "The server reads the files …",
        Step("import", 39, 200): "Reading slice 40 of 200",
        Step("import", 200, 200): "Reading slice 200 of 200",
    }
    assert {step: import_step(step) for step in told} == told


def test_what_the_service_measured_is_told_as_far_as_it_says() -> None:
    everything = Statistics(visible_ms=121, volume_ms=3420, workspace_bytes=310_400_000)
    assert details(everything, 0.914, 93).split("\n") == [
        "Visible slice after 0.12 s, volume after 3.4 s",
        "The server holds 310 MB for this annotation",
        "Expected Dice at threshold 93: 0.91",
    ]
    assert details(Statistics(visible_ms=1210), 0.0, 93) == "Visible slice after 1.2 s"
    assert details(Statistics(), 0.9, 0) == ""
    assert seconds(75_400) == "75 s"


def test_the_next_slice_is_numbered_as_the_bar_does() -> None:
    assert next_slice(Place(Plane.AXIAL, 30, 0, 0, 1, 1)) == "Next: 31"
    assert next_slice(None) == "Next"
