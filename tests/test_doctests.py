"""Every example in a docstring runs, under the name by which a user imports its module."""

from __future__ import annotations

import doctest
import importlib

import pytest
from house import modules

OPTIONAL = {"cupy", "einops", "llvmlite", "matplotlib", "numba", "sklearn", "torch"}
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
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    cases = doctest.DocTestFinder().find(module, name)
    failed = sum(runner.run(case, out=report.append).failed for case in cases)
    assert failed == 0, "".join(report)
