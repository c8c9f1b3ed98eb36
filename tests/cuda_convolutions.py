"""Convolutions to run by hand-written CUDA C: problems with their operands, and what they are to give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import ml_dtypes  # noqa: F401 - NumPy knows bfloat16 then
import numpy as np

from autograd_core.backends.cuda.native.convolution import Convolution, Cut, convolution
from autograd_core.ops import convolution as formulas
from autograd_core.ops._windows import windows

KINDS = ("forward", "input", "weight")
ERRORS = {"fp32": 1e-6, "tf32": 2e-3, "bf16": 1e-2}  # of the largest result
UNITS = {"float16": 2.0**-11, "bfloat16": 2.0**-8}  # roundoff of a half
SMALLEST = {"float16": 2.0**-24, "bfloat16": 0.0}  # distance of those that are nearest to 0
SMALL = Cut(16, 32, 1, 1)
SQUARE = Cut(32, 32, 1, 1)


class Layer(NamedTuple):
    """A convolution as ``nn`` has it; the entries for axes are one number for all, or one for each."""

    batch: int
    channels: tuple[int, int]
    size: tuple[int, ...]
    kernel: int | tuple[int, ...] = 3
    stride: int | tuple[int, ...] = 1
    padding: int | tuple[int, ...] = 0
    dilation: int | tuple[int, ...] = 1
    groups: int = 1

    @property
    def name(self) -> str:
        return "-".join(str(v).replace(" ", "") for v in self)


class Case(NamedTuple):
    problem: Convolution
    cut: Cut | None
    operands: list[np.ndarray]
    expected: np.ndarray
    limit: np.ndarray | float = 0.0  # of the error


def case(
    kind: str,
    layer: Layer,
    cut: Cut | None = None,
    *,
    mode: str = "fp32",
    bias: bool = False,
    few: bool = True,
    dtype: str = "float32",
) -> Case:
    """few: whether operands are drawn, and the expected result computed by the formula, in float64."""
    axes = len(layer.size)

    def each(value: int | Sequence[int]) -> tuple[int, ...]:
        return (value,) * axes if isinstance(value, int) else tuple(value)

    pairs = tuple((n, n) for n in each(layer.padding))
    found = windows("conv", layer.size, each(layer.kernel), each(layer.stride), pairs, each(layer.dilation))
    problem = convolution(kind, layer.batch, layer.channels, found, layer.groups, bias=bias, mode=mode, dtype=dtype)
    if not few:
        return Case(problem, cut, [], np.zeros(()))
    rng = np.random.default_rng(0)
    into, out = layer.channels
    shapes = {
        "x": (layer.batch, into, *layer.size),
        "w": (out, into // layer.groups, *found.kernel),
        "v": (layer.batch, out, *found.output),
        "b": (out,),
    }
    named = {"forward": "xw", "input": "vw", "weight": "xv"}[kind]
    operands = [rng.standard_normal(shapes[n]).astype(dtype) for n in named + "b" * bias]
    formula = {
        "forward": formulas._forward_bias if bias else formulas._forward,
        "input": formulas._input,
        "weight": formulas._weight,
    }[kind]
    wide = [a.astype(np.float64) for a in operands]
    expected = formula(np, *wide, windows=found, groups=layer.groups)
    if not problem.halves:
        return Case(problem, cut, operands, expected, ERRORS[mode] * np.max(np.abs(expected), initial=0))
    sizes = formula(np, *map(np.abs, wide), windows=found, groups=layer.groups)
    return Case(problem, cut, operands, expected, _limit(problem, cut, expected, sizes))


def _limit(problem: Convolution, cut: Cut | None, expected: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Of the error of sums of halves in float32, rounded once. sizes: the sums of the products' sizes.

    A tensor core adds 16 products to a sum. It cuts off each of the 17, and the result, at 2^-23 of the largest or
    less, and none is larger than the sum of all sizes.
    """
    terms = problem.pixels if problem.kind == "weight" else problem.most_taps * (problem.terms + 15)
    steps = -(-terms // 16) + (cut.splits if cut else 1) + 1
    unit = UNITS[problem.dtype]
    before = 18 * steps * 2.0**-23 * sizes
    return unit * np.abs(expected) + (1 + unit) * before + SMALLEST[problem.dtype] / 2


SMALL_LAYERS: tuple[tuple[Layer, Cut | None], ...] = (
    (Layer(2, (5, 7), (6, 5), padding=1), SMALL),
    (Layer(2, (18, 20), (7, 6), (3, 2), 2, 1), SQUARE),
    (Layer(1, (32, 34), (9,), padding=2, dilation=2, groups=2), Cut(32, 32, 2, 1)),
    (Layer(3, (16, 16), (4, 4), 1), Cut(16, 64, 1, 2, 4)),
    (Layer(1, (3, 8), (10, 9), 3, 3, 4, 2), SMALL),
    (Layer(2, (6, 6), (8, 8), padding=1, groups=6), None),
    (Layer(2, (3, 6), (9, 7), 3, 2, 1, groups=3), None),
)
# Slopes that are copied by 2, 4 and 8 halves, and one by one; source pixels that are loaded by fours.
HALF_LAYERS: tuple[tuple[Layer, Cut | None], ...] = (
    (Layer(2, (20, 34), (4, 6), 1), SQUARE),
    (Layer(3, (16, 18), (3, 6), (1, 3), padding=(0, 1)), Cut(16, 64, 1, 2, 2)),
    (Layer(1, (17, 40), (6, 6), 3), Cut(32, 64, 2, 2)),
    (Layer(2, (3, 20), (7, 9), 5, 2, 2), SMALL),
)
MORE_LAYERS: tuple[tuple[Layer, Cut | None], ...] = (
    (Layer(1, (1, 4), (8, 8), 5, 1, 2), SMALL),
    (Layer(1, (4, 5), (3, 4, 5), 2, 1, 1), SMALL),
    (Layer(2, (3, 4), (4, 5, 4), 2, 2, (0, 1, 2), (1, 2, 1)), SMALL),
    (Layer(2, (33, 17), (5, 5), 2), SQUARE),
    (Layer(2, (48, 40), (4, 6), (1, 3), padding=(0, 1)), SQUARE),
    (Layer(2, (4, 6), (13,), 2, 4, 3, 6), SMALL),
    (Layer(2, (4, 6), (12, 12), 4, 4), SMALL),
    (Layer(1, (3, 16), (7, 7), 1, 3), SMALL),
    (Layer(1, (6, 5), (6,), 5, padding=7), SMALL),
    (Layer(1, (4, 4), (5, 5), 3, (2, 3), (2, 1), (3, 2)), SMALL),
    (Layer(2, (4, 8), (9, 8), 3, (1, 2), 1, groups=4), None),
    (Layer(1, (2, 2), (5, 6, 7), 3, padding=1, groups=2), None),
    (Layer(1, (4, 4), (9, 9), 3, 2, 2, 2, groups=4), None),
    (Layer(3, (5, 2), (6, 8), 3, padding=1), None),
    (Layer(3, (2, 5), (6, 8), 3, padding=1), None),
    (Layer(2, (3, 3), (31,), 9, padding=4, groups=3), None),
)
