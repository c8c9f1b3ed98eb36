"""The layers hold: imports point downwards, the core names no backend, and the engine stays readable.

Each check runs twice: over the sources, and over a made-up tree that breaks the rule, to see it caught.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import layering
import pytest
from house import modules, package_roots

FOLDERS = ("nn", "optim", "backends.cpu", "benchmarks", "estimators")
ENGINE_LIMIT = 3000
TRANSFORMS_LIMIT = 1500

ROOTS = {
    "autograd_core": Path("autograd_core"),
    "autograd_core.backends": Path("backends"),
    "autograd_core.estimators": Path("estimators"),
    "autograd_core.nn": Path("nn"),
    "autograd_core.optim": Path("optim"),
}


@pytest.fixture(scope="module")
def house() -> dict[str, layering.Source]:
    return layering.parse(modules())


@pytest.fixture
def tree(tmp_path: Path):
    """Builds sources from ``{"autograd_core.ops.math": "import os"}``; a trailing dot makes a package's __init__."""

    def build(files: dict[str, str]) -> dict[str, layering.Source]:
        paths = {}
        for name, text in files.items():
            package = name.endswith(".")
            name = name.rstrip(".")
            path = tmp_path.joinpath(*name.split("."))
            path = path / "__init__.py" if package else path.with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            paths[name] = path
        return layering.parse(paths)

    return build


def test_the_sources_are_found(house) -> None:
    assert {"autograd_core", "autograd_core.errors", "autograd_core.backends.numpy", "autograd_core.nn.data"} <= set(
        house
    )


def test_imports_in_the_core_point_downwards(house) -> None:
    assert not layering.upward_imports(house)


def test_nn_optim_and_backends_do_not_know_each_other(house) -> None:
    assert not layering.sideways_imports(house)


def test_imports_across_folders_are_absolute(house) -> None:
    assert not layering.misspelt_imports(house, package_roots())


def test_no_modules_import_each_other_in_a_circle(house) -> None:
    assert not layering.circles(house)


def test_optional_packages_are_imported_only_where_they_belong(house) -> None:
    assert not layering.confined_imports(house)


def test_nothing_unpickles_or_evaluates_data(house) -> None:
    assert not layering.unsafe_code(house)


def test_only_the_cuda_backend_names_cuda(house) -> None:
    assert not layering.named_devices(house)


def test_the_engine_can_be_read_in_one_sitting(house) -> None:
    assert layering.engine_lines(house) < ENGINE_LIMIT
    assert sum(layering.lines(s) for s in house.values() if layering.area(s.name) == "transforms") < TRANSFORMS_LIMIT


# What must be caught -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("autograd_core.primitive", "from .tensor import Tensor", "points upwards to autograd_core.tensor"),
        ("autograd_core.errors", "def f():\n    from . import tensor", "points upwards to autograd_core.tensor"),
        ("autograd_core.context", "from autograd_core import Tensor", "points upwards to autograd_core"),
        ("autograd_core.ops.math", "from ..tensor import Tensor", "points upwards to autograd_core.tensor"),
        (
            "autograd_core.tensor",
            "import autograd_core.backends.numpy",
            "the core imports autograd_core.backends.numpy",
        ),
        ("autograd_core.tensor", "from autograd_core.nn import Linear", "the core imports autograd_core.nn"),
        ("autograd_core.gadget", "", "not placed in a level"),
    ],
)
def test_an_upward_import_is_caught(tree, name: str, text: str, complaint: str) -> None:
    (found,) = layering.upward_imports(tree({"autograd_core.tensor": "", name: text}))
    assert complaint in found


@pytest.mark.parametrize(
    "text",
    [
        "from .errors import ShapeError",
        "from . import context",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .tensor import Tensor",
        "import numpy as np",
    ],
)
def test_a_downward_import_is_fine(tree, text: str) -> None:
    sources = tree({"autograd_core.context": "", "autograd_core.tensor": "", "autograd_core.primitive": text})
    assert not layering.upward_imports(sources)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("autograd_core.nn.linear", "from autograd_core.optim import SGD"),
        ("autograd_core.optim.sgd", "from autograd_core import nn"),
        ("autograd_core.nn.data.digits", "from autograd_core.backends import numpy"),
        ("autograd_core.backends.cuda.", "from autograd_core.backends.cpu import kernels"),
        ("autograd_core.backends.cuda.arrays", "from autograd_core.backends.numpy import NumpyBackend"),
        ("autograd_core.backends.numpy.", "from autograd_core.backends.cpu import CpuBackend"),
        ("autograd_core.backends.numpy.", "from autograd_core.benchmarks import suite"),
        ("autograd_core.nn.linear", "from autograd_core.estimators import NeuralNetClassifier"),
        ("autograd_core.estimators.base", "from autograd_core.backends import cpu"),
    ],
)
def test_a_sideways_import_is_caught(tree, name: str, text: str) -> None:
    others = dict.fromkeys((f"autograd_core.{folder}." for folder in FOLDERS), "")
    assert len(layering.sideways_imports(tree({**others, name: text}))) == 1


def test_a_folder_may_import_itself_and_the_core(tree) -> None:
    sources = tree(
        {
            "autograd_core.tensor": "",
            "autograd_core.nn.module": "from autograd_core.tensor import Tensor",
            "autograd_core.nn.data.loader": "from ..module import Module",
            "autograd_core.backends.cpu.kernels": "from . import threads",
            "autograd_core.backends.cpu.threads": "import autograd_core as ag",
            "autograd_core.backends.cpu.": "from autograd_core.backends.numpy import NumpyBackend",
            "autograd_core.backends.numpy.": "from .backend import NumpyBackend",
            "autograd_core.backends.numpy.backend": "from autograd_core.tensor import Tensor",
            "autograd_core.optim.": "",
            "autograd_core.estimators.": "from autograd_core import optim\nfrom autograd_core.nn.data import loader",
        }
    )
    assert not layering.sideways_imports(sources)
    assert not layering.misspelt_imports(sources, ROOTS)


def test_a_relative_import_that_leaves_its_folder_is_caught(tree) -> None:
    sources = tree({"autograd_core.tensor": "", "autograd_core.nn.linear": "from ..tensor import Tensor"})
    (found,) = layering.misspelt_imports(sources, ROOTS)
    assert "autograd_core.nn.linear:1" in found


def test_a_circle_is_caught_even_when_an_import_is_deferred(tree) -> None:
    sources = tree(
        {
            "autograd_core.aval": "from .tree import leaves",
            "autograd_core.tree": "from . import context",
            "autograd_core.context": "def f():\n    from .aval import Aval",
        }
    )
    (found,) = layering.circles(sources)
    assert found.count("->") == 3


@pytest.mark.parametrize(
    ("name", "text", "caught"),
    [
        ("autograd_core.nn.linear", "import cupy", True),
        ("autograd_core.backends.cpu.kernels", "from cupy import cuda", True),
        ("autograd_core.backends.cuda.arrays", "import cupy", False),
        ("autograd_core.tensor", "def f():\n    import numba", True),
        ("autograd_core.backends.cpu.kernels", "from numba import njit", False),
        ("autograd_core.nn.functional", "import sklearn.datasets", True),
        ("autograd_core.nn.data.digits", "def load():\n    from sklearn import datasets", False),
        ("autograd_core.estimators.base", "from sklearn.base import BaseEstimator", False),
        ("autograd_core.nn.training.loggers", "def load():\n    import tensorboardX", False),
        ("autograd_core.optim.sgd", "import tensorboardX", True),
    ],
)
def test_an_optional_package_out_of_place_is_caught(tree, name: str, text: str, caught: bool) -> None:
    assert bool(layering.confined_imports(tree({name: text}))) is caught


@pytest.mark.parametrize(
    ("text", "caught"),
    [
        ("import pickle", True),
        ("from joblib import load", True),
        ("eval('1')", True),
        ("def f(code):\n    exec(code)", True),
        ("import numpy as np\nnp.load('x.npy', allow_pickle=True)", True),
        ("import numpy as np\nnp.load('x.npy', allow_pickle=False)", False),
        ("def f(model):\n    model.eval()", False),
    ],
)
def test_unsafe_code_is_caught(tree, text: str, caught: bool) -> None:
    assert bool(layering.unsafe_code(tree({"autograd_core.nn.saving": text}))) is caught


@pytest.mark.parametrize(
    ("name", "text", "caught"),
    [
        ("autograd_core.tensor", "def f(device):\n    return device == 'cuda'", True),
        ("autograd_core.ops.math", "DEVICES = ['cuda:0']", True),
        ("autograd_core.backend", "BUILT_IN = {'x': 'autograd_core.backends.numpy:NumpyBackend'}", True),
        ("autograd_core.backend", "GROUP = 'autograd_core.backends'", False),
        ("autograd_core.backend", '"""Devices: "cpu", "cuda", "cuda:1"."""', False),
        ("autograd_core.backends.cuda.", "name = 'cuda'", False),
    ],
)
def test_a_named_device_is_caught(tree, name: str, text: str, caught: bool) -> None:
    assert bool(layering.named_devices(tree({name: text}))) is caught


def test_the_engine_is_counted_without_ops_and_what_stands_on_it(tree) -> None:
    sources = tree(
        {
            "autograd_core.tensor": "a = 1\n\n# why\nb = 2\n",
            "autograd_core.interpreters.eager": "c = 3\n",
            "autograd_core.ops.math": "d = 4\n",
            "autograd_core.compiler.fuse": "e = 5\n",
            "autograd_core.transforms.jacobians": "g = 7\n",
            "autograd_core.nn.linear": "f = 6\n",
        }
    )
    assert layering.engine_lines(sources) == 5


# What an import loads ------------------------------------------------------------------------------------------

HEAVY = ("cupy", "jax", "llvmlite", "matplotlib", "numba", "scipy", "sklearn", "torch")


def loaded_by(statement: str, names: tuple[str, ...]) -> list[str]:
    program = f"import sys\n{statement}\nprint(*[n for n in {names!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("statement", ["import autograd_core", "from autograd_core import nn, optim"])
def test_importing_loads_no_heavy_package(statement: str) -> None:
    assert loaded_by(statement, HEAVY) == []


def test_a_loaded_package_is_noticed() -> None:
    assert loaded_by("import autograd_core, json", ("json", "autograd_core", "numba")) == ["json", "autograd_core"]
