"""Images that may show who the patient is say so, in plain words, for ever; others do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli.main import app
from tests.formats.files import read
from tests.phantoms import enhanced_object, oblique_phantom, save_dicom, write_dicom_series

PHANTOM = oblique_phantom((3, 16, 18))
BURNED, SCREEN, FACE = "burned into the images", "pictures of a screen", "can be recognised"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"BurnedInAnnotation": "NO"}, []),
    ({"BurnedInAnnotation": "YES"}, [BURNED]),
    ({"BurnedInAnnotation": "yes "}, [BURNED]),
    ({"RecognizableVisualFeatures": "YES"}, [FACE]),
    ({"BurnedInAnnotation": "YES", "RecognizableVisualFeatures": "YES"}, [BURNED, FACE]),
    ({"SOPClassUID": SECONDARY_CAPTURE}, [SCREEN]),
    ({"SOPClassUID": f"{SECONDARY_CAPTURE}.2"}, [SCREEN]),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.4"}, []),  # photographs, whose number only begins alike
    ({"SOPClassUID": SECONDARY_CAPTURE, "BurnedInAnnotation": "NO"}, []),
    ({"SOPClassUID": SECONDARY_CAPTURE, "BurnedInAnnotation": "YES"}, [BURNED]),
    ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, [SCREEN]),
    ({"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, []),
]


@pytest.mark.parametrize(("elements", "expected"), CASES)
def test_a_warning_where_the_pixels_may_tell(tmp_path: Path, elements: dict[str, Any], expected: list[str]) -> None:
    def one_slice(index: int, dataset: Any) -> None:  # of many, one is enough
        if index == 1 or "ImageType" in elements:
            dataset.update(elements)

    folder = write_dicom_series(PHANTOM, tmp_path / "s", change=one_slice)
    warnings = [w for w in read(folder).warnings if any(part in w for part in (BURNED, SCREEN, FACE))]
    assert len(warnings) == len(expected)
    assert all(any(part in warning for warning in warnings) for part in expected)


def test_a_multi_frame_object_and_calque_check_say_it_once(tmp_path: Path) -> None:
    dataset = enhanced_object(PHANTOM)
    dataset.BurnedInAnnotation = "YES"
    path = save_dicom(dataset, tmp_path / "a.dcm")
    assert sum(BURNED in warning for warning in read(path).warnings) == 1
    result = CliRunner().invoke(app, ["check", str(path)])
    assert result.exit_code == 0
    assert result.stdout.count("text is burned into the images, maybe the patient's name") == 1
