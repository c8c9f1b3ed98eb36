"""Datasets: what has a length and gives a whole batch for an array of indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from autograd_core.errors import ArgumentError, DataError, DTypeError, ShapeError

from .checks import positions

Batch = tuple[np.ndarray, ...]


@runtime_checkable
class Dataset(Protocol):
    """Anything with ``len(dataset)`` and ``dataset[indices]``.

    ``dataset[i]`` with an integer gives one item, a tuple of its fields; ``dataset[indices]`` with an integer array
    of shape ``(B,)`` gives a batch, a tuple of arrays with first axis B. The loader asks once for a batch, never
    once for an item. Something that only gives single items is wrapped in :class:`ItemDataset`.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Batch: ...


class ArrayDataset:
    """Arrays in memory (or memory-mapped) whose first axis counts the items.

    ``arrays``: one or more of shape ``(N, ...)``, any dtype except object; they are not copied. ``classes`` are the
    names of the labels, kept for pictures and tables. An integer gives one item, an array of integers a copied batch,
    a slice a view.

    Raises ShapeError when the first axes differ, DTypeError for object arrays, ArgumentError without arrays,
    DatasetIndexError (an IndexError) for an index out of range.

    >>> data = ArrayDataset(np.eye(3, dtype=np.float32), [0, 1, 2])
    >>> images, labels = data[np.array([2, 0])]
    >>> images.shape, labels
    ((2, 3), array([2, 0]))
    """

    def __init__(self, *arrays: ArrayLike, classes: Sequence[str] | None = None) -> None:
        if not arrays:
            raise ArgumentError("ArrayDataset needs at least one array, as in ArrayDataset(images, labels)")
        self.arrays: Batch = tuple(_as_array(array, place) for place, array in enumerate(arrays))
        self.classes = None if classes is None else tuple(classes)
        if len({len(array) for array in self.arrays}) > 1:
            shapes = ", ".join(str(array.shape) for array in self.arrays)
            raise ShapeError(
                f"ArrayDataset needs arrays with equal first axes, one entry an item; got the shapes {shapes}"
            )

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any, /) -> Batch:
        if not isinstance(index, slice):
            index = positions(index, len(self))
        return tuple(array[index] for array in self.arrays)

    def __repr__(self) -> str:
        fields = ", ".join(f"{array.dtype}{list(array.shape[1:])}" for array in self.arrays)
        return f"ArrayDataset({len(self)} items of {fields})"


class Subset:
    """The items of a dataset at some indices, in that order.

    ``indices``: integers of shape ``(M,)``, or a boolean mask of shape ``(N,)``. A subset of a subset refers to the
    innermost dataset, so a chain of splits costs one lookup. Raises DatasetIndexError for an index out of range.

    >>> evens = Subset(ArrayDataset(np.arange(10)), [0, 2, 4])
    >>> len(evens), evens[np.array([-1, 0])]
    (3, (array([4, 0]),))
    """

    def __init__(self, dataset: Dataset, indices: ArrayLike) -> None:
        chosen = positions(indices, len(dataset))
        if chosen.ndim != 1:
            raise ShapeError(f"Subset needs indices of shape (M,), got {chosen.shape}")
        inner = dataset if isinstance(dataset, Subset) else None
        self.dataset: Dataset = dataset if inner is None else inner.dataset
        self.indices: np.ndarray = chosen if inner is None else inner.indices[chosen]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any, /) -> Batch:
        return self.dataset[self.indices[positions(index, len(self))]]

    def __repr__(self) -> str:
        return f"Subset({len(self)} items of {self.dataset!r})"


class ItemDataset:
    """Items that exist one at a time (files in a folder, a PyTorch-style dataset), stacked into batches.

    ``items`` has a length and gives, for an integer, an array or a tuple of arrays and numbers. Field j of a batch
    of B items has shape ``(B, *shape_j)``: the items of one batch must have equal shapes. Raises DataError otherwise.

    >>> squares = ItemDataset([(float(i), i * i) for i in range(5)])
    >>> squares[np.array([1, 3])]
    (array([1., 3.]), array([1, 9]))
    """

    def __init__(self, items: Any) -> None:
        if not (hasattr(items, "__len__") and hasattr(items, "__getitem__")):
            raise ArgumentError(f"ItemDataset needs items with len() and items[i], got {type(items).__name__}")
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Any, /) -> Batch:
        chosen = positions(index, len(self))
        if chosen.ndim == 0:
            return self._fields(int(chosen))
        if chosen.size == 0:
            raise DataError("ItemDataset cannot know the shapes of a batch without items: index at least one")
        rows = [self._fields(i) for i in chosen.tolist()]
        for i, row in zip(chosen.tolist(), rows):
            if [field.shape for field in row] != [field.shape for field in rows[0]]:
                raise DataError(
                    f"items of one batch must have equal shapes: item {chosen[0]} has {_shapes(rows[0])}, "
                    f"item {i} has {_shapes(row)}; pad or crop them where they are made"
                )
        return tuple(np.stack(field) for field in zip(*rows))

    def _fields(self, i: int) -> Batch:
        item = self.items[i]
        return tuple(np.asarray(field) for field in (item if isinstance(item, tuple | list) else (item,)))


def _shapes(row: Batch) -> str:
    return ", ".join(str(field.shape) for field in row)


def _as_array(array: ArrayLike, place: int) -> np.ndarray:
    try:
        result = np.asarray(array)
    except ValueError as error:
        raise DataError(f"ArrayDataset: argument {place} is not one array, its rows differ in shape: {error}") from None
    if result.ndim == 0:
        raise ShapeError(
            f"ArrayDataset: argument {place} is a single value, not an array whose first axis counts items"
        )
    if result.dtype == object:
        raise DTypeError(
            f"ArrayDataset: argument {place} has dtype object; give numbers of one dtype, or "
            "ItemDataset(items) for items of several shapes"
        )
    return result
