"""Native kernels of indexing: what the formulas do, for any strides, and nothing outside of the arrays."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="native code needs llvmlite")

from native_lowered import LEVELS, THREADS, assert_native, check, native, spread

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.errors import IndexingError
from autograd_core.ops._elements import add_at_p, joint_positions_p, last_p, positions_along_p, put_p, take_p

CASES = [
    # shape of x, axis, shape of the indices
    ((7, 5), 0, (4, 3)),
    ((2, 6, 3), 1, (5,)),
    ((3, 4, 40), 1, (2, 3)),
    ((9,), 0, (50,)),
    ((2, 3, 4), 2, (7,)),
    ((4, 16), 0, (6,)),
    ((5, 2, 3), 0, ()),
]
DTYPES = ("float32", "float64", "int64", "int8")


def values(rng, shape, dtype):
    return (rng.standard_normal(shape) * 10).astype(dtype)


def indices(rng, shape, length, dtype="int64"):
    low = -length if np.dtype(dtype).kind == "i" else 0
    return np.asarray(rng.integers(low, length, shape)).astype(dtype)


@pytest.mark.parametrize(("case", "level"), [(c, v) for i, c in enumerate(CASES) for v in LEVELS[: 3 - 2 * (i % 2)]])
def test_take_add_at_and_put_do_what_the_formulas_do(case, level):
    shape, axis, at = case
    rng = np.random.default_rng(len(shape) * 10 + axis)
    number = CASES.index(case) + LEVELS.index(level)
    for dtype, kind in zip(DTYPES[number % 2 :: 2], ("int64", "uint8") if number % 3 else ("int32", "int16")):
        threads = THREADS[number % 3]
        where = spread(rng, indices(rng, at, shape[axis], kind))
        x = spread(rng, values(rng, shape, dtype))
        check(take_p, [x, where], {"axis": axis}, level=level, threads=threads)
        v = spread(rng, values(rng, (*shape[:axis], *at, *shape[axis + 1 :]), dtype))
        params = {"axis": axis, "length": shape[axis]}
        check(add_at_p, [v, where], params, level=level, threads=threads, atol=1e-5 if dtype == "float32" else 1e-12)
        check(put_p, [x, v, where], {"axis": axis}, level=level, threads=threads)


def test_sums_run_in_the_order_of_the_indices_whatever_the_team():
    rng = np.random.default_rng(0)
    for shape in ((300,), (300, 5), (300, 40)):
        v, where = values(rng, shape, "float32"), rng.integers(0, 4, 300)
        wanted = np.zeros((4, *shape[1:]), np.float32)
        for row, place in zip(v, where, strict=True):
            wanted[place] += row
        for threads in THREADS:
            (y,), _ = native(add_at_p, [v, where], {"axis": 0, "length": 4}, threads=threads)
            np.testing.assert_array_equal(y, wanted)


@pytest.mark.parametrize("level", LEVELS)
def test_positions_and_the_last_of_several(level):
    rng = np.random.default_rng(1)
    where = spread(rng, indices(rng, (5, 8), 6, "int32"))
    check(last_p, [where], {"length": 6}, level=level, threads=2)
    other = spread(rng, indices(rng, (8,), 9))
    check(joint_positions_p, [where, other], {"lengths": (6, 9)}, level=level, threads=3)
    check(positions_along_p, [where], {"shape": (5, 6), "axis": 1}, level=level, threads=2)
    check(positions_along_p, [where], {"shape": (6, 8), "axis": 0}, level=level)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("wrong", [5, -6, 2**40, -(2**62)])
def test_an_index_out_of_range_is_an_error_and_touches_nothing(threads, wrong):
    x, v = np.ones((5, 3), np.float32), np.ones((4, 3), np.float32)
    where = np.array([0, wrong, 1, 2])
    assert native(take_p, [x, where], {"axis": 0}, threads=threads)[1]
    (y,), code = native(add_at_p, [v, where], {"axis": 0, "length": 5}, threads=threads)
    assert code
    assert y.sum() == 9
    assert native(put_p, [x, v, where], {"axis": 0}, threads=threads)[1]
    assert native(last_p, [where], {"length": 5}, threads=threads)[1]
    assert native(positions_along_p, [where], {"shape": (5,), "axis": 0}, threads=threads)[1]


def test_empty_arrays():
    none = np.zeros((0,), np.int64)
    check(take_p, [np.ones((3, 2), np.float32), none], {"axis": 0})
    check(add_at_p, [np.ones((0, 2), np.float32), none], {"axis": 0, "length": 3})
    assert native(take_p, [np.ones((0, 2), np.float32), np.zeros(1, np.int64)], {"axis": 0})[1]


class Language(nn.Module):
    def __init__(self):
        self.table, self.head = nn.Embedding(11, 6), nn.Linear(6, 11)

    def forward(self, x):
        return self.head(self.table(x))


def losses(compiled: bool, gathered: bool):
    with ag.default_device("cpu"), ag.random.fork(0):
        model = Language()
        optimizer = optim.SGD(model.parameters(), lr=0.5)
        rng = np.random.default_rng(0)

        def step(x, labels):
            optimizer.zero_grad()
            scores = model(x).reshape(-1, 11)
            if gathered:
                own = ag.take_along_axis(nn.functional.log_softmax(scores), labels.reshape(-1, 1), axis=1)
                loss = -own.mean()
            else:
                loss = nn.functional.cross_entropy(scores, labels.reshape(-1))
            loss.backward()
            optimizer.step()
            return loss

        run = ag.compile(step) if compiled else step
        data = [(ag.tensor(rng.integers(0, 11, (3, 5))), ag.tensor(rng.integers(0, 11, (3, 5)))) for _ in range(5)]
        found = [run(*pair).item() for pair in data]
        if compiled:
            assert_native(run)
        return found, [p.numpy().copy() for p in model.parameters()]


@pytest.mark.parametrize("gathered", [False, True])
def test_an_embedding_is_trained_without_numpy(gathered):
    wanted, parameters = losses(False, gathered)
    found, trained = losses(True, gathered)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    for mine, theirs in zip(trained, parameters, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def test_a_compiled_step_refuses_an_index_out_of_range():
    with ag.default_device("cpu"):
        pick = ag.compile(lambda x, i: x[i] * 2)
        x = ag.tensor(np.arange(4.0))
        for _ in range(3):
            assert pick(x, ag.tensor([3, -4])).tolist() == [6.0, 0.0]
        assert_native(pick)
        for wrong in (4, -5):
            with pytest.raises(IndexingError, match="out of range"):
                pick(x, ag.tensor([0, wrong]))
        assert pick(x, ag.tensor([1, 2])).tolist() == [2.0, 4.0]
