"""Initial values: functions that fill a parameter or buffer in place and return it.

Random ones draw from ``ag.random``, so that one seed gives the same bits on every device. Names, arguments and
defaults as in PyTorch; ``generator``: by default that of the context.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autograd_core.aval import is_inexact
from autograd_core.errors import ArgumentError, DTypeError, ShapeError
from autograd_core.ops import creation, random
from autograd_core.ops.exponential import erf, exp, log
from autograd_core.ops.selection import clip, where
from autograd_core.ops.sorting import argsort
from autograd_core.tensor import Tensor, Variable

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


def _fill(op: str, tensor: Variable, value: Tensor) -> Variable:
    if not isinstance(tensor, Variable):
        raise ArgumentError(
            f"init.{op}: fills an nn.Parameter or nn.Buffer; a {type(tensor).__name__} is immutable: "
            "make a new one with ag.random or ag.full"
        )
    tensor.assign_(value.detach().astype(tensor.dtype))
    return tensor


def _check_real(tensor: Tensor) -> None:
    if not is_inexact(tensor.dtype) or tensor.dtype.kind == "c":
        raise DTypeError(f"init: random values are real and floating, the tensor to fill has dtype {tensor.dtype}")


def _draw(draw: Any, tensor: Variable, low: float, high: float, generator: Any) -> Tensor:
    """Numbers of the tensor's shape, drawn in float64 for float64 and in float32 for anything else."""
    _check_real(tensor)
    dtype = "float64" if tensor.dtype == np.float64 else "float32"
    return draw(tensor.shape, low, high, dtype=dtype, device=tensor.device, generator=generator)


def uniform_(tensor: Variable, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Variable:
    """Independent values, uniform over [a, b).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> w = nn.init.uniform_(nn.Parameter(ag.zeros((3, 5))), -0.1, 0.1)
    >>> bool((w.abs() <= 0.1).all())
    True
    """
    return _fill("uniform_", tensor, _draw(random.uniform, tensor, a, b, generator))


def normal_(tensor: Variable, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Variable:
    """Independent normal values of the given mean and standard deviation."""
    return _fill("normal_", tensor, _draw(random.normal, tensor, mean, std, generator))


def trunc_normal_(
    tensor: Variable, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None
) -> Variable:
    """Independent values of the normal distribution of ``mean`` and ``std`` restricted to [a, b].

        y = mean + std sqrt(2) erfinv(u),  u uniform between erf((a - mean) / (std sqrt(2))) and erf((b - mean) / ...)

    ArgumentError when [a, b] lies more than 5 standard deviations to one side of the mean, or is empty.
    """
    scale = std * math.sqrt(2)
    if not (a < b and std > 0 and a <= mean + 5 * std and b >= mean - 5 * std):
        raise ArgumentError(
            f"init.trunc_normal_: needs std > 0 and a < b within 5 std of the mean; got mean={mean}, std={std}, "
            f"a={a}, b={b}"
        )
    low, high = math.erf((a - mean) / scale), math.erf((b - mean) / scale)
    _check_real(tensor)
    u = random.uniform(tensor.shape, low, high, dtype="float64", device=tensor.device, generator=generator)
    return _fill("trunc_normal_", tensor, clip(_erfinv(u) * scale + mean, a, b))


def _erfinv(u: Tensor) -> Tensor:
    """The inverse of erf: Newton's method from Winitzki's approximation, in float64."""
    limit = 1 - 2.0**-52
    u = clip(u, -limit, limit)
    w = log(1 - u * u)
    c = 2 / (math.pi * 0.147) + w / 2
    x = ((c * c - w / 0.147).sqrt() - c).sqrt() * u.sign()
    for _ in range(3):
        x = x - (erf(x) - u) * exp(x * x) * (math.sqrt(math.pi) / 2)
    return x


def constant_(tensor: Variable, val: float) -> Variable:
    """Every element ``val``."""
    return _fill("constant_", tensor, creation.full(tensor.shape, val, dtype=tensor.dtype, device=tensor.device))


def ones_(tensor: Variable) -> Variable:
    """Every element 1."""
    return constant_(tensor, 1)


def zeros_(tensor: Variable) -> Variable:
    """Every element 0."""
    return constant_(tensor, 0)


def eye_(tensor: Variable) -> Variable:
    """Ones on the diagonal of a matrix, zeros elsewhere; ShapeError unless it has 2 dimensions."""
    if len(tensor.shape) != 2:
        raise ShapeError(f"init.eye_: fills a matrix, got shape {tensor.shape}")
    return _fill("eye_", tensor, creation.eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device))


def dirac_(tensor: Variable, groups: int = 1) -> Variable:
    """A convolution weight (C_out, C_in/groups, ...) that passes its input on: 1 where c_out = c_in at the centre."""
    shape = tensor.shape
    if not 3 <= len(shape) <= 5 or not isinstance(groups, int) or groups < 1 or shape[0] % groups:
        raise ShapeError(
            f"init.dirac_: fills a weight (C_out, C_in/groups, ...) of 3 to 5 dimensions, with groups dividing C_out; "
            f"got shape {shape}, groups={groups!r}"
        )
    value = np.zeros(shape)
    per_group = shape[0] // groups
    centre = tuple(n // 2 for n in shape[2:])
    for group in range(groups):
        for c in range(min(per_group, shape[1])):
            value[(group * per_group + c, c, *centre)] = 1
    return _fill("dirac_", tensor, creation.asarray(value, device=tensor.device))


# ------------------------------------------------------------------------------------------- by fans


def _fans(op: str, tensor: Variable) -> tuple[int, int]:
    """(fan_in, fan_out): the inputs of one output, and the outputs of one input."""
    shape = tensor.shape
    if len(shape) < 2:
        raise ShapeError(
            f"init.{op}: needs a weight (out, in, ...) of 2 or more dimensions to count its fans, got shape {shape}; "
            "for a bias use init.zeros_ or init.uniform_"
        )
    taps = math.prod(shape[2:])
    return shape[1] * taps, shape[0] * taps


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the scale of activations through a nonlinearity.

    linear, sigmoid, conv1d, conv2d, conv3d: 1; tanh: 5/3; relu: sqrt(2); leaky_relu: sqrt(2 / (1 + param^2)) with param
    0.01 by default; selu: 3/4. ArgumentError for others.

    >>> from autograd_core import nn
    >>> round(nn.init.calculate_gain("leaky_relu", 0.2), 4)
    1.3868
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ArgumentError(f"init.calculate_gain: the slope of leaky_relu must be a number, got {slope!r}")
        return math.sqrt(2 / (1 + slope**2))
    gains = dict.fromkeys(("linear", "sigmoid", "conv1d", "conv2d", "conv3d"), 1.0)
    gains |= {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
    if nonlinearity not in gains:
        known = ", ".join(sorted([*gains, "leaky_relu"]))
        raise ArgumentError(f"init.calculate_gain: no gain is known for {nonlinearity!r}; known are {known}")
    return gains[nonlinearity]


def xavier_uniform_(tensor: Variable, gain: float = 1.0, generator: Any = None) -> Variable:
    """Uniform over [-a, a) with a = gain sqrt(6 / (fan_in + fan_out)).

    tensor: (out, in, ...). Glorot and Bengio, Understanding the difficulty of training deep feedforward networks, 2010.
    """
    bound = gain * math.sqrt(6 / sum(_fans("xavier_uniform_", tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Variable, gain: float = 1.0, generator: Any = None) -> Variable:
    """Normal of mean 0 and std = gain sqrt(2 / (fan_in + fan_out)). Source: as for ``xavier_uniform_``."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(_fans("xavier_normal_", tensor))), generator)


def _kaiming_std(op: str, tensor: Variable, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"init.{op}: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan = _fans(op, tensor)[mode == "fan_out"]
    if not fan:
        raise ShapeError(f"init.{op}: a weight of shape {tensor.shape} has a fan of 0")
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Variable, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Variable:
    """Uniform over [-b, b) with b = gain sqrt(3 / fan).

    tensor: (out, in, ...). a: the slope of leaky_relu. mode: "fan_in" keeps the scale of activations, "fan_out" that of
    gradients. nonlinearity: as for ``calculate_gain``. He et al., Delving deep into rectifiers, 2015.
    """
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Variable, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Variable:
    """Normal of mean 0 and std = gain / sqrt(fan). Arguments and source as for ``kaiming_uniform_``."""
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Variable, gain: float = 1.0, generator: Any = None) -> Variable:
    """Rows (or columns, if there are more rows) that are orthonormal, times ``gain``.

    tensor: (out, in, ...), later axes joined. The QR decomposition of a normal matrix, in float64 on the host, with the
    signs that make it uniform over orthogonal matrices. Saxe, McClelland and Ganguli, Exact solutions, 2013; Mezzadri,
    How to generate random matrices from the classical compact groups, 2007.
    """
    if len(tensor.shape) < 2:
        raise ShapeError(f"init.orthogonal_: needs 2 or more dimensions, got shape {tensor.shape}")
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    tall = (max(rows, columns), min(rows, columns))
    a = random.normal(tall, dtype="float64", device=tensor.device, generator=generator).numpy()
    q, r = np.linalg.qr(a)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    value = (q if rows >= columns else q.T).reshape(tensor.shape) * gain
    return _fill("orthogonal_", tensor, creation.asarray(value, device=tensor.device))


def sparse_(tensor: Variable, sparsity: float, std: float = 0.01, generator: Any = None) -> Variable:
    """Normal of mean 0 and the given std, and 0 in ceil(sparsity rows) random rows of each column.

    tensor: (rows, columns). sparsity: between 0 and 1 (ArgumentError). Martens, Deep learning via Hessian-free
    optimization, 2010.
    """
    if len(tensor.shape) != 2:
        raise ShapeError(f"init.sparse_: fills a matrix, got shape {tensor.shape}")
    if not 0 <= sparsity <= 1:
        raise ArgumentError(f"init.sparse_: sparsity must lie between 0 and 1, got {sparsity!r}")
    rows = tensor.shape[0]
    values = random.normal(tensor.shape, std=std, device=tensor.device, generator=generator)
    marks = random.uniform(tensor.shape, dtype="float64", device=tensor.device, generator=generator)
    ranks = argsort(argsort(marks, axis=0), axis=0)
    return _fill("sparse_", tensor, where(ranks < math.ceil(sparsity * rows), 0, values))
