"""vmap: axes, structures, random numbers, what it refuses; gradients by example of real networks."""

from __future__ import annotations

import numpy as np
import pytest
from engine_tools import f64
from test_ops_coverage import primitives

import autograd_core as ag
from autograd_core import nn
from autograd_core.nn import functional as F
from autograd_core.primitive import Elementwise

RNG = np.random.default_rng(0)
X = f64(RNG.standard_normal((4, 3, 2)))


def looped(f, *batches: ag.Tensor) -> ag.Tensor:
    return ag.stack([f(*rows) for rows in zip(*map(ag.unstack, batches), strict=True)])


def same(a: ag.Tensor, b: ag.Tensor) -> None:
    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-12)


# Axes and structures --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_in_axes_say_where_the_examples_are(axis: int) -> None:
    f = lambda x: (x * x).sum(axis=0)  # noqa: E731
    same(ag.vmap(f, in_axes=axis)(X), looped(f, ag.moveaxis(X, axis, 0)))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_out_axes_say_where_they_go(axis: int) -> None:
    same(ag.vmap(ag.sin, out_axes=axis)(X[:, :, 0]), ag.moveaxis(ag.sin(X[:, :, 0]), 0, axis))


def test_axes_follow_containers() -> None:
    def f(both: dict, scale: ag.Tensor) -> tuple:
        return both["a"] * scale + both["b"][0], {"unchanged": scale}

    tree = {"a": X[:, 0], "b": [X[0, 0]]}
    y, rest = ag.vmap(f, in_axes=({"a": 0, "b": [None]}, None), out_axes=(1, None))(tree, f64(2.0))
    same(y, (X[:, 0] * 2.0 + X[0, 0]).mT)
    assert rest["unchanged"].shape == ()


def test_a_result_that_is_the_same_for_all_is_repeated() -> None:
    assert ag.vmap(lambda x: ag.ones(2))(X).shape == (4, 2)


def test_axis_size_stands_in_for_arguments() -> None:
    assert ag.vmap(lambda x: x, in_axes=None, axis_size=5)(ag.ones(2)).shape == (5, 2)


def test_no_examples_give_no_results() -> None:
    assert ag.vmap(lambda x: ag.sin(x).sum(axis=0))(ag.zeros((0, 3, 2))).shape == (0, 2)


def test_vmap_of_vmap() -> None:
    f = lambda x, y: (x * y).sum()  # noqa: E731
    found = ag.vmap(ag.vmap(f, in_axes=(None, 0)), in_axes=(0, None))(X[:, 0], X[:3, 1])
    same(found, X[:, 0] @ X[:3, 1].mT)


def test_decorated_functions_keep_their_name() -> None:
    def normalized(x: ag.Tensor) -> ag.Tensor:
        """Unit length."""
        return x / (x * x).sum().sqrt()

    assert ag.vmap(normalized).__name__ == "normalized"


# Values inside --------------------------------------------------------------------------------------------------


def test_a_value_inside_says_what_it_is() -> None:
    seen = []
    ag.vmap(lambda x: seen.append(repr(x)) or x)(X)
    assert seen == ["<one of 4 examples in vmap: float64[3, 2]>"]


@pytest.mark.parametrize(
    ("f", "error", "text"),
    [
        (lambda x: x if x[0, 0] > 0 else -x, ag.BatchingError, "stands for one of 4 examples and has no values"),
        (lambda x: x * float(x[0, 0]), ag.BatchingError, "compute with tensors"),
        (lambda x: x[x > 0], ag.BatchingError, "stands for one of 4 examples"),
        (lambda x: ag.random.normal((2,)) + x[0], ag.BatchingError, "say randomness='different'"),
        (lambda x: ag.random.fork().__enter__(), ag.BatchingError, "say randomness='different'"),
        (lambda x: 3.0, ag.BatchingError, "must return tensors, it returned float"),
    ],
)
def test_what_has_no_value_for_all_examples_is_refused(f, error, text: str) -> None:
    with pytest.raises(error, match=text):
        ag.vmap(f)(X)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: ag.vmap(ag.add)(X, X[:3]), ag.ShapeError, r"argument 1 .* has 3 examples along axis 0, where 4"),
        (lambda: ag.vmap(ag.add, in_axes=(0,))(X, X), ag.ArgumentError, r"in_axes has 1 entries for 2 positional"),
        (lambda: ag.vmap(ag.add)(X, 2.0), ag.ShapeError, r"argument 1 .* is 0-d .* say None for it in in_axes"),
        (lambda: ag.vmap(ag.sin, in_axes=5)(X), ag.ShapeError, "axis 5 is out of range for 3 dimension"),
        (lambda: ag.vmap(ag.sin, in_axes=None)(X), ag.ArgumentError, "no argument has an axis of examples"),
        (lambda: ag.vmap(ag.sin, in_axes={"x": 0})(X), ag.ArgumentError, "in_axes must be an int, None, or containers"),
        (lambda: ag.vmap(ag.sin, out_axes=None)(X), ag.ArgumentError, "this one differs: give its axis"),
        (lambda: ag.vmap(ag.sin, randomness="all"), ag.ArgumentError, "randomness must be one of 'error'"),
    ],
)
def test_arguments_that_do_not_fit(call, error, text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_a_value_that_outlives_its_vmap_is_refused() -> None:
    kept = []
    ag.vmap(lambda x: kept.append(x) or x)(X)
    with pytest.raises(ag.GradientError, match="a value of a finished vmap was used after it ended"):
        ag.vmap(lambda y: kept[0] * y)(X)


def test_no_gradient_by_example_escapes_into_a_variable() -> None:
    w = ag.tensor([1.0, 2.0], dtype="float64", requires_grad=True)
    with pytest.raises(ag.GradientError, match="the gradient of a tensor from outside it would escape"):
        ag.vmap(lambda x: (x * w).sum().backward())(X)
    assert w.grad is None
    buffer = nn.Buffer(ag.zeros(3))
    with pytest.raises(ag.GradientError, match="inside vmap would escape"):
        ag.vmap(lambda x: buffer.assign_(x[:, 0].astype("float32")))(X)
    assert not buffer.any()


def test_every_primitive_with_operands_says_how_it_runs_on_a_batch() -> None:
    """No operation is run in a loop, and none is missing: a rule, a composition, or element by element."""
    silent = [
        p.name
        for p in primitives()
        if p.operands and not isinstance(p, Elementwise) and p.batch is None and getattr(p, "composed", None) is None
    ]
    assert not silent


# Random numbers -------------------------------------------------------------------------------------------------


def test_the_same_numbers_for_all_examples() -> None:
    with ag.random.fork(1):
        y = ag.vmap(lambda x: ag.random.normal((3,)) + 0 * x[0, 0], randomness="same")(X)
    with ag.random.fork(1):
        expected = ag.random.normal((3,))
    assert all(row.tolist() == expected.tolist() for row in y)


@pytest.mark.parametrize(
    "draw",
    [
        lambda shape: ag.random.normal(shape),
        lambda shape: ag.random.uniform(shape, -1.0, 1.0, dtype="float64"),
        lambda shape: ag.random.integers(0, 100, shape),
        lambda shape: ag.random.bernoulli(0.5, shape),
    ],
)
def test_different_numbers_are_the_rows_of_one_draw(draw) -> None:
    with ag.random.fork(1):
        y = ag.vmap(lambda x: draw((3,)), randomness="different")(X)
    with ag.random.fork(1):
        assert y.tolist() == draw((4, 3)).tolist()


def test_nested_batches_draw_different_numbers_too() -> None:
    with ag.random.fork(1):
        y = ag.vmap(
            lambda x: ag.vmap(lambda z: ag.random.normal(()) + 0 * z[0], randomness="different")(x),
            randomness="different",
        )(X)
    assert len(set(y.flatten().tolist())) == 12


def test_dropout_by_example() -> None:
    x = ag.ones((2, 1000))
    with ag.random.fork(0):
        y = ag.vmap(lambda row: F.dropout(row, 0.5), randomness="different")(x).numpy()
    with ag.random.fork(0):
        z = ag.vmap(lambda row: F.dropout(row, 0.5), randomness="same")(x).numpy()
    assert (y[0] != y[1]).any()
    assert (z[0] == z[1]).all()


# Gradients by example -------------------------------------------------------------------------------------------


def network() -> nn.Module:
    with ag.random.fork(0):
        return nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1),
            nn.GroupNorm(1, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(3, 4, 3, stride=2),
            nn.Flatten(),
            nn.LayerNorm(4),
            nn.Linear(4, 5),
        )


IMAGES = ag.tensor(RNG.standard_normal((6, 1, 6, 6)).astype(np.float32))
LABELS = ag.tensor([0, 1, 2, 3, 4, 0])


def test_gradients_by_example_of_a_network_are_those_of_a_loop() -> None:
    model = network()
    found = ag.per_sample_grad(
        lambda x, y: F.cross_entropy(model(x), y), wrt=dict(model.named_parameters()), randomness="error"
    )(IMAGES, LABELS)
    for i in range(6):
        model.zero_grad()
        F.cross_entropy(model(IMAGES[i : i + 1]), LABELS[i : i + 1]).backward()
        for name, p in model.named_parameters():
            g = found[name][i]
            assert found[name].shape == (6, *p.shape)
            assert not found[name].requires_grad
            np.testing.assert_allclose(g.numpy(), p.grad.numpy(), rtol=2e-4, atol=2e-6, err_msg=name)


def test_a_parameter_that_a_loss_does_not_use_has_zero_gradients() -> None:
    w, unused = (ag.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    found = ag.per_sample_grad(lambda x: (x * w).sum(), wrt=[w, unused])(ag.ones((3, 2)))
    assert found[0].tolist() == [[1.0, 1.0]] * 3
    assert found[1].tolist() == [[0.0, 0.0]] * 3


def test_batch_statistics_belong_to_no_example() -> None:
    model = nn.BatchNorm1d(2)
    with pytest.raises(ag.AutogradError):
        ag.per_sample_grad(lambda x: model(x).sum(), wrt=list(model.parameters()))(ag.ones((3, 2)))


def test_wrt_and_argnums_exclude_each_other() -> None:
    w = ag.tensor([1.0], requires_grad=True)
    with pytest.raises(ag.ArgumentError, match="not both"):
        ag.per_sample_grad(lambda x: x, 0, wrt=[w])
    with pytest.raises(ag.GradientError, match="must hold tensors that require gradients"):
        ag.per_sample_grad(lambda x: x, wrt=[w.detach()])
    with pytest.raises(ag.ArgumentError, match="some argument must hold the examples"):
        ag.per_sample_grad(lambda x: x)(ag.ones(2))


def test_no_examples_are_a_batch_too() -> None:
    weight = ag.ones((4, 3, 2, 2), dtype="float32").requires_grad_()
    lstm = nn.LSTM(3, 4)
    conv = ag.vmap(lambda x: F.conv2d(x, weight))(ag.ones((0, 2, 3, 5, 5)))
    assert conv.shape == (0, 2, 4, 4, 4)
    conv.sum().backward()
    assert not weight.grad.any()
    assert ag.vmap(lambda x: lstm(x)[0])(ag.ones((0, 5, 2, 3))).shape == (0, 5, 2, 4)
    assert ag.vmap(ag.searchsorted)(ag.ones((0, 5)), ag.ones((0, 3))).shape == (0, 3)
    assert ag.vmap(ag.grad(lambda x: lstm(x)[0].sum()))(ag.ones((0, 5, 2, 3))).shape == (0, 5, 2, 3)
