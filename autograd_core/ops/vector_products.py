"""Products of vectors, and of all elements with all."""

from __future__ import annotations

from typing import Any

from ..aval import normalize_axis
from ..errors import ShapeError
from ._apply import promoted
from .complex_numbers import conj
from .products import matmul
from .shaping import roll

__all__ = ["vecdot", "vdot", "outer", "kron", "cross"]


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """Inner products along one axis: y[...] = sum_i conj(x1[..., i]) x2[..., i].

    All axes but ``axis`` (counted from the right) broadcast; dtypes are promoted. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.vecdot(ag.tensor([[1.0, 2.0], [0.0, 1.0]]), ag.tensor([3.0, 4.0]))
    tensor([11.,  4.])
    """
    x1, x2 = promoted("vecdot", (x1, x2))
    n1, n2 = len(x1.shape), len(x2.shape)
    axis1, axis2 = normalize_axis("vecdot", axis, n1) - n1, normalize_axis("vecdot", axis, n2) - n2
    if axis1 != axis2 or x1.shape[axis1] != x2.shape[axis2]:
        raise ShapeError(
            f"vecdot: shapes {x1.shape} and {x2.shape} with axis={axis}: the axes summed together must have one length "
            "and one place from the right; write a negative axis"
        )
    return (conj(x1) * x2).sum(axis=axis1, dtype=x1.dtype)


def vdot(x1: Any, x2: Any, /) -> Any:
    """The inner product of all elements: y = sum conj(x1) x2, of tensors of any one size, as vectors. NumPy; PyTorch.

    >>> import autograd_core as ag
    >>> ag.vdot(ag.tensor([1j, 2.0]), ag.tensor([1j, 1.0]))
    tensor(3.+0.j)
    """
    x1, x2 = promoted("vdot", (x1, x2))
    x1, x2 = x1.ravel(), x2.ravel()
    if x1.shape != x2.shape:
        raise ShapeError(f"vdot: {x1.size} elements meet {x2.size}; both must have equally many")
    return matmul(conj(x1), x2)


def outer(x1: Any, x2: Any, /) -> Any:
    """All products of two vectors: y[i, j] = x1[i] x2[j].

    x1: (n,); x2: (m,). Python array API standard (linalg).

    >>> import autograd_core as ag
    >>> ag.outer(ag.tensor([1.0, 2.0]), ag.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    x1, x2 = promoted("outer", (x1, x2))
    if len(x1.shape) != 1 or len(x2.shape) != 1:
        raise ShapeError(f"outer: takes two vectors, got shapes {x1.shape} and {x2.shape}; flatten with x.ravel()")
    return x1.reshape(x1.shape[0], 1) * x2


def kron(x1: Any, x2: Any, /) -> Any:
    """Kronecker product: x1 with every element replaced by its product with all of x2.

    y has the lengths of x1 times those of x2, axis by axis from the right. NumPy; PyTorch.

    >>> import autograd_core as ag
    >>> ag.kron(ag.tensor([1.0, 10.0]), ag.tensor([1.0, 2.0]))
    tensor([ 1.,  2., 10., 20.])
    """
    x1, x2 = promoted("kron", (x1, x2))
    ndim = max(len(x1.shape), len(x2.shape))
    shape1 = (1,) * (ndim - len(x1.shape)) + x1.shape
    shape2 = (1,) * (ndim - len(x2.shape)) + x2.shape
    y = x1.reshape(tuple(n for length in shape1 for n in (length, 1)))
    y = y * x2.reshape(tuple(n for length in shape2 for n in (1, length)))
    return y.reshape(tuple(n * m for n, m in zip(shape1, shape2)))


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """Vector product in three dimensions: y[i] = x1[j] x2[k] - x1[k] x2[j] for (i, j, k) = (0, 1, 2) and in cycle.

    x1, x2: of length 3 along ``axis`` (counted from the right); all other axes broadcast; dtypes are promoted.
    Python array API standard (linalg).

    >>> import autograd_core as ag
    >>> ag.linalg.cross(ag.tensor([1.0, 0.0, 0.0]), ag.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    x1, x2 = promoted("cross", (x1, x2))
    n1, n2 = len(x1.shape), len(x2.shape)
    axis1, axis2 = normalize_axis("cross", axis, n1), normalize_axis("cross", axis, n2)
    if axis1 - n1 != axis2 - n2:
        raise ShapeError(
            f"cross: axis={axis} lies at two places from the right of shapes {x1.shape} and {x2.shape}; "
            "write a negative axis"
        )
    if x1.shape[axis1] != 3 or x2.shape[axis2] != 3:
        raise ShapeError(
            f"cross: shapes {x1.shape} and {x2.shape} with axis={axis}: both must have length 3 along that axis"
        )
    next1, next2 = (roll(x, -1, axis=a) for x, a in ((x1, axis1), (x2, axis2)))
    last1, last2 = (roll(x, 1, axis=a) for x, a in ((x1, axis1), (x2, axis2)))
    return next1 * last2 - last1 * next2
