"""What is deployed: the compose file keeps its promises, and the secrets that the script makes serve real services."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.processes import Serving

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_no_rights_and_no_secrets_in_its_environment(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["user"] == "10001:10001"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert "healthcheck" in service or service["profiles"] == ["job"]
    words = ("PASSWORD", "SECRET", "KEY", "CREDENTIALS")
    for variable, value in service["environment"].items():
        assert not any(word in variable for word in words) or str(value).startswith(("/run/secrets/", "/keys/")), variable
    named = {one if isinstance(one, str) else one["source"] for one in service["secrets"]}
    assert named <= set(COMPOSE["secrets"])
    assert {volume.partition(":")[0] for volume in service.get("volumes", [])} <= set(COMPOSE["volumes"])


def test_settings_and_images_exist() -> None:
    from services.serving.settings import Settings

    for service in SERVICES.values():
        for variable in service["environment"]:
            assert variable.startswith("MINIO_") or variable.removeprefix("CALQUE_").lower() in Settings.model_fields
        room = service["build"].get("args", {}).get("ROOM")
        assert room is None or (DEPLOY / "locks" / f"{room}.txt").exists()
        assert (DEPLOY.parent / "deploy" / service["build"]["context"] / service["build"]["dockerfile"]).exists()


def test_the_secrets_serve(tmp_path: Path) -> None:
    environment = {**os.environ, "SECRETS_FOLDER": str(tmp_path / "secrets")}
    script = ["sh", str(DEPLOY / "secrets.sh"), "mri.example", "127.0.0.1"]
    told = subprocess.run(script, env=environment, check=True, capture_output=True, text=True).stdout
    secrets = tmp_path / "secrets"
    assert str(secrets) in told
    files = {path.name for path in secrets.iterdir()}
    assert files == {*(Path(one["file"]).name for one in COMPOSE["secrets"].values()), "authority.key"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in secrets.iterdir())
    before = {path.name: path.read_bytes() for path in secrets.iterdir()}
    subprocess.run(script, env=environment, check=True, capture_output=True)
    after = {path.name: path.read_bytes() for path in secrets.iterdir()}
    assert [name for name in files if before[name] != after[name]] == ["certificate.pem"]

    flags = ["embedding", "--listen", "0.0.0.0:0", "--store", str(tmp_path / "store")]
    flags += ["--certificate", str(secrets / "certificate.pem"), "--key", str(secrets / "key.pem")]
    with Serving(tmp_path, *flags, "--service-secret", str(secrets / "service"), CALQUE_TLS="on") as serving:
        port = serving.address().rpartition(":")[2]
        ask = [sys.executable, "-m", "services.cli", "health", "embedding", "--server", f"127.0.0.1:{port}"]
        good = subprocess.run(
            [*ask, "--certificate", str(secrets / "authority.pem")], capture_output=True, text=True, check=False
        )
        assert (good.returncode, good.stdout) == (0, "embedding: serving.\n"), good.stderr
        untrusted = subprocess.run(ask, capture_output=True, text=True, check=False)
        assert untrusted.returncode == 2
        assert re.fullmatch(r"calque: .+", untrusted.stderr.splitlines()[-1])
