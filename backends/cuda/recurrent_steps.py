"""Recurrent layers as steps of compiled functions: one launch for all steps of a sequence, written where it is to lie.

A layer becomes the product with its whole input, in public operations, and a launch; its last states are views of all
states. An adjoint is a launch, and what follows of it, the products for weights, is in the graph already. Layers whose
weights do not fit on chip stay what they are. Not yet run on hardware.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from autograd_core import context
from autograd_core.aval import Aval
from autograd_core.compiler.ir import Equation, Graph, Var
from autograd_core.ops.linear_algebra import linear
from autograd_core.primitive import General, Primitive, bind, general

from .native.recurrent import ARGUMENTS, SHARED, Recurrence, written
from .recurrent_kernels import PRIMITIVES, Launches, names_of, problem_of

Trace = Callable[[Callable[..., Any], Sequence[Aval]], Graph]
LAYERS: dict[Primitive, tuple[str, str]] = {primitive: which for which, primitive in PRIMITIVES.items()}


def _shape(*avals: Aval, problem: Recurrence, names: tuple[str, ...]) -> tuple[Aval, ...]:
    steps, batch, hidden = problem.steps, problem.batch, problem.hidden
    shapes = dict.fromkeys(("states", "cells", "inner"), (steps, batch, hidden))
    shapes |= dict.fromkeys(("dh0", "dc0"), (batch, hidden))
    gates = (steps, batch, problem.gates * hidden)
    return tuple(Aval(shapes.get(name, gates), avals[0].dtype) for name in written(problem.kind, problem.way))


def _nowhere_else(xp: Any, *operands: Any, problem: Recurrence, names: tuple[str, ...]) -> Any:
    raise NotImplementedError("the launch of a recurrent layer is a step of a compiled function")


LAUNCHES: dict[tuple[str, str], General] = {
    which: general(primitive.name, _nowhere_else, _shape, signals=False) for which, primitive in PRIMITIVES.items()
}
STEPS = frozenset(LAUNCHES.values())  # primitives whose operands are ``names``, and whose results are ``written``


def with_launches(graph: Graph, launches: Launches, trace: Trace) -> Graph:
    """The graph with launches in place of the layers that fit on chip."""
    equations: list[Equation] = []
    constants = dict(graph.constants)
    for e in graph.equations:
        which = LAYERS.get(e.primitive)
        layer = None if which is None else _launched(e, *which, launches)
        if layer is None:
            equations.append(e)
            continue
        inner = trace(layer, [Aval(v.shape, v.dtype) for v in e.inputs])
        known = dict(zip(inner.inputs, e.inputs, strict=True)) | dict(zip(inner.outputs, e.outputs, strict=True))
        for part in inner.equations:
            inputs, outputs = ([known.get(v, v) for v in some] for some in (part.inputs, part.outputs))
            equations.append(Equation(part.primitive, inputs, part.params, outputs, e.origin))
        constants |= inner.constants
    return graph.replace(equations=equations, constants=constants)


def _launched(e: Equation, kind: str, way: str, launches: Launches) -> Callable[..., Any] | None:
    """What computes the same with a launch; None where there is none."""
    options = dict(e.params)
    operands = names_of(kind, way, options.pop("has"))
    problem = problem_of(kind, way, dict(zip(operands, e.inputs, strict=True)), **options)
    if problem is None or not launches.fits(problem):
        return None

    def layer(*values: Any) -> tuple[Any, ...]:
        p = dict(zip(operands, values, strict=True))
        p["weight"] = p["weight_hh"]
        if "bias_hh" in p:
            p["bias"] = p["bias_hh"]
        if "lengths" in p:
            p["lengths"] = p["lengths"].astype("int32")
        if way == "forward":
            p["input"] = linear(p["x"], p["weight_ih"], values[operands.index(bias)] if bias in operands else None)
        names = tuple(n for n in ARGUMENTS[kind, way].split() if n in p and not n.endswith("*"))
        found = bind(LAUNCHES[kind, way], [p[n] for n in names], {"problem": problem, "names": names})
        if way == "adjoint":
            return found if type(found) is tuple else (found,)
        by_name = dict(zip(written(kind, way), found if type(found) is tuple else (found,), strict=True))
        last = 0 if problem.reverse else problem.steps - 1
        ends = [by_name[n][last] for n in ("states", "cells") if n in by_name]
        return (by_name["states"], *ends, *(v for n, v in by_name.items() if n != "states"))

    bias = "bias_ih" if kind == "gru" else "bias"
    return layer


class RecurrentStep(NamedTuple):
    """A launch in a compiled function, and where its results go.

    workspace: bytes in which blocks that wait for one another are counted.
    """

    equation: Equation
    launches: Launches
    operands: tuple[Var, ...]
    writes: tuple[int, ...]
    overwrites: frozenset[tuple[Var, Var]]
    workspace: int

    @property
    def name(self) -> str:
        return self.equation.primitive.name

    @property
    def needs(self) -> tuple[str, ...]:
        """What there is but once: the blocks of two launches would wait for each other's places."""
        return ("all blocks",)

    @property
    def problem(self) -> Recurrence:
        return self.equation.params["problem"]

    @property
    def flops(self) -> int:
        p = self.problem
        return 2 * p.steps * p.batch * p.gates * p.hidden * p.hidden

    def enqueue(self, arrays: Sequence[Any], stream: int) -> None:
        """arrays: the operands', the results', then the workspace."""
        names = (*self.equation.params["names"], *written(self.problem.kind, self.problem.way))
        *given, workspace = arrays
        problem = self.problem.in_mode(context.current().math)
        self.launches.run(problem, dict(zip(names, given, strict=True)), workspace)


def step_of(e: Equation, launches: Launches) -> RecurrentStep | None:
    """The equation as a step, if its primitive is one of ``STEPS``."""
    if e.primitive not in STEPS:
        return None
    problem, names = e.params["problem"], e.params["names"]
    results = dict(zip(written(problem.kind, problem.way), e.outputs, strict=True))
    result, operand = SHARED[problem.kind, problem.way]
    operands = (*e.inputs, *e.outputs)
    return RecurrentStep(
        e,
        launches,
        operands,
        tuple(range(len(e.inputs), len(operands))),
        frozenset([(results[result], e.inputs[names.index(operand)])]),
        launches.workspace(problem),
    )
