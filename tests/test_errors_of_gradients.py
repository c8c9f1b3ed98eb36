"""Golden texts of gradients, variables and losses: what each bad input is told, word for word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core.nn import functional as F

zeros = ag.zeros
Case = tuple[str, Callable[[], Any], type[Exception], str]


def leaf() -> ag.Tensor:
    return ag.tensor([1.0, 2.0], requires_grad=True)


def variable() -> ag.Variable:
    return ag.Variable(np.zeros(2, np.float32), zeros(0).device)


def set_grad(x: ag.Tensor, value: Any) -> None:
    x.grad = value


def backward_twice() -> None:
    loss = (leaf() * 2.0).sum()
    loss.backward()
    loss.backward()


GRADIENTS: list[Case] = [
    (
        "integers that ask for gradients",
        lambda: ag.tensor([1, 2], requires_grad=True),
        ag.DTypeError,
        "a tensor of dtype int64 cannot require gradients: derivatives are defined for floating and complex dtypes; "
        "write x.astype('float32') or ag.tensor(data, dtype='float32', ...)",
    ),
    (
        "integers to differentiate by",
        lambda: ag.grad(lambda x: x.sum())(ag.tensor([1, 2])),
        ag.DTypeError,
        "grad: cannot differentiate with respect to an argument of dtype int64; pass it as a floating tensor, or name "
        "the other arguments with argnums",
    ),
    (
        "requires_grad of a result",
        lambda: (leaf() * 2.0).requires_grad_(),
        ag.GradientError,
        "requires_grad can be set on leaves only; this tensor is a result: use x.detach()",
    ),
    (
        "backward of a constant",
        lambda: zeros(2).sum().backward(),
        ag.GradientError,
        "backward: this value does not depend on any tensor with requires_grad=True (or was computed under no_grad); "
        "there is nothing to differentiate",
    ),
    (
        "backward of a vector",
        lambda: (leaf() * 2.0).backward(),
        ag.GradientError,
        "backward: only a scalar has one gradient, this output has shape (2,); reduce it (y.sum(), y.mean()) or pass a "
        "cotangent of its shape",
    ),
    (
        "a cotangent of another shape",
        lambda: (leaf() * 2.0).backward(zeros(3)),
        ag.ShapeError,
        "backward: the cotangent has shape (3,), the output (2,); they must be equal",
    ),
    (
        "second backward",
        backward_twice,
        ag.GradientError,
        "backward reached the result (shape ()) of 'sum' (ag.record_origins() would know its line), whose saved values "
        "an earlier backward has freed. If it was made outside the training loop, make it inside, or detach() it; to "
        "run backward twice through one graph, pass retain_graph=True the first time.",
    ),
    (
        "grad of a vector",
        lambda: ag.grad(lambda x: x * x)(zeros(2)),
        ag.GradientError,
        "grad: only a scalar has one gradient, this output has shape (2,); reduce it (y.sum(), y.mean()) or pass a "
        "cotangent of its shape",
    ),
    (
        "grad of integers",
        lambda: ag.grad(lambda x: ag.argmax(x))(zeros(2)),
        ag.GradientError,
        "grad: the function must return one floating scalar tensor, it returned int64; for several outputs use vjp or "
        "jacrev",
    ),
    (
        "grad of several",
        lambda: ag.grad(lambda x: (x.sum(), x.sum()))(zeros(2)),
        ag.GradientError,
        "grad: the function must return one floating scalar tensor, it returned tuple; for several outputs use vjp or "
        "jacrev",
    ),
    (
        "grad of a number",
        lambda: ag.grad(lambda x: 3.0)(zeros(2)),
        ag.GradientError,
        "grad: the function must return tensors, it returned float; float() and .item() end the gradient, leave them "
        "out",
    ),
    (
        "has_aux",
        lambda: ag.grad(lambda x: x.sum(), has_aux=True)(zeros(2)),
        ag.GradientError,
        "grad: with has_aux=True the function must return a pair (value, aux)",
    ),
    (
        "argnums out of range",
        lambda: ag.grad(lambda x: x.sum(), 2)(zeros(2)),
        ag.ArgumentError,
        "grad: argnums 2 is out of range for 1 positional argument(s)",
    ),
    (
        "argnums twice",
        lambda: ag.grad(lambda x, y: x.sum(), (0, -2))(zeros(2), zeros(2)),
        ag.ArgumentError,
        "grad: argnums (0, -2) names an argument twice",
    ),
    (
        "argnums of no kind",
        lambda: ag.grad(lambda x: x.sum(), "x")(zeros(2)),
        ag.ArgumentError,
        "grad: argnums must be a position or a tuple of positions, got 'x'",
    ),
    (
        "several Jacobians",
        lambda: ag.jacrev(lambda x, y: x * y, (0, 1))(zeros(2), zeros(2)),
        ag.ArgumentError,
        "jacrev: argnums must be one position, got (0, 1); call it once for each",
    ),
    (
        "jvp without tuples",
        lambda: ag.jvp(lambda x: x, zeros(2), zeros(2)),
        ag.ArgumentError,
        "jvp: primals and tangents must have the same structure; pass both as tuples of tensors",
    ),
    (
        "a tangent of another shape",
        lambda: ag.jvp(lambda x: x, (zeros(2),), (zeros(3),)),
        ag.ShapeError,
        "jvp: a tangent of shape (3,) given for a primal of shape (2,)",
    ),
    (
        "a cotangent of another structure",
        lambda: ag.vjp(lambda x: (x, x), zeros(2))[1](zeros(2)),
        ag.ArgumentError,
        "vjp: the cotangent must have the structure of the function's output",
    ),
    (
        "a gradient of another shape",
        lambda: set_grad(leaf(), zeros(3)),
        ag.ShapeError,
        "grad: a value of shape (3,) given for a tensor of shape (2,); they must be equal",
    ),
    (
        "a gradient that is no tensor",
        lambda: set_grad(leaf(), 3.0),
        ag.ArgumentError,
        "grad: must be a tensor or None, got float; write ag.tensor(value)",
    ),
    (
        "a gradient of a result",
        lambda: set_grad(leaf() * 2.0, zeros(2)),
        ag.GradientError,
        "grad can be set on leaves that require gradients only",
    ),
    (
        "assigning another shape",
        lambda: variable().assign_(zeros(3)),
        ag.ShapeError,
        "assign_: a value of shape (3,) given for a tensor of shape (2,); they must be equal",
    ),
    (
        "assigning another dtype",
        lambda: variable().assign_(zeros(2, dtype="float64")),
        ag.DTypeError,
        "assign_: a value of dtype float64 given for a tensor of dtype float32; they must be equal",
    ),
    (
        "assigning from another device",
        lambda: variable().assign_(zeros(2, device="numpy")),
        ag.DeviceError,
        "assign_: a value of device numpy given for a tensor of device cpu; they must be equal",
    ),
    (
        "assigning a traced value",
        lambda: ag.jvp(lambda x: variable().assign_(x), (zeros(2),), (zeros(2),)),
        ag.GradientError,
        "assign_: a value inside jvp would escape; return it from the function instead",
    ),
]

LOSSES: list[Case] = [
    (
        "labels out of range",
        lambda: F.cross_entropy(zeros((2, 3)), ag.tensor([0, 3])),
        ag.DataError,
        "cross_entropy: label 3 at [1] is not one of 3 classes (0 to 2); samples to leave out have the label "
        "ignore_index=-100",
    ),
    (
        "labels below range",
        lambda: F.nll_loss(zeros((2, 3)), ag.tensor([-1, 0])),
        ag.DataError,
        "nll_loss: label -1 at [0] is not one of 3 classes (0 to 2); samples to leave out have the label "
        "ignore_index=-100",
    ),
    (
        "labels of another number",
        lambda: F.cross_entropy(zeros((2, 3)), ag.tensor([0, 1, 2])),
        ag.ShapeError,
        "cross_entropy: labels have shape (3,), but input (2, 3) of 3 classes needs (2,); classes are axis 1 of the "
        "input (axis 0 of a single sample)",
    ),
    (
        "labels in a column",
        lambda: F.cross_entropy(zeros((2, 3)), ag.tensor([[0], [1]])),
        ag.ShapeError,
        "cross_entropy: labels have shape (2, 1), but input (2, 3) of 3 classes needs (2,); write target.squeeze(-1)",
    ),
    (
        "floating labels",
        lambda: F.cross_entropy(zeros((2, 3)), ag.tensor([0.0, 1.0])),
        ag.DTypeError,
        "cross_entropy: target of dtype float32 and shape (2,) is neither labels nor the probability of every class, "
        "which has the shape of the input (2, 3); for labels write target.astype('int64')",
    ),
    (
        "integer logits",
        lambda: F.cross_entropy(zeros((2, 3), dtype="int64"), ag.tensor([0, 1])),
        ag.DTypeError,
        "cross_entropy: input must be floating, got int64; write input.astype('float32')",
    ),
    (
        "(N, 1) against (N,)",
        lambda: F.mse_loss(zeros((4, 1)), zeros(4)),
        ag.ShapeError,
        "mse_loss: input has shape (4, 1) and target (4,); a loss compares equal shapes; write input.squeeze(-1)",
    ),
    (
        "(N, 1) against (N,), logits",
        lambda: F.binary_cross_entropy_with_logits(zeros((4, 1)), zeros(4)),
        ag.ShapeError,
        "binary_cross_entropy_with_logits: input has shape (4, 1) and target (4,); a loss compares equal shapes; write "
        "input.squeeze(-1)",
    ),
]

CASES = GRADIENTS + LOSSES


@pytest.mark.parametrize(("bad", "kind", "text"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_text(bad: Callable[[], Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(ag.AutogradError) as caught:
        bad()
    assert (type(caught.value), str(caught.value)) == (kind, text)


def test_a_tensor_that_failed_to_change_is_unchanged() -> None:
    w, v = leaf(), variable()
    for bad in (
        lambda: set_grad(w, zeros(3)),
        lambda: (w * 2.0).backward(zeros(3)),
        lambda: (w * 2.0).backward(),
        lambda: v.assign_(zeros(3)),
    ):
        with pytest.raises(ag.AutogradError):
            bad()
    assert (w.grad, v.tolist()) == (None, [0.0, 0.0])
