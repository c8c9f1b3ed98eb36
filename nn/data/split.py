"""Seeded splits of a dataset."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from autograd_core.errors import ArgumentError, DataError, ShapeError
from autograd_core.scalars import is_real

from .checks import integer
from .dataset import Dataset, Subset
from .seeding import SPLIT, permutation


def random_split(dataset: Dataset, lengths: Sequence[float], *, seed: int = 0) -> list[Subset]:
    """Split a dataset at random into disjoint parts.

    ``lengths``: integers that sum to ``len(dataset)``, or fractions that sum to 1; what rounding down leaves over
    goes one item each to the first parts. The parts are a pure function of (seed, lengths, ``len(dataset)``). Raises
    ArgumentError when the lengths do not fit.

    >>> from autograd_core.nn.data import ArrayDataset
    >>> [len(part) for part in random_split(ArrayDataset(np.arange(10)), [0.7, 0.3], seed=1)]
    [7, 3]
    """
    total = len(dataset)
    sizes = _sizes(lengths, total)
    order = permutation(total, integer("seed", seed, 0), SPLIT)
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(sizes)[:-1])]


def train_test_split(
    dataset: Dataset, test_size: float = 0.2, *, stratify: ArrayLike | None = None, seed: int = 0
) -> tuple[Subset, Subset]:
    """Split a dataset at random into a part to train on and a part held out.

    ``test_size``: a fraction between 0 and 1 (rounded up to whole items, as scikit-learn does) or a number of items.
    ``stratify``: labels of shape ``(N,)``; each class then gives its share of the test items to within one. The parts
    are a pure function of the arguments and ``len(dataset)``. Raises ArgumentError when a part would be empty,
    ShapeError for labels of another length, DataError for a class with a single item.

    >>> from autograd_core.nn.data import ArrayDataset
    >>> labels = np.repeat([0, 1], [80, 20])
    >>> train, test = train_test_split(ArrayDataset(labels), 0.25, stratify=labels)
    >>> [np.bincount(part[:][0]).tolist() for part in (train, test)]
    [[60, 15], [20, 5]]
    """
    total = len(dataset)
    count = _test_count(test_size, total)
    order = permutation(total, integer("seed", seed, 0), SPLIT)
    held_out = np.zeros(total, dtype=bool)
    if stratify is None:
        held_out[order[:count]] = True
    else:
        labels = np.asarray(stratify)
        if labels.shape != (total,):
            raise ShapeError(f"stratify needs one label an item, shape ({total},), got {labels.shape}")
        if labels.dtype.kind == "f" and np.isnan(labels).any():
            raise DataError(
                f"stratify: the label of item {int(np.isnan(labels).argmax())} is NaN; leave such items out"
            )
        if labels.dtype.kind == "O" and len({type(label) for label in labels.tolist()}) > 1:
            kinds = sorted({type(label).__name__ for label in labels.tolist()})
            raise DataError(f"stratify: labels must be of one type, got {' and '.join(kinds)}")
        held_out[_stratified(labels[order], order, count)] = True
    chosen = held_out[order]
    return Subset(dataset, order[~chosen]), Subset(dataset, order[chosen])


def _stratified(labels: np.ndarray, order: np.ndarray, count: int) -> np.ndarray:
    """``count`` entries of ``order``, whose labels are ``labels``: each class's share, by largest remainder."""
    classes, members = np.unique(labels, return_counts=True)
    if members.min() < 2:
        lonely = classes[members.argmin()]
        raise DataError(f"stratify: class {lonely} has 1 item; each class needs 2, one for either part")
    if min(count, len(labels) - count) < len(classes):
        raise ArgumentError(
            f"stratify: {len(labels) - count} training and {count} test items cannot each hold all "
            f"{len(classes)} classes; change test_size"
        )
    share = members * (count / len(labels))
    quota = np.floor(share).astype(int)
    quota[np.argsort(quota - share, kind="stable")[: count - quota.sum()]] += 1
    return np.concatenate([order[labels == label][:size] for label, size in zip(classes, quota)])


def _test_count(test_size: int | float, total: int) -> int:
    if isinstance(test_size, float | np.floating):
        if not 0 < test_size < 1:
            raise ArgumentError(
                f"test_size must be a fraction between 0 and 1 or a whole number of items, got {test_size}"
            )
        count = math.ceil(total * float(test_size) - 1e-9)  # 30 * 0.1 is a hair above 3
    else:
        count = integer("test_size", test_size, 1)
    if not 0 < count < total:
        raise ArgumentError(
            f"test_size={test_size} of {total} items leaves {total - count} to train on and {count} to test on; "
            "both parts need at least one"
        )
    return count


def _sizes(lengths: Any, total: int) -> list[int]:
    if isinstance(lengths, str) or not hasattr(lengths, "__len__"):
        raise ArgumentError(f"lengths must be a list of integers or fractions, such as [0.8, 0.2], got {lengths!r}")
    asked = list(lengths)
    if asked and all(isinstance(length, int | np.integer) for length in asked):
        sizes = [integer("lengths", length, 0) for length in asked]
        if sum(sizes) != total:
            raise ArgumentError(f"lengths {asked} sum to {sum(sizes)}, but the dataset has {total} items")
        return sizes
    real = all(map(is_real, asked))
    if not asked or not real or min(asked) < 0 or not math.isclose(sum(asked), 1, abs_tol=1e-6):
        raise ArgumentError(f"lengths must be integers that sum to {total} or fractions that sum to 1, got {asked}")
    sizes = [math.floor(total * fraction + 1e-9) for fraction in asked]
    for part in range(total - sum(sizes)):
        sizes[part % len(sizes)] += 1
    return sizes
