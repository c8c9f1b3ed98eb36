"""Backends: ours pass the suite that others must pass, the suite notices faults, plug-ins cannot hurt each other."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from house import ROOT
from op_table import CASES
from plugins import boxed

import autograd_core as ag
from autograd_core import backend as registry
from autograd_core.backend import Availability, get_device
from autograd_core.backends import conformance
from autograd_core.backends.numpy import NumpyBackend
from autograd_core.errors import DeviceError
from autograd_core.ops.arithmetic import add_p, negative_p
from autograd_core.ops.exponential import exp_p
from autograd_core.ops.random import random_normal_p

# moving to another device is checked by the suite itself
TABLE = [
    conformance.Case(case.name, case.fn, case.make(np.random.default_rng(0)))
    for case in CASES
    if case.function != "transfer"
]


def table(config: pytest.Config) -> list[conformance.Case]:
    """One case of each function, the last; or all of them."""
    if config.getoption("--every-case"):
        return TABLE
    last = {case.function: case.name for case in CASES}
    return [case for case in TABLE if case.name in last.values()]


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Registers classes as backends for one test, as their entry points would."""
    points = dict(registry._entry_points())
    monkeypatch.setattr(registry, "_entry_points", lambda: points)
    monkeypatch.setattr(registry, "_BACKENDS", dict(registry._BACKENDS))
    monkeypatch.setattr(registry, "_DEVICES", dict(registry._DEVICES))

    def register(name: str, load: Callable[[], Any], package: str = "plugin") -> None:
        point = SimpleNamespace(name=name, value=f"{package}:Backend", load=load, dist=SimpleNamespace(name=package))
        points[name] = [*points.get(name, []), point]

    return register


# Conformance -----------------------------------------------------------------------------------------------------


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``test_ops`` compares every case on the two; here of each function one, or all with ``--every-case``."""
    if "check" in metafunc.fixturenames and metafunc.function is test_cpu_conforms:
        metafunc.parametrize("check", conformance.checks("cpu", table(metafunc.config)), ids=str)


def test_cpu_conforms(check: conformance.Check) -> None:
    check()


def test_numpy_conforms_and_the_cases_run_every_primitive() -> None:
    report = conformance.run("numpy", TABLE)
    assert report.ok, str(report)
    assert report.unreached == [], "give these a case in tests/op_table or in backends/conformance/cases.py"


def test_arrays_that_are_not_numpys_conform(plug, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> None:
    """What passes here asks nothing of arrays that a device's would not do."""
    plug("boxed", lambda: boxed.BoxedBackend)
    monkeypatch.setattr(boxed.BoxedBackend, "device_count", lambda self: 1)  # two are looked at below
    report = conformance.run("boxed", table(pytestconfig))
    assert report.ok, str(report)


def test_an_unavailable_backend_need_only_say_why() -> None:
    report = conformance.run("cuda")
    if not report.reason:
        pytest.skip("CUDA works here")
    assert report.ok, str(report)
    assert report.passed == ["protocol", "availability", "refusal"]
    assert "not run further: it is unavailable here: " in str(report)


# What the suite must notice --------------------------------------------------------------------------------------


class Faulty(NumpyBackend):
    name = "faulty"
    kernels: dict[Any, Callable[..., Any]] = {}

    def kernel(self, primitive: Any) -> Any:
        return self.kernels.get(primitive) or super().kernel(primitive)


class WritesToOperands(Faulty):
    kernels = {negative_p: lambda x: np.negative(x, out=x if x.flags.writeable else None)}


class ForgetsStrides(Faulty):
    kernels = {negative_p: lambda x: -np.lib.stride_tricks.as_strided(x, x.shape, np.empty(x.shape, x.dtype).strides)}


class DoublesPrecision(Faulty):
    kernels = {exp_p: lambda x: np.exp(x.astype(np.float64))}


class LosesNaN(Faulty):
    kernels = {add_p: lambda x1, x2: np.nan_to_num(x1 + x2)}


class IsImprecise(Faulty):
    kernels = {exp_p: lambda x: np.exp(x) * (1 + 1e-4)}


class DrawsItsOwnNumbers(Faulty):
    kernels = {
        random_normal_p: lambda key, *, shape, dtype: np.random.default_rng(0).standard_normal(shape).astype(dtype)
    }


class RefusesZeroSize(Faulty):
    kernels = {exp_p: lambda x: np.exp(x) if x.size else x[0]}


class ChangesDtypes(Faulty):
    def asarray(self, obj: Any, *, dtype: Any, device: Any) -> np.ndarray:
        array = super().asarray(obj, dtype=dtype, device=device)
        return array.astype(np.float32) if array.dtype == np.float16 else array


class KeepsForeignByteOrder(Faulty):
    def asarray(self, obj: Any, *, dtype: Any, device: Any) -> np.ndarray:
        return np.asarray(obj, dtype=dtype)


class CountsWrong(Faulty):
    def device_count(self) -> Any:
        return 1.0


class SaysNothing(Faulty):
    def availability(self) -> Availability:
        return Availability(False, "no")


class HasNoSynchronize(Faulty):
    synchronize = None


@pytest.mark.parametrize(
    ("faulty", "check", "words"),
    [
        (WritesToOperands, "formula of negative", "operand 0 after the call must be"),
        (ForgetsStrides, "formula of negative", "negative of strided"),
        (DoublesPrecision, "formula of exp", r"must have dtype float\d\d, has float64"),
        (LosesNaN, "formula of add", "must be .*(nan|inf)"),
        (IsImprecise, "formula of exp", "must be"),
        (DrawsItsOwnNumbers, "bits of normal float32", "draw 1 must be"),
        (RefusesZeroSize, "formula of exp", "must be a value, is ArgumentError"),
        (ChangesDtypes, "round trip of float16", "has dtype float32"),
        (KeepsForeignByteOrder, "round trip of int32", "asarray of a .* int32 array has dtype >i4"),
        (CountsWrong, "availability", r"ag.devices\(\) must say what availability\(\) says"),
        (SaysNothing, "availability", "not why in words"),
        (HasNoSynchronize, "protocol", "synchronize must be a method"),
    ],
)
def test_a_fault_is_noticed(plug, faulty: type, check: str, words: str) -> None:
    plug("faulty", lambda: faulty)
    (asked,) = [c for c in conformance.checks("faulty") if c.name == check]
    with pytest.raises(conformance.Nonconformance, match=words):
        asked()


def test_a_report_lists_faults_in_words(plug) -> None:
    plug("faulty", lambda: RefusesZeroSize)
    report = conformance.run("faulty")
    assert not report.ok
    assert list(report.failed) == ["formula of exp"]
    assert f"{len(report.passed)} checks passed, 1 failed" in str(report)
    assert "  formula of exp: Nonconformance: exp of contiguous bool[0] must be a value, is ArgumentError" in str(
        report
    )


# Plug-ins from outside the tree ----------------------------------------------------------------------------------


def install(folder: Path, distribution: str, files: dict[str, str], entry_points: dict[str, str]) -> None:
    """What an installer would leave in ``folder``."""
    for name, text in files.items():
        (folder / name).write_text(text)
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in entry_points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[autograd_core.backends]", *lines, ""]))


def python(program: str, *paths: Path) -> str:
    """The output of a fresh interpreter that finds packages in ``paths`` too."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, paths), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT.parent, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_on_backends_is_true(tmp_path: Path) -> None:
    """The plug-in that docs/backends.md prints is installed as printed, and the session at its end is run."""
    page = (ROOT / "docs" / "backends.md").read_text()
    (module,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (project,) = (tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", page, re.DOTALL))
    points = project["project"]["entry-points"]["autograd_core.backends"]
    install(tmp_path, "autograd_core_counting", {"counting.py": module}, points)
    assert ">>> conformance.run" in page
    page_path = str(ROOT / "docs" / "backends.md")
    program = f"import doctest\nprint(doctest.testfile({page_path!r}, module_relative=False))"
    found = python(program, tmp_path)
    assert re.fullmatch(r"TestResults\(failed=0, attempted=\d+\)\s*", found), found


def test_a_plug_in_with_its_own_arrays_is_found_by_its_entry_point(tmp_path: Path) -> None:
    files = {"boxed_plugin.py": Path(boxed.__file__).read_text()}
    install(tmp_path, "boxed_arrays", files, {"boxed": "boxed_plugin:BoxedBackend"})
    program = """
        import sys
        import autograd_core as ag
        assert "boxed_plugin" not in sys.modules
        print([row.name for row in ag.devices() if row.available])
        x = ag.tensor([1.0, 2.0], device="boxed:1", requires_grad=True)
        (x * x).sum().backward()
        print(type(x.grad.data).__name__, x.grad)
        try:
            x + ag.ones(2)
        except ag.DeviceError as error:
            print(error)
        from autograd_core.backends import conformance
        report = conformance.run("boxed")
        print(report.ok and "values of matmul on boxed:1" in report.passed)
    """
    names, grad, mixed, ok = python(program, tmp_path).splitlines()
    assert names == "['boxed', 'boxed:1', 'cpu', 'numpy']" or "cuda" in names
    assert grad == "Box tensor([2., 4.], device='boxed:1')"
    assert "on boxed:1, float32[2] on cpu" in mixed
    assert ok == "True"


BROKEN = """
from autograd_core.backend import Availability
from autograd_core.backends.numpy import NumpyBackend


class Tired(NumpyBackend):
    name = "tired"

    def availability(self):
        return Availability(False, "the device is asleep until noon")


class Rude(NumpyBackend):
    name = "rude"

    def availability(self):
        raise OSError("the driver does not answer")


class Vague(NumpyBackend):
    name = "vague"

    def availability(self):
        return True


class Countless(NumpyBackend):
    name = "countless"

    def device_count(self):
        raise RuntimeError("lost count")


class Empty(NumpyBackend):
    name = "empty"

    def device_count(self):
        return 0


class Stubborn(NumpyBackend):
    name = "stubborn"

    def __init__(self):
        raise ValueError("will not be made")


class Stranger(NumpyBackend):
    name = "somebody else"


class Usurper(NumpyBackend):
    name = "cpu"
"""
WORDS = {
    "tired": "the device is asleep until noon",
    "rude": "backend 'rude' failed in availability(): OSError: the driver does not answer",
    "vague": "backend 'vague': availability() must return an Availability, got True",
    "countless": "backend 'countless' failed in device_count(): RuntimeError: lost count",
    "empty": "the backend counts no devices",
    "stubborn": "backend 'stubborn' (broken:Stubborn of broken-backends) failed to load: ValueError: will not be made",
    "stranger": "backend 'stranger' (broken:Stranger) calls itself 'somebody else': names must agree",
    "missing": "(broken:Missing of broken-backends) failed to load: AttributeError: module 'broken' has no attribute",
    "nowhere": "failed to load: ModuleNotFoundError: No module named 'nowhere_to_be_found'",
}


def test_broken_plug_ins_are_reported_in_words_and_hurt_nobody(tmp_path: Path) -> None:
    classes = {name: f"broken:{name.capitalize()}" for name in WORDS}
    points = {**classes, "nowhere": "nowhere_to_be_found:Backend", "cpu": "broken:Usurper"}
    install(tmp_path, "broken-backends", {"broken.py": BROKEN}, points)
    program = """
        import autograd_core as ag
        for name, available, reason in ag.devices():
            print(name, available, reason, sep="|")
        print(type(ag.zeros(2).device.backend).__module__, ag.exp(ag.zeros(2)))
        for row in ag.devices():
            try:
                ag.zeros(2, device=row.name)
            except ag.BackendUnavailableError as error:
                print(row.name, error, sep="|")
    """
    rows = [line.split("|") for line in python(program, tmp_path).splitlines()]
    (working,) = [row for row in rows if len(row) == 1]
    assert working == ["autograd_core.backends.cpu.backend tensor([1., 1.])"]
    for name, words in WORDS.items():
        (listed,) = [row for row in rows if row[0] == name and len(row) == 3]
        assert listed[1] == "False"
        assert words in listed[2]
        (refused,) = [row for row in rows if row[0] == name and len(row) == 2]
        assert words in refused[1]
    ours, taken = [row for row in rows if row[0] == "cpu" and len(row) == 3]
    assert ours[1] == "True"
    assert taken[1:] == ["False", "the name is taken: autograd-core comes before broken-backends"]


def test_two_plug_ins_of_one_name_share_it_in_the_order_of_the_path(plug) -> None:
    class Twin(NumpyBackend):
        name = "twin"

    plug("twin", lambda: Twin, package="first")
    plug("twin", lambda: NumpyBackend, package="second")
    assert [row[1:] for row in ag.devices() if row.name == "twin"] == [
        (True, ""),
        (False, "the name is taken: first comes before second"),
    ]
    assert ag.zeros(2, device="twin").device == "twin"


# The registry ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tpu", "no backend is named 'tpu'; registered are: cpu, cuda, numpy"),
        ("", "no backend is named ''; registered are: "),
        ("cpu:7", r"device 'cpu:7' does not exist: cpu has 1 device\(s\), 'cpu:0'"),
        ("cpu:", "device 'cpu:': write the backend's name or name:index, such as 'cpu:0'"),
        ("cpu:-1", "write the backend's name or name:index"),
        ("cpu:one", "write the backend's name or name:index"),
        (0, "a device is a name such as 'cpu' or 'cuda:1', got 0"),
        (["cpu"], r"a device is a name such as 'cpu' or 'cuda:1', got \['cpu'\]"),
    ],
)
def test_an_unknown_device_is_refused_in_words(name: Any, words: str) -> None:
    with pytest.raises(DeviceError, match=words):
        ag.zeros(2, device=name)


def test_devices_are_counted_from_zero(plug) -> None:
    plug("boxed", lambda: boxed.BoxedBackend)
    assert [str(ag.zeros(1, device=name).device) for name in ("boxed", "boxed:0", "boxed:1")] == [
        "boxed",
        "boxed",
        "boxed:1",
    ]
    with pytest.raises(DeviceError, match=r"'boxed:2' does not exist: boxed has 2 device\(s\), 'boxed:0' to 'boxed:1'"):
        get_device("boxed:2")
    assert get_device("boxed").kernels is get_device("boxed:1").kernels


def test_a_device_equals_its_names_and_a_copy_of_it_is_itself() -> None:
    device = ag.zeros(1).device
    assert device == "cpu"
    assert device == "cpu:0"
    assert device != "numpy"
    assert copy.deepcopy(device) is copy.copy(device) is device
    assert (copy.deepcopy(ag.ones(2)) + ag.ones(2)).tolist() == [2, 2]
    assert repr(device) == "Device('cpu')"


def test_threads_that_ask_first_at_once_get_one_device(plug) -> None:
    class Slow(NumpyBackend):
        name = "slow"

        def availability(self) -> Availability:
            barrier_passed.append(1)
            return Availability(True)

    plug("slow", lambda: Slow)
    barrier, barrier_passed, found = Barrier(8), [], []

    def ask() -> None:
        barrier.wait()
        found.append(get_device("slow"))

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1
    assert len(barrier_passed) == 1


def test_arrays_of_foreign_byte_order_compute_like_any() -> None:
    for device in ("numpy", "cpu"):
        x = ag.tensor(np.arange(3, dtype=">f4"), device=device)
        assert x.dtype == np.float32
        assert x.dtype.isnative
        assert (x + ag.ones(3, device=device)).tolist() == [1, 2, 3]
        assert ag.zeros(2, dtype=">f8", device=device).dtype.isnative


# cpu without Numba -----------------------------------------------------------------------------------------------

WITHOUT_NUMBA = """
    import sys
    sys.modules["numba"] = None
    import numpy as np
    import autograd_core as ag
    from autograd_core.backend import load_backend
    print(load_backend("cpu").availability())
    with ag.random.fork(1):
        a = ag.random.normal((5,))
    with ag.random.fork(1):
        b = ag.random.normal((5,), device="numpy")
    assert a.numpy().tobytes() == b.numpy().tobytes()
    from autograd_core.backends import conformance
    report = conformance.run("cpu")
    print(report)
    assert report.ok
"""


def test_cpu_without_numba_does_everything_and_says_so() -> None:
    said, report = python(WITHOUT_NUMBA).splitlines()[:2]
    assert said.startswith("Availability(available=True, reason='without compiled kernels, by NumPy alone: ")
    assert "Numba is not installed" in said
    assert "0 failed" in report


def test_cpu_with_a_numba_that_does_not_load_goes_on_by_numpy(tmp_path: Path) -> None:
    (tmp_path / "numba.py").write_text("raise ImportError('Numba needs NumPy 1.0 or older')")
    program = """
        import warnings
        import autograd_core as ag
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            print(ag.random.uniform((2,), generator=ag.random.Generator(0)))
        print(len(caught), [row.reason for row in ag.devices() if row.name == "cpu"])
    """
    numbers, said = python(program, tmp_path).splitlines()
    assert numbers == "tensor([0.39904642, 0.88052016])"
    assert "Numba needs NumPy 1.0 or older" in said
