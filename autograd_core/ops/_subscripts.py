"""The grammar of einsum: subscripts to labels, labels to lengths, and which pair of operands to contract first.

A label stands for one axis: a letter, or for an axis under an ellipsis its number counted from the right (-1, -2, ...).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from string import ascii_letters
from typing import Any

from ..errors import ArgumentError, ShapeError

Label = str | int
Labels = tuple[Label, ...]


def from_sublists(arguments: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """NumPy's other form, ``einsum(x1, [0, 1], x2, [1, 2], [0, 2])``, as subscripts and operands."""
    operands = tuple(arguments[0:-1:2])
    sublists = list(arguments[1::2])
    output = arguments[-1] if len(arguments) % 2 else None
    if not operands:
        raise ArgumentError("einsum: no operands; write e.g. ag.einsum('ij,jk->ik', x1, x2)")
    subscripts = ",".join(_spell(s) for s in sublists)
    return (subscripts if output is None else f"{subscripts}->{_spell(output)}"), operands


def _spell(sublist: object) -> str:
    if not isinstance(sublist, (tuple, list)):
        raise ArgumentError(
            "einsum: expected subscripts such as 'ij,jk->ik' first, or a list of ints after each operand, "
            f"got {sublist!r}"
        )
    letters = []
    for entry in sublist:
        if entry is Ellipsis:
            letters.append("...")
        elif isinstance(entry, int) and 0 <= entry < len(ascii_letters):
            letters.append(ascii_letters[entry])
        else:
            raise ArgumentError(f"einsum: sublist {list(sublist)} may hold ... and ints from 0 to 51, not {entry!r}")
    return "".join(letters)


@lru_cache(maxsize=1024)  # a program has few, and runs each of them often
def read(subscripts: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[list[Labels], Labels, dict[Label, int]]:
    """The labels of every operand's axes, those of the output, and the length of every label; not to be changed."""
    inputs, output = _parse(subscripts, [len(shape) for shape in shapes])
    return inputs, output, _axis_lengths(inputs, shapes)


def _parse(subscripts: str, ndims: Sequence[int]) -> tuple[list[Labels], Labels]:
    """The labels of every operand's axes, and those of the output. Errors name the operand and the letter."""
    spelled = subscripts.replace(" ", "")
    left, arrow, right = spelled.partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise ArgumentError(f"einsum: subscripts {subscripts!r} name {len(terms)} operand(s), but {len(ndims)} given")
    inputs = [_labels(term, ndim, f"operand {i}", subscripts) for i, (term, ndim) in enumerate(zip(terms, ndims))]
    hidden = tuple(range(-max((_hidden(labels) for labels in inputs), default=0), 0))
    if not arrow:
        counts = Counter(label for labels in inputs for label in labels)
        once = sorted(label for label in counts if isinstance(label, str) and counts[label] == 1)
        return inputs, (*hidden, *once)
    before, dots, after = right.partition("...")
    _check_letters(before + after, "the output", subscripts)
    if hidden and not dots:
        raise ArgumentError(
            f"einsum: subscripts {subscripts!r} drop the {len(hidden)} axes under '...'; "
            f"write '->...{right}' to keep them, or give them letters to sum over them"
        )
    output = (*before, *(hidden if dots else ()), *after)
    known = {label for labels in inputs for label in labels}
    for label, count in Counter(output).items():
        if label not in known:
            raise ArgumentError(f"einsum: letter {label} of the output is in no operand of {subscripts!r}")
        if count > 1:
            raise ArgumentError(
                f"einsum: letter {label} is {count} times in the output of {subscripts!r}; name it once"
            )
    return inputs, output


def _labels(term: str, ndim: int, where: str, subscripts: str) -> Labels:
    before, dots, after = term.partition("...")
    _check_letters(before + after, where, subscripts)
    named = len(before) + len(after)
    if named > ndim or (named < ndim and not dots):
        hint = "" if named > ndim else "; write '...' for axes without a letter"
        raise ShapeError(f"einsum: {where} has {ndim} dimension(s), but {term!r} names {named}{hint}")
    return (*before, *range(named - ndim, 0), *after)


def _check_letters(letters: str, where: str, subscripts: str) -> None:
    for letter in letters:
        if letter not in ascii_letters:
            raise ArgumentError(
                f"einsum: {letter!r} in the subscripts of {where} in {subscripts!r} is not a letter; "
                "write letters, '...' once an operand, ',' between operands and '->' before the output"
            )


def _hidden(labels: Labels) -> int:
    return sum(isinstance(label, int) for label in labels)


def _axis_lengths(inputs: Sequence[Labels], shapes: Sequence[tuple[int, ...]]) -> dict[Label, int]:
    """The length of every label; axes of length 1 stretch as in broadcasting, except along a diagonal."""
    found: dict[Label, tuple[int, int]] = {}
    for i, (labels, shape) in enumerate(zip(inputs, shapes)):
        within: dict[Label, int] = {}
        for label, length in zip(labels, shape):
            if within.setdefault(label, length) != length:
                raise ShapeError(
                    f"einsum: letter {label} is repeated in operand {i} of shape {shape}, "
                    f"but its axes have lengths {within[label]} and {length}; a diagonal needs equal lengths"
                )
        for label, length in within.items():
            known, first = found.get(label, (1, i))
            if known != 1 and length not in (1, known):
                name = f"letter {label}" if isinstance(label, str) else f"axis {label} (from the right) of '...'"
                raise ShapeError(
                    f"einsum: {name} has length {known} in operand {first} and {length} in operand {i}: "
                    f"shapes {' and '.join(map(str, shapes))}"
                )
            if known == 1:
                found[label] = (length, i)
    return {label: length for label, (length, _) in found.items()}


def cheapest_pair(terms: Sequence[Labels], output: Labels, lengths: dict[Label, int]) -> tuple[int, int]:
    """The pair to contract next: the one whose result is smallest compared with what it replaces."""

    def size(labels: Sequence[Label] | set[Label]) -> int:
        return math.prod(lengths[label] for label in labels)

    def growth(pair: tuple[int, int]) -> int:
        i, j = pair
        kept = set(output).union(*(terms[k] for k in range(len(terms)) if k not in pair))
        return size(set(terms[i] + terms[j]) & kept) - size(terms[i]) - size(terms[j])

    return min(combinations(range(len(terms)), 2), key=growth)
