"""Files → the list of what they hold, by their headers: what a user chooses from before anything is read whole."""

from __future__ import annotations

from collections.abc import Sequence

from services.formats.contents import Contents, contents
from services.formats.grid_file import grid_offer
from services.formats.nifti import nifti_offer
from services.formats.offer import Listing, Offer, listing
from services.formats.source import SourceFile
from services.formats.tiff_offer import tiff_groups


def list_series(files: Sequence[SourceFile]) -> Listing:
    """Everything that some files hold, also what cannot be opened, and why.

    Args:
        files: as for `read_volume`, which takes the keys of what is listed.

    Raises:
        InvalidInput: a name that cannot be, or nothing that could be an image.
        CalqueError: that of an archive which cannot be read, where there is nothing else.
    """
    with contents(files) as found:
        return listed(found)


def listed(found: Contents) -> Listing:
    """What sorted files hold. Raises: InvalidInput, there are only objects that are no images."""
    offers = [nifti_offer(file) for file in found.nifti]
    offers += [grid_offer(file, found.voxels) for file in found.grid]
    offers += [group.offer() for group in tiff_groups(found.tiff)]
    others = [""] * len(found.other)
    remains = found.remains
    if found.dicom:
        from services.formats.dicom_offer import dicom_offers  # needs pydicom, which who reads only masks does not have

        zeros = {name for name, _ in remains}
        others = [""] * sum(file.name not in zeros for file in found.other)
        more, objects = dicom_offers(found.dicom, remains, alone=not offers)
        return listing(offers + more, objects + others)
    offers += [Offer(key=name, place=name).refused(error) for name, error in remains]
    return listing(offers, others)
