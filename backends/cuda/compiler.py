"""From a captured graph to what runs on a GPU: units, storage, launches.

    simplify -> expand -> schedule (loop kernels, opaque equations, views) -> storage -> steps -> CapturedRunner

A loop kernel becomes CUDA C, and so do random draws and elementwise kernels over many arrays. Matrix products are
cuBLASLt's, convolutions cuDNN's or kernels of ours, attention and recurrent layers kernels of ours; all are written
where their results are to lie. What is left the device's ordinary kernels compute: a ``kernel call``, enqueued like the
rest, whose result is copied to its place. Not yet run on hardware.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from math import prod
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from autograd_core.aval import Aval
from autograd_core.backend import Device
from autograd_core.compiler.capture import trace
from autograd_core.compiler.expand import expand
from autograd_core.compiler.fuse import LoopUnit, View, schedule
from autograd_core.compiler.horizontal import AnyUnit, SegmentedUnit, joined_across
from autograd_core.compiler.ir import Equation, Graph, Var
from autograd_core.compiler.loops import Accumulate, LoopKernel, Map, Reduce
from autograd_core.compiler.simplify import simplify
from autograd_core.compiler.space import row_major
from autograd_core.compiler.steps import Host, noted_of, overwrites_of_segments, written
from autograd_core.compiler.storage import Storage
from autograd_core.ops._elements import take_p
from autograd_core.ops.arithmetic import power_p
from autograd_core.ops.casting import transfer_p
from autograd_core.ops.convolution import convolution_p
from autograd_core.ops.linear_algebra import matmul_p
from autograd_core.ops.pooling import avg_pool_p, avg_spread_p, max_pool_p
from autograd_core.ops.recurrent import lstm_p
from autograd_core.primitive import Primitive

from .attention_kernels import ATTENTION, attends
from .attention_kernels import step_of as attention_step
from .attention_kernels import takes_view as attention_takes_view
from .attention_places import with_places
from .branches import place
from .convolution_kernels import step_of
from .cudnn_convolutions import KINDS, CudnnStep
from .indexing_steps import PRIMITIVES as INDEXING
from .indexing_steps import IndexingStep
from .indexing_steps import takes_view as indexing_takes_view
from .native import Source, loop_kernel, random_draw, segments
from .product_fusion import ProductUnit, with_products
from .product_steps import PRODUCTS, PlannedProduct, Product
from .product_steps import step_of as product_step
from .recurrent_graphs import with_launches
from .recurrent_steps import STEPS as RECURRENT
from .recurrent_steps import RecurrentStep
from .recurrent_steps import step_of as recurrent_step
from .recurrent_steps import takes_view as recurrent_takes_view
from .runner import CapturedRunner
from .steps import Plan
from .tensor_core_steps import RenderedStep, usable

log = logging.getLogger("autograd_core.compile")
MULTIPLE = 256  # bytes: what places in the arena, and workspaces, begin at multiples of
FUSED = (
    power_p,
    transfer_p,
    max_pool_p,
    avg_pool_p,
    avg_spread_p,
)  # they have kernels, but run better as part of loops


class Generated(NamedTuple):
    """CUDA C and the values it works on. segments: of a kernel over many arrays, whose one argument is their table."""

    source: Source
    operands: tuple[Var, ...]
    writes: tuple[int, ...]
    overwrites: frozenset[tuple[Var, Var]] = frozenset()
    segments: SegmentedUnit | None = None
    flops: int = 0

    @property
    def name(self) -> str:
        """As in its code; a kernel of several launches has numbers behind it there."""
        return _entry_name(self)


AnyStep = Generated | Product | PlannedProduct | RenderedStep | CudnnStep | RecurrentStep | IndexingStep | Host


def compile_graph(
    cupy: Any,
    queue: Any,
    kernels: Mapping[Primitive, Callable[..., Any]],
    graph: Graph,
    device: Device,
    name: str,
    updates: Mapping[int, int],
    variables: Collection[int],
) -> CapturedRunner | None:
    """A runner for ``graph``; None where a kernel cannot be rendered. kernels: of the device's own, by primitive.

    The other arguments are those of ``autograd_core.compiler.runner.runner_for``.
    """
    start = perf_counter()

    def on_host(g: Graph) -> Graph:
        return g.replace(constants={v: _host_array(a, device) for v, a in g.constants.items()})

    def tracer(f: Callable[..., Any], avals: Sequence[Aval]) -> Graph:
        return on_host(trace(f, avals, device=device))

    has_tensor_cores = usable(cupy, device.index)

    def is_native(e: Equation) -> bool:
        if e.primitive in ATTENTION:  # its composed form is better than a kernel call
            return has_tensor_cores and attends(e)
        has_kernel = e.primitive in kernels and e.primitive not in FUSED
        return has_kernel or e.primitive in PRODUCTS or e.primitive in RECURRENT or _is_draw(e)

    layers: Any = kernels[lstm_p]
    launches = layers.launches(device.index)
    graph = with_launches(simplify(on_host(graph)), launches, tracer)
    graph = simplify(expand(graph, trace=tracer, is_native=is_native))
    graph = with_places(graph, [e for e in graph.equations if has_tensor_cores and attends(e)])
    fused = schedule(graph, trace=tracer, is_native=is_native, takes_view=_takes_view, halves=True)
    storage = Storage(graph, fused.views, {}, multiple=MULTIPLE)
    replaced = {graph.outputs[k]: graph.inputs[i] for k, i in updates.items()}
    try:
        convolutions: Any = kernels[convolution_p]
        multiply: Any = kernels[matmul_p]
        with queue:
            planned = partial(product_step, storage=storage, products=multiply.products(device.index))
            taken = with_products(fused, graph, lambda chain: all(planned(*u.asked) is not None for u in chain))
            units = joined_across(taken, fused.views, replaced)
            on_tensor_cores = (partial(attention_step, storage=storage), step_of) if has_tensor_cores else ()
            library = partial(convolutions.cudnn.step, device.index)  # computes the convolutions that it can
            indexing: Any = kernels[take_p]
            indexed = partial(indexing.step, storage=storage, looked={})
            makers = (library, *on_tensor_cores, partial(recurrent_step, launches=launches, storage=storage), indexed)
            steps = [_step(unit, planned, makers) for unit in units]
    except (TypeError, ValueError) as error:
        log.info("%s: not compiled for %s: %s", name, device, error)
        return None
    storage.find_homes()
    early = _early(steps, storage)
    safe = {k: i for k, i in storage.safe_updates(updates, steps).items() if graph.outputs[k] not in early}
    added = {pair for step in steps if isinstance(step, PlannedProduct | RecurrentStep) for pair in step.overwrites}
    notes = [noted_of(step, unit) for step, unit in zip(steps, units, strict=True)]
    same = {storage.root(graph.outputs[k]): graph.inputs[i] for k, i in safe.items()}
    place(storage, steps, notes, [_workspace(step) for step in steps], added, same)
    plan = Plan(graph, steps, notes, storage, safe, frozenset(variables), early)
    return CapturedRunner(cupy, queue, kernels, device, name, plan, started=start)


def _host_array(array: Any, device: Device) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else device.backend.to_numpy(array)


def _takes_view(e: Equation, operand: int, view: View) -> bool:
    """Kernels of ours are told where an array begins, and go through it in order."""
    if e.primitive in ATTENTION:
        return attention_takes_view(e, operand, view)
    if e.primitive in INDEXING:
        return indexing_takes_view(e, operand, view)
    if e.primitive in RECURRENT:
        return recurrent_takes_view(e, operand, view)
    if e.primitive not in KINDS:
        return not _is_draw(e)
    shape = e.inputs[operand].shape
    return view.offset == 0 and prod(shape) == view.base.aval.size and view.strides == row_major(shape)


def _is_draw(e: Equation) -> bool:
    return random_draw(e, "draw") is not None


def _step(
    unit: AnyUnit | ProductUnit,
    planned: Callable[..., PlannedProduct | None],
    makers: Sequence[Callable[[Equation], AnyStep | None]],
) -> AnyStep:
    """planned: products as steps, where cuBLASLt computes them. makers: of other equations as steps, the first that can
    does.
    """
    if isinstance(unit, LoopUnit):
        kernel, operands = unit.kernel, unit.operands
        source = loop_kernel(kernel, _name(kernel))
        pairs = frozenset((operands[w], operands[r]) for w, r in source.shared)
        return Generated(source, tuple(operands), kernel.outputs, pairs, flops=_flops(kernel))
    if isinstance(unit, SegmentedUnit):
        return _segmented(unit)
    e = unit.equation
    if isinstance(unit, ProductUnit):
        product = planned(*unit.asked)
        assert product is not None
        return product
    if e.primitive in PRODUCTS:
        return planned(e) or Product(e, (*e.inputs, e.outputs[0]))
    draw = random_draw(e, e.primitive.name)
    if draw is not None:
        return Generated(draw, (*e.inputs, e.outputs[0]), (len(e.inputs),))
    return next((step for step in (make(e) for make in makers) if step is not None), Host(e))


def _workspace(step: AnyStep) -> int:
    if isinstance(step, Generated):
        return step.source.workspace
    return 0 if isinstance(step, Product | Host) else step.workspace


def _segmented(unit: SegmentedUnit) -> Generated:
    source = segments(unit.kernel, [s.length for s in unit.segments], _name(unit.kernel, "segments"))
    count = len(unit.kernel.operands)
    operands = tuple(v for s in unit.segments for v in s.operands)
    writes = tuple(count * n + i for n in range(len(unit.segments)) for i in unit.kernel.outputs)
    flops = _flops(unit.kernel) * sum(s.length for s in unit.segments)
    return Generated(source, operands, writes, overwrites_of_segments(unit), unit, flops)


def _name(kernel: LoopKernel, kind: str = "loop") -> str:
    kinds = [s.op for s in kernel.body if isinstance(s, Map)]
    kinds += [s.kind for s in kernel.body if isinstance(s, Reduce | Accumulate)]
    told = "_".join(dict.fromkeys(kinds))[:60] or "copy"
    return f"{kind}_{told}"


def _flops(kernel: LoopKernel) -> int:
    """Scalar operations at all points."""
    points = int(np.prod(kernel.outer + kernel.inner, dtype=np.int64))
    return points * sum(isinstance(s, Map | Reduce | Accumulate) for s in kernel.body)


def _entry_name(step: Generated) -> str:
    launches = step.source.launches
    first = launches[0].entry if launches else "nothing"
    return first if len(launches) < 2 else first.rstrip("0123456789").rstrip("_")


def _early(steps: Sequence[Any], storage: Storage) -> frozenset[Var]:
    """What is written before, or by, a step that can raise an error: who sees it would see half a step."""
    last = max((n for n, step in enumerate(steps) if isinstance(step, Host) or _checks(step)), default=-1)
    return frozenset(storage.root(v) for step in steps[: last + 1] for v in written(step))


def _checks(step: Any) -> bool:
    return isinstance(step, IndexingStep) and step.checks
