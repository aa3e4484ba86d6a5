"""Records of the store ↔ messages of the contract."""

from __future__ import annotations

from calque.v1 import common_pb2, segmentation_pb2

from services.core.errors import InvalidInput
from services.store.annotations import AnnotationRecord, LabelRecord, MaskRecord

PRESETS: dict[int, str] = {
    segmentation_pb2.PRESET_UNSPECIFIED: "paper",
    segmentation_pb2.PRESET_PAPER: "paper",
    segmentation_pb2.PRESET_CALQUE: "calque",
}
NAME_LIMIT = 64
LABEL_LIMIT = 15


def annotation_message(record: AnnotationRecord, log_length: int, masks: int) -> segmentation_pb2.Annotation:
    """An annotation as the contract has it."""
    return segmentation_pb2.Annotation(
        annotation_id=record.annotation_id,
        volume_id=record.volume_id,
        name=record.name,
        created_ms=record.created_ms,
        labels=[common_pb2.Label(value=label.value, name=label.name, colour=label.colour) for label in record.labels],
        log_length=log_length,
        masks=masks,
    )


def mask_message(record: MaskRecord) -> segmentation_pb2.Mask:
    """A saved mask as the contract has it."""
    return segmentation_pb2.Mask(
        number=record.number,
        digest=record.digest,
        threshold=record.threshold,
        saved_ms=record.saved_ms,
        log_length=record.log_length,
        preset="PRESET_" + record.preset.upper(),
        seed=record.seed,
        engine=record.engine,
        object_ml=record.object_ml,
    )


def label_records(labels: list[common_pb2.Label]) -> tuple[LabelRecord, ...]:
    """Labels of a request, checked. Raises: InvalidInput."""
    records = tuple(LabelRecord(label.value, check_name(label.name), label.colour) for label in labels)
    if [record.value for record in records] != list(range(1, len(records) + 1)) or not 2 <= len(records) <= LABEL_LIMIT:
        raise InvalidInput(f"Labels are numbered 1, 2, … without gaps, from 2 to {LABEL_LIMIT} of them.")
    if any(record.colour > 0xFFFFFF for record in records):
        raise InvalidInput("A colour is 0xRRGGBB.")
    return records


def check_name(name: str) -> str:
    """A name as it is kept. Raises: InvalidInput."""
    name = name.strip()
    if not name or len(name) > NAME_LIMIT or not name.isprintable():
        raise InvalidInput(f"A name has 1 to {NAME_LIMIT} printable characters.")
    return name
