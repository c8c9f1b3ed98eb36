"""Machine code on disk: found again, never trusted when altered or open to others, never in the way."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="native kernels are machine code made by llvmlite")

from autograd_core.backends.cpu.native import cache, emit, engine, identity, machine
from autograd_core.backends.cpu.native.cache import Cache, default_directory
from autograd_core.backends.cpu.native.engine import KernelSpec

owned = pytest.mark.skipif(not hasattr(os, "getuid"), reason="this system's files have no owner and mode")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache" / "native"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The default cache in a folder of the test's own."""
    monkeypatch.setenv(cache.DIRECTORY_VARIABLE, str(tmp_path))
    return tmp_path / "native"


def test_what_is_put_is_found_also_by_others(folder):
    Cache(folder).put("a", b"code")
    assert Cache(folder).get("a") == b"code"
    assert Cache(folder).get("b") is None
    assert [p.name for p in folder.iterdir()] == ["a"]


def test_empty_and_large_contents_are_kept(folder):
    kept = Cache(folder)
    for name, data in {"empty": b"", "large": os.urandom(1 << 20)}.items():
        kept.put(name, data)
        assert kept.get(name) == data


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[:10],
        lambda content: b"",
        lambda content: content + b"x",
        lambda content: content[:-3] + bytes([content[-3] ^ 1]) + content[-2:],
        lambda content: b"X" + content[1:],
    ],
    ids=["cut by a byte", "cut to a stump", "emptied", "lengthened", "one bit turned", "another format"],
)
def test_a_damaged_file_counts_as_absent_and_is_replaced(folder, damage):
    kept = Cache(folder)
    kept.put("a", b"some code")
    (folder / "a").write_bytes(damage((folder / "a").read_bytes()))
    assert kept.get("a") is None
    kept.put("a", b"some code")
    assert kept.get("a") == b"some code"


def test_a_file_under_another_files_name_counts_as_absent(folder):
    kept = Cache(folder)
    kept.put("a", b"code of a")
    os.rename(folder / "a", folder / "b")
    assert kept.get("b") is None


@owned
def test_the_folder_and_its_files_are_the_users_alone(folder):
    Cache(folder).put("a", b"code")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "a").stat().st_mode & 0o777 == 0o600


@owned
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_not_read(folder, mode):
    Cache(folder).put("a", b"code")
    (folder / "a").chmod(mode)
    assert Cache(folder).get("a") is None


@owned
def test_a_link_is_not_followed(folder, tmp_path):
    Cache(folder).put("a", b"code")
    os.rename(folder / "a", tmp_path / "elsewhere")
    (folder / "a").symlink_to(tmp_path / "elsewhere")
    assert Cache(folder).get("a") is None


@owned
def test_files_of_another_user_are_not_read(folder, monkeypatch):
    kept = Cache(folder)
    kept.put("a", b"code")
    assert kept.get("a") == b"code"
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert kept.get("a") is None


@owned
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o750, 0o707])
def test_a_folder_open_to_others_is_not_used(folder, mode):
    Cache(folder).put("a", b"code")
    folder.chmod(mode)
    kept = Cache(folder)
    with pytest.warns(RuntimeWarning, match="others may use it"):
        assert kept.get("a") is None
    kept.put("b", b"code")
    assert not (folder / "b").exists()


@owned
def test_a_folder_of_another_user_is_not_used(folder, monkeypatch):
    Cache(folder).put("a", b"code")
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.warns(RuntimeWarning, match="belongs to another user"):
        assert Cache(folder).get("a") is None


def test_a_folder_that_cannot_be_made_is_reported_once(tmp_path):
    (tmp_path / "file").write_text("in the way")
    kept = Cache(tmp_path / "file" / "native")
    with pytest.warns(RuntimeWarning, match=f"Set {cache.DIRECTORY_VARIABLE}"):
        kept.put("a", b"code")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept.put("a", b"code")
        assert kept.get("a") is None


def test_a_folder_that_can_no_longer_be_written_is_reported_once(folder):
    kept = Cache(folder)
    kept.put("a", b"code")
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    with pytest.warns(RuntimeWarning, match="cannot be kept"):
        kept.put("b", b"code")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept.put("b", b"code")


def test_files_used_longest_ago_go_when_there_are_too_many(folder):
    Cache(folder).put("unused", bytes(1000))
    now = time.time()
    for i in range(10):
        Cache(folder).put(f"f{i}", bytes(1000))
        os.utime(folder / f"f{i}", (now - 1000 + i, now - 1000 + i))
    os.utime(folder / "unused", (now - 5000, now - 5000))
    Cache(folder, largest=8000).put("new", b"")
    left = {p.name for p in folder.iterdir()}
    assert "new" in left
    assert left & {"unused", "f0", "f1", "f2"} == set()
    assert {"f8", "f9"} <= left
    assert sum(p.stat().st_size for p in folder.iterdir()) <= 8000


def test_reading_counts_as_use(folder):
    kept = Cache(folder)
    kept.put("a", b"code")
    long_ago = time.time() - 10 * cache.DAY
    os.utime(folder / "a", (long_ago, long_ago))
    kept.get("a")
    assert (folder / "a").stat().st_mtime > long_ago + cache.DAY


def test_what_a_writer_left_that_died_is_cleared_away(folder):
    kept = Cache(folder)
    kept.get("a")
    for name, age in {"new-old": 2 * cache.DAY, "new-young": 60.0}.items():
        (folder / name).write_bytes(b"half a file")
        os.utime(folder / name, (time.time() - age,) * 2)
    kept.put("a", b"code")
    assert {p.name for p in folder.iterdir()} == {"a", "new-young"}


def test_processes_may_share_a_folder(folder):
    code = f"""
        from pathlib import Path
        from autograd_core.backends.cpu.native.cache import Cache
        kept = Cache(Path({str(folder)!r}), largest=20_000)
        for i in range(200):
            data = bytes([i % 7]) * 1000 * (1 + i % 7)
            found = kept.get(f"f{{i % 7}}")
            assert found is None or found == data, i
            kept.put(f"f{{i % 7}}", data)
            kept._trim()
    """
    workers = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stderr=subprocess.PIPE) for _ in range(3)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=60)
        assert worker.returncode == 0, errors.decode()
    assert all(p.name in {f"f{i}" for i in range(7)} for p in folder.iterdir())


def test_the_directory_is_the_users_or_the_one_named(monkeypatch, tmp_path):
    monkeypatch.delenv(cache.DIRECTORY_VARIABLE, raising=False)
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert default_directory() == tmp_path / "autograd_core" / "native"
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")
        assert default_directory() == Path.home() / ".cache" / "autograd_core" / "native"
    monkeypatch.setenv(cache.DIRECTORY_VARIABLE, str(tmp_path / "own"))
    assert default_directory() == tmp_path / "own" / "native"


# ------------------------------------------------------------------------------------ kernels in it


def storing(value: float, calls: list | None = None, name: str = "storing") -> KernelSpec:
    """Stores a number; notes each time its code is written."""

    def emit_store(b, m):
        if calls is not None:
            calls.append(value)
        emit.store(b, emit.constant(emit.F64, value), b.operands[0])

    return KernelSpec(name, ("storing", value), 1, emit_store)


def run(spec: KernelSpec, m=None) -> float:
    code, (address,) = engine.linked([spec], m or machine.host())
    result = np.zeros(1)
    operands = (ctypes.c_int64 * 1)(result.ctypes.data)
    shared = np.zeros(emit.SHARED_BYTES // 8, np.int64)
    team = (ctypes.c_int64 * 3)(0, 1, shared.ctypes.data)
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    kind(address)(operands, None, team)
    assert code is not None
    return float(result[0])


@pytest.fixture
def compilations(monkeypatch):
    """What LLVM was asked to compile."""
    made = []
    compiled = engine.compiled
    monkeypatch.setattr(engine, "compiled", lambda text, m: made.append(text) or compiled(text, m))
    return made


def test_a_kernel_is_compiled_once_for_all_processes(here, compilations):
    assert run(storing(1.5)) == 1.5
    assert run(storing(1.5)) == 1.5
    assert run(storing(2.5)) == 2.5
    assert len(compilations) == 2
    assert len(list(here.iterdir())) == 2


def test_a_damaged_kernel_is_compiled_again(here, compilations):
    run(storing(1.5))
    (path,) = here.iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    assert run(storing(1.5)) == 1.5
    assert len(compilations) == 2


def test_a_kernel_for_another_machine_is_another(here, compilations):
    run(storing(1.5))
    run(storing(1.5), machine.limited("scalar"))
    assert len(compilations) == 2


def test_a_kernel_written_elsewhere_is_known_by_its_text_whatever_its_key_says(here):
    assert run(storing(1.5)._replace(key="same")) == 1.5
    assert run(storing(2.5)._replace(key="same")) == 2.5


def test_a_kernel_of_this_package_is_known_by_its_key_and_not_written_again(here, monkeypatch, compilations):
    monkeypatch.setattr(identity, "_written_here", lambda function: True)
    monkeypatch.setattr(identity, "_sources", lambda: "version 1")
    written: list = []
    assert [run(storing(v, written)) for v in (1.5, 1.5, 2.5)] == [1.5, 1.5, 2.5]
    assert written == [1.5, 2.5]
    monkeypatch.setattr(identity, "_sources", lambda: "version 2")
    run(storing(1.5, written))
    assert written == [1.5, 2.5, 1.5]
    monkeypatch.setattr(identity, "_sources", lambda: None)  # sources changed since they were loaded: back to the text
    run(storing(1.5, written))
    run(storing(1.5, written))
    assert written == [1.5, 2.5, 1.5, 1.5, 1.5]


def test_without_a_folder_everything_still_runs(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(cache.DIRECTORY_VARIABLE, str(tmp_path / "file"))
    with pytest.warns(RuntimeWarning, match="every process will compile anew"):
        assert run(storing(1.5)) == 1.5
    assert run(storing(1.5)) == 1.5


def test_many_kernels_compiled_by_several_threads_are_the_same_as_one_by_one(here, monkeypatch):
    monkeypatch.setattr(engine, "default_threads", lambda: 4)
    m = machine.host()
    specs = [storing(float(i), name=f"k{i}") for i in range(40)]
    engine.linked(specs, m)
    found = sorted(len(p.read_bytes()) for p in here.iterdir())
    assert len(found) == 40
    for spec in specs[::8]:
        text = str(engine.entry(spec, m, engine.ENTRY))
        name = identity.of_text(text, identity.platform(m, str(engine.PIPELINE)))
        alone = engine.compiled(text.replace(engine.ENTRY, f"{spec.name}_{name[:16]}"), m)
        assert cache.default_cache().get(name) == alone


def test_kernels_of_different_keys_may_be_the_same_code(here):
    specs = [storing(1.5)._replace(key=key) for key in ("a", "b", "c")]
    _, addresses = engine.linked(specs, machine.host())
    assert len(set(addresses)) == 1


def test_kernels_of_equal_code_and_different_names_are_both_found(here):
    assert run(storing(1.5, name="first")) == 1.5
    assert run(storing(1.5, name="second")) == 1.5


def test_an_error_in_a_kernels_code_reaches_the_caller(here):
    def broken(b, m):
        raise RuntimeError("no such layout")

    with pytest.raises(RuntimeError, match="no such layout"):
        engine.linked([KernelSpec("broken", "broken", 1, broken)], machine.host())
    assert gc.isenabled()


@pytest.mark.parametrize("collects", [True, False])
def test_the_garbage_collector_is_left_as_it_was(here, collects):
    if not collects:
        gc.disable()
    try:
        run(storing(1.5))
        assert gc.isenabled() == collects
    finally:
        gc.enable()


def fibonacci(count: int) -> KernelSpec:
    """Stores Fibonacci's number ``count``, from variables and a loop; ``count`` more in a row make the text long."""

    def emit_loop(b, m):
        one = emit.constant(emit.F64, 1.0)
        last, number = (emit.local(b, emit.F64, one) for _ in range(2))

        def advance():
            a, c = (b.load(place, typ=emit.F64) for place in (last, number))
            b.store(c, last)
            b.store(b.fadd(a, c), number)

        with emit.loop(b, 0, count):
            advance()
        for _ in range(count):
            advance()
        emit.store(b, b.load(number, typ=emit.F64), b.operands[0])

    return KernelSpec("fibonacci", ("fibonacci", count), 1, emit_loop)


@pytest.mark.parametrize(("count", "short", "number"), [(5, True, 144.0), (35, False, 498454011879264.0)])
def test_short_texts_and_long_ones_go_through_passes_of_their_own(here, monkeypatch, count, short, number):
    asked = []
    passes = engine._passes
    monkeypatch.setattr(engine, "_passes", lambda: asked.append(count) or passes())
    assert run(fibonacci(count)) == number
    assert asked == ([] if short else [count])


def test_an_llvmlite_without_one_of_the_passes_has_its_default_pipeline(here, monkeypatch):
    monkeypatch.setitem(engine.PIPELINE, "passes", (*engine.PIPELINE["passes"], "unheard_of"))
    assert engine._passes() is None
    assert run(fibonacci(35)) == 498454011879264.0
