"""Planes from the contract against the server's own geometry."""

from __future__ import annotations

import numpy as np
import pytest

from services.core import geometry as core
from tablet_client.state.geometry import GeometryError, Plane, PlaneInfo, VolumeInfo, voxel_at
from tests.tablet.state.phantom import SHAPE, oblique, volume_message


def test_planes_agree_with_the_server(volume, affine):
    for plane in Plane:
        ours, theirs = volume.planes[plane], core.plane_geometry(SHAPE, affine, core.Plane(plane.value))
        assert ours.voxel_shape == SHAPE
        assert ours.slice_axis == theirs.slice_axis
        assert ours.shape == (theirs.rows, theirs.columns)
        voxel = ours.to_voxel(1, 2, 3)
        assert voxel == tuple(int(k[0]) for k in theirs.to_voxels(np.array([1]), np.array([2]), 3))
        assert ours.crossing(voxel) == 3
        assert ours.to_mm(1, 2, 3) == pytest.approx((affine @ (*voxel, 1))[:3])


def test_the_edge_of_an_image_is_half_a_pixel_out(volume):
    plane = volume.planes[Plane.AXIAL]
    assert plane.holds(-0.5, -0.5)
    assert plane.holds(plane.columns - 0.51, plane.rows - 0.51)
    assert not plane.holds(plane.columns - 0.5, 0)
    assert not plane.holds(0, -0.51)


def message():
    return volume_message(SHAPE, oblique())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: m.planes.pop(),
        lambda m: m.planes[0].pixel_to_mm.pop(),
        lambda m: m.planes[0].pixel_to_mm.__setitem__(0, float("nan")),
        lambda m: m.planes[0].pixel_to_voxel.__setitem__(0, 5),
        lambda m: setattr(m.planes[0], "columns", 0),
        lambda m: setattr(m.planes[0], "row_mm", 0.0),
        lambda m: setattr(m.planes[0], "slice_mm", float("inf")),
        lambda m: setattr(m.planes[0], "plane", 0),
        lambda m: setattr(m.planes[0], "columns", 8),
        lambda m: setattr(m, "acquisition", 0),
        lambda m: setattr(m, "acquisition", 3),
    ],
)
def test_a_volume_that_cannot_be_shown_is_refused(spoil):
    spoiled = message()
    spoil(spoiled)
    with pytest.raises(GeometryError):
        VolumeInfo.from_message(spoiled)


def test_intensity_of_a_grey():
    m = message()
    m.grey_slope, m.grey_intercept = 2.0, -1000.0
    assert VolumeInfo.from_message(m).intensity(500) == 0.0


def test_extent_in_millimetres():
    info = PlaneInfo.from_message(message().planes[0])
    assert info.size_mm == pytest.approx((9 * 1.1, 14 * 0.8, 5 * 4.5))


def test_a_voxel_is_the_pixel_in_which_a_slice_of_each_plane_meet(volume):
    indices = {plane: info.slices // 3 for plane, info in volume.planes.items()}
    voxel = voxel_at(volume.planes, indices)
    for plane, index in indices.items():
        column, row, crossed = volume.planes[plane].pixel(voxel)
        assert crossed == index
        assert volume.planes[plane].to_voxel(column, row, index) == voxel
