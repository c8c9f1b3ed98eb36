"""The compiled normalization gives the formulas' numbers in every layout, and takes sums at least as exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autograd_core.ops.normalization import moments_p, normalize_p, normalize_vjp_p

pytest.importorskip("numba")

from autograd_core.backends.cpu import normalization_kernels, threads
from autograd_core.backends.cpu.normalization_kernels import KERNELS

Shape = tuple[int, ...]
Case = tuple[Shape, Shape, Shape]


def batch(*shape: int) -> Case:
    return shape, (0, *range(2, len(shape))), tuple(n if i == 1 else 1 for i, n in enumerate(shape))


def layer(*shape: int, over: int = 1) -> Case:
    lead = len(shape) - over
    return shape, tuple(range(lead, len(shape))), (1,) * lead + shape[lead:]


def group(n: int, groups: int, width: int, size: int) -> Case:
    return (n, groups, width, size), (2, 3), (1, groups, width, 1)


CASES: dict[str, Case] = {
    "batch, long rows": batch(5, 3, 8, 9),
    "batch, rows of several blocks": batch(2, 3, 1500),
    "batch, short rows": batch(40, 70, 2, 2),
    "batch, rows between": batch(5, 9, 4, 5),
    "batch, vectors": batch(70, 300),
    "batch, few vectors": batch(3, 2),
    "batch, one sample": batch(1, 3, 4, 4),
    "batch, one channel": batch(6, 1, 5),
    "batch, one value": batch(1, 3, 1),
    "layer": layer(70, 33),
    "layer, long": layer(2, 2500),
    "layer, two axes": layer(4, 3, 5, 7, over=2),
    "layer, all axes": layer(4, 6, over=2),
    "layer, one element": layer(5, 1),
    "group": group(3, 2, 4, 20),
    "group, long": group(2, 2, 2, 1100),
    "instance": ((3, 4, 5, 6), (2, 3), (1, 4, 1, 1)),
}
FORMULA_CASES: dict[str, Case] = {
    "group, short segments": group(3, 2, 4, 5),
    "group, vectors": group(3, 2, 4, 1),
    "axes apart": ((3, 4, 5), (0, 2), (1, 1, 5)),
    "kept apart": ((3, 4, 5), (1,), (1, 4, 1)),
}


def operands(case: Case, dtype: str, offset: float = 0.0) -> list[np.ndarray]:
    """g, x, w, b."""
    rng = np.random.default_rng(0)
    shape, _, affine = case
    sizes = (shape, shape, int(np.prod(affine)), int(np.prod(affine)))
    g, x, w, b = (np.asarray(rng.standard_normal(size), dtype) for size in sizes)
    return [g, x + np.asarray(offset, dtype), w, b]


def run(case: Case, arrays: list[np.ndarray], compiled: bool) -> dict[str, np.ndarray]:
    """The results of the three primitives, from moments that the formula finds."""

    def call(primitive: Any, *args: np.ndarray, **params: Any) -> Any:
        return KERNELS[primitive](*args, **params) if compiled else primitive.forward(np, *args, **params)

    (g, x, w, b), (_, axes, affine) = arrays, case
    mean, var, rstd = call(moments_p, x, axes=axes, eps=1e-3)
    _, _, given = moments = moments_p.forward(np, x, axes=axes, eps=1e-3)
    y = call(normalize_p, x, w, b, moments[0], given, axes=axes, affine=affine, eps=1e-3)
    dx, dw, db = call(normalize_vjp_p, g, x, w, moments[0], given, axes=axes, affine=affine, eps=1e-3)
    return {"mean": mean, "var": var, "rstd": rstd, "y": y, "dx": dx, "dw": dw, "db": db}


def assert_close(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], ulps: float) -> None:
    """Differences of at most ``ulps`` units in the last place of the largest number in the array (or of 1)."""
    for name, y in expected.items():
        x = found[name]
        assert (x.shape, x.dtype) == (y.shape, y.dtype), name
        tolerance = ulps * np.finfo(y.dtype).eps * max(1.0, float(np.abs(y).max()))
        np.testing.assert_allclose(x, y, rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_numbers_are_the_formulas(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def formula(*arrays: Any, **params: Any) -> None:
        pytest.fail("this layout is left to the formula")

    for its_name in ("_moments_formula", "_normalize_formula", "_vjp_formula"):
        monkeypatch.setattr(normalization_kernels, its_name, formula)
    case = CASES[name]
    arrays = operands(case, dtype)
    before = [a.copy() for a in arrays]
    # the sums of the formula are off by a few units themselves
    assert_close(run(case, arrays, compiled=True), run(case, arrays, compiled=False), ulps=16)
    for a, unchanged in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, unchanged)


@pytest.mark.parametrize("name", FORMULA_CASES)
def test_other_layouts_have_the_formulas_numbers(name: str) -> None:
    case = FORMULA_CASES[name]
    arrays = operands(case, "float32")
    assert_close(run(case, arrays, compiled=True), run(case, arrays, compiled=False), ulps=16)


@pytest.mark.parametrize("change", ["transposed", "half precision", "mixed", "empty"])
def test_other_arrays_are_left_to_the_formula(change: str) -> None:
    case = batch(6, 0, 4) if change == "empty" else batch(6, 4, 20)
    g, x, w, b = operands(case, "float16" if change == "half precision" else "float32")
    if change == "transposed":
        x = np.asfortranarray(x)
    if change == "mixed":
        g, x = g.astype(np.float64), x.astype(np.float64)
    found, expected = (run(case, [g, x, w, b], compiled) for compiled in (True, False))
    for name, y in expected.items():
        if change == "mixed" and name in ("mean", "var", "rstd"):
            continue  # these have one operand
        assert found[name].dtype == y.dtype
        np.testing.assert_array_equal(found[name], y, err_msg=name)


@pytest.mark.parametrize("case", [batch(8, 3, 20, 20), batch(999, 3), layer(4, 3000), group(3, 2, 4, 300)])
def test_a_large_mean_takes_no_digits_from_the_variance(case: Case) -> None:
    g, x, w, b = operands(case, "float32", offset=4096.0)
    exact = run(case, [a.astype(np.float64) for a in (g, x, w, b)], compiled=False)
    found = run(case, [g, x, w, b], compiled=True)
    np.testing.assert_allclose(found["mean"], exact["mean"], rtol=2e-7)
    # the mean is rounded to 2.4e-4, its square is what the variance can gain
    np.testing.assert_allclose(found["var"], exact["var"], rtol=1e-6)


@pytest.mark.parametrize("case", [batch(4, 2, 400_000), batch(300_000, 2), layer(1, 900_000)])
def test_long_sums_stay_exact(case: Case) -> None:
    """Equal numbers are the worst case, all roundings going one way: a plain sum is off by thousands of units."""
    x = np.full(case[0], 0.1, np.float32)
    mean, var, _ = KERNELS[moments_p](x, axes=case[1], eps=1e-3)
    np.testing.assert_allclose(mean, np.float32(0.1), rtol=4 * np.finfo(np.float32).eps)
    assert (var < 1e-14).all()


@pytest.mark.parametrize("case", [batch(4, 3, 40), batch(40, 3), layer(4, 40), group(2, 2, 3, 20)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_spread_as_in_the_formula(case: Case, value: float) -> None:
    arrays = operands(case, "float32")
    arrays[1].flat[-1] = value
    with np.errstate(all="ignore"):
        found, expected = (run(case, arrays, compiled) for compiled in (True, False))
    for name, y in expected.items():
        np.testing.assert_array_equal(np.isnan(found[name]), np.isnan(y), err_msg=name)
        np.testing.assert_array_equal(np.isinf(found[name]), np.isinf(y), err_msg=name)


def test_without_variance_and_eps_nothing_warns() -> None:
    x = np.ones((4, 3, 20), np.float32)
    mean, var, rstd = KERNELS[moments_p](x, axes=(0, 2), eps=0.0)
    np.testing.assert_array_equal(mean, 1)
    np.testing.assert_array_equal(var, 0)
    np.testing.assert_array_equal(rstd, np.inf)


@pytest.mark.parametrize("name", CASES)
def test_results_do_not_depend_on_who_does_the_work(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[name]
    arrays = operands(case, "float32")
    alone = run(case, arrays, compiled=True)
    monkeypatch.setattr(threads, "SHARED_FROM", 0)
    monkeypatch.setattr(threads, "threads", lambda: 3)
    for key, y in run(case, arrays, compiled=True).items():
        np.testing.assert_array_equal(y, alone[key], err_msg=key)
