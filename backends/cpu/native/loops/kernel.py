"""Loop kernels as LLVM code."""

from __future__ import annotations

from math import prod

from autograd_core.compiler.loops import Accumulate, Load, LoopKernel, Map, Reduce, Store

from ..emit import Kernel
from ..engine import KernelSpec
from ..machine import Machine
from .accumulators import scratch_layout
from .nest import Across, Along, Nest
from .plan import Plan, plan
from .stages import TASK, operations
from .tiles import Tiles


def loop_kernel(kernel: LoopKernel, name: str) -> KernelSpec:
    """The kernel's code. Operands are pointers in the order of ``kernel.operands``.

    A kernel that reduces may write to no array that it reads under the name of another operand: it may read twice.
    """
    planned = plan(kernel)
    nests: dict[str, type[Nest]] = {"across": Across, "tiles": Tiles}

    def emit(builder: Kernel, machine: Machine) -> None:
        nests.get(planned.shape, Along)(planned, builder, machine).emit()

    part = scratch_layout(planned)[1]
    return KernelSpec(
        name,
        kernel,
        len(kernel.operands),
        emit,
        part * planned.threads,
        _flops(planned),
        _bytes_moved(kernel),
        parts=planned.threads,
        part=part,
    )


def _flops(planned: Plan) -> int:
    """Operations on numbers, those outside the loops that they do not vary in counted once; a function is several."""
    body, levels = planned.kernel.body, planned.levels
    inside = [p for p, s in enumerate(body) if isinstance(s, Map) and levels[p] > TASK]
    inside += [p for p, s in enumerate(body) if isinstance(s, Reduce | Accumulate)]
    outside = [p for p, s in enumerate(body) if isinstance(s, Map) and levels[p] == TASK]
    rows = prod(planned.kernel.outer)
    return operations(planned.kernel, inside) * prod(planned.sizes) + operations(planned.kernel, outside) * rows


def _bytes_moved(kernel: LoopKernel) -> int:
    """What is read and written, each element once."""
    sizes, moved = kernel.outer + kernel.inner, set()
    for s in kernel.body:
        if isinstance(s, Load | Store | Accumulate):
            reached = prod(size for size, stride in zip(sizes, s.access.strides, strict=True) if stride)
            moved.add((isinstance(s, Load), s.access, reached * kernel.operands[s.access.operand].itemsize))
    return sum(size for *_, size in moved)
