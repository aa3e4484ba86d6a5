"""`calque robot` on a phantom, over the real wire; its figures against the same strokes drawn by hand."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calque.v1 import segmentation_pb2, volumes_pb2
from scipy import ndimage
from typer.testing import CliRunner

from services.bench.clinician import best_seen, corrections, first_strokes, voxels_of
from services.bench.person import Effort
from services.cli.main import app
from services.core import classifiers, mask, pipeline, reconstruct
from services.core.errors import CalqueError, InvalidInput
from services.core.latent import Latent, quantised
from services.core.samples import gather
from services.core.volume import intensity_window
from services.embedding.encoder import Encoder
from tests.encoders import small_model
from tests.phantoms import oblique_phantom, phantom_object, write_nifti
from tests.processes import Serving
from tests.served import Served, serve

VOLUME = oblique_phantom((6, 60, 70))
# Three blobs of much the same grey; the second one is searched.
BLOBS, _ = ndimage.label(phantom_object(VOLUME))
TRUTH = BLOBS == 2


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serve(tmp_path / "store", compute_threads=2) as served:
        yield served


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_nifti(VOLUME, tmp_path / "image.nii.gz")
    write_nifti(replace(VOLUME, voxels=BLOBS.astype(np.uint8)), tmp_path / "mask.nii.gz")
    return tmp_path


def robot(*arguments: object) -> str:
    """What it prints."""
    result = CliRunner(env={"CALQUE_TLS": "off"}).invoke(app, ["robot", *[str(argument) for argument in arguments]])
    if isinstance(result.exception, CalqueError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def by_hand(corrected: int) -> list[tuple[float, float, int]]:
    """Dice at the best and at the default threshold and drawn voxels, without any service."""
    labels = np.zeros(VOLUME.shape, np.uint8)
    strokes, found = first_strokes(TRUTH, VOLUME.affine), []
    for number in range(1, corrected + 2):
        for stroke in strokes:
            labels.ravel()[voxels_of(stroke, VOLUME.shape, VOLUME.affine)] = stroke.label
        levels = pipeline.segment(VOLUME, labels).levels
        seen = best_seen(levels, TRUTH)
        found.append((seen.dice, mask.dice(levels >= 128, TRUTH), int((labels > 0).sum())))
        strokes = corrections(TRUTH, seen.mask, VOLUME.affine, number=number)
    return found


async def test_its_figures_are_those_of_the_same_strokes(served: Served, folder: Path) -> None:
    arguments = ("--image", folder / "image.nii.gz", "--mask", folder / "mask.nii.gz", "--label", 2)
    files = ("--json", folder / "figures.json", "--plot", folder / "figures.png")
    server = ("--server", f"127.0.0.1:{served.port}", "--corrections", 2)
    printed = await asyncio.to_thread(robot, *arguments, *files, *server)
    figures = json.loads((folder / "figures.json").read_text())
    (volume,) = figures["volumes"]
    (run,) = volume["runs"]
    expected = by_hand(2)
    found = [(a["dice"], a["default_dice"], a["stroke_pixels"]) for a in run["answers"]]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert expected[0][2] < expected[1][2] < expected[2][2], "something was there to correct"
    assert figures["summary"]["dice"] == pytest.approx([dice for dice, _, _ in expected])
    assert {a["default_threshold"] for a in run["answers"]} == {128}
    assert (run["preset"], run["seed"], run["habit"]) == ("paper", 0, "usual")
    assert (figures["preset"], figures["engine"], volume["label"]) == ("paper", run["engine"], 2)
    assert {"calque", "numpy"} <= figures["versions"].keys()
    assert len(volume["digest"]) == 64
    total = 0.0
    for answer in run["answers"]:
        effort = Effort(**answer["effort"])
        total += effort.person_seconds
        assert answer["person_seconds"] == effort.person_seconds > 2.0 * (effort.strokes > 0)
        if answer["dice"] >= 0.8:
            break
    assert run["person_s_to_0.8"] == pytest.approx(total)
    assert f"{expected[0][0]:.3f}" in printed
    assert (folder / "figures.png").read_bytes().startswith(b"\x89PNG")


async def test_variants_seeds_and_a_manifest(served: Served, folder: Path) -> None:
    entry = '[[volume]]\nname = "{}"\nimage = "image.nii.gz"\nmask = "mask.nii.gz"\n'
    (folder / "two.toml").write_text(entry.format("One") + entry.format("[red]Two"))
    arguments = ("--manifest", folder / "two.toml", "--variants", "--seed", 0, "--seed", 4, "--corrections", 0)
    server = ("--server", f"127.0.0.1:{served.port}", "--json", folder / "figures.json")
    printed = await asyncio.to_thread(robot, *arguments, *server)
    figures = json.loads((folder / "figures.json").read_text())
    one, two = figures["volumes"]
    assert one["runs"][0]["answers"][0]["dice"] == two["runs"][0]["answers"][0]["dice"]
    assert figures["summary"]["dice_spread"] == [0.0]
    dice = {(run["habit"], run["seed"]): run["answers"][0]["dice"] for run in one["runs"]}
    assert len(dice) == 2 * 9
    assert figures["summary"]["dice"][0] == pytest.approx((dice["usual", 0] + dice["usual", 4]) / 2)
    others = [value for (habit, _), value in dice.items() if habit != "usual"]
    assert figures["summary"]["variants_mean_dice"][0] == pytest.approx(np.mean(others))
    assert "mean of the others" in printed
    assert "[red]Two" in printed
    (kept,) = (await served.volumes.ListVolumes(volumes_pb2.ListVolumesRequest())).volumes
    left = await served.segmentation.ListAnnotations(segmentation_pb2.ListAnnotationsRequest(volume_id=kept.volume_id))
    assert list(left.annotations) == [], "the volume stays, the annotations do not"


async def test_switches_and_classifier_are_those_that_were_asked_for(served: Served, folder: Path) -> None:
    arguments = ("--image", folder / "image.nii.gz", "--mask", folder / "mask.nii.gz", "--label", 2, "--corrections", 0)
    arguments += ("--server", f"127.0.0.1:{served.port}", "--json", folder / "figures.json")

    async def figures(*more: str) -> dict[str, Any]:
        await asyncio.to_thread(robot, *arguments, *more)
        found: dict[str, Any] = json.loads((folder / "figures.json").read_text())
        return found

    plain, chosen = await figures(), await figures("--connected", "--no-fill-holes", "--classifier", "naive_bayes")
    calque, loose = await figures("--preset", "calque"), await figures("--preset", "calque", "--no-connected")
    how = [(one["classifier"], one["connected"], one["fill_holes"]) for one in (plain, chosen, calque, loose)]
    assert how == [
        ("forest", False, False),
        ("naive_bayes", True, False),
        ("forest", True, True),
        ("forest", False, True),
    ]
    (run,) = chosen["volumes"][0]["runs"]
    assert (run["classifier"], run["connected"], run["fill_holes"]) == how[1]
    assert run["answers"][0]["dice"] == pytest.approx(connected_bayes())


async def test_latent_features_are_waited_for_and_named(folder: Path) -> None:
    model = small_model(weights=np.array([[1.0, 0.5]], np.float32), bounded=True).SerializeToString()
    (folder / "encoder.onnx").write_bytes(model)
    arguments = ("--image", folder / "image.nii.gz", "--mask", folder / "mask.nii.gz", "--label", 2, "--corrections", 1)
    arguments += ("--preset", "calque", "--json", folder / "figures.json")
    listen = ("--listen", "127.0.0.1:0", "--store", str(folder / "store"))
    with Serving(folder, *listen, CALQUE_MODEL=str(folder / "encoder.onnx")) as serving:
        server = ("--server", serving.address())
        without = await asyncio.to_thread(robot, *arguments, *server)
        plain = json.loads((folder / "figures.json").read_text())
        printed = await asyncio.to_thread(robot, *arguments, *server, "--latent")
        figures = json.loads((folder / "figures.json").read_text())
    digest = hashlib.sha256(model).hexdigest()
    assert f"latent features of the encoder {digest[:12]}" in printed
    assert "latent" not in without
    assert (plain["latent_model"], figures["latent_model"]) == ("", digest)
    (run,) = figures["volumes"][0]["runs"]
    window, encoder = intensity_window(VOLUME), Encoder.load(model)
    images = np.stack([pipeline.image_levels(VOLUME, window, index) for index in range(VOLUME.shape[0])])
    grids = np.concatenate([quantised(encoder.features(image[None])) for image in images])
    labels = np.zeros(VOLUME.shape, np.uint8)
    for stroke in first_strokes(TRUTH, VOLUME.affine):
        labels.ravel()[voxels_of(stroke, VOLUME.shape, VOLUME.affine)] = stroke.label
    levels = pipeline.segment_by_shape(VOLUME, labels, latent=Latent(digest, encoder.stride, grids)).levels
    levels = reconstruct.filled(reconstruct.connected(levels, labels == 1), labels == 2)
    assert run["answers"][0]["dice"] == pytest.approx(best_seen(levels, TRUTH).dice)


async def test_where_there_are_no_latent_features_the_service_s_reason_is_said(served: Served, folder: Path) -> None:
    arguments = ("--image", folder / "image.nii.gz", "--mask", folder / "mask.nii.gz", "--label", 2, "--preset", "calque")
    with pytest.raises(CalqueError, match="No embedding service is configured"):
        await asyncio.to_thread(robot, *arguments, "--server", f"127.0.0.1:{served.port}", "--latent")


def connected_bayes() -> float:
    """Dice at the best threshold of what is connected with the first strokes, by naive Bayes, without any service."""
    labels = np.zeros(VOLUME.shape, np.uint8)
    for stroke in first_strokes(TRUTH, VOLUME.affine):
        labels.ravel()[voxels_of(stroke, VOLUME.shape, VOLUME.affine)] = stroke.label
    window = intensity_window(VOLUME)
    features = [pipeline.slice_features(VOLUME, window, index) for index in range(len(labels))]
    learned = classifiers.fit("naive_bayes", *gather(lambda index: features[index], labels), seed=0)
    levels = np.stack([learned.levels(image, 1) for image in features])
    alone = best_seen(reconstruct.connected(levels, labels == 1), TRUTH).dice
    assert abs(alone - best_seen(levels, TRUTH).dice) > 0.005, "what is not connected would be seen"
    return alone


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--manifest alone"),
        (("--image", "image.nii.gz"), "--manifest alone"),
        (("--image", "image.nii.gz", "--mask", "none.nii.gz"), "none.nii.gz, is not there"),
        (("--image", "image.nii.gz", "--mask", "mask.nii.gz", "--preset", "dreams"), "no preset “dreams”; there is paper"),
        (
            ("--image", "image.nii.gz", "--mask", "mask.nii.gz", "--classifier", "luck"),
            "no classifier “luck”; there is forest",
        ),
        (("--image", "image.nii.gz", "--mask", "mask.nii.gz", "--json", "no/such.json"), "such.json cannot be written"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_done(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(InvalidInput, match=said):
        robot(*arguments)
