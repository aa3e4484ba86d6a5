"""The other two planes beside the image: they show the slices through one place, which a finger on them moves."""

from __future__ import annotations

from collections.abc import Callable

from tablet_client.state.geometry import Plane, Voxel, voxel_at
from tablet_client.state.slicecache import Key
from tablet_client.view import sentences
from tablet_client.view.imageview import ImageView
from tablet_client.view.viewer import Viewer
from tablet_client.view.work import Work


class Linked:
    """Shows the planes that the image does not, as long as they are asked for.

    Args:
        viewer: the screen.
        work: what is open.
        place: slice of each plane, kept by whoever scrolls.
        segmentable: says whether a probability is of something.

    Attributes:
        views: plane and slice of each that is shown.
    """

    def __init__(self, viewer: Viewer, work: Work, place: dict[Plane, int], segmentable: Callable[[], bool]) -> None:
        self._viewer, self._work, self._place, self._segmentable = viewer, work, place, segmentable
        self.views: tuple[Key, ...] = ()

    def show(self, plane: Plane) -> None:
        """The slices beside that of ``plane``, which the image shows."""
        shown = [other for other in Plane if other is not plane] if self._viewer.three else []
        before = [view[0] for view in self.views]
        self.views = tuple((other, self._place[other]) for other in shown)
        if shown:
            voxel = voxel_at(self._work.volume.planes, self._place)
            self._viewer.image.cross = self._work.volume.planes[plane].pixel(voxel)[:2]
            for image, (other, index) in zip(self._viewer.beside, self.views):
                self._show(image, other, index, voxel, anew=shown != before)
        else:
            self._viewer.image.cross = None

    def voxel(self, number: int, column: float, row: float) -> Voxel | None:
        """The voxel under a place of one of the images; None beside the volume."""
        if number >= len(self.views):
            return None
        plane, index = self.views[number]
        info = self._work.volume.planes[plane]
        return info.to_voxel(round(column), round(row), index) if info.holds(column, row) else None

    def greys(self, plane: Plane, index: int) -> None:
        """Greys came."""
        for image, view in zip(self._viewer.beside, self.views):
            greys = self._work.greys.get(*view) if view == (plane, index) else None
            if greys is not None:
                image.picture.show_greys(greys)

    def ink(self) -> None:
        """The document changed."""
        for image, view in zip(self._viewer.beside, self.views):
            image.picture.show_labels(self._work.document.label_image(*view))
            self._levels(image, view)

    def levels(self, plane: Plane, index: int) -> None:
        """A probability came."""
        for image, view in zip(self._viewer.beside, self.views):
            if view == (plane, index):
                self._levels(image, view)

    def _show(self, image: ImageView, plane: Plane, index: int, voxel: Voxel, anew: bool) -> None:
        info = self._work.volume.planes[plane]
        if anew:
            image.show_plane(info)
        greys = self._work.greys.get(plane, index)
        if greys is None:
            image.picture.blank(info.shape)
        else:
            image.picture.show_greys(greys)
        image.cross = info.pixel(voxel)[:2]
        image.pointer_text = sentences.slice_name(plane, index)
        image.picture.show_labels(self._work.document.label_image(plane, index))
        self._levels(image, (plane, index))

    def _levels(self, image: ImageView, view: Key) -> None:
        image.picture.show_levels(self._work.probabilities.get(*view) if self._segmentable() else None)
