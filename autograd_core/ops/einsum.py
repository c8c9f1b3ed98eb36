"""Einstein summation, made of diagonals, sums and products of matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..errors import ArgumentError
from ._apply import promoted
from ._subscripts import Label, Labels, cheapest_pair, from_sublists, read
from .diagonals import diagonal
from .products import matmul

__all__ = ["einsum"]


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
