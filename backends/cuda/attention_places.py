"""Where attention's results lie in compiled functions: as whoever reads them wants them.

A projection reads heads side by side, (batch, time, heads, features), and a product for the gradients of queries, keys
and values reads all three side by side. Kernels write rows where they are told to, so what was a copy of a result
becomes the result, and the result a view of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from autograd_core.aval import Aval
from autograd_core.compiler.expression import VIEWS, Expressions, Inexpressible, Node
from autograd_core.compiler.ir import Equation, Graph, Var, users
from autograd_core.compiler.lower import lower
from autograd_core.compiler.space import Place, row_major, viewed
from autograd_core.ops.joining import concat_p, split_p
from autograd_core.ops.shaping import permute_dims_p, reshape_p

from .native.attention import Result, placed
from .tensor_core_steps import MOST

Users = Mapping[Var, Sequence[Equation]]


class _Chain(NamedTuple):
    """Equations of one operand and one result each, which lead from a result of attention to ``end``."""

    equations: tuple[Equation, ...]
    end: Var


class _Array(NamedTuple):
    """What is written instead of some results: an array, the equations that are replaced, and those that make the
    results views of it.
    """

    array: Var
    replaced: tuple[Equation, ...]
    views: tuple[Equation, ...]


def with_places(graph: Graph, attention: Sequence[Equation]) -> Graph:
    """The graph with the results of these equations where their readers want them.

    An equation that has them elsewhere than in arrays of their own says so: its parameter ``results``.
    """
    found = {id(e) for e in attention}
    equations: list[Equation] = []
    dropped: set[int] = set()
    readers = users(graph)
    for e in graph.equations:
        made = _placed(e, readers, set(graph.outputs)) if id(e) in found else None
        if made is None:
            equations.append(e)
            continue
        written, views, replaced = made
        equations += [written, *views]
        dropped.update(map(id, replaced))
    return graph.replace(equations=[e for e in equations if id(e) not in dropped])


def _placed(
    e: Equation, readers: Users, seen: set[Var]
) -> tuple[Equation, tuple[Equation, ...], tuple[Equation, ...]] | None:
    """The equation that writes the arrays, the equations of views, and those in whose place both are."""
    count = len(e.params["wanted"]) if "wanted" in e.params else 1
    matrices, rest = e.outputs[:count], e.outputs[count:]
    arrays = _joined(matrices, readers, seen)
    taken = {v for a in arrays for made in a.views for v in made.outputs}
    arrays += [_turned(v, readers, seen) for v in matrices if v not in taken]
    if all(a.array is v for a, v in zip(arrays, matrices, strict=False)) and len(arrays) == count:
        return None
    results: list[Result] = []
    for v in matrices:
        where = next((n, p) for n, a in enumerate(arrays) if (p := _place(v, a)) is not None)
        results.append(Result(where[0], placed(v.shape, where[1].strides, where[1].offset)))
    outputs = (*(a.array for a in arrays), *rest)
    written = Equation(e.primitive, e.inputs, {**e.params, "results": tuple(results)}, outputs, e.origin, e.recorded)
    views = tuple(made for a in arrays for made in a.views)
    return written, views, tuple(gone for a in arrays for gone in a.replaced)


def _joined(matrices: Sequence[Var], readers: Users, seen: set[Var]) -> list[_Array]:
    """The array in which results of one equation alone are joined; none, or that one."""
    chains = {v: found for v in matrices if v not in seen and (found := _to_join(v, readers, seen)) is not None}
    joins = {id(found[1]): found[1] for found in chains.values()}
    for join in joins.values():
        of_part = {found[0].end: (v, found[0]) for v, found in chains.items() if found[1] is join}
        if set(join.inputs) != set(of_part) or len(of_part) != len(join.inputs):
            continue
        whole, axis = join.outputs[0], join.params["axis"]
        sizes = tuple(part.shape[axis] for part in join.inputs)
        if whole.aval.size > MOST:
            continue
        views = [Equation(split_p, (whole,), {"sizes": sizes, "axis": axis}, join.inputs, join.origin)]
        for part in join.inputs:
            views += _backwards(of_part[part][1])
        replaced = (join, *(step for _, chain in of_part.values() for step in chain.equations))
        array = _Array(whole, replaced, tuple(views))
        if all(_place(v, array) is not None for v, _ in of_part.values()):
            return [array]
    return []


def _to_join(v: Var, readers: Users, seen: set[Var]) -> tuple[_Chain, Equation] | None:
    """How one of the readers joins the result with others."""
    pending = [_Chain((), v)]
    while pending:
        chain = pending.pop()
        for reader in readers.get(chain.end, ()):
            if reader.primitive is concat_p:
                return chain, reader
            if reader.primitive in (permute_dims_p, reshape_p) and reader.outputs[0] not in seen:
                pending.append(_Chain((*chain.equations, reader), reader.outputs[0]))
    return None


def _turned(v: Var, readers: Users, seen: set[Var]) -> _Array:
    """The result, or what it is with its heads side by side, if somebody reads that."""
    for reader in readers.get(v, ()) if v not in seen else ():
        turns = reader.primitive is permute_dims_p and reader.outputs[0] not in seen
        if turns and reader.params["axes"][-1] == len(v.shape) - 1 and len(v.shape) > 2:
            chain = _Chain((reader,), reader.outputs[0])
            return _Array(chain.end, (reader,), tuple(_backwards(chain)))
    return _Array(v, (), ())


def _backwards(chain: _Chain) -> list[Equation]:
    """From the end of the chain to where it began."""
    back = []
    for e in reversed(chain.equations):
        (before,), (after,) = e.inputs, e.outputs
        if e.primitive is reshape_p:
            back.append(Equation(reshape_p, (after,), {"shape": before.shape}, (before,), e.origin))
        else:
            axes = e.params["axes"]
            inverse = tuple(sorted(range(len(axes)), key=axes.__getitem__))
            back.append(Equation(permute_dims_p, (after,), {"axes": inverse}, (before,), e.origin))
    return back


def _place(v: Var, array: _Array) -> Place | None:
    """Where in the array the result lies; None if it does not, or not at strides."""
    x = Expressions()
    nodes: dict[Var, Node] = {array.array: x.input(Var(Aval(array.array.shape, array.array.dtype)))}
    try:
        for e in array.views:
            nodes.update(zip(e.outputs, lower(e, [nodes[i] for i in e.inputs], x), strict=True))
    except Inexpressible:
        return None
    return _located(nodes[v]) if v in nodes else None


def _located(node: Node) -> Place | None:
    if node.kind not in VIEWS:
        return Place(row_major(node.shape))
    base = _located(node.args[0])
    return None if base is None else viewed(node, base)
