"""CuPy's ufuncs: the loops of its tables, found as CuPy finds them, and run by NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import arrays
from .facts import NAMESPACES
from .hardware import machine

try:
    from ml_dtypes import bfloat16
except ImportError:
    BFLOAT16 = None
else:
    BFLOAT16 = np.dtype(bfloat16)

NUMPY_NAMES = {"abs": "absolute", "pow": "power", "bitwise_invert": "invert"}
SCATTERED = {"add": "add", "maximum": "max", "minimum": "min", "subtract": "sub"}
# What cupy.add.at and its kin take; no complex numbers, no small integers.
SCATTER_DTYPES = {
    "add": "ilqeILQfd",
    "maximum": "ilqILQfd",
    "minimum": "ilqILQfd",
    "subtract": "iI",
}


def _power(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    """Whole numbers to negative powers are 0, but for 1 and -1; NumPy refuses them."""
    if x1.dtype.kind != "i":
        return np.power(x1, x2)
    powers = np.power(x1, np.maximum(x2, 0))
    ones = np.where(x1 == 1, 1, np.where(x1 == -1, np.where(x2 % 2 == 0, 1, -1), 0))
    return np.where(x2 < 0, ones, powers).astype(x1.dtype)


def _floor_divide(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    """Of floats: the quotient, rounded to the nearest float, rounded down; whole numbers divided by 0 are 0."""
    if x1.dtype.kind in "iu":
        return np.where(x2 == 0, 0, np.floor_divide(x1, np.where(x2 == 0, 1, x2)))
    return np.floor(x1 / x2)


def _remainder(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    return (x1 - _floor_divide(x1, x2) * x2) * (x2 != 0 if x1.dtype.kind in "iu" else x1.dtype.type(1))


def _fmod(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    """Of whole numbers as float64, which does not hold large ones."""
    if x1.dtype.kind not in "iu":
        return np.fmod(x1, x2)
    return np.where(x2 == 0, 0, np.fmod(x1.astype(float), np.where(x2 == 0, 1, x2).astype(float)))


def _of_complex(name: str, instead: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: instead(x) if x.dtype.kind == "c" else getattr(np, name)(x)


REFUSES_BOOLEANS = frozenset({"negative", "subtract", "gcd", "lcm"})
OWN: dict[str, Callable[..., Any]] = {
    "power": _power,
    "pow": _power,
    "floor_divide": _floor_divide,
    "remainder": _remainder,
    "mod": _remainder,
    "fmod": _fmod,
    "log1p": _of_complex("log1p", lambda x: np.log(x + 1)),
    "expm1": _of_complex("expm1", lambda x: np.exp(x) - 1),
    "logaddexp": lambda x, y: np.where(
        x == y, x + np.log(x.dtype.type(2)), np.fmax(x, y) + np.log1p(np.exp(-abs(x - y)))
    ),
    "logaddexp2": lambda x, y: np.where(x == y, x + 1, np.fmax(x, y) + np.log2(1 + np.exp2(-abs(x - y)))),
}


class Scalar:
    """A number among the operands: a Python number bends to the arrays beside it, a NumPy one does not."""

    def __init__(self, value: Any):
        if type(value) in (bool, int, float, complex):
            self.weak = None if type(value) is bool else type(value)
            self.dtype = np.dtype(type(value)) if type(value) is not int or value < 2**63 else np.dtype(np.uint64)
        elif isinstance(value, np.generic):
            self.weak, self.dtype = None, value.dtype
        else:
            raise TypeError(f"Unsupported type {type(value)}")
        self.value = value

    def cast(self, dtype: np.dtype) -> np.ndarray:
        return np.asarray(self.value, dtype)


def _loop_of(types: str) -> tuple[tuple[np.dtype, ...], tuple[np.dtype, ...]] | None:
    """A loop of the table; "E" is bfloat16, known where ml_dtypes is, and those of structures are left out."""
    if "V" in types or ("E" in types and BFLOAT16 is None):
        return None
    inputs, outputs = (tuple(BFLOAT16 if t == "E" else np.dtype(t) for t in side) for side in types.split("->"))
    return inputs, outputs


def _flushed(x: np.ndarray) -> np.ndarray:
    """CuPy compiles with -ftz=true: subnormal numbers of float32 are 0."""
    if x.dtype.char not in "fF":
        return x
    parts = x.view(np.float32) if x.flags.c_contiguous and x.ndim else np.atleast_1d(x).copy().view(np.float32)
    tiny = np.abs(parts) < np.finfo(np.float32).tiny
    return (
        np.where(tiny, np.copysign(0, parts), parts).astype(np.float32).view(x.dtype).reshape(x.shape)
        if tiny.any()
        else x
    )


def _kind(dtype: np.dtype) -> int:
    return {"b": 0, "u": 1, "i": 1, "f": 2, "c": 2}.get(dtype.kind, 3)  # bfloat16 is of no kind that CuPy knows


class ufunc:
    """One of CuPy's: ``types`` is its table of loops."""

    def __init__(self, where: str, name: str):
        facts = NAMESPACES[where][name]
        self.__name__ = name
        self.name = f"cupy_{name}"
        self.nin, self.nout = facts["ufunc"]
        self.nargs = self.nin + self.nout
        self.types = facts["types"]
        self.own_loops = [loop for loop in map(_loop_of, self.types) if loop is not None]
        self.numpy = OWN.get(name) or getattr(np, NUMPY_NAMES.get(name, name))

    def __repr__(self) -> str:
        return f"<ufunc '{self.name}'>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        given_out = kwargs.pop("out", None)
        dtype, casting = kwargs.pop("dtype", None), kwargs.pop("casting", "same_kind")
        kwargs.pop("_where", None)
        if kwargs:
            raise TypeError(f"Wrong arguments {kwargs}")
        if not self.nin <= len(args) <= self.nargs:
            raise TypeError(f"Wrong number of arguments for {self.name!r}: {len(args)}")
        outs = list(args[self.nin :]) or (list(given_out) if isinstance(given_out, tuple) else [given_out])
        outs += [None] * (self.nout - len(outs))
        operands = [x if isinstance(x, arrays.ndarray) else Scalar(x) for x in args[: self.nin]]
        in_types, out_types = self._loop(operands, None if dtype is None else np.dtype(dtype))
        if self.__name__ in REFUSES_BOOLEANS and all(t.kind == "b" for t in in_types):
            raise TypeError(f"{self.name} does not take booleans")
        reads = [x for x in operands if isinstance(x, arrays.ndarray)]
        given = [out for out in outs if out is not None]
        for x in (*reads, *given):
            if not isinstance(x, arrays.ndarray):
                raise TypeError("Output arguments must be cupy.ndarray")
            machine.check_here(x)
        shape = np.broadcast_shapes(*(x.shape for x in (*reads, *given)))
        for i, out in enumerate(outs):
            if out is None:
                outs[i] = arrays.empty(shape, out_types[i])
            elif out.shape != shape:
                raise ValueError("Out shape is mismatched")
            elif not np.can_cast(out_types[i], out.dtype, casting):
                raise TypeError(f"output (typecode {out_types[i].char!r}) could not be coerced to {out.dtype}")
        hosts = [
            x._host if isinstance(x, arrays.ndarray) else x.cast(t) for x, t in zip(operands, in_types, strict=True)
        ]
        targets = [out._host for out in outs]

        def run() -> None:
            with np.errstate(all="ignore"):
                cast = [_flushed(host.astype(t)) for host, t in zip(hosts, in_types, strict=True)]
                found = self.numpy(*cast)
                for target, y, t in zip(targets, found if self.nout > 1 else (found,), out_types, strict=True):
                    target[...] = _flushed(np.asarray(y).astype(t, copy=False))

        if 0 not in shape:
            machine.launch(self.__name__, run, reads, outs)
        return tuple(outs) if self.nout > 1 else outs[0]

    def _loop(self, operands: list[Any], dtype: np.dtype | None) -> tuple[tuple, tuple]:
        """The first loop that the operands can be cast to."""
        if dtype is not None:
            for loop in self.own_loops:
                if all(t == dtype for t in loop[1]):
                    return loop
            raise TypeError(f"Wrong type ({dtype}) of arguments for {self.name}")
        weaks = [getattr(x, "weak", None) for x in operands]
        strong = [_kind(x.dtype) for x, weak in zip(operands, weaks, strict=True) if weak is None]
        soft = [_kind(x.dtype) for x, weak in zip(operands, weaks, strict=True) if weak is not None]
        if not strong or not soft or max(soft) > max(strong):
            weaks = [None] * len(operands)
        for loop in self.own_loops:
            if all(_fits(x.dtype, weak, t) for x, weak, t in zip(operands, weaks, loop[0], strict=True)):
                return loop
        raise TypeError(f"Wrong type ({tuple(x.dtype for x in operands)}) of arguments for {self.name}")

    def at(self, a: Any, indices: Any, b: Any = None) -> None:
        """By atomics: sums of floating numbers in no order that is known."""
        if self.__name__ not in SCATTERED:
            raise NotImplementedError(f"`{self.name}.at` is not supported yet")
        if a.dtype.char not in SCATTER_DTYPES[self.__name__]:
            raise TypeError(f"cupy.{self.__name__}.at does not support the data type {a.dtype}")
        key, read = arrays.index_of(a, indices)
        values = b if isinstance(b, arrays.ndarray) else None
        host = None if values is not None else np.asarray(b, a.dtype)

        def run() -> None:
            with np.errstate(all="ignore"):
                addend = (values._host if values is not None else host).astype(a.dtype)
                self.numpy.at(a._host, arrays.resolved(key), addend)

        machine.launch(f"{self.__name__}.at", run, [a, *read, *([] if values is None else [values])], [a])

    def reduce(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        if self.__name__ not in ("add", "multiply"):
            raise NotImplementedError(f"`{self.name}.reduce` is not supported yet")
        return (array.sum if self.__name__ == "add" else array.prod)(axis, dtype, out, keepdims)

    def accumulate(self, array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        if self.__name__ not in ("add", "multiply"):
            raise NotImplementedError(f"`{self.name}.accumulate` is not supported yet")
        return (array.cumsum if self.__name__ == "add" else array.cumprod)(axis, dtype, out)

    def outer(self, A: Any, B: Any, **kwargs: Any) -> Any:
        return self(A.reshape(A.shape + (1,) * B.ndim), B, **kwargs)


def _fits(given: np.dtype, weak: type | None, wanted: np.dtype) -> bool:
    if np.can_cast(given, wanted):
        return True
    try:
        return weak is not None and np.result_type(weak(0), wanted) == wanted
    except TypeError:
        return False


UFUNCS = {
    name: ufunc("cupy", name)
    for name, entry in NAMESPACES["cupy"].items()
    if isinstance(entry, dict) and "ufunc" in entry
}


class _Where(ufunc):
    """The loops behind ``where``, which are in no namespace: there is none for bfloat16."""

    def __init__(self) -> None:
        self.__name__ = "where"
        self.name = "cupy_where"
        self.nin, self.nout, self.nargs = 3, 1, 4
        self.own_loops = [((np.dtype("?"), *[np.dtype(t)] * 2), (np.dtype(t),)) for t in "?bBhHiIlLqQefdFD"]
        self.numpy = np.where


WHERE = _Where()
