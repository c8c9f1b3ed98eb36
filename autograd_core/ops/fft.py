"""Discrete Fourier transforms, as NumPy and the array API standard name them; ``ag.fft`` is their namespace.

Four primitives, each linear: of complex numbers forth and back over any axes, of real numbers forth and back along one.
The adjoint of a transform is the inverse without its factor, so ``norm="backward"`` and ``"forward"`` change places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..aval import Aval, as_dtype, normalize_axis
from ..batching import shift
from ..errors import ArgumentError, DTypeError, ShapeError
from ..primitive import Multilinear, bind, multilinear
from . import creation
from ._apply import as_tensor, to_float
from .complex_numbers import conj, part_dtype, whole_dtype
from .joining import concat
from .shaping import roll

__all__ = [
    "fft",
    "ifft",
    "fftn",
    "ifftn",
    "fft2",
    "ifft2",
    "rfft",
    "irfft",
    "rfftn",
    "irfftn",
    "rfft2",
    "irfft2",
    "hfft",
    "ihfft",
    "fftfreq",
    "rfftfreq",
    "fftshift",
    "ifftshift",
]

# what normalizes the adjoint, or the transform the other way round: 1 instead of 1 / n, and 1 / n instead of 1
ADJOINT = {"backward": "forward", "ortho": "ortho", "forward": "backward"}

# ------------------------------------------------------------------------------------------- primitives

fftn_p: Multilinear = multilinear(
    "fftn",
    lambda xp, x, *, axes, norm: xp.fft.fftn(x, axes=axes, norm=norm),
    transposes=(lambda g, axes, norm: bind(ifftn_p, (g,), {"axes": axes, "norm": ADJOINT[norm]}),),
    shape=lambda x, *, axes, norm: x,
    batch={"axes": shift},
)
ifftn_p: Multilinear = multilinear(
    "ifftn",
    lambda xp, x, *, axes, norm: xp.fft.ifftn(x, axes=axes, norm=norm),
    transposes=(lambda g, axes, norm: bind(fftn_p, (g,), {"axes": axes, "norm": ADJOINT[norm]}),),
    shape=lambda x, *, axes, norm: x,
    batch={"axes": shift},
)


def _with_length(x: Aval, axis: int, n: int) -> tuple[int, ...]:
    return (*x.shape[:axis], n, *x.shape[axis + 1 :])


def _weighted(g: Any, axis: int, n: int, inner: float) -> Any:
    """``g`` with ``inner`` times those entries that stand for two of the ``n`` frequencies: not the ends of the axis.

    The entry 0 is alone; the last one, too, where ``n`` is even.
    """
    weights = np.full((n // 2 + 1, *[1] * (len(g.shape) - axis - 1)), inner, part_dtype(g.dtype))
    weights[0] = 1
    if n % 2 == 0:
        weights[-1] = 1
    return g * creation.asarray(weights, device=g.device)


def _rfft_adjoint(g: Any, avals: Any, axis: int, norm: str) -> Any:
    n = avals[0].shape[axis]
    return bind(irfft_p, (_weighted(g, axis, n, 0.5),), {"axis": axis, "n": n, "norm": ADJOINT[norm]})


rfft_p: Multilinear = multilinear(
    "rfft",
    lambda xp, x, *, axis, norm: xp.fft.rfft(x, axis=axis, norm=norm),
    transposes=(_rfft_adjoint,),
    shape=lambda x, *, axis, norm: Aval(_with_length(x, axis, x.shape[axis] // 2 + 1), whole_dtype(x.dtype)),
    batch={"axis": shift},
)
irfft_p: Multilinear = multilinear(
    "irfft",
    lambda xp, x, *, axis, n, norm: xp.fft.irfft(x, n, axis=axis, norm=norm),
    transposes=(
        lambda g, axis, n, norm: _weighted(bind(rfft_p, (g,), {"axis": axis, "norm": ADJOINT[norm]}), axis, n, 2.0),
    ),
    shape=lambda x, *, axis, n, norm: Aval(_with_length(x, axis, n), part_dtype(x.dtype)),
    batch={"axis": shift},
)


# -------------------------------------------------------------------------------------------- arguments


def _operand(op: str, x: Any, *, to_complex: bool) -> Any:
    """``x`` as floating or complex numbers of at least single precision."""
    x = to_float(as_tensor(op, x))
    if x.dtype.itemsize == 2:
        x = x.astype("float32")
    if to_complex:
        return x if x.dtype.kind == "c" else x.astype(whole_dtype(x.dtype))
    if x.dtype.kind == "c":
        raise DTypeError(
            f"{op}: takes real numbers, got {x.dtype}{list(x.shape)}; write ag.fft.fftn(x) for complex ones, "
            "or ag.real(x)"
        )
    return x


def _norm(op: str, norm: str | None) -> str:
    chosen = "backward" if norm is None else norm
    if chosen not in ADJOINT:
        raise ArgumentError(f"{op}: norm is 'backward', 'ortho' or 'forward', got {norm!r}")
    return chosen


def _lengths_and_axes(op: str, x: Any, s: Any, axes: Any, last: int | None) -> tuple[list[int | None], list[int]]:
    """How long each transformed axis is to be (None: as it is), and which axes these are.

    axes: None for the last len(s) axes, or all (the ``last`` ones) where ``s`` is None too.
    """
    ndim = len(x.shape)
    for name, value in (("s", s), ("axes", axes)):
        if value is not None and not isinstance(value, (tuple, list)):
            raise ArgumentError(f"{op}: {name} must be a tuple of ints or None, got {value!r}")
    if axes is None:
        count = len(s) if s is not None else ndim if last is None else last
        if count > ndim:
            raise ShapeError(f"{op}: {count} axes to transform, but x has shape {x.shape}")
        axes = range(ndim - count, ndim)
    chosen = [normalize_axis(op, a, ndim) for a in axes]
    if len(set(chosen)) != len(chosen):
        raise ShapeError(f"{op}: axes {tuple(axes)} name an axis twice")
    given: Sequence[Any] = [None] * len(chosen) if s is None else s
    lengths = [None if n in (None, -1) else n for n in given]
    if len(lengths) != len(chosen):
        raise ShapeError(f"{op}: s gives {len(lengths)} lengths for {len(chosen)} axes")
    return lengths, chosen


def _resized(op: str, x: Any, axis: int, n: int | None) -> Any:
    """``x`` cut off or filled up with zeros at the end of an axis, so that it has the length ``n``."""
    length = x.shape[axis]
    n = length if n is None else n
    if not hasattr(n, "__index__") or n < 1:
        what = f"axis {axis} of shape {x.shape} has" if n == length else f"n is {n!r}:"
        raise ShapeError(f"{op}: {what} no point to transform; the length must be an int of at least 1")
    if n < length:
        return x[(*[slice(None)] * axis, slice(0, n))]
    if n > length:
        filling = x.new_zeros(()).broadcast_to((*x.shape[:axis], n - length, *x.shape[axis + 1 :]))
        return concat([x, filling], axis=axis)
    return x


def _complex_transform(op: str, primitive: Any, x: Any, s: Any, axes: Any, norm: str | None, last: int | None) -> Any:
    norm = _norm(op, norm)
    x = _operand(op, x, to_complex=True)
    lengths, chosen = _lengths_and_axes(op, x, s, axes, last)
    for axis, n in zip(chosen, lengths, strict=True):
        x = _resized(op, x, axis, n)
    return bind(primitive, (x,), {"axes": tuple(chosen), "norm": norm}) if chosen else x


def _real_transform(op: str, x: Any, s: Any, axes: Any, norm: str | None, last: int | None) -> Any:
    norm = _norm(op, norm)
    x = _operand(op, x, to_complex=False)
    lengths, chosen = _lengths_and_axes(op, x, s, axes, last)
    _require_axis(op, x, chosen)
    for axis, n in zip(chosen, lengths, strict=True):
        x = _resized(op, x, axis, n)
    *others, real_axis = chosen
    y = bind(rfft_p, (x,), {"axis": real_axis, "norm": norm})
    return bind(fftn_p, (y,), {"axes": tuple(others), "norm": norm}) if others else y


def _inverse_real_transform(op: str, x: Any, s: Any, axes: Any, norm: str | None, last: int | None) -> Any:
    norm = _norm(op, norm)
    x = _operand(op, x, to_complex=True)
    lengths, chosen = _lengths_and_axes(op, x, s, axes, last)
    _require_axis(op, x, chosen)
    *others, real_axis = chosen
    n = 2 * (x.shape[real_axis] - 1) if lengths[-1] is None else lengths[-1]
    if not hasattr(n, "__index__") or n < 1:
        raise ShapeError(
            f"{op}: the result would have {n} points along axis {real_axis} of shape {x.shape}; say how many it has: "
            "n (or the last of s) of at least 1"
        )
    lengths[-1] = n // 2 + 1
    for axis, length in zip(chosen, lengths, strict=True):
        x = _resized(op, x, axis, length)
    if others:
        x = bind(ifftn_p, (x,), {"axes": tuple(others), "norm": norm})
    return bind(irfft_p, (x,), {"axis": real_axis, "n": n, "norm": norm})


def _require_axis(op: str, x: Any, axes: Sequence[int]) -> None:
    if not axes:
        raise ShapeError(f"{op}: no axis to transform: x has shape {x.shape}, axes is {tuple(axes)}")


def _one(n: int | None, axis: int) -> tuple[Any, Any]:
    """The arguments of a transform along one axis as those of one along several."""
    return (None if n is None else (n,)), (axis,)


# ------------------------------------------------------------------------------- of complex numbers


def fft(x: Any, /, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Any:
    """Discrete Fourier transform along an axis: y_k = c sum_j x_j exp(-2 pi i j k / n), k = 0 ... n - 1.

    n: by default the length of the axis; x is cut off there, or filled up with zeros. norm: where the factor 1 / n of
    transform and inverse is: c = 1 for "backward", 1 / sqrt(n) for "ortho", 1 / n for "forward".
    complex64 and complex128 are kept, float32 gives complex64, float64 complex128; integers and half precision count as
    float32.
    The vjp is the inverse transform without its factor. ShapeError for an axis without points, ArgumentError for
    another norm. Python array API standard, NumPy.

    >>> import autograd_core as ag
    >>> ag.fft.fft(ag.tensor([1.0, 2.0, 1.0, 2.0]))
    tensor([ 6.+0.j,  0.+0.j, -2.+0.j,  0.+0.j])
    """
    return _complex_transform("fft", fftn_p, x, *_one(n, axis), norm, None)


def ifft(x: Any, /, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Any:
    """Inverse discrete Fourier transform along an axis: x_j = c sum_k y_k exp(2 pi i j k / n).

    c = 1 / n for norm="backward", 1 / sqrt(n) for "ortho", 1 for "forward"; else as ``fft``. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.fft.ifft(ag.tensor([6.0, 0.0, -2.0, 0.0]))
    tensor([1.+0.j, 2.+0.j, 1.+0.j, 2.+0.j])
    """
    return _complex_transform("ifft", ifftn_p, x, *_one(n, axis), norm, None)


def fftn(x: Any, /, s: Any = None, axes: Any = None, norm: str | None = "backward") -> Any:
    """Discrete Fourier transform over several axes: ``fft`` along one after the other.

    s: lengths of these axes (-1: as it is), each cut off or filled up with zeros. axes: by default all, or the last
    len(s). Python array API standard, NumPy.

    >>> import autograd_core as ag
    >>> ag.fft.fftn(ag.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[10.+0.j, -2.+0.j],
            [-4.+0.j,  0.+0.j]])
    """
    return _complex_transform("fftn", fftn_p, x, s, axes, norm, None)


def ifftn(x: Any, /, s: Any = None, axes: Any = None, norm: str | None = "backward") -> Any:
    """Inverse discrete Fourier transform over several axes; arguments as for ``fftn``. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.fft.ifftn(ag.tensor([[10.0, -2.0], [-4.0, 0.0]]))
    tensor([[1.+0.j, 2.+0.j],
            [3.+0.j, 4.+0.j]])
    """
    return _complex_transform("ifftn", ifftn_p, x, s, axes, norm, None)


def fft2(x: Any, /, s: Any = None, axes: Any = (-2, -1), norm: str | None = "backward") -> Any:
    """``fftn`` over two axes, the last by default. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.fft.fft2(ag.ones((3, 2, 2))).shape
    (3, 2, 2)
    """
    return _complex_transform("fft2", fftn_p, x, s, axes, norm, 2)


def ifft2(x: Any, /, s: Any = None, axes: Any = (-2, -1), norm: str | None = "backward") -> Any:
    """``ifftn`` over two axes, the last by default. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.fft.ifft2(ag.ones((3, 2, 2))).shape
    (3, 2, 2)
    """
    return _complex_transform("ifft2", ifftn_p, x, s, axes, norm, 2)


# ---------------------------------------------------------------------------------- of real numbers


def rfft(x: Any, /, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Any:
    """Discrete Fourier transform of real numbers: the first n // 2 + 1 entries of ``fft``, which determine the others.

    Arguments as for ``fft``. DTypeError for complex numbers. Python array API standard, NumPy.

    >>> import autograd_core as ag
    >>> ag.fft.rfft(ag.tensor([1.0, 2.0, 1.0, 2.0]))
    tensor([ 6.+0.j,  0.+0.j, -2.+0.j])
    """
    return _real_transform("rfft", x, *_one(n, axis), norm, None)


def irfft(x: Any, /, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Any:
    """The inverse of ``rfft``: ``n`` real numbers from n // 2 + 1 complex ones.

    n: by default even, 2 (m - 1) for a length of m; an odd n must be said. Imaginary parts that those of a real signal
    do not have (of entry 0, and of the last for even n) are ignored, with gradient 0. Python array API standard, NumPy.

    >>> import autograd_core as ag
    >>> ag.fft.irfft(ag.tensor([6.0, 0.0, -2.0]))
    tensor([1., 2., 1., 2.])
    """
    return _inverse_real_transform("irfft", x, *_one(n, axis), norm, None)


def rfftn(x: Any, /, s: Any = None, axes: Any = None, norm: str | None = "backward") -> Any:
    """Transform of real numbers over several axes: ``rfft`` along the last of ``axes``, ``fft`` along the others.

    Arguments as for ``fftn``. DTypeError for complex numbers. Python array API standard, NumPy.

    >>> import autograd_core as ag
    >>> ag.fft.rfftn(ag.ones((4, 4))).shape
    (4, 3)
    """
    return _real_transform("rfftn", x, s, axes, norm, None)


def irfftn(x: Any, /, s: Any = None, axes: Any = None, norm: str | None = "backward") -> Any:
    """The inverse of ``rfftn``: ``ifft`` along all of ``axes`` but the last, then ``irfft`` along that.

    s: lengths of the result; by default the last is even, as for ``irfft``. Python array API standard, NumPy.

    >>> import autograd_core as ag
    >>> ag.fft.irfftn(ag.ones((4, 3))).shape
    (4, 4)
    """
    return _inverse_real_transform("irfftn", x, s, axes, norm, None)


def rfft2(x: Any, /, s: Any = None, axes: Any = (-2, -1), norm: str | None = "backward") -> Any:
    """``rfftn`` over two axes, the last by default. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.fft.rfft2(ag.ones((3, 4, 4))).shape
    (3, 4, 3)
    """
    return _real_transform("rfft2", x, s, axes, norm, 2)


def irfft2(x: Any, /, s: Any = None, axes: Any = (-2, -1), norm: str | None = "backward") -> Any:
    """``irfftn`` over two axes, the last by default. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.fft.irfft2(ag.ones((3, 4, 3))).shape
    (3, 4, 4)
    """
    return _inverse_real_transform("irfft2", x, s, axes, norm, 2)


def hfft(x: Any, /, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Any:
    """Transform of a signal with x_-j = conj(x_j), given by its first n // 2 + 1 entries: ``n`` real numbers.

    n: by default even, 2 (m - 1) for a length of m. hfft(x) = irfft(conj(x)) with the factor of ``fft``.
    Python array API standard, NumPy.

    >>> import autograd_core as ag
    >>> ag.fft.hfft(ag.tensor([1.0, 2.0, 3.0]))
    tensor([ 8., -2.,  0., -2.])
    """
    return _inverse_real_transform("hfft", conj(x), *_one(n, axis), ADJOINT[_norm("hfft", norm)], None)


def ihfft(x: Any, /, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Any:
    """The inverse of ``hfft``: from ``n`` real numbers the first n // 2 + 1 entries.

    ihfft(x) = conj(rfft(x)) with the factor of ``ifft``. DTypeError for complex numbers. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.fft.ihfft(ag.tensor([4.0, 0.0, 0.0, 0.0]))
    tensor([1.-0.j, 1.-0.j, 1.-0.j])
    """
    return conj(_real_transform("ihfft", x, *_one(n, axis), ADJOINT[_norm("ihfft", norm)], None))


# ------------------------------------------------------------------------------- frequencies and their order


def _frequencies(op: str, indices: Any, n: int, d: float, dtype: Any, device: Any) -> Any:
    dtype = as_dtype("float32" if dtype is None else dtype)
    if dtype.kind != "f":
        raise DTypeError(f"{op}: frequencies are floating, got dtype {dtype}")
    return creation.asarray((indices / (n * d)).astype(dtype), device=device)


def _points(op: str, n: Any) -> int:
    if not hasattr(n, "__index__") or n < 1:
        raise ArgumentError(f"{op}: n, the number of points, must be an int of at least 1, got {n!r}")
    return n.__index__()


def fftfreq(n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies that the entries of ``fft`` stand for: [0, 1, ..., -2, -1] / (n d), n // 2 of them negative.

    n: points; d: time between two of them; dtype: float32 by default. Python array API standard, NumPy.

    >>> import autograd_core as ag
    >>> ag.fft.fftfreq(4)
    tensor([ 0.  ,  0.25, -0.5 , -0.25])
    """
    n = _points("fftfreq", n)
    indices = np.arange(n)
    return _frequencies("fftfreq", np.where(indices < (n + 1) // 2, indices, indices - n), n, d, dtype, device)


def rfftfreq(n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies that the entries of ``rfft`` stand for: [0, 1, ..., n // 2] / (n d).

    Arguments as for ``fftfreq``. Python array API standard, NumPy.

    >>> import autograd_core as ag
    >>> ag.fft.rfftfreq(4)
    tensor([0.  , 0.25, 0.5 ])
    """
    n = _points("rfftfreq", n)
    return _frequencies("rfftfreq", np.arange(n // 2 + 1), n, d, dtype, device)


def _rolled(op: str, x: Any, axes: Any, direction: int) -> Any:
    x = as_tensor(op, x)
    ndim = len(x.shape)
    given = range(ndim) if axes is None else axes if isinstance(axes, (tuple, list)) else (axes,)
    chosen = tuple(normalize_axis(op, a, ndim) for a in given)
    shifts = tuple(x.shape[a] // 2 if direction > 0 else -(x.shape[a] // 2) for a in chosen)
    return roll(x, shifts, axis=chosen) if chosen else x


def fftshift(x: Any, /, axes: Any = None) -> Any:
    """Frequency 0 from the front to the middle of ``axes`` (None: all): a roll by n // 2. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.fft.fftshift(ag.fft.fftfreq(4))
    tensor([-0.5 , -0.25,  0.  ,  0.25])
    """
    return _rolled("fftshift", x, axes, 1)


def ifftshift(x: Any, /, axes: Any = None) -> Any:
    """The inverse of ``fftshift``: a roll by -(n // 2). Python array API standard, NumPy.

    >>> import autograd_core as ag
    >>> ag.fft.ifftshift(ag.tensor([-0.5, -0.25, 0.0, 0.25]))
    tensor([ 0.  ,  0.25, -0.5 , -0.25])
    """
    return _rolled("ifftshift", x, axes, -1)
