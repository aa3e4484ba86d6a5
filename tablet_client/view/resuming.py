"""The application comes back to the volume, slice and tool at which it ended, even when it was killed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from calque.v1.volumes_pb2 import Volume

from tablet_client.state.geometry import Plane
from tablet_client.state.place import Place, read_place, write_place
from tablet_client.state.tools import TOOLS
from tablet_client.view.viewer import Viewer
from tablet_client.view.viewercontrol import ViewerControl


class Resuming:
    """Keeps where the user is, on the tablet's disk.

    Args:
        viewer: the screen.
        control: what is open on it.
        folder: where journals lie.
    """

    def __init__(self, viewer: Viewer, control: ViewerControl, folder: Path) -> None:
        self._viewer, self._control, self._folder = viewer, control, folder
        self._kept = read_place(folder)
        self._resuming = False
        viewer.slices.bind(index=self._note)
        viewer.side.bind(plane=self._note)
        viewer.rail.bind(tool=self._note)
        control.started = self._note

    async def resume(self, volumes: Mapping[str, Volume]) -> bool:
        """Open what was open when the application ended, if the server still has it. Returns: it is open."""
        place = self._kept
        volume = volumes.get(place.volume_id) if place is not None else None
        if place is None or volume is None:
            return False
        self._resuming = True  # the slice of the beginning is not where the user was
        try:
            opened = await self._control.open(volume, place.annotation_id)
            if opened and self._control.showing is not None:
                self._control.showing.look_at(Plane[place.plane], place.index)
                self._control.choose_tool(next((name for name, tool in TOOLS.items() if tool.name == place.tool), "object"))
        finally:
            self._resuming = False
        self._note()
        return opened

    def left(self) -> None:
        """The user went back to the library."""
        self._keep(None)

    def _note(self, *_: object) -> None:
        """Something else is shown or chosen."""
        work, showing = self._control.work, self._control.showing
        if work is not None and showing is not None and not self._resuming:
            tool = TOOLS[self._viewer.rail.tool].name
            ids = work.volume.volume_id, work.annotation.annotation_id
            self._keep(Place(*ids, showing.plane.name, showing.index, tool))

    def _keep(self, place: Place | None) -> None:
        if place != self._kept:
            self._kept = place
            write_place(self._folder, place)
