"""What products refuse, the shape of the work they do, and norms at the origin."""

from __future__ import annotations

import numpy as np
import op_checks
import pytest
from op_table import linear_algebra, linear_algebra_equations, linear_algebra_norms, linear_algebra_spectra

import autograd_core as ag
from autograd_core.ops.linear_algebra import linear

TABLES = (linear_algebra, linear_algebra_equations, linear_algebra_norms, linear_algebra_spectra)


def zeros(*shape: int) -> ag.Tensor:
    return ag.zeros(shape)


@pytest.mark.parametrize(
    ("subscripts", "shapes", "error", "message"),
    [
        ("ik,kj->ij", [(2, 3), (4, 5)], ag.ShapeError, "letter k has length 3 in operand 0 and 4 in operand 1"),
        (
            "...i,...i",
            [(2, 3), (4, 3)],
            ag.ShapeError,
            r"axis -1 \(from the right\) of '...' has length 2 in operand 0",
        ),
        ("ii->i", [(2, 3)], ag.ShapeError, "letter i is repeated in operand 0.*lengths 2 and 3"),
        ("ii", [(1, 3)], ag.ShapeError, "letter i is repeated in operand 0.*lengths 1 and 3"),
        ("ij", [(2,)], ag.ShapeError, r"operand 0 has 1 dimension\(s\), but 'ij' names 2"),
        ("i", [(2, 3)], ag.ShapeError, "write '...'"),
        ("i->j", [(3,)], ag.ArgumentError, "letter j of the output is in no operand"),
        ("ij->ii", [(2, 2)], ag.ArgumentError, "letter i is 2 times in the output"),
        ("...i->i", [(2, 3)], ag.ArgumentError, r"drop the 1 axes under '...'; write '->...i'"),
        ("i,j", [(2,)], ag.ArgumentError, r"name 2 operand\(s\), but 1 given"),
        ("i1", [(2, 2)], ag.ArgumentError, "'1' in the subscripts of operand 0"),
        ("i.j", [(2, 2)], ag.ArgumentError, "is not a letter"),
        ("...i...", [(2, 2)], ag.ArgumentError, "once an operand"),
    ],
)
def test_einsum_names_the_letter_and_the_operand(subscripts, shapes, error, message):
    with pytest.raises(error, match=message):
        ag.einsum(subscripts, *(zeros(*shape) for shape in shapes))


def test_tensordot_takes_axes_in_pairs():
    for axes in (((0,), (0, 1)), ((0,), (0,), (0,))):
        with pytest.raises(ag.ArgumentError, match="an int or two lists of axes, equally long"):
            ag.tensordot(zeros(2, 2), zeros(2, 2), axes=axes)
    with pytest.raises(ag.ShapeError, match="name an axis twice"):
        ag.tensordot(zeros(2, 2), zeros(2, 2), axes=((0, 0), (0, 1)))


def test_einsum_in_lists_says_what_it_expects():
    with pytest.raises(ag.ArgumentError, match="list of ints after each operand"):
        ag.einsum(zeros(2), zeros(2))
    with pytest.raises(ag.ArgumentError, match="ints from 0 to 51, not 52"):
        ag.einsum(zeros(2), [52])
    with pytest.raises(ag.ArgumentError, match="no operands"):
        ag.einsum("ij")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ag.matmul(zeros(2, 3), zeros(2, 3)), r"k is 3 in x1 and 2 in x2; transpose one with x\.mT"),
        (lambda: ag.matmul(zeros(3), zeros(2)), "k is 3 in x1 and 2 in x2"),
        (lambda: ag.matmul(zeros(2, 2, 3), zeros(3, 3, 2)), r"leading axes\): shapes \(2,\) and \(3,\)"),
        (lambda: ag.matmul(zeros(), zeros(2)), r"use x1 \* x2"),
        (
            lambda: linear(zeros(2, 3), zeros(3, 4)),
            r"3 features along its last axis, but weight of shape \(3, 4\) takes 4",
        ),
        (lambda: linear(zeros(2, 3), zeros(4, 3), zeros(3)), r"bias must have shape \(4,\)"),
        (lambda: ag.tensordot(zeros(2, 3), zeros(4, 3), axes=1), "axis 1 of x1.*has length 3.*has 4"),
        (lambda: ag.tensordot(zeros(2), zeros(2), axes=2), "use 0 to 1"),
        (lambda: ag.vecdot(zeros(2, 3), zeros(2)), "must have one length"),
        (lambda: ag.outer(zeros(2, 2), zeros(2)), r"x\.ravel\(\)"),
        (lambda: ag.diagonal(zeros(2)), "at least 2 dimensions"),
        (lambda: ag.trace(zeros(2)), "at least 2 dimensions"),
    ],
)
def test_shapes_that_do_not_fit(call, message):
    with pytest.raises(ag.ShapeError, match=message):
        call()


@pytest.mark.parametrize(("x_shape", "w_shape"), [((4, 5, 3), (2, 3)), ((4, 5, 6, 3), (2, 3))])
def test_leading_axes_are_one_product_of_matrices_in_both_directions(x_shape, w_shape, monkeypatch):
    seen = []
    multiply = np.matmul
    monkeypatch.setattr(np, "matmul", lambda a, b: seen.append((a.ndim, b.ndim)) or multiply(a, b))
    x = ag.tensor(np.ones(x_shape), requires_grad=True)
    w = ag.tensor(np.ones(w_shape), requires_grad=True)
    for y in (x @ w.mT, linear(x, w)):
        y.sum().backward()
    assert seen == [(2, 2)] * 6


def test_the_gradient_of_one_matrix_with_a_batch_is_one_product(monkeypatch):
    seen = []
    multiply = np.matmul
    w, x = ag.tensor(np.ones((2, 3)), requires_grad=True), ag.tensor(np.ones((4, 3, 5)))
    y = (w @ x).sum()
    monkeypatch.setattr(np, "matmul", lambda a, b: seen.append((a.ndim, b.ndim)) or multiply(a, b))
    y.backward()
    assert seen == [(2, 2)]
    np.testing.assert_array_equal(w.grad.numpy(), 20)


def test_the_gradient_of_a_weight_lies_in_memory_as_the_weight_does():
    w = ag.tensor(np.ones((4, 3)), requires_grad=True)
    linear(ag.tensor(np.ones((5, 3))), w).sum().backward()
    assert w.grad.numpy().flags.c_contiguous


def test_dtypes_stay_and_integers_are_exact():
    assert ag.matmul(ag.ones((2, 2)), ag.ones((2, 2))).dtype == np.float32
    x = ag.tensor(np.array([[2**60, 1]]))
    assert ag.einsum("ij,ij->", x, ag.tensor([[1, 1]])).item() == 2**60 + 1
    assert ag.einsum("ij->j", ag.tensor(np.ones((2, 2), np.int8))).dtype == np.int8
    assert ag.norm(ag.tensor([3, 4])).dtype == np.float32


@pytest.mark.parametrize("case", [c for table in TABLES for c in table.CASES], ids=lambda case: case.name)
def test_no_dtype_changes_by_itself(case):
    """Nor in derivatives, where slopes of one dtype meet operands of another."""
    xs = op_checks.arrays(case)
    with ag.strict_dtypes():
        op_checks.run(case, xs)
        if case.argnums(xs):
            op_checks.pulled(case, xs)


def test_an_intermediate_product_is_the_small_one():
    """(n, 2) (2, n) (n, 2): from the right the largest array has 4 elements, from the left n^2."""
    sizes = []
    x, y, z = (np.ones(shape) for shape in [(50, 2), (2, 50), (50, 2)])
    multiply = np.matmul
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np, "matmul", lambda a, b: (sizes.append(a.shape[-2] * b.shape[-1]), multiply(a, b))[1])
        ag.einsum("ij,jk,kl->il", x, y, z)
    assert sorted(sizes) == [4, 100]


@pytest.mark.parametrize("ord", [2, 3, 1, 1.5])
def test_the_gradient_of_a_norm_at_the_origin_is_zero(ord):
    x = ag.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    ag.norm(x, ord, axis=1).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy()[0], 0)
    assert np.isfinite(x.grad.numpy()).all()
    assert np.isfinite(ag.hessian(lambda v: ag.norm(v, 2))(ag.zeros(2)).numpy()).all()


def test_norm_refuses_words():
    with pytest.raises(ag.ArgumentError, match=r"ord must be a number.*ag\.linalg\.matrix_norm"):
        ag.norm(ag.ones((2, 2)), "fro")


def test_a_batch_of_matrices_meets_a_stack_with_two_axes_more():
    x, stack = np.random.default_rng(0).standard_normal((6, 2, 3)), np.ones((4, 5, 3, 2)) * np.arange(5)[:, None, None]
    y = ag.vmap(lambda x: ag.matmul(x, ag.asarray(stack)))(ag.asarray(x))
    np.testing.assert_allclose(y.numpy(), np.stack([each @ stack for each in x]))
