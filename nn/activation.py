"""Activation functions as modules. ``inplace``, where PyTorch takes it, has no effect: tensors are immutable."""

from __future__ import annotations

from typing import Any

from autograd_core.errors import ArgumentError, ShapeError
from autograd_core.ops import creation
from autograd_core.tensor import Tensor

from . import functional
from .linear import check_positive
from .module import Module
from .parameter import Parameter


class _Inplace(Module):
    def __init__(self, inplace: bool = False):
        if not isinstance(inplace, bool):
            raise ArgumentError(
                f"{type(self).__name__}: inplace must be True or False, got a {type(inplace).__name__}; to apply it "
                f"write {type(self).__name__}()(x)"
            )
        self.inplace = inplace

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ReLU(_Inplace):
    """y = max(x, 0), with slope 0 at 0.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.ReLU()(ag.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return functional.relu(input)


class ReLU6(_Inplace):
    """y = min(max(x, 0), 6)."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.relu6(input)


class LeakyReLU(Module):
    """y = x where x > 0, negative_slope * x elsewhere."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False):
        self.negative_slope = negative_slope

    def forward(self, input: Tensor) -> Tensor:
        return functional.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class PReLU(Module):
    """y = x where x > 0, a x elsewhere, with a learnt slope a for all channels or (num_parameters = C) for each.

    x: (N, C, ...). weight: (num_parameters,), ``init`` at first. He et al., Delving deep into rectifiers, 2015.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.PReLU()(ag.tensor([[-2.0, 2.0]])).detach()
    tensor([[-0.5,  2. ]])
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, *, device: Any = None, dtype: Any = None):
        check_positive("PReLU", num_parameters=num_parameters)
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(creation.full(num_parameters, float(init), device=device, dtype=dtype))

    def forward(self, input: Tensor) -> Tensor:
        return functional.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class RReLU(Module):
    """y = x where x > 0, a x elsewhere; a is uniform in [lower, upper) for each element, in evaluation their middle.

    Draws from the generator of the context. Xu et al., Empirical evaluation of rectified activations, 2015.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.RReLU(0.25, 0.75).eval()(ag.tensor([-8.0, 2.0]))
    tensor([-4.,  2.])
    """

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False):
        if not lower <= upper:
            raise ArgumentError(f"RReLU: needs lower <= upper, got {lower} and {upper}")
        self.lower, self.upper = lower, upper

    def forward(self, input: Tensor) -> Tensor:
        return functional.rrelu(input, self.lower, self.upper, self.training)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}"


class GLU(Module):
    """y = a sigmoid(b), a and b the first and the second half of x along ``dim``. Dauphin et al., 2017."""

    def __init__(self, dim: int = -1):
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return functional.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class _WithAlpha(Module):
    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        self.alpha = alpha

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class ELU(_WithAlpha):
    """y = x where x > 0, alpha (e^x - 1) elsewhere. Clevert, Unterthiner and Hochreiter, 2015."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.elu(input, self.alpha)


class CELU(_WithAlpha):
    """y = x where x > 0, alpha (e^(x / alpha) - 1) elsewhere. Barron, 2017."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.celu(input, self.alpha)


class SELU(_Inplace):
    """y = 1.0507 elu(x, 1.6733), which keeps mean 0 and variance 1. Klambauer et al., 2017."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.selu(input)


class GELU(Module):
    """y = x Phi(x), Phi the normal distribution function, or with approximate="tanh" a formula near it.

    Hendrycks and Gimpel, Gaussian error linear units, 2016.
    """

    def __init__(self, approximate: str = "none"):
        if approximate not in ("none", "tanh"):
            raise ArgumentError(f"GELU: approximate must be 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return functional.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(_Inplace):
    """y = x / (1 + e^-x), also called swish."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.silu(input)


class Mish(_Inplace):
    """y = x tanh(softplus(x)). Misra, 2019."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.mish(input)


class Softplus(Module):
    """y = ln(1 + e^(beta x)) / beta, and x itself where beta x > threshold."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0):
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        return functional.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softsign(Module):
    """y = x / (1 + |x|)."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.softsign(input)


class Sigmoid(Module):
    """y = 1 / (1 + e^-x)."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.sigmoid(input)


class LogSigmoid(Module):
    """y = -ln(1 + e^-x)."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.logsigmoid(input)


class Tanh(Module):
    """y = tanh(x)."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.tanh(input)


class Tanhshrink(Module):
    """y = x - tanh(x)."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.tanhshrink(input)


class Hardtanh(Module):
    """y = x limited to [min_val, max_val], with slope 0 at the limits."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False):
        if not min_val < max_val:
            raise ArgumentError(f"Hardtanh: needs min_val < max_val, got {min_val} and {max_val}")
        self.min_val, self.max_val = min_val, max_val

    def forward(self, input: Tensor) -> Tensor:
        return functional.hardtanh(input, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}"


class Hardsigmoid(_Inplace):
    """y = min(max(x + 3, 0), 6) / 6."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.hardsigmoid(input)


class Hardswish(_Inplace):
    """y = x min(max(x + 3, 0), 6) / 6. Howard et al., Searching for MobileNetV3, 2019."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.hardswish(input)


class _Shrink(Module):
    def __init__(self, lambd: float = 0.5):
        if not lambd >= 0:
            raise ArgumentError(f"{type(self).__name__}: lambd must not be negative, got {lambd}")
        self.lambd = lambd

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class Hardshrink(_Shrink):
    """y = x where |x| > lambd, 0 elsewhere."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.hardshrink(input, self.lambd)


class Softshrink(_Shrink):
    """y = x - lambd where x > lambd, x + lambd where x < -lambd, 0 between."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.softshrink(input, self.lambd)


class Threshold(Module):
    """y = x where x > threshold, ``value`` elsewhere."""

    def __init__(self, threshold: float, value: float, inplace: bool = False):
        self.threshold, self.value = threshold, value

    def forward(self, input: Tensor) -> Tensor:
        return functional.threshold(input, self.threshold, self.value)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}"


class _AlongDim(Module):
    def __init__(self, dim: int | None = None):
        name = type(self).__name__
        if isinstance(dim, bool) or not isinstance(dim, int):
            raise ArgumentError(f"{name}: say along which axis: nn.{name}(dim=1) for scores (N, C); got dim={dim!r}")
        self.dim = dim

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(_AlongDim):
    """y_i = e^x_i / sum_j e^x_j along axis ``dim``.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.Softmax(dim=1)(ag.tensor([[1.0, 1.0]]))
    tensor([[0.5, 0.5]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return functional.softmax(input, self.dim)


class LogSoftmax(_AlongDim):
    """y_i = x_i - ln sum_j e^x_j along axis ``dim``."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.log_softmax(input, self.dim)


class Softmin(_AlongDim):
    """y_i = e^-x_i / sum_j e^-x_j along axis ``dim``."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.softmin(input, self.dim)


class Softmax2d(Module):
    """Softmax over the channels of every place. x: (N, C, H, W) or (C, H, W); ShapeError for others.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.Softmax2d()(ag.zeros((4, 1, 1))).tolist()
    [[[0.25]], [[0.25]], [[0.25]], [[0.25]]]
    """

    def forward(self, input: Tensor) -> Tensor:
        if len(input.shape) not in (3, 4):
            raise ShapeError(f"Softmax2d: takes (N, C, H, W) or (C, H, W), got shape {input.shape}")
        return functional.softmax(input, -3)
