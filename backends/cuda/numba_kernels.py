"""Users' kernels in Numba's CUDA Python (``ag.cuda.kernel``): compiled to PTX by Numba, launched by CuPy.

A launch by Numba itself takes tens of microseconds of the host's time with CuPy's arrays, and goes to a stream of
Numba's. A PTX kernel is launched like any other, on the stream that is current, and can be captured. Numba passes an
array as its members; those of which kernels make no use are 0 here. Not yet run on hardware.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from autograd_core.aval import Aval
from autograd_core.cuda import OwnKernel
from autograd_core.errors import ArgumentError, BackendUnavailableError

log = logging.getLogger("autograd_core.cuda")
UNSUPPORTED_PTX = 222  # of cuModuleLoadData: from a later compiler than the driver knows
INSTALL = "pip install 'autograd_core[kernels13]', or [kernels12], by what the driver knows"


class Compiled(NamedTuple):
    """PTX text, and the name of its one kernel."""

    ptx: str
    entry: str


def kernel_of(cupy: Any, primitive: OwnKernel) -> Callable[..., Any] | None:
    """What computes the primitive, given CuPy's arrays; None, and why in the log, where Numba cannot be used."""
    try:
        _numba()
    except BackendUnavailableError as error:
        log.warning("%s is computed by its formula, not by its kernel: %s", primitive.name, error)
        return None
    functions: dict[Any, Any] = {}

    def kernel(*arrays: Any) -> Any:
        declared = primitive.output_aval(*(Aval(a.shape, a.dtype) for a in arrays))
        avals = declared if isinstance(declared, tuple) and not isinstance(declared, Aval) else (declared,)
        results = [cupy.empty(aval.shape, aval.dtype) for aval in avals]
        if results[0].size:
            given = [*map(cupy.ascontiguousarray, arrays), *results]
            given = [a.reshape(b.shape) for a, b in zip(given, (*arrays, *results), strict=True)]  # 0-d became 1-d
            key = (given[0].data.device_id, *((a.dtype, a.ndim) for a in given))
            if key not in functions:
                functions[key] = _loaded(cupy, primitive, given)
            blocks = -(-results[0].size // primitive.threads)
            functions[key]((blocks,), (primitive.threads,), tuple(x for a in given for x in members(a)))
        return results[0] if declared is avals[0] else tuple(results)

    return kernel


def members(array: Any) -> tuple[Any, ...]:
    """An array as Numba's kernels take it: owner, parent, elements, bytes of each, the data, shape and strides."""
    return (0, 0, array.size, array.itemsize, array, *array.shape, *array.strides)


def _loaded(cupy: Any, primitive: OwnKernel, arrays: Sequence[Any]) -> Any:
    """The kernel as a function of the current device."""
    capability = cupy.cuda.Device().compute_capability
    kinds = tuple((np.dtype(a.dtype), a.ndim) for a in arrays)
    made = compiled(primitive.function, kinds, (int(capability[:-1]), int(capability[-1])))
    module = cupy.cuda.Module()
    try:
        module.load(made.ptx.encode())
    except RuntimeError as error:
        if getattr(error, "status", None) != UNSUPPORTED_PTX:
            raise
        version = re.search(r"\.version (\S+)", made.ptx)
        raise BackendUnavailableError(
            f"{primitive.name}: Numba compiles to PTX {version and version[1]}, which this driver does not know yet; "
            f"install an older compiler (nvidia-nvvm) or a newer driver: {INSTALL}"
        ) from error
    return module.get_function(made.entry)


@lru_cache(None)
def compiled(
    function: Callable[..., None], kinds: tuple[tuple[np.dtype, int], ...], capability: tuple[int, int]
) -> Compiled:
    """A kernel for arrays of these dtypes and numbers of axes, C-contiguous, all of which it may write."""
    cuda, types, from_dtype, errors = _numba()
    try:
        arguments = tuple(types.Array(from_dtype(dtype), ndim, "C") for dtype, ndim in kinds)
        ptx, _ = cuda.compile(function, arguments, device=False, abi="numba", cc=capability, output="ptx")
    except errors as error:
        given = ", ".join(f"{dtype}[{ndim} axes]" for dtype, ndim in kinds)
        raise ArgumentError(f"{function.__name__}: Numba cannot compile it for {given}: {error}") from error
    found = re.search(r"\.visible\s+\.entry\s+([\w$]+)", ptx)
    assert found is not None, ptx
    return Compiled(ptx, found[1])


@lru_cache(None)
def _numba() -> tuple[Any, Any, Any, tuple[type[Exception], ...]]:
    """What is used of Numba; BackendUnavailableError, with what to install, where it cannot compile for GPUs."""
    try:
        from numba import cuda, types
        from numba.core.errors import NumbaError
        from numba.np.numpy_support import from_dtype
    except ImportError as error:
        raise BackendUnavailableError(f"Numba cannot be imported ({error}): {INSTALL}") from error
    try:
        cuda.compile(_nothing, (), device=False, abi="numba", cc=(8, 0), output="ptx")
    except Exception as error:  # whatever says that its compiler is not there: Numba raises many kinds
        raise BackendUnavailableError(f"Numba has no compiler for GPUs ({error}): {INSTALL}") from error
    return cuda, types, from_dtype, (NumbaError, NotImplementedError, ValueError, TypeError)


def _nothing() -> None:
    pass
