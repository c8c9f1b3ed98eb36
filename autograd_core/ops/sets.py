"""What values there are: unique elements, where they occur, and how often.

Shapes depend on values here, and there are no derivatives. Values are in ascending order (complex ones by their real,
then imaginary parts); each NaN is a value of its own, as NaN equals nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..primitive import bind
from ._apply import as_tensor
from .casting import detach
from .creation import full, ones, zeros
from .indexing import nonzero
from .joining import concat
from .scans import cumulative_sum
from .shaping import reshape
from .sorting import argsort_p

__all__ = ["unique_all", "unique_counts", "unique_inverse", "unique_values"]


class UniqueAll(NamedTuple):
    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCounts(NamedTuple):
    values: Any
    counts: Any


class UniqueInverse(NamedTuple):
    values: Any
    inverse_indices: Any


class _Groups:
    """The elements of ``x`` in order, equal ones together."""

    def __init__(self, op: str, x: Any):
        x = detach(as_tensor(op, x))
        self.shape, self.size, self.device = x.shape, x.size, x.device
        flat = reshape(x, (self.size,))
        self.order = bind(argsort_p, (flat,), {"axis": 0, "descending": False})
        ordered = flat[self.order]
        first = ones(min(self.size, 1), dtype="bool", device=self.device)
        self.is_first = concat([first, ordered[1:] != ordered[:-1]])
        (self.starts,) = nonzero(self.is_first)
        self.values = ordered[self.starts]

    def indices(self) -> Any:
        """Where each value first occurs: the sort is stable."""
        return self.order[self.starts]

    def inverse(self) -> Any:
        """The position among the values of each element of ``x``."""
        group = cumulative_sum(self.is_first) - 1
        return reshape(zeros(self.size, dtype="int64", device=self.device).at[self.order].set(group), self.shape)

    def counts(self) -> Any:
        ends = concat([self.starts[1:], full(min(self.size, 1), self.size, device=self.device)])
        return ends - self.starts


def unique_all(x: Any, /) -> UniqueAll:
    """The distinct elements of ``x``, where each first occurs, which each element is, and how often each occurs.

    x: any shape -> values (m), indices (m) into ``x`` flattened, inverse_indices of the shape of ``x``, counts (m).
    Python array API standard.

    >>> import autograd_core as ag
    >>> ag.unique_all(ag.tensor([3, 1, 3])).indices
    tensor([1, 0])
    """
    groups = _Groups("unique_all", x)
    return UniqueAll(groups.values, groups.indices(), groups.inverse(), groups.counts())


def unique_counts(x: Any, /) -> UniqueCounts:
    """The distinct elements of ``x`` (any shape) and how often each occurs: (m), (m). Python array API standard.

    >>> import autograd_core as ag
    >>> ag.unique_counts(ag.tensor([3, 1, 3])).counts
    tensor([1, 2])
    """
    groups = _Groups("unique_counts", x)
    return UniqueCounts(groups.values, groups.counts())


def unique_inverse(x: Any, /) -> UniqueInverse:
    """The distinct elements of ``x`` (m), and for each element the position of its value: values[inverse] = x.

    Python array API standard.

    >>> import autograd_core as ag
    >>> ag.unique_inverse(ag.tensor([3, 1, 3])).inverse_indices
    tensor([1, 0, 1])
    """
    groups = _Groups("unique_inverse", x)
    return UniqueInverse(groups.values, groups.inverse())


def unique_values(x: Any, /) -> Any:
    """The distinct elements of ``x`` (any shape), in ascending order: (m). Python array API standard.

    >>> import autograd_core as ag
    >>> ag.unique_values(ag.tensor([3, 1, 3]))
    tensor([1, 3])
    """
    return _Groups("unique_values", x).values
