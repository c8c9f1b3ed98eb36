"""A signature: one kind of call, by shapes, dtypes and Python values, and the variants that it turned out to have."""

from __future__ import annotations

import gc
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import context, tree
from ..backend import get_device
from ..errors import AutogradError, CompileError, DeviceError
from ..tensor import Tensor, Variable
from .capture import Capture, as_tensor, evaluate
from .overlay import own_class
from .report import counted
from .variant import Variant
from .watch import Own, Watch, objects_among, same

if TYPE_CHECKING:
    from .jit import Compiled

log = logging.getLogger("autograd_core.compile")
RESTLESS = 8  # captures that all differ, after which a function is refused; of any kind, after which each is a warning
SIMPLE = (bool, int, float, complex, str, bytes)
CONFIRMING = "once more, since what is compiled must be the same twice"


class Signature:
    """The shapes, dtypes and Python values of one kind of call, and the variants captured for it."""

    def __init__(self, owner: Compiled, leaves: Sequence[Any], structure: Any):
        self.owner = owner
        self.structure = structure
        self.leaves = [_described(x) for x in leaves]
        self.variants: list[Variant] = []
        self.reason = "it is called for the first time"
        self._unsteady = 0
        self._state = state = context.current()
        self._context = (state.recording, state.device, state.strict, state.math, state.convolutions)

    def __str__(self) -> str:
        return "(" + ", ".join(map(str, self.leaves)) + ")"

    def fits(self, leaves: Sequence[Any], structure: Any) -> bool:
        if len(leaves) != len(self.leaves) or structure != self.structure:
            return False
        state = context.current()
        if state is not self._state:
            if (state.recording, state.device, state.strict, state.math, state.convolutions) != self._context:
                return False
            self._state = state  # never changed, but replaced
        return not leaves or all(map(_fits, leaves, self.leaves))

    def difference(self, other: Signature) -> str:
        """What makes another call not fit, in words."""
        for i, (mine, theirs) in enumerate(zip(self.leaves, other.leaves, strict=False)):
            if mine != theirs:
                return f"leaf {i} of the arguments was {mine} and is now {theirs}"
        if self._context != other._context:
            return "grad mode, default device, strict_dtypes, convolutions_by or math_mode differ"
        return "the arguments are nested differently"

    def call(self, leaves: Sequence[Any]) -> Any:
        variant, _ = self._fitting(leaves)
        if variant is None:
            with self.owner.lock:
                variant, why = self._fitting(leaves)  # another thread may have captured meanwhile
                if variant is None:
                    return self._captured(leaves, why)
        return variant.call(leaves)

    def _fitting(self, leaves: Sequence[Any]) -> tuple[Variant | None, str]:
        """The compiled variant whose conditions hold, which is the first from now on; or why there is none."""
        why, variants = None, self.variants
        for variant in variants:
            reason = variant.unfit(leaves)
            if reason is not None:
                why = why or reason
            elif variant.runner is None:
                why = variant.unsteady or CONFIRMING
            else:
                if variant is not variants[0]:
                    self._put_first(variant)
                return variant, ""
        return None, why or self.reason

    def _put_first(self, variant: Variant) -> None:
        with self.owner.lock:
            self.variants = [variant, *(v for v in self.variants if v is not variant)]

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
                    variant.compile(values, leaves)
                self._put_first(variant)
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
        self._put_first(new)
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
    return a is b or (type(a) in SIMPLE and same(a, b))


class _Described:
    """A tensor (or array) among the arguments: what the program was made for."""

    def __init__(self, x: Any):
        self.kind = own_class(x)
        self.shape, self.dtype = tuple(x.shape), x.dtype
        self.device = getattr(x, "device", None) if isinstance(x, Tensor) else None
        self.node = own_class(getattr(x, "node", None))
        self.variable = x if isinstance(x, Variable) else None

    def fits(self, x: Any) -> bool:
        return (
            x.shape == self.shape
            and x.dtype == self.dtype
            and (self.device is None or (x.device is self.device and self._has_such_a_node(x)))
            and (self.variable is None or x is self.variable)
        )

    def _has_such_a_node(self, x: Tensor) -> bool:
        return type(x.node) is self.node or own_class(x.node) is self.node

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Described) and vars(self) == vars(other)

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"

    __hash__ = None  # type: ignore[assignment]


def _described(x: Any) -> _Static | _Described:
    return _Described(x) if isinstance(x, (Tensor, np.ndarray)) else _Static(x)


def _fits(x: Any, described: _Static | _Described) -> bool:
    if type(described) is _Described:
        return (type(x) is described.kind or own_class(x) is described.kind) and described.fits(x)
    return _equal(x, described.value)  # type: ignore[union-attr]


# ------------------------------------------------------------------------------------------ capturing


def captured(owner: Compiled, leaves: Sequence[Any], structure: Any) -> tuple[Variant, list[Any]]:
    """What ``owner.function`` does, as a variant, and the arrays that are its graph's inputs in this call.

    It runs where the tensors among its arguments are. One without any runs on the default device, or where the first
    tensor from outside is that it uses: Python begins once more then. NumPy's arrays go there.
    """
    given = next((x for x in leaves if isinstance(x, Tensor)), None)
    if given is not None:
        return _captured_by(Capture(given.device, owner.name), owner, leaves, structure)
    first = Capture(get_device(), owner.name)
    try:
        return _captured_by(first, owner, leaves, structure)
    except DeviceError as error:
        there = first.elsewhere or next((d for d in error.devices if d is not first.device), None)
        if there is None:
            raise
    return _captured_by(Capture(there, owner.name), owner, leaves, structure)


def _captured_by(capture: Capture, owner: Compiled, leaves: Sequence[Any], structure: Any) -> tuple[Variant, list[Any]]:
    device = capture.device
    tensors = {i: as_tensor(x, device) for i, x in enumerate(leaves) if isinstance(x, (Tensor, np.ndarray))}
    before = Watch(owner.function, [], objects_among(leaves))
    own = Own(before)
    try:
        filled = [capture.argument(tensors[i], i) if i in tensors else x for i, x in enumerate(leaves)]
        capture.passed = {id(filled[i]): i for i in tensors if isinstance(leaves[i], Tensor)}
        args, kwargs = (filled, {}) if structure is None else tree.unflatten(structure, filled)
        with context.scope(interpreter=capture, depth=0, tape=_tape_for_capture()):
            result = owner.function(*args, **kwargs)
            capture.settle_generators()
            variant = Variant(owner, capture, result, leaves)
        del result, args, kwargs, filled
    except BaseException:
        capture.overlay.end()
        capture.undo()
        for thing in capture.things:
            if hasattr(thing, "abandon"):
                thing.abandon(capture.made)
        with suppress(AutogradError):  # of values that were made on the way to the error
            _realise(capture)
        raise
    capture.overlay.end()
    made = _realise(capture, collect=True)
    lost = next((x for x in made if not isinstance(x, Variable)), None)
    if lost is not None:
        raise CompileError(
            f"{owner.name}: a tensor ({lost.dtype}{list(lost.shape)}) made inside the compiled function is kept "
            "outside it. Later calls run no Python and would leave it as it is: return it, or keep it in an nn.Buffer "
            "and assign_"
        )
    changed = before.changed()
    if changed is not None:
        variant.unsteady = f"the function changes what Python sees itself: {changed}; compiled code would not"
    else:
        variant.unsteady = own.found() or ("it makes variables, which the next call finds" if made else "")
    return variant, [capture.keys_of_examples.get(v, capture.values[v]) for v in capture.inputs]


class _Drawing:
    """The tape of a checkpoint that runs its function again: keys are its, but assignments are seen, and captured."""

    replaying = False

    def __init__(self, tape: Any):
        self._tape = tape

    def draw(self, generator: Any) -> tuple[int, int]:
        return self._tape.draw(generator)


def _tape_for_capture() -> Any:
    tape = context.current().tape
    return _Drawing(tape) if tape is not None and tape.replaying else tape


def _realise(capture: Capture, *, collect: bool = False) -> list[Tensor]:
    """Give values to what the function made and somebody still holds: variables, such as an optimizer's state.

    Returns them. collect: whether garbage, which takes long to find, does not count.
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
    try:
        arrays = evaluate(graph, capture.device, capture.values)
    except BaseException:  # no memory, for instance
        for thing in capture.things:
            if hasattr(thing, "forget"):
                thing.forget(capture.made)
        raise
    for x, array in zip(known, arrays, strict=True):
        x.data = array
    return holders


def _holders(capture: Capture) -> list[Tensor]:
    """The tensors that stand for values of the capture."""
    alive = list(capture.symbols)
    return [x for x in gc.get_referrers(*alive) if isinstance(x, Tensor)] if alive else []
