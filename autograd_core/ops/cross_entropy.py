"""The losses of classification: cross entropy and negative log-likelihood, of labels or of class probabilities.

Labels are checked before anything is computed: one out of range is the commonest mistake in training, and found late
it is an index error inside a gradient, or none at all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..aval import DEFAULT_INT, Aval, is_inexact
from ..batching import shift
from ..errors import ArgumentError, DataError, DTypeError, ShapeError
from ..primitive import bind, general
from ._apply import as_tensor, as_tensors, check_devices, examine
from .comparison import equal
from .creation import arange
from .linear_algebra import linear
from .losses import check_reduction, require_scores
from .selection import where
from .softmax import accumulated, log_softmax, softmax

__all__ = ["cross_entropy", "linear_cross_entropy", "nll_loss"]

# ------------------------------------------------------------------------------------------- the fused loss


def _at_labels(xp: Any, labels: Any, axis: int) -> tuple[Any, ...]:
    """The index of every sample's own class in an array of scores with classes along ``axis``."""
    if labels.ndim == 1:
        return xp.arange(labels.shape[0]), labels
    index = list(xp.ix_(*(xp.arange(n) for n in labels.shape)))
    index.insert(axis, labels)
    return tuple(index)


def _cross_entropy(xp: Any, x: Any, labels: Any, axis: int) -> Any:
    wide = accumulated(xp, x)
    shifted = wide - wide.max(axis=axis, keepdims=True)
    own = shifted[_at_labels(xp, labels, axis)]
    y = xp.log(xp.exp(shifted, out=shifted).sum(axis=axis)) - own
    return y if y.dtype == x.dtype else y.astype(x.dtype)


def _cross_entropy_slope(xp: Any, scale: Any, logits: Any, labels: Any, axis: int) -> Any:
    wide, scale = accumulated(xp, logits), accumulated(xp, scale)
    y = wide - wide.max(axis=axis, keepdims=True)
    xp.exp(y, out=y)
    y *= _with_axis(scale / y.sum(axis=axis), axis)
    y[_at_labels(xp, labels, axis)] -= scale
    return y if y.dtype == logits.dtype else y.astype(logits.dtype)


def _with_axis(x: Any, axis: int) -> Any:
    return x.reshape(*x.shape[:axis], 1, *x.shape[axis:])


def _is_own_class(labels: Any, n_classes: int, axis: int) -> Any:
    classes = arange(n_classes, dtype=labels.dtype, device=labels.device)
    return equal(_with_axis(labels, axis), classes.reshape(n_classes, *(1,) * (len(labels.shape) - axis)))


def _slope_composed(scale: Any, logits: Any, labels: Any, *, axis: int) -> Any:
    own = _is_own_class(labels, logits.shape[axis], axis).astype(logits.dtype)
    return _with_axis(scale, axis) * (softmax(logits, axis=axis) - own)


softmax_cross_entropy_slope_p = general(
    "softmax_cross_entropy_slope",
    lambda xp, scale, logits, labels, *, axis: _cross_entropy_slope(xp, scale, logits, labels, axis),
    lambda scale, logits, labels, *, axis: logits,
    composed=_slope_composed,
    batch={"axis": shift},
)

softmax_cross_entropy_p = general(
    "softmax_cross_entropy",
    lambda xp, x, labels, *, axis: _cross_entropy(xp, x, labels, axis),
    lambda x, labels, *, axis: Aval(labels.shape, x.dtype),
    vjp=(lambda g, x, labels, axis: bind(softmax_cross_entropy_slope_p, (g, x, labels), {"axis": axis}), None),
    composed=lambda x, labels, *, axis: _own_score(log_softmax(x, axis=axis), labels, axis) * -1,
    batch={"axis": shift},
)


def _own_score(x: Any, labels: Any, axis: int) -> Any:
    """The score of every sample's own class."""
    return x.gather(axis, _with_axis(labels, axis)).reshape(labels.shape)


# ------------------------------------------------------------------------------------------- the losses


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross entropy of the softmax of scores: -w_t ln softmax(x)_t for a label t, -sum_c w_c p_c ln softmax(x)_c for
    class probabilities p.

    input: x, (N, C), (C,) or (N, C, d1, ...), scores, floating. target: labels in [0, C) of any integer dtype and of
    the shape of x without C, or probabilities of the shape of x. weight: (C,), w. ignore_index: the label of samples
    that do not count. label_smoothing: the part e of each target that is spread evenly over all classes:
    p_c = (1 - e) [c = t] + e / C.
    reduction: "mean" divides by the sum of the weights of the labels that count (for probabilities: by the number of
    samples), and is NaN if none counts; "sum"; "none" has the shape of the labels.

    DataError names a label out of range and its place; ShapeError and DTypeError say what to write. PyTorch.
    Source of smoothing: Szegedy et al., Rethinking the Inception architecture, 2015.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.cross_entropy import cross_entropy
    >>> cross_entropy(ag.tensor([[1.0, 1.0], [0.0, 1000.0]]), ag.tensor([0, 1]), reduction="none")
    tensor([0.6931472, 0.       ])
    """
    op = "cross_entropy"
    x, target = _scores_and_target(op, input, target, reduction)
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"{op}: label_smoothing must lie in [0, 1], got {label_smoothing}")
    axis = min(len(x.shape) - 1, 1)
    weight = _class_weight(op, weight, x, axis)
    if is_inexact(target.dtype):
        return _of_probabilities(op, x, target, axis, weight, reduction, label_smoothing)
    labels, ignored = _checked_labels(op, x.shape, target, axis, ignore_index)
    own_weight = None if weight is None else weight[labels]
    if label_smoothing == 0:
        losses = bind(softmax_cross_entropy_p, (x, labels), {"axis": axis})
        if own_weight is not None:
            losses = losses * own_weight
    else:
        scores = log_softmax(x, axis=axis)
        own = _own_score(scores, labels, axis)
        own = own if own_weight is None else own * own_weight
        spread = scores if weight is None else scores * _along_axis(weight, axis, len(x.shape))
        losses = own * (label_smoothing - 1) - spread.sum(axis=axis) * (label_smoothing / x.shape[axis])
    return _reduced(losses, own_weight, ignored, reduction)


def nll_loss(input: Any, target: Any, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean") -> Any:
    """Negative log-likelihood of labels: -w_t x_t, for x the LOG-probabilities that ``log_softmax`` gives.

    Arguments, reductions and errors as for ``cross_entropy`` with labels. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.cross_entropy import nll_loss
    >>> nll_loss(ag.tensor([[-0.5, -1.0], [-2.0, -0.25]]), ag.tensor([0, 1]))
    tensor(0.375)
    """
    x, target = _scores_and_target("nll_loss", input, target, reduction)
    axis = min(len(x.shape) - 1, 1)
    weight = _class_weight("nll_loss", weight, x, axis)
    labels, ignored = _checked_labels("nll_loss", x.shape, target, axis, ignore_index)
    losses = -_own_score(x, labels, axis)
    own_weight = None if weight is None else weight[labels]
    return _reduced(losses if own_weight is None else losses * own_weight, own_weight, ignored, reduction)


def linear_cross_entropy(
    input: Any,
    linear_weight: Any,
    target: Any,
    *,
    linear_bias: Any = None,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Any:
    """``cross_entropy`` of the scores W x + b, the last layer and the loss in one.

    input: x, (N, D) or (D,). linear_weight: W, (C, D), or (C, d1, ..., D) for losses of K dimensions, whose target is
    (N, d1, ...); linear_bias: b, (C,) or (C, d1, ...), or None. Other arguments as for ``cross_entropy``. PyTorch 2.13.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.cross_entropy import linear_cross_entropy
    >>> linear_cross_entropy(ag.tensor([[1.0, 0.0]]), ag.tensor([[2.0, 0.0], [2.0, 5.0]]), ag.tensor([0]))
    tensor(0.6931472)
    """
    op = "linear_cross_entropy"
    x, w = as_tensors(op, input, linear_weight)
    if len(w.shape) < 2 or not x.shape or x.shape[-1] != w.shape[-1] or len(x.shape) > 2:
        raise ShapeError(f"{op}: takes input (N, D) or (D,) and linear_weight (C, ..., D), got {x.shape} and {w.shape}")
    bias = None if linear_bias is None else as_tensor(op, linear_bias, w)
    if bias is not None and bias.shape != w.shape[:-1]:
        raise ShapeError(f"{op}: linear_bias must have shape {w.shape[:-1]}, got {bias.shape}")
    scores = linear(x, w.reshape((-1, w.shape[-1])), None if bias is None else bias.reshape(-1))
    return cross_entropy(
        scores.reshape((*x.shape[:-1], *w.shape[:-1])),
        target,
        weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def _of_probabilities(
    op: str, x: Any, target: Any, axis: int, weight: Any, reduction: str, label_smoothing: float
) -> Any:
    if target.shape != x.shape:
        raise DTypeError(
            f"{op}: target of dtype {target.dtype} and shape {target.shape} is neither labels nor the probability of "
            f"every class, which has the shape of the input {x.shape}; for labels write target.astype('int64')"
        )
    p = target.astype(x.dtype)
    if label_smoothing:
        p = p * (1 - label_smoothing) + label_smoothing / x.shape[axis]
    if weight is not None:
        p = p * _along_axis(weight, axis, len(x.shape))
    losses = -(p * log_softmax(x, axis=axis)).sum(axis=axis)
    return _reduced(losses, None, None, reduction)


def _reduced(losses: Any, own_weight: Any, ignored: Any, reduction: str) -> Any:
    """The mean counts every sample by its weight, and ignored ones not at all."""
    if ignored is not None:
        losses = where(ignored, 0, losses)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if own_weight is None and ignored is None:
        return losses.mean()
    counts = losses.new_ones(losses.shape) if own_weight is None else own_weight
    return losses.sum() / (counts if ignored is None else where(ignored, 0, counts)).sum()


# ------------------------------------------------------------------------------------------- what they take


def _scores_and_target(op: str, input: Any, target: Any, reduction: str) -> tuple[Any, Any]:
    check_reduction(op, reduction)
    x, target = as_tensors(op, input, target)
    require_scores(op, x)
    if not x.shape:
        raise ShapeError(f"{op}: input must be (C,), (N, C) or (N, C, d1, ...), got a 0-d tensor")
    if x.shape[min(len(x.shape) - 1, 1)] == 0:
        raise ShapeError(f"{op}: input of shape {x.shape} has no classes")
    return x, target


def _class_weight(op: str, weight: Any, x: Any, axis: int) -> Any:
    if weight is None:
        return None
    weight = as_tensor(op, weight, x)
    check_devices(op, (x, weight))
    if weight.shape != (x.shape[axis],):
        raise ShapeError(
            f"{op}: weight must hold one factor a class, shape {(x.shape[axis],)} for input {x.shape}, "
            f"got {weight.shape}"
        )
    return weight.astype(x.dtype)


def _checked_labels(op: str, shape: tuple[int, ...], target: Any, axis: int, ignore_index: int) -> tuple[Any, Any]:
    """Labels as int64 in [0, C), and which samples are ignored (None: no one is)."""
    _check_label_kind(op, shape, target, axis)
    n_classes = shape[axis]
    labels = target.astype(DEFAULT_INT)
    if not examine(target, lambda labels: _has_ignored(op, labels, n_classes, ignore_index)):
        return labels, None
    ignored = equal(labels, ignore_index)
    return where(ignored, 0, labels), ignored


def _check_label_kind(op: str, shape: tuple[int, ...], target: Any, axis: int) -> None:
    expected = shape[:axis] + shape[axis + 1 :]
    if target.dtype.kind not in "iu":
        raise DTypeError(f"{op}: labels must be integers, got {target.dtype}; write target.astype('int64')")
    if target.shape == expected:
        return
    if target.shape == (*expected, 1):
        fix = "write target.squeeze(-1)"
    elif target.shape == shape:
        fix = "for class probabilities (one-hot) write target.astype(input.dtype), for labels target.argmax(axis)"
    else:
        fix = "classes are axis 1 of the input (axis 0 of a single sample)"
    raise ShapeError(
        f"{op}: labels have shape {target.shape}, but input {shape} of {shape[axis]} classes needs {expected}; {fix}"
    )


def _has_ignored(op: str, labels: np.ndarray, n_classes: int, ignore_index: int) -> bool:
    """Whether any label is ``ignore_index``; DataError for one that is neither that nor a class."""
    if not labels.size:
        return False
    if labels.min() >= 0 and labels.max() < n_classes:
        return 0 <= ignore_index < n_classes and bool((labels == ignore_index).any())
    wrong = ((labels < 0) | (labels >= n_classes)) & (labels != ignore_index)
    if not wrong.any():
        return True
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    count = int(wrong.sum())
    raise DataError(
        f"{op}: label {labels[index]} at {list(index)} is not one of {n_classes} classes (0 to {n_classes - 1})"
        f"{f', nor are {count - 1} other labels' if count > 1 else ''}; "
        f"samples to leave out have the label ignore_index={ignore_index}"
    )


def _along_axis(weight: Any, axis: int, ndim: int) -> Any:
    return weight.reshape(weight.shape[0], *(1,) * (ndim - axis - 1))
