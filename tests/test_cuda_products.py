"""Matrix products by cuBLASLt, as far as they can be proved without a GPU: descriptors, layouts, plans, workspace."""

from __future__ import annotations

import ctypes
import gc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_cublaslt import ATTRIBUTES, INVALID, LONG, FakeCublasLt
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_dtypes import bfloat16

from autograd_core.backends.cuda import cublaslt
from autograd_core.backends.cuda.cublaslt import CublasLt, CublasLtError, Layout, Multiplication
from autograd_core.backends.cuda.products import Products, transpose_of

STREAM = 77


class HostArray(np.ndarray):
    """An array with its address where CuPy's arrays have it."""

    @property
    def data(self) -> Any:
        return SimpleNamespace(ptr=self.ctypes.data)


class Xp:
    """The functions of CuPy's namespace that products use."""

    matmul = staticmethod(np.matmul)

    @staticmethod
    def empty(shape: Any, dtype: Any) -> HostArray:
        return np.full(shape, 77, dtype).view(HostArray)

    @staticmethod
    def broadcast_to(x: HostArray, shape: Any) -> HostArray:
        return np.broadcast_to(x, shape, subok=True)

    @staticmethod
    def ascontiguousarray(x: HostArray) -> HostArray:
        return np.ascontiguousarray(x).view(HostArray)


def workspace(size: int) -> HostArray:
    """Memory at a multiple of 256 bytes."""
    whole = Xp.empty((size + 255,), np.uint8)
    begin = -whole.ctypes.data % 256
    return whole[begin : begin + size]


@pytest.fixture
def library() -> FakeCublasLt:
    return FakeCublasLt()


@pytest.fixture
def products(library: FakeCublasLt) -> Products:
    return Products(CublasLt(library), workspace, 4096)


def draw(*shape: int, dtype: Any = np.float32, seed: int = 0) -> HostArray:
    x = np.random.default_rng(seed).standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * np.random.default_rng(seed + 1).standard_normal(shape)
    return x.astype(dtype).view(HostArray)


def turned(x: HostArray) -> HostArray:
    """The same values, lying column by column."""
    return np.ascontiguousarray(np.swapaxes(x, -1, -2)).view(HostArray).swapaxes(-1, -2)


def test_a_matrix_that_lies_row_by_row_is_its_transpose() -> None:
    found = transpose_of((3, 5), (5, 1))
    assert found == (Layout(rows=5, columns=3, leading=5, batch=1, stride=0), False)


def test_a_matrix_that_lies_column_by_column_is_itself_and_is_transposed() -> None:
    found = transpose_of((3, 5), (1, 8))
    assert found == (Layout(rows=3, columns=5, leading=8, batch=1, stride=0), True)


@pytest.mark.parametrize(
    ("shape", "strides"),
    [((3, 5), (10, 2)), ((3, 5), (-5, 1)), ((3, 5), (0, 1)), ((3, 5), (2, 1)), ((2, 2, 3, 5), (7, 15, 5, 1))],
    ids=["every other", "backwards", "a row repeated", "rows that overlap", "an uneven stack"],
)
def test_what_is_no_matrix_as_it_lies(shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
    assert transpose_of(shape, strides) is None


def test_a_matrix_met_again_and_again_is_a_stack() -> None:
    found = transpose_of((4, 2, 3, 5), (0, 0, 5, 1))
    assert found is not None
    assert (found.layout.batch, found.layout.stride) == (8, 0)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "complex64", "complex128", bfloat16], ids=str)
@pytest.mark.parametrize("lie", [(False, False), (True, False), (False, True), (True, True)], ids=str)
def test_products_in_every_dtype_and_layout(
    products: Products, library: FakeCublasLt, dtype: Any, lie: tuple[bool, bool]
) -> None:
    a, b = draw(7, 5, dtype=dtype), draw(5, 9, dtype=dtype, seed=2)
    operands = [turned(x) if across else x for x, across in zip((a, b), lie, strict=True)]
    y = products.multiply(Xp, *operands, stream=STREAM)
    wide = np.complex128 if np.dtype(dtype).kind == "c" else np.float64
    expected = a.astype(wide) @ b.astype(wide)
    tolerance = {2: 1e-2, 4: 1e-6, 8: 1e-6}.get(np.dtype(dtype).itemsize, 1e-13)
    assert np.max(np.abs(y.astype(wide) - expected)) <= tolerance * np.max(np.abs(expected))
    assert y.dtype == dtype
    assert (library.multiplied, library.refusals) == (1, [])


@st.composite
def _problems(choose: Any) -> tuple[HostArray, HostArray]:
    n, k, m = (choose(st.integers(0, 6)) for _ in range(3))
    batch = choose(st.lists(st.integers(1, 3), max_size=2))

    def operand(rows: int, columns: int, seed: int) -> HostArray:
        own = [choose(st.sampled_from([1, size])) for size in batch][choose(st.integers(0, len(batch))) :]
        steps = [choose(st.sampled_from([1, 1, 2, -1])) for _ in range(2)]
        x = draw(*own, *(size * abs(step) for size, step in zip((rows, columns), steps, strict=True)), seed=seed)
        x = x[..., :: steps[0], :: steps[1]]
        return turned(x) if choose(st.booleans()) else x

    return operand(n, k, 0), operand(k, m, 1)


@settings(max_examples=150, deadline=None)
@given(_problems())
def test_products_of_any_strides_and_stacks(problem: tuple[HostArray, HostArray]) -> None:
    library = FakeCublasLt()
    products = Products(CublasLt(library), workspace, 4096)
    a, b = problem
    expected = np.matmul(np.array(a), np.array(b))
    y = products.multiply(Xp, a, b, stream=STREAM)
    assert y.shape == expected.shape
    np.testing.assert_allclose(np.array(y), expected, rtol=1e-5, atol=1e-5)
    assert library.refusals == []


def test_a_sum_of_no_terms_is_zero(products: Products, library: FakeCublasLt) -> None:
    y = products.multiply(Xp, draw(3, 0), draw(0, 2), stream=STREAM)
    np.testing.assert_array_equal(y, np.zeros((3, 2), np.float32))
    assert library.multiplied == 0


def test_integers_are_left_to_the_namespace(products: Products, library: FakeCublasLt) -> None:
    a, b = (np.arange(6).reshape(s).view(HostArray) for s in ((2, 3), (3, 2)))
    np.testing.assert_array_equal(products.multiply(Xp, a, b, stream=STREAM), [[10, 13], [28, 40]])
    assert library.multiplied == 0


def test_one_plan_and_one_workspace_serve_equal_products(products: Products, library: FakeCublasLt) -> None:
    a, b = draw(4, LONG + 1), draw(LONG + 1, 4, seed=1)
    products.multiply(Xp, a, b, stream=STREAM)
    made = len(library.living)
    y = products.multiply(Xp, a, b, stream=STREAM)
    np.testing.assert_allclose(y, a @ b, rtol=1e-4, atol=1e-5)
    assert len(library.living) == made
    assert library.multiplied == 2


def test_a_product_goes_into_an_array_that_is_given(products: Products) -> None:
    out = Xp.empty((4, 10), np.float32)
    part = out[:, 2:5]
    y = products.multiply(Xp, draw(4, 6), draw(6, 3, seed=1), stream=STREAM, out=part)
    assert y is part
    np.testing.assert_allclose(out[:, 2:5], draw(4, 6) @ draw(6, 3, seed=1), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(np.delete(out, [2, 3, 4], axis=1), np.full((4, 7), 77, np.float32))


def test_an_array_that_lies_column_by_column_takes_no_result(products: Products) -> None:
    with pytest.raises(ValueError, match="row by row"):
        products.multiply(Xp, draw(4, 6), draw(6, 3), stream=STREAM, out=turned(draw(4, 3)))


def test_sums_can_be_added_to_what_is_there(library: FakeCublasLt) -> None:
    a, b, d = draw(3, 4), draw(4, 5, seed=1), draw(3, 5, seed=2)
    expected = d + a @ b
    product = Multiplication(
        CublasLt(library), "float32", cublaslt.COMPUTE_32F, Layout(5, 4, 5), Layout(4, 3, 4), Layout(5, 3, 5),
        alignment=4,
    )  # fmt: skip
    product.run(b.data.ptr, a.data.ptr, d.data.ptr, workspace=0, stream=STREAM, added=d.data.ptr)
    np.testing.assert_allclose(d, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("mode", "compute"), [("fp32", 68), ("tf32", 77), ("bf16", 75)])
def test_the_math_mode_is_what_sums_are_made_in(library: FakeCublasLt, mode: str, compute: int) -> None:
    products = Products(CublasLt(library), workspace, 4096)
    products.multiply(Xp, draw(2, 2), draw(2, 2), stream=STREAM, mode=mode)
    assert [x["described"][0] for x in library.living.values() if x["kind"] == "product"] == [compute]
    products.multiply(Xp, draw(2, 2, dtype="float64"), draw(2, 2, dtype="float64"), stream=STREAM, mode=mode)
    assert [x["described"][0] for x in library.living.values() if x["kind"] == "product"] == [compute, 70]


def test_everything_that_was_created_ends_with_its_owner(library: FakeCublasLt) -> None:
    products = Products(CublasLt(library), workspace, 4096)
    products.multiply(Xp, draw(2, 2), draw(2, 2), stream=STREAM)
    kinds = sorted(x["kind"] for x in library.living.values())
    assert kinds == ["handle", "layout", "layout", "layout", "product"]
    del products
    gc.collect()
    assert library.living == {}


def test_a_refusal_names_the_function_and_the_reason(products: Products) -> None:
    with pytest.raises(CublasLtError, match="cublasLtMatmul: status 7, an argument is invalid"):
        products.multiply(Xp, draw(2, 2), draw(2, 2), stream=0)


def real_library() -> ctypes.CDLL:
    pathfinder = pytest.importorskip("cuda.pathfinder", reason="cuda-pathfinder is not installed")
    try:
        return ctypes.CDLL(pathfinder.load_nvidia_dynamic_lib("cublasLt").abs_path)
    except pathfinder.DynamicLibNotFoundError:
        pytest.skip("cuBLASLt is not installed")


def test_the_real_library_takes_these_descriptors() -> None:
    """Without a GPU it gives no handle, but it creates descriptors, and knows the size of each attribute."""
    library = real_library()
    for name, arguments in cublaslt._ARGUMENTS.items():
        getattr(library, name).argtypes = arguments
    kinds = {"product": ("MatmulDesc", (68, 0)), "layout": ("MatrixLayout", (0, 5, 3, 5))}
    for kind, (name, described) in {**kinds, "preference": ("MatmulPreference", ())}.items():
        made = ctypes.c_void_p()
        assert getattr(library, f"cublasLt{name}Create")(ctypes.byref(made), *described) == 0
        for attribute, ctype in ATTRIBUTES[kind].items():
            value = ctype(1)
            assign = getattr(library, f"cublasLt{name}SetAttribute")
            assert assign(made, attribute, ctypes.byref(value), ctypes.sizeof(value)) == 0
            assert assign(made, attribute, ctypes.byref(value), ctypes.sizeof(value) - 2) == INVALID
        assert getattr(library, f"cublasLt{name}Destroy")(made) == 0
