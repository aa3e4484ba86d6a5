"""Commands call as the user who signed in: with a password, or by a code that is confirmed elsewhere."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from calque.v1 import volumes_pb2
from platformdirs import user_config_path
from typer.testing import CliRunner

from services.bench.client import refusals
from services.bench.clinician import PenStroke
from services.bench.drawing import drawing
from services.cli import kept, reach
from services.cli.main import app
from services.core.errors import CalqueError, Reason
from services.core.geometry import Plane
from services.formats.source import source_files
from tests.processes import Serving
from tests.serving.identity.issuer import Issuer, issuer

PASSWORD = "correct horse battery"
STROKE = PenStroke(Plane.AXIAL, 2, 1, 2.0, (4.0, 12.0), (5.0, 9.0))


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def calque(*arguments: str, typed: str = "") -> str:
    """What a command prints. Raises: CalqueError."""
    result = CliRunner().invoke(app, arguments, input=typed)
    if isinstance(result.exception, CalqueError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def serving(folder: Path, *more: str, **environment: str) -> Serving:
    flags = ("--listen", "127.0.0.1:0", "--store", str(folder / "store"))
    data = os.environ["XDG_DATA_HOME"]
    return Serving(folder, "volumes", *more, *flags, CALQUE_TLS="on", XDG_DATA_HOME=data, **environment)


def listed(address: str) -> int:
    """How many volumes a command sees. Raises: Refused."""
    with closing(reach.client(address)) as client, refusals():
        return len(client.volumes.ListVolumes(volumes_pb2.ListVolumesRequest(), timeout=30).volumes)


def refusal(address: str) -> Reason:
    with pytest.raises(CalqueError) as refused:
        listed(address)
    return refused.value.reason


def test_a_user_of_the_server_signs_in_and_out(tmp_path: Path) -> None:
    users = ("users", "add", "ada", "--role", "viewer", "--users", str(tmp_path / "keys" / "users.json"))
    calque(*users, typed=f"{PASSWORD}\n")
    with serving(tmp_path) as server:
        address = server.address()
        at = ("--server", address)
        assert refusal(address) is Reason.NOT_SIGNED_IN
        with pytest.raises(CalqueError) as refused:
            calque("sign-in", *at, "--user", "ada", typed="a wrong password\n")
        assert refused.value.reason is Reason.SIGN_IN_REFUSED
        calque("sign-in", *at, typed=f"ada\n{PASSWORD}\n")
        file = user_config_path("calque", appauthor=False) / "sign-in.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert PASSWORD not in file.read_text()
        assert listed(address) == 0
        before = kept.kept(address)
        assert before is not None
        assert 590 < before.renew_s - time.time() <= 600  # of a token of 15 minutes
        kept.keep(address, replace(before, renew_s=0))
        assert listed(address) == 0
        after = kept.kept(address)
        assert after is not None
        assert after.renew_s > time.time()
        assert "Signed out" in calque("sign-out", *at)
        assert refusal(address) is Reason.NOT_SIGNED_IN
        assert "Nobody" in calque("sign-out", *at)


def test_a_user_of_an_issuer_confirms_a_code(tmp_path: Path) -> None:
    with issuer() as one:
        one.add("first", "ES256")
        with serving(tmp_path, CALQUE_OIDC_ISSUER=one.address) as server:
            address = server.address()
            one.confirmed = None
            with pytest.raises(CalqueError) as refused:
                calque("sign-in", "--server", address)
            assert refused.value.reason is Reason.SIGN_IN_REFUSED
            one.confirmed = ""
            said = confirmed_meanwhile(one, address)
            assert f"{one.address}/confirm" in said
            assert "WDJB-MJHT" in said
            assert listed(address) == 0
            before = kept.kept(address)
            assert before is not None
            kept.keep(address, replace(before, token="over", renew_s=0))
            assert listed(address) == 0  # renewed by the issuer
            renewed = kept.kept(address)
            assert renewed is not None
            assert renewed.refresh not in ("", before.refresh)
            one.away = True
            kept.keep(address, replace(renewed, renew_s=0))
            assert listed(address) == 0  # the token goes on to its end


def confirmed_meanwhile(one: Issuer, address: str) -> str:
    """Sign in, and have the user confirm the code a little later."""
    later = threading.Timer(0.2, setattr, (one, "confirmed", "ada"))
    later.start()
    try:
        return calque("sign-in", "--server", address)
    finally:
        later.join()


def test_where_nobody_is_asked_there_is_nothing_to_sign_in_for(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert "Nobody is asked" in calque("sign-in", "--server", server.address())


@pytest.mark.parametrize("content", ["", "[]", "{", json.dumps({"a:1": {"token": "x"}})])
def test_a_file_that_cannot_be_understood_is_none(tmp_path: Path, content: str) -> None:
    file = user_config_path("calque", appauthor=False) / "sign-in.json"
    file.parent.mkdir(parents=True)
    file.touch(0o600)
    file.write_text(content)
    assert kept.kept("a:1") is None


def test_a_stream_goes_on_by_the_tokens_of_later_calls(tmp_path: Path) -> None:
    """As the robot draws for longer than a token counts."""
    with issuer() as one:
        one.add("first", "ES256")
        one.confirmed = "ada"
        environment = {"CALQUE_OIDC_ISSUER": one.address, "CALQUE_OIDC_LEEWAY_SECONDS": "0"}
        with serving(tmp_path, "segmentation", **environment) as server:
            address = server.address()
            calque("sign-in", "--server", address)
            with closing(reach.client(address)) as client:
                nibabel.Nifti1Image(np.zeros((24, 20, 6), np.int16), np.eye(4)).to_filename(tmp_path / "volume.nii")
                volume_id = client.import_files(source_files(tmp_path / "volume.nii")).volume_id
                annotation_id = client.begin(volume_id, "Liver")
            one.token_s = 9
            calque("sign-in", "--server", address)
            before = kept.kept(address)
            assert before is not None
            with closing(reach.client(address)) as client, drawing(client, annotation_id, seconds=60) as stream:
                answers = stream.responses()
                while time.time() < before.expires_s + 1:
                    client.still_here()
                    stream.draw(STROKE)
                    while next(answers).WhichOneof("what") != "ack":
                        pass
