"""Shapes: what is shared, what is refused, and that a loop over slices costs one pass over the tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core.interpreters.eager import Eager


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all results that own their memory, in order."""
    sizes: list[int] = []
    run = Eager.run

    def counted(self: Eager, *arguments: Any) -> Any:
        result = run(self, *arguments)
        for y in result if isinstance(result, tuple) else (result,):
            if y.data.base is None:
                sizes.append(y.size)
        return result

    monkeypatch.setattr(Eager, "run", counted)
    return sizes


def backward_through(slices: Callable[[ag.Tensor], Any], n: int, written: list[int]) -> int:
    """Elements written in the backward pass of a recurrence over ``n`` slices."""
    x = ag.tensor(np.ones((n, 50)), requires_grad=True)
    h = x.new_zeros(50)
    for row in slices(x):
        h = ag.tanh(h + row)
    loss = h.sum()
    written.clear()
    loss.backward()
    return sum(written)


@pytest.mark.parametrize(
    "slices",
    [lambda x: x.unbind(), lambda x: iter(x), lambda x: [r[0] for r in x.split(1)]],
    ids=["unbind", "iter", "split"],
)
def test_backward_through_a_loop_over_slices_writes_in_proportion_to_the_tensor(
    slices: Callable[[ag.Tensor], Any], written: list[int]
) -> None:
    few, many = (backward_through(slices, n, written) for n in (10, 40))
    assert few > 0
    assert many < 4.5 * few


def test_the_same_loop_over_indices_writes_in_proportion_to_its_square(written: list[int]) -> None:
    """What the test above would see if unstack were made of single slices."""
    few, many = (backward_through(lambda x: [x[i] for i in range(x.shape[0])], n, written) for n in (10, 40))
    assert many > 8 * few


def test_movements_share_memory() -> None:
    x = ag.tensor(np.arange(24.0).reshape(2, 3, 4))
    views = [
        ag.permute_dims(x, (2, 0, 1)),
        x.reshape(6, 4),
        x.unsqueeze(1),
        x.swapaxes(0, 2),
        x.expand(5, 2, 3, 4),
        x.flip(axis=1),
        *x.split(1, axis=1),
        *x.unbind(2),
    ]
    assert all(np.shares_memory(view.numpy(), x.numpy()) for view in views)


def test_what_changes_nothing_is_the_tensor_itself() -> None:
    x = ag.zeros((2, 3))
    same = [x.reshape(2, -1), x.broadcast_to((2, 3)), x.permute(0, 1), ag.concat([x]), ag.pad(x, 0), x[:], x[..., :]]
    assert all(y is x for y in same)


def test_joining_promotes_dtypes() -> None:
    assert ag.concat([ag.tensor([True]), ag.tensor([2.0])]).dtype == np.float32
    assert ag.stack([ag.tensor([1.0]), np.array([2.0])]).dtype == np.float64


def test_pieces_of_nothing() -> None:
    x = ag.zeros((0, 2))
    assert x.unbind() == ()
    assert [p.shape for p in x.split(3)] == [(0, 2)]
    assert [p.shape for p in ag.zeros((2, 0)).unbind()] == [(0,), (0,)]
    assert ag.concat([x, x]).shape == (0, 2)
    assert ag.tile(x, (2, 0)).shape == (0, 0)
    assert ag.pad(x, (1, 0)).tolist() == [[0.0, 0.0, 0.0]]


def test_pad_reads_widths_as_numpy_does() -> None:
    x = np.arange(6.0).reshape(2, 3)
    for widths in (1, (1, 2), [(1, 0), (0, 2)], ((1, 2),), np.array([[1, 0], [2, 1]]), [(1,), (2,)]):
        for mode in ("constant", "edge"):
            np.testing.assert_array_equal(
                ag.pad(ag.asarray(x), widths, mode=mode).numpy(), np.pad(x, widths, mode=mode)
            )


X = ag.zeros((2, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: X.reshape(4, -1), ag.ShapeError, r"6 elements of shape \(2, 3\) do not fit \(4, -1\)"),
        (lambda: X.reshape(-1, -1), ag.ShapeError, "do not fit"),
        (lambda: X.reshape(5), ag.ShapeError, "do not fit"),
        (lambda: ag.broadcast_to(X, (3, 3)), ag.ShapeError, "broadcast"),
        (lambda: ag.broadcast_to(X, (3,)), ag.ShapeError, "only lengths of 1 stretch"),
        (lambda: X.expand(-1, 2, 3), ag.ShapeError, "-1 can stand for an axis that exists only"),
        (lambda: X.permute(0, 0), ag.ShapeError, "each of the 2 axes"),
        (lambda: X.squeeze(0), ag.ShapeError, "length other than 1"),
        (lambda: X.swapaxes(0, 2), ag.ShapeError, "axis 2 is out of range"),
        (lambda: ag.moveaxis(X, (0, 0), (0, 1)), ag.ShapeError, "each once"),
        (lambda: X.flatten(1, 0), ag.ShapeError, "lies behind"),
        (lambda: ag.zeros(3).mT, ag.ShapeError, "at least 2 dimensions"),
        (
            lambda: ag.concat([X, ag.zeros((2, 2))]),
            ag.ShapeError,
            r"\(2, 3\), \(2, 2\) must agree in every axis but axis 0",
        ),
        (lambda: ag.concat([X, ag.zeros(3)]), ag.ShapeError, "must agree"),
        (lambda: ag.concat([]), ag.ArgumentError, "at least one is needed"),
        (lambda: ag.concat(X), ag.ArgumentError, "takes a list or tuple of tensors"),
        (lambda: ag.stack([X, ag.zeros(3)]), ag.ShapeError, "ag.concat joins unequal ones"),
        (lambda: X.split([1, 2]), ag.ShapeError, r"add up to 3, but axis 0 of \(2, 3\) has 2"),
        (lambda: X.split(0), ag.ArgumentError, "must be positive"),
        (lambda: ag.roll(X, (1, 2), axis=0), ag.ArgumentError, "2 shifts"),
        (lambda: ag.repeat(X, [1, 2, 3], axis=0), ag.ArgumentError, "one for each of the 2 positions"),
        (lambda: ag.repeat(X, -1), ag.ShapeError, "negative"),
        (lambda: ag.tril(ag.zeros(3)), ag.ShapeError, "at least 2 dimensions"),
        (lambda: ag.meshgrid(X), ag.ShapeError, "takes 1-d tensors"),
        (lambda: ag.meshgrid(X, indexing="yx"), ag.ArgumentError, "'xy' or 'ij'"),
        (lambda: ag.pad(X, (1, 2, 3)), ag.ArgumentError, "pad_width is an int, a pair"),
        (lambda: ag.pad(X, 0.5), ag.ArgumentError, "pad_width"),
        (lambda: ag.pad(X, 1, mode="mirror"), ag.ArgumentError, "mode must be"),
        (lambda: ag.pad(X, -2), ag.ShapeError, "removes more than there is"),
        (
            lambda: ag.pad(X, [(0, 0), (0, 3)], mode="reflect"),
            ag.ShapeError,
            "can add 0 to 2 elements.*asked for 0 and 3",
        ),
        (lambda: ag.pad(X, [(0, 0), (4, 0)], mode="circular"), ag.ShapeError, "can add 0 to 3"),
        (lambda: ag.pad(ag.zeros((0,)), 1, mode="edge"), ag.ShapeError, "can add 0 to 0"),
    ],
)
def test_what_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
