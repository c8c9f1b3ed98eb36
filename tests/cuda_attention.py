"""Attention to run by hand-written CUDA C: problems with their operands, and what they are to give."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from autograd_core.backends.cuda.native.attention import Attention, Cut, Place, Result, placed
from autograd_core.compiler.space import row_major
from autograd_core.ops import attention as formulas

ERRORS = {"fp32": 2e-6, "tf32": 4e-3, "bf16": 2e-2}  # of the largest result
SMALL = Cut(1, 16)


class Layer(NamedTuple):
    """queries, keys: how many. mask: its shape, and whether it is of numbers. apart: whether operands and results have
    gaps.
    """

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

    def targets(self) -> list[np.ndarray]:
        """The arrays that are written, NaN everywhere."""
        if not self.problem.results:
            return [np.full(x.shape, np.nan, np.float32) for x in self.expected]
        size = max(r.place.offset + _reach(x, r.place) for x, r in self._laid()) + 1
        alone = self.expected[len(self.problem.results) :]
        return [np.full(size, np.nan, np.float32), *(np.full(x.shape, np.nan, np.float32) for x in alone)]

    def found(self, targets: list[np.ndarray]) -> list[np.ndarray]:
        """The results in these arrays, which hold nothing else."""
        if not self.problem.results:
            return targets
        views = []
        for x, (_, place) in self._laid():
            steps = [4 * s for s in (*place.lead, place.row, place.column)]
            views.append(np.lib.stride_tricks.as_strided(targets[0][place.offset :], x.shape, steps))
        assert np.isfinite(targets[0]).sum() == sum(x.size for x, _ in self._laid())
        return [*views, *targets[1:]]

    def _laid(self) -> list[tuple[np.ndarray, Result]]:
        return list(zip(self.expected, self.problem.results, strict=False))


def side_by_side(shapes: list[tuple[int, ...]], behind: int) -> tuple[Result, ...]:
    """Places in one array, one after the other: rows of the last leading axis lie beside each other, ``behind`` numbers
    apart.
    """
    found, offset = [], 0
    for *outer, heads, rows, columns in shapes:
        row = heads * (columns + behind)
        place = Place((*(s * rows * row for s in row_major(outer)), columns + behind), row, 1, offset + behind)
        found.append(Result(0, place))
        offset += prod(outer) * rows * row
    return tuple(found)


def _reach(x: np.ndarray, place: Place) -> int:
    return sum((n - 1) * s for n, s in zip(x.shape, (*place.lead, place.row, place.column), strict=True))


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
    if layer.apart:
        forward = forward._replace(results=side_by_side([y.shape], layer.width % 3))
        adjoint = adjoint._replace(results=side_by_side([x.shape for x in slopes], 1 + layer.queries % 2))
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
    """Self-attention of heads that lie side by side, as projections leave them and want them."""
    *outer, heads = lead
    strides = (*(s * length * heads * size for s in row_major(outer)), size)
    side_by_side = Place(strides, heads * size, 1)
    packed = Place((*(s * heads * length * size for s in row_major(outer)), length * size), size, 1)
    names = ("q", "k", "v") if kind == "forward" else ("g", "y", "sums", "q", "k", "v")
    places = tuple(packed if n == "y" else Place((), 0, 0) if n == "sums" else side_by_side for n in names)
    wanted = () if kind == "forward" else ("q", "k", "v")
    assert prod(lead) > 0
    problem = Attention(lead, length, length, size, size, size**-0.5, causal, 1.0, names, places, wanted, False, mode)
    row = max(1, len(wanted)) * heads * size  # as the projections' gradients read all three
    of_heads = (*(s * length * row for s in row_major(outer)), size)
    results = (Result(0, Place(of_heads, row, 1, n * heads * size)) for n in range(max(1, len(wanted))))
    return problem._replace(results=tuple(results))
