"""An array namespace whose arrays are expressions: run with it, a primitive's formula says what it computes.

It has the functions and operators that formulas use, with NumPy's dtypes and broadcasting. An ``Array`` holds a node
and can be changed in place, by ``out=`` and by ``y -= x``, as formulas do to spare memory: it then holds another node.
What has no expression (a value that Python looks at, indices that are arrays, a function not listed here) raises
``Inexpressible``.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .expression import BOOL, INT64, Expressions, Inexpressible, Node

_CIRCULAR = "sin cos tan sinh cosh tanh"
_FUNCTIONS = f"exp exp2 expm1 log log2 log10 log1p {_CIRCULAR}"
# NumPy's name -> the scalar operation, and what it is for booleans where that is another
_ARITHMETIC = {
    "add": ("add", "or"),
    "subtract": ("sub", None),
    "multiply": ("mul", "and"),
    "divide": ("div", None),
    "negative": ("neg", None),
    "abs": ("abs", "copy"),
    "sign": ("sign", None),
    "maximum": ("max", "or"),
    "minimum": ("min", "and"),
    "power": ("pow", None),
    "remainder": ("mod", None),
    "floor_divide": ("floor_div", None),
    "fmod": ("fmod", None),
    "arctan2": ("atan2", None),
    "hypot": ("hypot", None),
    "copysign": ("copysign", None),
    "equal": ("eq", "eq"),
    "not_equal": ("ne", "ne"),
    "less": ("lt", "lt"),
    "less_equal": ("le", "le"),
    "greater": ("gt", "gt"),
    "greater_equal": ("ge", "ge"),
    "bitwise_and": ("bit_and", "and"),
    "bitwise_or": ("bit_or", "or"),
    "bitwise_xor": ("bit_xor", "xor"),
    "invert": ("invert", "not"),
    "left_shift": ("shl", None),
    "right_shift": ("shr", None),
    "logical_not": (None, "not"),
    "logical_and": (None, "and"),
    "logical_or": (None, "or"),
    "logical_xor": (None, "xor"),
    "isnan": ("isnan", None),
    "isinf": ("isinf", None),
    "isfinite": ("isfinite", None),
    "signbit": ("signbit", None),
    "sqrt": ("sqrt", None),
    "cbrt": ("cbrt", None),
    "reciprocal": ("reciprocal", None),
    **{name: (name, None) for name in _FUNCTIONS.split()},
    **{f"arc{name}": (f"a{name}", None) for name in _CIRCULAR.split()},
    **{name: (name, "copy") for name in ("floor", "ceil", "trunc")},
    "rint": ("rint", None),
}
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
    **{f"a{name}": f"arc{name}" for name in (*_CIRCULAR.split(), "tan2")},
}
_INTEGERS_AS_THEY_ARE = {"floor", "ceil", "trunc"}
MOST_PIECES = 64  # of an array that is joined: each is a store
_PLAIN = """bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 float16 complex64 complex128 pi
    e inf nan newaxis finfo iinfo dtype integer floating"""


class Array:
    """An array that is known by what computes it."""

    __slots__ = ("_assigned", "_shared", "_x", "node")
    __array_ufunc__ = None  # NumPy's scalars leave operators to this class

    def __init__(self, x: Expressions, node: Node, shared: bool = False):
        self._x = x
        self.node = node
        self._assigned = False
        self._shared = shared  # its memory is another array's too: an operand, a view, or what a view was taken of

    shape = property(lambda self: self.node.shape)
    dtype = property(lambda self: self.node.dtype)
    ndim = property(lambda self: len(self.node.shape))
    size = property(lambda self: self.node.size)
    T = property(lambda self: self.transpose())

    @property
    def real(self) -> Array:
        if self.dtype.kind == "c":
            raise Inexpressible("complex numbers")
        return self

    def __getattr__(self, name: str) -> Any:
        raise Inexpressible(f"an array's {name}")

    def _opaque(self, *args: Any) -> Any:
        raise Inexpressible("a value that Python looks at")

    __bool__ = __int__ = __float__ = __index__ = __complex__ = __array__ = _opaque

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Any:
        return iter([self[i] for i in range(len(self))])

    def _new(self, node: Node) -> Array:
        return Array(self._x, node)

    def _view(self, node: Node) -> Array:
        self._shared = True
        return Array(self._x, node, shared=True)

    def become(self, value: Any) -> Array:
        """This array after an assignment to all its elements."""
        if self._shared:
            raise Inexpressible("a change of an array that others see")
        node = value.node
        if np.broadcast_shapes(node.shape, self.shape) != self.shape:
            raise Inexpressible("an assignment of another shape")
        self.node = self._x.broadcast(self._x.cast(node, self.dtype), self.shape)
        return self

    # ------------------------------------------------------------------------------------ casts and views

    def astype(self, dtype: Any, copy: bool = True) -> Array:
        dtype = np.dtype(dtype)
        return self._new(cast(self._x, self.node, dtype))

    def copy(self) -> Array:
        return self._new(self.node)

    def conj(self) -> Array:
        return self._view(self.node)

    def reshape(self, *shape: Any) -> Array:
        given = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        known = math.prod([n for n in given if n != -1])
        full = tuple(int(self.size // known) if n == -1 else int(n) for n in given)
        if math.prod(full) != self.size:
            raise Inexpressible(f"a reshape of {self.shape} to {full}")
        return self._view(self._x.reshape(self.node, full))

    def ravel(self) -> Array:
        return self.reshape(-1)

    def transpose(self, *axes: Any) -> Array:
        given = axes[0] if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes
        order = [a % self.ndim for a in given] if given else list(reversed(range(self.ndim)))
        return self._view(self._x.permute(self.node, order))

    def swapaxes(self, first: int, second: int) -> Array:
        order = list(range(self.ndim))
        order[first], order[second] = order[second], order[first]
        return self.transpose(order)

    def squeeze(self, axis: Any = None) -> Array:
        axes = _axes(axis, self.ndim) if axis is not None else [i for i, n in enumerate(self.shape) if n == 1]
        return self.reshape(tuple(n for i, n in enumerate(self.shape) if i not in axes))

    def __getitem__(self, key: Any) -> Array:
        return self._view(indexed(self._x, self.node, key))

    def __setitem__(self, key: Any, value: Any) -> None:
        value = _lift(self._x, value, self.dtype)
        if key is Ellipsis or key == slice(None):
            self.become(value)
            return
        if self._shared or self._assigned:  # of several assignments each would make a whole array
            raise Inexpressible("an assignment to a part of an array that others see, or that has had one")
        starts, steps, lengths, shape = _basic(key, self.shape)
        if any(step != 1 and n > 1 for step, n in zip(steps, lengths, strict=True)):
            raise Inexpressible("an assignment to places that are no box")
        if 0 in lengths:
            return
        v = self._x.broadcast(cast(self._x, value.node, self.dtype), shape)
        self._assigned = True
        box = [(start, start + n) for start, n in zip(starts, lengths, strict=True)]
        self.node = self._x.replaced(self.node, box, self._x.reshape(v, lengths))

    # ------------------------------------------------------------------------------------ reductions

    def sum(self, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Array:
        return self._reduced("sum", axis, _sum_dtype(self.dtype) if dtype is None else np.dtype(dtype), keepdims)

    def prod(self, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Array:
        return self._reduced("prod", axis, _sum_dtype(self.dtype) if dtype is None else np.dtype(dtype), keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Array:
        return self._reduced("any" if self.dtype == BOOL else "max", axis, self.dtype, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Array:
        return self._reduced("all" if self.dtype == BOOL else "min", axis, self.dtype, keepdims)

    def any(self, axis: Any = None, keepdims: bool = False) -> Array:
        return self._reduced("any", axis, BOOL, keepdims)

    def all(self, axis: Any = None, keepdims: bool = False) -> Array:
        return self._reduced("all", axis, BOOL, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Array:
        total = self.sum(axis, np.dtype(np.float64) if self.dtype.kind in "biu" else None, keepdims)
        return total / math.prod(self.shape[a] for a in _axes(axis, self.ndim))

    def _reduced(self, op: str, axis: Any, dtype: np.dtype, keepdims: bool) -> Array:
        axes = _axes(axis, self.ndim)
        node = self._x.reduce(op, cast(self._x, self.node, dtype), axes)
        if keepdims:
            node = self._x.reshape(node, tuple(1 if i in axes else n for i, n in enumerate(self.shape)))
        return self._new(node)

    # ------------------------------------------------------------------------------------ operators

    def __pow__(self, exponent: Any) -> Any:
        return _power(self._x, self, exponent)

    def __rpow__(self, base: Any) -> Any:
        return elementwise(self._x, "power", base, self)

    def __ipow__(self, exponent: Any) -> Any:
        return self.become(_power(self._x, self, exponent))


def _operators() -> None:
    binary = {
        "add": "add",
        "sub": "subtract",
        "mul": "multiply",
        "truediv": "divide",
        "floordiv": "floor_divide",
        "mod": "remainder",
        "and": "bitwise_and",
        "or": "bitwise_or",
        "xor": "bitwise_xor",
        "lshift": "left_shift",
        "rshift": "right_shift",
    }
    for method, name in binary.items():
        setattr(Array, f"__{method}__", lambda self, other, name=name: elementwise(self._x, name, self, other))
        setattr(Array, f"__r{method}__", lambda self, other, name=name: elementwise(self._x, name, other, self))
        setattr(
            Array,
            f"__i{method}__",
            lambda self, other, name=name: self.become(elementwise(self._x, name, self, other)),
        )
    compare = {"eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater"}
    for method, name in {**compare, "ge": "greater_equal"}.items():
        setattr(Array, f"__{method}__", lambda self, other, name=name: elementwise(self._x, name, self, other))
    for method, name in {"neg": "negative", "abs": "abs", "invert": "invert"}.items():
        setattr(Array, f"__{method}__", lambda self, name=name: elementwise(self._x, name, self))
    Array.__pos__ = lambda self: self._new(self.node)  # type: ignore[attr-defined]
    Array.__hash__ = None  # type: ignore[assignment]


_operators()


# ------------------------------------------------------------------------------------------- elementwise


def elementwise(x: Expressions, name: str, *operands: Any) -> Array:
    """The function that NumPy has under ``name``, with NumPy's dtypes."""
    ufunc = getattr(np, name)
    try:
        loop = ufunc.resolve_dtypes((*[_type_of(v) for v in operands], None))
    except TypeError as error:
        raise Inexpressible(f"{name}: {error}") from None
    out = np.dtype(loop[-1])
    op, boolean_op = _ARITHMETIC[name]
    if name in _INTEGERS_AS_THEY_ARE and out.kind in "iu":
        op = "copy"
    if op is None:  # logic, of what is not 0
        nodes = [_nonzero(x, _node(x, v, _own_dtype(v))) for v in operands]
        return Array(x, x.map(boolean_op, nodes, BOOL))
    nodes = [_node(x, v, np.dtype(dtype)) for v, dtype in zip(operands, loop, strict=False)]
    if all(node.dtype == BOOL for node in nodes):
        if boolean_op is None:
            raise Inexpressible(f"{name} of booleans")
        op = boolean_op
    elif len({node.dtype for node in nodes}) > 1:
        raise Inexpressible(f"{name} of {' and '.join(str(node.dtype) for node in nodes)}")
    elif nodes[0].dtype.kind in "iu":
        if name in ("floor_divide", "remainder", "fmod") and not _is_divisor(nodes[1]):
            raise Inexpressible(f"{name} of integers: a divisor can be 0")
        if name in ("power", "reciprocal", "sqrt"):
            raise Inexpressible(f"{name} of integers")
        if name in ("isnan", "isinf", "isfinite"):
            return Array(x, x.broadcast(x.constant(name == "isfinite", BOOL), nodes[0].shape))
        if name == "signbit":
            return elementwise(x, "less", operands[0], 0)
    return Array(x, x.map(op, nodes, out))


def _is_divisor(node: Node) -> bool:
    return node.kind == "constant" and node.params > 0


def _nonzero(x: Expressions, node: Node) -> Node:
    return node if node.dtype == BOOL else x.map("ne", (node, x.constant(0, node.dtype)), BOOL)


def _own_dtype(v: Any) -> np.dtype:
    return v.dtype if hasattr(v, "dtype") else np.dtype(type(v))


def _type_of(v: Any) -> Any:
    """What NumPy's promotion asks of an operand: its dtype, or the Python type of a number, which is weak."""
    if isinstance(v, Array):
        return v.dtype
    if isinstance(v, (np.ndarray, np.generic)):
        if v.ndim:
            raise Inexpressible("an array that is part of the formula")
        return v.dtype
    if isinstance(v, bool):
        return BOOL
    if isinstance(v, (int, float)):
        return int if isinstance(v, int) else float
    raise Inexpressible(f"an operand {type(v).__name__}")


def _node(x: Expressions, v: Any, dtype: np.dtype) -> Node:
    return cast(x, v.node, dtype) if isinstance(v, Array) else x.constant(v, dtype)


def cast(x: Expressions, node: Node, dtype: np.dtype) -> Node:
    """Conversion as NumPy's ``astype``: to bool is a comparison."""
    if dtype == BOOL and node.dtype != BOOL:
        return _nonzero(x, node)
    return x.cast(node, dtype)


def _lift(x: Expressions, v: Any, dtype: np.dtype) -> Array:
    return v if isinstance(v, Array) else Array(x, x.constant(v, dtype))


def _power(x: Expressions, base: Array, exponent: Any) -> Array:
    """``**`` of an array; the exponents for which NumPy's operator does something else than ``power``."""
    if type(exponent) in (int, float) and base.dtype.kind == "f":
        if exponent == 2:
            return elementwise(x, "multiply", base, base)
        if exponent == 0.5:
            return elementwise(x, "sqrt", base)
        if exponent == 1:
            return base.copy()
        if exponent == -1:
            return elementwise(x, "divide", 1, base)
    if type(exponent) is int and base.dtype.kind in "iu" and exponent in (1, 2):
        return base.copy() if exponent == 1 else elementwise(x, "multiply", base, base)
    return elementwise(x, "power", base, exponent)


# ------------------------------------------------------------------------------------------- indexing


def indexed(x: Expressions, node: Node, key: Any) -> Node:
    """The elements at a basic index."""
    starts, steps, lengths, shape = _basic(key, node.shape)
    return x.reshape(x.slice(node, starts, steps, lengths), shape)


def _basic(key: Any, source: tuple[int, ...]) -> tuple[list[int], list[int], tuple[int, ...], tuple[int, ...]]:
    """A basic index (integers, slices, None and an ellipsis): start, step and length for each axis, and the shape."""
    steps = list(key) if isinstance(key, tuple) else [key]
    if any(not (s is None or s is Ellipsis or isinstance(s, (slice, int, np.integer))) for s in steps):
        raise Inexpressible("an index that is an array")
    taken = sum(s is not None and s is not Ellipsis for s in steps)
    if Ellipsis not in steps:
        steps.append(Ellipsis)
    at = steps.index(Ellipsis)
    steps[at : at + 1] = [slice(None)] * (len(source) - taken)
    starts, strides, lengths, shape = [], [], [], []
    axis = 0
    for s in steps:
        if s is None:
            shape.append(1)
            continue
        n = source[axis]
        axis += 1
        if isinstance(s, slice):
            places = range(n)[s]
            starts.append(places.start)
            strides.append(places.step)
            lengths.append(len(places))
            shape.append(len(places))
        else:
            starts.append(range(n)[s])
            strides.append(1)
            lengths.append(1)
    return starts, strides, tuple(lengths), tuple(shape)


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    return tuple(a % ndim for a in (axis if isinstance(axis, (tuple, list)) else (axis,)))


def _sum_dtype(dtype: np.dtype) -> np.dtype:
    if dtype.kind in "bi":
        return INT64
    return np.dtype(np.uint64) if dtype.kind == "u" else dtype


# ------------------------------------------------------------------------------------------- the namespace


class Namespace:
    """What formulas call ``xp``."""

    def __init__(self, x: Expressions):
        self._x = x

    def __getattr__(self, name: str) -> Any:
        if name in _PLAIN.split():
            return getattr(np, name)
        name = _SYNONYMS.get(name, name)
        if name in _ARITHMETIC:
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
        dtype = np.result_type(*[v if type(v) in (int, float) else _type_of(v) for v in (first, second)])
        c = _nonzero(self._x, _node(self._x, condition, _own_dtype(condition)))
        branches = [_node(self._x, v, dtype) for v in (first, second)]
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

    def fmax(self, x1: Any, x2: Any) -> Array:
        return self._without_nan("maximum", x1, x2)

    def fmin(self, x1: Any, x2: Any) -> Array:
        return self._without_nan("minimum", x1, x2)

    def _without_nan(self, name: str, x1: Any, x2: Any) -> Array:
        chosen = elementwise(self._x, name, x1, x2)
        x1, x2 = (_lift(self._x, v, chosen.dtype) for v in (x1, x2))
        return self.where(x1 != x1, x2, self.where(x2 != x2, x1, chosen))

    # ------------------------------------------------------------------------------------ arrays from nothing

    def full(self, shape: Any, value: Any, dtype: Any = None) -> Array:
        shape = shape if isinstance(shape, tuple) else (shape,)
        value = _lift(self._x, value, np.dtype(dtype if dtype is not None else type(value)))
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

    def asarray(self, x: Any, dtype: Any = None) -> Array:
        if not isinstance(x, Array):
            x = _lift(self._x, x, _own_dtype(x))
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
        axes = _axes(axis, x.ndim)
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


def operands(x: Expressions, nodes: Sequence[Node]) -> list[Array]:
    """Nodes as the arrays that a formula is given: what it is not to change."""
    return [Array(x, node, shared=True) for node in nodes]
