"""What is exported can be traced: names, and a zip that tells where its files come from."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
from calque.v1 import segmentation_pb2

from services.core import forest
from services.core.volume import Volume
from services.segmentation import exports
from services.segmentation.exports import of_labels, of_mask, write
from services.store.annotations import PAPER_LABELS, AnnotationRecord, MaskRecord
from services.store.catalogue import Catalogue, VolumeRecord
from services.store.directory import DirectoryStore
from tests.served import Served, Tablet, begin, keep, stroke

pb = segmentation_pb2
OBJECT = stroke(1, 3, [28, 33], [13, 13], label=1)
BACKGROUND = stroke(1, 3, [5, 30], [36, 36], label=2)
NOW_MS = 1_700_000_000_123  # 2023-11-14 22:13:20 UTC


@pytest.fixture
def volume(tmp_path: Any, phantom: Volume) -> VolumeRecord:
    return keep(DirectoryStore(tmp_path / "names"), phantom)


def annotation(volume: VolumeRecord, name: str = "Tumour, left") -> AnnotationRecord:
    return AnnotationRecord(f"{volume.volume_id}-{'a' * 32}", volume.volume_id, name, 1_600_000_000_000, PAPER_LABELS)


async def zipped(served: Served, annotation_id: str, kind: str, number: int = 0) -> tuple[str, dict[str, bytes]]:
    """The name of a zip, and what is in it."""
    request = pb.ExportRequest(
        annotation_id=annotation_id, kind=f"EXPORT_KIND_{kind}", format="EXPORT_FORMAT_ZIP", mask_number=number
    )
    parts = [part async for part in served.segmentation.Export(request)]
    data = b"".join(part.data for part in parts)
    assert hashlib.sha256(data).hexdigest() == parts[-1].sha256
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return parts[0].name, {name: archive.read(name) for name in archive.namelist()}


async def test_a_zip_holds_both_files_and_where_they_come_from(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    volume = Catalogue(served.store).get(annotation_id.partition("-")[0])
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.settings(live=True, seed=5)
        await tablet.draw(OBJECT, BACKGROUND)
        for threshold in (90, 200):
            request = pb.SaveMaskRequest(annotation_id=annotation_id, threshold=threshold)
            saved = [one async for one in served.segmentation.SaveMask(request)][-1].mask
        levels = served.workspace(annotation_id).computation.levels.copy()
        await tablet.draw(stroke(1, 8, [20], [20]))
        found = {kind: await zipped(served, annotation_id, kind) for kind in ("ANNOTATION", "MASK", "PROBABILITY")}
        levels_now = served.workspace(annotation_id).computation.levels.copy()
        first = await zipped(served, annotation_id, "MASK", 1)

    for kind, (name, files) in found.items():
        stem = name.removesuffix(".zip")
        part = "mask-2" if kind == "MASK" else kind.lower()
        assert re.fullmatch(rf"Phantom-Annotation-{part}-\d{{8}}T\d{{6}}Z", stem)
        assert list(files) == [f"{stem}.tif", f"{stem}.nii.gz", "provenance.json"]
        told = json.loads(files["provenance.json"])
        assert told["kind"] == kind.lower()
        assert told["volume"]["voxels_sha256"] == volume.digest
        np.testing.assert_array_equal(told["volume"]["affine_lps_mm"], phantom.affine)
        assert told["annotation"]["id"] == annotation_id
        assert told["annotation"]["log_length"] == (3 if kind == "MASK" else 4)
        for image in (f"{stem}.tif", f"{stem}.nii.gz"):
            assert told["files"][image]["sha256"] == hashlib.sha256(files[image]).hexdigest()
        assert told["exported_by"]["numpy"] == np.__version__
        assert datetime.fromisoformat(told["exported"]).tzinfo == UTC
        if kind != "ANNOTATION":
            switches = {"connected": False, "fill_holes": False, "latent_model": ""}
            made_by = {"preset": "paper", "seed": 5, "engine": forest.ENGINE, "classifier": "forest"}
            assert told["made_by"] == made_by | switches
        else:
            assert "made_by" not in told
        assert ("mask" in told) == (kind == "MASK")

    _, files = found["MASK"]
    told = json.loads(files["provenance.json"])["mask"]
    assert (told["number"], told["threshold"], told["sha256"]) == (2, 200, saved.digest)
    assert told["object_ml"] == saved.object_ml
    stamp = datetime.fromtimestamp(saved.saved_ms // 1000, UTC)
    assert datetime.fromisoformat(told["saved"]) == stamp
    assert f"{stamp:%Y%m%dT%H%M%SZ}" in found["MASK"][0]
    assert json.loads(first[1]["provenance.json"])["mask"]["threshold"] == 90
    for kind, expected in (("MASK", (levels >= 200) * 255), ("PROBABILITY", levels_now)):
        tiff, nifti, _ = found[kind][1].values()
        np.testing.assert_array_equal(tifffile.imread(io.BytesIO(tiff)), expected)
        image = nibabel.Nifti1Image.from_bytes(gzip.decompress(nifti))
        np.testing.assert_array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), expected)


def test_names_tell_volume_annotation_kind_and_time(volume: VolumeRecord) -> None:
    labels = np.zeros(volume.shape, np.uint8)
    mask = MaskRecord(7, "d" * 64, 128, 1_650_000_000_999, 3, "paper", 0, "engine", 1.5)
    one = annotation(volume)
    names = {form: write(of_labels(labels, 3, NOW_MS), volume, one, form, NOW_MS).name for form in ("tiff", "nifti", "zip")}
    assert names == {
        "tiff": "Phantom-Tumour_left-annotation-20231114T221320Z.tif",
        "nifti": "Phantom-Tumour_left-annotation-20231114T221320Z.nii.gz",
        "zip": "Phantom-Tumour_left-annotation-20231114T221320Z.zip",
    }
    saved = write(of_mask(mask, labels > 0), volume, one, "tiff", NOW_MS)
    assert saved.name == "Phantom-Tumour_left-mask-7-20220415T052000Z.tif"


@pytest.mark.parametrize("name", ["頭" * 256, "../../x", "a/b\\c:d", "\u202e.exe", "...", "x" * 256, "ä" * 64])
def test_any_name_makes_a_name_for_a_file(name: str, volume: VolumeRecord) -> None:
    labels = np.zeros(volume.shape, np.uint8)
    file = write(of_labels(labels, 3, NOW_MS), replace(volume, name=name), annotation(volume, name), "nifti", NOW_MS)
    assert len(file.name.encode()) <= 255
    assert not re.search(r'[/\\:*?"<>|\s]|\.\.|^\.', file.name)
    assert file.name.isprintable()
    assert file.name.endswith("-annotation-20231114T221320Z.nii.gz")


def test_the_same_mask_gives_the_same_files(volume: VolumeRecord) -> None:
    inside = np.arange(np.prod(volume.shape)).reshape(volume.shape) % 3 == 0
    content = of_mask(MaskRecord(1, "d" * 64, 128, 1, 3, "paper", 0, "engine", 1.5), inside)
    one = annotation(volume)
    for form in ("tiff", "nifti", "zip"):
        assert write(content, volume, one, form, NOW_MS) == write(content, volume, one, form, NOW_MS)
    # Exported later, only what says so differs.
    told = [exports.provenance(content, volume, one, [], now) for now in (NOW_MS, NOW_MS + 9_000)]
    assert told[0] | {"exported": ""} == told[1] | {"exported": ""}
    assert told[0] != told[1]
