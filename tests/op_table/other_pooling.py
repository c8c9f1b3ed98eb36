"""Cases of fractional pooling, unpooling and pooling by p-norms."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from autograd_core.ops import fractional_pooling, power_pooling, unpooling

from .case import OpCase, distinct, normal, operands, uniform

# -------------------------------------------------------------------------------------- fractional


def fractional(x: np.ndarray, samples: np.ndarray, kernel: tuple[int, ...], output: tuple[int, ...]) -> Any:
    """The definition, one window at a time."""
    ndim = len(kernel)
    if x.ndim == ndim + 1:
        return tuple(y[0] for y in fractional(x[None], samples, kernel, output))
    y = np.zeros((*x.shape[:2], *output))
    found = np.zeros(y.shape, np.int64)
    for n, c in product(*map(range, x.shape[:2])):
        starts = []
        for axis, (size, k, t) in enumerate(zip(x.shape[2:], kernel, output)):
            u = samples[n, c, ndim - 1 - axis if ndim == 2 else axis]
            step = (size - k) / (t - 1) if t > 1 else 0.0
            starts.append([int((i + u) * step) - int(u * step) for i in range(t - 1)] + [size - k])
        for at in product(*map(range, output)):
            corner = [line[i] for line, i in zip(starts, at)]
            window = x[(n, c, *(slice(a, a + k) for a, k in zip(corner, kernel)))]
            best = np.unravel_index(window.argmax(), window.shape)
            y[(n, c, *at)] = window.max()
            found[(n, c, *at)] = np.ravel_multi_index([a + b for a, b in zip(corner, best)], x.shape[2:])
    return y, found


def fractional_case(variant: str, shape: tuple[int, ...], kernel: tuple[int, ...], output: tuple[int, ...]) -> OpCase:
    ndim = len(kernel)
    name = f"fractional_max_pool{ndim}d"
    function = getattr(fractional_pooling, name)
    samples = (shape[0] if len(shape) == ndim + 2 else 1, shape[-ndim - 1], ndim)
    return OpCase(
        f"{name}/{variant}" if variant else name,
        lambda x, u: function(x, kernel, output, return_indices=True, _random_samples=u),
        operands(distinct(*shape), uniform(0.0, 1.0, *samples)),
        lambda x, u: fractional(x, u, kernel, output),
        torch=lambda torch, x, u: getattr(torch.nn.functional, name)(
            x, kernel, output, return_indices=True, _random_samples=u
        ),
        differentiable=(0,),
    )


# --------------------------------------------------------------------------------------- unpooling


def unpool_case(
    variant: str, shape: tuple[int, ...], size: tuple[int, ...], kernel: int, *, given: bool = False, **arguments: Any
) -> OpCase:
    """shape: of the maxima; size: that of their output."""
    ndim = len(size)
    name = f"max_unpool{ndim}d"
    function = getattr(unpooling, name)
    output_size = size if given else None

    def places(rng: np.random.Generator) -> np.ndarray:
        planes = int(np.prod(shape[:-ndim]))
        chosen = [rng.permutation(int(np.prod(size)))[: int(np.prod(shape[-ndim:]))] for _ in range(planes)]
        return np.array(chosen).reshape(shape)

    def reference(x: np.ndarray, index: np.ndarray) -> np.ndarray:
        y = np.zeros((*x.shape[:-ndim], int(np.prod(size))), x.dtype)
        for lead in np.ndindex(*x.shape[:-ndim]):
            y[lead][index[lead].reshape(-1)] = x[lead].reshape(-1)
        return y.reshape(*x.shape[:-ndim], *size)

    return OpCase(
        f"{name}/{variant}" if variant else name,
        lambda x, index: function(x, index, kernel, output_size=output_size, **arguments),
        operands(normal(*shape), places),
        reference,
        torch=lambda torch, x, index: getattr(torch.nn.functional, name)(
            x, index, kernel, output_size=output_size, **arguments
        ),
    )


# ------------------------------------------------------------------------------------------ powers


def power_case(
    variant: str, shape: tuple[int, ...], p: float, kernel: Any, stride: Any = None, *, signed: bool = False
) -> OpCase:
    ndim = len(shape) - 2 if variant != "unbatched" else len(shape) - 1
    name = f"lp_pool{ndim}d"
    function = getattr(power_pooling, name)

    def reference(x: np.ndarray) -> np.ndarray:
        lengths = kernel if isinstance(kernel, tuple) else (kernel,) * ndim
        step = stride or kernel
        steps = step if isinstance(step, tuple) else (step,) * ndim
        seen = np.lib.stride_tricks.sliding_window_view(x, lengths, axis=tuple(range(-ndim, 0)))
        seen = seen[(..., *(slice(None, None, s) for s in steps), *(slice(None),) * ndim)]
        return (seen**p).sum(axis=tuple(range(-ndim, 0))) ** (1 / p)

    return OpCase(
        f"{name}/{variant}" if variant else name,
        lambda x: function(x, p, kernel, stride),
        operands(normal(*shape) if signed else uniform(0.5, 2.0, *shape)),
        reference,
        torch=lambda torch, x: getattr(torch.nn.functional, name)(x, p, kernel, stride),
    )


CASES = [
    fractional_case("", (2, 2, 4, 3), (2, 1), (2, 3)),
    fractional_case("unbatched", (2, 4, 4), (2, 2), (3, 2)),
    fractional_case("one-window", (1, 2, 4, 3), (2, 3), (1, 1)),
    fractional_case("", (1, 2, 3, 3, 2), (1, 2, 1), (2, 1, 1)),
    fractional_case("unbatched", (1, 4, 3, 3), (2, 1, 2), (2, 2, 1)),
    unpool_case("", (2, 2, 2, 2), (4, 4), 2),
    unpool_case("unbatched", (2, 2, 2), (4, 4), 2),
    unpool_case("arguments", (1, 2, 2, 2), (3, 3), 3, stride=2, padding=1),
    unpool_case("output-size", (1, 1, 2, 2), (5, 4), 2, given=True),
    unpool_case("", (2, 2, 3), (6,), 2),
    unpool_case("output-size", (2, 3), (7,), 2, given=True),
    unpool_case("", (1, 2, 1, 2, 1), (2, 4, 2), 2),
    power_case("", (2, 2, 6), 2, 2),
    power_case("", (1, 2, 4, 3), 3, (2, 2), 1),
    power_case("signed", (1, 2, 4, 2), 2.0, 2, signed=True),
    power_case("fraction", (1, 1, 4, 4), 1.5, 2),
    power_case("unbatched", (2, 4, 3), 2, (2, 1)),
    power_case("", (1, 1, 4, 2, 2), 2, 2),
]
