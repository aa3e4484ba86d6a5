"""The key of the pseudonyms: made once, for its owner alone, apart from the store; another one is noticed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.core.deidentify import Pseudonyms
from services.core.errors import CalqueError, InvalidInput, Unavailable
from services.core.source import SourceSeries
from services.core.volume import grey_map, intensity_window
from services.serving.settings import Settings
from services.store.catalogue import Catalogue
from services.store.directory import DirectoryStore
from services.volumes.importing import private
from services.volumes.pseudonymkey import pseudonyms
from tests.phantoms import oblique_phantom
from tests.processes import Serving

PHANTOM = oblique_phantom((3, 16, 18))
SOURCE = SourceSeries("1.2", "1.3", "1.4", "1.2.840.10008.5.1.4.1.1.4", ("1.5", "1.6", "1.7"), (1, 1, 1), patient_id="4711")


def settings(folder: Path, **fields: Any) -> Settings:
    return Settings(store=folder / "store", **fields)


def keyed(chosen: Settings) -> Pseudonyms:
    found = pseudonyms(chosen, Catalogue(DirectoryStore(chosen.store)))
    assert found is not None
    return found


def keep(chosen: Settings, names: Pseudonyms, *, imported_ms: int = 1, slices: int = 3) -> None:
    """A volume of a patient in the library, as an import would leave it."""
    source = replace(SOURCE, instance_uids=SOURCE.instance_uids[:slices], frame_numbers=SOURCE.frame_numbers[:slices])
    volume, name = private(replace(oblique_phantom((slices, 16, 18)), source=source), "", [], names)
    window, grey = intensity_window(volume), grey_map(volume)
    Catalogue(DirectoryStore(chosen.store)).add(
        volume, name=name, imported_ms=imported_ms, window=window, grey=grey, thumbnail=b"", key_check=names.check
    )


def test_it_is_made_once_beside_the_store_for_its_owner_alone(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    names = keyed(chosen)
    path = tmp_path / "keys" / "pseudonym.key"
    assert path.read_bytes() == names.key
    assert len(names.key) == 32
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert list(path.parent.iterdir()) == [path]
    assert keyed(chosen) == names
    assert keyed(settings(tmp_path, pseudonym_key=tmp_path / "other" / "key")) != names
    stored = b"".join(file.read_bytes() for file in chosen.store.rglob("*") if file.is_file())
    assert names.key not in stored


def test_where_nothing_is_de_identified_no_key_is_made(tmp_path: Path) -> None:
    chosen = settings(tmp_path, deidentify="off")
    assert pseudonyms(chosen, Catalogue(DirectoryStore(chosen.store))) is None
    assert not chosen.key_file.exists()


def test_a_missing_or_another_key_is_noticed_while_volumes_need_it(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    names = keyed(chosen)
    keep(chosen, names)
    lost = chosen.key_file.rename(tmp_path / "lost")
    with pytest.raises(Unavailable, match=r"is missing.*Put the right one back.*CALQUE_NEW_PSEUDONYM_KEY=true"):
        keyed(chosen)
    assert not chosen.key_file.exists()
    chosen.key_file.write_bytes(bytes(32))
    chosen.key_file.chmod(0o600)
    with pytest.raises(Unavailable, match="is not the one"):
        keyed(chosen)
    lost.rename(chosen.key_file)
    assert keyed(chosen) == names


def test_a_lost_key_is_followed_by_another_when_that_is_said(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    keep(chosen, keyed(chosen))
    chosen.key_file.unlink()
    new = keyed(settings(tmp_path, new_pseudonym_key=True))
    with pytest.raises(Unavailable):
        keyed(chosen)
    keep(chosen, new, imported_ms=2, slices=2)
    assert keyed(chosen) == new


@pytest.mark.parametrize("place", ["store/key", "store/deep/key", "store/../store/key"])
def test_it_never_lies_in_the_store(tmp_path: Path, place: str) -> None:
    with pytest.raises(InvalidInput, match="must not lie in the store"):
        keyed(settings(tmp_path, pseudonym_key=tmp_path / place))
    assert not (tmp_path / place).exists()


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(InvalidInput, match="is no key"):
        keyed(settings(tmp_path, pseudonym_key=path))
    assert path.read_bytes() == content


def test_a_key_that_everybody_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(bytes(32))
    path.chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod 600"):
        keyed(settings(tmp_path, pseudonym_key=path))


def test_a_place_where_no_key_can_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CalqueError, match="cannot be read or made"):
        keyed(settings(tmp_path, pseudonym_key=tmp_path / "file" / "key"))


def test_services_do_not_start_without_the_key_of_their_volumes(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    keep(chosen, keyed(chosen))
    chosen.key_file.unlink()
    with Serving(tmp_path, "volumes", "--listen", "127.0.0.1:0", "--store", str(chosen.store)) as serving:
        assert serving.ended() == 2
        assert "The key of the pseudonyms is missing" in serving.errors()
        assert "Traceback" not in serving.errors()
