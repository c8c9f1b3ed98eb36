"""Losses as modules: they hold the arguments of the functions of the same name."""

from __future__ import annotations

from typing import Any

from autograd_core.ops import creation, losses
from autograd_core.tensor import Tensor

from . import functional
from .module import Module
from .parameter import Buffer


class _Loss(Module):
    reductions: tuple[str, ...] = losses.REDUCTIONS
    weight: Buffer | None
    pos_weight: Buffer | None

    def __init__(self, reduction: str = "mean"):
        losses.check_reduction(type(self).__name__, reduction, self.reductions)
        self.reduction = reduction

    def _weigh(self, **weights: Any) -> None:
        """Weights as buffers: they move with the module and lie in its state dict."""
        for name, weight in weights.items():
            self.register_buffer(name, None if weight is None else creation.asarray(weight))


class CrossEntropyLoss(_Loss):
    """Cross entropy of softmax(x) with labels or class probabilities: l = -w_t ln softmax(x)_t.

    input x: scores (N, C), (C,) or (N, C, d1, ...). target: labels in [0, C) of the shape of x without C, or
    probabilities of the shape of x. weight: (C,). ignore_index: the label of samples that do not count.
    label_smoothing: the part of each target spread over all classes. reduction: "mean" (weighted), "sum", "none".
    DataError names a label out of range. Arguments after ``weight`` by name only.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.CrossEntropyLoss()(ag.tensor([[1.0, 1.0], [0.0, 1000.0]]), ag.tensor([0, 1]))
    tensor(0.3465736)
    """

    def __init__(
        self,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ):
        super().__init__(reduction)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing
        self._weigh(weight=weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_Loss):
    """Negative log-likelihood of labels: l = -w_t x_t, for x the log-probabilities that ``LogSoftmax`` gives.

    Arguments as for ``CrossEntropyLoss`` with labels.
    """

    def __init__(self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean"):
        super().__init__(reduction)
        self.ignore_index = ignore_index
        self._weigh(weight=weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class MSELoss(_Loss):
    """Squared error: l = (x - t)^2. reduction: "mean", "sum", "none". ShapeError for unequal shapes.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.MSELoss()(ag.tensor([1.0, 2.0]), ag.tensor([1.0, 4.0]))
    tensor(2.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """Absolute error: l = |x - t|. reduction: "mean", "sum", "none". ShapeError for unequal shapes."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """l = (x - t)^2 / (2 beta) where |x - t| < beta, |x - t| - beta / 2 elsewhere. Girshick, Fast R-CNN, 2015."""

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0):
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """l = (x - t)^2 / 2 where |x - t| < delta, delta (|x - t| - delta / 2) elsewhere. Huber, 1964."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0):
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class BCELoss(_Loss):
    """Binary cross entropy of probabilities: l = -w (t ln x + (1 - t) ln(1 - x)).

    For scores before the sigmoid use ``BCEWithLogitsLoss``, which is exact near 0 and 1. weight: broadcasts.
    """

    def __init__(self, weight: Any = None, *, reduction: str = "mean"):
        super().__init__(reduction)
        self._weigh(weight=weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Binary cross entropy of sigmoid(x): l = -w (p t ln s(x) + (1 - t) ln(1 - s(x))), without overflow.

    weight w and pos_weight p: broadcast to the target. reduction: "mean", "sum", "none".

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.BCEWithLogitsLoss()(ag.tensor([0.0, 1000.0]), ag.tensor([1.0, 1.0]))
    tensor(0.3465736)
    """

    def __init__(self, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None):
        super().__init__(reduction)
        self._weigh(weight=weight, pos_weight=pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class KLDivLoss(_Loss):
    """Kullback-Leibler divergence: l = t (ln t - x), x log-probabilities; with log_target, t are logarithms too.

    reduction: "batchmean" is the mathematical value; "mean" divides by the number of elements; "sum", "none".
    """

    reductions = (*losses.REDUCTIONS, "batchmean")

    def __init__(self, *, reduction: str = "mean", log_target: bool = False):
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)
