"""What a matrix product takes over from the loop kernel after it: a bias, an array to add to, other products, ReLU.

A loop kernel that stores nothing but  product + bias + array, or the sum of several products, is not launched: the
first product is told where bias and array lie, each further one adds to the one before. Where a kernel stores such a
value and goes on with it (a residual sum, and its layer norm), it reads what the product has stored, which is written
once instead of twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from autograd_core.compiler.epilogue import over_elements, used_operands
from autograd_core.compiler.fuse import LoopUnit, OpaqueUnit, Schedule
from autograd_core.compiler.ir import Equation, Graph, Var
from autograd_core.compiler.loops import Access, Accumulate, Constant, Load, LoopKernel, Map, Reduce, Statement, Store

from .product_kernels import HALVES, MULTIPLIED
from .product_steps import PRODUCTS, Epilogue

REAL = ("float32", "float64", *HALVES)
# What is taken over, for which dtypes. No hardware has been asked: ``python -m autograd_core.benchmarks probes`` times
# each beside a product and a loop kernel. ReLU is left to loop kernels, since cuBLASLt's makes 0 of NaN.
RULES: dict[str, Collection[str]] = {
    "bias": REAL,
    "added": MULTIPLIED,
    "bias and added": REAL,
    "relu": (),
}


def allowed(epilogue: Epilogue, dtype: str) -> bool:
    """Whether the rules let a product of that dtype take it over."""
    told = {"bias": epilogue.bias is not None, "added": epilogue.added is not None, "relu": epilogue.relu}
    told["bias and added"] = told["bias"] and told["added"]
    return all(dtype in RULES[name] for name, there in told.items() if there)


class ProductUnit(NamedTuple):
    """A product and what it takes over; ``result`` is what is stored."""

    equation: Equation
    epilogue: Epilogue
    result: Var
    origins: tuple[Equation, ...]

    @property
    def asked(self) -> tuple[Equation, Var, Epilogue]:
        return self.equation, self.result, self.epilogue

    @property
    def inputs(self) -> tuple[Var, ...]:
        return (*self.equation.inputs, *self.epilogue.reads)

    @property
    def outputs(self) -> tuple[Var, ...]:
        return (self.result,)


def with_products(plan: Schedule, graph: Graph, accepts: Callable[[Sequence[ProductUnit]], bool]) -> tuple[Any, ...]:
    """The units of a schedule, some products with what they take over. accepts: whether to have these for a store."""
    return _Taking(plan, graph, accepts).run()


class _Taking:
    def __init__(self, plan: Schedule, graph: Graph, accepts: Callable[[Sequence[ProductUnit]], bool]):
        self._plan, self._accepts = plan, accepts
        self._units: list[list[Any]] = [[unit] for unit in plan.units]
        self._made: dict[Var, int] = {}  # by the unit with this number, or the last of several
        self._makers: dict[Var, int] = {}  # how many they are
        self._readers: dict[Var, set[int]] = {}
        for i, unit in enumerate(plan.units):
            for v in unit.outputs:
                self._made[v] = i
                self._makers[v] = self._makers.get(v, 0) + 1
            for v in unit.inputs:
                self._readers.setdefault(self._root(v), set()).add(i)
        for v in graph.outputs:
            self._readers.setdefault(self._root(v), set()).add(-1)

    def _root(self, v: Var) -> Var:
        return self._plan.views[v].base if v in self._plan.views else v

    def run(self) -> tuple[Any, ...]:
        for i, unit in enumerate(self._plan.units):
            if isinstance(unit, LoopUnit):
                self._take_from(i, unit)
        return tuple(u for some in self._units for u in some)

    def _take_from(self, i: int, unit: LoopUnit) -> None:
        position = 0
        while position < len(unit.kernel.body):
            rest = self._taken(i, unit, position)
            if rest is None:
                position += 1
                continue
            if not rest.kernel.outputs:
                self._units[i].pop()
                return
            self._units[i][-1] = unit = rest
            position = 0

    def _taken(self, i: int, unit: LoopUnit, position: int) -> LoopUnit | None:
        """The unit without the store at that position, if products can make what it stores."""
        store = unit.kernel.body[position]
        if not isinstance(store, Store) or self._makers[unit.operands[store.access.operand]] > 1:
            return None
        candidates = {v: self._equation(v, i) for v in unit.inputs if self._is_product(v, i)}
        found = _stored_sum(unit, position, candidates) if candidates else None
        if found is None:
            return None
        products, epilogue, result = found
        rest = _reading(unit, position)
        if any(v in rest.operands for v in products) or (epilogue.relu and rest.kernel.outputs):
            return None
        if not allowed(epilogue, result.dtype.name) or (len(products) > 1 and result.dtype.name not in RULES["added"]):
            return None
        origins = () if rest.kernel.outputs else unit.origins
        chain, places = self._chain(i, products, epilogue, result, origins)
        if not self._accepts(chain):
            return None
        for v in products:
            self._units[self._made[v]] = []
        for made, at in zip(chain, places, strict=True):
            own = self._units[at]
            own.insert(len(own) - (at == i), made)
            self._made[made.result] = at
        return rest

    def _is_product(self, v: Var, i: int) -> bool:
        """Of matrices, for this unit alone."""
        maker = self._plan.units[self._made[v]] if v in self._made else None
        if not isinstance(maker, OpaqueUnit) or maker.equation.primitive not in PRODUCTS:
            return False
        return v in maker.outputs and self._readers[v] == {i}

    def _equation(self, v: Var, i: int) -> Equation:
        maker = self._plan.units[self._made[v]]
        assert isinstance(maker, OpaqueUnit)
        return maker.equation

    def _chain(
        self, i: int, products: Sequence[Var], epilogue: Epilogue, result: Var, origins: tuple[Equation, ...]
    ) -> tuple[list[ProductUnit], list[int]]:
        """The products, each added to the one before; and the units before which they come, or in whose place: each
        stays where it is, unless what it reads is made later.
        """
        ordered = sorted(products, key=self._made.__getitem__)
        chain: list[ProductUnit] = []
        places: list[int] = []
        for n, v in enumerate(ordered):
            last = n == len(ordered) - 1
            own = epilogue._replace(relu=epilogue.relu and last)
            if n:
                own = Epilogue(added=(ordered[n - 1], 0), relu=own.relu)
            at = self._made[v]
            ready = [self._made.get(r, -1) for r in own.reads] if not n else [places[-1]]
            e = self._equation(v, i)
            chain.append(ProductUnit(e, own, result if last else v, (e, *(origins if last else ()))))
            places.append(at if max(ready, default=-1) < at else i)
        return chain, places


# ----------------------------------------------------------------------------------------------- what kernels store


def _stored_sum(
    unit: LoopUnit, position: int, candidates: Mapping[Var, Equation]
) -> tuple[list[Var], Epilogue, Var] | None:
    """The products whose sum is stored, what else is added to it, and the value that holds it."""
    store = unit.kernel.body[position]
    assert isinstance(store, Store)
    result = unit.operands[store.access.operand]
    alone = _without_others(unit.kernel, [position])
    loaded = dict.fromkeys(s.access.operand for s in alone.body if isinstance(s, Load))
    first = next((n for n in loaded if unit.operands[n] in candidates), None)
    if first is None:
        return None
    shape = unit.operands[first].shape
    sizes = prod(shape[:-1]), shape[-1]
    kernel = over_elements(alone, first, sizes)
    if kernel is None or result.aval.size != prod(sizes) or result.dtype != unit.operands[first].dtype:
        return None
    terms = _terms(kernel, result.dtype)
    if terms is None:
        return None
    *accesses, stored = terms.accesses
    if stored.offset or not _whole(stored, sizes):
        return None
    products: list[Var] = []
    bias = added = None
    for access in accesses:
        v = unit.operands[access.operand]
        if v in candidates and v.aval.size == prod(sizes) and not access.offset and _whole(access, sizes):
            products.append(v)
        elif bias is None and _along_last(access, sizes):
            bias = v, access.offset
        elif added is None and _whole(access, sizes):
            added = v, access.offset
        else:
            return None
    if len(set(products)) < len(products) or not products:
        return None
    return products, Epilogue(bias, added, terms.relu), result


class _Terms(NamedTuple):
    """accesses: those of the loads that are added up, then that of the store."""

    accesses: tuple[Access, ...]
    relu: bool


def _terms(kernel: LoopKernel, dtype: Any) -> _Terms | None:
    """A kernel with one store of that dtype as a sum of what it loads, of the same dtype.

    Half precision is added in float32, with roundings between, which a product leaves out.
    """
    body = kernel.body
    (store,) = (s for s in body if isinstance(s, Store))
    passed = {np.dtype(dtype), np.dtype(np.float32)} if np.dtype(dtype).name in HALVES else {np.dtype(dtype)}

    def value(n: int) -> Statement:
        """The statement behind changes of dtype that sums of this dtype are made in."""
        s = body[n]
        while isinstance(s, Map) and s.op == "cast" and {s.dtype, _dtype(body[s.args[0]])} <= passed:
            s = body[s.args[0]]
        return s

    top, relu = value(store.arg), False
    if isinstance(top, Map) and top.op == "max":
        parts = [value(n) for n in top.args]
        kept = [s for s in parts if not (isinstance(s, Constant) and s.value == 0)]
        if len(kept) != 1:
            return None
        top, relu = kept[0], True
    accesses: list[Access] = []
    pending = [top]
    while pending:
        s = pending.pop()
        if isinstance(s, Load) and s.dtype == dtype:
            accesses.append(s.access)
        elif isinstance(s, Map) and s.op == "add" and s.dtype in passed:
            pending += [value(n) for n in reversed(s.args)]
        else:
            return None
    return _Terms((*accesses, store.access), relu) if len(accesses) > 1 or relu else None


def _dtype(s: Statement) -> Any:
    return getattr(s, "dtype", None)


def _whole(access: Access, sizes: Sequence[int]) -> bool:
    """Row by row, without gaps."""
    return all(n == 1 or s == t for n, s, t in zip(sizes, access.strides, (sizes[-1], 1), strict=True))


def _along_last(access: Access, sizes: Sequence[int]) -> bool:
    return all(n == 1 or s == t for n, s, t in zip(sizes, access.strides, (0, 1), strict=True))


# ----------------------------------------------------------------------------------------------- what is left of them


def _reading(unit: LoopUnit, position: int) -> LoopUnit:
    """The unit with what it stores there in memory already: it is read, if anything else needs it."""
    store = unit.kernel.body[position]
    assert isinstance(store, Store)
    dtype = unit.kernel.operands[store.access.operand]
    body = list(unit.kernel.body)
    body[store.arg] = Load(store.access, dtype)
    effects = [n for n, s in enumerate(body) if isinstance(s, Store | Accumulate) and n != position]
    kernel, used = used_operands(_without_others(unit.kernel._replace(body=tuple(body)), effects))
    return unit._replace(kernel=kernel, operands=tuple(unit.operands[n] for n in used))


def _without_others(kernel: LoopKernel, effects: Iterable[int]) -> LoopKernel:
    """The kernel with these stores alone, and what they need."""
    needed: set[int] = set()
    pending = list(effects)
    while pending:
        n = pending.pop()
        if n not in needed:
            needed.add(n)
            pending += _arguments(kernel.body[n])
    order = sorted(needed)
    place = {old: new for new, old in enumerate(order)}
    body = tuple(_moved(kernel.body[n], place) for n in order)
    written = {s.access.operand for s in body if isinstance(s, Store | Accumulate)}
    return kernel._replace(body=body, outputs=tuple(n for n in kernel.outputs if n in written))


def _arguments(s: Statement) -> tuple[int, ...]:
    if isinstance(s, Map):
        return s.args
    return (s.arg,) if isinstance(s, Store | Accumulate | Reduce) else ()


def _moved(s: Statement, place: Mapping[int, int]) -> Statement:
    if isinstance(s, Map):
        return s._replace(args=tuple(place[n] for n in s.args))
    return s._replace(arg=place[s.arg]) if isinstance(s, Store | Accumulate | Reduce) else s
