"""The list of what files hold: order, kinds, frames, repairs, and that a broken file spoils its own series alone."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pydicom
import pytest
import tifffile
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from services.core.errors import CalqueError, ChoiceNeeded, InvalidInput, Reason
from services.formats import offer
from services.formats.listing import list_series
from services.formats.offer import Kind, Listing, Offer, listing, of_plain, plain
from services.formats.read import Repairs, read_volume, source_files
from services.formats.worker import Limits, list_in_worker
from tests.formats.bad_dicom import directory, report
from tests.formats.bad_inputs import CASES
from tests.formats.files import read, refused
from tests.formats.test_repair import stack
from tests.phantoms import (
    dicom_slice,
    enhanced_object,
    mosaic_object,
    oblique_phantom,
    save_dicom,
    set_pixels,
    write_dicom_series,
    write_metaimage,
    write_nifti,
    write_nrrd,
)

PHANTOM = oblique_phantom((5, 16, 18))
SMALL = oblique_phantom((4, 8, 10))


def listed(path: Path) -> Listing:
    """The list, the same from a worker as here."""
    found = list_series(source_files(path))
    assert list_in_worker(source_files(path), limits=Limits(2 << 30, 30)) == found
    return found


def cut(file: Path, part: float = 0.4) -> Path:
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * part)])
    return file


def two_patients(folder: Path) -> Path:
    """Two series of one patient, and a localizer and a report beside that of another."""
    write_dicom_series(SMALL, folder / "P1" / "SMALL", series="1.2.1")
    write_dicom_series(PHANTOM, folder / "P1" / "LARGE", series="1.2.2")
    write_dicom_series(replace(SMALL, modality="CT", description="neck"), folder / "P2", series="1.2.3")
    scout = dicom_slice(PHANTOM, 0, "1.2.3")
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout.SOPInstanceUID = generate_uid()
    save_dicom(scout, folder / "P2" / "SCOUT")
    save_dicom(report(), folder / "P2" / "REPORT")
    return folder


def test_series_of_nested_folders_in_order(tmp_path: Path) -> None:
    found = listed(two_patients(tmp_path / "all"))
    assert [(o.place, o.kind, o.modality, o.description, o.slices) for o in found.offers] == [
        ("all/P1/LARGE", Kind.IMAGE, "MR", "phantom", 5),
        ("all/P1/SMALL", Kind.IMAGE, "MR", "phantom", 4),
        ("all/P2", Kind.IMAGE, "CT", "neck", 4),
        ("all/P2/SCOUT", Kind.LOCALIZER, "MR", "phantom", 1),
    ]
    large, *_, scout = found.offers
    assert (large.columns, large.rows, large.date) == (18, 16, "2024-02-29")
    assert large.spacing_mm == pytest.approx((0.8, 1.1, 5.0), abs=1e-5)
    assert scout.spacing_mm[2] == 0  # one slice has no distance
    assert found.others == (("Basic Text SR Storage", 1),)
    assert all(o.opens and not o.frames for o in found.offers)
    for one, volume in zip(found.offers, (PHANTOM, SMALL, SMALL)):
        assert np.array_equal(read(tmp_path / "all", series=one.key).voxels, volume.voxels)


@pytest.mark.parametrize("way", ["zip", "disc"])
def test_the_same_from_an_archive_and_a_disc(way: str, tmp_path: Path) -> None:
    folder = two_patients(tmp_path / "all")
    expected = [(o.key, o.kind, o.slices) for o in listed(folder).offers]
    if way == "zip":
        with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
            for file in sorted(p for p in folder.rglob("*") if p.is_file()):
                archive.write(file, file.relative_to(tmp_path))
        path = tmp_path / "all.zip"
    else:
        made = directory("x")
        first = made.DirectoryRecordSequence[0]
        made.DirectoryRecordSequence = []
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            record = Dataset()
            record.DirectoryRecordType = first.DirectoryRecordType
            record.ReferencedFileID = list(file.relative_to(folder).parts)
            made.DirectoryRecordSequence.append(record)
        path = save_dicom(made, folder / "DICOMDIR")
    assert [(o.key, o.kind, o.slices) for o in listed(path).offers] == expected


@pytest.mark.parametrize("file", ["header", "pixels", "zeros", "no series named"])
def test_a_broken_file_spoils_its_own_series(file: str, tmp_path: Path) -> None:
    folder = two_patients(tmp_path / "all")
    victim = folder / "P1" / "SMALL" / "IM0001"
    if file == "zeros":
        victim.write_bytes(bytes(5000))
    elif file == "no series named":
        cut(victim, 0.15)
    else:
        cut(victim, 0.4 if file == "header" else 0.95)
    found = listed(folder)
    assert [(o.place, o.opens) for o in found.offers] == [
        ("all/P1/LARGE", True),
        ("all/P2", True),
        ("all/P2/SCOUT", True),
        ("all/P1/SMALL", False),
    ]
    spoilt = found.offers[-1]
    assert spoilt.reason == Reason.FILE_TRUNCATED
    assert "“all/P1/SMALL/IM0001” ends before its image does" in spoilt.sentence
    assert refused(folder, InvalidInput, Reason.FILE_TRUNCATED, series=spoilt.key) == spoilt.sentence
    volume = read(folder, series=found.offers[0].key)
    assert np.array_equal(volume.voxels, PHANTOM.voxels)
    assert any("cannot be read were left out: 1" in w for w in volume.warnings) == (file != "pixels")
    # Alone, it is refused as it always was.
    assert refused(folder / "P1" / "SMALL", InvalidInput, Reason.FILE_TRUNCATED)


def test_a_broken_file_of_no_known_series_spoils_what_lies_nearest(tmp_path: Path) -> None:
    folder = two_patients(tmp_path / "all")
    (folder / "P1" / "LOST").mkdir()
    victim = folder / "P1" / "LOST" / "IM0000"
    shutil.copy(folder / "P1" / "SMALL" / "IM0000", victim)
    cut(victim, 0.15)
    assert [o.place for o in listed(folder).offers if not o.opens] == ["all/P1/LARGE", "all/P1/SMALL"]


def test_a_broken_file_of_another_series_is_a_row_of_its_own(tmp_path: Path) -> None:
    folder = write_dicom_series(PHANTOM, tmp_path / "s", series="1.2.1")
    other = save_dicom(dicom_slice(SMALL, 0, "1.2.9"), folder / "other")
    cut(other, 0.6)
    good, bad = listed(folder).offers
    assert (good.opens, good.slices) == (True, 5)
    assert (bad.opens, bad.place, bad.modality, bad.description) == (False, "s/other", "MR", "phantom")
    volume = read(folder)  # there is one series to open, and nothing of it is missing
    assert np.array_equal(volume.voxels, PHANTOM.voxels)
    assert "Files of other series that cannot be read were left out: 1." in volume.warnings


def test_frames_of_reference_and_derived_images_are_told_apart(tmp_path: Path) -> None:
    moved = [generate_uid(), generate_uid()]
    folder = write_dicom_series(
        PHANTOM, tmp_path / "s", change=lambda index, d: setattr(d, "FrameOfReferenceUID", moved[index > 2])
    )
    derived = dicom_slice(PHANTOM, 0, "1.2.7")
    derived.ImageType = ["DERIVED", "SECONDARY"]
    save_dicom(derived, folder / "derived")
    kinds = [(o.kind, o.slices) for o in listed(folder).offers]
    assert kinds == [(Kind.IMAGE, 3), (Kind.OTHER_REFERENCE, 2), (Kind.DERIVED, 1)]


def test_frames_are_listed_and_one_is_read(tmp_path: Path) -> None:
    def echo(time: float):  # type: ignore[no-untyped-def]
        def change(index: int, d: Dataset) -> None:
            d.EchoTime = time
            d.SOPInstanceUID = generate_uid(entropy_srcs=[str(time), str(index)])
            set_pixels(d, SMALL.voxels[index] + np.int16(time))

        return change

    for time in (5, 20):
        write_dicom_series(SMALL, tmp_path / "s" / str(time), change=echo(time))
    (one,) = listed(tmp_path / "s").offers
    assert [(c.key, c.text) for c in one.frames] == [("1", "echo time 5 ms"), ("2", "echo time 20 ms")]
    assert (one.slices, one.opens) == (4, True)
    assert np.array_equal(read(tmp_path / "s", series=one.key, frame=1).voxels, SMALL.voxels + np.int16(20))


@pytest.mark.parametrize(
    ("heights", "drift", "repairs"),
    [
        ([0, 2, 6, 8, 10], (0, 0), Repairs(resample=True)),
        ([0, 2, 4, 6], (0.25, 0), Repairs(shear=True)),
        ([0, 2, 6, 8], (0.25, 0), Repairs(resample=True, shear=True)),
        ([0, 2, 4, 90], (0, 0), Repairs()),  # nearly all of it would be made up
    ],
)
def test_the_repair_that_helps_is_named(
    heights: list[float], drift: tuple[float, float], repairs: Repairs, tmp_path: Path
) -> None:
    path = stack(tmp_path / "s", heights, drift)
    (one,) = listed(path).offers
    assert not one.opens
    assert one.repairs == repairs
    with pytest.raises(ChoiceNeeded) as caught:
        read_volume(source_files(path))
    assert (one.sentence, one.reason) == (str(caught.value), caught.value.reason)
    if repairs != Repairs():
        assert (one.slices, one.spacing_mm) == (len(heights), (1, 1, 2))
        assert read_volume(source_files(path), series=one.key, repairs=repairs).warnings


def test_nifti_and_tiff_beside_dicom(tmp_path: Path) -> None:
    folder = write_dicom_series(PHANTOM, tmp_path / "x" / "dicom").parent
    write_nifti(SMALL, folder / "a.nii")
    nibabel.Nifti1Image(np.zeros((6, 7, 8, 3), np.int16), np.eye(4)).to_filename(folder / "times.nii.gz")
    cut(write_nifti(SMALL, folder / "cut.nii"), 0.9)
    (folder / "pages").mkdir()
    for number in range(3):
        tifffile.imwrite(folder / "pages" / f"z{number}.tif", SMALL.voxels[number])
    tifffile.imwrite(folder / "pages" / "whole.tif", SMALL.voxels, photometric="minisblack")
    (folder / "notes.txt").write_text("nothing")
    found = listed(folder)
    dicom = next(o for o in found.offers if o.modality)
    assert [(o.key, o.slices, len(o.frames), o.reason) for o in found.offers] == [
        (dicom.key, 5, 0, None),
        ("x/times.nii.gz", 8, 3, None),
        ("x/a.nii", 4, 0, None),
        ("x/pages/whole.tif", 4, 0, None),
        ("x/pages/", 3, 0, None),
        ("x/cut.nii", 0, 0, Reason.FILE_TRUNCATED),
    ]
    assert found.others == (("", 1),)
    refused(folder, ChoiceNeeded, Reason.SEVERAL_SERIES)
    for key, frame, shape in (
        (dicom.key, None, (5, 16, 18)),
        ("x/times.nii.gz", 1, (8, 7, 6)),
        ("x/pages/", None, (3, 8, 10)),
        ("x/pages/whole.tif", None, (4, 8, 10)),
        ("x/a.nii", None, (4, 8, 10)),
    ):
        assert read(folder, series=key, frame=frame).shape == shape
    assert np.array_equal(read(folder, series=dicom.key).voxels, PHANTOM.voxels)


def test_nrrd_and_metaimage(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    # Larger than the other: slices along the file's first axis, voxels that look like a TIFF in a file of their own.
    voxels, scale = PHANTOM.voxels.transpose(2, 1, 0).copy(), {"slope": np.ones(18), "intercept": np.zeros(18)}
    turned = replace(PHANTOM, voxels=voxels, affine=PHANTOM.affine[:, [2, 1, 0, 3]], **scale)
    turned.voxels.reshape(-1)[:4] = np.frombuffer(b"II*\0\x08\0\0\0", "<i2")
    write_metaimage(turned, folder / "b.mhd", Modality="MET_MOD_CT")
    write_nrrd(SMALL, folder / "a.nhdr")
    times = np.stack([SMALL.voxels.transpose(2, 1, 0)[:, :, :3] + n for n in range(2)], axis=3)
    directions = np.vstack([np.diag([1.0, 2.0, 3.0]), [np.nan] * 3])
    place = {"space": "lps", "space directions": directions, "space origin": [0, 0, 0]}
    nrrd.write(str(folder / "t.nrrd"), times, place)
    cut(write_metaimage(SMALL, folder / "cut.mha"), 0.9)
    cut(write_nrrd(SMALL, folder / "head.nrrd"), 0.2)
    (write_metaimage(SMALL, folder / "lost.mhd").parent / "lost.raw").unlink()
    (folder / "notes.txt").write_text("nothing")
    found = listed(folder)
    assert [(o.key, o.modality, (o.columns, o.rows, o.slices), len(o.frames), o.reason) for o in found.offers] == [
        ("x/b.mhd", "CT", (16, 18, 5), 0, None),
        ("x/a.nhdr", "", (10, 8, 4), 0, None),
        ("x/t.nrrd", "", (10, 8, 3), 2, None),
        ("x/cut.mha", "", (0, 0, 0), 0, Reason.FILE_TRUNCATED),
        ("x/head.nrrd", "", (0, 0, 0), 0, Reason.FILE_HEADER_INVALID),
        ("x/lost.mhd", "", (0, 0, 0), 0, Reason.FILE_NOT_READABLE),
    ]
    assert found.others == (("", 1),)
    large, small, frames, *_ = found.offers
    assert large.spacing_mm == pytest.approx((1.1, 0.8, 5.0), abs=1e-5)
    assert small.spacing_mm == pytest.approx(SMALL.spacing_mm[::-1], abs=1e-5)
    assert frames.spacing_mm == pytest.approx((1, 2, 3))
    for offered in found.offers[3:]:
        assert offered.reason
        assert refused(folder, InvalidInput, offered.reason, series=offered.key) == offered.sentence
    sentence = refused(folder, ChoiceNeeded, Reason.SEVERAL_SERIES)
    assert "“x/b.mhd”, “x/a.nhdr”, “x/t.nrrd”" in sentence
    volume = read(folder, series="x/b.mhd")
    assert (volume.modality, volume.shape) == ("CT", (5, 18, 16))
    assert np.array_equal(read(folder, series="x/a.nhdr").voxels, SMALL.voxels)
    assert np.array_equal(read(folder, series="x/t.nrrd", frame=1).voxels, SMALL.voxels[:3] + 1)


def test_a_page_that_cannot_be_read_spoils_its_stack(tmp_path: Path) -> None:
    for name in ("good", "bad"):
        (tmp_path / "x" / name).mkdir(parents=True)
        for number in range(3):
            tifffile.imwrite(tmp_path / "x" / name / f"z{number}.tif", SMALL.voxels[number])
    cut(tmp_path / "x" / "bad" / "z1.tif", 0.6)
    good, bad = listed(tmp_path / "x").offers
    assert (good.key, good.slices, good.opens) == ("x/good/", 3, True)
    assert (bad.key, bad.opens) == ("x/bad/", False)
    assert np.array_equal(read(tmp_path / "x", series="x/good/").voxels, SMALL.voxels[:3])
    assert refused(tmp_path / "x", InvalidInput, bad.reason, series="x/bad/") == bad.sentence


def test_a_damaged_archive_is_a_row_and_the_rest_is_offered(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    write_nifti(SMALL, tmp_path / "x" / "a.nii")
    with zipfile.ZipFile(tmp_path / "x" / "b.zip", "w") as archive:
        archive.write(tmp_path / "x" / "a.nii", "inside.nii")
    cut(tmp_path / "x" / "b.zip", 0.8)
    good, bad = listed(tmp_path / "x").offers
    assert (good.key, good.opens) == ("x/a.nii", True)
    assert (bad.key, bad.reason) == ("x/b.zip", Reason.FILE_NOT_READABLE)
    refused(tmp_path / "x", ChoiceNeeded, Reason.SEVERAL_SERIES)
    refused(tmp_path / "x" / "b.zip", InvalidInput, Reason.FILE_NOT_READABLE)
    assert np.array_equal(read(tmp_path / "x", series="x/a.nii").voxels, SMALL.voxels)


def test_one_image_beside_a_report_needs_no_choice(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    write_nifti(SMALL, tmp_path / "x" / "a.nii")
    save_dicom(report(), tmp_path / "x" / "report")
    found = listed(tmp_path / "x")
    assert [o.key for o in found.offers] == ["x/a.nii"]
    assert found.others == (("Basic Text SR Storage", 1),)
    assert np.array_equal(read(tmp_path / "x").voxels, SMALL.voxels)


@pytest.mark.parametrize("item", sorted(CASES))
def test_what_is_refused_is_not_offered(item: str, tmp_path: Path) -> None:
    """Of every bad input the list says the same as reading, as far as headers tell; it never fails in another way."""
    path = CASES[item].make(tmp_path)
    reason = CASES[item].reason
    try:
        found = list_in_worker(source_files(path), limits=Limits(2 << 30, 20))
    except CalqueError as error:
        found = Listing((Offer("").refused(error),))
    told = json.dumps([plain(o) for o in found.offers], ensure_ascii=False)
    assert "Secret" not in told
    if len(found.offers) == 1 and not found.offers[0].opens:
        assert found.offers[0].reason == reason
    elif len(found.offers) == 1 and not found.offers[0].frames:
        # Only the pixels are damaged, which is found out when they are inflated or decoded.
        assert reason.value.startswith("FILE_")


@pytest.mark.parametrize("make", [enhanced_object, mosaic_object])
def test_objects_of_many_slices(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (one,) = listed(save_dicom(make(PHANTOM), tmp_path / "m.dcm")).offers
    assert (one.place, one.slices, one.columns, one.rows, one.opens) == ("m.dcm", 5, 18, 16, True)


def test_a_date_is_that_of_the_acquisition_and_nothing_else(tmp_path: Path) -> None:
    def change(index: int, d: Dataset) -> None:
        d.AcquisitionDate, d.SeriesDate = "20240301", "20240302"

    (one,) = listed(write_dicom_series(PHANTOM, tmp_path / "a", change=change)).offers
    assert one.date == "2024-03-01"
    for file in (tmp_path / "a").iterdir():
        d = pydicom.dcmread(file)
        del d.AcquisitionDate, d.SeriesDate
        d.StudyDate = ""
        d.save_as(file)
    assert listed(tmp_path / "a").offers[0].date == ""


def test_too_many_are_cut_and_counted() -> None:
    many = [Offer(key=str(n), columns=n, rows=1, slices=1) for n in range(offer.MAX_CHOICES + 7)]
    found = listing(many, ["b", "a", "b"])
    assert (len(found.offers), found.unlisted) == (offer.MAX_CHOICES, 7)
    assert found.offers[0].columns == offer.MAX_CHOICES + 6
    assert found.others == (("a", 1), ("b", 2))


def test_an_offer_survives_being_told(tmp_path: Path) -> None:
    offers = [
        *listed(two_patients(tmp_path / "all")).offers,
        *listed(stack(tmp_path / "gap", [0, 2, 6, 8])).offers,
    ]
    assert [of_plain(json.loads(json.dumps(plain(o)))) for o in offers] == offers


def test_nothing_to_list_is_refused_as_when_it_is_read(tmp_path: Path) -> None:
    save_dicom(report(), tmp_path / "report.dcm")
    (tmp_path / "text").write_text("nothing")
    for name in ("report.dcm", "text"):
        sentence = refused(tmp_path / name, InvalidInput, Reason.FILE_NOT_AN_IMAGE)
        with pytest.raises(InvalidInput, match=r"There is no image|neither DICOM") as caught:
            list_series(source_files(tmp_path / name))
        assert str(caught.value) == sentence
