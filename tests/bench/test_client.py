"""What a program gets of a refusal."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import nibabel
import numpy as np
import pytest

from services.bench.client import Client, Refused
from services.core.errors import Choice, Reason
from services.formats.source import source_files
from tests.served import serve


def test_a_server_that_is_not_there_is_said_in_a_sentence() -> None:
    client = Client("127.0.0.1:1")
    with pytest.raises(Refused, match="does not answer") as caught:
        client.annotations("any")
    client.close()
    assert caught.value.reason == Reason.SERVICE_UNAVAILABLE


async def test_a_refusal_offers_what_can_be_chosen(tmp_path: Path) -> None:
    nibabel.Nifti1Image(np.zeros((4, 5, 6, 2), np.int16), np.eye(4)).to_filename(tmp_path / "four.nii")
    async with serve(tmp_path / "store") as served:
        client = Client(f"127.0.0.1:{served.port}")
        with pytest.raises(Refused) as caught:
            await asyncio.to_thread(client.import_files, source_files(tmp_path / "four.nii"))
        client.close()
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.FAILED_PRECONDITION, Reason.SEVERAL_FRAMES)
    assert [choice.key for choice in caught.value.choices] == ["1", "2"]
    assert all(isinstance(choice, Choice) and choice.text for choice in caught.value.choices)


async def test_a_refusal_that_offers_a_choice_leaves_no_file_on_the_server(tmp_path: Path) -> None:
    nibabel.Nifti1Image(np.zeros((4, 5, 6, 2), np.int16), np.eye(4)).to_filename(tmp_path / "four.nii")
    async with serve(tmp_path / "store") as served:
        client = Client(f"127.0.0.1:{served.port}")
        with pytest.raises(Refused):
            await asyncio.to_thread(client.import_files, source_files(tmp_path / "four.nii"))
        client.close()
    assert [file for file in (tmp_path / "store").rglob("*") if file.is_file()] == []
