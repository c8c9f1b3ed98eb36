"""Products of matrices and tensors, and what is measured on them: einsum, diagonals, norms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..aval import Aval, Axis, broadcast_shapes, normalize_axes, normalize_axis, reduced_shape
from ..errors import ArgumentError, DTypeError, ShapeError
from ..primitive import Multilinear, Value, bind, general, multilinear
from ._apply import NO_PARAMS, as_tensor, promoted, to_float
from ._subscripts import Label, Labels, cheapest_pair, from_sublists, read
from .reductions import expand_reduced
from .selection import where
from .shaping import sum_to

__all__ = [
    "matmul",
    "einsum",
    "tensordot",
    "dot",
    "vecdot",
    "outer",
    "kron",
    "diagonal",
    "trace",
    "norm",
]

# ------------------------------------------------------------------------------------------- matrices


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


def _matmul_summed(x1: Any, x2: Any, shape: tuple[int, ...]) -> Any:
    """The product summed to ``shape``, that of an operand that was broadcast along leading axes.

    A plain matrix meets all leading axes: they join the summed axis of one product, and nothing of the batch's size
    is made only to be summed.
    """
    batch = x1.shape[:-2]
    if len(shape) == 2 and batch and x2.shape[:-2] == batch:
        n, k = len(batch), math.prod(batch) * x1.shape[-1]
        return matmul(x1.permute(n, *range(n), n + 1).reshape(shape[0], k), x2.reshape(k, shape[1]))
    return sum_to(matmul(x1, x2), shape)


matmul_p = multilinear(
    "matmul",
    lambda xp, x1, x2: xp.matmul(x1, x2),
    transposes=(
        lambda g, x2, avals: _matmul_summed(g, x2.mT, avals[0].shape),
        lambda g, x1, avals: _matmul_summed(x1.mT, g, avals[1].shape),
    ),
    shape=_matmul_shape,
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


linear_p = multilinear(
    "linear",
    lambda xp, x1, x2: xp.matmul(x1, x2.T),
    transposes=(lambda g, x2: matmul(g, x2), lambda g, x1: matmul(g.mT, x1)),
    shape=lambda x1, x2: Aval((x1.shape[0], x2.shape[0]), x1.dtype),
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
        raise ShapeError(
            f"linear: x of shape {shape} and weight of shape {weight.shape} do not fit: "
            "x is (..., in) and weight (out, in)"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"linear: bias must have shape {weight.shape[:1]} to match weight, got {bias.shape}")
    if len(shape) == 2:
        y = bind(linear_p, (x, weight), NO_PARAMS)
    else:
        y = bind(linear_p, (x.reshape(math.prod(shape[:-1]), shape[-1]), weight), NO_PARAMS)
    y = y if bias is None else y + bias
    return y if len(shape) == 2 else y.reshape(*shape[:-1], weight.shape[0])


# ------------------------------------------------------------------------------------------- diagonals

embed_diagonal_p: Multilinear = multilinear(
    "embed_diagonal",
    lambda xp, x, *, shape, offset: _embedded(xp, x, shape, offset),
    transposes=(lambda g, offset: bind(diagonal_p, (g,), {"offset": offset}),),
    shape=lambda x, *, shape, offset: Aval(shape, x.dtype),
)


def _embedded(xp: Any, x: Any, shape: tuple[int, ...], offset: int) -> Any:
    y = xp.zeros(shape, x.dtype)
    i = xp.arange(x.shape[-1])
    y[..., i + max(-offset, 0), i + max(offset, 0)] = x
    return y


def _diagonal_shape(x: Aval, offset: int) -> Aval:
    *batch, n, m = x.shape
    return Aval((*batch, max(min(n + min(offset, 0), m - max(offset, 0)), 0)), x.dtype)


diagonal_p: Multilinear = multilinear(
    "diagonal",
    lambda xp, x, *, offset: xp.diagonal(x, offset, -2, -1),
    transposes=(lambda g, avals, offset: bind(embed_diagonal_p, (g,), {"shape": avals[0].shape, "offset": offset}),),
    shape=lambda x, *, offset: _diagonal_shape(x, offset),
)


def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """The diagonals of the matrices in the last two axes: y[..., i] = x[..., i, i + offset].

    x: (..., n, m), any dtype. Python array API standard (linalg).

    >>> import autograd_core as ag
    >>> ag.diagonal(ag.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    x = as_tensor("diagonal", x)
    if len(x.shape) < 2:
        raise ShapeError(f"diagonal: needs at least 2 dimensions, got shape {x.shape}")
    return bind(diagonal_p, (x,), {"offset": int(offset)})


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The sums along the diagonals of the matrices in the last two axes: y[...] = sum_i x[..., i, i + offset].

    x: (..., n, m); dtype as for ``sum``. Python array API standard (linalg).

    >>> import autograd_core as ag
    >>> ag.trace(ag.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    x = as_tensor("trace", x)
    if len(x.shape) < 2:
        raise ShapeError(f"trace: needs at least 2 dimensions, got shape {x.shape}")
    return diagonal(x, offset=offset).sum(axis=-1, dtype=dtype)


# ------------------------------------------------------------------------------------------- einsum


def einsum(subscripts: Any, /, *operands: Any) -> Any:
    """Einstein summation: multiply the operands along axes of one letter, sum over letters that the output lacks.

    subscripts: "ij,jk->ik"; a letter twice in one operand takes its diagonal; "..." stands for axes that broadcast;
    without "->" the output has the letters that occur once, in alphabetical order. NumPy's other form, a list of ints
    after each operand, works as well. Axes of length 1 stretch. Dtypes are promoted.

    More than two operands are contracted in pairs, the pair first that shrinks most. All of it is made of diagonals,
    sums and matrix products, whose derivatives it inherits. ShapeError and ArgumentError name the letter.
    NumPy; PyTorch.

    >>> import autograd_core as ag
    >>> ag.einsum("ij,j->i", ag.tensor([[1.0, 2.0], [3.0, 4.0]]), ag.tensor([1.0, 10.0]))
    tensor([21., 43.])
    """
    if not isinstance(subscripts, str):
        subscripts, operands = from_sublists((subscripts, *operands))
    if not operands:
        raise ArgumentError(f"einsum: no operands for subscripts {subscripts!r}")
    tensors = promoted("einsum", operands)
    inputs, output, lengths = read(subscripts, tuple(x.shape for x in tensors))
    kept = tuple(label for label in output if lengths[label] != 1)
    terms = [_simple_term(x, labels) for x, labels in zip(tensors, inputs)]
    terms = [
        _sum_labels(x, labels, set(kept).union(*(other for k, (_, other) in enumerate(terms) if k != i)))
        for i, (x, labels) in enumerate(terms)
    ]
    while len(terms) > 1:
        i, j = (0, 1) if len(terms) == 2 else cheapest_pair([labels for _, labels in terms], kept, lengths)
        rest = [term for k, term in enumerate(terms) if k not in (i, j)]
        needed = set(kept).union(*(labels for _, labels in rest))
        terms = [*rest, _contract(*terms[i], *terms[j], needed, kept)]
    ((y, labels),) = terms
    return _arranged(y, labels, kept, tuple(lengths[label] for label in output))


Term = tuple[Any, Labels]


def _simple_term(x: Any, labels: Labels) -> Term:
    """``x`` without axes of length 1 (they stretch by being absent), every label once."""
    if 1 in x.shape:
        labels = tuple(label for label, n in zip(labels, x.shape) if n != 1)
        x = x.reshape(tuple(n for n in x.shape if n != 1))
    while len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        i = labels.index(twice)
        j = labels.index(twice, i + 1)
        others = [k for k in range(len(labels)) if k not in (i, j)]
        x = diagonal(x.permute(*others, i, j))
        labels = (*(labels[k] for k in others), twice)
    return x, labels


def _sum_labels(x: Any, labels: Labels, needed: set[Label]) -> Term:
    """``x`` summed over the labels that nothing else needs."""
    axes = tuple(i for i, label in enumerate(labels) if label not in needed)
    return (
        (x.sum(axis=axes, dtype=x.dtype), tuple(label for label in labels if label in needed)) if axes else (x, labels)
    )


def _contract(x1: Any, labels1: Labels, x2: Any, labels2: Labels, needed: set[Label], output: Labels) -> Term:
    """The product of two terms, summed over the labels that they share and nothing else needs."""
    summed = [label for label in labels1 if label in labels2 and label not in needed]
    batch = [label for label in labels1 if label in labels2 and label in needed]
    rows = [label for label in labels1 if label not in labels2]
    columns = [label for label in labels2 if label not in labels1]
    if not summed or (batch and not rows and not columns):
        letters = dict.fromkeys((*labels1, *labels2))
        order = sorted(letters, key=lambda label: output.index(label) if label in output else len(output))
        y = _spread(x1, labels1, order) * _spread(x2, labels2, order)
        return _sum_labels(y, tuple(order), needed)
    if rows and columns and rows[-1:] == [*output[-1:]]:  # so that the result lies in memory in its final order
        return _contract(x2, labels2, x1, labels1, needed, output)
    length = {**dict(zip(labels1, x1.shape)), **dict(zip(labels2, x2.shape))}

    def grouped(x: Any, labels: Labels, first: list[Label], second: list[Label]) -> Any:
        shape = [length[label] for label in batch]
        shape += [math.prod([length[label] for label in group]) for group in (first, second)]
        return _arranged(x, labels, (*batch, *first, *second), tuple(shape))

    y = matmul(grouped(x1, labels1, rows, summed), grouped(x2, labels2, summed, columns))
    labels = (*batch, *rows, *columns)
    return _arranged(y, labels, labels, tuple([length[label] for label in labels])), labels


def _spread(x: Any, labels: Labels, order: Sequence[Label]) -> Any:
    """``x`` with its axes in ``order``, length 1 where it has no such axis."""
    length = dict(zip(labels, x.shape))
    present = tuple([label for label in order if label in length])
    return _arranged(x, labels, present, tuple([length.get(label, 1) for label in order]))


def _arranged(x: Any, labels: Labels, order: Labels, shape: tuple[int, ...]) -> Any:
    """``x`` with its axes in ``order`` under another shape."""
    if labels != order:
        x = x.permute(tuple([labels.index(label) for label in order]))
    return x if x.shape == shape else x.reshape(shape)


# ------------------------------------------------------------------------------------------- other products


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


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """Inner products along one axis: y[...] = sum_i x1[..., i] x2[..., i].

    x1, x2: real dtype; all axes but ``axis`` (counted from the right) broadcast. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.vecdot(ag.tensor([[1.0, 2.0], [0.0, 1.0]]), ag.tensor([3.0, 4.0]))
    tensor([11.,  4.])
    """
    x1, x2 = promoted("vecdot", (x1, x2))
    if x1.dtype.kind == "c":
        raise DTypeError(f"vecdot: takes real operands, got {x1.dtype}; write ag.einsum('...i,...i->...', x1, x2)")
    n1, n2 = len(x1.shape), len(x2.shape)
    axis1, axis2 = normalize_axis("vecdot", axis, n1) - n1, normalize_axis("vecdot", axis, n2) - n2
    if axis1 != axis2 or x1.shape[axis1] != x2.shape[axis2]:
        raise ShapeError(
            f"vecdot: shapes {x1.shape} and {x2.shape} with axis={axis}: the axes summed together must have one length "
            "and one place from the right; write a negative axis"
        )
    return (x1 * x2).sum(axis=axis1, dtype=x1.dtype)


def outer(x1: Any, x2: Any, /) -> Any:
    """All products of two vectors: y[i, j] = x1[i] x2[j].

    x1: (n,); x2: (m,). Python array API standard (linalg).

    >>> import autograd_core as ag
    >>> ag.outer(ag.tensor([1.0, 2.0]), ag.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    x1, x2 = promoted("outer", (x1, x2))
    if len(x1.shape) != 1 or len(x2.shape) != 1:
        raise ShapeError(f"outer: takes two vectors, got shapes {x1.shape} and {x2.shape}; flatten with x.ravel()")
    return x1.reshape(x1.shape[0], 1) * x2


def kron(x1: Any, x2: Any, /) -> Any:
    """Kronecker product: x1 with every element replaced by its product with all of x2.

    y has the lengths of x1 times those of x2, axis by axis from the right. NumPy; PyTorch.

    >>> import autograd_core as ag
    >>> ag.kron(ag.tensor([1.0, 10.0]), ag.tensor([1.0, 2.0]))
    tensor([ 1.,  2., 10., 20.])
    """
    x1, x2 = promoted("kron", (x1, x2))
    ndim = max(len(x1.shape), len(x2.shape))
    shape1 = (1,) * (ndim - len(x1.shape)) + x1.shape
    shape2 = (1,) * (ndim - len(x2.shape)) + x2.shape
    y = x1.reshape(tuple(n for length in shape1 for n in (length, 1)))
    y = y * x2.reshape(tuple(n for length in shape2 for n in (1, length)))
    return y.reshape(tuple(n * m for n, m in zip(shape1, shape2)))


# ------------------------------------------------------------------------------------------- norms

norm_p = general(
    "norm",
    lambda xp, x, *, axis, keepdims: xp.sqrt(xp.sum(x * x, axis=axis, keepdims=keepdims)),
    lambda x, *, axis, keepdims: Aval(reduced_shape(x.shape, axis, keepdims), x.dtype),
    vjp=(
        # x / |x|, and 0 where the norm is 0: of its subgradients the one that moves nothing
        lambda g, x, y, axis, keepdims: expand_reduced(where(y == 0, 0, g / y), x.shape, axis, keepdims) * x,
    ),
)


def norm(x: Any, /, ord: float = 2, axis: Axis = None, keepdims: bool = False) -> Any:
    """Vector norm over ``axis`` (all axes by default, as one vector): y = (sum |x|^ord)^(1 / ord).

    ord: 2; inf and -inf for the largest and smallest magnitude, 0 for the number of nonzero elements, any other number
    as in the formula. x: real, integers as float32. The gradient where the norm is 0 is 0, not NaN.
    For matrix norms write the formula. Python array API standard (linalg.vector_norm).

    >>> import autograd_core as ag
    >>> ag.norm(ag.tensor([3.0, 4.0])), ag.norm(ag.tensor([3.0, -4.0]), ord=1)
    (tensor(5.), tensor(7.))
    """
    x = to_float(as_tensor("norm", x))
    if x.dtype.kind == "c":
        raise DTypeError(f"norm: takes real numbers, got {x.dtype}; write ag.norm(ag.abs(x)) for complex ones")
    if not isinstance(ord, (int, float)):
        raise ArgumentError(f"norm: ord must be a number (2, 1, inf, ...), got {ord!r}")
    axes = normalize_axes("norm", axis, len(x.shape))
    if ord == 2:
        return bind(norm_p, (x,), {"axis": axes, "keepdims": keepdims})
    if ord == math.inf:
        return x.abs().max(axis=axes, keepdims=keepdims)
    if ord == -math.inf:
        return x.abs().min(axis=axes, keepdims=keepdims)
    if ord == 0:
        return (x != 0).astype(x.dtype).sum(axis=axes, keepdims=keepdims)
    if ord == 1:
        return x.abs().sum(axis=axes, keepdims=keepdims)
    total = x.abs().pow(ord).sum(axis=axes, keepdims=keepdims)
    return where(total == 0, 0, where(total == 0, 1, total).pow(1 / ord))
