"""The sample MRI that installs with the package nilearn."""

from __future__ import annotations

import subprocess
import sys

import nibabel
import numpy as np

from services.formats.sample import reference_mask, sample_reference, sample_volume
from tests.formats.files import one, read


def test_sample_and_references_share_their_grid() -> None:
    volume = read(sample_volume())
    assert volume.shape == (189, 233, 197)
    assert volume.voxels.dtype == np.uint8
    assert volume.spacing_mm == (1.0, 1.0, 1.0)
    for tissue in ("white", "grey"):
        probability = nibabel.load(one(sample_reference(tissue)).path)
        np.testing.assert_array_equal(probability.affine, nibabel.load(sample_volume()).affine)
        mask = reference_mask(tissue)
        assert np.array_equal(mask, np.asarray(probability.dataobj).transpose(2, 1, 0) >= 128)
    assert not (reference_mask("white") & reference_mask("grey")).any()


def test_nilearn_is_not_imported() -> None:
    code = (
        "import sys; from services.formats.sample import sample_volume; sample_volume(); "
        "assert 'nilearn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
