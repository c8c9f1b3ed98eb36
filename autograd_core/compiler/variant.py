"""A variant: one program that a function turned out to be, the conditions under which it is, and how it is run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import context, tree
from ..errors import CompileError, DeviceError
from ..graph import Node, Piece
from ..interpreters.reverse import main_node
from ..tensor import Tensor, Variable
from .capture import Argument, Capture, Key, Look, Outer, Source, Symbol, as_tensor, evaluate
from .differentiable import Operation
from .effects import Assign, effects_of
from .ir import Graph, check
from .leaves import Leaves
from .report import Report
from .runner import runner_for
from .steady import Steady
from .watch import Watch, objects_among

if TYPE_CHECKING:
    from .jit import Compiled


class Variant:
    """One capture: the graph, where its inputs come from, what becomes of its outputs, and when all that holds."""

    def __init__(self, owner: Compiled, capture: Capture, result: Any, arguments: Sequence[Any]):
        self.owner = owner
        self.device = capture.device
        self.runner: Any = None  # a Runner, once it is compiled
        leaves, self.structure = tree.flatten(result)
        for y in leaves:
            if hasattr(type(y), "__next__") or hasattr(type(y), "__await__"):
                raise CompileError(
                    f"{owner.name} returns a {type(y).__name__}, which can be used once, and its code has not run yet; "
                    "return a list or a tuple"
                )
        self.results: list[Any] = [_result(capture, y) if isinstance(y, Tensor) else y for y in leaves]
        self.effects = effects_of(capture)
        given = [y.var for y in _computed(self.results)]
        outputs = [*given, *(var for _, var in self.effects if var is not None)]
        self.differentiable = any(y.needs_gradient for y in _computed(self.results))
        self.graph = check(Graph(capture.inputs, capture.equations, outputs, capture.constants))
        self.sources: list[Source] = list(capture.sources)
        self.rules = capture.rules
        self.count = len(given)
        self._constant = [k for k, y in enumerate(_computed(self.results)) if not y.needs_gradient]
        self.unsteady = ""  # why this is not what the next call would do, though it looks the same
        self._steady: Steady | None = None
        self._operation: Operation | None = None  # the graph as one operation, when it is first needed
        self.programs: list[Operation] = []  # what transforms have made of it
        self.looks = [_Look(capture, look) for look in capture.looks]
        befores = [(capture.arguments.get(key), before) for key, before in capture.before.items()]
        plain = [s.tensor for s in self.sources if type(s) is Outer and not isinstance(s.tensor, Variable)]
        backward = bool(self.effects) and not self.differentiable
        self._leaves = Leaves(befores, plain, arguments, backward=backward)
        self.watch = Watch(owner.function, capture.things, [*objects_among(arguments), *self._leaves.functions])
        self._draws = {i for i, s in enumerate(self.sources) if type(s) is Key and s.generator is capture.generator}
        self.generator = capture.generator if self._draws else None
        self._of_examples = bool(capture.keys_of_examples)
        # a function of tensors that are there, and no more: they are handed on without a look at their arrays
        self._direct = self.differentiable and not self.effects and self._takes_tensors_alone()
        self.identity = self._identity()

    def _takes_tensors_alone(self) -> bool:
        return all(type(s) in (Argument, Outer) for s in self.sources)

    def _identity(self) -> tuple[Any, ...]:
        """Equal for captures that are the same program with the same surroundings."""
        array = self.device.backend.to_numpy
        return (
            str(self.device),
            str(self.graph),
            tuple(array(a).tobytes() for a in self.graph.constants.values()),
            tuple(_identity(s) for s in self.sources),
            tuple((type(e).__name__, id(e.tensor) if e.leaf is None else e.leaf, v is None) for e, v in self.effects),
            tuple("" if type(y) is _Result else repr(y) for y in self.results),
            tuple(repr(look.answer) for look in self.looks),
            repr(self.structure),
            self.differentiable,
        )

    def difference(self, other: Variant) -> str:
        """The first thing in which two captures differ, in words."""
        mine, theirs = str(self.graph).splitlines(), str(other.graph).splitlines()
        for a, b in zip(mine, theirs, strict=False):
            if a != b:
                return f"in the last call it was {a!r}, before that {b!r}"
        for v, w in zip(self.graph.constants, other.graph.constants, strict=False):
            a, b = self.graph.constants[v], other.graph.constants[w]
            if not np.array_equal(a, b, equal_nan=False):
                return f"a number was {a} in the last call and {b} before"
        if len(mine) != len(theirs):
            return f"{len(mine)} equations in the last call, {len(theirs)} before"
        return "other tensors were used or assigned"

    def compile(self, values: list[Any], leaves: Sequence[Any]) -> None:
        """Make the program: for what is differentiated from outside, the one that keeps what the gradient needs."""
        self._operation = self._as_operation(self.programs) if self.differentiable else None
        if self._operation is not None:
            inputs = self._inputs(values, leaves)
            recorded = self._operation.recorded(tuple([i for i, x in enumerate(inputs) if x.node is not None]))
            operation = self._operation if recorded is None else recorded.forward
            if operation in self.programs:
                self.programs.remove(operation)  # it is the variant's own
            self.runner = operation.runner
            return
        self.runner = runner_for(self.graph, self.device, self.owner.name, self._updates(), self._variables())

    def _variables(self) -> list[int]:
        return [i for i, s in enumerate(self.sources) if type(s) is Outer and isinstance(s.tensor, Variable)]

    def report(self) -> Report:
        """Of the program, if it has run, and of those that transforms have made of it."""
        present = {i: s.tensor.data for i, s in enumerate(self.sources) if type(s) is Outer}
        made = (p.report() for p in self.programs)
        reports = [r for r in (self.runner.report(present), *made) if r is not None]
        if not reports:
            raise CompileError(f"{self.owner.name}: nothing has run since it was compiled; call it, then report()")
        reports[0].others = tuple(reports[1:])
        return reports[0]

    def _updates(self) -> dict[int, int]:
        """Which output replaces which input: the new value of a variable its old one."""
        inputs = {id(s.tensor): i for i, s in enumerate(self.sources) if type(s) is Outer}
        first = self.count
        targets = [effect for effect, var in self.effects if var is not None]
        return {
            first + k: inputs[id(e.tensor)]
            for k, e in enumerate(targets)
            if type(e) is Assign and id(e.tensor) in inputs
        }

    # ---------------------------------------------------------------------------------- conditions

    def unfit(self, leaves: Sequence[Any]) -> str | None:
        """Why this variant is not what Python would do now; None if it is, as far as can be seen.

        Raises what the function's own checks of values raise (labels out of range).
        """
        reason = self.watch.changed()
        if reason is not None:
            return reason
        if self.generator is not None and context.current().generator.identity != self.generator.identity:
            return "the default random generator is another one"
        reason = self._leaves.changed(leaves)
        if reason is not None:
            return reason
        for look in self.looks:
            if not look.agrees(self, leaves):
                return "Python decided by a value that is another now"
        return None

    # ------------------------------------------------------------------------------------- running

    def call(self, leaves: Sequence[Any]) -> Any:
        steady = self._steady
        if steady is not None:
            elsewhere = _is_replaying() or (leaves and any(getattr(x, "level", 0) for x in leaves))
            results = None if elsewhere else steady.repeated(leaves)
            if results is not None:
                return self._returned(results, leaves)
            self._steady = None
        for source, var in zip(self.sources, self.graph.inputs, strict=True):
            if type(source) is Outer:
                x, aval = source.tensor, var.aval
                if x.data.shape != aval.shape:
                    raise CompileError(
                        f"a tensor of shape {aval.shape} holds an array of another shape, {x.data.shape}"
                    )
                if x.data.dtype != aval.dtype:
                    raise CompileError(
                        f"a tensor of dtype {aval.dtype} holds an array of another dtype, {x.data.dtype}"
                    )
                if x.device is not self.device:
                    raise DeviceError(f"a tensor that was on {self.device} when it was captured is on {x.device}")
        if self._direct:
            return self._returned(self._followed(self._inputs((), leaves)), leaves)
        return self.finish([self.value(s, leaves) for s in self.sources], leaves)

    def value(self, source: Any, leaves: Sequence[Any]) -> Any:
        """The array that an input is in this call; None for one that a transform's wrapper stands for."""
        kind = type(source)
        if kind is Argument:
            x = leaves[source.leaf]
            return None if getattr(x, "level", 0) else as_tensor(x, self.device).data
        if kind is Outer:
            return source.tensor.data
        if kind is Key:
            return self.device.asarray(np.array(source.generator.next(), np.uint64))
        holder = source.tensor if source.leaf is None else leaves[source.leaf]
        return holder.node.grad.data

    def finish(self, values: list[Any], leaves: Sequence[Any]) -> Any:
        """Compute the outputs from these inputs, carry out the effects, return the results."""
        replaying = _is_replaying()
        spared = list(values) if replaying else None  # held here as well, no array is written over
        if self.differentiable or self._of_examples or any(getattr(x, "level", 0) for x in leaves):
            outputs = self._followed(self._inputs(values, leaves))
        elif self.runner is None:
            by_var = dict(zip(self.graph.inputs, values, strict=True))
            outputs = [Tensor(a, self.device) for a in evaluate(self.graph, self.device, by_var)]
        else:
            outputs = [Tensor(a, self.device) for a in self.runner(values)]
        given = iter(outputs[self.count :])
        del spared
        for effect, var in [] if replaying else self.effects:
            effect.carry_out(None if var is None else next(given), leaves)
        if self.runner is not None and not self.differentiable and not self._of_examples and not replaying:
            self._steady = Steady.of(self)
        return self._returned(outputs[: self.count], leaves)

    def _returned(self, tensors: list[Any], leaves: Sequence[Any]) -> Any:
        if self.structure is tree.LEAF and tensors:
            return tensors[0]
        given = iter(tensors)
        return tree.unflatten(self.structure, [_found(y, given, leaves) for y in self.results])

    def _followed(self, inputs: list[Tensor]) -> list[Tensor]:
        """The outputs as one operation, which transforms and backward see."""
        operation = self._operation
        if operation is None:
            with self.owner.lock:
                operation = self._operation or self._as_operation(None if self.runner is None else self.programs)
                self._operation = operation
        outputs = operation(inputs)
        for k in self._constant:
            outputs[k] = outputs[k] if outputs[k].level else outputs[k].with_node(None)
        return outputs

    def _as_operation(self, programs: list[Operation] | None) -> Operation:
        needed = [k for k, y in enumerate(_computed(self.results)) if y.needs_gradient]
        return Operation(
            self.owner.name,
            self.graph,
            self.device,
            programs,
            variables=self._variables(),
            rules=self.rules,
            followed=needed,
        )

    def _inputs(self, values: Sequence[Any], leaves: Sequence[Any]) -> list[Tensor]:
        """values: the arrays of the inputs; not needed for those that are tensors."""
        inputs: list[Tensor] = []
        for i, source in enumerate(self.sources):
            if type(source) is Argument:
                x = leaves[source.leaf]
                inputs.append(x if type(x) is Tensor else as_tensor(x, self.device))
            elif type(source) is Outer:
                inputs.append(source.tensor)
            else:
                x = Tensor(values[i], self.device)
                inputs.append(context.current().generator.for_examples(x) if i in self._draws else x)
        return inputs


class _Passed(NamedTuple):
    """A result that is an argument as it is: the tensor that the caller gave, with its history."""

    leaf: int


class _Same:
    """A result that is a variable from outside: the object itself, whose value the call may have assigned."""

    def __init__(self, variable: Variable):
        self.variable = variable

    def __repr__(self) -> str:
        return f"the variable {id(self.variable)}"


def _is_replaying() -> bool:
    """Whether a checkpoint runs its function again, whose effects have taken place."""
    tape = context.current().tape
    return tape is not None and tape.replaying


def _result(capture: Capture, y: Tensor) -> _Passed | _Same | _Result:
    index = capture.passed.get(id(y))
    if index is not None:
        return _Passed(index)
    before = capture.before.get(id(y))
    if before is not None and isinstance(y, Variable) and type(before.data) is not Symbol:
        return _Same(y)
    return _Result(capture, y)


def _computed(results: Sequence[Any]) -> list[_Result]:
    return [y for y in results if type(y) is _Result]


def _found(y: Any, computed: Iterator[Tensor], leaves: Sequence[Any]) -> Any:
    if type(y) is _Result:
        return next(computed)
    return leaves[y.leaf] if type(y) is _Passed else y.variable if type(y) is _Same else y


class _Result:
    """A tensor among what the function returned."""

    def __init__(self, capture: Capture, y: Tensor):
        if y.level:
            raise CompileError(
                f"a result ({y.dtype}{list(y.shape)}) depends on a tensor of {y.interpreter.name} around the compiled "
                "function that is not among its arguments; pass it as an argument, or compile the transformed "
                "function, as in ag.compile(ag.vmap(f))"
            )
        self.var = capture.var_of(y)
        # a backward pass inside the function has freed what it came from
        node: Any = main_node(y.node) if isinstance(y.node, (Node, Piece)) else None
        self.needs_gradient = node is not None and node.saved is not None


class _Look:
    """A value that Python looked at, and how to know it before a call."""

    def __init__(self, capture: Capture, look: Look):
        self.ask, self.answer = look.ask, look.answer
        self.graph = capture.slice([look.var])
        self.sources = [capture.sources[capture.inputs.index(v)] for v in self.graph.inputs]
        self._seen: list[Any] = []
        if any(type(s) is Key for s in self.sources):
            raise CompileError("a check looks at random numbers that the compiled function draws; make them outside it")

    def agrees(self, variant: Variant, leaves: Sequence[Any]) -> bool:
        """Whether the answer is the same in this call; raises what ``ask`` raises."""
        if self._seen:
            for source, seen in zip(self.sources, self._seen, strict=True):
                if variant.value(source, leaves) is not seen:
                    break
            else:
                return True  # values never change: the arrays are those that were looked at last
        arrays = [variant.value(s, leaves) for s in self.sources]
        values = dict(zip(self.graph.inputs, arrays, strict=True))
        array = evaluate(self.graph, variant.device, values)[0] if self.graph.equations else arrays[0]
        if self.ask(variant.device.backend.to_numpy(array)) != self.answer:
            return False
        self._seen = [] if any(_may_change(s, leaves) for s in self.sources) else arrays
        return True


def _may_change(source: Any, leaves: Sequence[Any]) -> bool:
    """Whether an array can get other values: a variable's, by updates in place, and the caller's own."""
    if type(source) is Argument:
        return isinstance(leaves[source.leaf], np.ndarray)
    return isinstance(source.tensor, Variable)


def _identity(source: Source) -> tuple[Any, ...]:
    if type(source) is Key:
        return Key.__name__, *source.generator.identity
    leaf = getattr(source, "leaf", None)
    return type(source).__name__, id(source[0]) if leaf is None else leaf
