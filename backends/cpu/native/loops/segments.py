"""Loop kernels over segments: many arrays of any lengths, one piece of code (see ``compiler/horizontal.py``).

The kernel's one operand is a list of numbers (``lengths_of``): how long each segment is, and where it begins among all.
The addresses of its arrays follow as a list. So neither lengths nor the number of segments are in the code, and threads
share what there is to do wherever segments begin and end.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from llvmlite import ir

from autograd_core.compiler.loops import Load, LoopKernel, Map, Store

from ..emit import I64, POINTER, Kernel, element, i64, loop, smaller
from ..engine import KernelSpec
from ..machine import Machine
from .stages import LANE, ONCE, at_once, lanes_held, levels_of, operations
from .statements import Point, Value

SHARE = 64  # elements: no two threads write to one line of the cache, nor to parts of one vector
HEAD, EACH = 2, 2  # numbers before the segments, and of each


def lengths_of(lengths: Sequence[int]) -> np.ndarray:
    """What the kernel's operand holds: shares in all, segments, and of each the shares before it and its length."""
    shares = [-(-n // SHARE) for n in lengths]
    before = np.concatenate([[0], np.cumsum(shares)])
    each = [number for start, n in zip(before[:-1], lengths, strict=True) for number in (start, n)]
    return np.array([before[-1], len(lengths), *each], np.int64)


def segmented_kernel(kernel: LoopKernel, lengths: Sequence[int], name: str) -> KernelSpec:
    """The code of an elementwise kernel of one dimension, for segments of these lengths.

    Operands: ``lengths_of(lengths)``, and as a list those of the first segment, those of the second, ...
    """
    levels = levels_of(kernel, (), (0,), LANE)

    def emit(builder: Kernel, machine: Machine) -> None:
        _Segments(kernel, levels, builder, machine).emit()

    inside, outside = (
        [p for p, s in enumerate(kernel.body) if isinstance(s, Map) and (levels[p] == LANE) == wanted]
        for wanted in (True, False)
    )
    flops = operations(kernel, inside) * sum(lengths) + operations(kernel, outside) * len(lengths)
    count = len(kernel.operands)
    moved = {s.access: kernel.operands[s.access.operand] for s in kernel.body if isinstance(s, Load | Store)}
    each = sum(dtype.itemsize for access, dtype in moved.items() if access.strides == (1,))
    single = sum(dtype.itemsize for access, dtype in moved.items() if access.strides != (1,))
    return KernelSpec(
        name,
        ("segments", kernel),
        1,
        emit,
        flops=flops,
        bytes=each * sum(lengths) + single * len(lengths),
        listed=count * len(lengths),
    )


class _Segments:
    def __init__(self, kernel: LoopKernel, levels: Sequence[int], builder: Kernel, machine: Machine):
        self.kernel, self.levels, self.b = kernel, levels, builder
        self.work = [p for p, level in enumerate(levels) if level == LANE]
        self.lanes = lanes_held(kernel, levels, machine)
        self.wide = self.lanes * at_once(kernel, self.work, self.lanes)

    def emit(self) -> None:
        b = self.b
        shares, segments = self._number(i64(0)), self._number(i64(1))
        first, last = b.share(shares)
        with loop(b, 0, segments) as segment:
            place = b.add(b.mul(segment, i64(EACH)), i64(HEAD))
            before, length = self._number(place), self._number(b.add(place, i64(1)))
            low = b.sub(first, before)
            low = b.select(b.icmp_signed("<", low, i64(0)), i64(0), low)
            start = b.mul(low, i64(SHARE))
            stop = smaller(b, b.mul(b.sub(last, before), i64(SHARE)), length)
            with b.if_then(b.icmp_signed("<", start, stop)):
                self._part(segment, start, stop)

    def _number(self, place: ir.Value) -> ir.Value:
        return self.b.load(element(self.b, self.b.operands[0], place, I64), typ=I64)

    def _part(self, segment: ir.Value, start: ir.Value, stop: ir.Value) -> None:
        """This thread's part of one segment."""
        b, count = self.b, len(self.kernel.operands)
        first = b.mul(segment, i64(count))
        places = [element(b, b.listed, b.add(first, i64(i)), I64) for i in range(count)]
        pointers = [b.load(place, typ=POINTER) for place in places]
        once = Point(b, pointers, self.kernel.operands, [None])
        known: dict[int, Value] = {}
        for position, level in enumerate(self.levels):
            if level == ONCE:
                known[position] = once.value(self.kernel.body[position], known)
        done = start
        for width in dict.fromkeys((self.wide, self.lanes, 1)):
            until = b.sub(stop, b.urem(b.sub(stop, done), i64(width)))
            with loop(b, done, until, width) as index:
                point = Point(b, pointers, self.kernel.operands, [index], along=0, lanes=width)
                values = dict(known)
                for position in self.work:
                    point.perform(self.kernel.body, position, values)
            done = until
