"""Cases of max and average pooling, in one to three spatial axes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from autograd_core.ops import pooling

from .case import OpCase, distinct, normal, operands


def by_loops(
    ndim: int,
    reduce: str,
    kernel: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    return_indices: bool = False,
) -> Callable[[np.ndarray], Any]:
    """The definition, one window at a time."""

    def axes(value: Any) -> tuple[int, ...]:
        return value if isinstance(value, tuple) else (value,) * ndim

    kernel, padding, dilation = axes(kernel), axes(padding), axes(dilation)
    stride = kernel if stride is None else axes(stride)

    def pool(x: np.ndarray) -> Any:
        if x.ndim == ndim + 1:
            pooled = pool(x[None])
            return tuple(y[0] for y in pooled) if return_indices else pooled[0]
        size = x.shape[2:]
        output = []
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation):
            last = (n + 2 * p - d * (k - 1) - 1) / s
            count = int(np.ceil(last) if ceil_mode else np.floor(last)) + 1
            output.append(count - 1 if (count - 1) * s >= n + p else count)
        y = np.zeros((*x.shape[:2], *output), x.dtype)
        found = np.zeros(y.shape, np.int64)
        for n, c in product(*map(range, x.shape[:2])):
            for t in product(*map(range, output)):
                starts = [i * s - p for i, s, p in zip(t, stride, padding)]
                seen = [
                    [a + d * i for i in range(k) if 0 <= a + d * i < m]
                    for a, k, d, m in zip(starts, kernel, dilation, size)
                ]
                values = x[n, c][np.ix_(*seen)]
                if reduce == "max":
                    y[(n, c, *t)] = values.max()
                    at = np.unravel_index(values.argmax(), values.shape)
                    found[(n, c, *t)] = np.ravel_multi_index([s[i] for s, i in zip(seen, at)], size)
                    continue
                within = [min(a + k, m + p) - a for a, k, m, p in zip(starts, kernel, size, padding)]
                count = divisor_override or (int(np.prod(within)) if count_include_pad else values.size)
                y[(n, c, *t)] = values.sum() / count
        return (y, found) if return_indices else y

    return pool


def case(name: str, variant: str, shape: tuple[int, ...], kernel: Any, **arguments: Any) -> OpCase:
    function = getattr(pooling, name)
    return OpCase(
        f"{name}/{variant}" if variant else name,
        lambda x: function(x, kernel, **arguments),
        operands((distinct if name.startswith("max") else normal)(*shape)),
        by_loops(int(name[-2]), name[:3], kernel, **arguments),
        torch=lambda torch, x: getattr(torch.nn.functional, name)(x, kernel, **arguments),
        no_jax="JAX returns no positions of maxima" if arguments.get("return_indices") else "",
    )


CASES = [
    case("max_pool2d", "", (2, 2, 4, 4), 2),
    case("max_pool2d", "unbatched", (2, 4, 5), (2, 3)),
    case("max_pool2d", "overlapping", (1, 2, 5, 4), 3, stride=1),
    case("max_pool2d", "gaps", (1, 2, 5, 5), 2, stride=(3, 2)),
    case("max_pool2d", "padding", (1, 2, 4, 3), (3, 2), stride=2, padding=1),
    case("max_pool2d", "dilation", (1, 1, 6, 5), 2, stride=1, dilation=(2, 3)),
    case("max_pool2d", "ceil", (1, 2, 5, 4), 2, stride=(2, 3), ceil_mode=True),
    case("max_pool2d", "ceil-padding", (1, 1, 5, 6), 3, stride=2, padding=1, ceil_mode=True),
    case("max_pool2d", "indices", (1, 2, 4, 5), 2, padding=1, return_indices=True),
    case("max_pool1d", "", (2, 2, 6), 2),
    case("max_pool1d", "unbatched", (2, 7), 3),
    case("max_pool1d", "arguments", (1, 2, 9), 3, stride=2, padding=1, dilation=2, ceil_mode=True),
    case("avg_pool2d", "", (2, 2, 4, 4), 2),
    case("avg_pool2d", "unbatched", (2, 4, 5), (2, 3)),
    case("avg_pool2d", "overlapping", (1, 2, 5, 4), 3, stride=1),
    case("avg_pool2d", "gaps", (1, 2, 5, 5), 2, stride=(3, 2)),
    case("avg_pool2d", "padding", (1, 2, 4, 3), (3, 2), stride=2, padding=1),
    case("avg_pool2d", "padding-not-counted", (1, 2, 4, 3), (3, 2), stride=2, padding=1, count_include_pad=False),
    case("avg_pool2d", "ceil", (1, 1, 5, 6), 3, stride=2, padding=1, ceil_mode=True),
    case("avg_pool2d", "ceil-not-counted", (1, 1, 5, 4), 2, stride=(2, 3), ceil_mode=True, count_include_pad=False),
    case("avg_pool2d", "divisor", (1, 2, 4, 4), 2, padding=1, divisor_override=3),
    case("avg_pool1d", "", (2, 2, 6), 2),
    case("avg_pool1d", "unbatched", (2, 7), 3),
    case("avg_pool1d", "arguments", (1, 2, 9), 3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
    case("max_pool2d", "ceil-over-the-end", (1, 2, 2, 5), (3, 2), ceil_mode=True),
    case("max_pool3d", "", (1, 2, 4, 2, 2), 2),
    case("max_pool3d", "unbatched", (1, 3, 2, 4), (2, 1, 2)),
    case("max_pool3d", "arguments", (1, 1, 3, 4, 2), (2, 2, 1), stride=1, padding=(1, 0, 0), dilation=(1, 2, 1)),
    case("max_pool3d", "indices", (1, 1, 3, 3, 3), 2, stride=2, ceil_mode=True, return_indices=True),
    case("avg_pool3d", "", (1, 2, 4, 2, 2), 2),
    case("avg_pool3d", "unbatched", (1, 3, 2, 4), (2, 1, 2)),
    case("avg_pool3d", "arguments", (1, 1, 3, 4, 2), (2, 3, 1), stride=1, padding=(1, 1, 0), count_include_pad=False),
    case("avg_pool3d", "ceil-divisor", (1, 1, 3, 3, 3), 2, stride=2, ceil_mode=True, divisor_override=5),
]
