"""The sample MRI: the ICBM152 2009a template in the wheel of nilearn, with its grey- and white-matter maps.

Real MRI (the mean of 152 heads, T1, 1 mm) with a reference for two targets; nothing is downloaded, and nilearn itself is
not imported.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services.core.errors import Unavailable
from services.formats.nifti import read_nifti
from services.formats.source import SourceFile

Tissue = Literal["white", "grey"]

_NAME = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
_MAPS = {"white": "wm", "grey": "gm"}
# The maps hold tissue probability × 255.
_HALF = 127.5


def sample_volume() -> Path:
    """The T1 template: NIfTI, 197×233×189, uint8. Raises: Unavailable (nilearn is not installed)."""
    return _shipped(_NAME.format("t1"))


def sample_reference(tissue: Tissue) -> Path:
    """The probability map of a tissue, on the same grid, uint8. Raises: Unavailable (nilearn is not installed)."""
    return _shipped(_NAME.format(_MAPS[tissue]))


def reference_mask(tissue: Tissue) -> NDArray[np.bool_]:
    """Where a tissue is more probable than not: bool, in the axes and shape of the sample read as a `Volume`."""
    path = sample_reference(tissue)
    volume = read_nifti(SourceFile(path.name, path))
    return volume.voxels.astype(np.float32) > _HALF


def _shipped(name: str) -> Path:
    spec = find_spec("nilearn")
    for root in (spec.submodule_search_locations or []) if spec else []:
        path = Path(root, "datasets", "data", name)
        if path.is_file():
            return path
    raise Unavailable("The sample MRI comes with the package nilearn, which is not installed; install calque[sample].")
