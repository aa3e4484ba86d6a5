"""The sample MRI: the ICBM152 T1 template of nilearn's wheel."""

from __future__ import annotations

from importlib import resources

import nibabel
import numpy as np
import pytest

from services.core.volume import Volume


@pytest.fixture(scope="session")
def sample() -> Volume:
    file = resources.files("nilearn") / "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
    with resources.as_file(file) as path:
        image = nibabel.load(path)
        voxels = np.asarray(image.dataobj)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    slices = voxels.shape[2]
    return Volume(
        np.ascontiguousarray(voxels.transpose(2, 1, 0)),
        lps[:, [2, 1, 0, 3]],
        np.ones(slices),
        np.zeros(slices),
        source_axes=(2, 1, 0),
        modality="MR",
    )
