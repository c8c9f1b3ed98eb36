"""What every test shares: Hypothesis profiles, and pictures drawn without a display."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Before anything imports matplotlib.
os.environ.setdefault("MPLBACKEND", "Agg")

# A machine's load is no property of the code, hence no deadlines; CI draws the same examples every time.
settings.register_profile("default", deadline=None)
settings.register_profile("quick", parent=settings.get_profile("default"), max_examples=10)
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "default"))


# Machine code is kept on disk. A run that shares no folder with others compiles all that it tests, and needs no home.
MACHINE_CODE = "AUTOGRAD_CORE_CACHE_DIR"
_own_folder = None if os.environ.get(MACHINE_CODE) else tempfile.mkdtemp(prefix="autograd_core_tests_")
if _own_folder is not None:
    os.environ[MACHINE_CODE] = _own_folder


def pytest_sessionfinish() -> None:
    if _own_folder is not None:
        shutil.rmtree(Path(_own_folder), ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests are shared among workers, the page of operations meets the verdicts that it is compared with."""
    for item in items:
        if item.config.pluginmanager.hasplugin("xdist") and item.path.stem in ("test_ops", "test_ops_page"):
            item.add_marker(pytest.mark.xdist_group("op table"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-case", action="store_true", help="compile every case of the op table, not some of each")
    parser.addoption("--write-operations", action="store_true", help="write docs/operations.md from what they find")


@pytest.fixture(params=["numpy", "cpu"])
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """The default device: one that runs compiled functions kernel by kernel, and one that makes machine code."""
    import autograd_core as ag

    with ag.default_device(request.param):
        yield request.param
