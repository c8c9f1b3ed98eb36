"""An array namespace whose arrays are expressions: run with it, a primitive's formula says what it computes.

It has the functions that formulas use, with NumPy's dtypes and broadcasting; one that is not listed here raises
``Inexpressible``.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .arrays import (
    ARITHMETIC,
    CIRCULAR,
    Array,
    as_node,
    axes_of,
    cast,
    elementwise,
    lifted,
    nonzero,
    own_dtype,
    weak_type,
)
from .expression import Expressions, Inexpressible

_SYNONYMS = {
    "true_divide": "divide",
    "absolute": "abs",
    "fabs": "abs",
    "mod": "remainder",
    "pow": "power",
    "bitwise_not": "invert",
    "bitwise_invert": "invert",
    "bitwise_left_shift": "left_shift",
    "bitwise_right_shift": "right_shift",
    **{f"a{name}": f"arc{name}" for name in (*CIRCULAR.split(), "tan2")},
}
MOST_PIECES = 64  # of an array that is joined: each is a store
_PLAIN = """bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 float16 complex64 complex128 pi
    e inf nan newaxis finfo iinfo dtype integer floating"""


class Namespace:
    """What formulas call ``xp``."""

    def __init__(self, x: Expressions):
        self._x = x

    def __getattr__(self, name: str) -> Any:
        if name in _PLAIN.split():
            return getattr(np, name)
        name = _SYNONYMS.get(name, name)
        if name in ARITHMETIC:
            return self._function(lambda *operands: elementwise(self._x, name, *operands))
        raise Inexpressible(f"xp.{name}")

    def _function(self, compute: Callable[..., Array]) -> Callable[..., Array]:
        def function(*operands: Any, out: Any = None, **options: Any) -> Array:
            if any(options.values()):
                raise Inexpressible(f"an option {sorted(options)}")
            y = compute(*operands)
            return y if out is None else out.become(y)

        return function

    def where(self, condition: Any, first: Any, second: Any) -> Array:
        dtype = np.result_type(*[v if type(v) in (int, float) else weak_type(v) for v in (first, second)])
        c = nonzero(self._x, as_node(self._x, condition, own_dtype(condition)))
        branches = [as_node(self._x, v, dtype) for v in (first, second)]
        return Array(self._x, self._x.map("select", (c, *branches), dtype))

    def square(self, x: Any, out: Any = None) -> Array:
        y = elementwise(self._x, "multiply", x, x)
        return y if out is None else out.become(y)

    def clip(self, x: Any, low: Any, high: Any) -> Array:
        x = x if low is None else elementwise(self._x, "maximum", x, low)
        return x if high is None else elementwise(self._x, "minimum", x, high)

    def logaddexp(self, x1: Any, x2: Any) -> Array:
        larger, spread = self.maximum(x1, x2), self.abs(x1 - x2)
        # equal infinities have no difference
        return self.where(x1 == x2, x1 + math.log(2), larger + self.log1p(self.exp(-spread)))

    def logaddexp2(self, x1: Any, x2: Any) -> Array:
        larger, spread = self.maximum(x1, x2), self.abs(x1 - x2)
        return self.where(x1 == x2, x1 + 1, larger + self.log1p(self.exp2(-spread)) / math.log(2))

    def fmax(self, x1: Any, x2: Any) -> Array:
        return self._without_nan("maximum", x1, x2)

    def fmin(self, x1: Any, x2: Any) -> Array:
        return self._without_nan("minimum", x1, x2)

    def _without_nan(self, name: str, x1: Any, x2: Any) -> Array:
        chosen = elementwise(self._x, name, x1, x2)
        x1, x2 = (lifted(self._x, v, chosen.dtype) for v in (x1, x2))
        return self.where(x1 != x1, x2, self.where(x2 != x2, x1, chosen))

    # ------------------------------------------------------------------------------------ arrays from nothing

    def full(self, shape: Any, value: Any, dtype: Any = None) -> Array:
        shape = shape if isinstance(shape, tuple) else (shape,)
        value = lifted(self._x, value, np.dtype(dtype if dtype is not None else type(value)))
        node = value.node if dtype is None else cast(self._x, value.node, np.dtype(dtype))
        return Array(self._x, self._x.broadcast(node, shape))

    def zeros(self, shape: Any, dtype: Any = np.float64) -> Array:
        return self.full(shape, 0, dtype)

    def ones(self, shape: Any, dtype: Any = np.float64) -> Array:
        return self.full(shape, 1, dtype)

    def full_like(self, x: Array, value: Any, dtype: Any = None) -> Array:
        return self.full(x.shape, value, x.dtype if dtype is None else dtype)

    def zeros_like(self, x: Array, dtype: Any = None) -> Array:
        return self.full_like(x, 0, dtype)

    def ones_like(self, x: Array, dtype: Any = None) -> Array:
        return self.full_like(x, 1, dtype)

    def arange(self, start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Array:
        if stop is None:
            start, stop = 0, start
        if not all(isinstance(v, (int, np.integer)) for v in (start, stop, step)):
            raise Inexpressible("a range of numbers that are not whole")
        node = self._x.iota(len(range(start, stop, step)), int(start), int(step))
        return Array(self._x, node if dtype is None else cast(self._x, node, np.dtype(dtype)))

    def eye(self, n: int, m: int | None = None, k: int = 0, dtype: Any = np.float64) -> Array:
        rows = self.arange(n)[:, None]
        return (self.arange(n if m is None else m) == rows + k).astype(dtype)

    def diagonal(self, x: Array, offset: int, row_axis: int, column_axis: int) -> Array:
        if (row_axis, column_axis) != (-2, -1):
            raise Inexpressible("a diagonal of other axes than the last two")
        *outer, rows, columns = x.shape
        count = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
        start = max(-offset, 0) * columns + max(offset, 0)
        return x.reshape(*outer, rows * columns)[..., start :: columns + 1][..., :count]

    def asarray(self, x: Any, dtype: Any = None) -> Array:
        if not isinstance(x, Array):
            x = lifted(self._x, x, own_dtype(x))
        return x if dtype is None or np.dtype(dtype) == x.dtype else x.astype(dtype)

    def ascontiguousarray(self, x: Array) -> Array:
        return x

    # ------------------------------------------------------------------------------------ joining

    def concatenate(self, arrays: Sequence[Array], axis: int = 0) -> Array:
        if len(arrays) > MOST_PIECES:
            raise Inexpressible("very many pieces")
        dtype = np.result_type(*[a.dtype for a in arrays])
        pieces, at = [], 0
        for a in arrays:
            pieces.append((cast(self._x, a.node, dtype), tuple(at if i == axis else 0 for i in range(a.ndim))))
            at += a.shape[axis]
        first = arrays[0].shape
        return Array(self._x, self._x.join(pieces, (*first[:axis], at, *first[axis + 1 :])))

    concat = concatenate

    def stack(self, arrays: Sequence[Array], axis: int = 0) -> Array:
        return self.concatenate([self.expand_dims(a, axis) for a in arrays], axis)

    def roll(self, x: Array, shift: Sequence[int], axis: Sequence[int]) -> Array:
        for s, a in zip(shift, axis, strict=True):
            n = x.shape[a]
            if n and s % n:
                before = (slice(None),) * a
                x = self.concatenate([x[(*before, slice(n - s % n, None))], x[(*before, slice(0, n - s % n))]], a)
        return x

    # ------------------------------------------------------------------------------------ views and reductions

    def broadcast_to(self, x: Array, shape: tuple[int, ...]) -> Array:
        return x._view(self._x.broadcast(x.node, tuple(shape)))

    def reshape(self, x: Array, shape: Any) -> Array:
        return x.reshape(shape)

    def transpose(self, x: Array, axes: Any = None) -> Array:
        return x.transpose() if axes is None else x.transpose(tuple(axes))

    permute_dims = transpose

    def swapaxes(self, x: Array, first: int, second: int) -> Array:
        return x.swapaxes(first, second)

    def moveaxis(self, x: Array, source: int, destination: int) -> Array:
        order = [a for a in range(x.ndim) if a != source % x.ndim]
        order.insert(destination % x.ndim, source % x.ndim)
        return x.transpose(tuple(order))

    def expand_dims(self, x: Array, axis: int) -> Array:
        at = axis % (x.ndim + 1)
        return x.reshape((*x.shape[:at], 1, *x.shape[at:]))

    def squeeze(self, x: Array, axis: Any = None) -> Array:
        return x.squeeze(axis)

    def flip(self, x: Array, axis: Any = None) -> Array:
        axes = axes_of(axis, x.ndim)
        return x[tuple(slice(None, None, -1) if i in axes else slice(None) for i in range(x.ndim))]

    def tril(self, x: Array, k: int = 0) -> Array:
        return self._triangle(x, k, "less_equal")

    def triu(self, x: Array, k: int = 0) -> Array:
        return self._triangle(x, k, "greater_equal")

    def _triangle(self, x: Array, k: int, compare: str) -> Array:
        rows, columns = self.arange(x.shape[-2])[:, None], self.arange(x.shape[-1])
        return self.where(elementwise(self._x, compare, columns, rows + k), x, np.zeros((), x.dtype))

    def sum(self, x: Array, axis: Any = None, **options: Any) -> Array:
        return x.sum(axis, **options)

    def mean(self, x: Array, axis: Any = None, **options: Any) -> Array:
        return x.mean(axis, **options)

    def prod(self, x: Array, axis: Any = None, **options: Any) -> Array:
        return x.prod(axis, **options)

    def any(self, x: Array, axis: Any = None, **options: Any) -> Array:
        return x.any(axis, **options)

    def all(self, x: Array, axis: Any = None, **options: Any) -> Array:
        return x.all(axis, **options)

    def max(self, x: Array, axis: Any = None, initial: Any = None, **options: Any) -> Array:
        if initial is None:
            return x.max(axis, **options)
        if not x.size:
            return self.full((), initial, x.dtype)
        return self.maximum(x.max(axis, **options), initial)

    amax = max

    def min(self, x: Array, axis: Any = None, **options: Any) -> Array:
        return x.min(axis, **options)

    amin = min

    def vdot(self, x: Array, y: Array) -> Array:
        return (x.ravel() * y.ravel()).sum()

    def errstate(self, **options: Any) -> Any:
        return contextlib.nullcontext()
