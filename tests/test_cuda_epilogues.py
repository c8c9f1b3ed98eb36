"""What matrix products take over from the loop kernels after them: biases, arrays, other products, ReLU. Not yet run on
hardware.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cuda_host
import fake_cupy
import numpy as np
import pytest
from cuda_tools import fake_devices
from fake_cublaslt import BIAS, LONG, NOTHING, RELU, FakeCublasLt, Refused
from ml_dtypes import bfloat16

import autograd_core as ag
from autograd_core import nn
from autograd_core.backends.cuda import product_fusion, product_kernels
from autograd_core.backends.cuda.cublaslt import COMPUTE_32F, CublasLt, CublasLtError, Layout, Multiplication
from autograd_core.benchmarks.contenders.ours import stated
from autograd_core.benchmarks.workloads import WORKLOADS

CALLS = 9  # after which both of a step's graphs have been captured
F = nn.functional


@pytest.fixture
def library() -> FakeCublasLt:
    return FakeCublasLt()


@pytest.fixture
def machine(library: FakeCublasLt, monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_cupy.Machine]:
    cuda_host.needs_compiler()
    with fake_devices() as machine, ag.default_device("cuda"):
        monkeypatch.setattr(product_kernels, "load", lambda: CublasLt(library))
        yield machine
        assert library.refusals == []


def draw(*shape: int, dtype: Any = np.float32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(dtype)


def steps(run: Any) -> list[str]:
    return [part.name for part in run.latest.runner.parts()]


def products(run: Any) -> list[str]:
    return [name for name in steps(run) if name.startswith(("linear", "matmul"))]


def compiled(machine: fake_cupy.Machine, f: Callable[..., Any], *arrays: np.ndarray) -> tuple[list[np.ndarray], Any]:
    """The results of the last of a few calls, which is one graph, and the compiled function."""
    run, tensors = ag.compile(f), [ag.asarray(x) for x in arrays]
    with ag.no_grad():
        for _ in range(CALLS):
            machine.forget()
            y = run(*tensors)
    assert machine.launches == {"graph": 1}
    return [x.numpy() for x in (y if isinstance(y, tuple) else (y,))], run


# ----------------------------------------------------------------------------------------------- cuBLASLt's calls


def aligned(x: np.ndarray, boundary: int = 256, off: int = 0) -> np.ndarray:
    """A copy so many bytes after a multiple of ``boundary``."""
    whole = np.empty(x.nbytes + 2 * boundary, np.uint8)
    begin = -whole.ctypes.data % boundary + off
    copy = whole[begin : begin + x.nbytes].view(x.dtype).reshape(x.shape)
    copy[...] = x
    return copy


def multiplied(
    library: FakeCublasLt,
    a: np.ndarray,
    b: np.ndarray,
    d: np.ndarray,
    *,
    epilogue: int = NOTHING,
    bias: np.ndarray | None = None,
    added: np.ndarray | None = None,
) -> None:
    """d = a b, of matrices that lie row by row, at multiples of 16 bytes."""
    (n, k), m = a.shape, b.shape[1]
    product = Multiplication(
        CublasLt(library), a.dtype.name, COMPUTE_32F, Layout(m, k, m), Layout(k, n, k), Layout(m, n, m),
        epilogue=epilogue,
    )  # fmt: skip
    addresses = (None if x is None else x.ctypes.data for x in (bias, added))
    where = dict(zip(("bias", "added"), addresses, strict=True))
    product.run(b.ctypes.data, a.ctypes.data, d.ctypes.data, workspace=0, stream=77, **where)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, bfloat16], ids=["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("epilogue", [BIAS, RELU, BIAS | RELU])
@pytest.mark.parametrize("adds", [False, True], ids=["", "added"])
def test_what_follows_sums_is_rounded_once(library: FakeCublasLt, dtype: Any, epilogue: int, adds: bool) -> None:
    a, b, bias, c = (aligned(draw(*s, dtype=dtype)) for s in ((6, 8), (8, 16), (16,), (6, 16)))
    d = aligned(np.empty((6, 16), dtype))
    given = {"bias": bias if epilogue & BIAS else None, "added": c if adds else None}
    multiplied(library, a, b, d, epilogue=epilogue, **given)
    expected = a.astype(np.float32) @ b.astype(np.float32)
    expected += c.astype(np.float32) if adds else 0
    expected += bias.astype(np.float32) if epilogue & BIAS else 0
    expected = np.maximum(expected, 0) if epilogue & RELU else expected
    if dtype == np.float32:
        np.testing.assert_allclose(d, expected, rtol=1e-6, atol=1e-6)
    else:
        np.testing.assert_array_equal(d, expected.astype(dtype))


def test_relu_makes_zero_of_nan(library: FakeCublasLt) -> None:
    """As the library does (NVIDIA's forum, 329783), and ours does not: why the rule for it is empty."""
    a, b, d = aligned(np.full((1, 4), np.nan, np.float32)), aligned(draw(4, 4)), aligned(draw(1, 4))
    multiplied(library, a, b, d, epilogue=RELU)
    np.testing.assert_array_equal(d, np.zeros((1, 4), np.float32))
    with ag.default_device("cpu"):
        assert np.isnan(F.relu(ag.tensor(np.float32(np.nan))).item())
    assert not product_fusion.RULES["relu"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a bias of complex numbers": ({"dtype": np.complex64, "epilogue": BIAS}, "an epilogue of complex numbers"),
    "an epilogue that is not known": ({"epilogue": 32}, "epilogue 32"),
    "a result over an operand": ({"over": "a"}, "D is written over what is still read"),
    "a result over its bias": ({"epilogue": BIAS, "over": "bias"}, "D is written over what is still read"),
    "a sum off its boundary": ({"off": 4}, "addresses are not multiples of 16"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_fake_refuses(library: FakeCublasLt, name: str) -> None:
    given, reason = REFUSED[name]
    dtype, epilogue = given.get("dtype", np.float32), given.get("epilogue", NOTHING)
    arrays = {name: aligned(draw(8, 8, dtype=dtype)) for name in "abcd"} | {"bias": aligned(draw(64, dtype=dtype))}
    arrays["c"] = aligned(arrays["c"], off=given.get("off", 0))
    arrays["d"] = arrays[given["over"]].reshape(8, 8) if "over" in given else arrays["d"]
    bias = arrays["bias"] if epilogue & BIAS else None
    with pytest.raises(CublasLtError):
        multiplied(library, *(arrays[k] for k in "abd"), epilogue=epilogue, bias=bias, added=arrays["c"])
    assert library.refusals == [reason]


def test_a_bias_off_its_boundary_is_not_handed_on(library: FakeCublasLt) -> None:
    a, b, d, bias = aligned(draw(4, 4)), aligned(draw(4, 4)), aligned(draw(4, 4)), aligned(draw(4), off=4)
    with pytest.raises(ValueError, match="a bias at a multiple of 16 belongs to the epilogue BIAS"):
        multiplied(library, a, b, d, epilogue=BIAS, bias=bias)
    with pytest.raises(ValueError, match="belongs to the epilogue BIAS"):
        multiplied(library, a, b, d, bias=aligned(draw(4)))


# ----------------------------------------------------------------------------------------------- what is taken over

X, W, B, R = draw(6, 8), draw(16, 8), draw(16), draw(6, 16, seed=1)
H, U = draw(6, 4, seed=2), draw(16, 4, seed=3)
TAKEN: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...], list[str]]] = {
    "bias": (F.linear, (X, W, B), ["linear_bias"]),
    "bias of a stack": (F.linear, (draw(2, 3, 8), W, B), ["linear_bias"]),
    "bias of stacked matrices": (lambda a, b, c: a @ b + c, (draw(2, 3, 4), draw(2, 4, 8), draw(8)), ["matmul_bias"]),
    "an array": (lambda x, w, r: r + F.linear(x, w), (X, W, R), ["linear_add"]),
    "bias and an array": (lambda x, w, b, r: r + F.linear(x, w, b), (X, W, B, R), ["linear_bias_add"]),
    "one row": (lambda x, w, b: F.linear(x, w, b), (X[:1], W, B), ["linear_bias"]),
    "one column": (lambda x, w, b: F.linear(x, w, b), (X, W[:1], B[:1]), ["linear_bias"]),
    "two products": (lambda x, w, h, u: F.linear(x, w) + F.linear(h, u), (X, W, H, U), ["linear", "linear_add"]),
    "two products and a bias": (
        lambda x, w, h, u, b: F.linear(x, w) + F.linear(h, u) + b,
        (X, W, H, U, B),
        ["linear_bias", "linear_add"],
    ),
    "its own operand": (lambda x, w: x + x @ w, (draw(4, 4), draw(4, 4, seed=1)), ["matmul_add"]),
    "a part of an array": (lambda x, w, r: F.linear(x, w) + r[6:], (X, W, draw(12, 16)), ["linear_add"]),
    "what comes later": (lambda x, w, r: F.linear(x, w) + ag.cumulative_sum(r, axis=1), (X, W, R), ["linear_add"]),
}


@pytest.mark.parametrize("name", TAKEN)
def test_the_loop_kernel_goes(machine: fake_cupy.Machine, name: str) -> None:
    f, arrays, expected = TAKEN[name]
    (found,), run = compiled(machine, f, *arrays)
    assert products(run) == expected
    assert not any(step.startswith("loop") for step in steps(run))
    with ag.default_device("cpu"):
        np.testing.assert_allclose(found, f(*map(ag.asarray, arrays)).numpy(), rtol=1e-5, atol=1e-5)


KEPT: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = {
    "what follows is more than a sum": (lambda x, w, b: ag.tanh(F.linear(x, w, b)), (X, W, B)),
    "products whose sum is not stored": (lambda x, w, h, u: ag.tanh(F.linear(x, w) + F.linear(h, u)), (X, W, H, U)),
    "ReLU, by the rule for it": (lambda x, w, b: F.relu(F.linear(x, w, b)), (X, W, B)),
    "a product that is a result too": (lambda x, w, b: (lambda y: (y, y + b))(F.linear(x, w)), (X, W, B)),
    "a bias for each row": (lambda x, w, c: F.linear(x, w) + c, (X, W, draw(6, 1))),
    "a single number": (lambda x, w, c: F.linear(x, w) + c, (X, W, draw(1))),
    "another order": (lambda x, w, r: F.linear(x, w).mT + r, (X, W, draw(16, 6))),
    "a bias off its boundary": (lambda x, w, b: F.linear(x, w, b[1:]), (X, W, draw(17))),
    "a bias with gaps": (lambda x, w, b: F.linear(x, w, b[::2]), (X, W, draw(32))),
    "twice itself": (lambda x, w: (lambda y: y + y)(F.linear(x, w)), (X, W)),
    "a difference": (lambda x, w, r: r - F.linear(x, w), (X, W, R)),
}


@pytest.mark.parametrize("name", KEPT)
def test_the_loop_kernel_stays(machine: fake_cupy.Machine, name: str) -> None:
    f, arrays = KEPT[name]
    found, run = compiled(machine, f, *arrays)
    assert set(products(run)) <= {"linear", "matmul"}
    assert any(step.startswith("loop") for step in steps(run))
    with ag.default_device("cpu"):
        expected = f(*map(ag.asarray, arrays))
        for y, z in zip(found, expected if isinstance(expected, tuple) else (expected,), strict=True):
            np.testing.assert_allclose(y, z.numpy(), rtol=1e-5, atol=1e-5)


def test_a_sum_that_is_stored_is_read_by_what_goes_on_with_it(machine: fake_cupy.Machine) -> None:
    def residual(x: Any, w: Any, b: Any, r: Any) -> Any:
        z = r + F.linear(x, w, b)
        return z, F.layer_norm(z, (16,))

    found, run = compiled(machine, residual, X, W, B, R)
    assert steps(run)[0] == "linear_bias_add"
    assert len(steps(run)) == 2
    assert "reads float32[6, 16]\n" in run.source()  # z alone
    with ag.default_device("cpu"):
        for y, z in zip(found, residual(*map(ag.asarray, (X, W, B, R))), strict=True):
            np.testing.assert_allclose(y, z.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_are_rounded_once(machine: fake_cupy.Machine, dtype: str) -> None:
    x, w, b, r = (a.astype(bfloat16 if dtype == "bfloat16" else dtype) for a in (X, W, B, R))
    (found,), run = compiled(machine, lambda x, w, b, r: r + F.linear(x, w, b), x, w, b, r)
    assert steps(run) == ["linear_bias_add"]
    wide = [a.astype(np.float32) for a in (x, w, b, r)]
    np.testing.assert_array_equal(found, (wide[0] @ wide[1].T + wide[3] + wide[2]).astype(found.dtype))


def test_relu_where_the_rule_allows_it(machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(product_fusion.RULES, "relu", ("float32",))
    (found,), run = compiled(machine, lambda x, w, b: F.relu(F.linear(x, w, b)), X, W, B)
    assert steps(run) == ["linear_bias_relu"]
    np.testing.assert_allclose(found, np.maximum(X @ W.T + B, 0), rtol=1e-5, atol=1e-6)
    (found,), run = compiled(machine, lambda x, w, r: F.relu(F.linear(x, w) + r), X, W, R)
    assert steps(run) == ["linear_add_relu"]
    np.testing.assert_allclose(found, np.maximum(X @ W.T + R, 0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rule", ["bias", "added", "bias and added"])
def test_each_rule_is_obeyed(machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch, rule: str) -> None:
    monkeypatch.setitem(product_fusion.RULES, rule, ("float64",))

    def f(x: Any, w: Any, b: Any, r: Any) -> Any:
        return r + F.linear(x, w, b)

    assert products(compiled(machine, f, X, W, B, R)[1]) == ["linear"]
    wide = [a.astype(np.float64) for a in (X, W, B, R)]
    assert products(compiled(machine, f, *wide)[1]) == ["linear_bias_add"]


def test_what_the_library_refuses_stays_with_loop_kernels(
    machine: fake_cupy.Machine, library: FakeCublasLt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(described: dict[Any, Any], _: Any) -> None:
        if described.get(7, NOTHING) != NOTHING:
            raise Refused("no epilogue here", 15)

    monkeypatch.setattr(library, "_check_epilogue", refuses)
    (found,), run = compiled(machine, F.linear, X, W, B)
    assert steps(run) == ["linear", "loop_add"]
    np.testing.assert_allclose(found, X @ W.T + B, rtol=1e-5, atol=1e-6)
    assert set(library.refusals) == {"no epilogue here"}
    library.refusals.clear()


def test_layers_that_share_a_plan_have_their_own_biases(machine: fake_cupy.Machine) -> None:
    def both(x: Any, w: Any, b: Any, c: Any) -> Any:
        return F.linear(x, w, b), F.linear(x + 1, w, c)

    found, run = compiled(machine, both, X, W, B, B + 1)
    assert products(run) == ["linear_bias", "linear_bias"]
    for y, z in zip(found, (X @ W.T + B, (X + 1) @ W.T + B + 1), strict=True):
        np.testing.assert_allclose(y, z, rtol=1e-5, atol=1e-5)


# ----------------------------------------------------------------------------------------------- where results lie


def test_gradients_are_added_up_by_products(machine: fake_cupy.Machine) -> None:
    layer = nn.Linear(8, 16)
    weight = layer.weight.numpy()

    def add_gradients(x: Any) -> None:
        layer(x).square().sum().backward()

    run, x = ag.compile(add_gradients), ag.asarray(X)
    for _ in range(CALLS):
        machine.forget()
        run(x)
    assert (machine.launches, machine.allocations) == ({"graph": 1}, 0)
    assert "matmul_add" in products(run)
    expected = 2 * (X @ weight.T + layer.bias.numpy()).T @ X
    np.testing.assert_allclose(layer.weight.grad.numpy(), CALLS * expected, rtol=1e-4, atol=1e-4)


def test_a_variable_is_added_to_where_it_lies(machine: fake_cupy.Machine) -> None:
    total = nn.Parameter(ag.tensor(R))

    def add(x: Any, w: Any) -> None:
        with ag.no_grad():
            total.assign_(total + F.linear(x, w))

    run, x, w = ag.compile(add), ag.asarray(X), ag.asarray(W)
    for _ in range(CALLS):
        machine.forget()
        run(x, w)
    assert (machine.launches, machine.allocations) == ({"graph": 1}, 0)
    assert steps(run) == ["linear_add"]
    assert run.latest.runner._plan.updates
    np.testing.assert_allclose(total.numpy(), R + CALLS * (X @ W.T), rtol=1e-4, atol=1e-4)


def test_a_sum_takes_the_place_of_what_is_not_needed_any_more(machine: fake_cupy.Machine) -> None:
    """And not of what is: then it goes elsewhere."""

    def ending(x: Any, w: Any, h: Any) -> Any:
        return ag.cumulative_sum(ag.cumulative_sum(h, axis=1) + F.linear(x, w), axis=1)

    def lasting(x: Any, w: Any, h: Any) -> Any:
        y = ag.cumulative_sum(h, axis=1)
        return ag.cumulative_sum(y + F.linear(x, w), axis=1), ag.cumulative_sum(y, axis=0)

    arenas = []
    for f in (ending, lasting):
        found, run = compiled(machine, f, X, W, R)
        assert products(run) == ["linear_add"]
        arenas.append(run.latest.runner._plan.storage.arena)
        with ag.default_device("cpu"):
            expected = f(*map(ag.asarray, (X, W, R)))
        for y, z in zip(found, expected if isinstance(expected, tuple) else (expected,), strict=True):
            np.testing.assert_allclose(y, z.numpy(), rtol=1e-4, atol=1e-5)
    size = -(-R.nbytes // 256) * 256
    assert arenas == [size, 2 * size]


def test_workspace_is_in_the_arena(machine: fake_cupy.Machine, library: FakeCublasLt) -> None:
    x, w = draw(4, LONG + 1), draw(LONG + 1, 4)
    (found,), run = compiled(machine, lambda x, w: x @ w, x, w)
    assert run.latest.runner._plan.storage.arena == 4096
    np.testing.assert_allclose(found, x @ w, rtol=1e-4, atol=1e-5)
    for mode in ("tf32", "bf16"):  # in which it was not compiled
        with ag.math_mode(mode):
            np.testing.assert_allclose(run(ag.asarray(x), ag.asarray(w)).numpy(), x @ w, rtol=1e-4, atol=1e-5)


# ----------------------------------------------------------------------------------------------- rows of the suite

SUITE = {  # products with what they take over, of the row in its quick sizes
    "transformer_d128_l2_t64_b16": {"linear_bias": 2},  # queries, keys and values of each layer
    "trees_by_depth_64leaves_d64_b16": {"matmul_add": 6},  # gradients of the weight that every level uses
}
WITH_RELU = {"mlp_784_256_128_10_b128": {"linear_bias_relu": 2}}


@pytest.mark.parametrize("relu", [False, True], ids=["", "relu"])
def test_rows_of_the_suite(monkeypatch: pytest.MonkeyPatch, relu: bool) -> None:
    """What their steps are is asked, not what they compute."""

    def nothing(*_: Any) -> None:
        """In place of a kernel."""

    monkeypatch.setattr(product_kernels, "load", lambda: CublasLt(FakeCublasLt()))
    monkeypatch.setitem(product_fusion.RULES, "relu", ("float32",) if relu else ())
    for name, expected in (WITH_RELU if relu else SUITE).items():
        with np.errstate(all="ignore"), fake_devices() as machine:
            machine.bodies.clear()
            machine.host_code = lambda kernel, settings: nothing
            run, _, whole = stated(WORKLOADS[name](quick=True), device="cuda", compiled=True)
            for _ in range(4):
                run()
            taken = [step for step in steps(whole) if step.startswith(("linear_", "matmul_"))]
        assert {step: taken.count(step) for step in taken} == expected, name
