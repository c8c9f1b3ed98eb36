"""Losses that compare two tensors element by element, under PyTorch's names, arguments and defaults.

``input`` (what the model says) and ``target`` (what is wanted) must have one shape. Broadcasting (N, 1) against (N,)
gives N x N differences, a finite loss and a useless model, so it is an error here; whoever wants it writes it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ArgumentError, DataError, DTypeError, ShapeError
from ..primitive import elementwise
from ._apply import as_tensor, as_tensors, binary, check_devices, examine, unary
from .activation import sigmoid
from .exponential import exp, log, log1p, xlogy
from .selection import clip, maximum, minimum, where

__all__ = [
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "kl_div",
    "poisson_nll_loss",
    "gaussian_nll_loss",
]

REDUCTIONS = ("mean", "sum", "none")


# ------------------------------------------------------------------------------------------- what all share


def check_reduction(op: str, reduction: str, allowed: tuple[str, ...] = REDUCTIONS) -> None:
    """ArgumentError unless ``reduction`` is one of those that the loss knows."""
    if reduction not in allowed:
        raise ArgumentError(f"{op}: reduction must be {' or '.join(map(repr, allowed))}, got {reduction!r}")


def require_scores(op: str, x: Any) -> None:
    """DTypeError unless ``x``, what a model says, is real and floating."""
    if x.dtype.kind in "biu":
        raise DTypeError(f"{op}: input must be floating, got {x.dtype}; write input.astype('float32')")
    if x.dtype.kind == "c":
        raise DTypeError(f"{op}: input must be real, got {x.dtype}")


def paired(
    op: str, input: Any, target: Any, reduction: str, allowed: tuple[str, ...] = REDUCTIONS, name: str = "input"
) -> tuple[Any, Any]:
    """Both as tensors of one shape and of the dtype of ``input``."""
    check_reduction(op, reduction, allowed)
    x, t = as_tensors(op, input, target)
    require_scores(op, x)
    if t.dtype.kind == "c":
        raise DTypeError(f"{op}: target must be real, got {t.dtype}")
    if x.shape != t.shape:
        raise unequal_shapes(op, x.shape, t.shape, name)
    return x, t.astype(x.dtype)


def unequal_shapes(op: str, shape: tuple[int, ...], target: tuple[int, ...], name: str = "input") -> ShapeError:
    """The error for a comparison of unequal shapes, with what to write instead."""
    if shape == (*target, 1):
        fix = f"write {name}.squeeze(-1)"
    elif target == (*shape, 1):
        fix = "write target.squeeze(-1)"
    else:
        fix = f"if broadcasting is meant, write it: target.broadcast_to({name}.shape)"
    return ShapeError(f"{op}: {name} has shape {shape} and target {target}; a loss compares equal shapes; {fix}")


def weighted(op: str, losses: Any, weight: Any, name: str = "weight") -> Any:
    """The losses times ``weight``, which broadcasts to them."""
    if weight is None:
        return losses
    weight = as_tensor(op, weight, losses).astype(losses.dtype)
    check_devices(op, (losses, weight))
    try:
        weight = weight.broadcast_to(losses.shape)
    except ShapeError:
        raise ShapeError(
            f"{op}: {name} of shape {weight.shape} does not broadcast to the losses of shape {losses.shape}"
        ) from None
    return losses * weight


def reduced(losses: Any, reduction: str) -> Any:
    """Their mean, their sum, or the losses as they are."""
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def _mean_by_weight(op: str, losses: Any, weight: Any, reduction: str) -> Any:
    losses_by_weight = weighted(op, losses, weight)
    if weight is None or reduction != "mean":
        return reduced(losses_by_weight, reduction)
    return losses_by_weight.sum() / weighted(op, losses.new_ones(losses.shape), weight).sum()


# ------------------------------------------------------------------------------------------- distances


def mse_loss(input: Any, target: Any, *, reduction: str = "mean", weight: Any = None) -> Any:
    """Mean squared error: (input - target)^2, averaged over all elements, summed, or as it is.

    input, target: one shape; floating input, target of any real dtype (it takes that of the input).
    reduction: "mean", "sum", "none". weight: factors of the losses, broadcast to them; the mean then divides by their
    sum. ShapeError for unequal shapes, (N, 1) and (N,) included. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.losses import mse_loss
    >>> mse_loss(ag.tensor([1.0, 2.0]), ag.tensor([1.0, 4.0]))
    tensor(2.)
    """
    x, t = paired("mse_loss", input, target, reduction)
    return _mean_by_weight("mse_loss", (x - t).square(), weight, reduction)


def l1_loss(input: Any, target: Any, *, reduction: str = "mean", weight: Any = None) -> Any:
    """Mean absolute error: |input - target|, with slope 0 where they are equal.

    Arguments and errors as for ``mse_loss``. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.losses import l1_loss
    >>> l1_loss(ag.tensor([1.0, 2.0]), ag.tensor([1.0, 4.0]))
    tensor(1.)
    """
    x, t = paired("l1_loss", input, target, reduction)
    return _mean_by_weight("l1_loss", (x - t).abs(), weight, reduction)


def _huber(xp: Any, x: Any, delta: float) -> Any:
    inside = xp.minimum(xp.abs(x), delta)
    return inside * (xp.abs(x) - 0.5 * inside)


huber_p = elementwise(
    "huber",
    lambda xp, x, *, delta: _huber(xp, x, delta),
    partials=(lambda x, delta: clip(x, -delta, delta),),
    signals=False,
)


def huber_loss(input: Any, target: Any, *, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    """With d = input - target: d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2).

    Arguments and errors as for ``mse_loss``, but the mean divides by the number of elements, as in PyTorch, also with
    ``weight``; ArgumentError unless delta > 0. Source: Huber, Robust estimation of a
    location parameter, 1964. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.losses import huber_loss
    >>> huber_loss(ag.tensor([1.0, 2.0]), ag.tensor([1.0, 5.0]), reduction="none")
    tensor([0. , 2.5])
    """
    x, t = paired("huber_loss", input, target, reduction)
    if not delta > 0:
        raise ArgumentError(f"huber_loss: delta must be positive, got {delta}")
    return reduced(weighted("huber_loss", unary(huber_p, x - t, delta=float(delta)), weight), reduction)


def smooth_l1_loss(input: Any, target: Any, *, reduction: str = "mean", beta: float = 1.0) -> Any:
    """With d = input - target: d^2 / (2 beta) where |d| < beta, else |d| - beta / 2; the Huber loss over beta.

    beta = 0 gives ``l1_loss``; ArgumentError for beta < 0. Other arguments and errors as for ``mse_loss``.
    Source: Girshick, Fast R-CNN, 2015. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.losses import smooth_l1_loss
    >>> smooth_l1_loss(ag.tensor([1.0, 2.0]), ag.tensor([2.0, 5.0]), reduction="none")
    tensor([0.5, 2.5])
    """
    x, t = paired("smooth_l1_loss", input, target, reduction)
    if not beta >= 0:
        raise ArgumentError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta == 0:
        return reduced((x - t).abs(), reduction)
    return reduced(unary(huber_p, x - t, delta=float(beta)) / beta, reduction)


# ------------------------------------------------------------------------------------------- probabilities


def _binary_slope(x: Any, t: Any) -> Any:
    return (x - t) / maximum(x * (1 - x), 1e-12 if x.dtype.itemsize > 2 else 1e-7)


# ln is bounded below by -100 and the slope's denominator by 1e-12, as in PyTorch: a probability of exactly 0 or 1
# is what a saturated sigmoid gives, and must cost much, not everything
binary_cross_entropy_p = elementwise(
    "binary_cross_entropy",
    lambda xp, x, t: t * xp.minimum(-xp.log(x), 100.0) + (1.0 - t) * xp.minimum(-xp.log1p(-x), 100.0),
    partials=(_binary_slope, lambda x: minimum(-log(x), 100.0) - minimum(-log1p(-x), 100.0)),
)


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, *, reduction: str = "mean") -> Any:
    """Cross entropy of probabilities: -(t ln p + (1 - t) ln(1 - p)), each logarithm bounded below by -100.

    input: probabilities p in [0, 1]; target: t in [0, 1], of the same shape (integers and booleans are taken as they
    are meant). weight: factors of the losses, broadcast to them. For scores before the sigmoid use
    ``binary_cross_entropy_with_logits``, which loses no accuracy near 0 and 1. ShapeError for unequal shapes;
    DataError for values outside [0, 1]. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.losses import binary_cross_entropy
    >>> binary_cross_entropy(ag.tensor([0.5, 1.0]), ag.tensor([1.0, 1.0]), reduction="none")
    tensor([0.6931472, 0.       ])
    """
    op = "binary_cross_entropy"
    x, t = paired(op, input, target, reduction)
    _check_unit(op, "input", x, "for scores before the sigmoid use binary_cross_entropy_with_logits")
    _check_unit(op, "target", t, "a target is the probability of the class 1")
    return reduced(weighted(op, binary(binary_cross_entropy_p, x, t), weight), reduction)


def _check_unit(op: str, name: str, x: Any, fix: str) -> None:
    """DataError for values outside [0, 1]."""

    def check(values: np.ndarray) -> None:
        if not values.size or (values.min() >= 0 and values.max() <= 1):
            return
        wrong = np.argwhere(~((values >= 0) & (values <= 1)))[0]
        index = tuple(int(i) for i in wrong)
        raise DataError(f"{op}: {name}{list(index) or ''} is {values[index]:g}, outside [0, 1]; {fix}")

    examine(x, check)


logistic_loss_p = elementwise(
    "logistic_loss",
    lambda xp, x, t: xp.maximum(x, 0) - x * t + xp.log1p(xp.exp(-xp.abs(x))),
    partials=(lambda x, t: sigmoid(x) - t, lambda x: -x),
    signals=False,
)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """Cross entropy of p = sigmoid(x) without overflow: -(w t ln p + (1 - t) ln(1 - p)).

    input: scores x; target: t in [0, 1], of the same shape. pos_weight: w, the weight of positive targets, broadcast to
    them (one a class, for instance); by default 1. weight: factors of the losses, broadcast to them.
    ShapeError for unequal shapes. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.losses import binary_cross_entropy_with_logits
    >>> binary_cross_entropy_with_logits(ag.tensor([0.0, 1000.0]), ag.tensor([1.0, 1.0]), reduction="none")
    tensor([0.6931472, 0.       ])
    """
    op = "binary_cross_entropy_with_logits"
    x, t = paired(op, input, target, reduction)
    losses = binary(logistic_loss_p, x, t)
    if pos_weight is not None:  # what w - 1 more positive targets would add
        extra = as_tensor(op, pos_weight, x) - 1
        losses = losses + weighted(op, t * binary(logistic_loss_p, x, 1.0), extra, "pos_weight")
    return reduced(weighted(op, losses, weight), reduction)


def kl_div(input: Any, target: Any, *, reduction: str = "mean", log_target: bool = False) -> Any:
    """Kullback-Leibler divergence of the target from the input: t (ln t - x), and 0 where t = 0.

    input: x, LOG-probabilities; target: t, probabilities, or their logarithms with log_target=True (then e^t (t - x)).
    reduction: "batchmean" is the mathematical value (the sum over the length of axis 0); "mean" divides by the number
    of elements, "sum", "none". ShapeError for unequal shapes. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.losses import kl_div
    >>> kl_div(ag.log(ag.tensor([[0.5, 0.5]])), ag.tensor([[1.0, 0.0]]), reduction="batchmean")
    tensor(0.6931472)
    """
    x, t = paired("kl_div", input, target, reduction, (*REDUCTIONS, "batchmean"))
    losses = exp(t) * (t - x) if log_target else xlogy(t, t) - t * x
    if reduction == "batchmean":
        if not x.shape:
            raise ShapeError("kl_div: reduction 'batchmean' needs a batch axis, the input is 0-d; use 'sum'")
        return losses.sum() / x.shape[0]
    return reduced(losses, reduction)


# ------------------------------------------------------------------------------------------- likelihoods


def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    *,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Any:
    """Negative log-likelihood of counts: e^x - t x for x the logarithm of the rate, x - t ln(x + eps) for the rate.

    input: x, of which ``log_input`` says what it is; target: t, counts, of the same shape. full: whether Stirling's
    t ln t - t + ln(2 pi t) / 2 stands for ln t! where t > 1. ShapeError for unequal shapes. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.losses import poisson_nll_loss
    >>> poisson_nll_loss(ag.tensor([0.0, 0.0]), ag.tensor([1, 3]), reduction="none")
    tensor([1., 1.])
    """
    op = "poisson_nll_loss"
    x, t = paired(op, input, target, reduction)
    losses = exp(x) - t * x if log_input else x - t * log(x + eps)
    if full:
        large = where(t > 1, t, 1)
        losses = losses + where(t > 1, large * log(large) - large + 0.5 * log(large * (2 * math.pi)), 0)
    return reduced(losses, reduction)


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, *, reduction: str = "mean"
) -> Any:
    """Negative log-likelihood of a normal distribution: (ln v + (x - t)^2 / v) / 2, v the variance, at least ``eps``.

    input: x, its mean; target: t, of the same shape. var: that of every element, of every row (a last axis less, or of
    length 1), or a number; its gradient passes where v is ``eps`` too. full: adds ln(2 pi) / 2. DataError for a
    negative variance, ShapeError where shapes do not fit. Nix and Weigend, 1994. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.losses import gaussian_nll_loss
    >>> gaussian_nll_loss(ag.tensor([1.0, 2.0]), ag.tensor([1.0, 4.0]), ag.tensor([1.0, 1.0]), reduction="none")
    tensor([0., 2.])
    """
    op = "gaussian_nll_loss"
    x, t = paired(op, input, target, reduction)
    if not eps > 0:
        raise ArgumentError(f"{op}: eps must be positive, got {eps}")
    v = as_tensor(op, var, x).astype(x.dtype)
    check_devices(op, (x, v))
    if v.shape == x.shape[:-1] and x.shape:
        v = v.reshape((*v.shape, 1))
    if v.shape not in ((), x.shape, (*x.shape[:-1], 1)):
        raise ShapeError(f"{op}: var of shape {v.shape} is neither that of every element of {x.shape} nor of every row")

    def check(values: np.ndarray) -> None:
        if (values < 0).any():
            raise DataError(f"{op}: a variance is negative ({values.min():g}); write var.exp() for its logarithm")

    examine(v, check)
    v = v + (maximum(v, eps) - v).detach()
    losses = 0.5 * (log(v) + (x - t).square() / v)
    return reduced(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)
