"""A compiled graph at work: pointers put into a table, programs and host calls run in turn, results handed out."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Lock
from time import perf_counter
from typing import Any, NamedTuple
from weakref import ref

import numpy as np

from autograd_core import context
from autograd_core.aval import Aval
from autograd_core.backend import Device
from autograd_core.compiler.ir import Equation, Graph
from autograd_core.compiler.report import Build, KernelReport, Report
from autograd_core.compiler.runner import Part
from autograd_core.compiler.steady import ALONE
from autograd_core.compiler.steps import Note
from autograd_core.compiler.storage import Located, Operand
from autograd_core.interpreters.eager import EAGER
from autograd_core.tensor import Tensor

from .failures import failure
from .listing import listing, step_names
from .peak import peak
from .program import Call, Program, pointers
from .team import TEAM

REPORT_RUNS, REPORTS_FOR = 5, 0.3  # how often a report measures, unless that takes more seconds


_DATA_OFFSET = 16  # of the pointer in NumPy's array object, after the head that all Python objects have


def data_pointer(array: np.ndarray) -> int:
    """Where the elements are; ``array.ctypes.data`` without the objects that it makes."""
    return _pointer_at(id(array) + _DATA_OFFSET).value or 0


_pointer_at = ctypes.c_void_p.from_address
if data_pointer(_sample := np.empty(1)) != _sample.ctypes.data:  # another layout of objects than CPython's

    def data_pointer(array: np.ndarray) -> int:
        return int(array.ctypes.data)


class HostCall(NamedTuple):
    """An equation run by the device's own kernel. outputs: the entries of the table for its results."""

    equation: Equation
    inputs: list[tuple[Operand, Located]]
    outputs: list[int]


class Layout(NamedTuple):
    """What runs, programs and host calls in turn, and the bytes of its arena, with workspaces for so many threads."""

    segments: Sequence[Any]
    arena: int
    threads: int


class Output(NamedTuple):
    """Entry ``base`` of the table holds an array of ``aval``; ``view``: the part of it that is the output."""

    base: int
    aval: Aval
    view: Located | None


class NativeRunner:
    """Runs one graph. Inputs are arrays of the avals that the graph states; outputs are arrays nobody else holds."""

    def __init__(
        self,
        name: str,
        graph: Graph,
        device: Device,
        notes: Sequence[Note],
        build: Build,
        layout: Layout,
        lay: Callable[[int], Layout],
        table: Sequence[tuple[str, Any]],
        outputs: Sequence[Output],
        updates: Mapping[int, int],
        variables: Collection[int],
    ):
        self.name, self.graph, self.device = name, graph, device
        self.notes, self.build = list(notes), build
        self.lock = Lock()  # of the table, and of what it points to
        self._fresh: list[int] = []  # of those that ``repeat`` finds new memory for, unless theirs is free
        self._spare: dict[int, np.ndarray] = {}  # what an output was written to before, when it was held elsewhere
        self._forgotten: list[int] = []  # entries of outputs that are not held between calls
        self._arrays: list[Any] = [None] * len(table)  # what each entry of the table points to
        self._table = pointers([0] * len(table))
        self._address = ctypes.addressof(self._table)
        self._lay = lay
        self._use(layout)
        self._inputs: list[tuple[int, int]] = []
        for base, (kind, what) in enumerate(table):
            if kind == "constant":
                self._set(base, what)
            elif kind == "input":
                self._inputs.append((base, what))
        self._outputs = list(outputs)
        self._made = sorted({o.base for o in outputs if table[o.base][0] == "output"})
        self._avals = {o.base: o.aval for o in outputs}
        self._kinds = {base: (aval.shape, aval.dtype) for base, aval in self._avals.items()}
        early = _early(self.segments)
        updates = {k: i for k, i in updates.items() if outputs[k].base not in early}
        self.in_place = frozenset(updates)
        self._keepable = frozenset(self._made) - early
        self._updated = {outputs[k].base: i for k, i in updates.items()}
        self._base_of = {i: base for base, i in self._inputs}
        self._updates_of = {self._base_of[i]: base for base, i in self._updated.items()}
        # What variables hold is not kept alive here, neither what they held before a call nor what they hold since: so
        # others can tell that they may update it in place.
        self._loose: dict[int, Any] = {self._base_of[i]: None for i in variables}

    def _set(self, base: int, array: np.ndarray) -> None:
        self._arrays[base] = array
        self._table[base] = data_pointer(array)

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        with self.lock:
            self._prepare(inputs)
            self._run()
            results = [self._result(o) for o in self._outputs]
            for base in self._forgotten:
                self._arrays[base] = None
            if self._updated:
                self._let_go(self._updated)
            return results

    def keeps(self, k: int) -> bool:
        """Whether output k is an array of its own that may be written where the last run left it: when it is written,
        nothing that comes after can fail.
        """
        output = self._outputs[k]
        return output.base in self._keepable and output.view is None

    def place(self, k: int) -> int:
        """Equal for outputs that are the same memory, or parts of it."""
        return self._outputs[k].base

    def settle(self, kept: Collection[int]) -> None:
        """Outputs ``kept`` stay where they are in each ``repeat``, and those among them that replace inputs are read
        where they lie.
        """
        self._lie_in_place(self._updated.items())
        places = {self._outputs[k].base for k in kept}
        self._fresh = [base for base in self._made if base not in places]
        self._spare = {base: array for base, array in self._spare.items() if base not in places}

    def repeat(self, given: Sequence[tuple[int, np.ndarray]]) -> None:
        """Run once more on the arrays of the last call, but for those ``given`` as (input, array).

        The caller has the lock, has called ``settle``, and knows that nobody else holds what is kept.
        """
        for base in self._fresh:
            if sys.getrefcount(self._arrays[base]) > ALONE:
                self._renew(base)
        for i, array in given:
            self._give(self._base_of[i], array)
        self._run()

    def forget(self, outputs: Collection[int]) -> None:
        """Hold these outputs no longer than a call: their memory is free when those who were given them let go."""
        self._forgotten = [base for base in self._made if any(self._outputs[k].base == base for k in outputs)]

    def part(self, outputs: Iterable[int]) -> bool:
        """Before ``repeat``: these outputs are written to other memory, since somebody holds what is there: True."""
        for k in outputs:
            base = self._outputs[k].base
            if base in self._updated:  # the input stays where it is
                self._arrays[self._base_of[self._updated[base]]] = self._held(base)
            self._renew(base)
        return True

    def join(self, outputs: Iterable[int]) -> None:
        """After it, when variables have these outputs: where they replace inputs, the next run reads them there."""
        bases = [base for base in (self._outputs[k].base for k in outputs) if base in self._updated]
        self._lie_in_place((base, self._updated[base]) for base in bases)
        self._let_go(bases)

    def output(self, k: int) -> np.ndarray:
        """Output k of the last run."""
        return self._result(self._outputs[k])

    def input(self, i: int) -> np.ndarray | None:
        """The array that the next run will read; None if it is gone."""
        return self._held(self._base_of[i])

    def _use(self, layout: Layout) -> None:
        self._version = TEAM.version
        self.segments, self.arena, self._threads = layout
        self._set(0, _aligned(self.arena))

    def _fit(self) -> None:
        """Have workspaces for the whole team, which may have grown."""
        if TEAM.size > self._threads:
            self._use(self._lay(TEAM.size))
        self._version = TEAM.version

    def _run(self) -> None:
        if self._version != TEAM.version:
            self._fit()
        for segment in self.segments:
            if type(segment) is Program:
                code = segment.run(self._address)
                if code:
                    raise failure(code)
            else:
                self._host(segment)

    def _renew(self, base: int) -> None:
        """Have the output written to other memory, which nobody else holds."""
        held, free = self._arrays[base], base in self._spare and sys.getrefcount(self._spare[base]) <= ALONE
        self._set(base, self._spare[base] if free else np.empty(*self._kinds[base]))
        if held is not None:
            self._spare[base] = held

    def _give(self, base: int, array: np.ndarray) -> None:
        if base in self._loose and array.flags.c_contiguous:
            self._loose[base] = ref(array)
            self._arrays[base] = None
            self._table[base] = data_pointer(array)
        elif array is not self._arrays[base]:
            if base in self._loose:
                self._loose[base] = None
            self._set(base, array if array.flags.c_contiguous else np.ascontiguousarray(array))

    def _prepare(self, inputs: Sequence[np.ndarray]) -> None:
        arrays = self._arrays
        for base in self._made:
            i = self._updated.get(base)
            if i is None:
                mine = arrays[base] is not None and sys.getrefcount(arrays[base]) <= ALONE
            else:  # the variable has it, besides the list of inputs
                mine = sys.getrefcount(inputs[i]) <= ALONE + 1 and _is_fit(inputs[i], self._avals[base])
                if mine:
                    self._set(base, inputs[i])
            if not mine:
                self._renew(base)
        loose = self._loose
        for base, i in self._inputs:
            array, known = inputs[i], loose.get(base)
            if known is None or known() is not array or arrays[base] is not None:  # not what the last call was given
                self._give(base, array)
        if self._updated:
            self._lie_in_place((base, i) for base, i in self._updated.items() if inputs[i] is arrays[base])

    def _lie_in_place(self, updated: Iterable[tuple[int, int]]) -> None:
        """Of (output, input): the input lies where the output does.

        Only the output's entry refers to such an array, so that it can be counted who else does.
        """
        for base, i in updated:
            own = self._base_of[i]
            self._arrays[own] = self._loose[own] = None
            self._table[own] = self._table[base]

    def _let_go(self, bases: Iterable[int]) -> None:
        """The variables have these outputs."""
        for base in bases:
            array = self._arrays[base]
            if array is not None:
                self._loose[base] = ref(array)
                self._arrays[base] = None

    def _host(self, call: HostCall) -> None:
        tensors = [Tensor(self._view(operand, located), self.device) for operand, located in call.inputs]
        with context.scope(interpreter=EAGER, recording=False, tape=None, observer=None):
            y = EAGER.run(call.equation.primitive, tensors, call.equation.params)
        for base, tensor in zip(call.outputs, y if type(y) is tuple else (y,), strict=True):
            array = tensor.data
            if not array.flags.c_contiguous or any(np.may_share_memory(array, x.data) for x in tensors):
                array = array.copy()  # a part of an operand would change with its memory, which others will use
            kept = self._arrays[base]
            if base in self._avals and kept is not None and kept.shape == array.shape:
                np.copyto(kept, array)
            else:
                self._set(base, array)

    def _view(self, operand: Operand, located: Located) -> np.ndarray:
        """The array that a host call is given, without a copy."""
        held = self._held(operand.base)
        flat = held.reshape(-1).view(np.uint8)[operand.offset : operand.offset + operand.bytes]
        return _strided(flat.view(located.dtype), located)

    def _held(self, base: int) -> Any:
        """The array that an entry points to; None if it is gone."""
        array = self._arrays[base]
        if array is None and self._loose.get(base) is not None:
            return self._loose[base]()
        return self._held(self._updates_of[base]) if array is None and base in self._updates_of else array

    def _result(self, output: Output) -> np.ndarray:
        array = self._held(output.base)
        return array if output.view is None else _strided(array.reshape(-1), output.view)

    def source(self, kernel: str | None = None, *, assembly: bool = False) -> str:
        """Every step with its operands and its code, as LLVM IR or assembly; of one kernel, if it is named."""
        return listing(self.segments, self.notes, kernel, assembly)

    @property
    def host_calls(self) -> list[str]:
        """The primitives that the device's own kernels run."""
        return [s.equation.primitive.name for s in self.segments if isinstance(s, HostCall)]

    def parts(self) -> list[Part]:
        """Each step's name, and what it computes."""
        names = step_names(self.segments)
        return [Part(name, note.origins, note.writes) for name, note in zip(names, self.notes, strict=True)]

    def report(self, present: Mapping[int, np.ndarray] | None = None) -> Report | None:
        """From the fastest of a few more runs over what the last one left; what is written are copies.

        present: arrays for inputs, where those of the last run are gone.
        """
        with self.lock:
            inputs = {base: self._held(base) for base, _ in self._inputs}
            for base, i in self._inputs:
                if inputs[base] is None and present is not None:
                    inputs[base] = present.get(i)
            written = {base: self._held(base) for base in self._made if base not in self._forgotten}
            for base, i in self._updated.items():
                if base in written and written[base] is None:
                    written[base] = inputs[self._base_of[i]]
            if any(x is None for x in (*inputs.values(), *written.values())):
                return None
            self._fit()
            with self._aside(inputs, written):
                end = perf_counter() + REPORTS_FOR
                runs = [(self._timed(self._run), self._profiled())]
                while len(runs) < REPORT_RUNS and perf_counter() < end:
                    runs.append((self._timed(self._run), self._profiled()))
        seconds = min(whole for whole, _ in runs)
        rows = min((rows for _, rows in runs), key=lambda rows: sum(row.seconds for row in rows))
        threads = max((s.size for s in self.segments if isinstance(s, Program)), default=1)
        return Report(self.name, rows, seconds, arena=self.arena, threads=threads, peak=peak(threads), build=self.build)

    @contextmanager
    def _aside(self, inputs: Mapping[int, np.ndarray], written: Mapping[int, np.ndarray]) -> Iterator[None]:
        """Have outputs written to copies, also those that take the place of inputs: nobody sees these runs."""
        arrays, table = list(self._arrays), list(self._table)
        copies = {id(array): array.copy() for array in written.values()}
        try:
            for base in self._made:
                aval = self._avals[base]
                self._set(base, copies[id(written[base])] if base in written else np.empty(*aval))
            for base, array in inputs.items():
                self._set(base, copies.get(id(array), np.asarray(array, order="C")))
            yield
        finally:
            self._arrays[:] = arrays
            self._table[:] = table

    def _profiled(self) -> list[KernelReport]:
        """One run in which each kernel is waited for and timed."""
        rows: list[KernelReport] = []
        notes = iter(self.notes)
        for segment in self.segments:
            if isinstance(segment, Program):
                times = segment.profile(self._address)
                rows += [_row(call, next(notes), each) for call, each in zip(segment.calls, times, strict=True)]
            else:
                rows.append(_row(segment, next(notes), self._timed(partial(self._host, segment))))
        return rows

    def _timed(self, run: Callable[[], Any]) -> float:
        start = perf_counter()
        run()
        return perf_counter() - start


def _is_fit(array: np.ndarray, aval: Aval) -> bool:
    """Whether an output may be written there, if nobody else has the array: its memory is its own."""
    flags = array.flags
    return bool(flags.carray and flags.owndata) and array.shape == aval.shape and array.dtype == aval.dtype


def _early(segments: Sequence[Any]) -> set[int]:
    """The entries of the table that are written before, or by, a step that can fail: who sees them would see it."""
    written: set[int] = set()
    early: set[int] = set()
    for segment in segments:
        if isinstance(segment, HostCall):
            written.update(segment.outputs)
            early |= written
            continue
        for call in segment.calls:
            written.update(call.operands[w].base for w in call.writes)
            if call.spec.may_fail:
                early |= written
    return early


def _row(call: Call | HostCall, note: Note, seconds: float) -> KernelReport:
    if isinstance(call, HostCall):
        e = call.equation
        moved = sum(v.aval.size * v.aval.dtype.itemsize for v in (*e.inputs, *e.outputs))
        name = f"host: {e.primitive.name}"
        return KernelReport(name, seconds, moved, 0, note.dtype, note.operations, note.lines, native=False)
    spec = call.spec
    moved = spec.bytes or sum(o.bytes for o in call.operands)
    return KernelReport(spec.name, seconds, moved, spec.flops, note.dtype, note.operations, note.lines)


def _strided(flat: np.ndarray, located: Located) -> np.ndarray:
    strides = tuple(s * located.dtype.itemsize for s in located.strides)
    return np.lib.stride_tricks.as_strided(flat[located.offset :], located.shape, strides)


def _aligned(size: int) -> np.ndarray:
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size]
