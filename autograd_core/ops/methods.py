"""The operators and methods of tensors, each the name of a function in ``ops``: what they do is said there, once."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

from ..aval import Axis
from ..errors import ShapeError
from ..primitive import Value
from . import (
    activation,
    arithmetic,
    comparison,
    complex_numbers,
    exponential,
    extrema,
    indexing,
    joining,
    linear_algebra,
    reductions,
    rounding,
    scans,
    selection,
    shaping,
    softmax,
    trigonometric,
)

if TYPE_CHECKING:
    from ..tensor import Tensor


class Methods(Value):
    """Operators and methods; mixed into Tensor."""

    __slots__ = ()

    # ------------------------------------------------------------------------------ operators
    # where a method takes what the function takes, it is the function itself: one call less

    __add__ = arithmetic.add

    def __radd__(self, other: Any) -> Tensor:
        return arithmetic.add(other, self)

    __sub__ = arithmetic.subtract

    def __rsub__(self, other: Any) -> Tensor:
        return arithmetic.subtract(other, self)

    __mul__ = arithmetic.multiply

    def __rmul__(self, other: Any) -> Tensor:
        return arithmetic.multiply(other, self)

    __truediv__ = arithmetic.divide

    def __rtruediv__(self, other: Any) -> Tensor:
        return arithmetic.divide(other, self)

    __floordiv__ = arithmetic.floor_divide

    def __rfloordiv__(self, other: Any) -> Tensor:
        return arithmetic.floor_divide(other, self)

    __mod__ = arithmetic.remainder

    def __rmod__(self, other: Any) -> Tensor:
        return arithmetic.remainder(other, self)

    def __divmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return other // self, other % self

    __pow__ = arithmetic.pow

    def __rpow__(self, other: Any) -> Tensor:
        return arithmetic.pow(other, self)

    __matmul__ = linear_algebra.matmul

    def __rmatmul__(self, other: Any) -> Tensor:
        return linear_algebra.matmul(other, self)

    __neg__ = arithmetic.negative
    __pos__ = arithmetic.positive
    __abs__ = arithmetic.abs
    __eq__ = comparison.equal
    __ne__ = comparison.not_equal
    __lt__ = comparison.less
    __le__ = comparison.less_equal
    __gt__ = comparison.greater
    __ge__ = comparison.greater_equal
    __invert__ = comparison.invert
    __and__ = comparison.bitwise_and

    def __rand__(self, other: Any) -> Tensor:
        return comparison.bitwise_and(other, self)

    __or__ = comparison.bitwise_or

    def __ror__(self, other: Any) -> Tensor:
        return comparison.bitwise_or(other, self)

    __xor__ = comparison.bitwise_xor

    def __rxor__(self, other: Any) -> Tensor:
        return comparison.bitwise_xor(other, self)

    __lshift__ = comparison.bitwise_left_shift

    def __rlshift__(self, other: Any) -> Tensor:
        return comparison.bitwise_left_shift(other, self)

    __rshift__ = comparison.bitwise_right_shift

    def __rrshift__(self, other: Any) -> Tensor:
        return comparison.bitwise_right_shift(other, self)

    # ------------------------------------------------------------------------------ elements

    def __getitem__(self, key: Any) -> Tensor:
        return indexing.getitem(self, key)

    def __contains__(self, value: Any) -> builtins.bool:
        return builtins.bool((self == value).any())

    @property
    def at(self) -> indexing.At:
        """``x.at[i].set(v)``, ``.add(v)``, ``.multiply(v)``: an updated copy, differentiable in both."""
        return indexing.At(self)

    def take(self, indices: Any, /, *, axis: builtins.int | None = None) -> Tensor:
        return indexing.take(self, indices, axis=axis)

    def gather(self, dim: builtins.int, index: Any) -> Tensor:
        return indexing.gather(self, dim, index)

    def masked_fill(self, mask: Any, value: Any) -> Tensor:
        return selection.where(mask, value, self)

    # ------------------------------------------------------------------------------ shapes

    def reshape(self, *shape: Any) -> Tensor:
        return shaping.reshape(self, shape[0] if len(shape) == 1 else shape)

    view = reshape

    def flatten(self, start_dim: builtins.int = 0, end_dim: builtins.int = -1) -> Tensor:
        return shaping.flatten(self, start_dim, end_dim)

    def ravel(self) -> Tensor:
        return shaping.reshape(self, (-1,))

    def broadcast_to(self, shape: Any) -> Tensor:
        return shaping.broadcast_to(self, shape)

    def expand(self, *shape: Any) -> Tensor:
        return shaping.expand(self, shape[0] if len(shape) == 1 and not isinstance(shape[0], builtins.int) else shape)

    def permute(self, *axes: Any) -> Tensor:
        return shaping.permute_dims(self, axes[0] if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes)

    def transpose(self, *axes: Any) -> Tensor:
        """With two ints, those axes swapped (PyTorch); otherwise all axes reversed or permuted (NumPy)."""
        if len(axes) == 2 and all(isinstance(a, builtins.int) for a in axes):
            return shaping.swapaxes(self, *axes)
        return self.permute(*(axes or tuple(reversed(range(len(self.shape))))))

    def swapaxes(self, axis1: builtins.int, axis2: builtins.int) -> Tensor:
        return shaping.swapaxes(self, axis1, axis2)

    @property
    def T(self) -> Tensor:
        """The transpose of a matrix."""
        if len(self.shape) != 2:
            raise ShapeError(f"x.T needs 2 dimensions, this tensor has shape {self.shape}; use x.mT or x.permute(...)")
        return shaping.matrix_transpose(self)

    @property
    def mT(self) -> Tensor:
        """The last two axes swapped."""
        return shaping.matrix_transpose(self)

    @property
    def mH(self) -> Tensor:
        """The last two axes swapped, complex numbers conjugated."""
        return complex_numbers.conj(self.mT)

    @property
    def H(self) -> Tensor:
        """The transpose of a matrix, complex numbers conjugated."""
        return complex_numbers.conj(self.T)

    dot = linear_algebra.dot
    diagonal = linear_algebra.diagonal
    trace = linear_algebra.trace
    norm = linear_algebra.norm

    def squeeze(self, axis: Axis = None) -> Tensor:
        axes = tuple(i for i, n in enumerate(self.shape) if n == 1) if axis is None else axis
        return shaping.squeeze(self, axes)

    def unsqueeze(self, axis: builtins.int) -> Tensor:
        return shaping.expand_dims(self, axis=axis)

    def split(self, sizes: Any, axis: builtins.int = 0) -> tuple[Tensor, ...]:
        return joining.split(self, sizes, axis=axis)

    def unbind(self, axis: builtins.int = 0) -> tuple[Tensor, ...]:
        return joining.unstack(self, axis=axis)

    def flip(self, axis: Axis = None) -> Tensor:
        return shaping.flip(self, axis=axis)

    def roll(self, shift: Any, axis: Axis = None) -> Tensor:
        return shaping.roll(self, shift, axis=axis)

    def repeat(self, *sizes: Any) -> Tensor:
        """The tensor tiled ``sizes`` times along each axis (PyTorch's meaning; ``ag.repeat`` is NumPy's)."""
        return shaping.tile(self, sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes)

    # ------------------------------------------------------------------------------ reductions

    def sum(self, axis: Axis = None, dtype: Any = None, keepdims: builtins.bool = False) -> Tensor:
        return reductions.sum(self, axis=axis, dtype=dtype, keepdims=keepdims)

    def mean(self, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
        return reductions.mean(self, axis=axis, keepdims=keepdims)

    def var(self, axis: Axis = None, correction: builtins.float = 0.0, keepdims: builtins.bool = False) -> Tensor:
        return reductions.var(self, axis=axis, correction=correction, keepdims=keepdims)

    def std(self, axis: Axis = None, correction: builtins.float = 0.0, keepdims: builtins.bool = False) -> Tensor:
        return reductions.std(self, axis=axis, correction=correction, keepdims=keepdims)

    def prod(self, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
        return reductions.prod(self, axis=axis, keepdims=keepdims)

    def max(self, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
        return extrema.max(self, axis=axis, keepdims=keepdims)

    def min(self, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
        return extrema.min(self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: builtins.int | None = None, keepdims: builtins.bool = False) -> Tensor:
        return extrema.argmax(self, axis=axis, keepdims=keepdims)

    def argmin(self, axis: builtins.int | None = None, keepdims: builtins.bool = False) -> Tensor:
        return extrema.argmin(self, axis=axis, keepdims=keepdims)

    def any(self, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
        return reductions.any(self, axis=axis, keepdims=keepdims)

    def all(self, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
        return reductions.all(self, axis=axis, keepdims=keepdims)

    def logsumexp(self, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
        return reductions.logsumexp(self, axis=axis, keepdims=keepdims)

    def cumsum(self, axis: builtins.int | None = None) -> Tensor:
        return scans.cumulative_sum(self, axis=axis)

    # ------------------------------------------------------------------------------ element by element

    abs = arithmetic.abs
    square = arithmetic.square
    reciprocal = arithmetic.reciprocal
    sign = arithmetic.sign
    conj = complex_numbers.conj
    angle = trigonometric.angle

    @property
    def real(self) -> Tensor:
        """The real part of complex numbers; a real tensor itself."""
        return complex_numbers.real(self)

    @property
    def imag(self) -> Tensor:
        """The imaginary part of complex numbers; zeros for a real tensor."""
        return complex_numbers.imag(self)

    def pow(self, exponent: Any) -> Tensor:
        return arithmetic.pow(self, exponent)

    exp = exponential.exp
    log = exponential.log
    log1p = exponential.log1p
    expm1 = exponential.expm1
    sqrt = exponential.sqrt
    erf = exponential.erf
    sin = trigonometric.sin
    cos = trigonometric.cos
    tanh = trigonometric.tanh
    sigmoid = activation.sigmoid
    relu = activation.relu
    floor = rounding.floor
    ceil = rounding.ceil
    round = rounding.round

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        return selection.clip(self, min, max)

    clamp = clip

    def softmax(self, axis: builtins.int = -1) -> Tensor:
        return softmax.softmax(self, axis=axis)

    def log_softmax(self, axis: builtins.int = -1) -> Tensor:
        return softmax.log_softmax(self, axis=axis)


class _Absent:
    """The name of a method that other frameworks have: who asks for it is told what to write."""

    def __init__(self, text: str):
        self.text = text

    def __get__(self, x: Any, owner: type) -> Any:
        raise AttributeError(self.text)


_IN_PLACE = {
    "add_": "x = x + y",
    "sub_": "x = x - y",
    "mul_": "x = x * y",
    "div_": "x = x / y",
    "exp_": "x = x.exp()",
    "sqrt_": "x = x.sqrt()",
    "relu_": "x = x.relu()",
    "clamp_": "x = x.clip(low, high)",
    "fill_": "x = ag.full_like(x, value)",
    "zero_": "x = ag.zeros_like(x)",
    "masked_fill_": "x = x.masked_fill(mask, value)",
    "squeeze_": "x = x.squeeze(axis)",
    "unsqueeze_": "x = x.unsqueeze(axis)",
    "detach_": "x = x.detach()",
    "copy_": "x = y (parameters and buffers: x.assign_(y))",
    "normal_": "x = ag.random.normal(x.shape) (parameters: nn.init.normal_(x))",
    "uniform_": "x = ag.random.uniform(x.shape) (parameters: nn.init.uniform_(x))",
}
_ELSEWHERE = {
    "dim": "x.ndim",
    "numel": "x.size",
    "t": "x.mT",
    "mm": "x @ y",
    "bmm": "x @ y",
    "matmul": "x @ y",
    "chunk": "ag.split(x, sections, axis)",
    "half": "x.astype('float16')",
    "type": "x.astype(dtype)",
    "clone": "x itself, which never changes",
    "contiguous": "x itself: layout is not for users to see",
}
for _name, _text in {
    **{n: f"tensors are values and have no {n}(); bind the result instead: {to}" for n, to in _IN_PLACE.items()},
    **{n: f"a tensor has no {n}(); write {to}" for n, to in _ELSEWHERE.items()},
}.items():
    if not hasattr(Methods, _name):
        setattr(Methods, _name, _Absent(_text))

for _method in vars(Methods).values():  # Python's own errors name them by this
    if getattr(_method, "__qualname__", "").startswith("Methods."):
        _method.__qualname__ = f"Tensor.{_method.__name__}"
