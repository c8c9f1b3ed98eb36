"""Loop kernels in machine code beside their slow evaluation, on arrays that end where the memory does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest
from fences import fenced

from autograd_core.backends.cpu.native import engine, machine
from autograd_core.backends.cpu.native.engine import compiled
from autograd_core.backends.cpu.native.loops.kernel import loop_kernel
from autograd_core.compiler.evaluate import evaluate
from autograd_core.compiler.loops import Access, LoopKernel

F4, F8, I4, I8, BOOL = (np.dtype(name) for name in ("f4", "f8", "i4", "i8", "?"))


def at(operand: int, *strides: int, offset: int = 0) -> Access:
    return Access(operand, strides, offset)


def run(
    kernel: LoopKernel, arrays: Sequence[np.ndarray], *, threads: int = 1, level: str = "host", end: bool = True
) -> list[np.ndarray]:
    """The arrays after the native kernel ran on fenced copies of them."""
    copies = [fenced(a, end=end) for a in arrays]
    with one_code():
        error = engine.call(loop_kernel(kernel, "kernel"), copies, threads=threads, machine=machine.limited(level))
    assert error == 0
    return copies


@contextmanager
def one_code() -> Iterator[None]:
    """Inside, one kernel is compiled once, however many threads and arrays it is called with."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(engine, "compiled", _compiled)
        yield


@cache
def _object(code: str, target: machine.Machine) -> bytes:
    return compiled(code, target)


def _compiled(module: object, target: machine.Machine) -> bytes:
    return _object(str(module), target)


def check(
    kernel: LoopKernel,
    arrays: Sequence[np.ndarray],
    *,
    threads: int = 1,
    level: str = "host",
    end: bool = True,
    rtol: float = 3e-6,
    atol: float = 3e-6,
) -> None:
    """That native code leaves in every array what the slow evaluation does."""
    expected = [a.copy() for a in arrays]
    evaluate(kernel, expected)
    found = run(kernel, arrays, threads=threads, level=level, end=end)
    for position, (a, b) in enumerate(zip(found, expected, strict=True)):
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=f"operand {position}")
        else:
            np.testing.assert_array_equal(a, b, err_msg=f"operand {position}")
