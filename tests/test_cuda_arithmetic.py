"""Where CuPy computes otherwise than NumPy, the CUDA backend gives NumPy's numbers; over the fake CuPy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from cuda_tools import fake_devices

import autograd_core as ag


@pytest.fixture(scope="module", autouse=True)
def devices() -> Iterator[None]:
    with fake_devices():
        yield


def special(dtype: type) -> np.ndarray:
    """Zeros, the ends of the range, subnormal numbers, NaN, and numbers whose quotients are not exact."""
    info = np.finfo(dtype)
    ends = [0.0, info.smallest_subnormal, 2 * info.smallest_subnormal, info.tiny, info.max, np.inf]
    return np.array([*ends, *(-x for x in ends), np.nan, 1, -1, 0.1, 0.3, -0.7, 2.5, 7, -7, 1e10], dtype)


def pairs(dtype: type) -> tuple[np.ndarray, np.ndarray]:
    x1, x2 = np.meshgrid(special(dtype), special(dtype))
    rng = np.random.default_rng(0)
    return tuple(np.concatenate([x.ravel(), 10 * rng.standard_normal(1000).astype(dtype)]) for x in (x1, x2))


def equal_in_bits(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype
    numbers = ~(np.isnan(found) & np.isnan(expected))
    np.testing.assert_array_equal(found[numbers], expected[numbers])
    np.testing.assert_array_equal(np.signbit(found[numbers]), np.signbit(expected[numbers]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["nextafter", "floor_divide", "remainder", "fmod"])
def test_functions_of_two_floats_have_numpys_bits(name: str, dtype: type) -> None:
    x1, x2 = pairs(dtype)
    if name != "nextafter" and dtype is np.float32:  # CuPy's kernels take subnormal numbers of float32 for 0
        normal = [(x == 0) | ~(np.abs(x) < np.finfo(dtype).tiny) for x in (x1, x2)]
        x1, x2 = x1[normal[0] & normal[1]], x2[normal[0] & normal[1]]
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(x1, x2)
    equal_in_bits(getattr(ag, name)(*(ag.asarray(x, device="cuda") for x in (x1, x2))).numpy(), expected)


def test_remainders_of_large_integers_are_exact() -> None:
    x1 = np.array([2**62 + 1, -(2**62) - 1, 7, -7, 0, 2**63 - 1])
    x2 = np.array([3, 7, -2, 2, 5, 10])
    found = ag.fmod(ag.asarray(x1, device="cuda"), ag.asarray(x2, device="cuda"))
    np.testing.assert_array_equal(found.numpy(), np.fmod(x1, x2))


@pytest.mark.parametrize(("name", "series"), [("log1p", -0.5), ("expm1", 0.5)])
def test_small_complex_numbers_lose_nothing(name: str, series: float) -> None:
    z = np.array([1e-10 + 1e-10j, -2e-9 + 1e-8j, 1e-8j])
    found = getattr(ag, name)(ag.asarray(z, device="cuda")).numpy()
    expected = z + series * z * z
    np.testing.assert_allclose(found.real, expected.real, rtol=1e-12, atol=1e-22)
    np.testing.assert_allclose(found.imag, expected.imag, rtol=1e-12)


def test_bfloat16_is_chosen_by_its_bits() -> None:
    pytest.importorskip("ml_dtypes")
    x = ag.asarray(np.array([1.5, -2.0, np.nan, np.inf]), device="cuda").astype("bfloat16")
    y = ag.where(ag.tensor([True, False, True, True], device="cuda"), x, -x)
    assert y.dtype.name == "bfloat16"
    np.testing.assert_array_equal(y.astype("float32").numpy(), [1.5, 2.0, np.nan, np.inf])
    assert ag.masked_fill(x, x != x, 0.0).dtype.name == "bfloat16"


def test_sums_by_index_take_every_dtype() -> None:
    for dtype in ("int8", "int64", "float16", "float32", "float64", "complex64"):
        x = np.arange(1, 5).astype(dtype)
        found = ag.scatter_add(
            ag.zeros(3, dtype=dtype, device="cuda"),
            0,
            ag.tensor([0, 2, 2, 0], device="cuda"),
            ag.asarray(x, device="cuda"),
        )
        assert found.dtype == dtype
        assert found.numpy().tolist() == [5, 0, 5]


def test_the_last_of_several_values_for_one_place_stays() -> None:
    x = ag.zeros((4, 2), device="cuda")
    rows = ag.tensor([3, 0, 3, -1], device="cuda")
    values = ag.asarray(np.arange(8.0, dtype=np.float32).reshape(4, 2), device="cuda")
    assert x.at[rows].set(values).numpy().tolist() == [[2, 3], [0, 0], [0, 0], [6, 7]]
