"""The networks have the sizes of our reading of the paper, whatever the patch."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.models import build, build_critic

SIZES = {50: [50, 25, 13, 7], 64: [64, 32, 16, 8], 33: [33, 17, 9, 5], 8: [8, 4, 2, 1], 11: [11, 6, 3, 2]}
LAST = {"naive": 16, "final": 512, "deeper": 512}


@pytest.mark.parametrize(
    ("name", "patch"),
    [*(("naive", patch) for patch in SIZES), ("final", 50), ("deeper", 50), ("deeper", 64), ("deeper", 8)],
)
def test_a_network_has_the_sizes_of_our_reading(name: str, patch: int) -> None:
    networks, sizes = build(name, patch), SIZES[patch]
    pooled = [layer.output.shape[-1] for layer in networks.encoder.layers if "pooling" in layer.name]
    convolutions = [layer.filters for layer in networks.encoder.layers if "conv" in layer.name]
    cropped = [layer.output.shape[1] for layer in networks.model.layers if "cropping" in layer.name]
    point = [1024] if name == "deeper" else []

    assert networks.model.output_shape == (None, patch, patch, 1)
    channels = point[0] if point else LAST[name]
    assert networks.encoder.compute_output_shape((2, patch, patch, 1)) == (2, sizes[3], sizes[3], channels)
    assert pooled == [32, 64, 128]
    assert convolutions == [32, 32, 64, 64, 128, 128, 256, 256, LAST[name], LAST[name], *point]
    assert cropped == [1] * len(point) + sizes[2::-1]


def test_the_bottleneck_of_the_deeper_network_sees_all_of_the_patch_and_nothing_else() -> None:
    networks = build("deeper", 50)
    patch = np.random.default_rng(0).random((1, 50, 50, 1), np.float32)
    crop = next(layer for layer in networks.model.layers if "cropping" in layer.name)
    inside = np.asarray(networks.encoder(patch))[:, 3:4, 3:4]
    np.testing.assert_allclose(np.asarray(crop(networks.encoder(patch))), inside)
    assert crop.output.shape == (None, 1, 1, 1024)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_answers_are_float32_whatever_the_precision(precision: str) -> None:
    networks = build("naive", 16, precision)
    answer = np.asarray(networks.model(np.full((2, 16, 16, 1), 0.5, np.float32)))
    assert answer.dtype == np.float32
    assert ((answer > 0) & (answer < 1)).all()
    assert np.asarray(networks.encoder(np.zeros((1, 16, 24, 1), np.float32))).dtype == np.float32
    assert all(weight.dtype == "float32" for weight in networks.model.weights)
    computing = {layer.compute_dtype for layer in networks.encoder.layers if "conv" in layer.name}
    assert computing == {precision}


def test_the_critic_tells_one_number_a_patch() -> None:
    critic = build_critic(50)
    assert critic(np.zeros((3, 50, 50, 1), np.float32)).shape == (3, 1)
