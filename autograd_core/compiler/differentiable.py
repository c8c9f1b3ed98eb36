"""A captured graph as one operation, which can itself be differentiated, batched and captured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from .. import context
from ..aval import Aval
from ..backend import Device
from ..errors import CompileError
from ..interpreters.batch import run_batched
from ..interpreters.eager import EAGER
from ..ops.creation import zeros
from ..primitive import Primitive, bind, general
from ..tensor import Tensor
from .capture import Capture, evaluate, trace
from .ir import Graph
from .runner import Runner, runner_for

Run = Callable[[Sequence[Any]], list[Any]]


def primitive_of(
    name: str, graph: Graph, device: Device, run: Run | None, programs: list[Runner], rules: Sequence[str] = ()
) -> Primitive:
    """``graph`` as a primitive; ``run`` computes it on arrays (None: by the device's kernels).

    What transforms make of it, its vjp, its jvp and its form for a batch, are graphs too, captured and compiled when
    they are first needed; so transforms of transforms are compiled as well. Each is added to ``programs``.
    rules: of derivatives that the graph does not have, so that it has none.
    """
    several = len(graph.outputs) != 1
    avals = tuple(v.aval for v in graph.outputs)
    arity = len(graph.inputs)
    known: dict[Any, Primitive] = {}

    def packed(outputs: Sequence[Any]) -> Any:
        return tuple(outputs) if several else outputs[0]

    def made(key: Any, what: str, f: Callable[..., Any], given: Sequence[Aval]) -> Primitive:
        if key not in known:
            derived, title = trace(f, given, device), f"{what} of {name}"
            runner = None if run is None else runner_for(derived, device, title)  # what is run once is not compiled
            if runner is not None:
                programs.append(runner)
            known[key] = primitive_of(title, derived, device, runner, programs, rules)
        return known[key]

    def forward(xp: Any, *inputs: Any) -> Any:
        if run is None:
            return packed(evaluate(graph, device, dict(zip(graph.inputs, inputs, strict=True))))
        return packed(run(inputs))

    def composed(*inputs: Tensor) -> Any:
        return packed(replay(graph, inputs, device))

    def require_rules() -> None:
        if rules:
            raise CompileError(
                f"{name} is differentiated from outside, where {rules[0]}, is not known: compile what takes the "
                "gradient as well, as in ag.compile(ag.grad(f)), or a step that calls backward"
            )

    def vjp(g: Any, inputs: Sequence[Tensor], wanted: tuple[int, ...]) -> list[Any]:
        require_rules()

        def pull(*values: Tensor) -> Any:
            cotangents = values[arity:] if several else values[arity]
            pulled = EAGER.transforms.pull_composed(composed, values[:arity], wanted, cotangents, {})
            return tuple(
                zeros(x.shape, dtype=x.dtype, device=device) if p is None else p
                for x, p in zip([values[i] for i in wanted], pulled if len(wanted) > 1 else [pulled], strict=True)
            )

        given = [v.aval for v in (*graph.inputs, *graph.outputs)]
        pulled = _bound(made(wanted, "pullback", pull, given), (*inputs, *(g if several else (g,))))
        found = dict(zip(wanted, pulled, strict=True))
        return [found.get(i) for i in range(arity)]

    def jvp(xs: Sequence[Tensor], ts: Sequence[Tensor | None]) -> Any:
        require_rules()
        moving = [i for i, t in enumerate(ts) if t is not None]

        def push(*values: Tensor) -> Any:
            tangents: list[Tensor | None] = [None] * arity
            for i, t in zip(moving, values[arity:], strict=True):
                tangents[i] = t
            pushed = EAGER.transforms.push_composed(composed, values[:arity], tangents, {})
            return pushed if several else (pushed,)

        given = [v.aval for v in (*graph.inputs, *(graph.inputs[i] for i in moving))]
        primitive = made(("jvp", *moving), "jvp", push, given)
        return packed(_bound(primitive, (*xs, *(ts[i] for i in moving))))

    def batch(xs: Sequence[Tensor], batched: Sequence[bool], size: int) -> Any:
        def all_at_once(*values: Tensor) -> Any:
            return tuple(run_batched(lambda *examples: replay(graph, examples, device), values, batched, size))

        given = [Aval((size, *v.shape), v.dtype) if b else v.aval for v, b in zip(graph.inputs, batched, strict=True)]
        return packed(_bound(made(("batch", size, *batched), "batch", all_at_once, given), xs))

    shape = avals if several else avals[0]
    return general(
        f"compiled {name}",
        forward,
        lambda *inputs: shape,
        vjp=vjp,
        jvp=jvp,
        composed=composed,
        signals=False,
        batch=batch,
    )


def _bound(primitive: Primitive, inputs: Sequence[Any]) -> Sequence[Any]:
    outputs = bind(primitive, inputs, {})
    return outputs if isinstance(outputs, tuple) else (outputs,)


def replay(graph: Graph, inputs: Sequence[Tensor], device: Device) -> list[Tensor]:
    """The outputs as tensors, each equation run as an operation of its own: recorded, batched, captured again."""
    base = context.current().interpreter.base
    known = base.known if isinstance(base, Capture) else Tensor
    values: dict[Any, Any] = {v: known(array, device) for v, array in graph.constants.items()}
    values.update(zip(graph.inputs, inputs, strict=True))
    for e in graph.equations:
        with nullcontext() if e.recorded else _unrecorded(base):
            result = bind(e.primitive, [values[v] for v in e.inputs], e.params)
        values.update(zip(e.outputs, result if type(result) is tuple else (result,), strict=True))
    return [values[v] for v in graph.outputs]


@contextmanager
def _unrecorded(base: Any) -> Iterator[None]:
    """What ran without grad mode runs without it, and stays so in what is captured of it."""
    outer = getattr(base, "unrecorded", None)
    with context.scope(recording=False):
        if outer is None:
            yield
            return
        base.unrecorded = True
        try:
            yield
        finally:
            base.unrecorded = outer
