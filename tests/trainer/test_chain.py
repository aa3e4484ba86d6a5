"""The whole chain on the sample MRI: a training step, the export, and the embedding service answering over the wire."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

import grpc
import numpy as np
import onnx
import pytest
from calque import wire
from calque.v1 import embedding_pb2, embedding_pb2_grpc

from services.core.errors import ChoiceNeeded, Conflict, InvalidInput, Reason
from services.core.volume import Volume, intensity_window, to_window
from services.embedding.encoder import Encoder
from services.embedding.held import Held
from services.embedding.servicer import EmbeddingServicer
from services.serving.server import Server
from trainer.backend import load
from trainer.config import Config, load_config
from trainer.data import dataset, find_patches
from trainer.evaluate import evaluate, psnr_db
from trainer.export import EXPORT_BOUND, HALF_BOUND, export_encoder, largest_difference
from trainer.loop import Loop
from trainer.models import build
from trainer.runfolder import CURVE
from trainer.scans import Scan
from trainer.train import train_and_evaluate

CONFIG = Config(batch=8, epochs=2, max_steps=2, seed=1)


@dataclass
class Trained:
    """The encoder after the steps; all weights before and after the first; each step's loss; what the first should be."""

    encoder: Any
    before: list[np.ndarray]
    after: list[np.ndarray]
    losses: list[float]
    first_loss: float


@pytest.fixture(scope="module")
def trained(two_devices, sample):
    """A few real steps on one batch of patches of the sample."""
    loop = Loop(CONFIG)
    before = [np.array(weight) for weight in loop.networks.model.get_weights()]
    corrupted, truth, hidden = next(iter(dataset(find_patches([sample], CONFIG), CONFIG, 0)))
    restored = np.asarray(
        loop.networks.model(corrupted, training=True)
    )  # moves the running averages, which the step does too
    loop.networks.model.set_weights(before)
    expected = float(((restored.astype(np.float64) - truth.numpy()) ** 2).mean())
    losses = [loop.step(corrupted, truth, hidden)]
    after = [np.array(weight) for weight in loop.networks.model.get_weights()]
    losses += [loop.step(corrupted, truth, hidden) for _ in range(7)]
    return Trained(loop.networks.encoder, before, after, losses, expected)


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    file = tmp_path_factory.mktemp("models") / "deep" / "naive.onnx"
    digest = export_encoder(trained.encoder, file)
    return file, digest


def test_one_step_has_the_loss_of_numpy_and_changes_every_weight(trained):
    assert trained.losses[0] == pytest.approx(trained.first_loss, rel=1e-4)
    assert all(np.isfinite(weight).all() for weight in trained.after)
    assert all((old != new).any() for old, new in zip(trained.before, trained.after))


def test_steps_on_one_batch_learn_it(trained):
    assert trained.losses[-1] < 0.5 * trained.losses[0]


def test_two_replicas_make_the_step_of_one(two_devices, sample):
    config = replace(CONFIG, max_steps=1)
    patches = find_patches([sample], config)
    one, two = Loop(config), Loop(config, two_devices.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
    for loop in (one, two):
        assert loop.strategy.num_replicas_in_sync == (2 if loop is two else 1)
    alone, shared = one.epoch(patches, 0), two.epoch(patches, 0)

    assert alone.step == shared.step == 1
    assert shared.loss == pytest.approx(alone.loss, rel=1e-5)
    for mine, theirs in zip(one.networks.model.non_trainable_variables, two.networks.model.non_trainable_variables):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)
    for variable in two.networks.model.trainable_variables:
        first, second = two.strategy.experimental_local_results(variable.value)
        np.testing.assert_array_equal(first, second)


def test_the_exported_file_keeps_the_model_contract(trained, exported):
    file, digest = exported
    data = file.read_bytes()
    encoder = Encoder.load(file, digest=digest)

    assert digest == hashlib.sha256(data).hexdigest()
    assert (encoder.name, encoder.stride, encoder.channels) == ("naive", 8, 16)
    assert largest_difference(trained.encoder, data) <= EXPORT_BOUND
    assert [p.name for p in file.parent.iterdir()] == ["naive.onnx"]


def test_weights_in_float16_make_half_the_file_and_nearly_the_same_answers(trained, exported, tmp_path):
    digest = export_encoder(trained.encoder, tmp_path / "half.onnx", "float16")
    data = (tmp_path / "half.onnx").read_bytes()
    whole = exported[0].stat().st_size
    assert 0.5 * whole < len(data) < 0.52 * whole + 10_000
    assert 0 < largest_difference(trained.encoder, data) <= HALF_BOUND
    encoder = Encoder.load(tmp_path / "half.onnx", digest=digest)
    assert (encoder.name, encoder.stride, encoder.channels) == ("naive", 8, 16)


def test_the_same_weights_give_the_same_file(trained, exported, tmp_path):
    assert export_encoder(trained.encoder, tmp_path / "again.onnx") == exported[1]


def test_a_model_that_differs_from_keras_is_noticed(trained, exported):
    model = onnx.load(exported[0])
    bias = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 1 and tensor.dims[0] == 16)
    values = onnx.numpy_helper.to_array(bias).copy()
    values += 0.5
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    assert largest_difference(trained.encoder, model.SerializeToString()) > EXPORT_BOUND


def test_a_network_that_answers_no_numbers_is_not_exported(tmp_path):
    _, keras = load()
    image = keras.Input((None, None, 1))
    layer = keras.layers.Conv2D(3, 1, strides=2, padding="same")
    model = keras.Model(image, layer(image), name="broken")
    layer.set_weights([np.full((1, 1, 1, 3), np.nan, np.float32), np.zeros(3, np.float32)])
    with pytest.raises(ChoiceNeeded) as refused:
        export_encoder(model, tmp_path / "broken.onnx")
    assert refused.value.reason is Reason.MODEL_NOT_USABLE
    assert not list(tmp_path.iterdir())


async def test_the_service_answers_with_what_keras_says(trained, exported, sample):
    file, digest = exported
    window = intensity_window(sample)
    slices = [to_window(sample.intensity(k), window).round().astype(np.uint8) for k in (60, 100)]
    slices.append(np.ascontiguousarray(slices[1][40:121, 10:60]))
    requests = [
        embedding_pb2.EmbedRequest(
            request_id=k, rows=s.shape[0], columns=s.shape[1], pixels=wire.pack(s, wire.LEVEL), model_digest=digest
        )
        for k, s in enumerate(slices)
    ]
    servicer = EmbeddingServicer(Held.of_file(file, digest))
    server = Server([servicer], listen="127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stub = embedding_pb2_grpc.EmbeddingStub(channel)
            model = await stub.GetModel(embedding_pb2.GetModelRequest(), timeout=30)
            answers = [answer async for answer in stub.Embed(iter(requests), timeout=60)]
    finally:
        await server.stop(0)

    assert (model.name, model.digest, model.provider) == ("naive", digest, "CPUExecutionProvider")
    assert [answer.request_id for answer in answers] == [0, 1, 2]
    for image, answer in zip(slices, answers):
        found = wire.unpack(answer.features, wire.FEATURE, (answer.grid_rows, answer.grid_columns, answer.channels))
        expected = trained.encoder.predict(image[None, ..., None].astype(np.float32) / 255.0, verbose=0)[0]
        assert found.shape == expected.shape == (-(-image.shape[0] // 8), -(-image.shape[1] // 8), 16)
        assert expected.max() > 0
        # what the export allows, and rounding to float16
        np.testing.assert_allclose(found, expected, rtol=2**-11, atol=EXPORT_BOUND * expected.max())


@pytest.fixture(scope="module")
def slabs(sample):
    """Four volumes of disjoint slices of the sample."""
    ones = np.ones(6)
    volumes = [Volume(sample.voxels[k : k + 6], sample.affine, ones, 0 * ones) for k in (60, 80, 100, 120)]
    return [Scan(volume, f"slab {k}", f"patient {k}") for k, volume in enumerate(volumes)]


def test_a_run_leaves_its_configuration_curve_weights_and_scores(slabs, tmp_path):
    run = train_and_evaluate(CONFIG, slabs, tmp_path / "runs" / "1")

    folder = tmp_path / "runs" / "1"
    assert load_config(folder / "config.json") == CONFIG
    with (folder / "curve.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == CURVE
    assert [(row["epoch"], row["steps"]) for row in rows] == [("1", "2"), ("2", "2")]
    assert all(float(row[name]) > 0 for row in rows for name in CURVE)
    assert all(0 < float(row["input_share"]) < 1 for row in rows)
    scores = json.loads((folder / "scores.json").read_text("utf-8"))
    assert scores["validation"]["mse"] == run.validation.mse == min(float(row["validation_mse"]) for row in rows)
    assert scores["test"]["patches"] == run.test.patches > 0

    fresh = build(CONFIG.model, CONFIG.patch).model
    fresh.load_weights(folder / "model.weights.h5")
    for stored, kept in zip(fresh.get_weights(), run.networks.model.get_weights()):
        np.testing.assert_array_equal(stored, kept)

    with pytest.raises(Conflict):
        train_and_evaluate(CONFIG, slabs, folder)


def test_one_volume_trains_without_scores_and_too_few_patches_are_refused(slabs, tmp_path):
    config = replace(CONFIG, epochs=1, max_steps=1, precision="bfloat16")
    run = train_and_evaluate(config, slabs[:1], tmp_path / "run")
    export_encoder(run.networks.encoder, tmp_path / "encoder.onnx")  # in float32, whatever it was trained in
    assert run.validation is None
    assert run.test is None
    assert (tmp_path / "run" / "curve.csv").read_text().splitlines()[1].split(",")[3] == ""
    with pytest.raises(InvalidInput, match="fewer than a batch"):
        train_and_evaluate(replace(CONFIG, batch=100_000), slabs[:1], tmp_path / "other")
    assert not (tmp_path / "other").exists()  # the next try may have it


def test_scores_are_those_of_a_plain_count():
    rng = np.random.default_rng(0)
    truth, hidden = rng.random((5, 4, 4, 1)), rng.random((5, 4, 4, 1)) < 0.3
    corrupted, answer = np.where(hidden, 0, truth), rng.random((5, 4, 4, 1))
    scores = evaluate(
        lambda batch: answer[:3] if len(batch) == 3 else answer[3:],
        [
            (corrupted[:3], truth[:3], hidden[:3]),
            (corrupted[3:], truth[3:], hidden[3:]),
        ],
    )
    assert scores.patches == 5
    assert scores.mse == pytest.approx(((answer - truth) ** 2).mean())
    assert scores.psnr_db == pytest.approx(10 * np.log10(1 / ((answer - truth) ** 2).mean()))
    assert scores.psnr_hidden_db == pytest.approx(10 * np.log10(1 / ((answer - truth)[hidden] ** 2).mean()))
    assert scores.psnr_corrupted_db == pytest.approx(10 * np.log10(1 / (truth[hidden] ** 2).sum() * truth.size))
    assert psnr_db(0.0) == float("inf")
