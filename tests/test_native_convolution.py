"""Convolution kernels in machine code: against the reference's formulas in float64, on three kinds of machine."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from autograd_core.backends.cpu.native import emit, engine
from autograd_core.backends.cpu.native.convolution import convolution as native
from autograd_core.backends.cpu.native.convolution import correlation, sums
from autograd_core.backends.cpu.native.convolution import weight as weights
from autograd_core.backends.cpu.native.convolution.shape import planar
from autograd_core.backends.cpu.native.machine import limited
from autograd_core.ops import convolution as ops
from autograd_core.ops._windows import Windows, windows

GUARD = 64
SENTINEL = -12345.0
SLOTS = 2  # threads with a buffer of their own; where a case has three, one must find nothing to do


class Case(NamedTuple):
    n: int
    c_in: int
    c_out: int
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: int = 1
    x_layout: str = "NCHW"
    y_layout: str = "NCHW"
    threads: int = 1
    dtype: str = "float32"

    @property
    def windows(self) -> Windows:
        def pair(value: Any) -> tuple[Any, ...]:
            return value if isinstance(value, tuple) else (value,) * len(self.size)

        padding = tuple(p if isinstance(p, tuple) else (p, p) for p in pair(self.padding))
        return windows("conv", self.size, self.kernel, pair(self.stride), padding, pair(self.dilation))


# every length and layout that takes a path of its own
CASES = {
    "one channel": Case(3, 1, 20, (9, 21), (3, 3), x_layout="NCHW", y_layout="NHWC", threads=2),
    "whole registers": Case(2, 16, 32, (8, 17), (3, 3), padding=1, threads=2),
    "odd tiles": Case(3, 17, 33, (13, 15), (3, 3), padding=1, threads=2),
    "tiles as they lie": Case(2, 16, 32, (10, 18), (3, 3), x_layout="NHWC", y_layout="NHWC", threads=3),
    "long rows of tiles": Case(1, 16, 16, (5, 112), (3, 3), padding=(2, 0)),
    "as it lies": Case(2, 16, 32, (7, 18), (3, 3), x_layout="NHWC", y_layout="NHWC"),
    "three registers": Case(1, 5, 48, (7, 12), (2, 3), padding=1, x_layout="NHWC", y_layout="NHWC", threads=3),
    "bands": Case(1, 3, 18, (13, 10), (3, 3), padding=1, threads=3),
    "stride": Case(2, 7, 17, (11, 14), (3, 3), stride=2, padding=1, threads=2),
    "stride over dilation": Case(2, 4, 9, (13, 12), (3, 3), 2, 2, 2, x_layout="NHWC"),
    "uneven": Case(2, 3, 5, (9, 16), (2, 3), (1, 3), ((0, 1), (2, 0)), (2, 1), y_layout="NHWC"),
    "pointwise": Case(2, 17, 33, (4, 9), (1, 1), x_layout="NHWC", y_layout="NHWC", threads=2),
    "pixels unseen": Case(2, 5, 4, (9, 10), (1, 1), stride=2, threads=2),
    "five": Case(2, 6, 8, (6, 7), (5, 5), padding=2, threads=2),
    "more padding than kernel": Case(1, 3, 8, (4, 5), (2, 2), padding=2, dilation=1),
    "groups": Case(2, 18, 34, (8, 9), (3, 3), padding=1, groups=2, threads=2),
    "groups as they lie": Case(2, 16, 32, (8, 9), (3, 3), groups=2, x_layout="NHWC", y_layout="NHWC"),
    "small images": Case(5, 20, 16, (3, 3), (3, 3), padding=1, threads=2),
    "double": Case(2, 5, 18, (6, 9), (3, 3), padding=1, threads=2, dtype="float64"),
    "one axis": Case(3, 5, 18, (23,), (4,), 2, 3, threads=2),
}

# all on the host's own instructions; on others, what depends on how many lanes and registers there are
NARROW = {
    "avx2": ("one channel", "odd tiles", "three registers", "stride over dilation", "groups"),
    "scalar": ("bands", "uneven", "small images", "double", "odd tiles"),
}
RUNS = [(name, "host") for name in CASES] + [(name, machine) for machine, names in NARROW.items() for name in names]
every_case = pytest.mark.parametrize(("case", "machine"), [(CASES[c], m) for c, m in RUNS], ids=map("-".join, RUNS))


def random(seed: int, *shape: int, dtype: str) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


class Guarded:
    """An array between two stretches that no kernel may write to, or make anything of: NaN around what is read."""

    def __init__(self, values: np.ndarray, guard: float):
        self.whole = np.full(values.size + 2 * GUARD, guard, values.dtype)
        self.array = self.whole[GUARD : GUARD + values.size].reshape(values.shape)
        self.array[...] = values

    def untouched(self) -> bool:
        around = np.concatenate([self.whole[:GUARD], self.whole[-GUARD:]])
        return bool((around == SENTINEL).all())


def laid(images: np.ndarray, layout: str) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(images, 1, -1) if layout == "NHWC" else images)


def run(case: Case, spec: engine.KernelSpec, inputs: list[np.ndarray], outputs: list[tuple], machine: str) -> list:
    """outputs: shape and layout of each. What is returned are logical arrays."""
    given = [Guarded(x, np.nan).array for x in inputs]
    results = []
    for shape, layout in outputs:
        if layout == "NHWC":
            shape = (shape[0], *shape[2:], shape[1])
        results.append(Guarded(np.full(shape, SENTINEL, case.dtype), SENTINEL))
    arrays = [*given, *(result.array for result in results)]
    assert engine.call(spec, arrays, threads=case.threads, machine=limited(machine)) == 0
    assert all(result.untouched() for result in results)
    return [np.moveaxis(r.array, -1, 1) if layout == "NHWC" else r.array for r, (_, layout) in zip(results, outputs)]


def operands(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    w = case.windows
    return (
        random(1, case.n, case.c_in, *case.size, dtype=case.dtype),
        random(2, case.c_out, case.c_in // case.groups, *case.kernel, dtype=case.dtype),
        random(3, case.c_out, dtype=case.dtype),
        random(4, case.n, case.c_out, *w.output, dtype=case.dtype),
    )


def agree(found: np.ndarray, truth: np.ndarray, case: Case, terms: int) -> None:
    """Within the rounding of so many terms of size 1, summed in any order."""
    tolerance = np.finfo(case.dtype).eps * (4 + 2 * np.sqrt(terms)) * np.sqrt(terms)
    np.testing.assert_allclose(found, truth, rtol=0, atol=tolerance)


@every_case
def test_forward(case: Case, machine: str) -> None:
    x, w, b, _ = operands(case)
    sizes = (case.dtype, case.n, case.c_in, case.c_out, case.windows, case.groups)
    layouts = {"x_layout": case.x_layout, "y_layout": case.y_layout}
    spec = native.convolution(*sizes, **layouts, bias=True, threads=SLOTS)
    output = (case.n, case.c_out, *case.windows.output)
    (y,) = run(case, spec, [laid(x, case.x_layout), w, b], [(output, case.y_layout)], machine)
    truth = ops.convolution_bias_p.forward(
        np, *(a.astype(np.float64) for a in (x, w, b)), windows=case.windows, groups=case.groups
    )
    agree(y, truth, case, case.c_in // case.groups * case.windows.taps)


@every_case
def test_input_gradient(case: Case, machine: str) -> None:
    _, w, _, g = operands(case)
    sizes = (case.dtype, case.n, case.c_in, case.c_out, case.windows, case.groups)
    spec = native.convolution_input(*sizes, g_layout=case.y_layout, x_layout=case.x_layout, threads=SLOTS)
    image = (case.n, case.c_in, *case.size)
    (x,) = run(case, spec, [laid(g, case.y_layout), w], [(image, case.x_layout)], machine)
    truth = ops.convolution_input_p.forward(
        np, g.astype(np.float64), w.astype(np.float64), windows=case.windows, groups=case.groups
    )
    agree(x, truth, case, case.c_out // case.groups * case.windows.taps)


@every_case
def test_weight_gradient(case: Case, machine: str) -> None:
    x, w, b, g = operands(case)
    sizes = (case.dtype, case.n, case.c_in, case.c_out, case.windows, case.groups)
    spec = weights.convolution_weight(*sizes, x_layout=case.x_layout, g_layout=case.y_layout, bias=True, threads=SLOTS)
    given = [laid(x, case.x_layout), laid(g, case.y_layout)]
    dw, db = run(case, spec, given, [(w.shape, "as it is"), (b.shape, "as it is")], machine)
    truth = ops.convolution_weight_p.forward(
        np, x.astype(np.float64), g.astype(np.float64), windows=case.windows, groups=case.groups
    )
    pixels = case.n * case.windows.outputs
    agree(dw, truth, case, pixels)
    agree(db, g.astype(np.float64).sum(axis=(0, *range(2, g.ndim))), case, pixels)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_an_image_that_no_cache_holds_is_computed_in_bands(layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlation, "SOURCE_BYTES", 4096)
    monkeypatch.setattr(correlation, "RESULT_BYTES", 2048)
    monkeypatch.setattr(sums, "BAND_BYTES", 4096)
    strided = Case(2, 6, 17, (19, 11), (3, 3), 2, 1, x_layout=layout, y_layout=layout, threads=2)
    tiled = Case(2, 16, 17, (13, 17), (3, 3), padding=1, x_layout=layout, y_layout=layout, threads=2)
    for case in (strided, tiled):
        test_forward(case, "host")
        test_input_gradient(case, "host")
        test_weight_gradient(case, "host")


@pytest.mark.parametrize(
    ("layout", "machine"), [("NCHW", "host"), ("NHWC", "host"), ("NCHW", "avx2"), ("NHWC", "scalar")]
)
def test_an_epilogue_sees_every_result_once_and_where_it_is(layout: str, machine: str) -> None:
    case = Case(2, 3, 21, (5, 13), (3, 3), padding=1, y_layout=layout, threads=2)
    x, w, b, other = operands(case)

    def relu_of_sum(
        builder: emit.Kernel, pixel: Any, channel: Any, vector: Any, mask: Any
    ) -> Any:  # y -> relu(y + other[pixel, channel])
        at = builder.add(builder.mul(pixel, emit.i64(case.c_out)), channel)
        address = emit.element(builder, builder.operands[3], at, emit.F32)
        if mask is None:
            added = emit.load(builder, address, vector.type)
        else:
            added = emit.masked_load(builder, address, mask, vector.type)
        total = builder.fadd(vector, added)
        zero = emit.constant(vector.type, 0.0)
        return builder.select(builder.fcmp_ordered(">", total, zero), total, zero)

    spec = native.convolution(
        case.dtype,
        case.n,
        case.c_in,
        case.c_out,
        case.windows,
        y_layout=case.y_layout,
        bias=True,
        threads=SLOTS,
        fusion=native.Fusion("relu of sum", relu_of_sum, 1),
    )
    output = (case.n, case.c_out, *case.windows.output)
    (y,) = run(case, spec, [x, w, b, laid(other, "NHWC")], [(output, case.y_layout)], machine)
    wide = [a.astype(np.float64) for a in (x, w, b)]
    truth = ops.convolution_bias_p.forward(np, *wide, windows=case.windows, groups=1) + other
    agree(y, np.maximum(truth, 0), case, 30)


def specs(case: Case) -> list[engine.KernelSpec]:
    sizes = (case.dtype, case.n, case.c_in, case.c_out, case.windows, case.groups)
    return [native.convolution(*sizes), native.convolution_input(*sizes), weights.convolution_weight(*sizes)]


def test_both_algorithms_are_among_the_cases() -> None:
    names = [spec.name for case in CASES.values() for spec in specs(case)]
    for kind in ("convolution", "convolution_input", "convolution_weight"):
        of_kind = [name.removeprefix(kind + "_") for name in names if re.match(kind + r"_(winograd|\d)", name)]
        fast = sum(name.startswith("winograd") for name in of_kind)
        assert 3 <= fast <= len(of_kind) - 3


def test_few_tiles_do_not_pay_for_transformed_weights() -> None:
    def fast(n: int, size: int, stride: int = 1, kernel: int = 3, channels: int = 64) -> list[bool]:
        case = Case(n, channels, 64, (size, size), (kernel, kernel), stride, padding=kernel // 2)
        return ["winograd" in spec.name for spec in specs(case)]

    assert fast(4, 16) == [True] * 3
    assert fast(1, 14) == fast(64, 8) == fast(4, 16, stride=2) == fast(4, 16, kernel=5) == [False] * 3
    assert fast(4, 16, channels=3) == [False] * 3


def test_sixty_four_channels_are_as_exact_as_float32_allows() -> None:
    case = Case(2, 64, 64, (16, 16), (3, 3), padding=1, threads=2)
    x, w, _, g = operands(case)
    sizes = (case.dtype, case.n, case.c_in, case.c_out, case.windows)
    output = (case.n, case.c_out, *case.windows.output)
    spec = native.convolution(*sizes, threads=SLOTS)
    (y,) = run(case, spec, [x, w], [(output, "NCHW")], "host")
    (dw,) = run(case, weights.convolution_weight(*sizes, threads=SLOTS), [x, g], [(w.shape, "as it is")], "host")
    wide = [a.astype(np.float64) for a in (x, w, g)]
    for found, truth in (
        (y, ops.convolution_p.forward(np, wide[0], wide[1], windows=case.windows, groups=1)),
        (dw, ops.convolution_weight_p.forward(np, wide[0], wide[2], windows=case.windows, groups=1)),
    ):
        assert np.abs(found - truth).max() < 4e-6 * truth.std()


@pytest.mark.parametrize("name", ["odd tiles", "groups"])
def test_what_is_not_finite_stays_where_it_is_seen(name: str) -> None:
    case = CASES[name]
    x, w, b, _ = operands(case)
    x[0, 2, 4, 5], x[1, 0, 0, 0], x[1, 3, 5, 2] = np.inf, np.nan, -np.inf
    sizes = (case.dtype, case.n, case.c_in, case.c_out, case.windows, case.groups)
    spec = native.convolution(*sizes, bias=True, threads=SLOTS)
    output = (case.n, case.c_out, *case.windows.output)
    (y,) = run(case, spec, [x, w, b], [(output, "NCHW")], "host")
    with np.errstate(invalid="ignore"):
        truth = ops.convolution_bias_p.forward(np, x, w, b, windows=case.windows, groups=case.groups)
    np.testing.assert_array_equal(np.isfinite(y), np.isfinite(truth))


def test_the_sum_over_pixels_has_one_order_for_a_number_of_threads() -> None:
    case = CASES["whole registers"]
    x, w, _, g = operands(case)
    spec = weights.convolution_weight(case.dtype, case.n, case.c_in, case.c_out, case.windows, threads=SLOTS)
    first, second = (run(case, spec, [x, g], [(w.shape, "as it is")], "host")[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_equal_convolutions_are_one_kernel_and_others_are_not() -> None:
    shape = ("float32", 2, 3, 8)
    narrow, padded = Case(2, 3, 8, (6, 6), (3, 3)).windows, Case(2, 3, 8, (6, 6), (3, 3), padding=1).windows
    kernels = [
        native.convolution(*shape, narrow),
        native.convolution(*shape, padded),
        native.convolution(*shape, narrow, y_layout="NHWC"),
        native.convolution(*shape, narrow, bias=True),
        native.convolution_input(*shape, narrow),
        weights.convolution_weight(*shape, narrow),
    ]
    assert len({spec.key for spec in kernels}) == len({spec.name for spec in kernels}) == len(kernels)
    again = native.convolution(*shape, narrow)
    assert (again.key, again.name) == (kernels[0].key, kernels[0].name)


def test_what_is_not_supported_is_said() -> None:
    flat = Case(1, 16, 16, (6, 6), (3, 3)).windows
    volume = Case(1, 16, 16, (4, 4, 4), (3, 3, 3)).windows
    assert native.supports("float32", 2, 16, 16, flat, 1)
    assert native.supports("float64", 2, 16, 16, flat, 2)
    assert native.supports("float32", 2, 16, 16, Case(1, 16, 16, (6,), (3,)).windows, 1)
    assert not native.supports("float16", 2, 16, 16, flat, 1)
    assert not native.supports("float32", 2, 16, 16, volume, 1)
    assert not native.supports("float32", 2, 16, 16, flat, 16)
    assert not native.supports("float32", 0, 16, 16, flat, 1)


def test_one_axis_is_two_of_which_the_first_has_length_one() -> None:
    one = Case(1, 1, 1, (9,), (3,), 2, 1).windows
    assert planar(one) == Case(1, 1, 1, (1, 9), (1, 3), (1, 2), ((0, 0), (1, 1))).windows
