"""Changing a tensor's dtype, device or history, not its values."""

from __future__ import annotations

from typing import Any

from ..aval import Aval, as_dtype, is_inexact
from ..errors import DTypeError
from ..primitive import bind, elementwise, general, multilinear
from ._apply import as_tensor

__all__ = ["astype", "detach"]

astype_p = multilinear(
    "astype",
    lambda xp, x, *, dtype: x.astype(dtype),
    # what became complex came from a real number: its cotangent is the real part
    transposes=(lambda g, avals: (g if avals[0].dtype.kind == "c" else g.real).astype(avals[0].dtype),),
    shape=lambda x, *, dtype: Aval(x.shape, dtype),
    batch={},
)
# from or to integers a cast has no slope: a primitive of its own, without derivative
truncating_cast_p = elementwise(
    "truncating_cast", lambda xp, x, *, dtype: x.astype(dtype), None, result=lambda x, *, dtype: dtype
)


def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """``x`` converted to ``dtype``; the gradient comes back in the dtype of ``x``.

    x: any shape. Casting a float to an integer or boolean truncates and stops gradients. copy: whether a new tensor is
    made where the dtype stays; it has the same memory, as values never change there. From real to complex the gradient
    is the real part of the cotangent; DTypeError from complex to real, where it is not said which part is meant.
    Python array API standard.

    >>> import autograd_core as ag
    >>> ag.astype(ag.tensor([1.7, -1.7]), ag.int64)
    tensor([ 1, -1])
    """
    x = as_tensor("astype", x)
    dtype = as_dtype(dtype)
    if x.dtype.kind == "c" and dtype.kind not in "cb":
        raise DTypeError(
            f"astype: {x.dtype} to {dtype} would lose the imaginary part; write x.real.astype('{dtype}'), "
            "or ag.abs(x) for the modulus"
        )
    if dtype != x.dtype:
        primitive = astype_p if is_inexact(dtype) and is_inexact(x.dtype) else truncating_cast_p
        x = bind(primitive, (x,), {"dtype": dtype})
    elif copy:
        x = bind(alias_p, (x,), {})
    return x if device is None else x.to(device)


detach_p = elementwise("detach", lambda xp, x: x, None)


def detach(x: Any, /) -> Any:
    """The value of ``x`` as a constant: no derivative, of either mode, flows through.

    >>> import autograd_core as ag
    >>> x = ag.tensor([2.0], requires_grad=True)
    >>> (x * ag.detach(x)).requires_grad, ag.detach(x).requires_grad
    (True, False)
    """
    return bind(detach_p, (as_tensor("detach", x),), {})


alias_p = elementwise("alias", lambda xp, x: x, partials=(1,), signals=False)


transfer_p = general(
    "transfer",
    lambda xp, x, *, source, target: target.asarray(source.backend.to_numpy(x)),
    lambda x, *, source, target: x,
    vjp=(lambda g, source, target: transfer(g, source),),
    device_param="target",
    batch={},
)


def transfer(x: Any, device: Any) -> Any:
    """``x`` copied to ``device`` (a Device); the gradient travels back."""
    if x.device is device:
        return x
    return bind(transfer_p, (x,), {"source": x.device, "target": device})
