"""Functions of square matrices: powers and the exponential."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError
from ..primitive import bind, general
from ._apply import NO_PARAMS
from ._matrices import identity, in_single, matrices
from .joining import concat
from .products import matmul
from .solving import inv

__all__ = ["matrix_power", "matrix_exp"]


def matrix_power(x: Any, n: int, /) -> Any:
    """The n-th power of square matrices, by repeated squaring; of the inverse if n is negative; 1 for n = 0.

    x: (..., m, m), integers as float32. LinAlgError for n < 0 and a singular matrix.
    Python array API standard (linalg).

    >>> import autograd_core as ag
    >>> ag.linalg.matrix_power(ag.tensor([[1.0, 1.0], [0.0, 1.0]]), 3)
    tensor([[1., 3.],
            [0., 1.]])
    """
    x = matrices("matrix_power", x, square=True)
    if not hasattr(n, "__index__"):
        raise ArgumentError(f"matrix_power: n must be an int, got {n!r}")
    n = n.__index__()
    if n < 0:
        x, n = inv(x), -n
    power = None
    while n:
        if n & 1:
            power = x if power is None else matmul(power, x)
        n >>= 1
        x = matmul(x, x) if n else x
    return identity(x.shape[-1], x).broadcast_to(x.shape) if power is None else power


# Numerators of the Pade approximant of degree 13, and the norm up to which it is exact to rounding.
PADE = (
    64764752532480000.0,
    32382376266240000.0,
    7771770303897600.0,
    1187353796428800.0,
    129060195264000.0,
    10559470521600.0,
    670442572800.0,
    33522128640.0,
    1323241920.0,
    40840800.0,
    960960.0,
    16380.0,
    182.0,
    1.0,
)
LARGEST_NORM = 5.371920351148152


def _exponential(xp: Any, x: Any) -> Any:
    n = x.shape[-1]
    if not x.size:
        return x
    norms = xp.abs(x).sum(axis=-2).max(axis=-1)[..., None, None]
    ratio = xp.where(xp.isfinite(norms) & (norms > LARGEST_NORM), norms / LARGEST_NORM, 1)
    halvings = xp.ceil(xp.log2(ratio))
    x = x / xp.exp2(halvings).astype(x.real.dtype)
    x2 = xp.matmul(x, x)
    x4 = xp.matmul(x2, x2)
    x6 = xp.matmul(x2, x4)
    b, unit = PADE, xp.eye(n, dtype=x.dtype)
    odd = xp.matmul(x6, b[13] * x6 + b[11] * x4 + b[9] * x2) + b[7] * x6 + b[5] * x4 + b[3] * x2 + b[1] * unit
    odd = xp.matmul(x, odd)
    even = xp.matmul(x6, b[12] * x6 + b[10] * x4 + b[8] * x2) + b[6] * x6 + b[4] * x4 + b[2] * x2 + b[0] * unit
    y = xp.linalg.solve(even - odd, even + odd)
    for k in range(int(halvings.max())):
        y = xp.where(k < halvings, xp.matmul(y, y), y)
    return y


def _exponential_vjp(g: Any, x: Any) -> Any:
    """exp [[a, g], [0, a]] has above its diagonal the derivative of exp at a along g; here a = x^H."""
    n, a = x.shape[-1], x.mH
    block = concat(
        [concat([a, g], axis=-1), concat([a.new_zeros(a.shape), a], axis=-1)],
        axis=-2,
    )
    return bind(matrix_exp_p, (block,), NO_PARAMS)[..., :n, n:]


matrix_exp_p = general(
    "matrix_exp",
    in_single(_exponential),
    lambda x: x,
    operands=("x",),
    vjp=(_exponential_vjp,),
    batch={},
)


def matrix_exp(x: Any, /) -> Any:
    """The exponential of square matrices: y = 1 + x + x^2 / 2 + x^3 / 6 + ...

    x: (..., n, n), integers as float32. By scaling and squaring of the Pade approximant of degree 13 (Higham, The
    scaling and squaring method for the matrix exponential revisited, 2005); the derivative is the exponential of a
    matrix twice as large (Najfeld and Havel, Derivatives of the matrix exponential and their computation, 1995).
    PyTorch (linalg).

    >>> import autograd_core as ag
    >>> ag.linalg.matrix_exp(ag.tensor([[0.0, 1.0], [0.0, 0.0]]))
    tensor([[1., 1.],
            [0., 1.]])
    """
    return bind(matrix_exp_p, (matrices("matrix_exp", x, square=True),), NO_PARAMS)
