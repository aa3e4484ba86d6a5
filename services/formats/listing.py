"""Files → the list of what they hold, by their headers: what a user chooses from before anything is read whole."""

from __future__ import annotations

from collections.abc import Sequence

from services.core.errors import CalqueError
from services.formats.contents import Contents, contents
from services.formats.nifti import nifti_offer
from services.formats.offer import Listing, Offer, listing
from services.formats.source import Progress, SourceFile
from services.formats.tiff_offer import tiff_groups


def list_series(files: Sequence[SourceFile], progress: Progress | None = None) -> Listing:
    """Everything that some files hold, also what cannot be opened, and why.

    Args:
        files: as for `read_volume`, which takes the keys of what is listed.
        progress: called with DICOM files done and in all.

    Raises:
        InvalidInput: a name that cannot be, or nothing that could be an image.
        CalqueError: that of an archive which cannot be read, where there is nothing else.
    """
    with contents(files) as found:
        return listed(found, progress)


def listed(found: Contents, progress: Progress | None = None) -> Listing:
    """What sorted files hold. Raises: InvalidInput, there are only objects that are no images."""
    offers = [nifti_offer(file) for file in found.nifti]
    offers += [group.offer() for group in tiff_groups(found.tiff)]
    others = [""] * len(found.other)
    remains = found.remains
    if found.dicom:
        from services.formats.dicom_offer import dicom_offers  # needs pydicom, which who reads only masks does not have

        zeros = {name for name, _ in remains}
        others = [""] * sum(file.name not in zeros for file in found.other)
        try:
            more, objects = dicom_offers(found.dicom, remains, progress)
        except CalqueError:
            if not offers:
                raise
            more, objects = [], ["DICOM object that is no image"] * len(found.dicom)
        return listing(offers + more, objects + others)
    offers += [Offer(key=name, place=name).refused(error) for name, error in remains]
    return listing(offers, others)
