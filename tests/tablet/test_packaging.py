"""The application for Android and iOS: assembled from pure Python wheels, it loads and draws on what the recipes build."""

from __future__ import annotations

import configparser
import importlib.metadata
import importlib.util
import json
import os
import struct
import subprocess
import sys
import sysconfig
import tomllib
import zlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.conftest import NO_INDEX

ROOT = Path(__file__).parents[2]
COMPILED = {".so", ".pyd", ".dylib", ".dll", ".a", ".o", ".node"}


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tablet_{name}", ROOT / "deploy" / "tablet" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


assemble = _load("assemble")


@pytest.fixture(scope="module")
def uv() -> str:
    """A uv that reaches a package index; where none is reachable, the tests that need one are skipped, and say so."""
    found = subprocess.run(["sh", "deploy/setup/uv.sh"], cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip(NO_INDEX)
    program = found.stdout.strip()
    asked = [program, "pip", "compile", "--quiet", "--no-cache", "-"]
    answer = subprocess.run(asked, input="h2", capture_output=True, text=True, check=False, env=assemble.clean())
    if answer.returncode:
        pytest.skip(NO_INDEX)
    return program


@pytest.fixture(scope="module", params=["android", "ios"])
def system(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(system: str, uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The application, assembled."""
    folder = tmp_path_factory.mktemp(system)
    assemble.assemble(folder, assemble.SYSTEMS[system], uv)
    return folder


@pytest.fixture(scope="module")
def recipes(system: str, uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the recipes build, as far as the client loads it, for this machine: Kivy, and numpy in the recipe's version."""
    wanted = assemble.SYSTEMS[system]
    folder = tmp_path_factory.mktemp(f"{system}-recipes")
    numpy = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--only-binary", ":all:", "--no-deps"]
    version = f"numpy=={wanted.recipes['numpy']}"
    got = subprocess.run([*numpy, "--target", str(folder), version], capture_output=True, text=True, check=False)
    if got.returncode and sys.version_info >= (3, 12) and system == "ios":
        pytest.skip(f"{version} has no wheel for this machine's Python; 3.11 has one")
    assert got.returncode == 0, got.stderr
    site = Path(sysconfig.get_path("platlib"))
    assert importlib.metadata.version("kivy") == wanted.recipes["kivy"]
    for name in ("kivy", "Kivy.libs", "filetype"):
        (folder / name).symlink_to(site / name)
    assert "filetype" in wanted.depends
    return folder


def test_it_holds_the_client_and_nothing_compiled(folder: Path, system: str) -> None:
    app = folder / "app"
    files = [path for path in app.rglob("*") if path.is_file()]
    assert [path for path in files if path.suffix in COMPILED or ".so." in path.name] == []
    wheels = [path.read_text() for path in app.glob("*.dist-info/WHEEL")]
    assert len(wheels) >= 8
    assert all("Root-Is-Purelib: true" in wheel and "-none-any" in wheel for wheel in wheels)
    for needed in ("main.py", "LICENSE", "tablet_client/words/fr.mo", "tablet_client/view/viewer.kv", "calque/wire.py"):
        assert (app / needed).is_file()
    assert len(list(app.glob("tablet_client/view/*.kv"))) == len(list(ROOT.glob("tablet_client/view/*.kv")))
    assert not list((app / "calque").rglob("*_pb2_grpc.py"))
    assert sum(path.stat().st_size for path in files) < 12e6
    assert (folder / "buildozer.spec").exists() == (system == "android")


def test_its_packages_are_locked_and_none_is_a_recipe(folder: Path, system: str) -> None:
    text = (folder / "requirements.txt").read_text()
    names = {assemble.name_of(line) for line in text.splitlines() if not line.startswith(" ")}
    assert {"grpclib", "protobuf", "h2"} <= names
    assert names.isdisjoint({*assemble.SYSTEMS[system].recipes, "grpcio", "typer"})
    assert text.count("--hash=sha256:") >= len(names)


# Loads every module of the application with nothing else on the path, then draws its first screen; prints what was loaded.
# The arguments are paths, modules of the standard library that the recipe's Python lacks, and 1 where it has no subprocess.
LOADER = """
import json, sys, types
paths, lacks, ios = json.loads(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3] == "ios"
sys.path[:] = paths + [path for path in sys.path if "site-packages" not in path]
for name in lacks:
    sys.modules[name] = None
if ios:  # as the main program of kivy-ios does
    stub = sys.modules["subprocess"] = types.ModuleType("subprocess")
    stub.PIPE = stub.STDOUT = stub.DEVNULL = stub.CompletedProcess = stub.check_output = None
    stub.CalledProcessError = Exception
from pathlib import Path
from tablet_client.main import settle_kivy
settle_kivy((1280, 800))
import asyncio, importlib, pkgutil, tablet_client, calque
for package in (tablet_client, calque):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if module.name != "tablet_client.__main__":
            importlib.import_module(module.name)
from kivy.clock import Clock
from tablet_client.link.grpc_link import GrpcLink
from tablet_client.view.app import CalqueApp
frames = []
async def run():
    app = CalqueApp(lambda _: GrpcLink("127.0.0.1", 1), Path(sys.argv[4]))
    def begin(_):
        from kivy.core.window import Window
        Window.bind(on_flip=lambda *_: frames.append(1) or (len(frames) == 3 and app.stop()))
        Clock.schedule_interval(lambda _: Window.canvas.ask_update(), 0)
    app.bind(on_start=begin)
    await app.run_on_loop()
asyncio.run(run())
files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items()) if module is not None}
print(json.dumps({"frames": len(frames), "files": {n: f for n, f in files.items() if f}}))
"""


@pytest.mark.screen
def test_it_draws_on_what_the_recipes_build_and_loads_nothing_else(
    folder: Path, recipes: Path, system: str, display: str, tmp_path: Path
) -> None:
    wanted = assemble.SYSTEMS[system]
    paths = json.dumps([str(folder / "app"), str(recipes)])
    said = subprocess.run(
        [sys.executable, "-I", "-S", "-OO", "-c", LOADER, paths, json.dumps(wanted.lacks), system, str(tmp_path)],
        env={**os.environ, "KIVY_HOME": str(tmp_path / "kivy"), "DISPLAY": display},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert said.returncode == 0, said.stderr[-3000:]
    told = json.loads(said.stdout.splitlines()[-1])
    assert told["frames"] >= 3
    standard = Path(sysconfig.get_path("stdlib")).resolve()
    compiled = set()
    for name, file in told["files"].items():
        place = Path(file)
        assert place.is_relative_to(folder) or place.is_relative_to(recipes) or place.resolve().is_relative_to(standard), (
            name
        )
        if place.suffix in COMPILED and not place.resolve().is_relative_to(standard):
            compiled.add(name.split(".")[0])
    assert compiled == {"kivy", "numpy"}
    assert compiled <= wanted.recipes.keys()
    assert {"tablet_client.view.viewer", "calque.v1.segmentation_pb2", "grpclib.client"} <= told["files"].keys()


def test_what_computes_with_numpy_works_on_the_recipes(recipes: Path, system: str) -> None:
    """On Android's, which is nearly the tests' own, nothing but that it loads is tried."""
    code = "import numpy; print(numpy.__version__)"
    path = os.pathsep.join([str(recipes), str(ROOT), str(ROOT / "proto")])
    env = {**os.environ, "PYTHONPATH": path}
    version = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert version == assemble.SYSTEMS[system].recipes["numpy"]
    if system == "android":
        return
    tests = [
        f"tests/tablet/state/test_{name}.py" for name in ("contrast", "document", "geometry", "probabilities", "viewport")
    ]
    tests += ["tests/test_raster.py", "tests/test_wire.py"]
    quiet = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "filterwarnings="]
    run = [sys.executable, "-m", "pytest", *quiet, *tests]
    said = subprocess.run(run, cwd=ROOT, env=env, capture_output=True, text=True, timeout=250, check=False)
    assert said.returncode == 0, said.stdout[-3000:]


@pytest.mark.parametrize("platform", ["x86_64-pc-windows-msvc", "aarch64-apple-darwin"])
def test_the_client_installs_from_wheels_on_other_computers(platform: str, uv: str) -> None:
    command = [uv, "pip", "compile", "--quiet", "--python-platform", platform, "--python-version", "3.13"]
    command += ["--only-binary", ":all:", "--no-deps", "--no-header", str(assemble.LOCK)]
    said = subprocess.run(command, capture_output=True, text=True, check=False, env=assemble.clean())
    assert said.returncode == 0, said.stderr
    assert ("kivy-deps-sdl2" in said.stdout) == ("windows" in platform)


@pytest.fixture(scope="module")
def specification() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "deploy" / "tablet" / "buildozer.spec")
    return parser["app"]


def test_the_application_asks_for_the_network_alone(specification: configparser.SectionProxy) -> None:
    assert specification["android.permissions"] == "android.permission.INTERNET"
    assert not any(name.startswith(("services", "android.wakelock", "android.features")) for name in specification)
    assert specification["android.allow_backup"] == "False"


def test_the_specification_is_for_64_bit_tablets_and_names_recipes_alone(specification: configparser.SectionProxy) -> None:
    assert specification["android.archs"] == "arm64-v8a"
    assert int(specification["android.minapi"]) == 24
    assert int(specification["android.api"]) >= 35
    assert specification["p4a.bootstrap"] == "sdl2"  # its surface has the listener of tablet_client/android/bridge.py
    recipes = assemble.SYSTEMS["android"].recipes
    named = dict(entry.partition("==")[::2] for entry in specification["requirements"].split(","))
    assert named.keys() - {"python3"} == recipes.keys()
    assert all(version in ("", recipes.get(name)) for name, version in named.items())


def test_the_specification_is_of_this_version(specification: configparser.SectionProxy) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert specification["version"] == project["version"]
    assert recipe_kivy() in project["optional-dependencies"]["tablet"]


def recipe_kivy() -> str:
    versions = {system.recipes["kivy"] for system in assemble.SYSTEMS.values()}
    assert len(versions) == 1
    return f"kivy=={versions.pop()}"


def test_the_icon_is_small_and_what_its_script_draws() -> None:
    data = (ROOT / "deploy" / "tablet" / "icon.png").read_bytes()
    assert len(data) < 40_000
    drawn = _load("icon").draw()
    head, pixels = data[16:29], zlib.decompress(data[41:-16])  # one chunk of each kind, as the script writes them
    assert head == struct.pack(">IIBBBBB", drawn.shape[1], drawn.shape[0], 8, 2, 0, 0, 0)  # 8 bits, no transparency
    lines = np.frombuffer(pixels, np.uint8).reshape(drawn.shape[0], -1)
    assert np.abs(lines[:, 1:].reshape(drawn.shape).astype(int) - drawn).max() <= 1


def test_no_file_names_a_host() -> None:
    for path in (ROOT / "deploy" / "tablet").iterdir():
        if path.suffix in (".spec", ".py", ".xml"):
            assert "://" not in path.read_text(), path.name
