"""CuPy's functions as formulas written for NumPy expect them, and the same for whoever calls them outside a kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

from autograd_core.aval import BOOL

from .arithmetic import Arithmetic
from .queues import Queue
from .sums_by_index import SumsByIndex

# What CuPy finds out to be singular or indefinite if it is told to look, and what it makes something of NaN.
SINGULAR = frozenset({"inv", "cholesky", "solve"})
FINITE = frozenset({"svd", "eigh", "eigvalsh", "eig", "eigvals", "qr"})
ADDED_BY_ATOMICS = "iIlLqQ"  # sums of whole numbers are the same in any order


class Formulas(Arithmetic):
    """CuPy, with the functions that differ from NumPy's put right. Used where the stream is current already."""

    def __init__(self, cupy: Any, queue: Callable[[int], Queue]):
        super().__init__(cupy)
        self.add = Add(cupy)
        self.linalg = LinearAlgebra(cupy, queue)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._cupy, name)
        setattr(self, name, found)
        return found

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        """bfloat16 too, for which CuPy has no loop: the bits are chosen."""
        dtype = next((v.dtype for v in (x, y) if getattr(v, "dtype", BOOL).name == "bfloat16"), None)
        if dtype is None:
            return self._cupy.where(condition, x, y)
        bits = [self._cupy.asarray(v, dtype).view("uint16") for v in (x, y)]
        return self._cupy.where(condition, *bits).view(dtype)

    def ascontiguousarray(self, a: Any) -> Any:
        """0-d arrays keep their shape."""
        return self._cupy.ascontiguousarray(a).reshape(a.shape)


class Add:
    """``xp.add``, and ``xp.add.at`` for every dtype."""

    def __init__(self, cupy: Any):
        self._cupy = cupy
        self.sums = SumsByIndex(cupy)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._cupy.add(*args, **kwargs)

    def at(self, a: Any, indices: Any, b: Any) -> None:
        """``a[indices] += b`` with every repetition added, for a flat ``a``. Whole numbers by atomics."""
        if a.dtype.char in ADDED_BY_ATOMICS:
            self._cupy.add.at(a, indices, b)
        elif a.dtype.char in "fdFD":
            a += self.sums(b, indices.reshape(-1), 1, a.size, 1)
        else:
            wide = a.astype("float32" if a.dtype.kind not in "biu" else "int32")
            self.at(wide, indices, b.astype(wide.dtype))
            a[...] = wide.astype(a.dtype)


class LinearAlgebra:
    """``xp.linalg`` that raises LinAlgError as NumPy's does, for which the host waits once, and broadcasts stacks."""

    def __init__(self, cupy: Any, queue: Callable[[int], Queue]):
        self._cupy = cupy
        self._queue = queue

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._cupy.linalg, name)
        if name in SINGULAR:
            found = self._raising(found)
        elif name in FINITE:
            found = self._of_finite(found)
        setattr(self, name, found)
        return found

    def solve(self, a: Any, b: Any) -> Any:
        broadcast = self._cupy.broadcast_to
        lead = self._cupy.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a, b = broadcast(a, (*lead, *a.shape[-2:])), broadcast(b, (*lead, *b.shape[-2:]))
        return self._raising(self._cupy.linalg.solve)(a, b)

    def _raising(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(a: Any, *others: Any) -> Any:
            with import_module("cupyx").errstate(linalg="raise"):
                self._queue(a.data.device_id).waits += 1  # CuPy waits for what the factorization reports
                return function(a, *others)

        return run

    def _of_finite(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(a: Any, **options: Any) -> Any:
            finite = self._cupy.isfinite(a).all().get(blocking=False)
            self._queue(a.data.device_id).wait()
            if not finite:
                raise self._cupy.linalg.LinAlgError("NaN or infinity in the matrix")
            return function(a, **options)

        return run


class Namespace:
    """``Formulas``, or a part such as ``linalg``, whose functions enter the stream of their arrays' device first.

    told: the error for a function of that name that found no memory on the device with that index.
    """

    def __init__(self, module: Any, at: Callable[[int], Queue], told: Callable[[int, str, Exception], Exception]):
        self._module = module
        self._at = at
        self._told = told

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        if isinstance(found, (ModuleType, LinearAlgebra)):
            found = Namespace(found, self._at, self._told)
        elif callable(found) and not isinstance(found, type):
            found = self._queued(found, name)
        setattr(self, name, found)
        return found

    def _queued(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            index = device_index(args)
            try:
                with self._at(index):
                    return function(*args, **kwargs)
            except MemoryError as error:  # CuPy's
                refused = error
            raise self._told(index, name, refused)

        return run


def device_index(args: Sequence[Any]) -> int:
    """The device of the first array among the arguments, or of the first array in a list of them; else the first."""
    for x in args:
        if hasattr(x, "__dlpack_device__"):
            return int(x.__dlpack_device__()[1])
        if isinstance(x, (list, tuple)) and x and hasattr(x[0], "__dlpack_device__"):
            return int(x[0].__dlpack_device__()[1])
    return 0
