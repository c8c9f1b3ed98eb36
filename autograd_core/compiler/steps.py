"""What a target runs one after the other: its own kernels, and equations that the device's kernels compute.

A kernel of its own is whatever has ``operands``, the values that it works on, ``writes``, the positions of those
that it writes, and ``overwrites``, the (result, operand) pairs that may be the same memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from .epilogue import FusedUnit
from .fuse import OpaqueUnit
from .horizontal import AnyUnit, SegmentedUnit
from .ir import Equation, Var
from .loops import Access, Load, LoopKernel, Reduce, Store


class Own(Protocol):
    """A kernel of the target's own."""

    @property
    def operands(self) -> tuple[Var, ...]: ...

    @property
    def writes(self) -> tuple[int, ...]: ...

    @property
    def overwrites(self) -> frozenset[tuple[Var, Var]]: ...


class Host(NamedTuple):
    """An equation that the device's ordinary kernel computes."""

    equation: Equation


Step = Own | Host


class Note(NamedTuple):
    """What is known of one step: its operands, which of them are written, the equations that it stems from."""

    reads: tuple[Var, ...]
    writes: tuple[Var, ...]
    origins: tuple[Equation, ...]

    @property
    def dtype(self) -> str:
        """Of most of its arithmetic."""
        size = {np.dtype(t): 0 for t in (np.float32, np.float64)}
        for v in (*self.reads, *self.writes):
            if v.dtype in size:
                size[v.dtype] += v.aval.size
        return max(size, key=size.__getitem__).name

    @property
    def bytes(self) -> int:
        """Read and written, each element once."""
        return sum(v.aval.size * np.dtype(v.dtype).itemsize for v in (*self.reads, *self.writes))

    @property
    def operations(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(e.primitive.name for e in self.origins))

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(e.origin for e in self.origins if e.origin))

    def described(self) -> list[str]:
        """What it reads, writes and computes, a line each."""
        reads, writes = ([str(v.aval) for v in some] for some in (self.reads, self.writes))
        told = ("reads", reads), ("writes", writes), ("computes", self.operations), ("for lines", self.lines)
        return [f"{what} {', '.join(some)}" for what, some in told if some]


def noted_of(step: Step, unit: AnyUnit) -> Note:
    origins: tuple[Equation, ...] = (unit.equation,) if isinstance(unit, OpaqueUnit | FusedUnit) else ()
    origins += () if isinstance(unit, OpaqueUnit) else unit.origins
    return Note(tuple(read(step)), tuple(written(step)), origins)


def written(step: Step) -> Sequence[Var]:
    return step.equation.outputs if isinstance(step, Host) else [step.operands[i] for i in step.writes]


def read(step: Step) -> Sequence[Var]:
    if isinstance(step, Host):
        return step.equation.inputs
    return [v for i, v in enumerate(step.operands) if i not in step.writes]


def overwrites(kernel: LoopKernel, operands: Sequence[Var]) -> frozenset[tuple[Var, Var]]:
    """What such a kernel may write over what it reads: each element is read, once, before it is written."""
    if any(isinstance(s, Reduce) for s in kernel.body):
        return frozenset()  # a stage reads again what an earlier one has read, and threads may share a row
    sizes = kernel.outer + kernel.inner

    def once(access: Access) -> bool:
        return all(stride != 0 for stride, size in zip(access.strides, sizes, strict=True) if size > 1)

    reads, writes = dict[int, set[Access]](), dict[int, set[Access]]()
    last_read, first_write = dict[int, int](), dict[int, int]()
    for position, s in enumerate(kernel.body):
        if isinstance(s, Load):
            reads.setdefault(s.access.operand, set()).add(s.access._replace(operand=0))
            last_read[s.access.operand] = position
        elif isinstance(s, Store):
            writes.setdefault(s.access.operand, set()).add(s.access._replace(operand=0))
            first_write.setdefault(s.access.operand, position)
    return frozenset(
        (operands[w], operands[r])
        for w, written_at in writes.items()
        for r, read_at in reads.items()
        if len(written_at) == 1
        and read_at == written_at
        and all(map(once, written_at))
        and last_read[r] < first_write[w]
    )


def overwrites_of_segments(unit: SegmentedUnit) -> frozenset[tuple[Var, Var]]:
    """The same of a kernel over segments."""
    pairs: list[tuple[Var, Var]] = []
    for s in unit.segments:
        begins = dict(zip(s.operands, s.offsets, strict=True))
        pairs += [(w, r) for w, r in overwrites(unit.kernel, s.operands) if begins[w] == begins[r]]
    # what another segment touches too may not change before that one is done
    touched = Counter(v for s in unit.segments for v in set(s.operands))
    return frozenset(pair for pair in pairs if all(touched[v] == 1 for v in pair))
