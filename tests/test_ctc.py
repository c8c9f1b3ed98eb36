"""Connectionist temporal classification: impossible targets, probabilities of 0, no steps, no labels, and errors."""

from __future__ import annotations

import numpy as np
import pytest

import autograd_core as ag
from autograd_core.nn import functional as F
from autograd_core.ops.ctc import ctc_alignment_slope_p, ctc_loss
from autograd_core.ops.softmax import log_softmax
from autograd_core.primitive import bind


def flat(n_steps: int, n: int = 1, n_classes: int = 3) -> ag.Tensor:
    return ag.tensor(np.full((n_steps, n, n_classes), -np.log(n_classes)), requires_grad=True)


def test_long_sequences_of_all_lengths_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((60, 6, 10)), rng.integers(1, 10, (6, 12))
    steps, lengths = np.array([60, 45, 60, 30, 13, 60]), np.array([12, 8, 0, 12, 1, 5])
    for reduction in ("none", "sum", "mean"):
        ours, theirs = ag.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y = ctc_loss(log_softmax(ours), labels, steps, lengths, reduction=reduction)
        z = torch.nn.functional.ctc_loss(
            theirs.log_softmax(-1), *map(torch.from_numpy, (labels, steps, lengths)), reduction=reduction
        )
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-12)
        y.sum().backward()
        z.sum().backward()
        np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), atol=1e-12)


def test_single_precision_keeps_its_digits_over_many_steps() -> None:
    rng = np.random.default_rng(1)
    x, labels = rng.standard_normal((500, 2, 8)), rng.integers(1, 8, (2, 40))
    exact = ctc_loss(log_softmax(ag.tensor(x)), labels, (500, 400), (40, 30), reduction="none").numpy()
    single = ctc_loss(log_softmax(ag.tensor(x, dtype="float32")), labels, (500, 400), (40, 30), reduction="none")
    np.testing.assert_allclose(single.numpy(), exact, rtol=2e-6)
    half = ctc_loss(log_softmax(ag.tensor(x[:40], dtype="float16")), labels[:, :5], (40, 40), (5, 5))
    assert half.dtype == "float16"
    assert np.isfinite(half.item())


def test_a_target_without_alignment_costs_infinity_and_moves_nothing() -> None:
    x = flat(3, 2)
    labels = np.array([[1, 1, 2], [1, 2, 1]])  # a repeated label needs a blank between: four steps
    losses = ctc_loss(x, labels, (3, 3), (3, 3), reduction="none")
    assert losses[0].item() == np.inf
    np.testing.assert_allclose(losses[1].item(), 3 * np.log(3))
    losses.sum().backward()
    assert not x.grad.numpy()[:, 0].any()
    assert (x.grad.numpy()[:, 1] == [[0, -1, 0], [0, 0, -1], [0, -1, 0]]).all()


def test_zero_infinity_leaves_such_targets_out() -> None:
    x = flat(3, 2)
    loss = ctc_loss(x, np.array([[1, 1, 2], [1, 2, 1]]), (3, 3), (3, 3), reduction="sum", zero_infinity=True)
    np.testing.assert_allclose(loss.item(), 3 * np.log(3))
    loss.backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_no_steps_and_no_labels() -> None:
    labels = np.array([[1, 2]])
    assert ctc_loss(flat(3), labels, (0,), (0,), reduction="none").tolist() == [0.0]
    assert ctc_loss(flat(3), labels, (0,), (2,), reduction="none").tolist() == [np.inf]
    np.testing.assert_allclose(ctc_loss(flat(3), labels, (3,), (0,), reduction="none").numpy(), [3 * np.log(3)])
    np.testing.assert_allclose(ctc_loss(flat(2), np.zeros((1, 0), int), (2,), (0,)).item(), 2 * np.log(3))
    assert ctc_loss(flat(0), labels, (0,), (2,), reduction="none").tolist() == [np.inf]
    assert ctc_loss(flat(3, 0), np.zeros((0, 2), int), (), (), reduction="none").shape == (0,)


def test_probabilities_of_zero() -> None:
    with np.errstate(divide="ignore"):
        values = np.log(np.array([[[0.5, 0.5, 0.0]], [[0.5, 0.0, 0.5]]]))
    x = ag.tensor(values, requires_grad=True)
    loss = ctc_loss(x, np.array([[1, 2]]), (2,), (2,), reduction="sum")
    np.testing.assert_allclose(loss.item(), 2 * np.log(2))
    loss.backward()
    assert x.grad.tolist() == [[[0.0, -1.0, 0.0]], [[0.0, 0.0, -1.0]]]


def test_what_stands_behind_a_target_does_not_matter() -> None:
    x = ag.tensor(np.random.default_rng(2).standard_normal((5, 2, 4)))
    given = (5, 4), (2, 1)
    clean = ctc_loss(x, np.array([[1, 2, 0], [3, 0, 0]]), *given).item()
    assert ctc_loss(x, np.array([[1, 2, -1], [3, 99, 3]]), *given).item() == clean
    assert ctc_loss(x, np.array([1, 2, 3]), *given).item() == clean
    changed = x.at[4:, 1].set(100.0)  # steps behind the end
    assert ctc_loss(changed, np.array([1, 2, 3]), *given).item() == clean


def test_per_sample_gradients() -> None:
    x = ag.tensor(np.random.default_rng(3).standard_normal((4, 6, 1, 5)))
    labels = ag.tensor(np.array([[[1, 2]], [[3, 3]], [[4, 1]], [[2, 0]]]))
    lengths = ag.tensor(np.array([[2], [2], [2], [1]]))

    def loss(x: ag.Tensor, labels: ag.Tensor, lengths: ag.Tensor) -> ag.Tensor:
        return ctc_loss(log_softmax(x), labels, (6,), lengths)

    together = ag.vmap(ag.grad(loss))(x, labels, lengths).numpy()
    for i in range(4):
        np.testing.assert_allclose(together[i], ag.grad(loss)(x[i], labels[i], lengths[i]).numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((np.array([[1, 3]]), (4,), (2,)), ag.DataError, "label 1 of target 0 is 3, which is not one of 3 classes"),
        ((np.array([[1, 0]]), (4,), (2,)), ag.DataError, "label 1 of target 0 is 0, which is the blank"),
        ((np.array([[1, 2]]), (5,), (2,)), ag.DataError, r"input_lengths\[0\] is 5, but log_probs have 4 steps"),
        ((np.array([[1, 2]]), (4,), (3,)), ag.DataError, r"target_lengths\[0\] is 3, but targets have room for 2"),
        ((np.array([1, 2]), (4,), (3,)), ag.DataError, "targets in a row hold 2 labels, target_lengths add up to 3"),
        ((np.array([[1, 2]]), (4, 4), (2,)), ag.ShapeError, r"hold 1 sequences; .* got \(2,\) and \(1,\)"),
        ((np.array([[[1, 2]]]), (4,), (2,)), ag.ShapeError, r"targets must be \(1, S\), or all labels in a row"),
        ((np.array([[1.0, 2.0]]), (4,), (2,)), ag.DTypeError, "labels must be integers, got float64"),
        ((np.array([[1, 2]]), (4,), (2,), 3), ag.ArgumentError, "blank must be a class, 0 to 2, got 3"),
        ((np.array([[1, 2]]), (4.0,), (2,)), ag.DTypeError, "input_lengths must be integers, got float64"),
        ((np.array([[1, 2]]), (4,), (2,), 0, "average"), ag.ArgumentError, "reduction must be 'mean' or 'sum'"),
    ],
)
def test_errors_name_what_is_wrong(arguments: tuple, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        F.ctc_loss(flat(4), *arguments)


def test_log_probabilities_have_steps_sequences_and_classes() -> None:
    with pytest.raises(ag.ShapeError, match=r"log_probs must be \(T, N, C\) or \(T, C\), with C > 0, got shape \(3,\)"):
        F.ctc_loss(ag.ones(3), np.array([1]), (1,), (1,))


def test_the_composed_form_says_the_same_where_nothing_is_possible() -> None:
    rng = np.random.default_rng(4)
    e = rng.standard_normal((4, 6, 5))
    e[1, 2] = -np.inf  # a step that no state survives
    leaps = np.zeros((6, 5), bool)
    leaps[:3, 3] = True
    steps, lengths = np.array([4, 1, 4, 0, 0, 3]), np.array([2, 2, 1, 0, 1, 2])
    operands = [ag.asarray(x) for x in (rng.standard_normal(6), e, leaps, steps, lengths)]
    found = bind(ctc_alignment_slope_p, operands, {}).numpy()
    np.testing.assert_allclose(ctc_alignment_slope_p.composed(*operands).numpy(), found, atol=1e-12)
    assert found.any(axis=(0, 2)).tolist() == [True, False, False, False, False, True]
    nothing = [operands[0], operands[1][:0], *operands[2:]]
    assert ctc_alignment_slope_p.composed(*nothing).shape == (0, 6, 5)


def test_the_composed_form_without_labels_and_with_one_step() -> None:
    rng = np.random.default_rng(5)
    for n_states in (1, 3):
        e = rng.standard_normal((3, 4, n_states))
        leaps = np.zeros((4, n_states), bool)
        steps, lengths = np.array([3, 1, 2, 1]), np.array([0, 0, 0, n_states // 2])
        operands = [ag.asarray(x) for x in (rng.standard_normal(4), e, leaps, steps, lengths)]
        found = bind(ctc_alignment_slope_p, operands, {}).numpy()
        assert found.any(axis=(0, 2)).all()
        np.testing.assert_allclose(ctc_alignment_slope_p.composed(*operands).numpy(), found, atol=1e-12)


def test_an_infinite_cotangent_moves_no_impossible_sequence() -> None:
    # two labels in one step, and no step at all
    e = ag.asarray(np.random.default_rng(6).standard_normal((2, 2, 5)))
    leaps, steps, lengths = ag.zeros((2, 5), dtype=bool), ag.asarray(np.array([1, 0])), ag.asarray(np.array([2, 0]))
    operands = [ag.asarray(np.array([np.inf, np.inf])), e, leaps, steps, lengths]
    assert not bind(ctc_alignment_slope_p, operands, {}).numpy().any()
    assert not ctc_alignment_slope_p.composed(*operands).numpy().any()


def test_second_derivatives_at_probabilities_of_zero() -> None:
    with np.errstate(divide="ignore"):
        values = np.log(np.array([[[0.5, 0.5, 0.0]], [[0.25, 0.0, 0.75]], [[0.5, 0.25, 0.25]]]))

    def loss(x: ag.Tensor) -> ag.Tensor:
        return ctc_loss(x, np.array([[1, 2]]), (3,), (2,), reduction="sum")

    found = ag.hessian(loss)(ag.tensor(values)).numpy().reshape(9, 9)
    near = ag.hessian(loss)(ag.tensor(np.maximum(values, -300.0))).numpy().reshape(9, 9)
    np.testing.assert_allclose(found, near, atol=1e-12)
    assert np.abs(near).max() > 0.1
