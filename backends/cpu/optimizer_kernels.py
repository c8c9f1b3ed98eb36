"""Optimizer updates in one pass: each element of parameter, gradient and state is read once and written once.

The element formulas are those of ``autograd_core.ops.optimizer_updates``, rounding for rounding. An argument that is
None (no weight decay, no AMSGrad) makes a compiled version of its own, in which its branch does not exist.
"""

# Numba gives every function its types.
# mypy: allow-untyped-defs

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numba import njit

from autograd_core.backend import Kernel
from autograd_core.ops.optimizer_updates import adam_scales, adam_update_p, sgd_update_p
from autograd_core.primitive import Primitive

from .threads import shared

_jit = njit(nogil=True, error_model="numpy", cache=True)

COMPILED = (np.dtype(np.float32), np.dtype(np.float64))

_sgd_formula = np.errstate(all="ignore")(partial(sgd_update_p.forward, np))
_adam_formula = np.errstate(all="ignore")(partial(adam_update_p.forward, np))


@_jit
def _sgd(first, last, param, grad, buffer, new_param, new_buffer, rate, sign, decay, momentum, weight, nesterov):
    number = param.dtype.type
    rate, sign, momentum, weight = number(rate), number(sign), number(momentum), number(weight)
    # slices, since counting from 0 shows the compiler that no index is negative
    param, grad, new_param = param[first:last], grad[first:last], new_param[first:last]
    if buffer is not None:
        old_b, new_b = buffer[first:last], new_buffer[first:last]
    for i in range(param.size):
        d = grad[i] * sign
        if decay is not None:
            d += param[i] * number(decay)
        if buffer is not None:
            b = old_b[i] * momentum + d * weight
            new_b[i] = b
            if nesterov is None:
                d = b
            else:
                d += b * momentum
        new_param[i] = param[i] - d * rate


def _sgd_update(
    param: np.ndarray,
    grad: np.ndarray,
    lr: np.ndarray,
    buffer: np.ndarray | None = None,
    step: np.ndarray | None = None,
    **options: Any,
) -> tuple[np.ndarray, ...]:
    if lr.ndim or not _compiled(param, grad, buffer):  # under vmap, examples have rates of their own
        return _sgd_formula(param, grad, lr, buffer, step, **options)
    x, g, b = param.ravel(), grad.ravel(), None if buffer is None else buffer.ravel()
    new_x, new_b = np.empty_like(x), None if b is None else np.empty_like(b)
    rate = float(lr)
    sign = -1.0 if options["maximize"] else 1.0
    decay = float(options["weight_decay"]) or None
    weight = 1.0 if step is None or step == 0 else 1.0 - options["dampening"]
    nesterov = True if options["nesterov"] else None
    momentum = float(options["momentum"])
    operands = (x, g, b, new_x, new_b, rate, sign, decay, momentum, weight, nesterov)
    shared(_sgd, x.size, 1e-3 * x.size, *operands)
    if new_b is None:
        return (new_x.reshape(param.shape),)
    results = (new_x.reshape(param.shape), new_b.reshape(param.shape))
    return results if step is None else (*results, np.asarray(step + 1))


@_jit
def _adam(
    first, last, param, grad, mean, square, peak, new_param, new_mean, new_square, new_peak,
    step_size, eps, sign, shrink, decay, keep1, pull1, beta2,
):  # fmt: skip
    number = param.dtype.type
    step_size, eps, sign, shrink = number(step_size), number(eps), number(sign), number(shrink)
    keep2, pull2 = number(beta2), number(1 - beta2)
    param, grad, mean, square = param[first:last], grad[first:last], mean[first:last], square[first:last]
    new_param, new_mean, new_square = new_param[first:last], new_mean[first:last], new_square[first:last]
    if peak is not None:
        old_top, new_top = peak[first:last], new_peak[first:last]
    for i in range(param.size):
        x = param[i]
        d = grad[i] * sign
        if decay is not None:
            d += x * number(decay)
        if keep1 is not None:  # a beta1 below a half, that counts from the gradient
            m = d + (mean[i] - d) * number(keep1)
        else:
            m = mean[i] + (d - mean[i]) * number(pull1)
        v = square[i] * keep2 + d * d * pull2
        new_mean[i] = m
        new_square[i] = v
        if peak is not None:
            v = old_top[i] if v <= old_top[i] else v  # NaN is kept
            new_top[i] = v
        new_param[i] = x * shrink - m / (np.sqrt(v) + eps) * step_size


def _adam_update(
    param: np.ndarray,
    grad: np.ndarray,
    lr: np.ndarray,
    exp_avg: np.ndarray,
    exp_avg_sq: np.ndarray,
    step: np.ndarray,
    max_exp_avg_sq: np.ndarray | None = None,
    **options: Any,
) -> tuple[np.ndarray, ...]:
    if lr.ndim or not _compiled(param, grad, exp_avg, exp_avg_sq, max_exp_avg_sq):
        return _adam_formula(param, grad, lr, exp_avg, exp_avg_sq, step, max_exp_avg_sq, **options)
    x, g, m, v = param.ravel(), grad.ravel(), exp_avg.ravel(), exp_avg_sq.ravel()
    new_x, new_m, new_v = np.empty_like(x), np.empty_like(x), np.empty_like(x)
    peak = None if max_exp_avg_sq is None else max_exp_avg_sq.ravel()
    new_peak = None if peak is None else np.empty_like(x)
    beta1, beta2, decay = float(options["beta1"]), float(options["beta2"]), float(options["weight_decay"])
    rate, new_step = float(lr), step + 1
    step_size, scale = adam_scales(float(new_step), rate, beta1, beta2)
    sign = -1.0 if options["maximize"] else 1.0
    shrink = 1.0
    if options["decoupled_weight_decay"]:
        shrink, decay = 1.0 - rate * decay, None
    arrays = (x, g, m, v, peak, new_x, new_m, new_v, new_peak)
    keep1 = beta1 if beta1 < 0.5 else None
    numbers = (step_size, scale * options["eps"], sign, shrink, decay or None, keep1, 1 - beta1, beta2)
    shared(_adam, x.size, 2e-3 * x.size, *arrays, *numbers)
    shape = param.shape
    results = (new_x.reshape(shape), new_m.reshape(shape), new_v.reshape(shape), np.asarray(new_step))
    return results if new_peak is None else (*results, new_peak.reshape(shape))


def _compiled(*arrays: np.ndarray | None) -> bool:
    """Whether all arrays are of one dtype that the loops are made for; the formula takes the others."""
    dtype = arrays[0].dtype
    for array in arrays:
        if array is not None and array.dtype != dtype:
            return False
    return dtype in COMPILED


KERNELS: dict[Primitive, Kernel] = {sgd_update_p: _sgd_update, adam_update_p: _adam_update}
