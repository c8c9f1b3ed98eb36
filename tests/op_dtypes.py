"""Every operation in every dtype: right to within the rounding of that dtype, or refused in words of ours.

The operands of a case are taken in each dtype in turn, with values that the dtype holds exactly. What comes out is
compared with what the same values give in the widest dtype of their kind, which ``op_checks`` compares with references.
A refusal is a DTypeError before anything happens, the same on both backends; another exception or a wrong number is a
failure.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from op_catalog import is_public
from op_checks import Arrays, arrays, as_list, default_device, of_operands, pulled, run
from op_names import Namespace, translated
from op_table import OpCase

import autograd_core as ag
from autograd_core.aval import is_inexact

WHOLE = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
INEXACT = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
DTYPES = WHOLE + INEXACT


class Rounding(NamedTuple):
    """``eps``: twice the largest relative error of one rounding. ``steps``: how many roundings of the largest number
    around a result may carry, beside what the same operation makes of operands moved by one rounding each."""

    eps: float
    steps: int
    why: str


# |found - exact| <= eps * steps * scale + 4 * spread, where scale is the largest magnitude among the results (at least
# 1, that of the operands) and spread what a relative change of eps in every operand makes of them: the condition.
ROUNDING = {
    "float16": Rounding(2.0**-10, 16, "11 bits; every primitive is computed in float32 and rounded"),
    "bfloat16": Rounding(2.0**-7, 16, "8 bits; as float16"),
    "float32": Rounding(2.0**-23, 48, "24 bits; polynomial kernels are good to a few units in the last place each"),
    "float64": Rounding(2.0**-52, 4096, "53 bits; against references that take other ways"),
    "complex64": Rounding(2.0**-23, 96, "as float32; a product has four factors and two sums"),
    "complex128": Rounding(2.0**-52, 4096, "as float64"),
}
NO_OPERANDS = "takes no tensor"
INNER = "an inner step: the public functions that lead to it convert their operands first"
REAL_OF = {"complex64": "float32", "complex128": "float64"}


def as_dtype(name: str) -> np.dtype:
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def kind(xs: Sequence[np.ndarray]) -> str:
    """The kind of the operands that an operation is about: those of the highest kind; others are indices, masks."""
    kinds = {"i" if x.dtype.kind == "u" else x.dtype.kind for x in xs}
    return next((k for k in "cfib" if k in kinds), "")


def whole(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Small whole numbers of the signs of ``x``, none 0, so that nothing overflows and all may be divided by."""
    if dtype.kind == "b":
        return np.asarray(x.real > 0)
    found = np.clip(np.rint(np.nan_to_num(x.real)), -3, 3)
    found = np.where(found == 0, 1, found)
    return np.asarray(np.abs(found) if dtype.kind == "u" else found).astype(dtype)


def with_imaginary_part(x: np.ndarray, other: np.ndarray) -> np.ndarray:
    """``x`` + i y with y from another draw; a symmetric matrix becomes a Hermitian one."""
    if x.dtype.kind == "c":
        return x
    y = np.nan_to_num(other, posinf=1, neginf=-1) / 4
    matrix = x.ndim >= 2 and x.shape[-1] == x.shape[-2] > 1
    if matrix and np.allclose(x, np.swapaxes(x, -1, -2)):
        y = y + np.cumsum(np.ones_like(y), axis=-1) / 8
        y = y - np.swapaxes(y, -1, -2)
    return x + 1j * y


def in_dtype(case: OpCase, name: str) -> list[tuple[Arrays, Arrays]]:
    """Operands of that dtype, and the same values in the widest dtype of their kind, to be tried one after another."""
    xs, dtype = arrays(case), as_dtype(name)
    about = kind(xs)
    if not about:
        return []

    def changed(convert: Callable[[np.ndarray, int], np.ndarray]) -> Arrays:
        chosen = [x.dtype.kind == about or (about == "i" and x.dtype.kind == "u") for x in xs]
        return tuple(convert(x, i) if yes else x for i, (x, yes) in enumerate(zip(xs, chosen, strict=True)))

    if name in WHOLE:
        wide = np.dtype(np.int64 if about in "ib" else np.complex128 if about == "c" else np.float64)
        narrow = changed(lambda x, i: whole(x, dtype))
        positive = changed(lambda x, i: np.abs(whole(x, np.dtype(np.int64))).astype(dtype))
        zeros = changed(lambda x, i: np.zeros(x.shape, dtype))
        return [
            (tried, tuple(x.astype(wide) if x is not y else y for x, y in zip(tried, xs, strict=True)))
            for tried in (narrow, positive, zeros)
        ]
    others = arrays(case, seed=7)
    if name in REAL_OF:
        narrow = changed(lambda x, i: np.asarray(with_imaginary_part(x, others[i])).astype(dtype))
        wide = np.dtype(np.complex128)
    else:
        narrow = changed(lambda x, i: np.asarray(x.real).astype(dtype))
        wide = np.dtype(np.float64)
    return [(narrow, tuple(x.astype(wide) if x is not y else y for x, y in zip(narrow, xs, strict=True)))]


def attempt(f: Callable[[], Any]) -> Any:
    """What ``f`` returns, or the error of ours that it raised; any other exception goes on."""
    try:
        return f()
    except ag.AutogradError as error:
        return error


def on_both(case: OpCase, f: Callable[[str], Any], what: str) -> Any:
    """What ``f`` gives on the reference backend; on the other it gives as much, or refuses in the same words."""
    other = default_device()
    expected, found = (attempt(lambda device=device: f(device)) for device in ("numpy", other))
    refusals = [str(y).replace("numpy", other) if isinstance(y, Exception) else None for y in (expected, found)]
    if other != "cpu":  # whose arrays are another library's, which explains refusals in its own words
        refusals = [
            refusal and re.sub(r"(cannot be computed for operands [^:]*): .*", r"\1", refusal) for refusal in refusals
        ]
    assert type(expected) is type(found), f"{case.name}: {what}: numpy gives {expected!r}, {other} {found!r}"
    assert refusals[0] == refusals[1], f"{case.name}: {what}: refused differently: {refusals}"
    return expected if isinstance(expected, Exception) else (expected, found)


def check(case: OpCase, name: str, torch: Any = None) -> str:
    """ "" if results and derivatives in that dtype are right; else the reason why not, or how it is refused.

    torch: the module, which confirms complex results where the case's own reference is for real numbers alone.
    """
    if name in case.not_in:
        return case.not_in[name]
    if not is_public(case.function) and not (name in ("float32", "float64") and kind(arrays(case)) == "f"):
        return INNER
    refusal = NO_OPERANDS
    with np.errstate(all="ignore"):
        for narrow, wide in in_dtype(case, name):
            found, tried_next = _check(case, name, narrow, wide, torch)
            if not tried_next:
                return found
            refusal = found
    return refusal


def _check(case: OpCase, name: str, narrow: Arrays, wide: Arrays, torch: Any) -> tuple[str, bool]:
    """As ``check`` for given operands, and whether only their values may have been at fault."""
    what = f"{case.name} in {name}"
    found = on_both(case, lambda device: [y.numpy() for y in run(case, narrow, device)], name)
    if isinstance(found, Exception):
        return f"refused: {type(found).__name__}", not isinstance(found, ag.DTypeError)
    if name == "complex128":
        confirm_complex(case, narrow, found, torch)
    else:
        exact = attempt(lambda: [y.numpy() for y in run(case, wide)])
        assert not isinstance(exact, Exception), f"{what}: a result, where {wide[0].dtype} is refused: {exact!r}"
        if name in WHOLE and any(e.dtype.kind in "fc" and not np.isfinite(e).all() for e in exact):
            return "no such whole numbers lie in its domain", True
        spread = condition(lambda xs: [y.numpy() for y in run(case, xs)], wide, exact, name)
        for ys in found:
            if not agrees_with_reference(case, name, narrow, ys, spread):
                compare(case, name, ys, exact, spread, what)
    return slopes(case, name, narrow, wide) if name in INEXACT and case.argnums(narrow) else "", False


def agrees_with_reference(case: OpCase, name: str, xs: Arrays, found: list[np.ndarray], spread: list) -> bool:
    """Whether the reference takes these very operands and confirms: integers and truth values have a way of their own,
    as in ~True or True - True, which the same operation of floats does not show."""
    if name not in WHOLE or (name != "bool" and kind(arrays(case)) != "i"):
        return False
    try:
        expected = [np.asarray(y) for y in as_list(case.reference(*xs))]
        compare(case, name, found, expected, spread, case.name)
    except Exception:  # whatever a function for floats makes of other numbers
        return False
    return True


class NoJudge(Exception):
    """Nobody who is installed takes complex numbers here."""


def has_scipy() -> bool:
    return importlib.util.find_spec("scipy") is not None


@cache
def numpy_names() -> Namespace:
    rooms = [np.linalg, np.fft, np]
    if has_scipy():
        rooms.append(importlib.import_module("scipy.special"))
    return Namespace("NumPy", rooms, np.asarray)


def confirm_complex(case: OpCase, xs: Arrays, found: Sequence[list[np.ndarray]], torch: Any) -> None:
    """AssertionError unless somebody who takes complex numbers gives these results: the reference, PyTorch, NumPy or
    SciPy, or the operation itself by real and imaginary parts, if it is linear."""

    def by_torch() -> list[np.ndarray]:
        ys = as_list(case.torch(torch, *[torch.from_numpy(x.copy()) for x in xs]))
        return [y.detach().resolve_conj().resolve_neg().numpy() for y in ys]

    def by_parts() -> list[np.ndarray]:
        """Of operations linear in each operand: f(a + ib, c + id) = f(a, c) + i f(a, d) + i f(b, c) - f(b, d)."""
        parts = [(x.real, x.imag) if x.dtype.kind == "c" else (x,) for x in xs]
        terms = []
        for choice in product(*[range(len(p)) for p in parts]):
            real = tuple(np.ascontiguousarray(p[c]) for p, c in zip(parts, choice, strict=True))
            terms.append([1j ** sum(choice) * y.numpy() for y in run(case, real)])
        return [np.sum(column, axis=0) for column in zip(*terms, strict=True)]

    def by_numpy() -> list[np.ndarray]:
        return [np.asarray(y) for y in as_list(translated(case.fn, numpy_names())(*xs))]

    judges: list[Callable[[], list[np.ndarray]]] = [lambda: [np.asarray(y) for y in as_list(case.reference(*xs))]]
    if torch is not None and case.torch is not None:
        judges.append(by_torch)
    judges += [by_numpy, by_parts]
    objections = []
    for judge in judges:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                expected = judge()
            nothing = [np.zeros(y.shape) for y in expected]
            for ys in found:
                compare(case, "complex128", ys, expected, nothing, f"{case.name} in complex128")
            return
        except Exception as error:  # whatever a function for real numbers makes of complex ones
            objections.append(f"{type(error).__name__}: {error}")
    if torch is None or not has_scipy():
        raise NoJudge(f"{case.name} in complex128: PyTorch and SciPy, who might confirm it, are not both installed")
    raise AssertionError(
        f"{case.name} in complex128: nobody confirms the result; refuse it with a DTypeError, or give the case a "
        f"reference that takes complex numbers: {objections}"
    )


def slopes(case: OpCase, name: str, narrow: Arrays, wide: Arrays) -> str:
    """The vjp, compared as the values are; in the widest dtypes with finite differences."""
    what = f"{case.name} in {name}: gradient"
    positions = case.argnums(narrow)
    if name in ("float64", "complex128"):
        if not case.order:
            return ""
        f = of_operands(case, narrow, positions)
        refusal = attempt(lambda: ag.check_grads(f, tuple(narrow[i] for i in positions), order=1))
        if isinstance(refusal, AssertionError):
            raise refusal
        return f"derivative refused: {type(refusal).__name__}" if refusal else ""
    found = on_both(case, lambda device: pulled(case, narrow, device=device), name)
    if isinstance(found, ag.DTypeError):
        return "derivative refused: DTypeError"
    assert not isinstance(found, Exception), f"{what}: refused with {found!r}"
    cotangents = [np.asarray(g).astype(np.complex128 if g.dtype.kind == "c" else np.float64) for g in found[0][1]]
    exact = pulled(case, wide, cotangents)[2]
    spread = condition(lambda xs: pulled(case, xs, cotangents)[2], wide, exact, name)
    for _, _, gs in found:
        for g, i in zip(gs, positions, strict=True):
            assert g.dtype == narrow[i].dtype, f"{what}: of operand {i} is {g.dtype}, which is {narrow[i].dtype}"
        compare(case, name, gs, exact, spread, what, dtypes=False)
    return ""


def condition(f: Callable[[Arrays], list[np.ndarray]], wide: Arrays, exact: list, name: str) -> list[np.ndarray]:
    """How far results move if every operand does by one rounding; 0 where the moved operands are refused."""
    spread = [np.zeros(y.shape) for y in exact]
    if name in WHOLE:
        return spread
    rng, eps = np.random.default_rng(4), ROUNDING[name].eps
    for _ in range(2):
        moved = tuple(x * (1 + eps * rng.uniform(-1, 1, x.shape)) if is_inexact(x.dtype) else x for x in wide)
        try:
            ys = f(moved)
        except (ag.AutogradError, ArithmeticError, ValueError):
            return spread
        for k, (y, e) in enumerate(zip(ys, exact, strict=True)):
            if y.shape == e.shape and y.dtype.kind in "fc":
                spread[k] = np.maximum(spread[k], np.nan_to_num(np.abs(y - e), posinf=0.0))
    return spread


def result_dtypes(name: str, exact: np.dtype) -> set[str]:
    """What a result may be that has the dtype ``exact`` for the widest operands."""
    if name in WHOLE:
        if (
            exact.kind in "fc"
        ):  # whole numbers where the operation has such (sums: those of an accumulator), else fractions
            return {name, "int64", "float32", "complex64"} | ({"uint64"} if name[0] == "u" else set())
        return {exact.name, name} | ({"uint64"} if name[0] == "u" else set())
    if exact.kind == "c":
        return {name} if name in REAL_OF else {name, "complex128" if name == "float64" else "complex64"}
    return {REAL_OF.get(name, name)} if exact.kind == "f" else {exact.name}


def compare(case: OpCase, name: str, found: list, exact: list, spread: list, what: str, *, dtypes: bool = True) -> None:
    assert len(found) == len(exact), f"{what}: {len(found)} results, expected {len(exact)}"
    for k, (y, e, s) in enumerate(zip(found, exact, spread, strict=True)):
        assert y.shape == e.shape, f"{what}: result {k} has shape {y.shape}, expected {e.shape}"
        if dtypes and not case.own_dtype and is_public(case.function):
            allowed = result_dtypes(name, e.dtype)
            assert y.dtype.name in allowed, f"{what}: result {k} is {y.dtype}, expected {' or '.join(sorted(allowed))}"
        if not y.size:
            continue
        if not is_inexact(y.dtype):
            if e.dtype.kind in "fc":
                assert np.isfinite(e).all(), f"{what}: {y.dtype} for {e}"
                nearest = np.rint(e.real)
                assert np.allclose(e, nearest, rtol=0, atol=1e-9), f"{what}: {y.dtype} for {e}: {y}"
                e = (nearest != 0) if y.dtype.kind == "b" else nearest.astype(np.int64)
            np.testing.assert_array_equal(y, e.astype(y.dtype), err_msg=what)
            continue
        rounding = max((ROUNDING[n] for n in (name, y.dtype.name) if n in INEXACT), key=lambda r: r.eps)
        coarse = y.astype(np.complex128 if y.dtype.kind == "c" else np.float64)
        if e.dtype.kind == "c" and y.dtype.kind != "c":
            assert not e.imag.any(), f"{what}: result {k} is {y.dtype}, expected complex numbers: {e}"
            e = e.real
        with np.errstate(over="ignore"):
            e = e.astype(y.dtype).astype(coarse.dtype)  # beyond the range of the dtype: infinite
        scale = max(1.0, float(np.abs(e[np.isfinite(e)]).max(initial=0.0)))
        allowed = rounding.eps * rounding.steps * scale + 4 * s
        wrong = ~((coarse == e) | (np.isnan(coarse) & np.isnan(e)) | (np.abs(coarse - e) <= allowed))
        if wrong.any():
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise AssertionError(
                f"{what}: result {k}{list(at)} is {coarse[at]!r}, expected {e[at]!r} +- {allowed[at]:.2g}"
            )
