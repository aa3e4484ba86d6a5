# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False
"""Android's documents: asked for with intents, listed and opened through the content resolver. No permission is needed.

A document has an address, "content://…", that holds until the application ends. Java's exceptions come out as OSError.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

_REQUEST = 0x0CA1
_CHOSEN = -1  # android.app.Activity.RESULT_OK
_FOLDER = "vnd.android.document/directory"
_NAME, _ID, _KIND = "_display_name", "document_id", "mime_type"

Answered = Callable[[list[str]], None]
"""Told the addresses of what was chosen, none when the user went back, on Java's thread."""


@dataclass(frozen=True)
class Question:
    """What the picker is to ask.

    Attributes:
        action: of android.content.Intent.
        mime: of what may be chosen; empty for folders.
        extras: what else the picker is told.
    """

    action: str
    mime: str = ""
    extras: dict[str, str | bool] = field(default_factory=dict)


FILES = Question("android.intent.action.OPEN_DOCUMENT", "*/*", {"android.intent.extra.ALLOW_MULTIPLE": True})
FOLDER = Question("android.intent.action.OPEN_DOCUMENT_TREE")


def place_for(name: str, mime: str) -> Question:
    """Where a new document is to lie, under the suggested name."""
    return Question("android.intent.action.CREATE_DOCUMENT", mime, {"android.intent.extra.TITLE": name})


@dataclass(frozen=True)
class Document:
    """A file that was chosen: its name, with the folders that it lies in parted by "/", and its address."""

    name: str
    address: str


class Documents:
    """The documents of this tablet. Made on Kivy's thread: threads of ours do not find the application's Java classes.

    Args:
        activity: the application's; None: the one that runs.
    """

    def __init__(self, activity: Any = None) -> None:
        from jnius import autoclass

        self._activity = activity or autoclass("org.kivy.android.PythonActivity").mActivity
        self._resolver = self._activity.getContentResolver()
        self._contract = autoclass("android.provider.DocumentsContract")
        self._uri = autoclass("android.net.Uri")
        self._intent = autoclass("android.content.Intent")
        self._listener: Any = None
        self._answered: Answered | None = None

    def ask(self, question: Question, answered: Answered) -> None:
        """Show the system's picker; a question that was not answered yet is answered with nothing.

        Raises:
            OSError: there is no picker.
        """
        self._listen()
        self._answer([])
        with _java():
            intent = self._intent(question.action)
            if question.mime:
                intent.addCategory("android.intent.category.OPENABLE")
                intent.setType(question.mime)
            for name, value in question.extras.items():
                intent.putExtra(name, value)
            self._answered = answered
            self._activity.startActivityForResult(intent, _REQUEST)

    def named(self, addresses: list[str]) -> list[Document]:
        """Files by their names. Raises: OSError."""
        with _java():
            return [Document(self._name(one), one) for one in addresses]

    def inside(self, addresses: list[str]) -> list[Document]:
        """All files inside a folder, at any depth, without what is hidden. Raises: OSError."""
        with _java():
            tree = self._uri.parse(addresses[0])
            waiting = [("", self._contract.getTreeDocumentId(tree))]
            found = []
            while waiting:
                place, folder = waiting.pop()
                children = self._contract.buildChildDocumentsUriUsingTree(tree, folder)
                for name, identity, kind in self._rows(children, _NAME, _ID, _KIND):
                    if not name or name.startswith("."):
                        continue
                    path = f"{place}{name.replace('/', '_')}"
                    if kind == _FOLDER:
                        waiting.append((f"{path}/", identity))
                    else:
                        address = self._contract.buildDocumentUriUsingTree(tree, identity).toString()
                        found.append(Document(path, address))
            return sorted(found, key=lambda document: document.name)

    def read(self, address: str) -> BinaryIO:
        """Open a document; it may be a pipe. Raises: OSError."""
        return os.fdopen(self._handle(address, "r"), "rb")

    def write(self, address: str) -> BinaryIO:
        """Open a document and empty it. Raises: OSError."""
        return os.fdopen(self._handle(address, "wt"), "wb")

    def delete(self, address: str) -> None:
        """Remove a document. Raises: OSError."""
        with _java():
            self._contract.deleteDocument(self._resolver, self._uri.parse(address))

    def leave_thread(self) -> None:
        """Every thread of ours that asked Java calls it before it ends."""
        import jnius

        jnius.detach()

    def _handle(self, address: str, mode: str) -> int:
        with _java():
            opened = self._resolver.openFileDescriptor(self._uri.parse(address), mode)
            if opened is None:
                raise OSError(errno.EIO, "The document cannot be opened.")
            return int(opened.detachFd())

    def _name(self, address: str) -> str:
        """As its provider tells it, or nothing."""
        rows = self._rows(self._uri.parse(address), _NAME)
        return (rows[0][0] or "").replace("/", "_") if rows else ""

    def _rows(self, uri: Any, *columns: str) -> list[tuple[str | None, ...]]:
        """Some columns of all rows that the resolver has for an address."""
        cursor = self._resolver.query(uri, list(columns), None, None, None)
        if cursor is None:
            raise OSError(errno.EIO, "The documents cannot be listed.")
        try:
            # A provider may have more columns, in another order.
            places = [cursor.getColumnIndex(column) for column in columns]
            rows = []
            while cursor.moveToNext():
                rows.append(tuple(cursor.getString(place) for place in places))
            return rows
        finally:
            cursor.close()

    def _listen(self) -> None:
        """Have the activity tell of answers, once."""
        if self._listener is not None:
            return
        from jnius import PythonJavaClass, java_method

        answer = self._answer

        class Listening(PythonJavaClass):
            __javacontext__ = "app"
            __javainterfaces__ = ("org/kivy/android/PythonActivity$ActivityResultListener",)

            @java_method("(IILandroid/content/Intent;)V")
            def onActivityResult(self, request: int, result: int, data: Any) -> None:  # noqa: N802 (Java's name)
                if request == _REQUEST:
                    answer(_addresses(data) if result == _CHOSEN and data is not None else [])

        self._listener = Listening()
        self._activity.registerActivityResultListener(self._listener)

    def _answer(self, addresses: list[str]) -> None:
        answered, self._answered = self._answered, None
        if answered is not None:
            answered(addresses)


def _addresses(data: Any) -> list[str]:
    """Of all that an intent brings: several come as a clip."""
    clip, uri = data.getClipData(), data.getData()
    if clip is not None:
        return [clip.getItemAt(k).getUri().toString() for k in range(clip.getItemCount())]
    return [] if uri is None else [uri.toString()]


@contextmanager
def _java() -> Iterator[None]:
    from jnius import JavaException

    try:
        yield
    except JavaException as error:
        raise OSError(errno.EIO, str(error)) from error
