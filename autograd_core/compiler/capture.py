"""Capture: run a Python function once on tensors that stand for arrays, and keep the equations that it caused.

The interpreter of plain tensors is replaced by a ``Capture``. Tensors then hold ``Symbol`` objects instead of arrays;
all else is as ever: the graph for backward is recorded, rules run, optimizers assign, so that forward, backward and
update end up in one list of equations. Python runs only now, so whatever it decides is decided for good: ``Capture``
notes what the decisions rested on (arguments, variables, generators, values that were looked at), and the compiled
function checks these in every call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from weakref import WeakSet, ref

import numpy as np

from .. import context
from ..aval import Aval
from ..backend import Device, get_device
from ..errors import CompileError, DeviceError
from ..graph import Leaf
from ..interpreters.eager import EAGER, Eager
from ..primitive import Primitive
from ..tensor import Tensor, Variable
from .ir import Equation, Graph, Var
from .overlay import Overlay

PACKAGE = __name__.partition(".")[0]


class Symbol:
    """What a tensor holds in place of an array while a function is captured: shape, dtype, and which value it is."""

    __slots__ = ("__weakref__", "capture", "dtype", "shape", "var")

    def __init__(self, var: Var, capture: Capture):
        self.var = var
        self.shape = var.aval.shape
        self.dtype = var.aval.dtype
        self.capture = capture

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def view(self) -> Any:
        """The values on the host, of a constant; backends' ``to_numpy`` ends here."""
        array = self.capture.constants.get(self.var)
        if array is None:
            raise self._used_elsewhere()
        return array.view()

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise self._used_elsewhere()

    def __getattr__(self, name: str) -> Any:
        """Kernels end here that are given what another thread's capture makes, and has not computed."""
        if name.startswith("__"):
            raise AttributeError(name)
        raise self._used_elsewhere()

    def _used_elsewhere(self) -> CompileError:
        return CompileError(
            f"a tensor ({self.dtype}{list(self.shape)}) that {self.capture.name} makes is used {user_line()}, but has "
            f"no value: {self.capture.name} is still being captured, on another thread, or ended with an error; use "
            "the tensor when the call has returned"
        )


def user_line() -> str:
    """``at train.py:12 in step``: the innermost line on the stack outside this package."""
    frame: Any = sys._getframe(1)
    while frame is not None and _is_ours(frame):
        frame = frame.f_back
    return f"at {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}" if frame else "in this package"


def _is_ours(frame: Any) -> bool:
    return frame.f_globals.get("__name__", "").partition(".")[0] == PACKAGE


# ------------------------------------------------------------------------------ where inputs come from


class Argument(NamedTuple):
    """The tensor that is this leaf of the arguments."""

    leaf: int


class Outer(NamedTuple):
    """A tensor that the function found elsewhere: a parameter, a buffer, an optimizer's state, a module's constant."""

    tensor: Tensor


class Gradient(NamedTuple):
    """What ``tensor.grad`` held before the call. leaf: which of the arguments' leaves the tensor is."""

    tensor: Tensor
    leaf: int | None = None


class Key(NamedTuple):
    """The next call of a random generator."""

    generator: Any


Source = Argument | Outer | Gradient | Key


class Look(NamedTuple):
    """``ask`` of the values of ``var`` answered ``answer``, and Python went on from there."""

    var: Var
    ask: Callable[[np.ndarray], Any]
    answer: Any


# ------------------------------------------------------------------------------------- the interpreter


class Capture(Eager):
    """One function being captured. ``sources`` says where each input of the graph comes from."""

    in_place = False

    def __init__(self, device: Device, name: str = "a function") -> None:
        self.device, self.name = device, name
        self.elsewhere: Device | None = None  # where the first tensor was that lay on another device
        self.transforms = EAGER.transforms
        self.inputs: list[Var] = []
        self.sources: list[Source] = []
        self.values: dict[Var, Any] = {}  # of the inputs, in this call
        self.constants: dict[Var, Any] = {}
        self.equations: list[Equation] = []
        self.looks: list[Look] = []
        self.rules: list[str] = []  # of derivatives that the equations do not have, and where they were stated
        self.recording = context.current().recording  # whether what runs without it has left it
        self.unrecorded = False  # whether what runs now is the replay of such an equation
        self.things: list[Any] = []  # objects that Python's decisions rest on, with a ``compile_guard``
        self.arguments: dict[int, int] = {}  # id of a tensor among the arguments -> which leaf
        self.passed: dict[int, int] = {}  # id of the tensor that stands for it -> which leaf
        self.before: dict[int, Before] = {}  # of variables and leaves, by id, in the order in which they were met
        self.overlay = Overlay()
        self._made: dict[int, tuple[Any, Symbol]] = {}  # variables made inside, before their first assignment
        self._drawn: dict[int, tuple[Any, dict[str, int]]] = {}  # generators, before the first draw
        self.symbols: WeakSet[Symbol] = WeakSet()
        self._known: dict[int, tuple[Any, Var]] = {}  # arrays from outside, kept alive, so that ids stay theirs
        self._literals: dict[tuple[Any, ...], Var] = {}
        self._keys: dict[tuple[int, int], Var] = {}
        self.generator = context.current().generator  # the default one around the function
        self.keys_of_examples: dict[Var, Any] = {}  # which draw for all examples of a vmap around the function at once

    # ---------------------------------------------------------------------------------- values

    def argument(self, x: Tensor, index: int) -> Tensor:
        """A tensor that stands for ``x``, leaf ``index`` of the arguments."""
        self._check_device("the argument", x)
        self.arguments[id(x)] = index
        own = isinstance(x.node, Leaf) and not x.level
        if own:
            self._meet(x)
        if isinstance(x, Variable):  # it may be assigned to, and must be the same object that a module holds
            return x
        var = self._input(x.aval, Argument(index), None if x.level else x.data)
        # what came before the arguments is not part of the function: backward inside it must not go on there
        node = x.node if own or x.node is None else Leaf()
        return Tensor(self._symbol(var), self.device, node)

    def _input(self, aval: Aval, source: Source, array: Any) -> Var:
        var = Var(Aval(tuple(aval.shape), np.dtype(aval.dtype)))
        self.inputs.append(var)
        self.sources.append(source)
        self.values[var] = array
        return var

    def _symbol(self, var: Var) -> Symbol:
        symbol = Symbol(var, self)
        self.symbols.add(symbol)
        return symbol

    def made(self, x: Any) -> bool:
        """Whether ``x`` is a tensor that stands for a value of this capture."""
        data = getattr(x, "data", None)
        return type(data) is Symbol and data.capture is self

    def var_of(self, x: Tensor) -> Var:
        """The graph's value that ``x`` holds; a tensor from outside becomes an input."""
        data = x.data
        if type(data) is Symbol:
            if data.capture is not self:
                raise CompileError(
                    f"a tensor ({x.dtype}{list(x.shape)}) made while another call was captured is used {user_line()}; "
                    "return it from the compiled function instead of keeping it"
                )
            return data.var
        if isinstance(x, Variable):
            self._check_device("the tensor", x)
            before = self._meet(x)
            before.var = var = self._input(x.aval, Outer(x), data)
            x.data = self._symbol(var)  # what is saved of it from here on is this value, whatever is assigned later
            return var
        if isinstance(x.node, Leaf):
            self._meet(x)
        known = self._known.get(id(data))
        if known is None:
            self._check_device("the tensor", x)
            var = self._input(x.aval, self._source(x), data)
            self._known[id(data)] = known = (data, var)
        return known[1]

    def _source(self, x: Tensor) -> Source:
        for before in self.before.values():
            if isinstance(before.node, Leaf) and before.node.grad is x:
                return Gradient(before.tensor, self.arguments.get(id(before.tensor)))
        return Outer(x)

    def _meet(self, x: Tensor) -> Before:
        before = self.before.get(id(x))
        if before is None:
            before = self.before[id(x)] = Before(x)
            if isinstance(x, Variable):
                self.overlay.cover(x)
            if isinstance(x.node, Leaf):
                self.overlay.cover(x.node)
        return before

    def _check_device(self, what: str, x: Tensor) -> None:
        if x.device is not self.device:
            self.elsewhere = self.elsewhere or x.device
            raise DeviceError(
                f"compile: {what} {x.dtype}{list(x.shape)} lies on {x.device}, the function was captured for "
                f"{self.device}; a compiled function runs on one device: move the tensor before the call"
            )

    def constant(self, obj: Any, *, dtype: np.dtype | None, device: str | Device | None, op: str) -> Tensor:
        """Numbers become constants of the graph, and arrays that an operation of ours makes from its parameters.

        Arrays of the user's do not: what they hold may differ in the next call.
        """
        if isinstance(obj, np.ndarray) and obj.size > 1 and not (op == "asarray" and _is_ours(sys._getframe(3))):
            raise CompileError(
                f"{op}: an array ({obj.dtype}{list(obj.shape)}) becomes a tensor inside the compiled function, "
                f"{user_line()}. Its values would be those of this call for ever: pass it as an argument, or make the "
                "tensor outside"
            )
        made = super().constant(obj, dtype=dtype, device=self.device if device is None else device, op=op)
        self._check_device("the constant", made)
        return self.known(made.data, self.device)

    def known(self, array: Any, device: Device) -> Tensor:
        """A constant of the graph."""
        key = (array.dtype.str, array.shape, self.device.backend.to_numpy(array).tobytes())
        var = self._literals.get(key)
        if var is None:
            var = self._literals[key] = Var(Aval(tuple(array.shape), array.dtype))
            self.constants[var] = array
        return Tensor(self._symbol(var), device)

    def random_key(self, generator: Any, device: Any) -> Tensor:
        """On the function's device, where the default device is asked for, which says nothing."""
        if device is not self.device and device is not get_device():
            self.elsewhere = self.elsewhere or device
            raise DeviceError(
                f"compile: random numbers are drawn on {device}, the function was captured for {self.device}; a "
                "compiled function runs on one device: draw them outside, or there"
            )
        self._drawn.setdefault(id(generator), (generator, generator.state_dict()))
        key = generator.next()
        var = self._keys.get(key)
        if var is None:
            array = self.device.asarray(np.array(key, np.uint64))
            var = self._keys[key] = self._input(Aval(array.shape, array.dtype), Key(generator), array)
            if generator is self.generator and generator.of_examples:
                self.values[var], self.keys_of_examples[var] = None, array
        return Tensor(self._symbol(var), self.device)

    def settle_generators(self) -> None:
        """Once Python has returned: the keys of generators that it made for itself are the same in each call."""
        for i in reversed(range(len(self.sources))):
            if type(self.sources[i]) is not Key:
                continue
            mine = sum(s[0] is self.sources[i][0] for s in self.sources if type(s) is Key)
            if sys.getrefcount(self.sources[i][0]) == mine + 2:  # the sources, and ``_drawn``: nobody else has it
                var = self.inputs.pop(i)
                del self.sources[i]
                self.constants[var] = self.values.pop(var)

    # -------------------------------------------------------------------------------- operations

    def run(self, primitive: Primitive, inputs: Sequence[Tensor], params: dict[str, Any]) -> Any:
        if primitive.device_param is not None:
            self._check_target(primitive, params[primitive.device_param])
        if primitive.forward is None and self.device.kernels[primitive] is None:
            return self._run_composed(primitive, inputs, params)
        operands = [self.var_of(x) for x in inputs]
        try:
            declared = primitive.output_aval(*[v.aval for v in operands], **params)
        except NotImplementedError:
            raise CompileError(
                f"{primitive.name}: the shape of the result depends on values, {user_line()}; a compiled function "
                "needs fixed shapes: use a mask and ag.where, or run this part outside"
            ) from None
        several = isinstance(declared, tuple) and not isinstance(declared, Aval)
        outputs = [Var(Aval(tuple(a.shape), np.dtype(a.dtype))) for a in (declared if several else (declared,))]
        recorded = not self.unrecorded and context.current().recording >= self.recording
        self.equations.append(Equation(primitive, operands, params, outputs, user_line(), recorded))
        tensors = tuple([Tensor(self._symbol(v), self.device) for v in outputs])
        return tensors if several else tensors[0]

    def _check_target(self, primitive: Primitive, target: Any) -> None:
        if get_device(target) is not self.device:
            raise DeviceError(
                f"compile: {primitive.name} makes a tensor on {target}, the function was captured for {self.device}; "
                "move tensors outside the compiled function"
            )

    def examine(self, x: Tensor, ask: Callable[[np.ndarray], Any]) -> Any:
        """The answer for this call's values, which is asked for again in every call.

        But for checks, which answer nothing, of what is computed from parameters or random numbers: to look at that
        again, the model would have to be run a second time in every call.
        """
        var = self.var_of(x)
        answer = ask(self.known_value(var))
        if var not in self.constants and not (answer is None and self._is_of_the_model(var)):
            self.looks.append(Look(var, ask, answer))
        return answer

    def _is_of_the_model(self, var: Var) -> bool:
        graph = self.slice([var])
        sources = [self.sources[self.inputs.index(v)] for v in graph.inputs] if graph.equations else []
        return any(type(s) is Key or isinstance(getattr(s, "tensor", None), Variable) for s in sources)

    def known_value(self, var: Var) -> np.ndarray:
        """The value in this call, of something computed from the inputs in few steps."""
        graph = self.slice([var])
        if any(self.values[v] is None for v in graph.inputs):
            raise CompileError(
                f"a check looks at values inside a compiled function, {user_line()}, that belong to a transform around "
                "it; compile the transformed function instead, as in ag.compile(ag.vmap(f))"
            )
        return self.device.backend.to_numpy(evaluate(graph, self.device, self.values)[0])

    def slice(self, outputs: Sequence[Var]) -> Graph:
        """The part of what was captured that ``outputs`` are computed from."""
        wanted, kept = set(outputs), []
        for equation in reversed(self.equations):
            if not wanted.isdisjoint(equation.outputs):
                kept.append(equation)
                wanted.update(equation.inputs)
        inputs = [v for v in self.inputs if v in wanted]
        constants = {v: array for v, array in self.constants.items() if v in wanted}
        return Graph(inputs, kept[::-1], outputs, constants)

    def assigning(self, tensor: Tensor) -> None:
        if id(tensor) in self.before:
            return
        if type(tensor.data) is Symbol:
            made = self._made.get(id(tensor))
            if made is None or made[0]() is not tensor:
                self._made[id(tensor)] = ref(tensor), tensor.data
        else:
            self._meet(tensor).cleared = True

    def reading(self, variable: Tensor) -> None:
        self.var_of(variable)  # an input now: what is made of it would be a tensor from outside, another in each call

    def looking_at(self, x: Tensor, counts: bool = False) -> None:
        if type(x.data) is Symbol and x.data.var in self.constants:
            return
        if counts:
            raise CompileError(
                "nonzero, a mask as an index and unique_values give as many elements as values say, "
                f"{user_line()}; a compiled function needs fixed shapes: keep all elements and choose with "
                "ag.where(mask, x, 0), or run this part outside"
            )
        raise CompileError(
            f"a value ({x.dtype}{list(x.shape)}) is looked at inside the compiled function, {user_line()}. It is "
            "computed only when the compiled code runs, so Python cannot decide by it: choose with ag.where, or return "
            "the value and look at it outside"
        )

    def states_derivative(self, what: str) -> None:
        self.rules.append(f"{what}, {user_line()}")

    def uses(self, thing: Any) -> None:
        if not any(thing is known for known in self.things):
            self.things.append(thing)

    def undo(self) -> None:
        """After an error: variables made inside have their first values, generators have drawn nothing."""
        for made, symbol in self._made.values():
            tensor = made()
            if tensor is not None:
                tensor.data = symbol
        self._made.clear()
        for generator, state in self._drawn.values():
            taken = sum(type(s) is Key and s.generator is generator for s in self.sources)
            if generator.state_dict() == {**state, "call": state["call"] + taken}:  # nobody else has drawn meanwhile
                generator.load_state_dict(state)


class Before:
    """A variable, or another leaf, as it was before the call.

    var: the input that stands for it, once it has been read. cleared: whether it was written to before it was read, so
    that what its gradient was does not matter.
    """

    __slots__ = ("cleared", "data", "grad", "node", "tensor", "var")

    def __init__(self, tensor: Tensor):
        self.tensor = tensor
        self.var: Var | None = None
        self.cleared = False
        self.data = tensor.data
        self.node: Any = tensor.node
        self.grad = tensor.node.grad if isinstance(tensor.node, Leaf) else None


def as_tensor(x: Any, device: Device) -> Tensor:
    """An array among the arguments of a compiled function as a tensor there; tensors as they are."""
    return x if isinstance(x, Tensor) else EAGER.constant(x, dtype=None, device=device, op="compile")


# ------------------------------------------------------------------------------------- running a graph


def evaluate(graph: Graph, device: Device, values: Any) -> list[Any]:
    """The outputs, as arrays, by the device's own kernels one after another: what compiled code is compared with.

    values: the array of every input, by Var.
    """
    arrays = dict(graph.constants)
    for v in graph.inputs:
        arrays[v] = values[v]
    with context.scope(interpreter=EAGER, recording=False, tape=None, observer=None):
        for e in graph.equations:
            result = EAGER.run(e.primitive, [Tensor(arrays[v], device) for v in e.inputs], e.params)
            for v, y in zip(e.outputs, result if type(result) is tuple else (result,), strict=True):
                arrays[v] = y.data
    return [arrays[v] for v in graph.outputs]


def trace(f: Callable[..., Any], avals: Sequence[Aval], device: str | Device = "numpy") -> Graph:
    """The graph of a function of tensors that has no effects: ``f(*tensors)`` returns a tensor or a tuple of such.

    >>> import autograd_core as ag
    >>> from autograd_core.aval import Aval
    >>> print(trace(lambda x: (x * x).sum(), [Aval((3,), ag.float32)]))
    inputs v0: float32[3]
    v1: float32[3] = multiply(v0, v0)
    v2: float32[] = sum(v1) axis=(0,) keepdims=False
    outputs v2
    """
    chosen = get_device(device)
    capture = Capture(chosen)
    capture.recording = False  # nothing is recorded while a rule is traced, and all of it can be differentiated again
    inputs = [capture._input(aval, Argument(i), None) for i, aval in enumerate(avals)]
    tensors = [Tensor(capture._symbol(v), chosen) for v in inputs]
    try:
        with context.scope(interpreter=capture, recording=False, tape=None, observer=None):
            result = f(*tensors)
        outputs = [capture.var_of(y) for y in (result if isinstance(result, tuple) else (result,))]
    finally:
        capture.overlay.end()
    return Graph(capture.inputs, capture.equations, outputs, capture.constants)
