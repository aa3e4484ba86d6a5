"""Android's documents without Java: an activity, its picker and a content resolver over files of this machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any


class JavaException(Exception):
    """As pyjnius raises it."""


class Intent:
    """What an application asks the system for, or the system's answer."""

    def __init__(self, action: str = "", uris: list[str] | None = None) -> None:
        self.action, self.extras, self.categories, self.mime = action, {}, [], ""  # type: ignore[var-annotated]
        self.uris = uris or []

    def __getattr__(self, name: str) -> Any:
        clip = SimpleNamespace(
            getItemCount=lambda: len(self.uris), getItemAt=lambda k: SimpleNamespace(getUri=lambda: Uri(self.uris[k]))
        )
        return {
            "addCategory": self.categories.append,
            "setType": lambda mime: self.__dict__.update(mime=mime),
            "putExtra": self.extras.__setitem__,
            "getClipData": lambda: clip if len(self.uris) > 1 else None,
            "getData": lambda: Uri(self.uris[0]) if len(self.uris) == 1 else None,
        }[name]


@dataclass(frozen=True)
class Uri:
    """An address."""

    text: str

    def toString(self) -> str:  # noqa: N802 (Java's name)
        return self.text

    @staticmethod
    def parse(text: str) -> Uri:
        return Uri(text)


class Cursor:
    """Rows, with a column that nobody asked for in front."""

    def __init__(self, columns: list[str], rows: list[tuple[str | None, ...]]) -> None:
        self._columns, self._rows, self._at = ["flags", *columns], [("0", *row) for row in rows], -1
        self.closed = False

    def getColumnIndex(self, name: str) -> int:  # noqa: N802 (Java's name)
        return self._columns.index(name)

    def moveToNext(self) -> bool:  # noqa: N802 (Java's name)
        self._at += 1
        return self._at < len(self._rows)

    def getString(self, place: int) -> str | None:  # noqa: N802 (Java's name)
        return self._rows[self._at][place]

    def close(self) -> None:
        self.closed = True


@dataclass
class Tablet:
    """A tablet with documents.

    Attributes:
        files: document's address → where its bytes are; a callable opens it otherwise.
        names: document's address → its name.
        asked: intents of the application, in order.
        there: whether there is a picker.
        left: set when a thread has left Java.
    """

    files: dict[str, Path | Callable[[], int]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    trees: dict[str, Path] = field(default_factory=dict)
    asked: list[Intent] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    cursors: list[Cursor] = field(default_factory=list)
    there: bool = True
    left: threading.Event = field(default_factory=threading.Event)
    language: str = "fr"

    def __post_init__(self) -> None:
        self._listeners: list[Any] = []
        self._code = 0

    def module(self) -> ModuleType:
        """What ``import jnius`` gives on it."""
        java = ModuleType("jnius")
        contract = SimpleNamespace(
            getTreeDocumentId=lambda uri: str(self.trees[uri.text]),
            buildChildDocumentsUriUsingTree=lambda tree, identity: Uri(f"children:{identity}"),
            buildDocumentUriUsingTree=lambda tree, identity: Uri(f"inside:{identity}"),
            deleteDocument=self._delete,
        )
        activity = SimpleNamespace(
            getContentResolver=lambda: SimpleNamespace(query=self._query, openFileDescriptor=self._open),
            registerActivityResultListener=self._listeners.append,
            startActivityForResult=self._start,
        )
        classes = {
            "org.kivy.android.PythonActivity": SimpleNamespace(mActivity=activity),
            "android.content.Intent": Intent,
            "android.net.Uri": Uri,
            "android.provider.DocumentsContract": contract,
            "java.util.Locale": SimpleNamespace(getDefault=lambda: SimpleNamespace(getLanguage=lambda: self.language)),
        }
        java.autoclass = classes.__getitem__  # type: ignore[attr-defined]
        java.PythonJavaClass, java.JavaException = object, JavaException  # type: ignore[attr-defined]
        java.java_method = lambda signature: lambda method: method  # type: ignore[attr-defined]
        java.detach = self.left.set  # type: ignore[attr-defined]
        return java

    def answer(self, *addresses: str, result: int = -1) -> None:
        """The user chooses, or goes back: told to the application on Java's thread."""
        (listener,) = self._listeners
        data = Intent(uris=list(addresses)) if addresses else None
        thread = threading.Thread(target=lambda: listener.onActivityResult(self._code, result, data))
        thread.start()
        thread.join()

    def _start(self, intent: Intent, code: int) -> None:
        if not self.there:
            raise JavaException("android.content.ActivityNotFoundException")
        self._code = code
        self.asked.append(intent)

    def _query(self, uri: Uri, columns: list[str], *nothing: None) -> Cursor | None:
        assert nothing == (None, None, None)
        if uri.text.startswith("children:"):
            rows = [self._row(path) for path in sorted(Path(uri.text.removeprefix("children:")).iterdir(), reverse=True)]
            assert columns == ["_display_name", "document_id", "mime_type"]
        elif uri.text in self.names:
            assert columns == ["_display_name"]
            rows = [(self.names[uri.text],)]
        else:
            return None
        self.cursors.append(Cursor(columns, rows))
        return self.cursors[-1]

    def _row(self, path: Path) -> tuple[str, str, str]:
        kind = "vnd.android.document/directory" if path.is_dir() else "application/octet-stream"
        return path.name, str(path), kind

    def _open(self, uri: Uri, mode: str) -> Any:
        self.modes.append(mode)
        place = self.files.get(uri.text) or Path(uri.text.removeprefix("inside:"))
        if callable(place):
            handle = place()
        else:
            if mode == "r" and not place.exists():
                raise JavaException("java.io.FileNotFoundException")
            flags = os.O_RDONLY if mode == "r" else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            handle = os.open(place, flags, 0o600)
        return SimpleNamespace(detachFd=lambda: handle)

    def _delete(self, resolver: Any, uri: Uri) -> bool:
        place = self.files[uri.text]
        assert isinstance(place, Path)
        place.unlink()
        return True
