"""What every test shares: Hypothesis profiles, and pictures drawn without a display."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

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


ON_ANY_DEVICE = re.compile(r"test_ops|test_(nn|optim)(_\w+)?")  # modules of tests that ``--device`` runs
_devices = ExitStack()
_SAID = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    device = config.getoption("--device")
    if device:
        import cuda_tools

        config.stash[_SAID] = f"the default device is {device}"
        if not cuda_tools.is_usable(device):
            _devices.enter_context(cuda_tools.fake_devices())
            config.stash[_SAID] = f"the default device is {device} of the fake CuPy, not on hardware"
        import autograd_core as ag

        _devices.enter_context(ag.default_device(device))  # for what modules make as they are collected, too


def pytest_report_header(config: pytest.Config) -> list[str]:
    said = config.stash.get(_SAID, "")
    return [said] if said else []


def pytest_unconfigure() -> None:
    _devices.close()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``--dist loadfile``, slow files first."""
    if config.getoption("dist") != "loadfile":
        return None
    from by_file import ByFile

    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``--device``, the tests that run on any device, alone."""
    if config.getoption("--device"):
        others = [item for item in items if not ON_ANY_DEVICE.fullmatch(item.path.stem)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if ON_ANY_DEVICE.fullmatch(item.path.stem)]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-case", action="store_true", help="compile every case of the op table and every example")
    parser.addoption("--device", help="run the op table on this device; cuda: on the fake CuPy where there is no GPU")
    parser.addoption("--write-operations", action="store_true", help="write docs/operations.md from what they find")


@pytest.fixture(params=["numpy", "cpu"])
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """The default device: one that runs compiled functions kernel by kernel, and one that makes machine code."""
    import autograd_core as ag

    with ag.default_device(request.param):
        yield request.param
