"""Rows of tables: embeddings, bags of embeddings, one-hot vectors. PyTorch's names, arguments and defaults.

Indices are checked before anything is computed, and the first wrong one is named with its place.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..aval import DEFAULT_INT
from ..errors import ArgumentError, DataError, DTypeError, ShapeError
from ._apply import as_tensor, check_devices, examine, require_integer, to_float
from .creation import arange, zeros
from .indexing import take
from .linear_algebra import norm
from .scans import cumulative_sum
from .selection import clip, maximum, where
from .shaping import expand_dims

__all__ = ["embedding", "embedding_bag", "one_hot"]


def checked_indices(op: str, input: Any, size: int, of: str, like: Any = None) -> Any:
    """Integers in [0, size) as a tensor, or DataError naming the first that is not, and where."""
    indices = as_tensor(op, input, like)
    if indices.dtype.kind not in "iu":
        raise DTypeError(f"{op}: indices must be integers, got {indices.dtype}; write x.astype('int64')")

    def check(values: np.ndarray) -> None:
        if values.size and (values.min() < 0 or values.max() >= size):
            at = tuple(int(i) for i in np.argwhere((values < 0) | (values >= size))[0])
            place = f" at {at if len(at) != 1 else at[0]}" if at else ""
            raise DataError(f"{op}: index {values[at]}{place} is outside {of}: use 0 to {size - 1}")

    examine(indices, check)
    return indices


def padding_index(op: str, padding_idx: Any, size: int) -> int:
    """``padding_idx`` counted from the front; ArgumentError if there is no such row."""
    if isinstance(padding_idx, bool) or not isinstance(padding_idx, int) or not -size <= padding_idx < size:
        raise ArgumentError(f"{op}: padding_idx must be an int from {-size} to {size - 1}, got {padding_idx!r}")
    return padding_idx % size


def _table(op: str, weight: Any, sparse: bool) -> Any:
    weight = as_tensor(op, weight)
    if len(weight.shape) != 2:
        raise ShapeError(f"{op}: weight must be (num_embeddings, embedding_dim), got shape {weight.shape}")
    if sparse:
        raise ArgumentError(f"{op}: gradients are dense tensors here; write sparse=False")
    return weight


def _rows(
    op: str, indices: Any, weight: Any, max_norm: float | None, norm_type: float, scale_grad_by_freq: bool
) -> Any:
    """weight[indices], after ``max_norm`` and with the gradients that ``scale_grad_by_freq`` asks for."""
    if max_norm is not None:
        _limit_rows(op, indices, weight, max_norm, norm_type)
    rows = take(weight, indices, axis=0)
    if not scale_grad_by_freq:
        return rows
    counts = zeros(weight.shape[0], dtype=rows.dtype, device=rows.device).at[indices].add(1)
    scaled = rows / expand_dims(take(counts, indices, axis=0), axis=-1)
    return rows.detach() + (scaled - scaled.detach())  # the value of the rows, the derivative of the scaled ones


def _limit_rows(op: str, indices: Any, weight: Any, max_norm: float, norm_type: float) -> None:
    if not hasattr(weight, "assign_"):
        raise ArgumentError(
            f"{op}: max_norm changes rows of weight, which must be a variable: write nn.Parameter(weight)"
        )
    flat = indices.reshape(-1)
    rows = take(weight.detach(), flat, axis=0)
    length = norm(rows, ord=norm_type, axis=1, keepdims=True)
    limited = where(length > max_norm, rows * (max_norm / (length + 1e-7)), rows)
    weight.assign_(weight.detach().at[flat].set(limited))


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """Rows of a table: y[..., :] = weight[input[...], :].

    input: integers of any shape; weight: (num_embeddings, embedding_dim). padding_idx: the row that gets no gradient.
    max_norm: rows that are looked up and longer (in the ``norm_type`` norm) are first shortened to it, in ``weight``
    itself, which must be a variable. scale_grad_by_freq: gradients are divided by how often their row occurs in
    ``input``. sparse must be False. DataError for an index outside the table, DTypeError for indices that are not
    integers. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.embedding import embedding
    >>> embedding(ag.tensor([2, 0]), ag.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    tensor([[5., 6.],
            [1., 2.]])
    """
    op = "embedding"
    weight = _table(op, weight, sparse)
    size = weight.shape[0]
    indices = checked_indices(op, input, size, f"the vocabulary of {size} embeddings", weight)
    check_devices(op, (indices, weight))
    if padding_idx is not None:
        padding_idx = padding_index(op, padding_idx, size)
    y = _rows(op, indices, weight, max_norm, norm_type, scale_grad_by_freq)
    return y if padding_idx is None else where(expand_dims(indices == padding_idx, axis=-1), y.detach(), y)


# ------------------------------------------------------------------------------------------- bags


def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """Sums, means or maxima of the rows of bags: y[b, :] = sum over i in bag b of w_i weight[input[i], :].

    input: (B, L), a bag a row; or (L,) with ``offsets`` (B,), where bag b starts (the first at 0; with
    ``include_last_offset`` one more, where the last ends). weight: (num_embeddings, D); y: (B, D), 0 for empty bags.
    mode: "sum", "mean", "max" (whose gradient equal maxima share). per_sample_weights w: of the shape of input, for
    "sum" alone. padding_idx: the row that counts in no bag. max_norm, norm_type, scale_grad_by_freq, sparse: as for
    ``embedding``. Errors name what does not fit. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.embedding import embedding_bag
    >>> table = ag.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> embedding_bag(ag.tensor([2, 0, 1]), table, ag.tensor([0, 2]), mode="sum")
    tensor([[6., 8.],
            [3., 4.]])
    """
    op = "embedding_bag"
    if mode not in ("sum", "mean", "max"):
        raise ArgumentError(f"{op}: mode must be 'sum', 'mean' or 'max', got {mode!r}")
    weight = to_float(_table(op, weight, sparse))
    size = weight.shape[0]
    indices = checked_indices(op, input, size, f"the vocabulary of {size} embeddings", weight)
    check_devices(op, (indices, weight))
    offsets = None if offsets is None else as_tensor(op, offsets, weight)
    _check_bags(op, indices, offsets, mode, per_sample_weights)
    counted = None if padding_idx is None else indices != padding_index(op, padding_idx, size)
    rows = _rows(op, indices, weight, max_norm, norm_type, scale_grad_by_freq)
    if per_sample_weights is not None:
        w = as_tensor(op, per_sample_weights, weight)
        if w.shape != indices.shape:
            raise ShapeError(f"{op}: per_sample_weights has shape {w.shape}, input {indices.shape}; they must be equal")
        rows = rows * expand_dims(w.astype(rows.dtype), axis=-1)
    if offsets is not None:
        return _ragged(op, rows, counted, offsets.astype(DEFAULT_INT), mode, include_last_offset)
    return _reduced_bags(rows, counted, mode)


def _check_bags(op: str, indices: Any, offsets: Any, mode: str, weights: Any) -> None:
    if weights is not None and mode != "sum":
        raise ArgumentError(f"{op}: per_sample_weights go with mode='sum', not {mode!r}")
    if len(indices.shape) == 2:
        if offsets is not None:
            raise ArgumentError(f"{op}: input {indices.shape} holds a bag a row; offsets are for input of one axis")
    elif len(indices.shape) != 1:
        raise ShapeError(f"{op}: input must be (B, L), or (L,) with offsets, got shape {indices.shape}")
    elif offsets is None:
        raise ArgumentError(f"{op}: input of one axis needs offsets, where each bag starts; or write input[None, :]")
    else:
        check_devices(op, (indices, offsets))
        require_integer(op, "offsets", offsets)
        if len(offsets.shape) != 1:
            raise ShapeError(f"{op}: offsets must have one axis, got shape {offsets.shape}")


def _reduced_bags(rows: Any, counted: Any, mode: str) -> Any:
    """Over axis 1 of rows (B, L, D); ``counted`` (B, L) says which ones count, None: all."""
    length = rows.shape[1]
    if not length:
        return rows.sum(axis=1)
    if mode == "max":
        if counted is None:
            return rows.max(axis=1)
        mask = expand_dims(counted, axis=-1)
        highest = where(mask, rows, -np.inf).max(axis=1)
        return where(mask.any(axis=1), highest, 0)
    kept = rows if counted is None else where(expand_dims(counted, axis=-1), rows, 0)
    total = kept.sum(axis=1)
    if mode == "sum":
        return total
    if counted is None:
        return total / length
    return total / maximum(counted.astype(rows.dtype).sum(axis=1, keepdims=True), 1)


def _ragged(op: str, rows: Any, counted: Any, offsets: Any, mode: str, include_last_offset: bool) -> Any:
    n, width = rows.shape
    longest = examine(offsets, lambda values: _longest_bag(op, values, n, include_last_offset))
    starts = offsets[:-1] if include_last_offset else offsets
    n_bags = starts.shape[0]
    if mode == "max":
        ends = offsets[1:] if include_last_offset else _with_end(offsets, n)
        places = expand_dims(starts, axis=1) + arange(longest, dtype=DEFAULT_INT, device=rows.device)
        inside = places < expand_dims(ends, axis=1)
        if not n:
            return zeros((n_bags, width), dtype=rows.dtype, device=rows.device)
        places = clip(places, None, n - 1)
        if counted is not None:
            inside = inside & take(counted, places, axis=0)
        return _reduced_bags(take(rows, places, axis=0), inside, mode)
    marks = zeros(n + 1, dtype=DEFAULT_INT, device=rows.device).at[starts].add(1)
    bags = (cumulative_sum(marks) - 1)[:n]
    ones = rows.new_ones((n, 1)) if counted is None else expand_dims(counted, axis=-1).astype(rows.dtype)
    kept = rows if counted is None else where(expand_dims(counted, axis=-1), rows, 0)
    total = zeros((n_bags, width), dtype=rows.dtype, device=rows.device).at[bags].add(kept)
    if mode == "sum":
        return total
    counts = zeros((n_bags, 1), dtype=rows.dtype, device=rows.device).at[bags].add(ones)
    return total / maximum(counts, 1)


def _with_end(offsets: Any, n: int) -> Any:
    return zeros(offsets.shape, dtype=DEFAULT_INT, device=offsets.device).at[:-1].set(offsets[1:]).at[-1].set(n)


def _longest_bag(op: str, offsets: np.ndarray, n: int, include_last_offset: bool) -> int:
    """The length of the longest bag; errors for offsets that are none."""
    if not offsets.shape[-1]:
        if include_last_offset:
            raise ArgumentError(f"{op}: with include_last_offset, offsets hold at least one number")
        if n:
            raise DataError(f"{op}: there are no offsets, but input holds {n} indices")
        return 0
    ends = (
        offsets[..., 1:]
        if include_last_offset
        else np.concatenate([offsets[..., 1:], np.full((*offsets.shape[:-1], 1), n)], axis=-1)
    )
    lengths = ends - offsets[..., : ends.shape[-1]]
    if (offsets[..., 0] != 0).any() or (lengths < 0).any() or (include_last_offset and (offsets[..., -1] != n).any()):
        last = f" and end with the length of input, {n}" if include_last_offset else ""
        raise DataError(
            f"{op}: offsets must start with 0, never decrease{last}, and stay within 0 to {n}; got {offsets.tolist()}"
        )
    return int(lengths.max(initial=0))


# ------------------------------------------------------------------------------------------- one-hot


def one_hot(input: Any, num_classes: int = -1) -> Any:
    """For every label a vector of zeros with a 1 at its place: (...) -> (..., num_classes), int64.

    num_classes: -1 takes the largest label + 1. DataError for a label outside. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.embedding import one_hot
    >>> one_hot(ag.tensor([0, 2]), 3)
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    labels = as_tensor("one_hot", input)
    if num_classes == -1:
        if not labels.size:
            raise ArgumentError("one_hot: num_classes cannot be taken from labels of no elements; give it")
        num_classes = examine(labels, lambda values: int(values.max())) + 1
    labels = checked_indices("one_hot", labels, num_classes, f"{num_classes} classes").astype(DEFAULT_INT)
    classes = arange(num_classes, dtype=DEFAULT_INT, device=labels.device)
    return (expand_dims(labels, axis=-1) == classes).astype(DEFAULT_INT)
