"""How C calls the dtypes, and how it writes their numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

BOOL = np.dtype(np.bool_)
_NAMES = {
    "bool": "bool",
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long long",
    "uint8": "unsigned char",
    "uint16": "unsigned short",
    "uint32": "unsigned int",
    "uint64": "unsigned long long",
    "float32": "float",
    "float64": "double",
}


# Of 16 bits in memory, and floats in registers: what struct of half.cuh holds them.
HALVES = {"float16": "Half", "bfloat16": "Brain"}


def c_type(dtype: np.dtype) -> str:
    """Of a value in a register."""
    try:
        return _NAMES[computed(dtype).name]
    except KeyError:
        known = ", ".join([*_NAMES, *HALVES])
        raise TypeError(f"CUDA loop kernels compute in {known}; got {np.dtype(dtype)}") from None


def memory_type(dtype: np.dtype) -> str:
    """Of an element of an array."""
    return HALVES.get(np.dtype(dtype).name) or c_type(dtype)


def computed(dtype: np.dtype) -> np.dtype:
    """What values of this dtype are computed in."""
    return np.dtype(np.float32) if np.dtype(dtype).name in HALVES else np.dtype(dtype)


def literal(value: Any, dtype: np.dtype) -> str:
    """The number, to the last bit."""
    value, dtype = np.dtype(dtype).type(value), computed(dtype)
    if dtype == BOOL:
        return "true" if value else "false"
    if dtype.kind == "f":
        return _floating(dtype.type(value), dtype)
    value = int(value)
    if dtype.kind == "u":
        return f"{value}{'u' if dtype.itemsize < 8 else 'ull'}"
    if value == np.iinfo(dtype).min and dtype.itemsize >= 4:  # C has no negative literals
        return f"({value + 1}{'' if dtype.itemsize == 4 else 'll'} - 1)"
    return f"{value}{'' if dtype.itemsize < 8 else 'll'}"


def _floating(value: Any, dtype: np.dtype) -> str:
    single = dtype.itemsize == 4
    if math.isnan(value):
        return "__int_as_float(0x7fc00000)" if single else "__longlong_as_double(0x7ff8000000000000ll)"
    if math.isinf(value):
        infinity = "__int_as_float(0x7f800000)" if single else "__longlong_as_double(0x7ff0000000000000ll)"
        return infinity if value > 0 else f"-{infinity}"
    return f"{value!s}{'f' if single else ''}"
