"""From files to a volume in the library, over the wire."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import nibabel
import numpy as np
import pytest
from calque.v1 import common_pb2, volumes_pb2
from grpc_status import rpc_status
from PIL import Image

from services.core.volume import grey_map, intensity_window
from services.formats.read import SourceFile, read_volume
from services.formats.write import tiff_bytes
from services.store.catalogue import Catalogue
from tests.phantoms import oblique_phantom, set_pixels, write_dicom_series, write_nifti
from tests.served import Served, chunks, keep, refused, serve
from tests.volumes.importing import bring, dicom_files, greys, keep_file, send


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serve(tmp_path / "store", parser_memory_bytes=4 << 30) as served:
        yield served


def expected_image(array: np.ndarray, volume: volumes_pb2.Volume, plane: int, index: int) -> np.ndarray:
    """An image pixel by pixel, by the integer map of the message."""
    geometry = volume.planes[plane]
    matrix = np.array(geometry.pixel_to_voxel).reshape(3, 4)
    image = np.empty((geometry.rows, geometry.columns), dtype=array.dtype)
    for row in range(geometry.rows):
        for column in range(geometry.columns):
            image[row, column] = array[tuple(matrix @ (column, row, index, 1))]
    return image


async def test_a_nifti_file_a_dicom_series_and_a_stack_become_the_same_image(served: Served, tmp_path: Path) -> None:
    phantom = oblique_phantom((12, 40, 48))
    nifti, _ = await bring(served, {"head.nii": write_nifti(phantom, tmp_path / "head.nii").read_bytes()}, name="Mine")
    dicom, steps = await bring(served, dicom_files(phantom, tmp_path / "dicom"))
    tiff, _ = await bring(served, {"a/b.tif": tiff_bytes(phantom.voxels, affine=phantom.affine)})

    assert nifti.name == "Mine"
    assert re.fullmatch(r"P-[0-9A-Z]{10} · MR · 20[12][0-9]-[01][0-9]-[0-3][0-9]", dicom.name)
    assert re.fullmatch(r"TIFF · 48 × 40 × 12 · [0-9a-f]{4}", tiff.name)
    assert (nifti.pseudonym, dicom.pseudonym, tiff.pseudonym) == ("", dicom.name[:12], "")
    assert [one.dicom_seg_refusal.reason for one in (nifti, tiff)] == [common_pb2.NO_SOURCE_SERIES] * 2
    assert not dicom.HasField("dicom_seg_refusal")
    assert all(volume.deidentified for volume in (nifti, dicom, tiff))
    assert (nifti.modality, dicom.modality) == ("", "MR")
    told = [(step.stage, step.done) for step in steps]
    assert told == sorted(told)  # files first, then slices, each growing
    assert {step.stage for step in steps} == {volumes_pb2.IMPORT_STAGE_FILES, volumes_pb2.IMPORT_STAGE_SLICES}
    assert {step.total for step in steps} == {12}
    assert steps[-1].done == 12
    assert dicom.digest == nifti.digest == tiff.digest
    for volume in (nifti, dicom):
        assert volume.acquisition == common_pb2.PLANE_AXIAL
        sizes = [(p.columns, p.rows, p.slices) for p in volume.planes]
        assert sizes == [(48, 40, 12), (48, 12, 40), (40, 12, 48)]
        assert [p.plane for p in volume.planes] == [1, 2, 3]
        spacing = [(p.column_mm, p.row_mm, p.slice_mm) for p in volume.planes]
        np.testing.assert_allclose(spacing, [(0.8, 1.1, 5.0), (0.8, 5.0, 1.1), (1.1, 5.0, 0.8)], atol=1e-5)
        letters = [(p.left, p.right, p.top, p.bottom) for p in volume.planes]
        assert letters == [("R", "L", "A", "P"), ("R", "L", "S", "I"), ("A", "P", "S", "I")]
        assert (volume.window_low, volume.window_high) == pytest.approx(intensity_window(phantom))
        assert volume.voxel_ml == pytest.approx(5.0 * 1.1 * 0.8 / 1000)
        # A pixel's place in the patient is that of its voxel.
        for plane in volume.planes:
            pixel = np.array([3, 5, 7, 1])
            place = np.array(plane.pixel_to_mm).reshape(4, 4) @ pixel
            voxel = np.array(plane.pixel_to_voxel).reshape(3, 4) @ pixel
            np.testing.assert_allclose(place, phantom.affine @ (*voxel, 1), atol=1e-3)

    listed = (await served.volumes.ListVolumes(volumes_pb2.ListVolumesRequest())).volumes
    assert {v.volume_id for v in listed} == {nifti.volume_id, dicom.volume_id, tiff.volume_id}
    got = await served.volumes.GetVolume(volumes_pb2.GetVolumeRequest(volume_id=dicom.volume_id))
    assert got.volume == dicom


async def test_the_thumbnail_is_a_jpeg_of_the_middle_slice_in_true_proportions(served: Served, tmp_path: Path) -> None:
    phantom = oblique_phantom((9, 40, 48), (5.0, 2.0, 0.5))  # pixels four times as high as wide
    volume, _ = await bring(served, {"a.nii": write_nifti(phantom, tmp_path / "a.nii").read_bytes()})
    picture = Image.open(io.BytesIO(volume.thumbnail))
    assert picture.format == "JPEG"
    assert picture.size == (round(320 * 48 * 0.5 / (40 * 2.0)), 320)
    low, high = volume.window_low, volume.window_high
    shown = np.clip((phantom.intensity(4) - low) / (high - low) * 255, 0, 255)
    small = np.asarray(picture.convert("L").resize((48, 40), Image.Resampling.BOX), dtype=float)
    assert np.corrcoef(small.ravel(), shown.ravel())[0, 1] > 0.97


async def test_the_same_files_again_are_the_same_volume(served: Served, tmp_path: Path) -> None:
    data = write_nifti(oblique_phantom((4, 20, 24)), tmp_path / "a.nii").read_bytes()
    first, _ = await bring(served, {"a.nii": data}, name="First")
    again, _ = await bring(served, {"b.nii": data}, name="Again")
    assert again == first
    assert len((await served.volumes.ListVolumes(volumes_pb2.ListVolumesRequest())).volumes) == 1
    assert list(served.store.list("uploads")) == []


async def test_slices_of_every_plane_are_the_stored_values(served: Served) -> None:
    phantom = oblique_phantom((5, 20, 24))
    record = keep(served.store, replace(phantom, slope=np.full(5, 0.1), intercept=np.full(5, -3.7)))
    volume = (await served.volumes.GetVolume(volumes_pb2.GetVolumeRequest(volume_id=record.volume_id))).volume
    assert volume.grey_exact
    for plane, count in enumerate((5, 20, 24)):
        slices = [count - 1, 0, count // 2, 0]
        for index, grey in zip(slices, await greys(served, volume, plane, slices)):
            intensity = grey * volume.grey_slope + volume.grey_intercept
            stored = np.rint((intensity + 3.7) / 0.1).astype(np.int16)
            np.testing.assert_array_equal(stored, expected_image(phantom.voxels, volume, plane, index))


@pytest.mark.parametrize("kind", ["float", "rescaled"])
async def test_greys_that_cannot_be_exact_are_near(served: Served, kind: str) -> None:
    phantom = oblique_phantom((5, 20, 24))
    if kind == "float":
        voxels = phantom.voxels.astype(np.float32) / 7
        voxels[2, 3, 4] = np.nan
        phantom = replace(phantom, voxels=voxels)
    else:
        phantom = replace(phantom, slope=np.linspace(0.5, 2.0, 5), intercept=np.arange(5.0))
    record = keep(served.store, phantom)
    volume = (await served.volumes.GetVolume(volumes_pb2.GetVolumeRequest(volume_id=record.volume_id))).volume
    assert not volume.grey_exact
    intensity = phantom.voxels * phantom.slope[:, None, None] + phantom.intercept[:, None, None]
    step = np.ptp(intensity[np.isfinite(intensity)]) / 65535
    for plane, count in enumerate((5, 20, 24)):
        for index, grey in enumerate(await greys(served, volume, plane, list(range(count)))):
            shown = grey * volume.grey_slope + volume.grey_intercept
            true = expected_image(intensity, volume, plane, index)
            known = np.isfinite(true)
            assert np.abs(shown - true)[known].max() <= step
            assert (grey[~known] == 0).all()


async def test_a_slice_or_plane_that_is_not_there_is_refused(served: Served) -> None:
    record = keep(served.store, oblique_phantom((5, 20, 24)))
    refusals = [
        volumes_pb2.ReadSlicesRequest(volume_id=record.volume_id, slices=[0]),
        volumes_pb2.ReadSlicesRequest(volume_id=record.volume_id, plane="PLANE_AXIAL", slices=[5]),
        volumes_pb2.ReadSlicesRequest(volume_id=record.volume_id, plane="PLANE_CORONAL", slices=[0, 20]),
        volumes_pb2.ReadSlicesRequest(volume_id=record.volume_id, plane="PLANE_AXIAL", slices=[0] * 513),
    ]
    for request in refusals:
        assert await refused(served.volumes.ReadSlices(request)) == ("INVALID_ARGUMENT", "REQUEST_INVALID", 0)
    for volume_id in ("", "nothing", "../volumes", "a" * 32):
        for call in (
            served.volumes.ReadSlices(volumes_pb2.ReadSlicesRequest(volume_id=volume_id, plane="PLANE_AXIAL")),
            served.volumes.GetVolume(volumes_pb2.GetVolumeRequest(volume_id=volume_id)),
            served.volumes.DeleteVolume(volumes_pb2.DeleteVolumeRequest(volume_id=volume_id)),
        ):
            assert await refused(call) == ("NOT_FOUND", "VOLUME_NOT_FOUND", 0)


async def test_a_damaged_slice_is_refused_and_the_others_are_read(served: Served, tmp_path: Path) -> None:
    record = keep(served.store, oblique_phantom((5, 20, 24)))
    file = tmp_path / "store" / "volumes" / record.volume_id / "voxels"
    data = bytearray(file.read_bytes())
    data[3 * 20 * 24 * 2 + 11] ^= 4
    file.write_bytes(data)
    request = volumes_pb2.ReadSlicesRequest(volume_id=record.volume_id, plane="PLANE_AXIAL", slices=[3])
    assert await refused(served.volumes.ReadSlices(request)) == ("DATA_LOSS", "STORE_CORRUPT", 0)
    request.slices[:] = [2, 4]
    assert len([r async for r in served.volumes.ReadSlices(request)]) == 2


async def test_files_that_cannot_be_read_get_one_sentence(served: Served, tmp_path: Path) -> None:
    nifti = write_nifti(oblique_phantom((4, 20, 24)), tmp_path / "a.nii").read_bytes()
    gap = dicom_files(oblique_phantom((6, 20, 24)), tmp_path / "dicom", skip=(2,))
    table = [
        ({"notes.txt": b"Dear colleague"}, ("INVALID_ARGUMENT", "FILE_NOT_AN_IMAGE", 0)),
        ({"a.nii": nifti[:-100]}, ("INVALID_ARGUMENT", "FILE_TRUNCATED", 0)),
        ({"a.nii": nifti, "b.nii": nifti}, ("FAILED_PRECONDITION", "SEVERAL_SERIES", 0)),
        ({"empty": b""}, ("INVALID_ARGUMENT", "FILE_NOT_AN_IMAGE", 0)),
        (gap, ("FAILED_PRECONDITION", "SLICES_UNEVEN", 0)),
    ]
    for files, expected in table:
        upload_id = str(uuid4())
        await served.volumes.Upload(r for name, data in files.items() for r in chunks(upload_id, name, data))
        assert await refused(served.volumes.Import(volumes_pb2.ImportRequest(upload_id=upload_id))) == expected
        # What was sent is kept where the user can choose or repair, and only there.
        kept = await served.volumes.GetUpload(volumes_pb2.GetUploadRequest(upload_id=upload_id))
        assert {file.name for file in kept.files} == (set(files) if expected[0] == "FAILED_PRECONDITION" else set())
    assert list((await served.volumes.ListVolumes(volumes_pb2.ListVolumesRequest())).volumes) == []


async def test_of_several_images_the_chosen_one_is_imported(served: Served, tmp_path: Path) -> None:
    sizes = {"a.nii": (4, 20, 24), "b.nii": (5, 20, 24)}
    files = {name: write_nifti(oblique_phantom(size), tmp_path / name).read_bytes() for name, size in sizes.items()}
    upload_id = str(uuid4())
    await served.volumes.Upload(r for name, data in files.items() for r in chunks(upload_id, name, data))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in served.volumes.Import(volumes_pb2.ImportRequest(upload_id=upload_id)):
            pass
    [detail] = rpc_status.from_call(caught.value).details
    info = common_pb2.ErrorInfo()
    detail.Unpack(info)
    assert [choice.key for choice in info.choices] == ["b.nii", "a.nii"]  # the larger one first
    request = volumes_pb2.ImportRequest(upload_id=upload_id, series=info.choices[0].key)
    *_, last = [response async for response in served.volumes.Import(request)]
    assert last.volume.planes[0].slices == 5


async def test_an_uploads_series_are_listed_and_the_chosen_one_is_imported(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    large = write_dicom_series(oblique_phantom((6, 20, 24)), tmp_path / "large", series="1.2.1")
    small = write_dicom_series(oblique_phantom((4, 20, 24)), tmp_path / "small", series="1.2.2")
    files = {f"{p.parent.name}/{p.name}": p.read_bytes() for p in [*large.iterdir(), *small.iterdir()]}
    times = np.stack([oblique_phantom((4, 9, 9)).voxels] * 3, axis=-1)
    nibabel.Nifti1Image(times, np.eye(4)).to_filename(tmp_path / "times.nii")
    cut = write_nifti(oblique_phantom((4, 20, 24)), tmp_path / "cut.nii").read_bytes()[:-9]
    files |= {"times.nii": (tmp_path / "times.nii").read_bytes(), "cut.nii": cut, "notes.txt": b"Dear colleague"}
    upload_id = await send(served, files)
    listing = await served.volumes.ListSeries(volumes_pb2.ListSeriesRequest(upload_id=upload_id))
    first, second, third, last = listing.series
    kinds = {volumes_pb2.SeriesKind.Name(one.kind) for one in listing.series}
    assert kinds == {"SERIES_KIND_IMAGE"}
    assert [(one.place, one.slices, len(one.frames)) for one in listing.series] == [
        ("large", 6, 0),
        ("small", 4, 0),
        ("times.nii", 9, 3),
        ("cut.nii", 0, 0),
    ]
    assert (first.modality, first.description, first.date) == ("MR", "phantom", "2024-02-29")
    assert (first.column_mm, first.row_mm, first.slice_mm) == pytest.approx((0.8, 1.1, 5.0), abs=1e-5)
    assert not first.HasField("refusal")
    assert last.refusal.reason == common_pb2.FILE_TRUNCATED
    assert "“cut.nii” ends before its image does" in last.refusal.message
    assert [(one.what, one.count) for one in listing.others] == [("", 1)]
    request = volumes_pb2.ImportRequest(upload_id=upload_id, series=second.key)
    *_, done = [response async for response in served.volumes.Import(request)]
    assert done.volume.planes[0].slices == 4
    assert third.frames[1].key == "2"
    said = capsys.readouterr().out
    assert "imported" in said
    assert "2024-02-29" not in said


@pytest.mark.parametrize(
    ("spoil", "asked"),
    [("gap", {"resample": True}), ("tilt", {"shear": True}), ("both", {"resample": True, "shear": True})],
)
async def test_a_repair_is_offered_done_on_request_and_kept_for_ever(
    served: Served, tmp_path: Path, spoil: str, asked: dict[str, bool]
) -> None:
    def tilt(index: int, d: Any) -> None:
        d.ImagePositionPatient, d.ImageOrientationPatient = [0, 0.8 * index, 5 * index], [1, 0, 0, 0, 1, 0]

    folder = write_dicom_series(
        oblique_phantom((8, 20, 24)),
        tmp_path / "s",
        skip=(3,) if spoil != "tilt" else (),
        change=tilt if spoil != "gap" else None,
    )
    upload_id = await send(served, {p.name: p.read_bytes() for p in folder.iterdir()})
    (one,) = (await served.volumes.ListSeries(volumes_pb2.ListSeriesRequest(upload_id=upload_id))).series
    assert one.HasField("refusal")
    assert {"resample": one.resample_helps, "shear": one.shear_helps} == {"resample": False, "shear": False} | asked
    code, reason, _ = await refused(served.volumes.Import(volumes_pb2.ImportRequest(upload_id=upload_id)))
    assert (code, reason) == ("FAILED_PRECONDITION", common_pb2.Reason.Name(one.refusal.reason))
    request = volumes_pb2.ImportRequest(upload_id=upload_id, series=one.key, **asked)
    *_, done = [response async for response in served.volumes.Import(request)]
    assert done.volume.planes[0].slices == 8
    kept = (await served.volumes.GetVolume(volumes_pb2.GetVolumeRequest(volume_id=done.volume.volume_id))).volume
    assert len([w for w in kept.warnings if "on request" in w]) == len(asked)


async def test_an_upload_that_is_not_there_or_holds_nothing_is_not_listed(served: Served) -> None:
    request = volumes_pb2.ListSeriesRequest(upload_id=str(uuid4()))
    assert await refused(served.volumes.ListSeries(request)) == ("NOT_FOUND", "OBJECT_NOT_FOUND", 0)
    upload_id = await send(served, {"notes.txt": b"Dear colleague"})
    request = volumes_pb2.ListSeriesRequest(upload_id=upload_id)
    assert await refused(served.volumes.ListSeries(request)) == ("INVALID_ARGUMENT", "FILE_NOT_AN_IMAGE", 0)
    half = chunks(str(uuid4()), "a.nii", bytes(2_000), size=1_000)[:1]
    await served.volumes.Upload(iter(half))
    request = volumes_pb2.ListSeriesRequest(upload_id=half[0].upload_id)
    assert await refused(served.volumes.ListSeries(request)) == ("FAILED_PRECONDITION", "UPLOAD_OUT_OF_STEP", 0)


async def test_what_the_reader_took_other_room_for_is_stored_right(served: Served, tmp_path: Path) -> None:
    """A slice of a wider type half-way, and slices that are repaired or turned round, come as the reader gives them."""
    phantom = oblique_phantom((6, 20, 24))

    def wider(index: int, dataset: Any) -> None:
        if index == 3:
            set_pixels(dataset, phantom.voxels[3].astype(np.int32))

    series = write_dicom_series(phantom, tmp_path / "wide", change=wider)
    wide = {f"series/{p.name}": p.read_bytes() for p in sorted(series.iterdir())}
    sagittal = nibabel.Nifti1Image(phantom.voxels, np.diag([5.0, 1.0, 1.0, 1.0]))
    sagittal.to_filename(tmp_path / "sagittal.nii")
    for files in (wide, {"sagittal.nii": (tmp_path / "sagittal.nii").read_bytes()}):
        volume, _ = await bring(served, files)
        record = Catalogue(served.store).get(volume.volume_id)
        read = read_volume([SourceFile(name, keep_file(tmp_path, data)) for name, data in files.items()])
        stored = Catalogue(served.store).load(record)
        assert stored.voxels.dtype == read.voxels.dtype
        np.testing.assert_array_equal(stored.voxels, read.voxels)
        kept = keep(served.store, read)  # summed from memory: the same volume
        assert kept.volume_id == volume.volume_id
        assert (record.window, record.grey) == (intensity_window(read), grey_map(read))
