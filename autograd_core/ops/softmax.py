"""Softmax, its logarithm, and what is made of it."""

from __future__ import annotations

from typing import Any

from ..aval import normalize_axis
from ..batching import shift
from ..errors import ArgumentError, DTypeError
from ..primitive import bind, general
from . import random
from ._apply import as_tensor, require_float, to_float
from .creation import arange
from .exponential import log, log1p
from .selection import maximum

__all__ = ["softmax", "log_softmax", "softmin", "gumbel_softmax"]


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
    batch={"axis": shift},
)

softmax_p = general(
    "softmax",
    lambda xp, x, *, axis: _softmax_formula(xp, x, axis),
    lambda x, *, axis: x,
    vjp=(lambda g, y, axis: bind(softmax_slope_p, (g, y), {"axis": axis}),),
    jvp=lambda ts, y, axis: bind(softmax_slope_p, (ts[0], y), {"axis": axis}),
    batch={"axis": shift},
)


def softmax(input: Any, dim: int = -1, *, axis: int | None = None, dtype: Any = None) -> Any:
    """Positive values that sum to 1 along ``dim``: y_i = e^x_i / sum_j e^x_j, without overflow.

    x: any shape, integers as float32. axis: another word for dim. dtype: that x is converted to first.
    float16 is summed in float32. Minus infinity gives 0; where a whole group is minus infinity there is no
    distribution, and y is NaN. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.softmax import softmax
    >>> softmax(ag.tensor([1000.0, 1000.0]))
    tensor([0.5, 0.5])
    """
    x, axis = _along("softmax", input, dim if axis is None else axis, dtype)
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
    batch={"axis": shift},
)

log_softmax_p = general(
    "log_softmax",
    lambda xp, x, *, axis: _log_softmax_formula(xp, x, axis),
    lambda x, *, axis: x,
    vjp=(lambda g, y, axis: bind(log_softmax_slope_p, (g, y), {"axis": axis}),),
    jvp=lambda ts, y, axis: ts[0] - (ts[0] * y.exp()).sum(axis=axis, keepdims=True),
    batch={"axis": shift},
)


def log_softmax(input: Any, dim: int = -1, *, axis: int | None = None, dtype: Any = None) -> Any:
    """Logarithm of the softmax: y_i = x_i - ln sum_j e^x_j, without overflow and exact where the softmax is near 0.

    Arguments as for ``softmax``. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.softmax import log_softmax
    >>> log_softmax(ag.tensor([0.0, -1000.0]))
    tensor([    0., -1000.])
    """
    x, axis = _along("log_softmax", input, dim if axis is None else axis, dtype)
    return bind(log_softmax_p, (x,), {"axis": axis}) if x.shape[axis] else x


def softmin(input: Any, dim: int = -1, *, dtype: Any = None) -> Any:
    """The softmax of -x along ``dim``: y_i = e^-x_i / sum_j e^-x_j. Arguments as for ``softmax``. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.softmax import softmin
    >>> softmin(ag.tensor([0.0, 1000.0]))
    tensor([1., 0.])
    """
    return softmax(-to_float(as_tensor("softmin", input)), dim, dtype=dtype)


def gumbel_softmax(
    logits: Any, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1, *, generator: Any = None
) -> Any:
    """A random point of the simplex near a corner: y = softmax((x + g) / tau), g = -ln(-ln u) for every element.

    logits: x, scores, floating. tau: temperature, above 0 (ArgumentError). hard: y is the one-hot vector of the largest
    element, with the derivative of the softmax. eps: not used, as in PyTorch. generator: by default the context's.
    Jang, Gu and Poole, Categorical reparameterization with Gumbel-softmax, 2017; Maddison, Mnih and Teh, 2017. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.softmax import gumbel_softmax
    >>> gumbel_softmax(ag.tensor([0.0, 100.0]), hard=True, generator=ag.random.Generator(0))
    tensor([0., 1.])
    """
    op = "gumbel_softmax"
    if not tau > 0:
        raise ArgumentError(f"{op}: tau must be positive, got {tau}")
    x, axis = _along(op, logits, dim, None)
    uniform = random.uniform(x.shape, dtype="float64", device=x.device, generator=generator)
    # u = 0 comes up once in 2**53 draws; half that step stands for it
    noise = -log(maximum(-log1p(-uniform), 2.0**-54))
    y = softmax((x + noise.astype(x.dtype)) / tau, axis)
    if not hard:
        return y
    places = arange(x.shape[axis], device=x.device).reshape((-1, *(1,) * (len(x.shape) - axis - 1)))
    corner = (y.argmax(axis=axis, keepdims=True) == places).astype(y.dtype)
    return corner + (y - y.detach())


def _along(op: str, x: Any, axis: int, dtype: Any) -> tuple[Any, int]:
    x = as_tensor(op, x)
    x = to_float(x) if dtype is None else x.astype(dtype)
    require_float(op, x)
    if x.dtype.kind == "c":
        raise DTypeError(f"{op}: takes real numbers, got {x.dtype}")
    return x, normalize_axis(op, axis, len(x.shape))
