"""Linear units with an exponential, a gate, a learnt or a random slope; signs and shrinkage. PyTorch's names.

``inplace`` is taken where PyTorch takes it, and changes nothing: a tensor is a value, the result is what is returned.
"""

from __future__ import annotations

from typing import Any

from ..aval import normalize_axis
from ..errors import ArgumentError, ShapeError
from ..primitive import elementwise
from . import random
from ._apply import as_tensor, promoted, require_real, to_float
from .activation import leaky_relu, of_reals, sigmoid
from .arithmetic import abs as absolute
from .arithmetic import divide
from .exponential import exp
from .selection import clip, where
from .trigonometric import tanh

__all__ = [
    "elu",
    "selu",
    "celu",
    "glu",
    "prelu",
    "rrelu",
    "softsign",
    "tanhshrink",
    "hardshrink",
    "softshrink",
]

# ----------------------------------------------------------------------------------------- exponential

elu_p = elementwise(
    "elu",
    lambda xp, x, *, alpha, scale, rate: xp.where(
        x > 0, x * scale, (alpha * scale) * xp.expm1(xp.minimum(x, 0) * rate)
    ),
    partials=(
        lambda x, alpha, scale, rate: where(x > 0, scale, (alpha * scale * rate) * exp(clip(x, None, 0.0) * rate)),
    ),
)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """Exponential linear unit: y = x for x > 0, alpha (e^x - 1) elsewhere. Integers as float32.

    Clevert, Unterthiner and Hochreiter, Fast and accurate deep network learning by exponential linear units, 2015.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import units as F
    >>> F.elu(ag.tensor([-100.0, 2.0]))
    tensor([-1.,  2.])
    """
    return of_reals("elu", elu_p, input, alpha=float(alpha), scale=1.0, rate=1.0)


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848, 1.0507009873554804934


def selu(input: Any, inplace: bool = False) -> Any:
    """Scaled exponential linear unit: y = 1.0507 elu(x, 1.6733), which keeps mean 0 and variance 1.

    Integers as float32. Klambauer et al., Self-normalizing neural networks, 2017.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import units as F
    >>> ag.round(F.selu(ag.tensor([-100.0, 2.0])), decimals=4)
    tensor([-1.7581,  2.1014])
    """
    return of_reals("selu", elu_p, input, alpha=_SELU_ALPHA, scale=_SELU_SCALE, rate=1.0)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """Exponential linear unit with slope 1 at 0 for every alpha: y = x for x > 0, alpha (e^(x / alpha) - 1) elsewhere.

    Integers as float32. Barron, Continuously differentiable exponential linear units, 2017.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import units as F
    >>> F.celu(ag.tensor([-100.0, 2.0]), 2.0)
    tensor([-2.,  2.])
    """
    if alpha == 0:
        raise ArgumentError("celu: alpha must not be 0")
    return of_reals("celu", elu_p, input, alpha=float(alpha), scale=1.0, rate=1.0 / alpha)


# ------------------------------------------------------------------------------- gated, learnt, random slopes


def glu(input: Any, dim: int = -1) -> Any:
    """Gated linear unit: y = a sigmoid(b), a and b the first and the second half of x along ``dim``.

    x: an even length along ``dim`` (ShapeError otherwise); y: half of it. Integers as float32.
    Dauphin et al., Language modeling with gated convolutional networks, 2017. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import units as F
    >>> F.glu(ag.tensor([1.0, 2.0, 0.0, 100.0]))
    tensor([0.5, 2. ])
    """
    x = to_float(as_tensor("glu", input))
    axis = normalize_axis("glu", dim, len(x.shape))
    length = x.shape[axis]
    if length % 2:
        raise ShapeError(
            f"glu: x is halved along dim={dim}, but x of shape {x.shape} has the odd length {length} there"
        )
    a, b = x.split((length // 2, length // 2), axis=axis)
    return a * sigmoid(b)


def prelu(input: Any, weight: Any) -> Any:
    """y = x where x > 0, weight * x elsewhere.

    x: (N, C, ...). weight: one slope, or (C,), one for each channel. Integers as float32.
    He et al., Delving deep into rectifiers, 2015. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import units as F
    >>> F.prelu(ag.tensor([[-2.0, 2.0]]), ag.tensor([0.25]))
    tensor([[-0.5,  2. ]])
    """
    x, w = promoted("prelu", (input, weight), floating=True)
    require_real("prelu", x)
    if w.size == 1:
        w = w.reshape(())
    else:
        if len(w.shape) != 1 or len(x.shape) < 2 or w.shape[0] != x.shape[1]:
            raise ShapeError(
                f"prelu: weight of shape {w.shape} is neither one slope nor one for each channel of "
                f"input {x.shape} (axis 1)"
            )
        w = w.reshape((-1, *(1,) * (len(x.shape) - 2)))
    return where(x > 0, x, x * w)


def rrelu(
    input: Any,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Any = None,
) -> Any:
    """Rectifier with random slopes: y = x where x > 0, a x elsewhere, a uniform in [lower, upper) for each element.

    Without ``training``, a = (lower + upper) / 2. Integers as float32. generator: by default that of the context.
    ArgumentError unless lower <= upper. Xu et al., Empirical evaluation of rectified activations, 2015. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import units as F
    >>> F.rrelu(ag.tensor([-8.0, 2.0]), 0.25, 0.75)
    tensor([-4.,  2.])
    """
    if not lower <= upper:
        raise ArgumentError(f"rrelu: needs lower <= upper, got lower={lower} and upper={upper}")
    x = to_float(as_tensor("rrelu", input))
    if not training or lower == upper:
        return leaky_relu(x, (lower + upper) / 2)
    slopes = random.uniform(x.shape, lower, upper, device=x.device, generator=generator)  # the same in every dtype
    return where(x > 0, x, x * slopes.astype(x.dtype))


# ----------------------------------------------------------------------------------- signs and shrinkage


def softsign(input: Any) -> Any:
    """y = x / (1 + |x|). Integers as float32.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import units as F
    >>> F.softsign(ag.tensor([-1.0, 3.0]))
    tensor([-0.5 ,  0.75])
    """
    return divide(input, 1 + absolute(input))


def tanhshrink(input: Any) -> Any:
    """y = x - tanh(x). Integers as float32.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import units as F
    >>> F.tanhshrink(ag.tensor([0.0, 100.0]))
    tensor([ 0., 99.])
    """
    x = to_float(as_tensor("tanhshrink", input))
    return x - tanh(x)


def _check_lambd(op: str, lambd: float) -> None:
    if lambd < 0:
        raise ArgumentError(f"{op}: lambd must not be negative, got {lambd}")


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """y = x where |x| > lambd, 0 elsewhere.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import units as F
    >>> F.hardshrink(ag.tensor([-2.0, 0.25, 1.0]))
    tensor([-2.,  0.,  1.])
    """
    _check_lambd("hardshrink", lambd)
    x = as_tensor("hardshrink", input)
    require_real("hardshrink", x)
    return where(absolute(x) <= lambd, 0, x)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """y = x - lambd where x > lambd, x + lambd where x < -lambd, 0 between. Integers as float32.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import units as F
    >>> F.softshrink(ag.tensor([-2.0, 0.25, 1.0]))
    tensor([-1.5,  0. ,  0.5])
    """
    _check_lambd("softshrink", lambd)
    x = to_float(as_tensor("softshrink", input))
    return x - clip(x, -lambd, lambd)
