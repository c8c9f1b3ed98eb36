"""Loop kernels put together at random, with arrays for them."""

from __future__ import annotations

import numpy as np

from autograd_core.compiler.loops import (
    Access,
    Accumulate,
    Constant,
    Index,
    Load,
    LoopKernel,
    Map,
    Reduce,
    Statement,
    Store,
)

F4, F8, I4, I8, BOOL = (np.dtype(name) for name in ("f4", "f8", "i4", "i8", "?"))
EXACT = 1 << 20  # whole numbers up to here are exact, and so are their sums and products below
NUMBERS = ("add", "sub", "mul", "max", "min")


class Drawing:
    """One kernel and its arrays. Values are whole numbers of known bounds, but for square roots."""

    def __init__(self, seed: int):
        self.random = np.random.default_rng(seed)
        self.outer = tuple(int(n) for n in self.random.choice([1, 2, 3, 5, 19], self.random.integers(0, 3)))
        sizes = self.random.choice([1, 2, 2, 3, 4, 15, 16, 35, 70], self.random.integers(0, 4))
        self.inner = tuple(int(n) for n in sizes)
        self.sizes = self.outer + self.inner
        self.innermost = int(self.random.integers(0, max(1, len(self.sizes)))) if self.coin() else -1  # in memory
        self.body: list[Statement] = []
        self.arrays: list[np.ndarray] = []
        self.outputs: list[int] = []
        # of each statement that has a value: the dimensions it varies along, and its bound (0: not whole)
        self.dims: dict[int, frozenset[int]] = {}
        self.bounds: dict[int, float] = {}
        for _ in range(self.random.integers(1, 4)):
            self.load()
        for _ in range(self.random.integers(1, 13)):
            self.chance([self.map, self.map, self.map, self.reduce, self.reduce, self.load, self.other])
        for _ in range(self.random.integers(1, 4)):
            self.chance([self.store, self.store, self.accumulate])

    def chance(self, options: list) -> None:
        options[self.random.integers(len(options))]()

    def coin(self, probability: float = 0.5) -> bool:
        return bool(self.random.random() < probability)

    @property
    def kernel(self) -> LoopKernel:
        dtypes = tuple(a.dtype for a in self.arrays)
        return LoopKernel(self.outer, self.inner, tuple(self.body), dtypes, tuple(self.outputs))

    def add(self, statement: Statement, dims: frozenset[int] = frozenset(), bound: float = -1) -> None:
        self.body.append(statement)
        if bound >= 0:
            self.dims[len(self.body) - 1], self.bounds[len(self.body) - 1] = dims, bound

    def dtype(self, position: int) -> np.dtype:
        return np.dtype(np.int64) if isinstance(self.body[position], Index) else np.dtype(self.body[position].dtype)

    def pick(self, dtype: np.dtype | None = None, whole: bool = False) -> int | None:
        fits = [
            p
            for p, bound in self.bounds.items()
            if bound < EXACT and (dtype is None or self.dtype(p) == dtype) and (bound > 0 or not whole)
        ]
        return int(self.random.choice(fits)) if fits else None

    def operand(self, dims: frozenset[int], dtype: np.dtype) -> Access:
        """An array laid out in some order along these dimensions, perhaps backwards, perhaps with gaps."""
        strides, offset, reach = [0] * len(self.sizes), 0, int(self.random.choice([1, 1, 1, 2]))
        order = sorted(dims, key=lambda d: (d != self.innermost, -d))
        if self.coin(0.3):
            self.random.shuffle(order)
        for dim in order:
            backwards = self.coin(0.15)
            strides[dim] = -reach if backwards else reach
            offset += (self.sizes[dim] - 1) * reach if backwards else 0
            reach *= self.sizes[dim]
        self.arrays.append(self.random.integers(-2, 3, reach).astype(dtype))
        return Access(len(self.arrays) - 1, tuple(strides), offset)

    def load(self) -> None:
        dtype = [F4, F4, F8, I4, I8, BOOL][self.random.integers(6)]
        dims = frozenset(d for d in range(len(self.sizes)) if self.coin(0.8))
        self.add(Load(self.operand(dims, dtype), dtype), dims, 2)

    def other(self) -> None:
        if self.sizes and self.coin():
            dim = int(self.random.integers(len(self.sizes)))
            step, start = (int(n) for n in self.random.integers(-2, 3, 2))
            self.add(Index(dim, step, start), frozenset([dim]), 2 * self.sizes[dim] + 2)
        else:
            self.add(Constant(int(self.random.integers(0, 2)), [F4, F8, I4, BOOL][self.random.integers(4)]), bound=1)

    def map(self) -> None:
        first = self.pick()
        if first is None:
            return
        dtype = self.dtype(first)
        second = self.pick(dtype)
        dims, bound = self.dims[first], self.bounds[first]
        both, other = dims | self.dims[second], self.bounds[second]
        whole = bound > 0 and other > 0
        options = []
        if dtype == BOOL:
            for op in ("and", "or", "xor"):
                options.append((Map(op, (first, second), BOOL), both, 1))
        else:
            for op in NUMBERS:
                grown = max(1, bound * other if op == "mul" else bound + other) if whole else 0
                options.append((Map(op, (first, second), dtype), both, grown))
        if whole and dtype != BOOL:
            options.append((Map("lt", (first, second), BOOL), both, 1))
        if bound > 0:
            options += [(Map("cast", (first,), to), dims, bound) for to in (F4, F8, I8)]
        condition = self.pick(BOOL, whole=True)
        if condition is not None and whole == (bound > 0) == (other > 0):
            chosen = Map("select", (condition, first, second), dtype)
            options.append((chosen, both | self.dims[condition], max(bound, other)))
        if dtype.kind == "f":
            self.add(Map("abs", (first,), dtype), dims, bound)
            options = [*options, *[(Map("sqrt", (len(self.body) - 1,), dtype), dims, 0)] * 3]
        statement, over, reached = options[self.random.integers(len(options))]
        self.add(statement, over, reached)

    def _kind(self, dtype: np.dtype) -> str:
        return str(self.random.choice(["any", "all"] if dtype == BOOL else ["sum", "max", "min"]))

    def reduce(self) -> None:
        arg = self.pick()
        if arg is None:
            return
        kind, bound = self._kind(self.dtype(arg)), self.bounds[arg]
        grown = bound * int(np.prod(self.inner)) if kind == "sum" else bound
        dims = frozenset(d for d in self.dims[arg] if d < len(self.outer))
        self.add(Reduce(kind, arg, self.dtype(arg)), dims, grown)

    def store(self) -> None:
        arg = int(self.random.choice(list(self.bounds)))
        dtype = self.dtype(arg)
        dims = self.dims[arg]
        for load in [s for s in self.body if isinstance(s, Load) and self.coin(0.3)]:
            operand = load.access.operand
            readers = [r for r in self.body if isinstance(r, Load | Store) and r.access.operand == operand]
            covered = frozenset(d for d, stride in enumerate(load.access.strides) if stride)
            if len(readers) == 1 and load.dtype == dtype and covered == frozenset(range(len(self.sizes))):
                self.outputs.append(operand)
                self.body.append(Store(load.access, arg))
                return
        inner = frozenset(range(len(self.outer), len(self.sizes)))
        more = frozenset(range(len(self.outer))) | (inner if dims & inner or self.coin(0.3) else frozenset())
        if not dims and self.coin(0.3):
            more = frozenset()
        self.body.append(Store(self.operand(dims | more, dtype), arg))
        self.outputs.append(len(self.arrays) - 1)

    def accumulate(self) -> None:
        arg = int(self.random.choice(list(self.bounds)))
        inner = frozenset(range(len(self.outer), len(self.sizes)))
        over_inner = self.coin()
        dims = frozenset() if over_inner or (not self.dims[arg] & inner and self.coin()) else inner
        access = self.operand(dims, self.dtype(arg))
        self.body.append(Accumulate(self._kind(self.dtype(arg)), arg, access, over_inner))
        self.outputs.append(access.operand)
