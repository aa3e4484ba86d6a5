"""Planes of oblique volumes against the affine itself, and what a Volume refuses."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.core.errors import InvalidInput, Reason
from services.core.geometry import Plane, PlaneGeometry, acquisition_axis, acquisition_plane, edge_letters, plane_geometry
from services.core.volume import VOXEL_DTYPES, Affine, Volume, check_affine, intensity_window, to_window

Shape = tuple[int, int, int]
OPPOSITE = {"L": "R", "R": "L", "A": "P", "P": "A", "S": "I", "I": "S"}
DIRECTION = {"L": (1, 0, 0), "P": (0, 1, 0), "S": (0, 0, 1)}
# What a radiologist expects at the left, the right, the top and the bottom of an image, and where higher slices lie.
SHOWN = {Plane.AXIAL: "RLAPS", Plane.CORONAL: "RLSIP", Plane.SAGITTAL: "APSIL"}

shapes = st.tuples(*[st.integers(1, 5)] * 3)
planes = st.sampled_from(Plane)
spacings = st.tuples(*[st.floats(0.2, 9.0)] * 3)
places = st.tuples(*[st.floats(-300.0, 300.0)] * 3)


def rotation(x: float, y: float, z: float) -> NDArray[np.float64]:
    """Turn about the patient's axes, angles in radians."""
    (cx, cy, cz), (sx, sy, sz) = np.cos([x, y, z]), np.sin([x, y, z])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


@st.composite
def affines(draw: st.DrawFn, turn: float = np.pi, shear: float = 0.1) -> Affine:
    """Any order of axes, any flips, turned up to ``turn`` about each axis, and a little shear as of a tilted gantry."""
    axes, flips = draw(st.permutations(range(3))), draw(st.tuples(*[st.sampled_from([-1, 1])] * 3))
    angles = draw(st.tuples(*[st.floats(-turn, turn)] * 3))
    tilt = np.eye(3)
    tilt[1, 0] = draw(st.floats(-shear, shear))
    affine = np.eye(4)
    affine[:3, :3] = rotation(*angles) @ tilt @ (np.eye(3)[:, axes] * flips) * draw(spacings)
    affine[:3, 3] = draw(places)
    return affine


def pixels_of(plane: PlaneGeometry) -> list[tuple[int, int, int]]:
    return list(product(range(plane.columns), range(plane.rows), range(plane.slices)))


def voxel_of(plane: PlaneGeometry, pixel: tuple[int, int, int]) -> tuple[int, ...]:
    return tuple(int(v) for v in plane.pixel_to_voxel @ [*pixel, 1])


@given(shapes, affines(), planes)
def test_pixels_are_the_voxels_permuted_and_flipped(shape: Shape, affine: Affine, which: Plane) -> None:
    plane = plane_geometry(shape, affine, which)
    assert plane.plane == which
    assert np.array_equal(np.abs(plane.pixel_to_voxel[:, :3]).sum(axis=0), [1, 1, 1])
    assert np.array_equal(np.abs(plane.pixel_to_voxel[:, :3]).sum(axis=1), [1, 1, 1])
    voxels = [voxel_of(plane, pixel) for pixel in pixels_of(plane)]
    assert sorted(voxels) == list(product(*map(range, shape)))
    assert [plane.pixel_of(voxel) for voxel in voxels] == pixels_of(plane)  # type: ignore[arg-type]


@given(shapes, affines(), planes)
def test_an_image_shows_the_voxels_that_its_pixels_are(shape: Shape, affine: Affine, which: Plane) -> None:
    plane = plane_geometry(shape, affine, which)
    array = np.arange(np.prod(shape)).reshape(shape)
    rows, columns = (grid.ravel() for grid in np.mgrid[: plane.rows, : plane.columns])
    for index in range(plane.slices):
        image = plane.slice_of(array, index)
        assert image.shape == (plane.rows, plane.columns)
        assert np.shares_memory(image, array)
        assert np.array_equal(image.ravel(), array[plane.to_voxels(columns, rows, index)])
        for column, row in product(range(plane.columns), range(plane.rows)):
            assert image[row, column] == array[voxel_of(plane, (column, row, index))]


@given(shapes, affines(), planes, st.data())
def test_an_image_that_is_put_back_changes_its_slice_alone(
    shape: Shape, affine: Affine, which: Plane, data: st.DataObject
) -> None:
    plane = plane_geometry(shape, affine, which)
    index = data.draw(st.integers(0, plane.slices - 1))
    image = 1 + np.arange(plane.rows * plane.columns).reshape(plane.rows, plane.columns)
    array = np.zeros(shape, dtype=image.dtype)
    plane.put(array, index, image)
    for other in range(plane.slices):
        assert np.array_equal(plane.slice_of(array, other), image if other == index else np.zeros_like(image))


@given(shapes, affines(), planes)
def test_pixels_lie_where_their_voxels_lie(shape: Shape, affine: Affine, which: Plane) -> None:
    plane = plane_geometry(shape, affine, which)
    for pixel in pixels_of(plane):
        mm = affine @ [*voxel_of(plane, pixel), 1]
        assert np.allclose(plane.pixel_to_mm @ [*pixel, 1], mm, rtol=0, atol=1e-9)
    first = plane.pixel_to_mm @ [0, 0, 0, 1]
    steps = [np.linalg.norm(plane.pixel_to_mm @ [*step, 1] - first) for step in np.eye(3)]
    assert np.allclose(steps, [plane.column_mm, plane.row_mm, plane.slice_mm])


@given(shapes, affines(), planes)
def test_a_voxel_s_place_leads_back_to_it(shape: Shape, affine: Affine, which: Plane) -> None:
    """Voxel → patient → voxel, and voxel → patient → pixel → voxel by the plane's own two maps."""
    plane = plane_geometry(shape, affine, which)
    for voxel in product(*map(range, shape)):
        mm = affine @ [*voxel, 1]
        assert np.allclose(np.linalg.solve(affine, mm)[:3], voxel, rtol=0, atol=1e-6)
        pixel = np.linalg.solve(plane.pixel_to_mm, mm)[:3]
        assert np.allclose(pixel, np.rint(pixel), rtol=0, atol=1e-6)
        column, row, index = (int(p) for p in np.rint(pixel))
        assert voxel_of(plane, (column, row, index)) == voxel


@given(shapes, affines(shear=0.0))
def test_each_plane_stands_for_the_axis_nearest_to_its_direction(shape: Shape, affine: Affine) -> None:
    """By trying all six ways to give array axes to patient directions."""
    cosines = np.abs(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))
    best = max(sum(cosines[d, way[d]] for d in range(3)) for way in permutations(range(3)))
    along = [plane_geometry(shape, affine, which).slice_axis for which in (Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL)]
    assert sorted(along) == [0, 1, 2]
    assert sum(cosines[d, along[d]] for d in range(3)) == pytest.approx(best)
    assert plane_geometry(shape, affine, acquisition_plane(shape, affine)).slice_axis == 0


@given(shapes, affines(turn=0.25, shear=0.0), planes)
def test_images_are_shown_in_the_radiologists_manner(shape: Shape, affine: Affine, which: Plane) -> None:
    """However the array lies: turned by no more than a quarter of a radian about each axis, the first letters are fixed."""
    plane = plane_geometry(shape, affine, which)
    assert plane.left[0] + plane.right[0] + plane.top[0] + plane.bottom[0] == SHOWN[which][:4]
    assert plane.pixel_to_mm[:3, 2] @ DIRECTION[SHOWN[which][4]] > 0


@given(shapes, affines(), planes)
def test_letters_point_where_the_edges_point(shape: Shape, affine: Affine, which: Plane) -> None:
    plane = plane_geometry(shape, affine, which)
    for letters, step in ((plane.right, plane.pixel_to_mm[:3, 0]), (plane.bottom, plane.pixel_to_mm[:3, 1])):
        unit = step / np.linalg.norm(step)
        towards = {letter: float(unit @ d) for letter, d in DIRECTION.items()}
        towards |= {OPPOSITE[letter]: -cosine for letter, cosine in towards.items()}
        ranked = sorted(towards.values(), reverse=True)
        assert towards[letters[0]] == pytest.approx(ranked[0])
        if abs(ranked[1] - np.sin(np.radians(22.5))) > 1e-6:
            assert len(letters) == (2 if ranked[1] > np.sin(np.radians(22.5)) else 1)
        if len(letters) == 2:
            assert towards[letters[1]] == pytest.approx(ranked[1])
    assert [OPPOSITE[letter] for letter in plane.left] == list(plane.right)
    assert [OPPOSITE[letter] for letter in plane.top] == list(plane.bottom)


@pytest.mark.parametrize(
    ("direction", "letters"),
    [
        ((1, 0, 0), "L"),
        ((-1, 0, 0), "R"),
        ((0, 1, 0), "P"),
        ((0, -1, 0), "A"),
        ((0, 0, 1), "S"),
        ((0, 0, -1), "I"),
        ((np.cos(0.39), np.sin(0.39), 0), "L"),
        ((np.cos(0.40), np.sin(0.40), 0), "LP"),
        ((0, -np.sin(0.5), -np.cos(0.5)), "IA"),
    ],
)
def test_edge_letters(direction: tuple[float, float, float], letters: str) -> None:
    assert edge_letters(np.array(direction, dtype=float)) == letters


def test_a_known_sagittal_series() -> None:
    """Slices from the right to the left 5 mm apart, rows downwards from superior, columns from anterior to posterior."""
    affine = np.array([[5.0, 0, 0, -60], [0, 0, 0.5, -100], [0, -0.5, 0, 90], [0, 0, 0, 1]])
    shape = (24, 320, 400)
    sagittal, axial = plane_geometry(shape, affine, Plane.SAGITTAL), plane_geometry(shape, affine, Plane.AXIAL)
    assert acquisition_plane(shape, affine) == Plane.SAGITTAL
    assert (sagittal.columns, sagittal.rows, sagittal.slices) == (400, 320, 24)
    assert (sagittal.column_mm, sagittal.row_mm, sagittal.slice_mm) == (0.5, 0.5, 5.0)
    assert np.array_equal(sagittal.pixel_to_voxel, [[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0]])
    # an axial image has a column a sagittal slice, 5 mm wide, and its slices go up while the rows went down
    assert (axial.columns, axial.rows, axial.slices) == (24, 400, 320)
    assert (axial.column_mm, axial.row_mm) == (5.0, 0.5)
    assert np.array_equal(axial.pixel_to_voxel, [[1, 0, 0, 0], [0, 0, -1, 319], [0, 1, 0, 0]])
    assert np.allclose(axial.pixel_to_mm @ [3, 7, 0, 1], [-45, -96.5, 90 - 0.5 * 319, 1])


@pytest.mark.parametrize(
    ("spacing", "axis"),
    [
        ((5.0, 0.5, 0.5), 0),
        ((0.5, 5.0, 0.5), 1),
        ((0.5, 0.5, 5.0), 2),
        ((1.0, 1.0, 1.0), 2),
        ((1.0, 0.9999, 0.5), 2),
        ((1.0, 0.99, 0.5), 0),
    ],
)
def test_acquisition_axis(spacing: tuple[float, float, float], axis: int) -> None:
    assert acquisition_axis(spacing) == axis


def volume(voxels: NDArray[Any], scale: float = 1.0, offset: float = 0.0, **more: Any) -> Volume:
    count = len(voxels) if voxels.ndim else 0
    usual = {"affine": np.eye(4), "slope": np.full(count, scale), "intercept": np.full(count, offset)}
    return Volume(voxels=voxels, **(usual | more))


@pytest.mark.parametrize("dtype", VOXEL_DTYPES)
def test_a_volume_knows_its_spacing_and_intensities(dtype: str) -> None:
    affine = np.diag([3.0, 0.5, 2.0, 1.0])
    voxels = np.arange(24).reshape(2, 3, 4).astype(dtype)
    made = volume(voxels, affine=affine, slope=np.array([2.0, 3.0]), intercept=np.array([-1.0, 5.0]))
    assert made.shape == (2, 3, 4)
    assert made.spacing_mm == (3.0, 0.5, 2.0)
    assert made.voxel_ml == pytest.approx(0.003)
    assert made.intensity(0).dtype == np.float32
    assert np.array_equal(made.intensity(0), np.arange(12).reshape(3, 4) * 2 - 1)
    assert np.array_equal(made.intensity(1), np.arange(12, 24).reshape(3, 4) * 3 + 5)


@given(affines())
def test_a_volume_measures_its_voxels(affine: Affine) -> None:
    made = volume(np.zeros((2, 3, 4), np.uint8), affine=affine)
    origin = affine @ [0, 0, 0, 1]
    steps = [float(np.linalg.norm(affine @ [*step, 1] - origin)) for step in np.eye(3)]
    assert made.spacing_mm == pytest.approx(steps)
    edges = [(affine @ [*step, 1] - origin)[:3] for step in np.eye(3)]
    assert made.voxel_ml == pytest.approx(abs(np.dot(edges[0], np.cross(edges[1], edges[2]))) / 1000)


HEADER, GEOMETRY = Reason.FILE_HEADER_INVALID, Reason.GEOMETRY_INVALID


@pytest.mark.parametrize(
    ("voxels", "more", "reason"),
    [
        (np.zeros((3, 4)), {}, HEADER),
        (np.zeros((1, 2, 3, 4), np.uint8), {}, HEADER),
        (np.zeros((0, 3, 4), np.uint8), {}, HEADER),
        (np.zeros((2, 3, 0), np.uint8), {}, HEADER),
        (np.zeros((2, 3, 4), np.float64), {}, HEADER),
        (np.zeros((2, 3, 4), bool), {}, HEADER),
        (np.zeros((2, 3, 4), np.complex64), {}, HEADER),
        (np.zeros((2, 3, 4), np.uint8), {"slope": np.ones(3)}, HEADER),
        (np.zeros((2, 3, 4), np.uint8), {"intercept": np.zeros((2, 1))}, HEADER),
        (np.zeros((2, 3, 4), np.uint8), {"slope": np.array([1.0, 0.0])}, HEADER),
        (np.zeros((2, 3, 4), np.uint8), {"slope": np.array([1.0, np.nan])}, HEADER),
        (np.zeros((2, 3, 4), np.uint8), {"intercept": np.array([np.inf, 0.0])}, HEADER),
        (np.zeros((2, 3, 4), np.uint8), {"source_axes": (0, 1, 1)}, GEOMETRY),
        (np.zeros((2, 3, 4), np.uint8), {"affine": np.zeros((4, 4))}, GEOMETRY),
    ],
)
def test_a_volume_that_cannot_be_is_refused(voxels: NDArray[Any], more: dict[str, Any], reason: Reason) -> None:
    with pytest.raises(InvalidInput) as caught:
        volume(voxels, **more)
    assert caught.value.reason == reason
    assert str(caught.value).endswith(".")


def changed(row: int, column: int, value: float) -> Affine:
    affine = np.eye(4)
    affine[row, column] = value
    return affine


@pytest.mark.parametrize(
    "affine",
    [
        np.eye(3),
        changed(0, 0, np.nan),
        changed(2, 3, np.inf),
        changed(1, 1, 0.0),
        changed(1, 1, 1e-9),
        changed(1, 1, 1e7),
        changed(1, 1, 1e300),
        changed(3, 3, 2.0),
        changed(3, 0, 0.1),
        np.array([[1.0, 1, 0, 0], [0, 1e-5, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
    ],
)
def test_an_impossible_affine_is_refused(affine: Affine) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_affine(affine)
    assert caught.value.reason == GEOMETRY


@given(affines())
def test_a_possible_affine_is_not_refused(affine: Affine) -> None:
    check_affine(affine)


def test_the_window_leaves_air_and_outliers_out() -> None:
    """Half of it air at 0, a body of 200 … 1199, one voxel of 30,000: percentiles of the body alone."""
    body = np.arange(200, 1200)
    voxels = np.concatenate([np.zeros(1000), body]).astype(np.int16).reshape(2, 20, 50)
    voxels[0, 0, 0] = 30000
    low, high = intensity_window(volume(voxels, scale=2.0, offset=-100.0))
    expected = np.percentile(np.append(body, 30000) * 2.0 - 100, (0.5, 99.5))
    assert (low, high) == pytest.approx(tuple(expected))
    assert high < 1200 * 2


def test_the_window_of_ct_leaves_air_out() -> None:
    voxels = np.full((4, 10, 10), -1000, np.int16)
    voxels[1:3] = np.linspace(-150, 250, 200).reshape(2, 10, 10)
    low, high = intensity_window(volume(voxels))
    assert -150 <= low < -140
    assert 240 < high <= 250


@given(
    st.lists(
        st.floats(-(2.0**99), 2.0**99, width=32) | st.just(np.nan) | st.integers(-1000, 1000).map(float),
        min_size=8,
        max_size=8,
    ),
    st.sampled_from([1.0, -1.0, 0.5]),
)
def test_every_volume_has_a_window_in_which_all_is_0_to_255(values: list[float], scale: float) -> None:
    made = volume(np.array(values, np.float32).reshape(2, 2, 2), scale=scale)
    low, high = intensity_window(made)
    assert low < high
    shown = to_window(made.intensity(1), (low, high))
    assert shown.dtype == np.float32
    assert ((shown >= 0) & (shown <= 255)).all()


@pytest.mark.parametrize("value", [0.0, 7.0, -3.5, 2.0**24, 1e20, -1e30, np.nan])
def test_an_even_image_has_a_window(value: float) -> None:
    made = volume(np.full((2, 3, 4), value, np.float32))
    low, high = intensity_window(made)
    assert low < high
    assert ((shown := to_window(made.intensity(0), (low, high))) == shown[0, 0]).all()


def test_known_levels() -> None:
    intensity = np.array([-50.0, 100.0, 150.0, 200.0, 999.0, np.nan], np.float32)
    assert np.allclose(to_window(intensity, (100.0, 200.0)), [0, 0, 127.5, 255, 255, 0])
