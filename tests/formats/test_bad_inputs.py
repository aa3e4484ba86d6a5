"""The list of bad inputs of files, item by item: each is uploaded to the service and imported there.

The identifier of a test starts with the item's number; ``pytest --collect-only -q`` on this file prints the table.
"""

from __future__ import annotations

import re
import struct
import time
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import grpc
import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from calque.v1 import common_pb2, volumes_pb2
from grpc_status import rpc_status
from pydicom.uid import UID

from services.core.errors import InvalidInput, Reason
from services.core.volume import Volume, intensity_window, to_window
from services.formats.read import SourceFile, source_files
from services.formats.worker import Limits, read_in_worker
from tests.formats import bad_dicom, bad_files
from tests.formats.bad_dicom import PHANTOM, element, encoded, report, series, unsigned
from tests.formats.bad_inputs import CASES
from tests.phantoms import enhanced_object, save_dicom, write_dicom_series, write_nifti
from tests.served import chunks, refusal, serve

STATUS = {"IA": "INVALID_ARGUMENT", "FP": "FAILED_PRECONDITION", "RE": "RESOURCE_EXHAUSTED"}
LIMITS = Limits(memory_bytes=2 << 30, seconds=20)


def read(path: Path) -> Volume:
    return read_in_worker(source_files(path), limits=LIMITS)


@pytest.mark.parametrize("item", sorted(CASES))
async def test_refused(item: str, tmp_path: Path) -> None:
    bad = CASES[item]
    (tmp_path / "in").mkdir()
    path = bad.make(tmp_path / "in")
    files = source_files(path) if path.is_dir() else [SourceFile(path.name, path)]
    upload_id = str(uuid4())
    async with serve(tmp_path / "store", parser_memory_bytes=LIMITS.memory_bytes, parser_seconds=20) as served:
        await served.volumes.Upload(r for file in files for r in chunks(upload_id, file.name, file.path.read_bytes()))
        start = time.monotonic()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            [_ async for _ in served.volumes.Import(volumes_pb2.ImportRequest(upload_id=upload_id))]
        assert time.monotonic() - start < 15
        # The service lives, and nothing of the file can be seen.
        assert list((await served.volumes.ListVolumes(volumes_pb2.ListVolumesRequest())).volumes) == []
        assert list(served.store.list("volumes")) == []
    status, reason, _ = refusal(caught.value)
    sentence = str(caught.value.details())
    assert (status, reason) == (STATUS[bad.status], bad.reason.name), sentence
    for words in (bad.names, *bad.words):
        assert words in sentence
    assert "Secret" not in sentence
    assert "stopped" not in sentence  # the reader answered; nobody had to end it
    assert sentence.endswith(".")
    assert (bad.reason in (Reason.SEVERAL_SERIES, Reason.SEVERAL_FRAMES)) == bool(offered(caught.value))


def offered(error: grpc.aio.AioRpcError) -> list[str]:
    """The keys of what may be chosen."""
    info = common_pb2.ErrorInfo()
    assert rpc_status.from_call(error).details[0].Unpack(info)
    return [choice.key for choice in info.choices]


def test_every_item_is_tried() -> None:
    """Each number of the list's files has a case or a test of its own in this file."""
    tests = {int(number) for name in globals() for number in re.findall(r"_(\d\d)_", f"{name}_")}
    assert {int(item[:2]) for item in CASES} | tests >= set(range(1, 34))


@pytest.mark.parametrize("encoding", ["RLE", "JPEG lossless", "JPEG-LS", "JPEG 2000", "HTJ2K"])
def test_14_identical_voxels(encoding: str, tmp_path: Path) -> None:
    volume = read(write_dicom_series(unsigned(), tmp_path / "s", change=encoded(encoding)))
    assert np.array_equal(volume.voxels, unsigned().voxels)
    assert volume.voxels.dtype == np.uint16


@pytest.mark.parametrize("what", ["unknown type", "odd length"])
def test_15_elements_that_nobody_needs(what: str, tmp_path: Path) -> None:
    path = series(tmp_path)
    for file in path.iterdir():
        data = file.read_bytes()
        old = element("SeriesDescription", b"LO") + b"\x08\0phantom "
        assert old in data
        if what == "unknown type":
            data = data.replace(old[:6], element("SeriesDescription", b"ZZ"))
        else:
            data = data.replace(old, old[:6] + b"\x07\0phantom")
        file.write_bytes(data)
    volume = read(path)
    assert np.array_equal(volume.voxels, PHANTOM.voxels)
    assert [w for w in volume.warnings if what in w]


@pytest.mark.parametrize("name", ["StudyInstanceUID", "SeriesDescription", "SliceThickness"])
def test_15_a_bad_type_of_what_is_looked_at_only(name: str, tmp_path: Path) -> None:
    path = series(tmp_path, lambda _, d: setattr(d, "StudyInstanceUID", "1.2.3"))
    old = element(name, pydicom.datadict.dictionary_VR(name).encode())
    for file in path.iterdir():
        assert old in file.read_bytes()
        file.write_bytes(file.read_bytes().replace(old, old[:4] + b"ZZ"))
    assert np.array_equal(read(path).voxels, PHANTOM.voxels)


def test_15_elements_that_nobody_needs_within_a_sequence(tmp_path: Path) -> None:
    old, new = element("SliceThickness", b"DS"), element("SliceThickness", b"ZZ")
    volume = read(bad_dicom.enhanced_with(tmp_path, old, new))
    assert np.array_equal(volume.voxels, PHANTOM.voxels)
    assert [w for w in volume.warnings if "unknown type" in w]


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"])
@pytest.mark.parametrize("undefined", [True, False])
def test_15_sequences_in_every_encoding_of_elements(syntax: str, undefined: bool, tmp_path: Path) -> None:
    """Implicit, explicit and big endian; sequences of known and of unknown length."""
    d = enhanced_object(PHANTOM)
    d.file_meta.TransferSyntaxUID = UID(syntax)
    if syntax.endswith(".2.2"):
        d["PixelData"].VR, d.PixelData = "OW", PHANTOM.voxels[::-1].astype(">i2").tobytes()
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        d[name].is_undefined_length = undefined
    path = save_dicom(d, tmp_path / "e.dcm")
    assert np.array_equal(read(path).voxels, PHANTOM.voxels)
    position = element("ImagePositionPatient", b"DS")[:4]
    swapped = struct.pack(">HH", *struct.unpack("<HH", position)) if syntax.endswith(".2.2") else position
    data = path.read_bytes()
    at = data.index(swapped) + (4 if syntax == "1.2.840.10008.1.2" else 6)
    byte = at + 1 if syntax.endswith(".2.2") else at
    path.write_bytes(data[:byte] + bytes([data[byte] ^ 1]) + data[byte + 1 :])
    with pytest.raises(InvalidInput, match="odd length"):
        read(path)


@pytest.mark.parametrize("start", [b"MZ\x90\0", b"\x7fELF\2\1\1", b"II*\0\x08\0\0\0", b"PK\3\4", b"#!/bin/sh\n"])
def test_18_a_program_in_the_preamble(start: bytes, tmp_path: Path) -> None:
    path = series(tmp_path)
    for file in path.iterdir():
        data = file.read_bytes()
        file.write_bytes(start + b"payload" + data[len(start) + 7 :])
    volume = read(path)
    assert np.array_equal(volume.voxels, PHANTOM.voxels)
    held = b"".join(np.asarray(part).tobytes() for part in (volume.voxels, volume.affine, volume.slope, volume.intercept))
    assert b"payload" not in held + repr((volume.description, volume.modality, volume.warnings)).encode()


async def test_18_nothing_of_a_preamble_is_stored(tmp_path: Path) -> None:
    """A series whose files carry a program is imported, and no byte of the program is left on the server."""
    path = series(tmp_path)
    upload_id = str(uuid4())
    async with serve(tmp_path / "store", parser_memory_bytes=LIMITS.memory_bytes) as served:
        for file in source_files(path):
            data = b"MZ payload".ljust(128, b"\x90") + file.path.read_bytes()[128:]
            await served.volumes.Upload(iter(chunks(upload_id, file.name, data)))
        kept = [file.read_bytes() for file in (tmp_path / "store").rglob("*") if file.is_file()]
        assert any(b"MZ payload" in data for data in kept)
        request = volumes_pb2.ImportRequest(upload_id=upload_id)
        assert [one async for one in served.volumes.Import(request)][-1].volume.modality == "MR"
        kept = [file.read_bytes() for file in (tmp_path / "store").rglob("*") if file.is_file()]
        assert sum(map(len, kept)) > PHANTOM.voxels.nbytes
        assert not any(b"payload" in data for data in kept)


def test_19_each_slice_has_its_own_slope(tmp_path: Path) -> None:
    slope = np.array([0.5, 1.0, 2.25, 3.0])
    volume = read(write_dicom_series(replace(PHANTOM, slope=slope), tmp_path / "s"))
    for index in range(4):
        np.testing.assert_array_equal(volume.intensity(index), PHANTOM.voxels[index] * np.float32(slope[index]))


def test_20_objects_that_are_no_images_are_named(tmp_path: Path) -> None:
    path = series(tmp_path)
    save_dicom(report(), path / "report")
    assert "1 (Basic Text SR Storage)" in read(path).warnings[0]


def test_22_sform_before_qform_with_a_warning(tmp_path: Path) -> None:
    path = write_nifti(PHANTOM, tmp_path / "v.nii")
    image = nibabel.load(path)
    moved = image.affine.copy()
    moved[0, 3] += 7
    image.set_qform(moved, 1)
    image.to_filename(tmp_path / "w.nii")
    volume = read(tmp_path / "w.nii")
    np.testing.assert_allclose(volume.affine, PHANTOM.affine, atol=1e-4)
    assert "7.0 mm apart" in volume.warnings[0]


def test_26_slope_zero_means_unscaled(tmp_path: Path) -> None:
    volume = read(bad_files.nifti(bad_files.PLACES["scl"], (0.0, 5.0))(tmp_path))
    assert set(volume.slope) == {1.0}
    assert set(volume.intercept) == {0.0}


def test_27_voxels_that_are_no_number(tmp_path: Path) -> None:
    voxels = bad_files.PHANTOM.voxels.astype(np.float32)
    voxels[1, 2, 3:6] = (np.nan, np.inf, -np.inf)
    volume = read(write_nifti(replace(bad_files.PHANTOM, voxels=voxels), tmp_path / "v.nii"))
    assert volume.warnings == ("3 voxels are not a number; they count as the darkest.",)
    low, high = intensity_window(volume)
    assert np.isfinite([low, high]).all()
    assert to_window(volume.intensity(1), (low, high))[2, 3] == 0


@pytest.mark.parametrize("name", ["v.dcm", "v.tif", "v.png", "v"])
def test_33_content_decides(name: str, tmp_path: Path) -> None:
    write_nifti(bad_files.PHANTOM, tmp_path / "v.nii").rename(tmp_path / name)
    assert np.array_equal(read(tmp_path / name).voxels, bad_files.PHANTOM.voxels)
    tifffile.imwrite(tmp_path / "v.nii", bad_files.PHANTOM.voxels, photometric="minisblack")
    assert np.array_equal(read(tmp_path / "v.nii").voxels, bad_files.PHANTOM.voxels)


@pytest.mark.parametrize(
    "name",
    ["a\0.nii", "a\u202eiin.exe", "n" * 4096, "", "../a.nii", "a/../../b.nii", "/etc/a.nii", "..\\..\\a.nii", "a\ud800"],
)
def test_17_and_33_names(name: str, tmp_path: Path) -> None:
    path = write_nifti(bad_files.PHANTOM, tmp_path / "v.nii")
    with pytest.raises(InvalidInput) as caught:
        read_in_worker([SourceFile(name, path)], limits=LIMITS)
    sentence = str(caught.value)
    assert caught.value.reason == Reason.REQUEST_INVALID
    assert "“" in sentence
    assert len(sentence) < 200
    assert not {"\0", "\u202e", "\ud800"} & set(sentence)


def test_17_names_on_disk_are_not_the_users(tmp_path: Path) -> None:
    """Whatever a UID or a name says, reading leaves nothing beside the files that were read."""
    path = series(tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    read(path)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    assert pydicom.dcmread(next(path.iterdir())).SeriesInstanceUID
