"""What is seen of an open annotation: plane, slice, greys, ink, probability, and what the rails say of it."""

from __future__ import annotations

from calque.v1.segmentation_pb2 import Annotation

from tablet_client.link.listener import Connection
from tablet_client.state.geometry import Plane, Voxel
from tablet_client.state.words import N_, _
from tablet_client.view import sentences
from tablet_client.view.linked import Linked
from tablet_client.view.pen import Pen
from tablet_client.view.viewer import Viewer
from tablet_client.view.work import Work

_DEFAULT_NAMES = [N_("Object"), N_("Background")]


class Showing:
    """Shows one annotation on the viewer.

    Args:
        viewer: the screen.
        work: what is open.
        pen: takes the place that is shown.
        before: what was shown before; its place is kept when it was of the same volume.

    Attributes:
        plane: which plane; `index` is its slice.
        entries: entries of the log that the shown probability takes into account; 0 while none is shown.
    """

    def __init__(self, viewer: Viewer, work: Work, pen: Pen, before: Showing | None) -> None:
        self._viewer, self._work, self._pen = viewer, work, pen
        volume = work.volume
        same = before is not None and before._work.volume.volume_id == volume.volume_id
        self.plane: Plane = before.plane if same and before is not None else volume.acquisition
        self._indices = {plane: info.slices // 2 for plane, info in volume.planes.items()}
        if same and before is not None:
            self._indices = dict(before._indices)
        self.entries = 0
        self._linked = Linked(viewer, work, self._indices, lambda: self.segmentable)
        self._name(work.annotation)
        self.look_at_plane(self.plane)
        self.volume_ml()

    @property
    def index(self) -> int:
        """The slice that is shown."""
        return self._indices[self.plane]

    @property
    def busy(self) -> bool:
        """The pen is down: what is shown stays."""
        return self._pen.busy

    def look_at(self, plane: Plane, index: int) -> None:
        """A slice of a plane, fitted if it is another plane; not while the pen is down."""
        if plane is self.plane or self.busy:
            self.look_at_slice(index)
        else:
            self._indices[plane] = min(self._work.volume.planes[plane].slices - 1, max(0, index))
            self.look_at_plane(plane)

    def look_at_plane(self, plane: Plane) -> None:
        """Another plane, fitted; not while the pen is down."""
        if self.busy:
            return
        info = self._work.volume.planes[plane]
        self.plane = plane
        self._viewer.side.plane = plane.name.lower()
        self._viewer.slices.count = info.slices
        self._viewer.image.show_plane(info)
        self._look()

    def look_at_slice(self, index: int) -> None:
        """Another slice; not while the pen is down."""
        index = min(self._work.volume.planes[self.plane].slices - 1, max(0, index))
        if index != self.index and not self.busy:
            self._indices[self.plane] = index
            self._look()

    def three(self, three: bool) -> None:
        """The other two planes beside this one, or this one alone; not while the pen is down."""
        if not self.busy:
            self._viewer.three = self._viewer.side.three = three
            self._look()

    def aim(self, number: int, column: float, row: float) -> None:
        """A finger on one of the planes beside: all images show the slices there; not while the pen is down."""
        voxel = self._linked.voxel(number, column, row)
        if voxel is not None and not self.busy:
            self._look_through(voxel)

    def scroll_beside(self, number: int, steps: int) -> None:
        """Another slice of one of the planes beside; not while the pen is down."""
        if not self.busy:
            plane, index = self._linked.views[number]
            self._indices[plane] = min(self._work.volume.planes[plane].slices - 1, max(0, index + steps))
            self._look()

    def drawn(self, column: float, row: float, number: int = 0) -> None:
        """A stroke ended here on an image: the others show the slices through that place."""
        plane, index = self._pen.places[number]
        info = self._work.volume.planes[plane]
        if self._viewer.three and info.holds(column, row):
            self._look_through(info.to_voxel(round(column), round(row), index))

    def _look_through(self, voxel: Voxel) -> None:
        for plane, info in self._work.volume.planes.items():
            self._indices[plane] = info.crossing(voxel)
        self._look()

    def _look(self) -> None:
        info = self._work.volume.planes[self.plane]
        slices = self._viewer.slices
        slices.index = self.index
        x, y, z = info.to_mm((info.columns - 1) / 2, (info.rows - 1) / 2, self.index)
        along = {Plane.AXIAL: z, Plane.CORONAL: y, Plane.SAGITTAL: x}[self.plane]
        slices.position_text = f"{sentences.number(along)} mm"
        if not self.greys(self.plane, self.index):
            self._viewer.image.picture.blank(info.shape)
        self._linked.show(self.plane)
        self._pen.places = ((self.plane, self.index), *self._linked.views)
        self._work.loader.look_at(self.plane, self.index, self._linked.views)
        self._work.keeper.look_at(self.plane, self.index, self._linked.views)
        self.ink()
        self.pointed(-1e9, -1e9)

    def greys(self, plane: Plane, index: int) -> bool:
        """Greys came; shown if they are looked at. Returns: they are shown."""
        greys = self._work.greys.get(plane, index) if (plane, index) == (self.plane, self.index) else None
        if greys is not None:
            self._viewer.image.picture.show_greys(greys)
        self._linked.greys(plane, index)
        return greys is not None

    def ink(self) -> None:
        """The document changed: ink, marks, buttons, and what hangs on them."""
        document = self._work.document
        if not document.running:
            self._viewer.image.picture.show_labels(document.label_image(self.plane, self.index))
            self._linked.ink()
        self._viewer.slices.strokes = document.marks(self.plane)
        self._viewer.bar.can_undo, self._viewer.bar.can_redo = document.can_undo, document.can_redo
        self.levels(self.plane, self.index)

    @property
    def segmentable(self) -> bool:
        """At least two labels are drawn somewhere."""
        return len(self._work.document.labels()) > 1

    def levels(self, plane: Plane, index: int) -> None:
        """A probability came or went. With less than two labels none is shown: it would be of nothing."""
        self._work.greys.get(self.plane, self.index)  # what comes of other slices must not push out the one that is seen
        self._linked.levels(plane, index)
        if (plane, index) != (self.plane, self.index):
            return
        levels = self._work.probabilities.get(plane, index) if self.segmentable else None
        self._viewer.image.picture.show_levels(levels)
        self.entries = self._work.probabilities.entries(plane, index) if levels is not None else 0
        self.hint()
        self.band()

    def hint(self) -> None:
        """What to do first, said to one who may do it."""
        status = self._work.keeper.status
        reading = status.connection is Connection.OTHER_WRITER
        first = sentences.reading(status) if reading else _(sentences.HINT)
        self._viewer.image.hint = "" if self.segmentable else first

    def seen(self, number: int = 0) -> bool:
        """The image of that number has its greys."""
        return self._work.greys.has(*self._pen.places[number])

    def band(self) -> None:
        """Where the mask is, for the picture of the volume."""
        pixels = self._work.band.pixels(self.plane, int(self._viewer.side.threshold))
        self._viewer.slices.mask = pixels if self.segmentable else None

    def volume_ml(self) -> None:
        """The object's volume at the threshold."""
        side, probabilities = self._viewer.side, self._work.probabilities
        ml = probabilities.object_ml(int(side.threshold), self._work.volume.voxel_ml) if self.segmentable else None
        side.volume_text = sentences.millilitres(ml)
        computing = self.segmentable and probabilities.counts_generation > 0 and not probabilities.complete
        side.volume_note = _("computing …") if computing else _("volume")

    def threshold(self, threshold: int) -> None:
        """Another threshold: a uniform and two look-ups, nothing that anyone must be asked for."""
        self._viewer.side.threshold = threshold
        for image in self._viewer.images:
            image.picture.uniforms(threshold=threshold)
        self.band()
        self.volume_ml()

    def pointed(self, column: float, row: float, number: int = 0) -> None:
        """The pointer is here: its place in the patient and the value under it."""
        if number < len(self._pen.places):
            beside = sentences.slice_name(*self._pen.places[number]) if number else ""
            self._viewer.images[number].pointer_text = self._told(column, row, number) or beside

    def _told(self, column: float, row: float, number: int) -> str:
        """Place and value under a point of an image; nothing beside it, or while it is not here."""
        plane, index = self._pen.places[number]
        info, greys = self._work.volume.planes[plane], self._work.greys.get(plane, index)
        if not info.holds(column, row) or greys is None:
            return ""
        place = "  ".join(sentences.number(mm) for mm in info.to_mm(column, row, index))
        value = self._work.volume.intensity(int(greys[round(row), round(column)]))
        digits = 0 if self._work.volume.grey_slope == 1 else 2
        return f"{place} mm\n" + _("value {number}").format(number=sentences.number(value, digits))

    def _name(self, annotation: Annotation) -> None:
        bar, rail = self._viewer.bar, self._viewer.rail
        bar.title, bar.subtitle, bar.progress = self._work.volume.name, annotation.name, 0.0
        names = [label.name for label in annotation.labels] or _DEFAULT_NAMES
        if names[:2] == _DEFAULT_NAMES:
            names = [_(name) for name in names[:2]]
        rail.object_name, rail.background_name = names[0], names[1]
