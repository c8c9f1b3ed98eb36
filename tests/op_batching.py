"""vmap is the loop over examples: for values, the gradient inside and the gradient outside, any operand batched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from op_checks import Arrays, arrays, as_list, run, same
from op_table import OpCase

import autograd_core as ag
from autograd_core import tree
from autograd_core.aval import is_inexact

EXAMPLES = 3
NO_OPERANDS = "takes no tensor"
TOLERANCE = 1e-11


def examples(case: OpCase) -> list[Arrays]:
    """Draws of the operands; where another draw has other shapes, the first one again."""
    draws = [arrays(case, seed) for seed in range(EXAMPLES)]
    shapes = [[(x.shape, x.dtype) for x in xs] for xs in draws]
    return [xs if these == shapes[0] else draws[0] for xs, these in zip(draws, shapes, strict=True)]


class Batch:
    """One choice of operands that differ from example to example, and of the axis that counts the examples."""

    def __init__(self, draws: Sequence[Arrays], chosen: Sequence[int], last: bool):
        self.draws = [tuple(x if i in chosen else draws[0][i] for i, x in enumerate(xs)) for xs in draws]
        self.in_axes = tuple((x.ndim if last else 0) if i in chosen else None for i, x in enumerate(draws[0]))
        self.out_axis = -1 if last else 0
        self.words = f"operand(s) {', '.join(map(str, chosen))} batched along the {'last' if last else 'first'} axis"

    def operands(self) -> list[ag.Tensor]:
        return [
            ag.asarray(xs[0] if axis is None else np.stack(xs, axis))
            for xs, axis in zip(zip(*self.draws, strict=True), self.in_axes, strict=True)
        ]

    def stacked(self, results: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
        """Results of the examples, one after another, as vmap returns them."""
        return [np.stack(pieces, self.out_axis) for pieces in zip(*results, strict=True)]


def check(case: OpCase) -> str:
    """ "" if vmap gives what the loop gives; else the stated reason why it is refused, which is seen to happen."""
    draws = examples(case)
    if not draws[0]:
        return NO_OPERANDS
    every = tuple(range(len(draws[0])))
    choices = [every] if len(every) == 1 else [every, *[(i,) for i in every]]
    batches = [Batch(draws, chosen, last) for chosen in choices for last in (False, True)]
    if case.no_vmap:
        refused(case, batches[0])
        return case.no_vmap
    for batch in batches:
        values(case, batch)
        if case.argnums(draws[0]):
            gradients(case, batch)
    return ""


def refused(case: OpCase, batch: Batch) -> None:
    try:
        ag.vmap(case.fn, in_axes=batch.in_axes)(*batch.operands())
    except ag.BatchingError:
        return
    raise AssertionError(f"{case.name}: vmap runs it, although the case says: {case.no_vmap}")


def values(case: OpCase, batch: Batch) -> None:
    expected = batch.stacked([[y.numpy() for y in run(case, xs)] for xs in batch.draws])
    found = ag.vmap(case.fn, in_axes=batch.in_axes, out_axes=batch.out_axis)(*batch.operands())
    found = [y.numpy() for y in tree.flatten(found)[0]]
    same(found, expected, f"{case.name}, {batch.words}", TOLERANCE)


def gradients(case: OpCase, batch: Batch) -> None:
    """vmap of the vjp, and the vjp of vmap, both against the loop of vjps."""
    positions = case.argnums(batch.draws[0])
    rng = np.random.default_rng(5)
    like = [y for y in run(case, batch.draws[0]) if is_inexact(y.dtype)]
    cotangents = [[cotangent(rng, y) for y in like] for _ in batch.draws]

    def of_one(*operands: Any) -> list[ag.Tensor]:
        return pull(case.fn, operands[: len(batch.in_axes)], operands[len(batch.in_axes) :], positions)

    loop = [
        [g.numpy() for g in of_one(*map(ag.asarray, xs), *map(ag.asarray, gs))]
        for xs, gs in zip(batch.draws, cotangents, strict=True)
    ]
    operands, stacked = batch.operands(), [ag.asarray(g) for g in batch.stacked(cotangents)]
    inside = ag.vmap(of_one, (*batch.in_axes, *[batch.out_axis] * len(stacked)), batch.out_axis)
    found = [g.numpy() for g in inside(*operands, *stacked)]
    same(found, batch.stacked(loop), f"{case.name}, vmap of the vjp, {batch.words}", TOLERANCE)

    outside = ag.vmap(case.fn, in_axes=batch.in_axes, out_axes=batch.out_axis)
    found = [g.numpy() for g in pull(outside, operands, stacked, positions)]
    expected = []
    for k, i in enumerate(positions):
        pieces, axis = [gs[k] for gs in loop], batch.in_axes[i]
        with np.errstate(invalid="ignore"):  # infinite slopes of two signs
            expected.append(np.sum(pieces, axis=0) if axis is None else np.stack(pieces, axis))
    same(found, expected, f"{case.name}, vjp of vmap, {batch.words}", 10 * TOLERANCE)


def cotangent(rng: np.random.Generator, like: ag.Tensor) -> np.ndarray:
    g = rng.standard_normal(like.shape)
    return g + 1j * rng.standard_normal(like.shape) if like.dtype.kind == "c" else g.astype(like.dtype)


def pull(f: Callable[..., Any], operands: Sequence[Any], cotangents: Sequence[Any], positions: Sequence[int]) -> list:
    """The vjp of the floating results of ``f`` with respect to the operands at ``positions``."""

    def of_chosen(*chosen: ag.Tensor) -> tuple[ag.Tensor, ...]:
        full = list(operands)
        for i, x in zip(positions, chosen, strict=True):
            full[i] = x
        return tuple(y for y in tree.flatten(f(*full))[0] if is_inexact(y.dtype))

    return as_list(ag.vjp(of_chosen, *[operands[i] for i in positions])[1](tuple(cotangents)))
