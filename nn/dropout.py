"""Dropout: noise in training that keeps a network from relying on single features."""

from __future__ import annotations

from autograd_core.ops.dropout import check_probability
from autograd_core.tensor import Tensor

from . import functional
from .module import Module


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False):
        check_probability(type(self).__name__, p)
        self.p, self.inplace = p, inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training each element 0 with probability p, the others divided by 1 - p; in evaluation y = x.

    x: floating, any shape. Draws from the generator of the context (``ag.random.seed``). inplace: accepted and ignored,
    as tensors are immutable. ArgumentError unless 0 <= p <= 1. Srivastava et al., Dropout, 2014.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> layer = nn.Dropout(0.5)
    >>> with ag.random.fork(0):
    ...     layer(ag.ones(4))
    tensor([2., 0., 0., 0.])
    >>> layer.eval()(ag.ones(4))
    tensor([1., 1., 1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return functional.dropout(input, self.p, self.training)


class Dropout1d(_Dropout):
    """Dropout of whole channels. x: (N, C, L) or (C, L). Arguments as for ``Dropout``."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.dropout1d(input, self.p, self.training)


class Dropout2d(_Dropout):
    """Dropout of whole channels. x: (N, C, H, W) or (C, H, W). Arguments as for ``Dropout``."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.dropout2d(input, self.p, self.training)


class Dropout3d(_Dropout):
    """Dropout of whole channels. x: (N, C, D, H, W) or (C, D, H, W). Arguments as for ``Dropout``."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.dropout3d(input, self.p, self.training)


class AlphaDropout(_Dropout):
    """Dropout for SELU networks, which keeps mean 0 and variance 1: elements become SELU's lowest value, not 0.

    Arguments as for ``Dropout``. Klambauer et al., Self-normalizing neural networks, 2017.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> with ag.random.fork(0):
    ...     ag.round(nn.AlphaDropout(0.5)(ag.zeros(2)), decimals=4)
    tensor([ 0.7792, -0.7792])
    """

    def forward(self, input: Tensor) -> Tensor:
        return functional.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_Dropout):
    """``AlphaDropout`` of whole channels. x: (N, C, ...). Arguments as for ``Dropout``."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.feature_alpha_dropout(input, self.p, self.training)
