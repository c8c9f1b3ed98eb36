"""Every scalar operation as CUDA C on the host: NumPy's results, at the edges of every dtype too."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from cuda_host import Batch, needs_compiler

from autograd_core.aval import as_dtype
from autograd_core.backends.cuda.native import Sizes, loop_kernel
from autograd_core.backends.cuda.native.c_types import literal
from autograd_core.backends.cuda.native.expressions import expression
from autograd_core.compiler.loops import SCALAR_OPS, Access, Constant, Load, LoopKernel, Map, Store
from autograd_core.compiler.scalars import compute

HALVES = ("float16", "bfloat16")
FLOATS = ("float32", "float64", *HALVES)
SIGNED, UNSIGNED = ("int8", "int16", "int32", "int64"), ("uint8", "uint16", "uint32", "uint64")
INTEGERS = SIGNED + UNSIGNED
DTYPES = (*FLOATS, *INTEGERS, "bool")
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
LOGIC = ("and", "or", "xor", "not")
PREDICATES = ("isnan", "isinf", "isfinite", "signbit")
BITWISE = ("bit_and", "bit_or", "bit_xor", "invert")
EVERY = ("abs", "max", "min", "copy")
NUMERIC = ("add", "sub", "mul", "neg", "sign", "floor_div", "mod", "fmod", "floor", "ceil", "trunc", "pow", "fma")
# exact on the host as well: functions of the C library are compared to rounding
ROUNDED = {
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan"),
    *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "cbrt", "sigmoid", "erf"),
    *("pow", "atan2", "hypot", "fma", "rsqrt"),
}
ROUNDING = {"float32": 1e-6, "float64": 2e-15, "float16": 2**-10, "bfloat16": 2**-7}
SMALL = Sizes(threads=64, blocks=3)

Operation = tuple[str, tuple[str, ...], str]


def operations() -> Iterator[Operation]:
    for dtype in DTYPES:
        for op in (*COMPARISONS, *LOGIC, *PREDICATES):
            if not (op == "signbit" and dtype == "bool"):  # which NumPy has not
                yield op, (dtype,) * SCALAR_OPS[op], "bool"
        for op in EVERY:
            yield op, (dtype,) * SCALAR_OPS[op], dtype
        yield "select", ("bool", dtype, dtype), dtype
        for other in DTYPES:
            yield "cast", (dtype,), other
    for dtype in (*FLOATS, *INTEGERS):
        for op in NUMERIC:
            yield op, (dtype,) * SCALAR_OPS[op], dtype
    for dtype in INTEGERS:
        for op in (*BITWISE, "shl", "shr"):
            yield op, (dtype,) * SCALAR_OPS[op], dtype
    for op in ("add", "mul", *BITWISE):
        yield op, ("bool",) * SCALAR_OPS[op], "bool"
    for dtype in FLOATS:
        known = {*NUMERIC, *EVERY, *BITWISE, *COMPARISONS, *LOGIC, *PREDICATES, "select", "cast", "shl", "shr"}
        for op in SCALAR_OPS:
            if op not in known:
                yield op, (dtype,) * SCALAR_OPS[op], dtype
    yield "lt", ("int64", "uint64"), "bool"
    yield "add", ("int32", "float64"), "float64"
    yield "select", ("int32", "float32", "int8"), "float64"


def samples(dtype: str) -> np.ndarray:
    kind = as_dtype(dtype)
    rng = np.random.default_rng(1)
    if kind.kind == "b":
        return np.array([False, True, True, False, True])
    if kind.kind in "iu":
        bounds = np.iinfo(kind)
        edges = [0, 1, 2, 3, 7, bounds.max, bounds.max - 1, bounds.min, bounds.min + 1, bounds.bits - 1, bounds.bits]
        edges += [-1, -2, -7] if kind.kind == "i" else []
        return np.concatenate([np.array(edges, kind), rng.integers(bounds.min, bounds.max, 9, kind)])
    edges = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, -7.25, 1e-30, 88.0, -88.0, 1e20, -1e20]
    edges += [np.inf, -np.inf, np.nan]
    with np.errstate(over="ignore"):
        return np.concatenate([np.array(edges).astype(kind), rng.standard_normal(12).astype(kind) * kind.type(3)])


def arguments(operation: Operation) -> list[np.ndarray]:
    """All pairs of the samples, or each; what has no result is left out."""
    op, dtypes, target = operation
    axes = [samples(d) for d in dtypes]
    given = [a.reshape(-1) for a in np.meshgrid(*axes, indexing="ij")]
    if op == "pow" and as_dtype(dtypes[0]).kind == "i":
        given = [a[given[1] >= 0] for a in given]
    if op == "fma" and target in FLOATS:  # rounded once: no overflow on the way
        small = [~(np.abs(a.astype(np.float64)) > 100) for a in given]
        given = [a[np.logical_and.reduce(small)] for a in given]
    if op == "cast" and dtypes[0] in FLOATS and as_dtype(target).kind in "iu":
        x, bounds = given[0].astype(np.float64), np.iinfo(target)
        holds = np.isfinite(x) & (np.abs(x) < 2.0**30)
        given = [given[0][holds & (np.trunc(x) >= bounds.min) & (np.trunc(x) <= bounds.max)]]
    return given


def test_results_are_numpys() -> None:
    needs_compiler()
    batch, cases = Batch(), []
    for number, operation in enumerate(operations()):
        op, dtypes, target = operation
        given = arguments(operation)
        n, kinds = given[0].size, [as_dtype(d) for d in (*dtypes, target)]
        body = [Load(Access(i, (1,)), kinds[i]) for i in range(len(given))]
        body += [Map(op, tuple(range(len(given))), kinds[-1]), Store(Access(len(given), (1,)), len(given))]
        kernel = LoopKernel((), (n,), tuple(body), tuple(kinds), (len(given),))
        batch.add(loop_kernel(kernel, f"operation{number}", sizes=SMALL), [*given, np.zeros(n, kinds[-1])])
        cases.append((operation, given))
    for (operation, given), runs in zip(cases, batch.run((0,)), strict=True):
        compare(operation, given, runs[0][-1])


def compare(operation: Operation, given: list[np.ndarray], found: np.ndarray) -> None:
    op, _, target = operation
    expected = reference(op, given, target)
    assert found.dtype == expected.dtype
    if target not in FLOATS:
        np.testing.assert_array_equal(found, expected, err_msg=str(operation))
        return
    x, y = found.astype(np.float64), expected.astype(np.float64)
    tolerance = ROUNDING[target] if op in ROUNDED else 0.0
    np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance * 1e-2, err_msg=str(operation))
    if op not in ROUNDED and op not in ("max", "min", "mod", "sign"):
        number = ~np.isnan(y)
        np.testing.assert_array_equal(np.signbit(x[number]), np.signbit(y[number]), err_msg=str(operation))


def reference(op: str, given: list[np.ndarray], target: str) -> np.ndarray:
    """NumPy's result. What NumPy rounds in between, and brain floats, which are another package's, in wider numbers."""
    wider = given
    if op == "fma" and target in FLOATS:
        wider = [a.astype(np.longdouble) for a in given]
    elif target in HALVES and (op in ROUNDED or target == "bfloat16"):
        wider = [a.astype(np.float32) if a.dtype.name in HALVES else a for a in given]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of casts
        wide = as_dtype(target) if wider is given else np.result_type(*wider)
        return (
            compute(op, wider, wide).astype(as_dtype(target))
            if op != "select"
            else compute(op, given, as_dtype(target))
        )


def test_nothing_is_left_out() -> None:
    assert {op for op, _, _ in operations()} == set(SCALAR_OPS)


@pytest.mark.parametrize(
    ("op", "dtype"), [("shl", "float32"), ("exp", "int32"), ("sub", "bool"), ("bit_and", "float64")]
)
def test_an_operation_that_a_dtype_lacks_is_refused(op: str, dtype: str) -> None:
    kind = as_dtype(dtype)
    with pytest.raises(TypeError, match=f"no operation '{op}' with a result of {dtype}"):
        expression(op, ["x0", "x1"][: SCALAR_OPS[op]], [kind] * SCALAR_OPS[op], kind)


def test_a_dtype_that_loop_kernels_lack_is_refused() -> None:
    dtype = np.dtype(np.complex64)
    kernel = LoopKernel((), (3,), (Load(Access(0, (1,)), dtype), Store(Access(1, (1,)), 0)), (dtype, dtype), (1,))
    with pytest.raises(TypeError, match=r"compute in bool, int8.*bfloat16; got complex64"):
        loop_kernel(kernel, "complex")


def test_constants_keep_their_bits() -> None:
    needs_compiler()
    batch, wanted = Batch(), []
    for number, dtype in enumerate(DTYPES):
        kind, values = as_dtype(dtype), samples(dtype)
        if kind.kind == "f":
            limits = np.finfo(kind)
            values = np.append(values, [limits.max, limits.tiny, limits.smallest_subnormal, kind.type(0.1)])
        body = [Constant(v.item(), kind) for v in values]
        body += [Store(Access(0, (), offset=i), i) for i in range(len(values))]
        kernel = LoopKernel((), (), tuple(body), (kind,), (0,))
        batch.add(loop_kernel(kernel, f"constants{number}", sizes=SMALL), [np.zeros(len(values), kind)])
        wanted.append(values)
    for values, runs in zip(wanted, batch.run((0,)), strict=True):
        number = values == values
        assert runs[0][0][number].tobytes() == values[number].tobytes()
        assert np.isnan(runs[0][0][~number]).all()


def test_negative_numbers_bind_as_tightly_as_names() -> None:
    assert literal(-(2**31), np.dtype(np.int32)) == "(-2147483647 - 1)"
    assert literal(-1.5, np.dtype(np.float32)) == "-1.5f"
