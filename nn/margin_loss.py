"""Losses with a margin as modules: they hold the arguments of the functions of the same name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autograd_core.errors import ArgumentError
from autograd_core.tensor import Tensor

from . import functional
from .loss import Loss


class _WithMargin(Loss):
    def __init__(self, margin: float = 0.0, *, reduction: str = "mean"):
        super().__init__(reduction)
        self.margin = margin


class HingeEmbeddingLoss(_WithMargin):
    """l = x where the target is 1, max(0, margin - x) where it is -1. reduction: "mean", "sum", "none"."""

    def __init__(self, margin: float = 1.0, *, reduction: str = "mean"):
        super().__init__(margin, reduction=reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.hinge_embedding_loss(input, target, self.margin, reduction=self.reduction)


class MarginRankingLoss(_WithMargin):
    """l = max(0, margin - t (x1 - x2)), t = 1 where x1 should be ranked higher, -1 where x2 should.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.MarginRankingLoss()(ag.tensor([1.0]), ag.tensor([3.0]), ag.tensor([1]))
    tensor(2.)
    """

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return functional.margin_ranking_loss(input1, input2, target, self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_WithMargin):
    """l = 1 - cos(x1, x2) where the target is 1, max(0, cos(x1, x2) - margin) where it is -1. x1, x2: (N, D), (D,)."""

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return functional.cosine_embedding_loss(input1, input2, target, self.margin, reduction=self.reduction)


class SoftMarginLoss(Loss):
    """l = ln(1 + e^(-t x)), t = 1 or -1. reduction: "mean", "sum", "none"."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.soft_margin_loss(input, target, reduction=self.reduction)


class MultiMarginLoss(Loss):
    """Hinge loss of classes: l = sum over j != t of w_t max(0, margin - x_t + x_j)^p / C. x: (N, C) or (C,)."""

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Any = None, *, reduction: str = "mean"):
        if p not in (1, 2):
            raise ArgumentError(f"MultiMarginLoss: p must be 1 or 2, got {p!r}")
        super().__init__(reduction)
        self.p, self.margin = p, margin
        self.weigh(weight=weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.multi_margin_loss(input, target, self.p, self.margin, self.weight, reduction=self.reduction)


class MultiLabelMarginLoss(Loss):
    """Hinge loss of samples with several labels; target: a sample's labels, then -1. x: (N, C) or (C,).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.MultiLabelMarginLoss()(ag.tensor([[0.1, 0.2, 0.4, 0.8]]), ag.tensor([[3, 0, -1, 1]]))
    tensor(0.85)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(Loss):
    """Logistic loss of samples with several labels, the mean over C; target: 0 or 1 for every class. x: (..., C)."""

    def __init__(self, weight: Any = None, *, reduction: str = "mean"):
        super().__init__(reduction)
        self.weigh(weight=weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)


class TripletMarginLoss(Loss):
    """l = max(0, d(a, p) - d(a, n) + margin), d the p-norm of the difference. a, p, n: (N, D) or (D,).

    swap: whether d(p, n) takes the place of d(a, n) where it is smaller. Balntas et al., 2016.
    """

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, *, reduction: str = "mean"
    ):
        if not margin > 0:
            raise ArgumentError(f"TripletMarginLoss: margin must be positive, got {margin}")
        super().__init__(reduction)
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return functional.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, reduction=self.reduction
        )


class TripletMarginWithDistanceLoss(Loss):
    """``TripletMarginLoss`` with any distance of two batches, by default ``functional.pairwise_distance``."""

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ):
        if not margin > 0:
            raise ArgumentError(f"TripletMarginWithDistanceLoss: margin must be positive, got {margin}")
        super().__init__(reduction)
        self.distance_function, self.margin, self.swap = distance_function, margin, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return functional.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )
