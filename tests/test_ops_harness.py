"""The checks of the op table can fail: each is given an operation with the fault that it is there to find."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import op_batching
import op_checks
import op_dtypes
import op_extents
import op_jax
import op_matrix
import pytest
from op_names import Namespace, NoSuchName
from op_table import OpCase
from op_table.case import normal, operands
from test_ops_broadcasting import Drawn, check_gradients, check_values

import autograd_core as ag
from autograd_core.aval import Aval
from autograd_core.backend import get_device
from autograd_core.ops.arithmetic import square_p
from autograd_core.primitive import Primitive, bind, elementwise, general, multilinear


def square_case(primitive: Primitive, **changes: Any) -> OpCase:
    """``primitive`` said to be x^2."""
    given = {
        "name": f"square/{primitive.name}",
        "fn": lambda x: bind(primitive, (x,), {}),
        "make": operands(normal(3, 3)),
        "reference": lambda x: x * x,
        "torch": lambda torch, x: x * x,
        "elementwise": 1,
    }
    return OpCase(**given | changes)


def square(name: str, forward: Callable[..., Any] = lambda xp, x: x * x, partial: Any = lambda x: 2 * x) -> OpCase:
    return square_case(elementwise(name, forward, partials=(partial,)))


GOOD = square("square")


def product(primitive: Primitive) -> OpCase:
    """``primitive`` said to be x1 * x2, without the broadcasting that a public function inserts."""
    return OpCase(
        primitive.name,
        lambda x1, x2: bind(primitive, (x1, x2), {}),
        operands(normal(2, 3), normal(2, 3)),
        np.multiply,
        elementwise=2,
    )


def multiplied(name: str, *partials: Any) -> OpCase:
    return product(elementwise(name, lambda xp, x1, x2: x1 * x2, partials=partials))


def in_place(xp: Any, x: Any) -> Any:
    x *= x
    return x.copy()


def overwriting(g: Any, x: Any) -> Any:
    result = 2 * x * g
    g.data[...] = 0
    return result


def by_memory(xp: Any, x: Any) -> Any:
    """Reads the elements in the order in which they lie in memory."""
    flat = x.ravel(order="K")
    return (flat * flat).reshape(x.shape)


def squares(
    name: str,
    shape: Callable[..., Any] = lambda x: x,
    vjp: Any = lambda g, x: 2 * x * g,
    jvp: Any = None,
    batch: Any = None,
) -> OpCase:
    return square_case(general(name, lambda xp, x: x * x, shape, vjp=(vjp,), jvp=jvp, batch=batch))


def right_jvp(ts: Any, x: Any) -> Any:
    return 2 * x * ts[0]


def row_sums(name: str, axis: int, batch: Any = None) -> OpCase:
    """Sums over rows whose transpose spreads along ``axis``: along 1 is right."""
    summed = multilinear(
        name,
        lambda xp, x: x.sum(1),
        transposes=(lambda g, avals: g.unsqueeze(axis).broadcast_to(avals[0].shape),),
        shape=lambda x: Aval(x.shape[:1], x.dtype),
        batch=batch,
    )
    return square_case(summed, reference=lambda x: x.sum(1), torch=lambda torch, x: x.sum(1), elementwise=0)


def in_dtype(name: str) -> Callable[[OpCase], str]:
    def check(case: OpCase) -> str:
        if name == "bfloat16":
            pytest.importorskip("ml_dtypes")
        try:
            return op_dtypes.check(case, name, op_matrix.judge("torch"))
        except op_dtypes.NoJudge as judges:
            pytest.skip(str(judges))

    check.__name__ = name
    return check


def batching(case: OpCase) -> str:
    return op_batching.check(case)


def extents(case: OpCase) -> str:
    return op_extents.check(case)


def against_jax(case: OpCase) -> str:
    jax = op_matrix.judge("jax")
    if jax is None:
        pytest.skip("jax is not installed")
    return op_jax.check(case, jax)


ALL = [
    op_checks.value,
    op_checks.shapes,
    op_checks.gradients,
    op_checks.symmetry,
    op_checks.layouts,
    op_checks.scalars,
    op_checks.half,
    op_checks.purity,
    op_checks.recording,
    op_checks.backends,
    batching,
    extents,
    against_jax,
    *map(in_dtype, op_dtypes.DTYPES),
]


@pytest.mark.parametrize("check", ALL, ids=lambda check: check.__name__)
def test_a_sound_operation_passes(check):
    assert not check(square_case(square_p, fn=ag.square) if check is against_jax else GOOD)


@pytest.mark.parametrize("case", [row_sums("row_sums", 1), squares("squares")], ids=lambda case: case.name)
@pytest.mark.parametrize("check", [op_checks.gradients, op_checks.shapes, op_checks.layouts, op_checks.purity])
def test_sound_operations_of_other_kinds_pass(check, case):
    check(case)


FAULTS: list[tuple[Callable[[OpCase], None], OpCase, str]] = [
    (op_checks.value, square("wrong value", lambda xp, x: x * x + 1e-9), "Not equal to tolerance"),
    (op_checks.value, square("wrong shape", lambda xp, x: (x * x)[:2]), r"shape \(2, 3\), expected \(3, 3\)"),
    (op_checks.value, square("wrong dtype", lambda xp, x: (x * x).astype("f4")), "float32, expected float64"),
    (in_dtype("float32"), square("float64 constant", lambda xp, x: x * x * np.float64(1)), "expected .*float32"),
    (in_dtype("float32"), square("float64 slope", partial=lambda x: x * ag.tensor(2.0, dtype="float64")), "float64"),
    (in_dtype("float32"), square("inexact", lambda xp, x: x * x * (1 + 1e-4 * (x.dtype == np.float32))), "in float32"),
    (
        in_dtype("float16"),
        square_case(square_p, fn=lambda x: ag.square(x) + 0.1 * (x.dtype == np.float16)),
        "in float16: result 0",
    ),
    (in_dtype("complex128"), square("modulus", lambda xp, x: x * xp.conj(x)), "nobody confirms"),
    (in_dtype("complex128"), square("conjugate", partial=lambda x: 2 * ag.conj(x)), "finite differences"),
    (in_dtype("complex64"), square("parts", lambda xp, x: x * x + 0.1 * (x.dtype == np.complex64)), "in complex64"),
    (op_checks.shapes, squares("wrong shape rule", lambda x: Aval((1, *x.shape), x.dtype)), "its shape rule says"),
    (op_checks.shapes, squares("wrong dtype rule", lambda x: Aval(x.shape, np.dtype("f4"))), "its shape rule says"),
    (op_checks.gradients, square("wrong sign", partial=lambda x: -2 * x), "forward mode, order 1"),
    (op_checks.gradients, square("wrong factor", partial=lambda x: 2.0001 * x), "finite differences"),
    (op_checks.gradients, row_sums("wrong axis", 0), "argument 0"),
    (op_checks.gradients, square("constant slope", partial=lambda x: (2 * x).detach()), "order 2"),
    (op_checks.gradients, squares("wrong jvp", jvp=lambda ts, x: 3 * x * ts[0]), "forward mode, order 1"),
    (op_checks.gradients, squares("wrong vjp", vjp=lambda g, x: 3 * x * g, jvp=right_jvp), "reverse mode, order 1"),
    (op_checks.gradients, squares("wrong shape", vjp=lambda g, x: (2 * x * g).sum(0), jvp=right_jvp), "it must be"),
    (op_checks.gradients, multiplied("no gradient", lambda x2: x2, lambda x1: 2 * x1), "argument 1"),
    (op_checks.symmetry, multiplied("no gradient", lambda x2: x2, lambda x1: 2 * x1), "Not equal to tolerance"),
    (op_checks.layouts, square("order in memory", by_memory), "Fortran-order operands"),
    (op_checks.scalars, square("needs an axis", lambda xp, x: x * x if x.ndim else x), "0-d"),
    (extents, square("needs elements", lambda xp, x: x * x + 0 * x.max()), "no reason to refuse"),
    (extents, squares("another shape", lambda x: Aval(x.shape[:1], x.dtype)), "its shape rule says"),
    (extents, squares("gradient", vjp=lambda g, x: 2 * x * g if x.size else g.new_zeros((1,))), "gradient 0 has shape"),
    (in_dtype("int64"), square("halves", lambda xp, x: x * x + (x // 2 - x / 2).astype(x.dtype)), "int64"),
    (in_dtype("int64"), square("fractions", lambda xp, x: x * x * 1.0), "is float64"),
    (in_dtype("uint8"), square("signs", lambda xp, x: x * x + (x.dtype.kind == "u")), "uint8"),
    (in_dtype("bool"), square("numbers", lambda xp, x: (x * x).astype("f8") if x.dtype == bool else x * x), "float64"),
    (batching, row_sums("not shifted", 1, batch={}), "batched along the first axis"),
    (batching, squares("not batched"), "does not say how it runs on a batch"),
    (batching, squares("doubled", batch=lambda xs, batched, size: 2 * xs[0] * xs[0]), "batched along"),
    (batching, square_case(square_p, no_vmap="it is said"), "vmap runs it"),
    (against_jax, square_case(square_p, jax=lambda jax, x: 2 * x * x), "in JAX: result 0"),
    (against_jax, square_case(square_p, jax=lambda jax, x: x * jax.lax.stop_gradient(x)), "gradient"),
    (against_jax, square("wrong slope", partial=lambda x: 2.1 * x), "tangent"),
    (against_jax, squares("wrong vjp", vjp=lambda g, x: 3 * x * g, jvp=right_jvp), "cotangent projection"),
    (op_checks.edge, square_case(square_p, edge=lambda x: 3 * x, order=0), "gradient at the edge"),
    (op_checks.half, square("overflow", lambda xp, x: x * x * (xp.exp(2 * x) / xp.exp(2 * x))), "in float16 are NaN"),
    (op_checks.purity, square("in place", in_place), "in place: operands"),
    (op_checks.purity, squares("cotangent in place", vjp=overwriting), "cotangents"),
    (op_checks.recording, square_case(elementwise("no slope", lambda xp, x: x * x, None)), "requires gradients"),
]


@pytest.mark.parametrize(
    ("check", "case", "message"), FAULTS, ids=[f"{check.__name__}: {case.name}" for check, case, _ in FAULTS]
)
@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_a_fault_is_found(check, case, message):
    with pytest.raises((AssertionError, ag.AutogradError)) as found:
        check(case)
    assert re.search(message, str(found.value)), str(found.value)


def test_a_kernel_that_differs_from_the_reference_is_found():
    primitive = elementwise("wrong kernel", lambda xp, x: x * x, partials=(lambda x: 2 * x,))
    kernels = get_device("cpu").kernels
    kernels[primitive] = lambda xp, x: x * x * (1 + 1e-4)
    try:
        with pytest.raises(AssertionError, match="wrong kernel float64"):
            op_checks.backends(square_case(primitive))
    finally:
        del kernels[primitive]


@pytest.mark.parametrize(
    "theirs",
    [lambda torch, x: x * x * 2, lambda torch, x: x * x.detach() * 1.0],
    ids=["another value", "another gradient"],
)
def test_another_opinion_of_pytorch_is_found(theirs):
    torch = pytest.importorskip("torch")
    op_checks.peer(GOOD, torch)
    with pytest.raises(AssertionError, match="square"):
        op_checks.peer(square_case(elementwise("square", lambda xp, x: x * x, (lambda x: 2 * x,)), torch=theirs), torch)


def test_a_gradient_that_is_not_summed_back_is_found():
    drawn = Drawn((np.ones((2, 1)), np.ones((1, 3))), (2, 3))
    sound = OpCase("multiply", ag.multiply, operands(normal(2, 3), normal(2, 3)), np.multiply, elementwise=2)
    check_gradients(sound, drawn)
    with pytest.raises(AssertionError, match="gradient"):
        check_gradients(multiplied("not summed", lambda x2: x2, lambda x1: x1), drawn)


def test_a_dtype_against_promotion_is_found():
    case = square("narrowing", lambda xp, x: (x * x).astype(np.float32))
    check_values(GOOD, Drawn((np.ones(2),), (2,)))
    with pytest.raises(AssertionError):
        check_values(case, Drawn((np.ones(2),), (2,)))


def test_a_foreign_exception_is_no_refusal():
    def refusing(xp: Any, x: Any) -> Any:
        if x.dtype == np.int8:
            raise KeyError("int8")
        return x * x

    with pytest.raises(KeyError):
        op_dtypes.check(square("foreign", refusing), "int8")


def test_a_refusal_on_one_backend_alone_is_found():
    primitive = elementwise("one-sided", lambda xp, x: x * x, partials=(lambda x: 2 * x,))

    def kernel(xp: Any, x: Any) -> Any:
        if x.dtype == np.int8:
            raise TypeError("no kernel for int8")
        return x * x

    kernels = get_device("cpu").kernels
    kernels[primitive] = kernel
    try:
        with pytest.raises(AssertionError, match=r"numpy gives [\s\S]*, cpu DTypeError"):
            op_dtypes.check(square_case(primitive), "int8")
        assert not op_dtypes.check(square_case(primitive), "int16")
    finally:
        del kernels[primitive]


def test_a_refused_dtype_is_reported_as_such():
    def refusing(x: Any) -> Any:
        if x.dtype.kind == "c":
            raise ag.DTypeError("square: takes real numbers")
        return ag.square(x)

    assert op_dtypes.check(square_case(square_p, fn=refusing), "complex64") == "refused: DTypeError"
    assert not op_dtypes.check(square_case(square_p, fn=refusing), "float32")


def test_what_jax_lacks_is_reported_as_such():
    jax = op_matrix.judge("jax")
    if jax is None:
        pytest.skip("jax is not installed")
    assert op_jax.check(square_case(square_p, no_jax="it is said"), jax) == "it is said"
    with pytest.raises(NoSuchName, match="JAX has no function of this name"):
        Namespace("JAX", [jax.numpy], jax.numpy.asarray).conv_transpose2d  # noqa: B018 (its look-up is the test)
