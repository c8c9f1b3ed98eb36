"""What is installed is what lies in the folders, under one import root."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from house import ROOT, modules, package_roots, pyproject


def packages_on_disk() -> set[str]:
    return {name for name, path in modules().items() if path.name == "__init__.py"}


def test_every_folder_with_an_init_is_a_listed_package() -> None:
    assert packages_on_disk() == set(pyproject()["tool"]["setuptools"]["packages"])


def test_every_python_file_lies_in_a_listed_package() -> None:
    listed = packages_on_disk()
    homeless = [
        str(path.relative_to(ROOT))
        for name, path in modules().items()
        if path.name != "__init__.py" and name.rpartition(".")[0] not in listed
    ]
    assert not homeless, f"these folders lack an __init__.py: {homeless}"


def test_entry_points_name_the_three_built_in_backends() -> None:
    declared = pyproject()["project"]["entry-points"]["autograd_core.backends"]
    installed = {
        point.name: point.value
        for point in entry_points(group="autograd_core.backends")
        if point.dist is not None and point.dist.name == "autograd-core"
    }
    assert set(declared) == {"numpy", "cpu", "cuda"}
    assert installed == declared, "pyproject.toml changed since the last install: run `make env`"


def test_every_entry_point_loads_without_a_gpu() -> None:
    for point in entry_points(group="autograd_core.backends"):
        if point.dist is not None and point.dist.name == "autograd-core":
            assert isinstance(point.load(), type), point.value


def test_the_extras_promised_to_users_exist() -> None:
    extras = pyproject()["project"]["optional-dependencies"]
    assert {"cuda13", "cuda12", "cudnn13", "cudnn12", "examples", "bench", "test", "docs"} <= set(extras)


def test_the_running_python_is_one_that_pyproject_allows() -> None:
    floor = re.fullmatch(r">=(\d+)\.(\d+)", pyproject()["project"]["requires-python"])
    assert floor is not None
    assert sys.version_info[:2] >= tuple(map(int, floor.groups()))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("setuptools", minversion="77", reason="building a wheel offline needs setuptools")
    # Built from a copy: setuptools leaves build/ and *.egg-info beside the sources, and reuses what it finds there.
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    for path in [*modules().values(), ROOT / "autograd_core" / "py.typed"]:
        target = source / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "--wheel-dir", out, source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_every_module_under_its_import_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    expected = {"autograd_core/py.typed"}
    for name, path in modules().items():
        stem = name.replace(".", "/")
        expected.add(f"{stem}/__init__.py" if path.name == "__init__.py" else f"{stem}.py")
    info = f"autograd_core-{pyproject()['project']['version']}.dist-info/"
    shipped = {name for name in names if not name.startswith(info)}
    assert shipped == expected
    assert f"{info}licenses/LICENSE" in names


def test_the_wheel_works_by_itself(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    # First on the path, the unpacked wheel wins over an editable install.
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import importlib
for name in {sorted(package_roots())!r}:
    path = importlib.import_module(name).__file__
    assert path.startswith({str(tmp_path)!r}), path
"""
    done = subprocess.run([sys.executable, "-I", "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
