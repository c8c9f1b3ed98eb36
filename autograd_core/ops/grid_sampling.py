"""Images sampled at any places: spatial transformers. Jaderberg et al., Spatial transformer networks, 2015.

Places are given from -1 to 1 along each axis, in the order x, y(, z): the last axis of the image first.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

from ..errors import ArgumentError, DTypeError, ShapeError
from ..primitive import bind
from ._apply import as_tensor, promoted, to_float
from .arithmetic import abs as absolute
from .creation import linspace
from .joining import stack
from .pooling import INDEX, pool_gather_p
from .rounding import floor, round
from .selection import clip, where

__all__ = ["affine_grid", "grid_sample"]

_MODES = {"bilinear", "nearest", "bicubic"}
_PADDINGS = {"zeros", "border", "reflection"}


# ------------------------------------------------------------------------------------------ places


def _places(grid: Any, n: int, align_corners: bool) -> Any:
    """From -1..1 to elements: the ends of the axis are its outermost elements, or the outer edges of these."""
    grid = where(grid == grid, grid, -1.0)  # what is not a number lies at the first end
    at = (grid + 1) * ((n - 1) / 2) if align_corners else ((grid + 1) * n - 1) / 2
    far = 1e4 if grid.dtype.itemsize == 2 else 1e15  # infinity has no neighbours
    return clip(at, -far, far)


def _reflected(at: Any, low: float, high: float) -> Any:
    """Places beyond ``low`` and ``high`` mirrored there, as often as needed."""
    span = high - low
    if not span:
        return at
    distance = absolute(at - low)
    turns = floor(distance / span).detach()
    rest = distance - turns * span
    return where(turns % 2 == 0, rest, span - rest) + low


def _within(at: Any, n: int, padding_mode: str, align_corners: bool) -> Any:
    """Places moved to where there are elements, as ``padding_mode`` says; zeros leaves them where they are."""
    if padding_mode == "zeros":
        return clip(at, -4.0, n + 3.0)  # far enough for all neighbours to lie outside, near enough to be integers
    if padding_mode == "reflection":
        at = _reflected(at, 0.0, n - 1.0) if align_corners else _reflected(at, -0.5, n - 0.5)
    return clip(at, 0.0, n - 1.0)


def _cubic(distance: Any) -> list[Any]:
    """Weights of the four neighbours at -1, 0, 1, 2 of a place ``distance`` behind element 0. Keys, 1981, a = -0.75."""

    def inner(x: Any) -> Any:
        return (1.25 * x - 2.25) * x * x + 1

    def outer(x: Any) -> Any:
        return ((-0.75 * x + 3.75) * x - 6) * x + 3

    return [outer(distance + 1), inner(distance), inner(1 - distance), outer(2 - distance)]


def _neighbours(at: Any, n: int, mode: str, padding_mode: str, align_corners: bool) -> list[tuple[Any, Any]]:
    """For each neighbour along one axis its place (whole numbers) and its weight (None: 1)."""
    if mode == "bicubic":
        at = clip(at, -4.0, n + 3.0) if padding_mode == "zeros" else at
        first = floor(at.detach())
        return [
            (_within(first + (k - 1.0), n, padding_mode, align_corners), weight)
            for k, weight in enumerate(_cubic(at - first))
        ]
    at = _within(at, n, padding_mode, align_corners)
    if mode == "nearest":
        return [(round(at.detach()), None)]
    first = floor(at.detach())
    behind = at - first
    return [(first, 1 - behind), (first + 1, behind)]


# ---------------------------------------------------------------------------------------- sampling


def _sample(x: Any, grid: Any, mode: str, padding_mode: str, align_corners: bool) -> Any:
    """(N, C, *size) at (N, T, axes) -> (N, C, T)."""
    size = x.shape[2:]
    axes = [
        _neighbours(_places(grid[:, :, len(size) - 1 - axis], n, align_corners), n, mode, padding_mode, align_corners)
        for axis, n in enumerate(size)
    ]
    n, c = x.shape[:2]
    total = None
    for corner in product(*axes):
        index: Any = 0
        inside: Any = None
        weight: Any = None
        for axis, (at, part) in enumerate(corner):
            index = index + clip(at, 0, size[axis] - 1).astype(INDEX) * prod(size[axis + 1 :])
            counts = (at >= 0) & (at <= size[axis] - 1)
            inside = counts if inside is None else inside & counts
            weight = part if weight is None else weight * part
        at_once = (n, 1, index.shape[1])
        value = bind(pool_gather_p, (x, index.reshape(at_once).broadcast_to((n, c, index.shape[1]))), {})
        value = where(inside.reshape(at_once), value, 0)
        value = value if weight is None else value * weight.reshape(at_once)
        total = value if total is None else total + value
    return total


def grid_sample(
    input: Any,
    grid: Any,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Any:
    """An image at the places in ``grid``: y[n, c, t, u] = x[n, c] at column grid[n, t, u, 0] and row grid[n, t, u, 1].

    input: (N, C, H, W), grid: (N, H', W', 2); or (N, C, D, H, W) and (N, D', H', W', 3), whose last axis is x, y, z.
    Places go from -1 to 1, which are the outermost elements (align_corners=True) or their outer edges. mode:
    "bilinear" (of two or three axes), "nearest", "bicubic" (two axes, a = -0.75). padding_mode, for places outside:
    "zeros", "border" (the nearest element), "reflection". NaN counts as -1.
    Returns (N, C, H', W'), in the common floating dtype; differentiable in both. ShapeError when shapes do not fit,
    ArgumentError for other values, DTypeError for complex numbers. Jaderberg et al., Spatial transformer networks,
    2015. Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.grid_sampling import grid_sample
    >>> grid_sample(ag.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), ag.tensor([[[[0.0, 0.0], [-0.5, 0.5]]]]))
    tensor([[[[2.5, 3. ]]]])
    """
    x, grid = promoted("grid_sample", (input, grid), floating=True)
    if mode not in _MODES:
        raise ArgumentError(f"grid_sample: mode must be 'bilinear', 'nearest' or 'bicubic', got {mode!r}")
    if padding_mode not in _PADDINGS:
        raise ArgumentError(
            f"grid_sample: padding_mode must be 'zeros', 'border' or 'reflection', got {padding_mode!r}"
        )
    if x.dtype.kind == "c":
        raise DTypeError("grid_sample: takes real images and places; sample ag.real(input) and ag.imag(input) each")
    ndim = len(x.shape) - 2
    if ndim not in (2, 3) or len(grid.shape) != ndim + 2 or grid.shape[-1] != ndim:
        raise ShapeError(
            "grid_sample: takes input (N, C, H, W) with grid (N, H', W', 2), or (N, C, D, H, W) with "
            f"(N, D', H', W', 3); got input {x.shape} and grid {grid.shape}"
        )
    if x.shape[0] != grid.shape[0]:
        raise ShapeError(
            f"grid_sample: input {x.shape} has {x.shape[0]} samples, grid {grid.shape} has {grid.shape[0]}; "
            "write grid.expand((N, -1, -1, -1)) to use one for all"
        )
    if 0 in x.shape[2:]:
        raise ShapeError(f"grid_sample: input {x.shape} has no elements to sample")
    if mode == "bicubic" and ndim == 3:
        raise ArgumentError(f"grid_sample: mode 'bicubic' takes images of two axes, got input {x.shape}")
    places = grid.shape[1:-1]
    y = _sample(x, grid.reshape((x.shape[0], prod(places), ndim)), mode, padding_mode, bool(align_corners))
    return y.reshape((*x.shape[:2], *places))


def affine_grid(theta: Any, size: Sequence[int], align_corners: bool | None = None) -> Any:
    """The places, for ``grid_sample``, of an image's elements under affine maps: theta (x, y, 1) or theta (x, y, z, 1).

    theta: (N, 2, 3) with size (N, C, H, W), or (N, 3, 4) with (N, C, D, H, W). The outermost elements lie at -1 and 1
    (align_corners=True), or their outer edges do. Returns (N, H, W, 2) or (N, D, H, W, 3). ShapeError when shapes do
    not fit. Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.grid_sampling import affine_grid
    >>> affine_grid(ag.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]), (1, 1, 1, 2))
    tensor([[[[-0.5,  0. ],
              [ 0.5,  0. ]]]])
    """
    theta = to_float(as_tensor("affine_grid", theta))
    if theta.dtype.kind == "c":
        raise DTypeError(f"affine_grid: theta must be real, got {theta.dtype}; write ag.real(theta)")
    size = tuple(size)
    ndim = len(size) - 2
    if ndim not in (2, 3) or min(size) < 1:
        raise ArgumentError(f"affine_grid: size must be (N, C, H, W) or (N, C, D, H, W) of positive ints, got {size}")
    if theta.shape != (size[0], ndim, ndim + 1):
        raise ShapeError(
            f"affine_grid: theta must have shape {(size[0], ndim, ndim + 1)} for size {size}, got {theta.shape}"
        )
    lengths = size[2:]
    columns = []
    for axis in reversed(range(ndim)):
        n = lengths[axis]
        ends = 1.0 if align_corners and n > 1 else 0.0 if align_corners else (n - 1) / n
        line = linspace(-ends, ends, n, dtype=theta.dtype, device=theta.device)
        columns.append(line.reshape((-1, *(1,) * (ndim - 1 - axis))).broadcast_to(lengths).reshape((prod(lengths),)))
    columns.append(theta.new_ones((prod(lengths),)))
    return (stack(columns, axis=-1) @ theta.mT).reshape((size[0], *lengths, ndim))
