"""Uploads over the wire: resumed where they were cut, and refused where they lie."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from calque.v1 import volumes_pb2

from services.volumes import servicer
from tests.served import SECONDS, Served, chunks, eventually, refused, serve


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serve(tmp_path / "store", upload_limit_bytes=3_000_000) as served:
        yield served


def noise(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(size)


async def arrived(served: Served, upload_id: str) -> dict[str, tuple[int, int]]:
    response = await served.volumes.GetUpload(volumes_pb2.GetUploadRequest(upload_id=upload_id))
    return {file.name: (file.committed_bytes, file.size_bytes) for file in response.files}


def stored(served: Served, upload_id: str) -> int:
    """Bytes of parts that lie in the store."""
    keys = served.store.list(f"uploads/{upload_id.replace('-', '')}")
    return sum(served.store.size(key) for key in keys if "/parts/" in key)


async def test_several_files_arrive_whole_and_in_order(served: Served) -> None:
    upload_id = str(uuid4())
    files = {"b/one.dcm": noise(700_000), "a/two.dcm": noise(1), "empty": b"", "a/é 3.dcm": noise(300_000, 1)}
    requests = [request for name, data in files.items() for request in chunks(upload_id, name, data)]
    response = await served.volumes.Upload(iter(requests))

    assert [file.name for file in response.files] == list(files)
    assert all(file.committed_bytes == file.size_bytes == len(files[file.name]) for file in response.files)
    assert stored(served, upload_id) == sum(map(len, files.values()))
    again = await served.volumes.GetUpload(volumes_pb2.GetUploadRequest(upload_id=upload_id))
    assert list(again.files) == list(response.files)


async def test_an_upload_that_nobody_heard_of_is_empty(served: Served) -> None:
    assert await arrived(served, str(uuid4())) == {}
    assert list((await served.volumes.Upload(iter([]))).files) == []


@pytest.mark.item(37)
async def test_a_cut_stream_goes_on_where_it_ended_and_nothing_is_kept_twice(served: Served, monkeypatch) -> None:
    monkeypatch.setattr(servicer, "PART_BYTES", 1 << 18)
    taken, take = [], servicer._Receiver.take

    async def counted(receiver: servicer._Receiver, request: volumes_pb2.UploadRequest) -> None:
        await take(receiver, request)
        taken.append(request)

    monkeypatch.setattr(servicer._Receiver, "take", counted)
    upload_id, first, second = str(uuid4()), noise(300_000), noise(1_100_000, 1)
    call = served.volumes.Upload()
    for request in chunks(upload_id, "first", first) + chunks(upload_id, "second", second, size=100_000)[:5]:
        await call.write(request)
    await eventually(lambda: len(taken) == 7)
    assert (await arrived(served, upload_id))["second"][0] == 300_000
    call.cancel()  # what is not yet a whole part becomes one
    async with asyncio.timeout(SECONDS):
        while (await arrived(served, upload_id))["second"][0] < 500_000:
            pass

    state = await arrived(served, upload_id)
    assert state == {"first": (300_000, 300_000), "second": (500_000, 1_100_000)}
    rest = chunks(upload_id, "second", second, start=500_000)
    response = await served.volumes.Upload(iter(rest))
    assert all(file.committed_bytes == file.size_bytes for file in response.files)
    assert stored(served, upload_id) == len(first) + len(second)


@pytest.mark.parametrize("offset", [0, 999, 1_001, 5_000])
@pytest.mark.item(37)
async def test_a_gap_or_an_overlap_names_the_byte_that_is_expected(served: Served, offset: int) -> None:
    upload_id, data = str(uuid4()), noise(10_000)
    begun, wrong = chunks(upload_id, "file", data, size=1_000)[0], chunks(upload_id, "file", data, start=offset)[0]
    wrong.ClearField("file")
    assert await refused(served.volumes.Upload(iter([begun, wrong]))) == ("INVALID_ARGUMENT", "UPLOAD_OUT_OF_STEP", 1_000)
    # What arrived before is kept; a new call that begins elsewhere is told so at once.
    assert await arrived(served, upload_id) == {"file": (1_000, 10_000)}
    other = chunks(upload_id, "file", data, start=offset)
    assert await refused(served.volumes.Upload(iter(other))) == ("INVALID_ARGUMENT", "UPLOAD_OUT_OF_STEP", 1_000)
    await served.volumes.Upload(iter(chunks(upload_id, "file", data, start=1_000)))
    assert await arrived(served, upload_id) == {"file": (10_000, 10_000)}


@pytest.mark.item(38)
async def test_a_damaged_file_is_forgotten_and_the_others_stay(served: Served) -> None:
    upload_id, good, bad = str(uuid4()), noise(5_000), noise(400_000, 1)
    damaged = chunks(upload_id, "bad", bad, sha256=bytes(32))
    requests = [*chunks(upload_id, "good", good), *damaged]
    assert await refused(served.volumes.Upload(iter(requests))) == ("DATA_LOSS", "DIGEST_MISMATCH", 0)
    assert await arrived(served, upload_id) == {"good": (5_000, 5_000)}
    await served.volumes.Upload(iter(chunks(upload_id, "bad", bad)))
    assert await arrived(served, upload_id) == {"good": (5_000, 5_000), "bad": (400_000, 400_000)}


async def test_a_file_forgotten_in_the_middle_leaves_the_others_their_places(served: Served) -> None:
    upload_id = str(uuid4())
    for name in ("a", "b", "c"):
        requests = chunks(upload_id, name, noise(100), sha256=bytes(32)) if name == "b" else chunks(upload_id, name, b"x")
        call = served.volumes.Upload(iter(requests))
        if name == "b":
            assert (await refused(call))[1] == "DIGEST_MISMATCH"
        else:
            await call
    await served.volumes.Upload(iter(chunks(upload_id, "b", noise(100)) + chunks(upload_id, "d", noise(200))))
    assert await arrived(served, upload_id) == {"a": (1, 1), "b": (100, 100), "c": (1, 1), "d": (200, 200)}


@pytest.mark.item(37)
async def test_a_file_cannot_change_what_it_was_announced_as(served: Served) -> None:
    upload_id, data = str(uuid4()), noise(2_000)
    await served.volumes.Upload(iter(chunks(upload_id, "file", data)[:1]))
    for changed in ({"size_bytes": 2_001}, {"sha256": bytes(32)}):
        requests = chunks(upload_id, "file", data, **changed)
        assert await refused(served.volumes.Upload(iter(requests))) == ("INVALID_ARGUMENT", "REQUEST_INVALID", 0)
    longer = chunks(upload_id, "longer", data, size=1_500, size_bytes=1_999)
    assert await refused(served.volumes.Upload(iter(longer))) == ("INVALID_ARGUMENT", "REQUEST_INVALID", 0)
    assert (await arrived(served, upload_id))["longer"] == (1_500, 1_999)


@pytest.mark.parametrize(
    "name", ["", "../x", "a/../../x", "/etc/x", "a\0b", "a\nb", "evil\u202egpj.dcm", "a\u200fb", "x" * 4096]
)
async def test_a_name_that_cannot_be_is_refused(served: Served, name: str) -> None:
    upload_id = str(uuid4())
    call = served.volumes.Upload(iter(chunks(upload_id, name, b"data")))
    assert await refused(call) == ("INVALID_ARGUMENT", "REQUEST_INVALID", 0)
    assert await arrived(served, upload_id) == {}


async def test_the_limit_holds_for_all_files_together(served: Served) -> None:
    upload_id = str(uuid4())
    await served.volumes.Upload(iter(chunks(upload_id, "most", noise(2_500_000))))
    more = chunks(upload_id, "more", noise(10), size_bytes=500_001)
    assert await refused(served.volumes.Upload(iter(more))) == ("RESOURCE_EXHAUSTED", "FILE_TOO_LARGE", 0)
    assert list(await arrived(served, upload_id)) == ["most"]
    huge = chunks(str(uuid4()), "huge", b"x", size_bytes=2**64 - 1)
    assert await refused(served.volumes.Upload(iter(huge))) == ("RESOURCE_EXHAUSTED", "FILE_TOO_LARGE", 0)


@pytest.mark.parametrize("upload_id", ["", "one", "../../x", "12345678-1234-1234-1234-12345678901"])
async def test_an_upload_is_named_by_a_uuid(served: Served, upload_id: str) -> None:
    expected = ("INVALID_ARGUMENT", "REQUEST_INVALID", 0)
    assert await refused(served.volumes.GetUpload(volumes_pb2.GetUploadRequest(upload_id=upload_id))) == expected
    assert await refused(served.volumes.Upload(iter(chunks(upload_id, "a", b"b")))) == expected
    assert await refused(served.volumes.Import(volumes_pb2.ImportRequest(upload_id=upload_id))) == expected


@pytest.mark.item(37)
async def test_messages_that_make_no_sense_are_refused(served: Served) -> None:
    one, other = str(uuid4()), str(uuid4())
    nameless = volumes_pb2.UploadRequest(upload_id=one, data=b"x")
    large = chunks(one, "large", noise((1 << 20) + 1), size=2 << 20)
    for requests in (
        [nameless],
        chunks(one, "a", b"x") + chunks(other, "b", b"y"),
        large,
        chunks(one, "d", b"", sha256=b""),
    ):
        assert await refused(served.volumes.Upload(iter(requests))) == ("INVALID_ARGUMENT", "REQUEST_INVALID", 0)


@pytest.mark.item(34)
async def test_a_message_over_the_limit_is_refused_and_the_server_lives(served: Served) -> None:
    from grpc import StatusCode
    from grpc.aio import AioRpcError

    with pytest.raises(AioRpcError) as oversize:
        await served.volumes.Upload(iter(chunks(str(uuid4()), "a", bytes(9 << 20), size=9 << 20)))
    assert oversize.value.code() is StatusCode.RESOURCE_EXHAUSTED
    assert list((await served.volumes.ListVolumes(volumes_pb2.ListVolumesRequest())).volumes) == []


async def test_another_server_goes_on_with_the_upload(tmp_path: Path) -> None:
    upload_id, data = str(uuid4()), noise(600_000)
    async with serve(tmp_path) as before:
        await before.volumes.Upload(iter(chunks(upload_id, "file", data)[:2]))
    async with serve(tmp_path) as after:
        assert await arrived(after, upload_id) == {"file": (2 << 18, 600_000)}
        await after.volumes.Upload(iter(chunks(upload_id, "file", data, start=2 << 18)))
        assert await arrived(after, upload_id) == {"file": (600_000, 600_000)}


async def test_a_series_of_many_files_is_announced_without_reading_the_others_again(served: Served, monkeypatch) -> None:
    """Hundreds of slices: the store is asked a number of times that grows with the files, not with their square."""
    asked = 0
    read = type(served.store).read

    def counted(*arguments: object) -> bytes:
        nonlocal asked
        asked += 1
        return read(*arguments)

    monkeypatch.setattr(type(served.store), "read", counted)
    upload_id = str(uuid4())
    await served.volumes.Upload(request for n in range(40) for request in chunks(upload_id, f"{n}", b"slice"))
    assert asked <= 40 * 4
