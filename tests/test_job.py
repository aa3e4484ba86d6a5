"""The main job by touches: real services, the real tablet, an oblique phantom with thick slices, and its files."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from services.bench.client import Client
from services.cli import reach
from services.cli.children import child, services, virtual_display
from services.cli.scripted import Hand
from services.core.geometry import Plane, PlaneGeometry, plane_geometry
from services.core.mask import dice
from services.core.volume import Volume
from services.formats.source import source_files
from tests.phantoms import OBJECT_ABOVE, oblique_phantom, write_nifti

pytestmark = pytest.mark.screen

THRESHOLD = 190  # so few strokes leave the looks of half of the phantom undecided
BRUSH_MM = 3.0
RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass
class Desk:
    """Services and tablet at work on the phantom."""

    volume: Volume
    client: Client
    hand: Hand
    volume_id: str


@pytest.fixture
def desk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """On the phantom with as much more noise as a test asks for."""
    phantom = oblique_phantom()
    noise = np.random.default_rng(1).normal(0, getattr(request, "param", 0), phantom.shape)
    volume = replace(phantom, voxels=(phantom.voxels + noise).astype(np.int16))
    with ExitStack() as stack:
        address, _ = stack.enter_context(services(tmp_path / "server" / "store"))
        yield stack.enter_context(tablet_at(address, tmp_path, volume))


@contextmanager
def tablet_at(address: str, folder: Path, volume: Volume) -> Iterator[Desk]:
    """The tablet on services at ``address``, which get the volume first."""
    client = reach.client(address)
    imported = client.import_files(source_files(write_nifti(volume, folder / "phantom.nii.gz")), name="Phantom")
    command = [sys.executable, "-m", "tablet_client", "--server", address, "--journal", str(folder / "journal"), "--hand"]
    with virtual_display("1280x800") as display, child(command, environment=display) as tablet:
        yield Desk(volume, client, Hand(tablet), imported.volume_id)
    client.close()


def blob_centre(volume: Volume, which: int) -> NDArray[np.float64]:
    """Patient position in mm of the middle of one of the phantom's bright blobs, from its voxels alone."""
    from scipy import ndimage

    blobs, _ = ndimage.label(volume.voxels > OBJECT_ABOVE)
    voxel = np.array(ndimage.center_of_mass(blobs == which))
    return (volume.affine @ [*np.round(voxel), 1.0])[:3]


def near(plane: PlaneGeometry, position_mm: NDArray[np.float64]) -> tuple[float, float, int]:
    """Pixel (x, y) and slice of a plane at a patient position."""
    x, y, index, _ = np.linalg.solve(plane.pixel_to_mm, [*position_mm, 1.0])
    return float(x), float(y), round(index)


def draw(desk: Desk, plane: PlaneGeometry, tool: str, position_mm: NDArray[np.float64], half: float) -> NDArray[np.float64]:
    """Draw a short horizontal stroke through a position. Returns the path in mm, ``(n, 3)``."""
    x, y, index = near(plane, position_mm)
    desk.hand.do("plane", plane=plane.plane.name.lower())
    desk.hand.do("slice", slice=index)
    desk.hand.do("tool", tool=tool)
    desk.hand.do("brush", mm=BRUSH_MM)
    xs = np.linspace(x - half, x + half, 9)
    desk.hand.do("stroke", x=xs.tolist(), y=[y] * len(xs))
    pixels = np.stack([xs, np.full_like(xs, y), np.full_like(xs, index), np.ones_like(xs)])
    path: NDArray[np.float64] = (plane.pixel_to_mm @ pixels)[:3].T
    return path


def exported(desk: Desk, kind: str, folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """An exported NIfTI as another program reads it: values, and its affine to LPS mm."""
    annotation = desk.client.annotations(desk.volume_id)[0].annotation_id
    name, data = desk.client.export(annotation, kind, "nifti")
    (folder / name).write_bytes(data)
    image = nibabel.load(folder / name)
    return np.asarray(image.dataobj).astype(np.uint8), RAS @ image.affine


def positions(found: NDArray[np.bool_], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Patient positions of voxels, ``(n, 3)`` mm."""
    voxels = np.argwhere(found)
    return (affine @ np.c_[voxels, np.ones(len(voxels))].T)[:3].T


@pytest.mark.timeout(240)
def test_strokes_of_all_planes_and_the_mask_lie_at_the_right_millimetres(desk: Desk, tmp_path: Path) -> None:
    volume, hand = desk.volume, desk.hand
    planes = {plane: plane_geometry(volume.shape, volume.affine, plane) for plane in Plane}
    hand.do("open", volume=desk.volume_id)
    hand.do("shape", on=False)  # three objects, each drawn on in another plane, have no shape in common
    object_paths = [draw(desk, planes[p], "object", blob_centre(volume, n), 2.0) for p, n in zip(Plane, (1, 2, 3))]
    other = [(volume.affine @ [s, r, c, 1.0])[:3] for s, r, c in ((6, 32, 8), (6, 10, 60), (3, 50, 40))]
    other_paths = [draw(desk, planes[p], "background", centre, 6.0) for p, centre in zip(Plane, other)]
    hand.do("wait_volume")
    hand.do("threshold", value=THRESHOLD)
    saved = hand.do("save")

    labels, affine = exported(desk, "annotation", tmp_path)
    diagonal = float(np.linalg.norm(volume.spacing_mm)) / 2
    for label, paths in ((1, object_paths), (2, other_paths)):
        labelled, asked = positions(labels == label, affine), np.concatenate(paths)
        apart = np.linalg.norm(labelled[:, None] - asked[None], axis=2)
        assert len(labelled) >= 9
        assert apart.min(axis=0).max() <= diagonal  # every asked point is in a labelled voxel
        assert apart.min(axis=1).max() <= BRUSH_MM / 2 + diagonal  # and no label lies elsewhere

    source = volume.voxels.transpose(np.argsort(volume.source_axes))  # in the file's own axes
    assert (source[labels == 1] > OBJECT_ABOVE).mean() > 0.9  # what was drawn on is what was seen
    assert (source[labels == 2] <= OBJECT_ABOVE).all()

    mask, mask_affine = exported(desk, "mask", tmp_path)
    assert np.allclose(mask_affine, RAS @ nibabel.load(tmp_path / "phantom.nii.gz").affine, atol=1e-4)
    assert dice(mask > 0, source > OBJECT_ABOVE) > 0.8
    middle = positions(mask > 0, mask_affine).mean(axis=0)
    truth = positions(source > OBJECT_ABOVE, affine).mean(axis=0)
    assert np.linalg.norm(middle - truth) < min(volume.spacing_mm) * 2
    assert saved["object_ml"] == pytest.approx((mask > 0).sum() * volume.voxel_ml, rel=1e-6)
    hand.do("quit")


@pytest.mark.timeout(90)
@pytest.mark.parametrize("desk", [500], indirect=True)  # without noise two strokes say all, and nothing is worth a third
def test_the_tablet_goes_where_the_service_advises(desk: Desk) -> None:
    volume, hand = desk.volume, desk.hand
    plane = plane_geometry(volume.shape, volume.affine, Plane.AXIAL)
    hand.do("open", volume=desk.volume_id)
    assert hand.do("state")["shape"]
    centre = blob_centre(oblique_phantom(), 1)
    for tool, middle, half in (("object", centre, 3.0), ("background", centre + plane.pixel_to_mm[:3, 1] * 14, 10.0)):
        draw(desk, plane, tool, middle, half)
    hand.do("wait_volume")
    while ": " not in (text := hand.do("state")["next"]):  # the test's own time limit ends the waiting
        pass
    hand.do("tap", name="next_place")
    found = hand.do("state")
    assert text == f"Next: {found['slice'] + 1}"
    assert found["slice"] != near(plane, centre)[2]
    hand.do("quit")


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def connection(hand: Hand, wanted: str) -> None:
    """Wait until the tablet says this of the work. The test's own time limit ends the waiting."""
    while wanted not in hand.do("state")["connection"]:
        pass


@pytest.mark.timeout(240)
def test_killed_services_lose_nothing_and_the_tablet_goes_on(tmp_path: Path) -> None:
    store, address = tmp_path / "server" / "store", free_address()
    with ExitStack() as stack:
        _, first = stack.enter_context(services(store, address))
        desk = stack.enter_context(tablet_at(address, tmp_path, oblique_phantom()))
        plane = plane_geometry(desk.volume.shape, desk.volume.affine, Plane.AXIAL)
        desk.hand.do("open", volume=desk.volume_id)
        paths = [draw(desk, plane, "object", blob_centre(desk.volume, 1), 2.0)]
        connection(desk.hand, "Saved on server")
        first.kill()
        first.wait()
        paths += [draw(desk, plane, "object", blob_centre(desk.volume, which), 2.0) for which in (2, 3)]
        connection(desk.hand, "Offline")
        stack.enter_context(services(store, address))
        connection(desk.hand, "Saved on server")
        labels, affine = exported(desk, "annotation", tmp_path)
        desk.hand.do("quit")
    labelled = positions(labels == 1, affine)
    diagonal = float(np.linalg.norm(desk.volume.spacing_mm)) / 2
    for path in paths:
        apart = np.linalg.norm(labelled[:, None] - path[None], axis=2)
        assert apart.min(axis=0).max() <= diagonal
