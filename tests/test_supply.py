"""The bill of materials names every locked package, of every system and Python, with its digests."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import NO_INDEX

ROOT = Path(__file__).resolve().parents[1]
LOCK = "embedding"  # the smallest that a package is in twice, for different Pythons


def test_the_bill_of_materials_is_the_lock(tmp_path: Path) -> None:
    command = ["sh", "deploy/setup/supply.sh", "sbom", str(tmp_path), LOCK]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if "package index" in done.stderr:
        pytest.skip(NO_INDEX)
    assert done.returncode == 0, done.stderr
    bill = json.loads((tmp_path / f"{LOCK}.cdx.json").read_text())
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "calque")
    named = {}
    for component in bill["components"]:
        digests = {one["content"] for reference in component["externalReferences"] for one in reference["hashes"]}
        named[component["name"], component["version"]] = digests
    locked = {}
    for entry in re.split(r"\n(?=[^\s#])", (ROOT / "deploy" / "locks" / f"{LOCK}.txt").read_text())[1:]:
        name, version = re.split(r"==|\s", entry)[:2]
        locked[name, version] = set(re.findall(r"sha256:([0-9a-f]{64})", entry))
    assert named == locked
    assert len(locked) > len({name for name, _ in locked}) > 20
