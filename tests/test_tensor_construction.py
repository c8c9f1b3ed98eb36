"""Where tensors come from and what they may hold: copies, dtypes, promotion, byte order, complex numbers, refusals."""

from __future__ import annotations

import array
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import autograd_core as ag

# Copies ---------------------------------------------------------------------------------------------------------


class Wrapped:
    """An array of some other library."""

    def __init__(self, values: np.ndarray):
        self.values = values
        self.dtype = values.dtype

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype, copy=copy)


@pytest.mark.parametrize("wrap", [lambda a: a, Wrapped, memoryview], ids=["array", "other library", "buffer"])
def test_tensor_copies(wrap) -> None:
    values = np.array([1.0, 2.0], np.float32)
    x = ag.tensor(wrap(values))
    values[:] = 7.0
    assert (x.tolist(), x.dtype) == ([1.0, 2.0], np.float32)


def test_asarray_shares_what_it_can() -> None:
    values = np.array([1.0, 2.0])
    assert np.shares_memory(ag.asarray(values).numpy(), values)
    assert not np.shares_memory(ag.asarray(values, copy=True).numpy(), values)
    assert not np.shares_memory(ag.asarray(values, dtype="float32").numpy(), values)
    x = ag.tensor(values)
    assert ag.asarray(x) is x


def test_tensor_of_a_tensor_is_a_constant_or_a_leaf() -> None:
    w = ag.tensor([1.0, 2.0], requires_grad=True)
    assert not ag.tensor(w * 2.0).requires_grad
    v = ag.tensor(w * 2.0, requires_grad=True)
    assert (v.is_leaf, v.requires_grad, v.tolist()) == (True, True, [2.0, 4.0])
    (v * 3.0).sum().backward()
    assert (v.grad.tolist(), w.grad) == ([3.0, 3.0], None)
    assert ag.asarray(w) is w
    assert ag.asarray(w * 2.0).requires_grad


def test_strided_arrays() -> None:
    values = np.arange(24.0).reshape(2, 3, 4)
    for view in (values[:, ::-1], values[::2], values.transpose(2, 0, 1), np.broadcast_to(values[0, 0], (5, 4))):
        assert ag.tensor(view).tolist() == view.tolist()
        assert (ag.asarray(view) * 2.0).tolist() == (view * 2.0).tolist()


# Dtypes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, "float32"),
        (1, "int64"),
        (True, "bool"),
        (1j, "complex64"),
        ([1.0, 2], "float32"),
        ([1, 2], "int64"),
        ([True, False], "bool"),
        ([1, 2j], "complex64"),
        ([], "float32"),
        ((1.0, (2.0)), "float32"),
        (range(3), "int64"),
        (array.array("d", [1.0]), "float32"),
        (array.array("i", [1]), "int32"),
        (np.float64(1.5), "float64"),
        (np.float16(1.5), "float16"),
        (np.int8(1), "int8"),
        (np.bool_(True), "bool"),
        (np.zeros(2), "float64"),
        (np.zeros(2, np.float16), "float16"),
        (np.zeros(2, np.uint8), "uint8"),
        (np.zeros(2, complex), "complex128"),
    ],
    ids=repr,
)
def test_python_numbers_take_the_default_and_arrays_keep_their_dtype(data, dtype: str) -> None:
    for make in (ag.tensor, ag.asarray):
        assert make(data).dtype == dtype
        assert make(data, dtype="float64" if dtype[:7] != "complex" else None).tolist() == np.asarray(data).tolist()


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("float32"), ag.float32, "f4", "<f4", ">f4"])
def test_a_dtype_may_be_named_in_many_ways(dtype) -> None:
    assert ag.tensor([1, 2], dtype=dtype).dtype == ag.float32
    assert ag.zeros(2, dtype=dtype).dtype is ag.float32


NEP50 = ["bool", "int8", "int32", "int64", "uint8", "float16", "float32", "float64", "complex64", "complex128"]


@pytest.mark.parametrize("a", NEP50)
@pytest.mark.parametrize("b", NEP50)
def test_tensors_promote_as_arrays_do(a: str, b: str) -> None:
    x, y = ag.ones(2, dtype=a), ag.ones(2, dtype=b)
    assert (x * y).dtype == np.result_type(a, b)
    assert ag.concat([x, y]).dtype == np.result_type(a, b)
    assert ag.where(ag.tensor([True, False]), x, y).dtype == np.result_type(a, b)


@pytest.mark.parametrize("dtype", NEP50)
def test_python_numbers_are_weak(dtype: str) -> None:
    """As in NumPy, but where a floating dtype is needed and none is given, it is float32."""
    x = ag.ones(2, dtype=dtype)
    floating = np.dtype(dtype).kind in "fc"
    assert (x * True).dtype == dtype
    assert (x * 2).dtype == (2 * x).dtype == (dtype if dtype != "bool" else "int64")
    assert (x * 2.0).dtype == (2.0 * x).dtype == (dtype if floating else "float32")
    is_wide = dtype in ("float64", "complex128")
    assert (x * 2j).dtype == ("complex128" if is_wide else "complex64")
    assert (x * np.float64(2)).dtype == np.result_type(dtype, np.float64)  # a NumPy scalar is not weak
    assert ag.exp(x).dtype == (dtype if floating else "float32")
    assert (x / x).dtype == (dtype if floating else "float32")


def test_a_number_that_does_not_fit_its_dtype_is_refused() -> None:
    with pytest.raises(ag.ArgumentError, match="300"):
        ag.ones(2, dtype="uint8") + 300
    with pytest.raises(ag.ArgumentError, match="300"):
        ag.tensor([1, 300], dtype="uint8")
    with pytest.raises(ag.ArgumentError, match="-1"):
        ag.ones(2, dtype="uint8") * -1


@pytest.mark.parametrize("dtype", [">f8", ">i4", ">c16", ">f2"])
def test_another_byte_order_becomes_this_machines(dtype: str) -> None:
    values = np.array([1, 2, 3], dtype)
    for x in (ag.tensor(values), ag.asarray(values), ag.ones(3) * values, ag.tensor(values, dtype=dtype)):
        assert x.dtype.isnative
    assert ag.tensor(values).tolist() == [1, 2, 3]
    assert ag.tensor(values).dtype is np.dtype(
        values.dtype.type
    )  # one object for each: dtypes are compared by identity


# Complex numbers ------------------------------------------------------------------------------------------------


def test_derivatives_of_complex_functions() -> None:
    """f(z) = z^3 exp(z) has f' = (3 z^2 + z^3) exp(z): the jvp is f' t, the vjp g conj(f')."""
    z = np.array([1 + 2j, -0.5j])

    def f(z: ag.Tensor) -> ag.Tensor:
        return (z**3 * ag.exp(z)).sum()

    slope = (3 * z**2 + z**3) * np.exp(z)
    np.testing.assert_allclose(ag.jvp(f, (ag.tensor(z),), (ag.tensor([1 + 0j, 0]),))[1].numpy(), slope[0])
    g = ag.tensor(2 - 1j, dtype="complex128")
    np.testing.assert_allclose(ag.vjp(f, ag.tensor(z))[1](g)[0].numpy(), (2 - 1j) * slope.conj())
    np.testing.assert_allclose(ag.jacrev(f)(ag.tensor(z)).numpy(), slope)
    np.testing.assert_allclose(ag.jacfwd(f)(ag.tensor(z)).numpy(), slope)
    for of_real in (ag.grad(lambda z: f(z).real), ag.jacrev(lambda z: f(z).real)):
        np.testing.assert_allclose(of_real(ag.tensor(z)).numpy(), slope.conj())  # dL/dRe + i dL/dIm
    w = ag.tensor(z, requires_grad=True)
    with pytest.raises(ag.GradientError, match="only a real number has one gradient, this output is complex128"):
        f(w).backward()
    with pytest.raises(ag.GradientError, match="no complex derivative; use jacrev"):
        ag.jacfwd(lambda z: f(z).real)(ag.tensor(z))
    with pytest.raises(ag.DTypeError, match="pass its real and imaginary parts"):
        ag.hessian(lambda z: f(z).real)(ag.tensor(z))


def test_complex_functions_of_real_numbers() -> None:
    x = ag.tensor([0.5, -1.0], dtype="float64")
    f = lambda x: ag.exp(1j * x) * x  # noqa: E731
    expected = np.diag(np.exp(1j * x.numpy()) * (1 + 1j * x.numpy()))
    np.testing.assert_allclose(ag.jacrev(f)(x).numpy(), expected)
    np.testing.assert_allclose(ag.jacfwd(f)(x).numpy(), expected)


def test_an_imaginary_part_is_not_lost_silently() -> None:
    z = ag.tensor([3 + 4j])
    for use in (
        z.float,
        lambda: ag.tensor(z.numpy(), dtype="float32"),
        lambda: ag.tensor(np.complex64(1j), dtype="int64"),
    ):
        with pytest.raises(ag.DTypeError, match="would lose the imaginary part"):
            use()
    assert z.bool().tolist() == [True]


# What is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        "text",
        b"bytes",
        ["a", "b"],
        np.array(["a"]),
        np.array([b"a"]),
        np.array(["2026-01-01"], "datetime64[D]"),
        np.zeros(2, "m8[s]"),
        np.zeros(2, [("x", float)]),
        np.array([1, None], object),
        np.array([Fraction(1, 2)], object),
    ],
    ids=repr,
)
def test_arrays_that_hold_no_numbers(data) -> None:
    for use in (ag.tensor, ag.asarray, lambda d: ag.ones(1) + d, lambda d: ag.grad(lambda x: x)(d)):
        with pytest.raises(ag.DTypeError, match="it holds no numbers"):
            use(data)


@pytest.mark.parametrize(
    "data", [None, {"a": 1}, {1, 2}, object(), Fraction(1, 2), 2**70, [2**70], [1, None], [[1], [1, 2]], lambda: 1]
)
def test_objects_that_are_no_numbers(data) -> None:
    for use in (ag.tensor, ag.asarray, lambda d: ag.tensor([[d]], dtype="float32")):
        with pytest.raises(ag.ArgumentError, match="cannot become a tensor"):
            use(data)


@pytest.mark.parametrize("dtype", ["text", object, "U3", "datetime64[s]", 7, str])
def test_dtypes_that_are_none(dtype) -> None:
    for use in (lambda: ag.tensor([1.0], dtype=dtype), lambda: ag.zeros(2, dtype=dtype), lambda: ag.ones(2).to(dtype)):
        with pytest.raises((ag.DTypeError, ag.DeviceError)):
            use()


@pytest.mark.parametrize("dtype", ["int64", "bool", "uint8"])
def test_only_floating_tensors_require_gradients(dtype: str) -> None:
    with pytest.raises(ag.DTypeError, match="cannot require gradients"):
        ag.tensor([1, 0], dtype=dtype, requires_grad=True)
    x = ag.ones(2, dtype=dtype)
    with pytest.raises(ag.DTypeError, match="cannot require gradients"):
        x.requires_grad = True
    assert not x.requires_grad


def test_full_takes_the_dtype_of_its_number() -> None:
    for number, dtype in (
        (1, "int64"),
        (1.0, "float32"),
        (True, "bool"),
        (np.int8(1), "int8"),
        (np.float64(1), "float64"),
    ):
        assert ag.full(2, number).dtype == dtype
    assert ag.full(2, 1, dtype="float16").dtype == "float16"
    assert ag.full_like(ag.ones(2, dtype="int32"), np.int64(3)).dtype == "int32"
