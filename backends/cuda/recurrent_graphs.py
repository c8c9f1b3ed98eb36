"""Recurrent layers of a graph as launches, and what is around them so that nothing is copied before or after.

A layer becomes the product with its whole input, in public operations, and a launch; its last states are views of all
states. An adjoint is a launch, and the products for weights after it are in the graph already.

- Initial states and cotangents that are zeros are not made: a launch is told that there are none.
- The states that steps begin with, which the recurrent weight's gradient reads, are written by the launch, if they are
  asked for, instead of being put together afterwards.
- Sequences that come batch by batch are gone through as they lie: arrays of the launch are (batch, steps, ...), and so
  are the rows that products and sums around it add up.

Layers whose weights do not fit on chip stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from autograd_core.aval import Aval
from autograd_core.compiler.ir import Equation, Graph, Var, users
from autograd_core.ops._elements import slice_p
from autograd_core.ops.creation import full_p
from autograd_core.ops.joining import concat_p
from autograd_core.ops.linear_algebra import linear, matmul_p
from autograd_core.ops.reductions import sum_p
from autograd_core.ops.shaping import permute_dims, permute_dims_p, reshape_p
from autograd_core.primitive import Primitive, bind

from .native.recurrent import ARGUMENTS, Recurrence, written
from .recurrent_kernels import PRIMITIVES, Launches, names_of, problem_of
from .recurrent_steps import LAUNCHES

Trace = Callable[[Callable[..., Any], Sequence[Aval]], Graph]
LAYERS: dict[Primitive, tuple[str, str]] = {primitive: which for which, primitive in PRIMITIVES.items()}
ZEROS = ("h0", "c0", "gh", "gc")  # what a launch can do without, if it is zeros
TURNED = (1, 0, 2)  # (steps, batch, ...) <-> (batch, steps, ...)


def with_launches(graph: Graph, launches: Launches, trace: Trace) -> Graph:
    """The graph with launches in place of the layers that fit on chip."""
    rewriting = _Rewriting(graph, launches, trace)
    for e in graph.equations:
        if e.primitive in LAYERS:
            rewriting.layer(e)
    equations = [part for e in graph.equations for part in rewriting.instead.get(id(e), [e])]
    return graph.replace(equations=equations, constants=rewriting.constants)


class _Rewriting:
    """instead: equations in place of one, by its identity."""

    def __init__(self, graph: Graph, launches: Launches, trace: Trace):
        self._launches, self._trace = launches, trace
        self._makers = {v: e for e in graph.equations for v in e.outputs}
        self._readers = users(graph)
        self._seen = set(graph.outputs)
        self._turned: set[Var] = set()  # states of layers that are batch by batch
        self.constants = dict(graph.constants)
        self.instead: dict[int, list[Equation]] = {}

    def layer(self, e: Equation) -> None:
        """Compute it by a launch, if there is one."""
        kind, way = LAYERS[e.primitive]
        options = dict(e.params)
        operands = names_of(kind, way, options.pop("has"))
        named = dict(zip(operands, e.inputs, strict=True))
        problem = problem_of(kind, way, named, **options)
        if problem is None or not self._launches.fits(problem):
            return
        both_ways = all(self._launches.fits(problem._replace(way=each)) for each in ("forward", "adjoint"))
        problem = problem._replace(batch_first=both_ways and self._is_turned(named["x"]))
        zeros = {n for n in ZEROS if n in named and self._is_zero(named[n])}
        previous = self._previous(e, named["h0"], problem) if way == "forward" else None
        found = self._trace(
            _launched(problem, operands, zeros, previous is not None), [Aval(v.shape, v.dtype) for v in e.inputs]
        )
        outputs = (*e.outputs, *(() if previous is None else previous.outputs))
        known = dict(zip(found.inputs, e.inputs, strict=True)) | dict(zip(found.outputs, outputs, strict=True))
        self.instead[id(e)] = [
            Equation(
                part.primitive,
                [known.get(v, v) for v in part.inputs],
                part.params,
                [known.get(v, v) for v in part.outputs],
                e.origin,
            )
            for part in found.equations
        ]
        self.constants |= found.constants
        if previous is not None:
            self.instead[id(previous)] = []
        if problem.batch_first and way == "forward":
            self._turned.add(e.outputs[0])
        if problem.batch_first and way == "adjoint":
            for v in e.outputs:
                self._sums_of(v)

    def _is_turned(self, x: Var) -> bool:
        maker = self._makers.get(x)
        is_turn = maker is not None and maker.primitive is permute_dims_p and maker.params["axes"] == TURNED
        return is_turn or x in self._turned

    def _is_zero(self, v: Var) -> bool:
        maker = self._makers.get(v)
        return maker is not None and maker.primitive is full_p and maker.params["value"] == 0

    def _previous(self, e: Equation, h0: Var, problem: Recurrence) -> Equation | None:
        """What cuts the states that steps begin with out of the initial ones and all states."""
        states, steps = e.outputs[0], problem.steps
        begin, place = (1, 0) if problem.reverse else (0, 1)
        for join in self._readers.get(states, ()):
            is_join = join.primitive is concat_p and join.params["axis"] == 0 and len(join.inputs) == 2
            if not is_join or join.inputs[place] is not states:
                continue
            first = self._makers.get(join.inputs[1 - place])
            if first is None or first.primitive is not reshape_p or first.inputs[0] is not h0:
                continue
            for cut in self._readers.get(join.outputs[0], ()):
                whole = cut.primitive is slice_p and cut.params["key"] == ((begin, begin + steps, 1),)
                if whole and cut.outputs[0] not in self._seen:
                    return cut
        return None

    # ------------------------------------------------------------------------------------ products and sums over rows

    def _sums_of(self, slopes: Var) -> None:
        """Have rows that are added up, or multiplied one by one, in the order in which they lie."""
        for e in self._readers.get(slopes, ()):
            if e.primitive is sum_p and e.params["axis"] == (0, 1) and not e.params["keepdims"]:
                new = _Rows(e.origin)
                turned = new.add(permute_dims_p, (slopes,), {"axes": TURNED}, tuple(slopes.shape[a] for a in TURNED))
                new.end(sum_p, (turned,), e.params, e.outputs)
                self.instead[id(e)] = new.equations
            elif e.primitive is reshape_p and e.outputs[0].shape == _rows(slopes):
                for reader in self._readers.get(e.outputs[0], ()):
                    self._product(slopes, e.outputs[0], reader)

    def _product(self, slopes: Var, rows: Var, e: Equation) -> None:
        if e.primitive is matmul_p and e.inputs[0] is rows:
            new = _Rows(e.origin)
            product = new.add(matmul_p, (new.of(slopes), e.inputs[1]), {}, e.outputs[0].shape)
            steps, batch = slopes.shape[:2]
            stack = new.add(reshape_p, (product,), {"shape": (batch, steps, product.shape[1])})
            turned = new.add(permute_dims_p, (stack,), {"axes": TURNED}, (steps, batch, product.shape[1]))
            new.end(reshape_p, (turned,), {"shape": product.shape}, e.outputs)
            self.instead[id(e)] = new.equations
        elif e.primitive is permute_dims_p and e.params["axes"] == (1, 0):
            for reader in self._readers.get(e.outputs[0], ()):
                if reader.primitive is not matmul_p or reader.inputs[0] is not e.outputs[0]:
                    continue
                other = self._makers.get(reader.inputs[1])
                if other is None or other.primitive is not reshape_p or other.inputs[0].shape[:2] != slopes.shape[:2]:
                    continue
                if _rows(other.inputs[0]) != other.outputs[0].shape:
                    continue
                new = _Rows(e.origin)
                across = new.add(permute_dims_p, (new.of(slopes),), {"axes": (1, 0)}, e.outputs[0].shape)
                new.end(matmul_p, (across, new.of(other.inputs[0])), {}, reader.outputs)
                self.instead[id(reader)] = new.equations


class _Rows:
    """New equations."""

    def __init__(self, origin: str):
        self._origin = origin
        self.equations: list[Equation] = []

    def of(self, v: Var) -> Var:
        """(steps, batch, n) as rows, those of a sequence together."""
        steps, batch, n = v.shape
        turned = self.add(permute_dims_p, (v,), {"axes": TURNED}, (batch, steps, n))
        return self.add(reshape_p, (turned,), {"shape": (batch * steps, n)})

    def add(
        self,
        primitive: Primitive,
        inputs: Sequence[Var],
        params: dict[str, Any],
        shape: tuple[int, ...] | None = None,
    ) -> Var:
        result = Var(Aval(params["shape"] if shape is None else shape, inputs[0].dtype))
        self.end(primitive, inputs, params, (result,))
        return result

    def end(self, primitive: Primitive, inputs: Sequence[Var], params: dict[str, Any], outputs: Sequence[Var]) -> None:
        self.equations.append(Equation(primitive, inputs, params, outputs, self._origin))


def _rows(v: Var) -> tuple[int, ...]:
    return (v.shape[0] * v.shape[1], *v.shape[2:]) if len(v.shape) == 3 else ()


def _launched(
    problem: Recurrence, operands: Sequence[str], zeros: Collection[str], with_previous: bool
) -> Callable[..., tuple[Any, ...]]:
    """What computes the layer, or its adjoint, with a launch; with_previous: the states that steps begin with too."""
    kind, way = problem.kind, problem.way
    results = tuple(n for n in written(kind, way) if n != "previous" or with_previous)
    arguments = [n for n in ARGUMENTS[kind, way].split() if not n.endswith("*") and n not in zeros]

    def turned(v: Any) -> Any:
        return permute_dims(v, TURNED) if problem.batch_first and len(v.shape) == 3 else v

    def layer(*values: Any) -> tuple[Any, ...]:
        p = {n: turned(v) for n, v in zip(operands, values, strict=True)}
        p["weight"] = p["weight_hh"]
        if "bias_hh" in p:
            p["bias"] = p["bias_hh"]
        if "lengths" in p:
            p["lengths"] = p["lengths"].astype("int32")
        if way == "forward":
            p["input"] = linear(p["x"], p["weight_ih"], p.get("bias_ih"))
        names = tuple(n for n in arguments if n in p)
        params = {"problem": problem, "names": names, "results": results}
        found = dict(zip(results, bind(LAUNCHES[kind, way], [p[n] for n in names], params), strict=True))
        if way == "adjoint":
            return tuple(turned(v) for v in found.values())
        last = 0 if problem.reverse else problem.steps - 1
        ends = [found[n][:, last] if problem.batch_first else found[n][last] for n in ("states", "cells") if n in found]
        kept = [found[n] for n in ("gates", "cells", "inner", "previous") if n in found]
        return (turned(found["states"]), *ends, *(turned(v) for v in kept))

    return layer
