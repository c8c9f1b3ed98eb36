"""Runs single scalar operations of native code over arrays: one module with a kernel for each, built once a machine."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache

import numpy as np

from autograd_core.backends.cpu.native import emit, engine, machine
from autograd_core.backends.cpu.native.elementary import vector_math
from autograd_core.backends.cpu.native.engine import KernelSpec

LEVELS = ("host", "avx2", "scalar")
BLOCK = 1 << 12  # elements a kernel computes: a multiple of every vector's lanes

Operation = tuple[str, tuple[str, ...], str]  # name, the arguments' dtypes, the result's


def kernel(operation: Operation) -> KernelSpec:
    """out[i] = op(args[i]...) for i < BLOCK."""
    op, arg_dtypes, dtype = operation

    def body(builder: emit.Kernel, target: machine.Machine) -> None:
        lanes = min(target.lanes(d) for d in (*arg_dtypes, dtype))
        with emit.loop(builder, 0, BLOCK, lanes) as i:
            values = []
            for pointer, name in zip(builder.operands, arg_dtypes):
                kind = emit.type_of(name)
                value = emit.load(builder, emit.element(builder, pointer, i, kind), emit.vector(kind, lanes))
                values.append(vector_math.to_bool(builder, value) if name == "bool" else value)
            result = vector_math.scalar_op(builder, op, values, [np.dtype(d) for d in arg_dtypes], np.dtype(dtype))
            if dtype == "bool":
                result = vector_math.from_bool(builder, result)
            emit.store(builder, result, emit.element(builder, builder.operands[-1], i, emit.type_of(dtype)))

    name = "_".join((op, *arg_dtypes, dtype))
    return KernelSpec(name, name, len(arg_dtypes) + 1, body)


@cache
def code(level: str, operations: tuple[Operation, ...]) -> engine.Code:
    target = machine.limited(level)
    return engine.Code([engine.compiled(engine.build([kernel(each) for each in operations], target), target)])


def run(loaded: engine.Code, op: str, arrays: Sequence[np.ndarray], dtype: str) -> np.ndarray:
    """The operation's kernel over arrays of any length: block by block, the last one filled up."""
    name = kernel((op, tuple(a.dtype.name for a in arrays), dtype)).name
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (len(arrays) + 3))(loaded.address(name))
    team = np.array([0, 1, 0], np.int64)
    size = arrays[0].size
    padded = [np.concatenate([a, np.repeat(a[-1:], -size % BLOCK)]) for a in arrays]
    out = np.empty(padded[0].size, dtype)
    for start in range(0, out.size, BLOCK):
        function(*(p[start:].ctypes.data for p in (*padded, out)), None, team.ctypes.data)
    return out[:size]
