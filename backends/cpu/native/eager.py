"""Single primitives run eagerly by the kernels of compiled functions.

For operands of given shapes, dtypes and strides, and given parameters, a program of one kernel is made once, from the
disk cache if another process has made it before. The ordinary kernels ask for it where it pays, which depends on
nothing else, so that the same call always gives the same bits, and compute what is refused themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from threading import local
from typing import Any, NamedTuple

import numpy as np

from autograd_core.aval import Aval
from autograd_core.compiler.ir import Equation, Var
from autograd_core.compiler.space import row_major
from autograd_core.errors import CompileError
from autograd_core.ops._windows import Windows
from autograd_core.ops.convolution import convolution_weight_p
from autograd_core.primitive import Primitive

from .convolution.image_layout import Layout
from .convolution.weight import convolution_weight
from .engine import KernelSpec
from .located import Copies, Located, Lowered
from .lowerings import LOWERINGS, convolution_lowering
from .program import Call, Operand, Program, assemble, pointers
from .runner import data_pointer

PROGRAMS = 1024  # kept; who needs another one loses the one that has waited longest
WORKSPACE_KEPT = 64 << 20  # bytes that a thread keeps from call to call
ALIGNMENT = 64

# Floating-point operations from which on a call is worth a program. To make one takes 30 to 100 milliseconds, to load
# it from disk three; from here on a call saves a fiftieth to a third of a millisecond, larger ones more. Products,
# which the ordinary kernel does well, save least; recurrent layers and attention, which NumPy does step by step, most.
PRODUCT, CONVOLUTION, SEQUENCE = 1 << 25, 1 << 24, 1 << 22

PARTS, FEW_PARTS = 4, 2  # of a weight's gradient, each with sums of its own
LONG_SUMS = 1 << 16  # weights whose sums are too many for the cache if there are many parts

Place = tuple[tuple[int, ...], tuple[int, ...], np.dtype]  # an array's shape, strides in bytes, and dtype


def run(primitive: Primitive, arrays: Sequence[np.ndarray], params: dict[str, Any]) -> Any:
    """What ``primitive`` gives, computed by its native kernel; None if there is none for such operands."""
    step = prepared(primitive, tuple([(x.shape, x.strides, x.dtype) for x in arrays]), tuple(params.items()))
    return None if step is None else step(arrays)


class Step(NamedTuple):
    """A program of one kernel, and where its operands are found.

    copied: the inputs that must lie without gaps and do not. operands: (False, i) is input i, (True, i) output i.
    outputs: their shapes and dtypes; ``several``: whether the primitive answers a tuple.
    """

    program: Program
    table: Any  # the type of the program's table
    operands: tuple[tuple[bool, int], ...]
    copied: tuple[int, ...]
    outputs: tuple[tuple[tuple[int, ...], np.dtype], ...]
    several: bool
    scratch: int

    def __call__(self, arrays: Sequence[np.ndarray]) -> Any:
        given = list(arrays)
        for i in self.copied:
            given[i] = np.array(given[i], order="C")
        results = [np.empty(shape, dtype) for shape, dtype in self.outputs]
        workspace, start = _workspace(self.scratch)
        held = [results[i] if is_output else given[i] for is_output, i in self.operands]
        code = self.program.run(self.table(start, *map(data_pointer, held)))
        del workspace  # not before: the kernel writes there
        if code:
            raise CompileError(f"a compiled kernel found values that it cannot use (code {code})")
        return tuple(results) if self.several else results[0]


@lru_cache(maxsize=PROGRAMS)
def prepared(primitive: Primitive, places: tuple[Place, ...], params: tuple[tuple[str, Any], ...]) -> Step | None:
    """The step for such operands; None if no kernel is for them."""
    avals = [Aval(shape, dtype) for shape, _, dtype in places]
    if len({dtype for _, _, dtype in places if dtype.kind == "f"}) > 1:
        return None
    declared = primitive.output_aval(*avals, **dict(params))
    results = declared if type(declared) is tuple else (declared,)
    equation = Equation(primitive, [Var(a) for a in avals], dict(params), [Var(a) for a in results])
    outputs = [Located(a.shape, np.dtype(a.dtype), row_major(a.shape)) for a in results]
    found, copied = _lowered(equation, places, outputs)
    if found is None:
        return None
    spec = found.spec
    sizes = [
        a.size * np.dtype(a.dtype).itemsize
        for a in ((results if is_output else avals)[i] for is_output, i in found.operands)
    ]
    operands = tuple(Operand(1 + position, 0, size) for position, size in enumerate(sizes))
    writes = tuple(position for position, (is_output, _) in enumerate(found.operands) if is_output)
    program = assemble([Call(spec, operands, writes, Operand(0, 0, spec.scratch) if spec.scratch else None)])
    return Step(
        program,
        type(pointers([0] * (1 + len(operands)))),
        found.operands,
        copied,
        tuple((a.shape, np.dtype(a.dtype)) for a in results),
        type(declared) is tuple,
        spec.scratch,
    )


def _lowered(
    equation: Equation, places: Sequence[Place], outputs: Sequence[Located]
) -> tuple[Lowered | None, tuple[int, ...]]:
    """The kernel, and the inputs that must be copied for it."""
    lowering = LOWERINGS[equation.primitive]
    if equation.primitive is convolution_weight_p:
        lowering = convolution_lowering(_weight_gradient, "x_layout", "g_layout", None)
    unfit = {i for i, place in enumerate(places) if not _regular(place)}
    for _ in range(2):
        inputs = [_located(place, copied=i in unfit) for i, place in enumerate(places)]
        found = lowering(equation, inputs, outputs)
        if not isinstance(found, Copies):
            return found, tuple(sorted(unfit))
        unfit.update(found.inputs)
    return None, ()


def _weight_gradient(
    dtype: np.dtype,
    n: int,
    c_in: int,
    c_out: int,
    windows: Windows,
    groups: int,
    *,
    x_layout: Layout,
    g_layout: Layout,
) -> KernelSpec:
    """In so many parts as the shapes tell, not as many as there are threads: the bits depend on the parts."""
    weights = c_out * (c_in // groups) * windows.taps
    parts = PARTS if weights <= LONG_SUMS else FEW_PARTS
    return convolution_weight(
        dtype, n, c_in, c_out, windows, groups, x_layout=x_layout, g_layout=g_layout, threads=parts
    )


def _regular(place: Place) -> bool:
    """Whether elements lie a whole number of elements apart, in ascending order."""
    shape, strides, dtype = place
    return all(n == 1 or (s >= 0 and not s % dtype.itemsize) for n, s in zip(shape, strides, strict=True))


def _located(place: Place, *, copied: bool) -> Located:
    shape, strides, dtype = place
    without_gaps = row_major(shape)
    if copied:
        return Located(shape, dtype, without_gaps)
    # NumPy gives axes of length 1 any stride: equal code for what is equal
    found = [t if n == 1 else s // dtype.itemsize for n, s, t in zip(shape, strides, without_gaps, strict=True)]
    return Located(shape, dtype, tuple(found))


class _Kept(local):
    """Each thread's workspace."""

    array: np.ndarray = np.empty(0, np.uint8)
    start = 0
    size = 0


_kept = _Kept()


def _workspace(size: int) -> tuple[np.ndarray, int]:
    """Memory for a kernel, and where its ``size`` bytes start."""
    if size <= _kept.size:
        return _kept.array, _kept.start
    array = np.empty(size + ALIGNMENT, np.uint8)
    start = data_pointer(array) + -data_pointer(array) % ALIGNMENT
    if size <= WORKSPACE_KEPT:
        _kept.array, _kept.start, _kept.size = array, start, size
    return array, start
