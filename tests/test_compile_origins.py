"""Whose code something is: installed packages that build on this one are the user's, and nobody's objects are asked."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

import autograd_core as ag
from autograd_core.compiler import origins

INSTALLED = "/somewhere/site-packages/{}/__init__.py"


class Touchy:
    """Answers for nothing, as objects that load a library, or warn, when they are first asked."""

    def __getattribute__(self, name: str) -> object:
        raise AssertionError(f"{name} was asked for")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("some_installed_package")
    module.__file__ = INSTALLED.format(module.__name__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    origins._is_foreign.cache_clear()
    yield module
    origins._is_foreign.cache_clear()


def test_objects_of_other_libraries_are_not_asked(installed: ModuleType) -> None:
    installed.touchy, installed.lazy = Touchy(), Touchy
    assert origins.is_foreign(installed.__name__)


@pytest.mark.parametrize("uses", [ag, ag.exp, ag.Tensor, ag.ones(2)], ids=["module", "function", "class", "object"])
def test_what_builds_on_us_is_the_users(installed: ModuleType, uses: object) -> None:
    installed.touchy, installed.uses = Touchy(), uses
    assert not origins.is_foreign(installed.__name__)
