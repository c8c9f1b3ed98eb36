"""Cases of transposed convolution, in one to three spatial axes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from autograd_core.ops import transposed_convolution as ops

from .case import OpCase, normal, operands


def by_loops(ndim: int, **arguments: Any) -> Callable[..., np.ndarray]:
    """The definition, one copy of the kernel at a time."""

    def axes(name: str, default: int) -> tuple[int, ...]:
        value = arguments.get(name, default)
        return value if isinstance(value, tuple) else (value,) * ndim

    stride, padding, dilation = axes("stride", 1), axes("padding", 0), axes("dilation", 1)
    extra, groups = axes("output_padding", 0), arguments.get("groups", 1)

    def transposed(x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
        if x.ndim == ndim + 1:
            return transposed(x[None], w, b)[0]
        size, kernel = x.shape[2:], w.shape[2:]
        inputs, outputs = w.shape[0] // groups, w.shape[1]
        spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
        full = [(n - 1) * s + span + q for n, s, span, q in zip(size, stride, spans, extra)]
        y = np.zeros((x.shape[0], outputs * groups, *full), np.result_type(x, w))
        for n, c in product(range(x.shape[0]), range(w.shape[0])):
            channels = slice(c // inputs * outputs, (c // inputs + 1) * outputs)
            for t in product(*map(range, size)):
                met = tuple(slice(s * i, s * i + span, d) for s, i, span, d in zip(stride, t, spans, dilation))
                y[(n, channels, *met)] += w[c] * x[(n, c, *t)]
        y = y[(..., *(slice(p, m - p) for p, m in zip(padding, full)))]
        return y if b is None else y + b.reshape(-1, *(1,) * ndim)

    return transposed


def case(variant: str, x: tuple[int, ...], w: tuple[int, ...], *, bias: bool = True, **arguments: Any) -> OpCase:
    ndim = len(w) - 2
    name = f"conv_transpose{ndim}d"
    function = getattr(ops, name)
    return OpCase(
        f"{name}/{variant}" if variant else name,
        lambda *xs: function(*xs, **arguments),
        operands(normal(*x), normal(*w), *[normal(w[1] * arguments.get("groups", 1))] * bias),
        by_loops(ndim, **arguments),
        torch=lambda torch, *xs: getattr(torch.nn.functional, name)(*xs, **arguments),
    )


CASES = [
    case("", (2, 2, 3, 2), (2, 3, 2, 2)),
    case("no-bias", (1, 2, 2, 3), (2, 1, 3, 2), bias=False),
    case("unbatched", (2, 3, 2), (2, 2, 2, 2)),
    case("stride", (1, 2, 2, 3), (2, 2, 2, 2), stride=2),
    case("stride-over-kernel", (1, 1, 2, 2), (1, 2, 1, 2), stride=(3, 2)),
    case("padding", (1, 2, 3, 3), (2, 1, 3, 2), padding=1),
    case("output-padding", (1, 2, 2, 2), (2, 1, 3, 2), stride=(3, 2), padding=1, output_padding=(2, 1)),
    case("output-padding-under-dilation", (1, 1, 2, 2), (1, 2, 2, 2), dilation=3, output_padding=(2, 0)),
    case("dilation", (1, 2, 2, 3), (2, 2, 2, 2), dilation=(2, 1)),
    case("groups", (1, 4, 2, 2), (4, 2, 2, 1), groups=2),
    case("depthwise", (2, 3, 2, 2), (3, 1, 2, 2), groups=3),
    case(
        "everything", (1, 2, 2, 3), (2, 2, 2, 3), stride=2, padding=1, output_padding=(1, 0), dilation=(1, 2), groups=2
    ),
    case("no-samples", (0, 2, 2, 2), (2, 1, 2, 2)),
    case("", (2, 2, 3), (2, 3, 2)),
    case("unbatched", (2, 4), (2, 1, 3)),
    case("arguments", (1, 2, 3), (2, 1, 3), stride=2, padding=1, output_padding=1, dilation=2, groups=2),
    case("", (1, 2, 2, 1, 2), (2, 1, 2, 2, 1)),
    case("arguments", (1, 2, 2, 2, 1), (2, 1, 2, 1, 2), stride=(2, 1, 1), padding=(1, 0, 0), output_padding=(1, 0, 0)),
]
