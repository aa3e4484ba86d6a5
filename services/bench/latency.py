"""From the end of a stroke to the mask of the visible slice: the real services over the real wire, beside the plain way.

The strokes are the simulated clinician's first ones on the sample MRI. After each one the next is sent when the visible
slice's probability with all strokes so far has come back. The plain way segments the same slice from the same labels with
`services.bench.plain`: features and forest anew for each stroke (cold), or the forest alone on kept features (warm).
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from statistics import median

import numpy as np

from services.bench.client import Client
from services.bench.clinician import PenStroke, first_strokes, voxels_of
from services.bench.drawing import drawing
from services.bench.plain import table_one, trainable_segmentation
from services.core.volume import Volume, intensity_window, to_window
from services.formats.read import read_volume
from services.formats.sample import reference_mask, sample_volume
from services.formats.source import source_files

_WAIT_SECONDS = 120.0


@dataclass(frozen=True)
class Latency:
    """Milliseconds for each stroke from the first that can give a mask, in the order of drawing."""

    service_ms: tuple[float, ...]
    acknowledged_ms: tuple[float, ...]
    plain_cold_ms: tuple[float, ...]
    plain_warm_ms: tuple[float, ...]

    def summary(self) -> dict[str, float]:
        """Medians and their ratios: above 1 the service is faster than the plain way."""
        service = median(self.service_ms)
        return {
            "strokes": len(self.service_ms),
            "service_ms": service,
            "acknowledged_ms": median(self.acknowledged_ms),
            "plain_cold_ms": median(self.plain_cold_ms),
            "plain_warm_ms": median(self.plain_warm_ms),
            "ratio_to_plain_cold": median(self.plain_cold_ms) / service,
            "ratio_to_plain_warm": median(self.plain_warm_ms) / service,
        }


def measure(address: str, strokes: int = 15) -> Latency:
    """Measure on the services at ``address``. Raises: CalqueError."""
    volume = read_volume(source_files(sample_volume()))
    drawn = _alternating(first_strokes(reference_mask("white"), volume.affine))[:strokes]
    client = Client(address)
    try:
        imported = client.import_files(source_files(sample_volume()), name="Benchmark")
        service, acknowledged = _service_times(client, client.begin(imported.volume_id, "Benchmark"), drawn)
    finally:
        client.close()
    cold, warm = _plain_times(volume, drawn)
    return Latency(service, acknowledged, cold, warm)


def _alternating(strokes: tuple[PenStroke, ...]) -> list[PenStroke]:
    """An object stroke, a background stroke, and so on, so that there is a mask from the second one on."""
    ours = [stroke for stroke in strokes if stroke.label == strokes[0].label]
    others = [stroke for stroke in strokes if stroke.label != strokes[0].label]
    return [stroke for pair in zip(ours, others) for stroke in pair]


def _service_times(
    client: Client, annotation_id: str, strokes: list[PenStroke]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    seen, acknowledged = [], []
    with drawing(client, annotation_id, seconds=_WAIT_SECONDS * len(strokes)) as annotation:
        annotation.look(strokes[0].plane, strokes[0].slice)
        for number, stroke in enumerate(strokes):
            sent = time.perf_counter()
            sequence, position = annotation.draw(stroke), 0
            for response in annotation.responses():
                if response.ack.sequence == sequence:
                    position = response.ack.position
                    acknowledged.append((time.perf_counter() - sent) * 1e3)
                    if number == 0:  # one label alone gives no mask
                        break
                came = response.probability
                if position and came.log_length >= position and came.slice == stroke.slice:
                    seen.append((time.perf_counter() - sent) * 1e3)
                    break
    return tuple(seen), tuple(acknowledged)


def _plain_times(volume: Volume, strokes: list[PenStroke]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    labels = np.zeros(volume.shape, dtype=np.uint8)
    window = intensity_window(volume)
    cold, warm = [], []
    for number, stroke in enumerate(strokes):
        labels.ravel()[voxels_of(stroke, volume.shape, volume.affine)] = stroke.label
        if number == 0:
            continue
        index = int(np.flatnonzero(labels.any(axis=(1, 2)))[0])
        started = time.perf_counter()
        features = table_one(to_window(volume.intensity(index), window))
        ready = time.perf_counter()
        trainable_segmentation(features, labels[index], jobs=os.cpu_count() or 1)
        done = time.perf_counter()
        cold.append((done - started) * 1e3)
        warm.append((done - ready) * 1e3)
    return tuple(cold), tuple(warm)
