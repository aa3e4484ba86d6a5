"""The key of the pseudonyms: a file of its own, apart from the store, made at the first start.

Who has it and the original series can tell whose a pseudonym is, so nothing in the store holds it. Each record has the
key's check value, by which another key is noticed before two pseudonyms stand for one patient.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from services.core.deidentify import KEY_BYTES, Pseudonyms
from services.core.errors import InvalidInput, Reason, Unavailable
from services.serving.secret_file import create, file_errors, read
from services.serving.settings import Settings
from services.store.catalogue import Catalogue

_WHAT = "the key of the pseudonyms"


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
        with file_errors(path, _WHAT):
            create(path, secrets.token_bytes(KEY_BYTES))
    found = read_key(path)
    if check not in ("", found.check) and not settings.new_pseudonym_key:
        raise _lost(f"The key of the pseudonyms ({path}) is not the one that the volumes in the store were imported with")
    return found


def read_key(path: Path) -> Pseudonyms:
    """The pseudonyms of a key's file. Raises: InvalidInput, Unavailable, as `pseudonyms`."""
    key = read(path, _WHAT)
    if len(key) != KEY_BYTES:
        raise InvalidInput(f"The file {path} is no key of pseudonyms: it must hold {KEY_BYTES} bytes.")
    return Pseudonyms(key)


def _lost(what: str) -> Unavailable:
    return Unavailable(
        f"{what}. Put the right one back; or, if it is lost, set CALQUE_NEW_PSEUDONYM_KEY=true until the next DICOM series "
        "was imported: patients then get new pseudonyms.",
        Reason.STORE_UNAVAILABLE,
    )
