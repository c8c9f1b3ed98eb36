"""Equal up to rounding."""

from __future__ import annotations

from typing import Any

from ..aval import BOOL, is_inexact
from ..primitive import bind, elementwise
from ._apply import broadcast, promoted
from .reductions import all

__all__ = ["isclose", "allclose"]

isclose_p = elementwise(
    "isclose",
    lambda xp, x1, x2, *, rtol, atol, equal_nan: (
        (x1 == x2)
        | (xp.isfinite(x2) & (xp.abs(x1 - x2) <= atol + rtol * xp.abs(x2)))
        | (equal_nan & (x1 != x1) & (x2 != x2))
    ),
    None,
    result=lambda *dtypes, **params: BOOL,
)


def isclose(x1: Any, x2: Any, /, *, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Element-wise whether |x1 - x2| <= atol + rtol |x2|; infinities are close to themselves alone.

    x1, x2: numeric dtype; shapes broadcast; integers are compared in double precision. equal_nan: whether NaN is close
    to NaN. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.isclose(ag.tensor([1.0, 2.0]), ag.tensor([1.000001, 2.1]))
    tensor([ True, False])
    """
    operands = promoted("isclose", (x1, x2))
    if not is_inexact(operands[0].dtype):
        operands = [x.astype("float64") for x in operands]
    params = {"rtol": float(rtol), "atol": float(atol), "equal_nan": bool(equal_nan)}
    return bind(isclose_p, broadcast("isclose", operands), params)


def allclose(x1: Any, x2: Any, /, *, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether ``isclose`` holds for all elements, as a 0-d boolean tensor; arguments as there. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> bool(ag.allclose(ag.tensor([1.0, 2.0]), ag.tensor([1.000001, 2.0])))
    True
    """
    return all(isclose(x1, x2, rtol=rtol, atol=atol, equal_nan=equal_nan))
