"""Volumes to train on, with whose they are: what is learned from a patient is never judged on the same patient."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from services.core.errors import InvalidInput
from services.core.volume import Volume
from services.store.annotations import Annotations
from services.store.catalogue import Catalogue
from services.store.port import Store

PARTS = ("training", "validation", "test")

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Scan:
    """A volume of a patient.

    Attributes:
        volume: its voxels.
        name: for people and reports.
        patient: whose it is; volumes of one patient are in one part of a split.
        part: the one of `PARTS` that it has to be in; empty: whichever the split draws.
        licence: under which it may be used, for the cards of what is learned from it; empty: not said.
    """

    volume: Volume
    name: str
    patient: str
    part: str = ""
    licence: str = ""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the voxels, hexadecimal."""
        little = self.volume.voxels.dtype.newbyteorder("<")
        return hashlib.sha256(np.ascontiguousarray(self.volume.voxels, dtype=little).tobytes()).hexdigest()


@dataclass(frozen=True)
class Parts:
    """Scans for training, validation and test."""

    training: tuple[Scan, ...]
    validation: tuple[Scan, ...]
    test: tuple[Scan, ...]

    def described(self) -> list[dict[str, str]]:
        """Each volume for ``data.json``; patients by a number, as a name may be a person's."""
        numbers = {patient: str(number) for number, patient in enumerate(sorted({scan.patient for scan in self._all()}), 1)}
        return [
            {"name": scan.name, "patient": numbers[scan.patient], "part": part, "sha256": scan.digest}
            | ({"licence": scan.licence} if scan.licence else {})
            for part in PARTS
            for scan in getattr(self, part)
        ]

    def _all(self) -> tuple[Scan, ...]:
        return (*self.training, *self.validation, *self.test)


def split(scans: Sequence[Scan], parts: tuple[float, float, float], seed: int) -> Parts:
    """Divide scans by patient.

    The parts are rounded so that three patients or more leave none of the parts empty that is wanted at all; of two, one
    validates, and a single one only trains. Where scans say their part, nothing is drawn.

    Args:
        scans: to divide.
        parts: fractions of the patients for training, validation and test, adding to 1.
        seed: of the order.

    Raises:
        InvalidInput: some scans say their part and others do not, a patient is in two parts, or none is for training.
    """
    if any(scan.part for scan in scans):
        return _as_said(scans)
    patients = sorted({scan.patient for scan in scans})
    order = [patients[number] for number in np.random.default_rng(seed).permutation(len(patients))]
    spare = len(order) - 1  # one always trains
    validation = min(spare, max(round(parts[1] * len(order)), 1)) if parts[1] else 0
    test = min(spare - validation, max(round(parts[2] * len(order)), 1)) if parts[2] else 0
    if parts[2] and not test and validation > 1:
        validation, test = validation - 1, 1
    chosen = (order[validation + test :], order[:validation], order[validation : validation + test])
    return Parts(*(tuple(scan for scan in scans if scan.patient in some) for some in chosen))


def _as_said(scans: Sequence[Scan]) -> Parts:
    if not all(scan.part for scan in scans):
        raise InvalidInput("Some volumes say whether they are for training, validation or test, and others do not.")
    parts = Parts(*(tuple(scan for scan in scans if scan.part == part) for part in PARTS))
    if not parts.training:
        raise InvalidInput("No volume is for training.")
    if len({(scan.patient, scan.part) for scan in scans}) > len({scan.patient for scan in scans}):
        raise InvalidInput("Volumes of one patient are in two parts; what is learned from a patient is not judged on them.")
    return parts


def scans_of_store(store: Store, projects: Sequence[str] = ()) -> Iterable[Scan]:
    """The volumes of a store's projects; none named: of all. Raises: CalqueError.

    Those without a pseudonym are each of a patient of their own.
    """
    catalogue = Catalogue(store, lambda project: not projects or project in projects)
    for record in catalogue.list():
        patient = record.source.patient_id if record.source and record.source.patient_id else record.volume_id
        yield Scan(catalogue.load(record), record.volume_id, patient)


def accepted_masks(store: Store, scans: Sequence[Scan]) -> dict[str, dict[int, Mask]]:
    """What reviewers accepted of the volumes of a store: masks that nobody has judged are learned from by nothing.

    Args:
        store: that the scans are of.
        scans: as `scans_of_store` gives them.

    Returns:
        By the name of their annotation, masks ``(slices, rows, columns)`` bool of some of the scans by number. Of several
        accepted ones of a name and volume, the one that was accepted last.

    Raises:
        Corrupt: an accepted mask is damaged.
    """
    annotations = Annotations(store)
    masks: dict[str, dict[int, Mask]] = {}
    for number, scan in enumerate(scans):
        accepted = [one for one in annotations.of_volume(scan.name) if one.review == "accepted" and one.accepted_mask]
        for one in sorted(accepted, key=lambda record: record.reviewed_ms):
            digest = annotations.mask(one.annotation_id, one.accepted_mask).digest
            masks.setdefault(one.name, {})[number] = annotations.get_blob(one.annotation_id, digest, scan.volume.shape)
    return masks
