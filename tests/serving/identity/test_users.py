"""The file of users, and the commands that change it."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli.main import app
from services.core.errors import CalqueError, InvalidInput, NotFound, Unavailable
from services.serving.caller import Role
from services.serving.identity.users import Users, matches

PASSWORD = "correct horse battery"


@pytest.fixture
def users(tmp_path: Path) -> Users:
    return Users(tmp_path / "keys" / "users.json")


def test_users_are_kept_in_a_file_for_its_owner_alone(users: Users) -> None:
    users.add("ada", Role.ANNOTATOR, PASSWORD)
    assert stat.S_IMODE(users.path.stat().st_mode) == 0o600
    assert PASSWORD not in users.path.read_text()
    (ada,) = Users(users.path).all().values()
    assert (ada.name, ada.role) == ("ada", Role.ANNOTATOR)
    assert ada.password_hash.startswith("$argon2id$")
    assert matches(ada.password_hash, PASSWORD)
    assert not matches(ada.password_hash, f"{PASSWORD} ")
    assert not matches("no hash", PASSWORD)


def test_what_another_process_changes_counts_at_once(users: Users) -> None:
    users.add("ada", Role.ANNOTATOR, PASSWORD)
    other = Users(users.path)
    before = other.all()["ada"]
    users.set_password("ada", f"{PASSWORD} 2")
    after = other.all()["ada"]
    assert after.changed_s > before.changed_s
    assert matches(after.password_hash, f"{PASSWORD} 2")
    users.remove("ada")
    assert other.all() == {}


def test_none_is_lost_that_are_added_at_once(users: Users) -> None:
    names = [f"user-{n}" for n in range(6)]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda name: Users(users.path).add(name, Role.VIEWER, PASSWORD), names))
    assert list(users.all()) == names
    assert [path.name for path in users.path.parent.iterdir()] == ["users.json"]


@pytest.mark.parametrize("name", ["", "Ada", "-ada", "a" * 65, "a b", "../a", "local", "service", "ada\n"])
def test_a_name_that_cannot_be_is_refused(users: Users, name: str) -> None:
    with pytest.raises(InvalidInput, match="name"):
        users.add(name, Role.VIEWER, PASSWORD)


@pytest.mark.parametrize("password", ["", "x" * 11, "x" * 1025])
def test_a_password_that_is_too_short_or_too_long_is_refused(users: Users, password: str) -> None:
    with pytest.raises(InvalidInput, match="12 to 1024"):
        users.add("ada", Role.VIEWER, password)
    assert not users.path.exists()


def test_a_file_that_is_none_is_refused(users: Users) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        users.all()
    users.add("ada", Role.VIEWER, PASSWORD)
    users.path.chmod(0o604)
    with pytest.raises(InvalidInput, match="chmod 600"):
        Users(users.path).all()
    users.path.chmod(0o600)
    users.path.write_text('{"users": [{"name": "eve", "role": "queen"}]}')
    for change in (users.all, lambda: users.remove("ada")):
        with pytest.raises(Unavailable, match="damaged"):
            change()
    assert "queen" in users.path.read_text()


def typed(users: Users, *arguments: str, password: str = "") -> Result:
    return CliRunner().invoke(app, ["users", *arguments, "--users", str(users.path)], input=password)


def test_the_commands_change_it_and_take_no_password_as_an_argument(users: Users) -> None:
    assert typed(users, "add", "ada", "--role", "viewer", password=f"{PASSWORD}\n").exit_code == 0
    assert typed(users, "add", "bob", "--role", "administrator", password=PASSWORD).exit_code == 0
    assert typed(users, "list").output.split() == ["ada", "viewer", "default", "bob", "administrator", "default"]
    assert typed(users, "projects", "ada", "--project", "neo", "--project", "fetus").exit_code == 0
    assert users.all()["ada"].projects == ("fetus", "neo")
    assert typed(users, "password", "ada", password="another password\n").exit_code == 0
    assert matches(users.all()["ada"].password_hash, "another password")
    assert users.all()["ada"].projects == ("fetus", "neo")
    assert isinstance(typed(users, "projects", "ada", "--project", "../x").exception, InvalidInput)
    assert typed(users, "remove", "bob").exit_code == 0
    assert list(users.all()) == ["ada"]
    assert typed(users, "add", "eve", "--role", "viewer", PASSWORD).exit_code == 2
    assert typed(users, "add", "eve", "--role", "queen", password=PASSWORD).exit_code == 2
    assert list(users.all()) == ["ada"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [(("add", "ada", "--role", "viewer"), InvalidInput), (("remove", "eve"), NotFound), (("password", "eve"), NotFound)],
)
def test_a_command_that_cannot_be_done_says_why(users: Users, arguments: tuple[str, ...], error: type[CalqueError]) -> None:
    users.add("ada", Role.VIEWER, PASSWORD)
    assert isinstance(typed(users, *arguments, password=f"{PASSWORD}\n").exception, error)
