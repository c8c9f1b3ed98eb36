"""Libraries that take anyone's arrays, on tensors of ours: einops, opt_einsum, scikit-learn, SciPy."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import autograd_core as ag

# ------------------------------------------------------------------------------------------ einops

# einops' own tests that run over frameworks; those of layers and symbolic frameworks do not concern us
EINOPS_TESTS = [
    ("test_einsum", "test_functional"),
    ("test_ops", "test_concatenations_and_stacking"),
    ("test_ops", "test_ellipsis_ops_imperative"),
    ("test_ops", "test_gradients_imperatives"),
    ("test_ops", "test_reduction_imperatives"),
    ("test_ops", "test_reduction_imperatives_booleans"),
    ("test_ops", "test_reduction_stress_imperatives"),
    ("test_ops", "test_reduction_with_callable_imperatives"),
    ("test_ops", "test_repeat_imperatives"),
    ("test_ops", "test_tiling_imperatives"),
    ("test_other", "test_backends_installed"),
    ("test_other", "test_is_float_type"),
    ("test_other", "test_parse_shape_imperative"),
    ("test_packing", "test_pack_unpack_against_numpy"),
]


@pytest.fixture(scope="module")
def einops() -> ModuleType:
    """einops, its tests set to run on tensors, and on NumPy and PyTorch to compare gradients with."""
    einops = pytest.importorskip("einops")
    from autograd_core.interop.einops import EinopsBackend

    backends = [EinopsBackend(), einops._backends.NumpyBackend()]
    if importlib.util.find_spec("torch") is not None:
        backends.append(einops._backends.TorchBackend())

    def collect(symbolic: bool = False, layers: bool = False) -> list:
        return [] if symbolic or layers else backends

    helper = importlib.import_module("einops.tests")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EINOPS_TEST_BACKENDS", EinopsBackend.framework_name)
        patch.setattr(helper, "collect_test_backends", collect)
        for name in {module for module, _ in EINOPS_TESTS}:
            patch.delitem(sys.modules, f"einops.tests.{name}", raising=False)
        patch.setattr(
            importlib.import_module("einops.tests.test_einsum"), "valid_backends_functional", ["autograd_core"]
        )
        yield einops


@pytest.mark.filterwarnings("ignore")  # theirs, about their other frameworks
@pytest.mark.parametrize(("module", "name"), EINOPS_TESTS)
def test_einops_own_tests(einops, module, name):
    getattr(importlib.import_module(f"einops.tests.{module}"), name)()


def test_einops_array_api(einops):
    """What einops offers to any library of the standard, without a word of ours."""
    from einops import array_api

    x = np.arange(2 * 3 * 4 * 5 * 6.0).reshape(2, 3, 4, 5, 6)
    patterns = importlib.import_module("einops.tests.test_ops")
    pairs = [pattern for pair in patterns.equivalent_rearrange_patterns for pattern in pair]
    for pattern in [*patterns.identity_patterns, *pairs]:
        found = array_api.rearrange(ag.asarray(x), pattern)
        assert isinstance(found, ag.Tensor)
        np.testing.assert_array_equal(array_api.asnumpy(found), einops.rearrange(x, pattern))
    for pattern in [pattern for pair in patterns.equivalent_reduction_patterns for pattern in pair]:
        for reduction in ("min", "max", "sum", "mean", "prod"):
            found = array_api.reduce(ag.asarray(x / 400), pattern, reduction)
            np.testing.assert_allclose(found.numpy(), einops.reduce(x / 400, pattern, reduction), rtol=1e-12)
    packed, shapes = array_api.pack([ag.ones((2, 3)), ag.zeros((2, 4, 5))], "i *")
    assert packed.shape == (2, 23)
    assert [y.shape for y in array_api.unpack(packed, shapes, "i *")] == [(2, 3), (2, 4, 5)]


def test_einops_under_transforms(einops):
    x = ag.asarray(np.arange(24.0).reshape(2, 12))

    def f(x):
        return (einops.rearrange(x, "b (h w) -> h w b", h=3) ** 2).sum()

    np.testing.assert_allclose(ag.grad(f)(x).numpy(), 2 * x.numpy())
    rows = ag.vmap(lambda row: einops.reduce(row, "(h w) -> w", "mean", h=3))(x)
    np.testing.assert_allclose(rows.numpy(), x.numpy().reshape(2, 3, 4).mean(1))


# ------------------------------------------------------------------------------------------ opt_einsum

CONTRACTIONS = {
    "matrices": ("ij,jk,kl->il", [(3, 4), (4, 5), (5, 2)]),
    "batch": ("bij,bjk,bk->bi", [(2, 3, 4), (2, 4, 5), (2, 5)]),
    "trace": ("ij,jk,ki->", [(3, 4), (4, 2), (2, 3)]),
    "outer": ("i,j,k->kij", [(2,), (3,), (4,)]),
    "network": ("abc,bd,cde,ef->af", [(2, 3, 4), (3, 5), (4, 5, 2), (2, 3)]),
}


@pytest.mark.parametrize(("subscripts", "shapes"), CONTRACTIONS.values(), ids=CONTRACTIONS)
def test_opt_einsum_contracts_tensors_with_gradients(subscripts, shapes):
    opt_einsum = pytest.importorskip("opt_einsum")
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    found = opt_einsum.contract(subscripts, *map(ag.asarray, arrays))
    assert isinstance(found, ag.Tensor)
    np.testing.assert_allclose(found.numpy(), np.einsum(subscripts, *arrays), rtol=1e-12)
    ag.check_grads(lambda *xs: opt_einsum.contract(subscripts, *xs), tuple(arrays), order=2)
    expression = opt_einsum.contract_expression(subscripts, *shapes)
    np.testing.assert_allclose(expression(*map(ag.asarray, arrays)).numpy(), found.numpy(), rtol=1e-12)


# ------------------------------------------------------------------------------------------ scikit-learn, SciPy


def test_scikit_learn_and_scipy():
    """``array_api_consumers``, where SCIPY_ARRAY_API is set before anyone imports SciPy."""
    pytest.importorskip("sklearn")
    pytest.importorskip("scipy")
    path = Path(__file__).with_name("array_api_consumers.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)]
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    done = subprocess.run(command, env=environment, cwd=path.parent.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert " skipped" not in done.stdout
