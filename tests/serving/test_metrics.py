"""What a process tells of its work: where, what, and nothing of whose."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

import pytest
from calque.v1 import segmentation_pb2 as pb

from services.core.errors import InvalidInput, Unavailable
from services.serving import metrics
from tests.phantoms import oblique_phantom
from tests.served import Tablet, begin, refused, serve, stroke


def read(where: str) -> dict[str, float]:
    with urllib.request.urlopen(f"http://{where}/metrics", timeout=30) as page:
        lines = page.read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


def test_they_are_on_loopback_unless_told() -> None:
    with metrics.exposed("0") as where:
        assert re.fullmatch(r"127\.0\.0\.1:\d+", where)
        assert read(where)["calque_peak_memory_bytes"] > 1 << 20
        with pytest.raises(Unavailable), metrics.exposed(where):
            pass
    with metrics.exposed(where) as again:  # it has been given back
        assert again == where


@pytest.mark.parametrize("address", ["", "host", "127.0.0.1:", "127.0.0.1:x", "65536", "nowhere.invalid:0"])
def test_an_address_that_cannot_be_is_refused(address: str) -> None:
    with pytest.raises((InvalidInput, Unavailable)), metrics.exposed(address):
        pass


async def test_they_count_what_is_done_and_name_nobody(tmp_path: Path) -> None:
    volume = oblique_phantom((4, 24, 32))
    with metrics.exposed("0") as where:
        async with serve(tmp_path / "store", compute_threads=1, features_memory_bytes=1 << 20) as served:
            before = read(where)
            annotation_id = await begin(served, volume)
            async with Tablet(served.segmentation, annotation_id) as tablet:
                await tablet.settings(live=False, connected=True)
                await tablet.look(1, 2)
                await tablet.draw(stroke(1, 2, [4, 9], [4, 4]), stroke(1, 2, [4, 9], [20, 20], label=2))
                await tablet.segment()
                await tablet.whole()
                after = read(where)
            await refused(served.segmentation.ListMasks(pb.ListMasksRequest(annotation_id="none")))
        end = read(where)  # a refusal is counted once it was sent

    def gained(name: str, then: dict[str, float]) -> float:
        return then.get(name, 0.0) - before.get(name, 0.0)

    assert gained("calque_acknowledgement_seconds_count", after) == 2
    assert gained("calque_visible_seconds_count", after) == gained("calque_volume_seconds_count", after) == 1
    for step in ("gather", "fit", "features", "predict", "reconstruct"):
        assert gained(f'calque_step_seconds_count{{step="{step}"}}', after) > 0
    assert after["calque_features_bytes"] == volume.voxels.size * 18
    assert after["calque_features_limit_bytes"] == 1 << 20
    assert after["calque_sessions"] == before["calque_sessions"] + 1
    assert after["calque_workspaces"] == 1
    assert gained("calque_probability_bytes_total", after) >= len(tablet.all("probability")[0].levels)
    method = 'method="calque.v1.Segmentation'
    assert gained(f'calque_call_seconds_count{{{method}/CreateAnnotation",status="OK"}}', end) == 1
    assert gained(f'calque_call_seconds_count{{{method}/ListMasks",status="NOT_FOUND"}}', end) == 1
    assert all(annotation_id not in name and annotation_id.partition("-")[0] not in name for name in end)
