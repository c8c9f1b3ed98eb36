"""Choosing between values: where, minimum, maximum, clip."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import context
from ..aval import Aval, broadcast_shapes, is_inexact, promote
from ..batching import expanded
from ..primitive import Elementwise, Multilinear, Value, bind, elementwise, multilinear
from ._apply import (
    NO_PARAMS,
    SCALARS,
    as_tensor,
    binary,
    broadcast,
    check_devices,
    common_dtype,
    promoted,
    require_bool,
    require_real,
    unary,
)
from .complex_numbers import complex, imag, real

__all__ = ["where", "minimum", "maximum", "fmin", "fmax", "clip", "nan_to_num", "heaviside"]


def _where_batched(xs: Any, batched: Any, size: int) -> Any:
    return bind(where_p, expanded(xs, batched, size), NO_PARAMS)


where_p: Multilinear = multilinear(
    "where",
    lambda xp, condition, x1, x2: xp.where(condition, x1, x2),
    # a choice, not a product with a mask: nothing that the untaken branch holds can reach the result
    transposes=(None, lambda g, condition: where(condition, g, 0), lambda g, condition: where(condition, 0, g)),
    shape=lambda condition, x1, x2: Aval(broadcast_shapes("where", condition.shape, x1.shape, x2.shape), x1.dtype),
    joint=True,
    batch=_where_batched,
)


def where(condition: Any, x1: Any, x2: Any, /) -> Any:
    """Element-wise choice: y = x1 where ``condition`` is true, x2 elsewhere.

    condition: boolean; x1, x2: tensors or numbers, promoted to one dtype; all shapes broadcast.
    The branch not taken gets a gradient of exactly 0, and functions with singular points (log, sqrt, x / 0, x**0.5,
    exp at its overflow) keep it 0: ``where(x > 0, sqrt(x), 0)`` has no NaN in its gradient at 0. A product with an
    infinite factor does not: for x log x write ``xlogy(x, x)``. DTypeError if ``condition`` is not boolean.
    Python array API standard.

    >>> import autograd_core as ag
    >>> x = ag.tensor([4.0, 0.0], requires_grad=True)
    >>> y = ag.where(x > 0, ag.sqrt(x), 0)
    >>> y.sum().backward()
    >>> y.detach(), x.grad
    (tensor([2., 0.]), tensor([0.25, 0.  ]))
    """
    like = next((x for x in (condition, x1, x2) if isinstance(x, Value)), None)
    condition = as_tensor("where", condition, like)
    require_bool("where", "condition", condition)
    x1, x2 = _branches(condition, x1, x2)
    check_devices("where", (condition, x1, x2))
    return bind(where_p, broadcast("where", (condition, x1, x2)), NO_PARAMS)


def _branches(condition: Any, x1: Any, x2: Any) -> tuple[Any, Any]:
    """Both branches as tensors of one dtype; numbers alone go where the condition is."""
    branches = [x if type(x) in SCALARS else as_tensor("where", x, condition) for x in (x1, x2)]
    tensors = [x for x in branches if type(x) not in SCALARS]
    dtype = common_dtype("where", tensors, [x for x in branches if type(x) in SCALARS])
    constant = context.current().interpreter.base.constant
    first, second = (
        constant(x, dtype=dtype, device=condition.device, op="where") if type(x) in SCALARS else x.astype(dtype)
        for x in branches
    )
    return first, second


share_p = elementwise(
    "share",
    lambda xp, c, x1, x2: xp.where(x1 > x2, c, xp.where(x1 == x2, 0.5 * c, 0)),
    partials=(lambda g, x1, x2: share(g, x1, x2), 0, 0),
    signals=False,
)


def share(c: Any, x1: Any, x2: Any) -> Any:
    """The part of ``c`` that belongs to x1 as the larger of two: all, half at a tie, nothing."""
    return bind(share_p, (c, x1, x2), {})


maximum_p = elementwise(
    "maximum",
    lambda xp, x1, x2: xp.maximum(x1, x2),
    partials=(lambda g, x1, x2: share(g, x1, x2), lambda g, x1, x2: share(g, x2, x1)),
    signals=False,
)


def maximum(x1: Any, x2: Any, /) -> Any:
    """Element-wise larger value: y = max(x1, x2); NaN if either is. The gradient of a tie is halved between the two.

    x1, x2: real dtype; shapes broadcast. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.maximum(ag.tensor([1.0, -2.0]), 0.0)
    tensor([1., 0.])
    """
    return binary(maximum_p, x1, x2, real=True)


minimum_p = elementwise(
    "minimum",
    lambda xp, x1, x2: xp.minimum(x1, x2),
    partials=(lambda g, x1, x2: share(g, x2, x1), lambda g, x1, x2: share(g, x1, x2)),
    signals=False,
)


def minimum(x1: Any, x2: Any, /) -> Any:
    """Element-wise smaller value: y = min(x1, x2); NaN if either is. The gradient of a tie is halved between the two.

    x1, x2: real dtype; shapes broadcast. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.minimum(ag.tensor([1.0, -2.0]), 0.0)
    tensor([ 0., -2.])
    """
    return binary(minimum_p, x1, x2, real=True)


def _without_nan(op: str, choose: Any, x1: Any, x2: Any) -> Any:
    require_real(op, x1, x2)
    x1, x2 = promoted(op, (x1, x2))
    if not is_inexact(x1.dtype):
        return choose(x1, x2)
    return where(x1 == x1, where(x2 == x2, choose(x1, x2), x1), x2)


def fmax(x1: Any, x2: Any, /) -> Any:
    """Element-wise larger value, a number before NaN: ``maximum``, but the other operand where one is NaN.

    x1, x2: real dtype; shapes broadcast. The gradient goes to what is chosen, halved where both are equal.
    NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.fmax(ag.tensor([1.0, float("nan")]), 0.5)
    tensor([1. , 0.5])
    """
    return _without_nan("fmax", maximum, x1, x2)


def fmin(x1: Any, x2: Any, /) -> Any:
    """Element-wise smaller value, a number before NaN: ``minimum``, but the other operand where one is NaN.

    x1, x2: real dtype; shapes broadcast. The gradient goes to what is chosen, halved where both are equal.
    NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.fmin(ag.tensor([1.0, float("nan")]), 0.5)
    tensor([0.5, 0.5])
    """
    return _without_nan("fmin", minimum, x1, x2)


inside_p: Elementwise = elementwise(
    "inside",
    lambda xp, c, x, *, low, high: xp.where((x >= low) & (x <= high), c, 0),
    partials=(lambda g, x, low, high: bind(inside_p, (g, x), {"low": low, "high": high}), 0),
    signals=False,
)

clip_p = elementwise(
    "clip",
    lambda xp, x, *, low, high: xp.minimum(xp.maximum(x, low), high),
    partials=(lambda g, x, low, high: bind(inside_p, (g, x), {"low": low, "high": high}),),
    signals=False,
)


def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
    """Element-wise x limited to [min, max]: y = min(max(x, min), max); NaN stays NaN.

    min, max: a number or a tensor that broadcasts with ``x``; None for no limit. The gradient goes to ``x`` where
    min <= x <= max, both ends included, elsewhere to the limit that holds.
    Python array API standard; ``clamp`` in PyTorch.

    >>> import autograd_core as ag
    >>> ag.clip(ag.tensor([-1.0, 0.5, 2.0]), 0, 1)
    tensor([0. , 0.5, 1. ])
    """
    x = as_tensor("clip", x)
    if min is None and max is None:
        return x
    limits = [limit for limit in (min, max) if limit is not None]
    require_real("clip", x, *limits)
    if all(isinstance(limit, (bool, int, float)) for limit in limits):
        dtype = promote([x.dtype], limits)
        low = -np.inf if min is None else min
        high = np.inf if max is None else max
        if not is_inexact(dtype):
            info = np.iinfo(dtype)
            low, high = (int(info.min) if min is None else min), (int(info.max) if max is None else max)
        return unary(clip_p, x.astype(dtype), low=low, high=high)
    x, *limits = broadcast("clip", promoted("clip", (x, *limits)))
    if min is not None:
        x = where(x < limits[0], limits[0], x)
    return x if max is None else where(x > limits[-1], limits[-1], x)


nan_to_num_p = elementwise(
    "nan_to_num",
    lambda xp, x, *, nan, posinf, neginf: xp.where(
        x != x, nan, xp.where(x == np.inf, posinf, xp.where(x == -np.inf, neginf, x))
    ),
    partials=(lambda g, x: where(abs(x) < np.inf, g, 0),),
    signals=False,
)


def nan_to_num(x: Any, /, *, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """``x`` with NaN and infinities replaced by numbers; replaced elements get no gradient.

    nan: what replaces NaN. posinf, neginf: by default the largest and smallest finite number of the dtype. Of complex
    numbers both parts are treated so. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.nan_to_num(ag.tensor([1.0, float("nan"), float("inf")]), posinf=9.0)
    tensor([1., 0., 9.])
    """
    x = as_tensor("nan_to_num", x)
    if not is_inexact(x.dtype):
        return x
    if x.dtype.kind == "c":
        parts = [nan_to_num(part, nan=nan, posinf=posinf, neginf=neginf) for part in (real(x), imag(x))]
        return complex(*parts)
    # bfloat16, which NumPy does not know, has the exponents of float32 and 7 bits of fraction
    largest = (2 - 2.0**-7) * 2.0**127 if x.dtype.name == "bfloat16" else float(np.finfo(x.dtype).max)
    return unary(
        nan_to_num_p,
        x,
        nan=nan,
        posinf=largest if posinf is None else posinf,
        neginf=-largest if neginf is None else neginf,
    )


heaviside_p = elementwise(
    "heaviside",
    lambda xp, x1, x2: xp.where(x1 == 0, x2, xp.where(x1 < 0, 0, xp.where(x1 > 0, 1, x1))),
    partials=(0, lambda g, x1: where(x1 == 0, g, 0)),
    signals=False,
)


def heaviside(x1: Any, x2: Any, /) -> Any:
    """Element-wise step: y = 0 for x1 < 0, x2 for x1 = 0, 1 for x1 > 0; NaN for NaN.

    x1, x2: real dtype, integers as float32; shapes broadcast. dy/dx1 = 0; dy/dx2 = 1 where x1 is 0. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.heaviside(ag.tensor([-1.5, 0.0, 2.0]), 0.5)
    tensor([0. , 0.5, 1. ])
    """
    return binary(heaviside_p, x1, x2, floating=True, real=True)
