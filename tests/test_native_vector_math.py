"""Elementary functions in vector code: the stated errors, the special values, the same on every machine."""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="native code needs llvmlite")

from autograd_core.backends.cpu.native import emit, engine, machine, vector_math
from autograd_core.backends.cpu.native.engine import KernelSpec

LEVELS = ("host", "avx2", "scalar")
FLOATS = ("float32", "float64")
RNG = np.random.default_rng(7)


def kernel(op: str, arg_dtypes: tuple[str, ...], dtype: str, count: int) -> KernelSpec:
    """out[i] = op(args[i]...) for count elements, a multiple of every vector's lanes."""

    def body(builder: emit.Kernel, target: machine.Machine) -> None:
        lanes = min(target.lanes(d) for d in (*arg_dtypes, dtype))
        first, last = builder.share(count, lanes)
        with emit.loop(builder, first, last, lanes) as i:
            values = []
            for pointer, name in zip(builder.operands, arg_dtypes):
                kind = emit.type_of(name)
                value = emit.load(builder, emit.element(builder, pointer, i, kind), emit.vector(kind, lanes))
                values.append(vector_math.to_bool(builder, value) if name == "bool" else value)
            result = vector_math.scalar_op(builder, op, values, [np.dtype(d) for d in arg_dtypes], np.dtype(dtype))
            if dtype == "bool":
                result = vector_math.from_bool(builder, result)
            emit.store(builder, result, emit.element(builder, builder.operands[-1], i, emit.type_of(dtype)))

    name = "_".join((op, *arg_dtypes, dtype, str(count)))
    return KernelSpec(name, name, len(arg_dtypes) + 1, body)


COUNT = 1 << 12


@cache
def code(level: str, kernels: tuple[tuple[str, tuple[str, ...], str], ...]) -> engine.Code:
    target = machine.limited(level)
    specs = [kernel(*each, COUNT) for each in kernels]
    return engine.Code([engine.compiled(engine.build(specs, target), target)])


def run(code_: engine.Code, op: str, arrays: tuple[np.ndarray, ...], dtype: str) -> np.ndarray:
    """The kernel over arrays of any length: in blocks, the last one filled up."""
    names = tuple(a.dtype.name for a in arrays)
    address = code_.address(kernel(op, names, dtype, COUNT).name)
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (len(arrays) + 3))(address)
    team = np.array([0, 1, 0], np.int64)
    size = arrays[0].size
    padded = [np.concatenate([a, np.repeat(a[-1:], -size % COUNT)]) for a in arrays]
    out = np.empty(padded[0].size, dtype)
    for start in range(0, out.size, COUNT):
        parts = [p[start:].ctypes.data for p in (*padded, out)]
        function(*parts, None, team.ctypes.data)
    return out[:size]
