"""What losses refuse, what they accept beside tensors, and how they behave at hard points."""

from __future__ import annotations

import numpy as np
import pytest

import autograd_core as ag
from autograd_core.ops.cross_entropy import cross_entropy, nll_loss
from autograd_core.ops.distances import cosine_similarity
from autograd_core.ops.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from autograd_core.ops.softmax import log_softmax, softmax

PAIRWISE = [
    mse_loss,
    l1_loss,
    huber_loss,
    smooth_l1_loss,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    kl_div,
]
LABELLED = [cross_entropy, nll_loss]


def scores(*shape: int) -> ag.Tensor:
    return ag.tensor(np.random.default_rng(0).uniform(0.1, 0.9, shape).astype("float32"), requires_grad=True)


# ------------------------------------------------------------------------------------------- shapes


@pytest.mark.parametrize("loss", PAIRWISE)
def test_a_column_against_a_vector_is_an_error_that_names_the_cure(loss):
    with pytest.raises(ag.ShapeError, match=r"input has shape \(4, 1\) and target \(4,\).*input\.squeeze\(-1\)"):
        loss(scores(4, 1), scores(4))
    with pytest.raises(ag.ShapeError, match=r"target\.squeeze\(-1\)"):
        loss(scores(4), scores(4, 1))
    with pytest.raises(ag.ShapeError, match="target.broadcast_to"):
        loss(scores(4, 3), scores(3))


@pytest.mark.parametrize("loss", LABELLED)
@pytest.mark.parametrize(
    ("input_shape", "label_shape", "cure"),
    [
        ((4, 3), (4, 1), "target.squeeze"),
        ((4, 3), (4, 3), "astype\\(input.dtype\\)"),
        ((4, 3), (3,), "axis 1"),
        ((4, 3, 2), (4, 3), "axis 1"),
        ((3,), (1,), "target.squeeze"),
    ],
)
def test_labels_of_a_wrong_shape(loss, input_shape, label_shape, cure):
    with pytest.raises(ag.ShapeError, match=rf"{loss.__name__}: labels have shape.*{cure}"):
        loss(scores(*input_shape), np.zeros(label_shape, int))


def test_scores_without_an_axis_or_without_classes():
    with pytest.raises(ag.ShapeError, match="0-d"):
        cross_entropy(ag.tensor(1.0), np.array(0))
    with pytest.raises(ag.ShapeError, match="no classes"):
        cross_entropy(ag.zeros((2, 0)), np.array([0, 0]))


def test_a_class_weight_of_a_wrong_length():
    with pytest.raises(ag.ShapeError, match=r"shape \(3,\).*got \(2,\)"):
        cross_entropy(scores(4, 3), np.zeros(4, int), np.ones(2))


def test_a_weight_that_does_not_broadcast_is_not_stretched_the_other_way():
    with pytest.raises(ag.ShapeError, match="weight of shape"):
        mse_loss(scores(3), scores(3), weight=np.ones((2, 3)))
    with pytest.raises(ag.ShapeError, match="pos_weight of shape"):
        binary_cross_entropy_with_logits(scores(3), scores(3), pos_weight=np.ones(2))


# ------------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize("loss", LABELLED)
def test_a_label_out_of_range_is_named_with_its_place_and_the_classes(loss):
    with pytest.raises(ag.DataError, match=r"label 3 at \[1\] is not one of 3 classes \(0 to 2\)"):
        loss(scores(4, 3), [0, 3, 1, 2])
    with pytest.raises(ag.DataError, match=r"label -1 at \[1, 0\].*nor are 1 other.*ignore_index=-100"):
        loss(scores(2, 3, 2), [[0, 1], [-1, 7]])


@pytest.mark.parametrize("loss", LABELLED)
def test_the_ignored_label_may_lie_outside_the_classes_and_others_still_may_not(loss):
    x = scores(3, 3)
    expected = (loss(x, [0, 2, 1], reduction="none").detach().numpy() * [1, 0, 1]).sum() / 2
    np.testing.assert_allclose(loss(x, [0, 255, 1], ignore_index=255).item(), expected, rtol=1e-6)
    with pytest.raises(ag.DataError, match=r"label 254 at \[2\]"):
        loss(scores(3, 3), [0, 255, 254], ignore_index=255)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
@pytest.mark.parametrize("loss", LABELLED)
def test_labels_of_any_integer_dtype_in_an_array_or_a_tensor(loss, dtype):
    labels = np.array([2, 0, 1, 2], dtype)
    x = scores(4, 3)
    expected = loss(x, labels.astype("int64")).item()
    assert loss(x, labels).item() == expected
    assert loss(x, ag.tensor(labels)).item() == expected


@pytest.mark.parametrize("loss", LABELLED)
def test_ignored_samples_have_no_gradient_and_do_not_count(loss):
    x = scores(3, 4)
    loss(x, [1, -100, 3]).backward()
    y = ag.tensor(x.numpy()[[0, 2]], requires_grad=True)
    loss(y, [1, 3]).backward()
    np.testing.assert_array_equal(x.grad.numpy()[1], 0)
    np.testing.assert_allclose(x.grad.numpy()[[0, 2]], y.grad.numpy(), rtol=1e-6)


def test_a_mean_over_nothing_is_nan_and_a_sum_is_zero():
    assert np.isnan(cross_entropy(scores(2, 3), [-100, -100]).item())
    assert cross_entropy(scores(2, 3), [-100, -100], reduction="sum").item() == 0


# ------------------------------------------------------------------------------------------- dtypes and arguments


@pytest.mark.parametrize("loss", LABELLED)
def test_labels_that_are_no_integers(loss):
    with pytest.raises(ag.DTypeError, match=r"int64"):
        loss(scores(4, 3), np.zeros(4))
    with pytest.raises(ag.DTypeError, match=r"labels must be integers, got bool"):
        loss(scores(4, 3), np.zeros(4, bool))


@pytest.mark.parametrize("loss", PAIRWISE + LABELLED)
def test_integer_scores_are_refused_with_the_cast_to_write(loss):
    with pytest.raises(ag.DTypeError, match=r"input must be floating, got int64; write input.astype\('float32'\)"):
        loss(ag.tensor([[1, 0]]), ag.tensor([[1.0, 0.0]]))


@pytest.mark.parametrize("loss", PAIRWISE)
@pytest.mark.parametrize("dtype", ["float64", "int64", "bool"])
def test_the_dtype_of_a_loss_is_that_of_its_input(loss, dtype):
    x = scores(3)
    y = loss(x, np.ones(3, dtype))
    assert y.dtype == np.float32
    y.backward()
    assert x.grad.dtype == np.float32


def test_class_probabilities_and_weights_take_the_dtype_of_the_scores():
    y = cross_entropy(scores(2, 3), np.full((2, 3), 1 / 3), np.ones(3))
    assert y.dtype == np.float32


@pytest.mark.parametrize("loss", PAIRWISE + LABELLED)
def test_a_reduction_that_does_not_exist(loss):
    with pytest.raises(ag.ArgumentError, match=r"reduction must be 'mean' or 'sum' or 'none'.*got 'avg'"):
        loss(scores(3), scores(3), reduction="avg")


def test_arguments_out_of_their_range():
    with pytest.raises(ag.ArgumentError, match="delta must be positive"):
        huber_loss(scores(3), scores(3), delta=0.0)
    with pytest.raises(ag.ArgumentError, match="beta must not be negative"):
        smooth_l1_loss(scores(3), scores(3), beta=-1.0)
    with pytest.raises(ag.ArgumentError, match=r"label_smoothing must lie in \[0, 1\]"):
        cross_entropy(scores(2, 3), [0, 1], label_smoothing=1.5)


def test_probabilities_outside_the_unit_interval_are_named():
    with pytest.raises(ag.DataError, match=r"input\[1, 0\] is 1\.5, outside \[0, 1\].*with_logits"):
        binary_cross_entropy(np.array([[0.5], [1.5]]), np.ones((2, 1)))
    with pytest.raises(ag.DataError, match=r"target\[0\] is 2, outside"):
        binary_cross_entropy(np.array([0.5]), np.array([2]))
    with pytest.raises(ag.DataError, match=r"input\[0\] is nan"):
        binary_cross_entropy(np.array([np.nan]), np.array([1]))


# ------------------------------------------------------------------------------------------- hard points


@pytest.mark.parametrize("x", [[1e4, -1e4, 0.0], [88.0, 89.0, 90.0], [-1e30, 1e30, 0.0]])
def test_large_scores_overflow_nowhere(x):
    x = ag.tensor([x], requires_grad=True)
    np.testing.assert_allclose(softmax(x).detach().numpy().sum(), 1, rtol=1e-6)
    assert np.isfinite(log_softmax(x).detach().numpy()).all()
    cross_entropy(x, [0]).backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_a_class_of_score_minus_infinity_has_probability_and_gradient_zero():
    x = ag.tensor([[0.0, -np.inf, 1.0]], requires_grad=True)
    loss = cross_entropy(x, [0])
    loss.backward()
    np.testing.assert_allclose(loss.item(), np.log(1 + np.e), rtol=1e-6)
    assert x.grad.numpy()[0, 1] == 0
    assert np.isfinite(x.grad.numpy()).all()


def test_half_precision_is_summed_in_single():
    x = ag.tensor(np.zeros((1, 4096), np.float16))
    assert softmax(x).dtype == np.float16
    np.testing.assert_allclose(softmax(x).numpy().astype(float).sum(), 1, rtol=1e-3)
    np.testing.assert_allclose(cross_entropy(x, [0]).item(), np.log(4096), rtol=1e-3)


def test_saturated_probabilities_cost_much_but_not_everything():
    p = ag.tensor([0.0, 1.0, 1.0], requires_grad=True)
    loss = binary_cross_entropy(p, ag.tensor([1.0, 1.0, 0.0]), reduction="none")
    np.testing.assert_array_equal(loss.detach().numpy(), [100, 0, 100])
    loss.sum().backward()
    assert np.isfinite(p.grad.numpy()).all()


@pytest.mark.parametrize("x", [1e4, -1e4])
def test_logits_of_any_size_have_a_finite_loss_and_slope(x):
    x = ag.tensor([x], requires_grad=True)
    loss = binary_cross_entropy_with_logits(x, np.array([0.5]))
    loss.backward()
    assert loss.item() == 5000
    assert abs(x.grad.item()) == 0.5


def test_kl_divergence_of_a_target_of_zero_is_zero():
    x, t = ag.tensor([[-1.0, -2.0]], requires_grad=True), ag.tensor([[0.0, 1.0]])
    loss = kl_div(x, t, reduction="sum")
    loss.backward()
    assert loss.item() == 2
    np.testing.assert_array_equal(x.grad.numpy(), [[0, -1]])


def test_cosine_of_the_zero_vector_is_zero_with_a_finite_gradient():
    x = ag.tensor([[0.0, 0.0]], requires_grad=True)
    y = cosine_similarity(x, ag.tensor([[1.0, 2.0]]))
    y.sum().backward()
    assert y.item() == 0
    assert np.isfinite(x.grad.numpy()).all()


def test_the_gradient_of_cross_entropy_is_softmax_minus_one_hot():
    x = ag.tensor(np.random.default_rng(1).standard_normal((2, 3)), requires_grad=True)
    cross_entropy(x, [2, 0], reduction="sum").backward()
    np.testing.assert_allclose(x.grad.numpy(), softmax(x).detach().numpy() - np.eye(3)[[2, 0]], rtol=1e-12)


def test_slopes_of_cross_entropy_stay_numbers_in_half_precision() -> None:
    # 1e-12 is 0 in 16 bits: there the slope's denominator is at least 1e-7, two of the smallest steps
    smallest = float(np.finfo("float16").smallest_subnormal)
    x = ag.tensor(np.array([0.0, 1.0, smallest], "float16"), requires_grad=True)
    binary_cross_entropy(x, ag.tensor(np.array([0.0, 1.0, 0.0], "float16")), reduction="sum").backward()
    assert x.grad.dtype == "float16"
    assert x.grad.tolist() == [0.0, 0.0, 0.5]
