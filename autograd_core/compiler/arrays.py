"""Arrays that are expressions: operators and methods of NumPy's arrays, which make nodes.

An ``Array`` holds a node and can be changed in place, by ``out=`` and by ``y -= x``, as formulas do to spare memory: it
then holds another node. What has no expression (a value that Python looks at, indices that are arrays) raises
``Inexpressible``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .expression import BOOL, INT64, Expressions, Inexpressible, Node

CIRCULAR = "sin cos tan sinh cosh tanh"
_FUNCTIONS = f"exp exp2 expm1 log log2 log10 log1p {CIRCULAR}"
# NumPy's name -> the scalar operation, and what it is for booleans where that is another
ARITHMETIC: dict[str, tuple[str, str | None]] = {
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
    "logical_not": ("not", "not"),
    "logical_and": ("and", "and"),
    "logical_or": ("or", "or"),
    "logical_xor": ("xor", "xor"),
    "isnan": ("isnan", None),
    "isinf": ("isinf", None),
    "isfinite": ("isfinite", None),
    "signbit": ("signbit", None),
    "sqrt": ("sqrt", None),
    "cbrt": ("cbrt", None),
    "reciprocal": ("reciprocal", None),
    **{name: (name, None) for name in _FUNCTIONS.split()},
    **{f"arc{name}": (f"a{name}", None) for name in CIRCULAR.split()},
    **{name: (name, "copy") for name in ("floor", "ceil", "trunc")},
    "rint": ("rint", None),
}
_INTEGERS_AS_THEY_ARE = {"floor", "ceil", "trunc"}


def _operator(name: str) -> Any:
    return lambda self, *other: elementwise(self._x, name, self, *other)


def _swapped(name: str) -> Any:
    return lambda self, other: elementwise(self._x, name, other, self)


def _in_place(name: str) -> Any:
    return lambda self, other: self.become(elementwise(self._x, name, self, other))


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
        axes = axes_of(axis, self.ndim) if axis is not None else [i for i, n in enumerate(self.shape) if n == 1]
        return self.reshape(tuple(n for i, n in enumerate(self.shape) if i not in axes))

    def __getitem__(self, key: Any) -> Array:
        return self._view(indexed(self._x, self.node, key))

    def __setitem__(self, key: Any, value: Any) -> None:
        value = lifted(self._x, value, self.dtype)
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
        return total / math.prod(self.shape[a] for a in axes_of(axis, self.ndim))

    def _reduced(self, op: str, axis: Any, dtype: np.dtype, keepdims: bool) -> Array:
        axes = axes_of(axis, self.ndim)
        node = self._x.reduce(op, cast(self._x, self.node, dtype), axes)
        if keepdims:
            node = self._x.reshape(node, tuple(1 if i in axes else n for i, n in enumerate(self.shape)))
        return self._new(node)

    # ------------------------------------------------------------------------------------ operators

    __add__, __radd__, __iadd__ = _operator("add"), _swapped("add"), _in_place("add")
    __sub__, __rsub__, __isub__ = _operator("subtract"), _swapped("subtract"), _in_place("subtract")
    __mul__, __rmul__, __imul__ = _operator("multiply"), _swapped("multiply"), _in_place("multiply")
    __truediv__, __rtruediv__, __itruediv__ = _operator("divide"), _swapped("divide"), _in_place("divide")
    __floordiv__, __rfloordiv__, __ifloordiv__ = (
        _operator("floor_divide"),
        _swapped("floor_divide"),
        _in_place("floor_divide"),
    )
    __mod__, __rmod__, __imod__ = _operator("remainder"), _swapped("remainder"), _in_place("remainder")
    __and__, __rand__, __iand__ = _operator("bitwise_and"), _swapped("bitwise_and"), _in_place("bitwise_and")
    __or__, __ror__, __ior__ = _operator("bitwise_or"), _swapped("bitwise_or"), _in_place("bitwise_or")
    __xor__, __rxor__, __ixor__ = _operator("bitwise_xor"), _swapped("bitwise_xor"), _in_place("bitwise_xor")
    __lshift__, __rlshift__, __ilshift__ = _operator("left_shift"), _swapped("left_shift"), _in_place("left_shift")
    __rshift__, __rrshift__, __irshift__ = _operator("right_shift"), _swapped("right_shift"), _in_place("right_shift")
    __eq__ = _operator("equal")
    __ne__ = _operator("not_equal")
    __lt__ = _operator("less")
    __le__ = _operator("less_equal")
    __gt__ = _operator("greater")
    __ge__ = _operator("greater_equal")
    __neg__ = _operator("negative")
    __abs__ = _operator("abs")
    __invert__ = _operator("invert")
    __rpow__ = _swapped("power")
    __hash__ = None  # type: ignore[assignment]

    def __pos__(self) -> Array:
        return self._new(self.node)

    def __pow__(self, exponent: Any) -> Any:
        return _power(self._x, self, exponent)

    def __ipow__(self, exponent: Any) -> Any:
        return self.become(_power(self._x, self, exponent))


# ------------------------------------------------------------------------------------------- elementwise


def elementwise(x: Expressions, name: str, *operands: Any) -> Array:
    """The function that NumPy has under ``name``, with NumPy's dtypes."""
    ufunc = getattr(np, name)
    try:
        loop = ufunc.resolve_dtypes((*[weak_type(v) for v in operands], None))
    except TypeError as error:
        raise Inexpressible(f"{name}: {error}") from None
    out = np.dtype(loop[-1])
    op, boolean_op = ARITHMETIC[name]
    if name in _INTEGERS_AS_THEY_ARE and out.kind in "iu":
        op = "copy"
    if name.startswith("logical"):  # of what is not 0
        return Array(x, x.map(op, [nonzero(x, as_node(x, v, own_dtype(v))) for v in operands], BOOL))
    nodes = [as_node(x, v, np.dtype(dtype)) for v, dtype in zip(operands, loop, strict=False)]
    if all(node.dtype == BOOL for node in nodes):
        if boolean_op is None:
            raise Inexpressible(f"{name} of booleans")
        op = boolean_op
    elif len({node.dtype for node in nodes}) > 1:
        raise Inexpressible(f"{name} of {' and '.join(str(node.dtype) for node in nodes)}")
    elif nodes[0].dtype.kind in "iu":
        if name in ("floor_divide", "remainder", "fmod") and not _is_divisor(nodes[1]):
            raise Inexpressible(f"{name} of integers: a divisor can be 0")
        if name in ("power", "reciprocal"):
            raise Inexpressible(f"{name} of integers")
        if name in ("isnan", "isinf", "isfinite"):
            return Array(x, x.broadcast(x.constant(name == "isfinite", BOOL), nodes[0].shape))
    return Array(x, x.map(op, nodes, out))


def _is_divisor(node: Node) -> bool:
    return node.kind == "constant" and node.params > 0


def nonzero(x: Expressions, node: Node) -> Node:
    return node if node.dtype == BOOL else x.map("ne", (node, x.constant(0, node.dtype)), BOOL)


def own_dtype(v: Any) -> np.dtype:
    return v.dtype if hasattr(v, "dtype") else np.dtype(type(v))


def weak_type(v: Any) -> Any:
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


def as_node(x: Expressions, v: Any, dtype: np.dtype) -> Node:
    return cast(x, v.node, dtype) if isinstance(v, Array) else x.constant(v, dtype)


def cast(x: Expressions, node: Node, dtype: np.dtype) -> Node:
    """Conversion as NumPy's ``astype``: to bool is a comparison."""
    if dtype == BOOL and node.dtype != BOOL:
        return nonzero(x, node)
    return x.cast(node, dtype)


def lifted(x: Expressions, v: Any, dtype: np.dtype) -> Array:
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


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    return tuple(a % ndim for a in (axis if isinstance(axis, (tuple, list)) else (axis,)))


def _sum_dtype(dtype: np.dtype) -> np.dtype:
    if dtype.kind in "bi":
        return INT64
    return np.dtype(np.uint64) if dtype.kind == "u" else dtype


def operands(x: Expressions, nodes: Sequence[Node]) -> list[Array]:
    """Nodes as the arrays that a formula is given: what it is not to change."""
    return [Array(x, node, shared=True) for node in nodes]
