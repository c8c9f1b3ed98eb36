"""What names a kernel: its key, spelt out, and the sources that it is made from."""

from __future__ import annotations

import subprocess
import sys
from enum import Enum
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="native kernels are machine code made by llvmlite")

from autograd_core.backends.cpu.native import engine, identity
from autograd_core.compiler import ir
from autograd_core.ops import _sampling, _windows, philox


class Pair(NamedTuple):
    a: object
    b: object


class Couple(NamedTuple):
    a: object
    b: object


class Colour(Enum):
    RED = 1
    BLUE = 2


KEYS = [
    1,
    1.0,
    True,
    "1",
    b"1",
    1 + 0j,
    None,
    0.0,
    -0.0,
    float("nan"),
    float("inf"),
    (1, 2),
    [1, 2],
    (1, (2,)),
    ((1,), 2),
    ("a", "b"),
    ("a,str:'b'",),
    ("ab",),
    Pair(1, 2),
    Couple(1, 2),
    {1: 2},
    frozenset({1, 2}),
    np.dtype("float32"),
    np.dtype("float64"),
    np.dtype(">f4"),
    np.float32(1),
    np.int64(1),
    np.int32(1),
    Colour.RED,
    Colour.BLUE,
    np.float32,
    float,
]


def test_different_keys_are_spelt_differently_and_equal_ones_alike():
    spelt = [identity.spelling(k) for k in KEYS]
    assert len(set(spelt)) == len(KEYS)
    assert identity.spelling(("a", np.dtype("float32"), 1.5)) == identity.spelling(("a", np.dtype(np.float32), 3 / 2))
    assert identity.spelling(frozenset("abc")) == identity.spelling(frozenset("cba"))


@pytest.mark.parametrize("key", [object(), len, lambda: 0, (1, object()), np.zeros(3)])
def test_what_has_an_address_and_no_text_is_not_spelt(key):
    with pytest.raises(TypeError, match="no spelling"):
        identity.spelling(key)


def test_only_this_packages_kernels_are_known_by_their_key():
    assert identity._written_here(engine.build)
    assert identity._written_here(partial(partial(engine.build, 1), 2))
    assert not identity._written_here(test_different_keys_are_spelt_differently_and_equal_ones_alike)
    assert not identity._written_here(lambda b, m: None)
    assert not identity._written_here(np.add)


def test_sources_changed_since_they_were_loaded_name_nothing(monkeypatch):
    identity._sources.cache_clear()
    monkeypatch.setattr(identity, "LOADED", 0.0)
    assert identity._sources() is None
    identity._sources.cache_clear()
    monkeypatch.setattr(identity, "LOADED", float("inf"))
    assert identity._sources()
    identity._sources.cache_clear()


def test_sources_are_those_that_kernels_take_constants_and_tables_from(tmp_path, monkeypatch):
    identity._sources.cache_clear()
    folders: list[Path] = []
    monkeypatch.setattr(identity, "LOADED", float("inf"))
    monkeypatch.setattr(identity, "_hash_of", lambda given: folders.extend(given) or "a hash")
    assert identity._sources() == "a hash"
    identity._sources.cache_clear()
    for module in (engine, ir, philox, _sampling, _windows):
        assert Path(module.__file__).parent in folders
    monkeypatch.undo()


def test_sources_are_watched_from_when_the_first_of_them_is_loaded():
    # the operations are there from the start, kernels from the first compilation on: what is changed between is known
    script = "import time, autograd_core; t = time.time(); from autograd_core.backends.cpu.native import identity as i"
    subprocess.run([sys.executable, "-c", f"{script}; assert i.LOADED <= t"], check=True)


def test_the_hash_of_sources_is_another_when_one_changes_and_none_where_there_are_none(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "LOADED", float("inf"))
    full, empty = tmp_path / "full", tmp_path / "empty"
    full.mkdir(), empty.mkdir()
    (full / "a.py").write_text("x = 1")
    first = identity._hash_of([full])
    assert first == identity._hash_of([full])
    (full / "a.py").write_text("x = 2")
    second = identity._hash_of([full])
    (full / "b.py").write_text("")
    assert len({first, second, identity._hash_of([full])}) == 3
    # a frozen application has no sources: its kernels are named by their text, for another version has none either
    assert identity._hash_of([empty]) is None
    assert identity._hash_of([full, empty]) is None
    assert identity._hash_of([tmp_path / "absent"]) is None
