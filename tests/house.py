"""Where the sources lie and under which name each installs, as pyproject.toml says."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def package_roots(root: Path = ROOT) -> dict[str, Path]:
    """Installed package name -> folder, for the folders that stand at the top level."""
    mapping = pyproject()["tool"]["setuptools"]["package-dir"]
    return {name: root / folder for name, folder in mapping.items()}


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Installed module name -> file, for every Python file under the package roots."""
    found = {}
    for name, folder in package_roots(root).items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            if parts[-1] == "__init__":
                parts = parts[:-1]
            found[".".join((name, *parts))] = path
    return found
