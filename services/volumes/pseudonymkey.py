"""The key of the pseudonyms: a file of its own, apart from the store, made at the first start.

Who has it and the original series can tell whose a pseudonym is, so nothing in the store holds it. Each record has the
key's check value, by which another key is noticed before two pseudonyms stand for one patient.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from services.core.deidentify import KEY_BYTES, Pseudonyms
from services.core.errors import InvalidInput, Reason, Unavailable
from services.serving.settings import Settings
from services.store.catalogue import Catalogue


def pseudonyms(settings: Settings, catalogue: Catalogue) -> Pseudonyms | None:
    """The pseudonyms of the settings' key, which is made when there is none yet; ``None`` where nothing is de-identified.

    Raises:
        InvalidInput: the file is no key, others may read it, or it lies in the store.
        Unavailable: it is missing, or another one, and volumes in the store have pseudonyms of the lost one; or the file
            cannot be read or made.
    """
    if settings.deidentify == "off":
        return None
    path = settings.key_file
    if isinstance(settings.store, Path) and path.resolve().is_relative_to(settings.store.resolve()):
        raise InvalidInput(f"The key of the pseudonyms must not lie in the store; move it ({path}) and name its new place.")
    check = next((record.key_check for record in catalogue.list() if record.key_check), "")  # of the newest
    if not path.exists():
        if check and not settings.new_pseudonym_key:
            raise _lost(f"The key of the pseudonyms is missing ({path})")
        with _file_errors(path):
            _make(path)
    found = read_key(path)
    if check not in ("", found.check) and not settings.new_pseudonym_key:
        raise _lost(f"The key of the pseudonyms ({path}) is not the one that the volumes in the store were imported with")
    return found


def read_key(path: Path) -> Pseudonyms:
    """The pseudonyms of a key's file. Raises: InvalidInput, Unavailable, as `pseudonyms`."""
    with _file_errors(path):
        key, mode = path.read_bytes(), path.stat().st_mode
    if len(key) != KEY_BYTES:
        raise InvalidInput(f"The file {path} is no key of pseudonyms: it must hold {KEY_BYTES} bytes.")
    if mode & 0o007:
        raise InvalidInput(f"Everybody may read the key of the pseudonyms; say: chmod 600 {path}")
    return Pseudonyms(key)


def _make(path: Path) -> None:
    """A new key, for its owner alone. When two services make one, both take the first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors about the key's file into one sentence."""
    try:
        yield
    except OSError as error:
        cause = os.strerror(error.errno) if error.errno else type(error).__name__
        message = f"The key of the pseudonyms ({path}) cannot be read or made: {cause}."
        raise Unavailable(message, Reason.STORE_UNAVAILABLE) from error


def _lost(what: str) -> Unavailable:
    return Unavailable(
        f"{what}. Put the right one back; or, if it is lost, set CALQUE_NEW_PSEUDONYM_KEY=true until the next DICOM series "
        "was imported: patients then get new pseudonyms.",
        Reason.STORE_UNAVAILABLE,
    )
