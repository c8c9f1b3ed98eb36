"""What a program written for any array library asks of this one: the inspection of the Python array API standard.

https://data-apis.org/array-api/2024.12/API_specification/data_type_functions.html
https://data-apis.org/array-api/2024.12/API_specification/inspection.html
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import dtypes as names
from ..aval import DEFAULT_FLOAT, DEFAULT_INT, as_dtype, is_inexact, promote
from ..backend import Device, devices, get_device
from ..errors import ArgumentError, DTypeError
from ..primitive import Value

__all__ = ["__array_api_version__", "__array_namespace_info__", "can_cast", "finfo", "iinfo", "isdtype", "result_type"]

__array_api_version__ = "2024.12"

_STANDARD = {
    "bool": (names.bool,),
    "signed integer": (names.int8, names.int16, names.int32, names.int64),
    "unsigned integer": (names.uint8, names.uint16, names.uint32, names.uint64),
    "real floating": (names.float32, names.float64),
    "complex floating": (names.complex64, names.complex128),
}
_UNIONS = {
    "integral": ("signed integer", "unsigned integer"),
    "numeric": ("signed integer", "unsigned integer", "real floating", "complex floating"),
}
_KIND_OF_LETTER = {
    "b": "bool",
    "i": "signed integer",
    "u": "unsigned integer",
    "f": "real floating",
    "c": "complex floating",
}


# --------------------------------------------------------------------------------------- data types


def _dtype_of(x: Any) -> np.dtype:
    return x.dtype if isinstance(x, (Value, np.ndarray)) else as_dtype(x)


def _kinds(op: str, kind: Any) -> tuple[str, ...]:
    """The elementary kinds that a name stands for."""
    found = _UNIONS.get(kind) or ((kind,) if kind in _STANDARD else None)
    if found is None:
        known = ", ".join(map(repr, (*_STANDARD, *_UNIONS)))
        raise ArgumentError(f"{op}: {kind!r} is no kind of dtype; kinds are {known}")
    return found


def _kind_of(dtype: np.dtype) -> str:
    return _KIND_OF_LETTER.get(dtype.kind, "real floating")  # bfloat16 has no letter of its own


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether ``dtype`` is ``kind``, of that kind, or of one of a tuple of kinds and dtypes.

    kind: a dtype, or "bool", "signed integer", "unsigned integer", "integral", "real floating" (float16 and bfloat16
    are), "complex floating", "numeric". Other strings: ArgumentError. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.isdtype(ag.float32, "real floating"), ag.isdtype(ag.int8, (ag.int16, "bool"))
    (True, False)
    """
    dtype = as_dtype(dtype)
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    return _kind_of(dtype) in _kinds("isdtype", kind) if isinstance(kind, str) else dtype == as_dtype(kind)


def result_type(*arrays_and_dtypes: Any) -> np.dtype:
    """The dtype that an operation on these tensors, dtypes and Python numbers has.

    A Python number takes the dtype that it meets, if that can hold its kind; float32, complex64 or int64 otherwise.
    Between integers and floats as NumPy: int64 and float32 make float64. ArgumentError where there is nothing but
    Python numbers. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.result_type(ag.int8, ag.int16), ag.result_type(ag.tensor([1.0]), 2.5), ag.result_type(ag.int64, 2.5)
    (dtype('int16'), dtype('float32'), dtype('float32'))
    """
    scalars = [x for x in arrays_and_dtypes if type(x) in (bool, int, float, complex)]
    found = [_dtype_of(x) for x in arrays_and_dtypes if type(x) not in (bool, int, float, complex)]
    if not found:
        raise ArgumentError(f"result_type: takes at least one tensor or dtype, got {arrays_and_dtypes}")
    return promote(found, scalars)


def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether promotion can lead from a dtype (or a tensor's) to ``to``: result_type(from_, to) == to.

    Python array API standard.

    >>> import autograd_core as ag
    >>> ag.can_cast(ag.int8, ag.int64), ag.can_cast(ag.float64, ag.float32)
    (True, False)
    """
    to = as_dtype(to)
    return promote([_dtype_of(from_), to]) == to


class FloatInfo(NamedTuple):
    """Limits of a floating dtype; of the parts, where it is complex."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: np.dtype


class IntegerInfo(NamedTuple):
    """Limits of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: np.dtype


def finfo(type: Any, /) -> FloatInfo:
    """Limits of a floating or complex dtype (or a tensor's): bits, eps, max, min, smallest_normal, dtype.

    Numbers are Python's. DTypeError for other dtypes. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.finfo(ag.float32).eps == 2.0**-23, ag.finfo(ag.complex64).dtype
    (True, dtype('float32'))
    """
    dtype = _dtype_of(type)
    if not is_inexact(dtype):
        raise DTypeError(f"finfo: takes a floating dtype, got {dtype}; write ag.iinfo for integers")
    if dtype.name == "bfloat16":  # eight bits of exponent, seven of fraction; unknown to np.finfo
        largest = (2 - 2.0**-7) * 2.0**127
        return FloatInfo(16, 2.0**-7, largest, -largest, 2.0**-126, dtype)
    info = np.finfo(dtype)
    eps, largest, least, normal = map(float, (info.eps, info.max, info.min, info.smallest_normal))
    return FloatInfo(info.bits, eps, largest, least, normal, np.dtype(info.dtype))


def iinfo(type: Any, /) -> IntegerInfo:
    """Limits of an integer dtype (or a tensor's): bits, max, min, dtype, as Python's numbers.

    DTypeError for other dtypes. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.iinfo(ag.int8).max
    127
    """
    dtype = _dtype_of(type)
    if dtype.kind not in "iu":
        raise DTypeError(f"iinfo: takes an integer dtype, got {dtype}; write ag.finfo for floats")
    info = np.iinfo(dtype)
    return IntegerInfo(info.bits, int(info.max), int(info.min), dtype)


# --------------------------------------------------------------------------------------- inspection


class NamespaceInfo:
    """What ``ag.__array_namespace_info__()`` answers."""

    def capabilities(self) -> dict[str, Any]:
        """Whether masks can be indices, whether shapes may depend on values, and how many axes there can be."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> Device:
        """The device of new tensors; ``ag.default_device`` sets it."""
        return get_device()

    def devices(self) -> list[Device]:
        """The devices that can be used here; ``ag.devices()`` also says why others cannot."""
        return [get_device(row.name) for row in devices() if row.available]

    def default_dtypes(self, *, device: Any = None) -> dict[str, np.dtype]:
        """The dtype of numbers given without one, on every device."""
        get_device(device)
        return {
            "real floating": DEFAULT_FLOAT,
            "complex floating": names.complex64,
            "integral": DEFAULT_INT,
            "indexing": DEFAULT_INT,
        }

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, np.dtype]:
        """The dtypes of the standard by name, of one kind or of a tuple of kinds; on every device the same."""
        get_device(device)
        asked = tuple(_STANDARD) if kind is None else kind if isinstance(kind, tuple) else (kind,)
        wanted = {elementary for k in asked for elementary in _kinds("dtypes", k)}
        return {dtype.name: dtype for k, found in _STANDARD.items() if k in wanted for dtype in found}


def __array_namespace_info__() -> NamespaceInfo:
    """What this library can do, its devices and its dtypes. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.__array_namespace_info__().default_dtypes()["real floating"]
    dtype('float32')
    """
    return NamespaceInfo()
