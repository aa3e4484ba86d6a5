"""Bring the tablet's catalogues up to date with the code: ``python deploy/setup/words.py`` (``make words``).

Sentences are found in Python by Babel, and in kv files as ``_('…')``. ``--check`` writes nothing, and fails where a
catalogue is not as it would be written, or a sentence has no translation.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[2]
CODE = ROOT / "tablet_client"
FOLDER = CODE / "words"
_IN_KV = re.compile(r"\b_\('((?:[^'\\]|\\.)+)'\)")


def found() -> Catalog:
    """All sentences of the code."""
    catalogue = Catalog(project="Calque", charset="utf-8")
    for name, message in sorted(_messages(), key=lambda one: (one[0], str(one[1]))):
        catalogue.add(message, locations=[(name, 0)])
    return catalogue


def _messages() -> Iterator[tuple[str, str | tuple[str, ...]]]:
    for path in sorted(CODE.rglob("*.py")):
        for _, message, *_rest in extract_from_file("python", path):
            yield path.relative_to(ROOT).as_posix(), message if isinstance(message, str) else tuple(message[:2])
    for path in sorted(CODE.rglob("*.kv")):
        for text in _IN_KV.findall(path.read_text(encoding="utf-8")):
            yield path.relative_to(ROOT).as_posix(), text.replace("\\'", "'")


def updated(language: str, code: Catalog) -> Catalog:
    """A language's catalogue with the sentences that the code has now; what it no longer has is gone."""
    path = FOLDER / f"{language}.po"
    if path.exists():
        with open(path, "rb") as file:
            catalogue = read_po(file, locale=language)
    else:
        catalogue = Catalog(locale=language)
    catalogue.update(code, no_fuzzy_matching=True, update_creation_date=False)
    catalogue.obsolete.clear()
    return catalogue


def written(catalogue: Catalog) -> dict[str, bytes]:
    """The two files of a catalogue, by their ending."""
    po, mo = io.BytesIO(), io.BytesIO()
    write_po(po, catalogue, omit_header=False, sort_output=True, width=120, include_lineno=False)
    write_mo(mo, catalogue)
    # The date of writing would make every run a change.
    kept = b"".join(line for line in po.getvalue().splitlines(True) if not line.startswith(b'"PO') or b"-Date" not in line)
    return {"po": kept, "mo": mo.getvalue()}


def untranslated(catalogue: Catalog) -> list[str]:
    """Sentences without a translation."""
    empty = [one for one in catalogue if one.id and not all(one.string if isinstance(one.string, tuple) else [one.string])]
    return [str(one.id) for one in empty]


def main(check: bool) -> int:
    """Write the catalogues, or check them."""
    code, wrong = found(), 0
    for language in sorted(path.stem for path in FOLDER.glob("*.po")) or ["fr"]:
        catalogue = updated(language, code)
        for ending, data in written(catalogue).items():
            path = FOLDER / f"{language}.{ending}"
            if check and (not path.exists() or _undated(path.read_bytes(), ending) != _undated(data, ending)):
                print(f"{path.name} is not up to date: make words")
                wrong = 1
            if not check:
                path.write_bytes(data)
        for text in untranslated(catalogue):
            print(f"{language}: no translation of {text!r}")
            wrong = 1
    return wrong if check else 0


def _undated(data: bytes, ending: str) -> bytes:
    return data if ending == "po" else re.sub(rb"PO[A-Za-z-]+-Date: [^\n]*\n", b"", data)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
