"""Losses that compare two tensors element by element, under PyTorch's names, arguments and defaults.

``input`` (what the model says) and ``target`` (what is wanted) must have one shape. Broadcasting (N, 1) against (N,)
gives N x N differences, a finite loss and a useless model, so it is an error here; whoever wants it writes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..aval import broadcast_shapes, normalize_axis
from ..errors import ArgumentError, DataError, DTypeError, ShapeError
from ..primitive import elementwise
from ._apply import as_tensor, as_tensors, binary, check_devices, promoted, unary
from .activation import sigmoid
from .exponential import exp, log, log1p, xlogy
from .linear_algebra import norm
from .selection import clip, maximum, minimum

__all__ = [
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "kl_div",
    "cosine_similarity",
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


def _pair(op: str, input: Any, target: Any, reduction: str, allowed: tuple[str, ...] = REDUCTIONS) -> tuple[Any, Any]:
    """Both as tensors of one shape and of the dtype of ``input``."""
    check_reduction(op, reduction, allowed)
    x, t = as_tensors(op, input, target)
    require_scores(op, x)
    if t.dtype.kind == "c":
        raise DTypeError(f"{op}: target must be real, got {t.dtype}")
    if x.shape != t.shape:
        raise _unequal_shapes(op, x.shape, t.shape)
    return x, t.astype(x.dtype)


def _unequal_shapes(op: str, shape: tuple[int, ...], target: tuple[int, ...]) -> ShapeError:
    if shape == (*target, 1):
        fix = "write input.squeeze(-1)"
    elif target == (*shape, 1):
        fix = "write target.squeeze(-1)"
    else:
        fix = "if broadcasting is meant, write it: target.broadcast_to(input.shape)"
    return ShapeError(f"{op}: input has shape {shape} and target {target}; a loss compares equal shapes; {fix}")


def _weighted(op: str, losses: Any, weight: Any, name: str = "weight") -> Any:
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


def _reduced(losses: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


# ------------------------------------------------------------------------------------------- distances


def mse_loss(input: Any, target: Any, *, reduction: str = "mean", weight: Any = None) -> Any:
    """Mean squared error: (input - target)^2, averaged over all elements, summed, or as it is.

    input, target: one shape; floating input, target of any real dtype (it takes that of the input).
    reduction: "mean", "sum", "none". weight: factors of the losses, broadcast to them. ShapeError for unequal shapes,
    (N, 1) and (N,) included. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.losses import mse_loss
    >>> mse_loss(ag.tensor([1.0, 2.0]), ag.tensor([1.0, 4.0]))
    tensor(2.)
    """
    x, t = _pair("mse_loss", input, target, reduction)
    return _reduced(_weighted("mse_loss", (x - t).square(), weight), reduction)


def l1_loss(input: Any, target: Any, *, reduction: str = "mean", weight: Any = None) -> Any:
    """Mean absolute error: |input - target|, with slope 0 where they are equal.

    Arguments and errors as for ``mse_loss``. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.losses import l1_loss
    >>> l1_loss(ag.tensor([1.0, 2.0]), ag.tensor([1.0, 4.0]))
    tensor(1.)
    """
    x, t = _pair("l1_loss", input, target, reduction)
    return _reduced(_weighted("l1_loss", (x - t).abs(), weight), reduction)


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

    Arguments and errors as for ``mse_loss``; ArgumentError unless delta > 0. Source: Huber, Robust estimation of a
    location parameter, 1964. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.losses import huber_loss
    >>> huber_loss(ag.tensor([1.0, 2.0]), ag.tensor([1.0, 5.0]), reduction="none")
    tensor([0. , 2.5])
    """
    x, t = _pair("huber_loss", input, target, reduction)
    if not delta > 0:
        raise ArgumentError(f"huber_loss: delta must be positive, got {delta}")
    return _reduced(_weighted("huber_loss", unary(huber_p, x - t, delta=float(delta)), weight), reduction)


def smooth_l1_loss(input: Any, target: Any, *, reduction: str = "mean", beta: float = 1.0) -> Any:
    """With d = input - target: d^2 / (2 beta) where |d| < beta, else |d| - beta / 2; the Huber loss over beta.

    beta = 0 gives ``l1_loss``; ArgumentError for beta < 0. Other arguments and errors as for ``mse_loss``.
    Source: Girshick, Fast R-CNN, 2015. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.losses import smooth_l1_loss
    >>> smooth_l1_loss(ag.tensor([1.0, 2.0]), ag.tensor([2.0, 5.0]), reduction="none")
    tensor([0.5, 2.5])
    """
    x, t = _pair("smooth_l1_loss", input, target, reduction)
    if not beta >= 0:
        raise ArgumentError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta == 0:
        return _reduced((x - t).abs(), reduction)
    return _reduced(unary(huber_p, x - t, delta=float(beta)) / beta, reduction)


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
    x, t = _pair(op, input, target, reduction)
    _check_unit(op, "input", x, "for scores before the sigmoid use binary_cross_entropy_with_logits")
    _check_unit(op, "target", t, "a target is the probability of the class 1")
    return _reduced(_weighted(op, binary(binary_cross_entropy_p, x, t), weight), reduction)


def _check_unit(op: str, name: str, x: Any, fix: str) -> None:
    """DataError for values outside [0, 1]; values that are being traced have no numbers yet."""
    if x.level or not x.size:
        return
    values = x.numpy()
    if values.min() >= 0 and values.max() <= 1:
        return
    wrong = np.argwhere(~((values >= 0) & (values <= 1)))[0]
    index = tuple(int(i) for i in wrong)
    raise DataError(f"{op}: {name}{list(index) or ''} is {values[index]:g}, outside [0, 1]; {fix}")


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
    x, t = _pair(op, input, target, reduction)
    losses = binary(logistic_loss_p, x, t)
    if pos_weight is not None:  # what w - 1 more positive targets would add
        extra = as_tensor(op, pos_weight, x) - 1
        losses = losses + _weighted(op, t * binary(logistic_loss_p, x, 1.0), extra, "pos_weight")
    return _reduced(_weighted(op, losses, weight), reduction)


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
    x, t = _pair("kl_div", input, target, reduction, (*REDUCTIONS, "batchmean"))
    losses = exp(t) * (t - x) if log_target else xlogy(t, t) - t * x
    if reduction == "batchmean":
        if not x.shape:
            raise ShapeError("kl_div: reduction 'batchmean' needs a batch axis, the input is 0-d; use 'sum'")
        return losses.sum() / x.shape[0]
    return _reduced(losses, reduction)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """Cosine of the angle between vectors along ``dim``: x1 . x2 / (max(|x1|, eps) max(|x2|, eps)).

    x1, x2: floating; shapes broadcast; ``dim`` (counted in the broadcast shape) is gone from the result.
    eps: keeps the quotient finite at the zero vector. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.losses import cosine_similarity
    >>> cosine_similarity(ag.tensor([[1.0, 0.0]]), ag.tensor([[2.0, 2.0]]))
    tensor([0.70710677])
    """
    x1, x2 = promoted("cosine_similarity", (x1, x2))
    require_scores("cosine_similarity", x1)
    shape = broadcast_shapes("cosine_similarity", x1.shape, x2.shape)
    axis = normalize_axis("cosine_similarity", dim, len(shape)) - len(shape)
    x1, x2 = x1.broadcast_to(shape), x2.broadcast_to(shape)
    lengths = maximum(norm(x1, axis=axis), eps) * maximum(norm(x2, axis=axis), eps)
    return (x1 * x2).sum(axis=axis) / lengths
