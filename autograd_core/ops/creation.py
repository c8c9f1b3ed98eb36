"""Tensors from numbers: from data, from a shape, from a range."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import context
from ..aval import DEFAULT_FLOAT, Aval, as_dtype, as_shape, promote, scalar_dtype
from ..backend import get_device
from ..errors import ArgumentError
from ..primitive import Value, bind, general
from ._apply import as_tensor
from .casting import alias_p

__all__ = [
    "asarray",
    "full",
    "zeros",
    "ones",
    "empty",
    "full_like",
    "zeros_like",
    "ones_like",
    "empty_like",
    "arange",
    "linspace",
    "eye",
]


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Any:
    """``obj`` as a tensor: a tensor, NumPy array, nested sequence or scalar.

    Arrays and NumPy scalars keep their dtype; Python floats become float32, ints int64, complex numbers complex64.
    copy: True makes a new tensor (with its own memory, where ``obj`` is an array); None may share the memory of a NumPy
    array of the right dtype: do not write to it afterwards; False must share it, ArgumentError where that cannot be.
    Python array API standard.

    >>> import autograd_core as ag
    >>> ag.asarray([[1.0, 2.0]]).dtype, ag.asarray(3).dtype
    (dtype('float32'), dtype('int64'))
    """
    return made("asarray", obj, dtype, device, copy)


def made(op: str, obj: Any, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Any:
    """``asarray`` on behalf of the function ``op``, which errors name."""
    dtype = None if dtype is None else as_dtype(dtype)
    if copy is False:
        _require_shared(op, obj, dtype, device)
    if isinstance(obj, Value):
        x: Any = obj if dtype is None else obj.astype(dtype)
        x = x if device is None else x.to(device)
        return bind(alias_p, (x,), {}) if copy and x is obj else x
    if copy and hasattr(obj, "dtype"):  # other libraries' arrays share their memory too
        obj = obj.copy() if hasattr(obj, "copy") else np.array(obj)
    return context.current().interpreter.base.constant(obj, dtype=dtype, device=device, op=op)


def _require_shared(op: str, obj: Any, dtype: np.dtype | None, device: Any) -> None:
    """ArgumentError unless a tensor of ``dtype`` on ``device`` can have the memory of ``obj``."""
    target = obj.device if isinstance(obj, Value) and device is None else get_device(device)
    shared = obj.device is target if isinstance(obj, Value) else isinstance(obj, target.backend.array_types)
    if not shared or (dtype is not None and dtype != obj.dtype):
        given = f"{obj.dtype} on {obj.device}" if isinstance(obj, Value) else type(obj).__name__
        wanted: Any = getattr(obj, "dtype", "a tensor") if dtype is None else dtype
        raise ArgumentError(
            f"{op}: copy=False, but {given} can become {wanted} on {target} by a copy only; leave out copy"
        )


full_p = general(
    "full",
    lambda xp, *, shape, value, dtype, device: xp.full(shape, value, dtype=dtype),
    lambda *, shape, value, dtype, device: Aval(shape, dtype),
    signals=False,
    device_param="device",
)


def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor of ``shape`` whose elements all equal ``fill_value``, a number or a 0-d tensor.

    dtype: by default that of the number (Python's: float32, int64, bool, complex64). Differentiable in a tensor.
    Python array API standard.

    >>> import autograd_core as ag
    >>> ag.full((2,), 7.0)
    tensor([7., 7.])
    """
    if getattr(fill_value, "shape", None) == () and not isinstance(fill_value, np.generic):
        return made("full", fill_value, dtype, device).broadcast_to(as_shape("full", shape))
    if not isinstance(fill_value, (bool, int, float, complex, np.generic)):
        raise ArgumentError(f"full: fill_value must be a number, got {type(fill_value).__name__}; use broadcast_to")
    if dtype is None:
        dtype = fill_value.dtype if isinstance(fill_value, np.generic) else scalar_dtype(fill_value)
    chosen = as_dtype(dtype)
    params = {"shape": as_shape("full", shape), "value": fill_value, "dtype": chosen, "device": get_device(device)}
    return bind(full_p, (), params)


def zeros(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor of zeros; float32 unless ``dtype`` says otherwise. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.zeros((1, 2))
    tensor([[0., 0.]])
    """
    return full(as_shape("zeros", shape), 0.0, dtype=dtype, device=device)


def ones(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor of ones; float32 unless ``dtype`` says otherwise. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.ones(2, dtype="int64")
    tensor([1, 1])
    """
    return full(as_shape("ones", shape), 1.0, dtype=dtype, device=device)


def empty(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor of ``shape`` whose values mean nothing; zeros, so that runs are reproducible."""
    return zeros(shape, dtype=dtype, device=device)


def full_like(x: Any, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor of the shape, dtype and device of ``x``, filled with a scalar. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.full_like(ag.zeros(2), 5)
    tensor([5., 5.])
    """
    x = as_tensor("full_like", x)
    return full(x.shape, fill_value, dtype=dtype or x.dtype, device=device or x.device)


def zeros_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Zeros of the shape, dtype and device of ``x``. Python array API standard."""
    return full_like(x, 0, dtype=dtype, device=device)


def ones_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Ones of the shape, dtype and device of ``x``. Python array API standard."""
    return full_like(x, 1, dtype=dtype, device=device)


def empty_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor like ``x`` whose values mean nothing; zeros."""
    return zeros_like(x, dtype=dtype, device=device)


arange_p = general(
    "arange",
    lambda xp, *, start, stop, step, dtype, device: xp.arange(start, stop, step, dtype=dtype),
    lambda *, start, stop, step, dtype, device: Aval((max(0, int(np.ceil((stop - start) / step))),), dtype),
    signals=False,
    device_param="device",
)


def arange(
    start: float, /, stop: float | None = None, step: float = 1, *, dtype: Any = None, device: Any = None
) -> Any:
    """Evenly spaced values start, start + step, ... below ``stop`` (1-d). Python array API standard.

    dtype: int64 for integer arguments, float32 otherwise.

    >>> import autograd_core as ag
    >>> ag.arange(1, 7, 2)
    tensor([1, 3, 5])
    """
    if stop is None:
        start, stop = 0, start
    if step == 0:
        raise ArgumentError("arange: step must not be 0")
    chosen = as_dtype(dtype) if dtype is not None else promote([], [start, stop, step])
    params = {"start": start, "stop": stop, "step": step, "dtype": chosen, "device": get_device(device)}
    return bind(arange_p, (), params)


linspace_p = general(
    "linspace",
    lambda xp, *, start, stop, num, endpoint, dtype, device: xp.linspace(
        start, stop, num, endpoint=endpoint, dtype=dtype
    ),
    lambda *, start, stop, num, endpoint, dtype, device: Aval((num,), dtype),
    signals=False,
    device_param="device",
)


def linspace(
    start: float, stop: float, /, num: int, *, dtype: Any = None, device: Any = None, endpoint: bool = True
) -> Any:
    """``num`` evenly spaced values from ``start`` to ``stop`` (1-d). Python array API standard.

    >>> import autograd_core as ag
    >>> ag.linspace(0.0, 1.0, 3)
    tensor([0. , 0.5, 1. ])
    """
    if num < 0:
        raise ArgumentError(f"linspace: num must not be negative, got {num}")
    chosen = as_dtype(dtype) if dtype is not None else promote([DEFAULT_FLOAT], [start, stop])
    params = {
        "start": start,
        "stop": stop,
        "num": num,
        "endpoint": endpoint,
        "dtype": chosen,
        "device": get_device(device),
    }
    return bind(linspace_p, (), params)


eye_p = general(
    "eye",
    lambda xp, *, n_rows, n_cols, k, dtype, device: xp.eye(n_rows, n_cols, k=k, dtype=dtype),
    lambda *, n_rows, n_cols, k, dtype, device: Aval((n_rows, n_cols), dtype),
    signals=False,
    device_param="device",
)


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: Any = None) -> Any:
    """Ones on the k-th diagonal, zeros elsewhere: (n_rows, n_cols). Python array API standard.

    >>> import autograd_core as ag
    >>> ag.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    n_rows, n_cols = as_shape("eye", (n_rows, n_rows if n_cols is None else n_cols))
    chosen = DEFAULT_FLOAT if dtype is None else as_dtype(dtype)
    params = {"n_rows": n_rows, "n_cols": n_cols, "k": k, "dtype": chosen, "device": get_device(device)}
    return bind(eye_p, (), params)
