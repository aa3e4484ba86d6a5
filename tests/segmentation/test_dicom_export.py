"""DICOM segmentations over the wire: on the images that the volume was read from, and back as the same mask."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pydicom
import pytest
import tifffile
from calque.v1 import common_pb2, segmentation_pb2
from grpc_status import rpc_status
from numpy.typing import NDArray

from services.core.volume import Volume
from services.formats.read import read_volume, source_files
from tests.dicom_validator import check_dicom
from tests.phantoms import oblique_phantom, write_dicom_series
from tests.segmentation.conftest import SHAPE
from tests.served import Served, Tablet, begin, refused, stroke

pb = segmentation_pb2
OBJECT = stroke(1, 3, [28, 33], [13, 13], label=1)
BACKGROUND = stroke(1, 3, [5, 30], [36, 36], label=2)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dicom_series(oblique_phantom(SHAPE), tmp_path_factory.mktemp("files") / "series")


@pytest.fixture(scope="module")
def volume(series: Path) -> Volume:
    return read_volume(source_files(series))


def asked(annotation_id: str, kind: str, form: str = "DICOM_SEG") -> pb.ExportRequest:
    return pb.ExportRequest(annotation_id=annotation_id, kind=f"EXPORT_KIND_{kind}", format=f"EXPORT_FORMAT_{form}")


async def export(served: Served, request: pb.ExportRequest) -> tuple[str, bytes]:
    parts = [part async for part in served.segmentation.Export(request)]
    data = b"".join(part.data for part in parts)
    assert hashlib.sha256(data).hexdigest() == parts[-1].sha256
    return parts[0].name, data


def on_the_images(data: bytes, series: Path, volume: Volume, segment: int = 1) -> NDArray[Any]:
    """A segment's frames, each at the slice whose image it names, as pydicom alone reads them."""
    assert volume.source is not None
    images = {str(d.SOPInstanceUID): d for d in map(pydicom.dcmread, series.iterdir())}
    seg = pydicom.dcmread(io.BytesIO(data))
    found = np.zeros(volume.shape, seg.pixel_array.dtype)
    shared = seg.SharedFunctionalGroupsSequence[0]
    for group, frame in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        segments = group.get("SegmentIdentificationSequence") or shared.SegmentIdentificationSequence
        if segments[0].ReferencedSegmentNumber != segment:
            continue
        uid = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        lies, at = group.PlanePositionSequence[0].ImagePositionPatient, images[uid].ImagePositionPatient
        np.testing.assert_allclose([float(v) for v in lies], [float(v) for v in at], atol=1e-4)
        found[volume.source.instance_uids.index(uid)] = frame
    return found


async def test_what_was_drawn_lies_on_its_images_and_comes_back(
    served: Served, series: Path, volume: Volume, tmp_path: Path
) -> None:
    annotation_id = await begin(served, volume)
    rename = pb.RenameAnnotationRequest(annotation_id=annotation_id, name="Tumour, left")
    await served.segmentation.RenameAnnotation(rename)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.settings(live=True, seed=5)
        await tablet.draw(OBJECT, BACKGROUND)
        request = pb.SaveMaskRequest(annotation_id=annotation_id, threshold=128)
        saved = [one async for one in served.segmentation.SaveMask(request)][-1].mask
        levels = served.workspace(annotation_id).computation.levels.copy()
        files = {kind: await export(served, asked(annotation_id, kind)) for kind in ("MASK", "ANNOTATION", "PROBABILITY")}
        assert await export(served, asked(annotation_id, "MASK")) == files["MASK"]
        zips = {kind: await export(served, asked(annotation_id, kind, "ZIP")) for kind in files}
        drawn = (await export(served, asked(annotation_id, "ANNOTATION", "TIFF")))[1]

    name, data = files["MASK"]
    assert name.startswith("Phantom-Tumour_left-mask-1-")
    assert name.endswith("Z.dcm")
    np.testing.assert_array_equal(on_the_images(data, series, volume) > 0, levels >= 128)
    seg = pydicom.dcmread(io.BytesIO(data))
    assert [s.SegmentLabel for s in seg.SegmentSequence] == ["Tumour, left"]
    assert seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion == saved.engine
    np.testing.assert_array_equal(on_the_images(files["PROBABILITY"][1], series, volume), levels)
    labels = tifffile.imread(io.BytesIO(drawn))
    strokes = pydicom.dcmread(io.BytesIO(files["ANNOTATION"][1]))
    assert [s.SegmentLabel for s in strokes.SegmentSequence] == ["Object", "Background"]
    for number in (1, 2):
        found = on_the_images(files["ANNOTATION"][1], series, volume, number)
        np.testing.assert_array_equal(found > 0, labels == number)

    with zipfile.ZipFile(io.BytesIO(zips["MASK"][1])) as archive:
        stem = name.removesuffix(".dcm")
        assert archive.namelist() == [f"{stem}.tif", f"{stem}.nii.gz", name, "provenance.json"]
        assert archive.read(name) == data
        told = json.loads(archive.read("provenance.json"))
        assert told["files"][name]["sha256"] == hashlib.sha256(data).hexdigest()
        assert told["exported_by"]["highdicom"] != "not installed"
    for kind in ("ANNOTATION", "PROBABILITY"):
        with zipfile.ZipFile(io.BytesIO(zips[kind][1])) as archive:
            assert [entry.rpartition(".")[2] for entry in archive.namelist()] == ["tif", "gz", "dcm", "json"]

    other = await begin(served, volume)
    answer = await upload(served, other, data)
    assert (answer.mask_digest, answer.voxels) == (saved.digest, (levels >= 128).sum())
    for _, written in files.values():
        check_dicom(written, tmp_path)


async def upload(served: Served, annotation_id: str, data: bytes, segment: int = 0) -> pb.UploadMaskResponse:
    first = pb.UploadMaskRequest(annotation_id=annotation_id, name="mask.dcm", segment=segment, data=data[:1000])
    return await served.segmentation.UploadMask(iter([first, pb.UploadMaskRequest(data=data[1000:])]))


async def test_one_of_several_segments_becomes_the_start(served: Served, volume: Volume) -> None:
    annotation_id = await begin(served, volume)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.draw(OBJECT, BACKGROUND)
        _, data = await export(served, asked(annotation_id, "ANNOTATION"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await upload(served, annotation_id, data)
    status, info = rpc_status.from_call(caught.value), common_pb2.ErrorInfo()
    assert status is not None
    status.details[0].Unpack(info)
    assert (caught.value.code().name, info.reason) == ("FAILED_PRECONDITION", common_pb2.SEVERAL_SEGMENTS)
    assert [(c.key, c.text) for c in info.choices] == [("1", "1: Object"), ("2", "2: Background")]
    sizes = [(await upload(served, annotation_id, data, segment)).voxels for segment in (1, 2)]
    seg = pydicom.dcmread(io.BytesIO(data))
    assert sizes == [int(frame.sum()) for frame in seg.pixel_array]


async def test_a_volume_that_is_no_series_is_told_which_formats_it_can_have(served: Served) -> None:
    annotation_id = await begin(served, oblique_phantom(SHAPE))
    call = served.segmentation.Export(asked(annotation_id, "ANNOTATION"))
    assert await refused(call) == ("FAILED_PRECONDITION", "NO_SOURCE_SERIES", 0)
    _, data = await export(served, asked(annotation_id, "ANNOTATION", "ZIP"))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert [name.rpartition(".")[2] for name in archive.namelist()] == ["tif", "gz", "json"]
