"""Loop kernels as LLVM code."""

from __future__ import annotations

from math import prod

from autograd_core.compile.loops import Accumulate, Load, LoopKernel, Map, Reduce, Store

from .accumulators import scratch_layout
from .emit import Kernel
from .engine import KernelSpec
from .loop_plan import plan
from .machine import Machine
from .nest import Across, Along, Nest
from .tiles import Tiles


def loop_kernel(kernel: LoopKernel, name: str) -> KernelSpec:
    """The kernel's code. Operands are pointers in the order of ``kernel.operands``.

    A kernel that reduces may write to no array that it reads under the name of another operand: it may read twice.
    """
    planned = plan(kernel)
    nests: dict[str, type[Nest]] = {"across": Across, "tiles": Tiles}

    def emit(builder: Kernel, machine: Machine) -> None:
        nests.get(planned.shape, Along)(planned, builder, machine).emit()

    points = prod(kernel.outer + kernel.inner)
    flops = points * sum(isinstance(s, Map | Reduce | Accumulate) for s in kernel.body)
    scratch = scratch_layout(planned)[1] * planned.threads
    return KernelSpec(name, kernel, len(kernel.operands), emit, scratch, flops, _bytes_moved(kernel))


def _bytes_moved(kernel: LoopKernel) -> int:
    """What is read and written, each element once."""
    sizes, moved = kernel.outer + kernel.inner, set()
    for s in kernel.body:
        if isinstance(s, Load | Store | Accumulate):
            reached = prod(size for size, stride in zip(sizes, s.access.strides, strict=True) if stride)
            moved.add((isinstance(s, Load), s.access, reached * kernel.operands[s.access.operand].itemsize))
    return sum(size for *_, size in moved)
