"""The client on other systems: what it imports and calls is there on all, and files lie where each system wants them."""

from __future__ import annotations

import ast
import asyncio
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest
from platformdirs import windows
from platformdirs.ios import IOS
from platformdirs.macos import MacOS
from platformdirs.unix import Unix

from tablet_client.state import disk, places

ROOT = Path(__file__).parents[2]
NOT_EVERYWHERE = {
    *("fcntl", "grp", "pwd", "posix", "pty", "readline", "resource", "syslog", "termios", "tty", "msvcrt", "winreg"),
    *("os.fork", "os.getuid", "os.geteuid", "os.getpgid", "os.killpg", "os.mkfifo", "os.pipe2", "os.posix_fadvise"),
    *("os.setsid", "os.statvfs", "os.uname", "os.sendfile", "os.link", "os.symlink"),
    *("signal.SIGKILL", "signal.SIGHUP", "signal.SIGUSR1", "signal.SIGUSR2", "signal.SIGALRM", "signal.SIGCHLD"),
    *("signal.pause", "signal.alarm", "signal.setitimer", "time.tzset", "asyncio.create_subprocess_exec"),
}


def absent_somewhere(source: str) -> list[str]:
    """Names in code that some systems do not have, imported at once or used anywhere."""
    tree = ast.parse(source)
    later = {id(node) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for node in ast.walk(f)}
    names = [alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) and id(n) not in later for alias in n.names]
    names += [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and id(n) not in later]
    used = (n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name))
    names += [f"{n.value.id}.{n.attr}" for n in used if isinstance(n.value, ast.Name)]
    return [name for name in names if name in NOT_EVERYWHERE]


def client() -> Iterator[Path]:
    yield from (ROOT / "tablet_client").rglob("*.py")
    yield from (ROOT / "proto" / "calque").rglob("*.py")


def test_the_client_needs_nothing_that_a_system_lacks() -> None:
    assert {str(path.relative_to(ROOT)): found for path in client() if (found := absent_somewhere(path.read_text()))} == {}
    assert sum(1 for _ in client()) > 60


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import os, fcntl", ["fcntl"]),
        ("from resource import getrusage", ["resource"]),
        ("def f():\n    import fcntl", []),
        ("def f():\n    os.kill(1, signal.SIGKILL)", ["signal.SIGKILL"]),
        ("import signal\nsignal.SIGTERM", []),
    ],
)
def test_what_a_system_lacks_is_found(source: str, found: list[str]) -> None:
    assert absent_somewhere(source) == found


def test_an_apple_disk_is_asked_to_empty_its_own_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda handle, what: asked.append((handle, what)))
    monkeypatch.setattr(os, "fsync", lambda handle: asked.append(handle))
    for system in ("darwin", "ios"):
        monkeypatch.setattr(sys, "platform", system)
        disk.sync(7)
    assert asked == [(7, 51), (7, 51)]


def test_an_apple_file_system_that_cannot_gets_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int, what: int) -> None:
        raise OSError(45, "Operation not supported")

    asked: list[int] = []
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", refuse)
    monkeypatch.setattr(os, "fsync", asked.append)
    monkeypatch.setattr(sys, "platform", "darwin")
    disk.sync(7)
    assert asked == [7]


def test_elsewhere_fsync_is_asked_and_its_failure_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(handle: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    for system in ("linux", "win32", "android"):
        monkeypatch.setattr(sys, "platform", system)
        with pytest.raises(OSError, match="Input/output"):
            disk.sync(7)


def test_a_folder_that_cannot_be_opened_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")  # as Windows does

    monkeypatch.setattr(os, "open", refuse)
    disk.sync_folder(tmp_path)


@pytest.mark.parametrize(
    ("system", "data", "passing"),
    [
        (Unix, ".local/share/calque", ".cache/calque/passing"),
        (MacOS, "Library/Application Support/calque", "Library/Caches/calque/passing"),
        (IOS, "Library/Application Support/calque", "Library/Caches/calque/passing"),
    ],
)
def test_each_system_has_its_places(system: type, data: str, passing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/doctor")
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(platformdirs, "PlatformDirs", system)
    assert places.data_folder() == Path("/home/doctor", data)
    assert places.passing_folder() == Path("/home/doctor", passing)


def test_on_ios_the_applications_documents_are_looked_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/var/mobile/calque")
    assert places.users_folder() == Path("/var/mobile/calque")
    monkeypatch.setattr(platformdirs, "PlatformDirs", IOS)
    monkeypatch.setattr(sys, "platform", "ios")
    assert places.users_folder() == Path("/var/mobile/calque/Documents")


def test_windows_has_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALAPPDATA", "/users/doctor/AppData/Local")
    monkeypatch.setattr(platformdirs, "PlatformDirs", windows.Windows)
    monkeypatch.setattr(windows, "_RESOLVE_WIN_FOLDER", windows.get_win_folder_from_env_vars)
    assert "AppData/Local" in str(places.data_folder())
    assert places.data_folder().name == "calque"
    assert places.passing_folder() != places.data_folder()


@pytest.mark.parametrize("error", [NotImplementedError, RuntimeError, ValueError])
def test_a_loop_that_takes_no_signals_runs_the_application(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows' loops do not, nor any outside the main thread."""
    from tablet_client import main

    class Application:
        ran = False

        def __init__(self, *_: object) -> None: ...

        def stop(self) -> None: ...

        async def run_on_loop(self) -> None:
            Application.ran = True

    class Loop(asyncio.SelectorEventLoop):
        def add_signal_handler(self, *_: object) -> None:
            raise error

    module = type(sys)("tablet_client.view.app")
    module.CalqueApp = Application  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tablet_client.view.app", module)
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(main._run(None, main._parser().parse_args(["--journal", str(tmp_path)]), None))
    assert Application.ran
