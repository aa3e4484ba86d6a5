"""Who may import whom: the rooms of the house, read from the imports of every module."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("core", "formats", "store", "serving", "volumes", "segmentation", "embedding", "bench", "cli")

# The whole table. A room is a folder; what a room may import of ours is listed, itself always included.
MAY_IMPORT: dict[str, set[str]] = {
    "calque": set(),
    "services.core": set(),
    "services.formats": {"services.core", "calque"},
    "services.store": {"services.core", "calque"},
    "services.serving": {"services.core", "calque"},
    **{
        f"services.{service}": {"services.serving", "services.store", "services.formats", "services.core", "calque"}
        for service in ("volumes", "segmentation", "embedding")
    },
    "services.bench": {"services.formats", "services.core", "calque"},
    "services.cli": {*(f"services.{room}" for room in ROOMS), "calque", "tablet_client", "trainer"},
    "tablet_client": {"calque"},
    "trainer": {"services.core", "services.formats", "services.store"},
}
# Rooms whose foreign libraries are listed too, by the names that are imported.
LIBRARIES: dict[str, set[str]] = {
    "calque": {"numpy", "google"},
    "services.core": {"numpy", "scipy", "skimage", "sklearn", "threadpoolctl", "cv2", "numba", "llvmlite"},
    "tablet_client": {"numpy", "google", "kivy", "grpclib", "platformdirs", "fontawesomefree", "jnius"},
    # The tablet's document, tools and viewport know no Kivy: they are tested, and could be shown, without it.
    "tablet_client.state": {"numpy", "google", "platformdirs"},
}
# Libraries that only these rooms may import, so that the others start without them.
ONLY_IN: dict[str, set[str]] = {
    "tensorflow": {"trainer"},
    "keras": {"trainer"},
    "kivy": {"tablet_client", "services.cli"},
    "matplotlib": {"services.bench", "trainer"},
    "jnius": {"tablet_client"},
}
OURS = {"services", "tablet_client", "trainer", "calque"}


def room_of(name: str) -> str:
    """The room of a dotted module name; ``services`` alone is a room without rights."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "services" else parts[0]


def imports(tree: ast.AST, module: str, is_package: bool) -> list[tuple[int, str, ast.AST]]:
    """Every import of a module, in functions and under conditions too: line, dotted name, node.

    ``from services import core`` counts as ``services.core``; relative names are made absolute.
    """
    found: list[tuple[int, str, ast.AST]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name, node) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = module.split(".")[: len(module.split(".")) - node.level + (1 if is_package else 0)]
                base = ".".join([*up, base] if base else up)
            found += [(node.lineno, f"{base}.{alias.name}", node) for alias in node.names]
    return found


def in_functions(tree: ast.AST) -> set[int]:
    """Identities of the nodes that run only when a function is called."""
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {id(inner) for function in functions for inner in ast.walk(function)}


def loaded_with_the_command(command: str, sources: dict[str, str]) -> set[str]:
    """Modules of the command's own room that importing it runs; the others are imported when a command is given."""
    found, waiting = set(), [command]
    while waiting:
        module = waiting.pop()
        found.add(module)
        tree = ast.parse(sources[module])
        later = in_functions(tree)
        for _, name, node in imports(tree, module, False):
            for candidate in (name, name.rpartition(".")[0]):
                if candidate in sources and candidate not in found and room_of(candidate) == room_of(command):
                    waiting += [candidate] if id(node) not in later else []
    return found


def offences(source: str, module: str, is_package: bool = False, *, at_start: bool = True) -> list[str]:
    """What a module imports against the table, as lines of text; ``at_start`` says that the command loads it at once."""
    tree = ast.parse(source)
    room = room_of(module)
    later = in_functions(tree)
    wrong = []
    for line, name, node in imports(tree, module, is_package):
        top, target = name.split(".")[0], room_of(name)
        if top in OURS:
            if target != room and target not in MAY_IMPORT.get(room, set()):
                wrong.append(f"{module}:{line} imports {name}")
            elif room == "services.cli" and at_start and target not in (room, "calque") and id(node) not in later:
                wrong.append(f"{module}:{line} imports {name} outside a function")
            elif room == "tablet_client" and "_pb2_grpc" in name:
                wrong.append(f"{module}:{line} imports {name}, which needs grpcio")
        elif top not in sys.stdlib_module_names:
            for listed in (part for part in LIBRARIES if f"{module}.".startswith(f"{part}.")):
                if top not in LIBRARIES[listed] and not generated(module):
                    wrong.append(f"{module}:{line} imports {name}, which is not among the libraries of {listed}")
            if room not in ONLY_IN.get(top, {room}):
                wrong.append(f"{module}:{line} imports {name}, which only {' and '.join(sorted(ONLY_IN[top]))} may")
    return wrong


def generated(module: str) -> bool:
    """The contract's generated code imports what its runtime is made of."""
    return module.startswith("calque.v1")


def modules() -> list[tuple[str, Path]]:
    """Every module of ours: dotted name and file."""
    found = []
    for top, folder in (("services", ROOT), ("tablet_client", ROOT), ("trainer", ROOT), ("calque", ROOT / "proto")):
        for path in sorted((folder / top).rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


def test_every_import_is_allowed() -> None:
    sources = {name: path.read_text(encoding="utf-8") for name, path in modules()}
    early = loaded_with_the_command("services.cli.main", sources)
    wrong = []
    for name, path in modules():
        wrong += offences(sources[name], name, path.stem == "__init__", at_start=name in early)
    assert wrong == []


def test_what_a_command_loads_at_once_is_known() -> None:
    sources = {
        "services.cli.main": "from services.cli import words\ndef run():\n    from services.cli.run import run_all",
        "services.cli.words": "from services.cli.more import WORDS",
        "services.cli.more": "WORDS = 1",
        "services.cli.run": "import services.store",
    }
    assert loaded_with_the_command("services.cli.main", sources) == sources.keys() - {"services.cli.run"}


def test_every_room_is_in_the_table() -> None:
    rooms = {room_of(name) for name, _ in modules()} - {"services"}
    assert rooms <= MAY_IMPORT.keys()
    assert len(modules()) > 20


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("services.core.mask", "import services.store"),
        ("services.core.mask", "from services import store"),
        ("services.core.mask", "from ..store import directory"),
        ("services.core.mask", "from calque import raster"),
        ("services.core.mask", "import pydicom"),
        ("services.core.mask", "def f():\n    import grpc"),
        ("services.volumes.servicer", "from services.segmentation import workspace"),
        ("services.embedding.servicer", "from services.volumes import servicer"),
        ("services.formats.nifti", "from services.store import directory"),
        ("services.bench.robot", "from services.store import directory"),
        ("services.serving.server", "import trainer"),
        ("services.store.port", "if TYPE_CHECKING:\n    from services.serving import settings"),
        ("services.cli.main", "from services.serving import settings"),
        ("services.cli.main", "import trainer.train"),
        ("services.segmentation.workspace", "import tensorflow as tf"),
        ("services.bench.load", "from kivy.app import App"),
        ("trainer.train", "from services.serving import settings"),
        ("trainer.train", "from calque import wire"),
        ("tablet_client.link.remote", "import grpc"),
        ("tablet_client.link.remote", "from grpc import aio"),
        ("tablet_client.link.remote", "from calque.v1 import volumes_pb2_grpc"),
        ("tablet_client.view.viewer", "from services.core import geometry"),
        ("tablet_client.state.document", "from kivy.event import EventDispatcher"),
        ("calque.wire", "from services.core import errors"),
        ("calque.raster", "import scipy"),
    ],
)
def test_an_import_against_the_table_is_found(module: str, source: str) -> None:
    assert len(offences(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "services.core.mask",
            "import numpy as np\nfrom services.core.errors import InvalidInput\nfrom .volume import Volume",
        ),
        ("services.segmentation.servicer", "import grpc\nfrom services.store import log\nfrom calque.v1 import common_pb2"),
        (
            "services.cli.main",
            "import typer\ndef run():\n    from services.serving import settings\n    import tablet_client.main",
        ),
        ("tablet_client.link.remote", "from grpclib.client import Channel\nfrom calque.v1 import volumes_grpc"),
        ("tablet_client.view.viewer", "from kivy.uix.widget import Widget\nfrom ..state import document"),
        ("trainer.data", "import tensorflow as tf\nfrom services.formats import sample"),
    ],
)
def test_an_import_within_the_table_passes(module: str, source: str) -> None:
    assert offences(source, module) == []


# Loads the named modules, then prints the forbidden ones that came with them.
LOADER = """
import importlib, sys
for name in sys.argv[2:]:
    importlib.import_module(name)
print(*sorted(n for n in sys.modules if n.split(".")[0] in sys.argv[1].split(",")))
"""


def loaded(names: list[str], forbidden: str, home: Path) -> list[str]:
    """Modules of the forbidden packages that are loaded, in a new interpreter, with the named ones."""
    kivy = {"KIVY_NO_ARGS": "1", "KIVY_NO_CONSOLELOG": "1", "KIVY_NO_FILELOG": "1", "KIVY_HOME": str(home)}
    python_path = os.pathsep.join([str(ROOT), str(ROOT / "proto")])
    result = subprocess.run(
        [sys.executable, "-c", LOADER, forbidden, *names],
        env={**os.environ, **kivy, "PYTHONPATH": python_path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout.split()


def test_the_loaded_tablet_holds_no_grpcio_and_no_services(tmp_path: Path) -> None:
    names = [name for name, _ in modules() if name.startswith(("tablet_client.state", "tablet_client.link"))]
    names += [name for name, _ in modules() if name == "tablet_client.main"]
    assert loaded(["calque.wire", "calque.raster", *names], "grpc,services,trainer", tmp_path) == []


def test_the_loader_sees_grpcio_when_it_comes(tmp_path: Path) -> None:
    assert "grpc" in loaded(["calque.v1.volumes_pb2_grpc"], "grpc,services,trainer", tmp_path)


def test_the_trainer_is_loaded_without_tensorflow(tmp_path: Path) -> None:
    """Only training needs it; and tests on a screen, which load all test modules, do not live in one process with it."""
    names = [name for name, _ in modules() if name == "trainer" or name.startswith("trainer.")]
    assert len(names) > 10
    assert loaded(names, "tensorflow,keras", tmp_path) == []
