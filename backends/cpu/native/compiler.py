"""From a captured graph to something that runs: units, storage, programs.

    simplify -> schedule (loop kernels, opaque equations, views) -> layouts -> storage -> programs and host calls
        -> NativeRunner

A value that is a view of another has no memory of its own. Every other value has a home: an array of the caller's (an
input), one that the runner hands out (an output), a constant, or a place in the runner's arena. What has no native
kernel is computed by the device's ordinary kernel, a ``host call``, between two programs; the report names each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from autograd_core.aval import Aval
from autograd_core.backend import Device
from autograd_core.compiler.capture import trace
from autograd_core.compiler.epilogue import FusedUnit, with_epilogues
from autograd_core.compiler.expand import expand
from autograd_core.compiler.fuse import LoopUnit, schedule
from autograd_core.compiler.horizontal import AnyUnit, SegmentedUnit, joined_across
from autograd_core.compiler.ir import Equation, Graph, Var
from autograd_core.compiler.layout import with_layouts
from autograd_core.compiler.loops import Access, Accumulate, Load, LoopKernel, Map, Reduce, Store
from autograd_core.compiler.maxima import in_windows
from autograd_core.compiler.report import Build
from autograd_core.compiler.simplify import simplify
from autograd_core.compiler.space import row_major
from autograd_core.compiler.steps import Host, Note, noted_of, overwrites, overwrites_of_segments
from autograd_core.compiler.storage import ARENA, Located, Operand, Storage

from .epilogues import fusion_of, is_convolution, pays, product_with_epilogue, sizes_of
from .images import images_of
from .indexing.gather import checked
from .loops.kernel import loop_kernel
from .loops.segments import lengths_of, segmented_kernel
from .lowerings import Copies, Lowering, is_native, lower, lower_convolution
from .program import Call, Program, assemble, is_serial, is_short
from .runner import HostCall, Layout, NativeRunner, Output
from .team import TEAM


class Native(NamedTuple):
    """One kernel and the values it works on, in the order of its operands. writes: which of them it writes.

    spans: the first byte and the number of bytes of each operand, for a kernel that is not told where views begin.
    """

    spec: Any
    operands: tuple[Var, ...]
    writes: tuple[int, ...]
    overwrites: frozenset[tuple[Var, Var]] = frozenset()  # (result, operand) that may be the same memory
    spans: tuple[tuple[int, int], ...] = ()


def compile_graph(
    graph: Graph, device: Device, name: str, updates: Mapping[int, int], variables: Collection[int]
) -> NativeRunner:
    """A runner for ``graph``; arguments as for ``autograd_core.compiler.runner.runner_for``."""
    start = perf_counter()
    tracer = partial(trace, device=device)
    graph = simplify(in_windows(expand(simplify(graph), trace=tracer, is_native=is_native)))
    fused = with_layouts(schedule(graph, trace=tracer, is_native=is_native), graph, images_of)
    storage = Storage(graph, fused.views, fused.layouts)
    replaced = {graph.outputs[k]: graph.inputs[i] for k, i in updates.items()}

    def accepts(unit: FusedUnit, sums: LoopUnit | None) -> bool:
        # a product may keep partial sums where its result goes: that cannot be the memory of a value that it reads
        read = set(map(storage.root, unit.inputs))
        return all(replaced.get(v) not in read for v in unit.outputs) and pays(unit, sums)

    units = joined_across(with_epilogues(fused, graph, sizes_of, accepts), fused.views, replaced)
    noted = [(step, noted_of(step, unit)) for unit in units for step in _lowered(unit, storage)]
    steps = _failing_once(noted)
    storage.find_homes([v for step in steps if isinstance(step, Host) for v in step.equation.outputs])
    safe = storage.safe_updates(updates, steps)
    aliases = {
        _require(storage.base(graph.outputs[k])): _require(storage.base(graph.inputs[i])) for k, i in safe.items()
    }

    def lay(threads: int) -> Layout:
        runs = _runs(steps)
        storage.place(steps, [size for run in runs for size in _workspaces(run, storage, threads)])
        return Layout([_segment(run, storage, aliases, threads) for run in runs], storage.arena, threads)

    layout = lay(TEAM.size)
    codes = [s.code for s in layout.segments if isinstance(s, Program)]
    kernels, cached = sum(c.objects for c in codes), sum(c.cached for c in codes)
    return NativeRunner(
        name=name,
        graph=graph,
        device=device,
        notes=[note for _, note in noted],
        build=Build(perf_counter() - start, kernels, cached),
        layout=layout,
        lay=lay,
        table=storage.table,
        outputs=[_output(v, storage) for v in graph.outputs],
        updates=safe,
        variables=variables,
    )


def _failing_once(noted: Sequence[tuple[Native | Host, Note]]) -> list[Native | Host]:
    """The steps, of which only the first to look at some indices can fail by them: after it, no other one runs."""
    steps, known = list[Native | Host](), set[tuple[Var, int]]()
    for step, note in noted:
        if isinstance(step, Native) and step.spec.may_fail:
            looked_at = checked(note.origins[0])
            if looked_at in known:
                step = step._replace(spec=step.spec._replace(may_fail=False))
            elif looked_at is not None:
                known.add(looked_at)
        steps.append(step)
    return steps


# ----------------------------------------------------------------------------------------------- kernels


def _lowered(unit: AnyUnit, storage: Storage) -> Iterable[Native | Host]:
    if isinstance(unit, LoopUnit):
        return [_loop(unit.kernel, unit.operands)]
    if isinstance(unit, SegmentedUnit):
        return [_segments(unit, storage)]
    if isinstance(unit, FusedUnit) and is_convolution(unit.equation):
        return _opaque(unit.equation, storage, unit.outputs, partial(lower_convolution, fusion=fusion_of(unit)))
    if isinstance(unit, FusedUnit):
        return [_with_epilogue(unit, storage)]
    return _opaque(unit.equation, storage)


def _loop(kernel: LoopKernel, operands: Sequence[Var]) -> Native:
    spec = loop_kernel(kernel, _name(kernel))
    return Native(spec, tuple(operands), kernel.outputs, overwrites(kernel, operands))


def _segments(unit: SegmentedUnit, storage: Storage) -> Native:
    lengths = lengths_of([s.length for s in unit.segments])
    told = Var(Aval(lengths.shape, lengths.dtype))
    storage.constant(told, lengths)
    operands, spans, writes = [told], [(0, lengths.nbytes)], list[int]()
    for s in unit.segments:
        writes += [len(operands) + i for i in unit.kernel.outputs]
        operands += s.operands
        spans += map(partial(_span, s.length), unit.kernel.operands, s.offsets, unit.wholes)
    spec = segmented_kernel(unit.kernel, [s.length for s in unit.segments], _name(unit.kernel, "segments"))
    return Native(spec, tuple(operands), tuple(writes), overwrites_of_segments(unit), tuple(spans))


def _span(length: int, dtype: np.dtype, offset: int, is_array: bool) -> tuple[int, int]:
    return offset * dtype.itemsize, (length if is_array else 1) * dtype.itemsize


def _with_epilogue(unit: FusedUnit, storage: Storage) -> Native:
    inputs = unit.equation.inputs
    spec, order = product_with_epilogue(unit, [storage.located(v) for v in inputs])
    operands = (*inputs, *(unit.operands[i] for i in order))
    return Native(spec, operands, tuple(len(inputs) + order.index(i) for i in unit.kernel.outputs))


def _name(kernel: LoopKernel, kind: str = "loop") -> str:
    kinds = [s.op for s in kernel.body if isinstance(s, Map)]
    kinds += [s.kind for s in kernel.body if isinstance(s, Reduce | Accumulate)]
    told = "_".join(dict.fromkeys(kinds))[:60] or "copy"
    return f"{kind}_{told}"


def _opaque(
    equation: Equation, storage: Storage, results: Sequence[Var] = (), lowering: Lowering = lower
) -> Iterable[Native | Host]:
    """The equation's kernel, and copies of operands that do not lie well. results: what is left, if not its outputs."""
    inputs, outputs = list(equation.inputs), [storage.located(v) for v in equation.outputs]
    results = results or equation.outputs
    steps: list[Native | Host] = []
    found = lowering(equation, [storage.located(v) for v in inputs], outputs)
    if isinstance(found, Copies):
        for i in found.inputs:
            copy = Var(inputs[i].aval)
            steps.append(_copy(inputs[i], copy, storage.located(inputs[i])))
            inputs[i] = copy
        found = lowering(equation, [storage.located(v) for v in inputs], outputs)
    if found is None or isinstance(found, Copies):
        if not all(x.contiguous for x in outputs):
            raise AssertionError(f"no kernel writes the results of {equation!r} where they lie")
        return [Host(equation)]
    operands = tuple((results if is_output else inputs)[i] for is_output, i in found.operands)
    writes = tuple(p for p, (is_output, _) in enumerate(found.operands) if is_output)
    return [*steps, Native(found.spec, operands, writes)]


def _copy(source: Var, target: Var, located: Located) -> Native:
    """The elements of a view, put together."""
    dtype = np.dtype(source.dtype)
    load = Load(Access(0, located.strides, located.offset), dtype)
    store = Store(Access(1, row_major(source.shape)), 0)
    kernel = LoopKernel(source.shape[:-1], source.shape[-1:], (load, store), (dtype, dtype), (1,))
    return _loop(kernel, (source, target))


# ------------------------------------------------------------------------------------ programs and host calls


def _runs(steps: Sequence[Native | Host]) -> list[list[tuple[int, Native | Host]]]:
    """Steps with their positions, native ones that follow one another together."""
    runs: list[list[tuple[int, Native | Host]]] = []
    for i, step in enumerate(steps):
        if runs and isinstance(step, Native) and isinstance(runs[-1][0][1], Native):
            runs[-1].append((i, step))
        else:
            runs.append([(i, step)])
    return runs


def _segment(
    run: Sequence[tuple[int, Native | Host]], storage: Storage, aliases: Mapping[int, int], threads: int
) -> Program | HostCall:
    first = run[0][1]
    if isinstance(first, Host):
        e = first.equation
        inputs = [(storage.operand(v, start=True), storage.located(v)) for v in e.inputs]
        return HostCall(e, inputs, [_require(storage.base(v)) for v in e.outputs])
    calls = []
    for call, (i, _), size in zip(_calls(run, storage), run, _workspaces(run, storage, threads), strict=True):
        place = storage.scratch[i]
        calls.append(call if place is None else call._replace(scratch=Operand(ARENA, place, size)))
    return assemble(calls, threads=threads, aliases=aliases)


def _workspaces(run: Sequence[tuple[int, Native | Host]], storage: Storage, threads: int) -> list[int]:
    """How many bytes each step needs: some run on one thread, whatever the team."""
    if isinstance(run[0][1], Host):
        return [0]
    calls = _calls(run, storage)
    alone = is_short(calls)
    return [call.spec.workspace(1 if alone or is_serial(call) else threads) for call in calls]


def _calls(run: Sequence[tuple[int, Native | Host]], storage: Storage) -> list[Call]:
    """The steps with their operands where they lie as far as is known, without workspace."""
    calls = []
    for _, step in run:
        assert isinstance(step, Native)
        starts = isinstance(step.spec.key, tuple) and _knows_places(step)
        operands = tuple(storage.operand(v, start=starts) for v in step.operands)
        if step.spans:
            spans = zip(operands, step.spans, strict=True)
            operands = tuple(o._replace(offset=o.offset + first, bytes=size) for o, (first, size) in spans)
        calls.append(Call(step.spec, operands, step.writes))
    return calls


def _knows_places(step: Native) -> bool:
    """Kernels of loops address views from the start of the array that holds them."""
    return step.spec.name.startswith(("loop_", "segments_"))


def _require(base: int | None) -> int:
    if base is None:
        raise AssertionError("a host call's result has no home")
    return base


def _output(v: Var, storage: Storage) -> Output:
    root, located = storage.root(v), storage.located(v)
    return Output(_require(storage.base(root)), root.aval, None if v is root else located)
