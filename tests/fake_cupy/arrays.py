"""cupy.ndarray of the fake: a NumPy array that only work on the machine may read or write."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import functions, runtime, ufuncs
from .captures import CUDARuntimeError
from .facts import CLASSES, check_arguments
from .hardware import machine, poison
from .runtime import Device, MemoryPointer, Stream, get_current_stream

DTYPES = frozenset("?bhilqBHILQefdFD")


class Flags:
    """The layout, and nothing else: nothing can be set."""

    __slots__ = ("c_contiguous", "f_contiguous", "owndata")

    def __init__(self, host: np.ndarray, owndata: bool):
        for name, value in (
            ("c_contiguous", host.flags.c_contiguous),
            ("f_contiguous", host.flags.f_contiguous),
            ("owndata", owndata),
        ):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"flag {name!r} cannot be set")


class ndarray:
    """An array on a device of the machine. ``_host`` is where the machine keeps the values: tests do not look there."""

    __slots__ = ("__weakref__", "_host", "base", "data")

    __hash__ = None  # type: ignore[assignment]
    __array_priority__ = 100

    def __init__(self, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, order: str = "C"):
        self.base = None
        if memptr is None:
            made = empty(shape, dtype, order)
            self._host, self.data = made._host, made.data
            return
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self._host = np.ndarray(shape, supported(dtype), memptr.mem.buffer, memptr.offset, strides, order)
        self.data = memptr
        machine.arrays[memptr.ptr] = self

    # -------------------------------------------------------------------------------- description

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    strides = property(lambda self: self._host.strides)
    device = property(lambda self: Device(self.data.device_id))
    flags = property(lambda self: Flags(self._host, self.base is None))
    T = property(lambda self: view_of(self, self._host.T))
    mT = property(lambda self: view_of(self, self._host.mT))

    @property
    def real(self) -> ndarray:
        return view_of(self, self._host.real) if self.dtype.kind == "c" else self

    @property
    def imag(self) -> ndarray:
        if self.dtype.kind == "c":
            return view_of(self, self._host.imag)
        return functions.call("cupy", "zeros_like", (self,), {})

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Iterator[ndarray]:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"<array of {self.dtype}{list(self.shape)} on device {self.data.device_id}>"

    # -------------------------------------------------------------------------------- to the host

    def __array__(self, dtype: Any = None) -> np.ndarray:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def get(
        self, stream: Stream | None = None, order: str = "C", out: np.ndarray | None = None, blocking: bool = True
    ) -> np.ndarray:
        stream = get_current_stream() if stream is None else stream
        if out is not None:
            if not isinstance(out, np.ndarray):
                raise TypeError("Only numpy.ndarray can be obtained from cupy.ndarray")
            if out.dtype != self.dtype:
                raise TypeError(f"{out.dtype} array cannot be obtained from {self.dtype} array")
            if out.shape != self.shape:
                raise ValueError(f"Shape mismatch. Expected shape: {self.shape}, actual shape: {out.shape}")
        result = np.empty(self.shape, self.dtype, "C" if order in "AK" else order) if out is None else out
        if not self.size:
            return result
        queue = stream.queue_of(self.data.device_id)
        if queue.capture is not None and blocking:
            raise machine_error("a copy to the host that is waited for")
        self.data.mem.touch(queue, writing=False, what="a copy to the host")
        machine.copies["to host"] += 1
        values = self._host.copy()
        poison(result)
        queue.deferred.append(lambda: np.copyto(result, values))
        if blocking:
            machine.synchronize(queue, "get")
        return result

    def set(self, arr: np.ndarray, stream: Stream | None = None) -> None:
        if arr.dtype != self.dtype or arr.shape != self.shape:
            raise ValueError("Shape or dtype mismatch")
        _copy_to_device(self, arr)

    def item(self) -> Any:
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self.get().item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def tobytes(self, order: str = "C") -> bytes:
        return self.get().tobytes(order)

    def __bool__(self) -> bool:
        return bool(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __float__(self) -> float:
        return float(self.get())

    def __complex__(self) -> complex:
        return complex(self.get())

    # -------------------------------------------------------------------------------- exchange

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        found = ufuncs.UFUNCS.get(ufunc.__name__)
        if found is None:
            return NotImplemented
        if "out" in kwargs:
            (kwargs["out"],) = kwargs["out"]
        return found(*inputs, **kwargs) if method == "__call__" else getattr(found, method)(*inputs, **kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        where = func.__module__.replace("numpy", "cupy", 1)
        if where not in ("cupy", "cupy.linalg", "cupy.fft"):
            return NotImplemented
        return functions.call(where, func.__name__, args, kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.data.device_id

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
    ) -> Capsule:
        machine.check_here(self)
        return Capsule(self.copy() if copy else self)

    # -------------------------------------------------------------------------------- indexing

    def __getitem__(self, key: Any) -> ndarray:
        found, read = index_of(self, key)
        if not read:
            view = self._host[resolved(found)]
            return view_of(self, view if isinstance(view, np.ndarray) else self._host[(*resolved(found), ...)])
        _synchronize_for_masks(found)
        sample = self._host[resolved(found)]
        return _computed("getitem", lambda: self._host[resolved(found)], [self, *read], sample.shape, sample.dtype)

    def __setitem__(self, key: Any, value: Any) -> None:
        found, read = index_of(self, key)
        if isinstance(value, np.ndarray) and value.ndim:
            raise TypeError("an array on the host cannot be assigned to elements of an array on a device")
        source = value if isinstance(value, ndarray) else None
        host = None if source is not None else np.asarray(value).astype(self.dtype)

        def run() -> None:
            with np.errstate(all="ignore"):
                self._host[resolved(found)] = (source._host if source is not None else host).astype(self.dtype)

        # refused at once, not when the work is done
        np.broadcast_to(
            np.empty(np.shape(source._host if source is not None else host)), self._host[resolved(found)].shape
        )
        machine.launch("setitem", run, [*read, *([] if source is None else [source])], [self])

    # -------------------------------------------------------------------------------- methods

    def astype(
        self, dtype: Any, order: str = "K", casting: str | None = None, subok: Any = None, copy: bool | None = True
    ) -> ndarray:
        dtype = supported(dtype)
        if subok is not None:
            raise TypeError("subok is not supported")
        if not copy and dtype == self.dtype and (order in "KA" or self._host.flags[f"{order}_CONTIGUOUS"]):
            return self

        host = self._host
        return _computed("astype", lambda: host.astype(dtype, order), [self], self.shape, dtype, order)

    def copy(self, order: str = "C") -> ndarray:
        if self.data.device_id != machine.local.device:
            return copied_across(self)
        host = self._host
        return _computed("copy", lambda: host.copy(order), [self], self.shape, self.dtype, order)

    def fill(self, value: Any) -> None:
        if isinstance(value, np.ndarray) and value.ndim:
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        source = value if isinstance(value, ndarray) else None

        def run() -> None:
            self._host.fill(source._host[()] if source is not None else value)

        machine.launch("fill", run, [] if source is None else [source], [self])

    def view(self, dtype: Any = None, type: Any = None) -> ndarray:
        return view_of(self, self._host.view() if dtype is None else self._host.view(supported(dtype)))

    def reshape(self, *shape: Any, order: str = "C", copy: bool | None = None) -> ndarray:
        return functions.call("cupy", "reshape", (self, shape[0] if len(shape) == 1 else shape), {"order": order})

    def transpose(self, *axes: Any) -> ndarray:
        return view_of(self, self._host.transpose(*axes))

    def flatten(self, order: str = "C") -> ndarray:
        return self.copy(order).reshape(-1, order=order)

    def conj(self) -> ndarray:
        return ufuncs.UFUNCS["conjugate"](self) if self.dtype.kind == "c" else self

    conjugate = conj

    def nonzero(self) -> tuple[ndarray, ...]:
        return functions.call("cupy", "nonzero", (self,), {})

    def sort(self, axis: int = -1, kind: str | None = None) -> None:
        self[...] = functions.call("cupy", "sort", (self, axis, kind), {})

    def dot(self, b: ndarray, out: ndarray | None = None) -> ndarray:
        return functions.call("cupy", "dot", (self, b, out), {})

    def __matmul__(self, other: Any) -> ndarray:
        return functions.call("cupy", "matmul", (self, other), {})

    def __rmatmul__(self, other: Any) -> ndarray:
        return functions.call("cupy", "matmul", (other, self), {})

    def __divmod__(self, other: Any) -> Any:
        return ufuncs.UFUNCS["divmod"](self, other)


class Capsule:
    """What DLPack passes on."""

    def __init__(self, array: ndarray):
        self.array = array


# ---------------------------------------------------------------------------------------- making arrays


def supported(dtype: Any) -> np.dtype:
    found = np.dtype(float if dtype is None else dtype)
    if (found.char not in DTYPES and found.name != "bfloat16") or not found.isnative:
        raise ValueError(f"Unsupported dtype {found}")
    return found


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    """Memory of the pool, holding no numbers."""
    shape, dtype = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape), supported(dtype)
    made = object.__new__(ndarray)
    made.base, made.data = None, runtime.alloc(math.prod(shape) * dtype.itemsize)
    host = np.ndarray(shape, dtype, made.data.mem.buffer, order="C" if order in ("K", "A", None) else order)
    made._host = host
    poison(host)
    machine.arrays[made.data.ptr] = made
    return made


def view_of(array: ndarray, host: np.ndarray) -> ndarray:
    """Another array on the same memory."""
    made = object.__new__(ndarray)
    made._host, made.base = host, array if array.base is None else array.base
    made.data = MemoryPointer(array.data.mem, host.ctypes.data - array._host.ctypes.data + array.data.offset)
    return made


def from_host(host: np.ndarray, order: str = "C") -> ndarray:
    """A copy through pinned memory that the host does not wait for."""
    made = empty(host.shape, host.dtype, "F" if order in "KA" and host.flags.fnc else "C" if order in "KA" else order)
    _copy_to_device(made, host)
    return made


def _copy_to_device(made: ndarray, host: np.ndarray) -> None:
    """CuPy copies from pinned memory and asks an event when it may be used again, which captures do not take; numbers
    are arguments of a kernel.
    """
    capture = machine.queue.capture
    if capture is not None and host.ndim:
        raise capture.breaks("cudaErrorCapturedEvent", "a captured copy from the host cannot be asked for")
    kept = host.copy()
    machine.launch("copy to device", lambda: np.copyto(made._host, kept), [], [made])
    machine.copies["to device"] += 1


def copied_across(array: ndarray) -> ndarray:
    """A copy of an array of another device: queued here, so the array must be ready there."""
    made = empty(array.shape, array.dtype)
    array.data.mem.touch(machine.queue, writing=False, what="a copy between devices")
    machine.launch("copy between devices", lambda: np.copyto(made._host, array._host), [], [made])
    machine.copies["between devices"] += 1
    return made


def _computed(
    name: str, run: Callable[[], Any], reads: list[ndarray], shape: tuple[int, ...], dtype: Any, order: str = "C"
) -> ndarray:
    """A new array that work ``name`` fills with what ``run`` gives."""
    for array in reads:
        machine.check_here(array)
    if order == "K":
        order = "F" if reads[0]._host.flags.fnc else "C"
    made = empty(shape, dtype, order)
    target = made._host  # work holds no array: a graph keeps no memory alive

    def work() -> None:
        with np.errstate(all="ignore"):
            target[...] = run()

    if made.size:
        machine.launch(name, work, reads, [made])
    return made


computed = _computed


def machine_error(what: str) -> Exception:
    return CUDARuntimeError("cudaErrorStreamCaptureUnsupported", f"operation not permitted ({what})")


# ---------------------------------------------------------------------------------------- keys


class _Wrapped:
    """An integer index of a key, wrapped around where it is out of range: nothing checks it on a device."""

    def __init__(self, array: ndarray, length: int):
        self.array, self.length = array, length


def index_of(array: ndarray, key: Any) -> tuple[tuple[Any, ...], list[ndarray]]:
    """A key as CuPy reads it, and the arrays in it."""
    entries = list(key) if isinstance(key, tuple) else [key]
    for i, entry in enumerate(entries):
        if entry is None or entry is Ellipsis or isinstance(entry, (slice, ndarray)):
            continue
        if np.isscalar(entry) and not isinstance(entry, (bool, np.bool_)):
            entries[i] = int(entry)
        elif isinstance(entry, (list, tuple, np.ndarray, bool, np.bool_)):
            host = np.asarray(entry)
            entries[i] = from_host(
                host.astype(np.int32) if isinstance(entry, (list, tuple)) and not host.size else host
            )
        else:
            raise IndexError("only integers, slices, ellipsis, newaxis and integer or boolean arrays are valid indices")
    used = sum(
        e.ndim if isinstance(e, ndarray) and e.dtype.kind == "b" else e is not None and e is not Ellipsis
        for e in entries
    )
    axis, read, masks = 0, [], 0
    for i, entry in enumerate(entries):
        if entry is None:
            continue
        if entry is Ellipsis:
            axis += array.ndim - used
        elif isinstance(entry, ndarray):
            if entry.dtype.kind not in "biu":
                raise IndexError(f"arrays used as indices must be of integer or boolean type (actual: {entry.dtype})")
            read.append(entry)
            if entry.dtype.kind == "b":
                masks += 1
                axis += entry.ndim
            else:
                entries[i] = _Wrapped(entry, array.shape[axis])
                axis += 1
        else:
            axis += 1
    if masks > 1:
        raise ValueError("Unsupported: more than one boolean array in a key")
    return tuple(entries), read


def resolved(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """The key for NumPy."""
    return tuple(
        np.mod(e.array._host, max(e.length, 1)) if isinstance(e, _Wrapped) else e._host if isinstance(e, ndarray) else e
        for e in key
    )


def _synchronize_for_masks(key: tuple[Any, ...]) -> None:
    """How many elements a mask picks is read on the host."""
    if any(isinstance(e, ndarray) for e in key):
        machine.synchronize(machine.queue, "an index by a mask")


# ---------------------------------------------------------------------------------------- what follows a pattern


def _operator(name: str, *, swapped: bool = False, in_place: bool = False) -> Callable[..., Any]:
    def run(self: ndarray, *other: Any) -> Any:
        operands = (*other, self) if swapped else (self, *other)
        if other and isinstance(other[0], (list, tuple)):
            return NotImplemented
        return ufuncs.UFUNCS[name](*operands, **({"out": self} if in_place else {}))

    return run


BINARY = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "true_divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "power",
    "lshift": "left_shift",
    "rshift": "right_shift",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
}
for _name, _ufunc in BINARY.items():
    setattr(ndarray, f"__{_name}__", _operator(_ufunc))
    setattr(ndarray, f"__r{_name}__", _operator(_ufunc, swapped=True))
    setattr(ndarray, f"__i{_name}__", _operator(_ufunc, in_place=True))
for _name, _ufunc in {
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "eq": "equal",
    "ne": "not_equal",
    "neg": "negative",
    "pos": "positive",
    "abs": "absolute",
    "invert": "invert",
}.items():
    setattr(ndarray, f"__{_name}__", _operator(_ufunc))


def _method(name: str) -> Callable[..., Any]:
    def run(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        check_arguments("cupy.ndarray", name, args, kwargs)
        return functions.call("cupy", name, (self, *args), kwargs)

    return run


# The methods that are functions of the same name and parameters.
for _name, _entry in CLASSES["cupy.ndarray"].items():
    if isinstance(_entry, dict) and not hasattr(ndarray, _name) and not _name.startswith("_"):
        setattr(ndarray, _name, _method(_name))
