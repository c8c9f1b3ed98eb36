"""Array expressions: what equations compute, as scalar operations, reductions and views of arrays.

A ``Node`` is an array of known shape and dtype. ``Expressions`` makes them; equal nodes are one object, so that common
subexpressions of different formulas are found as they are built. Kinds of nodes, with what ``params`` holds:

    input       an array in memory                                  the ``Var``
    constant    a number, 0-d                                       the number
    map         ``op`` of SCALAR_OPS for every element; arguments have the node's shape or are 0-d
    reduce      ``op`` over axes, which are left out                the axes
    iota        start + step * i for i below the length, int64      (start, step)
    reshape, permute, broadcast, slice   views: the elements of the argument at other places
                                         permute: the axes; slice: (start, step) for each axis
    join        arrays side by side, which fill it                  where each starts
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..aval import HALF
from ..errors import AutogradError
from .ir import Var
from .scalars import compute

Shape = tuple[int, ...]
VIEWS = frozenset({"reshape", "permute", "broadcast", "slice"})
BOOL = np.dtype(np.bool_)
INT64 = np.dtype(np.int64)


class Inexpressible(AutogradError):
    """A formula that scalar operations, reductions and views cannot express; the message says what it does."""


class Node:
    """One array of an expression. ``index`` grows from operands to results."""

    __slots__ = ("args", "dtype", "index", "kind", "op", "params", "shape")

    def __init__(self, kind: str, op: str, args: tuple[Node, ...], params: Any, shape: Shape, dtype: Any, index: int):
        self.kind = kind
        self.op = op
        self.args = args
        self.params = params
        self.shape = shape
        self.dtype = dtype
        self.index = index

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.op} {self.dtype}{list(self.shape)} #{self.index}>"


def computable(dtype: np.dtype) -> bool:
    """Whether loop kernels compute in this dtype: booleans, integers, and floats of 32 and 64 bits."""
    return dtype.kind in "biu" or (dtype.kind == "f" and dtype.itemsize in (4, 8))


class Expressions:
    """The nodes of one program.

    halves: whether kernels read and write half precision. It is only moved and cast: ``lower`` computes in float32.
    """

    def __init__(self, *, halves: bool = False) -> None:
        self.halves = halves
        self._known: dict[Any, Node] = {}

    def holds(self, dtype: np.dtype) -> bool:
        """Whether there can be nodes of this dtype that are no inputs."""
        return computable(dtype) or (self.halves and dtype.char in HALF)

    def __len__(self) -> int:
        return len(self._known)

    def _make(self, kind: str, op: str, args: tuple[Node, ...], params: Any, shape: Shape, dtype: Any) -> Node:
        key = (kind, op, tuple([a.index for a in args]), params, shape, dtype)
        node = self._known.get(key)
        if node is None:
            node = self._known[key] = Node(kind, op, args, params, shape, dtype, len(self._known))
        return node

    # ------------------------------------------------------------------------------------ leaves

    def input(self, var: Var) -> Node:
        return self._make("input", "", (), var, var.shape, var.dtype)

    def constant(self, value: Any, dtype: Any) -> Node:
        """A number as 0-d array of ``dtype``; Inexpressible if it is none of that dtype."""
        dtype = np.dtype(dtype)
        self._require(dtype)
        try:
            with np.errstate(all="ignore"):
                value = np.asarray(value, dtype).item()
        except (OverflowError, ValueError, TypeError) as error:
            raise Inexpressible(f"a constant: {error}") from None
        # -0.0 and 0.0 are equal, 1 and 1.0 and True as well: not the same constants
        key = ("constant", repr(value), dtype)
        node = self._known.get(key)
        if node is None:
            node = self._known[key] = Node("constant", "", (), value, (), dtype, len(self._known))
        return node

    def iota(self, length: int, start: int = 0, step: int = 1) -> Node:
        return self._make("iota", "", (), (start, step), (length,), INT64)

    # ------------------------------------------------------------------------------------ operations

    def map(self, op: str, args: Sequence[Node], dtype: Any) -> Node:
        """A scalar operation on arguments that broadcast."""
        dtype = np.dtype(dtype)
        for d in (*[x.dtype for x in args], dtype):
            self._require(d, moved=op == "cast")
        shape = np.broadcast_shapes(*[x.shape for x in args])
        if 0 in shape:
            return self.broadcast(self.constant(0, dtype), shape)
        numbers = [n for x in args if (n := _scalar_of(x)) is not None]
        if shape and len(numbers) == len(args):
            return self.broadcast(self.map(op, numbers, dtype), shape)
        args = [_scalar_of(x) or self.broadcast(x, shape) for x in args]
        if all(x.kind == "constant" for x in args):
            value = compute(op, [np.asarray(x.params, x.dtype) for x in args], dtype)
            return self.constant(value, dtype)
        same = _unchanged(op, args, dtype)
        if same is not None:
            return self.broadcast(same, shape)
        return self._make("map", op, tuple(args), None, shape, dtype)

    def copy(self, x: Node) -> Node:
        """The elements of ``x`` as an array of their own, whatever ``x`` is."""
        return self._make("map", "copy", (x,), None, x.shape, x.dtype)

    def cast(self, x: Node, dtype: Any) -> Node:
        dtype = np.dtype(dtype)
        if dtype.char in HALF and x.op == "cast" and x.args[0].dtype == dtype:  # a half that was a float meanwhile
            return x.args[0]
        return x if x.dtype == dtype else self.map("cast", (x,), dtype)

    def reduce(self, op: str, x: Node, axes: Sequence[int]) -> Node:
        """sum, prod, max, min, any, all over ``axes``; they are left out of the result."""
        self._require(x.dtype, moved=False)
        axes = tuple(sorted(axes))
        shape = tuple(n for i, n in enumerate(x.shape) if i not in axes)
        if all(x.shape[a] == 1 for a in axes):
            return self.reshape(x, shape)
        if 0 in x.shape:
            if op in ("max", "min"):
                raise Inexpressible(f"{op} of no elements")
            start = {"sum": 0, "prod": 1, "any": False, "all": True}[op]
            return self.broadcast(self.constant(start, x.dtype), shape)
        same = _scalar_of(x)
        if same is not None:
            count = math.prod(x.shape[a] for a in axes)
            if op in ("max", "min", "any", "all"):
                return self.broadcast(same, shape)
            if op == "sum" and same.kind == "constant" and _exact_times(same.params, count, x.dtype):
                return self.broadcast(self.constant(same.params * count, x.dtype), shape)
        return self._make("reduce", op, (x,), axes, shape, x.dtype)

    def join(self, pieces: Sequence[tuple[Node, Shape]], shape: Shape) -> Node:
        """An array made of (piece, where it starts), which do not overlap and fill it.

        It is in memory, and its arguments are copies of the pieces that are written to their places in it.
        """
        pieces = [(x, at) for x, at in pieces if x.size]
        if len(pieces) == 1:
            return pieces[0][0]
        starts = tuple([tuple(at) for _, at in pieces])
        what = (tuple([x.index for x, _ in pieces]), starts, shape)
        parts = [
            self._make("map", "copy", (x,), ("part", i, what), x.shape, x.dtype) for i, (x, _) in enumerate(pieces)
        ]
        return self._make("join", "", tuple(parts), starts, shape, parts[0].dtype)

    def replaced(self, x: Node, box: Sequence[tuple[int, int]], v: Node) -> Node:
        """``x`` with the elements start <= i < stop of each axis, the ``box``, replaced by ``v``."""
        pieces = [(v, tuple(start for start, _ in box))]
        for axis, (start, stop) in enumerate(box):
            for low, high in ((0, start), (stop, x.shape[axis])):
                rest = [*box[:axis], (low, high), *[(0, n) for n in x.shape[axis + 1 :]]]
                starts, lengths = tuple(a for a, _ in rest), tuple(b - a for a, b in rest)
                if 0 not in lengths:
                    pieces.append((self.slice(x, starts, (1,) * len(starts), lengths), starts))
        return self.join(pieces, x.shape)

    # ------------------------------------------------------------------------------------ views

    def reshape(self, x: Node, shape: Shape) -> Node:
        if x.shape == shape:
            return x
        same = _scalar_of(x)
        if same is not None:
            return self.broadcast(same, shape)
        if x.kind == "reshape":
            return self.reshape(x.args[0], shape)
        return self._make("reshape", "", (x,), None, shape, x.dtype)

    def permute(self, x: Node, axes: Sequence[int]) -> Node:
        axes = tuple(axes)
        if axes == tuple(range(len(axes))):
            return x
        shape = tuple(x.shape[a] for a in axes)
        same = _scalar_of(x)
        if same is not None:
            return self.broadcast(same, shape)
        if x.kind == "permute":
            return self.permute(x.args[0], [x.params[a] for a in axes])
        if [a for a in axes if x.shape[a] != 1] == [a for a in range(len(axes)) if x.shape[a] != 1]:
            return self.reshape(x, shape)
        return self._make("permute", "", (x,), axes, shape, x.dtype)

    def broadcast(self, x: Node, shape: Shape) -> Node:
        """``x`` repeated along new leading axes and axes of length 1."""
        same = _scalar_of(x)
        if x.shape == shape:
            return x
        if same is not None:
            kind = "broadcast" if math.prod(shape) != 1 else "reshape"
            return same if not shape else self._make(kind, "", (same,), None, shape, x.dtype)
        if math.prod(shape) == x.size:
            return self.reshape(x, shape)
        if x.kind == "broadcast":
            source = x.args[0]
            if len(source.shape) in (0, len(shape)) or len(x.shape) == len(shape):
                return self.broadcast(source, shape)
        if len(x.shape) < len(shape):
            x = self.reshape(x, (1,) * (len(shape) - len(x.shape)) + x.shape)
        return self._make("broadcast", "", (x,), None, shape, x.dtype)

    def slice(self, x: Node, starts: Sequence[int], steps: Sequence[int], lengths: Sequence[int]) -> Node:
        """Elements start, start + step, ... of each axis; negative steps go down."""
        shape = tuple(lengths)
        same = _scalar_of(x)
        if same is not None:
            return self.broadcast(same, shape)
        params = tuple((s, d) if n > 1 else (s, 1) for s, d, n in zip(starts, steps, lengths, strict=True))
        if shape == x.shape and all(p == (0, 1) for p in params):
            return x
        if 0 in shape:
            return self.broadcast(self.constant(0, x.dtype), shape)
        return self._make("slice", "", (x,), params, shape, x.dtype)

    def _require(self, dtype: np.dtype, *, moved: bool = True) -> None:
        """moved: whether values are not computed with."""
        if not (self.holds(dtype) if moved else computable(dtype)):
            raise Inexpressible(f"arithmetic in {dtype}")


def _scalar_of(x: Node) -> Node | None:
    """The 0-d array whose value all elements of ``x`` have, if it is known to have one."""
    if x.shape == ():
        return x
    return x.args[0] if x.kind in ("broadcast", "reshape") and x.args[0].shape == () else None


def _exact_times(value: Any, count: int, dtype: np.dtype) -> bool:
    """Whether value * count is the sum of so many values to the last bit, in whatever order."""
    if dtype.kind != "f":
        return dtype.kind != "b"
    return float(value).is_integer() and abs(value * count) <= 2 ** (24 if dtype.itemsize == 4 else 53)


def _unchanged(op: str, args: Sequence[Node], dtype: np.dtype) -> Node | None:
    """The argument that the operation returns as it is, for every value: zeros keep their sign, NaN stays NaN."""
    if op in ("cast", "copy"):
        return args[0] if args[0].dtype == dtype else None
    if op == "select" and args[0].kind == "constant":
        return args[1] if args[0].params else args[2]
    if len(args) != 2 or args[0].dtype != dtype or args[1].dtype != dtype:
        return None
    x, y = args
    if op == "mul":
        return x if _is(y, 1) else y if _is(x, 1) else None
    if op == "div":
        return x if _is(y, 1) else None
    if op == "sub":  # x - 0 is x, but x - (-0.0) makes 0.0 of -0.0
        return x if _is(y, 0) and math.copysign(1, y.params) > 0 else None
    if op == "add":  # and x + 0.0 does so, x + (-0.0) does not
        zero = -1 if dtype.kind == "f" else 1
        for a, b in ((x, y), (y, x)):
            if _is(b, 0) and math.copysign(1, b.params) == zero:
                return a
    return None


def _is(x: Node, value: float) -> bool:
    return x.kind == "constant" and x.params == value
