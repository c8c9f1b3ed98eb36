"""Which equations have a kernel of their own: matrix products, convolutions, and what else no loop nest does well.

A lowering is told where operands and results lie, and answers with a kernel; with ``Copies``, if it needs some operands
without gaps; or with None, if the device's ordinary kernel is to run the equation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_core.compiler.ir import Equation
from autograd_core.compiler.space import row_major
from autograd_core.ops.convolution import convolution_bias_p, convolution_input_p, convolution_p, convolution_weight_p
from autograd_core.ops.products import linear_p, matmul_p
from autograd_core.primitive import Primitive

from .attention.attention import LOWERINGS as ATTENTION
from .convolution.convolution import Fusion, convolution, convolution_input, supports
from .convolution.weight import convolution_weight
from .engine import KernelSpec
from .indexing.gather import LOWERINGS as GATHER
from .indexing.placing import LOWERINGS as PLACING
from .indexing.searching import LOWERINGS as SEARCHING
from .indexing.sorting import LOWERINGS as SORTING
from .located import Copies, Located, Lowered, Lowering
from .products.gemm import BatchDimension, MatrixLayout, gemm
from .random_bits import LOWERINGS as RANDOM
from .sequences.alignments import LOWERINGS as ALIGNMENTS
from .sequences.lowering import LOWERINGS as RECURRENT
from .sequences.scans import LOWERINGS as SCANS
from .windows.folding import LOWERINGS as FOLDING
from .windows.pooling import LOWERINGS as POOLING
from .windows.resampling import LOWERINGS as RESAMPLING

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def lower(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
    lowering = LOWERINGS.get(equation.primitive)
    return None if lowering is None else lowering(equation, inputs, outputs)


def is_native(equation: Equation) -> bool:
    """Whether the equation has a kernel of its own, provided that its operands lie well."""
    located = [Located(v.shape, v.dtype, row_major(v.shape)) for v in equation.inputs]
    results = [Located(v.shape, v.dtype, row_major(v.shape)) for v in equation.outputs]
    return lower(equation, located, results) is not None


# ------------------------------------------------------------------------------------- matrix products


def _product(a: Located, b: Located, c: Located) -> Lowered | Copies | None:
    """C = A B over the last two axes, leading axes broadcast."""
    if a.dtype not in FLOATS:
        return None
    (m, k), n = a.shape[-2:], b.shape[-1]
    lead = c.shape[:-2]
    strides = [_leading(x, lead) for x in (a, b, c)]
    batch = _merged([BatchDimension(count, *steps) for count, *steps in zip(lead, *strides, strict=True) if count != 1])
    layouts = [MatrixLayout(*x.strides[-2:]) for x in (a, b, c)]
    name = f"product_{m}x{n}x{k}"
    spec = gemm(m, n, k, a.dtype, a=layouts[0], b=layouts[1], c=layouts[2], batch=batch, name=name)
    return Lowered(spec, ((False, 0), (False, 1), (True, 0)))


def _leading(x: Located, lead: tuple[int, ...]) -> tuple[int, ...]:
    own = tuple(0 if n == 1 else s for n, s in zip(x.shape[:-2], x.strides[:-2], strict=True))
    return (0,) * (len(lead) - len(own)) + own


def _merged(batch: list[BatchDimension]) -> list[BatchDimension]:
    """Neighbouring dimensions that are one, for all operands, as one."""
    merged: list[BatchDimension] = []
    for d in batch:
        outer = merged[-1] if merged else None
        if outer is not None and all(o == i * d.size for o, i in zip(outer[1:], d[1:], strict=True)):
            merged[-1] = BatchDimension(outer.size * d.size, *d[1:])
        else:
            merged.append(d)
    return merged


def _matmul(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
    return _product(inputs[0], inputs[1], outputs[0])


def _linear(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
    x, w = inputs
    return _product(x, w._replace(shape=w.shape[::-1], strides=w.strides[::-1]), outputs[0])


# ---------------------------------------------------------------------------------------- convolutions


def _layout(x: Located) -> str | None:
    """How an image (N, C, ...) lies in memory: channels first, channels last, or otherwise."""
    if x.contiguous:
        return "NCHW"
    last = (x.shape[0], *x.shape[2:], x.shape[1])
    strides = (x.strides[0], *x.strides[2:], x.strides[1])
    return "NHWC" if x._replace(shape=last, strides=strides).contiguous else None


def convolution_lowering(
    build: Callable[..., KernelSpec], image: str, other: str | None, result: str | None
) -> Callable[..., Lowered | Copies | None]:
    """For a primitive whose first operand is an image, and whose second (or result) is one too; takes a ``fusion``.

    image, other, result: the names under which ``build`` takes their layouts; None for a weight.
    """

    def lowering(
        equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located], fusion: Fusion | None = None
    ) -> Lowered | Copies | None:
        windows, groups = equation.params["windows"], equation.params["groups"]
        images = [x for x, name in ((inputs[0], image), (inputs[1], other), (outputs[0], result)) if name]
        weight = next(x for x, name in ((inputs[1], other), (outputs[0], result)) if not name)
        n, c_out, c_in = images[0].shape[0], weight.shape[0], weight.shape[1] * groups
        if not supports(images[0].dtype, n, c_in, c_out, windows, groups):
            return None
        names = [name for name in (image, other, result) if name]
        layouts = {name: _layout(x) for name, x in zip(names, images, strict=True)}
        unfit = tuple(i for i, x in enumerate(inputs) if not (x.contiguous or (x in images and _layout(x) is not None)))
        if unfit:
            return Copies(unfit)
        extra: dict[str, Any] = {"bias": True} if len(inputs) == 3 else {}
        if fusion is not None:
            extra["fusion"] = fusion
        spec = build(images[0].dtype, n, c_in, c_out, windows, groups, **layouts, **extra)
        return Lowered(spec, (*((False, i) for i in range(len(inputs))), (True, 0)))

    return lowering


lower_convolution = convolution_lowering(convolution, "x_layout", None, "y_layout")

LOWERINGS: dict[Primitive, Lowering] = {
    matmul_p: _matmul,
    linear_p: _linear,
    convolution_p: lower_convolution,
    convolution_bias_p: lower_convolution,
    convolution_input_p: convolution_lowering(convolution_input, "g_layout", None, "x_layout"),
    convolution_weight_p: convolution_lowering(convolution_weight, "x_layout", "g_layout", None),
    **ALIGNMENTS,
    **ATTENTION,
    **FOLDING,
    **GATHER,
    **PLACING,
    **POOLING,
    **RANDOM,
    **RESAMPLING,
    **SCANS,
    **SEARCHING,
    **SORTING,
    **RECURRENT,
}
