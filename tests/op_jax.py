"""JAX as a judge: the same call, with JAX's functions in the place of ours.

A case's function names operations of ours as globals or in closures (``ag.sum``, ``conv2d``). ``in_jax`` makes a copy of
it in which these names lead to JAX: to the function of the same name in ``jax.numpy``, ``jax.nn``, ``jax.scipy.special``
or ``jax.lax``, or to what ``op_table.jax_names`` says. The arguments stay what they are, so every variant of a case, axes
and all, is judged without being written a second time.
"""

from __future__ import annotations

import dis
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from op_catalog import is_public
from op_checks import TOLERANCE, Arrays, arrays, of_operands, pulled, run, same
from op_table import OpCase
from op_table.jax_names import ADAPTED, CASES_NOT_IN_JAX, COARSE, NOT_IN_JAX

import autograd_core as ag
from autograd_core.primitive import Primitive

NO_OPERANDS = "takes no tensor"
NO_DERIVATIVE = "values agree; JAX has no derivative here"
CONSTANTS = {name for name in ag.dtypes.__all__ if hasattr(np, name)}


class NotInJax(Exception):
    """A case names something that has no counterpart."""


class Namespace:
    """Our names, leading to JAX: stands for ``autograd_core`` and every module of it."""

    def __init__(self, jax: Any):
        self._jax = jax
        numpy = jax.numpy
        self._rooms = [numpy.linalg, numpy.fft, numpy, jax.nn, jax.scipy.special, jax.lax]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._jax.numpy.fft.fft(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name in ("fft", "linalg"):  # modules, and the former a function in its module too
            return self
        if name in ADAPTED:
            return lambda *args, **kwargs: ADAPTED[name](self._jax, *args, **kwargs)
        if name in NOT_IN_JAX:
            raise NotInJax(NOT_IN_JAX[name])
        if name.endswith("_p") or (not is_public(name) and name not in CONSTANTS):
            raise NotInJax(f"names {name}, an inner step")
        for room in self._rooms:
            if hasattr(room, name):
                return getattr(room, name)
        raise AssertionError(f"JAX has no {name}: say so in op_table/jax_names.py, or say there what does the same")

    def bind(self, name: str) -> Any:
        """The function of that name, looked up when it is called: what is not called need not exist."""
        return lambda *args, **kwargs: getattr(self, name)(*args, **kwargs)


def in_jax(f: Callable[..., Any], jax: Any) -> Callable[..., Any]:
    """``f`` with JAX's functions for ours."""
    return _translated(f, Namespace(jax), {})


def _translated(value: Any, namespace: Namespace, seen: dict[int, Any]) -> Any:
    """``value`` as it is, or what stands for it in JAX."""
    if isinstance(value, types.ModuleType):
        return namespace if value.__name__.partition(".")[0] == "autograd_core" else value
    if isinstance(value, (tuple, list)) and any(isinstance(v, types.FunctionType) for v in value):
        return type(value)(_translated(v, namespace, seen) for v in value)
    if isinstance(value, Primitive):
        raise NotInJax(f"binds the primitive {value.name} itself")
    if isinstance(value, ag.Tensor):
        return namespace._jax.numpy.asarray(value.numpy())
    if isinstance(value, dict) and value and all(isinstance(v, types.FunctionType) for v in value.values()):
        return {key: _translated(v, namespace, seen) for key, v in value.items()}
    if not isinstance(value, types.FunctionType):
        return value
    if value.__module__.startswith("autograd_core."):
        return namespace.bind(value.__name__)
    if not value.__module__.startswith("op_table"):
        return value
    if id(value) not in seen:
        seen[id(value)] = _copied(value, namespace, seen)
    return seen[id(value)]


def _copied(f: types.FunctionType, namespace: Namespace, seen: dict[int, Any]) -> types.FunctionType:
    """A function of the op table with every name that it uses translated."""
    cells = tuple(types.CellType(_translated(cell.cell_contents, namespace, seen)) for cell in f.__closure__ or ())
    used = {name: f.__globals__[name] for name in _names(f.__code__) if name in f.__globals__}
    names = {"__builtins__": f.__globals__["__builtins__"]}
    names |= {name: _translated(value, namespace, seen) for name, value in used.items()}
    made = types.FunctionType(f.__code__, names, f.__name__, f.__defaults__, cells or None)
    made.__kwdefaults__ = f.__kwdefaults__
    return made


def _names(code: types.CodeType) -> set[str]:
    """The globals that a function and those inside it read."""
    read = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return read.union(*(_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)))


# ------------------------------------------------------------------------------------------ the judge


def check(case: OpCase, jax: Any) -> str:
    """ "" if JAX gives the same values and gradients and its own checks pass ours; else the reason why it is not asked."""
    reason = case.no_jax or CASES_NOT_IN_JAX.get(case.name)
    if reason:
        return reason
    xs = arrays(case)
    if not xs:
        return NO_OPERANDS
    with jax.enable_x64(True):
        positions = case.argnums(xs)
        if positions and case.order:
            check_derivatives(case, xs, positions, jax)
        try:
            f = (lambda *ys: case.jax(jax, *ys)) if case.jax else in_jax(case.fn, jax)
            return compare(case, f, xs, positions, jax)
        except NotInJax as reason:
            return str(reason)


def check_derivatives(case: OpCase, xs: Arrays, positions: Sequence[int], jax: Any) -> None:
    """JAX's own comparison with finite differences, of our jvp and vjp as functions of arrays."""
    f = of_operands(case, xs, positions)
    args = tuple(xs[i] for i in positions)

    def values(*args: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(y.numpy() for y in f(*map(ag.asarray, args)))

    def jvp(primals: Arrays, tangents: Arrays) -> tuple[Arrays, Arrays]:
        ys, ts = ag.jvp(f, tuple(map(ag.asarray, primals)), tuple(ag.asarray(np.asarray(t)) for t in tangents))
        return tuple(y.numpy() for y in ys), tuple(t.numpy() for t in ts)

    def vjp(*primals: np.ndarray) -> tuple[Arrays, Callable[[Arrays], Arrays]]:
        ys, pull = ag.vjp(f, *map(ag.asarray, primals))
        # JAX pairs cotangents with tangents without conjugating either: its vjp is the conjugate of ours
        return tuple(y.numpy() for y in ys), lambda gs: tuple(
            np.conj(g.numpy()) for g in pull(tuple(ag.asarray(np.conj(np.asarray(g))) for g in gs))
        )

    jax.test_util.check_jvp(values, jvp, args, err_msg=case.name)
    jax.test_util.check_vjp(values, vjp, args, err_msg=case.name)


def compare(case: OpCase, f: Callable[..., Any], xs: Arrays, positions: Sequence[int], jax: Any) -> str:
    """Values and gradients of ``f``, a function of JAX's arrays, against ours."""
    jnp = jax.numpy

    def chosen(*primals: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        full = [jnp.asarray(x) for x in xs]
        for i, x in zip(positions, primals, strict=True):
            full[i] = x
        ys = [jnp.asarray(y) for y in jax.tree.leaves(f(*full))]
        return tuple(y for y in ys if y.dtype.kind in "fc"), tuple(y for y in ys if y.dtype.kind not in "fc")

    def both(primals: Any, cotangents: Any) -> Any:
        ys, pull, others = jax.vjp(chosen, *primals, has_aux=True)
        return ys, others, pull(tuple(map(jnp.conj, cotangents)))

    values = [y.numpy() for y in run(case, xs)]
    _, cotangents, gradients = pulled(case, xs) if positions else [[], [], []]
    primals = [jnp.asarray(xs[i]) for i in positions]
    try:
        if positions:
            ys, others, gs = _run(jax, both, primals, cotangents)
        else:
            (ys, others), gs = _run(jax, chosen), []
    except NotImplementedError:
        same([np.asarray(y) for y in chosen(*primals)[0]], values, f"{case.name} in JAX", 1e-11, dtypes=False)
        return NO_DERIVATIVE
    except AttributeError as error:
        if "has no attribute" in str(error) and ("Tracer" in str(error) or "ArrayImpl" in str(error)):
            raise NotInJax(f"calls a method that JAX's arrays lack: {str(error).rpartition('attribute ')[2]}") from None
        raise
    tolerance, _ = COARSE.get(case.function, (TOLERANCE[np.dtype(np.float64)], ""))
    floating = [y for y in values if y.dtype.kind in "fc"]
    same([np.asarray(y) for y in ys], floating, f"{case.name} in JAX", tolerance, dtypes=False)
    discrete = [y for y in values if y.dtype.kind not in "fc"]
    same([np.asarray(y) for y in others], discrete, f"{case.name} in JAX", tolerance, dtypes=False)
    same([np.conj(g) for g in gs], gradients, f"{case.name} in JAX: gradient", tolerance, dtypes=False)
    return ""


def _run(jax: Any, f: Callable[..., Any], *args: Any) -> Any:
    """``f`` compiled as a whole, which takes JAX less time than operation by operation; so only if it depends on values."""
    try:
        return jax.jit(f)(*args)
    except (jax.errors.ConcretizationTypeError, jax.errors.NonConcreteBooleanIndexError):
        return f(*args)
