"""Operands without elements: every axis of every operand of every case set to length 0 in turn.

A length may stand for several axes (the inner one of a matrix product), so all axes of one length are set to 0 together
too. What comes out has the shape that the primitives' shape rules say and, where the reference takes such operands, its
values; gradients have the operands' shapes. Otherwise it is refused in words of ours, the same on both backends.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
from op_catalog import is_public
from op_checks import Arrays, Watcher, arrays, as_list, pulled, run, same
from op_dtypes import on_both
from op_table import OpCase

from autograd_core import context

NO_AXES = "its operands have no axis"


def emptied(xs: Arrays, inner: bool = False) -> Iterator[tuple[str, Arrays]]:
    """Operands with one axis (inner: not that), or all axes of one length, cut to nothing, and words for which."""
    seen = set()
    for i, x in enumerate(xs):
        for axis, n in enumerate(x.shape):
            if not n:
                continue
            alone = {(i, axis)}
            together = {(j, b) for j, other in enumerate(xs) for b, m in enumerate(other.shape) if m == n}
            for chosen in (alone, together):
                if frozenset(chosen) not in seen and (chosen == together or not inner):
                    seen.add(frozenset(chosen))
                    yield " and ".join(f"axis {b} of operand {j}" for j, b in sorted(chosen)), cut(xs, chosen)


def cut(xs: Arrays, chosen: set[tuple[int, int]]) -> Arrays:
    keys = [tuple(slice(0 if (i, a) in chosen else None) for a in range(x.ndim)) for i, x in enumerate(xs)]
    return tuple(x[key] for x, key in zip(xs, keys, strict=True))


def check(case: OpCase) -> str:
    """ "" if some operands without elements are taken, and rightly; else how all of them are refused."""
    if case.not_empty:
        return case.not_empty
    refusals, taken = set(), 0
    for which, xs in emptied(arrays(case), inner=not is_public(case.function)):
        what = f"{case.name}, nothing along {which}"
        found = on_both(case, lambda device, xs=xs: [y.numpy() for y in run(case, xs, device)], which)
        if isinstance(found, Exception):
            alike = len({x.shape for x in xs}) == 1
            assert not (case.elementwise and alike), f"{what}: there is no reason to refuse it: {found!r}"
            refusals.add(type(found).__name__)
            continue
        taken += 1
        with context.scope(interpreter=Watcher()):
            run(case, xs)
        compare(case, xs, found, what)
        positions = case.argnums(xs)
        if positions:
            given = on_both(case, lambda device, xs=xs: pulled(case, xs, device=device), which)
            assert not isinstance(given, Exception), f"{what}: its gradient is refused: {given!r}"
            for _, _, gs in given:
                for i, g in zip(positions, gs, strict=True):
                    assert g.shape == xs[i].shape, f"{what}: gradient {i} has shape {g.shape}, not {xs[i].shape}"
            same(given[1][2], given[0][2], f"{what}: gradient on the other backend", 1e-11)
    if taken:
        return ""
    return f"refused: {' or '.join(sorted(refusals))}" if refusals else NO_AXES


def compare(case: OpCase, xs: Arrays, found: list[list[np.ndarray]], what: str) -> None:
    """Both backends alike, and as the reference, if it knows what to do without elements."""
    same(found[1], found[0], f"{what}: the other backend", 1e-11)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns of the NaN that means of nothing are
        try:
            expected = [np.asarray(y) for y in as_list(case.reference(*xs))]
        except (ValueError, IndexError, TypeError, ArithmeticError):
            return
    for y, e in zip(found[0], expected, strict=False):
        if y.size or e.size:  # loops over nothing cannot know what shape they would have had
            same([y], [e], what, 1e-11, dtypes=False)
