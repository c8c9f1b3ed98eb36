"""Comparisons and logic: boolean results, no derivatives; and the bits of integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..aval import BOOL
from ..errors import DTypeError
from ..primitive import Elementwise, Value, bind, elementwise
from ._apply import SCALARS, binary, broadcast, promoted, unary

__all__ = [
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "logical_and",
    "logical_or",
    "logical_xor",
    "logical_not",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_right_shift",
    "invert",
]


def _is_array_like(x: Any) -> bool:
    return isinstance(x, (Value, np.ndarray, np.generic, list, tuple, *SCALARS)) or hasattr(x, "__array__")


equal_p = elementwise("equal", lambda xp, x1, x2: x1 == x2, None, result=BOOL, signals=False)


def equal(x1: Any, x2: Any, /) -> Any:
    """Element-wise test of equality: y = (x1 == x2), boolean; NaN equals nothing.

    x1, x2: any dtype; shapes broadcast. What cannot be an array (None, a string) equals no tensor: the result is then
    the Python value False, so that ``x == None`` asks a harmless question. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.equal(ag.tensor([1.0, 2.0]), 2.0), ag.tensor(1.0) == None
    (tensor([False,  True]), False)
    """
    return binary(equal_p, x1, x2) if _is_array_like(x1) and _is_array_like(x2) else False


not_equal_p = elementwise("not_equal", lambda xp, x1, x2: x1 != x2, None, result=BOOL, signals=False)


def not_equal(x1: Any, x2: Any, /) -> Any:
    """Element-wise test of inequality: y = (x1 != x2), boolean; NaN differs from everything.

    x1, x2: any dtype; shapes broadcast. What cannot be an array differs from every tensor: the result is then the
    Python value True. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.not_equal(ag.tensor([1.0, 2.0]), 2.0)
    tensor([ True, False])
    """
    return binary(not_equal_p, x1, x2) if _is_array_like(x1) and _is_array_like(x2) else True


less_p = elementwise("less", lambda xp, x1, x2: x1 < x2, None, result=BOOL, signals=False)


def less(x1: Any, x2: Any, /) -> Any:
    """Element-wise x1 < x2, boolean. x1, x2: real dtype; shapes broadcast. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.less(ag.tensor([1.0, 2.0]), 2.0)
    tensor([ True, False])
    """
    return binary(less_p, x1, x2, real=True)


less_equal_p = elementwise("less_equal", lambda xp, x1, x2: x1 <= x2, None, result=BOOL, signals=False)


def less_equal(x1: Any, x2: Any, /) -> Any:
    """Element-wise x1 <= x2, boolean. x1, x2: real dtype; shapes broadcast. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.less_equal(ag.tensor([1.0, 2.0, 3.0]), 2.0)
    tensor([ True,  True, False])
    """
    return binary(less_equal_p, x1, x2, real=True)


greater_p = elementwise("greater", lambda xp, x1, x2: x1 > x2, None, result=BOOL, signals=False)


def greater(x1: Any, x2: Any, /) -> Any:
    """Element-wise x1 > x2, boolean. x1, x2: real dtype; shapes broadcast. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.greater(ag.tensor([1.0, 2.0]), 1.0)
    tensor([False,  True])
    """
    return binary(greater_p, x1, x2, real=True)


greater_equal_p = elementwise("greater_equal", lambda xp, x1, x2: x1 >= x2, None, result=BOOL, signals=False)


def greater_equal(x1: Any, x2: Any, /) -> Any:
    """Element-wise x1 >= x2, boolean. x1, x2: real dtype; shapes broadcast. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.greater_equal(ag.tensor([0.0, 1.0]), 1.0)
    tensor([False,  True])
    """
    return binary(greater_equal_p, x1, x2, real=True)


# ------------------------------------------------------------------------------------------- logic

logical_and_p = elementwise("logical_and", lambda xp, x1, x2: xp.logical_and(x1, x2), None, result=BOOL, signals=False)


def logical_and(x1: Any, x2: Any, /) -> Any:
    """Element-wise x1 and x2, boolean; any number but 0 counts as true.

    x1, x2: any dtype; shapes broadcast. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.logical_and(ag.tensor([True, True]), ag.tensor([True, False]))
    tensor([ True, False])
    """
    return binary(logical_and_p, x1, x2)


logical_or_p = elementwise("logical_or", lambda xp, x1, x2: xp.logical_or(x1, x2), None, result=BOOL, signals=False)


def logical_or(x1: Any, x2: Any, /) -> Any:
    """Element-wise x1 or x2, boolean; any number but 0 counts as true.

    x1, x2: any dtype; shapes broadcast. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.logical_or(ag.tensor([True, False]), ag.tensor([False, False]))
    tensor([ True, False])
    """
    return binary(logical_or_p, x1, x2)


logical_xor_p = elementwise("logical_xor", lambda xp, x1, x2: xp.logical_xor(x1, x2), None, result=BOOL, signals=False)


def logical_xor(x1: Any, x2: Any, /) -> Any:
    """Element-wise exclusive or: true where exactly one operand is; any number but 0 counts as true.

    x1, x2: any dtype; shapes broadcast. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.logical_xor(ag.tensor([True, False]), True)
    tensor([False,  True])
    """
    return binary(logical_xor_p, x1, x2)


logical_not_p = elementwise("logical_not", lambda xp, x: xp.logical_not(x), None, result=BOOL, signals=False)


def logical_not(x: Any, /) -> Any:
    """Element-wise negation, boolean: true where ``x`` is 0 or False. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.logical_not(ag.tensor([True, False]))
    tensor([False,  True])
    """
    return unary(logical_not_p, x)


# ------------------------------------------------------------------------------------------- bits


def _of_bits(primitive: Elementwise, *operands: Any, booleans: bool = True) -> Any:
    tensors = promoted(primitive.name, operands)
    kinds = "biu" if booleans else "iu"
    if tensors[0].dtype.kind not in kinds:
        given = " and ".join(f"{x.dtype}{list(x.shape)}" for x in tensors)
        instead = "compare first, (x > 0) & (y > 0)" if booleans else "cast with x.astype('int64')"
        wanted = "booleans or integers" if booleans else "integers"
        raise DTypeError(f"{primitive.name}: needs {wanted}, got {given}; {instead}")
    return bind(primitive, broadcast(primitive.name, tensors), {})


bitwise_and_p = elementwise("bitwise_and", lambda xp, x1, x2: x1 & x2, None, signals=False)


def bitwise_and(x1: Any, x2: Any, /) -> Any:
    """Element-wise x1 & x2: logical for booleans, by bit for integers.

    x1, x2: boolean or integer; shapes broadcast. DTypeError for floats. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.bitwise_and(ag.tensor([6, 5]), 3)
    tensor([2, 1])
    """
    return _of_bits(bitwise_and_p, x1, x2)


bitwise_or_p = elementwise("bitwise_or", lambda xp, x1, x2: x1 | x2, None, signals=False)


def bitwise_or(x1: Any, x2: Any, /) -> Any:
    """Element-wise x1 | x2: logical for booleans, by bit for integers.

    x1, x2: boolean or integer; shapes broadcast. DTypeError for floats. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.bitwise_or(ag.tensor([4, 5]), 3)
    tensor([7, 7])
    """
    return _of_bits(bitwise_or_p, x1, x2)


bitwise_xor_p = elementwise("bitwise_xor", lambda xp, x1, x2: x1 ^ x2, None, signals=False)


def bitwise_xor(x1: Any, x2: Any, /) -> Any:
    """Element-wise x1 ^ x2 (exclusive or): logical for booleans, by bit for integers.

    x1, x2: boolean or integer; shapes broadcast. DTypeError for floats. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.bitwise_xor(ag.tensor([4, 5]), 3)
    tensor([7, 6])
    """
    return _of_bits(bitwise_xor_p, x1, x2)


bitwise_invert_p = elementwise("bitwise_invert", lambda xp, x: ~x, None, signals=False)


def bitwise_invert(x: Any, /) -> Any:
    """Element-wise ~x: logical for booleans, by bit for integers. ``invert`` is its name in NumPy.

    x: boolean or integer. DTypeError for floats. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.bitwise_invert(ag.tensor([True, False])), ag.invert(ag.tensor([0, 5]))
    (tensor([False,  True]), tensor([-1, -6]))
    """
    return _of_bits(bitwise_invert_p, x)


invert = bitwise_invert

bitwise_left_shift_p = elementwise("bitwise_left_shift", lambda xp, x1, x2: x1 << x2, None, signals=False)


def bitwise_left_shift(x1: Any, x2: Any, /) -> Any:
    """Element-wise x1 << x2: the bits of ``x1`` moved up by ``x2`` places.

    x1, x2: integer, x2 >= 0; shapes broadcast. DTypeError for other dtypes. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.bitwise_left_shift(ag.tensor([1, 3]), 2)
    tensor([ 4, 12])
    """
    return _of_bits(bitwise_left_shift_p, x1, x2, booleans=False)


bitwise_right_shift_p = elementwise("bitwise_right_shift", lambda xp, x1, x2: x1 >> x2, None, signals=False)


def bitwise_right_shift(x1: Any, x2: Any, /) -> Any:
    """Element-wise x1 >> x2: the bits of ``x1`` moved down by ``x2`` places, the sign kept.

    x1, x2: integer, x2 >= 0; shapes broadcast. DTypeError for other dtypes. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.bitwise_right_shift(ag.tensor([4, -4]), 1)
    tensor([ 2, -2])
    """
    return _of_bits(bitwise_right_shift_p, x1, x2, booleans=False)
