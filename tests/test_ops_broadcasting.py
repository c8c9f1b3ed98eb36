"""Elementwise operations under any shapes and dtypes: broadcasting, promotion, and gradients summed back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes
from op_checks import Watcher, arrays, pulled, run, same
from op_table import CASES, OpCase

import autograd_core as ag
from autograd_core import context

DTYPES = [np.dtype(name) for name in ("bool", "int32", "int64", "float16", "float32", "float64")]
ROUNDING = {"float16": 2e-2, "float32": 2e-5, "float64": 1e-11}
FRACTIONS = {"reciprocal"}  # of integers, NumPy's is an integer, which is 0 for nearly all
FLOAT64 = np.dtype(np.float64)

elementwise = pytest.mark.parametrize("case", [pytest.param(c, id=c.name) for c in CASES if c.elementwise])
smooth = pytest.mark.parametrize(
    "case", [pytest.param(c, id=c.name) for c in CASES if c.elementwise and c.argnums(arrays(c)) and c.order]
)


class Drawn(NamedTuple):
    """Operands, and the shape that they broadcast to."""

    xs: tuple[np.ndarray, ...]
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype:
        return np.result_type(*self.xs) if len(self.xs) > 1 else self.xs[0].dtype

    def filled(self) -> tuple[np.ndarray, ...]:
        """The same values in float64, every operand in full."""
        return tuple(np.broadcast_to(x, self.shape).astype(np.float64) for x in self.xs)


@st.composite
def operands(draw: st.DrawFn, case: OpCase, dtypes: list[np.dtype]) -> Drawn:
    """Values that the case's own operands have, so that they lie where the operation is defined and smooth."""
    shapes = draw(mutually_broadcastable_shapes(num_shapes=case.elementwise, min_side=0, max_dims=3, max_side=3))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    pool = [x.reshape(-1) for x in arrays(case)]
    # operands of one place in the pool belong together: where one is singular depends on the other
    places = rng.integers(0, min(len(values) for values in pool), shapes.result_shape)
    xs = []
    for values, shape in zip(pool, shapes.input_shapes, strict=True):
        chosen = values[places[tuple(slice(0, 1) if n == 1 else slice(None) for n in shapes.result_shape)]]
        x = rng.choice(values, shape) if chosen.shape != shape else chosen
        dtype = draw(st.sampled_from(dtypes))
        x = x if dtype.kind == "f" else np.clip(np.abs(np.nan_to_num(x)) + 1, 1, 9)
        with np.errstate(over="ignore"):
            xs.append(np.asarray(x).astype(dtype))
    return Drawn(tuple(xs), shapes.result_shape)


@elementwise
@settings(max_examples=15)
@given(data=st.data())
def test_any_shapes_and_dtypes(case: OpCase, data: st.DataObject) -> None:
    check_values(case, data.draw(operands(case, DTYPES)))


def check_values(case: OpCase, drawn: Drawn) -> None:
    exact = run(case, drawn.filled())[0].numpy()
    try:
        with context.scope(interpreter=Watcher()):
            y = run(case, drawn.xs)[0].numpy()
    except ag.DTypeError as error:
        refused(case, drawn, error)
        return
    assert y.shape == drawn.shape
    assert y.dtype.name in result_dtypes(case, drawn, exact.dtype)
    if drawn.dtype.kind != "b":
        with np.errstate(over="ignore"):
            same([y], [exact.astype(y.dtype)], f"{case.name} of {drawn.dtype}", ROUNDING.get(y.dtype.name, 0.0))


def refused(case: OpCase, drawn: Drawn, error: ag.DTypeError) -> None:
    """Only dtypes without such an operation may be refused, and the message names them."""
    assert drawn.dtype.kind != "f", f"{case.name} refused {drawn.dtype}: {error}"
    assert drawn.dtype.name in str(error), error


def result_dtypes(case: OpCase, drawn: Drawn, exact: np.dtype) -> set[str]:
    """NEP 50's dtype; where integers give fractions, float32, and where booleans meet numbers, int64 is open too."""
    if exact != FLOAT64 or drawn.dtype.kind == "f":
        return {exact.name if exact != FLOAT64 else drawn.dtype.name}
    if drawn.dtype.kind == "b":
        return {"bool", "int64", "float32"}
    peer = getattr(np, case.name, None)
    if isinstance(peer, np.ufunc) and peer.nin == len(drawn.xs) and case.name not in FRACTIONS:
        theirs = peer.resolve_dtypes((*[x.dtype for x in drawn.xs], None))[-1]
        return {"float32" if theirs.kind == "f" else theirs.name}
    return {drawn.dtype.name, "float32"}


@smooth
@settings(max_examples=15)
@given(data=st.data())
def test_gradients_of_broadcast_operands(case: OpCase, data: st.DataObject) -> None:
    check_gradients(case, data.draw(operands(case, [np.dtype(np.float32), FLOAT64])))


def check_gradients(case: OpCase, drawn: Drawn) -> None:
    """The gradient of an operand has its shape and dtype, and sums what its repetitions would get."""
    filled = drawn.filled()
    _, cotangents, found = pulled(case, drawn.xs)
    _, _, expected = pulled(case, filled, [g.astype(np.float64) for g in cotangents])
    expected = [total(g, x) for g, x in zip(expected, (drawn.xs[i] for i in case.argnums(filled)), strict=True)]
    coarsest = max(ROUNDING[x.dtype.name] for x in drawn.xs)
    same(found, expected, f"{case.name}: gradient", 10 * coarsest)


def total(g: np.ndarray, like: np.ndarray) -> np.ndarray:
    """``g`` summed over the axes along which ``like`` was repeated, in its dtype."""
    g = g.sum(axis=tuple(range(g.ndim - like.ndim)))
    repeated = tuple(i for i, n in enumerate(like.shape) if n == 1 and g.shape[i] != 1)
    return g.sum(axis=repeated, keepdims=True).astype(like.dtype)
