"""What every test shares: Hypothesis profiles, and pictures drawn without a display."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# Before anything imports matplotlib.
os.environ.setdefault("MPLBACKEND", "Agg")

# A machine's load is no property of the code, hence no deadlines; CI draws the same examples every time.
settings.register_profile("default", deadline=None)
settings.register_profile("quick", parent=settings.get_profile("default"), max_examples=10)
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "default"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-operations", action="store_true", help="write docs/operations.md from what they find")
