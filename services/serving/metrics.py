"""What a process tells of its work, as text for Prometheus. No label names a volume, an annotation or a person."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from services.core.errors import InvalidInput, Reason, Unavailable

REGISTRY = CollectorRegistry()
_CALL = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0)  # a stream may last for hours
_STEP = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

CALL_SECONDS = Histogram(
    "calque_call_seconds", "Calls by method and gRPC status.", ["method", "status"], buckets=_CALL, registry=REGISTRY
)
ACKNOWLEDGEMENT_SECONDS = Histogram(
    "calque_acknowledgement_seconds", "From an event's arrival until it is durable.", buckets=_STEP, registry=REGISTRY
)
VISIBLE_SECONDS = Histogram(
    "calque_visible_seconds", "From an event's arrival to the slice in sight.", buckets=_STEP, registry=REGISTRY
)
VOLUME_SECONDS = Histogram(
    "calque_volume_seconds", "From an event's arrival to the whole volume.", buckets=_STEP, registry=REGISTRY
)
STEP_SECONDS = Histogram("calque_step_seconds", "Steps of computing.", ["step"], buckets=_STEP, registry=REGISTRY)
FEATURES_BYTES = Gauge("calque_features_bytes", "Features kept.", registry=REGISTRY)
FEATURES_LIMIT_BYTES = Gauge("calque_features_limit_bytes", "Most features that are kept.", registry=REGISTRY)
EMBEDDED_SLICES = Counter(
    "calque_embedded_slices", "Slices embedded, by where the answer came from.", ["source"], registry=REGISTRY
)
EMBEDDING_RUN_SLICES = Histogram(
    "calque_embedding_run_slices", "Slices in a run of the network.", buckets=(1, 2, 4, 8, 16, 32), registry=REGISTRY
)
EMBEDDING_BYTES = Gauge("calque_embedding_bytes", "Answers of the embedding service kept.", registry=REGISTRY)
WORKSPACES = Gauge("calque_workspaces", "Annotations whose caches are kept.", registry=REGISTRY)
SESSIONS = Gauge("calque_sessions", "Tablets at an annotation.", registry=REGISTRY)
PROBABILITY_BYTES = Counter("calque_probability_bytes", "Bytes of probabilities sent.", registry=REGISTRY)
_PEAK = Gauge("calque_peak_memory_bytes", "Peak resident memory of the process.", registry=REGISTRY)
_PEAK.set_function(lambda: peak_bytes())


def peak_bytes() -> int:
    """Peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def exposed(address: str) -> Iterator[str]:
    """Serve the metrics over HTTP while the block lasts. Gives the address with the port that was taken.

    Args:
        address: ``host:port`` or ``port``, which is on loopback alone; port 0 takes a free one.

    Raises:
        InvalidInput: that is no address.
        Unavailable: it cannot be had.
    """
    host, _, port = address.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InvalidInput(f"Metrics are served on host:port or port, not on {address}.")
    try:
        server, thread = start_http_server(int(port), host.strip("[]") or "127.0.0.1", REGISTRY)
    except OSError as error:
        message = f"The address {address} cannot be served on; is it in use?"
        raise Unavailable(message, Reason.SERVICE_UNAVAILABLE) from error
    try:
        yield f"{host or '127.0.0.1'}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
