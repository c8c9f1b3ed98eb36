"""Parts and conjugates of complex numbers.

Cotangents pair with tangents by the real inner product Re(conj(g) t): ``real``, ``imag`` and ``conj`` are linear over
the real numbers, and their transposes are the adjoints of that product.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..aval import Aval, broadcast_shapes
from ..errors import DTypeError, ShapeError
from ..primitive import bind, multilinear
from ._apply import as_tensor, promoted
from .joining import stack

__all__ = ["conj", "real", "imag", "complex", "view_as_real", "view_as_complex", "isreal", "iscomplex"]


def part_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of the real and imaginary parts of complex numbers."""
    return np.dtype(np.float32 if dtype.itemsize == 8 else np.float64)


conj_p = multilinear(
    "conj",
    lambda xp, x: xp.conj(x),
    transposes=(lambda g: conj(g),),
    shape=lambda x: x,
    batch={},
)


def conj(x: Any, /) -> Any:
    """The complex conjugate, a - ib of a + ib; real tensors as they are. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.conj(ag.tensor([1 + 2j]))
    tensor([1.-2.j])
    """
    x = as_tensor("conj", x)
    return bind(conj_p, (x,), {}) if x.dtype.kind == "c" else x


real_p = multilinear(
    "real",
    lambda xp, x: x.real,
    transposes=(lambda g, avals: g.astype(avals[0].dtype),),
    shape=lambda x: Aval(x.shape, part_dtype(x.dtype)),
    batch={},
)


def real(x: Any, /) -> Any:
    """The real part, a of a + ib: complex64 as float32, complex128 as float64; real tensors as they are.

    The vjp of a real cotangent g is g + 0i. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.real(ag.tensor([1 + 2j]))
    tensor([1.])
    """
    x = as_tensor("real", x)
    return bind(real_p, (x,), {}) if x.dtype.kind == "c" else x


imag_p = multilinear(
    "imag",
    lambda xp, x: x.imag,
    transposes=(lambda g: complex(g.new_zeros(()).broadcast_to(g.shape), g),),
    shape=lambda x: Aval(x.shape, part_dtype(x.dtype)),
    batch={},
)


def imag(x: Any, /) -> Any:
    """The imaginary part, b of a + ib: complex64 as float32, complex128 as float64; zeros for real tensors (NumPy).

    The vjp of a real cotangent g is 0 + ig. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.imag(ag.tensor([1 + 2j]))
    tensor([2.])
    """
    x = as_tensor("imag", x)
    return bind(imag_p, (x,), {}) if x.dtype.kind == "c" else x.new_zeros(x.shape)


def whole_dtype(dtype: np.dtype) -> np.dtype:
    return np.dtype(np.complex64 if dtype.itemsize == 4 else np.complex128)


def _joined(xp: Any, re: Any, im: Any) -> Any:
    # not re + 1j * im: an infinite imaginary part would give the real part inf * 0
    parts = xp.empty((*re.shape, 2), re.dtype)
    parts[..., 0] = re
    parts[..., 1] = im
    return parts.view(whole_dtype(re.dtype))[..., 0]


complex_p = multilinear(
    "complex",
    _joined,
    transposes=(lambda g: real(g), lambda g: imag(g)),
    shape=lambda re, im: Aval(broadcast_shapes("complex", re.shape, im.shape), whole_dtype(re.dtype)),
    joint=True,
    batch={},
)


def complex(re: Any, im: Any, /) -> Any:
    """Complex numbers from real and imaginary parts: y = re + i im, infinities and NaN kept in their part.

    re, im: real dtype; shapes broadcast. float32 gives complex64, float64 complex128; float16, integers and booleans
    count as float32. DTypeError for complex operands. PyTorch.

    >>> import autograd_core as ag
    >>> ag.complex(ag.tensor([1.0, 2.0]), 3.0)
    tensor([1.+3.j, 2.+3.j])
    """
    operands = promoted("complex", (re, im), floating=True)
    dtype = operands[0].dtype
    if dtype.kind == "c":
        raise DTypeError(f"complex: parts are real, got {dtype}; write ag.complex(ag.real(x), ag.imag(x))")
    if dtype.itemsize == 2:
        operands = [x.astype("float32") for x in operands]
    shape = broadcast_shapes("complex", *[x.shape for x in operands])
    return bind(complex_p, [x.broadcast_to(shape) for x in operands], {})


def view_as_real(x: Any, /) -> Any:
    """Real and imaginary parts side by side: [..., n] complex as [..., n, 2] real. DTypeError for real ``x``. PyTorch.

    >>> import autograd_core as ag
    >>> ag.view_as_real(ag.tensor([1 + 2j, 3 + 4j]))
    tensor([[1., 2.],
            [3., 4.]])
    """
    x = as_tensor("view_as_real", x)
    if x.dtype.kind != "c":
        raise DTypeError(f"view_as_real: takes complex numbers, got {x.dtype}{list(x.shape)}, which is real already")
    return stack([real(x), imag(x)], axis=-1)


def view_as_complex(x: Any, /) -> Any:
    """Complex numbers from parts side by side: [..., 2] real as [...] complex, the inverse of ``view_as_real``.

    ShapeError where the last axis is not of length 2, DTypeError for complex ``x``. PyTorch.

    >>> import autograd_core as ag
    >>> ag.view_as_complex(ag.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1.+2.j, 3.+4.j])
    """
    x = as_tensor("view_as_complex", x)
    if not x.shape or x.shape[-1] != 2:
        raise ShapeError(
            f"view_as_complex: the last axis holds real and imaginary parts, so its length is 2; got shape {x.shape}. "
            "Of two tensors write ag.complex(re, im)"
        )
    return complex(x[..., 0], x[..., 1])


def isreal(x: Any, /) -> Any:
    """Element by element whether the imaginary part is 0; true throughout for real dtypes. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.isreal(ag.tensor([1 + 0j, 1j]))
    tensor([ True, False])
    """
    return imag(x) == 0


def iscomplex(x: Any, /) -> Any:
    """Element by element whether the imaginary part is not 0; false throughout for real dtypes. NumPy.

    >>> import autograd_core as ag
    >>> ag.iscomplex(ag.tensor([1 + 0j, 1j]))
    tensor([False,  True])
    """
    return imag(x) != 0
