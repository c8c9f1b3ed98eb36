"""What CUDA devices alone are asked: ``ag.cuda.synchronize()``, ``ag.cuda.memory_stats()``, kernels of a user's own.

Importing this needs no CUDA. Where there is none, ``is_available`` and ``device_count`` say so, and the others raise
BackendUnavailableError with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, wraps
from typing import Any, NamedTuple

from . import context
from .aval import Aval
from .backend import Device, get_device, load_backend
from .compiler.capture import trace
from .errors import ArgumentError, DeviceError
from .ops._apply import as_tensors
from .primitive import General, bind
from .tensor import Tensor

__all__ = [
    "MemoryStats",
    "convolutions_by",
    "device_count",
    "get_convolutions_by",
    "is_available",
    "kernel",
    "memory_stats",
    "synchronize",
    "waits",
]

NAME = __name__.rpartition(".")[2]  # the backend that this is the face of


class MemoryStats(NamedTuple):
    """Bytes of one device's memory.

    in_use: held by arrays. reserved: taken from the device by the memory pool, in use or kept to be used again. limit:
    what the pool may reserve, 0 for no limit. free, total: of the device, for all programs that use it.
    """

    in_use: int
    reserved: int
    limit: int
    free: int
    total: int


def is_available() -> bool:
    """Whether CUDA can be used here; if not, ``ag.devices()`` says why."""
    return bool(load_backend(NAME).availability())


def device_count() -> int:
    """How many CUDA devices can be used: 0 where CUDA cannot."""
    backend = load_backend(NAME)
    return backend.device_count() if backend.availability() else 0


def synchronize(device: Any = None) -> None:
    """Wait until ``device`` (a name, an index, a Device; by default the first) has done all that it was given."""
    _device("synchronize", device).synchronize()


def memory_stats(device: Any = None) -> MemoryStats:
    """How much of the memory of ``device`` (by default the first) is in use."""
    found = _device("memory_stats", device)
    backend: Any = found.backend
    return backend.memory_stats(found)


def waits(device: Any = None) -> int:
    """How often the host has waited for ``device`` so far: for values that it read or checked, or in ``synchronize``.

    A training loop that is as fast as the device can be waits only where it prints.
    """
    found = _device("waits", device)
    backend: Any = found.backend
    return backend.waits(found)


@contextmanager
def convolutions_by(library: str) -> Iterator[None]:
    """Choose who computes convolutions on CUDA devices.

    library: ``"auto"``, the default: cuDNN where its front end is installed, else kernels of our own; ``"cudnn"``:
    cuDNN, BackendUnavailableError from the first convolution if it cannot be used, with what is missing; ``"own"``.
    What cuDNN refuses, our kernels compute. Other devices are not concerned. Compiled functions are compiled for each
    choice that they are called in. ArgumentError for anything else.

    >>> import autograd_core as ag
    >>> with ag.cuda.convolutions_by("own"):
    ...     ag.cuda.get_convolutions_by()
    'own'
    """
    if library not in context.CONVOLUTIONS:
        raise ArgumentError(f"convolutions_by: {library!r} is none of {', '.join(map(repr, context.CONVOLUTIONS))}")
    with context.scope(convolutions=library):
        yield


def get_convolutions_by() -> str:
    """Who computes convolutions on CUDA devices: ``"auto"``, ``"cudnn"`` or ``"own"`` (``convolutions_by``)."""
    return context.current().convolutions


class OwnKernel(General):
    """A formula of a user's, with a kernel in Numba's CUDA Python for the same: ``function``, run by blocks of so many
    ``threads``.
    """

    def __init__(self, formula: Callable[..., Any], function: Callable[..., None], threads: int):
        super().__init__(formula.__name__, None, _shapes(formula), composed=formula)
        self.function, self.threads = function, threads


def kernel(function: Callable[..., None], *, threads: int = 128) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compute a function of tensors by a kernel of your own where it runs on CUDA devices.

        @ag.cuda.kernel(kernel)
        def formula(x, y): ...

    ``formula`` takes tensors and returns a tensor, or a tuple of them. It says what the results are: their shapes and
    dtypes, derivatives of any order, ``vmap``, and what other devices compute. ``kernel`` computes the same in Numba's
    CUDA Python. It is given the operands' arrays and then the results' arrays, C-contiguous and of their shapes, and is
    run by at least as many threads as the first result has elements, in blocks of ``threads``: a multiple of 32, at
    most 1024. It must write all elements of all results, and nothing else.

    Numba compiles it for each combination of dtypes and numbers of axes, to PTX, which is launched by CuPy on the
    device's stream, so that compiled functions capture it. Float16 and bfloat16 come as float32. Where Numba, or the
    library that it compiles with, is not installed, the formula is computed, and the logger ``autograd_core.cuda`` says
    so once. ArgumentError for what is no function, other numbers of threads, and a kernel that Numba cannot compile.

    >>> import autograd_core as ag
    >>> def hinge_kernel(x, y, loss):
    ...     from numba import cuda
    ...     i = cuda.grid(1)
    ...     if i < loss.size:
    ...         loss[i] = max(0.0, 1.0 - x[i] * y[i])
    >>> @ag.cuda.kernel(hinge_kernel)
    ... def hinge(x, y):
    ...     return ag.maximum(1.0 - x * y, 0.0)
    >>> hinge(ag.tensor([0.5, 2.0]), ag.tensor([1.0, 1.0]))
    tensor([0.5, 0. ])
    """
    if not callable(function):
        raise ArgumentError(f"kernel: takes a function in Numba's CUDA Python, got {type(function).__name__}")
    if not isinstance(threads, int) or threads % 32 or not 32 <= threads <= 1024:
        raise ArgumentError(f"kernel: threads={threads!r} is no multiple of 32 from 32 to 1024; write threads=128")

    def decorate(formula: Callable[..., Any]) -> Callable[..., Any]:
        if not callable(formula):
            raise ArgumentError(
                f"kernel: decorates a formula, a function of tensors, got {type(formula).__name__}; write "
                f"@ag.cuda.kernel({function.__name__}) before its def"
            )
        primitive = OwnKernel(formula, function, threads)

        @wraps(formula)
        def run(*tensors: Any) -> Any:
            if len(tensors) != len(primitive.operands):
                given = f"{formula.__name__}: takes {', '.join(primitive.operands)}, got {len(tensors)} operands"
                raise ArgumentError(given)
            return bind(primitive, as_tensors(formula.__name__, *tensors), {})

        return run

    return decorate


def _shapes(formula: Callable[..., Any]) -> Callable[..., Any]:
    """The rule for the results' avals: what the formula gives."""

    @lru_cache
    def shapes(*avals: Aval) -> Any:
        several = False

        def traced(*tensors: Tensor) -> Any:
            nonlocal several
            y = formula(*tensors)
            several = isinstance(y, tuple)
            return y

        found = tuple(Aval(v.shape, v.dtype) for v in trace(traced, avals).outputs)
        return found if several else found[0]

    return shapes


def _device(op: str, device: Any) -> Device:
    if device is None or (isinstance(device, int) and not isinstance(device, bool)):
        device = f"{NAME}:{device or 0}"
    found = get_device(device)
    if found.backend.name != NAME:
        raise DeviceError(f"{op}: {str(found)!r} is no {NAME} device; write '{NAME}' or '{NAME}:1'")
    return found
