"""Users of this server's own: a file with a name, a role and an Argon2 hash of the password for each."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import argon2
from pydantic import BaseModel, ConfigDict, ValidationError

from services.core.errors import InvalidInput, NotFound, Reason, Unavailable
from services.core.projects import DEFAULT_PROJECT, check_project
from services.serving import secret_file
from services.serving.caller import LOCAL_USER, Role

PASSWORD_LEAST = 12
"""Fewest characters of a password."""
PASSWORD_LIMIT = 1024
NAME_LIMIT = 64
SERVICE_USER = "service"
"""The name that our own services call under."""

_HASHER = argon2.PasswordHasher()  # RFC 9106's second choice: 64 MiB, three passes
_WHAT = "the file of users"


class User(BaseModel):
    """A user.

    Attributes:
        name: that the user signs in with.
        role: what the user may do.
        password_hash: Argon2id, with its salt and costs.
        changed_s: when the password was set, seconds since 1970; who signed in before has to do so again.
        projects: whose volumes the user sees.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    role: Role
    password_hash: str
    changed_s: float
    projects: tuple[str, ...] = (DEFAULT_PROJECT,)


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: int = 1
    users: list[User] = []


class Users:
    """The users in a file. What is changed there counts at once, for services that run too."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_as: tuple[int, ...] = ()
        self._known: dict[str, User] = {}

    def all(self) -> dict[str, User]:
        """All users by their names. Raises: InvalidInput, Unavailable: the file cannot be read."""
        with secret_file.file_errors(self.path, _WHAT):
            found = self.path.stat()
        state = (found.st_ino, found.st_mtime_ns, found.st_size)
        if state != self._read_as:
            content = secret_file.read(self.path, _WHAT)
            try:
                listed = _Content.model_validate_json(content).users
            except ValidationError as error:
                message = f"The file of users ({self.path}) is damaged."
                raise Unavailable(message, Reason.STORE_UNAVAILABLE) from error
            self._known, self._read_as = {user.name: user for user in listed}, state
        return self._known

    def add(self, name: str, role: Role, password: str, projects: Sequence[str] = ()) -> None:
        """Add a user.

        Args:
            name: that the user signs in with.
            role: what the user may do.
            password: of the user.
            projects: whose volumes the user sees; none: those of the default one.

        Raises:
            InvalidInput: the name is taken or cannot be, or a project's, or the password is too short or too long.
        """
        if not re.fullmatch(rf"[a-z0-9][a-z0-9._@-]{{0,{NAME_LIMIT - 1}}}", name) or name in (LOCAL_USER, SERVICE_USER):
            raise InvalidInput(
                f"A user's name has at most {NAME_LIMIT} small letters, digits, dots, dashes and @, and is not "
                f"“{LOCAL_USER}” or “{SERVICE_USER}”."
            )
        added = _with_password(name, role, password, _checked(projects))
        with self._changing() as users:
            if name in users:
                raise InvalidInput(f"There is a user {name} already.")
            users[name] = added

    def set_password(self, name: str, password: str) -> None:
        """Give a user another password. Raises: InvalidInput, NotFound."""
        with self._changing() as users:
            known = _of(users, name)
            users[name] = _with_password(name, known.role, password, known.projects)

    def set_projects(self, name: str, projects: Sequence[str]) -> None:
        """Give a user other projects; none: the default one. They count at once. Raises: InvalidInput, NotFound."""
        with self._changing() as users:
            users[name] = _of(users, name).model_copy(update={"projects": _checked(projects)})

    def remove(self, name: str) -> None:
        """Remove a user. Raises: NotFound."""
        with self._changing() as users:
            del users[_of(users, name).name]

    @contextmanager
    def _changing(self) -> Iterator[dict[str, User]]:
        """The users, to be changed by nobody else meanwhile, and written when the block ends well."""
        with secret_file.file_errors(self.path, _WHAT):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            users = dict(self.all()) if self.path.exists() else {}
            yield users
            content = _Content(users=sorted(users.values(), key=lambda user: user.name))
            with secret_file.file_errors(self.path, _WHAT):
                secret_file.replace(self.path, content.model_dump_json(indent=1).encode())
        finally:
            os.close(folder)  # and with it the lock


def matches(password_hash: str, password: str) -> bool:
    """Whether a hash is that of a password. Takes some 0.1 s and 64 MiB."""
    try:
        return _HASHER.verify(password_hash, password)
    except (argon2.exceptions.Argon2Error, argon2.exceptions.InvalidHashError):
        return False


def hashed(password: str) -> str:
    """The hash of a password."""
    return _HASHER.hash(password)


def _checked(projects: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({check_project(name) for name in projects})) or (DEFAULT_PROJECT,)


def _with_password(name: str, role: Role, password: str, projects: tuple[str, ...]) -> User:
    if not PASSWORD_LEAST <= len(password) <= PASSWORD_LIMIT:
        raise InvalidInput(f"A password has {PASSWORD_LEAST} to {PASSWORD_LIMIT} characters.")
    return User(name=name, role=role, password_hash=hashed(password), changed_s=time.time(), projects=projects)


def _of(users: dict[str, User], name: str) -> User:
    if name not in users:
        raise NotFound(f"There is no user {name!r}.")
    return users[name]
