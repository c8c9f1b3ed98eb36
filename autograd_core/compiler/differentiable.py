"""A captured graph as one operation, which can itself be differentiated, batched and captured."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from threading import RLock
from typing import Any

from .. import context
from ..aval import Aval, is_inexact
from ..backend import Device
from ..errors import AutogradError, CompileError
from ..graph import Node, Piece
from ..interpreters.batch import run_batched
from ..interpreters.eager import EAGER
from ..interpreters.reverse import fresh, pull_back
from ..ops.creation import zeros
from ..primitive import Primitive, bind, general, record
from ..rules import Pullback
from ..tensor import Tensor
from .capture import Capture, evaluate, trace
from .ir import Graph, Var
from .partition import Partition, partition
from .report import Report
from .runner import Runner, runner_for

log = logging.getLogger("autograd_core.compile")
_MAKING = RLock()  # threads that need the same program have it made once


class Operation:
    """A graph as an operation on tensors of any level, and all that transforms have made of it.

    Its pullback, its jvp and its form for a batch are graphs too, captured and compiled when they are first needed; so
    transforms of transforms are compiled as well.

    programs: gets what is compiled for transforms. None: nothing is compiled, what is run once is run by kernels.
    variables: inputs that are arrays of variables. rules: of derivatives that the graph does not have, so that it has
    none. followed: the outputs whose history is wanted. seldom: whether it is rarely differentiated, so that its
    arguments alone are kept for that.
    """

    def __init__(
        self,
        name: str,
        graph: Graph,
        device: Device,
        programs: list[Operation] | None,
        *,
        variables: Sequence[int] = (),
        rules: Sequence[str] = (),
        followed: Sequence[int] | None = None,
        seldom: bool = False,
        returned: int | None = None,
    ):
        self.name, self.graph, self.device, self.programs = name, graph, device, programs
        self.variables, self.rules, self.seldom = list(variables), list(rules), seldom
        self.followed = (
            [k for k, v in enumerate(graph.outputs) if is_inexact(v.dtype)] if followed is None else followed
        )
        self.several = len(graph.outputs) != 1
        self._lent = range(len(graph.outputs) if returned is None else returned, len(graph.outputs))
        self._runner: Runner | None = None
        self._made: dict[Any, Operation] = {}
        self._recorded: dict[tuple[int, ...], Recorded | None] = {}
        avals = tuple(v.aval for v in graph.outputs)
        shape = avals if self.several else avals[0]
        self.primitive: Primitive = general(
            f"compiled {name}",
            lambda xp, *inputs: self._run_formula(inputs),
            lambda *inputs: shape,
            vjp=lambda g, inputs, wanted: self._vjp(g, inputs, wanted),
            jvp=lambda xs, ts: self._jvp(xs, ts),
            composed=lambda *inputs: self._packed(replay(graph, inputs, device)),
            signals=False,
            batch=lambda xs, batched, size: self._batch(xs, batched, size),
        )

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The outputs as tensors with their history: that of one operation, which keeps what its gradient needs."""
        state = context.current()
        wanted = tuple([i for i, x in enumerate(inputs) if x.node is not None])
        if state.recording and wanted and not self.seldom and not self.rules:
            recorded = self.recorded(wanted)
            if recorded is not None:
                return recorded(inputs)
        return self.bound(inputs)

    def bound(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The same, recorded as any operation is: with its arguments."""
        return _listed(bind(self.primitive, inputs, {}))

    # -------------------------------------------------------------------------------------- running

    @property
    def runner(self) -> Runner:
        with _MAKING:
            if self._runner is None:
                runner = runner_for(self.graph, self.device, self.name, None, self.variables)
                if self._lent:
                    runner.forget(self._lent)
                self._runner = runner
            return self._runner

    def report(self) -> Report | None:
        """Of the program, on zeros where what it ran on is gone; None if it has not run."""
        if self._runner is None:
            return None
        zero = {i: self.device.xp.zeros(v.shape, v.dtype) for i, v in enumerate(self.graph.inputs)}
        return self._runner.report(zero)

    def plainly(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The outputs without history, for tensors that hold arrays."""
        device = self.device
        return [Tensor(y, device) for y in self._run([x.data for x in inputs])]

    def _run(self, arrays: Sequence[Any]) -> list[Any]:
        if self.programs is None:
            return evaluate(self.graph, self.device, dict(zip(self.graph.inputs, arrays, strict=True)))
        return (self._runner or self.runner)(arrays)

    def _run_formula(self, arrays: Sequence[Any]) -> Any:
        # half precision reaches the formula of a primitive in float32
        given = [a if a.dtype == v.dtype else a.astype(v.dtype) for a, v in zip(arrays, self.graph.inputs, strict=True)]
        return self._packed(self._run(given))

    def _packed(self, outputs: Sequence[Any]) -> Any:
        return tuple(outputs) if self.several else outputs[0]

    # -------------------------------------------------------------------------------------- transforms

    def _derived(self, key: Any, what: str, f: Callable[..., Any], given: Sequence[Aval], *, seldom: bool) -> Operation:
        with _MAKING:
            if key not in self._made:
                self._made[key] = self.sibling(f"{what} of {self.name}", trace(f, given, self.device), seldom=seldom)
            return self._made[key]

    def sibling(self, name: str, graph: Graph, **options: Any) -> Operation:
        """Another graph on the same device, compiled if this one is. Its program keeps no argument alive."""
        options = {"variables": range(len(graph.inputs)), "rules": self.rules, **options}
        made = Operation(name, graph, self.device, self.programs, **options)
        if self.programs is not None:
            self.programs.append(made)
        return made

    def recorded(self, wanted: tuple[int, ...]) -> Recorded | None:
        """How the gradient for these arguments is recorded; None if there is none, or an error, which is for later."""
        with _MAKING:
            if wanted not in self._recorded:
                self._recorded[wanted] = Recorded.of(self, wanted)
            return self._recorded[wanted]

    def require_rules(self) -> None:
        if self.rules:
            raise CompileError(
                f"{self.name} is differentiated from outside, where {self.rules[0]}, is not known: compile what takes "
                "the gradient as well, as in ag.compile(ag.grad(f)), or a step that calls backward"
            )

    def _vjp(self, g: Any, inputs: Sequence[Tensor], wanted: tuple[int, ...]) -> list[Any]:
        self.require_rules()
        arity, several, device = len(inputs), self.several, self.device

        def pull(*values: Tensor) -> Any:
            cotangents = values[arity:] if several else values[arity]
            composed = self.primitive.composed  # type: ignore[attr-defined]
            pulled = EAGER.transforms.pull_composed(composed, values[:arity], wanted, cotangents, {})
            return tuple(
                zeros(x.shape, dtype=x.dtype, device=device) if p is None else p
                for x, p in zip([values[i] for i in wanted], pulled if len(wanted) > 1 else [pulled], strict=True)
            )

        given = [v.aval for v in (*self.graph.inputs, *self.graph.outputs)]
        pullback = self._derived(wanted, "pullback", pull, given, seldom=True)
        found = dict(zip(wanted, pullback.bound((*inputs, *(g if several else (g,)))), strict=True))
        return [found.get(i) for i in range(arity)]

    def _jvp(self, xs: Sequence[Tensor], ts: Sequence[Tensor | None]) -> Any:
        self.require_rules()
        arity = len(xs)
        moving = [i for i, t in enumerate(ts) if t is not None]

        def push(*values: Tensor) -> Any:
            tangents: list[Tensor | None] = [None] * arity
            for i, t in zip(moving, values[arity:], strict=True):
                tangents[i] = t
            composed = self.primitive.composed  # type: ignore[attr-defined]
            pushed = EAGER.transforms.push_composed(composed, values[:arity], tangents, {})
            return pushed if self.several else (pushed,)

        given = [v.aval for v in (*self.graph.inputs, *(self.graph.inputs[i] for i in moving))]
        pushforward = self._derived(("jvp", *moving), "jvp", push, given, seldom=self.seldom)
        return self._packed(pushforward((*xs, *(ts[i] for i in moving))))  # type: ignore[arg-type]

    def _batch(self, xs: Sequence[Tensor], batched: Sequence[bool], size: int) -> Any:
        graph, device = self.graph, self.device

        def all_at_once(*values: Tensor) -> Any:
            return tuple(run_batched(lambda *examples: replay(graph, examples, device), values, batched, size))

        given = [Aval((size, *v.shape), v.dtype) if b else v.aval for v, b in zip(graph.inputs, batched, strict=True)]
        batch = self._derived(("batch", size, *batched), "batch", all_at_once, given, seldom=self.seldom)
        return self._packed(batch(xs))


class Recorded:
    """An operation together with its gradient for some of its arguments, and what one keeps for the other.

    A call runs ``forward``, which returns residuals as well, and leaves a node that holds these and the arguments that
    the gradient depends on. ``backward`` reads both. Only where the backward pass is recorded itself does it matter
    where residuals come from: then they are results of ``again``, an operation on the arguments.
    """

    def __init__(self, operation: Operation, parts: Partition, wanted: Sequence[int], followed: Sequence[int]):
        self.held, self.followed, self.wanted = parts.held, list(followed), list(wanted)
        self.count = len(operation.graph.outputs)
        name = operation.name
        self.forward = operation.sibling(
            name, parts.forward, variables=operation.variables, seldom=True, returned=self.count
        )
        self.backward = operation.sibling(f"pullback of {name}", parts.backward, seldom=True)
        self.again = operation.sibling(f"residuals of {name}", parts.again, seldom=True) if parts.residuals else None
        self.pullback = Pullback(operation.primitive, (), self._pull, needs_avals=False)
        avals = tuple([operation.graph.outputs[k].aval for k in followed])
        self.described: Any = avals if len(avals) > 1 else avals[0].shape

    @classmethod
    def of(cls, operation: Operation, wanted: Sequence[int]) -> Recorded | None:
        """None if no gradient goes from a followed output to these arguments, or if it cannot be taken."""
        graph, device = operation.graph, operation.device
        arity = len(graph.inputs)
        reached: list[int] = []
        found: list[int] = []

        def both(*values: Tensor) -> Any:
            variables = {i: fresh(values[i]) for i in wanted}
            with context.scope(recording=True):
                outputs = replay(graph, [variables.get(i, x) for i, x in enumerate(values[:arity])], device)
            given = dict(zip(operation.followed, values[arity:], strict=True))
            reached.extend(k for k in given if outputs[k].node is not None)
            pulled = pull_back(
                [outputs[k] for k in reached],
                [given[k] for k in reached],
                list(variables.values()),
                retain_graph=False,
                create_graph=False,
            )
            found.extend(i for i, p in zip(wanted, pulled, strict=True) if p is not None)
            return (*outputs, *(p for p in pulled if p is not None))

        given = [v.aval for v in (*graph.inputs, *(graph.outputs[k] for k in operation.followed))]
        try:
            joint = trace(both, given, device)
        except AutogradError as error:  # raised again for those who ask for the gradient, which nobody has yet
            log.info("%s: its gradient cannot be taken: %s", operation.name, error)
            return None
        if not found:
            return None
        cotangents = dict(zip(operation.followed, joint.inputs[arity:], strict=True))
        joint = joint.replace(inputs=[*joint.inputs[:arity], *(cotangents[k] for k in reached)])
        return cls(operation, partition(joint, arity, len(graph.outputs)), found, reached)

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        interpreter, level = context.current().interpreter, 0
        for x in inputs:
            if x.level > level:
                interpreter, level = x.interpreter, x.level
        if level or interpreter is not EAGER:
            results = _listed(interpreter.run(self.forward.primitive, inputs, {}))
        else:
            results = self.forward.plainly(inputs)
        outputs, residuals = results[: self.count], results[self.count :]
        saved = (*[inputs[i].snapshot() for i in self.held], *residuals)
        parents: list[Any] = [inputs[i].node for i in self.wanted]
        node = Node(self.pullback, parents, saved, {}, None, self.described)
        alone = len(self.followed) == 1
        for position, k in enumerate(self.followed):
            outputs[k] = outputs[k].with_node(node if alone else Piece(node, position))
        return outputs

    def _pull(self, g: Any, saved: Sequence[Tensor], params: Any, avals: Any) -> Any:
        held, residuals = saved[: len(self.held)], saved[len(self.held) :]
        state = context.current()
        if self.again is not None and state.recording:
            residuals = self._attached(held, residuals)
        given = (*residuals, *held, *(g if len(self.followed) > 1 else (g,)))
        plain = state.interpreter is EAGER and not state.recording and state.observer is None
        if plain and not any(x.level for x in given):
            pulled = self.backward.plainly(given)
        else:
            pulled = self.backward.bound(given)
        return pulled if len(pulled) > 1 else pulled[0]

    def _attached(self, held: Sequence[Tensor], residuals: Sequence[Tensor]) -> Sequence[Tensor]:
        """The residuals, with a history that leads to the arguments."""
        assert self.again is not None
        mask, parents = 1 << len(held), []
        for i, x in enumerate(held):
            if x.node is not None:
                mask |= 1 << i
                parents.append(x.node)
        if not parents:
            return residuals
        values = [r.with_node(None) for r in residuals]  # those saved stay without
        output = tuple(values) if len(values) > 1 else values[0]
        return _listed(record(self.again.primitive, held, output, {}, parents, mask))


def _listed(outputs: Any) -> list[Tensor]:
    return list(outputs) if type(outputs) is tuple else [outputs]


def replay(graph: Graph, inputs: Sequence[Tensor], device: Device) -> list[Tensor]:
    """The outputs as tensors, each equation run as an operation of its own: recorded, batched, captured again."""
    base = context.current().interpreter.base
    known = base.known if isinstance(base, Capture) else Tensor
    values: dict[Var, Any] = {v: known(array, device) for v, array in graph.constants.items()}
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
