"""An S3 server fails while the services write to it: what reached it and what did not is settled by digest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import uuid4

import pytest
from calque.v1 import segmentation_pb2

from services.core.volume import Volume
from services.store.annotations import Annotations
from services.store.s3 import Patience, S3Store
from tests.faults.storage import FULL, UNAVAILABLE
from tests.served import Served, Tablet, begin, refused, serve, stroke
from tests.store import bad_s3
from tests.store.bad_s3 import BadS3, Trouble

DAMAGED = ("DATA_LOSS", "DIGEST_MISMATCH", 0)
PATIENCE = Patience(connect_s=5, read_s=0.2, tries=2, pause_s=0.001)


@pytest.fixture
def bad() -> BadS3:
    return BadS3()


@pytest.fixture
async def served(bad: BadS3, tmp_path: Path) -> AsyncIterator[Served]:
    with bad_s3.served(bad, tmp_path) as bucket:
        async with serve(tmp_path / "store", store=S3Store(bucket, PATIENCE), compute_threads=1) as served:
            yield served


def writing(trouble: Trouble) -> Callable[[str], Trouble | None]:
    """What a server does that fails at every write."""
    return lambda method: trouble if method == "PUT" else None


def cut_off(method: str) -> Trouble:
    """It does what it is told, and nobody hears of it: its replies are lost, and then it is gone."""
    return Trouble.LOST_REPLY if method == "PUT" else Trouble.LOST_REQUEST


@pytest.mark.parametrize(
    ("trouble", "told", "arrived"),
    [
        (writing(Trouble.ERROR), UNAVAILABLE, False),
        (writing(Trouble.LOST_REQUEST), UNAVAILABLE, False),
        (writing(Trouble.SILENCE), UNAVAILABLE, False),
        (writing(Trouble.DAMAGE), DAMAGED, False),
        (writing(Trouble.DISK_FULL), FULL, False),
        (writing(Trouble.QUOTA), FULL, False),
        (cut_off, UNAVAILABLE, True),
    ],
    ids=["500", "lost request", "silence", "flipped bit", "disk full", "quota", "lost reply"],
)
@pytest.mark.item(57)
async def test_an_event_that_may_have_been_written_is_kept_once(
    served: Served,
    bad: BadS3,
    phantom: Volume,
    trouble: Callable[[str], Trouble | None],
    told: tuple[str, str, int],
    arrived: bool,
) -> None:
    annotation_id, session_id = await begin(served, phantom), str(uuid4())
    drawn = [stroke(1, 3, [k], [k]) for k in (4, 5)]
    async with Tablet(served.segmentation, annotation_id, session_id) as tablet:
        await tablet.settings(live=False)
        await tablet.draw(drawn[0])
        bad.trouble = trouble
        await tablet.put(drawn[1])
        assert await tablet.end() == told
        asked = segmentation_pb2.CreateAnnotationRequest(volume_id=annotation_id.partition("-")[0])
        assert await refused(served.segmentation.CreateAnnotation(asked)) in (told, UNAVAILABLE)
        assert [ack.sequence for ack in tablet.all("ack")] == [1]
        bad.trouble = lambda method: None
    async with Tablet(served.segmentation, annotation_id, session_id) as again:
        assert again.sequence == 1 + arrived
        again.sequence = 1
        await again.draw(drawn[1])
    entries = [entry for entry in Annotations(served.store).log(annotation_id).entries if entry.sequence]
    assert [entry.body for entry in entries] == [body.SerializeToString() for body in drawn]


@pytest.mark.parametrize("trouble", [Trouble.LOST_REPLY, Trouble.CUT_REPLY, Trouble.ERROR, Trouble.DAMAGE])
@pytest.mark.item(57)
async def test_a_write_that_fails_once_is_not_noticed(
    served: Served, bad: BadS3, phantom: Volume, trouble: Trouble
) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.settings(live=False)
        for number in range(3):
            bad.next("PUT", trouble)
            await tablet.draw(stroke(1, 3, [number], [4]))
    entries = [entry for entry in Annotations(served.store).log(annotation_id).entries if entry.sequence]
    assert [entry.sequence for entry in entries] == [1, 2, 3]
