"""Products with epilogues: what is done in registers is what loops would have done."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from compile_tools import captured, trace

import autograd_core as ag
from autograd_core.backends.cpu.native.engine import call
from autograd_core.backends.cpu.native.epilogues import fusion_of, pays, product_with_epilogue, sizes_of
from autograd_core.backends.cpu.native.lowerings import Located, lower_convolution
from autograd_core.backends.cpu.native.machine import limited
from autograd_core.compiler.epilogue import FusedUnit, with_epilogues
from autograd_core.compiler.fuse import schedule
from autograd_core.compiler.simplify import simplify
from autograd_core.compiler.space import row_major
from autograd_core.ops import activation
from autograd_core.ops.convolution import conv2d, conv3d
from autograd_core.ops.products import linear

R = np.random.default_rng(0)
LEVELS = ["host", "avx2", "scalar"]


def bias_relu(x: Any, w: Any, b: Any) -> Any:
    return activation.relu(linear(x, w, b))


def slopes(g: Any, w: Any, y: Any) -> Any:
    return ag.where(y > 0, g @ w, 0.0)


def two_results(x: Any, w: Any, b: Any) -> Any:
    y = linear(x, w) + b
    return y, y * 2.0 + 1.0


def scaled(x: Any, w: Any, scale: Any, power: Any, whole: Any) -> Any:
    return (x @ w) * ag.exp(scale) + ag.abs(scale) ** power + (whole**3).astype(x.dtype)


def fused(f: Any, *arrays: np.ndarray) -> tuple[FusedUnit, list[Any], Any]:
    found = captured(f, *arrays)
    graph = simplify(found.graph)
    plan = schedule(graph, trace=trace)
    (unit,) = with_epilogues(plan, graph, sizes_of)
    assert isinstance(unit, FusedUnit)
    return unit, found.expected, graph


def check(f: Any, *arrays: np.ndarray, threads: int = 1, machine: str | None = None) -> None:
    unit, expected, graph = fused(f, *arrays)
    values = dict(zip(graph.inputs, arrays, strict=True))
    values.update({v: np.asarray(a) for v, a in graph.constants.items()})
    values.update((v, np.full(v.shape, np.nan, v.dtype)) for v in unit.outputs)
    inputs = [Located(v.shape, np.dtype(v.dtype), row_major(v.shape)) for v in unit.equation.inputs]
    spec, order = product_with_epilogue(unit, inputs)
    operands = [*unit.equation.inputs, *(unit.operands[i] for i in order)]
    target = None if machine is None else limited(machine)
    assert call(spec, [values[v] for v in operands], threads=threads, machine=target) == 0
    tolerance = 1e-4 if arrays[0].dtype == np.float32 else 1e-10
    for v, y in zip(graph.outputs, expected, strict=True):
        np.testing.assert_allclose(values[v], y, rtol=tolerance, atol=tolerance * 10)


@pytest.mark.parametrize("machine", LEVELS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(7, 5, 3), (33, 40, 17), (64, 16, 48)])
def test_bias_and_activation(shape: Any, dtype: str, machine: str) -> None:
    m, n, k = shape
    x, w, b = (R.standard_normal(s).astype(dtype) for s in ((m, k), (n, k), (n,)))
    check(bias_relu, x, w, b, machine=machine)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("depth", [30, 1500])
def test_long_sums_on_threads(depth: int, threads: int) -> None:
    g, w, y = (R.standard_normal(s).astype(np.float32) for s in ((40, depth), (depth, 50), (40, 50)))
    check(slopes, g, w, y, threads=threads)


def test_two_results() -> None:
    x, w, b = (R.standard_normal(s).astype(np.float32) for s in ((12, 9), (21, 9), (21,)))
    check(two_results, x, w, b)


@pytest.mark.parametrize(("depth", "count"), [(20, 2), (300, 1)])
def test_what_is_loaded_for_every_element_waits_for_a_long_product(depth: int, count: int) -> None:
    found = captured(slopes, *(R.standard_normal(s) for s in ((40, depth), (depth, 50), (40, 50))))
    graph = simplify(found.graph)
    assert len(with_epilogues(schedule(graph, trace=trace), graph, sizes_of, pays)) == count


def test_what_is_long_is_a_loop_of_its_own() -> None:
    x, w = R.standard_normal((4, 3)), R.standard_normal((3, 5))
    for f in (lambda x, w: ag.exp(x @ w), lambda x, w: activation.gelu(x @ w)):
        found = captured(f, x, w)
        graph = simplify(found.graph)
        units = with_epilogues(schedule(graph, trace=trace), graph, sizes_of, pays)
        assert len(units) == 2


@pytest.mark.parametrize("machine", LEVELS)
@pytest.mark.parametrize("depth", [30, 1500])
def test_what_is_the_same_for_all_elements_may_be_long(depth: int, machine: str) -> None:
    x, w = (R.standard_normal(s).astype(np.float32) for s in ((17, depth), (depth, 33)))
    numbers = np.array(0.3, np.float32), np.array(2.5, np.float32), np.array(3)
    check(scaled, x, w, *numbers, machine=machine)
    graph = simplify(captured(scaled, x, w, *numbers).graph)
    assert len(with_epilogues(schedule(graph, trace=trace), graph, sizes_of, pays)) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("biased", [False, True])
def test_convolutions(dtype: str, biased: bool) -> None:
    x, w, b = (R.standard_normal(s).astype(dtype) for s in ((2, 3, 9, 8), (5, 3, 3, 3), (5,)))

    def f(x: Any, w: Any, b: Any) -> Any:
        return activation.relu(conv2d(x, w, b if biased else None, padding=1)) + 1.0

    arrays = (x, w, b)
    found = captured(f, *arrays)
    graph = simplify(found.graph)
    (unit,) = with_epilogues(schedule(graph, trace=trace), graph, sizes_of, pays)
    assert isinstance(unit, FusedUnit)
    values = dict(zip(graph.inputs, arrays, strict=True))
    results = [np.full(v.shape, np.nan, v.dtype) for v in unit.outputs]
    located = [
        [Located(v.shape, np.dtype(v.dtype), row_major(v.shape)) for v in some]
        for some in (unit.equation.inputs, unit.equation.outputs)
    ]
    spec = lower_convolution(unit.equation, *located, fusion_of(unit)).spec
    assert call(spec, [*(values[v] for v in unit.equation.inputs), *results], threads=2) == 0
    np.testing.assert_allclose(results[0], found.expected[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("image", "weight", "groups"),
    [
        ((2, 4, 6, 7), (4, 1, 3, 3), 4),  # each channel by itself
        ((2, 6, 6, 7), (4, 3, 3, 3), 2),
        ((2, 2, 4, 5, 6), (3, 2, 3, 3, 3), 1),  # a volume
    ],
)
@pytest.mark.parametrize("biased", [False, True])
def test_what_follows_a_convolution_without_a_kernel_is_computed_too(
    image: tuple[int, ...], weight: tuple[int, ...], groups: int, biased: bool
) -> None:
    x, w, b = (ag.tensor(R.standard_normal(s).astype("float32")) for s in (image, weight, weight[:1]))
    convolve = conv2d if len(image) == 4 else conv3d

    def f(x: Any, w: Any, b: Any) -> Any:
        return activation.relu(convolve(x, w, b if biased else None, padding=1, groups=groups)) + 1.0

    step = ag.compile(f)
    for _ in range(4):
        np.testing.assert_allclose(step(x, w, b).numpy(), f(x, w, b).numpy(), rtol=1e-5, atol=1e-5)
