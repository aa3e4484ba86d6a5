"""Every volume in the folder of real ones is read, or refused for the reason that the table gives: nothing is left out.

``calque check`` prints the same of any path; here it is compared. Runs where ``CALQUE_DATA`` names the folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.core.errors import CalqueError, ChoiceNeeded, Reason
from services.formats.read import source_files
from services.formats.worker import Limits, read_in_worker

DATA = Path(os.environ.get("CALQUE_DATA", "CALQUE_DATA is not set"))
pytestmark = pytest.mark.realdata
LIMITS = Limits(memory_bytes=3 << 30, seconds=60)
R = Reason

NIFTI = "theibsi__data_sets/ibsi_validation/nifti/*/"
DICOM = "theibsi__data_sets/ibsi_validation/dicom/STS_002/"
FETUS = "Medical-Image-Analysis-Laboratory__mialsuperresolutiontoolkit/data/"
NEUBIAS = "NEUBIAS__training-resources/image_data/"
DISC = "pydicom__pydicom/src/pydicom/data/test_files/dicomdirtests/"
GE = "neurolabusc__dcm_qa_stc/"

# A path or pattern, how many volumes (files, or folders of slices) it names, and the size (slices, rows, columns) that each
# has (``None``: they differ), or why it is refused. Of a choice, every offer is tried.
TABLE: list[tuple[str, int, tuple[int, int, int] | Reason | None]] = [
    ("LucasFidon__trustworthy-ai-fetal-brain-segmentation/data/*/*/*/*.nii.gz", 6, (155, 189, 135)),
    (f"{FETUS}sub-01/anat/*.nii.gz", 2, (22, 320, 320)),
    (f"{FETUS}derivatives/manual_masks/sub-01/anat/*.nii.gz", 2, (22, 320, 320)),
    (f"{NIFTI}*_image.nii.gz", 16, None),
    (f"{NIFTI}*_mask.nii.gz", 16, None),
    (f"{DICOM}MR_T1/image", 1, (35, 90, 115)),
    (f"{DICOM}CT/image", 1, (48, 143, 161)),
    (f"{DICOM}PET/image", 1, (48, 27, 30)),
    (f"{DICOM}*/mask", 3, R.FILE_NOT_AN_IMAGE),  # contours
    ("spinalcordtoolbox__sct_testing_data/t1/*.nii.gz", 2, (77, 76, 42)),
    ("spinalcordtoolbox__sct_testing_data/t2/*.nii.gz", 2, (52, 55, 60)),
    (f"{GE}In/GE/ProtocolDataBlock/mr_000?", 2, R.SEVERAL_FRAMES),
    (f"{GE}Ref/*.nii", 2, R.SEVERAL_FRAMES),
    ("neurolabusc__dcm_qa_philips/In/Magdeburg_2014/fmri", 1, R.SEVERAL_FRAMES),
    ("neurolabusc__dcm_qa_philips/Ref/*.nii", 1, R.SEVERAL_FRAMES),
    ("neurolabusc__dcm_qa_sag/In/XA30/enhanced/*/*.dcm", 1, (63, 86, 86)),
    ("neurolabusc__dcm_qa_ts/In/*.dcm", 9, (35, 64, 64)),
    ("neurolabusc__dcm_qa_ts/Ref/1.nii", 1, (35, 64, 64)),
    ("QIICR__dcmqi/data/segmentations/ct-3slice", 1, (3, 512, 512)),
    ("QIICR__dcmqi/data/segmentations/liver.dcm", 1, R.FILE_NOT_AN_IMAGE),  # a segmentation
    (f"{DISC}DICOMDIR-*", 6, R.FILE_NOT_AN_IMAGE),  # directories without their disc
    (f"{DISC}77654033/CR?", 3, R.GEOMETRY_INVALID),  # radiographs
    (f"{DISC}77654033/CT2", 1, R.SLICES_UNEVEN),
    (f"{DISC}98892001/CT5N", 1, (5, 16, 16)),
    (f"{DISC}98892001/CT2N", 1, R.SEVERAL_SERIES),
    (f"{DISC}98892003/MR*", 3, R.SEVERAL_SERIES),
    (f"{DISC}DICOMDIR", 1, R.SEVERAL_SERIES),
    (f"{DISC}TINY_ALPHA", 1, R.FILE_TRUNCATED),  # slices without pixels
    (f"{NEUBIAS}xyz_8bit_calibrated_anisotropic__mri_head.tif", 1, (27, 226, 186)),
    (f"{NEUBIAS}xyz_8bit__mitotic_plate_badZcalibrated.tif", 1, (6, 263, 263)),
    (f"{NEUBIAS}xyz_8bit__em_volume_tiff_series", 1, (21, 256, 256)),
    (f"{NEUBIAS}xyzc_16bit__spots.tif", 1, R.SEVERAL_FRAMES),
    ("stardist__stardist/stardist/data/images/*.tif", 2, (31, 61, 57)),
]
# Files of malformed TIFFs have a test of their own, ``test_malformed_tiffs_get_an_answer``.
MALFORMED = "image-rs__image-tiff/tests/fuzz_images"
NOTES = ("LICENSE", "README", "SHA256SUMS", "notes.txt")


def test_the_table_leaves_nothing_out() -> None:
    rows = [DATA / MALFORMED]
    for pattern, count, _ in TABLE:
        found = list(DATA.glob(pattern))
        assert len(found) == count, pattern
        rows += found
    files = [file for file in DATA.rglob("*") if file.is_file()]
    notes = {file for file in files if file.name.startswith(NOTES) or file.suffix == ".json"}
    told = {file: [row for row in rows if row == file or row in file.parents] for file in files}
    assert [file for file in files if not told[file] and file not in notes] == []
    assert len(files) - len(notes) == 560


@pytest.mark.parametrize(("pattern", "count", "expected"), TABLE, ids=[pattern for pattern, _, _ in TABLE])
def test_it_is_read_or_refused(pattern: str, count: int, expected: tuple[int, int, int] | Reason | None) -> None:
    for path in sorted(DATA.glob(pattern)):
        files = source_files(path)
        if not isinstance(expected, Reason):
            volume = read_in_worker(files, limits=LIMITS)
            assert expected in (None, volume.shape)
            continue
        with pytest.raises(CalqueError) as caught:
            read_in_worker(files, limits=LIMITS)
        assert caught.value.reason == expected, str(caught.value)
        if expected is R.SEVERAL_FRAMES:
            assert isinstance(caught.value, ChoiceNeeded)
            for choice in caught.value.choices:
                assert read_in_worker(files, frame=int(choice.key) - 1, limits=LIMITS).voxels.any()
        elif expected is R.SEVERAL_SERIES:
            assert isinstance(caught.value, ChoiceNeeded)
            assert read_or_refused(path, [choice.key for choice in caught.value.choices])


def read_or_refused(path: Path, series: list[str]) -> int:
    """How many of some series are read; the others must be refused for their geometry."""
    reasons: list[Reason] = []
    for key in series:
        try:
            read_in_worker(source_files(path), series=key, limits=LIMITS)
        except CalqueError as error:
            reasons.append(error.reason)
    assert set(reasons) <= {R.GEOMETRY_INVALID, R.SLICES_UNEVEN}
    return len(series) - len(reasons)
