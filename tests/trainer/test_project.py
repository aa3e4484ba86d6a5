"""Few features of a latent: its principal components, as Keras' layer and as scikit-learn have them."""

from __future__ import annotations

import numpy as np
import onnx.utils
import onnxruntime
import pytest
from sklearn.decomposition import PCA

from services.core.volume import Volume, intensity_window, to_window
from services.embedding.encoder import Encoder
from trainer.backend import load
from trainer.export import HALF_BOUND, export_encoder
from trainer.models import build
from trainer.project import projected
from trainer.scans import Scan


@pytest.fixture(scope="module")
def scan(sample: Volume) -> Scan:
    """A few slices of the sample."""
    few = slice(80, 84)
    return Scan(Volume(sample.voxels[few], sample.affine, sample.slope[few], sample.intercept[few]), "sample", "one")


@pytest.fixture(scope="module")
def encoder(two_devices):
    load()[1].utils.set_random_seed(3)
    return build("naive", 50).encoder


def test_features_are_scaled_principal_components(encoder, scan: Scan) -> None:
    few = projected(encoder, [scan], channels=3)
    window = intensity_window(scan.volume)
    images = np.stack([to_window(scan.volume.intensity(k), window) for k in range(4)])[..., None] / np.float32(255.0)
    latent = np.asarray(encoder(images, training=False))
    features = np.asarray(few(images, training=False))

    assert features.shape == (*latent.shape[:3], 3)
    assert (features >= 0).all()
    assert (features <= 1).all()
    inside = np.stack([_block_max(image[..., 0], latent.shape[1:3]) > 0 for image in images])
    seen = latent[inside].astype(np.float64)
    scaled = (seen - seen.mean(0)) / np.where(seen.std(0) > 0, seen.std(0), 1)
    components = PCA(3, random_state=0).fit_transform(scaled)
    low, high = np.percentile(components, (0.5, 99.5), axis=0)
    np.testing.assert_allclose(features[inside], np.clip((components - low) / (high - low), 0, 1), atol=2e-3)
    assert (features[inside].std(axis=0) > 0.1).all()


def test_the_exported_file_says_that_it_is_bounded(encoder, scan: Scan, tmp_path) -> None:
    file = tmp_path / "live.onnx"
    export_encoder(projected(encoder, [scan], channels=4), file, "float16", bounded=True)
    loaded = Encoder.load(file)
    assert (loaded.name, loaded.channels, loaded.stride, loaded.bounded) == ("naive", 4, 8, True)
    noise = np.random.default_rng(0).integers(0, 256, (40, 56), dtype=np.uint8)
    features = loaded.features(noise[None])[0]
    assert 0 <= features.min() < features.max() <= 1

    onnx.utils.extract_model(str(file), str(tmp_path / "whole.onnx"), ["slice"], ["latent"])
    whole = onnxruntime.InferenceSession(tmp_path / "whole.onnx", providers=["CPUExecutionProvider"])
    image = noise[None, ..., None] / np.float32(255.0)
    expected = np.asarray(encoder(image, training=False))
    (latent,) = whole.run(None, {"slice": image})
    np.testing.assert_allclose(latent.transpose(0, 2, 3, 1), expected, atol=HALF_BOUND * expected.max())


def _block_max(image: np.ndarray, grid: tuple[int, ...]) -> np.ndarray:
    found = np.zeros(grid)
    for row in range(grid[0]):
        for column in range(grid[1]):
            found[row, column] = image[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8].max()
    return found
