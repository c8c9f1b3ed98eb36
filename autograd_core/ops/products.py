"""Products of matrices and tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ..aval import Aval, broadcast_shapes, normalize_axis
from ..errors import ArgumentError, ShapeError
from ..primitive import Multilinear, Value, bind, multilinear
from ._apply import NO_PARAMS, promoted
from ._matrices import aligned
from .complex_numbers import conj
from .shaping import sum_to

__all__ = ["matmul", "tensordot", "dot", "inner", "multi_dot"]


def _matmul_shape(x1: Aval, x2: Aval) -> Aval:
    _check_summed("matmul", x1.shape, x2.shape)
    batch = broadcast_shapes("matmul (leading axes)", x1.shape[:-2], x2.shape[:-2])
    return Aval((*batch, x1.shape[-2], x2.shape[-1]), x1.dtype)


def _check_summed(op: str, shape1: tuple[int, ...], shape2: tuple[int, ...]) -> None:
    """ShapeError unless the last axis of x1 is as long as the first of x2's last two (or its only one)."""
    k1, k2 = shape1[-1], shape2[max(len(shape2) - 2, 0)]
    if k1 != k2:
        raise ShapeError(
            f"{op}: shapes {shape1} and {shape2} do not fit: x1 is (..., n, k) and x2 (..., k, m), but k is {k1} in x1 "
            f"and {k2} in x2; transpose one with x.mT"
        )


def matmul_summed(x1: Any, x2: Any, shape: tuple[int, ...]) -> Any:
    """The product summed to ``shape``, that of an operand that was broadcast along leading axes.

    A plain matrix meets all leading axes: they join the summed axis of one product, and nothing of the batch's size
    is made only to be summed.
    """
    batch = x1.shape[:-2]
    if len(shape) == 2 and batch and x2.shape[:-2] == batch:
        n, k = len(batch), math.prod(batch) * x1.shape[-1]
        return matmul(x1.permute(n, *range(n), n + 1).reshape(shape[0], k), x2.reshape(k, shape[1]))
    return sum_to(matmul(x1, x2), shape)


def _matmul_batched(xs: Any, batched: Any, size: int) -> Any:
    # one matrix on the right meets all rows of the batch in one product, and one on the left is not repeated either
    return matmul(*aligned(xs, batched))


matmul_p = multilinear(
    "matmul",
    lambda xp, x1, x2: xp.matmul(x1, x2),
    transposes=(
        lambda g, x2, avals: matmul_summed(g, conj(x2).mT, avals[0].shape),
        lambda g, x1, avals: matmul_summed(conj(x1).mT, g, avals[1].shape),
    ),
    shape=_matmul_shape,
    batch=_matmul_batched,
)


def matmul(x1: Any, x2: Any, /) -> Any:
    """Matrix product: y[..., i, j] = sum_k x1[..., i, k] x2[..., k, j].

    x1: (..., n, k) or (k,); x2: (..., k, m) or (k,); a vector counts as a row on the left and a column on the right,
    and its axis is dropped from the result. Leading axes broadcast; dtypes are promoted.
    ShapeError where the lengths k differ. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.matmul(ag.tensor([[1.0, 2.0]]), ag.tensor([3.0, 4.0]))
    tensor([11.])
    """
    if not (isinstance(x1, Value) and isinstance(x2, Value) and x1.dtype is x2.dtype and x1.device is x2.device):
        x1, x2 = promoted("matmul", (x1, x2))
    shape1, shape2 = x1.shape, x2.shape
    if len(shape1) == 2 == len(shape2) and shape1[1] == shape2[0]:
        return bind(matmul_p, (x1, x2), NO_PARAMS)
    if not shape1 or not shape2:
        raise ShapeError(f"matmul: shapes {shape1} and {shape2}: a 0-d operand has no axis to sum; use x1 * x2")
    _check_summed("matmul", shape1, shape2)
    rows = shape1[:-1]
    columns = shape2[-1:] if len(shape2) > 1 else ()
    if len(shape2) == 1:
        x2 = x2.reshape(shape2[0], 1)
    if len(x2.shape) == 2:  # one product of matrices for all leading axes
        y = bind(matmul_p, (x1.reshape(math.prod(rows), shape1[-1]), x2), NO_PARAMS)
        return y.reshape(rows + columns)
    if len(shape1) == 1:
        x1 = x1.reshape(1, shape1[0])
    batch = broadcast_shapes("matmul (leading axes)", x1.shape[:-2], x2.shape[:-2])
    y = bind(matmul_p, (x1, x2), NO_PARAMS)
    return y if len(shape1) > 1 else y.reshape(batch + columns)


def _linear_batched(xs: Any, batched: Any, size: int) -> Any:
    x1, x2 = xs
    if batched[1]:
        return matmul(x1, x2.mT)
    y = bind(linear_p, (x1.reshape(size * x1.shape[1], x1.shape[2]), x2), NO_PARAMS)
    return y.reshape(size, x1.shape[1], x2.shape[0])


linear_p: Multilinear = multilinear(
    "linear",
    lambda xp, x1, x2: xp.matmul(x1, x2.T),
    transposes=(lambda g, x2: matmul(g, conj(x2)), lambda g, x1: matmul(g.mT, conj(x1))),
    shape=lambda x1, x2: Aval((x1.shape[0], x2.shape[0]), x1.dtype),
    batch=_linear_batched,
)


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """Affine map of the last axis: y = x W^T + b.

    x: (..., in); weight: (out, in); bias: (out,) or None; y: (..., out). The value of ``x @ weight.mT + bias``, and a
    gradient of the weight that lies in memory as the weight does, so that an optimizer meets no transposed array.
    ShapeError where the lengths differ. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.linear_algebra import linear
    >>> linear(ag.tensor([[1.0, 2.0]]), ag.tensor([[1.0, 1.0], [0.0, 3.0]]), ag.tensor([0.5, 0.0]))
    tensor([[3.5, 6. ]])
    """
    if bias is None:
        x, weight = promoted("linear", (x, weight))
    else:
        x, weight, bias = promoted("linear", (x, weight, bias))
    shape = x.shape
    if len(weight.shape) != 2 or not shape or shape[-1] != weight.shape[1]:
        raise ShapeError(_linear_misfit(shape, weight.shape))
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"linear: bias must have shape {weight.shape[:1]} to match weight, got {bias.shape}")
    if len(shape) == 2:
        y = bind(linear_p, (x, weight), NO_PARAMS)
    else:
        y = bind(linear_p, (x.reshape(math.prod(shape[:-1]), shape[-1]), weight), NO_PARAMS)
    y = y if bias is None else y + bias
    return y if len(shape) == 2 else y.reshape(*shape[:-1], weight.shape[0])


def _linear_misfit(x: tuple[int, ...], weight: tuple[int, ...]) -> str:
    if len(weight) != 2 or not x:
        return f"linear: x of shape {x} and weight of shape {weight} do not fit: x is (..., in) and weight (out, in)"
    fix = f"Write in_features={x[-1]}"
    if math.prod(x[1:]) == weight[1]:
        fix = "Flatten what comes in: x.flatten(1), or nn.Flatten() before the layer"
    return (
        f"linear: x of shape {x} has {x[-1]} features along its last axis, but weight of shape {weight} takes "
        f"{weight[1]} (weight is (out, in)). {fix}"
    )


def tensordot(x1: Any, x2: Any, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2) -> Any:
    """Sum of products over pairs of axes: the last ``axes`` of x1 with the first of x2, or the axes listed.

    axes: an int, or (axes of x1, axes of x2) paired in order. The result has the other axes of x1, then those of x2.
    Python array API standard.

    >>> import autograd_core as ag
    >>> ag.tensordot(ag.ones((2, 3, 4)), ag.ones((4, 3, 5)), axes=((1, 2), (1, 0))).shape
    (2, 5)
    """
    x1, x2 = promoted("tensordot", (x1, x2))
    n1, n2 = len(x1.shape), len(x2.shape)
    if isinstance(axes, int):
        if not 0 <= axes <= min(n1, n2):
            raise ShapeError(f"tensordot: axes={axes} of shapes {x1.shape} and {x2.shape}; use 0 to {min(n1, n2)}")
        axes1, axes2 = tuple(range(n1 - axes, n1)), tuple(range(axes))
    else:
        given = [(a,) if isinstance(a, int) else tuple(a) for a in axes]
        if len(given) != 2 or len(given[0]) != len(given[1]):
            raise ArgumentError(f"tensordot: axes must be an int or two lists of axes, equally long, got {axes!r}")
        axes1 = tuple(normalize_axis("tensordot", a, n1) for a in given[0])
        axes2 = tuple(normalize_axis("tensordot", a, n2) for a in given[1])
        if len({*axes1}) < len(axes1) or len({*axes2}) < len(axes2):
            raise ShapeError(f"tensordot: axes {axes!r} name an axis twice")
    for a1, a2 in zip(axes1, axes2):
        if x1.shape[a1] != x2.shape[a2]:
            raise ShapeError(
                f"tensordot: axis {a1} of x1 {x1.shape} has length {x1.shape[a1]}, "
                f"but axis {a2} of x2 {x2.shape} has {x2.shape[a2]}; they are summed together and must be equal"
            )
    rows = [a for a in range(n1) if a not in axes1]
    columns = [a for a in range(n2) if a not in axes2]
    k = math.prod(x1.shape[a] for a in axes1)
    shape = tuple(x1.shape[a] for a in rows) + tuple(x2.shape[a] for a in columns)
    x1 = x1.permute((*rows, *axes1)).reshape(math.prod(x1.shape[a] for a in rows), k)
    x2 = x2.permute((*axes2, *columns)).reshape(k, math.prod(x2.shape[a] for a in columns))
    return matmul(x1, x2).reshape(shape)


def dot(x1: Any, x2: Any, /) -> Any:
    """NumPy's product: of numbers, of vectors (their inner product), of matrices; in general over the last axis of x1
    and the second to last of x2: y[i, j, k, m] = sum_s x1[i, j, s] x2[k, s, m].

    For stacks of matrices use ``matmul``, whose leading axes broadcast. NumPy.

    >>> import autograd_core as ag
    >>> ag.dot(ag.tensor([1.0, 2.0]), ag.tensor([3.0, 4.0]))
    tensor(11.)
    """
    x1, x2 = promoted("dot", (x1, x2))
    if not x1.shape or not x2.shape:
        return x1 * x2
    _check_summed("dot", x1.shape, x2.shape)
    if len(x2.shape) < 3:
        return matmul(x1, x2)
    return tensordot(x1, x2, axes=((len(x1.shape) - 1,), (len(x2.shape) - 2,)))


def inner(x1: Any, x2: Any, /) -> Any:
    """Sums of products over the last axis of both: y[i, j] = sum_k x1[i, k] x2[j, k], nothing conjugated.

    x1: (..., k); x2: (..., k), or one of them a number; the result has the other axes of x1, then those of x2. NumPy;
    PyTorch.

    >>> import autograd_core as ag
    >>> ag.inner(ag.tensor([1.0, 2.0]), ag.tensor([3.0, 4.0]))
    tensor(11.)
    """
    x1, x2 = promoted("inner", (x1, x2))
    if not x1.shape or not x2.shape:
        return x1 * x2
    if x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(
            f"inner: shapes {x1.shape} and {x2.shape} do not fit: the last axes are summed together, but have lengths "
            f"{x1.shape[-1]} and {x2.shape[-1]}"
        )
    return tensordot(x1, x2, axes=((-1,), (-1,)))


def multi_dot(arrays: Sequence[Any], /) -> Any:
    """The product of several matrices, in the order of multiplication that costs least.

    arrays: at least two; the first may be a vector (a row), the last too (a column). ShapeError where neighbours do
    not fit. The order is found by dynamic programming (Cormen et al., Introduction to Algorithms, section 15.2).
    NumPy (linalg); PyTorch.

    >>> import autograd_core as ag
    >>> ag.linalg.multi_dot([ag.ones((10, 100)), ag.ones((100, 5)), ag.ones((5, 50))]).shape
    (10, 50)
    """
    if len(arrays) < 2:
        raise ArgumentError(f"multi_dot: takes at least two arrays, got {len(arrays)}")
    factors = promoted("multi_dot", list(arrays))
    given = [x.shape for x in factors]
    row, column = len(given[0]) == 1, len(given[-1]) == 1
    if row:
        factors[0] = factors[0].reshape(1, *given[0])
    if column:
        factors[-1] = factors[-1].reshape(*given[-1], 1)
    if any(len(x.shape) != 2 for x in factors):
        raise ShapeError(
            f"multi_dot: takes matrices, and vectors at the ends, got shapes {given}; use matmul for stacks"
        )
    for i, (left, right) in enumerate(pairwise(factors)):
        if left.shape[1] != right.shape[0]:
            raise ShapeError(
                f"multi_dot: array {i} of shape {given[i]} and array {i + 1} of shape {given[i + 1]} do not fit: "
                f"{left.shape[1]} columns meet {right.shape[0]} rows"
            )
    cuts = _cheapest_cuts([x.shape[0] for x in factors] + [factors[-1].shape[1]])

    def product(i: int, j: int) -> Any:
        return factors[i] if i == j else matmul(product(i, cuts[i, j]), product(cuts[i, j] + 1, j))

    y = product(0, len(factors) - 1)
    return y.reshape(y.shape[:1] * (not row) + y.shape[1:] * (not column))


def _cheapest_cuts(lengths: Sequence[int]) -> dict[tuple[int, int], int]:
    """Matrix i is lengths[i] x lengths[i + 1]; the product of matrices i to j is best cut behind matrix cuts[i, j]."""
    n = len(lengths) - 1
    costs = {(i, i): 0 for i in range(n)}
    cuts = {}
    for width in range(1, n):
        for i in range(n - width):
            j = i + width
            costs[i, j], cuts[i, j] = min(
                (costs[i, k] + costs[k + 1, j] + lengths[i] * lengths[k + 1] * lengths[j + 1], k) for k in range(i, j)
            )
    return cuts
