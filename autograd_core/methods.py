"""The operators and methods of tensors, each the name of a function in ``ops``: what they do is said there, once."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

from .aval import Axis
from .errors import GradientError, ShapeError
from .ops import (
    activation,
    arithmetic,
    comparison,
    exponential,
    indexing,
    linear_algebra,
    reductions,
    rounding,
    selection,
    shaping,
    softmax,
    trigonometric,
)
from .primitive import Value

if TYPE_CHECKING:
    from .tensor import Tensor


class Methods(Value):
    """Operators and methods; mixed into Tensor."""

    __slots__ = ()

    # ------------------------------------------------------------------------------ operators
    # those that every network leans on are the functions themselves: one call less

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

    def __floordiv__(self, other: Any) -> Tensor:
        return arithmetic.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return arithmetic.floor_divide(other, self)

    def __mod__(self, other: Any) -> Tensor:
        return arithmetic.remainder(self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return arithmetic.remainder(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return arithmetic.pow(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return arithmetic.pow(other, self)

    __matmul__ = linear_algebra.matmul

    def __rmatmul__(self, other: Any) -> Tensor:
        return linear_algebra.matmul(other, self)

    __neg__ = arithmetic.negative

    def __pos__(self) -> Tensor:
        return arithmetic.positive(self)

    def __abs__(self) -> Tensor:
        return arithmetic.abs(self)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return comparison.equal(self, other)

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return comparison.not_equal(self, other)

    def __lt__(self, other: Any) -> Tensor:
        return comparison.less(self, other)

    def __le__(self, other: Any) -> Tensor:
        return comparison.less_equal(self, other)

    def __gt__(self, other: Any) -> Tensor:
        return comparison.greater(self, other)

    def __ge__(self, other: Any) -> Tensor:
        return comparison.greater_equal(self, other)

    def __invert__(self) -> Tensor:
        return comparison.invert(self)

    def __and__(self, other: Any) -> Tensor:
        return comparison.bitwise_and(self, other)

    def __rand__(self, other: Any) -> Tensor:
        return comparison.bitwise_and(other, self)

    def __or__(self, other: Any) -> Tensor:
        return comparison.bitwise_or(self, other)

    def __ror__(self, other: Any) -> Tensor:
        return comparison.bitwise_or(other, self)

    def __xor__(self, other: Any) -> Tensor:
        return comparison.bitwise_xor(self, other)

    def __rxor__(self, other: Any) -> Tensor:
        return comparison.bitwise_xor(other, self)

    # ------------------------------------------------------------------------------ elements

    def __getitem__(self, key: Any) -> Tensor:
        return indexing.getitem(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise GradientError(
            "tensors are immutable: x[i] = v would change values that other results were computed from. "
            "Write x = x.at[i].set(v) (or .add, .multiply)"
        )

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

    def squeeze(self, axis: Axis = None) -> Tensor:
        axes = tuple(i for i, n in enumerate(self.shape) if n == 1) if axis is None else axis
        return shaping.squeeze(self, axes)

    def unsqueeze(self, axis: builtins.int) -> Tensor:
        return shaping.expand_dims(self, axis=axis)

    def split(self, sizes: Any, axis: builtins.int = 0) -> tuple[Tensor, ...]:
        return shaping.split(self, sizes, axis=axis)

    def unbind(self, axis: builtins.int = 0) -> tuple[Tensor, ...]:
        return shaping.unstack(self, axis=axis)

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
        return reductions.max(self, axis=axis, keepdims=keepdims)

    def min(self, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
        return reductions.min(self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: builtins.int | None = None, keepdims: builtins.bool = False) -> Tensor:
        return reductions.argmax(self, axis=axis, keepdims=keepdims)

    def argmin(self, axis: builtins.int | None = None, keepdims: builtins.bool = False) -> Tensor:
        return reductions.argmin(self, axis=axis, keepdims=keepdims)

    def any(self, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
        return reductions.any(self, axis=axis, keepdims=keepdims)

    def all(self, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
        return reductions.all(self, axis=axis, keepdims=keepdims)

    def logsumexp(self, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
        return reductions.logsumexp(self, axis=axis, keepdims=keepdims)

    def cumsum(self, axis: builtins.int | None = None) -> Tensor:
        return reductions.cumulative_sum(self, axis=axis)

    # ------------------------------------------------------------------------------ element by element

    def abs(self) -> Tensor:
        return arithmetic.abs(self)

    def square(self) -> Tensor:
        return arithmetic.square(self)

    def reciprocal(self) -> Tensor:
        return arithmetic.reciprocal(self)

    def sign(self) -> Tensor:
        return arithmetic.sign(self)

    def pow(self, exponent: Any) -> Tensor:
        return arithmetic.pow(self, exponent)

    def exp(self) -> Tensor:
        return exponential.exp(self)

    def log(self) -> Tensor:
        return exponential.log(self)

    def log1p(self) -> Tensor:
        return exponential.log1p(self)

    def expm1(self) -> Tensor:
        return exponential.expm1(self)

    def sqrt(self) -> Tensor:
        return exponential.sqrt(self)

    def erf(self) -> Tensor:
        return exponential.erf(self)

    def sin(self) -> Tensor:
        return trigonometric.sin(self)

    def cos(self) -> Tensor:
        return trigonometric.cos(self)

    def tanh(self) -> Tensor:
        return trigonometric.tanh(self)

    def sigmoid(self) -> Tensor:
        return activation.sigmoid(self)

    def relu(self) -> Tensor:
        return activation.relu(self)

    def floor(self) -> Tensor:
        return rounding.floor(self)

    def ceil(self) -> Tensor:
        return rounding.ceil(self)

    def round(self) -> Tensor:
        return rounding.round(self)

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        return selection.clip(self, min, max)

    clamp = clip

    def softmax(self, axis: builtins.int = -1) -> Tensor:
        return softmax.softmax(self, axis=axis)

    def log_softmax(self, axis: builtins.int = -1) -> Tensor:
        return softmax.log_softmax(self, axis=axis)
