"""How a volume is meant to be looked at, and what its frames are called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from services.core.errors import ChoiceNeeded, InvalidInput, Reason
from services.core.volume import Volume
from services.formats.read import source_files
from services.formats.worker import Limits, read_in_worker
from tests.formats.files import read, refused
from tests.phantoms import enhanced_object, mosaic_object, oblique_phantom, save_dicom, write_dicom_series

PHANTOM = oblique_phantom((3, 8, 9))


def inverted(index: int, d: Dataset) -> None:
    d.PhotometricInterpretation = "MONOCHROME1"
    d.WindowCenter, d.WindowWidth = [300.5, 7], [201, 9]


@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
def test_monochrome1_is_turned_round(dtype: type, tmp_path: Path) -> None:
    """Every stored value keeps its place in the range, counted from the other end."""
    base = replace(PHANTOM, voxels=np.abs(PHANTOM.voxels).astype(dtype))
    path = write_dicom_series(base, tmp_path / "s", change=inverted)
    volume = read(path)
    assert np.array_equal(volume.voxels, base.voxels)
    ends = -1 if dtype is np.int16 else 65535
    assert np.array_equal(volume.intensity(1), ends - base.voxels[1].astype(np.float32))
    assert volume.voi == (ends - 400, ends - 200)
    assert any("MONOCHROME1" in w for w in volume.warnings)


def test_monochrome1_with_a_rescale_of_its_own(tmp_path: Path) -> None:
    voxels = np.abs(PHANTOM.voxels).astype(np.uint8)
    base = replace(PHANTOM, voxels=voxels, slope=np.full(3, 2.0), intercept=np.full(3, -100.0))
    volume = read(write_dicom_series(base, tmp_path / "s", change=inverted))
    # Intensities lie between −100 and 410, and are mirrored in that range.
    assert np.array_equal(volume.intensity(0), 310 - (voxels[0] * np.float32(2) - 100))
    assert volume.voi == (310 - 400, 310 - 200)


@pytest.mark.parametrize(
    ("centre", "width", "function", "expected"),
    [
        (40, 400, None, (-160.0, 239.0)),
        ([40, 500], [400, 2000], "LINEAR", (-160.0, 239.0)),
        (40, 400, "LINEAR_EXACT", (-160.0, 240.0)),
        (40, 1, None, None),
        (40, -5, None, None),
        (40, 0, "SIGMOID", None),
        ("nan", 400, None, (-200.0, 199.0)),
        (None, None, None, None),
    ],
)
def test_voi_window(centre: object, width: object, function: str | None, expected: object, tmp_path: Path) -> None:
    def change(index: int, d: Dataset) -> None:
        if centre is not None:
            d.WindowCenter, d.WindowWidth = centre, width
        if function:
            d.VOILUTFunction = function

    path = write_dicom_series(PHANTOM, tmp_path / "s", change=change)
    assert read(path).voi == expected
    assert read_in_worker(source_files(path), limits=Limits(2 << 30, 20)).voi == expected


def test_voi_window_of_an_enhanced_object(tmp_path: Path) -> None:
    d, window = enhanced_object(PHANTOM), Dataset()
    window.WindowCenter, window.WindowWidth = 40, 400
    d.SharedFunctionalGroupsSequence[0].FrameVOILUTSequence = [window]
    assert read(save_dicom(d, tmp_path / "e.dcm")).voi == (-160.0, 239.0)


def test_a_range_that_is_none() -> None:
    for voi in ((1.0, 1.0), (2.0, 1.0), (0.0, float("nan"))):
        with pytest.raises(InvalidInput):
            replace(PHANTOM, voi=voi)


def test_modality_lut(tmp_path: Path) -> None:
    def change(index: int, d: Dataset) -> None:
        table = Dataset()
        table.LUTDescriptor, table.ModalityLUTType, table.LUTData = [2, 0, 16], "US", [0, 1000]
        table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
        d.ModalityLUTSequence = [table]

    path = write_dicom_series(PHANTOM, tmp_path / "s", change=change)
    assert "modality LUT" in refused(path, InvalidInput, Reason.FILE_NOT_READABLE)


def frames_of(folder: Path, changes: list[Callable[[Dataset], None]]) -> Path:
    """A series with one image for each change at each place, in the reverse order of files; frame n has n added."""
    for number, alter in enumerate(changes):

        def change(index: int, d: Dataset, number: int = number, alter: Callable[[Dataset], None] = alter) -> None:
            d.SOPInstanceUID = generate_uid(entropy_srcs=[str(number), str(index)])
            d.InstanceNumber = 100 * (9 - number) + index
            alter(d)

        moved = replace(PHANTOM, voxels=PHANTOM.voxels + np.int16(number))
        write_dicom_series(moved, folder / str(number), change=change)
    return folder


def setting(**values: object) -> Callable[[Dataset], None]:
    def alter(d: Dataset) -> None:
        for keyword, value in values.items():
            setattr(d, keyword, value)

    return alter


def choices(path: Path) -> list[str]:
    with pytest.raises(ChoiceNeeded) as caught:
        read(path)
    assert caught.value.reason == Reason.SEVERAL_FRAMES
    assert [choice.key for choice in caught.value.choices] == [str(n + 1) for n in range(len(caught.value.choices))]
    return [choice.text for choice in caught.value.choices]


def siemens_b(b: int) -> Callable[[Dataset], None]:
    def alter(d: Dataset) -> None:
        d.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", str(b))

    return alter


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([setting(EchoTime=e) for e in (4.6, 9.2, 13.8)], [f"echo time {e} ms" for e in (4.6, 9.2, 13.8)]),
        ([setting(DiffusionBValue=float(b)) for b in (0, 50, 800)], [f"b-value {b} s/mm²" for b in (0, 50, 800)]),
        ([siemens_b(b) for b in (0, 1000)], ["b-value 0 s/mm²", "b-value 1000 s/mm²"]),
        ([setting(TriggerTime=t) for t in (0, 40.5)], ["0 ms after the trigger", "40.5 ms after the trigger"]),
        (
            [setting(TemporalPositionIdentifier=n, AcquisitionTime=f"1000{n:02}.5") for n in (0, 2, 4)],
            ["time 0 s", "time 2 s", "time 4 s"],
        ),
        (
            [setting(ImageType=["ORIGINAL", "PRIMARY", c], EchoTime=e) for c in "MP" for e in (2, 4)],
            [f"{c}, echo time {e} ms" for c in ("magnitude", "phase") for e in (2, 4)],
        ),
        ([setting(TemporalPositionIdentifier=n) for n in (1, 2)], ["Frame 1", "Frame 2"]),
    ],
    ids=["echoes", "b-values", "b-values of Siemens", "trigger", "times", "phase and echoes", "nothing said"],
)
def test_frames_are_named_by_what_they_are(
    changes: list[Callable[[Dataset], None]], expected: list[str], tmp_path: Path
) -> None:
    path = frames_of(tmp_path / "s", changes)
    assert choices(path) == expected
    for frame in range(len(changes)):
        assert np.array_equal(read(path, frame=frame).voxels, PHANTOM.voxels + np.int16(frame))


def test_frames_that_are_alike_are_numbered(tmp_path: Path) -> None:
    values = [{"DiffusionBValue": float(b), "AcquisitionNumber": n} for n, b in enumerate((0, 800, 800))]
    path = frames_of(tmp_path / "s", [setting(**v) for v in values])
    assert choices(path) == ["b-value 0 s/mm², image 1", "b-value 800 s/mm², image 1", "b-value 800 s/mm², image 2"]


def test_echoes_that_differ_from_slice_to_slice_are_not_mixed(tmp_path: Path) -> None:
    def odd(d: Dataset) -> None:
        d.EchoTime = 5 if d.InstanceNumber % 100 == 1 else 9

    path = frames_of(tmp_path / "s", [setting(EchoTime=4), odd])
    assert "echo times" in refused(path, ChoiceNeeded, Reason.SLICES_UNEVEN)


def test_mosaics_are_named_by_time(tmp_path: Path) -> None:
    for time in (0, 3):
        d = mosaic_object(PHANTOM)
        d.SOPInstanceUID, d.AcquisitionNumber, d.AcquisitionTime = f"1.2.{time}", time, f"2359{time:02}"
        save_dicom(d, tmp_path / f"{time}.dcm")
    assert choices(tmp_path) == ["time 0 s", "time 3 s"]


def test_times_and_channels_of_other_formats(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((4, 5, 6, 3), np.int16), np.eye(4))
    image.to_filename(tmp_path / "plain.nii")
    assert choices(tmp_path / "plain.nii") == ["Frame 1", "Frame 2", "Frame 3"]
    image.header.set_xyzt_units("mm", "msec")
    image.header["pixdim"][4] = 2500
    image.to_filename(tmp_path / "times.nii")
    assert choices(tmp_path / "times.nii") == ["time 0 s", "time 2.5 s", "time 5 s"]
    for axes, shape, expected in (
        ("ZCYX", (3, 2, 4, 5), ["channel 1", "channel 2"]),
        ("TZYX", (2, 3, 4, 5), ["time 1", "time 2"]),
        ("TZCYX", (2, 3, 2, 4, 5), [f"time {t}, channel {c}" for t in (1, 2) for c in (1, 2)]),
    ):
        tifffile.imwrite(tmp_path / "a.tif", np.zeros(shape, np.uint8), imagej=True, metadata={"axes": axes})
        assert choices(tmp_path / "a.tif") == expected


def test_volume_keeps_no_window_by_default() -> None:
    assert Volume(PHANTOM.voxels, PHANTOM.affine, PHANTOM.slope, PHANTOM.intercept).voi is None
