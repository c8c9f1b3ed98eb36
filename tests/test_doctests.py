"""Every example in a docstring or in docs/ runs; a docstring's under the name by which a user imports its module."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest
from house import modules

from autograd_core.nn.data import MissingPackageError

OPTIONAL = {"cupy", "einops", "jax", "llvmlite", "matplotlib", "numba", "sklearn", "torch"}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

# Importing a __main__ runs it.
NAMES = [name for name in modules() if not name.endswith(".__main__")]


@pytest.mark.parametrize("name", NAMES)
def test_examples_in_docstrings_run(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in OPTIONAL:
            raise
        pytest.skip(f"{name} needs {error.name}")
    except MissingPackageError as error:
        pytest.skip(str(error))
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    cases = doctest.DocTestFinder().find(module, name)
    failed = sum(runner.run(case, out=report.append).failed for case in cases)
    assert failed == 0, "".join(report)


ELSEWHERE = {"backends.md"}  # test_backends installs the plug-in that it prints, and then runs its session
PAGES = [
    page
    for page in sorted((Path(__file__).parent.parent / "docs").glob("*.md"))
    if ">>> " in page.read_text() and page.name not in ELSEWHERE
]


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_examples_in_the_documentation_run(page: Path) -> None:
    text = "\n".join("" if line.startswith("```") else line for line in page.read_text().splitlines())
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    case = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    assert runner.run(case, out=report.append).failed == 0, "".join(report)
