"""Reductions where they are hard: ties, zeros, infinities, nothing at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_core as ag

INF, NAN = float("inf"), float("nan")


def gradient(f: Any, values: Any) -> Any:
    x = ag.tensor(np.array(values, dtype=np.float64), requires_grad=True)
    f(x).sum().backward()
    return x.grad.tolist()


@pytest.mark.parametrize("extremum", ["max", "min"])
def test_equal_extrema_share_the_gradient_evenly(extremum: str) -> None:
    values = [[2.0, 2.0, 2.0, 2.0], [1.0, 3.0, 3.0, 1.0]]
    assert gradient(lambda x: getattr(x, extremum)(axis=1), values) == [
        [0.25] * 4,
        [0.0, 0.5, 0.5, 0.0] if extremum == "max" else [0.5, 0.0, 0.0, 0.5],
    ]


def test_an_extremum_passes_infinities_and_nan_on() -> None:
    x = ag.tensor([[1.0, INF], [-INF, -INF], [NAN, 1.0]])
    np.testing.assert_array_equal(x.max(axis=1).numpy(), np.array([INF, -INF, NAN], np.float32))
    np.testing.assert_array_equal(x.min(axis=1).numpy(), np.array([1.0, -INF, NAN], np.float32))
    assert gradient(lambda x: x.max(), [1.0, INF]) == [0.0, 1.0]


def test_the_first_of_equal_extrema_is_their_position() -> None:
    x = ag.tensor([3.0, 1.0, 3.0, 1.0])
    assert (x.argmax().item(), x.argmin().item()) == (0, 1)
    assert x.argmax().dtype == np.int64
    assert ag.tensor([[1, 5], [7, 2]]).argmax(keepdims=True).tolist() == [[2]]


@pytest.mark.parametrize("f", [ag.prod, lambda x: ag.cumulative_prod(x)[-1]], ids=["prod", "cumulative_prod"])
@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
def test_products_differentiate_at_zeros_to_the_third_order(f: Any, zeros: int) -> None:
    values = np.array([0.0] * zeros + [2.0, -1.5, 0.5, 3.0][zeros:])
    ag.check_grads(f, (ag.asarray(values),), order=3)
    others = [np.prod(np.delete(values, i)) for i in range(4)]
    assert gradient(f, values) == others


def test_a_long_product_takes_as_many_steps_as_it_has_bits() -> None:
    x = np.linspace(0.9, 1.1, 1000)
    np.testing.assert_allclose(gradient(ag.prod, x), x.prod() / x, rtol=1e-12)


def test_variance_is_exact_far_from_zero() -> None:
    """Two passes: E[x^2] - E[x]^2 would have no correct digit here."""
    x = np.array([1.0, 2.0, 3.0, 4.0]) + 1e9
    assert ag.var(ag.asarray(x)).item() == 1.25
    assert abs(ag.var(ag.tensor((np.arange(4) + 4096).astype(np.float32))).item() - 1.25) < 1e-6


def test_the_standard_deviation_of_equal_elements_has_gradient_zero() -> None:
    assert gradient(ag.std, [3.0, 3.0, 3.0]) == [0.0, 0.0, 0.0]
    f = ag.grad(lambda x: ag.std(x))
    assert not np.isnan(ag.jacrev(f)(ag.asarray(np.full(3, 2.0))).numpy()).any()


def test_too_few_elements_for_the_correction_give_nan() -> None:
    assert np.isnan(ag.var(ag.tensor([1.0]), correction=1).item())
    assert np.isnan(ag.std(ag.tensor([1.0]), correction=2).item())
    assert np.isnan(ag.mean(ag.zeros(0)).item())
    assert np.isnan(ag.var(ag.zeros((2, 0)), axis=1).numpy()).all()


def test_over_no_axis_a_reduction_changes_nothing() -> None:
    x = ag.tensor([[1.0, 2.0]])
    assert all(f(x, axis=()).tolist() == [[1.0, 2.0]] for f in (ag.sum, ag.mean, ag.prod, ag.max, ag.logsumexp))
    assert ag.var(x, axis=()).tolist() == [[0.0, 0.0]]


def test_logsumexp_neither_overflows_nor_underflows() -> None:
    x = ag.tensor([[1e4, 1e4], [-1e4, -1e4]], dtype="float64")
    np.testing.assert_allclose(x.logsumexp(axis=1).numpy(), [1e4 + np.log(2), -1e4 + np.log(2)], rtol=1e-15)
    found = gradient(lambda x: x.logsumexp(axis=1), [[1e4, 1e4], [-1e4, -1e4]])
    np.testing.assert_allclose(found, np.full((2, 2), 0.5), rtol=1e-11)


def test_logsumexp_of_minus_infinity_is_minus_infinity_with_gradient_zero() -> None:
    rows = [[-INF, -INF], [-INF, 2.0]]
    assert ag.logsumexp(ag.tensor(rows), axis=1).tolist() == [-INF, 2.0]
    assert gradient(lambda x: x.logsumexp(axis=1), rows) == [[0.0, 0.0], [0.0, 1.0]]
    second = ag.hessian(lambda x: x.logsumexp(axis=1).sum())(ag.asarray(np.array(rows)))
    assert second.numpy().tolist() == np.zeros((2, 2, 2, 2)).tolist()


def test_logsumexp_passes_infinity_and_nan_on() -> None:
    assert ag.logsumexp(ag.tensor([INF, 0.0])).item() == INF
    assert np.isnan(ag.logsumexp(ag.tensor([NAN, 0.0])).item())


def test_reductions_of_nothing() -> None:
    x = ag.zeros((0, 3))
    assert x.sum(axis=0).tolist() == [0.0, 0.0, 0.0]
    assert x.prod(axis=0).tolist() == [1.0, 1.0, 1.0]
    assert (x.any().item(), x.all().item()) == (False, True)
    assert x.logsumexp(axis=0).tolist() == [-INF] * 3
    assert x.max(axis=1).shape == (0,)
    assert ag.cumulative_sum(x, axis=0).shape == (0, 3)
    assert ag.cumulative_sum(x, axis=0, include_initial=True).tolist() == [[0.0, 0.0, 0.0]]
    assert ag.sort(x, axis=0).shape == (0, 3)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    "name",
    ["sum", "mean", "var", "std", "prod", "max", "min", "logsumexp", "cumulative_sum", "cumulative_prod", "sort"],
)
def test_floating_dtypes_stay_forward_and_backward(name: str, dtype: str) -> None:
    x = ag.tensor([1.0, 2.0, 3.0], dtype=dtype, requires_grad=True)
    y = getattr(ag, name)(x)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == np.dtype(dtype)


def test_integers_are_summed_in_64_bits_and_averaged_as_floats() -> None:
    small = ag.tensor([200, 100], dtype="uint8")
    assert (small.sum().dtype, small.sum().item()) == (np.dtype("uint64"), 300)
    assert ag.tensor([True, True]).sum().dtype == np.int64
    assert ag.prod(ag.tensor([100, 100], dtype="int8")).item() == 10_000
    assert ag.cumulative_sum(ag.tensor([100, 100], dtype="int8")).tolist() == [100, 200]
    assert ag.mean(ag.tensor([1, 2])).dtype == np.float32
    assert ag.sum(ag.tensor([1, 2]), dtype="float64").dtype == np.float64


def test_equal_elements_keep_their_order() -> None:
    x = ag.tensor([1, 0, 1, 0, 1])
    assert ag.argsort(x).tolist() == [1, 3, 0, 2, 4]
    assert ag.argsort(x, descending=True).tolist() == [0, 2, 4, 1, 3]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ag.max(ag.zeros((0, 2)), axis=0), ag.ShapeError, "no element to choose"),
        (lambda: ag.argmin(ag.zeros(0)), ag.ShapeError, "no element to choose"),
        (lambda: ag.argmax(ag.zeros((2, 0)), axis=1), ag.ShapeError, "no element to choose"),
        (lambda: ag.sum(ag.zeros(2), axis=1), ag.ShapeError, "axis 1 is out of range"),
        (lambda: ag.sum(ag.zeros((2, 2)), axis=(0, -2)), ag.ShapeError, "names an axis twice"),
        (lambda: ag.mean(ag.zeros(2), axis=0.5), ag.ArgumentError, "axis must be an int"),
        (lambda: ag.cumulative_sum(ag.zeros((2, 2))), ag.ShapeError, "say along which axis"),
        (lambda: ag.max(ag.tensor([1j])), ag.DTypeError, "complex numbers have no order"),
        (lambda: ag.var(ag.tensor([1j])), ag.DTypeError, "takes real dtypes"),
        (lambda: ag.logsumexp(ag.tensor([1j])), ag.DTypeError, "takes real dtypes"),
        (lambda: ag.argsort(ag.tensor([1j])), ag.DTypeError, "complex numbers have no order"),
    ],
)
def test_what_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
