"""Cases of convolution, in one to three spatial axes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from autograd_core.ops.convolution import conv1d, conv2d, conv3d
from autograd_core.ops.creation import asarray
from autograd_core.transforms import vjp

from .case import OpCase, normal, operands

FUNCTIONS = {1: conv1d, 2: conv2d, 3: conv3d}


def by_loops(ndim: int, **arguments: Any) -> Callable[..., np.ndarray]:
    """The definition, one output element at a time."""

    def axes(value: Any) -> tuple[int, ...]:
        return value if isinstance(value, tuple) else (value,) * ndim

    stride, dilation = axes(arguments.get("stride", 1)), axes(arguments.get("dilation", 1))
    groups, padding = arguments.get("groups", 1), arguments.get("padding", 0)

    def convolve(x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
        if x.ndim == ndim + 1:
            return convolve(x[None], w, b)[0]
        kernel = w.shape[2:]
        spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
        if padding == "same":
            pairs = [((span - 1) // 2, span // 2) for span in spans]
        else:
            pairs = [(n, n) for n in axes(0 if padding == "valid" else padding)]
        x = np.pad(x, [(0, 0), (0, 0), *pairs])
        output = [(n - span) // s + 1 for n, span, s in zip(x.shape[2:], spans, stride)]
        y = np.zeros((x.shape[0], w.shape[0], *output), x.dtype)
        inputs, outputs = w.shape[1], w.shape[0] // groups
        for n, o in product(range(x.shape[0]), range(w.shape[0])):
            channels = slice(o // outputs * inputs, (o // outputs + 1) * inputs)
            for t in product(*map(range, output)):
                seen = tuple(slice(s * i, s * i + span, d) for s, i, span, d in zip(stride, t, spans, dilation))
                y[(n, o, *t)] = (x[(n, channels, *seen)] * w[o]).sum() + (0 if b is None else b[o])
        return y

    return convolve


def case(
    variant: str,
    x: tuple[int, ...],
    w: tuple[int, ...],
    *,
    bias: bool = True,
    torch: bool = True,
    **arguments: Any,
) -> OpCase:
    ndim = len(w) - 2
    name = f"conv{ndim}d"
    return OpCase(
        f"{name}/{variant}" if variant else name,
        lambda *xs: FUNCTIONS[ndim](*xs, **arguments),
        operands(normal(*x), normal(*w), *[normal(w[0])] * bias),
        by_loops(ndim, **arguments),
        torch=(lambda torch, *xs: getattr(torch.nn.functional, name)(*xs, **arguments)) if torch else None,
        no_torch="" if torch else "PyTorch warns that it copies the input",
    )


def gradient_case(variant: str, operand: int, x: tuple[int, ...], w: tuple[int, ...], **arguments: Any) -> OpCase:
    """A gradient of a convolution as a function of its own operands: the transposed primitives' own derivatives."""
    ndim = len(w) - 2
    shape = by_loops(ndim, **arguments)(np.zeros(x), np.zeros(w)).shape
    wanted = (x, w)[operand]
    given = (w, x)[operand]

    def fn(v: Any, other: Any) -> Any:
        zeros = asarray(np.zeros(wanted), dtype=v.dtype, device=v.device)
        pair = (lambda z: FUNCTIONS[ndim](z, other, **arguments), lambda z: FUNCTIONS[ndim](other, z, **arguments))
        return vjp(pair[operand], zeros)[1](v)[0]

    def reference(v: np.ndarray, other: np.ndarray) -> np.ndarray:
        gradient = np.zeros(wanted, v.dtype)
        for at in np.ndindex(*wanted):
            unit = np.zeros(wanted, v.dtype)
            unit[at] = 1.0
            pair = (unit, other) if operand == 0 else (other, unit)
            gradient[at] = (by_loops(ndim, **arguments)(*pair).conj() * v).sum()
        return gradient

    return OpCase(
        f"conv{ndim}d/{variant}",
        fn,
        operands(normal(*shape), normal(*given)),
        reference,
        no_torch="PyTorch has no function of a gradient's operands",
    )


CASES = [
    case("", (2, 2, 4, 3), (2, 2, 2, 2)),
    case("no-bias", (1, 2, 3, 4), (3, 2, 2, 3), bias=False),
    case("unbatched", (2, 4, 4), (2, 2, 3, 2)),
    case("pointwise", (2, 3, 2, 2), (2, 3, 1, 1)),
    case("stride", (1, 2, 5, 4), (2, 2, 2, 2), stride=2),
    case("stride-each-axis", (1, 1, 6, 5), (2, 1, 3, 2), stride=(3, 2)),
    case("stride-over-kernel", (1, 2, 5, 3), (2, 2, 1, 1), stride=2),
    case("padding", (1, 2, 3, 3), (2, 2, 3, 3), padding=1),
    case("padding-each-axis", (1, 1, 3, 2), (2, 1, 2, 3), padding=(0, 2)),
    case("valid", (1, 1, 3, 4), (1, 1, 2, 2), padding="valid"),
    case("same", (1, 2, 3, 3), (2, 2, 3, 3), padding="same"),
    case("same-even-kernel", (1, 1, 3, 4), (2, 1, 2, 4), padding="same", torch=False),
    case("dilation", (1, 2, 5, 4), (2, 2, 2, 2), dilation=2),
    case("dilation-each-axis", (1, 1, 5, 4), (1, 1, 3, 2), dilation=(2, 3)),
    case("groups", (2, 4, 3, 3), (4, 2, 2, 2), groups=2),
    case("depthwise", (1, 3, 4, 3), (6, 1, 2, 2), groups=3),
    case("everything", (2, 2, 5, 6), (4, 1, 2, 3), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2),
    case("whole-input", (2, 2, 3, 2), (3, 2, 3, 2)),
    case("input-left-over", (1, 1, 6, 6), (1, 1, 2, 2), stride=3),
    case("no-samples", (0, 2, 3, 3), (2, 2, 2, 2)),
    gradient_case("input-gradient", 0, (1, 2, 4, 3), (2, 2, 2, 2), padding=1),
    gradient_case("input-gradient-stride", 0, (1, 2, 5, 4), (2, 1, 2, 2), stride=2, groups=2),
    gradient_case("weight-gradient", 1, (2, 2, 4, 3), (2, 2, 2, 2), padding=1),
    gradient_case("weight-gradient-dilation", 1, (1, 1, 5, 4), (2, 1, 2, 2), dilation=2),
    case("", (2, 2, 5), (3, 2, 3)),
    case("no-bias", (1, 2, 5), (3, 2, 2), bias=False),
    case("unbatched", (2, 5), (3, 2, 3)),
    case("stride-padding-dilation", (2, 2, 6), (2, 2, 2), stride=2, padding=1, dilation=2),
    case("groups", (2, 4, 5), (2, 2, 3), groups=2),
    case("same", (2, 2, 4), (2, 2, 3), padding="same"),
    case("", (1, 2, 3, 3, 2), (2, 2, 2, 2, 2)),
    case("unbatched", (1, 3, 2, 3), (2, 1, 2, 1, 2)),
    case(
        "everything",
        (1, 2, 4, 2, 3),
        (2, 1, 2, 1, 2),
        stride=(1, 2, 1),
        padding=(0, 1, 0),
        dilation=(2, 1, 2),
        groups=2,
    ),
    case("same", (1, 1, 2, 3, 2), (1, 1, 3, 1, 3), padding="same"),
    case("stride-padding", (1, 1, 3, 2, 3), (2, 1, 2, 2, 2), stride=(2, 1, 2), padding=1),
]
