"""Elementwise kernels over segments as CUDA C: one launch, wherever segments begin, end and lie."""

from __future__ import annotations

import numpy as np
import pytest
from cuda_host import ORDERS, Library, needs_compiler
from cuda_offline import ARCHITECTURES, compiled, needs_nvrtc
from fences import fenced

from autograd_core.backends.cuda.native import Sizes
from autograd_core.backends.cuda.native.segments import segments, table
from autograd_core.compiler.evaluate import evaluate
from autograd_core.compiler.loops import Access, Accumulate, Constant, Index, Load, LoopKernel, Map, Store

F2, F4, F8, BOOL = (np.dtype(name) for name in ("f2", "f4", "f8", "?"))
SMALL = Sizes(threads=64, blocks=3)
LENGTHS = (1, 0, 7, 256, 3, 257, 1000, 0, 511, 0)


def adam(dtype: np.dtype = F4) -> LoopKernel:
    """Parameter, gradient, the running mean of squares, and one number for each segment: a step count in float64."""

    def at(operand: int, step: int = 1) -> Access:
        return Access(operand, (step,))

    body = (
        Load(at(0), dtype),
        Load(at(1), dtype),
        Load(at(2), dtype),
        Load(at(3, 0), F8),
        Constant(0.9, dtype),
        Constant(0.1, dtype),
        Map("mul", (2, 4), dtype),
        Map("mul", (1, 1), dtype),
        Map("mul", (7, 5), dtype),
        Map("add", (6, 8), dtype),
        Store(at(2), 9),
        Map("sqrt", (9,), dtype),
        Constant(1e-8, dtype),
        Map("add", (11, 12), dtype),
        Map("div", (1, 13), dtype),
        Constant(0.999, F8),
        Map("pow", (15, 3), F8),
        Map("cast", (16,), dtype),
        Map("mul", (14, 17), dtype),
        Map("sub", (0, 18), dtype),
        Store(at(0), 19),
    )
    return LoopKernel((), (1,), body, (dtype, dtype, dtype, F8), (0, 2))


def mask() -> LoopKernel:
    body = (Load(Access(0, (1,)), F8), Constant(0, F8), Map("lt", (0, 1), BOOL), Store(Access(1, (1,)), 2))
    return LoopKernel((), (1,), body, (F8, BOOL), (1,))


@pytest.mark.parametrize("kernel", [adam(), adam(F8), mask()], ids=["adam", "adam in float64", "mask"])
@pytest.mark.parametrize("end", [False, True], ids=["aligned", "anywhere"])
def test_segments_are_computed_like_kernels_of_their_own(kernel: LoopKernel, end: bool) -> None:
    needs_compiler()
    rng = np.random.default_rng(0)
    steps = {s.access.operand: s.access.strides[0] for s in kernel.body if isinstance(s, Load | Store)}
    source = segments(kernel, LENGTHS, "update", sizes=SMALL)
    library = Library(source.text, ["update"])
    arrays = [
        np.abs(rng.standard_normal(n if steps[i] else 1)).astype(dtype)
        for n in LENGTHS
        for i, dtype in enumerate(kernel.operands)
    ]
    expected, count = [a.copy() for a in arrays], len(kernel.operands)
    for i, n in enumerate(LENGTHS):
        if n:
            evaluate(kernel._replace(inner=(n,)), expected[i * count : (i + 1) * count])
    for order in ORDERS:
        copies = [fenced(a, end=end) for a in arrays]
        numbers = table(kernel, LENGTHS, [a.ctypes.data for a in copies], sizes=SMALL)
        library.run(source, [fenced(numbers)], order=order)
        for a, b in zip(copies, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7)


def test_the_code_does_not_depend_on_lengths_or_how_many_there_are() -> None:
    assert segments(adam(), [5, 10**10], "update").text == segments(adam(), [1] * 100, "update").text
    assert segments(adam(), [0, 0], "update").launches == ()
    assert segments(adam(), [10**9] * 3, "update").launches[0].grid == Sizes().blocks


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_update_moves_four_numbers_at_a_time(architecture: str) -> None:
    needs_nvrtc()
    kernel = compiled(segments(adam(), [1000], "update").unit, architecture)["update"]
    assert kernel.spilled == 0
    assert (kernel.moves("ld", 4), kernel.moves("st", 4)) == (3, 2)
    assert kernel.registers <= 72


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (adam()._replace(inner=(5,)), "a kernel of one inner point"),
        (LoopKernel((), (1,), (Load(Access(0, (2,)), F4), Store(Access(1, (1,)), 0)), (F4, F4), (1,)), "contiguous"),
        (LoopKernel((), (1,), (Load(Access(0, (1,)), F4), Store(Access(1, (0,)), 0)), (F4, F4), (1,)), "contiguous"),
        (
            LoopKernel(
                (), (1,), (Load(Access(0, (1,)), F4), Accumulate("sum", 0, Access(1, (0,)), True)), (F4,) * 2, (1,)
            ),
            "an elementwise kernel",
        ),
    ],
    ids=["several points", "strided", "one place", "a total"],
)
def test_other_kernels_are_refused(kernel: LoopKernel, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        segments(kernel, [3], "kernel")


def test_places_are_those_in_the_segment() -> None:
    needs_compiler()
    body = (Index(0, 3, 1), Store(Access(0, (1,)), 0))
    kernel = LoopKernel((), (1,), body, (np.dtype(np.int64),), (0,))
    source = segments(kernel, [70, 200], "places", sizes=SMALL)
    arrays = [fenced(np.zeros(n, np.int64)) for n in (70, 200)]
    numbers = table(kernel, [70, 200], [a.ctypes.data for a in arrays], sizes=SMALL)
    Library(source.text, ["places"]).run(source, [numbers])
    assert all((a == 1 + 3 * np.arange(a.size)).all() for a in arrays)
