"""Arithmetic: the four operations, quotients and remainders, signs, powers."""

from __future__ import annotations

import math
from typing import Any

from ..aval import is_inexact
from ..errors import DTypeError
from ..primitive import Elementwise, Value, bind, elementwise, guarded
from ._apply import as_tensor, as_tensors, binary, broadcast, promoted, require_real, unary
from .casting import alias_p
from .complex_numbers import imag, real
from .exponential import xlogy
from .selection import where

__all__ = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "floor_divide",
    "remainder",
    "negative",
    "positive",
    "abs",
    "sign",
    "sgn",
    "copysign",
    "square",
    "reciprocal",
    "pow",
    "float_power",
    "hypot",
]

add_p = elementwise("add", lambda xp, x1, x2: x1 + x2, partials=(1, 1), signals=False)


def add(x1: Any, x2: Any, /) -> Any:
    """Element-wise sum: y = x1 + x2.

    x1, x2: any dtype; shapes broadcast. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.add(ag.tensor([1.0, 2.0]), 3.0)
    tensor([4., 5.])
    """
    return binary(add_p, x1, x2)


subtract_p = elementwise("subtract", lambda xp, x1, x2: x1 - x2, partials=(1, -1), signals=False)


def subtract(x1: Any, x2: Any, /) -> Any:
    """Element-wise difference: y = x1 - x2.

    x1, x2: numeric dtype; shapes broadcast. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.subtract(ag.tensor([1.0, 2.0]), 3.0)
    tensor([-2., -1.])
    """
    return binary(subtract_p, x1, x2)


multiply_p = elementwise("multiply", lambda xp, x1, x2: x1 * x2, partials=(lambda x2: x2, lambda x1: x1), signals=False)


def multiply(x1: Any, x2: Any, /) -> Any:
    """Element-wise product: y = x1 * x2.

    x1, x2: any dtype; shapes broadcast. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.multiply(ag.tensor([1.0, 2.0]), 3.0)
    tensor([3., 6.])
    """
    return binary(multiply_p, x1, x2)


divide_p = elementwise(
    "divide",
    lambda xp, x1, x2: x1 / x2,
    partials=(lambda x2: reciprocal(x2), lambda x2, y: -(y / x2)),
    singular=True,
)
# by a number known not to be 0 there is nothing singular, and nothing to guard
divide_by_number_p: Elementwise = elementwise(
    "divide_by_number",
    lambda xp, x, *, number: x / number,
    partials=(lambda g, number: bind(divide_by_number_p, (g,), {"number": number}),),
    signals=False,
)


def divide(x1: Any, x2: Any, /) -> Any:
    """Element-wise quotient: y = x1 / x2; integers are divided as float32.

    x1, x2: numeric dtype; shapes broadcast; x / 0 is infinite or NaN as in IEEE 754. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.divide(ag.tensor([1.0, 2.0]), 4.0)
    tensor([0.25, 0.5 ])
    """
    if type(x2) in (int, float) and x2 != 0 and isinstance(x1, Value):
        return unary(divide_by_number_p, x1, floating=True, number=x2)
    return binary(divide_p, x1, x2, floating=True)


def _numbers(op: str, x1: Any, x2: Any) -> list[Any]:
    """Both operands in one dtype and shape; booleans count as int64, where NumPy would answer int8."""
    operands = promoted(op, (x1, x2))
    return broadcast(op, [x.astype("int64") for x in operands] if operands[0].dtype.kind == "b" else operands)


floor_divide_p = elementwise("floor_divide", lambda xp, x1, x2: xp.floor_divide(x1, x2), partials=(0, 0))


def floor_divide(x1: Any, x2: Any, /) -> Any:
    """Element-wise quotient rounded down: y = floor(x1 / x2); its derivatives are 0.

    x1, x2: real dtype, kept; shapes broadcast. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.floor_divide(ag.tensor([7, -7]), 2)
    tensor([ 3, -4])
    """
    require_real("floor_divide", x1, x2)
    return bind(floor_divide_p, _numbers("floor_divide", x1, x2), {})


remainder_p = elementwise(
    "remainder",
    lambda xp, x1, x2: xp.remainder(x1, x2),
    partials=(1, lambda x1, x2: -floor_divide(x1, x2)),
    singular=True,
)


def remainder(x1: Any, x2: Any, /) -> Any:
    """Element-wise remainder with the sign of the divisor: y = x1 - x2 floor(x1 / x2), Python's ``%``.

    x1, x2: real dtype, kept; shapes broadcast. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.remainder(ag.tensor([7, -7]), 3)
    tensor([1, 2])
    """
    require_real("remainder", x1, x2)
    return bind(remainder_p, _numbers("remainder", x1, x2), {})


negative_p = elementwise("negative", lambda xp, x: -x, partials=(-1,), signals=False)


def negative(x: Any, /) -> Any:
    """Element-wise negation: y = -x.

    x: numeric dtype. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.negative(ag.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """
    return unary(negative_p, x)


def positive(x: Any, /) -> Any:
    """The elements as they are: y = x. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.positive(ag.tensor([1.0, -2.0]))
    tensor([ 1., -2.])
    """
    return unary(alias_p, x)


sign_p = elementwise("sign", lambda xp, x: xp.sign(x), partials=(0,), signals=False)


def sign(x: Any, /) -> Any:
    """Element-wise sign: -1, 0 or 1 (NaN for NaN); its derivative is 0. Of complex numbers z / |z|, and 0 at 0.

    x: numeric dtype, kept. Of complex numbers the derivative is that of z / |z|, and 0 at 0. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.sign(ag.tensor([-3.0, 0.0, 2.0]))
    tensor([-1.,  0.,  1.])
    """
    x = as_tensor("sign", x)
    if x.dtype.kind == "c":
        size = abs(x)
        return x / where(size == 0, math.inf, size) + 0  # 0 of positive sign, and with slope 0
    return bind(sign_p, (x,), {})


def sgn(x: Any, /) -> Any:
    """``sign`` by PyTorch's name for it where x may be complex.

    >>> import autograd_core as ag
    >>> ag.sgn(ag.tensor([3 + 4j, 0j]))
    tensor([0.6+0.8j, 0. +0.j ])
    """
    return sign(x)


abs_p = elementwise("abs", lambda xp, x: xp.abs(x), partials=(lambda x: sign(x),), signals=False)


def abs(x: Any, /) -> Any:
    """Element-wise absolute value: y = |x|, dy/dx = sign(x), which is 0 at 0. Of complex numbers sqrt(re^2 + im^2).

    x: real dtype, kept; complex64 gives float32, complex128 float64. A cotangent g of |z| gives g z / |z|, and 0 at 0.
    Python array API standard.

    >>> import autograd_core as ag
    >>> ag.abs(ag.tensor([-3.0, 2.0]))
    tensor([3., 2.])
    """
    x = as_tensor("abs", x)
    if x.dtype.kind == "c":
        return hypot(real(x), imag(x))
    return bind(abs_p, (x,), {})


copysign_p = elementwise(
    "copysign",
    lambda xp, x1, x2: xp.copysign(x1, x2),
    partials=(lambda x1, y: sign(x1) * sign(y), 0),
    signals=False,
)


def copysign(x1: Any, x2: Any, /) -> Any:
    """Element-wise magnitude of one operand with the sign of the other: y = |x1| sign(x2), -0.0 counted as negative.

    x1, x2: real dtype, integers as float32; shapes broadcast. dy/dx1 is 0 at x1 = 0. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.copysign(ag.tensor([1.0, -2.0]), -0.0)
    tensor([-1., -2.])
    """
    return binary(copysign_p, x1, x2, floating=True, real=True)


# ------------------------------------------------------------------------------------------- powers

square_p = elementwise("square", lambda xp, x: x * x, partials=(lambda x: x + x,))


def square(x: Any, /) -> Any:
    """Element-wise square: y = x^2.

    x: numeric dtype, kept. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.square(ag.tensor([3.0, -2.0]))
    tensor([9., 4.])
    """
    return unary(square_p, x)


reciprocal_p = elementwise("reciprocal", lambda xp, x: 1.0 / x, partials=(lambda x: -pow(x, -2),), singular=True)


def reciprocal(x: Any, /) -> Any:
    """Element-wise inverse: y = 1 / x, infinite at 0; integers as float32. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.reciprocal(ag.tensor([4.0, -0.5]))
    tensor([ 0.25, -2.  ])
    """
    return unary(reciprocal_p, x, floating=True)


def _number_power(xp: Any, x: Any, exponent: float) -> Any:
    """x ** exponent; the powers that models are full of by multiplication, far cheaper than a call of pow."""
    if exponent == 3:
        return x * x * x
    if exponent == 4:
        squared = x * x
        return squared * squared
    if exponent == -2:
        return 1.0 / (x * x)
    if exponent == 0.5:
        return xp.sqrt(x)
    if exponent == -0.5:
        return 1.0 / xp.sqrt(x)
    if exponent == 1.5:
        return x * xp.sqrt(x)
    if exponent == -1.5:
        return 1.0 / (x * xp.sqrt(x))
    return x**exponent


def _number_power_slope(x: Any, exponent: float) -> Any:
    return exponent * pow(x, exponent - 1) if exponent else x.new_zeros(x.shape)


number_power_p = elementwise(
    "number_power",
    lambda xp, x, *, exponent: _number_power(xp, x, exponent),
    partials=(_number_power_slope,),
    singular=True,
)
# whole exponents, none negative: the slope is finite wherever the power is
whole_power_p = elementwise(
    "whole_power",
    lambda xp, x, *, exponent: _number_power(xp, x, exponent),
    partials=(_number_power_slope,),
)
power_p = elementwise(
    "power",
    lambda xp, x1, x2: x1**x2,
    partials=(
        lambda x1, x2: guarded(x2, pow(x1, x2 - 1)),
        lambda x1, y: xlogy(y, where(x1 == 0, 1, x1)),
    ),
    singular=True,
)


def pow(x1: Any, x2: Any, /) -> Any:
    """Element-wise power: y = x1 ^ x2; 0 ^ 0 = 1, and NaN for negative x1 with fractional x2.

    x1, x2: numeric dtype; shapes broadcast. A Python number as exponent is part of the operation: x ** 2 is a
    multiplication. dy/dx1 = x2 x1^(x2 - 1), which is 0 where x2 is; dy/dx2 = y log(x1), taken as 0 where x1 is 0.
    DTypeError for an integer tensor and a negative whole number. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.pow(ag.tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    """
    if type(x2) in (int, float) and isinstance(x1, Value):
        return _pow_number(x1, x2)
    return bind(power_p, _numbers("pow", x1, x2), {})


def _pow_number(x: Any, exponent: float) -> Any:
    if not is_inexact(x.dtype):
        if type(exponent) is float:
            x = x.astype("float32")
        elif exponent < 0:
            raise DTypeError(
                f"pow: {x.dtype}{list(x.shape)} to the power {exponent} is no integer; "
                f"write x.astype('float32') ** {exponent} or x ** {float(exponent)}"
            )
        elif x.dtype.kind == "b":
            x = x.astype("int64")
    if exponent == 2:
        return square(x)
    if exponent == 1:
        return positive(x)
    if exponent == -1:
        return reciprocal(x)
    primitive = whole_power_p if exponent >= 0 and float(exponent).is_integer() else number_power_p
    return unary(primitive, x, exponent=exponent)


def float_power(x1: Any, x2: Any, /) -> Any:
    """Element-wise power in double precision: ``pow`` of both operands as float64 (complex128 if one is complex).

    x1, x2: numeric dtype; shapes broadcast. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.float_power(ag.tensor([2, 10]), -1)
    tensor([0.5, 0.1], dtype=float64)
    """
    dtype = "complex128" if promoted("float_power", (x1, x2))[0].dtype.kind == "c" else "float64"
    if type(x2) in (int, float) and isinstance(x1, Value):
        return pow(x1.astype(dtype), x2)
    return pow(*[x.astype(dtype) for x in as_tensors("float_power", x1, x2)])


def _direction(x: Any, y: Any) -> Any:
    # at the origin 0, and so are all its derivatives, as those of abs are at 0
    return where(y == 0, 0, x) / where(y == 0, 1, y)


hypot_p = elementwise(
    "hypot",
    lambda xp, x1, x2: xp.hypot(x1, x2),
    partials=(lambda x1, y: _direction(x1, y), lambda x2, y: _direction(x2, y)),
)


def hypot(x1: Any, x2: Any, /) -> Any:
    """Element-wise length of the hypotenuse, without overflow: y = sqrt(x1^2 + x2^2); its gradient at (0, 0) is 0.

    x1, x2: real dtype, integers as float32; shapes broadcast. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.hypot(ag.tensor([3.0]), 4.0)
    tensor([5.])
    """
    return binary(hypot_p, x1, x2, floating=True, real=True)
