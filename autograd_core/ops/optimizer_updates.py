"""What optimizers compute: one primitive an update, so that a backend can do all of it in one pass over memory.

What changes from step to step (learning rate, step count) comes in as 0-d arrays, never as a parameter: a compiled
step takes them as inputs. Parameters (``momentum``, ``beta1``) are static. Updates have no derivative.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from ..aval import DEFAULT_FLOAT, Aval, promote
from ..primitive import Primitive, bind, general
from .joining import concat
from .linear_algebra import norm


def _batch_of(primitive: Callable[[], Primitive]) -> Callable[..., Any]:
    """The batch rule of an update: a number for every example meets all elements of its array."""

    def rule(xs: Sequence[Any], batched: Sequence[bool], size: int, **params: Any) -> Any:
        shapes = [x.shape[1:] if b else x.shape for x, b in zip(xs, batched, strict=True)]
        rows = [x if b else x.broadcast_to((size, *x.shape)) for x, b in zip(xs, batched, strict=True)]
        numbers = (size, *(1,) * len(shapes[0]))
        rows = [row if shape else row.reshape(numbers) for row, shape in zip(rows, shapes, strict=True)]
        results = bind(primitive(), rows, params)
        if not isinstance(results, tuple):
            return results
        # they are the parameter and its state, which follows the parameter, its gradient and the learning rate
        return tuple(y.reshape((size, *s)) for y, s in zip(results, (shapes[0], *shapes[3:]), strict=True))

    return rule


def _sgd(
    xp: Any,
    param: Any,
    grad: Any,
    lr: Any,
    buffer: Any = None,
    step: Any = None,
    *,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> tuple[Any, ...]:
    """(param[, buffer[, step]]) after one step; ``buffer`` is given where momentum is used, ``step`` where "
    "dampening is."""
    d = -grad if maximize else grad
    if weight_decay:
        d = d + param * weight_decay
    rate = lr.astype(param.dtype)
    if buffer is None:
        return (param - d * rate,)
    if step is None:
        buffer = buffer * momentum + d
    else:
        # the first gradient enters the buffer undamped
        buffer = buffer * momentum + d * xp.where(step == 0, 1.0, 1.0 - dampening).astype(param.dtype)
    new_param = param - (d + buffer * momentum if nesterov else buffer) * rate
    return (new_param, buffer) if step is None else (new_param, buffer, step + 1)


def _sgd_avals(param: Aval, grad: Aval, lr: Aval, *state: Aval, **params: Any) -> tuple[Aval, ...]:
    return (param, *state)


sgd_update_p: Primitive = general("sgd_update", _sgd, _sgd_avals, batch=_batch_of(lambda: sgd_update_p))


def adam_scales(count: Any, lr: Any, beta1: float, beta2: float) -> tuple[Any, Any]:
    """Factors of the step and of eps at step ``count`` (from 1): lr sqrt(b2) / b1 and sqrt(b2); b = 1 - beta^count."""
    scale = (1 - beta2**count) ** 0.5
    return lr * scale / (1 - beta1**count), scale


def _adam(
    xp: Any,
    param: Any,
    grad: Any,
    lr: Any,
    exp_avg: Any,
    exp_avg_sq: Any,
    step: Any,
    max_exp_avg_sq: Any = None,
    *,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled_weight_decay: bool,
    maximize: bool,
) -> tuple[Any, ...]:
    """(param, exp_avg, exp_avg_sq, step[, max_exp_avg_sq]) after one step; the last only for AMSGrad.

    Both bias corrections are scalars, worked out in float64 and moved into the step size and eps:
    lr / b1 * m / (sqrt(v) / sqrt(b2) + eps) = (lr sqrt(b2) / b1) * m / (sqrt(v) + eps sqrt(b2)),
    which spares a pass over the array.
    """
    d = -grad if maximize else grad
    step = step + 1
    step_size, scale = adam_scales(step.astype(xp.float64), lr, beta1, beta2)
    if weight_decay and not decoupled_weight_decay:
        d = d + param * weight_decay
    elif weight_decay:
        param = param * (1 - lr * weight_decay).astype(param.dtype)
    # from whichever counts for more: with beta1 = 0 exactly the gradient, however small it is beside the last one
    exp_avg = d + (exp_avg - d) * beta1 if beta1 < 0.5 else exp_avg + (d - exp_avg) * (1 - beta1)
    exp_avg_sq = exp_avg_sq * beta2 + d * d * (1 - beta2)
    if max_exp_avg_sq is None:
        second = exp_avg_sq
    else:
        second = max_exp_avg_sq = xp.maximum(max_exp_avg_sq, exp_avg_sq)
    new_param = param - exp_avg / (xp.sqrt(second) + (scale * eps).astype(param.dtype)) * step_size.astype(param.dtype)
    results = (new_param, exp_avg, exp_avg_sq, step)
    return results if max_exp_avg_sq is None else (*results, max_exp_avg_sq)


def _adam_avals(param: Aval, grad: Aval, lr: Aval, *state: Aval, **params: Any) -> tuple[Aval, ...]:
    return (param, *state)


adam_update_p: Primitive = general("adam_update", _adam, _adam_avals, batch=_batch_of(lambda: adam_update_p))


def _norm(xp: Any, *arrays: Any, order: float) -> Any:
    """(sum |x|^order)^(1/order) over all elements of all arrays together; 16-bit arrays are summed in float32."""
    flat = [xp.reshape(x.astype(xp.float32) if x.dtype.itemsize == 2 else x, (-1,)) for x in arrays]
    if order == 2:
        return sum([xp.vdot(x, x).real for x in flat]) ** 0.5
    if order == math.inf:
        return reduce(xp.maximum, [xp.max(xp.abs(x)) if x.size else xp.zeros((), x.real.dtype) for x in flat])
    return sum([xp.sum(xp.abs(x) ** order) for x in flat]) ** (1 / order)


def _norm_aval(*arrays: Aval, order: float) -> Aval:
    widened = [DEFAULT_FLOAT if a.dtype.itemsize == 2 else np.zeros(0, a.dtype).real.dtype for a in arrays]
    return Aval((), promote(widened))


def _norm_batch(xs: Sequence[Any], batched: Sequence[bool], size: int, *, order: float) -> Any:
    rows = [(x if b else x.broadcast_to((size, *x.shape))).reshape((size, -1)) for x, b in zip(xs, batched)]
    whole = concat([x.astype(DEFAULT_FLOAT) if x.dtype.itemsize == 2 else x for x in rows], axis=1)
    return norm(whole, ord=order, axis=1)


global_norm_p = general("global_norm", _norm, _norm_aval, batch=_norm_batch)

scaled_p: Primitive = general(
    "scaled",
    lambda xp, x, factor: x * factor.astype(x.dtype),
    lambda x, factor: x,
    batch=_batch_of(lambda: scaled_p),
)
