"""Distances and angles between vectors, and what is made with them: unit vectors, bilinear forms. PyTorch's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..aval import broadcast_shapes, normalize_axis
from ..errors import ArgumentError, DTypeError, ShapeError
from ._apply import as_tensor, promoted, to_float
from .creation import asarray
from .linear_algebra import norm
from .selection import maximum, where
from .shaping import expand_dims

__all__ = ["cosine_similarity", "pairwise_distance", "pdist", "cdist", "normalize", "bilinear"]


def _real(op: str, *operands: Any) -> list[Any]:
    given = promoted(op, operands, floating=True)
    if given[0].dtype.kind == "c":
        raise DTypeError(f"{op}: takes real vectors, got {given[0].dtype}")
    return given


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """Cosine of the angle between vectors along ``dim``: x1 . x2 / (max(|x1|, eps) max(|x2|, eps)).

    x1, x2: real, integers as float32; shapes broadcast; ``dim`` (counted in the broadcast shape) is gone from the
    result. eps: keeps the quotient finite at the zero vector. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.distances import cosine_similarity
    >>> cosine_similarity(ag.tensor([[1.0, 0.0]]), ag.tensor([[2.0, 2.0]]))
    tensor([0.70710677])
    """
    x1, x2 = _real("cosine_similarity", x1, x2)
    shape = broadcast_shapes("cosine_similarity", x1.shape, x2.shape)
    axis = normalize_axis("cosine_similarity", dim, len(shape)) - len(shape)
    x1, x2 = x1.broadcast_to(shape), x2.broadcast_to(shape)
    lengths = maximum(norm(x1, axis=axis), eps) * maximum(norm(x2, axis=axis), eps)
    return (x1 * x2).sum(axis=axis) / lengths


def _length(x: Any, p: float, keepdims: bool = False) -> Any:
    """The p-norm along the last axis; an element of 0 has slope 0 also for p < 2, when |x|^p is not smooth there."""
    if p == 1 or not 0 < p < 2:
        return norm(x, ord=p, axis=-1, keepdims=keepdims)
    size = x.abs()
    powers = where(size == 0, 0, where(size == 0, 1, size).pow(p))
    total = powers.sum(axis=-1, keepdims=keepdims)
    return where(total == 0, 0, where(total == 0, 1, total).pow(1 / p))


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """Distance of vectors along the last axis: ||x1 - x2 + eps||_p.

    x1, x2: (N, D), (D,) or shapes that broadcast to (..., D); y: (...), with ``keepdim`` (..., 1). eps keeps the
    derivative finite where the vectors are equal. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.distances import pairwise_distance
    >>> pairwise_distance(ag.tensor([[3.0, 0.0]]), ag.tensor([[0.0, 4.0]]), eps=0.0)
    tensor([5.])
    """
    x1, x2 = _real("pairwise_distance", x1, x2)
    shape = broadcast_shapes("pairwise_distance", x1.shape, x2.shape)
    if not shape:
        raise ShapeError("pairwise_distance: x1 and x2 are vectors along the last axis, got 0-d tensors")
    return _length(x1 - x2 + eps, p, keepdim)


def _check_order(op: str, p: float) -> None:
    if not p >= 0:
        raise ArgumentError(f"{op}: p is the order of a norm, at least 0, got {p!r}")


def pdist(input: Any, p: float = 2.0) -> Any:
    """Distances of all pairs of rows: y[k] = ||x_i - x_j||_p for i < j, row by row of the upper triangle.

    input: (N, D); y: (N (N - 1) / 2,). The gradient between equal rows is 0. ArgumentError for p < 0. PyTorch; SciPy.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.distances import pdist
    >>> pdist(ag.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]))
    tensor([5.       , 1.       , 4.2426405])
    """
    (x,) = _real("pdist", input)
    _check_order("pdist", p)
    if len(x.shape) != 2:
        raise ShapeError(f"pdist: input must be (N, D), got shape {x.shape}")
    first, second = (asarray(places, device=x.device) for places in np.triu_indices(x.shape[0], 1))
    return _length(x[first] - x[second], p)


def cdist(x1: Any, x2: Any, p: float = 2.0) -> Any:
    """Distances of all rows of x1 from all rows of x2: y[..., i, j] = ||x1_i - x2_j||_p.

    x1: (..., P, D), x2: (..., R, D), the leading axes broadcast; y: (..., P, R). Made of the differences, so that small
    distances keep their digits; that takes memory for (..., P, R, D). The gradient between equal rows is 0.
    ArgumentError for p < 0, ShapeError for unequal D. PyTorch.

    >>> import autograd_core as ag
    >>> ag.cdist(ag.tensor([[0.0, 0.0], [3.0, 0.0]]), ag.tensor([[0.0, 4.0]]))
    tensor([[4.],
            [5.]])
    """
    x1, x2 = _real("cdist", x1, x2)
    _check_order("cdist", p)
    if len(x1.shape) < 2 or len(x2.shape) < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(f"cdist: takes (..., P, D) and (..., R, D), got shapes {x1.shape} and {x2.shape}")
    return _length(expand_dims(x1, axis=-2) - expand_dims(x2, axis=-3), p)


def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Any:
    """Vectors along ``dim`` divided by their p-norm: y = x / max(||x||_p, eps). Integers as float32. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.distances import normalize
    >>> normalize(ag.tensor([[3.0, 4.0]]))
    tensor([[0.6, 0.8]])
    """
    x = to_float(as_tensor("normalize", input))
    return x / maximum(norm(x, ord=p, axis=dim, keepdims=True), eps)


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """Bilinear form: y[..., o] = sum_ij input1[..., i] weight[o, i, j] input2[..., j] + bias[o].

    input1: (..., I), input2: (..., J), leading axes equal; weight: (O, I, J); bias: (O,) or None; y: (..., O).
    ShapeError where they do not fit. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.distances import bilinear
    >>> bilinear(ag.tensor([[1.0, 2.0]]), ag.tensor([[3.0]]), ag.ones((1, 2, 1)))
    tensor([[9.]])
    """
    op = "bilinear"
    operands = [v for v in (input1, input2, weight, bias) if v is not None]
    x1, x2, w, *rest = promoted(op, operands, floating=True)
    if (
        len(w.shape) != 3
        or not x1.shape
        or not x2.shape
        or x1.shape[:-1] != x2.shape[:-1]
        or (x1.shape[-1], x2.shape[-1]) != w.shape[1:]
    ):
        raise ShapeError(
            f"{op}: takes (..., I), (..., J) and weight (O, I, J), got shapes {x1.shape}, {x2.shape} and {w.shape}"
        )
    n_out, n1, n2 = w.shape
    if rest and rest[0].shape != (n_out,):
        raise ShapeError(f"{op}: bias must have shape {(n_out,)} for weight {w.shape}, got {rest[0].shape}")
    inner = (x2 @ w.reshape((n_out * n1, n2)).mT).reshape((*x2.shape[:-1], n_out, n1))
    y = (inner @ expand_dims(x1, axis=-1)).squeeze(-1)
    return y + rest[0] if rest else y
