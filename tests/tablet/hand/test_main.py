from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tablet_client.main import main

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "options",
    [
        ["--size", "10x10"],
        ["--size", "wide"],
        ["--server", "nowhere"],
        ["--server", "host:0"],
        ["--certificate", str(Path(__file__).parents[1] / "link" / "certificates" / "ca.pem")],
        ["--what"],
    ],
)
def test_wrong_options_are_refused_before_a_window_opens(options: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(options)
    assert ended.value.code not in (0, None)


def test_the_client_loads_no_grpc_and_no_services() -> None:
    code = (
        "import sys, tablet_client.main, tablet_client.link.grpc_link, tablet_client.state.document\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('grpc', 'services', 'kivy')])"
    )
    paths = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'proto')!r}]\n"
    said = subprocess.run([sys.executable, "-c", paths + code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
