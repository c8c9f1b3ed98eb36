"""Checks of values: formulas, cases, gradients, random bits, errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import autograd_core as ag
from autograd_core.backend import Device, get_device
from autograd_core.errors import AutogradError, DTypeError, ShapeError
from autograd_core.primitive import Elementwise, bind

from .cases import Case
from .requirements import close, raised, require, same

REFERENCE = "numpy"

Results = list[np.ndarray] | type[AutogradError]


def _evaluate(device: Any, fn: Callable[..., Any], operands: Sequence[np.ndarray]) -> Results:
    """The results as NumPy arrays, or the class of our error. Operands must come out as they went in."""
    kept = [x.copy() for x in operands]
    tensors = [ag.asarray(x, device=device) for x in operands]
    with ag.default_device(str(device)):
        try:
            y = fn(*tensors)
        except AutogradError as error:
            return type(error)
    results = y if isinstance(y, (tuple, list)) else [y]
    for t in results:
        require(t.device is get_device(device), f"the result must lie on {device}, lies on {t.device}")
    for i, (t, x, before) in enumerate(zip(tensors, operands, kept, strict=True)):
        same(t.numpy(), before, f"operand {i} after the call")
        same(x, before, f"the array that operand {i} was made from")
    return [t.numpy() for t in results]


def _compare(found: Results, expected: Results, what: str, *, each: bool = False) -> None:
    if isinstance(expected, type) or isinstance(found, type):
        require(found is expected, f"{what} must be {_named(expected)}, is {_named(found)}")
        return
    require(len(found) == len(expected), f"{what}: {len(found)} results instead of {len(expected)}")
    for i, (a, e) in enumerate(zip(found, expected, strict=True)):
        close(a, e, f"{what}, result {i}" if len(expected) > 1 else what, each=each)


def _named(results: Results) -> str:
    return results.__name__ if isinstance(results, type) else "a value"


def _layouts(operands: Sequence[np.ndarray]) -> Iterator[tuple[str, list[np.ndarray]]]:
    """The operands as they may lie in memory."""
    frozen = [x.copy() for x in operands]
    for x in frozen:
        x.flags.writeable = False
    yield "contiguous", frozen
    yield "strided", [np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x for x in operands]
    yield "reversed", [np.flip(np.flip(x).copy()) for x in operands]
    yield "Fortran-ordered", [np.asfortranarray(x) if x.ndim else x for x in operands]


def _precisions(operands: Sequence[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """The operands as they are, and in single precision if they are in double."""
    yield list(operands)
    if any(x.dtype == np.float64 for x in operands):
        yield [x.astype(np.float32) if x.dtype == np.float64 else x for x in operands]


def values(device: Device, case: Case) -> None:
    for operands in _precisions(case.operands):
        expected = _evaluate(REFERENCE, case.fn, operands)
        for layout, given in _layouts(operands):
            what = f"{case.name} of {layout} {[f'{x.dtype}{list(x.shape)}' for x in operands]}"
            _compare(_evaluate(device, case.fn, given), expected, what)


def formula(device: Device, p: Elementwise) -> None:
    rng = np.random.default_rng(0)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 50.0, -50.0, 1.0])
    draws: dict[str, Callable[[tuple[int, ...]], np.ndarray]] = {
        "bool": lambda shape: rng.integers(0, 2, shape),
        "int32": lambda shape: rng.integers(1, 7, shape),
        "int64": lambda shape: rng.integers(1, 7, shape),
        "float32": lambda shape: rng.uniform(0.05, 0.95, shape),
        "float64": lambda shape: rng.uniform(0.05, 0.95, shape),
    }
    for dtype, draw in draws.items():
        shapes = [(3, 5), (67,), (), (0,), (2, 0, 3)]
        given = [[draw(shape).astype(dtype) for _ in p.operands] for shape in shapes]
        if dtype.startswith("float"):
            grid = np.meshgrid(*[special] * len(p.operands))
            given.append([axis.ravel().astype(dtype) for axis in grid])
        for operands in given:
            expected = _evaluate(REFERENCE, lambda *xs: bind(p, xs, {}), operands)
            for layout, laid_out in _layouts(operands):
                found = _evaluate(device, lambda *xs: bind(p, xs, {}), laid_out)
                _compare(found, expected, f"{p.name} of {layout} {dtype}{list(operands[0].shape)}", each=True)


def gradients(device: Device, case: Case) -> None:
    """First and second derivatives of a weighted sum of squares of the results."""
    for operands in _precisions(case.operands):
        if any(x.dtype.kind == "f" for x in operands):
            found, expected = (_derivatives(d, case.fn, operands) for d in (device, get_device(REFERENCE)))
            _compare(found, expected, f"derivatives of {case.name} of {[str(x.dtype) for x in operands]}")


def _derivatives(device: Device, fn: Callable[..., Any], operands: Sequence[np.ndarray]) -> Results:
    tensors = [ag.asarray(x, device=device) for x in operands]
    positions = [i for i, x in enumerate(operands) if x.dtype.kind == "f"]

    def weighted(results: Any) -> Any:
        total = ag.zeros((), dtype="float64")
        for i, y in enumerate(results if isinstance(results, (tuple, list)) else [results]):
            if y.dtype.kind == "f":
                weights = np.random.default_rng(i).uniform(0.5, 1.5, y.shape).astype(y.dtype)
                total = total + (y * y * weights).sum()  # squares, so that linear operations have second derivatives
        return total

    def first(*xs: Any) -> Any:
        return ag.grad(lambda *ys: weighted(fn(*ys)), positions)(*xs)

    with ag.default_device(str(device)):
        try:
            found = [*first(*tensors), *ag.grad(lambda *xs: weighted(first(*xs)), positions)(*tensors)]
        except AutogradError as error:
            return type(error)
    for g in found:
        require(g.device is device, f"a derivative must lie on {device}, lies on {g.device}")
    return [g.numpy() for g in found]


def bits(device: Device, make: Callable[[], list[Any]]) -> None:
    found: list[np.ndarray] = []
    expected: list[np.ndarray] = []
    for where, into in ((device, found), (get_device(REFERENCE), expected)):
        with ag.random.fork(2**40 + 7), ag.default_device(str(where)):
            into += [t.numpy() for t in make()]
    for i, (a, e) in enumerate(zip(found, expected, strict=True)):
        same(a, e, f"draw {i}")


MISTAKES: dict[str, tuple[type[AutogradError], Callable[[], Any]]] = {
    "shapes that do not broadcast": (ShapeError, lambda: ag.ones(2) + ag.ones(3)),
    "inner lengths that differ": (ShapeError, lambda: ag.ones((2, 3)) @ ag.ones((2, 3))),
    "elements that do not fit": (ShapeError, lambda: ag.ones(6).reshape((4, 2))),
    "an axis out of range": (ShapeError, lambda: ag.ones((2, 3)).sum(axis=2)),
    "gradients of integers": (DTypeError, lambda: ag.tensor([1, 2], requires_grad=True)),
    "text": (AutogradError, lambda: ag.asarray(np.array(["a"]))),
    "objects": (AutogradError, lambda: ag.asarray([object()])),
    "a dtype that holds no numbers": (DTypeError, lambda: ag.zeros(2, dtype="datetime64[s]")),
    "the sign of booleans": (AutogradError, lambda: ag.negative(ag.asarray([True]))),
}


def error(device: Device, kind: type[AutogradError], attempt: Callable[[], Any]) -> None:
    with ag.default_device(str(device)):
        raised(kind, attempt)
