"""What builds the application, asked itself: buildozer reads our specification, and the recipes are what we assume."""

from __future__ import annotations

import filecmp
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tablet.test_packaging import assemble, uv

__all__ = ["uv"]  # a fixture

BUILDERS = ("buildozer==1.6.0", "python-for-android==2026.5.9", "kivy-ios==2025.5.17")

# Reads a specification and copies sources as buildozer does, and has python-for-android resolve what is required.
READER = """
import json, sys
from buildozer import Buildozer
buildozer = Buildozer("buildozer.spec")
buildozer.set_target("android")
buildozer._copy_application_sources()
from pythonforandroid.bootstrap import Bootstrap
from pythonforandroid.build import Context
from pythonforandroid.graph import get_recipe_order_and_bootstrap
config = buildozer.config
context = Context()
context.setup_dirs(sys.argv[1])
asked = [name.partition("==")[0] for name in config.getlist("app", "requirements", [])]
bootstrap = Bootstrap.get_bootstrap(config.get("app", "p4a.bootstrap"), context)
recipes, modules, _ = get_recipe_order_and_bootstrap(context, asked, bootstrap)
told = {"recipes": recipes, "modules": modules, "flags": buildozer.target.extra_p4a_args, "app": buildozer.app_dir}
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def builders(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The builders, in a folder."""
    folder = tmp_path_factory.mktemp("builders")
    install = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder)]
    subprocess.run([*install, *BUILDERS[:2]], check=True, env=assemble.clean())
    subprocess.run([*install, "--no-deps", BUILDERS[2]], check=True, env=assemble.clean())
    return folder


def version(recipe: Path) -> str:
    """Of what a recipe builds, as far as it says so."""
    found = re.search(r"^ +version = [\"']v?([^\"']+)[\"']", (recipe / "__init__.py").read_text(), flags=re.MULTILINE)
    return found[1] if found else ""


@pytest.mark.parametrize(("system", "recipes"), [("android", "pythonforandroid/recipes"), ("ios", "kivy_ios/recipes")])
def test_the_recipes_build_what_the_tests_assume(builders: Path, system: str, recipes: str) -> None:
    wanted = assemble.SYSTEMS[system]
    assert {name: version(builders / recipes / name) for name in wanted.recipes} == wanted.recipes
    assert version(builders / recipes / "python3").startswith(f"{wanted.python}.")
    kivy = (builders / recipes / "kivy" / "__init__.py").read_text()
    listed = re.search(r"python_depends = \[(.*?)\]", kivy, flags=re.DOTALL)
    assert listed is not None
    assert tuple(re.findall(r"[\"']([^\"']+)[\"']", listed[1])) == wanted.depends


def test_the_recipes_for_ios_lack_what_the_tests_take_away(builders: Path) -> None:
    folder = builders / "kivy_ios" / "recipes" / "python3"
    built = {line.split()[0] for name in ("ModulesSetup", "ModulesSetup.mobile") for line in lines(folder / name)}
    assert {"_asyncio", "_ssl", "_socket", "zlib"} <= built
    assert built.isdisjoint(assemble.SYSTEMS["ios"].lacks)


def lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if re.match(r"\w", line)]


def test_buildozer_takes_the_specification_and_all_files(
    builders: Path,
    uv: str,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "tablet"
    assemble.assemble(folder, assemble.SYSTEMS["android"], uv)
    said = subprocess.run(
        [sys.executable, "-c", READER, str(tmp_path / "storage")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(builders), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert said.returncode == 0, said.stdout[-2000:] + said.stderr[-2000:]
    told = json.loads(said.stdout.splitlines()[-1])
    assert {"python3", "kivy", "numpy", "pyjnius", "android", "sdl2", "openssl"} <= set(told["recipes"])
    assert set(told["modules"]) - {"six"} <= set(assemble.SYSTEMS["android"].depends)  # pyjnius asks for six
    assert "--ndk-api=24" in told["flags"]
    ours = {path.relative_to(folder / "app") for path in (folder / "app").rglob("*") if path.is_file()}
    theirs = {path.relative_to(told["app"]) for path in Path(told["app"]).rglob("*") if path.is_file()}
    assert ours - theirs == set()
    assert filecmp.cmpfiles(folder / "app", told["app"], map(str, ours), shallow=False)[1:] == ([], [])
