"""`calque serve` as a process: what it says, how it starts, how it ends."""

from __future__ import annotations

import json
import re
import signal
import urllib.request
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.cli.serve import from_here
from tests.processes import Serving

LOOPBACK = ("--listen", "127.0.0.1:0")


def health(address: str, service: str) -> str:
    with grpc.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=30, wait_for_ready=True)
        return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def sentence(text: str) -> str:
    """The one sentence of a failure."""
    lines = [line for line in text.splitlines() if line.startswith("calque: ")]
    assert len(lines) == 1, text
    assert "Traceback" not in text
    return lines[0]


def test_it_says_one_line_answers_for_each_service_and_ends_on_a_signal(tmp_path: Path) -> None:
    with Serving(tmp_path, *LOOPBACK, "--store", str(tmp_path / "store"), "--log", "json") as first:
        address = first.address()
        assert re.fullmatch(r"Calque serves volumes, segmentation, embedding on 127\.0\.0\.1:\d+\n", first.line)
        assert health(address, "") == health(address, "calque.v1.Volumes") == "SERVING"
        assert health(address, "calque.v1.Segmentation") == "SERVING"
        assert health(address, "calque.v1.Embedding") == "SERVING"  # the encoder that Calque comes with

        with Serving(tmp_path, "volumes", "--listen", address, "--store", str(tmp_path / "other")) as second:
            assert second.ended() == 2
            assert address in sentence(second.errors())
        assert health(address, "") == "SERVING"

        first.process.send_signal(signal.SIGTERM)
        assert first.ended() == 0
        assert first.process.stdout is not None
        assert first.process.stdout.read() == b""
        events = [json.loads(line) for line in first.errors().splitlines()]
        assert [one["event"] for one in events][-2:] == ["serving", "stopping"]
        assert all({"level", "timestamp"} <= set(one) for one in events)


@pytest.mark.parametrize("end", ["SIGINT", "SIGTERM", "stdin"])
def test_it_ends_at_once_when_told_right_after_its_line(tmp_path: Path, end: str) -> None:
    with Serving(tmp_path, "volumes", *LOOPBACK, "--store", str(tmp_path / "store"), "--with-parent") as serving:
        serving.address()
        assert serving.line.startswith("Calque serves volumes on ")
        if end == "stdin":
            assert serving.process.stdin is not None
            serving.process.stdin.write(b"anything\n")
            serving.process.stdin.close()
        else:
            serving.process.send_signal(getattr(signal, end))
        assert serving.ended() == 0
        assert "Traceback" not in serving.errors()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LISTEN", "nowhere"),
        ("LISTEN", "127.0.0.1:99999"),
        ("LOG", "loud"),
        ("UPLOAD_LIMIT_BYTES", "-1"),
        ("COMPUTE_THREADS", "many"),
        ("WORKSPACES", "0"),
        ("FEATURES_MEMORY_BYTES", "-1"),
        ("EMBEDDING", "nowhere"),
    ],
)
def test_a_setting_that_cannot_be_is_named(tmp_path: Path, name: str, value: str) -> None:
    settings = {"CALQUE_LISTEN": "127.0.0.1:0", "CALQUE_STORE": str(tmp_path / "s"), f"CALQUE_{name}": value}
    with Serving(tmp_path, "volumes", **settings) as serving:
        assert serving.ended() == 2
        said = sentence(serving.errors())
        assert f"CALQUE_{name}" in said


@pytest.mark.parametrize(
    ("listen", "here"),
    [
        ("127.0.0.1:50051", "127.0.0.1:50051"),
        ("0.0.0.0:50051", "localhost:50051"),
        ("[::]:50051", "localhost:50051"),
        ("[::1]:7", "[::1]:7"),
    ],
)
def test_a_process_reaches_what_it_serves(listen: str, here: str) -> None:
    assert from_here(listen) == here


def test_a_flag_goes_over_the_environment(tmp_path: Path) -> None:
    environment = {"CALQUE_LISTEN": "127.0.0.1:1", "CALQUE_STORE": str(tmp_path / "environment")}
    with Serving(tmp_path, "volumes", *LOOPBACK, "--store", str(tmp_path / "flag"), **environment) as serving:
        assert not serving.address().endswith(":1")
        assert (tmp_path / "flag").is_dir()
        assert not (tmp_path / "environment").exists()


def test_metrics_are_served_where_it_is_asked_for(tmp_path: Path) -> None:
    with Serving(tmp_path, *LOOPBACK, "--store", str(tmp_path / "s"), "--log", "json", "--metrics", "0") as serving:
        health(serving.address(), "")
        said = [json.loads(line) for line in serving.errors().splitlines()]
        (where,) = [one["metrics"] for one in said if one["event"] == "serving"]
        assert re.fullmatch(r"127\.0\.0\.1:\d+", where)
        with urllib.request.urlopen(f"http://{where}/metrics", timeout=30) as page:
            text = page.read().decode()
        assert 'calque_call_seconds_count{method="grpc.health.v1.Health/Check",status="OK"} 1.0' in text
        assert "calque_features_limit_bytes 2.147483648e+09" in text
        serving.process.send_signal(signal.SIGTERM)
        assert serving.ended() == 0


def test_metrics_that_cannot_be_served_are_said(tmp_path: Path) -> None:
    with Serving(tmp_path, "volumes", *LOOPBACK, "--store", str(tmp_path / "s"), "--metrics", "everywhere") as serving:
        assert serving.ended() == 2
        assert "everywhere" in sentence(serving.errors())


def test_a_store_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with Serving(tmp_path, "volumes", *LOOPBACK, "--store", str(tmp_path / "file" / "store")) as serving:
        assert serving.ended() == 2
        assert "store" in sentence(serving.errors())


def test_a_service_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with Serving(tmp_path, "volumes", "dreams", *LOOPBACK, "--store", str(tmp_path / "store")) as serving:
        assert serving.ended() == 2
        assert "dreams" in serving.errors()
        assert "Traceback" not in serving.errors()
    assert not (tmp_path / "store").exists()
