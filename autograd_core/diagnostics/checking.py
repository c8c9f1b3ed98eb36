"""Derivatives against finite differences: the check that any differentiable function can be put to.

A derivative is a function too, of the arguments and of the tangent (or cotangent) that it is applied to. Checking that
function in the same way checks the second derivative, and so on to any order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import context, transforms, tree
from ..aval import is_inexact
from ..errors import ArgumentError, DTypeError, GradientCheckError
from ..ops import creation
from ..tensor import Tensor

EXACT = (np.dtype(np.float64), np.dtype(np.complex128))  # dtypes with digits enough for finite differences


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    *,
    order: int = 2,
    modes: str | Sequence[str] = ("fwd", "rev"),
    rtol: float = 1e-6,
    atol: float = 1e-6,
    eps: float = 1e-5,
    seed: int = 0,
) -> None:
    """Compare the derivatives of ``f`` at ``args`` with central finite differences along random directions v:

        forward   J v        =  (f(x + eps v) - f(x - eps v)) / 2 eps         element by element
        reverse   (J^T u) v  =  u (f(x + eps v) - f(x - eps v)) / 2 eps       for a random cotangent u

    for every argument alone and for all of them together; then the same for (x, v) -> J v and (x, u) -> J^T u, up to
    ``order``. Directions in complex arguments are complex, and products u v are Re(conj(u) v): what is compared are the
    derivatives of the real function of real and imaginary parts, whether or not ``f`` is holomorphic.

    args: float64 or complex128 tensors, arrays or Python floats and complex numbers, in nested containers if need be;
    integers, booleans and anything else reach ``f`` as they are. Keep them a hundred ``eps`` away from points where
    ``f`` is not differentiable. ``f`` returns tensors, in nested containers if need be; only floating and complex ones
    count.
    modes: "fwd", "rev" or both. Differences up to atol + rtol * max(|a|, |b|) are allowed.

    Raises GradientCheckError (an AssertionError) that says which mode, order and argument; DTypeError for float32 and
    complex64, in which finite differences mean nothing; ArgumentError if nothing can be differentiated.
    Source of the dot-product test: Griewank and Walther, Evaluating Derivatives, 2nd ed., chapter 3.

    >>> import autograd_core as ag
    >>> ag.check_grads(lambda x, y: (x * y).sum(), (ag.tensor([1.0, 2.0], dtype="float64"), 0.5))
    """
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    if not modes or not set(modes) <= {"fwd", "rev"}:
        raise ArgumentError(f"check_grads: modes are 'fwd' and 'rev', got {modes!r}")
    if order < 1:
        raise ArgumentError(f"check_grads: order must be at least 1, got {order}")
    function, operands = _flat(f, tuple(args))
    _Check(modes, rtol, atol, eps, np.random.default_rng(seed)).run(function, operands, order, 1)


class _Function(NamedTuple):
    """A function of tensors to a tuple of tensors, float64 or complex128, with words for it and its arguments."""

    call: Callable[..., tuple[Tensor, ...]]
    name: str
    arguments: list[str]

    def pushed(self) -> _Function:
        """x, v -> J v."""
        n = len(self.arguments)

        def push(*both: Tensor) -> tuple[Tensor, ...]:
            return transforms.jvp(self.call, both[:n], both[n:])[1]

        tangents = [f"the tangent of {a}" for a in self.arguments]
        return _Function(push, f"the jvp of {self.name}", self.arguments + tangents)

    def pulled(self, n_outputs: int) -> _Function:
        """x, u -> J^T u."""
        n = len(self.arguments)

        def pull(*both: Tensor) -> tuple[Tensor, ...]:
            return transforms.vjp(self.call, *both[:n])[1](both[n:])

        cotangents = [f"the cotangent of output {k}" for k in range(n_outputs)]
        return _Function(pull, f"the vjp of {self.name}", self.arguments + cotangents)


class _Check(NamedTuple):
    """The tolerances and random numbers of one call of ``check_grads``."""

    modes: tuple[str, ...]
    rtol: float
    atol: float
    eps: float
    rng: np.random.Generator

    def run(self, f: _Function, args: list[Tensor], order: int, level: int) -> None:
        with context.scope(recording=False):
            outputs = f.call(*args)
        if not outputs:
            raise ArgumentError(f"check_grads: {f.name} returned no floating tensor, so there is nothing to check")
        for k, y in enumerate(outputs):
            if y.dtype not in EXACT:
                given = " and ".join(sorted({str(x.dtype) for x in args}))
                raise DTypeError(f"check_grads: output {k} of {f.name} is {y.dtype} for {given} arguments")
        cotangents = [self._normal(y) for y in outputs]
        names = f.arguments + (["all arguments together"] if len(args) > 1 else [])
        for i, name in enumerate(names):
            chosen = [i] if i < len(args) else range(len(args))
            tangents = [self._normal(x) if j in chosen else x.new_zeros(x.shape) for j, x in enumerate(args)]
            numeric = self._differences(f, args, tangents)
            where = f"order {level}, derivative of {f.name} with respect to {name}"
            if "fwd" in self.modes:
                self._forward(f, args, tangents, outputs, numeric, f"forward mode, {where}")
            if "rev" in self.modes:
                self._reverse(f, args, tangents, cotangents, numeric, f"reverse mode, {where}")
        if order > 1 and "fwd" in self.modes:
            self.run(f.pushed(), args + [self._normal(x) for x in args], order - 1, level + 1)
        if order > 1 and "rev" in self.modes:
            self.run(f.pulled(len(outputs)), args + cotangents, order - 1, level + 1)

    def _normal(self, x: Tensor) -> Tensor:
        values = self.rng.standard_normal(x.shape)
        if x.dtype.kind == "c":
            values = values + 1j * self.rng.standard_normal(x.shape)
        return creation.asarray(values, device=x.device)

    def _differences(self, f: _Function, args: list[Tensor], tangents: list[Tensor]) -> list[np.ndarray]:
        with context.scope(recording=False):
            above = f.call(*[_moved(x, t, self.eps) for x, t in zip(args, tangents, strict=True)])
            below = f.call(*[_moved(x, t, -self.eps) for x, t in zip(args, tangents, strict=True)])
        return [(a.numpy() - b.numpy()) / (2 * self.eps) for a, b in zip(above, below, strict=True)]

    def _forward(self, f: _Function, args: Any, tangents: Any, outputs: Any, numeric: Any, where: str) -> None:
        values, found = transforms.jvp(f.call, tuple(args), tuple(tangents))
        for k, (y, value, t, expected) in enumerate(zip(outputs, values, found, numeric, strict=True)):
            _same_kind(t, y, f"the tangent of output {k}", where)
            if not np.array_equal(value.numpy(), y.numpy(), equal_nan=True):
                raise GradientCheckError(f"check_grads: {where}: output {k} has another value than {f.name} itself")
            t = t.numpy()
            wrong = ~self._close(t, expected)
            if wrong.any():
                index = tuple(int(i) for i in np.argwhere(wrong)[0])
                element = f"output {k}{list(index) if index else ''}"
                raise self._error(where, f"{element} of J v", t[index], expected[index])

    def _reverse(self, f: _Function, args: Any, tangents: Any, cotangents: Any, numeric: Any, where: str) -> None:
        _, pull = transforms.vjp(f.call, *args)
        pulled = pull(tuple(cotangents))
        for x, g, name in zip(args, pulled, f.arguments, strict=True):
            _same_kind(g, x, f"the cotangent of {name}", where)
        found = sum(_inner(g.numpy(), t.numpy()) for g, t in zip(pulled, tangents, strict=True))
        expected = sum(_inner(u.numpy(), d) for u, d in zip(cotangents, numeric, strict=True))
        if not self._close(found, expected):
            raise self._error(where, "(J^T u) v", found, expected)

    def _close(self, a: Any, b: Any) -> Any:
        return np.abs(a - b) <= self.atol + self.rtol * np.maximum(np.abs(a), np.abs(b))

    def _error(self, where: str, quantity: str, found: complex, expected: complex) -> GradientCheckError:
        return GradientCheckError(
            f"check_grads: {where}: {quantity} is {found:.10g}, but finite differences give "
            f"{expected:.10g} (rtol={self.rtol:g}, atol={self.atol:g}, eps={self.eps:g})"
        )


def _inner(a: np.ndarray, b: np.ndarray) -> float:
    """The inner product of two vectors of real numbers, or of real and imaginary parts: Re sum conj(a) b."""
    return float(np.vdot(a, b).real)


def _moved(x: Tensor, t: Tensor, step: float) -> Tensor:
    return creation.asarray(x.numpy() + step * t.numpy(), device=x.device)


def _same_kind(found: Tensor, like: Tensor, name: str, where: str) -> None:
    if found.aval != like.aval:
        raise GradientCheckError(f"check_grads: {where}: {name} is {found.aval}, it must be {like.aval}")


def _flat(f: Callable[..., Any], args: tuple[Any, ...]) -> tuple[_Function, list[Tensor]]:
    """``f`` as a function of its floating and complex leaves alone, and those leaves."""
    leaves, structure = tree.flatten(args)
    labels = _labels(args)
    found = {i: _operand(leaf, label) for i, (leaf, label) in enumerate(zip(leaves, labels, strict=True))}
    operands = {i: x for i, x in found.items() if x is not None}
    if not operands:
        raise ArgumentError("check_grads: no argument is floating or complex, so there is nothing to differentiate")

    def call(*floating: Tensor) -> tuple[Tensor, ...]:
        filled = list(leaves)
        for i, x in zip(operands, floating, strict=True):
            filled[i] = x
        outputs, _ = tree.flatten(f(*tree.unflatten(structure, filled)))
        for y in outputs:
            if not isinstance(y, Tensor):
                raise ArgumentError(f"check_grads: the function must return tensors, it returned {type(y).__name__}")
        return tuple(y for y in outputs if is_inexact(y.dtype))

    return _Function(call, getattr(f, "__qualname__", repr(f)), [labels[i] for i in operands]), list(operands.values())


def _operand(leaf: Any, label: str) -> Tensor | None:
    """A leaf to differentiate with respect to as an exact tensor without history; None for any other leaf."""
    if isinstance(leaf, (float, complex)) and not isinstance(leaf, np.generic):
        return creation.asarray(leaf, dtype="float64" if isinstance(leaf, float) else "complex128")
    dtype = getattr(leaf, "dtype", None)
    if not isinstance(dtype, np.dtype) or not is_inexact(dtype):
        return None
    if dtype not in EXACT:
        exact = "complex128" if dtype.kind == "c" else "float64"
        raise DTypeError(
            f"check_grads: {label} is {dtype}, in which finite differences are too coarse to judge a derivative; "
            f"pass it as {exact}: x.astype('{exact}')"
        )
    return creation.asarray(leaf).detach()


def _labels(args: tuple[Any, ...]) -> list[str]:
    """Words for every leaf, in the order of ``tree.flatten``: "argument 0['w'][1]"."""

    def walk(node: Any, label: str) -> list[str]:
        if not isinstance(node, (dict, tuple, list)):
            return [] if node is None else [label]
        keys = sorted(node) if isinstance(node, dict) else range(len(node))
        return [name for key in keys for name in walk(node[key], f"{label}[{key!r}]")]

    return [name for i, arg in enumerate(args) for name in walk(arg, f"argument {i}")]
