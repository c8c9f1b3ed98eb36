"""The compiled kernels of the cpu backend: the numbers of the formulas, the same bits on any number of threads."""

from __future__ import annotations

import subprocess
import sys
import warnings
from importlib import import_module
from itertools import product
from threading import Thread, get_ident
from time import sleep
from typing import Any

import numpy as np
import pytest

from autograd_core.backends.cpu import backend as cpu_backend
from autograd_core.ops import activation, convolution, linear_algebra, pooling
from autograd_core.ops._sampling import Sampling, resample_p
from autograd_core.ops._windows import Windows, windows

TOLERANCE = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-12}


@pytest.fixture(scope="module")
def kernels() -> dict[Any, Any]:
    """All kernels of the backend, by primitive."""
    pytest.importorskip("numba", reason="the kernels are compiled by Numba")
    backend = cpu_backend.CpuBackend()
    return {primitive: backend.kernel(primitive) for primitive in cpu_backend.HOMES}


@pytest.fixture
def on_threads(monkeypatch):
    """Sets the number of threads that share work, however little of it there is."""
    pytest.importorskip("numba", reason="the kernels are compiled by Numba")
    threads = import_module("autograd_core.backends.cpu.threads")
    modules = [threads] + [
        import_module(f"autograd_core.backends.cpu.{name}") for name in ("convolution_kernels", "matmul_kernels")
    ]

    def set_threads(count: int) -> None:
        for module in modules:
            monkeypatch.setattr(module, "threads", lambda: count)
        monkeypatch.setattr(threads, "SHARED_FROM", 0)

    return set_threads


def assert_agree(kernels: dict[Any, Any], primitive: Any, *operands: np.ndarray, **params: Any) -> None:
    """The kernel's outputs are the formula's, in shape, dtype and value."""
    with np.errstate(all="ignore"):
        expected = primitive.forward(np, *operands, **params)
        found = kernels[primitive](*operands, **params)
    pairs = zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]
    for a, b in pairs:
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        if b.dtype not in TOLERANCE:
            np.testing.assert_array_equal(a, b)
            continue
        finite = np.abs(b[np.isfinite(b)])
        scale = finite.max() if finite.size else 1.0
        np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE[b.dtype] * max(scale, 1.0))


# ---------------------------------------------------------------------------------- finding kernels


def test_every_listed_primitive_has_its_kernel_and_every_kernel_is_listed(kernels) -> None:
    modules = {home: import_module(f"autograd_core.backends.cpu.{home}") for home in cpu_backend.HOMES.values()}
    listed = {(home, primitive) for primitive, home in cpu_backend.HOMES.items()}
    assert listed == {(home, primitive) for home, module in modules.items() for primitive in module.KERNELS}
    assert all(kernels.values())


def test_numba_is_imported_when_a_kernel_is_first_needed_and_not_before() -> None:
    pytest.importorskip("numba", reason="looks at when Numba is imported")
    script = """
import sys
import autograd_core as ag
from autograd_core.ops.pooling import max_pool2d
(ag.tensor([1.0, 2.0], requires_grad=True) * 2).sum().backward()
assert ag.devices() and "numba" not in sys.modules
max_pool2d(ag.ones((1, 1, 4, 4)), 2)
assert "numba" in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_without_numba_the_formulas_run_and_the_device_says_why(monkeypatch) -> None:
    monkeypatch.setattr(cpu_backend, "find_spec", lambda name: None)
    backend = cpu_backend.CpuBackend()
    availability = backend.availability()
    assert availability
    assert "Numba is not installed" in availability.reason
    assert all(backend.kernel(p) is None or p.signals for p in cpu_backend.HOMES)


def test_a_numba_that_cannot_be_imported_is_reported_once(monkeypatch) -> None:
    def refuse(name: str, package: str) -> Any:
        raise ImportError("Numba needs NumPy 2.0 or less")

    monkeypatch.setattr(cpu_backend, "import_module", refuse)
    monkeypatch.setattr(cpu_backend, "_installed", lambda package: True)
    backend = cpu_backend.CpuBackend()
    assert not backend.availability().reason
    with pytest.warns(RuntimeWarning, match=r"Numba needs NumPy 2\.0 or less"):
        assert backend.kernel(convolution.convolution_p) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert backend.kernel(pooling.avg_pool_p) is None
    assert "Numba needs NumPy 2.0 or less" in backend.availability().reason


# --------------------------------------------------------------------------------------- convolution


def convolution_operands(
    x: tuple[int, ...], w: tuple[int, ...], dtype: Any = np.float64, groups: int = 1, **arguments: Any
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """x, w, b and v (of the output's shape), and the parameters of all three primitives."""
    ndim = len(w) - 2

    def axes(value: Any) -> tuple[int, ...]:
        return value if isinstance(value, tuple) else (value,) * ndim

    pad = tuple((n, n) for n in axes(arguments.get("padding", 0)))
    stride, dilation = axes(arguments.get("stride", 1)), axes(arguments.get("dilation", 1))
    where = windows("test", x[2:], w[2:], stride, pad, dilation)
    rng = np.random.default_rng(0)
    shapes = {"x": x, "w": w, "b": w[:1], "v": (x[0], w[0], *where.output)}
    arrays = {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}
    return arrays, {"windows": where, "groups": groups}


def assert_convolutions_agree(kernels: dict[Any, Any], arrays: dict[str, np.ndarray], params: dict[str, Any]) -> None:
    x, w, b, v = (arrays[name] for name in "xwbv")
    assert_agree(kernels, convolution.convolution_p, x, w, **params)
    assert_agree(kernels, convolution.convolution_bias_p, x, w, b, **params)
    assert_agree(kernels, convolution.convolution_input_p, v, w, **params)
    assert_agree(kernels, convolution.convolution_weight_p, x, v, **params)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("stride", "padding"), list(product([1, 2, (2, 3)], [0, 1, (2, 4)])))
@pytest.mark.parametrize("kernel", [(1, 1), (3, 2), (5, 3)])
def test_convolution_agrees_with_its_formula(kernels, kernel, stride, padding, dtype) -> None:
    for dilation, groups in product((1, 2), (1, 2)):
        arguments = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "dtype": dtype}
        assert_convolutions_agree(
            kernels, *convolution_operands((2, 4, 11, 13), (18, 4 // groups, *kernel), **arguments)
        )


SHAPES = {
    "one-channel": ((3, 1, 28, 28), (9, 1, 3, 3), {}),
    "depthwise": ((2, 6, 9, 9), (6, 1, 3, 3), {"groups": 6, "padding": 1}),
    "many-samples": ((40, 3, 5, 6), (5, 3, 3, 3), {"padding": 1}),
    "several-bands": ((1, 24, 120, 90), (10, 24, 3, 3), {"padding": 1}),
    "several-bands-stride": ((2, 24, 121, 90), (10, 24, 3, 3), {"stride": 2}),
    "several-blocks": ((2, 70, 6, 6), (90, 70, 3, 3), {}),
    "one-axis": ((3, 5, 200), (7, 5, 5), {"stride": 2, "padding": 2}),
    "one-output": ((2, 3, 4, 5), (3, 3, 4, 5), {}),
    "padding-beyond-kernel": ((1, 2, 3, 3), (2, 2, 1, 1), {"padding": 3, "stride": 2}),
}


@pytest.mark.parametrize("name", SHAPES)
def test_convolution_of_all_shapes_agrees_with_its_formula(kernels, name) -> None:
    x, w, arguments = SHAPES[name]
    assert_convolutions_agree(kernels, *convolution_operands(x, w, np.float32, **arguments))


@pytest.mark.parametrize("dtype", [np.float16, np.complex64])
def test_convolution_leaves_other_dtypes_to_the_formula(kernels, dtype) -> None:
    assert_convolutions_agree(kernels, *convolution_operands((2, 2, 5, 5), (3, 2, 3, 3), dtype))


@pytest.mark.parametrize("x", [(0, 2, 5, 5), (2, 0, 5, 5)])
def test_convolution_of_nothing(kernels, x) -> None:
    assert_convolutions_agree(kernels, *convolution_operands(x, (3, x[1], 3, 3)))


VOLUMES = {
    "plain": ((2, 3, 4, 5, 6), (4, 3, 3, 2, 3), {}),
    "everything": ((2, 4, 7, 6, 5), (6, 2, 3, 2, 2), {"stride": (2, 1, 2), "padding": 2, "dilation": 2, "groups": 2}),
    "depthwise": ((1, 3, 4, 4, 4), (6, 1, 2, 2, 2), {"groups": 3, "padding": (1, 0, 0)}),
    "stride-over-kernel": ((1, 2, 8, 4, 4), (3, 2, 2, 1, 1), {"stride": (3, 2, 1)}),
    "one-plane": ((2, 2, 1, 4, 4), (3, 2, 1, 3, 3), {"padding": (0, 1, 1)}),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", VOLUMES)
def test_convolution_of_volumes_agrees_with_its_formula(kernels, name, dtype) -> None:
    x, w, arguments = VOLUMES[name]
    arrays, params = convolution_operands(x, w, dtype, **arguments)
    assert_convolutions_agree(kernels, arrays, params)
    assert_convolutions_agree(kernels, {name: a[::-1] for name, a in arrays.items()}, params)


@pytest.mark.parametrize("size", [(5, 8), (6, 5, 8)])
def test_windows_that_leave_a_rest_of_the_input_agree_with_the_formula(kernels, size) -> None:
    """A transposed convolution with output_padding has fewer windows than would fit."""
    n = len(size)
    arrays, params = convolution_operands((2, 2, *size), (3, 2, *(2,) * n), stride=2, padding=1)
    larger = params["windows"]._replace(size=tuple(m + 3 for m in size))
    arrays["x"] = np.random.default_rng(1).standard_normal((2, 2, *larger.size))
    assert_convolutions_agree(kernels, arrays, {"windows": larger, "groups": 1})


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_an_infinite_element_of_a_volume_spreads_no_further_than_in_the_formula(kernels, value) -> None:
    for name in "xwv":
        arrays, params = convolution_operands((1, 2, 5, 5, 5), (3, 2, 3, 2, 3), np.float32, padding=1, stride=2)
        arrays[name][0, 1, 2, 1, 1] = value
        assert_convolutions_agree(kernels, arrays, params)


def test_convolution_of_strided_and_broadcast_operands(kernels) -> None:
    arrays, params = convolution_operands((2, 3, 8, 9), (4, 3, 3, 3), padding=1)
    views = {name: np.repeat(a, 2, axis=-1)[..., ::2] for name, a in arrays.items()}
    assert_convolutions_agree(kernels, views, params)
    assert_convolutions_agree(kernels, {name: a[::-1] for name, a in arrays.items()}, params)
    arrays["v"] = np.broadcast_to(np.float64(0.5), arrays["v"].shape)
    assert_convolutions_agree(kernels, arrays, params)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_an_infinite_element_spreads_no_further_than_in_the_formula(kernels, value) -> None:
    for name in "xwv":
        arrays, params = convolution_operands((2, 2, 9, 9), (3, 2, 3, 3), np.float32, padding=1, stride=2)
        arrays[name][0, 1, 2, 1] = value
        assert_convolutions_agree(kernels, arrays, params)


def test_convolution_gives_the_same_bits_on_any_number_of_threads(kernels, on_threads) -> None:
    arrays, params = convolution_operands((5, 70, 24, 23), (90, 70, 3, 3), np.float32, padding=1)
    calls = {
        convolution.convolution_bias_p: (arrays["x"], arrays["w"], arrays["b"]),
        convolution.convolution_input_p: (arrays["v"], arrays["w"]),
        convolution.convolution_weight_p: (arrays["x"], arrays["v"]),
    }
    results = []
    for count in (1, 3, 8):
        on_threads(count)
        results.append([kernels[primitive](*operands, **params) for primitive, operands in calls.items()])
    for one, three, eight in zip(*results, strict=True):
        np.testing.assert_array_equal(one, three)
        np.testing.assert_array_equal(one, eight)


# ---------------------------------------------------------------------------------------- resampling


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64])
@pytest.mark.parametrize("kind", ["nearest", "nearest-exact", "linear", "cubic", "mean"])
def test_resampling_agrees_with_its_formula(kernels, kind, dtype) -> None:
    if kind not in ("nearest", "nearest-exact") and dtype is np.int64:
        return
    x = (np.random.default_rng(0).standard_normal((2, 3, 5, 4)) * 9).astype(dtype)
    for axis, t, transposed, antialias in product((1, 2, 3), (1, 3, 5, 9), (False, True), (False, True)):
        n = x.shape[axis]
        rule = Sampling(t, n, kind) if transposed else Sampling(n, t, kind)
        if antialias and kind not in ("linear", "cubic"):
            continue
        rule = rule._replace(antialias=antialias)
        assert_agree(kernels, resample_p, x, axis=axis, rule=rule, transposed=transposed)
        views = x[:, ::-1, :, ::-1]
        assert_agree(kernels, resample_p, views, axis=axis, rule=rule, transposed=transposed)


def test_resampling_gives_the_same_bits_on_any_number_of_threads(kernels, on_threads) -> None:
    x = np.random.default_rng(0).standard_normal((7, 3, 40, 30)).astype(np.float32)
    results = []
    for count in (1, 3, 8):
        on_threads(count)
        params = {"transposed": False}
        rows = kernels[resample_p](x, axis=2, rule=Sampling(40, 71, "cubic"), **params)
        results.append(kernels[resample_p](rows, axis=3, rule=Sampling(30, 17, "linear"), **params))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_what_is_not_sampled_does_not_matter(kernels) -> None:
    x = np.array([[1.0, np.nan, 2.0, np.inf]])
    params = {"axis": 1, "rule": Sampling(4, 2, "nearest"), "transposed": False}
    assert kernels[resample_p](x, **params).tolist() == [[1.0, 2.0]]
    assert resample_p.forward(np, x, **params).tolist() == [[1.0, 2.0]]


# ------------------------------------------------------------------------------------------- pooling


def pooling_windows(
    size: tuple[int, ...], kernel: Any, stride: Any, padding: int, dilation: int, ceil: bool
) -> Windows:
    def axes(value: Any) -> tuple[int, ...]:
        return value if isinstance(value, tuple) else (value,) * len(size)

    pad = ((padding, padding),) * len(size)
    return windows("test", size, axes(kernel), axes(stride), pad, axes(dilation), ceil)


POOLINGS = list(product([(8, 8), (9, 12), (15,), (6, 5, 7)], [2, 3], [1, 2, 3], [0, 1], [1, 2], [False, True]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_max_pooling_agrees_with_its_formula(kernels, dtype) -> None:
    rng = np.random.default_rng(0)
    for size, *arguments in POOLINGS:
        x = rng.integers(-3, 4, (2, 3, *size)).astype(dtype)  # many ties
        where = pooling_windows(size, *arguments)
        assert_agree(kernels, pooling.max_pool_p, x, windows=where)
        y, index = pooling.max_pool_p.forward(np, x, windows=where)
        assert_agree(kernels, pooling.pool_gather_p, x, index)
        assert_agree(kernels, pooling.pool_scatter_p, y, index, size=size)


@pytest.mark.parametrize("arguments", [(2, 2, 0, 1, False), (3, 1, 1, 1, False)])
def test_max_pooling_of_nan_and_infinity_agrees_with_its_formula(kernels, arguments) -> None:
    x = np.random.default_rng(0).choice([np.nan, np.inf, -np.inf, 0.0, 1.0], (4, 3, 8, 8))
    assert_agree(kernels, pooling.max_pool_p, x, windows=pooling_windows((8, 8), *arguments))
    volumes = x.reshape(4, 1, 3, 8, 8)
    assert_agree(kernels, pooling.max_pool_p, volumes, windows=pooling_windows((3, 8, 8), *arguments))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_mean_pooling_agrees_with_its_formula(kernels, dtype) -> None:
    rng = np.random.default_rng(0)
    for size, kernel, stride, padding, _, ceil in POOLINGS:
        where = pooling_windows(size, kernel, stride, padding, 1, ceil)
        counts = pooling._divisor(where, (padding,) * len(size), count_include_pad=False)
        for divisor in (where.taps, counts):
            x = rng.standard_normal((2, 3, *size)).astype(dtype)
            v = rng.standard_normal((2, 3, *where.output)).astype(dtype)
            assert_agree(kernels, pooling.avg_pool_p, x, windows=where, divisor=divisor)
            assert_agree(kernels, pooling.avg_spread_p, v, windows=where, divisor=divisor)


def test_pooling_of_strided_operands_and_of_nothing(kernels) -> None:
    where = pooling_windows((6, 8), 2, 2, 0, 1, False)
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 6)).swapaxes(2, 3)[:, ::-1]
    for operand in (x, x[:0]):
        assert_agree(kernels, pooling.max_pool_p, operand, windows=where)
        assert_agree(kernels, pooling.avg_pool_p, operand, windows=where, divisor=4)


# ------------------------------------------------------------------------------------ matrix products


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lead", [(), (3,), (2, 2)])
@pytest.mark.parametrize(
    ("rows", "depth", "columns"),
    [(64, 200, 130), (7, 3000, 100), (65, 1025, 49), (300, 500, 10), (5, 700, 200), (130, 515, 200), (1, 600, 600)],
)
def test_matrix_products_agree_with_numpy_in_every_layout(kernels, rows, depth, columns, lead, dtype) -> None:
    rng = np.random.default_rng(0)
    for transpose1, transpose2 in product((False, True), repeat=2):
        x1 = rng.standard_normal((*lead, depth, rows) if transpose1 else (*lead, rows, depth)).astype(dtype)
        x2 = rng.standard_normal((*lead, columns, depth) if transpose2 else (*lead, depth, columns)).astype(dtype)
        x1, x2 = x1.mT if transpose1 else x1, x2.mT if transpose2 else x2
        assert_agree(kernels, linear_algebra.matmul_p, x1, x2)
        if not lead:
            assert_agree(kernels, linear_algebra.linear_p, x1, x2.T)


def test_matrix_products_of_odd_operands_agree_with_numpy(kernels) -> None:
    rng = np.random.default_rng(0)
    x1, x2 = rng.standard_normal((90, 160)), rng.standard_normal((160, 110))
    assert_agree(kernels, linear_algebra.matmul_p, x1[:, ::2], x2[::-2])
    assert_agree(kernels, linear_algebra.matmul_p, np.broadcast_to(x1, (3, 90, 160)), x2)
    assert_agree(kernels, linear_algebra.matmul_p, x1[:0], x2)
    assert_agree(kernels, linear_algebra.matmul_p, x1[:, :0], x2[:0])
    assert_agree(kernels, linear_algebra.matmul_p, x1 + 1j * x1, x2 + 0j)


def test_matrix_products_give_the_same_bits_on_any_number_of_threads(kernels, on_threads) -> None:
    rng = np.random.default_rng(0)
    x1, x2 = rng.standard_normal((150, 600)), rng.standard_normal((600, 300))
    results = []
    for count in (1, 3, 8):
        on_threads(count)
        results.append(kernels[linear_algebra.matmul_p](x1, x2))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


# ------------------------------------------------------------------------------------------- elements


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("size", [5, 10_000])
def test_elementwise_kernels_agree_with_their_formulas(kernels, size, dtype) -> None:
    rng = np.random.default_rng(0)
    x, c = (rng.integers(-5, 6, size).astype(dtype) for _ in range(2))
    if np.dtype(dtype).kind == "f":
        x[::7] = np.nan
    for a, b in ((x, c), (x[::2], c[::2]), (x.reshape(5, -1), c.reshape(5, -1)), (x, np.asarray(1, dtype))):
        assert_agree(kernels, activation.relu_p, a)
        assert_agree(kernels, activation.where_positive_p, b, a)


# -------------------------------------------------------------------------------------------- threads


def test_shared_work_is_done_once_each_by_several_threads(on_threads) -> None:
    from autograd_core.backends.cpu import threads

    on_threads(4)
    done = np.zeros(1000, np.int64)
    workers = set()

    def run(first: int, last: int, done: np.ndarray) -> None:
        workers.add(get_ident())
        sleep(0.01)
        done[first:last] += 1

    threads.shared(run, len(done), 1e6, done)
    assert (done == 1).all()
    assert len(workers) > 1


def test_an_error_in_shared_work_reaches_the_caller_and_leaves_the_threads_usable(on_threads) -> None:
    from autograd_core.backends.cpu import threads

    on_threads(3)

    def fail(first: int, last: int) -> None:
        raise MemoryError("no room")

    for _ in range(3):
        with pytest.raises(MemoryError, match="no room"):
            threads.shared(fail, 10, 1e6)
    test_shared_work_is_done_once_each_by_several_threads(on_threads)


def test_kernels_run_from_several_python_threads_at_once(kernels, on_threads) -> None:
    on_threads(3)
    arrays, params = convolution_operands((8, 4, 12, 12), (16, 4, 3, 3), np.float32)
    kernel = kernels[convolution.convolution_p]
    expected = kernel(arrays["x"], arrays["w"], **params)
    found: list[np.ndarray] = []

    def work() -> None:
        found.extend(kernel(arrays["x"], arrays["w"], **params) for _ in range(20))

    callers = [Thread(target=work) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 80
    assert all((y == expected).all() for y in found)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_kernels_run_in_a_forked_child() -> None:
    pytest.importorskip("numba", reason="the kernels are compiled by Numba")
    script = """
import os, warnings
import numpy as np
from autograd_core.backends.cpu import threads
warnings.simplefilter("ignore")
threads.threads, threads.SHARED_FROM = lambda: 3, 0
done = np.zeros(100)
def run(first, last):
    done[first:last] += 1
threads.shared(run, 100, 1e6)
child = os.fork()
if not child:
    threads.shared(run, 100, 1e6)
    os._exit(0 if (done == 2).all() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
