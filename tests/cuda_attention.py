"""Attention to run by hand-written CUDA C: problems with their operands, and what they are to give."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from autograd_core.backends.cuda.native.attention import Attention, Cut, Place, placed
from autograd_core.compiler.space import row_major
from autograd_core.ops import attention as formulas

ERRORS = {"fp32": 2e-6, "tf32": 4e-3, "bf16": 2e-2}  # of the largest result
SMALL = Cut(1, 16)


class Layer(NamedTuple):
    """queries, keys: how many. mask: its shape, and whether it is of numbers. apart: whether operands have gaps."""

    lead: tuple[int, ...]
    queries: int
    keys: int
    features: int = 16
    width: int = 16
    causal: bool = False
    mask: tuple[int, ...] | None = None
    numbers: bool = False
    keep: bool = False
    apart: bool = False

    @property
    def name(self) -> str:
        words = [name for name in ("causal", "numbers", "keep", "apart") if getattr(self, name)]
        mask = [] if self.mask is None else [f"mask{self.mask}".replace(" ", "")]
        return "-".join(map(str, [*self.lead, self.queries, self.keys, self.features, self.width, *mask, *words]))


class Case(NamedTuple):
    """operands: arrays in whose memory the operands lie."""

    problem: Attention
    cut: Cut | None
    operands: list[np.ndarray]
    expected: list[np.ndarray]


def place_of(x: np.ndarray) -> Place:
    start = (x.ctypes.data - _base(x).ctypes.data) // x.itemsize
    return placed(x.shape, [s // x.itemsize for s in x.strides], start)


def drawn(layer: Layer) -> dict[str, np.ndarray]:
    """The operands, some of which are views; a mask of booleans lets one query see nothing."""
    rng = np.random.default_rng(0)
    lead, scores = layer.lead, (*layer.lead, layer.queries, layer.keys)
    shapes = {
        "q": (*lead, layer.queries, layer.features),
        "k": (*lead, layer.keys, layer.features),
        "v": (*lead, layer.keys, layer.width),
        "g": (*lead, layer.queries, layer.width),
    }
    found: dict[str, np.ndarray] = {}
    for name, shape in shapes.items():
        if layer.apart:  # rows of the last leading axis lie side by side, behind something else
            *outer, heads, rows, columns = shape
            whole = rng.standard_normal((*outer, rows, heads + 1, columns)).astype(np.float32)
            found[name] = np.moveaxis(whole[..., 1:, :], -2, -3)
        else:
            found[name] = rng.standard_normal(shape).astype(np.float32)
    if layer.mask is not None:
        shape = (1,) * (len(scores) - len(layer.mask)) + layer.mask
        mask = rng.random(shape) < 0.7
        if mask.shape[-2] > 1:
            mask[..., 1, :] = False
        found["mask"] = np.where(mask, rng.standard_normal(shape), -np.inf).astype("f") if layer.numbers else mask
    if layer.keep:
        found["keep"] = rng.random(scores) < 0.8
    return found


def cases(
    layer: Layer,
    cut: Cut | None = None,
    *,
    mode: str = "fp32",
    wanted: tuple[str, ...] = ("q", "k", "v"),
) -> tuple[Case, Case]:
    """Values and gradients; what is expected by the formula, in float64."""
    given = drawn(layer)
    g = given.pop("g")
    has = tuple(given)
    options: dict[str, Any] = {"scale": 0.3, "causal": layer.causal, "keep_scale": 1.25 if layer.keep else 1.0}
    exact = {n: x.astype(np.float64) if x.dtype == np.float32 else x for n, x in given.items()}
    y, sums = formulas._attend(np, *exact.values(), has=has, **options)
    slopes = formulas._attend_adjoint(
        np, g.astype(np.float64), y, sums, *exact.values(), has=has, wanted=wanted, **options
    )
    residuals = {"g": g, "y": y.astype(np.float32), "sums": sums.astype(np.float32)}
    forward = problem(layer, given, (), mode=mode, **options)
    adjoint = problem(layer, residuals | given, wanted, mode=mode, **options)
    bases = {n: _base(x) for n, x in (residuals | given).items()}
    return (
        Case(forward, cut, [bases[n] for n in has], [y, sums]),
        Case(adjoint, cut, list(bases.values()), list(slopes)),
    )


def problem(
    layer: Layer, given: dict[str, np.ndarray], wanted: tuple[str, ...], *, mode: str = "fp32", **options: Any
) -> Attention:
    sizes = (layer.queries, layer.keys, layer.features, layer.width)
    places = tuple(Place((), 0, 0) if name == "sums" else place_of(x) for name, x in given.items())
    scale, causal, keep_scale = options["scale"], options["causal"], options["keep_scale"]
    return Attention(layer.lead, *sizes, scale, causal, keep_scale, tuple(given), places, wanted, layer.numbers, mode)


def _base(x: np.ndarray) -> np.ndarray:
    while isinstance(x.base, np.ndarray):
        x = x.base
    return x


def sizes_alone(
    kind: str, lead: tuple[int, ...], length: int, size: int, *, causal: bool = False, mode: str = "fp32"
) -> Attention:
    """Self-attention of heads that lie side by side, as projections leave them."""
    *outer, heads = lead
    strides = (*(s * length * heads * size for s in row_major(outer)), size)
    side_by_side = Place(strides, heads * size, 1)
    packed = Place((*(s * heads * length * size for s in row_major(outer)), length * size), size, 1)
    names = ("q", "k", "v") if kind == "forward" else ("g", "y", "sums", "q", "k", "v")
    places = tuple(packed if n == "y" else Place((), 0, 0) if n == "sums" else side_by_side for n in names)
    wanted = () if kind == "forward" else ("q", "k", "v")
    assert prod(lead) > 0
    return Attention(lead, length, length, size, size, size**-0.5, causal, 1.0, names, places, wanted, False, mode)
