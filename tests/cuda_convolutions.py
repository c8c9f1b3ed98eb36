"""Convolutions to run by hand-written CUDA C: problems with their operands, and what they are to give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from autograd_core.backends.cuda.native.convolution import Convolution, Cut, convolution
from autograd_core.ops import convolution as formulas
from autograd_core.ops._windows import windows

KINDS = ("forward", "input", "weight")
ERRORS = {"fp32": 1e-6, "tf32": 2e-3, "bf16": 1e-2}  # of the largest result
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


def case(
    kind: str, layer: Layer, cut: Cut | None = None, *, mode: str = "fp32", bias: bool = False, few: bool = True
) -> Case:
    """few: whether operands are drawn, and the expected result computed by the formula, in float64."""
    axes = len(layer.size)

    def each(value: int | Sequence[int]) -> tuple[int, ...]:
        return (value,) * axes if isinstance(value, int) else tuple(value)

    pairs = tuple((n, n) for n in each(layer.padding))
    found = windows("conv", layer.size, each(layer.kernel), each(layer.stride), pairs, each(layer.dilation))
    problem = convolution(kind, layer.batch, layer.channels, found, layer.groups, bias=bias, mode=mode)
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
    operands = [rng.standard_normal(shapes[n]).astype(np.float32) for n in named + "b" * bias]
    formula = {
        "forward": formulas._forward_bias if bias else formulas._forward,
        "input": formulas._input,
        "weight": formulas._weight,
    }[kind]
    wide = [a.astype(np.float64) for a in operands]
    return Case(problem, cut, operands, formula(np, *wide, windows=found, groups=layer.groups))


SMALL_LAYERS: tuple[tuple[Layer, Cut | None], ...] = (
    (Layer(2, (5, 7), (6, 5), padding=1), SMALL),
    (Layer(2, (18, 20), (7, 6), (3, 2), 2, 1), SQUARE),
    (Layer(1, (32, 34), (9,), padding=2, dilation=2, groups=2), Cut(32, 32, 2, 1)),
    (Layer(3, (16, 16), (4, 4), 1), Cut(16, 64, 1, 2, 4)),
    (Layer(1, (3, 8), (10, 9), 3, 3, 4, 2), SMALL),
    (Layer(2, (6, 6), (8, 8), padding=1, groups=6), None),
    (Layer(2, (3, 6), (9, 7), 3, 2, 1, groups=3), None),
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
