"""The typed graph that a compiled function becomes: values, equations, and the validator that every pass must satisfy.

A ``Graph`` is a list of equations in the order in which they can run. Each says which primitive computes which values
from which: ``Equation(primitive, inputs, params, outputs)``. Values are ``Var`` objects, compared by identity, each
with an ``Aval``. Nothing else is in it: no arrays but the constants', no Python state, no effects. What a step assigns
is an output like any other; who takes it is the business of the caller (``capture``).

Passes are functions ``Graph -> Graph``; ``check`` raises ``GraphError`` for a graph that no pass may return.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..aval import Aval
from ..errors import AutogradError
from ..primitive import Primitive


class GraphError(AutogradError):
    """A graph that breaks a rule of the intermediate representation: a fault of a compiler pass, never of the user."""


class Var:
    """One value of a graph."""

    __slots__ = ("aval",)

    def __init__(self, aval: Aval):
        self.aval = aval

    @property
    def shape(self) -> tuple[int, ...]:
        return self.aval.shape

    @property
    def dtype(self) -> Any:
        return self.aval.dtype

    def __repr__(self) -> str:
        return f"<Var {self.aval}>"


class Equation:
    """``outputs = primitive(*inputs, **params)``. ``origin``: the user's line that caused it, for reports.

    recorded: whether derivatives of the graph go through it; not so for what ran without grad mode.
    """

    __slots__ = ("inputs", "origin", "outputs", "params", "primitive", "recorded")

    def __init__(
        self,
        primitive: Primitive,
        inputs: Sequence[Var],
        params: Mapping[str, Any],
        outputs: Sequence[Var],
        origin: str = "",
        recorded: bool = True,
    ):
        self.recorded = recorded
        self.primitive = primitive
        self.inputs = tuple(inputs)
        self.params = dict(params)
        self.outputs = tuple(outputs)
        self.origin = origin

    def __repr__(self) -> str:
        return f"<{self.primitive.name}: {len(self.inputs)} in, {len(self.outputs)} out>"


class Graph:
    """inputs -> outputs, by ``equations``; ``constants`` maps the values that are known beforehand to their arrays."""

    __slots__ = ("constants", "equations", "inputs", "outputs")

    def __init__(
        self,
        inputs: Sequence[Var],
        equations: Sequence[Equation],
        outputs: Sequence[Var],
        constants: Mapping[Var, Any] | None = None,
    ):
        self.inputs = tuple(inputs)
        self.equations = tuple(equations)
        self.outputs = tuple(outputs)
        self.constants = dict(constants or {})

    def replace(self, **changes: Any) -> Graph:
        fields = {name: changes.pop(name, getattr(self, name)) for name in Graph.__slots__}
        if changes:
            raise TypeError(f"Graph has no {sorted(changes)}")
        return Graph(**fields)

    def names(self) -> dict[Var, str]:
        """A short name for every value, in order of appearance: what listings and drawings call it."""
        names: dict[Var, str] = {}
        for v in [*self.inputs, *self.constants, *(v for e in self.equations for v in e.outputs)]:
            names.setdefault(v, f"v{len(names)}")
        return names

    def __str__(self) -> str:
        """The graph as text, one equation a line; equal graphs give equal texts."""
        names = self.names()
        lines = ["inputs " + ", ".join(f"{names[v]}: {v.aval}" for v in self.inputs)]
        lines += [f"constant {names[v]}: {v.aval}" for v in self.constants]
        for e in self.equations:
            left = ", ".join(f"{names[v]}: {v.aval}" for v in e.outputs)
            params = "".join(f" {k}={_shown(value)}" for k, value in sorted(e.params.items()))
            lines.append(f"{left} = {e.primitive.name}({', '.join(names[v] for v in e.inputs)}){params}")
            lines[-1] += "" if e.recorded else " no_grad"
        lines.append("outputs " + ", ".join(names[v] for v in self.outputs))
        return "\n".join(lines)


def _shown(value: Any) -> str:
    name = getattr(value, "__qualname__", None)
    return repr(value) if name is None else name


def users(graph: Graph) -> dict[Var, list[Equation]]:
    """For every value the equations that read it, each as often as it reads it."""
    found: dict[Var, list[Equation]] = {}
    for e in graph.equations:
        for v in e.inputs:
            found.setdefault(v, []).append(e)
    return found


def check(graph: Graph) -> Graph:
    """The graph itself; GraphError unless every value is defined once, before it is used, with the aval declared."""
    defined: set[Var] = set()
    for v in [*graph.inputs, *graph.constants]:
        _define(v, defined, "an input or constant")
    for e in graph.equations:
        _require(e.inputs, defined, repr(e))
        declared = _declared(e)
        if len(declared) != len(e.outputs):
            raise GraphError(f"{e!r}: the primitive declares {len(declared)} outputs")
        for v, aval in zip(e.outputs, declared, strict=True):
            if aval is not None and (v.aval.shape != aval.shape or v.aval.dtype != aval.dtype):
                raise GraphError(f"{e!r}: an output is {v.aval}, but the primitive declares {aval}")
            _define(v, defined, repr(e))
    for v, array in graph.constants.items():
        if tuple(array.shape) != v.aval.shape or array.dtype != v.aval.dtype:
            raise GraphError(f"the constant {v.aval} holds an array {array.dtype}{list(array.shape)}")
    _require(graph.outputs, defined, "the outputs")
    return graph


def _declared(e: Equation) -> Sequence[Aval | None]:
    try:
        declared = e.primitive.output_aval(*[v.aval for v in e.inputs], **e.params)
    except NotImplementedError:
        return [None] * len(e.outputs)
    return declared if isinstance(declared, tuple) and not isinstance(declared, Aval) else [declared]


def _define(v: Var, defined: set[Var], where: str) -> None:
    if v in defined:
        raise GraphError(f"{where} defines {v!r} a second time")
    defined.add(v)


def _require(values: Iterable[Var], defined: set[Var], where: str) -> None:
    for v in values:
        if v not in defined:
            raise GraphError(f"{where} uses {v!r}, which nothing before it defines")
