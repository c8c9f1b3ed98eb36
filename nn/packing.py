"""Sequences of different lengths in one batch: padded to one length, or packed step by step without padding.

A packed batch holds its steps in the order of time: first every sequence's step 0, then the step 1 of those that have
one, and so on; sequences are sorted by falling length, so that each step's ones are the first of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from autograd_core.aval import DEFAULT_INT
from autograd_core.errors import ArgumentError, DataError, ShapeError
from autograd_core.ops import creation, indexing, joining, sorting
from autograd_core.tensor import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence(NamedTuple):
    """A batch of sequences without padding, as ``pack_padded_sequence`` makes it; recurrent layers take and return it.

    data: (sum of lengths, ...). batch_sizes: (T,) int64 on the host, how many sequences have each step.
    sorted_indices, unsorted_indices: (B,) int64, the order by falling length and its inverse; None if sorted before.
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    def to(self, *targets: Any, **named: Any) -> PackedSequence:
        """``data`` on another device or in another dtype; arguments as for ``Tensor.to``."""
        data = self.data.to(*targets, **named)
        indices = [None if v is None else v.to(device=data.device) for v in self[2:]]
        return PackedSequence(data, self.batch_sizes, *indices)


def positions(batch_sizes: Tensor) -> np.ndarray:
    """Where the rows of a packed batch stand in the padded one, (T, B) without its axes."""
    sizes = batch_sizes.numpy()
    return np.flatnonzero(np.arange(sizes[0]) < sizes[:, None])


def lengths_of(batch_sizes: Tensor) -> np.ndarray:
    """The sequences' lengths in the packed order: falling."""
    sizes = batch_sizes.numpy()
    return (np.arange(sizes[0])[:, None] < sizes).sum(axis=1)


def packed_rows(padded: Tensor, batch_sizes: Tensor) -> Tensor:
    """(T, B, ...) -> (sum of lengths, ...)."""
    length, batch, *rest = padded.shape
    index = creation.asarray(positions(batch_sizes), device=padded.device)
    return indexing.take(padded.reshape(length * batch, *rest), index, axis=0)


def padded_rows(data: Tensor, batch_sizes: Tensor, length: int, value: float = 0.0) -> Tensor:
    """(sum of lengths, ...) -> (length, B, ...), ``value`` where a sequence has ended."""
    batch, rest = int(batch_sizes.numpy()[0]), data.shape[1:]
    empty = creation.full((length * batch, *rest), value, dtype=data.dtype, device=data.device)
    index = creation.asarray(positions(batch_sizes), device=data.device)
    return empty.at[index].set(data).reshape(length, batch, *rest)


def _checked_lengths(op: str, lengths: Any, batch: int, longest: int) -> np.ndarray:
    values = np.asarray(lengths.numpy() if isinstance(lengths, Tensor) else lengths)
    if values.dtype.kind not in "iu":
        raise ArgumentError(f"{op}: lengths must be integers, got {values.dtype}; write lengths.astype('int64')")
    if values.shape != (batch,):
        raise ShapeError(f"{op}: lengths must have shape {(batch,)}, one for each sequence, got {values.shape}")
    wrong = np.flatnonzero((values < 1) | (values > longest))
    if wrong.size:
        i = int(wrong[0])
        raise DataError(
            f"{op}: length {values[i]} of sequence {i} is not between 1 and {longest}, the padded length"
            + ("" if values[i] else "; leave out empty sequences")
        )
    return values.astype(DEFAULT_INT)


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack a padded batch: what lies beyond a sequence's length is left out.

    input: (T, B, ...), or (B, T, ...) with batch_first. lengths: (B,) integers from 1 to T. enforce_sorted: whether the
    sequences must come by falling length; with False they are sorted here, and sorted back by whoever unpacks them.
    ShapeError, DataError and ArgumentError name the sequence. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> x = ag.tensor([[1.0, 4.0], [2.0, 0.0], [3.0, 0.0]])
    >>> packed = nn.utils.rnn.pack_padded_sequence(x, [3, 1])
    >>> packed.data, packed.batch_sizes
    (tensor([1., 4., 2., 3.]), tensor([2, 1, 1]))
    """
    op = "pack_padded_sequence"
    x = creation.asarray(input)
    if len(x.shape) < 2:
        raise ShapeError(f"{op}: input must be (T, B, ...), or (B, T, ...) with batch_first; got shape {x.shape}")
    x = x.swapaxes(0, 1) if batch_first else x
    values = _checked_lengths(op, lengths, x.shape[1], x.shape[0])
    if not values.size:
        raise ShapeError(f"{op}: input of shape {x.shape} holds no sequence (B = 0)")
    order = inverse = None
    falling = np.argsort(-values, kind="stable")
    if not enforce_sorted:
        order = creation.asarray(falling, device=x.device)
        inverse = creation.asarray(np.argsort(falling), device=x.device)
        x, values = indexing.take(x, order, axis=1), values[falling]
    elif (np.diff(values) > 0).any():
        i = int(np.flatnonzero(np.diff(values) > 0)[0])
        raise ArgumentError(
            f"{op}: lengths must fall, but sequence {i} of length {values[i]} stands before one of length "
            f"{values[i + 1]}; sort the batch, or pass enforce_sorted=False"
        )
    sizes = creation.asarray((values > np.arange(values[0])[:, None]).sum(axis=1), device="cpu")
    return PackedSequence(packed_rows(x[: int(values[0])], sizes), sizes, order, inverse)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """Undo ``pack_padded_sequence``: the padded batch, (T, B, ...) or with batch_first (B, T, ...), and its lengths.

    The sequences come in the order in which they were packed. padding_value: what stands beyond a length. total_length:
    T, by default the longest length (ArgumentError if less). PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.nn.utils import rnn
    >>> packed = rnn.pack_sequence([ag.tensor([1.0, 2.0]), ag.tensor([3.0])])
    >>> rnn.pad_packed_sequence(packed, batch_first=True)
    (tensor([[1., 2.],
            [3., 0.]]), tensor([2, 1]))
    """
    length = sequence.batch_sizes.shape[0]
    if total_length is not None and total_length < length:
        raise ArgumentError(
            f"pad_packed_sequence: total_length={total_length} is less than the longest sequence's length {length}"
        )
    y = padded_rows(sequence.data, sequence.batch_sizes, total_length or length, padding_value)
    lengths = creation.asarray(lengths_of(sequence.batch_sizes), device="cpu")
    if sequence.unsorted_indices is not None:
        y = indexing.take(y, sequence.unsorted_indices, axis=1)
        lengths = indexing.take(lengths, sequence.unsorted_indices.to(device="cpu"), axis=0)
    return y.swapaxes(0, 1) if batch_first else y, lengths


def pad_sequence(
    sequences: Sequence[Any], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Sequences (T_i, ...) as one batch (T, B, ...), or (B, T, ...) with batch_first, T the longest length.

    padding_value stands after the shorter ones, or before them with padding_side="left". ShapeError where the other
    axes differ. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.nn.utils.rnn import pad_sequence
    >>> pad_sequence([ag.tensor([1.0, 2.0]), ag.tensor([3.0])], batch_first=True)
    tensor([[1., 2.],
            [3., 0.]])
    """
    op = "pad_sequence"
    if padding_side not in ("left", "right"):
        raise ArgumentError(f"{op}: padding_side must be 'left' or 'right', got {padding_side!r}")
    tensors = [creation.asarray(x) for x in sequences]
    if not tensors:
        raise ArgumentError(f"{op}: there are no sequences")
    shapes = [x.shape for x in tensors]
    if any(not shape or shape[1:] != shapes[0][1:] for shape in shapes):
        raise ShapeError(f"{op}: sequences are (T_i, ...), equal but for T_i; got {', '.join(map(str, shapes))}")
    longest = max(shape[0] for shape in shapes)

    def padded(x: Tensor) -> Tensor:
        missing = (longest - x.shape[0], *x.shape[1:])
        filling = creation.full(missing, padding_value, dtype=x.dtype, device=x.device)
        return joining.concat([x, filling] if padding_side == "right" else [filling, x]) if missing[0] else x

    return joining.stack([padded(x) for x in tensors], axis=0 if batch_first else 1)


def pack_sequence(sequences: Sequence[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences (T_i, ...); enforce_sorted and errors as for ``pack_padded_sequence``. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.nn.utils.rnn import pack_sequence
    >>> pack_sequence([ag.tensor([3.0]), ag.tensor([1.0, 2.0])], enforce_sorted=False).data
    tensor([1., 3., 2.])
    """
    tensors = [creation.asarray(x) for x in sequences]
    lengths = [x.shape[0] if x.shape else 0 for x in tensors]
    return pack_padded_sequence(pad_sequence(tensors), lengths, enforce_sorted=enforce_sorted)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """Undo ``pad_sequence``: the sequences (T_i, ...) of a padded batch. Arguments as for ``pack_padded_sequence``.

    >>> import autograd_core as ag
    >>> from autograd_core.nn.utils.rnn import unpad_sequence
    >>> unpad_sequence(ag.tensor([[1.0, 2.0], [3.0, 0.0]]), [2, 1], batch_first=True)
    [tensor([1., 2.]), tensor([3.])]
    """
    x = creation.asarray(padded_sequences)
    if len(x.shape) < 2:
        raise ShapeError(f"unpad_sequence: takes (T, B, ...), or (B, T, ...) with batch_first; got shape {x.shape}")
    x = x if batch_first else x.swapaxes(0, 1)
    values = _checked_lengths("unpad_sequence", lengths, x.shape[0], x.shape[1])
    return [row[: int(n)] for row, n in zip(joining.unstack(x), values)]


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Undo ``pack_sequence``: the sequences (T_i, ...) of a packed batch, in the order in which they were packed.

    >>> import autograd_core as ag
    >>> from autograd_core.nn.utils.rnn import pack_sequence, unpack_sequence
    >>> unpack_sequence(pack_sequence([ag.tensor([3.0]), ag.tensor([1.0, 2.0])], enforce_sorted=False))
    [tensor([3.]), tensor([1., 2.])]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


def invert_permutation(permutation: Any) -> Tensor | None:
    """The order that undoes an order: y[permutation[i]] = i, int64. None stays None.

    >>> import autograd_core as ag
    >>> from autograd_core.nn.utils.rnn import invert_permutation
    >>> invert_permutation(ag.tensor([2, 0, 1]))
    tensor([1, 2, 0])
    """
    if permutation is None:
        return None
    order = creation.asarray(permutation)
    if order.dtype.kind not in "iu" or len(order.shape) != 1 or sorted(order.tolist()) != list(range(order.size)):
        raise ArgumentError(f"invert_permutation: takes each of 0 to n - 1 once, (n,), got {order!r}")
    return sorting.argsort(order)
