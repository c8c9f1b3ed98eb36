"""Distances and angles between batches of vectors, as modules."""

from __future__ import annotations

from autograd_core.tensor import Tensor

from . import functional
from .module import Module


class CosineSimilarity(Module):
    """Cosine of the angle between vectors along ``dim``: x1 . x2 / (max(|x1|, eps) max(|x2|, eps)).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.CosineSimilarity()(ag.tensor([[1.0, 0.0]]), ag.tensor([[2.0, 2.0]]))
    tensor([0.70710677])
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8):
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return functional.cosine_similarity(x1, x2, self.dim, self.eps)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, eps={self.eps}"


class PairwiseDistance(Module):
    """Distance of vectors along the last axis: ||x1 - x2 + eps||_p. x1, x2: (N, D) or (D,).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.PairwiseDistance(eps=0.0)(ag.tensor([[3.0, 0.0]]), ag.tensor([[0.0, 4.0]]))
    tensor([5.])
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False):
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return functional.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)

    def extra_repr(self) -> str:
        return f"p={self.norm}, eps={self.eps}, keepdim={self.keepdim}"
