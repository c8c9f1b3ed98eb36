"""Losses as modules: they hold the arguments of the functions of the same name."""

from __future__ import annotations

from math import prod
from typing import Any

from autograd_core.ops import creation, losses
from autograd_core.tensor import Tensor

from . import functional
from .linear import Linear
from .module import Module
from .parameter import Buffer


class Loss(Module):
    """Base of the losses: what they do with the values of single samples."""

    reductions: tuple[str, ...] = losses.REDUCTIONS
    weight: Buffer | None
    pos_weight: Buffer | None

    def __init__(self, reduction: str = "mean"):
        losses.check_reduction(type(self).__name__, reduction, self.reductions)
        self.reduction = reduction

    def weigh(self, **weights: Any) -> None:
        """Weights as buffers: they move with the module and lie in its state dict."""
        for name, weight in weights.items():
            self.register_buffer(name, None if weight is None else creation.asarray(weight))


class CrossEntropyLoss(Loss):
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
        self.weigh(weight=weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(Loss):
    """Negative log-likelihood of labels: l = -w_t x_t, for x the log-probabilities that ``LogSoftmax`` gives.

    Arguments as for ``CrossEntropyLoss`` with labels.
    """

    def __init__(self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean"):
        super().__init__(reduction)
        self.ignore_index = ignore_index
        self.weigh(weight=weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class LinearCrossEntropyLoss(Loss):
    """``CrossEntropyLoss`` of scores W x + b that it makes itself: the last layer and the loss in one.

    x: (N, in_features) or (in_features,). target: labels in [0, num_classes), (N, *out_features), or probabilities
    (N, num_classes, *out_features). linear: the layer, with num_classes * prod(out_features) scores. PyTorch 2.13.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.LinearCrossEntropyLoss(5, 10)(ag.ones((2, 5)), ag.tensor([3, 9])).shape
    ()
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Any = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
    ):
        super().__init__(reduction)
        self.in_features, self.num_classes, self.out_features = in_features, num_classes, tuple(out_features)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing
        self.weigh(weight=weight)
        self.linear = Linear(in_features, num_classes * prod(out_features), bias, device=device, dtype=dtype)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        shape = (self.num_classes, *self.out_features)
        bias = self.linear.bias
        return functional.linear_cross_entropy(
            input,
            self.linear.weight.reshape((*shape, self.in_features)),
            target,
            linear_bias=None if bias is None else bias.reshape(shape),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
        )


class MSELoss(Loss):
    """Squared error: l = (x - t)^2. reduction: "mean", "sum", "none". ShapeError for unequal shapes.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.MSELoss()(ag.tensor([1.0, 2.0]), ag.tensor([1.0, 4.0]))
    tensor(2.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.mse_loss(input, target, reduction=self.reduction)


class L1Loss(Loss):
    """Absolute error: l = |x - t|. reduction: "mean", "sum", "none". ShapeError for unequal shapes."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(Loss):
    """l = (x - t)^2 / (2 beta) where |x - t| < beta, |x - t| - beta / 2 elsewhere. Girshick, Fast R-CNN, 2015."""

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0):
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(Loss):
    """l = (x - t)^2 / 2 where |x - t| < delta, delta (|x - t| - delta / 2) elsewhere. Huber, 1964."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0):
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class BCELoss(Loss):
    """Binary cross entropy of probabilities: l = -w (t ln x + (1 - t) ln(1 - x)).

    For scores before the sigmoid use ``BCEWithLogitsLoss``, which is exact near 0 and 1. weight: broadcasts.
    """

    def __init__(self, weight: Any = None, *, reduction: str = "mean"):
        super().__init__(reduction)
        self.weigh(weight=weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(Loss):
    """Binary cross entropy of sigmoid(x): l = -w (p t ln s(x) + (1 - t) ln(1 - s(x))), without overflow.

    weight w and pos_weight p: broadcast to the target. reduction: "mean", "sum", "none".

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.BCEWithLogitsLoss()(ag.tensor([0.0, 1000.0]), ag.tensor([1.0, 1.0]))
    tensor(0.3465736)
    """

    def __init__(self, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None):
        super().__init__(reduction)
        self.weigh(weight=weight, pos_weight=pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class KLDivLoss(Loss):
    """Kullback-Leibler divergence: l = t (ln t - x), x log-probabilities; with log_target, t are logarithms too.

    reduction: "batchmean" is the mathematical value; "mean" divides by the number of elements; "sum", "none".
    """

    reductions = (*losses.REDUCTIONS, "batchmean")

    def __init__(self, *, reduction: str = "mean", log_target: bool = False):
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class PoissonNLLLoss(Loss):
    """Negative log-likelihood of counts: l = e^x - t x, or x - t ln(x + eps) with log_input=False.

    full: adds Stirling's approximation of ln t!. reduction: "mean", "sum", "none". Other arguments by name only.
    """

    def __init__(self, log_input: bool = True, full: bool = False, *, eps: float = 1e-8, reduction: str = "mean"):
        super().__init__(reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.poisson_nll_loss(
            input, target, self.log_input, self.full, eps=self.eps, reduction=self.reduction
        )


class GaussianNLLLoss(Loss):
    """Negative log-likelihood of a normal distribution: l = (ln v + (x - t)^2 / v) / 2, v the variance, at least eps.

    full: adds ln(2 pi) / 2. reduction: "mean", "sum", "none". Nix and Weigend, 1994.
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean"):
        super().__init__(reduction)
        self.full, self.eps = full, eps

    def forward(self, input: Tensor, target: Tensor, var: Any) -> Tensor:
        return functional.gaussian_nll_loss(input, target, var, self.full, self.eps, reduction=self.reduction)


class CTCLoss(Loss):
    """Negative log-probability of label sequences under all their alignments with the steps of the input.

    Arguments and shapes as for ``functional.ctc_loss``. Graves et al., Connectionist temporal classification, 2006.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> log_probs = ag.log(ag.full((2, 1, 3), 1 / 3))
    >>> nn.CTCLoss()(log_probs, ag.tensor([[1]]), (2,), (1,))
    tensor(1.0986123)
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False):
        super().__init__(reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any) -> Tensor:
        return functional.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )
