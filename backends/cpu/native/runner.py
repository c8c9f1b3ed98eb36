"""A compiled graph at work: pointers put into a table, programs and host calls run in turn, results handed out."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from autograd_core import context
from autograd_core.aval import Aval
from autograd_core.backend import Device
from autograd_core.compile.ir import Equation, Graph
from autograd_core.compile.runner import KernelReport
from autograd_core.errors import CompileError
from autograd_core.interpreters.eager import EAGER
from autograd_core.tensor import Tensor

from .lowerings import Located
from .program import Operand, Program, pointers

# References to an array that only a runner and the variable it belongs to know: the runner's list of what it handed
# out, the variable, the caller's list of inputs, a local name, and the argument of getrefcount itself.
OWN_UPDATED = 5
OWN_RESULT = 3


class HostCall(NamedTuple):
    """An equation run by the device's own kernel. outputs: the entries of the table for its results."""

    equation: Equation
    inputs: list[tuple[Operand, Located]]
    outputs: list[int]


class Output(NamedTuple):
    """Entry ``base`` of the table holds an array of ``aval``; ``view``: the part of it that is the output."""

    base: int
    aval: Aval
    view: Located | None


class NativeRunner:
    """Runs one graph. Inputs are arrays of the avals that the graph states; outputs are arrays nobody else holds."""

    def __init__(
        self,
        graph: Graph,
        device: Device,
        segments: Sequence[Any],
        table: Sequence[tuple[str, Any]],
        arena: int,
        outputs: Sequence[Output],
        updates: Mapping[int, int],
    ):
        self.graph, self.device, self.segments = graph, device, segments
        self._lock = Lock()
        self._arrays: list[Any] = [None] * len(table)  # what each entry of the table points to
        self._table = pointers([0] * len(table))
        self._address = ctypes.addressof(self._table)
        self._arena = _aligned(arena)
        self._set(0, self._arena)
        self._inputs: list[tuple[int, int]] = []
        for base, (kind, what) in enumerate(table):
            if kind == "constant":
                self._set(base, what)
            elif kind == "input":
                self._inputs.append((base, what))
        self._outputs = list(outputs)
        self._made = sorted({o.base for o in outputs if table[o.base][0] == "output"})
        self._avals = {o.base: o.aval for o in outputs}
        self._updated = {outputs[k].base: i for k, i in updates.items()}

    def _set(self, base: int, array: np.ndarray) -> None:
        self._arrays[base] = array
        self._table[base] = array.ctypes.data

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        with self._lock:
            self._prepare(inputs)
            for segment in self.segments:
                if type(segment) is Program:
                    code = segment.run(self._address)
                    if code:
                        raise CompileError(f"a compiled kernel found values that it cannot use (code {code})")
                else:
                    self._host(segment)
            return [self._result(o) for o in self._outputs]

    def _prepare(self, inputs: Sequence[np.ndarray]) -> None:
        arrays = self._arrays
        for base in self._made:
            array = arrays[base]
            i = self._updated.get(base)
            if i is not None:
                mine = array is inputs[i] and sys.getrefcount(array) <= OWN_UPDATED + 1
            else:
                mine = array is not None and sys.getrefcount(array) <= OWN_RESULT
            if not mine:
                aval = self._avals[base]
                self._set(base, np.empty(aval.shape, aval.dtype))
        for base, i in self._inputs:
            array = inputs[i]
            if array is not arrays[base]:
                self._set(base, array if array.flags.c_contiguous else np.ascontiguousarray(array))

    def _host(self, call: HostCall) -> None:
        tensors = [Tensor(self._view(operand, located), self.device) for operand, located in call.inputs]
        with context.scope(interpreter=EAGER, recording=False, tape=None, observer=None):
            y = EAGER.run(call.equation.primitive, tensors, call.equation.params)
        for base, tensor in zip(call.outputs, y if type(y) is tuple else (y,), strict=True):
            array = np.ascontiguousarray(tensor.data)
            kept = self._arrays[base]
            if base in self._avals and kept is not None and kept.shape == array.shape:
                np.copyto(kept, array)
            else:
                self._set(base, array)

    def _view(self, operand: Operand, located: Located) -> np.ndarray:
        """The array that a host call is given, without a copy."""
        held = self._arrays[operand.base]
        flat = held.reshape(-1).view(np.uint8)[operand.offset : operand.offset + operand.bytes]
        return _strided(flat.view(located.dtype), located)

    def _result(self, output: Output) -> np.ndarray:
        array = self._arrays[output.base]
        return array if output.view is None else _strided(array.reshape(-1), output.view)

    def source(self) -> str:
        """The calls of each program, in order."""
        lines = []
        for segment in self.segments:
            if isinstance(segment, HostCall):
                lines.append(f"host: {segment.equation.primitive.name}")
            else:
                lines += [f"{call.spec.name}{tuple(call.operands)}" for call in segment.calls]
        return "\n".join(lines)

    def report(self) -> list[KernelReport]:
        """A row for each kernel, from one more run over what the arrays hold now."""
        rows = []
        for segment in self.segments:
            if isinstance(segment, HostCall):
                rows.append(KernelReport(f"host: {segment.equation.primitive.name}", 0.0, 0, 0))
            else:
                seconds = segment.profile(self._address)
                rows += [
                    KernelReport(c.spec.name, s, c.spec.bytes, c.spec.flops)
                    for c, s in zip(segment.calls, seconds, strict=True)
                ]
        return rows


def _strided(flat: np.ndarray, located: Located) -> np.ndarray:
    strides = tuple(s * located.dtype.itemsize for s in located.strides)
    return np.lib.stride_tricks.as_strided(flat[located.offset :], located.shape, strides)


def _aligned(size: int) -> np.ndarray:
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size]
