"""What is left of a division, and common divisors. (``remainder`` and ``floor_divide`` stand with the arithmetic.)"""

from __future__ import annotations

from typing import Any

from ..primitive import bind, elementwise
from ._apply import as_tensor, broadcast, promoted, require_integer, require_real
from .rounding import trunc

__all__ = ["frac", "fmod", "gcd", "lcm"]

frac_p = elementwise("frac", lambda xp, x: x - xp.trunc(x), partials=(1,))


def frac(x: Any, /) -> Any:
    """Element-wise fractional part, with the sign of x: y = x - trunc(x); dy/dx = 1.

    x: real dtype, kept; 0 for integers. PyTorch.

    >>> import autograd_core as ag
    >>> ag.frac(ag.tensor([1.5, -2.25]))
    tensor([ 0.5 , -0.25])
    """
    require_real("frac", x)
    x = as_tensor("frac", x)
    return x.new_zeros(x.shape) if x.dtype.kind in "biu" else bind(frac_p, (x,), {})


fmod_p = elementwise(
    "fmod",
    lambda xp, x1, x2: xp.fmod(x1, x2),
    partials=(1, lambda x1, x2: -trunc(x1 / x2)),
    singular=True,
)


def fmod(x1: Any, x2: Any, /) -> Any:
    """Element-wise remainder with the sign of the dividend: y = x1 - x2 trunc(x1 / x2), C's ``fmod``.

    x1, x2: real dtype, kept; shapes broadcast. ``remainder`` has the sign of the divisor. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.fmod(ag.tensor([7.0, -7.0]), 3.0)
    tensor([ 1., -1.])
    """
    require_real("fmod", x1, x2)
    operands = promoted("fmod", (x1, x2))
    if operands[0].dtype.kind == "b":
        operands = [x.astype("int64") for x in operands]
    return bind(fmod_p, broadcast("fmod", operands), {})


def _whole(op: str, x1: Any, x2: Any) -> list[Any]:
    operands = promoted(op, (x1, x2))
    require_integer(op, "x1 and x2", operands[0])
    return broadcast(op, operands)


gcd_p = elementwise("gcd", lambda xp, x1, x2: xp.gcd(x1, x2), None, signals=False)


def gcd(x1: Any, x2: Any, /) -> Any:
    """Element-wise greatest common divisor of |x1| and |x2|; that of 0 and x is |x|.

    x1, x2: integers; shapes broadcast. DTypeError for others. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.gcd(ag.tensor([12, 0, -4]), 18)
    tensor([ 6, 18,  2])
    """
    return bind(gcd_p, _whole("gcd", x1, x2), {})


lcm_p = elementwise("lcm", lambda xp, x1, x2: xp.lcm(x1, x2), None, signals=False)


def lcm(x1: Any, x2: Any, /) -> Any:
    """Element-wise least common multiple of |x1| and |x2|; that of 0 and x is 0.

    x1, x2: integers; shapes broadcast. DTypeError for others. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.lcm(ag.tensor([4, 0, -6]), 6)
    tensor([12,  0,  6])
    """
    return bind(lcm_p, _whole("lcm", x1, x2), {})
