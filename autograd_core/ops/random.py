"""Random tensors: functions of a generator's seed, its call number and the element's place.

Each call takes one call number, after its arguments have proved good. The key (seed, call) is an operand; shapes are
parameters. Draws have no derivative; what is made of them has: ``mean + std * normal(shape)``.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from .. import context
from ..aval import BOOL, DEFAULT_FLOAT, DEFAULT_INT, Aval, as_dtype, as_shape, broadcast_shapes
from ..backend import Device, get_device
from ..errors import ArgumentError, DeviceError, DTypeError, ShapeError
from ..primitive import Primitive, Value, bind, general
from . import philox
from ._apply import examine
from ._generator import Generator, default_generator, fork, seed
from .rounding import round as to_nearest
from .selection import minimum
from .shaping import broadcast_to
from .sorting import argsort

__all__ = [
    "Generator",
    "default_generator",
    "seed",
    "fork",
    "uniform",
    "normal",
    "bernoulli",
    "integers",
    "permutation",
]

Shape = tuple[int, ...]

_UNIFORM: dict[np.dtype, Any] = {
    np.dtype(np.float32): philox.uniform_float32,
    np.dtype(np.float64): philox.uniform_float64,
}
_NORMAL: dict[np.dtype, Any] = {
    np.dtype(np.float32): philox.normal_float32,
    np.dtype(np.float64): philox.normal_float64,
}
_LARGEST = {dtype: float(np.finfo(dtype).max) for dtype in _UNIFORM}
_DOUBLE = np.dtype(np.float64)

# With a key for every example, these are equal, and the first draws for all: row i of one draw is what example i gets.


def _uniform_batch(xs: Any, batched: Any, size: int, *, shape: Shape, dtype: Any) -> Any:
    return bind(random_uniform_p, (xs[0][0],), {"shape": (size, *shape), "dtype": dtype})


random_uniform_p = general(
    "random_uniform",
    lambda xp, key, *, shape, dtype: _UNIFORM[dtype](xp, key[0], key[1], prod(shape)).reshape(shape),
    lambda key, *, shape, dtype: Aval(shape, dtype),
    signals=False,
    batch=_uniform_batch,
)


def uniform(
    shape: Any = (),
    low: float = 0.0,
    high: float = 1.0,
    *,
    dtype: Any = DEFAULT_FLOAT,
    device: Any = None,
    generator: Generator | None = None,
) -> Any:
    """Independent numbers, uniform over low <= y < high, both rounded to ``dtype``.

        y = low + (high - low) u,  u uniform over the multiples of 2**-24 (float32) or 2**-53 (float64) in [0, 1)

    shape: any. dtype: float32 or float64; DTypeError for others. low, high: finite, low < high; ArgumentError
    otherwise. generator: by default that of the context.

    >>> import autograd_core as ag
    >>> ag.random.uniform((2,), generator=ag.random.Generator(0))
    tensor([0.39904642, 0.88052016])
    """
    op = "random.uniform"
    dtype, shape = _float_dtype(op, dtype), as_shape(op, shape)
    low, high = _number(op, "low", low, dtype), _number(op, "high", high, dtype)
    width = high - low
    if not (low < high and width <= _LARGEST[dtype]):
        raise ArgumentError(f"{op}: needs low < high, and high - low finite, as {dtype}; got low={low}, high={high}")
    y = bind(random_uniform_p, (_key(op, generator, device),), {"shape": shape, "dtype": dtype})
    if low == 0 and high == 1:
        return y
    # the sum may round up to high, which must not come up
    return minimum(y * width + low, float(np.nextafter(dtype.type(high), dtype.type(low))))


def _normal_batch(xs: Any, batched: Any, size: int, *, shape: Shape, dtype: Any) -> Any:
    return bind(random_normal_p, (xs[0][0],), {"shape": (size, *shape), "dtype": dtype})


random_normal_p = general(
    "random_normal",
    lambda xp, key, *, shape, dtype: _NORMAL[dtype](xp, key[0], key[1], prod(shape)).reshape(shape),
    lambda key, *, shape, dtype: Aval(shape, dtype),
    signals=False,
    batch=_normal_batch,
)


def normal(
    shape: Any = (),
    mean: float = 0.0,
    std: float = 1.0,
    *,
    dtype: Any = DEFAULT_FLOAT,
    device: Any = None,
    generator: Generator | None = None,
) -> Any:
    """Independent normal numbers of the given mean and standard deviation: y = mean + std z.

    shape: any. dtype: float32 (|z| up to 6.76) or float64 (up to 9.49); DTypeError for others. mean, std: finite,
    std >= 0; ArgumentError otherwise. generator: by default that of the context. Box and Muller 1958.

    >>> import autograd_core as ag
    >>> ag.random.normal((2,), generator=ag.random.Generator(0))
    tensor([-0.9246626 , -0.99113756])
    """
    op = "random.normal"
    dtype, shape = _float_dtype(op, dtype), as_shape(op, shape)
    mean, std = _number(op, "mean", mean, dtype), _number(op, "std", std, dtype)
    if std < 0:
        raise ArgumentError(f"{op}: std must not be negative, got {std}")
    z = bind(random_normal_p, (_key(op, generator, device),), {"shape": shape, "dtype": dtype})
    if std != 1:
        z = z * std
    return z + mean if mean else z


def _bernoulli(xp: Any, key: Any, p: Any, *, shape: tuple[int, ...]) -> Any:
    return philox.bernoulli(xp, key[0], key[1], prod(shape), p.reshape(-1) if p.ndim else p).reshape(shape)


def _bernoulli_batch(xs: Any, batched: Any, size: int, *, shape: Shape) -> Any:
    key, p = xs
    if batched[0]:
        p = p if batched[1] or not p.shape else p.broadcast_to((size, *p.shape))
        p = p if p.shape[1:] == shape or not p.shape else p.reshape((size, *(1,) * len(shape)))
        p = p.broadcast_to((size, *shape)) if p.shape else p
        return bind(random_bernoulli_p, (key[0], p), {"shape": (size, *shape)})
    # one key: the words of one example meet the probabilities of each
    words = bind(random_bits_p, (key,), {"shape": shape}).astype(np.uint64)
    thresholds = to_nearest(p.astype(np.float64) * 2.0**32).astype(np.uint64)
    return words < (thresholds if len(p.shape) > 1 else thresholds.reshape((size, *(1,) * len(shape))))


random_bits_p: Primitive = general(
    "random_bits",
    lambda xp, key, *, shape: philox.random_bits(xp, key[0], key[1], prod(shape)).reshape(shape),
    lambda key, *, shape: Aval(shape, np.dtype(np.uint32)),
    signals=False,
    batch=lambda xs, batched, size, *, shape: bind(random_bits_p, (xs[0][0],), {"shape": (size, *shape)}),
)
random_bernoulli_p = general(
    "random_bernoulli",
    _bernoulli,
    lambda key, p, *, shape: Aval(shape, BOOL),
    signals=False,
    batch=_bernoulli_batch,
)


def bernoulli(p: Any, shape: Any = None, *, device: Any = None, generator: Generator | None = None) -> Any:
    """Independent booleans, True with probability p (to within 2**-33; 0 and 1 exactly).

    p: a number, or a floating tensor or array of probabilities, which broadcasts to ``shape``; a tensor's values are
    checked, which waits for its device. ArgumentError unless 0 <= p <= 1. shape: by default that of p. No gradient
    reaches p. generator: by default that of the context.

    >>> import autograd_core as ag
    >>> ag.random.bernoulli(0.5, (4,), generator=ag.random.Generator(0))
    tensor([ True, False, False, False])
    """
    op = "random.bernoulli"
    known = isinstance(p, (bool, int, float, np.generic))
    if isinstance(p, Value):
        device = _device_of(op, p, device)
    else:
        device = get_device(device)
        if known:  # looked at here: the host need not wait for its device to see it again
            p = np.float64(_number(op, "p", p, _DOUBLE))
            _check_probabilities(op, p)
        p = context.current().interpreter.base.constant(p, dtype=None, device=device, op=op)
    if p.dtype.kind == "c":
        raise DTypeError(f"{op}: probabilities are real numbers, got p of dtype {p.dtype}")
    shape = p.shape if shape is None else as_shape(op, shape)
    if not known:
        examine(p, lambda values: _check_probabilities(op, values))
    if p.shape and broadcast_shapes(op, p.shape, shape) != shape:
        raise ShapeError(f"{op}: p of shape {p.shape} does not broadcast to {shape}: only lengths of 1 stretch")
    p = broadcast_to(p, shape) if p.shape else p
    return bind(random_bernoulli_p, (_key(op, generator, device), p), {"shape": shape})


def _integers(xp: Any, key: Any, *, shape: tuple[int, ...], low: int, high: int) -> Any:
    return philox.integers(xp, key[0], key[1], prod(shape), low, high).reshape(shape)


def _integers_batch(xs: Any, batched: Any, size: int, *, shape: Shape, low: int, high: int) -> Any:
    return bind(random_integers_p, (xs[0][0],), {"shape": (size, *shape), "low": low, "high": high})


random_integers_p = general(
    "random_integers",
    _integers,
    lambda key, *, shape, low, high: Aval(shape, DEFAULT_INT),
    signals=False,
    batch=_integers_batch,
)


def integers(
    low: int,
    high: int,
    shape: Any = (),
    *,
    dtype: Any = DEFAULT_INT,
    device: Any = None,
    generator: Generator | None = None,
) -> Any:
    """Independent integers, uniform over low <= y < high: y = low + floor(word (high - low) / 2**bits).

    A value's probability is within 2**-32 (up to 65536 values) or 2**-64 (more) of 1 / (high - low); Lemire 2019,
    without its rejection. shape: any. dtype: an integer dtype that holds low and high - 1; DTypeError for others.
    ArgumentError unless -2**63 <= low < high <= 2**63. generator: by default that of the context.

    >>> import autograd_core as ag
    >>> ag.random.integers(1, 7, (6,), generator=ag.random.Generator(0))
    tensor([3, 6, 5, 4, 6, 3])
    """
    op = "random.integers"
    dtype, shape = as_dtype(dtype), as_shape(op, shape)
    if dtype.kind not in "iu":
        raise DTypeError(f"{op}: needs an integer dtype, got {dtype}; write ag.random.uniform(...) for floats")
    low, high = _integer(op, "low", low), _integer(op, "high", high)
    limits = np.iinfo(dtype)
    least, greatest = max(limits.min, -(2**63)), min(limits.max, 2**63 - 1)
    if not least <= low < high <= greatest + 1:
        raise ArgumentError(f"{op}: needs {least} <= low < high <= {greatest + 1}; got low={low}, high={high}")
    y = bind(random_integers_p, (_key(op, generator, device),), {"shape": shape, "low": low, "high": high})
    return y.astype(dtype)


def _permutation_batch(xs: Any, batched: Any, size: int, *, n: int) -> Any:
    """An order for every row: that of 53 random bits an element."""
    marks = bind(random_uniform_p, (xs[0][0],), {"shape": (size, n), "dtype": _DOUBLE})
    return argsort(marks, axis=1)


random_permutation_p = general(
    "random_permutation",
    lambda xp, key, *, n: philox.permutation(xp, key[0], key[1], n),
    lambda key, *, n: Aval((n,), DEFAULT_INT),
    signals=False,
    batch=_permutation_batch,
)


def permutation(n: int, *, device: Any = None, generator: Generator | None = None) -> Any:
    """0 ... n - 1 in random order, int64, shape (n,); all orders are equally likely.

    n: a non-negative int; ArgumentError otherwise. To shuffle: ``x[ag.random.permutation(len(x))]``.
    generator: by default that of the context.

    >>> import autograd_core as ag
    >>> ag.random.permutation(6, generator=ag.random.Generator(0))
    tensor([3, 5, 4, 2, 1, 0])
    """
    op = "random.permutation"
    if isinstance(n, Value) and n.shape:
        raise ArgumentError(f"{op}: n is an int; to shuffle a tensor write x[ag.random.permutation(len(x))]")
    n = _integer(op, "n", n)
    if n < 0:
        raise ArgumentError(f"{op}: n must not be negative, got {n}")
    return bind(random_permutation_p, (_key(op, generator, device),), {"n": n})


# ------------------------------------------------------------------------------------------- arguments


def _key(op: str, generator: Generator | None, device: str | Device | None) -> Any:
    """Take a call of the generator. The last thing before the draw: a refused call leaves the stream as it was."""
    device = get_device(device)
    if generator is None:
        generator = default_generator()
    elif not isinstance(generator, Generator):
        raise ArgumentError(f"{op}: generator must be an ag.random.Generator, got {type(generator).__name__}")
    return generator.take(device)


def _float_dtype(op: str, dtype: Any) -> np.dtype:
    dtype = as_dtype(dtype)
    if dtype not in _UNIFORM:
        raise DTypeError(f"{op}: draws float32 or float64, not {dtype}; write .astype({str(dtype)!r}) after it")
    return dtype


def _number(op: str, name: str, value: Any, dtype: np.dtype) -> float:
    """A finite real number, rounded to ``dtype``."""
    if isinstance(value, Value) and value.shape:
        raise ArgumentError(
            f"{op}: {name} must be a number, got a tensor of shape {value.shape}; "
            "scale a standard draw instead, such as low + (high - low) * u or mean + std * z"
        )
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ArgumentError(f"{op}: {name} must be a number, got {value!r}") from None
    if not abs(number) <= _LARGEST[dtype]:
        raise ArgumentError(f"{op}: {name} must be finite as {dtype}, got {value!r}")
    return float(dtype.type(number))


def _integer(op: str, name: str, value: Any) -> int:
    try:
        return int(value.__index__())
    except (AttributeError, TypeError):
        raise ArgumentError(f"{op}: {name} must be an int, got {value!r}") from None


def _device_of(op: str, p: Any, device: str | Device | None) -> Device:
    if device is not None and get_device(device) is not p.device:
        raise DeviceError(f"{op}: p lies on {p.device}, but device={str(device)!r}; write p.to({str(device)!r})")
    return p.device


def _check_probabilities(op: str, values: Any) -> None:
    wrong = ~((values >= 0) & (values <= 1))  # so that NaN is wrong too
    if wrong.any():
        where = np.unravel_index(int(wrong.argmax()), values.shape)
        place = f" (at index {tuple(map(int, where))})" if where else ""
        raise ArgumentError(f"{op}: p must lie between 0 and 1, got {values[where]}{place}")
