"""What a representation is worth is told on patients that were not learned from, and patches are what they are called."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from services.core.errors import InvalidInput
from services.core.volume import Volume
from trainer.config import Config
from trainer.report.study import _svm, interval, latent, pooled, raw, study, table_one
from trainer.report.targets import Targets, find_targets
from trainer.scans import Scan

CONFIG = Config(patch=16, content=0.0)


def scan(patient: str, seed: int) -> tuple[Scan, np.ndarray]:
    """Noise with a brighter disk, which is the target."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:64, :64]
    disk = np.broadcast_to((rows - 32) ** 2 + (columns - 30) ** 2 < 144, (3, 64, 64)).copy()
    voxels = (rng.integers(100, 200, disk.shape) + 150 * disk).astype(np.int16)
    return Scan(Volume(voxels, np.eye(4), np.ones(3), np.zeros(3)), patient, patient), disk


@pytest.fixture(scope="module")
def targets() -> Targets:
    scans, masks = zip(*(scan(f"patient {k % 3}", k) for k in range(4)))
    return find_targets(scans, masks, CONFIG, 20, 1)


def test_patches_are_what_they_are_called_and_as_many_of_both(targets: Targets) -> None:
    _, mask = scan("", 0)
    for place, target in zip(targets.patches.places, targets.target):
        _, index, row, column = place
        if target:
            assert mask[index, row + 8, column + 8]
        else:
            assert not mask[index, row : row + 16, column : column + 16].any()
    for which in range(4):
        own = targets.patches.places[:, 0] == which
        assert targets.target[own].mean() == 0.5
        assert 2 <= own.sum() <= 40
        assert (targets.patients[own] == f"patient {which % 3}").all()
    assert targets.pixels().shape == (len(targets), 16, 16)


def test_the_svm_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    known, asked = (rng.normal(3, 2, (60, 7)).astype(np.float32) for _ in range(2))
    labels = known[:, 0] + known[:, 1] ** 2 > 14
    plain = make_pipeline(StandardScaler(), SVC()).fit(known, labels)
    says = _svm(known, labels, asked, 0)
    assert (says == plain.predict(asked)).all()
    assert says.any()
    assert not says.all()


def test_volumes_of_one_patient_stand_each_for_itself() -> None:
    scans, masks = zip(*(scan("one", k) for k in range(2)))
    named = [replace(one, name=f"run {k}") for k, one in enumerate(scans)]
    found = find_targets(named, masks, CONFIG, 5, 0)
    assert set(found.patients) == {"run 0", "run 1"}


def test_what_tells_the_target_is_near_1_and_what_does_not_near_a_half(targets: Targets) -> None:
    noise = np.random.default_rng(0).random((len(targets), 5)).astype(np.float32)
    rows = study(targets, {"raw": raw, "noise": lambda patches: noise}, folds=3, seed=0)
    found = {(row.representation, row.classifier): row for row in rows}
    assert len(found) == 4
    for classifier in ("forest", "svm"):
        good, bad = found["raw", classifier], found["noise", classifier]
        assert good.mean > 0.95
        assert 0.3 < bad.mean < 0.7
        assert good.low <= good.mean <= good.high <= 1.0
        assert good.mean == pytest.approx(np.mean(list(good.by_patient.values())))
        assert set(good.by_patient) == {"patient 0", "patient 1", "patient 2"}


def test_no_patient_is_asked_about_who_was_learned_from(targets: Targets) -> None:
    """A representation that knows the patient and the answer of that patient alone is worth nothing on others."""
    answers = {patient: k for k, patient in enumerate(np.unique(targets.patients))}
    known = np.zeros((len(targets), 3), np.float32)
    for number, (patient, target) in enumerate(zip(targets.patients, targets.target)):
        known[number, answers[str(patient)]] = 1.0 if target else -1.0
    rows = study(targets, {"memory": lambda patches: known}, folds=9, seed=0)
    assert all(row.mean < 0.75 for row in rows)


def test_one_patient_is_not_enough(targets: Targets) -> None:
    alone = Targets(targets.patches, targets.target, np.full(len(targets), "one"))
    with pytest.raises(InvalidInput, match="two"):
        study(alone, {"raw": raw}, folds=2, seed=0)


def test_representations_have_a_row_a_patch(targets: Targets) -> None:
    patches = targets.pixels()
    assert raw(patches).shape == (len(targets), 256)
    assert table_one(patches).shape == (len(targets), 36)

    def encoder(batch, training):
        assert not training
        return np.repeat(batch[:, ::8, ::8], 3, axis=-1)

    numbers = latent(encoder)(patches)
    assert numbers.shape == (len(targets), 12)
    np.testing.assert_array_equal(numbers[:, 0], patches[:, 0, 0])
    places = patches[:, ::8, ::8].reshape(len(targets), -1)
    means_and_deviations = np.repeat(np.column_stack([places.mean(axis=1), places.std(axis=1)]), 3, axis=1)
    np.testing.assert_allclose(pooled(encoder)(patches), means_and_deviations, rtol=1e-5)


def test_an_interval_is_wider_the_more_patients_differ() -> None:
    mean, low, high = interval([0.5, 0.7, 0.9, 0.6], 3)
    assert mean == pytest.approx(0.675)
    assert 0.5 <= low < mean < high <= 0.9
    near = interval([0.65, 0.7, 0.68, 0.67], 3)
    assert near[0] == pytest.approx(mean)
    assert near[2] - near[1] < (high - low) / 4
    assert interval([0.8] * 5, 0) == pytest.approx((0.8, 0.8, 0.8))
