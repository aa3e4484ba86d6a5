"""The services on a bucket of a real S3 server: over the wire, killed, and back from what the bucket holds alone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import grpc
import numpy as np
import pytest
from calque.v1 import segmentation_pb2_grpc

from services.bench.client import Client
from services.formats.source import source_files
from services.store import segments
from services.store.annotations import Annotations
from services.store.audit import Trail
from services.store.s3 import Bucket, S3Store
from services.store.tidy import Tidied, tidy
from tests.phantoms import oblique_phantom, write_nifti
from tests.processes import Serving
from tests.rgw import Server
from tests.s3 import bucket_of
from tests.served import Tablet, stroke

SHAPE = (6, 24, 26)
KINDS = ("annotation", "mask")


def start(folder: Path, bucket: Bucket) -> Serving:
    environment = {
        "CALQUE_STORE": f"s3://{bucket.name}",
        "CALQUE_S3_ENDPOINT": bucket.endpoint,
        "CALQUE_S3_CREDENTIALS": str(bucket.credentials),
        "CALQUE_PSEUDONYM_KEY": str(folder / "pseudonym.key"),
        "CALQUE_AUDIT_SPOOL": str(folder / "audit-spool"),
    }
    return Serving(folder, "volumes", "segmentation", "--listen", "127.0.0.1:0", **environment)


@contextmanager
def connected(address: str) -> Iterator[Client]:
    client = Client(address)
    try:
        yield client
    finally:
        client.close()


async def test_what_was_drawn_is_there_after_a_kill(s3: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nifti = write_nifti(oblique_phantom(SHAPE), tmp_path / "Doe-Jane.nii")
    session_id, random = str(uuid4()), np.random.default_rng(1)
    drawn = [stroke(1 + n % 3, 3, *random.uniform(2, 5, (2, 4)), label=1 + n % 2, width_mm=3) for n in range(6)]
    with bucket_of(s3, tmp_path) as bucket:
        with start(tmp_path, bucket) as first, connected(first.address()) as client:
            volume = await asyncio.to_thread(client.import_files, source_files(nifti))
            annotation_id = await asyncio.to_thread(client.begin, volume.volume_id, "first")
            async with (
                grpc.aio.insecure_channel(first.line.split()[-1]) as channel,
                Tablet(segmentation_pb2_grpc.SegmentationStub(channel), annotation_id, session_id) as tablet,
            ):
                await tablet.draw(*drawn)
            saved = await asyncio.to_thread(client.save_mask, annotation_id, 128)
            before = [await asyncio.to_thread(client.export, annotation_id, kind, "nifti") for kind in KINDS]
            first.process.kill()

        with start(tmp_path, bucket) as second, connected(second.address()) as client:
            after = [await asyncio.to_thread(client.export, annotation_id, kind, "nifti") for kind in KINDS]
            again = await asyncio.to_thread(client.save_mask, annotation_id, 128)

        assert [data for _, data in after] == [data for _, data in before]
        assert (again.number, again.digest) == (saved.number + 1, saved.digest)
        store = S3Store(bucket)
        entries = [entry for entry in Annotations(store).log(annotation_id).entries if entry.sequence]
        assert [record.event.action.value for record in Trail(store).records()] == [
            "volume.import",
            "annotation.create",
            "annotation.write",
            "mask.save",
            *["annotation.export"] * 4,
            "mask.save",
        ]
        assert [entry.body for entry in entries] == [body.SerializeToString() for body in drawn]
        monkeypatch.setattr(segments, "ENTRIES", 2)
        monkeypatch.setattr(segments, "KEPT", 1)
        assert tidy(store, now_ms=0, keep_ms=0) == Tidied(moved=5)
        assert [entry for entry in Annotations(store).log(annotation_id).entries if entry.sequence] == entries
        keys = [key for part in ("volumes", "annotations", "uploads", "probe") for key in store.list(part)]
        assert {key.split("/")[0] for key in keys} == {"volumes", "annotations"}
        assert not re.search("doe|jane", " ".join(keys), re.IGNORECASE)
    for serving in (first, second):
        assert "Traceback" not in serving.errors()
        for secret in (s3.secret_key, s3.access_key, "Doe"):
            assert secret not in serving.errors()
