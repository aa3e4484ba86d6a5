"""Ways to fill are measured on the same holes, and the figures are those of a plain count."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from services.core.volume import Volume
from trainer.config import Config
from trainer.data import Patches, find_patches, stream
from trainer.report.measures import BIHARMONIC, CORRUPTED, as_corrupted, biharmonic, fillings, network

CONFIG = Config(patch=24, step=12, content=0.0, seed=2)


@pytest.fixture(scope="module")
def patches() -> Patches:
    rows, columns = np.mgrid[:60, :60]
    smooth = 500 + 300 * np.sin(rows / 9.0) * np.cos(columns / 7.0)
    voxels = np.stack([smooth, smooth.T]).astype(np.int16)
    return find_patches([Volume(voxels, np.eye(4), np.ones(2), np.zeros(2))], CONFIG)


def test_figures_are_those_of_a_plain_count(patches: Patches) -> None:
    found = fillings({CORRUPTED: as_corrupted}, patches, CONFIG, 0)[CORRUPTED]
    triples = list(stream(patches, CONFIG, None))
    truth, corrupted = np.stack([one[1] for one in triples]), np.stack([one[0] for one in triples])
    hidden = np.stack([one[2] for one in triples])
    assert found.patches == len(triples)
    assert found.psnr_db == pytest.approx(peak_signal_noise_ratio(truth, corrupted, data_range=1.0), rel=1e-5)
    errors = (truth[hidden].astype(np.float64) - corrupted[hidden]) ** 2
    assert found.psnr_hidden_db == pytest.approx(10 * np.log10(1 / errors.mean()))
    similar = [structural_similarity(a, b, data_range=1.0) for a, b in zip(truth, corrupted)]
    assert found.ssim == pytest.approx(np.mean(similar))


def test_what_fills_well_is_told_from_what_fills_nothing(patches: Patches) -> None:
    ways = {CORRUPTED: as_corrupted, BIHARMONIC: biharmonic, "truth": lambda corrupted, hidden: np.stack(true)}
    true = [one[1] for one in stream(patches.some(6, CONFIG.seed), CONFIG, None)]
    found = fillings(ways, patches, CONFIG, 6)
    assert {one.patches for one in found.values()} == {6}
    assert found[BIHARMONIC].psnr_hidden_db > found[CORRUPTED].psnr_hidden_db + 10
    assert found[BIHARMONIC].ssim > found[CORRUPTED].ssim
    assert found["truth"].psnr_db == float("inf")
    assert found["truth"].ssim == pytest.approx(1.0)


def test_a_network_gets_batches_and_answers_planes() -> None:
    sizes = []

    def model(batch, training):
        assert not training
        sizes.append(batch.shape)
        return batch / 2

    corrupted = np.random.default_rng(0).random((200, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(network(model)(corrupted, corrupted > 2), corrupted / 2)
    assert sizes == [(128, 8, 8, 1), (72, 8, 8, 1)]
