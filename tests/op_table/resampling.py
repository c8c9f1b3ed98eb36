"""Cases of interpolation, and of sampling at given places."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from autograd_core.ops.grid_sampling import affine_grid, grid_sample
from autograd_core.ops.resampling import interpolate

from .case import OpCase, normal, operands

# ------------------------------------------------------------------------------------- interpolate


def keys(x: float, a: float) -> float:
    x = abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def triangle(x: float, a: float = 0.0) -> float:
    return max(1 - abs(x), 0.0)


def one_sample(line: np.ndarray, i: int, t: int, step: float, mode: str, corners: bool, antialias: bool) -> float:
    """Sample i of t along the last axis of ``line``."""
    n = line.shape[-1]
    if mode == "nearest":
        return line[..., min(int(np.floor(i * step)), n - 1)]
    if mode == "nearest-exact":
        return line[..., min(int(np.floor((i + 0.5) * step)), n - 1)]
    if mode == "area":
        return line[..., i * n // t : -(-(i + 1) * n // t)].mean(axis=-1)
    cubic = mode == "bicubic"
    kernel, reach = (keys, 2) if cubic else (triangle, 1)
    if antialias:
        wide = max(step, 1.0)
        middle = (i + 0.5) * step - 0.5
        taken = [j for j in range(n) if abs(j - middle) < reach * wide]
        parts = [kernel((j - middle) / wide, -0.5) for j in taken]
        return sum(line[..., j] * part for j, part in zip(taken, parts)) / sum(parts)
    at = i * step if corners else (i + 0.5) * step - 0.5
    at = at if cubic else min(max(at, 0.0), n - 1)
    near = range(int(np.floor(at)) - 1, int(np.floor(at)) + 3)
    return sum(line[..., min(max(j, 0), n - 1)] * kernel(j - at, -0.75) for j in near)


def interpolated(
    x: np.ndarray, size: Any = None, scale_factor: Any = None, mode: str = "nearest", **options: Any
) -> Any:
    ndim = x.ndim - 2
    corners = bool(options.get("align_corners"))
    for axis in range(2, x.ndim):
        n = x.shape[axis]
        given = size if size is not None else scale_factor
        value = given[axis - 2] if isinstance(given, tuple) else given
        t = value if size is not None else int(np.floor(n * value))
        keeps = size is None and not options.get("recompute_scale_factor")
        step = 1 / value if keeps else n / t
        if corners:
            step = (n - 1) / (t - 1) if t > 1 else 0.0
        line = np.moveaxis(x, axis, -1)
        samples = [one_sample(line, i, t, step, mode, corners, options.get("antialias", False)) for i in range(t)]
        x = np.moveaxis(np.stack(samples, axis=-1), -1, axis)
    assert x.ndim == ndim + 2
    return x


def resize_case(variant: str, shape: tuple[int, ...], **arguments: Any) -> OpCase:
    return OpCase(
        f"interpolate/{variant}" if variant else "interpolate",
        lambda x: interpolate(x, **arguments),
        operands(normal(*shape)),
        lambda x: interpolated(x, **arguments),
        torch=lambda torch, x: torch.nn.functional.interpolate(x, **arguments),
    )


# ------------------------------------------------------------------------------------- grid_sample


def element(plane: np.ndarray, place: tuple[int, ...], padding_mode: str, corners: bool) -> float:
    """The element at a place of whole numbers, which may lie outside."""
    index = []
    for i, n in zip(place, plane.shape):
        if padding_mode == "zeros" and not 0 <= i < n:
            return 0.0
        if padding_mode == "reflection":
            i = bounced(i, n, corners)
        index.append(int(min(max(i, 0), n - 1)))
    return plane[tuple(index)]


def bounced(at: float, n: int, corners: bool) -> float:
    low, high = (0.0, n - 1.0) if corners else (-0.5, n - 0.5)
    while high > low and not low <= at <= high:
        at = 2 * low - at if at < low else 2 * high - at
    return at


def sampled(x: np.ndarray, grid: np.ndarray, mode: str, padding_mode: str, corners: bool) -> np.ndarray:
    """The definition, one place at a time."""
    size = x.shape[2:]
    y = np.zeros((*x.shape[:2], *grid.shape[1:-1]))
    for n, c, *t in np.ndindex(*y.shape):
        place = []
        for axis, length in enumerate(size):
            value = grid[(n, *t, len(size) - 1 - axis)]
            at = (value + 1) / 2 * (length - 1) if corners else ((value + 1) * length - 1) / 2
            if mode != "bicubic" and padding_mode == "border":
                at = min(max(at, 0.0), length - 1.0)
            elif mode != "bicubic" and padding_mode == "reflection":
                at = min(max(bounced(at, length, corners), 0.0), length - 1.0)
            place.append(at)
        if mode == "nearest":
            y[(n, c, *t)] = element(x[n, c], tuple(round(at) for at in place), "zeros", corners)
            continue
        kernel, reach = (keys, 2) if mode == "bicubic" else (triangle, 1)
        outside = padding_mode if mode == "bicubic" else "zeros"
        near = [range(int(np.floor(at)) - reach + 1, int(np.floor(at)) + reach + 1) for at in place]
        for corner in product(*near):
            weight = np.prod([kernel(i - at, -0.75) for i, at in zip(corner, place)])
            y[(n, c, *t)] += weight * element(x[n, c], corner, outside, corners)
    return y


def places(*shape: int) -> Any:
    """Places of which some lie outside; none where a neighbour changes, which are k / 60 for these sizes."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        return (rng.integers(-90, 90, shape) + rng.uniform(0.2, 0.8, shape)) / 60

    return draw


def grid_case(
    mode: str, padding_mode: str, corners: bool, size: tuple[int, ...] = (2, 3), output: tuple[int, ...] = (1, 3)
) -> OpCase:
    volume = "-volume" if len(size) == 3 else ""
    name = f"{mode}-{padding_mode}{'-corners' if corners else ''}{volume}"
    return OpCase(
        f"grid_sample/{name}",
        lambda x, grid: grid_sample(x, grid, mode, padding_mode, corners),
        operands(normal(1, 2, *size), places(1, *output, len(size))),
        lambda x, grid: sampled(x, grid, mode, padding_mode, corners),
        torch=lambda torch, x, grid: torch.nn.functional.grid_sample(x, grid, mode, padding_mode, corners),
        differentiable=(0,) if mode == "nearest" else None,
    )


def affine(theta: np.ndarray, size: tuple[int, ...], corners: bool) -> np.ndarray:
    n, _, *lengths = size
    grid = np.zeros((n, *lengths, len(lengths)))
    for at in np.ndindex(n, *lengths):
        ends = [
            (2 * i / (m - 1) - 1 if m > 1 else 0.0) if corners else (2 * i + 1) / m - 1 for i, m in zip(at[1:], lengths)
        ]
        grid[at] = theta[at[0]] @ np.array([*ends[::-1], 1.0])
    return grid


def affine_case(variant: str, size: tuple[int, ...], corners: bool, *, torch: bool = True) -> OpCase:
    ndim = len(size) - 2
    return OpCase(
        f"affine_grid/{variant}" if variant else "affine_grid",
        lambda theta: affine_grid(theta, size, corners),
        operands(normal(size[0], ndim, ndim + 1)),
        lambda theta: affine(theta, size, corners),
        torch=(lambda torch, theta: torch.nn.functional.affine_grid(theta, size, corners)) if torch else None,
        no_torch="" if torch else "PyTorch warns that it once gave something else for axes of length 1",
    )


CASES = [
    resize_case("", (2, 2, 2, 3), scale_factor=2),
    resize_case("nearest-smaller", (1, 2, 5), size=3),
    resize_case("nearest-uneven", (1, 2, 3, 2), size=(4, 5)),
    resize_case("nearest-kept-factor", (1, 1, 5), scale_factor=1.5),
    resize_case("nearest-volume", (1, 1, 2, 3, 2), scale_factor=(1.0, 2.0, 0.5)),
    resize_case("nearest-exact", (1, 2, 5, 2), size=(3, 5), mode="nearest-exact"),
    resize_case("linear", (2, 2, 4), size=7, mode="linear"),
    resize_case("linear-smaller", (1, 2, 7), scale_factor=0.6, mode="linear"),
    resize_case("linear-corners", (1, 2, 4), size=6, mode="linear", align_corners=True),
    resize_case("bilinear", (1, 2, 2, 3), scale_factor=2, mode="bilinear"),
    resize_case("bilinear-kept-factor", (1, 1, 3, 4), scale_factor=1.7, mode="bilinear"),
    resize_case("bilinear-new-factor", (1, 1, 3, 4), scale_factor=1.7, mode="bilinear", recompute_scale_factor=True),
    resize_case("bilinear-corners", (1, 2, 3, 2), size=(2, 5), mode="bilinear", align_corners=True),
    resize_case("bilinear-one", (1, 2, 3, 2), size=(1, 4), mode="bilinear", align_corners=True),
    resize_case("bilinear-antialias", (1, 1, 5, 4), size=(2, 5), mode="bilinear", antialias=True),
    resize_case("trilinear", (1, 1, 2, 3, 2), size=(3, 2, 3), mode="trilinear"),
    resize_case("bicubic", (1, 1, 3, 4), size=(5, 3), mode="bicubic"),
    resize_case("bicubic-corners", (1, 1, 3, 4), size=(5, 3), mode="bicubic", align_corners=True),
    resize_case("bicubic-antialias", (1, 1, 7, 3), size=(3, 4), mode="bicubic", antialias=True),
    resize_case("area", (1, 2, 5, 3), size=(2, 4), mode="area"),
    resize_case("area-even", (1, 1, 4, 2), scale_factor=0.5, mode="area"),
    *[
        grid_case("bilinear", padding_mode, corners)
        for padding_mode in ("zeros", "border", "reflection")
        for corners in (False, True)
    ],
    grid_case("nearest", "zeros", False),
    grid_case("nearest", "border", True),
    grid_case("nearest", "reflection", False),
    grid_case("bicubic", "zeros", True),
    grid_case("bicubic", "border", False),
    grid_case("bicubic", "reflection", True),
    grid_case("bilinear", "zeros", False, (2, 1, 3), (1, 1, 2)),
    grid_case("bilinear", "reflection", True, (2, 3, 2), (1, 2, 1)),
    grid_case("nearest", "border", False, (2, 3, 2), (2, 1, 1)),
    affine_case("", (2, 1, 2, 3), False),
    affine_case("corners", (1, 1, 2, 3), True),
    affine_case("corners-one", (1, 1, 1, 3), True, torch=False),
    affine_case("volume", (1, 2, 2, 1, 3), False),
]
