"""Indexing is NumPy's, forward and backward; what it refuses; what several values in one place mean."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd_core as ag


@st.composite
def keys(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """A shape, and a key for it in which ints, slices, new axes, an Ellipsis, arrays and masks are mixed."""
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3))
    common = draw(hnp.array_shapes(min_dims=1, max_dims=2, max_side=3))
    key: list[Any] = []
    axis = 0
    while axis < len(shape):
        n = shape[axis]
        kinds = ["slice", "new", "truth", "stop"]
        kinds += ["mask"] if 0 not in shape else []  # NumPy takes an empty mask on an axis of another length
        kinds += ["ellipsis"] if Ellipsis not in [type(k) if isinstance(k, np.ndarray) else k for k in key] else []
        kinds += ["int", "array", "array", "scalar array"] if n else []
        kind = draw(st.sampled_from(kinds))
        if kind == "stop":
            break
        if kind in ("new", "truth"):
            key.append(None if kind == "new" else draw(st.booleans()))
            if len(key) > 6:
                break
            continue
        covered = draw(st.integers(1, len(shape) - axis)) if kind in ("mask", "ellipsis") else 1
        if kind == "mask":
            key.append(draw(hnp.arrays(bool, shape[axis : axis + covered])))
        elif kind == "ellipsis":
            key.append(...)
        elif kind == "int":
            key.append(draw(st.integers(-n, n - 1)))
        elif kind == "slice":
            key.append(draw(st.slices(n)))
        else:
            cut = draw(st.integers(0, len(common)))
            index_shape = () if kind == "scalar array" else common[cut:]
            key.append(draw(hnp.arrays(np.int64, index_shape, elements=st.integers(-n, n - 1))))
        axis += covered
    return shape, tuple(key)


def ours(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Every other array of a key as a tensor."""
    return tuple(ag.asarray(k) if isinstance(k, np.ndarray) and i % 2 else k for i, k in enumerate(key))


@given(keys())
def test_reading_is_numpys(case: tuple[tuple[int, ...], tuple[Any, ...]]) -> None:
    shape, key = case
    x = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    try:
        expected = x[key]
    except IndexError:
        with pytest.raises((IndexError, ValueError)) as caught:
            ag.asarray(x)[ours(key)]
        assert isinstance(caught.value, ag.AutogradError)
        return
    found = ag.asarray(x)[ours(key)]
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.numpy(), expected)


@given(keys())
def test_updates_and_gradients_are_numpys(case: tuple[tuple[int, ...], tuple[Any, ...]]) -> None:
    shape, key = case
    x = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    try:
        values = np.arange(1.0, x[key].size + 1).reshape(x[key].shape)
    except IndexError:
        return
    added, replaced = x.copy(), x.copy()
    np.add.at(added, key, values)
    replaced[key] = values
    t = ag.tensor(x, requires_grad=True)
    np.testing.assert_array_equal(t.detach().at[ours(key)].add(values).numpy(), added)
    np.testing.assert_array_equal(t.detach().at[ours(key)].set(values).numpy(), replaced)
    (t[ours(key)] * values).sum().backward()
    np.testing.assert_array_equal(t.grad.numpy(), added - x)


def test_a_basic_index_shares_memory_with_its_source() -> None:
    x = ag.tensor(np.arange(12.0).reshape(3, 4))
    assert np.shares_memory(x[1:, ::-2].numpy(), x.numpy())
    assert np.shares_memory(x[0].numpy(), x.numpy())


def test_an_index_may_be_any_integer_dtype_or_a_list() -> None:
    x = ag.tensor([[1.0, 2.0], [3.0, 4.0]])
    for index in (np.array([1, 0], np.uint8), ag.tensor([1, 0], dtype="int32"), [1, 0]):
        assert x[index].tolist() == [[3.0, 4.0], [1.0, 2.0]]
        assert x[index, index].tolist() == [4.0, 1.0]
    assert x[[]].shape == (0, 2)
    assert x[np.int64(1), ag.tensor(0)].item() == 3.0


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "uint64"])
@pytest.mark.parametrize("length", [100, 300])
def test_a_narrow_index_need_not_hold_the_length_of_the_axis_or_positions_in_the_array(dtype: str, length: int) -> None:
    rng, limits = np.random.default_rng(1), np.iinfo(dtype)
    at = np.array([0, 7, 99, 7, 1, *([-1, -2, -100] if limits.min < 0 else [])])
    index = ag.tensor(at.astype(dtype))
    x, v = rng.standard_normal((length, 3)), rng.integers(-4, 5, (at.size, 3)).astype(np.float64)
    sums = np.zeros((length, 3))
    np.add.at(sums, at, v)
    changed = x.copy()
    changed[at] = v
    last = [[float(place not in (at % length)[i + 1 :])] * 3 for i, place in enumerate(at % length)]
    for axis in (0, 1):

        def turned(y: np.ndarray, axis: int = axis) -> ag.Tensor:
            return ag.tensor(np.ascontiguousarray(np.moveaxis(y, 0, axis)))

        key = index if axis == 0 else (slice(None), index)
        table, values = turned(x), turned(v)
        gradient = ag.grad(lambda y, key=key, values=values: (y[key] * values).sum())(table)
        np.testing.assert_array_equal(gradient.numpy(), turned(sums).numpy())
        added = ag.zeros_like(table).at[key].add(values)
        np.testing.assert_array_equal(added.numpy(), turned(sums).numpy())
        np.testing.assert_array_equal(table.at[key].set(values).numpy(), turned(changed).numpy())
        of_values = ag.grad(lambda y, key=key, table=table: table.at[key].set(y).sum())(values)
        np.testing.assert_array_equal(of_values.numpy(), turned(np.array(last)).numpy())
        places = turned(np.repeat(at[:, None], 3, 1)).astype(dtype)
        np.testing.assert_array_equal(ag.take_along_axis(table, places, axis=axis).numpy(), turned(x[at]).numpy())


@pytest.mark.parametrize("n", [1, 7])
def test_gradients_of_rows_named_often_are_summed_in_blocks(n: int) -> None:
    """Rows longer than a block, and more rows than fit into one."""
    rng = np.random.default_rng(0)
    for rows, length in ((5, 70_000), (40_000, 3)):
        indices = rng.integers(-n, n, rows)
        weight = ag.tensor(np.zeros((n, length)), requires_grad=True)
        g = rng.integers(-5, 5, (rows, length)).astype(np.float64)
        (weight[indices] * g).sum().backward()
        expected = np.stack([g[indices % n == i].sum(0) for i in range(n)])
        np.testing.assert_array_equal(weight.grad.numpy(), expected)


def test_of_several_values_for_one_place_the_last_stays_and_gets_the_gradient() -> None:
    index = ag.tensor([[2, 0], [2, -1]])
    v = ag.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    x = ag.tensor([9.0, 9.0, 9.0], requires_grad=True)
    y = x.at[index].set(v)
    assert y.tolist() == [2.0, 9.0, 4.0]
    (y * ag.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad.tolist() == [0.0, 10.0, 0.0]
    assert v.grad.tolist() == [[0.0, 1.0], [0.0, 100.0]]


def test_the_order_of_writing_is_that_of_the_index_not_of_its_memory() -> None:
    index = ag.tensor([[0, 1], [0, 1]]).mT.flip()
    v = ag.tensor([[1.0, 2.0], [3.0, 4.0]]).mT
    expected = np.zeros(2)
    for at in np.ndindex(2, 2):
        expected[index.numpy()[at]] = v.numpy()[at]
    assert ag.zeros(2).at[index].set(v).tolist() == expected.tolist()


def test_updates_leave_their_source_alone() -> None:
    x = ag.tensor([1.0, 2.0])
    x.at[0].set(5.0), x.at[[0]].add(5.0), x.at[:].multiply(3.0)
    assert x.tolist() == [1.0, 2.0]


def test_an_update_keeps_the_dtype() -> None:
    x = ag.tensor([1.0, 2.0])
    assert x.at[0].set(np.float64(3.0)).dtype == np.float32
    assert x.at[[1]].add(ag.tensor([1.0], dtype="float64")).dtype == np.float32
    assert ag.tensor([1, 2]).at[0].set(5).tolist() == [5, 2]


def test_infinities_outside_the_update_stay_what_they_are() -> None:
    x = ag.tensor([np.inf, 1.0, np.nan])
    np.testing.assert_array_equal(x.at[1].set(2.0).numpy(), np.array([np.inf, 2.0, np.nan], np.float32))
    np.testing.assert_array_equal(x.at[[0, 2]].set(0.0).numpy(), np.array([0.0, 1.0, 0.0], np.float32))


X = ag.zeros((3, 4))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: X[3], IndexError, "index 3 is out of range for axis 0 with length 3; use -3 to 2"),
        (lambda: X[0, -5], IndexError, "index -5 is out of range for axis 1 with length 4"),
        (lambda: ag.zeros((0, 2))[0], IndexError, "axis 0 with length 0$"),
        (lambda: X[0, 0, 0], IndexError, "3 indices were used on a tensor of 2 dimension"),
        (lambda: X[[0, 3]], IndexError, "index 3 is out of range for an axis of length 3; use -3 to 2"),
        (lambda: X[[-4]], IndexError, "index -4 is out of range"),
        (lambda: X[[0], [4]], IndexError, "index 4 is out of range for an axis of length 4"),
        (lambda: X.mT[[4]], IndexError, "index 4 is out of range"),
        (lambda: ag.zeros((0, 2))[[0]], IndexError, "index 0 is out of range for an axis of length 0$"),
        (lambda: ag.zeros((0, 2))[..., [2]], IndexError, "index 2 is out of range for an axis of length 2"),
        (lambda: ag.take(X, [7], axis=1), IndexError, "index 7 is out of range"),
        (lambda: ag.take_along_axis(X, [[7]], axis=1), IndexError, "index 7 is out of range"),
        (lambda: ag.gather(X, 1, [[-5]]), IndexError, "index -5 is out of range"),
        (lambda: ag.scatter(X, 0, [[3]], 1.0), IndexError, "index 3 is out of range"),
        (lambda: ag.scatter_add(X, 0, [[3]], 1.0), IndexError, "index 3 is out of range"),
        (lambda: X.at[[5]].add(1.0), IndexError, "index 5 is out of range"),
        (lambda: X.at[[5]].set(1.0), IndexError, "index 5 is out of range"),
        (lambda: X[np.ones((4, 3), bool)], IndexError, "mask must have the shape of what it chooses from"),
        (lambda: X[[0, 1], [0, 1, 2]], ag.ShapeError, "do not broadcast"),
        (lambda: X[0.5], ag.DTypeError, r"an index holds integers or booleans, got float"),
        (lambda: X[ag.tensor([1.0])], ag.DTypeError, "write .astype"),
        (lambda: X[..., ...], ag.ArgumentError, "one Ellipsis"),
        (lambda: X[::0], ag.ArgumentError, "slice step cannot be zero"),
        (lambda: X["a":], ag.ArgumentError, "slice"),
        (lambda: X.at[0].set(ag.zeros(3)), ag.ShapeError, r"x.at\[...\].set: shapes"),
        (lambda: X.at[0].add(ag.zeros((2, 4))), ag.ShapeError, r"does not broadcast to \(4,\), that of x\[...\]"),
        (lambda: ag.tensor([1, 2]).at[0].set(0.5), ag.DTypeError, "would lose its fraction"),
        (lambda: ag.take(X, [0.0]), ag.DTypeError, "indices must hold integers, got float32"),
        (lambda: ag.take(X, [0], axis=2), ag.ShapeError, "axis 2 is out of range"),
        (lambda: ag.take_along_axis(X, [0]), ag.ShapeError, "as many axes"),
        (lambda: ag.gather(X, 1, np.zeros((4, 1), int)), ag.ShapeError, "does not fit x of shape"),
        (lambda: ag.gather(X, 1, [0]), ag.ShapeError, "as many axes"),
        (lambda: ag.scatter(X, 0, [[0, 1]], ag.zeros((1, 1))), ag.ShapeError, "no value for every index"),
        (lambda: ag.nonzero(ag.tensor(1.0)), ag.ShapeError, "0-d"),
        (lambda: ag.masked_select(X, X), ag.DTypeError, "mask must be boolean"),
    ],
)
def test_what_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert isinstance(caught.value, ag.AutogradError)


def test_a_tensor_iterates_and_unpacks_over_its_first_axis() -> None:
    x = ag.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    first, second = x
    (first * second).sum().backward()
    assert x.grad.tolist() == [[3.0, 4.0], [1.0, 2.0]]
