"""Loop kernels that the tests of every target share."""

from __future__ import annotations

import numpy as np

from autograd_core.compiler.loops import Access, Accumulate, Constant, Index, Load, LoopKernel, Map, Reduce, Store

F4, F8, I4, I8, BOOL = (np.dtype(name) for name in ("f4", "f8", "i4", "i8", "?"))


def at(operand: int, *strides: int, offset: int = 0) -> Access:
    return Access(operand, strides, offset)


def softmax(rows: int, columns: int, *, place: int = 1) -> LoopKernel:
    """place: 0 to write over what is read."""
    body = (
        Load(at(0, columns, 1), F4),
        Reduce("max", 0, F4),
        Map("sub", (0, 1), F4),
        Map("exp", (2,), F4),
        Reduce("sum", 3, F4),
        Map("div", (3, 4), F4),
        Store(at(place, columns, 1), 5),
    )
    return LoopKernel((rows,), (columns,), body, (F4, F4)[: place + 1], (place,))


def batch_statistics(n: int, channels: int, area: int) -> LoopKernel:
    """(n, channels, area) normalized and times a weight a channel; the means; the standard deviations' reciprocals."""
    point = (area, channels * area, 1)
    body = (
        Load(at(0, *point), F4),
        Reduce("sum", 0, F4),
        Constant(1 / (n * area), F4),
        Map("mul", (1, 2), F4),
        Map("sub", (0, 3), F4),
        Map("mul", (4, 4), F4),
        Reduce("sum", 5, F4),
        Map("mul", (6, 2), F4),
        Constant(1e-5, F4),
        Map("add", (7, 8), F4),
        Map("rsqrt", (9,), F4),
        Map("mul", (4, 10), F4),
        Load(at(1, 1, 0, 0), F4),
        Map("mul", (11, 12), F4),
        Store(at(2, *point), 13),
        Store(at(3, 1, 0, 0), 3),
        Store(at(4, 1, 0, 0), 10),
    )
    return LoopKernel((channels,), (n, area), body, (F4,) * 5, (2, 3, 4))


def layer_norm_gradient(rows: int, columns: int) -> LoopKernel:
    """Normalized values times a weight: the gradient of the values, and the weight's and the bias's over all rows."""
    body = (
        Load(at(0, columns, 1), F4),  # the cotangent
        Load(at(1, columns, 1), F4),  # the normalized values
        Load(at(2, 0, 1), F4),
        Map("mul", (0, 2), F4),
        Map("mul", (3, 1), F4),
        Reduce("sum", 3, F4),
        Reduce("sum", 4, F4),
        Constant(1 / columns, F4),
        Map("mul", (5, 7), F4),
        Map("mul", (6, 7), F4),
        Map("mul", (1, 9), F4),
        Map("sub", (3, 8), F4),
        Map("sub", (11, 10), F4),
        Store(at(3, columns, 1), 12),
        Map("mul", (0, 1), F4),
        Accumulate("sum", 14, at(4, 0, 1), False),
        Accumulate("sum", 0, at(5, 0, 1), False),
    )
    return LoopKernel((rows,), (columns,), body, (F4,) * 6, (3, 4, 5))


def masked(rows: int, columns: int, random: np.random.Generator) -> tuple[LoopKernel, list[np.ndarray]]:
    """Masks, indices and numbers of several sizes, with arrays for them."""
    body = (
        Load(at(0, columns, 1), F4),
        Load(at(1, columns, 1), BOOL),
        Load(at(2, 1, 0), I8),
        Index(1, 2, 3),
        Map("eq", (2, 3), BOOL),
        Map("or", (1, 4), BOOL),
        Constant(-2.5, F4),
        Map("select", (5, 0, 6), F4),
        Map("cast", (7,), F8),
        Load(at(3, 0, 1), I4),
        Map("cast", (9,), F8),
        Map("mul", (8, 10), F8),
        Store(at(4, columns, 1), 11),
        Store(at(5, columns, 1), 5),
        Store(at(6, 1, rows), 3),
    )
    arrays = [
        random.standard_normal((rows, columns)).astype(F4),
        random.random((rows, columns)) < 0.5,
        random.integers(0, 2 * columns, rows),
        random.integers(-9, 9, columns).astype(I4),
        random.standard_normal((rows, columns)),
        np.zeros((rows, columns), BOOL),
        np.zeros((columns, rows), I8),
    ]
    return LoopKernel((rows,), (columns,), body, (F4, BOOL, I8, I4, F8, BOOL, I8), (4, 5, 6)), arrays
