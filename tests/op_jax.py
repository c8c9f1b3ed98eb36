"""JAX as a judge: the same call, with JAX's functions in the place of ours (see ``op_names``).

Names lead to the function of the same name in ``jax.numpy``, ``jax.nn``, ``jax.scipy.special`` or ``jax.lax``, or to
what ``op_table.jax_names`` says. ``jax.test_util.check_jvp`` and ``check_vjp`` judge our derivatives in JAX's own way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from op_catalog import is_public
from op_checks import TOLERANCE, Arrays, arrays, of_operands, pulled, run, same
from op_names import Namespace, NoSuchName, translated
from op_table import OpCase
from op_table.jax_names import ADAPTED, COARSE, NOT_IN_JAX

import autograd_core as ag

NO_OPERANDS = "takes no tensor"
INNER = "an inner step: our derivatives pass JAX's checks, but it has no such function"
NO_DERIVATIVE = "values agree; JAX has no derivative here"


def load() -> Any:
    """JAX with what is used of it, compiling quickly rather than well; ImportError if it is not installed."""
    import jax
    import jax.scipy.special
    import jax.test_util

    jax.config.update("jax_disable_most_optimizations", True)
    return jax


def in_jax(f: Callable[..., Any], jax: Any) -> Callable[..., Any]:
    """``f`` with JAX's functions for ours."""
    numpy = jax.numpy
    rooms = [numpy.linalg, numpy.fft, numpy, jax.nn, jax.scipy.special, jax.lax]
    adapted = {
        name: lambda *args, call=call, **kwargs: call(jax, *args, **kwargs)  # the same for every call
        for name, call in ADAPTED.items()
    }
    return translated(f, Namespace("JAX", rooms, numpy.asarray, adapted, NOT_IN_JAX))


def check(case: OpCase, jax: Any) -> str:
    """Nothing, if JAX gives the same values and gradients and passes our derivatives; else why it is not asked."""
    if case.no_jax:
        return case.no_jax
    xs = arrays(case)
    if not xs:
        return NO_OPERANDS
    with jax.enable_x64(True):
        positions = case.argnums(xs)
        if positions and case.order:
            check_derivatives(case, xs, positions, jax)
        if not is_public(case.function):
            return INNER
        try:
            f = (lambda *ys: case.jax(jax, *ys)) if case.jax else in_jax(case.fn, jax)
            return compare(case, f, xs, positions, jax)
        except NoSuchName as reason:
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
            raise NoSuchName(
                f"calls a method that JAX's arrays lack: {str(error).rpartition('attribute ')[2]}"
            ) from None
        raise
    tolerance, _ = COARSE.get(case.function, (TOLERANCE[np.dtype(np.float64)], ""))
    floating = [y for y in values if y.dtype.kind in "fc"]
    same([np.asarray(y) for y in ys], floating, f"{case.name} in JAX", tolerance, dtypes=False)
    discrete = [y for y in values if y.dtype.kind not in "fc"]
    same([np.asarray(y) for y in others], discrete, f"{case.name} in JAX", tolerance, dtypes=False)
    same([np.conj(g) for g in gs], gradients, f"{case.name} in JAX: gradient", tolerance, dtypes=False)
    return ""


def _run(jax: Any, f: Callable[..., Any], *args: Any) -> Any:
    """``f`` compiled as a whole, which takes less time than one operation after another; or, if values matter, so."""
    try:
        return jax.jit(f)(*args)
    except (jax.errors.ConcretizationTypeError, jax.errors.NonConcreteBooleanIndexError):
        return f(*args)
