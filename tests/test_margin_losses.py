"""Losses with a margin: their slopes at the kinks are PyTorch's, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core.nn import functional as F

# each with its arguments at a kink: (function, floating operands, others, keywords)
KINKS = [
    ("hinge_embedding_loss", [[1.0, 1.0, 2.0]], [[-1, 1, -1]], {"margin": 1.0}),
    ("margin_ranking_loss", [[1.0, 2.0], [1.0, 1.0]], [[1, -1]], {}),
    ("margin_ranking_loss", [[1.0, 2.0], [0.0, 3.0]], [[1, -1]], {"margin": 1.0}),
    ("multi_margin_loss", [[[1.0, 0.0, 2.0]]], [[0]], {}),
    ("multi_margin_loss", [[[1.0, 0.0, 2.0]]], [[0]], {"p": 2}),
    ("multilabel_margin_loss", [[[1.0, 0.0, 2.0]]], [[[0, -1, 0]]], {}),
    ("triplet_margin_loss", [[[0.0, 0.0]], [[3.0, 4.0]], [[0.0, 6.0]]], [], {"eps": 0.0}),
    ("triplet_margin_loss", [[[0.0, 0.0]], [[0.0, 4.0]], [[0.0, 2.0]]], [], {"eps": 0.0, "swap": True}),
    ("triplet_margin_loss", [[[0.0, 0.0]], [[0.0, 0.0]], [[0.0, 0.5]]], [], {"eps": 0.0}),
    ("cosine_embedding_loss", [[[0.0, 0.0]], [[1.0, 2.0]]], [[1]], {}),
    ("cosine_embedding_loss", [[[1.0, 0.0]], [[0.0, 2.0]]], [[-1]], {}),
    ("pairwise_distance", [[[1.0, 2.0]], [[1.0, 2.0]]], [], {"eps": 0.0}),
    ("cosine_similarity", [[[0.0, 0.0]], [[1.0, 2.0]]], [], {}),
    ("pdist", [[[1.0, 2.0], [1.0, 2.0], [0.0, 1.0]]], [], {}),
]


@pytest.mark.parametrize(("name", "floating", "others", "keywords"), KINKS)
def test_values_and_slopes_at_kinks_are_pytorchs(name: str, floating: Any, others: Any, keywords: Any) -> None:
    torch = pytest.importorskip("torch")
    ours = [ag.tensor(np.array(x), requires_grad=True) for x in floating]
    theirs = [torch.tensor(np.array(x), requires_grad=True) for x in floating]
    y = getattr(F, name)(*ours, *[ag.tensor(x) for x in others], **keywords)
    z = getattr(torch.nn.functional, name)(*theirs, *[torch.tensor(x) for x in others], **keywords)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), atol=1e-12)
    y.sum().backward()
    z.sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), atol=1e-12)


def test_cdist_has_slope_0_between_equal_rows() -> None:
    x = ag.tensor([[1.0, 2.0]], requires_grad=True)
    for p in (0.5, 1.0, 2.0, 3.0, np.inf):
        (g,) = ag.vjp(lambda x, p=p: ag.cdist(x, ag.tensor([[1.0, 2.0], [1.0, 5.0]]), p).sum(), x)[1](ag.tensor(1.0))
        np.testing.assert_allclose(g.numpy(), [[0.0, -1.0]], rtol=1e-6, err_msg=str(p))


def test_soft_margins_do_not_overflow() -> None:
    x = ag.tensor([1000.0, -1000.0], requires_grad=True)
    loss = F.soft_margin_loss(x, ag.tensor([-1, 1]), reduction="none")
    assert loss.tolist() == [1000.0, 1000.0]
    loss.sum().backward()
    assert x.grad.tolist() == [1.0, -1.0]


X, LABELS = ag.ones((2, 3)), ag.tensor([0, 2])


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: F.soft_margin_loss(ag.ones(2), ag.tensor([0, 1])),
            ag.DataError,
            r"soft_margin_loss: target\[0\] is 0, it must be 1 or -1; for labels 0 and 1 write 2 \* target - 1",
        ),
        (lambda: F.hinge_embedding_loss(X, ag.ones((2, 1))), ag.ShapeError, r"input has shape \(2, 3\) and target"),
        (lambda: F.hinge_embedding_loss(ag.ones((2, 1)), ag.ones(2)), ag.ShapeError, r"write input.squeeze\(-1\)"),
        (
            lambda: F.margin_ranking_loss(ag.ones((2, 1)), ag.ones((2, 1)), ag.ones(2)),
            ag.ShapeError,
            r"input1 has shape \(2, 1\) and target \(2,\).*write input1.squeeze\(-1\)",
        ),
        (
            lambda: F.margin_ranking_loss(ag.ones(2), ag.ones((2, 1)), ag.ones(2)),
            ag.ShapeError,
            r"input1 has shape \(2,\) and input2 \(2, 1\)",
        ),
        (lambda: F.cosine_embedding_loss(X, X, ag.ones((2, 1))), ag.ShapeError, r"inputs \(N, D\) with target \(N,\)"),
        (lambda: F.multi_margin_loss(X, ag.tensor([0, 3])), ag.DataError, "index 3 at 1 is outside 3 classes"),
        (lambda: F.multi_margin_loss(X, ag.tensor([0])), ag.ShapeError, r"needs labels of shape \(2,\), got \(1,\)"),
        (lambda: F.multi_margin_loss(X, LABELS, p=3), ag.ArgumentError, "p must be 1 or 2, got 3"),
        (lambda: F.multi_margin_loss(X, LABELS, weight=ag.ones(2)), ag.ShapeError, r"weight must have shape \(3,\)"),
        (lambda: F.multilabel_margin_loss(X, ag.tensor([[0, 5, -1]] * 2)), ag.DataError, r"index 5 at \(0, 1\)"),
        (lambda: F.multilabel_margin_loss(X, X), ag.DTypeError, "labels must be integers, got float32"),
        (lambda: F.multilabel_margin_loss(X, LABELS), ag.ShapeError, r"shape \(2, 3\) and target \(2,\)"),
        (
            lambda: F.triplet_margin_loss(X, X, X[:1]),
            ag.ShapeError,
            "anchor, positive and negative must have one shape",
        ),
        (lambda: F.triplet_margin_loss(X, X, X, margin=0.0), ag.ArgumentError, "margin must be positive, got 0.0"),
        (lambda: F.gaussian_nll_loss(X, X, -X), ag.DataError, r"a variance is negative \(-1\); write var.exp\(\)"),
        (lambda: F.gaussian_nll_loss(X, X, ag.ones(3)), ag.ShapeError, r"var of shape \(3,\) is neither"),
        (lambda: F.gaussian_nll_loss(X, X, X, eps=0.0), ag.ArgumentError, "eps must be positive"),
        (lambda: F.poisson_nll_loss(X, ag.ones(2)), ag.ShapeError, "poisson_nll_loss: input has shape"),
        (lambda: F.pairwise_distance(ag.ones((2, 3)), ag.ones((2, 2))), ag.ShapeError, "do not broadcast"),
        (lambda: F.pdist(ag.ones(3)), ag.ShapeError, r"input must be \(N, D\), got shape \(3,\)"),
        (lambda: ag.cdist(X, ag.ones((2, 2))), ag.ShapeError, r"takes \(..., P, D\) and \(..., R, D\)"),
        (lambda: ag.cdist(X, X, p=-1.0), ag.ArgumentError, "p is the order of a norm, at least 0, got -1.0"),
        (lambda: F.bilinear(X, X, ag.ones((2, 3, 2))), ag.ShapeError, r"weight \(O, I, J\), got shapes"),
        (lambda: F.bilinear(X, X, ag.ones((2, 3, 3)), ag.ones(3)), ag.ShapeError, r"bias must have shape \(2,\)"),
        (
            lambda: F.linear_cross_entropy(X, ag.ones((4, 2)), LABELS),
            ag.ShapeError,
            r"takes input \(N, D\) or \(D,\) and linear_weight \(C, ..., D\), got \(2, 3\) and \(4, 2\)",
        ),
    ],
)
def test_errors_say_what_would_fit(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_gradients_of_variances_pass_where_they_are_bounded() -> None:
    v = ag.tensor([0.0, 1.0], requires_grad=True)
    F.gaussian_nll_loss(ag.tensor([1.0, 2.0]), ag.tensor([1.0, 4.0]), v, eps=0.5, reduction="sum").backward()
    np.testing.assert_allclose(v.grad.numpy(), [1.0, -1.5])


def test_a_number_as_variance() -> None:
    assert F.gaussian_nll_loss(ag.tensor([1.0]), ag.tensor([3.0]), 2.0).item() == pytest.approx(0.5 * (np.log(2) + 2))
