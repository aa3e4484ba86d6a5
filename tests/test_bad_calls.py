"""Bad calls of the list of bad inputs, each over the real wire, with the status that it must get."""

from __future__ import annotations

import json
import re
import socket
import time
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from calque.v1 import embedding_pb2, identity_pb2, segmentation_pb2, volumes_pb2, volumes_pb2_grpc
from google.protobuf.message import Message

from services.core.volume import Volume
from tests import canary
from tests.phantoms import oblique_phantom
from tests.processes import Serving
from tests.served import Tablet, begin, chunks, event, refused, serve, stroke

NAN, INFINITE = float("nan"), float("inf")
GOOD = stroke(1, 1, [3, 9], [4, 4])


@pytest.fixture
def phantom() -> Volume:
    return oblique_phantom((4, 20, 24))


async def ends(
    folder: Path, phantom: Volume, *events: Message | bytes, numbers: tuple[int, ...] = ()
) -> tuple[str, str, int]:
    """How a stream ends on which these events come after a good one; that one is kept, and nothing of them."""
    async with serve(folder) as served:
        annotation_id = await begin(served, phantom)
        async with Tablet(served.segmentation, annotation_id) as tablet:
            await tablet.settings(live=False)
            await tablet.draw(GOOD)
            for number, body in zip(numbers or range(2, 2 + len(events)), events):
                await tablet.send(event=event(number, body))
            found = await tablet.end()
        async with Tablet(served.segmentation, annotation_id) as again:
            assert [one.sequence for one in again.all("logged") if one.sequence] in ([], [1])
            assert again.all("opened")[0].annotation.events == 1
    return found


@pytest.mark.item(39)
@pytest.mark.parametrize(
    ("x", "y", "status"),
    [
        ([NAN], [4], "INVALID_ARGUMENT"),
        ([3, INFINITE], [4, 4], "INVALID_ARGUMENT"),
        ([1e9], [4], "INVALID_ARGUMENT"),
        ([3], [], "INVALID_ARGUMENT"),
        ([3.0] * 900_000, [4.0] * 900_000, "RESOURCE_EXHAUSTED"),
    ],
    ids=["no number", "infinite", "outside", "half a point", "nearly a million"],
)
async def test_a_stroke_that_cannot_be_is_refused(
    tmp_path: Path, phantom: Volume, x: list[float], y: list[float], status: str
) -> None:
    assert (await ends(tmp_path / "store", phantom, stroke(1, 1, x, y)))[:2] == (status, "STROKE_INVALID")


@pytest.mark.item(40)
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (stroke(1, 1, [3], [4], label=9), "LABEL_UNKNOWN"),
        (stroke(1, 1, [3], [4], width_mm=NAN), "STROKE_INVALID"),
        (stroke(1, 1, [3], [4], width_mm=-1), "STROKE_INVALID"),
        (stroke(1, 1, [3], [4], width_mm=1e6), "STROKE_INVALID"),
    ],
    ids=["label", "width no number", "width negative", "width huge"],
)
async def test_a_label_or_width_that_cannot_be_is_refused(
    tmp_path: Path, phantom: Volume, body: segmentation_pb2.EventBody, reason: str
) -> None:
    assert await ends(tmp_path / "store", phantom, body) == ("INVALID_ARGUMENT", reason, 2)


@pytest.mark.item(41)
async def test_an_event_that_is_sent_again_gets_the_first_acknowledgement(tmp_path: Path, phantom: Volume) -> None:
    async with serve(tmp_path / "store") as served, Tablet(served.segmentation, await begin(served, phantom)) as tablet:
        await tablet.settings(live=False)
        await tablet.draw(GOOD, GOOD)
        await tablet.send(event=event(1, GOOD))
        acks = await tablet.until(lambda t: len(t.all("ack")) == 3 and t.all("ack"))
        assert acks[2] == acks[0]


@pytest.mark.item(42)
async def test_a_number_with_another_event_is_refused(tmp_path: Path, phantom: Volume) -> None:
    other = stroke(1, 1, [3, 8], [4, 4])
    assert await ends(tmp_path / "store", phantom, other, numbers=(1,)) == ("ABORTED", "SEQUENCE_CONFLICT", 0)


@pytest.mark.item(43)
async def test_a_gap_names_the_number_that_is_expected(tmp_path: Path, phantom: Volume) -> None:
    assert await ends(tmp_path / "store", phantom, GOOD, numbers=(4,)) == ("FAILED_PRECONDITION", "SEQUENCE_GAP", 2)


@pytest.mark.item(48)
async def test_events_are_ordered_by_their_numbers_whatever_a_tablets_clock_says(tmp_path: Path, phantom: Volume) -> None:
    now_ms = time.time_ns() // 1_000_000
    bodies = []
    for minutes in (10, -10, 0):
        body = stroke(1, 1, [3, 9 + minutes / 10], [4, 4])
        body.drawn_ms = now_ms + minutes * 60_000
        bodies.append(body)
    async with serve(tmp_path / "store") as served:
        annotation_id = await begin(served, phantom)
        async with Tablet(served.segmentation, annotation_id) as tablet:
            await tablet.settings(live=False)
            await tablet.draw(*bodies)
        async with Tablet(served.segmentation, annotation_id, read_only=True) as reader:
            logged = await reader.until(lambda t: len(t.all("logged")) == 4 and t.all("logged"))
    assert [one.body for one in logged if one.sequence] == [body.SerializeToString() for body in bodies]


@pytest.mark.item(49)
def test_what_a_client_says_forges_no_line_of_the_log_and_tells_of_no_patient(tmp_path: Path) -> None:
    forged = f'\n{{"event": "signed in", "user": "{canary.NAME}"}}\r\x1b[2K'
    metadata = (("x-patient-bin", canary.TEXT.encode()), ("x-name", canary.NAME), ("x-trace-bin", forged.encode()))
    listen = ("--listen", "127.0.0.1:0", "--store", str(tmp_path / "store"), "--log", "json")
    with Serving(tmp_path, "volumes", *listen) as serving, grpc.insecure_channel(serving.address()) as channel:
        stub = volumes_pb2_grpc.VolumesStub(channel)
        upload = chunks(str(uuid4()), f"{canary.NAME}{forged}.nii", b"x")
        odd = volumes_pb2.GetVolumeRequest(volume_id=canary.TEXT + forged)
        for own_file, call in (  # whose name is said to who sent it
            (True, lambda: stub.Upload(iter(upload), metadata=metadata, timeout=30)),
            (False, lambda: stub.GetVolume(odd, metadata=metadata, timeout=30)),
            (False, lambda: channel.unary_unary(f"/calque.v1.Volumes/{canary.NAME}")(b"", metadata=metadata, timeout=30)),
        ):
            with pytest.raises(grpc.RpcError) as error:
                call()
            assert not re.search(r"[\x00-\x1f]", error.value.details())
            assert own_file or canary.NAME not in error.value.details()
        logged = serving.errors()
    lines = [json.loads(line) for line in logged.splitlines() if line.startswith("{")]
    assert sum(line["event"] == "refused" for line in lines) == 2
    assert "signed in" not in {line["event"] for line in lines}
    assert canary.hunted(logged.encode()) == set()


@pytest.mark.item(50)
async def test_nothing_is_fetched_for_a_client(tmp_path: Path) -> None:
    """No request has a field for an address; and a name that is one leads nowhere."""
    files = (volumes_pb2, segmentation_pb2, embedding_pb2, identity_pb2)
    requests = [
        call.input_type
        for file in files
        for service in file.DESCRIPTOR.services_by_name.values()
        for call in service.methods
    ]
    seen, names = set(), set()
    while requests:
        message = requests.pop()
        if message.full_name not in seen:
            seen.add(message.full_name)
            names |= {field.name for field in message.fields}
            requests += [field.message_type for field in message.fields if field.message_type]
    assert len(names) > 40
    assert not [name for name in names if {"url", "uri", "address", "host", "endpoint", "path"} & set(name.split("_"))]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        name = f"http://127.0.0.1:{listener.getsockname()[1]}/v.nii"
        async with serve(tmp_path / "store") as served:
            upload_id = str(uuid4())
            await served.volumes.Upload(iter(chunks(upload_id, name, b"x")))
            missing = served.volumes.Import(volumes_pb2.ImportRequest(upload_id=upload_id, series=name))
            assert (await refused(missing))[0] == "INVALID_ARGUMENT"
        with pytest.raises(TimeoutError):
            listener.accept()
