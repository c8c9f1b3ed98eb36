"""From what a user passes to what a primitive takes: coercion, promotion, broadcasting, in that order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import context
from ..aval import BOOL, DEFAULT_FLOAT, broadcast_shapes, is_inexact, promote
from ..errors import DeviceError, DTypeError
from ..primitive import Elementwise, Value, bind

SCALARS = (bool, int, float, complex)
PYTHON_REALS = (int, float)
NO_PARAMS: dict[str, Any] = {}


def as_tensor(op: str, x: Any, like: Value | None = None) -> Any:
    """``x`` as a tensor: tensors as they are, arrays and scalars on the device of ``like``."""
    if isinstance(x, Value):
        return x
    device = None if like is None else like.device
    return context.current().interpreter.base.constant(x, dtype=None, device=device, op=op)


def as_tensors(op: str, *operands: Any) -> list[Any]:
    """Operands as tensors on one device; Python scalars and arrays follow the first tensor."""
    like = next((x for x in operands if isinstance(x, Value)), None)
    tensors = [as_tensor(op, x, like) for x in operands]
    check_devices(op, tensors)
    return tensors


def check_devices(op: str, tensors: Sequence[Value]) -> None:
    """DeviceError unless all lie on one device: moving data is never silent."""
    first = tensors[0]
    for x in tensors[1:]:
        if x.device is not first.device:
            given = ", ".join(f"{t.dtype}{list(t.shape)} on {t.device}" for t in tensors)
            error = DeviceError(
                f"{op}: operands lie on different devices: {given}. "
                f"Move one explicitly: x.to({str(first.device)!r}) or x.to({str(x.device)!r})."
            )
            error.devices = tuple(t.device for t in tensors)
            raise error


def examine(x: Any, ask: Callable[[np.ndarray], Any]) -> Any:
    """``ask`` of the values of ``x`` on the host: a check that raises, or a decision that values make.

    A compiled function asks again in every call, so ``ask`` uses nothing else that changes, and its answer can be
    compared. Inside vmap it gets the values of all examples.
    """
    while x.level:
        x = x.inner
    return context.current().interpreter.base.examine(x, ask)


def to_float(x: Any) -> Any:
    """Integers and booleans as the default float, floats as they are."""
    if is_inexact(x.dtype):
        return x
    refuse_if_strict("this operation", [x], DEFAULT_FLOAT)
    return x.astype(DEFAULT_FLOAT)


def common_dtype(op: str, tensors: Sequence[Value], scalars: Sequence[Any], *, floating: bool = False) -> np.dtype:
    """The dtype of ``tensors`` and Python ``scalars`` together (NEP 50); ``floating``: at least the default float."""
    dtype = promote([x.dtype for x in tensors], scalars)
    if floating and not is_inexact(dtype):
        dtype = DEFAULT_FLOAT
    refuse_if_strict(op, tensors, dtype)
    return dtype


def refuse_if_strict(op: str, tensors: Sequence[Value], dtype: np.dtype) -> None:
    """DTypeError under ``strict_dtypes`` unless all tensors have ``dtype`` already."""
    if context.current().strict and any(x.dtype != dtype for x in tensors):
        given = " and ".join(dict.fromkeys(str(x.dtype) for x in tensors))
        raise DTypeError(
            f"{op}: strict_dtypes is on, and operands of dtypes {given} would become {dtype}; "
            f"cast one: x.astype({str(dtype)!r})"
        )


def promoted(op: str, operands: Sequence[Any], *, floating: bool = False) -> list[Any]:
    """Operands as tensors of their common dtype (NEP 50); ``floating``: at least the default float."""
    others = [x for x in operands if isinstance(x, (Value, np.ndarray, np.generic)) or not isinstance(x, SCALARS)]
    tensors = iter(as_tensors(op, *others)) if others else iter(())
    given = [x if isinstance(x, SCALARS) and not isinstance(x, np.generic) else next(tensors) for x in operands]
    values = [x for x in given if isinstance(x, Value)]
    dtype = common_dtype(op, values, [x for x in given if not isinstance(x, Value)], floating=floating)
    constant = context.current().interpreter.base.constant
    device = values[0].device if values else None
    return [
        (x if x.dtype == dtype else x.astype(dtype))
        if isinstance(x, Value)
        else constant(x, dtype=dtype, device=device, op=op)
        for x in given
    ]


def broadcast(op: str, tensors: Sequence[Any]) -> list[Any]:
    """All to one shape. A 0-d constant stays 0-d: it meets any shape, and nobody asks for its gradient."""
    shape = broadcast_shapes(op, *[x.shape for x in tensors])
    return [
        x if x.shape == shape or (not x.shape and x.node is None and x.level == 0) else x.broadcast_to(shape)
        for x in tensors
    ]


def unary(primitive: Elementwise, x: Any, *, floating: bool = False, **params: Any) -> Any:
    """Apply a one-operand elementwise primitive."""
    if not isinstance(x, Value):
        x = as_tensor(primitive.name, x)
    if floating and not is_inexact(x.dtype):
        x = to_float(x)
    return bind(primitive, (x,), params)


def unary_in_single(primitive: Elementwise, x: Any, **params: Any) -> Any:
    """``unary`` for formulas whose intermediate values overflow half precision: there, computed in float32."""
    x = as_tensor(primitive.name, x)
    if x.dtype.itemsize == 2 and is_inexact(x.dtype):
        return unary(primitive, x.astype(DEFAULT_FLOAT), **params).astype(x.dtype)
    return unary(primitive, x, floating=True, **params)


def binary(primitive: Elementwise, x1: Any, x2: Any, *, floating: bool = False, real: bool = False) -> Any:
    """Apply a two-operand elementwise primitive, with promotion and broadcasting; ``real``: refuse complex numbers."""
    if isinstance(x1, Value):
        if isinstance(x2, Value):
            if x1.dtype is x2.dtype and x1.device is x2.device and not (floating and x1.dtype.kind in "biu"):
                if real and x1.dtype.kind == "c":
                    require_real(primitive.name, x1)
                operands = (x1, x2) if x1.shape == x2.shape else broadcast(primitive.name, (x1, x2))
                return bind(primitive, operands, NO_PARAMS)
        elif _takes_dtype_of(x2, x1, floating):
            return bind(primitive, (x1, _weak(x2, x1)), NO_PARAMS)
    elif isinstance(x2, Value) and _takes_dtype_of(x1, x2, floating):
        return bind(primitive, (_weak(x1, x2), x2), NO_PARAMS)
    operands = promoted(primitive.name, (x1, x2), floating=floating)
    if real:
        require_real(primitive.name, *operands)
    return bind(primitive, broadcast(primitive.name, operands), NO_PARAMS)


def _takes_dtype_of(value: Any, x: Value, floating: bool) -> bool:
    """Whether ``value`` is a Python number that becomes one of the dtype of ``x``, whatever the operation."""
    kind = x.dtype.kind
    return (kind == "f" and type(value) in PYTHON_REALS) or (kind in "iu" and type(value) is int and not floating)


def _weak(value: float, like: Value) -> Any:
    """A Python number as a 0-d constant of the dtype and device of ``like``."""
    return context.current().interpreter.base.constant(value, dtype=like.dtype, device=like.device, op="constant")


def require_float(op: str, x: Value) -> None:
    """DTypeError unless ``x`` is floating or complex."""
    if not is_inexact(x.dtype):
        raise DTypeError(f"{op}: needs a floating dtype, got {x.dtype}; write x.astype('float32') first")


def require_real(op: str, *operands: Any) -> None:
    """DTypeError if one of ``operands``, tensors or numbers, is complex."""
    for x in operands:
        if x.dtype.kind == "c" if hasattr(x, "dtype") else isinstance(x, complex):
            given = f"{x.dtype}{list(x.shape)}" if hasattr(x, "dtype") else repr(x)
            raise DTypeError(
                f"{op}: takes real numbers, got {given}: complex ones have no order and no sign; "
                "write ag.abs(x), ag.real(x) or ag.imag(x)"
            )


def require_bool(op: str, name: str, x: Value) -> None:
    """DTypeError unless ``x`` is boolean."""
    if x.dtype != BOOL:
        raise DTypeError(f"{op}: {name} must be boolean, got {x.dtype}; write e.g. {name} > 0")


def require_integer(op: str, name: str, x: Value) -> None:
    """DTypeError unless ``x`` holds integers."""
    if x.dtype.kind not in "iu":
        raise DTypeError(f"{op}: {name} must hold integers, got {x.dtype}; write {name}.astype('int64')")
