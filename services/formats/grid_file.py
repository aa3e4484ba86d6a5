"""NRRD and MetaImage files → a volume, or what can be chosen of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.core.volume import Volume
from services.formats.grid import Layout, described, frame_at, grid_volume, read_voxels
from services.formats.metaimage import metaimage_layout
from services.formats.nifti import head_of
from services.formats.nrrd import is_nrrd, nrrd_layout
from services.formats.offer import Offer, tried
from services.formats.repair import Repairs
from services.formats.source import SourceFile, refusing


def read_grid(file: SourceFile, voxels: Sequence[SourceFile], frame: int | None = None) -> Volume:
    """Read an NRRD file or a MetaImage.

    Args:
        file: that begins with the header.
        voxels: among them the one that holds the voxels, where the header says that another does.
        frame: which image, from 0; ``None`` where there is only one.

    Raises:
        InvalidInput: damaged or truncated, or a header or geometry that cannot be right.
        ChoiceNeeded: several frames and none chosen, or colour.
        TooLarge: the header announces more than is read.
    """
    with refusing(file.name):
        layout = _layout(file, voxels)
        at = frame_at(file, layout, frame)
        stored = read_voxels(layout.raw)[at]
    return grid_volume(file, stored, layout.affine, modality=layout.modality, warnings=layout.warnings)


def grid_offer(file: SourceFile, voxels: Sequence[SourceFile]) -> Offer:
    """What an NRRD file or a MetaImage holds, by its header; packed voxels are not unpacked."""

    def plan(frame: int | None, repairs: Repairs) -> Layout:
        with refusing(file.name):
            layout = _layout(file, voxels)
            frame_at(file, layout, frame)
            return layout

    def describe(offer: Offer, layout: Layout) -> Offer:
        return described(replace(offer, modality=layout.modality), layout.shape, layout.affine)

    return tried(Offer(key=file.name, place=file.name), plan, describe)


def _layout(file: SourceFile, voxels: Sequence[SourceFile]) -> Layout:
    return (nrrd_layout if is_nrrd(head_of(file, 16)) else metaimage_layout)(file, voxels)
