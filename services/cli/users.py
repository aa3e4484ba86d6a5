"""``calque users``: who may sign in at a server with users of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

users = typer.Typer(no_args_is_help=True, help="Users of this server's own, who sign in with a password.")

Name = Annotated[str, typer.Argument(help="Name that the user signs in with.")]
Projects = Annotated[
    list[str] | None, typer.Option("--project", help="Whose volumes the user sees; several may be said. None: default.")
]
File = Annotated[Path | None, typer.Option("--users", help="File of the users; none: CALQUE_USERS, or beside the store.")]


@users.command("add")
def add(
    name: Name,
    role: Annotated[
        Literal["viewer", "annotator", "reviewer", "trainer", "administrator"], typer.Option(help="What the user may do.")
    ],
    project: Projects = None,
    file: File = None,
) -> None:
    """Add a user; the password is asked for, or read from standard input. With the first one, services ask who calls."""
    from services.serving.caller import Role
    from services.serving.identity.users import Users

    Users(_path(file)).add(name, Role(role), _password(), project or [])
    print(f"{name} may sign in, as {role}.")


@users.command("list")
def list_users(file: File = None) -> None:
    """List the users with their roles and projects."""
    from services.serving.identity.users import Users

    for user in Users(_path(file)).all().values():
        print(f"{user.name}  {user.role}  {', '.join(user.projects)}")


@users.command("projects")
def projects(name: Name, project: Projects = None, file: File = None) -> None:
    """Give a user other projects instead of those before; they count at once."""
    from services.serving.identity.users import Users

    Users(_path(file)).set_projects(name, project or [])
    print(f"{name} has the projects {', '.join(project or ['default'])}.")


@users.command("remove")
def remove(name: Name, file: File = None) -> None:
    """Remove a user; who is signed in is let in no longer."""
    from services.serving.identity.users import Users

    Users(_path(file)).remove(name)
    print(f"{name} may no longer sign in.")


@users.command("password")
def password(name: Name, file: File = None) -> None:
    """Give a user another password, asked for or read from standard input; who is signed in has to do so again."""
    from services.serving.identity.users import Users

    Users(_path(file)).set_password(name, _password())
    print(f"{name} has another password.")


def _path(file: Path | None) -> Path:
    """The file of users that a command is told, else that of the settings."""
    from services.cli.serve import load_settings

    return file or load_settings().users_file


def _password() -> str:
    """A password that nobody sees: typed twice, or the first line of standard input."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")
