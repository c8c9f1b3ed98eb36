"""Losses with a margin: of labels 1 and -1, of rankings, of classes, of triplets. PyTorch's names and defaults.

``reduction`` is "mean", "sum" or "none"; input and target of element-by-element losses have equal shapes (ShapeError).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..aval import DEFAULT_INT
from ..errors import ArgumentError, DataError, DTypeError, ShapeError
from ._apply import as_tensor, as_tensors, check_devices, examine, promoted
from .activation import logsigmoid
from .creation import arange
from .distances import pairwise_distance
from .embedding import checked_indices
from .indexing import gather
from .losses import check_reduction, paired, reduced, require_scores, unequal_shapes, weighted
from .scans import cumulative_prod
from .selection import clip, minimum, where
from .shaping import expand_dims

__all__ = [
    "hinge_embedding_loss",
    "soft_margin_loss",
    "margin_ranking_loss",
    "cosine_embedding_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def _hinge(x: Any) -> Any:
    """max(x, 0), with slope 1 at 0, as these losses have it in PyTorch."""
    return clip(x, 0, None)


def _check_signs(op: str, target: Any) -> None:
    def check(values: np.ndarray) -> None:
        wrong = np.argwhere((values != 1) & (values != -1))
        if len(wrong):
            at = tuple(int(i) for i in wrong[0])
            raise DataError(
                f"{op}: target{list(at) or ''} is {values[at]:g}, it must be 1 or -1; "
                "for labels 0 and 1 write 2 * target - 1"
            )

    examine(target, check)


def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, *, reduction: str = "mean") -> Any:
    """x where the target is 1, max(0, margin - x) where it is -1: for x a distance of what is alike, or is not.

    input: floating; target: 1 or -1 (DataError), of the same shape. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.margin_losses import hinge_embedding_loss
    >>> hinge_embedding_loss(ag.tensor([0.5, 0.25, 3.0]), ag.tensor([1, -1, -1]), reduction="none")
    tensor([0.5 , 0.75, 0.  ])
    """
    op = "hinge_embedding_loss"
    x, t = paired(op, input, target, reduction)
    _check_signs(op, t)
    return reduced(where(t > 0, x, _hinge(margin - x)), reduction)


def soft_margin_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """Logistic loss of labels 1 and -1: ln(1 + e^(-t x)), without overflow.

    input: scores; target: 1 or -1 (DataError), of the same shape. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.margin_losses import soft_margin_loss
    >>> soft_margin_loss(ag.tensor([0.0, -1000.0]), ag.tensor([1, 1]), reduction="none")
    tensor([6.931472e-01, 1.000000e+03])
    """
    op = "soft_margin_loss"
    x, t = paired(op, input, target, reduction)
    _check_signs(op, t)
    return reduced(-logsigmoid(t * x), reduction)


def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, *, reduction: str = "mean") -> Any:
    """max(0, margin - t (x1 - x2)): t = 1 where x1 should be ranked higher, -1 where x2 should.

    input1, input2: floating; target: 1 or -1 (DataError); all of one shape. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.margin_losses import margin_ranking_loss
    >>> margin_ranking_loss(ag.tensor([1.0, 1.0]), ag.tensor([3.0, 3.0]), ag.tensor([1, -1]), reduction="none")
    tensor([2., 0.])
    """
    op = "margin_ranking_loss"
    x1, t = paired(op, input1, target, reduction, name="input1")
    x1, x2 = _alike(op, x1, input2)
    _check_signs(op, t)
    return reduced(_hinge(margin - t * (x1 - x2)), reduction)


def _alike(op: str, x1: Any, input2: Any) -> tuple[Any, Any]:
    x2 = as_tensor(op, input2, x1)
    check_devices(op, (x1, x2))
    require_scores(op, x2)
    if x1.shape != x2.shape:
        raise ShapeError(f"{op}: input1 has shape {x1.shape} and input2 {x2.shape}; they must be equal")
    return x1, x2


def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, *, reduction: str = "mean"
) -> Any:
    """1 - cos(x1, x2) where the target is 1, max(0, cos(x1, x2) - margin) where it is -1.

    input1, input2: (N, D), or (D,); target: (N,), or (), 1 or -1 (DataError). The cosine has 1e-12 added to the squared
    lengths. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.margin_losses import cosine_embedding_loss
    >>> cosine_embedding_loss(ag.tensor([[1.0, 0.0]]), ag.tensor([[0.0, 2.0]]), ag.tensor([1]))
    tensor(1.)
    """
    op = "cosine_embedding_loss"
    check_reduction(op, reduction)
    x1, x2, t = as_tensors(op, input1, input2, target)
    require_scores(op, x1)
    x1, x2 = _alike(op, x1, x2)
    if len(x1.shape) not in (1, 2) or t.shape != x1.shape[:-1]:
        raise ShapeError(
            f"{op}: takes inputs (N, D) with target (N,), or (D,) with (); got shapes {x1.shape} and {t.shape}"
        )
    _check_signs(op, t)
    lengths = (x1.square().sum(axis=-1) + 1e-12) * (x2.square().sum(axis=-1) + 1e-12)
    cosine = (x1 * x2).sum(axis=-1) / lengths.sqrt()
    return reduced(where(t > 0, 1 - cosine, _hinge(cosine - margin)), reduction)


# ------------------------------------------------------------------------------------------- classes


def _scores(op: str, input: Any, target: Any, reduction: str) -> tuple[Any, Any]:
    check_reduction(op, reduction)
    x, t = as_tensors(op, input, target)
    require_scores(op, x)
    if len(x.shape) not in (1, 2) or not x.shape[-1]:
        raise ShapeError(f"{op}: input must be (N, C) or (C,), with C > 0, got shape {x.shape}")
    return x, t


def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, *, reduction: str = "mean"
) -> Any:
    """Hinge loss of classes: sum over j != t of w_t max(0, margin - x_t + x_j)^p / C.

    input x: scores (N, C) or (C,); target t: labels (N,) or () in [0, C) (DataError). p: 1 or 2. weight w: (C,).
    Where a term is 0 at the kink its slope is 0. Crammer and Singer, 2001. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.margin_losses import multi_margin_loss
    >>> multi_margin_loss(ag.tensor([[1.0, 2.0]]), ag.tensor([0]))
    tensor(1.)
    """
    op = "multi_margin_loss"
    x, t = _scores(op, input, target, reduction)
    if p not in (1, 2):
        raise ArgumentError(f"{op}: p must be 1 or 2, got {p!r}")
    if t.shape != x.shape[:-1]:
        raise unequal_labels(op, x.shape, t.shape)
    n_classes = x.shape[-1]
    t = checked_indices(op, t, n_classes, f"{n_classes} classes").astype(DEFAULT_INT)
    own = expand_dims(t, axis=-1)
    z = (margin - gather(x, -1, own) + x).relu()
    z = where(own == arange(n_classes, dtype=DEFAULT_INT, device=x.device), 0, z if p == 1 else z * z)
    if weight is not None:
        weight = as_tensor(op, weight, x).astype(x.dtype)
        check_devices(op, (x, weight))
        if weight.shape != (n_classes,):
            raise ShapeError(f"{op}: weight must have shape {(n_classes,)}, one factor a class, got {weight.shape}")
        z = z * weight[own]
    return reduced(z.sum(axis=-1) / n_classes, reduction)


def unequal_labels(op: str, shape: tuple[int, ...], labels: tuple[int, ...]) -> ShapeError:
    return ShapeError(f"{op}: input of shape {shape} needs labels of shape {shape[:-1]}, got {labels}")


def multilabel_margin_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """Hinge loss of samples with several labels: sum over labels t and other classes j of max(0, 1 - x_t + x_j) / C.

    input x: scores (N, C) or (C,); target: integers of the same shape, a sample's labels, then -1, after which nothing
    counts. DataError for a label that is neither -1 nor a class. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.margin_losses import multilabel_margin_loss
    >>> multilabel_margin_loss(ag.tensor([[0.1, 0.2, 0.4, 0.8]]), ag.tensor([[3, 0, -1, 1]]))
    tensor(0.85)
    """
    op = "multilabel_margin_loss"
    x, t = _scores(op, input, target, reduction)
    if t.dtype.kind not in "iu":
        raise DTypeError(f"{op}: labels must be integers, got {t.dtype}; write target.astype('int64')")
    if t.shape != x.shape:
        raise unequal_shapes(op, x.shape, t.shape)
    n_classes = x.shape[-1]
    t = t.astype(DEFAULT_INT)
    listed = cumulative_prod((t >= 0).astype(DEFAULT_INT), axis=-1) > 0
    t = checked_indices(op, where(listed, t, 0), n_classes, f"{n_classes} classes, and not -1")
    places = expand_dims(t, axis=-1) == arange(n_classes, dtype=DEFAULT_INT, device=x.device)
    is_label = (places & expand_dims(listed, axis=-1)).any(axis=-2, keepdims=True)
    margins = (1 - expand_dims(gather(x, -1, t), axis=-1) + expand_dims(x, axis=-2)).relu()
    counts = expand_dims(listed, axis=-1) & ~is_label
    return reduced(where(counts, margins, 0).sum(axis=(-2, -1)) / n_classes, reduction)


def multilabel_soft_margin_loss(input: Any, target: Any, weight: Any = None, *, reduction: str = "mean") -> Any:
    """Logistic loss of samples with several labels: the mean over C of -w (t ln s(x) + (1 - t) ln s(-x)).

    s is the sigmoid. input x: scores (..., C); target t: 0 or 1 for every class, of the same shape. weight w:
    broadcasts to them. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.margin_losses import multilabel_soft_margin_loss
    >>> multilabel_soft_margin_loss(ag.tensor([[0.0, 0.0]]), ag.tensor([[1, 0]]))
    tensor(0.6931472)
    """
    op = "multilabel_soft_margin_loss"
    x, t = paired(op, input, target, reduction)
    if not x.shape:
        raise ShapeError(f"{op}: input must have an axis of classes, got a 0-d tensor")
    losses = -(t * logsigmoid(x) + (1 - t) * logsigmoid(-x))
    return reduced(weighted(op, losses, weight).sum(axis=-1) / x.shape[-1], reduction)


# ------------------------------------------------------------------------------------------- triplets


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> Any:
    """max(0, d(a, p) - d(a, n) + margin), d the ``pairwise_distance`` of order ``p``.

    anchor a, positive p, negative n: (N, D) or (D,). swap: d(p, n) takes the place of d(a, n) where it is smaller
    (Balntas et al., 2016). ArgumentError unless margin > 0. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.margin_losses import triplet_margin_loss
    >>> a, p, n = ag.tensor([[0.0, 0.0]]), ag.tensor([[3.0, 4.0]]), ag.tensor([[0.0, 2.0]])
    >>> triplet_margin_loss(a, p, n, eps=0.0)
    tensor(4.)
    """
    return _triplet(
        "triplet_margin_loss",
        (anchor, positive, negative),
        lambda x1, x2: pairwise_distance(x1, x2, p, eps),
        margin,
        swap,
        reduction,
    )


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """``triplet_margin_loss`` with any distance: a function of two batches, by default ``pairwise_distance``. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.margin_losses import triplet_margin_with_distance_loss
    >>> a, p, n = ag.tensor([[0.0, 0.0]]), ag.tensor([[3.0, 4.0]]), ag.tensor([[0.0, 2.0]])
    >>> triplet_margin_with_distance_loss(a, p, n, distance_function=lambda x, y: ag.abs(x - y).max(axis=-1))
    tensor(3.)
    """
    op = "triplet_margin_with_distance_loss"
    return _triplet(op, (anchor, positive, negative), distance_function or pairwise_distance, margin, swap, reduction)


def _triplet(
    op: str, vectors: tuple[Any, ...], distance: Callable[[Any, Any], Any], margin: float, swap: bool, reduction: str
) -> Any:
    check_reduction(op, reduction)
    if not margin > 0:
        raise ArgumentError(f"{op}: margin must be positive, got {margin}")
    anchor, positive, negative = promoted(op, vectors, floating=True)
    if not anchor.shape == positive.shape == negative.shape:
        raise ShapeError(
            f"{op}: anchor, positive and negative must have one shape, got {anchor.shape}, {positive.shape} and "
            f"{negative.shape}"
        )
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduced(_hinge(near - far + margin), reduction)
