"""`calque check`: what files are, in words and in JSON, and that nothing bad stops it."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from services.cli.check import look
from services.cli.main import app
from services.formats.dicom_seg import Segment, Told, dicom_seg_bytes
from services.formats.read import read_volume, source_files
from services.formats.worker import Limits
from services.formats.write import tiff_bytes
from tests.formats.bad_dicom import report as structured_report
from tests.phantoms import oblique_phantom, save_dicom, write_dicom_series, write_nifti

VOLUME = oblique_phantom((5, 16, 18))


def checked(*arguments: object) -> tuple[int, str]:
    """Exit status and standard output; nothing may come on the other one."""
    result = CliRunner().invoke(app, ["check", *[str(argument) for argument in arguments]])
    assert result.stderr == ""
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout


def reports(output: str) -> list[dict]:
    return [json.loads(line) for line in output.splitlines()]


def test_geometry_of_each_format(tmp_path: Path) -> None:
    write_dicom_series(VOLUME, tmp_path / "series")
    write_nifti(VOLUME, tmp_path / "a.nii.gz")
    (tmp_path / "a.tif").write_bytes(tiff_bytes(VOLUME.voxels, affine=VOLUME.affine))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in (tmp_path / "series").iterdir():
            archive.write(path, f"series/{path.name}")
    paths = [tmp_path / name for name in ("series", "a.zip", "a.nii.gz", "a.tif")]
    status, output = checked("--json", *paths)
    assert status == 0
    dicom, packed, nifti, tiff = reports(output)
    assert [report["format"] for report in reports(output)] == ["5 DICOM files", "zip", "NIfTI", "TIFF"]
    assert [one["place"] for one in (*dicom["series"], *packed["series"])] == ["series", "a.zip/series"]
    packed["series"][0]["place"] = "series"
    assert packed | {"path": "", "format": "", "files": 5} == dicom | {"path": "", "format": ""}
    for report in (dicom, nifti, tiff):
        assert report["readable"]
        assert report["size"] == {"slices": 5, "rows": 16, "columns": 18}
        assert report["spacing_mm"] == pytest.approx({"slices": 5.0, "rows": 1.1, "columns": 0.8}, abs=1e-5)
        assert report["voxel_type"] == "int16"
    for report in (dicom, nifti):
        np.testing.assert_allclose(report["affine"], VOLUME.affine, atol=1e-4)
        assert report["acquisition"] == "axial"
        assert report["towards"] == {"slices": "S", "rows": "P", "columns": "L"}
        everywhere = np.stack(np.indices(VOLUME.shape)).reshape(3, -1)
        mm = VOLUME.affine[:3, :3] @ everywhere + VOLUME.affine[:3, 3:]
        np.testing.assert_allclose(report["extent_mm"], np.stack([mm.min(axis=1), mm.max(axis=1)]).T, atol=1e-3)
    assert "1 mm" not in str(tiff["warnings"])


def test_a_dicom_segmentation_is_named(tmp_path: Path) -> None:
    series = write_dicom_series(VOLUME, tmp_path / "series")
    volume = read_volume(source_files(series))
    told = Told("ANNOTATION", "Calque annotation", 0, 1_700_000_000_000, "0.1.0")
    labels = np.zeros(VOLUME.shape, np.uint8)
    labels[1], labels[2:4, :3] = 1, 2
    segments = [Segment("Tumour", 0xFF0000), Segment("Rest", 0x00FF00)]
    data = dicom_seg_bytes(labels, affine=volume.affine, source=volume.source, segments=segments, told=told)
    path = tmp_path / "seg.dcm"
    path.write_bytes(data)
    status, output = checked(path)
    assert status == 0
    assert output.splitlines() == [
        f"{path}: DICOM segmentation, binary",
        "  segment      1 Tumour",
        "  segment      2 Rest",
        "  size         18 × 16 × 3 (columns × rows × frames)",
        "  drawn on     series 1.2.826.0.1.3680043.8.498.1",
    ]
    status, output = checked("--json", path, series)
    seg, images = reports(output)
    assert (status, seg["readable"], images["readable"]) == (0, True, True)
    assert seg["segments"] == [{"number": 1, "name": "Tumour"}, {"number": 2, "name": "Rest"}]
    assert seg["source_series"] == ["1.2.826.0.1.3680043.8.498.1"]
    # Cut off, it is refused; beside images it is counted and never mixed with them.
    path.write_bytes(data[:-7])
    assert checked("--json", path)[0] == 2
    (series / "seg.dcm").write_bytes(data)
    status, output = checked("--json", series)
    (mixed,) = reports(output)
    assert (status, mixed["size"], mixed["format"]) == (0, images["size"], "5 DICOM files, 1 DICOM segmentation file")
    assert mixed["warnings"] == ["Objects that are no images were skipped: 1 (segmentation)."]


def test_words(tmp_path: Path) -> None:
    sagittal = np.array([[0, 0, 2.0, -70], [1, 0, 0, -10.5], [0, 1, 0, 20], [0, 0, 0, 1]])  # RAS
    nibabel.Nifti1Image(np.zeros((40, 30, 20), np.uint8), sagittal).to_filename(tmp_path / "a.nii")
    status, output = checked(tmp_path / "a.nii")
    assert status == 0
    assert output.splitlines() == [
        f"{tmp_path / 'a.nii'}: NIfTI",
        "  size         40 × 30 × 20 voxels (columns × rows × slices), uint8",
        "  spacing      1 × 1 × 2 mm",
        "  orientation  columns to A, rows to S, slices to R; acquired sagittal",
        "  extent       L 32.0 to L 70.0 mm, A 28.5 to P 10.5 mm, S 20.0 to S 49.0 mm (voxel centres)",
    ]


def test_one_bad_file_does_not_stop_the_rest(tmp_path: Path) -> None:
    good = write_nifti(VOLUME, tmp_path / "good.nii")
    (tmp_path / "cut.nii").write_bytes(good.read_bytes()[:-7])
    (tmp_path / "text").write_text("no image")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    bad = [tmp_path / "cut.nii", tmp_path / "text", tmp_path / "empty", tmp_path / "nothing", tmp_path / "pipe"]
    status, output = checked("--json", *bad, good)
    assert status == 2
    found = reports(output)
    assert [report["reason"] for report in found[:-1]] == [
        "FILE_TRUNCATED",
        "FILE_NOT_AN_IMAGE",
        "FILE_NOT_AN_IMAGE",
        "FILE_NOT_READABLE",
        "FILE_NOT_READABLE",
    ]
    assert all(report["error"] == "InvalidInput" and report["sentence"].endswith(".") for report in found[:-1])
    assert found[-1]["readable"]
    status, output = checked(*bad, good)
    assert status == 2
    assert "(FILE_TRUNCATED)" in output
    assert "Traceback" not in output


def test_series_are_offered(tmp_path: Path) -> None:
    for name in ("1.2.3.1", "1.2.3.2"):
        write_dicom_series(VOLUME, tmp_path / "disc" / name, series=name)
    status, output = checked("--json", tmp_path / "disc")
    (report,) = reports(output)
    assert (status, report["readable"], report["reason"]) == (2, False, "SEVERAL_SERIES")
    assert report["format"] == "10 DICOM files"
    keys = [choice["key"] for choice in report["choices"]]
    assert len(set(keys)) == 2
    status, output = checked(tmp_path / "disc")
    assert status == 2
    told = "image, MR, phantom, 18 × 16 × 5, 0.8 × 1.1 × 5 mm, 2024-02-29, disc/1.2.3"
    assert all(f"  choose       {key}: {told}" in output for key in keys)
    listed = [(one["key"], one["opens"], one["place"]) for one in report["series"]]
    assert sorted(listed) == sorted((key, True, f"disc/1.2.3.{n}") for n, key in enumerate(keys, 1))
    assert "a choice is needed (SEVERAL_SERIES)" in output


def test_the_list_tells_what_can_be_opened_and_what_would_help(tmp_path: Path) -> None:
    folder = tmp_path / "disc"
    write_dicom_series(VOLUME, folder / "good", series="1.2.1", change=lambda _, d: setattr(d, "SeriesDate", "20040119"))
    write_dicom_series(VOLUME, folder / "gap", series="1.2.2", skip=(1,))
    write_dicom_series(VOLUME, folder / "cut", series="1.2.3")
    cut = folder / "cut" / "IM0002"
    cut.write_bytes(cut.read_bytes()[:700])
    save_dicom(structured_report(), folder / "report")
    (folder / "notes.txt").write_text("nothing")
    status, output = checked("--json", folder)
    (found,) = reports(output)
    assert status == 2
    assert [(one["place"], one["opens"], one["reason"], one["repairs"]) for one in found["series"]] == [
        ("disc/good", True, "", []),
        ("disc/gap", False, "SLICES_UNEVEN", ["resample"]),
        ("disc/cut", False, "FILE_TRUNCATED", []),
    ]
    assert found["others"] == [{"what": "", "count": 1}, {"what": "Basic Text SR Storage", "count": 1}]
    _, output = checked(folder)
    good, gap, cut_line = (line for line in output.splitlines() if "phantom, 18" in line and "series;" not in line)
    assert good.startswith("  choose ")
    assert good.endswith(", 2004-01-19, disc/good")
    assert gap.startswith("  repair ")
    assert gap.endswith(" Readable with --resample.")
    assert cut_line.startswith("  refused ")
    assert "“disc/cut/IM0002” ends before its image does" in cut_line
    assert "  no images    1 other, 1 Basic Text SR Storage" in output.splitlines()
    status, output = checked(folder / "gap")
    assert status == 2
    assert "  repair " in output
    assert output.count("Slices are missing") == 1  # the sentence stands above


def test_a_path_cannot_command_the_terminal(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\x1b[31m\nb\xff"))
    write_nifti(VOLUME, tmp_path / "good.nii").rename(path)
    assert look(path, Limits())["reason"] == "REQUEST_INVALID"
    assert look(tmp_path / "a\0b", Limits())["reason"] == "FILE_NOT_READABLE"
    status, output = checked(path)
    assert status == 2
    assert output.splitlines()[0].startswith(f"{tmp_path}/a\\x1b[31m\\nb\\udcff: ")
    assert all(line.isprintable() for line in output.splitlines())
