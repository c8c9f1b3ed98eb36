"""Softmax and its logarithm."""

from __future__ import annotations

from typing import Any

from ..aval import normalize_axis
from ..errors import DTypeError
from ..primitive import bind, general
from ._apply import as_tensor, to_float

__all__ = ["softmax", "log_softmax"]


def accumulated(xp: Any, x: Any) -> Any:
    """``x`` in a dtype whose sums do not lose what half precision loses."""
    return x.astype(xp.float32) if x.dtype.itemsize == 2 else x


def _softmax_formula(xp: Any, x: Any, axis: int) -> Any:
    wide = accumulated(xp, x)
    y = wide - wide.max(axis=axis, keepdims=True)
    xp.exp(y, out=y)
    y /= y.sum(axis=axis, keepdims=True)
    return y if y.dtype == x.dtype else y.astype(x.dtype)


def _log_softmax_formula(xp: Any, x: Any, axis: int) -> Any:
    wide = accumulated(xp, x)
    y = wide - wide.max(axis=axis, keepdims=True)
    y -= xp.log(xp.exp(y).sum(axis=axis, keepdims=True))
    return y if y.dtype == x.dtype else y.astype(x.dtype)


def _softmax_slope(xp: Any, slopes: Any, y: Any, axis: int) -> Any:
    product = slopes * y
    product -= y * product.sum(axis=axis, keepdims=True)
    return product


# the Jacobian diag(y) - y y^T is symmetric: times a cotangent or a tangent, it is one operation
softmax_slope_p = general(
    "softmax_slope",
    lambda xp, slopes, outputs, *, axis: _softmax_slope(xp, slopes, outputs, axis),
    lambda slopes, outputs, *, axis: outputs,
    composed=lambda slopes, outputs, *, axis: outputs * (slopes - (slopes * outputs).sum(axis=axis, keepdims=True)),
    signals=False,
)

softmax_p = general(
    "softmax",
    lambda xp, x, *, axis: _softmax_formula(xp, x, axis),
    lambda x, *, axis: x,
    vjp=(lambda g, y, axis: bind(softmax_slope_p, (g, y), {"axis": axis}),),
    jvp=lambda ts, y, axis: bind(softmax_slope_p, (ts[0], y), {"axis": axis}),
)


def softmax(x: Any, /, *, axis: int = -1) -> Any:
    """Positive values that sum to 1 along ``axis``: y_i = e^x_i / sum_j e^x_j, without overflow.

    x: any shape, integers as float32; float16 is summed in float32. Minus infinity gives 0; where a whole group is
    minus infinity there is no distribution, and y is NaN. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.softmax import softmax
    >>> softmax(ag.tensor([1000.0, 1000.0]))
    tensor([0.5, 0.5])
    """
    x, axis = _along("softmax", x, axis)
    return bind(softmax_p, (x,), {"axis": axis}) if x.shape[axis] else x


def _log_softmax_slope(xp: Any, slopes: Any, y: Any, axis: int) -> Any:
    spread = xp.exp(y)
    spread *= slopes.sum(axis=axis, keepdims=True)
    return xp.subtract(slopes, spread, out=spread)


log_softmax_slope_p = general(
    "log_softmax_slope",
    lambda xp, slopes, outputs, *, axis: _log_softmax_slope(xp, slopes, outputs, axis),
    lambda slopes, outputs, *, axis: outputs,
    composed=lambda slopes, outputs, *, axis: slopes - outputs.exp() * slopes.sum(axis=axis, keepdims=True),
    signals=False,
)

log_softmax_p = general(
    "log_softmax",
    lambda xp, x, *, axis: _log_softmax_formula(xp, x, axis),
    lambda x, *, axis: x,
    vjp=(lambda g, y, axis: bind(log_softmax_slope_p, (g, y), {"axis": axis}),),
    jvp=lambda ts, y, axis: ts[0] - (ts[0] * y.exp()).sum(axis=axis, keepdims=True),
)


def log_softmax(x: Any, /, *, axis: int = -1) -> Any:
    """Logarithm of the softmax: y_i = x_i - ln sum_j e^x_j, without overflow and exact where the softmax is near 0.

    x: any shape, integers as float32; float16 is summed in float32. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.softmax import log_softmax
    >>> log_softmax(ag.tensor([0.0, -1000.0]))
    tensor([    0., -1000.])
    """
    x, axis = _along("log_softmax", x, axis)
    return bind(log_softmax_p, (x,), {"axis": axis}) if x.shape[axis] else x


def _along(op: str, x: Any, axis: int) -> tuple[Any, int]:
    x = to_float(as_tensor(op, x))
    if x.dtype.kind == "c":
        raise DTypeError(f"{op}: takes real numbers, got {x.dtype}")
    return x, normalize_axis(op, axis, len(x.shape))
