"""``ag.compile``: a function whose later calls run compiled code instead of Python.

A call first looks for a variant, compiled before, whose conditions hold. If there is none, Python runs under a
``Capture``, once, and what it caused is carried out. A graph that has been captured twice is taken to be what the
function always does, and is compiled; what differs from call to call (a counter in Python, optimizer state that the
first step creates) shows up as a difference between the two, and never as a wrong result.
"""

from __future__ import annotations

import functools
import gc
import logging
import operator
from collections.abc import Callable, Iterator, Sequence
from sys import getrefcount
from typing import Any, NamedTuple
from weakref import ref

import numpy as np

from .. import context, tree
from ..errors import CompileError
from ..graph import Leaf, Node, Piece
from ..interpreters.eager import EAGER
from ..interpreters.reverse import main_node
from ..primitive import bind
from ..tensor import Tensor, Variable
from . import differentiable
from .capture import Argument, Capture, Gradient, Key, Look, Outer, Source, Symbol, evaluate
from .ir import Graph, Var, check
from .report import Report, counted
from .runner import Runner, runner_for
from .watch import Draws, Watch

log = logging.getLogger("autograd_core.compile")
_probe = [object()]
ALONE = getrefcount(_probe[0])  # what it says of an element of a list that nobody else refers to
RESTLESS = 8  # captures that all differ, after which a function is refused; of any kind, after which each is a warning
CONFIRMING = "once more, since what is compiled must be the same twice"


def compile(f: Callable[..., Any], /) -> Compiled:
    """``f`` compiled: the second or third call for arguments of some shapes and dtypes makes machine code of it.

    f: any function of tensors (arrays, numbers and other objects may be among the arguments, in nested tuples, lists
    and dicts): a whole training step that calls a model, ``backward`` and ``optimizer.step()``; a loss; a module.
    Results are those of ``f``, random numbers to the bit; variables are assigned and gradients left as ``f`` does.

    Python runs while the function is captured, which takes a call or two for each combination of shapes and dtypes;
    after that it does not run. A value that Python would have to look at (``if loss < 1``, ``loss.item()``), an array
    made into a tensor on the way, and a tensor kept outside instead of returned are CompileErrors that name the line.
    Numbers among the arguments are part of the program: another number compiles again, so what changes in
    every call is passed as a tensor. Outer variables, globals and attributes that the function reads are watched: when
    one changes, the function is captured again. Each such event is one line in the log ``autograd_core.compile``.

    Works under grad, vmap, jvp and checkpoint, and around them. ``report()`` says what was compiled and how fast it is,
    ``graph()`` what was captured, ``source()`` the generated code. Afterwards ``compiled.function`` is ``f``.

    >>> import autograd_core as ag
    >>> from autograd_core import nn, optim
    >>> model = nn.Linear(3, 1)
    >>> optimizer = optim.SGD(model.parameters(), lr=0.1)
    >>> @ag.compile
    ... def step(x, y):
    ...     optimizer.zero_grad()
    ...     loss = nn.functional.mse_loss(model(x), y)
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> x, y = ag.ones((4, 3)), ag.zeros((4, 1))
    >>> losses = [step(x, y) for _ in range(5)]
    >>> bool(losses[4] < losses[0])
    True
    """
    if not callable(f):
        raise CompileError(f"compile: takes a function, got {type(f).__name__}; write ag.compile(step), not step()")
    return Compiled(f)


class Compiled:
    """A function, and the variants of it that have been compiled."""

    def __init__(self, f: Callable[..., Any]):
        self.function = f
        self.name = getattr(f, "__name__", type(f).__name__)
        self._signatures: list[Signature] = []
        self.captures = 0  # those that only confirm another do not count
        functools.update_wrapper(self, f, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        state = context.current()
        if state.observer is not None or not getattr(state.interpreter, "in_place", False):
            return self.function(*args, **kwargs)  # being watched operation by operation, or captured by another
        if kwargs or not all(type(x) is Tensor for x in args):
            leaves, structure = tree.flatten((args, kwargs))
        else:
            leaves, structure = args, None  # the usual case, which needs no taking apart
        for signature in self._signatures:
            if signature.fits(leaves, structure):
                if signature is not self._signatures[0]:
                    self._signatures.remove(signature)
                    self._signatures.insert(0, signature)
                return signature.call(leaves)
        signature = Signature(self, leaves, structure)
        if self._signatures:
            signature.reason = self._signatures[0].difference(signature)
        self._signatures.insert(0, signature)
        try:
            return signature.call(leaves)
        except BaseException:
            if not signature.variants:
                self._signatures.remove(signature)
            raise

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """A method is compiled for each object that it belongs to."""
        if instance is None:
            return self
        name = f"_compiled_{self.name}"
        bound = instance.__dict__.get(name)
        if bound is None:
            bound = Compiled(self.function.__get__(instance, owner))
            object.__setattr__(instance, name, bound)
        return bound

    def __getattr__(self, name: str) -> Any:
        """What the function has of its own, such as the parameters of a module."""
        if name == "function":
            raise AttributeError(name)
        return getattr(self.function, name)

    def __repr__(self) -> str:
        return f"<compiled {self.name}: {len(self.variants)} variants>"

    @property
    def variants(self) -> list[Variant]:
        """What has been compiled so far, the last used first."""
        return [v for signature in self._signatures for v in signature.variants if v.runner is not None]

    @property
    def latest(self) -> Variant:
        """The last used variant; CompileError if nothing is compiled yet."""
        if not self.variants:
            raise CompileError(f"{self.name}: nothing is compiled yet; call it two or three times first")
        return self.variants[0]

    def graph(self) -> Graph:
        """The graph of the last used variant; ``print`` shows it, one equation a line."""
        return self.latest.graph

    def source(self, kernel: str | None = None, *, assembly: bool = False) -> str:
        """The code that was generated for the last used variant: each kernel in order, its operands, its LLVM IR.

        kernel: only those of this name. assembly: the processor's language instead.
        """
        return self.latest.runner.source(kernel, assembly=assembly)

    def report(self) -> Report:
        """What the last used variant consists of: for each kernel its time, bytes, operations and share of the peak.

        The program runs a few more times on what its last call left, and writes to copies: nothing changes. What
        transforms made of the function, its pullback above all, has reports of its own, ``others``.
        """
        return self.latest.report()


# ------------------------------------------------------------------------------------- one set of shapes


class Signature:
    """The shapes, dtypes and Python values of one kind of call, and the variants captured for it."""

    def __init__(self, owner: Compiled, leaves: Sequence[Any], structure: Any):
        self.owner = owner
        self.structure = structure
        self.leaves = [_described(x) for x in leaves]
        self.variants: list[Variant] = []
        self.reason = "it is called for the first time"
        self._unsteady = 0
        state = context.current()
        self._context = (state.recording, state.device, state.strict)

    def __str__(self) -> str:
        return "(" + ", ".join(map(str, self.leaves)) + ")"

    def fits(self, leaves: Sequence[Any], structure: Any) -> bool:
        if len(leaves) != len(self.leaves) or structure != self.structure:
            return False
        state = context.current()
        if (state.recording, state.device, state.strict) != self._context:
            return False
        return all(map(_fits, leaves, self.leaves))

    def difference(self, other: Signature) -> str:
        """What makes another call not fit, in words."""
        for i, (mine, theirs) in enumerate(zip(self.leaves, other.leaves, strict=False)):
            if mine != theirs:
                return f"leaf {i} of the arguments was {mine} and is now {theirs}"
        if self._context != other._context:
            return "grad mode, default device or strict_dtypes differ"
        return "the arguments are nested differently"

    def call(self, leaves: Sequence[Any]) -> Any:
        why = None
        for i, variant in enumerate(self.variants):
            reason = variant.unfit(leaves)
            if reason is not None:
                why = why or reason
            elif variant.runner is None:
                why = variant.unsteady or CONFIRMING
            else:
                if i:
                    self.variants.insert(0, self.variants.pop(i))
                return variant.call(leaves)
        return self._captured(leaves, why or self.reason)

    def _captured(self, leaves: Sequence[Any], why: str) -> Any:
        """Run Python under capture; carry out what it did, by compiled code if it has done the same before."""
        new, values = captured(self.owner, leaves, self.structure)
        self.owner.captures += why is not CONFIRMING
        level = logging.WARNING if self.owner.captures > RESTLESS else logging.INFO
        size = counted(len(new.graph.equations), "equation")
        log.log(level, "%s: captured for %s, %s: %s", self.owner.name, self, size, why)
        for variant in [] if new.unsteady else self.variants:
            if variant.identity == new.identity and not variant.unsteady:
                variant.watch = new.watch
                if variant.runner is None:
                    variant.compile()
                self.variants.remove(variant)
                self.variants.insert(0, variant)
                self._unsteady = 0
                return variant.finish(values, leaves)
        self._unsteady += 1
        if self._unsteady > RESTLESS:
            why = (
                new.unsteady or f"{new.difference(self.variants[0])}. Pass what changes as a tensor among the arguments"
            )
            raise CompileError(
                f"{self.owner.name}: Python did something else in each of {RESTLESS} calls, so there is no program to "
                f"compile: {why}"
            )
        self.variants.insert(0, new)
        return new.finish(values, leaves)


class _Static:
    """A Python value among the arguments: part of the program."""

    def __init__(self, value: Any):
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Static) and _equal(other.value, self.value)

    def __str__(self) -> str:
        return f"{self.value!r:.40}"

    __hash__ = None  # type: ignore[assignment]


def _equal(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and isinstance(a, (bool, int, float, complex, str, bytes)) and a == b)


class _Described:
    """A tensor (or array) among the arguments: what the program was made for."""

    def __init__(self, x: Any):
        self.kind = type(x)
        self.shape, self.dtype = tuple(x.shape), x.dtype
        self.device = getattr(x, "device", None) if isinstance(x, Tensor) else None
        self.node = type(getattr(x, "node", None))
        self.variable = x if isinstance(x, Variable) else None

    def fits(self, x: Any) -> bool:
        return (
            x.shape == self.shape
            and x.dtype == self.dtype
            and (self.device is None or (x.device is self.device and type(x.node) is self.node))
            and (self.variable is None or x is self.variable)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Described) and vars(self) == vars(other)

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"

    __hash__ = None  # type: ignore[assignment]


def _described(x: Any) -> _Static | _Described:
    return _Described(x) if isinstance(x, (Tensor, np.ndarray)) else _Static(x)


def _fits(x: Any, described: _Static | _Described) -> bool:
    if type(described) is _Described:
        return type(x) is described.kind and described.fits(x)
    return _equal(x, described.value)  # type: ignore[union-attr]


# ------------------------------------------------------------------------------------------ capturing


def captured(owner: Compiled, leaves: Sequence[Any], structure: Any) -> tuple[Variant, list[Any]]:
    """What ``owner.function`` does, as a variant, and the arrays that are its graph's inputs in this call."""
    tensors = {i: _as_tensor(x) for i, x in enumerate(leaves) if isinstance(x, (Tensor, np.ndarray))}
    device = next((x.device for x in tensors.values()), None)
    capture = Capture(_default_device() if device is None else device)
    before, draws = Watch(owner.function, []), Draws()
    try:
        filled = [capture.argument(tensors[i], i) if i in tensors else x for i, x in enumerate(leaves)]
        capture.passed = {id(filled[i]): i for i in tensors if isinstance(leaves[i], Tensor)}
        args, kwargs = (filled, {}) if structure is None else tree.unflatten(structure, filled)
        with context.scope(interpreter=capture, depth=0):
            result = owner.function(*args, **kwargs)
            capture.settle_generators()
            variant = Variant(owner, capture, result)
        del result, args, kwargs, filled
    except BaseException:
        capture.restore()
        _realise(capture)
        raise
    capture.restore()
    lost = _realise(capture, collect=True)
    if lost is not None:
        raise CompileError(
            f"{owner.name}: a tensor ({lost.dtype}{list(lost.shape)}) made inside the compiled function is kept "
            "outside it. Later calls run no Python and would leave it as it is: return it, or keep it in an nn.Buffer "
            "and assign_"
        )
    changed = before.changed()
    if changed is not None:
        variant.unsteady = f"the function changes what Python sees itself: {changed}; compiled code would not"
    elif draws.any_since():
        variant.unsteady = "it draws Python's or NumPy's random numbers: write ag.random, which compiled code draws too"
    return variant, [capture.values[v] for v in capture.inputs]


def _default_device() -> Any:
    from ..backend import get_device

    return get_device(None)


def _as_tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else EAGER.constant(x, dtype=None, device=None, op="compile")


def _realise(capture: Capture, *, collect: bool = False) -> Tensor | None:
    """Give values to what the function made and somebody still holds: variables, such as an optimizer's state.

    The first tensor that is none, if there is one. collect: whether garbage, which takes long to find, does not count.
    """
    holders = _holders(capture)
    if collect and not all(isinstance(x, Variable) for x in holders):
        del holders
        gc.collect()  # what refers to itself, such as a local function that calls itself, holds tensors until then
        holders = _holders(capture)
    known = holders
    if any(array is None for array in capture.values.values()):  # what comes from a transform's has no value
        known = [x for x in holders if None not in map(capture.values.get, capture.slice([x.data.var]).inputs)]
    graph = capture.slice([x.data.var for x in known])
    for x, array in zip(known, evaluate(graph, capture.device, capture.values), strict=True):
        x.data = array
    return next((x for x in holders if not isinstance(x, Variable)), None)


def _holders(capture: Capture) -> list[Tensor]:
    """The tensors that stand for values of the capture."""
    alive = list(capture.symbols)
    return [x for x in gc.get_referrers(*alive) if isinstance(x, Tensor)] if alive else []


class Assign(NamedTuple):
    """``tensor`` gets the output as its value."""

    tensor: Tensor
    index: int | None = None


class SetGrad(NamedTuple):
    """``tensor.grad`` becomes the output; None where the function cleared it. ``index``: a leaf of the arguments."""

    tensor: Tensor
    index: int | None


class Variant:
    """One capture: the graph, where its inputs come from, what becomes of its outputs, and when all that holds."""

    def __init__(self, owner: Compiled, capture: Capture, result: Any):
        self.owner = owner
        self.device = capture.device
        self.runner: Runner | None = None
        leaves, self.structure = tree.flatten(result)
        self.results: list[Any] = [_result(capture, y) if isinstance(y, Tensor) else y for y in leaves]
        self.effects = _effects(capture)
        given = [y.var for y in _computed(self.results)]
        outputs = [*given, *(var for _, var in self.effects if var is not None)]
        self.differentiable = any(y.needs_gradient for y in _computed(self.results))
        self.graph = check(Graph(capture.inputs, capture.equations, outputs, capture.constants))
        self.sources: list[Source] = list(capture.sources)
        self.rules = capture.rules
        self._count = len(given)
        self._constant = [k for k, y in enumerate(_computed(self.results)) if not y.needs_gradient]
        self.unsteady = ""  # why this is not what the next call would do, though it looks the same
        self._steady: _Steady | None = None
        self.primitive: Any = None  # the graph as one operation, when it is first needed
        self.programs: list[Runner] = []  # what transforms have made of it
        self.looks = [_Look(capture, look) for look in capture.looks]
        befores = capture.before.values()
        self._nodes = [(b.tensor, b.node) for b in befores]
        self._gradients_seen = [
            (b.node, b.grad is None)
            for b in befores
            if type(b.node) is Leaf and not b.cleared and self.effects and not self.differentiable
        ]
        self.watch = Watch(owner.function, capture.things)
        self.generator = context.current().generator if any(type(s) is Key for s in self.sources) else None
        self.identity = self._identity()

    def _identity(self) -> tuple[Any, ...]:
        """Equal for captures that are the same program with the same surroundings."""
        array = self.device.backend.to_numpy
        return (
            str(self.graph),
            tuple(array(a).tobytes() for a in self.graph.constants.values()),
            tuple(_identity(s) for s in self.sources),
            tuple((type(e).__name__, id(e.tensor) if e.index is None else e.index, v is None) for e, v in self.effects),
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

    def compile(self) -> None:
        variables = [i for i, s in enumerate(self.sources) if type(s) is Outer and isinstance(s.tensor, Variable)]
        self.runner = runner_for(self.graph, self.device, self.owner.name, self._updates(), variables)
        self.in_place = getattr(self.runner, "in_place", frozenset())
        self.primitive, self.programs = None, []

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
        first = self._count
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
        if self.generator is not None and context.current().generator is not self.generator:
            return "the default random generator is another one"
        for tensor, node in self._nodes:
            if tensor.node is not node:
                return f"a tensor of shape {tensor.shape} requires gradients now, or no longer"
        for leaf, was_missing in self._gradients_seen:
            if (leaf.grad is None) is not was_missing:
                return "a gradient exists that did not, or is missing"
        for look in self.looks:
            if not look.agrees(self, leaves):
                return "Python decided by a value that is another now"
        return None

    # ------------------------------------------------------------------------------------- running

    def call(self, leaves: Sequence[Any]) -> Any:
        if self._steady is not None:
            if not any(getattr(x, "level", 0) for x in leaves) and self._repeated(leaves, self._steady):
                return self._returned([Tensor(self.runner.output(k), self.device) for k in range(self._count)], leaves)
            self._steady = None
        for source in self.sources:
            if type(source) is Outer and source.tensor.data.shape != source.tensor.shape:
                raise CompileError(f"a tensor of shape {source.tensor.shape} holds an array of another shape")
        return self.finish([self.value(s, leaves) for s in self.sources], leaves)

    def value(self, source: Source, leaves: Sequence[Any]) -> Any:
        """The array that an input is in this call; None for one that a transform's wrapper stands for."""
        kind = type(source)
        if kind is Argument:
            x = leaves[source.index]
            return None if getattr(x, "level", 0) else _as_tensor(x).data
        if kind is Outer:
            return source.tensor.data
        if kind is Key:
            return self.device.asarray(np.array(source.generator.next(), np.uint64))
        return source.tensor.node.grad.data

    def finish(self, values: list[Any], leaves: Sequence[Any]) -> Any:
        """Compute the outputs from these inputs, carry out the effects, return the results."""
        if self.differentiable or any(getattr(x, "level", 0) for x in leaves):
            outputs = self._bound(values, leaves)
            for k in self._constant:
                outputs[k] = outputs[k] if outputs[k].level else outputs[k].with_node(None)
        elif self.runner is None:
            by_var = dict(zip(self.graph.inputs, values, strict=True))
            outputs = [Tensor(a, self.device) for a in evaluate(self.graph, self.device, by_var)]
        else:
            outputs = [Tensor(a, self.device) for a in self.runner(values)]
        given = iter(outputs[self._count :])
        for effect, var in self.effects:
            value = None if var is None else next(given)
            if type(effect) is Assign:
                effect.tensor.data = value.data
            else:
                target = effect.tensor if effect.index is None else leaves[effect.index]
                if value is None and target.node.grad is not None:
                    target.node.cleared = True
                target.node.grad = value if value is None else value.with_node(None)
        if self.runner is not None and not self.differentiable:
            self._steady = _Steady.of(self)
        return self._returned(outputs[: self._count], leaves)

    def _returned(self, tensors: list[Any], leaves: Sequence[Any]) -> Any:
        if self.structure is tree.LEAF and tensors:
            return tensors[0]
        given = iter(tensors)
        return tree.unflatten(self.structure, [_found(y, given, leaves) for y in self.results])

    def _repeated(self, leaves: Sequence[Any], steady: _Steady) -> bool:
        """Run again in place, if everything is where the last call left it; False, and nothing done, if not."""
        if not (steady.is_undisturbed() and self.runner.can_repeat_in_place(steady.kept)):
            return False
        # only now: to draw a random key is an effect
        self.runner.repeat([(i, self.value(source, leaves)) for i, source in steady.moving])
        return True

    def _bound(self, values: list[Any], leaves: Sequence[Any]) -> list[Any]:
        """The outputs as one operation, which transforms and backward see."""
        inputs: list[Any] = []
        for array, source in zip(values, self.sources, strict=True):
            if type(source) is Argument:
                inputs.append(_as_tensor(leaves[source.index]))
            elif type(source) is Outer:
                inputs.append(source.tensor)
            else:
                inputs.append(Tensor(array, self.device))
        if self.primitive is None:
            self.primitive = differentiable.primitive_of(
                self.owner.name, self.graph, self.device, self.runner, self.programs, self.rules
            )
        outputs = bind(self.primitive, inputs, {})
        return list(outputs) if isinstance(outputs, tuple) else [outputs]


class _Passed(NamedTuple):
    """A result that is an argument as it is: the tensor that the caller gave, with its history."""

    index: int


class _Same:
    """A result that is a variable from outside: the object itself, whose value the call may have assigned."""

    def __init__(self, variable: Variable):
        self.variable = variable

    def __repr__(self) -> str:
        return f"the variable {id(self.variable)}"


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
    return leaves[y.index] if type(y) is _Passed else y.variable if type(y) is _Same else y


class _Result:
    """A tensor among what the function returned."""

    def __init__(self, capture: Capture, y: Tensor):
        if y.level:
            raise CompileError(
                f"a result ({y.dtype}{list(y.shape)}) depends on a tensor of {y.interpreter.name} around the compiled "
                "function that is not among its arguments; pass it as an argument"
            )
        self.var = capture.var_of(y)
        # a backward pass inside the function has freed what it came from
        self.needs_gradient = type(y.node) in (Node, Piece) and main_node(y.node).saved is not None


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
        arrays = [variant.value(s, leaves) for s in self.sources]
        if len(arrays) == len(self._seen) and all(map(operator.is_, arrays, self._seen)):
            return True  # values never change: the arrays are those that were looked at last
        values = dict(zip(self.graph.inputs, arrays, strict=True))
        array = evaluate(self.graph, variant.device, values)[0] if self.graph.equations else arrays[0]
        if self.ask(variant.device.backend.to_numpy(array)) != self.answer:
            return False
        self._seen = [] if any(_may_change(s, leaves) for s in self.sources) else arrays
        return True


def _may_change(source: Source, leaves: Sequence[Any]) -> bool:
    """Whether an array can get other values: a variable's, by updates in place, and the caller's own."""
    if type(source) is Argument:
        return isinstance(leaves[source.index], np.ndarray)
    return isinstance(source.tensor, Variable)


class _Steady:
    """Where the last call left everything, so that the next can find it there and go on in place.

    held: the tensors from outside, with their arrays. lent: variables that are only read, with weak references to
    theirs: whoever updates them must not take us for somebody who would see it. gradients: leaves with theirs.
    moving: inputs that each call brings along. kept: the outputs that stay where they are, and how many references
    each has.
    """

    references = ALONE + 2  # of a gradient: its leaf, ``gradients``, and the loop that asks

    def __init__(self, held: Any, lent: Any, gradients: Any, moving: Any, kept: Any):
        self.held, self.lent, self.gradients, self.moving, self.kept = held, lent, gradients, moving, kept

    def is_undisturbed(self) -> bool:
        """Whether all tensors hold what the last call left there, and nobody else has one of its gradients."""
        for tensor, array in self.held:
            if tensor.data is not array:
                return False
        for tensor, reference in self.lent:
            if tensor.data is not reference():
                return False
        for leaf, gradient in self.gradients:
            if leaf.grad is not gradient or getrefcount(gradient) > self.references:
                return False
        return True

    @classmethod
    def of(cls, variant: Variant) -> _Steady | None:
        """None where a call cannot be repeated in place."""
        if not hasattr(variant.runner, "repeat"):
            return None
        outside = [s.tensor for s in variant.sources if type(s) is Outer]
        updated = {id(e.tensor) for e, _ in variant.effects if type(e) is Assign}
        lent = [(x, ref(x.data)) for x in outside if isinstance(x, Variable) and id(x) not in updated]
        held = [(x, x.data) for x in outside if id(x) in updated or not isinstance(x, Variable)]
        moving = [(i, s) for i, s in enumerate(variant.sources) if type(s) is not Outer]
        outer = {id(x) for x in outside}
        gradients, kept = [], []
        k = variant._count
        for effect, var in variant.effects:
            if (
                var is None
                or (type(effect) is SetGrad and effect.index is not None)
                or any(type(s) is Gradient for _, s in moving)
            ):
                return None
            if not variant.runner.can_repeat(k):
                return None
            if type(effect) is Assign:
                if id(effect.tensor) not in outer or k not in variant.in_place:
                    return None
                kept.append((k, 2))  # the tensor, and ``held``
            else:
                gradients.append((effect.tensor.node, effect.tensor.node.grad))
                kept.append((k, 1))
            k += 1
        variant.runner.settle()
        return cls(held, lent, gradients, moving, kept)


def _effects(capture: Capture) -> list[tuple[Any, Var | None]]:
    """What the function did to tensors that were there before: assignments, and gradients set or cleared."""
    effects: list[tuple[Any, Var | None]] = []
    for before in capture.before.values():
        tensor, index = before.tensor, capture.arguments.get(id(before.tensor))
        if type(tensor.data) is Symbol and tensor.data.var is not before.var:
            effects.append((Assign(tensor), tensor.data.var))
        if type(before.node) is Leaf and before.node.grad is not before.grad:
            grad = before.node.grad
            effects.append((SetGrad(tensor, index), None if grad is None else capture.var_of(grad)))
    return effects


def _identity(source: Source) -> tuple[Any, ...]:
    return type(source).__name__, source.index if type(source) is Argument else id(source[0])
