"""`calque bench` on a small phantom: the real services, the real wire, and a table that says what was measured."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from scipy import ndimage
from typer.testing import CliRunner

from services.bench.clinician import voxels_of
from services.bench.engine import fastest, images_of, our_steps, plain_steps, plain_ways
from services.bench.phantom import phantom
from services.bench.plain import table_one
from services.bench.speed import QUICK
from services.bench.table import BEGIN, END, check_place, put_table
from services.cli.main import app
from services.core.errors import InvalidInput
from services.core.geometry import Plane, plane_geometry

MADE = phantom(6, 96)


def test_the_phantom_is_the_same_each_time_and_looks_like_an_mri() -> None:
    again = phantom(6, 96)
    np.testing.assert_array_equal(again.volume.voxels, MADE.volume.voxels)
    np.testing.assert_allclose(MADE.volume.spacing_mm, (4.0, 0.7, 0.7))
    _, parts = ndimage.label(MADE.truth)
    assert parts == 1
    assert 0.01 < MADE.truth.mean() < 0.2
    values = MADE.volume.voxels
    assert values[:, :5].mean() < 60 < 300 < values[MADE.truth].mean()


@pytest.mark.parametrize("plane", list(Plane))
def test_strokes_lie_in_the_object_and_beside_it_in_turn(plane: Plane) -> None:
    geometry = plane_geometry(MADE.volume.shape, MADE.volume.affine, plane)
    areas = [geometry.slice_of(MADE.truth, index).sum() for index in range(geometry.slices)]
    index = int(np.argmax(areas))
    drawn = list(islice(MADE.strokes(plane, index), 6))
    assert drawn == list(islice(MADE.strokes(plane, index), 6))
    assert [stroke.label for stroke in drawn] == [1, 2, 1, 2, 1, 2]
    for stroke in drawn:
        inside = MADE.truth.ravel()[voxels_of(stroke, MADE.volume.shape, MADE.volume.affine)]
        assert inside.all() if stroke.label == 1 else not inside.any()


@pytest.mark.parametrize("cut", [(slice(40, 41), None), (None, slice(3, 4)), (slice(0, 1), slice(90, 96)), (None, None)])
@pytest.mark.parametrize("jobs", [1, 2])
def test_the_plain_way_computes_a_part_of_a_slice_as_it_does_the_whole(
    cut: tuple[slice | None, slice | None], jobs: int
) -> None:
    image = images_of(MADE.volume)[2]
    whole = table_one(image)
    part = table_one(image, *cut, jobs=jobs)
    np.testing.assert_array_equal(part, whole[cut[0] or slice(None), cut[1] or slice(None)])


def test_all_plain_ways_give_the_same_features_and_all_steps_take_time() -> None:
    images = images_of(MADE.volume)
    ways = plain_ways(2)
    assert set(fastest(images[:1], 2)) == set(ways)
    for way in ways.values():
        np.testing.assert_array_equal(way(images[:2]), [table_one(image) for image in images[:2]])
    labels = np.zeros(MADE.volume.shape, np.uint8)
    for stroke in islice(MADE.strokes(Plane.AXIAL, 3), 2):
        labels.ravel()[voxels_of(stroke, MADE.volume.shape, MADE.volume.affine)] = stroke.label
    steps, features = plain_steps(images, labels, next(iter(ways)), 2)
    assert len(features) == 6
    for one in (steps, our_steps(images, labels, 2)):
        assert one.total_ms == pytest.approx(one.features_ms + one.fit_ms + one.predict_ms)
        assert 0 < one.repeated_ms < one.total_ms


def test_the_bench_measures_over_the_wire_and_puts_its_table_into_a_page(tmp_path: Path) -> None:
    page, report = tmp_path / "page.md", tmp_path / "figures.json"
    page.write_text(f"Before.\n{BEGIN}\nan old table\n{END}\nAfter.\n")
    arguments = ["bench", "--quick", "--slices", "6", "--size", "96", "--json", str(report), "--markdown", str(page)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    text = page.read_text()
    table = text.partition(BEGIN)[2].partition(END)[0].strip()
    assert text == f"Before.\n{BEGIN}\n{table}\n{END}\nAfter.\n"
    assert table in result.stdout
    found = json.loads(report.read_text())
    measured = found["measured"]
    assert measured["size"] == [6, 96, 96]
    assert set(measured["cold"]) == set(measured["warm"]) == {"axial", "coronal", "sagittal"}
    assert len(measured["cold"]["axial"]["service"]) == len(measured["cold"]["axial"]["plain"]) == QUICK.cold
    assert [len(one) for one in measured["crowd"]] == [QUICK.rounds] * QUICK.sessions
    assert len(measured["acknowledged"]) == QUICK.busy
    assert all(unpacked >= 6 * 96 * 96 > packed for unpacked, packed in zip(measured["unpacked"], measured["packed"]))
    assert 20 < measured["workspace"]["paper"] / (6 * 96 * 96) < 40
    assert measured["peak"]["paper"] > 50 << 20
    rows = {row["name"]: row for row in found["table"]}
    cold = measured["cold"]["axial"]
    ratio = rows["stroke to mask of the visible slice, cold"]["ratio"]
    assert ratio == pytest.approx(median(cold["plain"]) / median(cold["service"]))
    for name in rows:
        assert f"| {name} |" in table


def test_a_page_without_a_place_for_the_table_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for text in ("nothing", BEGIN, f"{END} {BEGIN}"):
        page.write_text(text)
        with pytest.raises(InvalidInput, match="no place"):
            put_table(page, "table")
        assert page.read_text() == text
    with pytest.raises(InvalidInput, match="cannot be read"):
        check_place(tmp_path / "none.md")
    result = CliRunner().invoke(app, ["bench", "--markdown", str(page)])
    assert isinstance(result.exception, InvalidInput)
