"""Native kernels of single primitives, run on operands of any strides between fences, and compared with the formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from fences import fenced

from autograd_core.aval import Aval
from autograd_core.backends.cpu.native import engine, machine
from autograd_core.backends.cpu.native.located import Copies, Located
from autograd_core.backends.cpu.native.lowerings import lower
from autograd_core.compiler.ir import Equation, Var
from autograd_core.compiler.space import row_major
from autograd_core.primitive import Primitive

LEVELS = ("host", "avx2", "scalar")
THREADS = (1, 2, 3)


def spread(rng: np.random.Generator, values: np.ndarray, *, keep_last: bool = False) -> np.ndarray:
    """These values, at random strides: axes permuted, with gaps between."""
    if not values.ndim:
        return values
    order = list(rng.permutation(values.ndim - keep_last)) + [values.ndim - 1] * keep_last
    gaps = [1 if keep_last and i == len(order) - 1 else int(rng.integers(1, 3)) for i in range(len(order))]
    base = np.full([values.shape[a] * g for a, g in zip(order, gaps)], 99, values.dtype)
    view = base[tuple(slice(None, None, g) for g in gaps)].transpose(np.argsort(order))
    view[...] = values
    return view


def _base(view: np.ndarray) -> np.ndarray:
    return view if view.base is None else _base(view.base)


def _located(view: np.ndarray) -> tuple[Located, np.ndarray]:
    """Where it lies, and a fenced copy of all the memory that it is a view of."""
    base = _base(view)
    offset = (view.__array_interface__["data"][0] - base.__array_interface__["data"][0]) // view.itemsize
    strides = tuple(s // view.itemsize for s in view.strides) if view.size else row_major(view.shape)
    return Located(view.shape, view.dtype, strides, offset), fenced(base.reshape(-1))


def equation_of(primitive: Primitive, arrays: Sequence[np.ndarray], params: Mapping[str, Any]) -> Equation:
    avals = [Aval(a.shape, a.dtype) for a in arrays]
    declared = primitive.output_aval(*avals, **params)
    declared = declared if type(declared) is tuple else (declared,)
    return Equation(primitive, [Var(a) for a in avals], params, [Var(a) for a in declared])


def native(
    primitive: Primitive,
    arrays: Sequence[np.ndarray],
    params: Mapping[str, Any],
    *,
    level: str = "host",
    threads: int = 1,
    layout: Sequence[Callable[[Sequence[int]], tuple[int, ...]]] = (),
) -> tuple[list[np.ndarray], int]:
    """The outputs and the error code. Operands that the kernel asks for without gaps are copied; None is refused.

    layout: the strides of each result, by its shape.
    """
    arrays = list(arrays)
    equation = equation_of(primitive, arrays, params)
    strides = [
        way(v.shape) for way, v in zip(layout or [row_major] * len(equation.outputs), equation.outputs, strict=True)
    ]
    outputs = [Located(v.shape, np.dtype(v.dtype), s) for v, s in zip(equation.outputs, strides, strict=True)]
    found = lower(equation, [_located(a)[0] for a in arrays], outputs)
    if isinstance(found, Copies):
        for i in found.inputs:
            arrays[i] = np.array(arrays[i], order="C")
        found = lower(equation, [_located(a)[0] for a in arrays], outputs)
    assert found is not None, "no native kernel"
    assert not isinstance(found, Copies)
    given = [(located, memory) for located, memory in map(_located, arrays)]
    before = [memory.copy() for _, memory in given]
    results = [
        fenced(np.frombuffer(b"\x55" * max(1, o.dtype.itemsize * int(np.prod(o.shape))), np.uint8)) for o in outputs
    ]
    pointers = [results[i] if is_output else given[i][1][given[i][0].offset :] for is_output, i in found.operands]
    code = engine.call(found.spec, pointers, threads=threads, machine=machine.limited(level))
    for (_, memory), old in zip(given, before, strict=True):
        assert memory.tobytes() == old.tobytes(), "an operand was written"
    return [_result(r, o) for r, o in zip(results, outputs, strict=True)], code


def _result(memory: np.ndarray, o: Located) -> np.ndarray:
    values = memory[: o.dtype.itemsize * int(np.prod(o.shape))].view(o.dtype)
    return np.lib.stride_tricks.as_strided(values, o.shape, [s * o.dtype.itemsize for s in o.strides])


def formula(primitive: Primitive, arrays: Sequence[np.ndarray], params: Mapping[str, Any]) -> list[np.ndarray]:
    y = primitive.forward(np, *[np.array(a, order="C") for a in arrays], **params)
    return [np.asarray(r) for r in (y if isinstance(y, (tuple, list)) else (y,))]


def check(
    primitive: Primitive,
    arrays: Sequence[np.ndarray],
    params: Mapping[str, Any],
    *,
    level: str = "host",
    threads: int = 1,
    rtol: float = 0.0,
    atol: float = 0.0,
    layout: Sequence[Callable[[Sequence[int]], tuple[int, ...]]] = (),
) -> None:
    """That the kernel gives what the formula does: exactly, if no tolerance is given."""
    found, code = native(primitive, arrays, params, level=level, threads=threads, layout=layout)
    assert code == 0
    for mine, wanted in zip(found, formula(primitive, arrays, params), strict=True):
        assert mine.dtype == wanted.dtype
        np.testing.assert_allclose(mine, wanted, rtol=rtol, atol=atol)


def assert_native(step: Any) -> None:
    """That a compiled step, which has run often enough to be compiled, needs nothing of NumPy."""
    names = [row.name for row in step.report()]
    assert names
    assert not [name for name in names if name.startswith("host")], names
