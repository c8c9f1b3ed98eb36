"""Images of another size: nearest elements, means over areas, and linear or cubic interpolation, an axis at a time."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import Any

from ..errors import ArgumentError, ShapeError
from ._apply import as_tensor, to_float
from ._sampling import Sampling, resample
from ._windows import AXIS_NAMES, per_axis
from .adaptive_pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d

__all__ = ["interpolate"]

_AREA = {1: adaptive_avg_pool1d, 2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}
_AXES = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}  # modes that take so many axes alone
_MODES = ("nearest", "nearest-exact", "area", *_AXES)


def _lengths(size: tuple[int, ...], wanted: Any, scale_factor: Any, recompute: bool | None) -> list[Any]:
    """For each axis its new length, and the factor by which samples lie apart (None: the ratio of the lengths)."""
    ndim = len(size)
    if (wanted is None) == (scale_factor is None):
        raise ArgumentError(
            "interpolate: takes size or scale_factor, one of the two; "
            f"got size={wanted!r} and scale_factor={scale_factor!r}"
        )
    if wanted is not None:
        if recompute:
            raise ArgumentError("interpolate: recompute_scale_factor=True needs scale_factor, but size was given")
        return [(t, None) for t in per_axis("interpolate", "size", wanted, ndim, least=1)]
    factors = tuple(scale_factor) if isinstance(scale_factor, Sequence) else (scale_factor,) * ndim
    if len(factors) != ndim or not all(isinstance(f, (int, float)) and f > 0 for f in factors):
        raise ArgumentError(
            f"interpolate: scale_factor must be a positive number or {ndim} of them, got {scale_factor!r}"
        )
    lengths = [floor(float(n * f)) for n, f in zip(size, factors)]
    if min(lengths) < 1:
        raise ShapeError(f"interpolate: scale_factor {scale_factor} of size {size} leaves {lengths}; use a larger one")
    return [(t, None if recompute else float(f)) for t, f in zip(lengths, factors)]


def _check(x: Any, mode: str, align_corners: bool | None, antialias: bool) -> None:
    if mode not in _MODES:
        raise ArgumentError(f"interpolate: mode must be one of {', '.join(map(repr, _MODES))}, got {mode!r}")
    ndim = len(x.shape) - 2
    if ndim not in AXIS_NAMES:
        raise ShapeError(
            f"interpolate: input must be (N, C, L), (N, C, H, W) or (N, C, D, H, W), got shape {x.shape}; "
            "write input[None] to add the axis N"
        )
    if _AXES.get(mode, ndim) != ndim:
        fitting = next(name for name, axes in _AXES.items() if axes == ndim)
        raise ArgumentError(
            f"interpolate: mode {mode!r} does not take input {x.shape} with {ndim} axes after C; write mode={fitting!r}"
        )
    if align_corners is not None and mode not in _AXES:
        raise ArgumentError(
            f"interpolate: align_corners is for the modes {', '.join(map(repr, _AXES))}; leave it out for {mode!r}"
        )
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ArgumentError(f"interpolate: antialias is for the modes bilinear and bicubic, got mode {mode!r}")
    if 0 in x.shape[2:]:
        raise ShapeError(f"interpolate: input {x.shape} has no elements to interpolate")


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """An image at another size: each axis of n elements sampled at t places.

    input: (N, C, L), (N, C, H, W) or (N, C, D, H, W). size: an int, or one for each axis; or scale_factor, a number or
    one for each axis, for t = floor(n scale_factor). mode: "nearest" (element floor(i n / t)), "nearest-exact" (that at
    the middle, floor((i + 1/2) n / t)), "linear", "bilinear", "trilinear" (the two neighbours of each axis), "bicubic"
    (four of them, Keys' kernel with a = -0.75), "area" (means, as ``adaptive_avg_pool2d``).
    align_corners: True if the outermost samples are the outermost elements, instead of the edges of both images
    meeting. recompute_scale_factor: True for samples n / t apart, rather than 1 / scale_factor. antialias (bilinear and
    bicubic): widen the kernel when shrinking. Integers become float32, other than for the nearest.
    ArgumentError for arguments that do not fit together, ShapeError for other shapes. Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.resampling import interpolate
    >>> interpolate(ag.tensor([[[0.0, 4.0]]]), size=4, mode="linear")
    tensor([[[0., 1., 3., 4.]]])
    """
    x = as_tensor("interpolate", input)
    _check(x, mode, align_corners, antialias)
    lengths = _lengths(x.shape[2:], size, scale_factor, recompute_scale_factor)
    if mode == "area":
        return _AREA[len(lengths)](x, [t for t, _ in lengths])
    kind = {"nearest": "nearest", "nearest-exact": "nearest-exact", "bicubic": "cubic"}.get(mode, "linear")
    if not mode.startswith("nearest"):
        x = to_float(x)
    rules = [
        Sampling(n, t, kind, factor, bool(align_corners), antialias) for n, (t, factor) in zip(x.shape[2:], lengths)
    ]
    # the axes that shrink first: less is left for the others
    for axis, rule in sorted(enumerate(rules, start=2), key=lambda item: item[1].t / item[1].n):
        x = resample(x, axis, rule)
    return x
